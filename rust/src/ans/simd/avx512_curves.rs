//! AVX-512: the curves of a block of elements.

use std::arch::x86_64::*;

use super::avx512::{N, load, store};
use crate::ans::calibration::{BINS, Curve, EDGES, SLOPE_BITS, UNIT};
use crate::ans::constants::BLOCK;

/// 64-bit integers of a curve.
const STRIDE: usize = size_of::<Curve>() / 8;
const _: () = assert!(BINS == N && std::mem::offset_of!(Curve, knots) == 0);
/// The bins below the middle; those above mirror them. The index has the lowest bits of a float's exponent and the first bit
/// of its mantissa: no edge is in between.
const BINS_BELOW: [u32; 32] = {
    let (mut bins, mut i) = ([0; 32], 0);
    while i < 32 {
        // The least value of this exponent and mantissa. 0 has those of 2.
        let value = match (i / 2 + 1) % 16 {
            0 => 1,
            exponent => (2 + i as u32 % 2) << (exponent - 1),
        };
        while bins[i] + 1 < BINS as u32 / 2 && EDGES[bins[i] as usize + 1] <= value {
            bins[i] += 1;
        }
        i += 1;
    }
    bins
};

/// What values of curves are computed with.
pub(super) struct CurveVectors {
    bins_below: [__m512i; 2],
    edges: __m512i,
    even: __m512i,
    odd: __m512i,
}

impl CurveVectors {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn load() -> Self {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let (bins, edges) = (BINS_BELOW.as_chunks().0, EDGES.as_chunks().0);
        Self {
            bins_below: [load(&bins[0]), load(&bins[1])],
            edges: load(&edges[0]),
            even,
            odd: _mm512_add_epi32(even, _mm512_set1_epi32(1)),
        }
    }

    /// Returns the bins of values, 0 to 2^16; that of 2^16 has no meaning.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn bins(&self, v: __m512i) -> __m512i {
        let is_above = _mm512_test_epi32_mask(v, _mm512_set1_epi32(1 << 15));
        let folded = _mm512_mask_xor_epi32(v, is_above, v, _mm512_set1_epi32(0xffff));
        let index = _mm512_srli_epi32::<22>(_mm512_castps_si512(_mm512_cvtepi32_ps(folded)));
        let bin = _mm512_permutex2var_epi32(self.bins_below[0], index, self.bins_below[1]);
        _mm512_mask_xor_epi32(bin, is_above, bin, _mm512_set1_epi32(N as i32 - 1))
    }

    /// Returns the values of curves at `v`, given the bins and their knots.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn values(&self, v: __m512i, bin: __m512i, value: __m512i, slope: __m512i) -> __m512i {
        let inside = _mm512_sub_epi32(v, _mm512_permutexvar_epi32(bin, self.edges));
        let growth = _mm512_srli_epi32::<SLOPE_BITS>(_mm512_mullo_epi32(inside, slope));
        let top = _mm512_set1_epi32(1 << 16);
        let value = _mm512_add_epi32(value, growth);
        _mm512_mask_mov_epi32(value, _mm512_test_epi32_mask(v, top), top)
    }

    /// Returns the knots of a curve: their values, and their slopes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn knots(&self, curve: &Curve) -> [__m512i; 2] {
        let [first, last] = [0, N / 2].map(|i| {
            // SAFETY: these are 64 of 128 bytes.
            unsafe { _mm512_loadu_si512(curve.knots.as_ptr().add(i).cast()) }
        });
        [self.even, self.odd].map(|half| _mm512_permutex2var_epi32(first, half, last))
    }

    /// Returns the values of one curve.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn apply_one(&self, curve: &Curve, v: __m512i) -> __m512i {
        let bin = self.bins(v);
        let [value, slope] = self.knots(curve).map(|knots| _mm512_permutexvar_epi32(bin, knots));
        self.values(v, bin, value, slope)
    }
}

/// See [`Backend::apply_curves`](super::Backend::apply_curves).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn apply(curves: &[Curve], numbers: &[u16; BLOCK], values: &mut [u32; BLOCK]) {
    check(curves, numbers);
    let vectors = CurveVectors::load();
    for (numbers, values) in numbers.as_chunks::<N>().0.iter().zip(values.as_chunks_mut::<N>().0) {
        let v = load(values);
        let bin = vectors.bins(v);
        // SAFETY: the array has 32 bytes.
        let number = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) });
        let place = _mm512_add_epi32(_mm512_mullo_epi32(number, _mm512_set1_epi32(STRIDE as i32)), bin);
        let [first, last] = [_mm512_castsi512_si256(place), _mm512_extracti64x4_epi64::<1>(place)];
        // SAFETY: the numbers are checked, and bins are below 16, so curves have these knots.
        let [first, last] =
            [first, last].map(|place| unsafe { _mm512_i32gather_epi64::<8>(place, curves.as_ptr().cast()) });
        let [value, slope] =
            [vectors.even, vectors.odd].map(|half| _mm512_permutex2var_epi32(first, half, last));
        store(values, vectors.values(v, bin, value, slope));
    }
}

/// See [`Backend::count`](super::Backend::count).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn count(curves: &mut [Curve], numbers: &[u16], [lows, highs]: &[[u32; BLOCK]; 2]) {
    let (mut ends, mut units) = ([0; BLOCK], [0; BLOCK]);
    let one = _mm512_set1_epi32(1);
    for i in 0..BLOCK / N {
        let [low, high] = [lows, highs].map(|bounds| load(&bounds.as_chunks().0[i]));
        let high = _mm512_max_epu32(high, _mm512_add_epi32(low, one));
        let width = _mm512_sub_epi32(high, low);
        store(&mut ends.as_chunks_mut().0[i], _mm512_min_epu32(high, _mm512_set1_epi32(1 << 16)));
        let widths = [_mm512_castsi512_si256(width), _mm512_extracti64x4_epi64::<1>(width)];
        let [first, last] = widths.map(|width| {
            let quotient = _mm512_div_pd(_mm512_set1_pd(UNIT.into()), _mm512_cvtepu32_pd(width));
            _mm512_cvttpd_epi32(quotient)
        });
        let unit = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(first), last);
        store(&mut units.as_chunks_mut().0[i], unit);
    }
    let vectors = CurveVectors::load();
    for (((&number, &low), &high), &unit) in numbers.iter().zip(lows).zip(&ends).zip(&units) {
        let curve = &mut curves[usize::from(number)];
        let high = _mm512_set1_epi32(high);
        let [values, _] = vectors.knots(curve);
        let inside = _mm512_max_epu32(values, _mm512_set1_epi32(low as i32));
        let inside = _mm512_min_epu32(inside, high);
        // The value at the last edge is 2^16, at which symbols end at the latest.
        let next = _mm512_alignr_epi32::<1>(high, inside);
        let share = _mm512_mullo_epi32(_mm512_sub_epi32(next, inside), _mm512_set1_epi32(unit));
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
