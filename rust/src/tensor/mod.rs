//! Arrays to bytes, with their type and shape.
//!
//! | module | the distributions are |
//! |---|---|
//! | [`fitted`] | fitted to the array and stored in the bytes, which describe themselves |
//! | [`modelled`] | the caller's, when encoding and when decoding |
//!
//! [`weights`] are files of many arrays, also of floats.

mod array;
#[cfg(feature = "formats")]
pub mod fitted;
pub mod modelled;
#[cfg(feature = "formats")]
pub mod weights;

pub use array::{ArrayInfo, Dtype, Element, Library, Values};

#[cfg(test)]
mod tests;
