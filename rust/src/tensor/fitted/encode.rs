//! The choice of a method, and the encoder.

use xxhash_rust::xxh3::xxh3_64;

use super::candidate::Candidate;
use super::header::{MAGIC, Method, VERSION};
use super::{dictionary, raw, slices};
use crate::bytes::put_varint;
use crate::interrupt::{self, pieces};
use crate::tensor::{ArrayInfo, Element, Library};
use crate::{Error, Result};

const ZSTD_LEVEL: i32 = 3;

/// Encodes the values of an array in row-major order. If an axis is given, each index along it has a distribution of its
/// own.
///
/// # Errors
/// [`Error::InvalidArgument`] if the number of values is not that of the shape, or there is no such axis.
pub fn encode<T: Element>(
    values: &[T],
    shape: &[u64],
    library: Library,
    axis: Option<usize>,
) -> Result<Vec<u8>> {
    if axis.is_some_and(|axis| axis >= shape.len()) {
        return Err(Error::InvalidArgument(format!("no axis {} in the shape {shape:?}", axis.unwrap_or(0))));
    }
    let array = ArrayInfo { dtype: T::DTYPE, library, shape: shape.to_vec() };
    array.check_count(values.len(), "values")?;
    let raw = raw::to_bytes(values);
    let (method, payload) = compress(values, shape, axis, &raw)?;
    interrupt::check()?;

    let mut bytes = Vec::with_capacity(payload.len() + 64);
    bytes.extend(MAGIC);
    bytes.push(VERSION);
    array.put(&mut bytes);
    bytes.push(method as u8);
    put_varint(&mut bytes, payload.len() as u64);
    bytes.extend(payload);
    interrupt::check()?;
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(xxh3_64(&raw).to_le_bytes());
    Ok(bytes)
}

/// Returns the smallest payload and its method.
fn compress<T: Element>(
    values: &[T],
    shape: &[u64],
    axis: Option<usize>,
    raw: &[u8],
) -> Result<(Method, Vec<u8>)> {
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
    Ok((Method::Raw, raw.to_vec()))
}

/// Returns the values as 32-bit integers, if all of them fit.
fn symbols<T: Element>(values: &[T]) -> Option<Vec<i32>> {
    let mut symbols = Vec::new();
    for piece in pieces(values) {
        for value in piece {
            symbols.push(i32::try_from(value.to_i64()).ok()?);
        }
    }
    Some(symbols)
}

/// Estimates the result of Zstandard, from a sixteenth of large data.
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
    Candidate { method: Method::Zstd, bytes, payload: Box::new(move || compress(raw)) }
}
