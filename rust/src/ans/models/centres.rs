//! The likeliest symbols of a block, and their slots: what a decoder needs most of the time, computed in vectors.

use crate::ans::constants::BLOCK;
use crate::ans::simd::{Backend, Likely};
use crate::tables::{PAIR_PARAMS, PairBlock, PairCdf, PairConstants};

/// The distributions of a block, and the symbols at their centres.
#[derive(Debug)]
pub(super) struct Centres {
    block: PairBlock<BLOCK>,
    pub(super) likely: Likely,
    /// The distribution functions below and above the symbols, by the elements' curves.
    pub(super) bounds: [[u32; BLOCK]; 2],
}

impl Centres {
    pub(super) const EMPTY: Self =
        Self { block: PairBlock::EMPTY, likely: Likely::EMPTY, bounds: [[0; BLOCK]; 2] };

    /// Becomes the centres of these mixtures, whose distribution functions `curve` maps.
    pub(super) fn load(
        &mut self,
        constants: &PairConstants,
        backend: Backend,
        mixtures: &[[i16; PAIR_PARAMS]; BLOCK],
        curve: impl Fn(&mut [u32; BLOCK]),
    ) {
        backend.compiled(
            #[inline(always)]
            || {
                let Self { block, likely: Likely { symbols, starts, ends }, bounds } = self;
                block.load(constants, mixtures);
                block.centre_slots(constants, curve, [starts, ends], bounds);
                *symbols = *block.centres();
            },
        );
    }

    /// Returns the distribution of element `j`.
    #[inline(always)]
    pub(super) fn cdf<'a>(&self, constants: &'a PairConstants, j: usize) -> PairCdf<'a> {
        self.block.cdf(constants, j % BLOCK)
    }
}
