//! Symbols to bytes, with distributions that the caller brings along again to decode them.
//!
//! | bytes | |
//! |---|---|
//! | 1 | `D1`: a message, version 1 |
//! | 1 | bits 0–6: [`Dtype`]; 7: [`Library`] |
//! | varint, then a varint each | number of dimensions, dimensions |
//! | … | the symbols in row-major order, as [`ans::encode`] codes them |
//! | 2 | sum of the symbols modulo 2^16 |
//! | 2 | low 16 bits of the XXH3-64 of everything before, seeded with the distribution's fingerprint |
//!
//! The hash reveals damaged bytes and other tables before anything is decoded. Other parameters of single elements are
//! revealed by the final states of the lanes and by the sum.
//!
//! [`Dtype`]: super::Dtype
//! [`Library`]: super::Library

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::array::ArrayInfo;
use crate::ans::{self, Backend, EntropyModel, Parts, Symbol};
use crate::bytes::Cursor;
use crate::{Error, Result};

/// The first byte of every message.
pub(crate) const VERSION: u8 = 0xd1;
const TRAILER_BYTES: usize = 4;

/// A coded message, which can be written to any place.
#[derive(Debug)]
pub struct Message {
    head: Vec<u8>,
    parts: Parts,
    fingerprint: u64,
}

impl Message {
    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.parts.len() + TRAILER_BYTES
    }

    /// Returns whether there are no bytes, which is never true.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message.
    ///
    /// # Panics
    /// If the length of `bytes` is not [`Message::len`].
    pub fn write(&self, bytes: &mut [u8]) {
        let (content, hash) = bytes.split_last_chunk_mut().expect("there is a hash");
        let (parts, sum) = content.split_last_chunk_mut().expect("there is a sum");
        let (head, parts) = parts.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        self.parts.write(parts);
        *sum = (self.parts.sum() as u16).to_le_bytes();
        *hash = hash_of(content, self.fingerprint);
    }

    /// Returns the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.write(&mut bytes);
        bytes
    }
}

pub(super) fn hash_of(content: &[u8], fingerprint: u64) -> [u8; 2] {
    (xxh3_64_with_seed(content, fingerprint) as u16).to_le_bytes()
}

/// Codes the symbols of an array in row-major order by a model. The bytes do not depend on the number of threads; 0 stands
/// for the number of cores. `fingerprint` is a hash of the model's tables.
///
/// # Errors
/// [`Error::InvalidArgument`] if the number of symbols is not that of the shape or of the model, or a parameter of the
/// model is not valid.
pub fn encode<S: Symbol, M: EntropyModel>(
    symbols: &[S],
    array: &ArrayInfo,
    model: &M,
    fingerprint: u64,
    threads: usize,
) -> Result<Message> {
    array.check_count(symbols.len(), "symbols")?;
    let mut head = vec![VERSION];
    array.put(&mut head);
    let parts = ans::encode(Backend::default(), symbols, model, threads)?;
    Ok(Message { head, parts, fingerprint })
}

/// Reads the properties of a message's array, and the position of its symbols.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`]. The checksum is not verified.
pub fn read_head(bytes: &[u8]) -> Result<(ArrayInfo, usize)> {
    let mut cursor = Cursor::new(bytes);
    if cursor.byte("message")? != VERSION {
        let what = "not a message: it begins otherwise (lic_native.encode made it with no distribution?)";
        return Err(Error::Corrupt { what: what.into(), offset: 0 });
    }
    let array = ArrayInfo::read(&mut cursor)??;
    Ok((array, cursor.position()))
}

/// Checks the hash of a message, which says nothing about the parameters of single elements.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`].
pub fn verify(bytes: &[u8], fingerprint: u64) -> Result<()> {
    let (_, start) = read_head(bytes)?;
    if bytes.len() < start + TRAILER_BYTES {
        return Err(Error::Truncated { what: "checksums", offset: bytes.len() });
    }
    let (content, hash) = bytes.split_at(bytes.len() - 2);
    if hash != hash_of(content, fingerprint) {
        let what = "the bytes are damaged, or the distribution is not that of the encoder";
        return Err(Error::Corrupt { what: what.into(), offset: content.len() });
    }
    Ok(())
}

/// Inverts [`encode`] with the same model. Symbols may have another type than the array if they fit it.
///
/// # Errors
/// [`Error::InvalidArgument`] if the length of `out` is not the number of elements, or a parameter of the model is not
/// valid; [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`] if the bytes are not a message of this model.
pub fn decode<S: Symbol, M: EntropyModel>(
    bytes: &[u8],
    model: &M,
    fingerprint: u64,
    out: &mut [S],
    threads: usize,
) -> Result<()> {
    let (array, start) = read_head(bytes)?;
    if array.elements()? != out.len() as u64 {
        let what = format!("a message of {} symbols for {}", array.elements()?, out.len());
        return Err(Error::InvalidArgument(what));
    }
    verify(bytes, fingerprint)?;
    let end = bytes.len() - TRAILER_BYTES;
    let decoded = ans::decode(Backend::default(), &bytes[start..end], model, out, threads)
        .map_err(|error| error.offset_by(start))?;
    if bytes[end..end + 2] != (decoded as u16).to_le_bytes() {
        let what = "wrong sum: the distribution's parameters are not those of the encoder";
        return Err(Error::Corrupt { what: what.into(), offset: end });
    }
    Ok(())
}
