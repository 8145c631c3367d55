//! Interleaved rANS: integers and their distributions to bytes, and back.
//!
//! # Coding
//! 1 to 64 *lanes*, each a 32-bit rANS state of at least 2^16, share one stream of 16-bit words. Symbols come
//! in *groups*, one for each call: element `i` of a group belongs to lane `i % lanes`, whatever came before.
//! With a symbol's slots `start..start + freq` of 2^15, decoding it is
//! ```text
//! slot  = state % 2^15                       (which names the symbol)
//! state = freq * (state / 2^15) + slot - start
//! if state < 2^16 { state = state * 2^16 + next word }
//! ```
//! element after element, so words lie in element order. The encoder does the inverse from the last element
//! of the last group to the first; it starts each lane at 2^16, where the decoder must therefore end.
//!
//! A symbol outside its distribution's support is coded as the escape, and how far outside it lies goes to a
//! separate string of bytes, the *escapes*: little-endian base 128 with the high bit on every byte but the
//! last, in coding order. The distance is `d = 0, 1, …` from the nearest symbol outside.
//! [`Tables`](crate::tables::Tables) have one escape, and `2 d` is stored above the support, `2 d + 1` below;
//! a [`LogisticMixture`](crate::tables::LogisticMixture) has an escape on either side, and `d` is stored.
//!
//! # Stream
//! A stream that carries no information is empty. Any other is:
//!
//! | bytes | |
//! |---|---|
//! | 1 | bits 0–2: log2 of the number of lanes; 3: there are escapes; 4–6: bytes of a state, 0 to 4; 7: 0 |
//! | if there are escapes | their length in bytes (base 128, as above), then the escapes |
//! | lanes × bytes of a state | each lane's first state minus 2^16, little-endian |
//! | the rest | the words, little-endian |
//!
//! Lane count is the encoder's choice. A SIMD [`Backend`] is only faster: it makes the same bytes.

pub(crate) mod adaptive;
mod chunks;
mod decoder;
mod encoder;
mod model;
mod simd;
mod stream;
mod symbol;

pub(crate) use chunks::in_parallel;
pub use chunks::{cores, decode, encode, Chunks};
pub use decoder::Decoder;
pub use encoder::Encoder;
use model::{Around, LocatedParams, Spots};
pub use model::{
    BlockRows, Categoricals, Component, Index, Located, MixtureOf, Mixtures, Model, Parameter, Rows,
};
pub use simd::Backend;
pub use stream::Stream;
pub use symbol::Symbol;

/// Frequencies sum to 2^15.
pub use crate::tables::PRECISION;

/// A state is at least this.
const LOWER_BOUND: u32 = 1 << 16;
const MAX_LANES: usize = 64;
/// Elements that are coded at once: a multiple of every number of lanes.
const BLOCK: usize = MAX_LANES;
/// Elements whose parameters are loaded at once, in a form that vectors can take: many, since what was only just stored
/// piece by piece is slow to load as a whole.
const BATCH: usize = 16 * BLOCK;
const MASK: u32 = (1 << PRECISION) - 1;

const HAS_ESCAPES: u8 = 1 << 3;
const STATE_BYTES_SHIFT: u32 = 4;

/// The positions of the bits that are set, in order.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros() as usize;
        let more = set != 0;
        set &= set.wrapping_sub(1);
        more.then_some(lowest)
    })
}

/// There must be a symbol for each element of the model.
fn check_count(symbols: usize, elements: usize) -> crate::Result<()> {
    if symbols == elements {
        return Ok(());
    }
    Err(crate::Error::InvalidArgument(format!("{symbols} symbols for {elements} distributions")))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::Random;
