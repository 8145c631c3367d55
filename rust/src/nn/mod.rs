//! Exact networks on integers.
//!
//! Weights and activations of an exact network are small integers times powers of two (`docs/format.md`, section 4). Its
//! matrix products are computed here on the integers, of 16 bits each with sums of 32, and then scaled. A layer is taken
//! only if its weights prove that this gives the numbers that float arithmetic gives, to the bit and in any order.
//! Between products stand single operations on floats ([`pointwise`]).
//!
//! [`Mlcc`] is the network of JPEG files, and [`Msp`] that of the latents of images. They are defined by
//! `lic_native/models/mlcc.py` and `msp.py`, and walk the symbols of a picture in the same order, with the same roundings.

#[cfg(feature = "formats")]
mod coder;
#[cfg(feature = "formats")]
mod config;
#[cfg(feature = "formats")]
mod context;
#[cfg(feature = "formats")]
mod histogram;
mod layers;
mod matrix;
#[cfg(feature = "formats")]
mod mlcc;
#[cfg(feature = "formats")]
mod msp;
#[cfg(feature = "formats")]
mod parameters;
#[cfg_attr(not(feature = "formats"), allow(dead_code))] // Only the walk uses some of it.
pub mod pointwise;
mod simd;

#[cfg(test)]
mod tests;

pub use crate::simd::Backend;
#[cfg(feature = "formats")]
pub use context::{LARGEST_SIDE, Symbols};
#[cfg(feature = "formats")]
pub use histogram::is_comb;
pub use layers::{Conv3x3, InputRanges, Linear, Plane};
pub use matrix::{Activation, Rows};
#[cfg(feature = "formats")]
pub use mlcc::{Mlcc, Sampling};
#[cfg(feature = "formats")]
pub use msp::Msp;
