//! Distribution functions as integer curves.

use std::sync::OnceLock;

use super::families::Family;
use super::levels::{LEVELS, begin};
use super::slots::TOTAL;
use super::support::Support;

/// A curve is tabulated over ±12 with 64 knots for each unit. Its argument has 16 fraction bits.
const LIMIT: i64 = 12;
pub(super) const ARGUMENT_BITS: u32 = 16;
const KNOT_BITS: u32 = 6;
const KNOTS: usize = (2 * LIMIT as usize) << KNOT_BITS;
/// 2^5 slots share a guess.
const GUESS_SHIFT: u32 = 5;
const GUESSES: usize = (TOTAL >> GUESS_SHIFT) as usize;

/// A family's distribution function for mean 0 and scale 1, between whose knots it is linear.
#[derive(Debug)]
pub(crate) struct CdfCurve {
    /// The value at a knot (times 2^16) in the high half, the growth to the next knot in the low half. The array's
    /// length is a power of two, so that an index needs no check; the last elements are never used.
    pub(crate) knots: [u32; Self::KNOT_ROOM],
    /// The inverse of the curve in the middle of each 32 slots, times 2^[`CdfCurve::GUESS_BITS`]. Searches begin there.
    guesses: [i32; GUESSES],
    /// For each level of scale, the smallest distance from the mean at which a symbol is not worth a slot.
    radii: [i32; LEVELS as usize],
}

impl CdfCurve {
    /// Positions in the table have so many bits behind the knot.
    pub(crate) const BETWEEN_BITS: u32 = ARGUMENT_BITS - KNOT_BITS;
    /// The position of the argument 0, in the middle of the table.
    pub(crate) const MIDDLE: i32 = (LIMIT as i32) << ARGUMENT_BITS;
    pub(super) const GUESS_BITS: u32 = 12;
    pub(crate) const KNOT_ROOM: usize = (KNOTS + 1).next_power_of_two();

    /// Returns the only instance for a family, which the first call builds.
    pub(crate) fn get(family: Family) -> &'static Self {
        static CURVES: [OnceLock<CdfCurve>; Family::ALL.len()] =
            [const { OnceLock::new() }; Family::ALL.len()];
        CURVES[family as usize].get_or_init(|| Self::of(family))
    }

    pub(super) fn of(family: Family) -> Self {
        let cdf = family.cdf();
        let knots: Vec<u32> = (0..=Self::KNOT_ROOM).map(|i| knot(cdf, i.min(KNOTS + 1))).collect();
        Self {
            knots: std::array::from_fn(|i| knots[i] << 16 | (knots[i + 1] - knots[i])),
            guesses: std::array::from_fn(|i| guess(&knots[..KNOTS + 2], i)),
            radii: std::array::from_fn(|level| radius(cdf, begin(level as i32 + 1))),
        }
    }

    /// Returns the value times 2^16 at `u`, which has 16 fraction bits. The curve never decreases.
    #[inline(always)]
    pub(super) fn at(&self, u: i64) -> u32 {
        let position = Self::position(u);
        Self::between(self.knots[(position >> Self::BETWEEN_BITS) as usize % Self::KNOT_ROOM], position)
    }

    /// Returns the position of an argument in the table, with [`CdfCurve::BETWEEN_BITS`] fraction bits.
    #[inline(always)]
    pub(super) fn position(u: i64) -> u32 {
        // Branches would be hard to predict, and would keep the compiler from using vectors.
        (u + i64::from(Self::MIDDLE)).clamp(0, 2 * i64::from(Self::MIDDLE)) as u32
    }

    /// Returns the value at a position, given the knot before it.
    #[inline(always)]
    pub(super) fn between(knot: u32, position: u32) -> u32 {
        let between = position & ((1 << Self::BETWEEN_BITS) - 1);
        let growth = (knot & 0xffff) * between + (1 << (Self::BETWEEN_BITS - 1));
        (knot >> 16) + (growth >> Self::BETWEEN_BITS)
    }

    /// Returns the knots that are used.
    #[cfg(test)]
    pub(super) fn knots(&self) -> &[u32] {
        &self.knots[..=KNOTS]
    }

    /// Returns an argument where the curve is near `slot` / 2^15, times 2^[`CdfCurve::GUESS_BITS`].
    #[inline]
    pub(super) fn guess(&self, slot: u32) -> i32 {
        self.guesses[(slot >> GUESS_SHIFT) as usize]
    }

    /// Returns the smallest distance from the mean at which a symbol of a distribution of this level is not worth a slot.
    #[inline]
    pub(super) fn radius(&self, level: i32) -> i32 {
        self.radii[level as usize]
    }
}

fn knot(cdf: impl Fn(f64) -> f64, i: usize) -> u32 {
    let u = i.min(KNOTS) as f64 / f64::from(1 << KNOT_BITS) - LIMIT as f64;
    (cdf(u) * 65536.0).round().min(65535.0) as u32
}

fn guess(knots: &[u32], i: usize) -> i32 {
    let value = (i as f64 + 0.5) * 65536.0 / GUESSES as f64;
    let above = knots.partition_point(|&knot| f64::from(knot) <= value).clamp(1, KNOTS);
    let (low, high) = (f64::from(knots[above - 1]), f64::from(knots[above]));
    let knot = (above - 1) as f64 + (value - low) / (high - low).max(1.0);
    ((knot / f64::from(1 << KNOT_BITS) - LIMIT as f64) * f64::from(1 << CdfCurve::GUESS_BITS)) as i32
}

fn radius(cdf: impl Fn(f64) -> f64, scale: f64) -> i32 {
    let mass =
        |distance: i32| cdf((0.5 - f64::from(distance)) / scale) - cdf((-0.5 - f64::from(distance)) / scale);
    // The first distance that is too far, by bisection.
    let (mut near, mut far) = (1, Support::MAX_RADIUS);
    while near < far {
        let middle = near + (far - near) / 2;
        if mass(middle) * f64::from(TOTAL) >= 1.0 {
            near = middle + 1;
        } else {
            far = middle;
        }
    }
    near
}
