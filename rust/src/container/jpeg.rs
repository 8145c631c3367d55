//! Kind 1: a file whose JPEG pictures are coded.

use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

use super::header::{KIND_JPEG, header, put_section, sealed, take_rest, take_section};
use super::{Hashes, dictionary};
use crate::bytes::{Cursor, put_varint};
use crate::jpeg::Frame;
use crate::limits::check;
use crate::{Error, Limits, Result, carve};

/// In place of a coder's number: the picture is a duplicate, and its data are the index of the earlier one.
const DUPLICATE: u64 = 0;

/// A file whose JPEG pictures are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JpegBody {
    /// The file without its pictures' coefficients, from [`carve::read`].
    pub reconstruction: Vec<u8>,
    /// The coefficients of the pictures, in the order of the reconstruction data.
    pub pictures: Vec<CodedPicture>,
}

/// The coefficients of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodedPicture {
    /// Coded coefficients.
    Coded {
        /// Number of the model or other coder, as registered in `docs/format.md`.
        coder: u64,
        /// Fingerprint of the coder's weights and tables.
        fingerprint: u32,
        /// The bytes from the coder.
        data: Vec<u8>,
    },
    /// The coefficients of an earlier picture, by its index.
    DuplicateOf(u16),
}

impl JpegBody {
    /// Returns the frames of all pictures of a file of `size` bytes. See [`frames`].
    ///
    /// # Errors
    /// As [`frames`]; and [`Error::Corrupt`] if a picture's size differs from that of the picture it is a duplicate of.
    pub fn frames(&self, size: u64, limits: &Limits) -> Result<Vec<Frame>> {
        let frames = frames(&self.reconstruction, size, limits)?;
        for (frame, picture) in frames.iter().zip(&self.pictures) {
            if let CodedPicture::DuplicateOf(index) = picture {
                let blocks = |frame: &Frame| frame.components.iter().map(|c| c.blocks()).collect::<Vec<_>>();
                if frames.get(usize::from(*index)).map(blocks) != Some(blocks(frame)) {
                    let what = "a picture repeats one of another size".into();
                    return Err(Error::Corrupt { what, offset: 0 });
                }
            }
        }
        Ok(frames)
    }
}

/// Returns the frames of the pictures of a file of `size` bytes. Since each block takes a bit of the file at least, the
/// size bounds the number of blocks as well.
///
/// # Errors
/// As [`carve::layout`].
pub fn frames(reconstruction: &[u8], size: u64, limits: &Limits) -> Result<Vec<Frame>> {
    let max_blocks = limits.max_blocks.min(size.saturating_mul(8));
    carve::layout(reconstruction, &Limits { max_blocks, max_output_bytes: size })
}

/// Returns, for each picture, the index of the first picture with the same coefficients if that is an earlier one. Some
/// files hold one thumbnail twice.
pub fn duplicates<P: Hash + Eq>(pictures: &[P]) -> Vec<Option<u16>> {
    if pictures.len() == 1 {
        // Nearly all files hold one picture, which need not be hashed.
        return vec![None];
    }
    let mut first = HashMap::new();
    let mut earlier = |(index, picture)| match first.entry(picture) {
        Entry::Occupied(entry) => Some(*entry.get()),
        Entry::Vacant(entry) => {
            // Later pictures cannot be referred to.
            u16::try_from(index).ok().map(|index| entry.insert(index));
            None
        }
    };
    pictures.iter().enumerate().map(&mut earlier).collect()
}

/// Returns a file that restores `original` from its coded pictures.
///
/// # Errors
/// [`Error::InvalidArgument`] if the number of pictures is not that of the reconstruction data, a coder has two fingerprints, or a
/// picture is a duplicate of a later one; [`Error::Interrupted`].
pub fn pack_jpeg(original: &[u8], body: &JpegBody, hashes: Hashes) -> Result<Vec<u8>> {
    let count = carve::count(&body.reconstruction)?;
    if body.pictures.len() != count {
        return Err(Error::InvalidArgument(format!(
            "{} pictures where there are {count}",
            body.pictures.len()
        )));
    }
    let mut out = header(KIND_JPEG, original, hashes)?;
    let reconstruction = dictionary::compress(&body.reconstruction)?;
    put_varint(&mut out, body.reconstruction.len() as u64);
    put_section(&mut out, &reconstruction);
    let mut fingerprints = HashMap::new();
    for (index, picture) in body.pictures.iter().enumerate() {
        let (coder, fingerprint, data) = match picture {
            CodedPicture::Coded { coder: DUPLICATE, .. } => {
                return Err(Error::InvalidArgument("a coder of number 0".into()));
            }
            CodedPicture::Coded { coder, fingerprint, data } => (*coder, *fingerprint, &data[..]),
            CodedPicture::DuplicateOf(earlier) if usize::from(*earlier) >= index => {
                return Err(Error::InvalidArgument("a picture repeats none before it".into()));
            }
            CodedPicture::DuplicateOf(earlier) => (DUPLICATE, 0, &earlier.to_le_bytes()[..]),
        };
        put_varint(&mut out, coder);
        match fingerprints.insert(coder, fingerprint) {
            None => out.extend_from_slice(&fingerprint.to_le_bytes()),
            Some(known) if known == fingerprint => {}
            Some(_) => return Err(Error::InvalidArgument("one coder, several fingerprints".into())),
        }
        if index + 1 < count {
            put_varint(&mut out, data.len() as u64);
        }
        out.extend_from_slice(data);
    }
    Ok(sealed(out))
}

/// Reads the reconstruction data and the pictures.
pub(super) fn read(cursor: &mut Cursor, limits: &Limits) -> Result<JpegBody> {
    let length = cursor.varint("length of the reconstruction data")?;
    check(
        "the reconstruction data's length",
        length,
        limits.max_output_bytes.saturating_add(carve::RECONSTRUCTION_SURPLUS),
    )?;
    let offset = cursor.position();
    let reconstruction =
        dictionary::decompress(take_section(cursor, "reconstruction data")?, length, offset)?;
    let count = carve::count(&reconstruction)?;
    let mut fingerprints = HashMap::new();
    let mut pictures = Vec::with_capacity(count);
    for index in 0..count {
        let coder = cursor.varint("number of a coder")?;
        let fingerprint = match fingerprints.entry(coder) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                *entry.insert(u32::from_le_bytes(cursor.array("fingerprint of a coder")?))
            }
        };
        let last = index + 1 == count;
        let data = if last { take_rest(cursor) } else { take_section(cursor, "coefficients of a picture")? };
        pictures.push(if coder == DUPLICATE {
            let earlier = data.try_into().ok().map(u16::from_le_bytes);
            let Some(earlier) = earlier.filter(|&earlier| usize::from(earlier) < index) else {
                let what = "a picture repeats none before it".into();
                return Err(Error::Corrupt { what, offset: cursor.position() - data.len() });
            };
            CodedPicture::DuplicateOf(earlier)
        } else {
            CodedPicture::Coded { coder, fingerprint, data: data.to_vec() }
        });
    }
    Ok(JpegBody { reconstruction, pictures })
}
