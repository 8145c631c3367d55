//! The same coder on many lanes at once.
//!
//! A backend works on blocks of 64 elements of one group. Its states, words and slots are exactly those of the scalar
//! code. The scalar code does the rest: elements after the last whole block, streams of fewer than 16 lanes, and the few
//! searches that leave their bucket.
#![allow(unsafe_code)]

pub(super) mod adaptive_row;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_curves;
#[cfg(target_arch = "x86_64")]
mod avx512_likely;
#[cfg(target_arch = "x86_64")]
mod avx512_pairs;
mod backend;
mod block;
#[cfg(target_arch = "aarch64")]
mod neon;
mod prefetch;

pub use crate::simd::Backend;
pub(super) use backend::MIN_LANES;
pub(super) use block::{BlockRows, Likely, LocatedBlock, set_bits};
pub(super) use prefetch::prefetch;
