//! Mixtures of two logistic distributions, computed for each element in integers.
//!
//! An element has [`PAIR_PARAMS`] parameters `[mean1, mean2, scale1, scale2, weight]`:
//! - the means are in 1/16 of a symbol step;
//! - scale index `s` in 0..=127 stands for 2^((s − 48) / 8) symbol steps;
//! - weight index `w` in 0..=127 gives the first component the weight sigmoid((w − 64) / 8).
//!
//! Indices outside 0..=127 are clamped. With `S` the sigmoid, the mixture's distribution function at boundary `b` is
//! `F(b) = W·S((b − mean1) / scale1) + (1 − W)·S((b − mean2) / scale2)`. The `n` symbols of a support around the means
//! have slots of their own: symbol `j` of the support begins at slot `1 + j + F(b_j)·(2^15 − n − 2)`, so each symbol has
//! at least one slot. The slots before the first symbol and after the last one are the two escapes.

use std::sync::OnceLock;

use super::cdf_curve::CdfCurve;
use super::exact_math;
use super::families::Family;
use super::slots::{Interval, Intervals, Slots, TOTAL};
use super::support::{Region, Support};

/// The number of parameters of one element.
pub const PAIR_PARAMS: usize = 5;

const LEVELS: usize = 128;
const SCALE_BITS: u32 = 8;

/// The integer tables from which [`PairCdf`] is computed.
#[derive(Debug)]
pub(crate) struct PairConstants {
    /// 2^24 / scale.
    reciprocals: [i32; LEVELS],
    /// Scales in 1/4096 symbol steps, for guesses.
    scales: [i32; LEVELS],
    /// Distances of a support's ends from a mean.
    radii: [i32; LEVELS],
    /// The first component's weight in the low 16 bits; all bits above are set if it is at least a half.
    weights: [i32; LEVELS],
    pub(crate) sigmoid: CdfCurve,
    /// The radii and the weights once more, for instructions that look up 16 bits.
    #[cfg(target_arch = "x86_64")]
    pub(crate) short_radii: [i16; LEVELS],
    #[cfg(target_arch = "x86_64")]
    pub(crate) short_weights: [i16; LEVELS],
    /// 2^31 divided by eighth powers of 2, twice: a reciprocal is one of these divided by a power of two and rounded.
    #[cfg(target_arch = "x86_64")]
    pub(crate) mantissas: [u32; 16],
}

impl PairConstants {
    /// A distance in 1/16 symbol steps times a reciprocal has this many fraction bits more than the sigmoid's argument.
    pub(crate) const RECIPROCAL_BITS: u32 = 12;
    pub(crate) const WEIGHT_BITS: u32 = 15;

    /// Returns the only instance, which the first call builds.
    pub(crate) fn get() -> &'static Self {
        static CONSTANTS: OnceLock<Box<PairConstants>> = OnceLock::new();
        CONSTANTS.get_or_init(|| Box::new(Self::build()))
    }

    fn build() -> Self {
        let indices = std::array::from_fn::<f64, LEVELS, _>(|i| i as f64);
        let scales = indices.map(|s| exact_math::exp((s - 48.0) / 8.0 * std::f64::consts::LN_2));
        let (radii, weights) = (scales.map(radius), indices.map(weight));
        Self {
            reciprocals: scales.map(|scale| (f64::from(1 << 24) / scale).round() as i32),
            scales: scales.map(|scale| (scale * f64::from(16 << SCALE_BITS)).round() as i32),
            #[cfg(target_arch = "x86_64")]
            short_radii: radii.map(|radius| radius as i16),
            #[cfg(target_arch = "x86_64")]
            short_weights: weights.map(|weight| (weight & 0xffff) as i16),
            #[cfg(target_arch = "x86_64")]
            mantissas: std::array::from_fn(|i| (f64::from(1 << 25) / scales[i % 8]).round() as u32),
            radii,
            weights,
            sigmoid: CdfCurve::of(Family::Logistic),
        }
    }

    /// Returns the tables from which slots are computed, for a coder elsewhere: reciprocals, radii and weights by index
    /// (a weight's bits above the lowest 16 are set if it is at least a half), then the sigmoid's values at its knots
    /// and the growth to the next.
    #[cfg_attr(not(feature = "python"), expect(dead_code))]
    pub(crate) fn parts(&self) -> ([&[i32]; 3], [Vec<i32>; 2]) {
        let knots = &self.sigmoid.knots;
        let halves = [|knot: &u32| (knot >> 16) as i32, |knot: &u32| (knot & 0xffff) as i32];
        let [values, growths] = halves.map(|half| knots.iter().map(half).collect());
        ([&self.reciprocals, &self.radii, &self.weights], [values, growths])
    }

    /// Returns a hash of the tables that define the distributions, the same on every machine.
    #[cfg(test)]
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let signed = self.reciprocals.iter().chain(&self.radii).chain(&self.weights);
        signed.for_each(|value| hash.update(&value.to_le_bytes()));
        self.sigmoid.knots().iter().for_each(|value| hash.update(&value.to_le_bytes()));
        hash.digest()
    }
}

fn weight(index: f64) -> i32 {
    let weight = (exact_math::sigmoid((index - 64.0) / 8.0) * f64::from(1 << PairConstants::WEIGHT_BITS))
        .round() as i32;
    weight | if weight >= 1 << (PairConstants::WEIGHT_BITS - 1) { -1 << 16 } else { 0 }
}

/// Returns the mean of two values of the curve, weighted by `weight` and the rest of 2^15.
#[inline(always)]
fn mix(weight: u32, one: u32, other: u32) -> u32 {
    // The difference may be negative; the sum never is.
    (other << PairConstants::WEIGHT_BITS).wrapping_add(weight.wrapping_mul(one.wrapping_sub(other)))
        >> PairConstants::WEIGHT_BITS
}

/// Returns the distance from which on a symbol is worth less than its slot.
fn radius(scale: f64) -> i32 {
    let reach = scale * (exact_math::ln(f64::from(TOTAL)) - exact_math::ln(scale));
    (reach.ceil() as i32 + 1).clamp(2, Support::MAX_RADIUS)
}

/// The distributions of `N` elements. Its methods are loops over arrays, which compilers turn into vector instructions.
#[derive(Debug, Clone)]
pub(crate) struct PairBlock<const N: usize> {
    pub(crate) means: [[i32; N]; 2],
    pub(crate) reciprocals: [[i32; N]; 2],
    pub(crate) weights: [u32; N],
    pub(crate) lows: [i32; N],
    pub(crate) spares: [u32; N],
    pub(crate) centres: [i32; N],
    /// The means and the scale indices of the heavier components.
    pub(crate) heavier: [[i32; N]; 2],
}

impl<const N: usize> PairBlock<N> {
    /// The spare slots of a support of one symbol.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const MOST_SPARE: u32 = TOTAL - 3;

    pub(crate) const EMPTY: Self = Self {
        means: [[0; N]; 2],
        reciprocals: [[0; N]; 2],
        weights: [0; N],
        lows: [0; N],
        spares: [0; N],
        centres: [0; N],
        heavier: [[0; N]; 2],
    };

    /// Becomes the distributions for these parameters, which may have any value.
    #[inline(always)]
    pub(crate) fn load(&mut self, constants: &PairConstants, params: &[[i16; PAIR_PARAMS]; N]) {
        let mut columns = [[0; N]; PAIR_PARAMS];
        for (j, params) in params.iter().enumerate() {
            for (column, &param) in columns.iter_mut().zip(params) {
                column[j] = param;
            }
        }
        let [means1, means2, scales1, scales2, weights] = columns;
        for (j, &mean1) in means1.iter().enumerate() {
            let params = [mean1, means2[j], scales1[j], scales2[j], weights[j]];
            let mixture = PairCdf::of(constants, params.map(i32::from));
            for i in 0..2 {
                (self.means[i][j], self.reciprocals[i][j]) = (mixture.means[i], mixture.reciprocals[i]);
            }
            self.weights[j] = mixture.weight;
            (self.lows[j], self.spares[j]) = (mixture.support.low, mixture.support.spare());
            self.centres[j] = mixture.centre();
            (self.heavier[0][j], self.heavier[1][j]) = (mixture.mean, mixture.scale);
        }
    }

    /// Returns the distribution of element `j`.
    #[inline(always)]
    pub(crate) fn cdf<'a>(&self, constants: &'a PairConstants, j: usize) -> PairCdf<'a> {
        PairCdf {
            constants,
            means: [0, 1].map(|i| self.means[i][j]),
            reciprocals: [0, 1].map(|i| self.reciprocals[i][j]),
            weight: self.weights[j],
            support: Support { low: self.lows[j], symbols: (TOTAL - 2 - self.spares[j]) as i32 },
            mean: self.heavier[0][j],
            scale: self.heavier[1][j],
        }
    }

    /// Returns for each element the symbol at the mean of the heavier component, which is often the likeliest one.
    pub(crate) fn centres(&self) -> &[i32; N] {
        &self.centres
    }

    /// Returns for each element the scale index of the heavier component.
    pub(crate) fn heavier_scales(&self) -> &[i32; N] {
        &self.heavier[1]
    }

    /// Fills in where symbols lie in the distributions. Returns a bit for each symbol outside the support, whose interval has
    /// no meaning.
    #[inline(always)]
    pub(crate) fn intervals(
        &self,
        constants: &PairConstants,
        symbols: &[i32; N],
        intervals: &mut Intervals<N>,
    ) -> u64 {
        let (mut inside, mut next) = ([0; N], [0; N]);
        for j in 0..N {
            let last = self.lows[j] + (TOTAL - 3 - self.spares[j]) as i32;
            inside[j] = symbols[j].max(self.lows[j]).min(last);
            next[j] = inside[j] + 1;
            intervals.ranks[j] = (next[j] - self.lows[j]) as u32;
        }
        intervals.spares = self.spares;
        self.bounds(constants, &inside, &mut intervals.bounds[0]);
        self.bounds(constants, &next, &mut intervals.bounds[1]);
        let outside = (0..N).fold(0, |any, j| any | (inside[j] ^ symbols[j]));
        if outside == 0 {
            return 0;
        }
        (0..N).fold(0, |set, j| set | u64::from(inside[j] != symbols[j]) << j)
    }

    /// Fills in the slots of the centres: their ends, and the distribution functions below and above the centres, which
    /// `curve` maps.
    #[inline(always)]
    pub(crate) fn centre_slots(
        &self,
        constants: &PairConstants,
        curve: impl Fn(&mut [u32; N]),
        [starts, ends]: [&mut [u32; N]; 2],
        bounds: &mut [[u32; N]; 2],
    ) {
        // A support has at least two symbols on either side of its centre.
        let next: [i32; N] = std::array::from_fn(|j| self.centres[j] + 1);
        for ((symbols, slots), bounds) in [(&self.centres, starts), (&next, ends)].into_iter().zip(bounds) {
            self.bounds(constants, symbols, bounds);
            curve(bounds);
            for j in 0..N {
                slots[j] = (1 + symbols[j] - self.lows[j]) as u32 + ((bounds[j] * self.spares[j]) >> 16);
            }
        }
    }

    /// Fills in the distribution functions below symbols, which must be near the support.
    #[inline(always)]
    fn bounds(&self, constants: &PairConstants, symbols: &[i32; N], bounds: &mut [u32; N]) {
        let mut components = [[0; N]; 2];
        for (i, components) in components.iter_mut().enumerate() {
            let mut positions = [0; N];
            for j in 0..N {
                let distance = i64::from(symbols[j] * 16 - 8 - self.means[i][j]);
                positions[j] = CdfCurve::position(
                    (distance * i64::from(self.reciprocals[i][j])) >> PairConstants::RECIPROCAL_BITS,
                );
            }
            for j in 0..N {
                components[j] = constants.sigmoid.knots
                    [(positions[j] >> CdfCurve::BETWEEN_BITS) as usize % CdfCurve::KNOT_ROOM];
            }
            for j in 0..N {
                components[j] = CdfCurve::between(components[j], positions[j]);
            }
        }
        for j in 0..N {
            bounds[j] = mix(self.weights[j], components[0][j], components[1][j]);
        }
    }
}

/// The distribution of one element: a mixture of two logistic distributions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairCdf<'a> {
    pub(crate) constants: &'a PairConstants,
    pub(crate) means: [i32; 2],
    pub(crate) reciprocals: [i32; 2],
    pub(crate) weight: u32,
    pub(crate) support: Support,
    /// Mean and scale index of the heavier component. A search begins there.
    mean: i32,
    pub(crate) scale: i32,
}

impl<'a> PairCdf<'a> {
    /// Returns the distribution for these parameters, which may have any value.
    #[inline(always)]
    pub(crate) fn new(constants: &'a PairConstants, params: &[i16; PAIR_PARAMS]) -> Self {
        Self::of(constants, params.map(i32::from))
    }

    #[inline(always)]
    fn of(constants: &'a PairConstants, params: [i32; PAIR_PARAMS]) -> Self {
        let [mean1, mean2, scale1, scale2, weight] = params;
        // No index needs a check, so that loops over this become vector instructions.
        let index = |i: i32| i.clamp(0, LEVELS as i32 - 1) as usize % LEVELS;
        let (scale1, scale2) = (index(scale1), index(scale2));
        let weight = constants.weights[index(weight)];
        let first_is_heavier = weight >> 16;
        let mean = mean2 + ((mean1 - mean2) & first_is_heavier);
        let scale = scale2 as i32 + ((scale1 as i32 - scale2 as i32) & first_is_heavier);
        let [nearest1, nearest2, centre] = [mean1, mean2, mean].map(|mean| (mean + 8) >> 4);
        let (radius1, radius2) = (constants.radii[scale1], constants.radii[scale2]);
        let low = (nearest1 - radius1).min(nearest2 - radius2).max(centre - Support::MAX_RADIUS);
        let high = (nearest1 + radius1).max(nearest2 + radius2).min(centre + Support::MAX_RADIUS);
        Self {
            constants,
            means: [mean1, mean2],
            reciprocals: [constants.reciprocals[scale1], constants.reciprocals[scale2]],
            weight: weight as u32 & 0xffff,
            support: Support { low, symbols: high - low + 1 },
            mean,
            scale,
        }
    }

    /// Returns the symbol at the mean of the heavier component.
    #[inline(always)]
    pub(crate) fn centre(&self) -> i32 {
        (self.mean + 8) >> 4
    }

    /// Returns the first symbol of the support, and the number of symbols.
    #[inline(always)]
    pub(crate) fn symbols(&self) -> [i32; 2] {
        [self.support.low, self.support.symbols]
    }

    /// Fills in the distribution function below the symbols from `first` on, which must be near the support. Loops over
    /// arrays, which compilers turn into vector instructions.
    #[inline(always)]
    pub(crate) fn bounds<const N: usize>(&self, first: i32, bounds: &mut [u32; N]) {
        let mut components = [[0; N]; 2];
        for (i, components) in components.iter_mut().enumerate() {
            let mut positions = [0; N];
            for (j, position) in positions.iter_mut().enumerate() {
                let distance = i64::from((first + j as i32) * 16 - 8 - self.means[i]);
                *position = CdfCurve::position(
                    (distance * i64::from(self.reciprocals[i])) >> PairConstants::RECIPROCAL_BITS,
                );
            }
            for (component, position) in components.iter_mut().zip(positions) {
                *component = self.constants.sigmoid.knots
                    [(position >> CdfCurve::BETWEEN_BITS) as usize % CdfCurve::KNOT_ROOM];
            }
            for (component, position) in components.iter_mut().zip(positions) {
                *component = CdfCurve::between(*component, position);
            }
        }
        for (j, bound) in bounds.iter_mut().enumerate() {
            *bound = mix(self.weight, components[0][j], components[1][j]);
        }
    }

    /// Returns the distribution function below symbol `j` of the support, 0..=n: it does not decrease, and is below 2^16.
    #[inline(always)]
    fn bound(&self, j: i32) -> u32 {
        let boundary = (self.support.low + j) * 16 - 8;
        let component = |i: usize| {
            let distance = i64::from(boundary - self.means[i]);
            self.constants
                .sigmoid
                .at((distance * i64::from(self.reciprocals[i])) >> PairConstants::RECIPROCAL_BITS)
        };
        mix(self.weight, component(0), component(1))
    }

    /// Returns the slots of a symbol. If these are an escape's, the symbol's distance from the support is returned as well.
    #[inline]
    pub(crate) fn slots(&self, symbol: i32) -> (Slots, Option<u64>) {
        let (interval, outside) = self.interval(symbol);
        (interval.slots(), outside)
    }

    /// Returns the owner of a slot, and where it lies in the distribution, whose function `curve` maps; the search begins at the
    /// owner of slot `guess` without that curve.
    #[inline]
    pub(crate) fn find(&self, slot: u32, guess: u32, curve: impl Fn(u32) -> u32) -> (Region, Interval) {
        self.support.find(slot, self.quantile(guess), |j| curve(self.bound(j)))
    }

    /// Returns where a symbol lies in the distribution; with its distance from the support if that does not contain it.
    #[inline]
    pub(crate) fn interval(&self, symbol: i32) -> (Interval, Option<u64>) {
        let (low, n) = (i64::from(self.support.low), self.support.symbols);
        let j = i64::from(symbol) - low;
        if j < 0 {
            return (self.interval_of(Region::Below), Some((-1 - j) as u64));
        }
        if j >= i64::from(n) {
            return (self.interval_of(Region::Above), Some((j - i64::from(n)) as u64));
        }
        (self.interval_of(Region::Inside(symbol)), None)
    }

    /// Returns where a symbol of the support, or an escape, lies in the distribution.
    #[inline]
    pub(crate) fn interval_of(&self, region: Region) -> Interval {
        let Support { low, symbols } = self.support;
        let (rank, bounds) = match region {
            Region::Below => (0, [0, self.bound(0)]),
            Region::Inside(symbol) => {
                let j = symbol - low;
                (1 + j as u32, [self.bound(j), self.bound(j + 1)])
            }
            Region::Above => (1 + symbols as u32, [self.bound(symbols), 1 << 16]),
        };
        Interval { rank, bounds, spare: self.support.spare() }
    }

    /// Returns the symbol of the support that would own this slot if the heavier component were the only one.
    #[inline]
    pub(crate) fn quantile(&self, slot: u32) -> i32 {
        let guess = self.constants.sigmoid.guess(slot);
        let scale = self.constants.scales[self.scale as usize % LEVELS];
        let distance = (i64::from(scale) * i64::from(guess)) >> (SCALE_BITS + CdfCurve::GUESS_BITS);
        ((self.mean + distance as i32 + 8) >> 4) - self.support.low
    }

    /// Returns the symbol at this distance below or above the support, if there is one.
    pub(crate) fn symbol_outside(&self, region: Region, distance: u64) -> Option<i32> {
        self.support.symbol_outside(region, distance)
    }
}
