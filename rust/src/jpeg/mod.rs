//! JPEG files as quantised DCT coefficients and *reconstruction data*, and back into exactly the same bytes.
//!
//! [`read()`] decodes the Huffman or arithmetic codes of a file (SOF0, SOF1, SOF2, SOF9 and SOF10), and [`write()`]
//! encodes them again. Everything that the coefficients do not determine goes into the reconstruction data: the file
//! without its entropy-coded segments and, where these differ from what libjpeg would have written, notes on the
//! differences. If a segment is damaged or truncated, the bytes that cannot be decoded are kept literally.
//!
//! ```
//! use lic_native::{jpeg, Limits};
//!
//! let file = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/grace_hopper.jpg"));
//! let photo = jpeg::read(file, &Limits::default())?;
//! assert_eq!(photo.frame.components.len(), photo.planes.len());
//!
//! let written = jpeg::write(&photo.reconstruction, &photo.planes, &Limits::default())?;
//! assert_eq!(written, file);
//! # Ok::<(), lic_native::Error>(())
//! ```
//!
//! [`context_model`] compresses the coefficients without a neural network.
//!
//! Sections, annexes and tables in the comments are those of ITU-T T.81, the JPEG standard.

pub(crate) mod annex_k;
mod arithmetic;
mod block;
pub mod context_model;
mod create;
mod file;
mod frame;
mod huffman;
mod huffman_table;
mod intervals;
mod markers;
mod mcu_order;
mod notes;
mod parser;
mod reconstruction;
mod scan;
mod tables;
#[cfg(test)]
mod tests;

pub use create::{NewComponent, create};
pub use file::{Jpeg, Plane, layout, read, read_whole, write};
pub(crate) use file::{application_segments, check_planes, read_first};
pub use frame::{Component, Frame, Steps};
#[cfg_attr(not(feature = "formats"), allow(unused_imports))]
pub(crate) use markers::{SOI, begins_segment};
