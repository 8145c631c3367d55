//! Blocks of 64 elements, as models hand them to a backend and back.

use crate::ans::constants::BLOCK;
use crate::tables::{ScaleTables, Slots, Tables};

/// A row of tables for each element of a block.
#[derive(Debug, Clone, Copy)]
pub enum BlockRows<'a> {
    /// Row numbers.
    Tables(&'a Tables, &'a [u16; BLOCK]),
    /// Places of scale tables, each an octave and a row.
    Scale(&'a ScaleTables, &'a [u16; BLOCK]),
}

impl BlockRows<'_> {
    /// Returns the symbol that owns a slot of element `j`, or `None` for an escape, and all slots of that symbol.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn find(&self, j: usize, slot: u32) -> (Option<i32>, Slots) {
        match self {
            Self::Tables(tables, rows) => tables.find(rows[j].into(), slot),
            Self::Scale(tables, places) => tables.tables().find(ScaleTables::row(places[j]).into(), slot),
        }
    }
}

/// The places of a block in scale tables, and the shifts that are subtracted from its symbols.
#[derive(Debug, Clone, Copy)]
pub(in crate::ans) struct LocatedBlock {
    pub(in crate::ans) places: [u16; BLOCK],
    pub(in crate::ans) shifts: [i32; BLOCK],
}

impl Default for LocatedBlock {
    fn default() -> Self {
        Self { places: [0; BLOCK], shifts: [0; BLOCK] }
    }
}

impl LocatedBlock {
    /// Returns the row of element `j`.
    #[inline]
    pub(in crate::ans) fn row(&self, j: usize) -> usize {
        ScaleTables::row(self.places[j]).into()
    }
}

/// A likely symbol of each element of a block, and its slots.
#[derive(Debug, Clone)]
pub struct Likely {
    pub(in crate::ans) symbols: [i32; BLOCK],
    pub(in crate::ans) starts: [u32; BLOCK],
    pub(in crate::ans) ends: [u32; BLOCK],
}

impl Likely {
    pub(in crate::ans) const EMPTY: Self = Self { symbols: [0; BLOCK], starts: [0; BLOCK], ends: [0; BLOCK] };

    /// Returns the same, but nothing that is likely of the elements whose bits are set.
    pub(in crate::ans) fn without(&self, elements: u64) -> Self {
        let mut others = self.clone();
        set_bits(elements).for_each(|j| others.ends[j] = others.starts[j]);
        others
    }

    /// Returns the likely symbol of element `j` and its slots, if a slot is one of these.
    #[inline(always)]
    pub(in crate::ans) fn find(&self, j: usize, slot: u32) -> Option<(i32, Slots)> {
        let j = j % BLOCK;
        let (start, freq) = (self.starts[j], self.ends[j] - self.starts[j]);
        (slot.wrapping_sub(start) < freq).then(|| (self.symbols[j], Slots::starting(start, freq)))
    }
}

/// A value that vectors may load and store.
///
/// # Safety
/// The type must have 32 bits, and all of their combinations must be valid.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) unsafe trait Word: Copy {}

// SAFETY: these have 32 bits, all of whose combinations are valid.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Word for i32 {}
// SAFETY: as before.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Word for u32 {}
// SAFETY: `Slots` is a `u32`: `start` in the low half and `end - start` in the high half.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe impl Word for Slots {}

/// Returns the positions of the bits that are set, in order.
pub(in crate::ans) fn set_bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros() as usize;
        let more = set != 0;
        set &= set.wrapping_sub(1);
        more.then_some(lowest)
    })
}

/// The intervals that `N` elements found in their buckets.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) struct Found<const N: usize> {
    pub(super) starts: [u32; N],
    pub(super) ends: [u32; N],
    /// As unsigned integers.
    pub(super) symbols: [u32; N],
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<const N: usize> Found<N> {
    /// Searches for the slots that lie beyond the two intervals of their bucket: those of the elements whose bits are set
    /// in `beyond`. The elements are `first..first + N` of the block.
    #[cold]
    pub(super) fn search(
        mut self,
        find: impl Fn(usize, u32) -> (Option<i32>, Slots),
        first: usize,
        slots: &[u32; N],
        beyond: u32,
    ) -> Self {
        for i in (0..N).filter(|i| beyond >> i & 1 == 1) {
            let (symbol, slots) = find(first + i, slots[i]);
            self.starts[i] = slots.start();
            self.ends[i] = slots.start() + slots.freq();
            self.symbols[i] = symbol.unwrap_or(0) as u32;
        }
        self
    }
}

/// Checks that the tables have all of these rows. Models guarantee it; memory safety depends on it here.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn check_rows(tables: &Tables, rows: &[u16; BLOCK]) {
    let highest = rows.iter().fold(0, |highest, &row| highest.max(row));
    assert!(usize::from(highest) < tables.len(), "a model names a row that its tables do not have");
}
