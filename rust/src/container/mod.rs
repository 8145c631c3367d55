//! The `.lic` file: its content, the length of the restored file, and checksums of both. See `docs/format.md`.

mod dictionary;
mod file;
mod head;
mod header;
mod identity;
mod image;
mod jpeg;
mod stored;
mod stream;
#[cfg(test)]
mod tests;
mod tiles;

pub use crate::streams::{join as join_streams, split as split_streams};
pub use file::{Body, Container, unpack};
pub use head::head;
pub use header::{Kind, MAGIC, VERSION, kind};
pub use identity::{Hasher, Hashes, Identity, identify};
pub use image::{ImageBody, LatentsChecksum, Metadata, pack_image};
pub use jpeg::{CodedPicture, JpegBody, duplicates, frames, pack_jpeg};
pub use stored::store;
pub use stream::{StreamError, restore_stream, store_stream};
pub use tiles::{Cuts, cuts};
