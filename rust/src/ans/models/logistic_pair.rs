//! Mixtures of two logistic distributions, with integer parameters.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use crate::Result;
use crate::ans::calibration::{Curve, RANGES};
use crate::ans::constants::BLOCK;
use crate::ans::simd::Backend;
use crate::tables::{Interval, PAIR_PARAMS, PairCdf, PairConstants, Region, Slots};

/// Gives element `i` the mixture of two logistic distributions with the parameters
/// `[mean1, mean2, scale1, scale2, weight]`.
///
/// Means are in 1/16 of a symbol step. Scale index `s` stands for 2^((s − 48) / 8) symbol steps. Weight index `w` gives the
/// first component the weight sigmoid((w − 64) / 8). Both indices are clamped to 0..=127.
#[derive(Debug, Clone, Copy)]
pub struct LogisticPair<'a> {
    constants: &'static PairConstants,
    params: &'a [[i16; PAIR_PARAMS]],
}

impl<'a> LogisticPair<'a> {
    /// Takes five parameters for each element; all values are valid.
    pub fn new(params: &'a [[i16; PAIR_PARAMS]]) -> Self {
        Self { constants: PairConstants::get(), params }
    }
}

impl EntropyModel for LogisticPair<'_> {
    fn len(&self) -> usize {
        self.params.len()
    }
}

impl BatchModel for LogisticPair<'_> {
    type Params = Centres;

    fn load(&self, first: usize, count: usize, params: &mut Centres) -> Result<()> {
        params.mixtures.clear();
        params.mixtures.extend_from_slice(&self.params[first..first + count]);
        params.mixtures.resize(count.next_multiple_of(BLOCK), [0; PAIR_PARAMS]);
        params.symbols.resize(params.mixtures.len(), 0);
        params.intervals.resize(params.mixtures.len(), Interval::default());
        let out = params.symbols.as_chunks_mut().0.iter_mut().zip(params.intervals.as_chunks_mut().0);
        for (mixtures, (symbols, intervals)) in params.mixtures.as_chunks().0.iter().zip(out) {
            Backend::default().compiled(
                #[inline(always)]
                || self.constants.centres::<BLOCK>(mixtures, symbols, intervals),
            );
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &Centres, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        if symbol == params.symbols[j] {
            return (params.intervals[j].slots(), None);
        }
        PairCdf::new(self.constants, &params.mixtures[j]).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &Centres, j: usize, slot: u32) -> (Region, Slots) {
        let slots = params.intervals[j].slots();
        if slot.wrapping_sub(slots.start()) < slots.freq() {
            return (Region::Inside(params.symbols[j]), slots);
        }
        PairCdf::new(self.constants, &params.mixtures[j]).find(slot)
    }

    fn symbol_outside(&self, params: &Centres, j: usize, region: Region, distance: u64) -> Option<i32> {
        PairCdf::new(self.constants, &params.mixtures[j]).symbol_outside(region, distance)
    }
}

impl Calibrated for LogisticPair<'_> {
    /// The ranges are octaves of the scale of the heavier component, from half a symbol step on.
    #[inline]
    fn range(&self, params: &Centres, j: usize) -> usize {
        let &[_, _, scale1, scale2, weight] = &params.mixtures[j];
        let scale = if weight >= 64 { scale1 } else { scale2 };
        (scale.clamp(24, 24 + 8 * RANGES as i16 - 1) / 8 - 3) as usize
    }

    #[inline]
    fn interval(&self, params: &Centres, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        if symbol == params.symbols[j] {
            return (params.intervals[j], None);
        }
        PairCdf::new(self.constants, &params.mixtures[j]).interval(symbol)
    }

    #[inline(always)]
    fn find_by(&self, params: &Centres, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        let interval = params.intervals[j].by(|bound| curve.at(bound));
        let slots = interval.slots();
        if slot.wrapping_sub(slots.start()) < slots.freq() {
            return (Region::Inside(params.symbols[j]), interval);
        }
        search(&PairCdf::new(self.constants, &params.mixtures[j]), slot, curve)
    }
}

/// Finds the owner of a slot by a curve, and where it lies.
#[inline(never)]
fn search(cdf: &PairCdf, slot: u32, curve: &Curve) -> (Region, Interval) {
    let at = |bound| curve.at(bound);
    let (region, _) = cdf.find_by(slot, curve.guess(2 * slot) / 2, at);
    (region, cdf.interval_of(region).by(at))
}

/// The mixtures of a batch, and for each a symbol near the likeliest one, with where it lies. These are computed for a
/// whole block at once, and coders ask for them most of the time.
#[derive(Debug, Default)]
pub struct Centres {
    mixtures: Vec<[i16; PAIR_PARAMS]>,
    symbols: Vec<i32>,
    intervals: Vec<Interval>,
}
