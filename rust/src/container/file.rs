//! A whole `.lic` file.

use super::header::{KIND_IMAGE, KIND_JPEG, KIND_STORED, check_end, check_size, open};
use super::{ImageBody, JpegBody, image, jpeg, stored};
use crate::{Error, Limits, Result, Unsupported};
use xxhash_rust::xxh3::xxh3_64;

/// A parsed `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Length of the restored file, or of an image's samples.
    pub size: u64,
    /// XXH3-64 of the restored file, or the low half of that of an image's latents.
    pub checksum: u64,
    /// The content, from which the file or image is restored.
    pub body: Body,
}

/// The content of a `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The original bytes, unpacked.
    Stored(Vec<u8>),
    /// A file with JPEG pictures inside.
    Jpeg(JpegBody),
    /// An image coded from its pixels.
    Image(ImageBody),
}

/// Reads a `.lic` file without decoding its pictures. It unpacks nothing that is larger than `limits` allow, except for a
/// small surplus of reconstruction data.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::LimitExceeded`].
pub fn unpack(data: &[u8], limits: &Limits) -> Result<Container> {
    let mut cursor = open(data)?;
    let kind = cursor.byte("kind")?;
    if kind == KIND_IMAGE {
        let image = image::read(&mut cursor, limits)?;
        return Ok(Container {
            size: image.size(),
            checksum: image.checksum.into(),
            body: Body::Image(image),
        });
    }
    let checksum = u64::from_le_bytes(cursor.array("checksum of the restored file")?);
    let size = cursor.varint("length of the restored file")?;
    limits.check_output("a restored file's length", size)?;
    let body = match kind {
        KIND_STORED => Body::Stored(stored::read(&mut cursor, size)?),
        KIND_JPEG => Body::Jpeg(jpeg::read(&mut cursor, limits)?),
        other => return Err(Unsupported::Kind(other).into()),
    };
    check_end(&cursor)?;
    Ok(Container { size, checksum, body })
}

/// Checks that `restored` has the size and checksum of the original file.
///
/// # Errors
/// [`Error::Corrupt`] if it has not.
pub fn verify(restored: &[u8], size: u64, checksum: u64) -> Result<()> {
    check_size(restored, size, 0)?;
    if xxh3_64(restored) != checksum {
        return Err(Error::Corrupt {
            what: "the restored file's checksum differs from the one stored".into(),
            offset: 0,
        });
    }
    Ok(())
}
