//! Mixtures of two logistic distributions, computed for each element in integers.
//!
//! An element has [`MIXTURE_PARAMS`] parameters `[mean1, mean2, scale1, scale2, weight]`:
//! - the means are in 1/16 of a symbol step;
//! - scale index `s` in 0..=127 stands for 2^((s − 48) / 8) symbol steps;
//! - weight index `w` in 0..=127 gives the first component the weight sigmoid((w − 64) / 8).
//!
//! Indices outside are clamped. With `S` the sigmoid, the mixture's distribution function at boundary `b` is
//! `F(b) = W·S((b − mean1) / scale1) + (1 − W)·S((b − mean2) / scale2)`. The `n` symbols of a window around
//! the means have slots of their own: symbol `j` of the window begins at slot `1 + j + F(b_j)·(2^15 − n −
//! 2)`, so each has at least one. The slots before the first and from the last on are the two escapes, for
//! symbols below and above.

use std::sync::OnceLock;

use super::curve::{Curve, BETWEEN_BITS};
use super::window::{Place, Window};
use super::{real, Family, Slots, TOTAL};

/// Parameters of one element.
pub const MIXTURE_PARAMS: usize = 5;

const LEVELS: usize = 128;
/// Multiplied by a reciprocal, a distance in 1/16 symbol steps has this many bits more than the sigmoid's
/// argument.
const RECIPROCAL_BITS: u32 = 12;
const WEIGHT_BITS: u32 = 15;
const SCALE_BITS: u32 = 8;

/// The integer tables behind [`LogisticMixture`].
#[derive(Debug)]
pub struct MixtureConstants {
    /// 2^24 / scale.
    reciprocals: [i32; LEVELS],
    /// Scales in 1/4096 symbol steps: only for guesses.
    scales: [i32; LEVELS],
    /// How far a window extends around a mean.
    radii: [i32; LEVELS],
    /// The first component's weight in the low 16 bits; all bits above are set if it is at least a half.
    weights: [i32; LEVELS],
    sigmoid: Curve,
}

impl MixtureConstants {
    /// The one instance, built on first use.
    pub fn get() -> &'static Self {
        static CONSTANTS: OnceLock<Box<MixtureConstants>> = OnceLock::new();
        CONSTANTS.get_or_init(|| Box::new(Self::build()))
    }

    fn build() -> Self {
        let indices = std::array::from_fn::<f64, LEVELS, _>(|i| i as f64);
        let scales = indices.map(|s| real::exp((s - 48.0) / 8.0 * std::f64::consts::LN_2));
        Self {
            reciprocals: scales.map(|scale| (f64::from(1 << 24) / scale).round() as i32),
            scales: scales.map(|scale| (scale * f64::from(16 << SCALE_BITS)).round() as i32),
            radii: scales.map(radius),
            weights: indices.map(weight),
            sigmoid: Curve::of(Family::Logistic),
        }
    }

    /// Of each mixture the symbol at the mean of the heavier component, and its slots.
    ///
    /// Loops over arrays, one short step each, become vector instructions.
    #[inline(always)]
    pub(crate) fn centres<const N: usize>(
        &self,
        mixtures: &[[i16; MIXTURE_PARAMS]; N],
        symbols: &mut [i32; N],
        slots: &mut [Slots; N],
    ) {
        let (mut lows, mut spares, mut weights) = ([0; N], [0; N], [0; N]);
        let (mut means, mut reciprocals) = ([[0; N]; 2], [[0; N]; 2]);
        for (j, params) in mixtures.iter().enumerate() {
            let mixture = LogisticMixture::new(self, params);
            symbols[j] = (mixture.mean + 8) >> 4;
            (lows[j], spares[j]) = (mixture.window.low, mixture.window.spare());
            weights[j] = mixture.weight;
            for i in 0..2 {
                (means[i][j], reciprocals[i][j]) = (mixture.means[i], mixture.reciprocals[i]);
            }
        }
        let mut starts = [[0; N]; 2];
        for (next, starts) in starts.iter_mut().enumerate() {
            let mut components = [[0; N]; 2];
            for (i, components) in components.iter_mut().enumerate() {
                let mut positions = [0; N];
                for j in 0..N {
                    let boundary = (symbols[j] + next as i32) * 16 - 8;
                    let distance = i64::from(boundary - means[i][j]);
                    positions[j] =
                        Curve::position((distance * i64::from(reciprocals[i][j])) >> RECIPROCAL_BITS);
                }
                for j in 0..N {
                    components[j] =
                        self.sigmoid.knots[(positions[j] >> BETWEEN_BITS) as usize % Curve::KNOT_ROOM];
                }
                for j in 0..N {
                    components[j] = Curve::between(components[j], positions[j]);
                }
            }
            for j in 0..N {
                let mixed = mix(weights[j], components[0][j], components[1][j]);
                starts[j] = 1 + (symbols[j] + next as i32 - lows[j]) as u32 + ((mixed * spares[j]) >> 16);
            }
        }
        for j in 0..N {
            slots[j] = Slots::new(starts[0][j], starts[1][j]);
        }
    }

    /// A hash of the tables that define the distributions, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let signed = self.reciprocals.iter().chain(&self.radii).chain(&self.weights);
        signed.for_each(|value| hash.update(&value.to_le_bytes()));
        self.sigmoid.knots().iter().for_each(|value| hash.update(&value.to_le_bytes()));
        hash.digest()
    }
}

fn weight(index: f64) -> i32 {
    let weight = (real::sigmoid((index - 64.0) / 8.0) * f64::from(1 << WEIGHT_BITS)).round() as i32;
    weight | if weight >= 1 << (WEIGHT_BITS - 1) { -1 << 16 } else { 0 }
}

/// Two values of the curve in the proportion of `weight` to the rest of 2^15.
#[inline(always)]
fn mix(weight: u32, one: u32, other: u32) -> u32 {
    // The difference may be negative, the whole is not.
    (other << WEIGHT_BITS).wrapping_add(weight.wrapping_mul(one.wrapping_sub(other))) >> WEIGHT_BITS
}

/// Beyond this distance a symbol is worth less than its slot.
fn radius(scale: f64) -> i32 {
    let reach = scale * (real::ln(f64::from(TOTAL)) - real::ln(scale));
    (reach.ceil() as i32 + 1).clamp(2, Window::MAX_RADIUS)
}

/// The distribution of one element.
#[derive(Debug, Clone, Copy)]
pub struct LogisticMixture<'a> {
    constants: &'a MixtureConstants,
    means: [i32; 2],
    reciprocals: [i32; 2],
    weight: u32,
    window: Window,
    /// Mean and scale of the heavier component, in 1/16 and 1/4096 symbol steps: where a search begins.
    mean: i32,
    scale: i32,
}

impl<'a> LogisticMixture<'a> {
    /// The distribution for these parameters; all values are allowed.
    #[inline(always)]
    pub fn new(constants: &'a MixtureConstants, params: &[i16; MIXTURE_PARAMS]) -> Self {
        let &[mean1, mean2, scale1, scale2, weight] = params;
        let index = |i: i16| i.clamp(0, LEVELS as i16 - 1) as usize;
        let (scale1, scale2) = (index(scale1), index(scale2));
        let (mean1, mean2) = (i32::from(mean1), i32::from(mean2));
        let weight = constants.weights[index(weight)];
        let first_is_heavier = weight >> 16;
        let mean = mean2 + ((mean1 - mean2) & first_is_heavier);
        let scale = scale2 as i32 + ((scale1 as i32 - scale2 as i32) & first_is_heavier);
        let [nearest1, nearest2, centre] = [mean1, mean2, mean].map(|mean| (mean + 8) >> 4);
        let (radius1, radius2) = (constants.radii[scale1], constants.radii[scale2]);
        let low = (nearest1 - radius1).min(nearest2 - radius2).max(centre - Window::MAX_RADIUS);
        let high = (nearest1 + radius1).max(nearest2 + radius2).min(centre + Window::MAX_RADIUS);
        Self {
            constants,
            means: [mean1, mean2],
            reciprocals: [constants.reciprocals[scale1], constants.reciprocals[scale2]],
            weight: weight as u32 & 0xffff,
            window: Window { low, symbols: high - low + 1 },
            mean,
            scale: constants.scales[scale as usize],
        }
    }

    /// The symbols that have slots of their own.
    pub fn support(&self) -> std::ops::Range<i32> {
        self.window.support()
    }

    /// The first slot of symbol `j` of the window, 0..=n: strictly increasing, and within 1..2^15.
    #[inline(always)]
    fn start(&self, j: i32) -> u32 {
        let boundary = (self.window.low + j) * 16 - 8;
        let component = |i: usize| {
            let distance = i64::from(boundary - self.means[i]);
            self.constants.sigmoid.at((distance * i64::from(self.reciprocals[i])) >> RECIPROCAL_BITS)
        };
        let mixed = mix(self.weight, component(0), component(1));
        1 + j as u32 + ((mixed * self.window.spare()) >> 16)
    }

    /// The slots of a symbol, and how far outside the support it is if these are an escape's.
    #[inline]
    pub fn slots(&self, symbol: i32) -> (Slots, Option<u64>) {
        self.window.slots(symbol, |j| self.start(j))
    }

    /// What owns a slot, and all its slots.
    #[inline]
    pub(crate) fn find(&self, slot: u32) -> (Place, Slots) {
        self.window.find(slot, self.quantile(slot), |j| self.start(j))
    }

    /// The symbol of the window that would have this slot if there were only the heavier component.
    #[inline]
    fn quantile(&self, slot: u32) -> i32 {
        let guess = self.constants.sigmoid.guess(slot);
        let distance = (i64::from(self.scale) * i64::from(guess)) >> (SCALE_BITS + Curve::GUESS_BITS);
        ((self.mean + distance as i32 + 8) >> 4) - self.window.low
    }

    /// The symbol that lies this far below or above the support, if there is one.
    pub(crate) fn symbol_outside(&self, place: Place, distance: u64) -> Option<i32> {
        self.window.symbol_outside(place, distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mixture(params: [i16; 5]) -> LogisticMixture<'static> {
        LogisticMixture::new(MixtureConstants::get(), &params)
    }

    #[test]
    fn constants_are_the_same_everywhere() {
        assert_eq!(MixtureConstants::get().fingerprint(), 2454806567363430442);
    }

    proptest! {
        #[test]
        fn slots_partition_the_total(params in any::<[i16; 5]>(), narrow in any::<bool>()) {
            let params = if narrow { params.map(|p| p & 127) } else { params };
            let mixture = mixture(params);
            let support = mixture.support();
            prop_assert!(support.len() <= 4095);
            let mut next = mixture.start(0);
            prop_assert!(next >= 1);
            for symbol in support {
                let (slots, outside) = mixture.slots(symbol);
                prop_assert_eq!(outside, None);
                prop_assert_eq!(slots.start(), next);
                next += slots.freq();
                for slot in [slots.start(), next - 1] {
                    prop_assert_eq!(mixture.find(slot), (Place::Inside(symbol), slots));
                }
            }
            prop_assert!(next < TOTAL);
            for slot in [next, TOTAL - 1] {
                prop_assert_eq!(mixture.find(slot).0, Place::Above);
            }
            for slot in [0, mixture.start(0) - 1] {
                prop_assert_eq!(mixture.find(slot).0, Place::Below);
            }
        }

        #[test]
        fn every_symbol_is_found(params in any::<[i16; 5]>(), symbol in any::<i32>()) {
            let mixture = mixture(params);
            let (slots, outside) = mixture.slots(symbol);
            let (place, found) = mixture.find(slots.start() + slots.freq() / 2);
            prop_assert_eq!(slots, found);
            prop_assert_eq!(mixture.symbol_outside(place, outside.unwrap_or(0)), Some(symbol));
        }
    }

    /// Expected bits with the integer distribution and with the real one, and nothing sampled.
    fn expected_bits(params: [i16; 5]) -> (f64, f64) {
        let mixture = mixture(params);
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let weight = logistic((f64::from(params[4]) - 64.0) / 8.0);
        let parts = [(params[0], params[2], weight), (params[1], params[3], 1.0 - weight)];
        let mass = |symbol: i32| {
            parts.iter().map(move |&(mean, scale, weight)| {
                let distance = (f64::from(symbol) - f64::from(mean) / 16.0).abs();
                let scale = ((f64::from(scale) - 48.0) / 8.0).exp2();
                // Symmetric: from the lower tail, where differences are exact.
                weight * (logistic((0.5 - distance) / scale) - logistic((-0.5 - distance) / scale))
            })
        };
        let (mut actual, mut ideal) = (0.0, 0.0);
        for symbol in -4000..4000 {
            let p: f64 = mass(symbol).sum();
            if p < 1e-30 {
                continue;
            }
            let (slots, outside) = mixture.slots(symbol);
            let escape_bytes = outside.map_or(0, |distance| 1 + (distance.max(1).ilog2() / 7));
            actual += p * (15.0 - f64::from(slots.freq()).log2() + 8.0 * f64::from(escape_bytes));
            ideal -= p * p.log2();
        }
        (actual, ideal)
    }

    #[test]
    fn costs_little_more_than_the_real_mixture() {
        let (mut actual, mut ideal, mut random) = (0.0, 0.0, 1u64);
        let mut next = |bound: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((random >> 33) % bound) as i16
        };
        for s in 14..=96 {
            let (mut one, mut other) = (0.0, 0.0);
            for _ in 0..20 {
                let mean = next(128) - 64;
                let params = [mean, mean + next(32) - 16, s, (s + next(25) - 12).clamp(14, 96), next(128)];
                let (a, i) = expected_bits(params);
                one += a;
                other += i;
            }
            if s % 6 == 2 {
                println!("scale {s}: {one:.5} over {other:.5}: {:.4} %", (one / other - 1.0) * 100.0);
            }
            actual += one;
            ideal += other;
        }
        println!("overhead {:.4} %", (actual / ideal - 1.0) * 100.0);
        assert!(actual / ideal < 1.001);
    }
}
