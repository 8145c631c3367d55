//! A row of slots as a distribution function, which a curve can change.

use super::slots::{Interval, Slots, TOTAL};

/// The first slots of a row's symbols and of its escape, in their order. Each is a *rank*.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowCdf<'a>(pub(crate) &'a [u16]);

impl RowCdf<'_> {
    /// Returns the number of slots that are left once each symbol and the escape have one.
    #[inline]
    fn spare(self) -> u32 {
        TOTAL - self.0.len() as u32
    }

    /// Returns the distribution function below a rank, times 2^16: rounded up, so that an unchanged one gives the row's slots.
    #[inline]
    fn bound(self, rank: u32) -> u32 {
        let start = self.0.get(rank as usize).map_or(TOTAL, |&start| start.into());
        ((start - rank) << 16).div_ceil(self.spare().max(1))
    }

    /// Returns the slots of a rank.
    #[inline]
    pub(crate) fn slots(self, rank: u32) -> Slots {
        let [start, end] =
            [0, 1].map(|i| self.0.get((rank + i) as usize).map_or(TOTAL, |&start| start.into()));
        Slots::new(start, end)
    }

    /// Returns where a rank lies in the distribution.
    #[inline]
    pub(crate) fn interval(self, rank: u32) -> Interval {
        Interval { rank, bounds: [self.bound(rank), self.bound(rank + 1)], spare: self.spare() }
    }

    /// Returns the rank that owns a slot by a curve of the distribution function. The search begins at rank `guess`: by steps
    /// of doubling length, then by bisection.
    #[inline]
    pub(crate) fn find_by(self, slot: u32, guess: u32, curve: impl Fn(u32) -> u32) -> u32 {
        let starts_by = |rank| rank + ((curve(self.bound(rank)) * self.spare()) >> 16) <= slot;
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while !starts_by(low) {
            (low, high, step) = (low.saturating_sub(step), low, 2 * step);
        }
        let ranks = self.0.len() as u32;
        while high < ranks && starts_by(high) {
            (low, high, step) = (high, (high + step).min(ranks), 2 * step);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            *(if starts_by(middle) { &mut low } else { &mut high }) = middle;
        }
        low
    }
}
