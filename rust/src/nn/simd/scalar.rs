//! Without vectors: the definition of all backends' results.

use super::{Sums, finish};
use crate::nn::matrix::{BLOCK_VECTORS, Block, LANES, Out, Pairs};

/// See [`multiply`](super::multiply).
pub(super) fn multiply(block: &Block, out: &mut Out) {
    for row in block.rows.clone() {
        finish(block, row, &[sums(block, row)], out);
    }
}

/// Returns the products of a row. Sums of inputs within their ranges don't overflow.
fn sums(block: &Block, row: usize) -> Sums {
    let mut sums = [0i32; BLOCK_VECTORS * LANES];
    let mut weights = block.weights.chunks_exact(block.vectors);
    for &(source, length) in block.sources {
        let x = &source.values[row * source.stride.unwrap_or(length)..][..length];
        for (x, weights) in x.chunks(2).zip(&mut weights) {
            let (a, b) = (i32::from(x[0]), x.get(1).map_or(0, |&x| i32::from(x)));
            for (sums, Pairs(weights)) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(weights) {
                for (sum, [v, w]) in sums.iter_mut().zip(weights) {
                    let product = (i32::from(*v) * a).wrapping_add(i32::from(*w) * b);
                    *sum = sum.wrapping_add(product);
                }
            }
        }
    }
    sums
}
