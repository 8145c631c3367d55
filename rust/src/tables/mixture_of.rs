//! Mixtures of any components, computed for each element in integers.
//!
//! Of a component, the mean is taken in 1/256 of a symbol step, and the scale as its reciprocal with 32 fraction bits,
//! after it is clamped to 2^−6..=2^16. Of the weights `w`, component `k` has the share `⌊2^15 (w_0 + … + w_k) / w + 1/2⌋`
//! less those before it, where `w` is the sum of all.
//!
//! The distribution function at boundary `b` is the sum of share × curve((`b` − mean) / scale), and the `n` symbols of a
//! window around the means have the slots that [`LogisticMixture`](super::LogisticMixture) gives them. The window
//! reaches as far as any component's symbols are worth a slot, but no further than 2047 from the heaviest one's.

use super::curve::{Curve, ARGUMENT_BITS};
use super::window::{Place, Window};
use super::{Locate, Slots};

/// A mixture has at most this many components.
pub const MAX_COMPONENTS: usize = 8;

const WEIGHT_BITS: u32 = 15;
const MEAN_BITS: u32 = 8;
const RECIPROCAL_BITS: u32 = 32;
/// Further from a window than it is wide, a mean might as well be so far.
const MAX_DISTANCE: i64 = 1 << 22;
/// So that no product overflows.
const MIN_SCALE: f64 = 1.0 / 64.0;
const MAX_SCALE: f64 = 65536.0;

/// One component of an element's mixture.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Component {
    /// 2^32 / scale.
    reciprocal: i64,
    /// In 1/256 symbol steps from the window's first symbol.
    mean: i32,
    /// Of 2^15.
    weight: u32,
}

/// What an element's components make together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outline {
    window: Window,
    /// Of the heaviest component, whose mean and scale are in 1/256 symbol steps: where a search begins.
    heaviest: usize,
    mean: i32,
    scale: i32,
}

impl Outline {
    /// The outline of components with these weights, means and scales, and the components themselves.
    ///
    /// Means lie in −2^30..=2^30; weights are finite and not negative, scales positive, and a weight is so too.
    pub(crate) fn new(curves: &[&Curve], elements: &[[f64; 3]], components: &mut [Component]) -> Self {
        share(elements, components);
        let (mut low, mut high, mut heaviest) = (i64::MAX, i64::MIN, 0);
        for (k, (&[_, mean, scale], curve)) in elements.iter().zip(curves).enumerate() {
            if components[k].weight > 0 {
                let (nearest, radius) = (nearest(round(mean)), i64::from(curve.radius(scale.level())));
                (low, high) = (low.min(nearest - radius), high.max(nearest + radius));
            }
            if components[k].weight > components[heaviest].weight {
                heaviest = k;
            }
        }
        let centre = nearest(round(elements[heaviest][1]));
        low = low.max(centre - i64::from(Window::MAX_RADIUS));
        high = high.min(centre + i64::from(Window::MAX_RADIUS));
        let window = Window { low: low as i32, symbols: (high - low + 1) as i32 };
        for (component, &[_, mean, scale]) in components.iter_mut().zip(elements) {
            let distance = round(mean) - (low << MEAN_BITS);
            component.mean = distance.clamp(-MAX_DISTANCE, MAX_DISTANCE) as i32;
            component.reciprocal = ((1i64 << RECIPROCAL_BITS) as f64 / clamp(scale)) as i64;
        }
        let scale = (clamp(elements[heaviest][2]) * f64::from(1 << MEAN_BITS)) as i32;
        Self { window, heaviest, mean: components[heaviest].mean, scale }
    }
}

/// Divides 2^15 among the components.
fn share(elements: &[[f64; 3]], components: &mut [Component]) {
    // By the highest, so that no sum overflows.
    let highest = elements.iter().fold(0.0, |highest: f64, element| highest.max(element[0]));
    let total: f64 = elements.iter().map(|element| element[0] / highest).sum();
    let (mut sum, mut before) = (0.0, 0);
    for (component, element) in components.iter_mut().zip(elements) {
        sum += element[0] / highest;
        let end = (sum * f64::from(1 << WEIGHT_BITS) / total + 0.5) as u32;
        component.weight = end - before;
        before = end;
    }
}

fn clamp(scale: f64) -> f64 {
    scale.clamp(MIN_SCALE, MAX_SCALE)
}

/// The nearest integer of 1/256 symbol steps.
fn round(mean: f64) -> i64 {
    (mean * f64::from(1 << MEAN_BITS) + 0.5).floor() as i64
}

/// The nearest symbol.
fn nearest(mean: i64) -> i64 {
    (mean + (1 << (MEAN_BITS - 1))) >> MEAN_BITS
}

/// The distribution of one element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixture<'a> {
    pub(crate) curves: &'a [&'static Curve],
    pub(crate) components: &'a [Component],
    pub(crate) outline: &'a Outline,
}

impl Mixture<'_> {
    /// The first slot of symbol `j` of the window, 0..=n: strictly increasing, and within 1..2^15.
    #[inline]
    fn start(&self, j: i32) -> u32 {
        let boundary = (j << MEAN_BITS) - (1 << (MEAN_BITS - 1));
        let component = |(component, curve): (&Component, &&Curve)| {
            let distance = i64::from(boundary - component.mean);
            let argument = (distance * component.reciprocal) >> (RECIPROCAL_BITS + MEAN_BITS - ARGUMENT_BITS);
            component.weight * curve.at(argument)
        };
        let mixed: u32 = self.components.iter().zip(self.curves).map(component).sum();
        1 + j as u32 + (((mixed >> WEIGHT_BITS) * self.outline.window.spare()) >> 16)
    }

    /// The slots of a symbol, and how far outside the window it is if these are an escape's.
    #[inline]
    pub(crate) fn slots(&self, symbol: i32) -> (Slots, Option<u64>) {
        self.outline.window.slots(symbol, |j| self.start(j))
    }

    /// What owns a slot, and all its slots.
    #[inline]
    pub(crate) fn find(&self, slot: u32) -> (Place, Slots) {
        let Outline { window, heaviest, mean, scale } = *self.outline;
        let guess = self.curves[heaviest].guess(slot);
        let distance = (i64::from(scale) * i64::from(guess)) >> Curve::GUESS_BITS;
        let guess = nearest(i64::from(mean) + distance);
        window.find(slot, guess as i32, |j| self.start(j))
    }

    /// The symbol that lies this far below or above the window, if there is one.
    pub(crate) fn symbol_outside(&self, place: Place, distance: u64) -> Option<i32> {
        self.outline.window.symbol_outside(place, distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::{Family, TOTAL};

    fn check<R>(families: &[Family], elements: &[[f64; 3]], check: impl FnOnce(Mixture) -> R) -> R {
        let curves: Vec<&'static Curve> = families.iter().map(|&family| Curve::get(family)).collect();
        let mut components = vec![Component::default(); elements.len()];
        let outline = Outline::new(&curves, elements, &mut components);
        check(Mixture { curves: &curves, components: &components, outline: &outline })
    }

    fn element() -> impl Strategy<Value = (Family, [f64; 3])> {
        let weight = prop_oneof![4 => 0.0..1.0, 1 => Just(1e300), 1 => Just(1e-30), 1 => Just(0.0)];
        let mean = prop_oneof![8 => -30.0..30.0, 2 => -3000.0..3000.0, 1 => -1e9..1e9];
        let scale = prop_oneof![8 => 0.01..20.0, 2 => 0.0001..3000.0, 1 => Just(1e300), 1 => Just(1e-300)];
        (prop::sample::select(&Family::ALL[..]), (weight, mean, scale).prop_map(|(w, m, s)| [w, m, s]))
    }

    fn elements() -> impl Strategy<Value = (Vec<Family>, Vec<[f64; 3]>)> {
        prop::collection::vec(element(), 1..=MAX_COMPONENTS).prop_map(|mut elements| {
            elements[0].1[0] += 1e-20; // one is positive
            elements.into_iter().unzip()
        })
    }

    proptest! {
        #[test]
        fn slots_partition_the_total((families, elements) in elements()) {
            check(&families, &elements, |mixture| {
                let shares: u32 = mixture.components.iter().map(|component| component.weight).sum();
                prop_assert_eq!(shares, TOTAL);
                let support = mixture.outline.window.support();
                prop_assert!(!support.is_empty() && support.len() <= 4095);
                let mut next = mixture.start(0);
                prop_assert!(next >= 1);
                for slot in [0, next - 1] {
                    prop_assert_eq!(mixture.find(slot), (Place::Below, Slots::new(0, next)));
                }
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
                    prop_assert_eq!(mixture.find(slot), (Place::Above, Slots::new(next, TOTAL)));
                }
                Ok(())
            })?;
        }

        #[test]
        fn every_symbol_is_found((families, elements) in elements(), symbol in any::<i32>()) {
            check(&families, &elements, |mixture| {
                let (slots, outside) = mixture.slots(symbol);
                let (place, found) = mixture.find(slots.start() + slots.freq() / 2);
                prop_assert_eq!(slots, found);
                prop_assert_eq!(mixture.symbol_outside(place, outside.unwrap_or(0)), Some(symbol));
                Ok(())
            })?;
        }
    }

    #[test]
    fn shares_are_nearest_and_complete() {
        let shares = |weights: &[f64]| {
            let mut components = vec![Component::default(); weights.len()];
            let elements: Vec<[f64; 3]> = weights.iter().map(|&weight| [weight, 0.0, 1.0]).collect();
            share(&elements, &mut components);
            components.iter().map(|component| component.weight).collect::<Vec<_>>()
        };
        assert_eq!(shares(&[0.25]), [32768]);
        assert_eq!(shares(&[3.0, 1.0]), [24576, 8192]);
        assert_eq!(shares(&[1.0; 3]), [10923, 10922, 10923]);
        assert_eq!(shares(&[0.0, 1e300, 0.0, 1e300]), [0, 16384, 0, 16384]);
        assert_eq!(shares(&[f64::MAX; 8]), [4096; 8]);
        assert_eq!(shares(&[1e-9, 1.0]), [0, 32768]);
    }

    #[test]
    fn mixtures_are_the_same_everywhere() {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for i in 0..200 {
            let x = f64::from(i);
            let elements =
                [[x, x / 7.0, 0.01 + x / 33.0], [100.0, -x / 11.0, 0.2 + x * x / 999.0], [3.0, 2.5, 1.1]];
            check(&Family::ALL, &elements, |mixture| {
                for symbol in mixture.outline.window.support() {
                    hash.update(&mixture.slots(symbol).0.start().to_le_bytes());
                }
            });
        }
        assert_eq!(hash.digest(), 16999497377900415322);
    }

    /// Expected bits with the integer distribution and with the real one, and nothing sampled.
    fn expected_bits(families: &[Family], elements: &[[f64; 3]]) -> (f64, f64) {
        let total: f64 = elements.iter().map(|element| element[0]).sum();
        let mass = |symbol: i32| {
            families.iter().zip(elements).map(move |(family, &[weight, mean, scale])| {
                let (cdf, distance) = (family.cdf(), (f64::from(symbol) - mean).abs());
                weight / total * (cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale))
            })
        };
        check(families, elements, |mixture| {
            let (mut actual, mut ideal) = (0.0, 0.0);
            for symbol in -3000..3000 {
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
        })
    }

    #[test]
    fn costs_little_more_than_the_real_mixture() {
        let (mut actual, mut ideal, mut random) = (0.0, 0.0, crate::ans::Random::new(11));
        let mut uniform = || f64::from(random.next()) / 2f64.powi(32);
        for i in 0..64 {
            let base = 0.11 * (64f64 / 0.11).powf((f64::from(i) + 0.5) / 64.0);
            let (mut one, mut other) = (0.0, 0.0);
            for _ in 0..8 {
                let families: Vec<Family> = (0..3).map(|_| Family::ALL[(uniform() * 3.0) as usize]).collect();
                let element = |_: &Family| {
                    let scale = base * 4f64.powf(uniform() - 0.5);
                    [uniform(), base * (4.0 * uniform() - 2.0) + uniform(), scale]
                };
                let elements: Vec<[f64; 3]> = families.iter().map(element).collect();
                let (a, b) = expected_bits(&families, &elements);
                (one, other) = (one + a, other + b);
            }
            if i % 8 == 0 {
                println!("scale {base:.3}: {one:.5} over {other:.5}: {:.4} %", (one / other - 1.0) * 100.0);
            }
            (actual, ideal) = (actual + one, ideal + other);
        }
        println!("overhead {:.4} %", (actual / ideal - 1.0) * 100.0);
        assert!(actual / ideal < 1.001);
    }
}
