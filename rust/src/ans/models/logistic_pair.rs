//! Mixtures of two logistic distributions, with integer parameters.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use crate::Result;
use crate::ans::calibration::{BlockCurves, Curve, RANGES};
use crate::ans::comb::Window;
use crate::ans::constants::BLOCK;
use crate::ans::simd::{Backend, Likely};
use crate::tables::{Interval, Intervals, PAIR_PARAMS, PairBlock, PairCdf, PairConstants, Region, Slots};

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

/// From this scale index on, of four symbol steps, the owner of a slot is seldom near the centre.
const WIDE: i32 = 64;

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
    type Params = PairBatch;

    fn load(&self, first: usize, count: usize, params: &mut PairBatch) -> Result<()> {
        // All values are valid, so only the last block, which must be filled up, is copied.
        params.first = first;
        let end = first + count;
        let last = &self.params[end - count % BLOCK..end];
        params.last[..last.len()].copy_from_slice(last);
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &PairBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        params.cdf(self, j).slots(symbol)
    }

    #[inline(never)]
    fn find(&self, params: &PairBatch, j: usize, slot: u32) -> (Region, Slots) {
        let (region, interval) = params.find(self.constants, j, slot, None);
        (region, interval.slots())
    }

    fn symbol_outside(&self, params: &PairBatch, j: usize, region: Region, distance: u64) -> Option<i32> {
        params.cdf(self, j).symbol_outside(region, distance)
    }

    fn block_slots(
        &self,
        params: &PairBatch,
        _: usize,
        backend: Backend,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> Option<u64> {
        let mut intervals = Intervals::EMPTY;
        let outside = self.block_intervals(params, backend, symbols, &mut intervals);
        backend.compiled(
            #[inline(always)]
            || intervals.slots(slots),
        );
        Some(outside)
    }

    fn prepare(&self, params: &mut PairBatch, b: usize, backend: Backend) {
        let PairBatch { first, last, block, .. } = params;
        let mixtures = self.params[*first..].as_chunks().0.get(b).unwrap_or(last);
        backend.load_pairs(self.constants, mixtures, block);
        params.backend = backend;
    }

    fn expect(&self, params: &mut PairBatch, backend: Backend, curves: Option<&BlockCurves>) {
        let PairBatch { block, likely: Likely { symbols, starts, ends }, bounds, .. } = params;
        *symbols = *block.centres();
        backend.compiled(
            #[inline(always)]
            || {
                let curve = |bounds: &mut _| curves.map_or((), |curves| curves.apply(bounds));
                block.centre_slots(self.constants, curve, [starts, ends], bounds);
            },
        );
    }

    #[inline(always)]
    fn likely<'a>(&self, params: &'a PairBatch) -> Option<&'a Likely> {
        Some(&params.likely)
    }
}

impl Calibrated for LogisticPair<'_> {
    /// The ranges are octaves of the scale of the heavier component, from half a symbol step on.
    #[inline]
    fn range(&self, params: &PairBatch, j: usize) -> usize {
        let [_, _, scale1, scale2, weight] = self.params[params.first + j];
        range((if weight >= 64 { scale1 } else { scale2 }).into()).into()
    }

    fn block_ranges(
        &self,
        params: &PairBatch,
        _: usize,
        backend: Backend,
        ranges: &mut [u16; BLOCK],
        _: usize,
    ) {
        let scales = params.block.heavier_scales();
        backend.compiled(
            #[inline(always)]
            || ranges.iter_mut().zip(scales).for_each(|(to, &scale)| *to = range(scale)),
        );
    }

    #[inline]
    fn interval(&self, params: &PairBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        params.cdf(self, j).interval(symbol)
    }

    fn block_intervals(
        &self,
        params: &PairBatch,
        backend: Backend,
        symbols: &[i32; BLOCK],
        intervals: &mut Intervals<BLOCK>,
    ) -> u64 {
        backend.compiled(
            #[inline(always)]
            || params.block.intervals(self.constants, symbols, intervals),
        )
    }

    #[inline(always)]
    fn likely_bounds<'a>(&self, params: &'a PairBatch) -> Option<&'a [[u32; BLOCK]; 2]> {
        Some(&params.bounds)
    }

    #[inline(never)]
    fn open_window(
        &self,
        params: &PairBatch,
        j: usize,
        backend: Backend,
        curve: &Curve,
        window: &mut Window,
    ) -> bool {
        let cdf = params.cdf(self, j);
        backend.compiled(
            #[inline(always)]
            || {
                window.open(self.range(params, j), cdf.centre(), cdf.symbols(), |first, pieces| {
                    for (i, piece) in (0i32..).zip(pieces) {
                        cdf.bounds(first + i * piece.len() as i32, piece);
                        piece.iter_mut().for_each(|bound| *bound = curve.at(*bound));
                    }
                });
            },
        );
        true
    }

    #[inline(never)]
    fn find_by(&self, params: &PairBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        params.find(self.constants, j, slot, Some(curve))
    }
}

/// Returns the octave of a scale. (`clamp` would keep loops from becoming vector instructions.)
#[inline(always)]
fn range(scale: i32) -> u16 {
    (scale.max(24).min(24 + 8 * RANGES as i32 - 1) / 8 - 3) as u16
}

/// A batch, and what is known of the block of it that was prepared last.
#[derive(Debug)]
pub struct PairBatch {
    backend: Backend,
    first: usize,
    /// The mixtures of the last block if that is not whole.
    last: [[i16; PAIR_PARAMS]; BLOCK],
    block: PairBlock<BLOCK>,
    /// The symbols at the centres of the distributions.
    likely: Likely,
    /// The distribution functions below and above these, by the elements' curves.
    bounds: [[u32; BLOCK]; 2],
}

impl Default for PairBatch {
    fn default() -> Self {
        Self {
            backend: Backend::SCALAR,
            first: 0,
            last: [[0; PAIR_PARAMS]; BLOCK],
            block: PairBlock::EMPTY,
            likely: Likely::EMPTY,
            bounds: [[0; BLOCK]; 2],
        }
    }
}

impl PairBatch {
    #[inline(always)]
    fn cdf<'a>(&self, model: &LogisticPair<'a>, j: usize) -> PairCdf<'a> {
        PairCdf::new(model.constants, &model.params[self.first + j])
    }

    /// Returns the owner of a slot of element `j`, and where it lies in the distribution by a curve, if there is one.
    #[inline(always)]
    fn find(
        &self,
        constants: &PairConstants,
        j: usize,
        slot: u32,
        curve: Option<&Curve>,
    ) -> (Region, Interval) {
        let j = j % BLOCK;
        let cdf = self.block.cdf(constants, j);
        let guess = || curve.map_or(slot, |curve| curve.guess(2 * slot) / 2);
        // The owner is often a neighbour of the likely symbol.
        let first = if cdf.scale >= WIDE {
            cdf.quantile(guess()) - 3
        } else {
            self.block.centres()[j] - cdf.support.low + if slot < self.likely.starts[j] { -7 } else { 1 }
        };
        if let Some(interval) = self.backend.find_near(&cdf, first, slot, curve) {
            return (Region::Inside(cdf.support.low + interval.rank as i32 - 1), interval);
        }
        match curve {
            Some(curve) => cdf.find(slot, guess(), |bound| curve.at(bound)),
            None => cdf.find(slot, guess(), |bound| bound),
        }
    }
}
