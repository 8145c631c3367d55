//! Integer arrays to bytes that describe themselves. The encoder tries several methods and takes the smallest result.
//!
//! # Layout
//! A *varint* is an integer in little-endian base 128. A *zigzag* is a varint of `2 v` for `v >= 0` and of `-2 v - 1` for
//! `v < 0`.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `89 4C 49 54`: `\x89LIT` |
//! | 1 | version, 1 |
//! | 1 | bits 0–6: [`Dtype`](super::Dtype); 7: [`Library`](super::Library) |
//! | varint, then a varint each | number of dimensions, dimensions |
//! | 1 | method |
//! | varint | length of the payload |
//! | … | payload |
//! | 4 | CRC-32 of everything before, little-endian |
//! | 8 | XXH3-64 of the values as little-endian integers, little-endian |
//!
//! The method determines the payload. The values are in row-major order, and a rANS stream (see [`ans`](crate::ans)) codes
//! all of them as one group:
//!
//! | method | payload |
//! |---|---|
//! | 0 | the values, little-endian |
//! | 1 | the same compressed by Zstandard |
//! | 2 | dictionary: see below |
//! | 3 | slices of Gaussian distributions: see below |
//! | 4 | slices of Laplace distributions |
//!
//! **Dictionary.** The distinct values in increasing order, as runs of consecutive integers: a varint with the number of
//! runs; for each run a zigzag with its first value minus the integer after the previous run (after 0 for the first run),
//! and a varint with its length minus 1; for each value a varint with its frequency of 2^15, of which at least one is left
//! to an escape that is never used. Then a rANS stream of positions in the dictionary, which is absent if there is only one
//! value.
//!
//! **Slices.** Varints `inner` and `channels`: value `i` belongs to slice `i / inner % channels`, so that each index along
//! some axis, or each block, is a slice. For each slice a zigzag mean, then for each slice a byte that names a row of the
//! 64 scales `scale_table(0.11, 256, 64)`; then a rANS stream of value minus mean.

mod candidate;
mod decode;
mod dictionary;
mod encode;
mod header;
mod raw;
mod sink;
mod slices;
pub(super) mod zigzag;

pub use decode::{Tensor, decode, read_head};
pub use encode::encode;
pub(crate) use header::MAGIC;
#[cfg(test)]
pub(super) use header::{Method, VERSION};
