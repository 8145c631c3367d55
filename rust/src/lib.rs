//! Entropy coding for learned image compression, and the file formats built on it. This crate is the native half of the
//! Python package `lic_native`. Of its neural networks it computes the one for JPEG coefficients, and torch the others.
//!
//! # Code symbols with your own model
//! An [`Encoder`](ans::Encoder) turns integers into bytes, given a distribution for each integer. A
//! [`Decoder`](ans::Decoder) with the same distributions turns the bytes into the same integers, on any machine.
//!
//! ```
//! use lic_native::ans::{Decoder, Encoder, TableRows};
//! use lic_native::tables;
//!
//! let tables = tables::gaussian(&[0.5, 2.0, 8.0], 1)?; // a row for each standard deviation
//! let (symbols, rows) = ([0, -3, 11, 1], [0u8, 1, 2, 0]);
//! let model = TableRows::new(&tables, &rows);
//!
//! let mut encoder = Encoder::new();
//! encoder.put(&symbols, &model)?;
//! let bytes = encoder.finish();
//! assert_eq!(bytes, [64, 205, 218, 44, 29]);
//!
//! let mut decoded = [0; 4];
//! let mut decoder = Decoder::new(&bytes)?;
//! decoder.get(&model, &mut decoded)?;
//! decoder.finish()?;
//! assert_eq!(decoded, symbols);
//! # Ok::<(), lic_native::Error>(())
//! ```
//!
//! # Store an array without a model
//! A [fitted tensor](tensor::fitted) describes itself: its bytes hold the distributions, the type and the shape.
//!
//! ```
//! # #[cfg(feature = "formats")] {
//! use lic_native::tensor::{fitted, Library, Values};
//! use lic_native::Limits;
//!
//! let values = [3i16, 3, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3];
//! let bytes = fitted::encode(&values, &[4, 4], Library::NumPy, None)?;
//! assert_eq!(bytes[..9], *b"\x89LIT\x01\x03\x02\x04\x04"); // version 1, type i16, 2 dimensions: 4 and 4
//! assert_eq!(bytes[9..19], [3, 8, 16, 1, 6, 7, 48, 84, 30, 85]); // method 3, a payload of 8 bytes
//! assert_eq!(bytes[19..], [39, 27, 43, 180, 194, 242, 83, 65, 10, 56, 7, 75]); // checksums
//!
//! let tensor = fitted::decode(&bytes, &Limits::default())?;
//! assert_eq!((tensor.shape, tensor.values), (vec![4, 4], Values::I16(values.to_vec())));
//! # }
//! # Ok::<(), lic_native::Error>(())
//! ```
//!
//! # Map
//! | module | turns | into |
//! |---|---|---|
//! | [`tables`] | scales, probabilities or counts | integer distributions, the same on every machine |
//! | [`ans`] | integers and their distributions | bytes, by interleaved rANS |
//! | [`tensor`] | integer arrays | bytes with their type and shape |
//! | [`jpeg`] | JPEG files | quantised coefficients, and the rest of the file |
//! | [`carve`] | files that contain JPEG files | the same for each of these |
//! | [`container`] | the coded parts of a file or an image | a `.lic` file |
//!
//! All of them also do the reverse. Every decoder returns an [`Error`] for data that it cannot decode, and never panics.
//! Decoders whose output may be much larger than their input take [`Limits`].
//!
//! # Features
//! - `formats` (default): [`container`], [`carve`] and [`tensor::fitted`], which need zstd and so a C compiler.
//! - `python`: the extension module `lic_native._native`.

mod bytes;
mod error;
mod interrupt;
mod limits;
mod parallel;
mod simd;
#[cfg_attr(not(feature = "formats"), allow(unreachable_pub))] // `container` exports it.
mod streams;

pub mod ans;
#[cfg(feature = "formats")]
#[allow(unreachable_pub)]
pub mod carve;
#[cfg(feature = "formats")]
#[allow(unreachable_pub)]
pub mod container;
#[cfg_attr(not(feature = "formats"), allow(dead_code, unused_imports))] // Only `carve` uses some of it.
#[allow(unreachable_pub)]
pub mod jpeg;
#[doc(hidden)]
pub mod nn;
pub mod tables;
pub mod tensor;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result, Unsupported};
pub use limits::Limits;
