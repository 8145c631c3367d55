//! Which distribution each element of a group has.

mod categorical;
mod located;
mod mixture;
mod parameter;
mod rows;

pub use categorical::Categoricals;
pub(super) use located::{locate, locate_near};
pub use located::{Around, Located};
pub(super) use located::{LocatedParams, Spots};
pub use mixture::{Component, MixtureOf, Mixtures};
pub use parameter::Parameter;
pub(super) use rows::narrow;
pub use rows::{Index, Rows};

use super::BLOCK;
use crate::tables::{Ladder, Place, Slots, Tables};
use crate::Result;

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

    /// This model as one that some backends locate and code in one pass, if it is such.
    fn around(&self) -> Option<Around<'_>> {
        None
    }

    /// Block `b` of the batch as rows of tables, which SIMD backends can take, if it is such.
    fn rows<'a>(&'a self, _params: &'a Self::Params, _b: usize) -> Option<BlockRows<'a>> {
        None
    }
}

/// A row of tables for each element of a block.
#[derive(Debug, Clone, Copy)]
pub enum BlockRows<'a> {
    /// Row numbers.
    Of(&'a Tables, &'a [u16; BLOCK]),
    /// Places of a ladder, which are an octave and a row.
    At(&'a Ladder, &'a [u16; BLOCK]),
}

impl BlockRows<'_> {
    /// The symbol that owns a slot of element `j`, or none for an escape; and all its slots.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(super) fn find(&self, j: usize, slot: u32) -> (Option<i32>, Slots) {
        match self {
            Self::Of(tables, rows) => tables.find(rows[j].into(), slot),
            Self::At(ladder, places) => ladder.tables().find(Ladder::row(places[j]).into(), slot),
        }
    }
}

#[cfg(test)]
mod tests;
