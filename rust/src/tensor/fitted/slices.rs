//! The method that gives each slice of an array a distribution from a fixed set.

use std::iter::Sum;
use std::sync::OnceLock;

use super::candidate::Candidate;
use super::header::Method;
use super::sink::{BLOCK, Sink, in_payload};
use super::zigzag::{put_zigzag, read_zigzag};
use crate::ans::{Decoder, Encoder, TableRows};
use crate::bytes::{Cursor, put_varint};
use crate::interrupt::{PIECE, pieces};
use crate::tables::{COST_BITS, TOTAL, Tables, cost_table, gaussian, laplace, scale_table};
use crate::tensor::Element;
use crate::{Error, Result, interrupt};

const LEVELS: usize = 64;
/// The smallest mean size of a slice that is worth its parameters.
const MIN_SLICE: u64 = 32;
/// The number of values in a slice that is a block.
const BLOCK_SLICE: u64 = 1024;
/// The approximate number of values from which the size of a fit is estimated, in blocks.
const SAMPLE: usize = 1 << 17;
const SAMPLE_BLOCK: usize = 1 << 12;

/// Gaussian or Laplace distributions with mean 0 and 64 scales.
pub(super) struct SliceTables {
    method: Method,
    /// The scale is estimated from the mean of this power of the distances from the mean.
    power: i32,
    tables: Tables,
    /// The mean of that power under each row.
    moments: Vec<f64>,
}

impl SliceTables {
    pub(super) fn gaussian() -> &'static Self {
        static TABLES: OnceLock<SliceTables> = OnceLock::new();
        TABLES.get_or_init(|| Self::new(Method::GaussianSlices, 2, gaussian))
    }

    pub(super) fn laplace() -> &'static Self {
        static TABLES: OnceLock<SliceTables> = OnceLock::new();
        TABLES.get_or_init(|| Self::new(Method::LaplaceSlices, 1, laplace))
    }

    fn new(method: Method, power: i32, build: fn(&[f64], u32) -> Result<Tables>) -> Self {
        let scales = scale_table(0.11, 256.0, LEVELS).expect("the range is valid");
        let tables = interrupt::undisturbed(|| build(&scales, 1)).expect("the scales are valid");
        let moment = |row| {
            let term = |symbol| f64::from(tables.slots(row, symbol).0.freq()) * moment(symbol.into(), power);
            tables.support(row).map(term).sum::<f64>() / f64::from(TOTAL)
        };
        let moments = (0..LEVELS).map(moment).collect();
        Self { method, power, tables, moments }
    }

    /// Returns the row whose moment is nearest, by ratio.
    fn row(&self, moment: f64) -> u8 {
        let above = self.moments.partition_point(|&other| other < moment).min(LEVELS - 1);
        let below = above.saturating_sub(1);
        let nearest = if moment * moment < self.moments[below] * self.moments[above] { below } else { above };
        nearest as u8
    }
}

fn moment(distance: i64, power: i32) -> f64 {
    let distance = distance as f64;
    if power == 2 { distance * distance } else { distance.abs() }
}

/// The division of an array into slices: value `i` belongs to slice `i / inner % channels`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slicing {
    inner: u64,
    channels: u64,
}

impl Slicing {
    /// Makes each index of an axis a slice.
    fn of_axis(shape: &[u64], axis: usize) -> Self {
        Self { inner: shape[axis + 1..].iter().product(), channels: shape[axis] }
    }

    /// Returns the slicings that are tried: one slice, the indexes of the first two axes and of the last one, and blocks.
    fn candidates(shape: &[u64], count: u64) -> Vec<Self> {
        let mut all = vec![Self { inner: count, channels: 1 }];
        let axes = (0..shape.len()).filter(|&axis| axis < 2 || axis == shape.len() - 1);
        all.extend(axes.map(|axis| Self::of_axis(shape, axis)));
        all.push(Self { inner: BLOCK_SLICE, channels: count.div_ceil(BLOCK_SLICE) });
        all.retain(|slicing| slicing.channels == 1 || slicing.channels <= count / MIN_SLICE);
        all.dedup();
        all
    }

    /// Returns the stretches of consecutive values of one slice, with the slice, until the work is cancelled.
    fn stretches<'a>(&self, values: &'a [i32]) -> impl Iterator<Item = (usize, &'a [i32])> + use<'a> {
        let channels = self.channels as usize;
        let mut unchecked = 0;
        let is_wanted = move |stretch: &&[i32]| {
            unchecked += stretch.len();
            let is_due = unchecked >= PIECE;
            unchecked %= PIECE;
            !is_due || interrupt::is_wanted()
        };
        let stretches = values.chunks(self.inner as usize).take_while(is_wanted);
        stretches.enumerate().map(move |(i, stretch)| (i % channels, stretch))
    }
}

/// A slicing, with the mean and the row of each slice.
struct Fit {
    tables: &'static SliceTables,
    slicing: Slicing,
    means: Vec<i32>,
    rows: Vec<u8>,
}

/// Returns the best fit over slicings (only that of the axis, if one is given) and families, if there are values.
pub(super) fn candidate<'a>(values: &'a [i32], shape: &[u64], axis: Option<usize>) -> Option<Candidate<'a>> {
    if values.is_empty() {
        return None;
    }
    let slicings = match axis {
        Some(axis) => vec![Slicing::of_axis(shape, axis)],
        None => Slicing::candidates(shape, values.len() as u64),
    };
    let fits = slicings.into_iter().flat_map(|slicing| fits(values, slicing));
    let (bytes, fit) = fits.map(|fit| (fit.bytes(values), fit)).min_by_key(|(bytes, _)| *bytes)?;
    Some(Candidate { method: fit.tables.method, bytes, payload: Box::new(move || fit.encode(values)) })
}

/// Sums terms in order, until the work is cancelled.
fn sum<S: Sum>(stretch: &[i32], term: impl Fn(&i32) -> S) -> S {
    if stretch.len() < PIECE {
        stretch.iter().map(term).sum()
    } else {
        pieces(stretch).flatten().map(term).sum()
    }
}

fn fits(values: &[i32], slicing: Slicing) -> [Fit; 2] {
    let channels = slicing.channels as usize;
    let (mut sums, mut counts) = (vec![0i64; channels], vec![0i64; channels]);
    for (slice, stretch) in slicing.stretches(values) {
        sums[slice] += sum(stretch, |&value| i64::from(value));
        counts[slice] += stretch.len() as i64;
    }
    let mean = |(sum, count): (&i64, &i64)| (sum + count / 2).div_euclid((*count).max(1)) as i32;
    let means: Vec<i32> = sums.iter().zip(&counts).map(mean).collect();
    [SliceTables::gaussian(), SliceTables::laplace()].map(|tables| {
        let mut moments = vec![0.0; channels];
        for (slice, stretch) in slicing.stretches(values) {
            let distance = |value: &i32| i64::from(*value) - i64::from(means[slice]);
            moments[slice] += sum(stretch, |value| moment(distance(value), tables.power));
        }
        let row = |(moment, &count): (&f64, &i64)| tables.row(moment / (count as f64).max(1.0));
        let rows = moments.iter().zip(&counts).map(row).collect();
        Fit { tables, slicing, means: means.clone(), rows }
    })
}

impl Fit {
    fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, self.slicing.inner);
        put_varint(&mut bytes, self.slicing.channels);
        self.means.iter().for_each(|&mean| put_zigzag(&mut bytes, mean.into()));
        bytes.extend(&self.rows);
        bytes
    }

    /// Estimates the length of the payload, from blocks spread over the array if it is large.
    fn bytes(&self, values: &[i32]) -> u64 {
        let table = cost_table();
        let (mut cost, mut escape_bytes, mut sampled) = (0, 0, 0);
        let step = values.len().div_ceil(SAMPLE);
        for (i, block) in values.chunks(SAMPLE_BLOCK).enumerate().step_by(step) {
            let mut assignment = Assignment::new(self.slicing, i * SAMPLE_BLOCK);
            for (value, &slice) in block.iter().zip(assignment.next(block.len())) {
                let symbol = value.wrapping_sub(self.means[slice as usize]);
                let (slots, outside) = self.tables.tables.slots(self.rows[slice as usize].into(), symbol);
                cost += u64::from(table[slots.freq() as usize]);
                escape_bytes += outside.map_or(0, |distance| 1 + u64::from(distance.max(1).ilog2() / 7));
            }
            sampled += block.len();
        }
        let stream_bytes =
            ((cost >> COST_BITS) / 8 + escape_bytes) as f64 * values.len() as f64 / sampled as f64;
        self.header().len() as u64 + stream_bytes as u64 + 4
    }

    fn encode(&self, values: &[i32]) -> Result<Vec<u8>> {
        let mut encoder = Encoder::new();
        let mut assignment = Assignment::new(self.slicing, 0);
        let mut symbols = Vec::with_capacity(BLOCK.min(values.len()));
        for block in values.chunks(BLOCK) {
            let slices = assignment.next(block.len());
            let rows: Vec<u8> = slices.iter().map(|&slice| self.rows[slice as usize]).collect();
            symbols.clear();
            symbols.extend(
                block
                    .iter()
                    .zip(slices)
                    .map(|(value, &slice)| value.wrapping_sub(self.means[slice as usize])),
            );
            encoder.put(&symbols, &TableRows::new(&self.tables.tables, &rows))?;
        }
        let mut bytes = self.header();
        bytes.extend(encoder.finish());
        Ok(bytes)
    }
}

/// Computes the slices of consecutive values, a block at a time.
struct Assignment {
    slicing: Slicing,
    slice: u64,
    /// The number of values that the current stretch has had.
    had: u64,
    slices: Vec<u32>,
}

impl Assignment {
    /// Begins with the value of index `first`.
    fn new(slicing: Slicing, first: usize) -> Self {
        let Slicing { inner, channels } = slicing;
        let first = first as u64;
        Self { slicing, slice: first / inner % channels, had: first % inner, slices: Vec::new() }
    }

    fn next(&mut self, count: usize) -> &[u32] {
        self.slices.clear();
        while self.slices.len() < count {
            let n = (self.slicing.inner - self.had).min((count - self.slices.len()) as u64);
            self.slices.resize(self.slices.len() + n as usize, self.slice as u32);
            self.had += n;
            if self.had == self.slicing.inner {
                (self.had, self.slice) = (0, (self.slice + 1) % self.slicing.channels);
            }
        }
        &self.slices
    }
}

pub(super) fn decode<T: Element>(payload: &[u8], tables: &SliceTables, sink: &mut Sink<T>) -> Result<()> {
    let mut cursor = Cursor::new(payload);
    let inner = cursor.varint("slice length")?;
    let channels = cursor.varint("number of slices")?;
    if inner == 0 || channels == 0 || channels > payload.len() as u64 / 2 {
        return Err(Error::Corrupt {
            what: format!("slices {inner} × {channels}"),
            offset: cursor.position(),
        });
    }
    let means =
        (0..channels).map(|_| read_zigzag(&mut cursor, "mean of a slice")).collect::<Result<Vec<i64>>>()?;
    let rows = cursor.take_u64(channels, "rows of slices")?;

    let mut decoder = Decoder::new(cursor.rest())?;
    let mut assignment = Assignment::new(Slicing { inner, channels }, 0);
    let (mut block_rows, mut symbols) = (Vec::new(), vec![0i32; BLOCK]);
    while sink.left() > 0 {
        let n = sink.left().min(BLOCK);
        let slices = assignment.next(n);
        block_rows.clear();
        block_rows.extend(slices.iter().map(|&slice| rows[slice as usize]));
        in_payload(decoder.get(&TableRows::new(&tables.tables, &block_rows), &mut symbols[..n]))?;
        let symbols = symbols[..n].iter().zip(slices);
        // The encoder's difference of two 32-bit integers wraps, so the sum wraps back.
        sink.push(
            symbols.map(|(&symbol, &slice)| i64::from(symbol.wrapping_add(means[slice as usize] as i32))),
        )?;
    }
    decoder.finish()
}
