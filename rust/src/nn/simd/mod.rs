//! Kernels of matrix products.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::matrix::{Block, Out};
use crate::simd::{Backend, Isa};

/// Computes a block of a product.
pub(super) fn multiply(backend: Backend, block: &Block, out: &mut Out) {
    match backend.isa() {
        // SAFETY: this processor has these extensions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::multiply(block, out) },
        _ => scalar::multiply(block, out),
    }
}
