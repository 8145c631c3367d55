//! JPEG files embedded in a file of any format, carved out of it, and back into exactly the same bytes.
//!
//! [`read()`] replaces each JPEG by its [reconstruction data](crate::jpeg), which leaves the *residue* of the file.
//! Thumbnails are JPEGs too: they are nested in another JPEG, in the contents of its APP and COM segments, and so in
//! its reconstruction data. Everything that is not a coefficient is therefore in one string of bytes, the
//! reconstruction data of the file:
//!
//! ```text
//! reconstruction = varint number of JPEGs, then for each, in the order in which their reconstruction data begin:
//!                    varint distance of this beginning from the previous one, or from that of the residue
//!                    varint bytes of the residue after the end of its reconstruction data
//!                    varint length of the JPEG if it is nested in another, else 0
//!                  residue
//! ```
//!
//! A JPEG stays in the residue if it would not be written again exactly, or if it is too small to be worth coding.

mod finder;
mod head;
mod residue;
mod restore;
mod search;
#[cfg(test)]
mod tests;

pub use finder::Finder;
pub use head::{head, nested_at};
pub use residue::MAX_JPEGS;
pub(crate) use residue::RECONSTRUCTION_SURPLUS;
pub(crate) use restore::count;
pub use restore::{begins_with_jpeg, layout, write};
pub use search::{CarvedFile, EmbeddedJpeg, read};
