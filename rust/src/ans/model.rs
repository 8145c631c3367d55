//! Which distribution each element of a group has.

use super::{BATCH, BLOCK};
use crate::tables::{LogisticMixture, MixtureConstants, Place, Slots, Tables, MIXTURE_PARAMS};
use crate::{Error, Result};

/// The distributions of a group's elements.
///
/// Coders load the parameters of a batch of elements, then ask for the distribution of each.
pub trait Model: Sync {
    /// The checked parameters of a batch: a copy, so that nobody can change them any more.
    type Params: Default;

    /// The number of elements.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads the parameters of elements `first..first + count`, at most 1024.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they are none.
    fn load(&self, first: usize, count: usize, params: &mut Self::Params) -> Result<()>;

    /// The slots of a symbol of element `j` of the batch; if these are an escape's, how far outside it lies.
    fn slots(&self, params: &Self::Params, j: usize, symbol: i32) -> (Slots, Option<u64>);

    /// What owns a slot of element `j` of the batch, and all its slots.
    fn find(&self, params: &Self::Params, j: usize, slot: u32) -> (Place, Slots);

    /// The symbol of element `j` of the batch that lies this far outside, if there is one.
    fn symbol_outside(&self, params: &Self::Params, j: usize, place: Place, distance: u64) -> Option<i32>;

    /// What is subtracted from the batch's symbols before they are coded, if anything is.
    fn shifts<'a>(&self, _params: &'a Self::Params) -> Option<&'a [i32]> {
        None
    }

    /// Block `b` of the batch as rows of tables, which SIMD backends can take, if it is such.
    fn rows<'a>(&'a self, _params: &'a Self::Params, _b: usize) -> Option<(&'a Tables, &'a [u16; BLOCK])> {
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
    type Params = RowParams;

    fn len(&self) -> usize {
        self.indexes.len()
    }

    #[inline]
    fn load(&self, first: usize, count: usize, params: &mut RowParams) -> Result<()> {
        let indexes = &self.indexes[first..first + count];
        let mut bits = 0;
        for (row, index) in params.0.as_flattened_mut().iter_mut().zip(indexes) {
            bits |= index.row();
            *row = index.row() as u16;
        }
        // No index has more bits than all together, which the processor finds faster than the highest.
        let rows = self.tables.len();
        if bits as usize >= rows {
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
    fn rows<'a>(&'a self, params: &'a RowParams, b: usize) -> Option<(&'a Tables, &'a [u16; BLOCK])> {
        Some((self.tables, &params.0[b]))
    }
}

/// The rows of a batch.
#[derive(Debug)]
pub struct RowParams([[u16; BLOCK]; BATCH / BLOCK]);

impl Default for RowParams {
    fn default() -> Self {
        Self([[0; BLOCK]; BATCH / BLOCK])
    }
}

impl RowParams {
    #[inline]
    fn row(&self, j: usize) -> usize {
        self.0.as_flattened()[j].into()
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
    type Params = Vec<[i16; MIXTURE_PARAMS]>;

    fn len(&self) -> usize {
        self.params.len()
    }

    #[inline]
    fn load(&self, first: usize, count: usize, params: &mut Self::Params) -> Result<()> {
        params.clear();
        params.extend_from_slice(&self.params[first..first + count]);
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &Self::Params, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        LogisticMixture::new(self.constants, &params[j]).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &Self::Params, j: usize, slot: u32) -> (Place, Slots) {
        LogisticMixture::new(self.constants, &params[j]).find(slot)
    }

    fn symbol_outside(&self, params: &Self::Params, j: usize, place: Place, distance: u64) -> Option<i32> {
        LogisticMixture::new(self.constants, &params[j]).symbol_outside(place, distance)
    }
}
