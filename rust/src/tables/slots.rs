//! Slots: the integer probability of one symbol, and where it comes from.

/// Binary logarithm of [`TOTAL`].
pub const PRECISION: u32 = 15;

/// The number of slots that a distribution divides among its symbols.
pub const TOTAL: u32 = 1 << PRECISION;

/// The slots of one symbol: the first slot in the low half, the number of slots in the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slots(u32);

/// Slot 0 alone.
impl Default for Slots {
    fn default() -> Self {
        Self::new(0, 1)
    }
}

impl Slots {
    /// Returns the slots `start..end`.
    #[inline]
    pub(crate) fn new(start: u32, end: u32) -> Self {
        debug_assert!(start < end && end <= TOTAL);
        Self(start | (end - start) << 16)
    }

    /// Returns `freq` slots from `start` on.
    #[inline(always)]
    pub(crate) fn starting(start: u32, freq: u32) -> Self {
        debug_assert!(freq > 0 && start + freq <= TOTAL);
        Self(start | freq << 16)
    }

    /// Returns both halves as one integer.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn to_bits(self) -> u32 {
        self.0
    }

    /// Returns the first slot.
    #[inline]
    pub fn start(self) -> u32 {
        self.0 & 0xffff
    }

    /// Returns the number of slots, 1 to 2^15: the symbol's probability is `freq` / 2^15.
    #[inline]
    pub fn freq(self) -> u32 {
        self.0 >> 16
    }
}

/// A symbol or an escape among all those of a distribution, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    /// The number of symbols and escapes before it.
    pub(crate) rank: u32,
    /// The distribution function below and above it, times 2^16.
    pub(crate) bounds: [u32; 2],
    /// The number of slots that are left once each symbol and each escape has one.
    pub(crate) spare: u32,
}

impl Interval {
    /// Returns its slots: one, and a part of the spare ones.
    #[inline(always)]
    pub(crate) fn slots(&self) -> Slots {
        let [start, end] = self.bounds.map(|bound| self.rank + ((bound * self.spare) >> 16));
        Slots::new(start, end + 1)
    }

    /// Returns it among those of a distribution whose function is a curve of this one's. The curve must not decrease, from
    /// 0 at 0 to 2^16 at 2^16.
    #[inline(always)]
    pub(crate) fn by(self, curve: impl Fn(u32) -> u32) -> Self {
        Self { bounds: self.bounds.map(curve), ..self }
    }
}

/// The [`Interval`]s of a block of symbols, in arrays.
#[derive(Debug, Clone)]
pub struct Intervals<const N: usize> {
    pub(crate) ranks: [u32; N],
    /// Below the symbols, and above them.
    pub(crate) bounds: [[u32; N]; 2],
    pub(crate) spares: [u32; N],
}

impl<const N: usize> Intervals<N> {
    pub(crate) const EMPTY: Self = Self { ranks: [0; N], bounds: [[0; N]; 2], spares: [0; N] };

    /// Puts one in its place.
    pub(crate) fn set(&mut self, j: usize, interval: Interval) {
        (self.ranks[j], self.spares[j]) = (interval.rank, interval.spare);
        [self.bounds[0][j], self.bounds[1][j]] = interval.bounds;
    }

    #[cfg(test)]
    pub(crate) fn get(&self, j: usize) -> Interval {
        Interval { rank: self.ranks[j], bounds: self.bounds.map(|bounds| bounds[j]), spare: self.spares[j] }
    }

    /// Fills in the slots of all.
    #[inline(always)]
    pub(crate) fn slots(&self, slots: &mut [Slots; N]) {
        for (j, slots) in slots.iter_mut().enumerate() {
            let [start, end] = [0, 1].map(|i| self.ranks[j] + ((self.bounds[i][j] * self.spares[j]) >> 16));
            *slots = Slots(start | (end + 1 - start) << 16);
        }
    }
}
