//! Gaussian, Laplace and logistic distributions, and tables of them.

use super::cdf::{MAX_ROWS, Tables};
use super::cdf_row::CdfRow;
use super::exact_math;
use crate::{Error, Result, interrupt};

/// A family of distributions that are symmetric around a mean and differ in their scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The normal distribution; the scale is the standard deviation.
    Gaussian,
    /// Density exp(−|x − mean| / scale) / (2 scale).
    Laplace,
    /// Distribution function 1 / (1 + exp(−(x − mean) / scale)).
    Logistic,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Gaussian, Self::Laplace, Self::Logistic];

    /// Returns the distribution function for mean 0 and scale 1, with relative accuracy in the lower tail.
    pub(crate) fn cdf(self) -> fn(f64) -> f64 {
        match self {
            Self::Gaussian => exact_math::normal_cdf,
            Self::Laplace => exact_math::laplace_cdf,
            Self::Logistic => exact_math::sigmoid,
        }
    }

    /// Returns rows of one scale with the means `k / fractions`.
    pub(crate) fn rows(self, scale: f64, fractions: u32) -> impl Iterator<Item = CdfRow> {
        let mean = move |k| f64::from(k) / f64::from(fractions);
        (0..fractions).map(move |k| CdfRow::discretized(self.cdf(), mean(k), scale))
    }
}

/// Returns `levels` scales from `min` to `max` at equal ratios.
///
/// # Errors
/// [`Error::InvalidArgument`] unless 0 < `min` <= `max` and there are at least two levels.
pub fn scale_table(min: f64, max: f64, levels: usize) -> Result<Vec<f64>> {
    let in_range = f64::MIN_POSITIVE <= min && min <= max && max < 1e300;
    if !in_range || !(2..=1 << 16).contains(&levels) {
        let what = format!("no scale table from {min:?} to {max:?} in {levels} levels");
        return Err(Error::InvalidArgument(what));
    }
    let (low, high) = (exact_math::ln(min), exact_math::ln(max));
    let step = (high - low) / (levels - 1) as f64;
    Ok((0..levels).map(|i| exact_math::exp(low + i as f64 * step)).collect())
}

/// Tabulates Gaussian distributions: row `i * fractions + k` has standard deviation `scales[i]` and mean
/// `k / fractions`.
///
/// # Errors
/// [`Error::InvalidArgument`] unless every scale is within 0.01 to 512 and `fractions` within 1 to 256.
pub fn gaussian(scales: &[f64], fractions: u32) -> Result<Tables> {
    parametric(Family::Gaussian, scales, fractions)
}

/// Tabulates Laplace distributions; rows and errors are as for [`gaussian`].
///
/// # Errors
/// As [`gaussian`].
pub fn laplace(scales: &[f64], fractions: u32) -> Result<Tables> {
    parametric(Family::Laplace, scales, fractions)
}

/// Tabulates logistic distributions; rows and errors are as for [`gaussian`].
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
    let rows = rows.map(|row| interrupt::check().map(|()| row)).collect::<Result<Vec<CdfRow>>>()?;
    Tables::from_rows(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TOTAL;

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

    #[test]
    fn too_many_scales_are_refused_before_rows_are_made() {
        assert!(gaussian(&vec![512.0; MAX_ROWS + 1], 1).is_err());
        assert!(laplace(&[512.0; 257], 256).is_err());
    }
}
