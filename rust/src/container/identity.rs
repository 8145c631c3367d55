//! The identity of the file that a `.lic` file restores: its length, its checksum, and the hashes by which others know it.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::header::{HEAD_BYTES, SHA1_FLAG, SHA256_FLAG, check_size, kind};
use crate::bytes::{Cursor, put_varint};
use crate::{Error, Result, interrupt};

/// Bytes that are hashed between two checks for cancellation: a few milliseconds without instructions for it.
const PIECE: usize = 1 << 20;

/// Bytes of a file up to its body, at most.
pub(super) const MAX_BYTES: usize = HEAD_BYTES + 8 + 10 + 32 + 20;

/// The choice of hashes that a file holds besides the checksum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Whether it holds the SHA-256.
    pub sha256: bool,
    /// Whether it holds the SHA-1.
    pub sha1: bool,
}

/// What a file says of the file that it restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its length; for an image that of its samples.
    pub size: u64,
    /// Its XXH3-64; for an image the low half of that of its latents.
    pub checksum: u64,
    /// Its SHA-256, if the file holds it.
    pub sha256: Option<[u8; 32]>,
    /// Its SHA-1, if the file holds it.
    pub sha1: Option<[u8; 20]>,
}

impl Identity {
    /// Returns the identity of `original`.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn of(original: &[u8], hashes: Hashes) -> Result<Self> {
        let mut hasher = Hasher::new(hashes);
        hasher.update(original)?;
        Ok(hasher.finish())
    }

    /// Checks that `restored` is the original file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not, [`Error::Interrupted`].
    pub fn verify(&self, restored: &[u8]) -> Result<()> {
        check_size(restored, self.size, 0)?;
        self.compare(&Self::of(restored, self.hashes())?)
    }

    /// Checks that a file with the identity `restored` is the original file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not.
    pub fn compare(&self, restored: &Self) -> Result<()> {
        let differs = |name: &str| Error::Corrupt {
            what: format!("the restored file's {name} differs from the one stored"),
            offset: 0,
        };
        if self.size != restored.size {
            let what = format!("{} bytes where {} were promised", restored.size, self.size);
            return Err(Error::Corrupt { what, offset: 0 });
        }
        for (same, name) in [
            (self.checksum == restored.checksum, "checksum"),
            (self.sha256 == restored.sha256, "SHA-256"),
            (self.sha1 == restored.sha1, "SHA-1"),
        ] {
            same.then_some(()).ok_or_else(|| differs(name))?;
        }
        Ok(())
    }

    /// Returns which hashes the file holds.
    pub fn hashes(&self) -> Hashes {
        Hashes { sha256: self.sha256.is_some(), sha1: self.sha1.is_some() }
    }

    /// Appends the identity to a file that ends with the kind.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.checksum.to_le_bytes());
        put_varint(out, self.size);
        out.extend(self.sha256.iter().flatten());
        out.extend(self.sha1.iter().flatten());
    }

    /// Reads what [`Identity::put`] wrote after this byte of the kind.
    pub(super) fn read(cursor: &mut Cursor, kind: u8) -> Result<Self> {
        let checksum = u64::from_le_bytes(cursor.array("checksum of the restored file")?);
        let size = cursor.varint("length of the restored file")?;
        let sha256 = (kind & SHA256_FLAG != 0).then(|| cursor.array("SHA-256 of the restored file"));
        let sha256 = sha256.transpose()?;
        let sha1 = (kind & SHA1_FLAG != 0).then(|| cursor.array("SHA-1 of the restored file"));
        Ok(Self { size, checksum, sha256, sha1: sha1.transpose()? })
    }
}

/// Returns the identity of the file that a `.lic` file restores, from the beginning of the `.lic` file, of which 76 bytes are
/// enough. No checksum is checked.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`], and [`Error::Unsupported`] for data that restore no file.
pub fn identify(part: &[u8]) -> Result<Identity> {
    open(part).map(|(_, identity)| identity)
}

/// Reads the beginning of a file up to its body.
pub(super) fn open(part: &[u8]) -> Result<(Cursor<'_>, Identity)> {
    if !kind(part)?.restores_a_file() {
        return Err(Error::Unsupported("the data restore no file".into()));
    }
    let mut cursor = Cursor::at(part, HEAD_BYTES);
    let identity = Identity::read(&mut cursor, part[HEAD_BYTES - 1])?;
    Ok((cursor, identity))
}

/// Computes the identity of a file that comes in pieces.
#[derive(Clone)]
pub struct Hasher {
    size: u64,
    checksum: Xxh3,
    sha256: Option<Sha256>,
    sha1: Option<Sha1>,
}

impl Hasher {
    /// Begins with an empty file.
    pub fn new(hashes: Hashes) -> Self {
        Self {
            size: 0,
            checksum: Xxh3::new(),
            sha256: hashes.sha256.then(Sha256::new),
            sha1: hashes.sha1.then(Sha1::new),
        }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        for piece in data.chunks(PIECE) {
            interrupt::check()?;
            self.size += piece.len() as u64;
            self.checksum.update(piece);
            self.sha256.iter_mut().for_each(|hash| hash.update(piece));
            self.sha1.iter_mut().for_each(|hash| hash.update(piece));
        }
        Ok(())
    }

    /// Returns the identity of all bytes.
    pub fn finish(self) -> Identity {
        Identity {
            size: self.size,
            checksum: self.checksum.digest(),
            sha256: self.sha256.map(|hash| hash.finalize().into()),
            sha1: self.sha1.map(|hash| hash.finalize().into()),
        }
    }
}
