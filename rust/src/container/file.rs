//! A whole `.lic` file.

use super::header::{HEAD_BYTES, Kind, check_end, kind, open};
use super::{Identity, ImageBody, JpegBody, identity, image, jpeg, stored};
use crate::bytes::Cursor;
use crate::{Limits, Result};

/// A parsed `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Length and hashes of the restored file.
    pub identity: Identity,
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
/// [`crate::Error::Truncated`], [`crate::Error::Corrupt`], [`crate::Error::Unsupported`] or
/// [`crate::Error::LimitExceeded`].
pub fn unpack(data: &[u8], limits: &Limits) -> Result<Container> {
    let content = open(data)?;
    let kind = kind(content)?;
    if kind.restores_a_file() {
        let (mut cursor, identity) = identity::open(content)?;
        limits.check_output("a restored file's length", identity.size)?;
        let body = match kind {
            Kind::Stored => Body::Stored(stored::read(&mut cursor, identity.size)?),
            _ => Body::Jpeg(jpeg::read(&mut cursor, limits)?),
        };
        check_end(&cursor)?;
        return Ok(Container { identity, body });
    }
    let image = image::read(&mut Cursor::at(content, HEAD_BYTES), limits)?;
    let identity = Identity { size: image.size(), checksum: image.checksum.into(), sha256: None, sha1: None };
    Ok(Container { identity, body: Body::Image(image) })
}
