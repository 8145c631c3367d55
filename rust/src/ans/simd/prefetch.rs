//! Hints to the processor about memory that is needed soon.

#[cfg(target_arch = "x86_64")]
use crate::ans::constants::{BATCH, BLOCK};

/// Asks for `count` elements, which need not exist.
#[inline]
pub(in crate::ans) fn prefetch<T>(elements: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..count * size_of::<T>() / 64 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(elements.wrapping_byte_add(64 * line).cast()) };
    }
    let _ = (elements, count);
}

/// Asks for the symbols one batch further on.
///
/// Large groups are encoded from the end in pieces, each piece from its front, while the processor by itself expects the
/// pages of memory to be read in order.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn prefetch_next(symbols: &[i32; BLOCK]) {
    prefetch(symbols.as_ptr().wrapping_add(BATCH), BLOCK);
}
