//! Mixtures of two logistic distributions, with integer parameters.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use super::centres::Centres;
use crate::Result;
use crate::ans::calibration::{BlockCurves, Curve, RANGES};
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
        params.centres.cdf(self.constants, j).find(slot)
    }

    fn symbol_outside(&self, params: &PairBatch, j: usize, region: Region, distance: u64) -> Option<i32> {
        params.cdf(self, j).symbol_outside(region, distance)
    }

    fn block_slots(
        &self,
        params: &PairBatch,
        b: usize,
        backend: Backend,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> Option<u64> {
        let mut intervals = Intervals::EMPTY;
        let outside = self.block_intervals(params, b, backend, symbols, &mut intervals);
        backend.compiled(
            #[inline(always)]
            || intervals.slots(slots),
        );
        Some(outside)
    }

    fn prepare(&self, params: &mut PairBatch, b: usize, backend: Backend) {
        let mixtures = *params.block(self, b);
        params.centres.load(self.constants, backend, &mixtures, |_| ());
    }

    #[inline(always)]
    fn likely<'a>(&self, params: &'a PairBatch) -> Option<&'a Likely> {
        Some(&params.centres.likely)
    }
}

impl Calibrated for LogisticPair<'_> {
    /// The ranges are octaves of the scale of the heavier component, from half a symbol step on.
    #[inline]
    fn range(&self, params: &PairBatch, j: usize) -> usize {
        range(params.mixture(self, j)).into()
    }

    fn block_ranges(
        &self,
        params: &PairBatch,
        b: usize,
        backend: Backend,
        ranges: &mut [u16; BLOCK],
        _: usize,
    ) {
        let mixtures = params.block(self, b);
        backend.compiled(
            #[inline(always)]
            || ranges.iter_mut().zip(mixtures).for_each(|(to, mixture)| *to = range(mixture)),
        );
    }

    #[inline]
    fn interval(&self, params: &PairBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        params.cdf(self, j).interval(symbol)
    }

    fn block_intervals(
        &self,
        params: &PairBatch,
        b: usize,
        backend: Backend,
        symbols: &[i32; BLOCK],
        intervals: &mut Intervals<BLOCK>,
    ) -> u64 {
        let mixtures = params.block(self, b);
        backend.compiled(
            #[inline(always)]
            || {
                let mut block = PairBlock::EMPTY;
                block.load(self.constants, mixtures);
                block.intervals(self.constants, symbols, intervals)
            },
        )
    }

    fn prepare_by(&self, params: &mut PairBatch, b: usize, backend: Backend, curves: &BlockCurves) {
        let mixtures = *params.block(self, b);
        params.centres.load(self.constants, backend, &mixtures, |bounds| curves.apply(bounds));
    }

    #[inline(always)]
    fn likely_bounds<'a>(&self, params: &'a PairBatch) -> Option<&'a [[u32; BLOCK]; 2]> {
        Some(&params.centres.bounds)
    }

    #[inline(never)]
    fn find_by(&self, params: &PairBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        let (cdf, at) = (params.centres.cdf(self.constants, j), |bound| curve.at(bound));
        let (region, _) = cdf.find_by(slot, curve.guess(2 * slot) / 2, at);
        (region, cdf.interval_of(region).by(at))
    }
}

/// Returns the octave of the scale of the heavier component. (`clamp` would keep loops from becoming vector instructions.)
#[inline(always)]
fn range(&[_, _, scale1, scale2, weight]: &[i16; PAIR_PARAMS]) -> u16 {
    let scale = if weight >= 64 { scale1 } else { scale2 };
    (scale.max(24).min(24 + 8 * RANGES as i16 - 1) / 8 - 3) as u16
}

/// A batch, and the centres of the block of it that was prepared last.
#[derive(Debug)]
pub struct PairBatch {
    first: usize,
    /// The mixtures of the last block if that is not whole.
    last: [[i16; PAIR_PARAMS]; BLOCK],
    centres: Centres,
}

impl Default for PairBatch {
    fn default() -> Self {
        Self { first: 0, last: [[0; PAIR_PARAMS]; BLOCK], centres: Centres::EMPTY }
    }
}

impl PairBatch {
    /// Returns the mixtures of block `b`.
    #[inline(always)]
    fn block<'a>(&'a self, model: &LogisticPair<'a>, b: usize) -> &'a [[i16; PAIR_PARAMS]; BLOCK] {
        let whole = model.params[self.first..].as_chunks().0.get(b);
        whole.unwrap_or(&self.last)
    }

    #[inline(always)]
    fn mixture<'a>(&self, model: &LogisticPair<'a>, j: usize) -> &'a [i16; PAIR_PARAMS] {
        &model.params[self.first + j]
    }

    #[inline(always)]
    fn cdf<'a>(&self, model: &LogisticPair<'a>, j: usize) -> PairCdf<'a> {
        PairCdf::new(model.constants, self.mixture(model, j))
    }
}
