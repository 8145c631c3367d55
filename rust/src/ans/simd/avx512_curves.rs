//! AVX-512: the curves of a block of elements.

use std::arch::x86_64::*;

use super::avx512::{N, load, store};
use crate::ans::calibration::{BINS, BINS_BELOW, Curve, EDGES, SLOPE_BITS};
use crate::ans::constants::BLOCK;

/// 64-bit integers of a curve.
const STRIDE: usize = size_of::<Curve>() / 8;
const _: () = assert!(BINS == N && std::mem::offset_of!(Curve, knots) == 0);
/// See [`Backend::apply_curves`](super::Backend::apply_curves).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn apply(curves: &[Curve], numbers: &[u16; BLOCK], values: &mut [u32; BLOCK]) {
    check(curves, numbers);
    let [below, more] = [0, N].map(|first| load::<u32>(BINS_BELOW[first..].first_chunk().unwrap_or(&[0; N])));
    let edges = load::<u32>(EDGES.first_chunk().unwrap_or(&[0; N]));
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    for (numbers, values) in numbers.as_chunks::<N>().0.iter().zip(values.as_chunks_mut::<N>().0) {
        let v = load(values);
        let upper = _mm512_test_epi32_mask(v, _mm512_set1_epi32(1 << 15));
        let folded = _mm512_mask_xor_epi32(v, upper, v, _mm512_set1_epi32(0xffff));
        let index = _mm512_srli_epi32::<22>(_mm512_castps_si512(_mm512_cvtepi32_ps(folded)));
        let bin = _mm512_permutex2var_epi32(below, index, more);
        let bin = _mm512_mask_xor_epi32(bin, upper, bin, _mm512_set1_epi32(N as i32 - 1));
        // SAFETY: the array has 32 bytes.
        let number = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) });
        let place = _mm512_add_epi32(_mm512_mullo_epi32(number, _mm512_set1_epi32(STRIDE as i32)), bin);
        let [first, last] = [_mm512_castsi512_si256(place), _mm512_extracti64x4_epi64::<1>(place)];
        // SAFETY: the numbers are checked, and bins are below 16, so curves have these knots.
        let [first, last] =
            [first, last].map(|place| unsafe { _mm512_i32gather_epi64::<8>(place, curves.as_ptr().cast()) });
        let value = _mm512_permutex2var_epi32(first, even, last);
        let slope = _mm512_permutex2var_epi32(first, odd, last);
        let inside = _mm512_sub_epi32(v, _mm512_permutexvar_epi32(bin, edges));
        let growth = _mm512_srli_epi32::<SLOPE_BITS>(_mm512_mullo_epi32(inside, slope));
        let top = _mm512_set1_epi32(1 << 16);
        let value = _mm512_add_epi32(value, growth);
        store(values, _mm512_mask_mov_epi32(value, _mm512_test_epi32_mask(v, top), top));
    }
}

/// See [`Backend::count`](super::Backend::count).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn count(
    curves: &mut [Curve],
    numbers: &[u16],
    [lows, highs]: &[[u32; BLOCK]; 2],
    units: &[u32; BLOCK],
) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    for (((&number, &low), &high), &unit) in numbers.iter().zip(lows).zip(highs).zip(units) {
        let curve = &mut curves[usize::from(number)];
        let [first, last] = [0, N / 2].map(|i| {
            // SAFETY: these are 64 of 128 bytes.
            unsafe { _mm512_loadu_si512(curve.knots.as_ptr().add(i).cast()) }
        });
        let high = _mm512_set1_epi32(high.max(low + 1) as i32);
        let inside = _mm512_permutex2var_epi32(first, even, last);
        let inside = _mm512_max_epu32(inside, _mm512_set1_epi32(low as i32));
        let inside = _mm512_min_epu32(inside, high);
        // The value at the last edge is 2^16, which no symbol reaches beyond.
        let next = _mm512_alignr_epi32::<1>(high, inside);
        let share =
            _mm512_mullo_epi32(_mm512_sub_epi32(next, inside), _mm512_set1_epi32(unit as i32));
        let counts = _mm512_add_epi32(load(&curve.counts), _mm512_srli_epi32::<16>(share));
        store(&mut curve.counts, counts);
    }
}

/// Checks that there are curves of these numbers. Calibration guarantees it; memory safety depends on it here.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn check(curves: &[Curve], numbers: &[u16; BLOCK]) {
    let highest = numbers.iter().fold(0, |highest, &number| highest.max(number));
    assert!(usize::from(highest) < curves.len(), "a block names a curve that there is not");
}
