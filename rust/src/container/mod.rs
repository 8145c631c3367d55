//! The `.lic` file: its content, the length of the restored file, and checksums of both. See `docs/format.md`.

mod dictionary;
mod file;
mod header;
mod image;
mod jpeg;
mod stored;
#[cfg(test)]
mod tests;
mod tiles;

pub use crate::streams::{join as join_streams, split as split_streams};
pub use file::{unpack, verify, Body, Container};
pub use header::{kind, Kind, MAGIC, VERSION};
pub use image::{pack_image, ImageBody, LatentsChecksum, Metadata};
pub use jpeg::{duplicates, frames, pack_jpeg, CodedPicture, JpegBody};
pub use stored::store;
pub use tiles::cuts;
