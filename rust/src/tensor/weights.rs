//! The weights of a model in a file: a configuration, and named arrays of floats and integers, all restored to the bit.
//!
//! The weights of an exact network are small integers times powers of two. An array is a matrix of its first index and
//! of all others together (a vector is one row), and its value in row `r` and column `c` is
//! ```text
//! k[r, c] · 2^(e[r] + f[c])
//! ```
//! where the encoder takes the largest exponents for which all `k` are integers, of 32 bits. Arrays of integers have no
//! exponents. The distribution of `k[r, c]` is
//! logistic, with the mean magnitude `2^((a[r] + b[c] − 8) / 2)`: two levels to a factor of two. Of levels above the
//! widest table, the lowest bits of `k` are coded apart, as equally probable.
//!
//! # File
//! | bytes | |
//! |---|---|
//! | 4, 1 | the magic `\x89LIW`, and the version, 1 |
//! | varint, that many | length of the configuration, and the configuration |
//! | varint | number of arrays |
//! | for each array | length of its name and the name; its type, 0 for f32 and 1 for i32; number of dimensions, dimensions; length of its payload (varints, and a byte for the type) |
//! | all payloads | in the order of the arrays, which is that of their names; none for an array without values |
//! | 8 | XXH3-64 of the configuration and of the values of all arrays, little-endian |
//! | 8 | XXH3-64 of all bytes before |
//!
//! A payload begins with a byte, its kind: 0 for integers, 1 for integers with exponents, 2 for values that are stored as
//! they are, little-endian, where that is shorter or nothing else restores them. Four vectors of side information follow,
//! as far as they are there: `e`, `f`, `a`, `b`; `f` and `b` only of more than one row. Of each there is the mean (zigzag varint),
//! which is subtracted from its values, and the level of what is left (a byte). The rest is a stream of
//! [`ans`](crate::ans): a group for every 2^14 values of a vector; then for every 2^14 columns, or fewer at the end, of each
//! row a group of `k >> bits`, and, if any of them has low bits, a group of these.

use std::f64::consts::{LN_2, SQRT_2};
use std::sync::OnceLock;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::array::{MAX_DIMENSIONS, element_count};
use super::fitted::zigzag::{put_zigzag, read_zigzag};
use crate::ans::{Decoder, Encoder, TableRows};
use crate::bytes::{Cursor, put_varint};
use crate::parallel::in_parallel;
use crate::tables::{CdfRow, Family, Tables};
use crate::{Error, Limits, Result, Unsupported, interrupt};

/// The first bytes of every file.
pub const MAGIC: [u8; 4] = *b"\x89LIW";
const VERSION: u8 = 1;
/// The kinds of payloads.
const INTEGERS: u8 = 0;
const SCALED: u8 = 1;
const STORED: u8 = 2;
/// Values that are coded together. Memory grows only with values that the payload really holds.
const BLOCK: usize = 1 << 14;
/// The level of mean magnitude 1, the highest level with a table of its own, and the most low bits of a value.
const UNIT_LEVEL: i32 = 8;
const TOP_LEVEL: i32 = UNIT_LEVEL + 16;
const MAX_LOW_BITS: i32 = 14;
/// The mean magnitude of a logistic distribution of scale 1.
const MEAN_MAGNITUDE: f64 = 2.0 * LN_2;
/// The least mean magnitude of a row or a column that is told from zero.
const LEAST: f64 = 0.02;
/// Alternations between fitting rows and fitting columns.
const FITS: usize = 4;

/// The values of an array.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Values {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

/// A named array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The name, which no other array of the model has.
    pub name: String,
    /// The dimensions; empty for a single value.
    pub shape: Vec<u64>,
    /// The values, the last dimension first.
    pub values: Values,
}

/// The weights of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// The configuration, JSON to the Python package.
    pub config: String,
    /// The arrays, in the order of their names.
    pub arrays: Vec<Array>,
}

/// Returns the bytes of a file.
///
/// # Errors
/// [`Error::InvalidArgument`] unless the names ascend and each shape has as many elements as there are values;
/// [`Error::Interrupted`].
pub fn encode(weights: &Weights) -> Result<Vec<u8>> {
    let arrays = &weights.arrays;
    if let Some(pair) = arrays.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(Error::InvalidArgument(format!("array {:?} before {:?}", pair[0].name, pair[1].name)));
    }
    let payloads = in_parallel(arrays.len(), 0, |i| arrays[i].payload())?;
    let mut bytes = [&MAGIC[..], &[VERSION]].concat();
    put_string(&mut bytes, &weights.config);
    put_varint(&mut bytes, arrays.len() as u64);
    for (array, payload) in arrays.iter().zip(&payloads) {
        put_string(&mut bytes, &array.name);
        bytes.push(matches!(array.values, Values::I32(_)).into());
        put_varint(&mut bytes, array.shape.len() as u64);
        array.shape.iter().for_each(|&dimension| put_varint(&mut bytes, dimension));
        put_varint(&mut bytes, payload.len() as u64);
    }
    payloads.iter().for_each(|payload| bytes.extend(payload));
    bytes.extend(weights.checksum().to_le_bytes());
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    Ok(bytes)
}

/// Restores the weights of a file on several threads, all that the process may use if `threads` is 0.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`] or [`Error::Unsupported`] if it is not a whole file of this version,
/// [`Error::LimitExceeded`] if the arrays have more than [`Limits::max_output_bytes`], and [`Error::Interrupted`].
pub fn decode(bytes: &[u8], limits: &Limits, threads: usize) -> Result<Weights> {
    if bytes.get(8) == Some(&b'{') && !bytes.starts_with(&MAGIC) {
        let what =
            "weights in a safetensors file, as release 0.1.0 wrote: convert them as docs/training.md shows";
        return Err(Error::Unsupported(what.into()));
    }
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if magic != &MAGIC[..magic.len()] {
        return Err(corrupt("not weights: wrong magic", 0));
    }
    let mut cursor = Cursor::new(bytes);
    cursor.take(MAGIC.len(), "weights")?;
    let found = cursor.byte("weights")?;
    if found != VERSION {
        return Err(Unsupported::Version { format: "weights", found, newest: VERSION }.into());
    }
    let (bytes, end) = bytes.split_last_chunk().ok_or_else(|| truncated(bytes, "checksum of the file"))?;
    if xxh3_64(bytes) != u64::from_le_bytes(*end) {
        return Err(corrupt("checksum of the file", bytes.len()));
    }
    let (bytes, end) = bytes.split_last_chunk().ok_or_else(|| truncated(bytes, "checksum of the values"))?;

    let mut cursor = Cursor::at(bytes, cursor.position());
    let config = read_string(&mut cursor, "configuration")?;
    let count = cursor.varint("number of arrays")?;
    let mut heads: Vec<(Head, u64)> = Vec::new();
    let mut total = 0u64;
    for _ in 0..count {
        let head = Head::read(&mut cursor)?;
        let length = cursor.varint("length of an array")?;
        if heads.last().is_some_and(|(before, _)| before.name >= head.name) {
            return Err(corrupt(format!("array {:?} out of order", head.name), cursor.position()));
        }
        total = total.saturating_add(head.elements.saturating_mul(4));
        limits.check_output("weights in bytes", total)?;
        heads.push((head, length));
    }
    let mut payloads = Vec::new();
    for (_, length) in &heads {
        payloads.push((cursor.position(), cursor.take_u64(*length, "array")?));
    }
    if !cursor.rest().is_empty() {
        return Err(corrupt("bytes after the last array", cursor.position()));
    }
    let arrays = in_parallel(heads.len(), threads, |i| {
        let (position, payload) = payloads[i];
        heads[i].0.decode(payload).map_err(|error| match error {
            Error::InvalidArgument(what) => corrupt(what, position),
            other => other.offset_by(position),
        })
    })?;
    let weights = Weights { config, arrays };
    match weights.checksum() == u64::from_le_bytes(*end) {
        true => Ok(weights),
        false => Err(corrupt("checksum of the values", bytes.len())),
    }
}

impl Weights {
    /// Returns the XXH3-64 of the configuration and of all values, little-endian.
    fn checksum(&self) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(self.config.as_bytes());
        for array in &self.arrays {
            match &array.values {
                Values::F32(values) => add(&mut hash, values, f32::to_le_bytes),
                Values::I32(values) => add(&mut hash, values, i32::to_le_bytes),
            }
        }
        hash.digest()
    }

    /// Returns the 32 bits by which files refer to a network: they change with the configuration and with any value.
    pub fn fingerprint(&self) -> u32 {
        self.checksum() as u32
    }
}

/// Adds values to a hash, block by block: their bytes take little memory.
fn add<T: Copy>(hash: &mut Xxh3, values: &[T], to_bytes: impl Fn(T) -> [u8; 4]) {
    let mut bytes = Vec::with_capacity(4 * BLOCK.min(values.len()));
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|&value| to_bytes(value)));
        hash.update(&bytes);
    }
}

fn corrupt(what: impl Into<String>, offset: usize) -> Error {
    Error::Corrupt { what: what.into(), offset }
}

fn truncated(bytes: &[u8], what: &'static str) -> Error {
    Error::Truncated { what, offset: bytes.len() }
}

fn put_string(bytes: &mut Vec<u8>, string: &str) {
    put_varint(bytes, string.len() as u64);
    bytes.extend(string.as_bytes());
}

fn read_string(cursor: &mut Cursor, what: &'static str) -> Result<String> {
    let length = cursor.varint(what)?;
    let bytes = cursor.take_u64(length, what)?.to_vec();
    String::from_utf8(bytes).map_err(|_| corrupt(format!("{what} is no text"), cursor.position()))
}

/// The properties of an array other than its values.
struct Head {
    name: String,
    is_integer: bool,
    shape: Vec<u64>,
    elements: u64,
}

impl Head {
    fn read(cursor: &mut Cursor) -> Result<Self> {
        let name = read_string(cursor, "name of an array")?;
        let code = cursor.byte("dtype")?;
        if code > 1 {
            return Err(Unsupported::Dtype(code).into());
        }
        let dimensions = cursor.varint("number of dimensions")?;
        if dimensions > MAX_DIMENSIONS {
            return Err(corrupt(format!("{dimensions} dimensions"), cursor.position()));
        }
        let shape = (0..dimensions).map(|_| cursor.varint("dimension")).collect::<Result<Vec<u64>>>()?;
        let elements =
            element_count(&shape).ok_or_else(|| corrupt(format!("shape {shape:?}"), cursor.position()))?;
        Ok(Self { name, is_integer: code == 1, shape, elements })
    }

    fn decode(&self, payload: &[u8]) -> Result<Array> {
        let mut floats = Vec::new();
        let mut integers = Vec::new();
        let count = self.elements as usize; // The limits were checked.
        if count == 0 && !payload.is_empty() {
            return Err(corrupt("values of an empty array", 0));
        }
        if let Some((&STORED, bytes)) = payload.split_first() {
            let (words, rest) = bytes.as_chunks();
            if words.len() != count || !rest.is_empty() {
                return Err(corrupt(format!("{} bytes for {count} values", bytes.len()), 1));
            }
            match self.is_integer {
                true => push(&mut integers, words.iter().map(|&word| i32::from_le_bytes(word)))?,
                false => push(&mut floats, words.iter().map(|&word| f32::from_le_bytes(word)))?,
            }
        } else if count > 0 {
            get_matrix(payload, count, &self.shape, |symbols, exponents| match exponents {
                Some((row, columns)) if !self.is_integer => {
                    let value =
                        |(&k, &column): (&i32, &i32)| f64::from(k) * power(row.saturating_add(column));
                    push(&mut floats, symbols.iter().zip(columns).map(|pair| value(pair) as f32))
                }
                None if self.is_integer => push(&mut integers, symbols.iter().copied()),
                _ => Err(corrupt("exponents do not fit the type", 0)),
            })?;
        }
        let values = if self.is_integer { Values::I32(integers) } else { Values::F32(floats) };
        Ok(Array { name: self.name.clone(), shape: self.shape.clone(), values })
    }
}

fn push<T>(values: &mut Vec<T>, more: impl ExactSizeIterator<Item = T>) -> Result<()> {
    let bytes = ((values.len() + more.len()) * size_of::<T>()) as u64;
    values.try_reserve(more.len()).map_err(|_| Error::OutOfMemory { bytes })?;
    values.extend(more);
    Ok(())
}

/// Returns 2 to the power of an exponent, within the range of float64.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent.clamp(-1022, 1023) + 1023) as u64) << 52)
}

/// Returns the number of columns of an array with values.
fn columns(shape: &[u64], count: usize) -> usize {
    if shape.len() < 2 { count } else { count / shape[0] as usize }
}

/// The distributions: of levels up to [`TOP_LEVEL`], then of 1 bit, 2 bits, … up to [`MAX_LOW_BITS`].
fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let scale =
            |level| power((level - UNIT_LEVEL) >> 1) * [1.0, SQRT_2][level as usize & 1] / MEAN_MAGNITUDE;
        let logistic = (0..=TOP_LEVEL).flat_map(|level| Family::Logistic.rows(scale(level), 1));
        let uniform =
            |bits: i32| CdfRow::from_pmf(&vec![1.0; 1 << bits], 0).expect("probabilities are valid");
        let rows: Vec<CdfRow> = logistic.chain((1..=MAX_LOW_BITS).map(uniform)).collect();
        interrupt::undisturbed(|| Tables::from_rows(&rows)).expect("rows are few")
    })
}

/// Returns the level whose mean magnitude is nearest to this one, by ratio.
fn level(magnitude: f64) -> i32 {
    (2.0 * magnitude.max(1e-30).log2()).round() as i32 + UNIT_LEVEL
}

/// A part of a row: the rows of tables of its values, and the low bits that each value has besides.
#[derive(Default)]
struct Part {
    rows: Vec<u8>,
    bits: Vec<u8>,
    low_rows: Vec<u8>,
}

impl Part {
    /// Takes the levels of the values.
    fn set(&mut self, levels: impl Iterator<Item = i32>) {
        self.rows.clear();
        self.bits.clear();
        self.low_rows.clear();
        for level in levels {
            let bits = ((level - TOP_LEVEL + 1) >> 1).clamp(0, MAX_LOW_BITS);
            self.rows.push((level - 2 * bits).clamp(0, TOP_LEVEL) as u8);
            self.bits.push(bits as u8);
            if bits > 0 {
                self.low_rows.push((TOP_LEVEL + bits) as u8);
            }
        }
    }

    fn put(&self, values: &[i32], encoder: &mut Encoder) -> Result<()> {
        let high: Vec<i32> = values.iter().zip(&self.bits).map(|(value, bits)| value >> bits).collect();
        encoder.put(&high, &TableRows::new(tables(), &self.rows))?;
        if !self.low_rows.is_empty() {
            let parts = values.iter().zip(&self.bits).filter(|(_, bits)| **bits > 0);
            let low: Vec<i32> = parts.map(|(value, bits)| value & ((1 << bits) - 1)).collect();
            encoder.put(&low, &TableRows::new(tables(), &self.low_rows))?;
        }
        Ok(())
    }

    fn get(&self, decoder: &mut Decoder<&[u8]>, values: &mut [i32]) -> Result<()> {
        decoder.get(&TableRows::new(tables(), &self.rows), values)?;
        if !self.low_rows.is_empty() {
            let mut low = vec![0i32; self.low_rows.len()];
            decoder.get(&TableRows::new(tables(), &self.low_rows), &mut low)?;
            let parts = values.iter_mut().zip(&self.bits).filter(|(_, bits)| **bits > 0);
            for ((value, bits), low) in parts.zip(low) {
                *value = (*value << bits).wrapping_add(low);
            }
        }
        Ok(())
    }
}

/// Appends side information to the head of a payload and to its stream.
fn put_vector(head: &mut Vec<u8>, encoder: &mut Encoder, values: &[i32]) -> Result<()> {
    let count = values.len() as f64;
    let mean = (values.iter().map(|&value| f64::from(value)).sum::<f64>() / count).round() as i32;
    let distance = |&value: &i32| f64::from(value - mean).abs();
    let level = level(values.iter().map(distance).sum::<f64>() / count).clamp(0, TOP_LEVEL);
    put_zigzag(head, mean.into());
    head.push(level as u8);
    let mut part = Part::default();
    for block in values.chunks(BLOCK) {
        part.set(block.iter().map(|_| level));
        part.put(&block.iter().map(|value| value - mean).collect::<Vec<_>>(), encoder)?;
    }
    Ok(())
}

/// The mean and the level of side information.
type VectorHead = (i32, u8);

fn read_vector_head(cursor: &mut Cursor) -> Result<VectorHead> {
    Ok((read_zigzag(cursor, "mean of side information")? as i32, cursor.byte("level of side information")?))
}

fn get_vector(decoder: &mut Decoder<&[u8]>, (mean, level): VectorHead, count: usize) -> Result<Vec<i32>> {
    let mut values = Vec::new();
    let (mut part, mut block) = (Part::default(), vec![0i32; BLOCK.min(count)]);
    while values.len() < count {
        let block = &mut block[..BLOCK.min(count - values.len())];
        part.set(block.iter().map(|_| level.into()));
        part.get(decoder, block)?;
        push(&mut values, block.iter().map(|value| value.wrapping_add(mean)))?;
    }
    Ok(values)
}

/// Returns the part of side information that belongs to columns; without side information it is zero.
fn of_columns(values: &[i32], first: usize, count: usize) -> &[i32] {
    static ZEROS: [i32; BLOCK] = [0; BLOCK];
    if values.is_empty() { &ZEROS[..count] } else { &values[first..first + count] }
}

/// An array as integers, and their exponents by row and by column.
struct Matrix {
    columns: usize,
    integers: Vec<i32>,
    exponents: Option<(Vec<i32>, Vec<i32>)>,
}

impl Matrix {
    /// Takes the largest exponents for which all values are integers, or returns nothing if these have more than 32 bits.
    fn of_floats(values: &[f32], columns: usize) -> Option<Self> {
        // The exponent of the lowest bit that is set, none for zero.
        let lowest = |value: f32| {
            let bits = value.to_bits();
            let (exponent, fraction) = (((bits >> 23) & 0xff) as i32, bits & 0x7f_ffff);
            let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 23 };
            (mantissa != 0).then(|| exponent.max(1) - 150 + mantissa.trailing_zeros() as i32)
        };
        let lowest: Vec<Option<i32>> = values.iter().map(|&value| lowest(value)).collect();
        let smallest = |row: &[Option<i32>], of_columns: &[i32]| {
            let exponents = row.iter().zip(of_columns).filter_map(|(e, column)| e.map(|e| e - column));
            exponents.min().unwrap_or(0)
        };
        let mut of_columns = vec![0; columns];
        let mut of_rows: Vec<i32> = lowest.chunks(columns).map(|row| smallest(row, &of_columns)).collect();
        if of_rows.len() > 1 {
            of_columns.fill(i32::MAX);
            for (row, of_row) in lowest.chunks(columns).zip(&of_rows) {
                let pairs = of_columns.iter_mut().zip(row);
                pairs.for_each(|(column, e)| *column = e.map_or(*column, |e| (e - of_row).min(*column)));
            }
            of_columns.iter_mut().filter(|column| **column == i32::MAX).for_each(|column| *column = 0);
            of_rows = lowest.chunks(columns).map(|row| smallest(row, &of_columns)).collect();
        }
        let mut integers = Vec::with_capacity(values.len());
        for (row, of_row) in values.chunks(columns).zip(&of_rows) {
            for (&value, column) in row.iter().zip(&of_columns) {
                let integer = (f64::from(value) * power(-of_row - column)) as i32;
                let restored = (f64::from(integer) * power(of_row + column)) as f32;
                // Neither the sign of a zero nor what is not a number is restored, or what has more than 32 bits.
                if restored.to_bits() != value.to_bits() {
                    return None;
                }
                integers.push(integer);
            }
        }
        Some(Self { columns, integers, exponents: Some((of_rows, of_columns)) })
    }

    /// Fits levels to rows and to columns, so that their sum is the level of each value.
    fn levels(&self) -> (Vec<i32>, Vec<i32>) {
        let magnitudes =
            || self.integers.chunks(self.columns).map(|row| row.iter().map(|&k| f64::from(k).abs()));
        let mut of_columns = vec![1.0; self.columns];
        let mut of_rows = Vec::new();
        for _ in 0..FITS {
            let mean = |row: &mut dyn Iterator<Item = f64>| {
                let sum: f64 = row.zip(&of_columns).map(|(magnitude, of_column)| magnitude / of_column).sum();
                (sum / self.columns as f64).max(LEAST)
            };
            of_rows = magnitudes().map(|mut row| mean(&mut row)).collect();
            if of_rows.len() == 1 {
                break;
            }
            of_columns.fill(0.0);
            for (row, of_row) in magnitudes().zip(&of_rows) {
                row.zip(&mut of_columns).for_each(|(magnitude, of_column)| *of_column += magnitude / of_row);
            }
            let count = of_rows.len() as f64;
            of_columns.iter_mut().for_each(|of_column| *of_column = (*of_column / count).max(LEAST));
        }
        let of_rows = of_rows.into_iter().map(level).collect();
        (of_rows, of_columns.into_iter().map(|of_column| level(of_column) - UNIT_LEVEL).collect())
    }

    fn payload(&self) -> Result<Vec<u8>> {
        let mut encoder = Encoder::new();
        let mut bytes = vec![if self.exponents.is_some() { SCALED } else { INTEGERS }];
        let is_vector = self.integers.len() == self.columns;
        let levels = self.levels();
        for (of_rows, of_columns) in self.exponents.iter().chain([&levels]) {
            put_vector(&mut bytes, &mut encoder, of_rows)?;
            if !is_vector {
                put_vector(&mut bytes, &mut encoder, of_columns)?;
            }
        }
        let mut part = Part::default();
        for (row, of_row) in self.integers.chunks(self.columns).zip(&levels.0) {
            for (i, values) in row.chunks(BLOCK).enumerate() {
                part.set(levels.1[i * BLOCK..].iter().take(values.len()).map(|of_column| of_row + of_column));
                part.put(values, &mut encoder)?;
            }
        }
        bytes.extend(encoder.finish());
        Ok(bytes)
    }
}

/// Decodes the payload of `count` values, more than none. `take` gets parts of rows, with the exponents of the row and of
/// the columns, if there are any.
fn get_matrix(
    payload: &[u8],
    count: usize,
    shape: &[u64],
    mut take: impl FnMut(&[i32], Option<(i32, &[i32])>) -> Result<()>,
) -> Result<()> {
    let columns = columns(shape, count);
    let rows = count / columns;
    let mut cursor = Cursor::new(payload);
    let has_exponents = match cursor.byte("kind of an array")? {
        INTEGERS => false,
        SCALED => true,
        kind => return Err(corrupt(format!("kind {kind} of an array"), 0)),
    };
    let lengths = if rows > 1 { &[rows, columns][..] } else { &[rows] };
    let mut heads = Vec::new();
    for _ in 0..lengths.len() * (1 + usize::from(has_exponents)) {
        heads.push(read_vector_head(&mut cursor)?);
    }
    let mut decoder = Decoder::new(cursor.rest())?;
    let mut vectors = heads.into_iter().zip(lengths.iter().cycle());
    let mut pair = || -> Result<[Vec<i32>; 2]> {
        let mut pair = [const { Vec::new() }; 2];
        for (vector, (head, &length)) in pair.iter_mut().zip(vectors.by_ref().take(lengths.len())) {
            *vector = get_vector(&mut decoder, head, length)?;
        }
        Ok(pair)
    };
    let exponents = if has_exponents { Some(pair()?) } else { None };
    let levels = pair()?;
    let (mut part, mut block) = (Part::default(), vec![0i32; BLOCK.min(columns)]);
    for row in 0..rows {
        interrupt::check()?;
        for first in (0..columns).step_by(BLOCK) {
            let values = &mut block[..BLOCK.min(columns - first)];
            let of_columns = of_columns(&levels[1], first, values.len());
            part.set(of_columns.iter().map(|of_column| of_column.saturating_add(levels[0][row])));
            part.get(&mut decoder, values)?;
            take(
                values,
                exponents
                    .as_ref()
                    .map(|[rows, columns]| (rows[row], self::of_columns(columns, first, values.len()))),
            )?;
        }
    }
    decoder.finish()
}

impl Array {
    fn payload(&self) -> Result<Vec<u8>> {
        let count = match &self.values {
            Values::F32(values) => values.len(),
            Values::I32(values) => values.len(),
        };
        if element_count(&self.shape) != Some(count as u64) || self.shape.len() as u64 > MAX_DIMENSIONS {
            let what = format!("{count} values for the shape {:?} of {:?}", self.shape, self.name);
            return Err(Error::InvalidArgument(what));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let columns = columns(&self.shape, count);
        let matrix = match &self.values {
            Values::I32(values) => Some(Matrix { columns, integers: values.clone(), exponents: None }),
            Values::F32(values) => Matrix::of_floats(values, columns),
        };
        let coded = matrix.map(|matrix| matrix.payload()).transpose()?;
        if let Some(coded) = coded.filter(|coded| coded.len() <= 4 * count) {
            return Ok(coded);
        }
        let mut stored = vec![STORED];
        match &self.values {
            Values::I32(values) => stored.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Values::F32(values) => stored.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        Ok(stored)
    }
}
