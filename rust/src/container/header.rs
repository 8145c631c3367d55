//! The header and trailer that all kinds of files share.

use super::identity::{Hashes, Identity};
use crate::bytes::{Cursor, put_varint};
use crate::tensor::{fitted, modelled};
use crate::{Error, Result, Unsupported};

/// The first bytes of every `.lic` file.
pub const MAGIC: [u8; 4] = *b"\x89LIC";
/// The format that this crate writes, and the only one that it reads.
pub const VERSION: u8 = 1;

pub(super) const KIND_STORED: u8 = 0;
pub(super) const KIND_JPEG: u8 = 1;
pub(super) const KIND_IMAGE: u8 = 2;

/// Bits of the kind: the file holds this hash of the restored file. Not for images.
pub(super) const SHA256_FLAG: u8 = 0x80;
pub(super) const SHA1_FLAG: u8 = 0x40;

/// Magic, version and kind.
pub(super) const HEAD_BYTES: usize = 4 + 1 + 1;
/// The same, and the checksum of the restored file.
pub(super) const FIXED_BYTES: usize = HEAD_BYTES + 8;
pub(super) const CRC_BYTES: usize = 4;

/// A kind of data that this crate writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `.lic` file that stores the original bytes.
    Stored,
    /// A `.lic` file whose JPEG pictures are coded.
    Jpeg,
    /// A `.lic` file of an image, coded with loss.
    Image,
    /// A tensor with its own tables: see [`crate::tensor::fitted`].
    Tensor,
    /// A tensor coded with the caller's distribution: see [`crate::tensor::modelled`].
    Symbols,
}

impl Kind {
    pub(super) fn restores_a_file(self) -> bool {
        matches!(self, Self::Stored | Self::Jpeg)
    }
}

/// Returns the kind of data from their first six bytes.
///
/// # Errors
/// [`Error::Truncated`] if `head` is shorter and begins like a `.lic` file, [`Error::Unsupported`] for other data or a newer
/// version.
pub fn kind(head: &[u8]) -> Result<Kind> {
    if head.starts_with(&fitted::MAGIC) {
        return Ok(Kind::Tensor);
    }
    if head.first() == Some(&modelled::VERSION) {
        return Ok(Kind::Symbols);
    }
    check_version(head)?;
    let byte = *head.get(5).ok_or(Error::Truncated { what: "kind", offset: head.len() })?;
    match byte & !(SHA256_FLAG | SHA1_FLAG) {
        KIND_STORED => Ok(Kind::Stored),
        KIND_JPEG => Ok(Kind::Jpeg),
        KIND_IMAGE if byte == KIND_IMAGE => Ok(Kind::Image),
        _ => Err(Unsupported::Kind(byte).into()),
    }
}

fn check_version(data: &[u8]) -> Result<()> {
    if data.len() < MAGIC.len() && MAGIC.starts_with(data) {
        let what = if data.is_empty() { "the file is empty" } else { "the file's magic number" };
        return Err(Error::Truncated { what, offset: data.len() });
    }
    if !data.starts_with(&MAGIC) {
        return Err(Error::Unsupported(format!("not a .lic file: it {}", other_format(data)).into()));
    }
    let version = *data.get(4).ok_or(Error::Truncated { what: "format version", offset: 4 })?;
    if version != VERSION {
        let (format, newest) = ("a .lic file", VERSION);
        return Err(Unsupported::Version { format, found: version, newest }.into());
    }
    Ok(())
}

/// Says which format another file has, for users who have confused two files.
fn other_format(data: &[u8]) -> &'static str {
    if data.starts_with(&fitted::MAGIC) {
        "is a tensor, which lic_native.decode restores"
    } else if data.starts_with(&[0xFF, 0xD8, 0xFF]) {
        "is a JPEG file"
    } else {
        "begins otherwise"
    }
}

/// Checks version and checksum of a file, and returns its content, without the checksum.
pub(super) fn open(data: &[u8]) -> Result<&[u8]> {
    check_version(data)?;
    let end = data.len().saturating_sub(CRC_BYTES);
    if end < FIXED_BYTES {
        return Err(Error::Truncated { what: "header", offset: data.len() });
    }
    let (content, crc) = data.split_at(end);
    if crc32fast::hash(content).to_le_bytes() != crc {
        return Err(Error::Corrupt {
            what: "the file's checksum does not match: it is truncated or altered".into(),
            offset: end,
        });
    }
    Ok(content)
}

/// Returns the header of a file that restores `original`.
pub(super) fn header(kind: u8, original: &[u8], hashes: Hashes) -> Result<Vec<u8>> {
    Ok(header_of(kind, &Identity::of(original, hashes)?))
}

/// Returns the header of a file that restores a file of this identity.
pub(super) fn header_of(kind: u8, identity: &Identity) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_BYTES + 16);
    out.extend_from_slice(&MAGIC);
    let flags = [(identity.sha256.is_some(), SHA256_FLAG), (identity.sha1.is_some(), SHA1_FLAG)];
    let flags = flags.iter().filter(|(is_held, _)| *is_held).fold(0, |all, (_, flag)| all | flag);
    out.extend_from_slice(&[VERSION, kind | flags]);
    identity.put(&mut out);
    out
}

/// Appends the checksum of a complete file.
pub(super) fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Appends a section after its length.
pub(super) fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    put_varint(out, section.len() as u64);
    out.extend_from_slice(section);
}

/// Reads a section that [`put_section`] wrote; `what` names it, for the error.
pub(super) fn take_section<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<&'a [u8]> {
    let length = cursor.varint(what)?;
    cursor.take_u64(length, what)
}

/// Reads all bytes that are left.
pub(super) fn take_rest<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let rest = cursor.rest();
    cursor.take(rest.len(), "rest").unwrap_or_default()
}

/// Checks that no bytes are left.
pub(super) fn check_end(cursor: &Cursor) -> Result<()> {
    match cursor.rest().len() {
        0 => Ok(()),
        extra => {
            let what = format!("{extra} bytes after the last section");
            Err(Error::Corrupt { what, offset: cursor.position() })
        }
    }
}

/// Checks a promised size; `offset` is where the bytes stand in the file, for the error.
pub(super) fn check_size(restored: &[u8], size: u64, offset: usize) -> Result<()> {
    if restored.len() as u64 == size {
        return Ok(());
    }
    Err(Error::Corrupt { what: format!("{} bytes where {size} were promised", restored.len()), offset })
}
