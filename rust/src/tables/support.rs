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
/// The argument `start` of a method maps `j`, 0 to `symbols`, to the first slot of symbol `low + j`: a strictly increasing
/// function with values of at least 1 and below 2^15.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Support {
    pub(crate) low: i32,
    pub(crate) symbols: i32,
}

/// Where symbol `j` of a support begins: the distribution function below it, times 2^16, and its first slot.
#[derive(Debug, Clone, Copy)]
struct Begin {
    j: i32,
    bound: u32,
    slot: u32,
}

impl Begin {
    #[inline(always)]
    fn new(j: i32, bound: u32, spare: u32) -> Self {
        Self { j, bound, slot: 1 + j as u32 + ((bound * spare) >> 16) }
    }
}

impl Support {
    /// The largest distance of a support's ends from its centre.
    pub(crate) const MAX_RADIUS: i32 = 2047;

    /// Returns the symbols.
    #[cfg(test)]
    pub(super) fn range(self) -> std::ops::Range<i32> {
        self.low..self.low + self.symbols
    }

    /// Returns the number of slots that are left once each symbol and each escape has one.
    #[inline]
    pub(crate) fn spare(self) -> u32 {
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

    /// Returns the owner of a slot and where it lies in the distribution, of which `bound` maps `j` to the function below symbol
    /// `low + j`, times 2^16. The search begins at the symbol nearest to `low + guess`.
    #[inline]
    pub(super) fn find(self, slot: u32, guess: i32, bound: impl Fn(i32) -> u32) -> (Region, Interval) {
        let begin = |j| Begin::new(j, bound(j), self.spare());
        let guess = guess.clamp(0, self.symbols - 1);
        let (first, next) = (begin(guess), begin(guess + 1));
        if slot < first.slot {
            self.find_below(slot, first, begin)
        } else if slot >= next.slot {
            self.find_above(slot, next, begin)
        } else {
            self.inside(first, next)
        }
    }

    fn inside(self, first: Begin, next: Begin) -> (Region, Interval) {
        let bounds = [first.bound, next.bound];
        (
            Region::Inside(self.low + first.j),
            Interval { rank: 1 + first.j as u32, bounds, spare: self.spare() },
        )
    }

    /// Finds the owner of a slot below that of `high`: first by steps of doubling length downwards, then by bisection.
    fn find_below(self, slot: u32, mut high: Begin, begin: impl Fn(i32) -> Begin) -> (Region, Interval) {
        let mut step = 1;
        loop {
            let low = begin((high.j - step).max(0));
            if low.slot <= slot {
                return self.bisect(slot, low, high, begin);
            }
            if low.j == 0 {
                let interval = Interval { rank: 0, bounds: [0, low.bound], spare: self.spare() };
                return (Region::Below, interval);
            }
            (high, step) = (low, 2 * step);
        }
    }

    /// Finds the owner of a slot in the same way upwards from `low`, whose slot is not above.
    fn find_above(self, slot: u32, mut low: Begin, begin: impl Fn(i32) -> Begin) -> (Region, Interval) {
        let mut step = 1;
        loop {
            if low.j == self.symbols {
                let rank = 1 + self.symbols as u32;
                let interval = Interval { rank, bounds: [low.bound, 1 << 16], spare: self.spare() };
                return (Region::Above, interval);
            }
            let high = begin((low.j + step).min(self.symbols));
            if slot < high.slot {
                return self.bisect(slot, low, high, begin);
            }
            (low, step) = (high, 2 * step);
        }
    }

    /// Finds the owner of a slot, given a symbol that begins at or before the slot and one that begins after it.
    fn bisect(
        self,
        slot: u32,
        mut low: Begin,
        mut high: Begin,
        begin: impl Fn(i32) -> Begin,
    ) -> (Region, Interval) {
        while high.j - low.j > 1 {
            let middle = begin(low.j + (high.j - low.j) / 2);
            *(if middle.slot <= slot { &mut low } else { &mut high }) = middle;
        }
        self.inside(low, high)
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
