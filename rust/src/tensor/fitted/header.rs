//! The bytes around the payload.

use crate::bytes::Cursor;
use crate::tensor::{ArrayInfo, modelled};
use crate::{Error, Result, Unsupported};

/// The first bytes of every tensor.
pub(crate) const MAGIC: [u8; 4] = *b"\x89LIT";
pub(in crate::tensor) const VERSION: u8 = 1;

/// The method by which a payload is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::tensor) enum Method {
    Raw = 0,
    Zstd = 1,
    Dictionary = 2,
    GaussianSlices = 3,
    LaplaceSlices = 4,
}

impl Method {
    const ALL: [Self; 5] =
        [Self::Raw, Self::Zstd, Self::Dictionary, Self::GaussianSlices, Self::LaplaceSlices];

    /// Returns the method of this number.
    ///
    /// # Errors
    /// [`Unsupported::Method`] if there is none.
    pub(in crate::tensor) fn from_number(method: u8) -> std::result::Result<Self, Unsupported> {
        let unknown = Unsupported::Method { format: "tensor", method };
        Self::ALL.into_iter().find(|&known| known as u8 == method).ok_or(unknown)
    }
}

/// The content of a tensor's bytes, whose CRC has been verified.
pub(super) struct Header<'a> {
    pub(super) array: ArrayInfo,
    /// The method's number, which is checked when the payload is decoded.
    pub(super) method: u8,
    pub(super) payload: &'a [u8],
    /// The position of the payload.
    offset: usize,
    /// The XXH3-64 of the values.
    pub(super) checksum: u64,
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        if bytes.first() == Some(&modelled::VERSION) {
            let what = "a message, which is decoded with its distribution: decode(data, distribution)";
            return Err(Error::Unsupported(what.into()));
        }
        let magic = &bytes[..bytes.len().min(MAGIC.len())];
        if magic != &MAGIC[..magic.len()] {
            return Err(Error::Corrupt { what: "not a tensor: wrong magic".into(), offset: 0 });
        }
        let mut cursor = Cursor::new(bytes);
        cursor.take(MAGIC.len(), "tensor")?;
        let version = cursor.byte("tensor")?;
        if version != VERSION {
            let newest = VERSION;
            return Err(Error::Unsupported(Unsupported::Version {
                format: "a tensor",
                found: version,
                newest,
            }));
        }
        let array = ArrayInfo::read(cursor.byte("dtype")?, &mut cursor)?;
        let method = cursor.byte("tensor")?;
        let length = cursor.varint("length of the payload")?;
        let offset = cursor.position();
        let payload = cursor.take_u64(length, "tensor")?;
        let end = cursor.position();
        let crc: [u8; 4] = cursor.array("tensor")?;
        let checksum = cursor.array("tensor")?;
        if !cursor.rest().is_empty() {
            return Err(Error::Corrupt { what: "bytes after the end".into(), offset: cursor.position() });
        }
        if u32::from_le_bytes(crc) != crc32fast::hash(&bytes[..end]) {
            return Err(Error::Corrupt { what: "checksum of the bytes".into(), offset: end });
        }
        Ok(Self { array: array?, method, payload, offset, checksum: u64::from_le_bytes(checksum) })
    }

    /// Returns an error about the payload.
    pub(super) fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into(), offset: self.offset }
    }
}
