//! Rows of tables, one named for each element.

use super::super::simd::prefetch;
use super::super::{Backend, BATCH, BLOCK};
use super::{BlockRows, Model};
use crate::tables::{Place, Slots, Tables};
use crate::{Error, Result};

/// An integer that names a row of [`Tables`].
pub trait Index: Copy + Sync {
    /// The row; something beyond every table if the integer is negative or too large.
    fn row(self) -> u32;

    /// The lowest bits of the row.
    fn low(self) -> u16;

    /// The bits that any of the integers has.
    fn union(indexes: &[Self]) -> Self;
}

macro_rules! index {
    ($($integer:ty),*) => {$(
        impl Index for $integer {
            #[inline(always)]
            fn row(self) -> u32 {
                // As a sign extension, which vectors have, a negative integer becomes a huge one.
                self as i32 as u32
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
index!(u8, u16, i16, i32);

impl Index for i64 {
    #[inline(always)]
    fn row(self) -> u32 {
        u32::try_from(self).unwrap_or(u32::MAX)
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

/// Element `i` has row `indexes[i]` of some tables.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, I> {
    tables: &'a Tables,
    indexes: &'a [I],
}

impl<'a, I: Index> Rows<'a, I> {
    /// A row for each element.
    pub fn new(tables: &'a Tables, indexes: &'a [I]) -> Self {
        Self { tables, indexes }
    }
}

impl<I: Index> Model for Rows<'_, I> {
    type Params = RowParams;

    fn len(&self) -> usize {
        self.indexes.len()
    }

    #[inline]
    fn load(&self, first: usize, count: usize, params: &mut RowParams) -> Result<()> {
        let indexes = &self.indexes[first..first + count];
        // No index has more bits than all together, which the processor finds faster than the highest.
        let rows = self.tables.len();
        if Backend::default().narrow(indexes, params.0.as_flattened_mut()).row() as usize >= rows {
            if let Some(j) = indexes.iter().position(|index| index.row() as usize >= rows) {
                let what = format!("the index of element {} is outside the {rows} rows", first + j);
                return Err(Error::InvalidArgument(what));
            }
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &RowParams, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        self.tables.slots(params.row(j), symbol)
    }

    #[inline]
    fn find(&self, params: &RowParams, j: usize, slot: u32) -> (Place, Slots) {
        let (symbol, slots) = self.tables.find(params.row(j), slot);
        (symbol.map_or(Place::Above, Place::Inside), slots)
    }

    fn symbol_outside(&self, params: &RowParams, j: usize, _: Place, distance: u64) -> Option<i32> {
        self.tables.symbol_outside(params.row(j), distance)
    }

    #[inline]
    fn rows<'a>(&'a self, params: &'a RowParams, b: usize) -> Option<BlockRows<'a>> {
        Some(BlockRows::Of(self.tables, &params.0[b]))
    }
}

/// Fills in the lowest bits of the first rows, and returns the bits that any index has.
#[inline(always)]
pub(in crate::ans) fn narrow<I: Index>(indexes: &[I], rows: &mut [u16]) -> I {
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
pub struct RowParams(pub(super) [[u16; BLOCK]; BATCH / BLOCK]);

impl Default for RowParams {
    fn default() -> Self {
        Self([[0; BLOCK]; BATCH / BLOCK])
    }
}

impl RowParams {
    #[inline]
    pub(super) fn row(&self, j: usize) -> usize {
        self.0.as_flattened()[j].into()
    }
}
