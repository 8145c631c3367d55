//! AVX-512: 16 outputs in a register.

use std::arch::x86_64::*;
use std::array::from_fn;

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
    let mut row = block.rows.start;
    while block.rows.end - row >= M {
        tile::<M, N>(block, row, out);
        row += M;
    }
    while block.rows.end - row >= 4 {
        tile::<4, N>(block, row, out);
        row += 4;
    }
    while row < block.rows.end {
        tile::<1, N>(block, row, out);
        row += 1;
    }
}

/// Computes `M` rows from `row`, of which the block has as many, and `N` vectors, all that it has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile<const M: usize, const N: usize>(block: &Block, row: usize, out: &mut Out) {
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
    let load = |values: &[f32], n: usize| {
        // SAFETY: the block has `N` vectors of these values.
        unsafe { _mm512_loadu_ps(values.as_ptr().add(n * LANES)) }
    };
    for m in 0..M {
        for n in 0..N {
            let x = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), load(block.scales, n));
            let x = _mm512_add_ps(x, load(block.biases, n));
            let count = (block.outputs - n * LANES).min(LANES);
            let mask = (1u32 << count).wrapping_sub(1) as __mmask16;
            let start = (row + m) * block.stride + block.first + n * LANES;
            match out {
                // SAFETY: the result has the outputs of this row, which the mask does not exceed.
                Out::Set(out) => unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(start), mask, x) },
                // SAFETY: as before.
                Out::Add(out) => unsafe {
                    let out = out.as_mut_ptr().add(start);
                    _mm512_mask_storeu_ps(out, mask, _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), x));
                },
                Out::Activated(activation, out) => {
                    let grid = activation.grid;
                    let below = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(x, _mm512_setzero_ps());
                    let x = _mm512_mask_mul_ps(x, below, x, _mm512_set1_ps(activation.slope));
                    let x = _mm512_mul_ps(x, _mm512_set1_ps(grid.inverse));
                    let x = _mm512_max_ps(x, _mm512_set1_ps(-grid.bound));
                    let x = _mm512_min_ps(x, _mm512_set1_ps(grid.bound));
                    // To the nearest integer, the even one of two, as floating-point arithmetic always rounds here.
                    let x = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x));
                    // SAFETY: as before.
                    unsafe { _mm256_mask_storeu_epi16(out.as_mut_ptr().add(start), mask, x) }
                }
            }
        }
    }
}
