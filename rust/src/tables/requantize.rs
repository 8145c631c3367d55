//! Conversion of rows of another precision than 15 bits, such as CompressAI's 16, to the 15-bit rows that cost the least.
//!
//! A quantiser that gives every symbol a slot takes slots from the other symbols: the widest Gaussian of a CompressAI
//! model has 2,000 symbols of frequency 1 at its ends, many of which never occur in practice. Their single probabilities
//! are lost, but the sum at each end is not. That sum is spread over these symbols again, falling off geometrically from
//! the rest of the row, and the outermost symbols join the escape.

use std::ops::Range;

use super::cdf_row::CdfRow;
use super::slots::{PRECISION, TOTAL};

/// The finest precision of a row.
pub(super) const MAX_PRECISION: u32 = 24;

/// Weights are in units of 2^−31: a `u32` holds their sum, and a `u64` the product of two.
const UNIT_BITS: u32 = 31;

/// A quarter of a slot. A symbol at the edge of the support that is lighter joins the escape: a slot of its own would
/// cost the other symbols more than the escape costs this one.
const LIGHT: u64 = 1 << (UNIT_BITS - PRECISION - 2);

/// Turns boundaries that rise from 0 to 2^`precision`, not always strictly, into a row. Symbols without a slot get one or
/// join the escape.
pub(super) fn requantize(boundaries: &[i32], precision: u32, offset: i32) -> CdfRow {
    let least = 1 << (UNIT_BITS - precision);
    let mut weights: Vec<u64> =
        boundaries.windows(2).map(|pair| (pair[1] - pair[0]) as u64 * least).collect();
    weights.pop(); // The escape's weight is the rest.
    if precision > PRECISION {
        for _end in 0..2 {
            spread_tail(&mut weights, least);
            weights.reverse();
        }
    }
    let kept = support(&weights);
    let mut counts: Vec<u32> = weights[kept.clone()].iter().map(|&weight| weight as u32).collect();
    counts.push((1 << UNIT_BITS) - counts.iter().sum::<u32>());
    CdfRow::from_counts(&counts, offset + kept.start as i32).expect("the support leaves room for the escape")
}

/// Spreads the total weight of the first symbols that weigh no more than the `least` possible over these symbols.
fn spread_tail(weights: &mut [u64], least: u64) {
    let tail = weights.iter().take_while(|&&weight| weight <= least).count();
    let (tail, body) = weights.split_at_mut(tail);
    // The outermost symbol of the body may have lost slots to the tail.
    let Some(&first) = body.iter().take(2).max() else { return };
    let total: u64 = tail.iter().sum();
    let mut weight = first;
    for lightest in tail.iter_mut().rev() {
        weight = weight * total / (first + total);
        *lightest = weight;
    }
}

/// Returns the range from the first to the last symbol that is not light, cut to the number of symbols of a row.
fn support(weights: &[u64]) -> Range<usize> {
    let mut kept = 0..weights.len();
    while let [low, .., high] | [low @ high] = weights[kept.clone()] {
        if low.min(high) >= LIGHT && kept.len() < TOTAL as usize {
            break;
        }
        if low <= high {
            kept.start += 1;
        } else {
            kept.end -= 1;
        }
    }
    kept
}
