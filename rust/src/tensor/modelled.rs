//! Symbols to bytes, with distributions that the caller brings along again to decode them.
//!
//! | bytes | |
//! |---|---|
//! | 1 | `D1`: a message, version 1 |
//! | 1 | bits 0–5: [`Dtype`]; 6: parts may be calibrated; 7: [`Library`] |
//! | varint, then a varint each | number of dimensions, dimensions |
//! | varint, if parts may be calibrated | the [`ContextSource`] |
//! | … | the symbols in row-major order, as [`ans::encode`] or [`ans::encode_in_contexts`] codes them |
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
use crate::ans::{self, Backend, Calibrated, Contexts, Parts, Stream, StreamHead, Symbol};
use crate::bytes::{Cursor, put_varint};
use crate::{Error, Result};

/// The first byte of every message.
pub(crate) const VERSION: u8 = 0xd1;
const TRAILER_BYTES: usize = 4;
/// The bit of the byte with the dtype that says that parts may be calibrated.
const MAY_BE_CALIBRATED: u8 = 1 << 6;

/// Where the contexts of a message's elements come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextSource {
    /// The distribution has them.
    Distribution,
    /// The caller brings them along.
    Caller,
    /// They are the indices along this axis.
    Axis(u64),
}

impl ContextSource {
    /// Returns the number of the source, which a message has as a varint.
    pub fn code(self) -> u64 {
        match self {
            Self::Distribution => 0,
            Self::Caller => 1,
            Self::Axis(axis) => 2 + axis,
        }
    }

    /// Returns the source of a number.
    pub fn from_code(code: u64) -> Self {
        match code {
            0 => Self::Distribution,
            1 => Self::Caller,
            axis => Self::Axis(axis - 2),
        }
    }

    /// Reads the source of a message of this array.
    fn read(cursor: &mut Cursor, array: &ArrayInfo) -> Result<Self> {
        let offset = cursor.position();
        let source = Self::from_code(cursor.varint("source of contexts")?);
        if let Self::Axis(axis) = source {
            let size = usize::try_from(axis).ok().and_then(|axis| array.shape.get(axis));
            if size.is_none_or(|&size| size > Contexts::MAX as u64) {
                return Err(Error::Corrupt { what: format!("contexts along axis {axis}"), offset });
            }
        }
        Ok(source)
    }
}

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

/// Codes the symbols of an array in row-major order by a model; with `contexts` and their source, calibrated if that makes a
/// shorter message. The bytes do not depend on the number of threads; 0 stands
/// for the number of cores. `fingerprint` is a hash of the model's tables.
///
/// # Errors
/// [`Error::InvalidArgument`] if the number of symbols is not that of the shape or of the model, or a parameter of the
/// model is not valid.
pub fn encode<S: Symbol, M: Calibrated>(
    symbols: &[S],
    array: &ArrayInfo,
    model: &M,
    contexts: Option<(Contexts, ContextSource)>,
    fingerprint: u64,
    threads: usize,
) -> Result<Message> {
    array.check_count(symbols.len(), "symbols")?;
    let mut head = vec![VERSION];
    array.put(&mut head);
    let parts = ans::encode(Backend::default(), symbols, model, threads)?;
    let plain = Message { head, parts, fingerprint };
    let Some((contexts, source)) = contexts else { return Ok(plain) };
    let mut head = plain.head.clone();
    head[1] |= MAY_BE_CALIBRATED;
    put_varint(&mut head, source.code());
    let parts = ans::encode_in_contexts(Backend::default(), symbols, model, contexts, &plain.parts, threads)?;
    let calibrated = Message { head, parts, fingerprint };
    Ok(if calibrated.len() < plain.len() { calibrated } else { plain })
}

/// Returns a message of streams that were coded elsewhere, and the sum of all symbols.
///
/// # Panics
/// If there are no streams.
pub fn join(array: &ArrayInfo, streams: Vec<Stream>, sum: u32, fingerprint: u64) -> Message {
    let mut head = vec![VERSION];
    array.put(&mut head);
    Message { head, parts: Parts::of_streams(streams, sum), fingerprint }
}

/// Returns what the streams of a message's parts are made of, and the sum of all symbols modulo 2^16.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`]. Neither sum nor checksum is verified.
pub fn split(bytes: &[u8]) -> Result<(Vec<StreamHead>, u16)> {
    let (array, _, start) = read_head(bytes)?;
    if bytes.len() < start + TRAILER_BYTES {
        return Err(Error::Truncated { what: "checksums", offset: bytes.len() });
    }
    let end = bytes.len() - TRAILER_BYTES;
    let count = usize::try_from(array.elements()?).unwrap_or(usize::MAX);
    let heads = ans::stream_heads(&bytes[start..end], count).map_err(|error| error.offset_by(start))?;
    let heads = heads.into_iter().map(|head| head.moved_by(start)).collect();
    Ok((heads, u16::from_le_bytes([bytes[end], bytes[end + 1]])))
}

/// Reads the properties of a message's array, the source of the contexts if it may be calibrated, and the position of its
/// symbols.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`]. The checksum is not verified.
pub fn read_head(bytes: &[u8]) -> Result<(ArrayInfo, Option<ContextSource>, usize)> {
    let mut cursor = Cursor::new(bytes);
    if cursor.byte("message")? != VERSION {
        let what = "not a message: it begins otherwise (lic_native.encode made it with no distribution?)";
        return Err(Error::Corrupt { what: what.into(), offset: 0 });
    }
    let code = cursor.byte("dtype")?;
    let array = ArrayInfo::read(code & !MAY_BE_CALIBRATED, &mut cursor)??;
    let may_be = code & MAY_BE_CALIBRATED != 0;
    let source = may_be.then(|| ContextSource::read(&mut cursor, &array)).transpose()?;
    Ok((array, source, cursor.position()))
}

/// Checks the hash of a message, which says nothing about the parameters of single elements.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`].
pub fn verify(bytes: &[u8], fingerprint: u64) -> Result<()> {
    let (_, _, start) = read_head(bytes)?;
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

/// Inverts [`encode`] with the same model, and with the same contexts if the message has a source of them. Symbols may have another type than the array if they fit it.
///
/// # Errors
/// [`Error::InvalidArgument`] if the length of `out` is not the number of elements, or a parameter of the model is not
/// valid; [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`] if the bytes are not a message of this model.
pub fn decode<S: Symbol, M: Calibrated>(
    bytes: &[u8],
    model: &M,
    contexts: Option<Contexts>,
    fingerprint: u64,
    out: &mut [S],
    threads: usize,
) -> Result<()> {
    let (array, source, start) = read_head(bytes)?;
    let contexts = contexts.filter(|_| source.is_some());
    if array.elements()? != out.len() as u64 {
        let what = format!("a message of {} symbols for {}", array.elements()?, out.len());
        return Err(Error::InvalidArgument(what));
    }
    verify(bytes, fingerprint)?;
    let end = bytes.len() - TRAILER_BYTES;
    let decoded = ans::decode(Backend::default(), &bytes[start..end], model, contexts, out, threads)
        .map_err(|error| error.offset_by(start))?;
    if bytes[end..end + 2] != (decoded as u16).to_le_bytes() {
        let what = "wrong sum: the distribution's parameters are not those of the encoder";
        return Err(Error::Corrupt { what: what.into(), offset: end });
    }
    Ok(())
}
