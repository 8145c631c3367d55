//! One row of a table: weights, counts or a density as frequencies that sum to 2^15.

use super::slots::TOTAL;
use crate::{Error, Result};

/// A symbol at the edge of a row's support that is less probable than this joins the escape: a slot of its own would
/// cost the other symbols more than the escape costs this one.
const TAIL: f64 = 0.25 / TOTAL as f64;

/// One distribution over consecutive symbols and the escape, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdfRow {
    offset: i32,
    cdf: Vec<i32>,
}

impl CdfRow {
    /// Returns the distribution that codes symbols of these counts in the fewest bits: `counts[j]` is the number of
    /// occurrences of symbol `offset + j`, and the last count is that of the escape. Counts of 0 get one slot, too.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 2^15 counts.
    pub fn from_counts(counts: &[u32], offset: i32) -> Result<Self> {
        if !(1..=TOTAL as usize).contains(&counts.len()) {
            return Err(Error::InvalidArgument(format!("{} counts for 1 to 2^15 symbols", counts.len())));
        }
        Ok(Self::from_weights(&counts.iter().map(|&n| f64::from(n)).collect::<Vec<_>>(), offset))
    }

    /// Returns the distribution nearest to these probabilities: `pmf[j]` is that of symbol `offset + j`, up to a factor
    /// common to all. Every symbol gets at least one slot, and so does the escape.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 2^15 − 1 probabilities, finite, not negative and not all 0.
    pub fn from_pmf(pmf: &[f64], offset: i32) -> Result<Self> {
        if !(1..TOTAL as usize).contains(&pmf.len()) {
            let what = format!("{} probabilities for 1 to 2^15 - 1 symbols", pmf.len());
            return Err(Error::InvalidArgument(what));
        }
        if let Some(j) = pmf.iter().position(|p| !(0.0..=f64::MAX).contains(p)) {
            let what = format!("probability {:?} of symbol {j} is not a finite number of at least 0", pmf[j]);
            return Err(Error::InvalidArgument(what));
        }
        let highest = pmf.iter().fold(0.0, |highest: f64, &p| highest.max(p));
        if highest < f64::MIN_POSITIVE {
            return Err(Error::InvalidArgument("all probabilities are 0".into()));
        }
        // Divided by the highest weight, so that no sum overflows.
        let weights: Vec<f64> = pmf.iter().map(|p| p / highest).chain([0.0]).collect();
        Ok(Self::from_weights(&weights, offset))
    }

    fn from_weights(weights: &[f64], offset: i32) -> Self {
        let mut boundary = 0;
        let mut cdf = vec![0];
        cdf.extend(quantize(weights).into_iter().map(|freq| {
            boundary += freq as i32;
            boundary
        }));
        Self { offset, cdf }
    }

    /// Integrates a symmetric density over every symbol that is worth a slot; `cdf` is that of mean 0 and scale 1.
    pub(super) fn discretized(cdf: fn(f64) -> f64, mean: f64, scale: f64) -> Self {
        // The upper tail by symmetry: `cdf` has relative accuracy in the lower one.
        let upper = |distance: f64| cdf(-distance / scale);
        let mass = |symbol: i32| {
            let distance = (f64::from(symbol) - mean).abs();
            if distance < 0.5 {
                1.0 - upper(0.5 - distance) - upper(0.5 + distance)
            } else {
                upper(distance - 0.5) - upper(distance + 0.5)
            }
        };
        let centre = mean.round() as i32;
        let reach = |step: i32| (1..).take_while(|n| mass(centre + n * step) >= TAIL).last().unwrap_or(0);
        let (low, high) = (centre - reach(-1), centre + reach(1));
        let mut weights: Vec<f64> = (low..=high).map(mass).collect();
        weights.push(upper(mean - f64::from(low) + 0.5) + upper(f64::from(high) + 0.5 - mean));
        Self::from_weights(&weights, low)
    }

    /// Returns the symbol of the first interval.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    /// Returns the boundaries of the intervals, from 0 to 2^15.
    pub fn cdf(&self) -> &[i32] {
        &self.cdf
    }
}

/// Returns frequencies nearly proportional to the weights, each at least 1, with the sum 2^15 (largest remainders).
fn quantize(weights: &[f64]) -> Vec<u32> {
    let mut freqs = vec![0; weights.len()];
    let (mut total, mut sum) = (TOTAL, weights.iter().sum::<f64>());
    // Weights that deserve less than one slot get one, which leaves fewer slots for the others: repeat until no more
    // weights fall below one slot.
    loop {
        let (mut fixed, mut fixed_weight) = (0, 0.0);
        let per_weight = f64::from(total) / sum;
        for (freq, &weight) in freqs.iter_mut().zip(weights) {
            let deserves_one = weight * per_weight >= 1.0; // false if the sum is 0
            if *freq == 0 && !deserves_one {
                *freq = 1;
                fixed += 1;
                fixed_weight += weight;
            }
        }
        if fixed == 0 {
            break;
        }
        total -= fixed;
        sum -= fixed_weight;
    }
    share(&mut freqs, weights, f64::from(total) / sum, total);
    freqs
}

/// Divides `total` among the weights that have no frequency yet, or among all weights if each has one.
fn share(freqs: &mut [u32], weights: &[f64], per_weight: f64, total: u32) {
    let mut remainders: Vec<(f64, usize)> = Vec::new();
    let mut left = total;
    for (i, freq) in freqs.iter_mut().enumerate().filter(|(_, freq)| **freq == 0) {
        let ideal = weights[i] * per_weight;
        *freq = ideal as u32; // at least 1, and the floors sum to at most `total`
        left -= *freq;
        remainders.push((f64::from(*freq) - ideal, i));
    }
    remainders.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    if remainders.is_empty() {
        remainders = (0..freqs.len()).map(|i| (0.0, i)).collect();
    }
    let share = left / remainders.len() as u32;
    let extra = left as usize % remainders.len();
    for (rank, &(_, i)) in remainders.iter().enumerate() {
        freqs[i] += share + u32::from(rank < extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantized_sums_and_floors() {
        for weights in
            [vec![0.0], vec![0.0; 3], vec![1.0, 0.0], vec![1e9, 1.0, 1.0], vec![1.0; 32768], vec![0.1; 777]]
        {
            let freqs = quantize(&weights);
            assert_eq!(freqs.iter().sum::<u32>(), TOTAL);
            assert!(freqs.iter().all(|&freq| freq >= 1));
        }
        assert_eq!(quantize(&[3.0, 1.0]), [24576, 8192]);
    }

    #[test]
    fn probabilities_become_rows() {
        let row = |pmf: &[f64]| CdfRow::from_pmf(pmf, -1);
        assert_eq!(row(&[1.0]).unwrap().cdf(), [0, 32767, 32768]);
        assert_eq!(row(&[0.5, 0.0, 0.5]).unwrap().cdf(), [0, 16383, 16384, 32767, 32768]);
        // Only ratios matter, however large or small the numbers are.
        let want = row(&[3.0, 1.0, 4.0, 1.5]).unwrap();
        assert_eq!((want.offset(), want.cdf().len()), (-1, 6));
        for factor in [1e-300, 2f64.powi(-1000), 2f64.powi(1021)] {
            assert_eq!(row(&[3.0, 1.0, 4.0, 1.5].map(|p| p * factor)).unwrap(), want);
        }
        assert_eq!(row(&[f64::MAX; 3]).unwrap(), row(&[1.0; 3]).unwrap());
        assert_eq!(row(&[f64::MIN_POSITIVE, f64::from_bits(1)]).unwrap().cdf(), [0, 32766, 32767, 32768]);
        assert_eq!(row(&vec![1.0; 32767]).unwrap().cdf(), (0..=32768).collect::<Vec<_>>());
        for bad in [&[][..], &[0.0, -0.0], &[1.0, f64::NAN], &[-1e-9, 1.0], &[f64::INFINITY], &[1.0; 32768]] {
            assert!(matches!(row(bad), Err(Error::InvalidArgument(_))), "{}", bad.len());
        }
    }
}
