//! Any integer array to self-describing bytes, without a model: what fits it best is found by trying.
//!
//! # Layout
//! Integers marked *varint* are little-endian base 128; *zigzag* is a varint of `2 v` for `v >= 0` and `-2 v
//! - 1` below.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `89 4C 49 54`: `\x89LIT` |
//! | 1 | version, 1 |
//! | 1 | bits 0–6: [`Dtype`]; 7: [`Library`] |
//! | varint, then a varint each | number of dimensions, dimensions |
//! | 1 | method |
//! | varint | length of the payload |
//! | … | payload |
//! | 4 | CRC-32 of everything before, little-endian |
//! | 8 | XXH3-64 of the values as little-endian integers, little-endian |
//!
//! Methods and their payloads; the values are in row-major order, and a rANS stream (see [`ans`](crate::ans))
//! codes all of them as one group:
//!
//! | method | payload |
//! |---|---|
//! | 0 | the values, little-endian |
//! | 1 | the same compressed by Zstandard |
//! | 2 | dictionary: see below |
//! | 3 | slices of normal distributions: see below |
//! | 4 | slices of Laplace distributions |
//!
//! **Dictionary.** The different values in increasing order, as runs of consecutive integers: a varint with
//! the number of runs; for each a zigzag with its first value minus the one after the run before (after 0 for
//! the first run) and a varint with its length minus 1; for each value a varint with its frequency of 2^15,
//! of which at least one is left to an escape that is never used. Then a rANS stream of positions in the
//! dictionary, which is absent if there is only one.
//!
//! **Slices.** Varints `inner` and `channels`: value `i` belongs to slice `i / inner % channels`, which makes
//! a slice of each index along some axis, or of each block. For each slice a zigzag mean, then for each slice
//! a byte that names a row of the 64 scales `scale_table(0.11, 256, 64)`; then a rANS stream of value minus
//! mean.

mod dictionary;
mod element;
mod slices;

use std::io::Read;

pub use element::{Dtype, Element, Library, Values};
use xxhash_rust::xxh3::{xxh3_64, Xxh3};

use crate::interrupt::{self, pieces, Watched};
use crate::{limits, message, varint, Error, Limits, Result};

/// What every tensor begins with.
pub(crate) const MAGIC: [u8; 4] = *b"\x89LIT";
const VERSION: u8 = 1;
const MAX_DIMENSIONS: u64 = 64;
const CHECKSUM_BYTES: usize = 12;
const ZSTD_LEVEL: i32 = 3;
/// Values decoded at a time, so that memory grows with what the payload really holds. A multiple of the
/// lanes.
const BLOCK: usize = 1 << 16;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const DICTIONARY: u8 = 2;
const NORMAL_SLICES: u8 = 3;
const LAPLACE_SLICES: u8 = 4;

/// A decoded array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// What [`encode`] was told.
    pub library: Library,
    /// The dimensions; none for a single value.
    pub shape: Vec<u64>,
    /// The values in row-major order.
    pub values: Values,
}

/// A way to code an array: about how many bytes its payload takes, and what makes it (or finds that it
/// cannot).
struct Candidate<'a> {
    method: u8,
    bytes: u64,
    payload: Box<dyn FnOnce() -> Result<Vec<u8>> + 'a>,
}

/// Encodes an array, given in row-major order, of this library; with tables for each index of an axis, if one is given.
///
/// # Errors
/// [`Error::InvalidArgument`] if the shape does not have as many elements as there are values, or no such axis.
pub fn encode<T: Element>(
    values: &[T],
    shape: &[u64],
    library: Library,
    axis: Option<usize>,
) -> Result<Vec<u8>> {
    if axis.is_some_and(|axis| axis >= shape.len()) {
        return Err(Error::InvalidArgument(format!("no axis {} in the shape {shape:?}", axis.unwrap_or(0))));
    }
    if elements(shape) != Some(values.len() as u64) || shape.len() as u64 > MAX_DIMENSIONS {
        return Err(Error::InvalidArgument(format!("{} values for the shape {shape:?}", values.len())));
    }
    let raw = element::to_bytes(values);
    let (method, payload) = compress(values, shape, axis, &raw)?;
    interrupt::check()?;

    let mut bytes = Vec::with_capacity(payload.len() + 64);
    bytes.extend(MAGIC);
    bytes.extend([VERSION, T::DTYPE as u8 | library as u8]);
    varint::put(&mut bytes, shape.len() as u64);
    shape.iter().for_each(|&dimension| varint::put(&mut bytes, dimension));
    bytes.push(method);
    varint::put(&mut bytes, payload.len() as u64);
    bytes.extend(payload);
    interrupt::check()?;
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(xxh3_64(&raw).to_le_bytes());
    Ok(bytes)
}

/// The smallest payload, and its method.
fn compress<T: Element>(
    values: &[T],
    shape: &[u64],
    axis: Option<usize>,
    raw: &[u8],
) -> Result<(u8, Vec<u8>)> {
    let symbols = symbols(values);
    interrupt::check()?;
    let mut candidates = vec![zstd_candidate(raw)];
    candidates.extend(dictionary::candidate(values));
    if let Some(symbols) = &symbols {
        candidates.extend(slices::candidate(symbols, shape, axis));
    }
    interrupt::check()?;
    let best = candidates.into_iter().min_by_key(|candidate| candidate.bytes);
    if let Some(best) = best.filter(|best| best.bytes < raw.len() as u64) {
        let payload = (best.payload)()?;
        if payload.len() < raw.len() {
            return Ok((best.method, payload));
        }
    }
    Ok((RAW, raw.to_vec()))
}

/// The values, if 32 bits hold all of them.
fn symbols<T: Element>(values: &[T]) -> Option<Vec<i32>> {
    let mut symbols = Vec::new();
    for piece in pieces(values) {
        for value in piece {
            symbols.push(i32::try_from(value.to_i64()).ok()?);
        }
    }
    Some(symbols)
}

/// Zstandard, judged by a sixteenth of large data.
fn zstd_candidate(raw: &[u8]) -> Candidate<'_> {
    const PIECE: usize = 1 << 16;
    let step = if raw.len() > 16 * PIECE { 16 } else { 1 };
    let sample: Vec<u8> = raw.chunks(PIECE).step_by(step).flatten().copied().collect();
    let compress = |bytes: &[u8]| {
        interrupt::compress(bytes, |bytes| zstd::bulk::compress(bytes, ZSTD_LEVEL))?
            .map_err(|error| Error::InvalidArgument(format!("zstd: {error}")))
    };
    let ratio = compress(&sample).map_or(2.0, |bytes| bytes.len() as f64 / sample.len().max(1) as f64);
    let bytes = (ratio * raw.len() as f64) as u64;
    Candidate { method: ZSTD, bytes, payload: Box::new(move || compress(raw)) }
}

/// Decodes what [`encode`] made.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::LimitExceeded`]; any change
/// to the bytes is noticed.
pub fn decode(bytes: &[u8], bounds: &Limits) -> Result<Tensor> {
    let header = Header::read(bytes)?;
    let count = elements(&header.shape).unwrap_or(u64::MAX);
    let size = count.saturating_mul(header.dtype.bytes() as u64);
    let limit = bounds.max_output_bytes.min(isize::MAX as u64);
    limits::check("size of the tensor", size, limit)?;
    let values =
        element::with_dtype!(header.dtype, T => T::wrap(decode_values::<T>(&header, count as usize)?));
    Ok(Tensor { library: header.library, shape: header.shape, values })
}

/// Everything around the payload, after the check that nothing in the bytes has changed.
struct Header<'a> {
    library: Library,
    dtype: Dtype,
    shape: Vec<u64>,
    method: u8,
    payload: &'a [u8],
    /// Where the payload begins.
    offset: usize,
    checksum: u64,
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let truncated = || Error::Truncated { what: "tensor", offset: bytes.len() };
        let magic = &bytes[..bytes.len().min(MAGIC.len())];
        if bytes.first() == Some(&message::VERSION) {
            let what = "a message, which is decoded with its distribution: decode(data, distribution)";
            return Err(Error::Unsupported(what.into()));
        }
        if magic != &MAGIC[..magic.len()] {
            return Err(Error::Corrupt { what: "not a tensor: wrong magic".into(), offset: 0 });
        }
        let [version, type_byte] =
            *bytes.get(4..).and_then(|rest| rest.first_chunk()).ok_or_else(truncated)?;
        if version != VERSION {
            return Err(Error::Unsupported(format!("tensor version {version}")));
        }
        let mut position = 6;
        let dimensions = varint::take(bytes, &mut position, "number of dimensions")?;
        if dimensions > MAX_DIMENSIONS {
            return Err(Error::Corrupt { what: format!("{dimensions} dimensions"), offset: 6 });
        }
        let shape = (0..dimensions)
            .map(|_| varint::take(bytes, &mut position, "dimension"))
            .collect::<Result<_>>()?;
        let method = *bytes.get(position).ok_or_else(truncated)?;
        position += 1;
        let length = varint::take(bytes, &mut position, "length of the payload")?;
        let rest = &bytes[position..];
        let (payload, checksums) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .filter(|(_, checksums)| checksums.len() >= CHECKSUM_BYTES)
            .ok_or_else(truncated)?;
        let end = position + payload.len();
        if checksums.len() > CHECKSUM_BYTES {
            return Err(Error::Corrupt { what: "bytes after the end".into(), offset: end + CHECKSUM_BYTES });
        }
        let (crc, checksum) = checksums.split_first_chunk::<4>().expect("12 bytes");
        if u32::from_le_bytes(*crc) != crc32fast::hash(&bytes[..end]) {
            return Err(Error::Corrupt { what: "checksum of the bytes".into(), offset: end });
        }
        let checksum = u64::from_le_bytes(*checksum.first_chunk().expect("8 bytes"));
        let (library, code) = Library::split(type_byte);
        let dtype = Dtype::from_code(code).ok_or_else(|| Error::Unsupported(format!("dtype {code}")))?;
        Ok(Self { library, dtype, shape, method, payload, offset: position, checksum })
    }

    fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into(), offset: self.offset }
    }
}

fn decode_values<T: Element>(header: &Header, count: usize) -> Result<Vec<T>> {
    let mut sink = Sink { values: Vec::new(), hash: Xxh3::new(), count, header };
    match header.method {
        RAW => sink.bytes(header.payload)?,
        ZSTD => sink.zstd(header.payload)?,
        DICTIONARY => dictionary::decode(header.payload, &mut sink)?,
        NORMAL_SLICES => slices::decode(header.payload, slices::Family::normal(), &mut sink)?,
        LAPLACE_SLICES => slices::decode(header.payload, slices::Family::laplace(), &mut sink)?,
        method => return Err(Error::Unsupported(format!("tensor method {method}"))),
    }
    if sink.values.len() != count {
        return Err(header.corrupt(format!("{} values instead of {count}", sink.values.len())));
    }
    if sink.hash.digest() != header.checksum {
        return Err(header.corrupt("checksum of the values"));
    }
    Ok(sink.values)
}

/// Takes values as they are decoded.
struct Sink<'a, T> {
    values: Vec<T>,
    hash: Xxh3,
    /// The number of values to come in all.
    count: usize,
    header: &'a Header<'a>,
}

impl<T: Element> Sink<'_, T> {
    fn left(&self) -> usize {
        self.count - self.values.len()
    }

    /// Takes the next values, at most as many as are left.
    fn push(&mut self, values: impl Iterator<Item = i64>) -> Result<()> {
        interrupt::check()?;
        let start = self.values.len();
        let more = values.size_hint().0.min(self.left());
        let bytes = ((start + more) * size_of::<T>()) as u64;
        self.values.try_reserve(more).map_err(|_| Error::OutOfMemory { bytes })?;
        for value in values.take(self.left()) {
            let value = T::from_i64(value)
                .ok_or_else(|| self.header.corrupt(format!("{value} is no {:?}", T::DTYPE)))?;
            self.values.push(value);
        }
        self.hash.update(&element::to_bytes(&self.values[start..]));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let size = T::DTYPE.bytes();
        if bytes.len() != self.left() * size {
            return Err(self.header.corrupt(format!("{} bytes for {} values", bytes.len(), self.left())));
        }
        bytes.chunks(BLOCK * size).try_for_each(|block| self.push(element::from_bytes::<T>(block)))
    }

    fn zstd(&mut self, payload: &[u8]) -> Result<()> {
        let error = |error: std::io::Error| self.header.corrupt(format!("zstd: {error}"));
        let most = (self.left() * T::DTYPE.bytes()) as u64;
        let mut bytes = Vec::new();
        let decoder = zstd::Decoder::new(payload).map_err(error)?;
        Watched(decoder.take(most + 1)).read_to_end(&mut bytes).map_err(error)?;
        self.bytes(&bytes)
    }
}

/// The product of the dimensions.
pub(crate) fn elements(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1, |product: u64, &dimension| product.checked_mul(dimension))
}

/// Maps 0, −1, 1, −2, … to 0, 1, 2, 3, ….
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Errors of tables and streams inside a payload: whatever they are, the payload is to blame.
fn in_payload<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::InvalidArgument(what) => Error::Corrupt { what, offset: 0 },
        other => other,
    })
}

#[cfg(test)]
mod tests;
