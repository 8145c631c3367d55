//! Mixtures, whose intervals are computed when they are needed.

use super::Model;
use crate::tables::{LogisticMixture, MixtureConstants, Place, Slots, MIXTURE_PARAMS};
use crate::Result;

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
