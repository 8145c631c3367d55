//! Without vectors: the definition of all backends' results.

use crate::nn::matrix::{Block, LANES, Out, Pairs};

/// See [`multiply`](super::multiply).
pub(super) fn multiply(block: &Block, out: &mut Out) {
    for row in block.rows.clone() {
        for vector in 0..block.vectors {
            let sums = sums(block, row, vector);
            let first = vector * LANES;
            let count = LANES.min(block.outputs - first);
            finish(block, row, first, &sums[..count], out);
        }
    }
}

/// Returns the products of a row and a vector of outputs. Sums of a layer's inputs don't overflow.
fn sums(block: &Block, row: usize, vector: usize) -> [i32; LANES] {
    let mut sums = [0i32; LANES];
    let mut add = |Pairs(weights): &Pairs, x: [i16; 2]| {
        let [a, b] = x.map(i32::from);
        for (sum, [v, w]) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add((i32::from(*v) * a).wrapping_add(i32::from(*w) * b));
        }
    };
    let mut weights = block.weights.iter().skip(vector).step_by(block.vectors);
    for &(source, length) in block.sources {
        let x = &source.values[row * source.stride.unwrap_or(length)..][..length];
        let (pairs, last) = x.as_chunks::<2>();
        pairs.iter().zip(&mut weights).for_each(|(&x, weights)| add(weights, x));
        last.iter().zip(&mut weights).for_each(|(&x, weights)| add(weights, [x, 0]));
    }
    sums
}

/// Turns sums of a row, from output `first` of the block, into results.
#[inline]
pub(super) fn finish(block: &Block, row: usize, first: usize, sums: &[i32], out: &mut Out) {
    let products = sums
        .iter()
        .zip(&block.scales[first..])
        .zip(&block.biases[first..])
        .map(|((&sum, scale), bias)| sum as f32 * scale + bias);
    let start = row * block.stride + block.first + first;
    match out {
        Out::Set(out) => out[start..].iter_mut().zip(products).for_each(|(out, x)| *out = x),
        Out::Add(out) => out[start..].iter_mut().zip(products).for_each(|(out, x)| *out += x),
        Out::Activated(activation, out) => {
            out[start..].iter_mut().zip(products).for_each(|(out, x)| *out = activation.apply(x));
        }
    }
}
