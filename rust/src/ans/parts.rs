//! Large groups in independent parts, which are coded on several threads.

use std::ops::Range;
use std::sync::Mutex;

use super::calibration::Contexts;
use super::constants::BLOCK;
use super::decoder::{Decoder, StreamHead};
use super::encoder::{self, SMALL, encode_group, encode_small, estimate_cost};
use super::models::{Calibrated, EntropyModel, check_count};
use super::simd::Backend;
use super::stream::Stream;
use super::symbol::Symbol;
use crate::bytes::{Cursor, put_varint};
use crate::parallel::in_parallel;
use crate::tables::COST_BITS;
use crate::{Error, Result};

/// The smallest size of a part. The first states of its lanes are a thousandth of it.
const PART_BYTES: u64 = 192 << 10;
const MAX_PARTS: u64 = 1 << 16;
/// The most elements of a part that may be calibrated. All their slots are in memory at once: 8 bytes for each.
const MAX_CALIBRATED: u64 = 1 << 22;

/// Returns the elements of part `i` of `parts`. Parts are whole blocks and as equal as possible.
fn part(count: usize, parts: usize, i: usize) -> Range<usize> {
    let blocks = count.div_ceil(BLOCK);
    let start = |i: usize| ((blocks as u128 * i as u128 / parts as u128) as usize * BLOCK).min(count);
    start(i)..start(i + 1)
}

/// The coded parts of a group, which can be written to any place.
#[derive(Debug, Default)]
pub struct Parts {
    index: Vec<u8>,
    streams: Vec<Stream>,
    sum: u32,
}

impl Parts {
    /// Takes the stream of each part, and the sum of its symbols.
    fn new(parts: Vec<(Stream, u32)>) -> Self {
        let (streams, sums): (Vec<Stream>, Vec<u32>) = parts.into_iter().unzip();
        Self::of_streams(streams, sums.into_iter().fold(0, u32::wrapping_add))
    }

    /// Takes the stream of each part, and the sum of all symbols.
    ///
    /// # Panics
    /// If there are no streams.
    pub fn of_streams(streams: Vec<Stream>, sum: u32) -> Self {
        let mut index = Vec::new();
        let last = streams.len() - 1;
        put_varint(&mut index, last as u64);
        streams[..last].iter().for_each(|stream| put_varint(&mut index, stream.len() as u64));
        Self { index, streams, sum }
    }

    /// Returns the sum of all symbols modulo 2^32, which [`decode`] returns as well.
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.index.len() + self.streams.iter().map(Stream::len).sum::<usize>()
    }

    /// Returns whether there are no bytes, which is never true.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes all parts.
    ///
    /// # Panics
    /// If the length of `bytes` is not [`Parts::len`].
    pub fn write(&self, bytes: &mut [u8]) {
        let (index, mut rest) = bytes.split_at_mut(self.index.len());
        index.copy_from_slice(&self.index);
        for stream in &self.streams {
            let bytes;
            (bytes, rest) = rest.split_at_mut(stream.len());
            stream.write(bytes);
        }
        assert!(rest.is_empty());
    }

    /// Returns the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.write(&mut bytes);
        bytes
    }
}

/// Codes a group of symbols: `symbols[i]` has the distribution of element `i` of the model. The bytes do not depend on the
/// number of threads; 0 stands for the number of cores.
///
/// | bytes | |
/// |---|---|
/// | varint | number of parts minus 1 |
/// | varint for each part but the last | length of its stream |
/// | … | the streams, of one group each |
///
/// If `b` blocks of 64 elements are coded in `n` parts, part `i` has the blocks `⌊b i / n⌋..⌊b (i + 1) / n⌋`.
///
/// # Errors
/// [`Error::InvalidArgument`] if the number of symbols is not that of elements, or a parameter of the model is not valid.
pub fn encode<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    threads: usize,
) -> Result<Parts> {
    check_count(symbols.len(), model.len())?;
    if symbols.len() <= SMALL {
        return Ok(Parts::new(vec![encode_small(backend, symbols, model)?]));
    }
    let cost = estimate_cost(backend, symbols, model)?;
    let parts = part_count(symbols.len(), cost);
    Ok(Parts::new(in_parallel(parts, threads, |i| {
        let range = part(symbols.len(), parts, i);
        encode_group(backend, &symbols[range.clone()], model, range.start, cost / parts as u64)
    })?))
}

/// Does as [`encode`] with calibrated distributions, in which elements of a context are wrong in the same way. Each part
/// learns for itself, so that parts stay independent, and is calibrated only if that makes it shorter. There are at least as many
/// parts as `plain`, the result of [`encode`], has.
///
/// # Errors
/// As [`encode`].
pub fn encode_in_contexts<S: Symbol, M: Calibrated>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    contexts: Contexts,
    plain: &Parts,
    threads: usize,
) -> Result<Parts> {
    check_count(symbols.len(), model.len())?;
    let parts = plain.streams.len().max(symbols.len().div_ceil(MAX_CALIBRATED as usize)).next_power_of_two();
    Ok(Parts::new(in_parallel(parts, threads, |i| {
        let range = part(symbols.len(), parts, i);
        encoder::encode_in_contexts(backend, &symbols[range.clone()], model, range.start, contexts)
    })?))
}

/// Returns the number of parts of so many elements, whose cost is in units of 2^−[`COST_BITS`] bits.
fn part_count(elements: usize, cost: u64) -> usize {
    let most = (elements / BLOCK) as u64;
    let parts = (cost / (PART_BYTES << (COST_BITS + 3))).min(most).clamp(1, MAX_PARTS);
    // Most numbers of cores divide a power of two.
    1 << parts.ilog2()
}

/// Inverts [`encode`] with the same model, or [`encode_in_contexts`] with the same contexts as well, and returns the sum of
/// the symbols modulo 2^32.
///
/// # Errors
/// [`Error::InvalidArgument`] if the length of `out` is not the number of elements, or a parameter of the model is not
/// valid; [`Error::Truncated`] or [`Error::Corrupt`] if the bytes are not those of such a group.
pub fn decode<S: Symbol, M: Calibrated>(
    backend: Backend,
    bytes: &[u8],
    model: &M,
    contexts: Option<Contexts>,
    out: &mut [S],
    threads: usize,
) -> Result<u32> {
    check_count(out.len(), model.len())?;
    let streams = split(bytes, out.len())?;
    let count = out.len();
    let mut jobs = Vec::with_capacity(streams.len());
    let mut rest = out;
    for (i, stream) in streams.iter().enumerate() {
        let range = part(count, streams.len(), i);
        let out;
        (out, rest) = rest.split_at_mut(range.len());
        jobs.push(Mutex::new(Some((*stream, range.start, out))));
    }
    let sums = in_parallel(jobs.len(), threads, |i| {
        let job = jobs[i].lock().ok().and_then(|mut job| job.take());
        let (stream, first, out) = job.expect("each part is taken once");
        let offset = stream.as_ptr() as usize - bytes.as_ptr() as usize;
        decode_part(backend, stream, model, first, contexts, out).map_err(|error| error.offset_by(offset))
    })?;
    Ok(sums.into_iter().fold(0, u32::wrapping_add))
}

fn decode_part<S: Symbol, M: Calibrated>(
    backend: Backend,
    stream: &[u8],
    model: &M,
    first: usize,
    contexts: Option<Contexts>,
    out: &mut [S],
) -> Result<u32> {
    let mut decoder = Decoder::new(stream)?.with_backend(backend);
    let sum = match contexts {
        Some(contexts) => decoder.get_part_in_contexts(model, first, contexts, out)?,
        None => decoder.get_part(model, first, out)?,
    };
    decoder.finish()?;
    Ok(sum)
}

/// Reads the streams of all parts of so many elements up to their first words.
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Corrupt`].
pub fn stream_heads(bytes: &[u8], count: usize) -> Result<Vec<StreamHead>> {
    let streams = split(bytes, count)?;
    let heads = streams.into_iter().map(|stream| {
        let offset = stream.as_ptr() as usize - bytes.as_ptr() as usize;
        let head = StreamHead::read(stream).map_err(|error| error.offset_by(offset))?;
        Ok(head.moved_by(offset))
    });
    heads.collect()
}

/// Returns the streams of all parts.
fn split(bytes: &[u8], count: usize) -> Result<Vec<&[u8]>> {
    let mut cursor = Cursor::new(bytes);
    let parts = cursor.varint("number of parts")?.saturating_add(1);
    if parts > MAX_PARTS.min((count / BLOCK) as u64).max(1) {
        return Err(Error::Corrupt { what: format!("{parts} parts of {count} symbols"), offset: 0 });
    }
    let lengths = (1..parts).map(|_| cursor.varint("length of a part")).collect::<Result<Vec<u64>>>()?;
    let mut streams =
        lengths.into_iter().map(|length| cursor.take_u64(length, "part")).collect::<Result<Vec<&[u8]>>>()?;
    streams.push(cursor.rest());
    Ok(streams)
}
