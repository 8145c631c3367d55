//! Distribution functions as integers.

use std::sync::OnceLock;

use super::ladder::{self, LEVELS};
use super::window::Window;
use super::{Family, TOTAL};

/// A curve is tabulated over ±12, at 64 knots for each unit; its argument has 16 fraction bits.
const LIMIT: i64 = 12;
pub(super) const ARGUMENT_BITS: u32 = 16;
const KNOT_BITS: u32 = 6;
pub(super) const BETWEEN_BITS: u32 = ARGUMENT_BITS - KNOT_BITS;
const KNOTS: usize = (2 * LIMIT as usize) << KNOT_BITS;
/// Guesses are the same for so many slots.
const GUESS_SHIFT: u32 = 5;
const GUESSES: usize = (TOTAL >> GUESS_SHIFT) as usize;

/// A family's distribution function for mean 0 and scale 1.
#[derive(Debug)]
pub(crate) struct Curve {
    /// Its value at a knot (times 2^16) in the high half, its growth to the next knot in the low half.
    /// A power of two of them, so that an index needs no check; the last are never used.
    pub(super) knots: [u32; Self::KNOT_ROOM],
    /// The inverse of the curve in the middle of each 32 slots, times 2^[`Curve::GUESS_BITS`]: only for guesses.
    guesses: [i32; GUESSES],
    /// For each level of a [`Ladder`](super::Ladder), how far from the mean a symbol is still worth a slot.
    radii: [i32; LEVELS as usize],
}

impl Curve {
    pub(super) const GUESS_BITS: u32 = 12;
    pub(super) const KNOT_ROOM: usize = (KNOTS + 1).next_power_of_two();

    /// The one instance for a family, built on first use.
    pub(crate) fn get(family: Family) -> &'static Self {
        static CURVES: [OnceLock<Curve>; Family::ALL.len()] = [const { OnceLock::new() }; Family::ALL.len()];
        CURVES[family as usize].get_or_init(|| Self::of(family))
    }

    pub(super) fn of(family: Family) -> Self {
        let cdf = family.cdf();
        let knots: Vec<u32> = (0..=Self::KNOT_ROOM).map(|i| knot(cdf, i.min(KNOTS + 1))).collect();
        Self {
            knots: std::array::from_fn(|i| knots[i] << 16 | (knots[i + 1] - knots[i])),
            guesses: std::array::from_fn(|i| guess(&knots[..KNOTS + 2], i)),
            radii: std::array::from_fn(|level| radius(cdf, ladder::begin(level as i32 + 1))),
        }
    }

    /// Its value times 2^16, never decreasing in `u`, which has 16 fraction bits.
    #[inline(always)]
    pub(super) fn at(&self, u: i64) -> u32 {
        let position = Self::position(u);
        Self::between(self.knots[(position >> BETWEEN_BITS) as usize % Self::KNOT_ROOM], position)
    }

    /// Where in the table an argument lies, with [`BETWEEN_BITS`] fraction bits.
    #[inline(always)]
    pub(super) fn position(u: i64) -> u32 {
        // Without branches, which would be hard to predict and keep the compiler from using vectors.
        (u + (LIMIT << ARGUMENT_BITS)).clamp(0, (2 * LIMIT) << ARGUMENT_BITS) as u32
    }

    /// The value at a position, given the knot before it.
    #[inline(always)]
    pub(super) fn between(knot: u32, position: u32) -> u32 {
        let between = position & ((1 << BETWEEN_BITS) - 1);
        let growth = (knot & 0xffff) * between + (1 << (BETWEEN_BITS - 1));
        (knot >> 16) + (growth >> BETWEEN_BITS)
    }

    /// The knots that are used.
    pub(super) fn knots(&self) -> &[u32] {
        &self.knots[..=KNOTS]
    }

    /// Where it is about `slot` / 2^15, times 2^[`Curve::GUESS_BITS`].
    #[inline]
    pub(super) fn guess(&self, slot: u32) -> i32 {
        self.guesses[(slot >> GUESS_SHIFT) as usize]
    }

    /// How far from its mean a component of this level has symbols that are worth a slot.
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
    ((knot / f64::from(1 << KNOT_BITS) - LIMIT as f64) * f64::from(1 << Curve::GUESS_BITS)) as i32
}

fn radius(cdf: impl Fn(f64) -> f64, scale: f64) -> i32 {
    let mass =
        |distance: i32| cdf((0.5 - f64::from(distance)) / scale) - cdf((-0.5 - f64::from(distance)) / scale);
    // The first distance that is too far, by halving steps.
    let (mut near, mut far) = (1, Window::MAX_RADIUS);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_the_same_everywhere() {
        let hash = |family| {
            let mut hash = xxhash_rust::xxh3::Xxh3::new();
            let curve = Curve::get(family);
            curve.knots().iter().for_each(|value| hash.update(&value.to_le_bytes()));
            curve.radii.iter().for_each(|value| hash.update(&value.to_le_bytes()));
            hash.digest()
        };
        assert_eq!(Family::ALL.map(hash), [4552358800330559292, 10818642335770154138, 17882859916174944465]);
    }

    #[test]
    fn curves_are_accurate_and_monotone() {
        for family in Family::ALL {
            let (curve, cdf) = (Curve::get(family), family.cdf());
            let mut last = 0;
            for u in ((-13 << 16)..(13 << 16)).step_by(3) {
                let value = curve.at(u);
                assert!(value >= last);
                last = value;
                let want = 65536.0 * cdf(u as f64 / 65536.0);
                assert!((f64::from(value) - want).abs() < 2.1, "{family:?} {u}: {value} is not {want}");
            }
            assert_eq!(last, 65535);
        }
    }

    /// Within the last bit of a guess, which is 4 slots where a curve is steepest.
    #[test]
    fn guesses_are_near() {
        for family in Family::ALL {
            let curve = Curve::get(family);
            for slot in (16..TOTAL).step_by(32) {
                let u = i64::from(curve.guess(slot)) << (ARGUMENT_BITS - Curve::GUESS_BITS);
                assert!((curve.at(u) / 2).abs_diff(slot) <= 4, "{family:?} {slot}: {}", curve.at(u) / 2);
            }
        }
    }

    #[test]
    fn radii_are_where_a_slot_is_too_much() {
        for family in Family::ALL {
            let curve = Curve::get(family);
            for level in 0..LEVELS {
                let (radius, scale) = (curve.radius(level), ladder::begin(level + 1));
                let mass = |distance: i32| {
                    let cdf = family.cdf();
                    let distance = f64::from(distance);
                    (cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale)) * f64::from(TOTAL)
                };
                assert!(mass(radius) < 1.0 || radius == Window::MAX_RADIUS);
                assert!(radius == 1 || mass(radius - 1) >= 1.0);
            }
        }
    }
}
