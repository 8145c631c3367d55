//! Interleaved rANS: integers and their distributions to bytes, and back.
//!
//! [`Encoder`] and [`Decoder`] code groups of symbols one after another into one stream. [`encode`] and [`decode`] code one
//! large group on several threads. Either takes an [`EntropyModel`], which gives each symbol of a group its distribution:
//!
//! | model | distribution of element `i` |
//! |---|---|
//! | [`TableRows`] | a row of [`Tables`](crate::tables::Tables) |
//! | [`LocationScale`] | Gaussian, Laplace or logistic, with a mean and a scale |
//! | [`Mixture`] | a weighted sum of up to 8 of these |
//! | [`Categorical`] | one probability for each symbol |
//! | [`LogisticPair`] | a mixture of two logistic distributions, with integer parameters |
//!
//! # Coding
//! 1 to 64 *lanes*, each a 32-bit rANS state of at least 2^16, share one stream of 16-bit words. Symbols come in
//! *groups*, one for each call: element `i` of a group belongs to lane `i % lanes`, whatever came before. With a
//! symbol's slots `start..start + freq` of 2^15, decoding it is
//! ```text
//! slot  = state % 2^15                       (which names the symbol)
//! state = freq * (state / 2^15) + slot - start
//! if state < 2^16 { state = state * 2^16 + next word }
//! ```
//! element after element, so words lie in element order. The encoder does the inverse from the last element of the last
//! group to the first. It starts each lane at 2^16, where the decoder must therefore end.
//!
//! A symbol outside its distribution's support is coded as the *escape*. Its distance from the support goes to a
//! separate string of bytes, the *escapes*, in coding order: little-endian base 128 with the high bit set on every byte
//! but the last. The nearest symbol outside has the distance `d = 0`. [`Tables`](crate::tables::Tables) have one escape:
//! `2 d` is stored above the support and `2 d + 1` below it. Mixtures have an escape on either side, and `d` is stored.
//!
//! # Stream
//! A stream that carries no information is empty. Any other stream is:
//!
//! | bytes | |
//! |---|---|
//! | 1 | bits 0–2: log2 of the number of lanes, or 7 if there are combs; 3: there are escapes; 4–6: bytes of a state, 0 to 4; 7: groups with contexts are calibrated |
//! | if there are combs | log2 of the number of lanes (1 byte); the number of runs of contexts with combs; for each, the contexts skipped before it, and its own less 1 (base 128) |
//! | if there are escapes | their length in bytes (base 128, as above), then the escapes |
//! | lanes × bytes of a state | each lane's first state minus 2^16, little-endian |
//! | the rest | the words, little-endian |
//!
//! Groups with [`Contexts`] can be calibrated: what was coded before corrects their distributions, and in some contexts the
//! frequencies of single values as well, by *combs*. docs/format.md, section 5, says how.
//!
//! The encoder chooses the number of lanes. Every SIMD [`Backend`] makes the same bytes.

pub(crate) mod adaptive;
mod calibration;
mod comb;
mod constants;
mod decoder;
mod encoder;
mod models;
mod parts;
mod simd;
mod stream;
mod symbol;

pub use calibration::Contexts;
pub use decoder::{Decoder, StreamHead};
pub use encoder::Encoder;
pub use models::{
    Calibrated, Categorical, EntropyModel, Index, LocationScale, LogisticPair, Mixture, MixtureComponent,
    Parameter, TableRows,
};
pub use parts::{Parts, decode, encode, encode_in_contexts, stream_heads};
pub use simd::Backend;
pub use stream::Stream;
pub use symbol::Symbol;

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) use tests::Random;
