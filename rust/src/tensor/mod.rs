//! Integer arrays to bytes, with their type and shape.
//!
//! | module | the distributions are |
//! |---|---|
//! | [`fitted`] | fitted to the array and stored in the bytes, which describe themselves |
//! | [`modelled`] | the caller's, when encoding and when decoding |

mod array;
#[cfg(feature = "formats")]
pub mod fitted;
pub mod modelled;

pub use array::{ArrayInfo, Dtype, Element, Library, Values};

#[cfg(test)]
mod tests;
