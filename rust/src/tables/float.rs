//! Floating-point parameters, and the rows that they stand for.

use super::levels::{FRACTION_BITS, LEVELS, MAX_MEAN, MIN_EXPONENT, ROW_BITS, STEP_BITS, STEPS};

/// The type of a distribution's parameters: `f32` or `f64`. The trait is sealed.
pub trait Float: LocateRow {}

impl Float for f32 {}
impl Float for f64 {}

/// Finds the row of a mean and a scale, with the same result for both types of float.
pub trait LocateRow: Copy + Default + Send + Sync + std::fmt::Debug + Into<f64> {
    /// Returns the numbers without a copy if they are `f32`.
    fn as_f32(numbers: &[Self]) -> Option<&[f32]>;

    /// Returns the nearest `f32`.
    fn to_f32(self) -> f32;

    /// Returns the level of a positive scale.
    fn level(self) -> i32;

    /// Returns whether the mean is within the range that has rows.
    fn valid_mean(self) -> bool;

    /// Returns whether the scale is positive and finite.
    fn valid_scale(self) -> bool;

    /// Returns the shift and the row of a mean and a scale: symbol `x` is coded as symbol `x - shift` of the row. For
    /// invalid parameters the result has no meaning.
    fn locate(mean: Self, scale: Self) -> (i32, u16);

    /// Returns whether the parameters are valid and the mean is small enough for `locate_near`.
    fn near(mean: Self, scale: Self) -> bool;

    /// Returns the result of `locate` in fewer steps, for processors with an instruction that rounds down.
    fn locate_near(mean: Self, scale: Self) -> (i32, u16);

    /// Returns the place of a row: the octave of its scale, and the row.
    #[inline(always)]
    fn place(scale: Self, row: u16) -> u16 {
        ((scale.level() >> STEP_BITS) as u16) << ROW_BITS | row
    }
}

// The compiler turns this code into vector instructions, because it has neither branches nor casts from floats to
// integers (which saturate).
macro_rules! locate {
    ($float:ident, $bits:ident, $as_f32:expr) => {
        impl LocateRow for $float {
            fn as_f32(numbers: &[Self]) -> Option<&[f32]> {
                let as_f32: fn(&[Self]) -> Option<&[f32]> = $as_f32;
                as_f32(numbers)
            }

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn level(self) -> i32 {
                const STEP_SHIFT: u32 = $float::MANTISSA_DIGITS - 1 - STEP_BITS;
                const FIRST: i32 = ($float::MAX_EXP - 1 + MIN_EXPONENT) << STEP_BITS;
                ((self.to_bits() >> STEP_SHIFT) as i32 - FIRST).clamp(0, LEVELS - 1)
            }

            #[inline(always)]
            fn valid_mean(self) -> bool {
                self.abs() <= MAX_MEAN as $float
            }

            #[inline(always)]
            fn valid_scale(self) -> bool {
                // The bits are compared, since a processor that flushes denormals takes the smallest scales for 0.
                self.to_bits().wrapping_sub(1) < $float::INFINITY.to_bits() - 1
            }

            #[inline(always)]
            fn locate(mean: Self, scale: Self) -> (i32, u16) {
                /// Adding and subtracting this rounds to the nearest integer, for numbers up to 2^22.
                const ROUND: $float = 1.5 / $float::EPSILON;
                const HALF_BITS: u32 = 16;
                const HALF: $float = (1 << HALF_BITS) as $float;
                let round = |x: $float| x + ROUND - ROUND;
                let integer = |x: $float| (x + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;

                let level = scale.level();
                let (octave, step) = (level >> STEP_BITS, level & (STEPS - 1));
                let fraction_bits = (FRACTION_BITS - octave).max(0);
                let exponent = ($float::MAX_EXP - 1 + fraction_bits) as $bits;
                let fractions = $float::from_bits(exponent << ($float::MANTISSA_DIGITS - 1));

                // The mean is split into an integer, in two halves, and a rest. All steps are exact.
                let high = round(mean / HALF);
                let low = mean - high * HALF;
                let rest = (low - round(low)) * fractions;
                let shift = (integer(high) << HALF_BITS).wrapping_add(integer(low));
                // The nearest fraction (the upper one of two) lies within one symbol of 0. It is then moved to 0 or above.
                let nearest = round(rest);
                let nearest = nearest + if rest - nearest >= 0.5 { 1.0 } else { 0.0 };
                let (below, above) = (nearest < 0.0, nearest >= fractions);
                let fraction = if above { 0.0 } else { nearest + if below { fractions } else { 0.0 } };
                let shift = shift.wrapping_add(i32::from(above) - i32::from(below));

                // While octaves have fractions, an octave's first row has as many rows after it as 16 levels of it have.
                let row = integer(fraction + (step - 2 * STEPS) as $float * fractions);
                let rest = (octave - FRACTION_BITS).max(0) << STEP_BITS;
                (shift, (((2 * STEPS) << FRACTION_BITS) + rest).wrapping_add(row) as u16)
            }

            #[inline(always)]
            fn near(mean: Self, scale: Self) -> bool {
                (mean.abs() <= (1 << 15) as $float) & scale.valid_scale()
            }

            #[inline(always)]
            fn locate_near(mean: Self, scale: Self) -> (i32, u16) {
                // Adding this to an integer up to 2^22 leaves the integer in the last bits.
                const ROUND: $float = 1.5 / $float::EPSILON;
                let level = scale.level();
                let (octave, step) = (level >> STEP_BITS, level & (STEPS - 1));
                let fraction_bits = (FRACTION_BITS - octave).max(0);
                let exponent = ($float::MAX_EXP + fraction_bits) as $bits;
                let doubled = mean * $float::from_bits(exponent << ($float::MANTISSA_DIGITS - 1));
                let doubled = (doubled.floor() + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
                let nearest = doubled.wrapping_add(1) >> 1;
                let shift = nearest >> fraction_bits;
                let row = nearest.wrapping_add((step - 2 * STEPS).wrapping_sub(shift) << fraction_bits);
                let rest = (octave + fraction_bits - FRACTION_BITS) << STEP_BITS;
                (shift, (((2 * STEPS) << FRACTION_BITS) + rest).wrapping_add(row) as u16)
            }
        }
    };
}
locate!(f32, u32, |numbers| Some(numbers));
locate!(f64, u64, |_| None);
