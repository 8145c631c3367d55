//! AVX-512: 16 outputs in a register.

use std::arch::x86_64::*;
use std::array::from_fn;

use super::{MAX_ROWS, Sums, finish};
use crate::nn::matrix::{Block, LANES, Out};

/// See [`multiply`](super::multiply).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn multiply(block: &Block, out: &mut Out) {
    // As many rows as registers hold the sums of.
    match block.vectors {
        1 => tiles::<12, 1>(block, out),
        2 => tiles::<12, 2>(block, out),
        3 => tiles::<8, 3>(block, out),
        _ => tiles::<6, 4>(block, out),
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
        finish(block, row, &sums[..rows], out);
        row += rows;
    }
}

/// Computes the sums of `M` rows from `row`, of which the block has as many, and `N` vectors, all that it has. Returns `M`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile<const M: usize, const N: usize>(block: &Block, row: usize, out: &mut [Sums; MAX_ROWS]) -> usize {
    let mut sums = [[_mm512_setzero_si512(); N]; M];
    let mut weights = block.weights.as_ptr();
    for &(source, length) in block.sources {
        let stride = source.stride.unwrap_or(length);
        // SAFETY: the block has these rows of each source, and each has `length` values.
        let x: [*const i16; M] = from_fn(|m| unsafe { source.values.as_ptr().add((row + m) * stride) });
        for pair in 0..length / 2 {
            // SAFETY: the block has `N` vectors for each pair.
            let own: [__m512i; N] = from_fn(|n| unsafe { _mm512_load_si512(weights.add(n).cast()) });
            // SAFETY: as before.
            weights = unsafe { weights.add(N) };
            for m in 0..M {
                // SAFETY: 2 * pair + 1 < length.
                let x = _mm512_set1_epi32(unsafe { x[m].cast::<i32>().add(pair).read_unaligned() });
                for n in 0..N {
                    sums[m][n] = _mm512_dpwssd_epi32(sums[m][n], own[n], x);
                }
            }
        }
        if length % 2 == 1 {
            // SAFETY: as before; the last pair's second weights are zero.
            let own: [__m512i; N] = from_fn(|n| unsafe { _mm512_load_si512(weights.add(n).cast()) });
            // SAFETY: as before.
            weights = unsafe { weights.add(N) };
            for m in 0..M {
                // SAFETY: the row's last value.
                let x = _mm512_set1_epi32(i32::from(unsafe { *x[m].add(length - 1) } as u16));
                for n in 0..N {
                    sums[m][n] = _mm512_dpwssd_epi32(sums[m][n], own[n], x);
                }
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            // SAFETY: there are 4 vectors for each row.
            unsafe { _mm512_storeu_si512(out[m][n * LANES..][..LANES].as_mut_ptr().cast(), sums[m][n]) };
        }
    }
    M
}
