//! The cost of coding a symbol, as an exact integer.

use std::sync::OnceLock;

use super::exact_math;
use super::slots::{PRECISION, TOTAL};

/// Costs are in units of 2^−26 bits.
pub(crate) const COST_BITS: u32 = 26;

/// Returns −log2 of the probability for each frequency 0..=2^15. Frequency 0 never occurs.
pub(crate) fn cost_table() -> &'static [u32] {
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let unit = f64::from(1 << COST_BITS);
        let mut ln_freq = 0.0;
        let mut table = vec![PRECISION << COST_BITS; 2];
        table.extend((2..=TOTAL).map(|freq| {
            ln_freq += exact_math::log_ratio(1.0 / f64::from(2 * freq - 1));
            ((f64::from(PRECISION) - ln_freq * std::f64::consts::LOG2_E) * unit).round().max(0.0) as u32
        }));
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_logarithm() {
        let table = cost_table();
        for freq in 1..=TOTAL {
            let want = (f64::from(PRECISION) - f64::from(freq).log2()) * f64::from(1 << COST_BITS);
            assert!((f64::from(table[freq as usize]) - want).abs() <= 1.0, "{freq}");
        }
    }
}
