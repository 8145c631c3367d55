//! AVX-512: 16 outputs in a register.

use std::arch::asm;
use std::arch::x86_64::*;
use std::array::from_fn;

use super::{MAX_ROWS, Sums};
use crate::nn::matrix::{Block, LANES, Out, Pairs};

/// See [`multiply`](super::multiply).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn multiply(block: &Block, out: &mut Out) {
    // Enough rows for the latency of sums, and few, since more pairs of inputs are zero in all of few rows.
    match block.vectors {
        1 => tiles::<8, 1>(block, out),
        2 => tiles::<4, 2>(block, out),
        3 => tiles::<4, 3>(block, out),
        _ => tiles::<4, 4>(block, out),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tiles<const M: usize, const N: usize>(block: &Block, out: &mut Out) {
    let mut sums = [[0; _]; MAX_ROWS];
    let mut row = block.rows.start;
    while row < block.rows.end {
        let rows = match block.rows.end - row {
            left if left >= M => tile::<M, N>(block, row, &mut sums),
            4.. => tile::<4, N>(block, row, &mut sums),
            2.. => tile::<2, N>(block, row, &mut sums),
            _ => tile::<1, N>(block, row, &mut sums),
        };
        finish::<N>(block, row, &sums[..rows], out);
        row += rows;
    }
}

/// Computes the sums of `M` rows from `row`, which the block must have, and of all its vectors, which must be `N`. Returns
/// `M`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile<const M: usize, const N: usize>(block: &Block, row: usize, out: &mut [Sums; MAX_ROWS]) -> usize {
    assert!(row + M <= block.rows.end && N == block.vectors);
    let mut sums = [[_mm512_setzero_si512(); N]; M];
    let mut add = |x: &[*const i32; M], pair: usize, weights: *const Pairs| {
        // SAFETY: the block has `N` vectors for each pair of inputs, and these are those of this pair.
        let vectors: [__m512i; N] = from_fn(|n| unsafe { load(weights.add(n)) });
        for m in 0..M {
            // SAFETY: there is this pair of inputs.
            let x = _mm512_set1_epi32(unsafe { x[m].add(pair).read_unaligned() });
            for n in 0..N {
                sums[m][n] = add_products(sums[m][n], vectors[n], x);
            }
        }
    };
    let mut weights = block.weights.as_ptr();
    for &(source, length) in block.sources {
        let stride = source.stride.unwrap_or(length);
        // SAFETY: the source has these rows.
        let x: [*const i32; M] =
            from_fn(|m| unsafe { source.values.as_ptr().add((row + m) * stride).cast() });
        for first in (0..length / 2).step_by(u64::BITS as usize) {
            // SAFETY: a row has `length` values.
            let mut left = unsafe { find_nonzero(x.map(|x| x.add(first)), length / 2 - first) };
            while left != 0 {
                let pair = first + left.trailing_zeros() as usize;
                left &= left - 1;
                add(&x, pair, weights.wrapping_add(pair * N));
            }
        }
        weights = weights.wrapping_add(length / 2 * N);
        if length % 2 == 1 {
            // SAFETY: a row has `length` values.
            let last = x.map(|x| i32::from(unsafe { *x.cast::<u16>().add(length - 1) }));
            add(&last.each_ref().map(|x| &raw const *x), 0, weights);
            weights = weights.wrapping_add(N);
        }
    }
    for (sums, out) in sums.into_iter().zip(&mut *out) {
        for (n, sum) in sums.into_iter().enumerate() {
            // SAFETY: a row of sums has 4 vectors.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(n * LANES).cast(), sum) };
        }
    }
    M
}

/// Returns a bit for each of the first 64 pairs that is not zero in all rows. Most coefficients of a picture are zero, and
/// so are the inputs that follow from them.
///
/// # Safety
/// The rows must have so many pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn find_nonzero<const M: usize>(rows: [*const i32; M], pairs: usize) -> u64 {
    let mut found = 0;
    for first in (0..pairs.min(u64::BITS as usize)).step_by(LANES) {
        let mask = ((1u32 << (pairs - first).min(LANES)) - 1) as __mmask16;
        let mut any = _mm512_setzero_si512();
        for row in rows {
            // SAFETY: the caller guarantees the pairs of this mask.
            any = _mm512_or_si512(any, unsafe { _mm512_maskz_loadu_epi32(mask, row.add(first)) });
        }
        found |= u64::from(_mm512_test_epi32_mask(any, any)) << first;
    }
    found
}

/// Adds to each sum the products of two weights and two inputs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn add_products(mut sums: __m512i, weights: __m512i, x: __m512i) -> __m512i {
    // The compiler makes a multiplication and an addition of some of its own instructions for this, which take a tenth
    // more time.
    // SAFETY: AVX-512 VNNI has this instruction, which works on registers alone.
    unsafe {
        asm!(
            "vpdpwssd {}, {}, {}",
            inout(zmm_reg) sums, in(zmm_reg) weights, in(zmm_reg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Turns the sums of rows from `row` into results, as [`finish`](super::finish) does.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn finish<const N: usize>(block: &Block, row: usize, sums: &[Sums], out: &mut Out) {
    assert!(row + sums.len() <= block.rows.end && N == block.vectors);
    match out {
        Out::Set(out) => for_products::<N>(block, row, sums, |x, at, mask| {
            // SAFETY: the result has these elements.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(at), mask, x) }
        }),
        Out::Add(out) => for_products::<N>(block, row, sums, |x, at, mask| {
            // SAFETY: as before.
            unsafe {
                let out = out.as_mut_ptr().add(at);
                _mm512_mask_storeu_ps(out, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), x));
            }
        }),
        Out::Activated(activation, out) => {
            let grid = activation.grid;
            for_products::<N>(block, row, sums, |x, at, mask| {
                let below = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(x, _mm512_setzero_ps());
                let x = _mm512_mask_mul_ps(x, below, x, _mm512_set1_ps(activation.slope));
                let x = _mm512_mul_ps(x, _mm512_set1_ps(grid.inverse));
                let x = _mm512_max_ps(x, _mm512_set1_ps(-grid.bound));
                let x = _mm512_min_ps(x, _mm512_set1_ps(grid.bound));
                // To the nearest integer, the even one of two, as floating-point arithmetic always rounds here.
                let x = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x));
                // SAFETY: as before.
                unsafe { _mm256_mask_storeu_epi16(out.as_mut_ptr().add(at), mask, x) }
            });
        }
    }
}

/// Calls `each` with the products, where they belong in the result, and the set of those that do.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn for_products<const N: usize>(
    block: &Block,
    row: usize,
    sums: &[Sums],
    mut each: impl FnMut(__m512, usize, __mmask16),
) {
    // SAFETY: the block has `N` vectors of these.
    let [scales, biases]: [[__m512; N]; 2] = [block.scales, block.biases]
        .map(|x| from_fn(|n| unsafe { _mm512_loadu_ps(x.as_ptr().add(n * LANES)) }));
    let masks: [__mmask16; N] =
        from_fn(|n| ((1u32 << (block.outputs - n * LANES).min(LANES)) - 1) as __mmask16);
    for (row, sums) in (row..).zip(sums) {
        for n in 0..N {
            // SAFETY: a row of sums has 4 vectors.
            let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().add(n * LANES).cast()) };
            let x = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales[n]), biases[n]);
            each(x, row * block.stride + block.first + n * LANES, masks[n]);
        }
    }
}

/// # Safety
/// The weights must exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn load(weights: *const Pairs) -> __m512i {
    // SAFETY: weights are aligned to their 64 bytes.
    unsafe { _mm512_load_si512(weights.cast()) }
}
