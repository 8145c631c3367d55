//! Kernels of matrix products.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use super::matrix::{BLOCK_VECTORS, Block, LANES, Out};
use crate::simd::{Backend, Isa};

/// The sums of a row and the outputs of a block.
type Sums = [i32; BLOCK_VECTORS * LANES];
/// Rows that a kernel computes at once, at most.
const MAX_ROWS: usize = 12;

/// Computes a block of a product.
pub(super) fn multiply(backend: Backend, block: &Block, out: &mut Out) {
    match backend.isa() {
        // SAFETY: this processor has these extensions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::multiply(block, out) },
        // SAFETY: this processor has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::multiply(block, out) },
        // SAFETY: this processor has NEON.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => unsafe { neon::multiply(block, out) },
        Isa::Scalar => scalar::multiply(block, out),
    }
}

/// Turns the sums of rows from `row` into results. It is compiled with the instructions of the kernel that calls it.
#[inline]
fn finish(block: &Block, row: usize, sums: &[Sums], out: &mut Out) {
    let n = block.outputs;
    let (scales, biases) = (&block.scales[..n], &block.biases[..n]);
    for (row, sums) in (row..).zip(sums) {
        let sums = &sums[..n];
        let product = |i: usize| sums[i] as f32 * scales[i] + biases[i];
        let start = row * block.stride + block.first;
        match out {
            Out::Set(out) => {
                let out = &mut out[start..][..n];
                (0..n).for_each(|i| out[i] = product(i));
            }
            Out::Add(out) => {
                let out = &mut out[start..][..n];
                (0..n).for_each(|i| out[i] += product(i));
            }
            Out::Activated(activation, out) => {
                let out = &mut out[start..][..n];
                (0..n).for_each(|i| out[i] = activation.apply(product(i)));
            }
        }
    }
}
