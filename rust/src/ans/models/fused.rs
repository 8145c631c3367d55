//! Blocks whose rows are located and coded in one pass.

use super::parameter::Parameter;
use crate::ans::constants::{BLOCK, MAX_LANES};
use crate::ans::simd::{Backend, LocatedBlock, set_bits};
use crate::tables::{ScaleTables, Slots};

/// The parameters of a [`LocationScale`](super::LocationScale) in the form in which some backends locate the rows of a
/// block and code it in one pass.
#[derive(Debug)]
pub struct FusedBlocks<'a> {
    tables: &'static ScaleTables,
    means: Parameter<'a, f32>,
    scales: Parameter<'a, f32>,
    /// Blocks of the mean and the scale, where these are the same for all elements.
    constants: [[f32; BLOCK]; 2],
    /// The rows and shifts of the last block, if it had escapes.
    located: LocatedBlock,
}

impl<'a> FusedBlocks<'a> {
    pub(super) fn new(
        tables: &'static ScaleTables,
        means: Parameter<'a, f32>,
        scales: Parameter<'a, f32>,
    ) -> Self {
        let constants = [means, scales].map(|parameter| match parameter {
            Parameter::Constant(value) => [value; BLOCK],
            Parameter::Each(_) => [0.0; BLOCK],
        });
        Self { tables, means, scales, constants, located: LocatedBlock::default() }
    }

    /// Fills in the slots of the block of symbols from element `first` on, and appends the distances of escapes. Returns
    /// false, with nothing changed, if the block must be located first.
    #[inline]
    pub(in crate::ans) fn slots(
        &mut self,
        backend: Backend,
        first: usize,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
        outside: &mut Vec<u64>,
    ) -> bool {
        let [means, scales] = &self.constants;
        let parameters = [self.means.whole_block(first, means), self.scales.whole_block(first, scales)];
        let missing = backend.locate_slots(self.tables, parameters, symbols, slots, &mut self.located);
        for j in set_bits(missing.unwrap_or(0)) {
            let distance;
            let symbol = symbols[j].wrapping_sub(self.located.shifts[j]);
            (slots[j], distance) = self.tables.tables().slots(self.located.row(j), symbol);
            outside.extend(distance);
        }
        missing.is_some()
    }

    /// Decodes the block of symbols from element `first` on, including shifts; see [`Backend::decode`].
    #[inline]
    pub(in crate::ans) fn decode(
        &mut self,
        backend: Backend,
        first: usize,
        lanes: (usize, &mut [u32; MAX_LANES]),
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        let [means, scales] = &self.constants;
        let parameters = [self.means.whole_block(first, means), self.scales.whole_block(first, scales)];
        backend.locate_decode(self.tables, parameters, lanes, words, out, &mut self.located)
    }

    /// Returns the symbol of element `j` of the last block at this distance from the support, if there is one.
    pub(in crate::ans) fn symbol_outside(&self, j: usize, distance: u64) -> Option<i32> {
        let symbol = self.tables.tables().symbol_outside(self.located.row(j), distance)?;
        Some(symbol.wrapping_add(self.located.shifts[j]))
    }
}
