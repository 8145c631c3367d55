mod cdf_curve;
mod logistic_pair;
mod mixture;
mod requantize;
mod scale_tables;
mod tables;

use super::slots::Slots;

/// Returns the expected bits of a symbol that is coded by its slots, and its entropy, given the true probabilities.
fn expected_bits(
    symbols: impl Iterator<Item = i32>,
    probability: impl Fn(i32) -> f64,
    slots: impl Fn(i32) -> (Slots, Option<u64>),
) -> (f64, f64) {
    let (mut actual, mut ideal) = (0.0, 0.0);
    for symbol in symbols {
        let p = probability(symbol);
        if p < 1e-30 {
            continue;
        }
        let (slots, outside) = slots(symbol);
        let escape_bytes = outside.map_or(0, |distance| 1 + (distance.max(1).ilog2() / 7));
        actual += p * (15.0 - f64::from(slots.freq()).log2() + 8.0 * f64::from(escape_bytes));
        ideal -= p * p.log2();
    }
    (actual, ideal)
}
