//! The interface between models and coders.

use super::fused::FusedBlocks;
use crate::ans::calibration::{BlockCurves, Curve};
use crate::ans::comb::Window;
use crate::ans::constants::BLOCK;
use crate::ans::simd::{Backend, BlockRows, Likely};
use crate::tables::{Interval, Intervals, Region, Slots};
use crate::{Error, Result};

/// The distributions of a group's elements, one for each symbol.
///
/// The trait is sealed: SIMD backends rely on what the models of this crate guarantee.
pub trait EntropyModel: BatchModel {
    /// Returns the number of elements.
    fn len(&self) -> usize;

    /// Returns whether there are no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The part of an [`EntropyModel`] that coders use: they load the parameters of a batch of elements, then ask for the
/// distribution of each element.
pub trait BatchModel: Sync {
    /// The checked parameters of a batch. They are a copy, so that no other thread can change them after the check.
    type Params: Default;

    /// Loads the parameters of elements `first..first + count`, at most 1024.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a parameter is not valid.
    fn load(&self, first: usize, count: usize, params: &mut Self::Params) -> Result<()>;

    /// Returns the slots of a symbol of element `j` of the batch. If these are an escape's, the symbol's distance from
    /// the support is returned as well.
    fn slots(&self, params: &Self::Params, j: usize, symbol: i32) -> (Slots, Option<u64>);

    /// Returns the owner of a slot of element `j` of the batch and all slots of that owner.
    fn find(&self, params: &Self::Params, j: usize, slot: u32) -> (Region, Slots);

    /// Returns the symbol of element `j` of the batch at this distance from the support, if there is one.
    fn symbol_outside(&self, params: &Self::Params, j: usize, region: Region, distance: u64) -> Option<i32>;

    /// Returns the shifts that are subtracted from the batch's symbols before they are coded, if there are any.
    fn shifts<'a>(&self, _params: &'a Self::Params) -> Option<&'a [i32]> {
        None
    }

    /// Returns block `b` of the batch as rows of tables, which SIMD backends can code, if the model has such rows.
    fn rows<'a>(&'a self, _params: &'a Self::Params, _b: usize) -> Option<BlockRows<'a>> {
        None
    }

    /// Fills in the slots of the symbols of block `b` of the batch, which is prepared. In the result, a bit is set for each
    /// symbol for which [`BatchModel::slots`] must be asked; these include all escapes. `None` leaves all to it.
    #[inline]
    fn block_slots(
        &self,
        params: &Self::Params,
        b: usize,
        backend: Backend,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> Option<u64> {
        self.rows(params, b).map(|rows| backend.slots(rows, symbols, slots))
    }

    /// Prepares to code block `b` of the batch: computes what methods for a whole block need.
    fn prepare(&self, _params: &mut Self::Params, _b: usize, _backend: Backend) {}

    /// Computes likely symbols of the block that was prepared last, whose distribution functions have these curves, if any.
    fn expect(&self, _params: &mut Self::Params, _backend: Backend, _curves: Option<&BlockCurves>) {}

    /// Returns the symbols that [`BatchModel::expect`] computed, if it does: [`BatchModel::find`] is asked only for others.
    #[inline(always)]
    fn likely<'a>(&self, _params: &'a Self::Params) -> Option<&'a Likely> {
        None
    }

    /// Returns the model in the form in which some backends load and code a block in one pass, if there is one.
    fn fused(&self) -> Option<FusedBlocks<'_>> {
        None
    }
}

/// A model whose distribution functions can be calibrated.
pub trait Calibrated: EntropyModel {
    /// Returns the range of scales in which element `j` of the batch is, from 0 to 7.
    fn range(&self, params: &Self::Params, j: usize) -> usize;

    /// Fills in the ranges of block `b` of the batch, which is prepared.
    fn block_ranges(
        &self,
        params: &Self::Params,
        b: usize,
        _backend: Backend,
        ranges: &mut [u16; BLOCK],
        count: usize,
    ) {
        for (j, range) in ranges[..count].iter_mut().enumerate() {
            *range = self.range(params, b * BLOCK + j) as u16;
        }
    }

    /// Returns where a symbol lies in the distribution of element `j`. If that is an escape, the symbol's distance from the
    /// support is returned as well.
    fn interval(&self, params: &Self::Params, j: usize, symbol: i32) -> (Interval, Option<u64>);

    /// Fills in where the symbols of the block that was prepared last lie. In the result, a bit is set for each symbol for
    /// which [`Calibrated::interval`] must be asked; these include all escapes.
    fn block_intervals(
        &self,
        _params: &Self::Params,
        _backend: Backend,
        _symbols: &[i32; BLOCK],
        _intervals: &mut Intervals<BLOCK>,
    ) -> u64 {
        u64::MAX
    }

    /// Returns the distribution functions below and above the likely symbols, by the elements' curves.
    #[inline(always)]
    fn likely_bounds<'a>(&self, _params: &'a Self::Params) -> Option<&'a [[u32; BLOCK]; 2]> {
        None
    }

    /// Opens a window on the distribution of element `j` by this curve. Returns false if the model has no windows: then it
    /// has no combs.
    #[inline(always)]
    fn open_window(
        &self,
        _params: &Self::Params,
        _j: usize,
        _backend: Backend,
        _curve: &Curve,
        _window: &mut Window,
    ) -> bool {
        false
    }

    /// Returns the owner of a slot of element `j`, and where it lies in the distribution by this curve.
    fn find_by(&self, params: &Self::Params, j: usize, slot: u32, curve: &Curve) -> (Region, Interval);
}

/// Checks that there is a symbol for each element of a model.
pub(in crate::ans) fn check_count(symbols: usize, elements: usize) -> Result<()> {
    if symbols == elements {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!("{symbols} symbols for {elements} distributions")))
}
