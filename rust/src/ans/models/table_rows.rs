//! Rows of tables, chosen by an index for each element.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use crate::ans::calibration::{Curve, RANGES};
use crate::ans::constants::{BATCH, BLOCK};
use crate::ans::simd::{Backend, BlockRows, prefetch};
use crate::tables::{Interval, Region, Slots, Tables};
use crate::{Error, Result};

/// The type of an index of a row of [`Tables`]: `u8`, `u16`, `i16`, `i32` or `i64`. The trait is sealed.
pub trait Index: RowNumber {}

/// The conversions of an [`Index`].
pub trait RowNumber: Copy + Sync {
    /// Returns the row, or a number beyond every table if the index is negative or too large.
    fn row(self) -> u32;

    /// Returns the lowest bits of the row.
    fn low(self) -> u16;

    /// Returns the bits that are set in any of the indexes.
    fn union(indexes: &[Self]) -> Self;
}

macro_rules! index {
    ($($integer:ty, $row:expr;)*) => {$(
        impl Index for $integer {}

        impl RowNumber for $integer {
            #[inline(always)]
            fn row(self) -> u32 {
                let row: fn(Self) -> u32 = $row;
                row(self)
            }

            #[inline(always)]
            fn low(self) -> u16 {
                self as u16
            }

            #[inline(always)]
            fn union(indexes: &[Self]) -> Self {
                indexes.iter().fold(0, |union, index| union | index)
            }
        }
    )*};
}
// By sign extension, which vectors can do, a negative index becomes a huge one.
index! {
    u8, |index| index as i32 as u32;
    u16, |index| index as i32 as u32;
    i16, |index| index as i32 as u32;
    i32, |index| index as u32;
    i64, |index| u32::try_from(index).unwrap_or(u32::MAX);
}

/// Gives element `i` the row `indexes[i]` of some tables.
#[derive(Debug, Clone, Copy)]
pub struct TableRows<'a, I> {
    tables: &'a Tables,
    indexes: &'a [I],
}

impl<'a, I: Index> TableRows<'a, I> {
    /// Takes one index for each element. They are checked as they are used.
    pub fn new(tables: &'a Tables, indexes: &'a [I]) -> Self {
        Self { tables, indexes }
    }
}

impl<I: Index> EntropyModel for TableRows<'_, I> {
    fn len(&self) -> usize {
        self.indexes.len()
    }
}

impl<I: Index> BatchModel for TableRows<'_, I> {
    type Params = RowBatch;

    #[inline]
    fn load(&self, first: usize, count: usize, params: &mut RowBatch) -> Result<()> {
        let indexes = &self.indexes[first..first + count];
        let union = Backend::default().compiled(
            #[inline(always)]
            || narrow(indexes, params.0.as_flattened_mut()),
        );
        // No index is larger than the union of all bits, which is computed faster than the highest index.
        let rows = self.tables.len();
        if union.row() as usize >= rows
            && let Some(j) = indexes.iter().position(|index| index.row() as usize >= rows)
        {
            let what = format!("the index of element {} is outside the {rows} rows", first + j);
            return Err(Error::InvalidArgument(what));
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &RowBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        self.tables.slots(params.row(j), symbol)
    }

    #[inline]
    fn find(&self, params: &RowBatch, j: usize, slot: u32) -> (Region, Slots) {
        let (symbol, slots) = self.tables.find(params.row(j), slot);
        (symbol.map_or(Region::Above, Region::Inside), slots)
    }

    fn symbol_outside(&self, params: &RowBatch, j: usize, _: Region, distance: u64) -> Option<i32> {
        self.tables.symbol_outside(params.row(j), distance)
    }

    #[inline]
    fn rows<'a>(&'a self, params: &'a RowBatch, b: usize) -> Option<BlockRows<'a>> {
        Some(BlockRows::Tables(self.tables, &params.0[b]))
    }
}

impl<I: Index> Calibrated for TableRows<'_, I> {
    /// The ranges are eighths of the tables: rows are mostly in the order of their scales.
    #[inline]
    fn range(&self, params: &RowBatch, j: usize) -> usize {
        RANGES * params.row(j) / self.tables.len()
    }

    #[inline]
    fn interval(&self, params: &RowBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        self.tables.interval(params.row(j), symbol)
    }

    #[inline]
    fn find_by(&self, params: &RowBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        find_in_row(self.tables, params.row(j), slot, curve)
    }
}

/// Finds the owner of a slot of a row by a curve, and where it lies.
#[inline]
pub(super) fn find_in_row(tables: &Tables, row: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
    let at = |bound| curve.at(bound);
    let (symbol, interval) = tables.find_by(row, slot, curve.guess(2 * slot) / 2, at);
    (symbol.map_or(Region::Above, Region::Inside), interval.by(at))
}

/// Fills in the lowest bits of the first rows, and returns the bits that are set in any index.
#[inline(always)]
fn narrow<I: Index>(indexes: &[I], rows: &mut [u16]) -> I {
    for (rows, indexes) in rows.chunks_mut(BLOCK).zip(indexes.chunks(BLOCK)) {
        prefetch(indexes.as_ptr().wrapping_add(BATCH), BLOCK);
        for (row, index) in rows.iter_mut().zip(indexes) {
            *row = index.low();
        }
    }
    I::union(indexes)
}

/// The rows of a batch.
#[derive(Debug)]
pub struct RowBatch([[u16; BLOCK]; BATCH / BLOCK]);

impl Default for RowBatch {
    fn default() -> Self {
        Self([[0; BLOCK]; BATCH / BLOCK])
    }
}

impl RowBatch {
    #[inline]
    fn row(&self, j: usize) -> usize {
        self.0.as_flattened()[j].into()
    }
}
