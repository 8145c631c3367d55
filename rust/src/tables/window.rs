//! A window of symbols that have slots of their own, between an escape on either side.

use super::{Slots, TOTAL};

/// Where a symbol lies, relative to a distribution's support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the support: the symbol.
    Inside(i32),
    /// Below it.
    Below,
    /// Above it.
    Above,
}

/// Symbols `low..low + symbols`; those below have the slots before the first, those above the slots after the last.
///
/// Where symbol `low + j` starts is what the methods' `start` says of `j`, 0..=`symbols`: it is at least 1, strictly
/// increases, and is below 2^15.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) low: i32,
    pub(super) symbols: i32,
}

impl Window {
    /// It reaches this far around a centre at most.
    pub(super) const MAX_RADIUS: i32 = 2047;

    /// The symbols that have slots of their own.
    pub(super) fn support(self) -> std::ops::Range<i32> {
        self.low..self.low + self.symbols
    }

    /// The slots that are left if each symbol and each escape has one.
    #[inline]
    pub(super) fn spare(self) -> u32 {
        TOTAL - 2 - self.symbols as u32
    }

    /// The slots of a symbol, and how far outside the support it is if these are an escape's.
    #[inline]
    pub(super) fn slots(self, symbol: i32, start: impl Fn(i32) -> u32) -> (Slots, Option<u64>) {
        let j = symbol.wrapping_sub(self.low);
        if (j as u32) < self.symbols as u32 {
            (Slots::new(start(j), start(j + 1)), None)
        } else {
            self.slots_outside(i64::from(symbol) - i64::from(self.low), start)
        }
    }

    #[cold]
    fn slots_outside(self, j: i64, start: impl Fn(i32) -> u32) -> (Slots, Option<u64>) {
        if j < 0 {
            (Slots::new(0, start(0)), Some((-1 - j) as u64))
        } else {
            (Slots::new(start(self.symbols), TOTAL), Some((j - i64::from(self.symbols)) as u64))
        }
    }

    /// What owns a slot, and all its slots; the search begins at symbol `low + guess`, or at the nearest there is.
    #[inline]
    pub(super) fn find(self, slot: u32, guess: i32, start: impl Fn(i32) -> u32) -> (Place, Slots) {
        let guess = guess.clamp(0, self.symbols - 1);
        let (first, end) = (start(guess), start(guess + 1));
        if slot < first {
            self.find_below(slot, (guess, first), start)
        } else if slot >= end {
            self.find_above(slot, (guess + 1, end), start)
        } else {
            self.inside(guess, first, end)
        }
    }

    fn inside(self, j: i32, start: u32, end: u32) -> (Place, Slots) {
        (Place::Inside(self.low + j), Slots::new(start, end))
    }

    /// The symbol with a slot before the first one of symbol `high`, by steps of doubling length down from there,
    /// then halving ones.
    fn find_below(
        self,
        slot: u32,
        (mut high, mut end): (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Place, Slots) {
        let mut step = 1;
        loop {
            let low = (high - step).max(0);
            let first = start(low);
            if first <= slot {
                return self.bisect(slot, (low, first), (high, end), start);
            }
            if low == 0 {
                return (Place::Below, Slots::new(0, first));
            }
            (high, end, step) = (low, first, 2 * step);
        }
    }

    /// The same upwards, from symbol `low` with a first slot at or before this one.
    fn find_above(
        self,
        slot: u32,
        (mut low, mut first): (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Place, Slots) {
        let mut step = 1;
        loop {
            if low == self.symbols {
                return (Place::Above, Slots::new(first, TOTAL));
            }
            let high = (low + step).min(self.symbols);
            let end = start(high);
            if slot < end {
                return self.bisect(slot, (low, first), (high, end), start);
            }
            (low, first, step) = (high, end, 2 * step);
        }
    }

    /// Finds the slot's symbol, given a symbol that starts at or before the slot and one that starts after
    /// it.
    fn bisect(
        self,
        slot: u32,
        mut low: (i32, u32),
        mut high: (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Place, Slots) {
        while high.0 - low.0 > 1 {
            let middle = low.0 + (high.0 - low.0) / 2;
            let first = start(middle);
            *(if first <= slot { &mut low } else { &mut high }) = (middle, first);
        }
        self.inside(low.0, low.1, high.1)
    }

    /// The symbol that lies this far below or above the support, if there is one.
    pub(super) fn symbol_outside(self, place: Place, distance: u64) -> Option<i32> {
        let distance = i64::try_from(distance).ok()?;
        let symbol = match place {
            Place::Inside(symbol) => symbol.into(),
            Place::Below => i64::from(self.low - 1).checked_sub(distance)?,
            Place::Above => i64::from(self.low + self.symbols).checked_add(distance)?,
        };
        i32::try_from(symbol).ok()
    }
}
