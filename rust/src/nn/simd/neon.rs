//! NEON: 4 outputs in a register.

use std::arch::aarch64::*;
use std::array::from_fn;

use super::{MAX_ROWS, Sums};
use crate::nn::matrix::{Block, LANES, Out, Pairs};

/// Registers of the sums of a row and a vector of outputs.
const N: usize = 4;
/// As many rows as registers can hold the sums of.
const M: usize = 6;

/// See [`multiply`](super::multiply).
#[target_feature(enable = "neon")]
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
#[target_feature(enable = "neon")]
fn tile<const M: usize>(block: &Block, row: usize, out: &mut [Sums; MAX_ROWS]) -> usize {
    assert!(row + M <= block.rows.end);
    for vector in 0..block.vectors {
        let mut sums = [[vdupq_n_s32(0); N]; M];
        let mut weights = block.weights[vector..].as_ptr();
        let mut add = |x: [int16x4_t; M]| {
            // SAFETY: the block has this vector for each pair of inputs, and this is called once for each.
            let halves: [int16x8x2_t; 2] = from_fn(|half| unsafe { load(weights, half) });
            weights = weights.wrapping_add(block.vectors);
            for m in 0..M {
                for (half, int16x8x2_t(first, second)) in halves.into_iter().enumerate() {
                    let [low, high] = [2 * half, 2 * half + 1];
                    sums[m][low] = vmlal_lane_s16::<0>(sums[m][low], vget_low_s16(first), x[m]);
                    sums[m][high] = vmlal_high_lane_s16::<0>(sums[m][high], first, x[m]);
                    sums[m][low] = vmlal_lane_s16::<1>(sums[m][low], vget_low_s16(second), x[m]);
                    sums[m][high] = vmlal_high_lane_s16::<1>(sums[m][high], second, x[m]);
                }
            }
        };
        for &(source, length) in block.sources {
            let stride = source.stride.unwrap_or(length);
            // SAFETY: the source has these rows.
            let x: [*const i16; M] = from_fn(|m| unsafe { source.values.as_ptr().add((row + m) * stride) });
            for pair in 0..length / 2 {
                // SAFETY: a row has `length` values.
                add(x.map(|x| unsafe {
                    vreinterpret_s16_s32(vdup_n_s32(x.cast::<i32>().add(pair).read_unaligned()))
                }));
            }
            if length % 2 == 1 {
                // The weight of the missing input is zero.
                // SAFETY: as before.
                add(x.map(|x| unsafe { vdup_n_s16(*x.add(length - 1)) }));
            }
        }
        for m in 0..M {
            for n in 0..N {
                // SAFETY: a row of sums has 4 vectors.
                unsafe { vst1q_s32(out[m].as_mut_ptr().add(vector * LANES + 4 * n), sums[m][n]) };
            }
        }
    }
    M
}

/// Returns a half of weights: those of the first inputs, and those of the second ones.
///
/// # Safety
/// The weights must exist, and `half` must be 0 or 1.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load(weights: *const Pairs, half: usize) -> int16x8x2_t {
    // SAFETY: a half has 16 integers.
    unsafe { vld2q_s16(weights.cast::<i16>().add(half * LANES)) }
}
