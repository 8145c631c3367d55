//! AVX2: 8 outputs in a register.

use std::arch::x86_64::*;
use std::array::from_fn;

use super::{MAX_ROWS, Sums};
use crate::nn::matrix::{Block, LANES, Out, Pairs};

/// Registers of the sums of a row and a vector of outputs.
const N: usize = 2;
/// As many rows as registers can hold the sums of.
const M: usize = 6;

/// See [`multiply`](super::multiply).
#[target_feature(enable = "avx2")]
pub(super) fn multiply(block: &Block, out: &mut Out) {
    let mut sums = [[0; _]; MAX_ROWS];
    let mut row = block.rows.start;
    while row < block.rows.end {
        let rows = match block.rows.end - row {
            M.. => tile::<M>(block, row, &mut sums),
            2.. => tile::<2>(block, row, &mut sums),
            _ => tile::<1>(block, row, &mut sums),
        };
        super::finish(block, row, &sums[..rows], out);
        row += rows;
    }
}

/// Computes the sums of `M` rows from `row`, which the block must have. Returns `M`.
#[inline]
#[target_feature(enable = "avx2")]
fn tile<const M: usize>(block: &Block, row: usize, out: &mut [Sums; MAX_ROWS]) -> usize {
    assert!(row + M <= block.rows.end);
    for vector in 0..block.vectors {
        let mut sums = [[_mm256_setzero_si256(); N]; M];
        let mut weights = block.weights[vector..].as_ptr();
        let mut add = |x: &[*const i32; M], pair| {
            // SAFETY: the block has this vector for each pair of inputs, and this is called once for each.
            let halves: [__m256i; N] = unsafe { [load(weights, 0), load(weights, 1)] };
            weights = weights.wrapping_add(block.vectors);
            for m in 0..M {
                // SAFETY: there is this pair of inputs.
                let x = _mm256_set1_epi32(unsafe { x[m].add(pair).read_unaligned() });
                for n in 0..N {
                    sums[m][n] = _mm256_add_epi32(sums[m][n], _mm256_madd_epi16(halves[n], x));
                }
            }
        };
        for &(source, length) in block.sources {
            let stride = source.stride.unwrap_or(length);
            // SAFETY: the source has these rows.
            let x: [*const i32; M] =
                from_fn(|m| unsafe { source.values.as_ptr().add((row + m) * stride).cast() });
            for pair in 0..length / 2 {
                add(&x, pair);
            }
            if length % 2 == 1 {
                // SAFETY: a row has `length` values.
                let last = x.map(|x| i32::from(unsafe { *x.cast::<u16>().add(length - 1) }));
                add(&last.each_ref().map(|x| &raw const *x), 0);
            }
        }
        for (sums, out) in sums.into_iter().zip(&mut *out) {
            for (n, sum) in sums.into_iter().enumerate() {
                // SAFETY: a row of sums has 4 vectors.
                unsafe {
                    let out = out.as_mut_ptr().add(vector * LANES).cast::<__m256i>();
                    _mm256_storeu_si256(out.add(n), sum);
                }
            }
        }
    }
    M
}

/// Returns a half of weights.
///
/// # Safety
/// The weights must exist, and `half` must be 0 or 1.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(weights: *const Pairs, half: usize) -> __m256i {
    // SAFETY: weights are aligned to their 64 bytes.
    unsafe { _mm256_load_si256(weights.cast::<__m256i>().add(half)) }
}
