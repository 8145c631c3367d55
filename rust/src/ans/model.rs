//! Which distribution each element of a group has.

use super::{Backend, BLOCK, MAX_LANES};
use crate::tables::{LogisticMixture, MixtureConstants, Place, Slots, Tables, MIXTURE_PARAMS};
use crate::{Error, Result};

/// The distributions of a group's elements. Coders ask for them a block at a time.
///
/// The methods without a default define the bytes; those with one may be faster and do the same.
pub trait Model: Sync {
    /// The checked parameters of up to 64 elements: a copy, so that nobody can change them any more.
    type Block;

    /// The number of elements.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parameters of elements `first..first + count`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they are none.
    fn block(&self, first: usize, count: usize) -> Result<Self::Block>;

    /// The slots of a symbol of element `j` of a block; if these are an escape's, how far outside it lies.
    fn slots(&self, block: &Self::Block, j: usize, symbol: i32) -> (Slots, Option<u64>);

    /// What owns a slot of element `j` of a block, and all its slots.
    fn find(&self, block: &Self::Block, j: usize, slot: u32) -> (Place, Slots);

    /// The symbol of element `j` of a block that lies this far outside, if there is one.
    fn symbol_outside(&self, block: &Self::Block, j: usize, place: Place, distance: u64) -> Option<i32>;

    /// Fills in the slots of a whole block, and returns a bit for each that is an escape's.
    #[doc(hidden)]
    fn slots_of_block(
        &self,
        _backend: Backend,
        block: &Self::Block,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> u64 {
        let mut escapes = 0;
        for (j, (slots, &symbol)) in slots.iter_mut().zip(symbols).enumerate() {
            let outside;
            (*slots, outside) = self.slots(block, j, symbol);
            escapes |= u64::from(outside.is_some()) << j;
        }
        escapes
    }

    /// Decodes a whole block from the next `words`, and returns how many of these it took and a bit for each element
    /// that is the escape above, whose symbol is yet to be filled in; `None` leaves it all to the scalar code.
    #[doc(hidden)]
    fn decode_block(
        &self,
        _backend: Backend,
        _block: &Self::Block,
        _lanes: usize,
        _states: &mut [u32; MAX_LANES],
        _words: &[u8; 2 * BLOCK],
        _out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        None
    }
}

/// An integer that names a row of [`Tables`].
pub trait Index: Copy + Sync {
    /// The row; something beyond every table if the integer is negative or too large.
    fn row(self) -> u32;
}

macro_rules! index {
    ($($integer:ty),*) => {$(
        impl Index for $integer {
            #[inline]
            fn row(self) -> u32 {
                // As a sign extension, which vectors have, a negative integer becomes a huge one.
                self as i32 as u32
            }
        }
    )*};
}
index!(u8, u16, i16, i32);

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
    type Block = [u16; BLOCK];

    fn len(&self) -> usize {
        self.indexes.len()
    }

    #[inline]
    fn block(&self, first: usize, count: usize) -> Result<[u16; BLOCK]> {
        let mut rows = [0; BLOCK];
        let indexes = &self.indexes[first..first + count];
        let mut highest = 0;
        for (row, index) in rows.iter_mut().zip(indexes) {
            let index = index.row();
            highest = highest.max(index);
            *row = index as u16;
        }
        if highest as usize >= self.tables.len() {
            let j = indexes.iter().position(|index| index.row() as usize >= self.tables.len());
            return Err(Error::InvalidArgument(format!(
                "index {} is outside the {} rows",
                first + j.unwrap_or(0),
                self.tables.len()
            )));
        }
        Ok(rows)
    }

    #[inline]
    fn slots(&self, rows: &[u16; BLOCK], j: usize, symbol: i32) -> (Slots, Option<u64>) {
        self.tables.slots(rows[j].into(), symbol)
    }

    #[inline]
    fn find(&self, rows: &[u16; BLOCK], j: usize, slot: u32) -> (Place, Slots) {
        let (symbol, slots) = self.tables.find(rows[j].into(), slot);
        (symbol.map_or(Place::Above, Place::Inside), slots)
    }

    fn symbol_outside(&self, rows: &[u16; BLOCK], j: usize, _: Place, distance: u64) -> Option<i32> {
        self.tables.symbol_outside(rows[j].into(), distance)
    }

    #[inline]
    fn slots_of_block(
        &self,
        backend: Backend,
        rows: &[u16; BLOCK],
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> u64 {
        backend.slots(self.tables, rows, symbols, slots)
    }

    #[inline]
    fn decode_block(
        &self,
        backend: Backend,
        rows: &[u16; BLOCK],
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        backend.decode(self.tables, rows, lanes, states, words, out)
    }
}

/// Each element has the [`LogisticMixture`] of its five parameters.
#[derive(Debug, Clone, Copy)]
pub struct Mixtures<'a> {
    constants: &'static MixtureConstants,
    params: &'a [[i16; MIXTURE_PARAMS]],
}

impl<'a> Mixtures<'a> {
    /// Five parameters for each element.
    pub fn new(params: &'a [[i16; MIXTURE_PARAMS]]) -> Self {
        Self { constants: MixtureConstants::get(), params }
    }
}

impl Model for Mixtures<'_> {
    type Block = [[i16; MIXTURE_PARAMS]; BLOCK];

    fn len(&self) -> usize {
        self.params.len()
    }

    #[inline]
    fn block(&self, first: usize, count: usize) -> Result<Self::Block> {
        let mut params = [[0; MIXTURE_PARAMS]; BLOCK];
        params[..count].copy_from_slice(&self.params[first..first + count]);
        Ok(params)
    }

    #[inline]
    fn slots(&self, params: &Self::Block, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        LogisticMixture::new(self.constants, &params[j]).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &Self::Block, j: usize, slot: u32) -> (Place, Slots) {
        LogisticMixture::new(self.constants, &params[j]).find(slot)
    }

    fn symbol_outside(&self, params: &Self::Block, j: usize, place: Place, distance: u64) -> Option<i32> {
        LogisticMixture::new(self.constants, &params[j]).symbol_outside(place, distance)
    }
}
