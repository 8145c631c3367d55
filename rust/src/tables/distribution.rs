//! Rows from parametric distributions and from counts.

use super::{real, Tables, MAX_ROWS, TOTAL};
use crate::{interrupt, Error, Result};

/// A symbol less probable than this joins the escape at the edge of a row's support: there a slot of its own
/// would cost the others more than the escape costs it.
const TAIL: f64 = 0.25 / TOTAL as f64;

/// A family of distributions that are symmetric around a mean and differ in their scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Normal; the scale is the standard deviation.
    Gaussian,
    /// Density exp(−|x − mean| / scale) / (2 scale).
    Laplace,
    /// Distribution function 1 / (1 + exp(−(x − mean) / scale)).
    Logistic,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gaussian, Self::Laplace, Self::Logistic];

    /// The distribution function for mean 0 and scale 1, with relative accuracy in the lower tail.
    pub(crate) fn cdf(self) -> fn(f64) -> f64 {
        match self {
            Self::Gaussian => real::normal_cdf,
            Self::Laplace => real::laplace_cdf,
            Self::Logistic => real::sigmoid,
        }
    }

    /// Rows of one scale with the means `k / fractions`.
    pub(super) fn rows(self, scale: f64, fractions: u32) -> impl Iterator<Item = Row> {
        let mean = move |k| f64::from(k) / f64::from(fractions);
        (0..fractions).map(move |k| Row::discretized(self, mean(k), scale))
    }
}

/// One distribution over consecutive symbols and the escape, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    offset: i32,
    cdf: Vec<i32>,
}

impl Row {
    /// The distribution that codes these counts in the fewest bits: `counts[j]` is how often symbol `offset +
    /// j` occurs and the last count that of the escape. Even what never occurs keeps one slot.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 2^15 counts.
    pub fn from_counts(counts: &[u32], offset: i32) -> Result<Self> {
        if !(1..=TOTAL as usize).contains(&counts.len()) {
            return Err(Error::InvalidArgument(format!("{} counts for 1 to 2^15 symbols", counts.len())));
        }
        Ok(Self::from_weights(&counts.iter().map(|&n| f64::from(n)).collect::<Vec<_>>(), offset))
    }

    /// The distribution nearest to these probabilities: that of symbol `offset + j` is `pmf[j]`, up to a common
    /// factor. Every symbol has at least one slot, and so has the escape.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 2^15 − 1 of them, finite, not negative and not all 0.
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
        // By the highest, so that no sum overflows.
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

    /// Integrates a density over every symbol, as far as the tails are worth it.
    fn discretized(family: Family, mean: f64, scale: f64) -> Self {
        let cdf = family.cdf();
        // Always from the lower tail, where `cdf` has relative accuracy.
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

    /// The symbol of the first interval.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    /// The boundaries, from 0 to 2^15.
    pub fn cdf(&self) -> &[i32] {
        &self.cdf
    }
}

/// Frequencies of at least 1 and a sum of 2^15, nearly proportional to the weights (largest remainders).
fn quantize(weights: &[f64]) -> Vec<u32> {
    let mut freqs = vec![0; weights.len()];
    let (mut total, mut sum) = (TOTAL, weights.iter().sum::<f64>());
    // Weights that deserve less than a slot get one, which leaves less for the others: repeat until that
    // settles.
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

/// Divides `total` among the weights that have no frequency yet; among all of them if every weight has one.
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

/// `levels` scales from `min` to `max` at equal ratios.
///
/// # Errors
/// [`Error::InvalidArgument`] unless 0 < `min` <= `max` and there are at least two levels.
pub fn scale_table(min: f64, max: f64, levels: usize) -> Result<Vec<f64>> {
    let sane = f64::MIN_POSITIVE <= min && min <= max && max < 1e300;
    if !sane || !(2..=1 << 16).contains(&levels) {
        return Err(Error::InvalidArgument(format!(
            "no scale table from {min:?} to {max:?} in {levels} levels"
        )));
    }
    let (low, high) = (real::ln(min), real::ln(max));
    let step = (high - low) / (levels - 1) as f64;
    Ok((0..levels).map(|i| real::exp(low + i as f64 * step)).collect())
}

/// Normal distributions: row `i * fractions + k` has standard deviation `scales[i]` and mean `k / fractions`.
///
/// # Errors
/// [`Error::InvalidArgument`] unless every scale lies in 0.01..=512 and `fractions` in 1..=256.
pub fn gaussian(scales: &[f64], fractions: u32) -> Result<Tables> {
    parametric(Family::Gaussian, scales, fractions)
}

/// Laplace distributions: row `i * fractions + k` has density exp(−|x − mean| / scale) with mean `k /
/// fractions`.
///
/// # Errors
/// As [`gaussian`].
pub fn laplace(scales: &[f64], fractions: u32) -> Result<Tables> {
    parametric(Family::Laplace, scales, fractions)
}

/// Logistic distributions: row `i * fractions + k` has scale `scales[i]` and mean `k / fractions`.
///
/// # Errors
/// As [`gaussian`].
pub fn logistic(scales: &[f64], fractions: u32) -> Result<Tables> {
    parametric(Family::Logistic, scales, fractions)
}

fn parametric(family: Family, scales: &[f64], fractions: u32) -> Result<Tables> {
    if let Some(scale) = scales.iter().find(|scale| !(0.01..=512.0).contains(*scale)) {
        return Err(Error::InvalidArgument(format!("scale {scale:?} is outside 0.01..=512")));
    }
    if !(1..=256).contains(&fractions) {
        return Err(Error::InvalidArgument(format!("{fractions} fractions are not 1..=256")));
    }
    let count = scales.len().saturating_mul(fractions as usize);
    if count > MAX_ROWS {
        return Err(Error::InvalidArgument(format!("{count} rows are more than {MAX_ROWS}")));
    }
    let rows = scales.iter().flat_map(|&scale| family.rows(scale, fractions));
    let rows = rows.map(|row| interrupt::check().map(|()| row)).collect::<Result<Vec<Row>>>()?;
    Tables::from_rows(&rows)
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
        let row = |pmf: &[f64]| Row::from_pmf(pmf, -1);
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

    #[test]
    fn logistic_rows_are_the_logistic_distribution() {
        let tables = logistic(&[0.8], 4).unwrap();
        let cdf = |x: f64| 1.0 / (1.0 + (-x / 0.8).exp());
        for symbol in -3..=3 {
            let p = cdf(f64::from(symbol) + 0.5 - 0.25) - cdf(f64::from(symbol) - 0.5 - 0.25);
            let got = f64::from(tables.slots(1, symbol).0.freq()) / f64::from(TOTAL);
            assert!((got - p).abs() < 1e-4, "{symbol}: {got} is not {p}");
        }
        assert!(logistic(&[513.0], 1).is_err());
    }
}
