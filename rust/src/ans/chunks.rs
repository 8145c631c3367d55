//! Large groups in independent parts, which all cores work on.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::{Arc, Mutex};

use super::encoder::{encode_group, encode_small, estimate_cost, SMALL};
use super::{check_count, Backend, Decoder, Model, Stream, Symbol, BLOCK};
use crate::tables::COST_BITS;
use crate::{interrupt, varint, Error, Result};

/// A part takes at least so many bytes, of which its lanes' first states are a thousandth.
const CHUNK_BYTES: u64 = 192 << 10;
const MAX_CHUNKS: u64 = 1 << 16;

/// Where part `i` of `parts` lies among `count` elements: whole blocks, as equal as they can be.
fn part(count: usize, parts: usize, i: usize) -> Range<usize> {
    let blocks = count.div_ceil(BLOCK);
    let start = |i: usize| ((blocks as u128 * i as u128 / parts as u128) as usize * BLOCK).min(count);
    start(i)..start(i + 1)
}

/// The streams of all parts.
#[derive(Debug, Default)]
pub struct Chunks {
    index: Vec<u8>,
    streams: Vec<Stream>,
    sum: u32,
}

impl Chunks {
    /// The sum of all symbols modulo 2^32, which [`decode`] finds again: it costs next to nothing.
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.index.len() + self.streams.iter().map(Stream::len).sum::<usize>()
    }

    /// Whether there are no bytes, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes it.
    ///
    /// # Panics
    /// If `bytes` are not as many as it is long.
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
}

/// Codes a group of symbols by a model. The bytes don't depend on `threads` (0: as many as there are cores).
///
/// | bytes | |
/// |---|---|
/// | varint | number of parts minus 1 |
/// | varint for each part but the last | length of its stream |
/// | … | the streams, of one group each |
///
/// Of `n` parts of `b` blocks of 64 elements, part `i` has the blocks `⌊b i / n⌋..⌊b (i + 1) / n⌋`.
///
/// # Errors
/// [`Error::InvalidArgument`] if there are not as many symbols as elements, or the model's parameters are wrong.
pub fn encode<S: Symbol, M: Model>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    threads: usize,
) -> Result<Chunks> {
    check_count(symbols.len(), model.len())?;
    if symbols.len() <= SMALL {
        let (stream, sum) = encode_small(backend, symbols, model)?;
        return Ok(Chunks { index: vec![0], streams: vec![stream], sum });
    }
    let cost = estimate_cost(backend, symbols, model)?;
    let most = (symbols.len() / BLOCK) as u64;
    let parts = (cost / (CHUNK_BYTES << (COST_BITS + 3))).min(most).clamp(1, MAX_CHUNKS);
    // A power of two, which most numbers of cores divide.
    let parts = 1 << parts.ilog2();
    let parts = in_parallel(parts, threads, |i| {
        let range = part(symbols.len(), parts, i);
        encode_group(backend, &symbols[range.clone()], model, range.start, cost / parts as u64)
    })?;
    let (streams, sums): (Vec<Stream>, Vec<u32>) = parts.into_iter().unzip();
    let mut index = Vec::new();
    let last = streams.len() - 1;
    varint::put(&mut index, last as u64);
    streams[..last].iter().for_each(|stream| varint::put(&mut index, stream.len() as u64));
    Ok(Chunks { index, streams, sum: sums.into_iter().fold(0, u32::wrapping_add) })
}

/// Decodes what [`encode`] made, with the same model, and returns the sum of the symbols.
///
/// # Errors
/// [`Error::InvalidArgument`] if there are not as many symbols as elements, or the model's parameters are wrong;
/// [`Error::Truncated`] or [`Error::Corrupt`] if the bytes are no such streams.
pub fn decode<S: Symbol, M: Model>(
    backend: Backend,
    bytes: &[u8],
    model: &M,
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
        decode_part(backend, stream, model, first, out).map_err(|error| error.further(offset))
    })?;
    Ok(sums.into_iter().fold(0, u32::wrapping_add))
}

fn decode_part<S: Symbol, M: Model>(
    backend: Backend,
    stream: &[u8],
    model: &M,
    first: usize,
    out: &mut [S],
) -> Result<u32> {
    let mut decoder = Decoder::new(stream)?.with_backend(backend);
    let sum = decoder.get_part(model, first, out)?;
    decoder.finish()?;
    Ok(sum)
}

/// The streams of all parts.
fn split(bytes: &[u8], count: usize) -> Result<Vec<&[u8]>> {
    let mut position = 0;
    let parts = varint::take(bytes, &mut position, "number of parts")?.saturating_add(1);
    if parts > MAX_CHUNKS.min((count / BLOCK) as u64).max(1) {
        return Err(Error::Corrupt { what: format!("{parts} parts of {count} symbols"), offset: 0 });
    }
    let lengths = (1..parts)
        .map(|_| varint::take(bytes, &mut position, "length of a part"))
        .collect::<Result<Vec<u64>>>()?;
    let mut rest = &bytes[position..];
    let mut streams = Vec::with_capacity(parts as usize);
    for length in lengths {
        let stream;
        (stream, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(Error::Truncated { what: "part", offset: bytes.len() })?;
        streams.push(stream);
    }
    streams.push(rest);
    Ok(streams)
}

/// What `work` makes of `0..count`, in order; or the first of its errors.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = if count > 1 && threads == 0 { cores() } else { threads };
    if count <= 1 || threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let run = || loop {
        let i = next.fetch_add(1, Ordering::Relaxed);
        let Some(result) = results.get(i) else { break };
        let value = interrupt::check().and_then(|()| work(i));
        if let Ok(mut result) = result.lock() {
            *result = Some(value);
        }
    };
    let stopped = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (at_work, helpers) = channel::<()>();
        for _ in 1..threads.min(count) {
            let (at_work, stopped, run) = (at_work.clone(), &stopped, &run);
            let help = move || {
                interrupt::told(stopped, run);
                drop(at_work);
            };
            // Without another thread, those there are do all the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, help);
        }
        drop(at_work);
        run();
        // Who waits for the helpers goes on asking, for they are only told.
        while helpers.recv_timeout(interrupt::INTERVAL) == Err(RecvTimeoutError::Timeout) {
            stopped.fetch_or(!interrupt::is_wanted(), Ordering::Relaxed);
        }
    });
    let result = |result: Mutex<Option<_>>| result.into_inner().ok().flatten().expect("it has run");
    results.into_iter().map(result).collect()
}

/// Processors that this process may use: its affinity and its cgroup's quota count.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
