//! Slots: the integer probability of one symbol.

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
