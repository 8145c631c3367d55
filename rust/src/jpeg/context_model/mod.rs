//! An adaptive context model for coefficients, which needs no neural network.
//!
//! The ideas are those of packJPG, Lepton and brunsli: the distribution of a coefficient depends on the magnitudes
//! around it, in its block and in earlier blocks; the first row, the first column and DC depend also on how the image
//! continues across the boundary between blocks. Here both are linear predictions with weights learnt from photographs,
//! and the distribution of each context starts from statistics of photographs and adapts to the file. So small images
//! compress well too, and large ones can be cut into bands for many threads at little cost.
//!
//! All arithmetic is on integers: the bytes are the same on any machine.

mod band_coder;
mod bands;
mod boundary;
mod component;
mod contexts;
mod prior;
mod statistics;
mod steps;
#[cfg(test)]
mod tests;
mod zigzag;

pub use bands::{decode, decode_rows, encode};
pub use prior::fingerprint;
pub use statistics::{Counts, Statistics};
