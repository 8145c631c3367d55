//! What each backend does for the coder.

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::{BlockRows, Likely, LocatedBlock};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, avx512_curves, avx512_likely, avx512_pairs};
use crate::Result;
use crate::ans::calibration::Curve;
use crate::ans::constants::{BLOCK, MAX_LANES};
use crate::simd::{Backend, Isa};
use crate::tables::{Interval, PAIR_PARAMS, PairBlock, PairCdf, PairConstants, ScaleTables, Slots, Tables};

/// Vector code needs at least this many lanes.
pub(in crate::ans) const MIN_LANES: usize = 16;

impl Backend {
    /// Does scalar work that the compiler may turn into this backend's instructions, if `work` is inlined here.
    #[inline]
    pub(crate) fn compiled<T>(self, work: impl FnOnce() -> T) -> T {
        match self.isa() {
            // SAFETY: this processor has AVX2 and POPCNT.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::compiled(work) },
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::compiled(work) },
            Isa::Scalar => work(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => work(),
        }
    }

    /// Replaces values of a block's elements, 0 to 2^16, by what the curves of these numbers have there, if this backend has
    /// instructions for that.
    #[inline]
    pub(in crate::ans) fn apply_curves(
        self,
        curves: &[Curve],
        numbers: &[u16; BLOCK],
        values: &mut [u32; BLOCK],
    ) -> bool {
        match self.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                // SAFETY: this processor has these extensions.
                unsafe { avx512_curves::apply(curves, numbers, values) };
                true
            }
            _ => {
                let _ = (curves, numbers, values);
                false
            }
        }
    }

    /// Lets the curves of these numbers [count](Curve::count) symbols in order, if this backend has instructions for that.
    #[inline]
    pub(in crate::ans) fn count(
        self,
        curves: &mut [Curve],
        numbers: &[u16],
        bounds: &[[u32; BLOCK]; 2],
    ) -> bool {
        match self.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                // SAFETY: this processor has these extensions.
                unsafe { avx512_curves::count(curves, numbers, bounds) };
                true
            }
            _ => {
                let _ = (curves, numbers, bounds);
                false
            }
        }
    }

    /// Computes the distributions of a block.
    #[inline]
    pub(in crate::ans) fn load_pairs(
        self,
        constants: &PairConstants,
        params: &[[i16; PAIR_PARAMS]; BLOCK],
        block: &mut PairBlock<BLOCK>,
    ) {
        match self.isa() {
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512_pairs::load_pairs(constants, params, block) },
            _ => self.compiled(
                #[inline(always)]
                || block.load(constants, params),
            ),
        }
    }

    /// Returns where the owner of a slot lies in a distribution, by a curve if there is one, if this backend has instructions to
    /// look at the seven symbols from number `first` of the support on at once, and the owner is one of them.
    #[inline]
    pub(in crate::ans) fn find_near(
        self,
        cdf: &PairCdf,
        first: i32,
        slot: u32,
        curve: Option<&Curve>,
    ) -> Option<Interval> {
        match self.isa() {
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512_pairs::find_near(cdf, first, slot, curve) },
            _ => {
                let _ = (cdf, first, slot, curve);
                None
            }
        }
    }

    /// Decodes a block of a group of 8 lanes, whose symbols are likely those of `likely`, and returns the number of words
    /// taken. `miss` is asked for the slots of any other symbol, given an element and its slot, in order. `None` leaves the
    /// block to the scalar code.
    #[inline]
    pub(in crate::ans) fn decode_likely(
        self,
        likely: &Likely,
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &[u8; 2 * BLOCK],
        miss: impl FnMut(usize, u32) -> Result<Slots>,
    ) -> Option<Result<usize>> {
        match self.isa() {
            _ if lanes != 8 => None,
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(unsafe { avx512_likely::decode(likely, states, words, miss) }),
            _ => {
                let _ = (likely, states, words, miss);
                None
            }
        }
    }

    /// Fills in the slots of a block of symbols. In the result, a bit is set for each element for which the model must be
    /// asked; these include all escapes.
    #[inline]
    pub(in crate::ans) fn slots(
        self,
        rows: BlockRows,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) -> u64 {
        match (self.isa(), rows) {
            // SAFETY: this processor has AVX2 and POPCNT.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, BlockRows::Tables(tables, rows)) => unsafe {
                avx2::slots(tables, rows, symbols, slots)
            },
            // SAFETY: as before.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, BlockRows::Scale(tables, places)) => unsafe {
                avx2::slots_at(tables.direct(), places, symbols, slots)
            },
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, BlockRows::Tables(tables, rows)) => unsafe {
                avx512::slots(tables, rows, symbols, slots)
            },
            // SAFETY: as before.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, BlockRows::Scale(tables, places)) => unsafe {
                avx512::slots_at(tables.direct(), places, symbols, slots)
            },
            // SAFETY: this processor has NEON.
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::Tables(tables, rows)) => unsafe {
                neon::slots(tables, rows, symbols, slots)
            },
            (Isa::Scalar, BlockRows::Tables(tables, rows)) => scalar_slots(tables, rows, symbols, slots),
            (_, BlockRows::Scale(tables, places)) => {
                let rows = places.map(ScaleTables::row);
                self.slots(BlockRows::Tables(tables.tables(), &rows), symbols, slots)
            }
        }
    }

    /// Returns whether [`Backend::locate_slots`] and [`Backend::locate_decode`] are implemented: they locate the rows of
    /// a block and code it in one pass.
    pub(in crate::ans) fn is_fused(self) -> bool {
        match self.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => true,
            _ => false,
        }
    }

    /// Locates the rows of a block, given its means and scales, and does as [`Backend::slots`]. Returns `None` if the
    /// block must be located first. `located` is filled in only if the model must be asked.
    #[inline]
    pub(in crate::ans) fn locate_slots(
        self,
        tables: &ScaleTables,
        parameters: [&[f32; BLOCK]; 2],
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
        located: &mut LocatedBlock,
    ) -> Option<u64> {
        match self.isa() {
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe {
                avx512::locate_slots(tables.direct(), parameters, symbols, slots, located)
            },
            _ => {
                let _ = (tables, parameters, symbols, slots, located);
                None
            }
        }
    }

    /// Locates the rows of a block, given its means and scales, does as [`Backend::decode`], and adds the shifts. Returns
    /// `None`, with all states unchanged, if the block must be located first.
    #[inline]
    pub(in crate::ans) fn locate_decode(
        self,
        tables: &ScaleTables,
        parameters: [&[f32; BLOCK]; 2],
        (lanes, states): (usize, &mut [u32; MAX_LANES]),
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
        located: &mut LocatedBlock,
    ) -> Option<(usize, u64)> {
        match self.isa() {
            _ if lanes < MIN_LANES => None,
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe {
                avx512::locate_decode(tables, parameters, (lanes, states), words, out, located)
            },
            _ => {
                let _ = (tables, parameters, states, words, out, located);
                None
            }
        }
    }

    /// Encodes a block of a group. Its words become the last of `words`; the result is their number. `None` leaves the
    /// block to the scalar code.
    #[inline]
    pub(in crate::ans) fn encode(
        self,
        slots: &[Slots; BLOCK],
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &mut [u16; BLOCK],
    ) -> Option<usize> {
        match self.isa() {
            _ if lanes < MIN_LANES => None,
            Isa::Scalar => None,
            // SAFETY: this processor has AVX2 and POPCNT.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(unsafe { avx2::encode(slots, lanes, states, words) }),
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(unsafe { avx512::encode(slots, lanes, states, words) }),
            // SAFETY: this processor has NEON.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(unsafe { neon::encode(slots, lanes, states, words) }),
        }
    }

    /// Decodes a block of a group from the next `words`. Returns the number of words taken, and a bit for each element
    /// that is an escape, whose symbol the caller must fill in. `None` leaves the block to the scalar code.
    #[inline]
    pub(in crate::ans) fn decode(
        self,
        rows: BlockRows,
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        match (self.isa(), rows) {
            _ if lanes < MIN_LANES => None,
            (Isa::Scalar, _) => None,
            // SAFETY: this processor has AVX2 and POPCNT.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => Some(unsafe { avx2::decode(rows, lanes, states, words, out) }),
            // SAFETY: this processor has these extensions.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _) => Some(unsafe { avx512::decode(rows, lanes, states, words, out) }),
            // SAFETY: this processor has NEON.
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::Tables(tables, rows)) => {
                Some(unsafe { neon::decode(tables, rows, lanes, states, words, out) })
            }
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::Scale(tables, places)) => {
                let rows = places.map(ScaleTables::row);
                self.decode(BlockRows::Tables(tables.tables(), &rows), lanes, states, words, out)
            }
        }
    }
}

fn scalar_slots(
    tables: &Tables,
    rows: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    let mut escapes = 0;
    for j in 0..BLOCK {
        let outside;
        (slots[j], outside) = tables.slots(rows[j].into(), symbols[j]);
        escapes |= u64::from(outside.is_some()) << j;
    }
    escapes
}
