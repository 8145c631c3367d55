//! Levels of scale, and the means that have rows of their own.
//!
//! Each power of two from 2^−4 to 2^9 has eight *levels* of scale, which begin at 8/8, 9/8, …, 15/8 of it: the level of
//! a scale is its exponent and the first three bits of its mantissa, the same for an `f32` and an `f64`. Smaller scales
//! belong to the first level, larger ones to the last. The eight levels of a power of two are an *octave*.
//!
//! A level has rows for the means `k / F`. `F`, the number of *fractions*, is the power of two that brings the scale
//! into 4..8, or 1 for larger scales.

/// Binary logarithm of [`STEPS`]: the mantissa bits that matter.
pub(super) const STEP_BITS: u32 = 3;
/// Levels in an octave.
pub(super) const STEPS: i32 = 1 << STEP_BITS;
/// The scales range over 2^−4..2^9.
pub(super) const MIN_EXPONENT: i32 = -4;
pub(super) const OCTAVES: i32 = 13;
pub(super) const LEVELS: i32 = OCTAVES * STEPS;
/// The levels of the first octave have 2^6 fractions each; each further octave has half as many, but at least one.
pub(super) const FRACTION_BITS: i32 = 6;
/// Means are within ± this.
pub(super) const MAX_MEAN: i32 = 1 << 30;

/// A *place* is an octave and a row; the row takes this many bits.
pub(super) const ROW_BITS: u32 = 11;

/// Returns the lowest scale of a level.
pub(super) fn begin(level: i32) -> f64 {
    let mantissa = f64::from(STEPS + level % STEPS) / f64::from(STEPS);
    mantissa * f64::from(1 << (level / STEPS)) / f64::from(1 << -MIN_EXPONENT)
}

/// Returns the number of fractions of a level.
pub(super) fn fractions(level: i32) -> u32 {
    1 << (FRACTION_BITS - level / STEPS).max(0)
}
