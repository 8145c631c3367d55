//! Mixtures of two logistic distributions, with integer parameters.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use super::windows::Windows;
use crate::Result;
use crate::ans::calibration::{Curve, RANGES};
use crate::ans::comb::Window;
use crate::ans::constants::BLOCK;
use crate::ans::simd::Backend;
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
        params.mixtures.clear();
        params.mixtures.extend_from_slice(&self.params[first..first + count]);
        params.mixtures.resize(count.next_multiple_of(BLOCK), [0; PAIR_PARAMS]);
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &PairBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        params.cdf(self, j).slots(symbol)
    }

    #[inline(always)]
    fn find(&self, params: &PairBatch, j: usize, slot: u32) -> (Region, Slots) {
        match params.windows.find(j, slot) {
            Some((symbol, slots, _)) => (Region::Inside(symbol), slots),
            None => search(&params.windows, self.constants, j, slot),
        }
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
        let PairBatch { mixtures, windows } = params;
        let mixtures = &mixtures.as_chunks().0[b];
        backend.compiled(
            #[inline(always)]
            || windows.open(self.constants, mixtures, backend.gathers(), |_, bound| bound),
        );
    }
}

impl Calibrated for LogisticPair<'_> {
    /// The ranges are octaves of the scale of the heavier component, from half a symbol step on.
    #[inline]
    fn range(&self, params: &PairBatch, j: usize) -> usize {
        range(&params.mixtures[j]).into()
    }

    fn block_ranges(
        &self,
        params: &PairBatch,
        b: usize,
        backend: Backend,
        ranges: &mut [u16; BLOCK],
        _: usize,
    ) {
        let mixtures: &[_; BLOCK] = &params.mixtures.as_chunks().0[b];
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
        let mixtures = &params.mixtures.as_chunks().0[b];
        backend.compiled(
            #[inline(always)]
            || {
                let mut block = PairBlock::EMPTY;
                block.load(self.constants, mixtures);
                block.intervals(self.constants, symbols, intervals)
            },
        )
    }

    fn prepare_by(&self, params: &mut PairBatch, b: usize, backend: Backend, curves: &[&Curve; BLOCK]) {
        let PairBatch { mixtures, windows } = params;
        let mixtures = &mixtures.as_chunks().0[b];
        backend.compiled(
            #[inline(always)]
            || {
                windows
                    .open(self.constants, mixtures, backend.gathers(), |j, bound| curves[j % BLOCK].at(bound))
            },
        );
    }

    #[inline(always)]
    fn find_prepared(&self, params: &PairBatch, j: usize, slot: u32) -> Option<(i32, Slots, [u32; 2])> {
        params.windows.find(j, slot)
    }

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
        let (cdf, at) = (params.windows.cdf(self.constants, j), |bound| curve.at(bound));
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

/// Finds the owner of a slot.
#[inline(never)]
fn search(windows: &Windows, constants: &PairConstants, j: usize, slot: u32) -> (Region, Slots) {
    windows.cdf(constants, j).find(slot)
}

/// The mixtures of a batch, and the windows on those of the block that was prepared last.
#[derive(Debug)]
pub struct PairBatch {
    mixtures: Vec<[i16; PAIR_PARAMS]>,
    windows: Windows,
}

impl Default for PairBatch {
    fn default() -> Self {
        Self { mixtures: Vec::new(), windows: Windows::EMPTY }
    }
}

impl PairBatch {
    #[inline(always)]
    fn cdf<'a>(&self, model: &LogisticPair<'a>, j: usize) -> PairCdf<'a> {
        PairCdf::new(model.constants, &self.mixtures[j])
    }
}
