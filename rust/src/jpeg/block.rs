//! A block of coefficients, and sets of them as bit masks.

use super::header::{Band, ScanKind};

/// The coefficients of a block in zig-zag order.
pub(super) type Block = [i16; 64];

/// Bit `k` is set where the condition holds for coefficient `k`.
#[inline(always)]
pub(super) fn mask(block: &Block, condition: impl Fn(i16) -> bool) -> u64 {
    let flags = block.map(|coefficient| u8::from(condition(coefficient)));
    let octets = flags.chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
    // The product gathers the lowest bit of every byte in its top byte.
    octets.rev().fold(0, |mask, octet| mask << 8 | octet.wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

/// The positions of the bits of a mask, in increasing order.
#[inline(always)]
pub(super) fn positions(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let position = mask.trailing_zeros() as usize;
        mask &= mask.checked_sub(1)?;
        Some(position)
    })
}

impl Band {
    /// Mask of the coefficients from `k` to the end of the band.
    #[inline(always)]
    pub fn mask_from(&self, k: usize) -> u64 {
        u64::MAX.checked_shl(k as u32).unwrap_or(0) & u64::MAX >> (63 - self.se)
    }
}

impl ScanKind {
    /// Makes a block as it was before the scan, even if only part of it has been decoded.
    pub fn undo(&self, block: &mut Block) {
        match *self {
            Self::Sequential => *block = [0; 64],
            Self::DcFirst { .. } => block[0] = 0,
            Self::DcRefinement { al } => block[0] &= !(1 << al),
            Self::AcFirst(Band { ss, se, .. }) => block[ss..=se].fill(0),
            Self::AcRefinement(Band { ss, se, al }) => {
                for coefficient in &mut block[ss..=se] {
                    let magnitude = coefficient.unsigned_abs() & !(1 << al);
                    *coefficient = magnitude as i16 * coefficient.signum();
                }
            }
        }
    }
}
