//! The beginning of a restored file from the beginning of its `.lic` file.

use super::header::{Kind, kind};
use super::{dictionary, identity, stored};
use crate::{Error, Result, carve};

/// Returns the beginning of the file that a `.lic` file restores, up to the coefficients of its first picture, with zeros in
/// place of the JPEG pictures nested in it.
///
/// `part` is the beginning of the `.lic` file; how far it reaches is how far the result does. Checksums are not checked.
/// At most `max` bytes are returned.
///
/// # Errors
/// [`Error::Corrupt`], and [`Error::Unsupported`] for other kinds of files.
pub fn head(part: &[u8], max: usize) -> Result<Vec<u8>> {
    match beginning(part, max) {
        Err(Error::Truncated { .. }) => Ok(Vec::new()),
        result => result,
    }
}

fn beginning(part: &[u8], max: usize) -> Result<Vec<u8>> {
    let (mut cursor, identity) = identity::open(part)?;
    if kind(part)? == Kind::Stored {
        return stored::beginning(&mut cursor, max.min(usize::try_from(identity.size).unwrap_or(max)));
    }
    let length = cursor.varint("length of the reconstruction data")?;
    let packed = cursor.varint("length of the packed reconstruction data")?;
    let available = cursor.rest();
    let available = &available[..available.len().min(usize::try_from(packed).unwrap_or(usize::MAX))];
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    carve::head(&dictionary::beginning(available, max.min(length)), length, max)
}
