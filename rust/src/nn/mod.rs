//! Exact networks on integers.
//!
//! Weights and activations of an exact network are small integers times powers of two (`docs/format.md`, section 4). Its
//! matrix products are computed here on the integers, of 16 bits each with sums of 32, and then scaled. A layer is taken
//! only if its weights prove that this gives the numbers that float arithmetic gives, to the bit and in any order.

mod layers;
mod matrix;
mod simd;

#[cfg(test)]
mod tests;

pub use crate::simd::Backend;
pub use layers::{Conv3x3, InputRanges, Linear, Plane};
pub use matrix::{Activation, Rows};
