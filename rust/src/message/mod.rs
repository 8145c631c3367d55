//! Symbols as bytes whose reader brings the distribution along.
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
//! The hash tells damaged bytes and other tables before anything is decoded; that every lane ends where it must and
//! the sum is right, other parameters of single elements.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ans::{self, Backend, Chunks, Model, Symbol};
use crate::tensor::{elements, Dtype, Library};
use crate::{varint, Error, Result};

/// What every message begins with.
pub(crate) const VERSION: u8 = 0xd1;
const MAX_DIMENSIONS: u64 = 64;
const TRAILER_BYTES: usize = 4;

/// A coded message, which can be written to where it is wanted.
#[derive(Debug)]
pub struct Message {
    head: Vec<u8>,
    chunks: Chunks,
    fingerprint: u64,
}

impl Message {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.chunks.len() + TRAILER_BYTES
    }

    /// Whether there are no bytes, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes it.
    ///
    /// # Panics
    /// If `bytes` are not as many as the message is long.
    pub fn write(&self, bytes: &mut [u8]) {
        let (content, hash) = bytes.split_last_chunk_mut().expect("there is a hash");
        let (chunks, sum) = content.split_last_chunk_mut().expect("there is a sum");
        let (head, chunks) = chunks.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        self.chunks.write(chunks);
        *sum = (self.chunks.sum() as u16).to_le_bytes();
        *hash = hash_of(content, self.fingerprint);
    }

    /// Its bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.write(&mut bytes);
        bytes
    }
}

fn hash_of(content: &[u8], fingerprint: u64) -> [u8; 2] {
    (xxh3_64_with_seed(content, fingerprint) as u16).to_le_bytes()
}

/// What an array was, besides its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Whose it was.
    pub library: Library,
    /// The dimensions; none for a single value.
    pub shape: Vec<u64>,
}

impl Array {
    /// The number of elements.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if 64 bits are too few.
    pub fn elements(&self) -> Result<u64> {
        let corrupt = || Error::Corrupt { what: format!("shape {:?}", self.shape), offset: 2 };
        elements(&self.shape).ok_or_else(corrupt)
    }
}

/// Codes symbols in row-major order by a model, on so many threads (0: all cores); the bytes don't depend on these.
///
/// # Errors
/// [`Error::InvalidArgument`] if the shape does not have as many elements as there are symbols or as the model has, or
/// the model's parameters are wrong.
pub fn encode<S: Symbol, M: Model>(
    symbols: &[S],
    array: &Array,
    model: &M,
    fingerprint: u64,
    threads: usize,
) -> Result<Message> {
    let Array { dtype, library, shape } = array;
    if elements(shape) != Some(symbols.len() as u64) || shape.len() as u64 > MAX_DIMENSIONS {
        return Err(Error::InvalidArgument(format!("{} symbols for the shape {shape:?}", symbols.len())));
    }
    let mut head = vec![VERSION, *dtype as u8 | *library as u8];
    varint::put(&mut head, shape.len() as u64);
    shape.iter().for_each(|&dimension| varint::put(&mut head, dimension));
    let chunks = ans::encode(Backend::default(), symbols, model, threads)?;
    Ok(Message { head, chunks, fingerprint })
}

/// Reads what kind of array a message holds, and where its symbols begin.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`]. The checksum is not looked at yet.
pub fn read_head(bytes: &[u8]) -> Result<(Array, usize)> {
    match bytes.first() {
        None => return Err(Error::Truncated { what: "message", offset: 0 }),
        Some(&VERSION) => {}
        Some(_) => {
            let what = "not a message: it begins otherwise (lic_native.encode made it with no distribution?)";
            return Err(Error::Corrupt { what: what.into(), offset: 0 });
        }
    }
    let code = *bytes.get(1).ok_or(Error::Truncated { what: "dtype", offset: 1 })?;
    let (library, code) = Library::split(code);
    let dtype = Dtype::from_code(code).ok_or_else(|| Error::Unsupported(format!("dtype {code}")))?;
    let mut position = 2;
    let dimensions = varint::take(bytes, &mut position, "number of dimensions")?;
    if dimensions > MAX_DIMENSIONS {
        return Err(Error::Corrupt { what: format!("{dimensions} dimensions"), offset: 2 });
    }
    let shape =
        (0..dimensions).map(|_| varint::take(bytes, &mut position, "dimension")).collect::<Result<_>>()?;
    Ok((Array { dtype, library, shape }, position))
}

/// Checks a message's hash: nothing is known yet of the parameters of single elements.
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

/// Decodes the symbols of a message with the same model.
///
/// # Errors
/// [`Error::InvalidArgument`] if `out` does not have the message's number of elements (its type is the caller's choice,
/// if the symbols fit), or the model's parameters are wrong; [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`] if the bytes are not what
/// [`encode`] made with this model.
pub fn decode<S: Symbol, M: Model>(
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
        .map_err(|error| error.further(start))?;
    if bytes[end..end + 2] != (decoded as u16).to_le_bytes() {
        let what = "wrong sum: the distribution's parameters are not those of the encoder";
        return Err(Error::Corrupt { what: what.into(), offset: end });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
