//! Sizes that encoder, decoder and SIMD backends share.

use crate::tables::PRECISION;

/// The smallest state.
pub(super) const LOWER_BOUND: u32 = 1 << 16;
/// The bits of a state that name a slot.
pub(super) const SLOT_MASK: u32 = (1 << PRECISION) - 1;
pub(super) const MAX_LANES: usize = 64;
/// Elements that a backend codes in one call: a multiple of every number of lanes.
pub(super) const BLOCK: usize = MAX_LANES;
/// Elements whose parameters are loaded in one call. There are many, because a vector load is slow where its bytes have
/// only just been stored one element at a time.
pub(super) const BATCH: usize = 16 * BLOCK;
/// Symbols that are coded between two checks for cancellation.
pub(super) const PIECE: usize = 32 * BATCH;

/// The bit of a stream's first byte that says that there are escapes.
pub(super) const HAS_ESCAPES: u8 = 1 << 3;
/// The bits of a stream's first byte that say that some contexts have combs. They stand where those of the lanes do else.
pub(super) const HAS_COMBS: u8 = 7;
/// The bit of a stream's first byte that says that groups with contexts are calibrated.
pub(super) const IS_CALIBRATED: u8 = 1 << 7;
/// The bytes of a state are above these bits of a stream's first byte.
pub(super) const STATE_BYTES_SHIFT: u32 = 4;
