//! Mixtures of up to 8 components of any family, computed for each element in integers.
//!
//! The mean of a component is rounded to 1/256 of a symbol step. The scale is clamped to 2^−6..=2^16 and represented by
//! its reciprocal with 32 fraction bits. The share of component `k` is `⌊2^15 (w_0 + … + w_k) / w + 1/2⌋` less the shares
//! before it, where `w_i` are the weights and `w` is their sum.
//!
//! The distribution function at boundary `b` is the sum of share × curve((`b` − mean) / scale). The `n` symbols of a
//! support around the means get slots by the same formula as in [`PairCdf`](super::PairCdf). The support reaches as far
//! as any component has symbols that are worth a slot, but no further than 2047 from the heaviest component's mean.

use super::cdf_curve::{ARGUMENT_BITS, CdfCurve};
use super::float::LocateRow;
use super::slots::{Interval, Slots};
use super::support::{Region, Support};

/// The largest number of components of a mixture.
pub const MAX_COMPONENTS: usize = 8;

const WEIGHT_BITS: u32 = 15;
const MEAN_BITS: u32 = 8;
const RECIPROCAL_BITS: u32 = 32;
/// Distances of means from the support are clamped to this, which is more than a support's width.
const MAX_DISTANCE: i64 = 1 << 22;
/// Scales are clamped to this range, so that no product overflows.
const MIN_SCALE: f64 = 1.0 / 64.0;
const MAX_SCALE: f64 = 65536.0;

/// One component of an element's mixture.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MixtureComponent {
    /// 2^32 / scale.
    reciprocal: i64,
    /// In 1/256 symbol steps from the support's first symbol.
    mean: i32,
    /// In 2^−15: all weights sum to 2^15.
    pub(super) weight: u32,
}

/// The properties of a mixture as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MixtureBounds {
    pub(super) support: Support,
    /// The heaviest component; its mean and scale, in 1/256 symbol steps, are where a search begins.
    heaviest: usize,
    mean: i32,
    scale: i32,
}

impl MixtureBounds {
    /// Computes the bounds, and fills in the components, of a mixture with one `[weight, mean, scale]` for each curve.
    ///
    /// Means must be within ±2^30, weights finite and not negative, scales positive; one weight must be positive.
    pub(crate) fn new(
        curves: &[&CdfCurve],
        parameters: &[[f64; 3]],
        components: &mut [MixtureComponent],
    ) -> Self {
        set_weights(parameters, components);
        let (mut low, mut high, mut heaviest) = (i64::MAX, i64::MIN, 0);
        for (k, (&[_, mean, scale], curve)) in parameters.iter().zip(curves).enumerate() {
            if components[k].weight > 0 {
                let (nearest, radius) = (nearest(round(mean)), i64::from(curve.radius(scale.level())));
                (low, high) = (low.min(nearest - radius), high.max(nearest + radius));
            }
            if components[k].weight > components[heaviest].weight {
                heaviest = k;
            }
        }
        let centre = nearest(round(parameters[heaviest][1]));
        low = low.max(centre - i64::from(Support::MAX_RADIUS));
        high = high.min(centre + i64::from(Support::MAX_RADIUS));
        let support = Support { low: low as i32, symbols: (high - low + 1) as i32 };
        for (component, &[_, mean, scale]) in components.iter_mut().zip(parameters) {
            let distance = round(mean) - (low << MEAN_BITS);
            component.mean = distance.clamp(-MAX_DISTANCE, MAX_DISTANCE) as i32;
            component.reciprocal = ((1i64 << RECIPROCAL_BITS) as f64 / clamp(scale)) as i64;
        }
        let scale = (clamp(parameters[heaviest][2]) * f64::from(1 << MEAN_BITS)) as i32;
        Self { support, heaviest, mean: components[heaviest].mean, scale }
    }
}

/// Divides 2^15 among the components in proportion to the weights.
pub(super) fn set_weights(parameters: &[[f64; 3]], components: &mut [MixtureComponent]) {
    // Divided by the highest weight, so that no sum overflows.
    let highest = parameters.iter().fold(0.0, |highest: f64, element| highest.max(element[0]));
    let total: f64 = parameters.iter().map(|element| element[0] / highest).sum();
    let (mut sum, mut before) = (0.0, 0);
    for (component, element) in components.iter_mut().zip(parameters) {
        sum += element[0] / highest;
        let end = (sum * f64::from(1 << WEIGHT_BITS) / total + 0.5) as u32;
        component.weight = end - before;
        before = end;
    }
}

fn clamp(scale: f64) -> f64 {
    scale.clamp(MIN_SCALE, MAX_SCALE)
}

/// Returns the nearest integer of 1/256 symbol steps, the upper one of two.
fn round(mean: f64) -> i64 {
    let above = mean * f64::from(1 << MEAN_BITS) + 0.5;
    let towards_0 = above as i64;
    towards_0 - i64::from(towards_0 as f64 > above)
}

/// Returns the nearest symbol of a mean in 1/256 symbol steps.
fn nearest(mean: i64) -> i64 {
    (mean + (1 << (MEAN_BITS - 1))) >> MEAN_BITS
}

/// The distribution of one element: a mixture of components, each with the curve of its family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MixtureCdf<'a> {
    pub(crate) curves: &'a [&'static CdfCurve],
    pub(crate) components: &'a [MixtureComponent],
    pub(crate) bounds: &'a MixtureBounds,
}

impl MixtureCdf<'_> {
    /// Returns the distribution function below symbol `j` of the support, 0..=n: it does not decrease, and is below 2^16.
    #[inline]
    fn bound(&self, j: i32) -> u32 {
        let boundary = (j << MEAN_BITS) - (1 << (MEAN_BITS - 1));
        let component = |(component, curve): (&MixtureComponent, &&CdfCurve)| {
            let distance = i64::from(boundary - component.mean);
            let argument = (distance * component.reciprocal) >> (RECIPROCAL_BITS + MEAN_BITS - ARGUMENT_BITS);
            component.weight * curve.at(argument)
        };
        let mixed: u32 = self.components.iter().zip(self.curves).map(component).sum();
        mixed >> WEIGHT_BITS
    }

    /// Returns the first slot of symbol `j` of the support, 0..=n: strictly increasing, and within 1..2^15.
    #[inline]
    pub(super) fn start(&self, j: i32) -> u32 {
        1 + j as u32 + ((self.bound(j) * self.bounds.support.spare()) >> 16)
    }

    /// Returns the slots of a symbol. If these are an escape's, the symbol's distance from the support is returned as well.
    #[inline]
    pub(crate) fn slots(&self, symbol: i32) -> (Slots, Option<u64>) {
        self.bounds.support.slots(symbol, |j| self.start(j))
    }

    /// Returns the owner of a slot, and where it lies in the distribution, whose function `curve` maps; the search begins at the
    /// owner of slot `guess` without that curve.
    #[inline]
    pub(crate) fn find(&self, slot: u32, guess: u32, curve: impl Fn(u32) -> u32) -> (Region, Interval) {
        let MixtureBounds { support, heaviest, mean, scale } = *self.bounds;
        let guess = self.curves[heaviest].guess(guess);
        let distance = (i64::from(scale) * i64::from(guess)) >> CdfCurve::GUESS_BITS;
        let guess = nearest(i64::from(mean) + distance);
        support.find(slot, guess as i32, |j| curve(self.bound(j)))
    }

    /// Returns where a symbol lies in the distribution; with its distance from the support if that does not contain it.
    #[inline]
    pub(crate) fn interval(&self, symbol: i32) -> (Interval, Option<u64>) {
        self.bounds.support.interval(symbol, |j| self.bound(j))
    }

    /// Returns the binary logarithm, rounded down, of the scale of the heaviest component.
    #[inline]
    pub(crate) fn octave(&self) -> i32 {
        self.bounds.scale.ilog2() as i32 - MEAN_BITS as i32
    }

    /// Returns the symbol at this distance below or above the support, if there is one.
    pub(crate) fn symbol_outside(&self, region: Region, distance: u64) -> Option<i32> {
        self.bounds.support.symbol_outside(region, distance)
    }
}
