//! Blocks of coefficients, and sets of coefficients as bit masks.

/// The coefficients of a block in zig-zag order.
pub(super) type Block = [i16; 64];

/// Returns a mask whose bit `k` is set where the condition holds for coefficient `k`.
#[inline(always)]
pub(super) fn mask(block: &Block, condition: impl Fn(i16) -> bool) -> u64 {
    let flags = block.map(|coefficient| u8::from(condition(coefficient)));
    let octets = flags.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    // The product gathers the lowest bit of every byte in its top byte.
    octets.rev().fold(0, |mask, octet| mask << 8 | octet.wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

/// Iterates over the positions of the bits of a mask, in increasing order.
#[inline(always)]
pub(super) fn positions(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let position = mask.trailing_zeros() as usize;
        mask &= mask.checked_sub(1)?;
        Some(position)
    })
}
