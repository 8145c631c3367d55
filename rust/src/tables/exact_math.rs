//! Elementary functions that give the same bits on every machine.
//!
//! The standard library takes `exp` and `ln` from the platform, and platforms differ in the last digit, which is enough
//! to change an integer table. The functions below use only `+ − × ÷` on `f64`, which IEEE 754 defines exactly. Their
//! relative accuracy is about 1e-15.

const LN2_HIGH: f64 = 0.693_147_180_369_123_8; // the low 21 bits are zero, so k * LN2_HIGH is exact
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

/// Returns e^x, with `x` clamped to at most 700; 0 for `x` below −700.
pub(crate) fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    let k = (x * std::f64::consts::LOG2_E).round();
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let series = (1..=18).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    series * f64::from_bits(((1023 + k as i64) as u64) << 52)
}

/// Returns the natural logarithm of a positive normal number.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let exponent = exponent as f64;
    exponent * LN2_HIGH + (log_ratio((mantissa - 1.0) / (mantissa + 1.0)) + exponent * LN2_LOW)
}

/// Returns ln((1 + s) / (1 − s)) for small s.
pub(crate) fn log_ratio(s: f64) -> f64 {
    let square = s * s;
    2.0 * s * (0..=13).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1))
}

/// Returns the logistic function 1 / (1 + e^−x), with relative accuracy in the lower tail.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Returns the cumulative distribution of the standard normal, with relative accuracy in the lower tail.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    if x > 0.0 {
        return 1.0 - normal_cdf(-x);
    }
    let (t, density) = (-x, FRAC_1_SQRT_2PI * exp(-0.5 * x * x));
    if t < 3.0 {
        0.5 - density * odd_factorial_series(t)
    } else {
        // Laplace's continued fraction for the upper tail.
        density / (1..=80).rev().fold(t, |fraction, n| t + f64::from(n) / fraction)
    }
}

/// Returns the sum of t^(2n+1) / (2n+1)!!.
fn odd_factorial_series(t: f64) -> f64 {
    let (mut term, mut sum, mut n) = (t, t, 1.0);
    while term > sum * 1e-17 {
        n += 2.0;
        term *= t * t / n;
        sum += term;
    }
    sum
}

/// Returns the cumulative distribution of the Laplace distribution with scale 1.
pub(crate) fn laplace_cdf(x: f64) -> f64 {
    if x > 0.0 { 1.0 - 0.5 * exp(-x) } else { 0.5 * exp(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got / want - 1.0).abs() < 2e-13, "{got:e} is not {want:e}");
    }

    // Reference values: mpmath at 50 digits.
    #[test]
    fn matches_high_precision_values() {
        close(exp(1.0), std::f64::consts::E);
        close(exp(-12.0), 6.144_212_353_328_21e-6);
        close(exp(-300.5), 3.122_541_277_232_285e-131);
        close(ln(0.11), -2.207_274_913_189_720_8);
        close(ln(64.0), 4.158_883_083_359_672);
        close(sigmoid(-8.0), 3.353_501_304_664_781e-4);
        close(normal_cdf(-0.5), 0.308_537_538_725_986_9);
        close(normal_cdf(-2.999), 1.354_336_533_727_107e-3);
        close(normal_cdf(-3.0), 1.349_898_031_630_094_5e-3);
        close(normal_cdf(-6.0), 9.865_876_450_376_98e-10);
        close(normal_cdf(1.25), 0.894_350_226_333_144_7);
        close(laplace_cdf(-3.0), 0.024_893_534_183_931_97);
    }

    #[test]
    fn exp_and_ln_are_inverse() {
        for i in -1400..1400 {
            let x = f64::from(i) * 0.37;
            assert!((ln(exp(x)) - x).abs() < 1e-13 * x.abs().max(1.0));
        }
    }
}
