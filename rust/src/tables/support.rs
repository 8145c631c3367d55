//! The support of a computed distribution, with an escape on either side.

use super::slots::{Interval, Slots, TOTAL};

/// The position of a symbol relative to a distribution's support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// This symbol of the support.
    Inside(i32),
    /// A symbol below the support.
    Below,
    /// A symbol above the support.
    Above,
}

/// The symbols `low..low + symbols`, which have slots of their own. Symbols below share the slots before the first one,
/// symbols above share the slots after the last one.
///
/// The methods' argument `start` maps `j`, 0 to `symbols`, to the first slot of symbol `low + j`: a strictly increasing
/// function with values of at least 1 and below 2^15.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Support {
    pub(super) low: i32,
    pub(super) symbols: i32,
}

impl Support {
    /// The largest distance of a support's ends from its centre.
    pub(super) const MAX_RADIUS: i32 = 2047;

    /// Returns the symbols.
    #[cfg(test)]
    pub(super) fn range(self) -> std::ops::Range<i32> {
        self.low..self.low + self.symbols
    }

    /// Returns the number of slots that are left once each symbol and each escape has one.
    #[inline]
    pub(super) fn spare(self) -> u32 {
        TOTAL - 2 - self.symbols as u32
    }

    /// Returns the slots of a symbol. If these are an escape's, the symbol's distance from the support is returned as well.
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

    /// Returns where a symbol lies in the distribution, of which `bound` maps `j` to the distribution function below symbol
    /// `low + j`, times 2^16. If that is an escape, the symbol's distance from the support is returned as well.
    #[inline]
    pub(super) fn interval(self, symbol: i32, bound: impl Fn(i32) -> u32) -> (Interval, Option<u64>) {
        let (j, n) = (i64::from(symbol) - i64::from(self.low), i64::from(self.symbols));
        let (region, outside) = match j {
            ..0 => (Region::Below, Some((-1 - j) as u64)),
            _ if j >= n => (Region::Above, Some((j - n) as u64)),
            _ => (Region::Inside(symbol), None),
        };
        (self.interval_of(region, bound), outside)
    }

    /// Returns where a symbol of the support, or an escape, lies in the distribution.
    #[inline]
    pub(super) fn interval_of(self, region: Region, bound: impl Fn(i32) -> u32) -> Interval {
        let (rank, bounds) = match region {
            Region::Below => (0, [0, bound(0)]),
            Region::Inside(symbol) => {
                let j = symbol - self.low;
                (1 + j as u32, [bound(j), bound(j + 1)])
            }
            Region::Above => (1 + self.symbols as u32, [bound(self.symbols), 1 << 16]),
        };
        Interval { rank, bounds, spare: self.spare() }
    }

    /// Returns the owner of a slot and all slots of that owner. The search begins at the symbol nearest to `low + guess`.
    #[inline]
    pub(super) fn find(self, slot: u32, guess: i32, start: impl Fn(i32) -> u32) -> (Region, Slots) {
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

    fn inside(self, j: i32, start: u32, end: u32) -> (Region, Slots) {
        (Region::Inside(self.low + j), Slots::new(start, end))
    }

    /// Finds the owner of a slot below symbol `high`, which starts at slot `end`: first by steps of doubling length
    /// downwards, then by bisection.
    fn find_below(
        self,
        slot: u32,
        (mut high, mut end): (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Region, Slots) {
        let mut step = 1;
        loop {
            let low = (high - step).max(0);
            let first = start(low);
            if first <= slot {
                return self.bisect(slot, (low, first), (high, end), start);
            }
            if low == 0 {
                return (Region::Below, Slots::new(0, first));
            }
            (high, end, step) = (low, first, 2 * step);
        }
    }

    /// Finds the owner of a slot in the same way upwards from symbol `low`, which starts at slot `first` or before.
    fn find_above(
        self,
        slot: u32,
        (mut low, mut first): (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Region, Slots) {
        let mut step = 1;
        loop {
            if low == self.symbols {
                return (Region::Above, Slots::new(first, TOTAL));
            }
            let high = (low + step).min(self.symbols);
            let end = start(high);
            if slot < end {
                return self.bisect(slot, (low, first), (high, end), start);
            }
            (low, first, step) = (high, end, 2 * step);
        }
    }

    /// Finds the owner of a slot, given a symbol that starts at or before the slot and one that starts after it.
    fn bisect(
        self,
        slot: u32,
        mut low: (i32, u32),
        mut high: (i32, u32),
        start: impl Fn(i32) -> u32,
    ) -> (Region, Slots) {
        while high.0 - low.0 > 1 {
            let middle = low.0 + (high.0 - low.0) / 2;
            let first = start(middle);
            *(if first <= slot { &mut low } else { &mut high }) = (middle, first);
        }
        self.inside(low.0, low.1, high.1)
    }

    /// Returns the symbol at this distance below or above the support, if there is one.
    pub(super) fn symbol_outside(self, region: Region, distance: u64) -> Option<i32> {
        let distance = i64::try_from(distance).ok()?;
        let symbol = match region {
            Region::Inside(symbol) => symbol.into(),
            Region::Below => i64::from(self.low - 1).checked_sub(distance)?,
            Region::Above => i64::from(self.low + self.symbols).checked_add(distance)?,
        };
        i32::try_from(symbol).ok()
    }
}
