//! Probability tables: integer cumulative distributions of 2^[`PRECISION`] slots, the same on every machine.
//!
//! A row of [`Tables`] gives symbol `offset + j` the slots `cdf[j]..cdf[j + 1]`; the last interval of a row
//! is the *escape*, for every symbol outside. [`LogisticMixture`] computes such intervals from parameters
//! instead.

mod cost;
mod curve;
mod direct;
mod distribution;
mod ladder;
mod mixture;
mod mixture_of;
pub(crate) mod real;
mod requantize;
mod window;

use crate::{interrupt, Error, Result};

pub(crate) use cost::{cost_table, COST_BITS};
pub(crate) use curve::Curve;
#[cfg(target_arch = "x86_64")]
pub(crate) use direct::Direct;
pub use distribution::{gaussian, laplace, logistic, scale_table, Family, Row};
pub(crate) use ladder::Locate;
pub use ladder::{Float, Ladder};
pub use mixture::{LogisticMixture, MixtureConstants, MIXTURE_PARAMS};
pub use mixture_of::MAX_COMPONENTS;
pub(crate) use mixture_of::{Component as MixtureComponent, Mixture, Outline};
use requantize::{requantize, MAX_PRECISION};
pub(crate) use window::Place;

/// Frequencies of a distribution sum to 2^15.
pub const PRECISION: u32 = 15;

/// The number of slots that a distribution divides among its symbols.
pub const TOTAL: u32 = 1 << PRECISION;

const MAX_ROWS: usize = 1 << 16;
const MAX_CDF: usize = 1 << 26;
const MAX_OFFSET: u32 = 1 << 30;

/// Slots of one symbol: `start` in the low half, `freq` in the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Slots(u32);

/// The first slot alone.
impl Default for Slots {
    fn default() -> Self {
        Self::new(0, 1)
    }
}

impl Slots {
    /// The slots `start..end` of 2^[`PRECISION`].
    #[inline]
    pub(crate) fn new(start: u32, end: u32) -> Self {
        debug_assert!(start < end && end <= TOTAL);
        Slots(start | (end - start) << 16)
    }

    /// `freq` slots from `start` on.
    #[inline(always)]
    pub(crate) fn starting(start: u32, freq: u32) -> Self {
        debug_assert!(freq > 0 && start + freq <= TOTAL);
        Slots(start | freq << 16)
    }

    /// The first slot.
    #[inline]
    pub fn start(self) -> u32 {
        self.0 & 0xffff
    }

    /// The number of slots, 1..=2^15: the probability is `freq` / 2^15.
    #[inline]
    pub fn freq(self) -> u32 {
        self.0 >> 16
    }
}

/// One row of a set of tables, in 16 bytes: as quick to load as any one of its fields.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Layout {
    /// Position of the row's first bucket.
    bucket: u32,
    /// Symbol of the first interval.
    offset: i32,
    /// Position of the row's first boundary in `cdf`.
    first: u32,
    /// Number of symbols, which is the position of the escape.
    symbols: u16,
    /// A slot's bucket is `slot >> shift`.
    shift: u16,
}

/// The first two intervals that reach into a bucket of slots. Most slots need no further search.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Bucket {
    /// Where they begin, meet and end. (The last interval has none after it; its end is then here twice.)
    boundaries: [u16; 3],
    /// The first one's position in its row.
    interval: u16,
}

/// The rows of a small set of tables, field by field, where vectors of 16-bit integers can look them up.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
pub(crate) struct SmallLayout {
    /// Positions of first boundaries, and numbers of symbols.
    pub(crate) first: [i16; Self::ROWS],
    pub(crate) symbols: [i16; Self::ROWS],
    /// Symbols of first intervals.
    pub(crate) offset: [i16; Self::ROWS],
    /// Positions of first buckets in units of [`MIN_BUCKETS`].
    pub(crate) bucket: [i16; Self::ROWS],
    pub(crate) shift: [i16; Self::ROWS],
}

impl SmallLayout {
    pub(crate) const ROWS: usize = 64;

    /// These rows, if all numbers are small enough. What is missing to 64 rows is as the first.
    fn of(rows: &[Layout]) -> Option<Box<Self>> {
        if rows.is_empty() || rows.len() > Self::ROWS {
            return None;
        }
        let row = |i: usize| rows.get(i).unwrap_or(&rows[0]);
        let small = rows.iter().all(|row| {
            i16::try_from(row.first).is_ok()
                && i16::try_from(row.symbols).is_ok()
                && i16::try_from(row.offset).is_ok()
                && row.bucket.is_multiple_of(MIN_BUCKETS)
                && i16::try_from(row.bucket / MIN_BUCKETS).is_ok()
        });
        small.then(|| {
            Box::new(Self {
                first: std::array::from_fn(|i| row(i).first as i16),
                symbols: std::array::from_fn(|i| row(i).symbols as i16),
                offset: std::array::from_fn(|i| row(i).offset as i16),
                bucket: std::array::from_fn(|i| (row(i).bucket / MIN_BUCKETS) as i16),
                shift: std::array::from_fn(|i| row(i).shift as i16),
            })
        })
    }
}

/// Checked integer distributions, one row for each table index.
///
/// SIMD backends rely on this of every row, for memory safety: boundaries `first..=first + symbols + 1` are in
/// `cdf`, and buckets `bucket..bucket + (2^15 >> shift)` in `buckets`; neither has 2^31 elements.
#[derive(Debug, Clone)]
pub struct Tables {
    rows: Vec<Layout>,
    small: Option<Box<SmallLayout>>,
    cdf: Vec<u16>,
    buckets: Vec<Bucket>,
}

impl Tables {
    /// Takes rows laid end to end in `cdf`: row `i` has `lengths[i]` boundaries, which rise from 0 to the number
    /// of slots, its first interval is symbol `offsets[i]` and its last interval the escape.
    ///
    /// The number of slots is a power of two, 2 to 2^24, the same for all rows. If it is 2^[`PRECISION`] rows are
    /// taken as they are, so every interval needs a slot. Other rows are converted, always alike: symbols at the
    /// ends of the support for which a slot would be too much join the escape, all others get at least one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] says which row breaks which rule.
    pub fn new(cdf: &[i32], lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        let mut tables = Self::sized(cdf, lengths, offsets)?;
        let precision = precision(cdf, lengths)?;
        let mut rest = cdf;
        for (row, (&length, &offset)) in lengths.iter().zip(offsets).enumerate() {
            interrupt::check()?;
            let boundaries;
            (boundaries, rest) = rest
                .split_at_checked(length as usize)
                .ok_or_else(|| invalid(row, "lies beyond the buffer"))?;
            tables.take(boundaries, precision, offset).map_err(|rule| invalid(row, &rule))?;
        }
        if !rest.is_empty() {
            return Err(Error::InvalidArgument(format!("{} boundaries belong to no row", rest.len())));
        }
        tables.small = SmallLayout::of(&tables.rows);
        Ok(tables)
    }

    /// Takes rows padded to `stride` boundaries each, as CompressAI's `_quantized_cdf`, `_cdf_length` and
    /// `_offset` hold them.
    ///
    /// # Errors
    /// As [`Tables::new`].
    pub fn from_padded(cdf: &[i32], stride: usize, lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        let mut tables = Self::sized(cdf, lengths, offsets)?;
        if stride.checked_mul(lengths.len()) != Some(cdf.len()) {
            return Err(Error::InvalidArgument(format!("{} boundaries for rows of {stride}", cdf.len())));
        }
        if let Some(row) = lengths.iter().position(|&length| length as usize > stride) {
            return Err(invalid(row, "is longer than the stride"));
        }
        let precision = precision(cdf, lengths)?;
        for (row, (&length, &offset)) in lengths.iter().zip(offsets).enumerate() {
            interrupt::check()?;
            let boundaries = &cdf[row * stride..][..length as usize];
            tables.take(boundaries, precision, offset).map_err(|rule| invalid(row, &rule))?;
        }
        tables.small = SmallLayout::of(&tables.rows);
        Ok(tables)
    }

    /// Collects rows that are valid by construction.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are too many rows, or an offset is out of range.
    pub fn from_rows(rows: &[Row]) -> Result<Self> {
        let lengths: Vec<i32> = rows.iter().map(|row| row.cdf().len() as i32).collect();
        let offsets: Vec<i32> = rows.iter().map(Row::offset).collect();
        let cdf: Vec<i32> = rows.iter().flat_map(|row| row.cdf().iter().copied()).collect();
        Self::new(&cdf, &lengths, &offsets)
    }

    /// Turns probabilities or counts into rows: `symbols` of them for each, as [`Row::from_pmf`] takes them.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] says which row breaks which rule.
    ///
    /// # Panics
    /// If there are not `symbols` of them for each of the offsets.
    pub fn from_pmf(pmf: &[f64], symbols: usize, offsets: &[i32]) -> Result<Self> {
        assert_eq!(pmf.len(), symbols * offsets.len());
        let row = |(row, &offset): (usize, &i32)| {
            interrupt::check()?;
            Row::from_pmf(&pmf[row * symbols..][..symbols], offset).map_err(|error| match error {
                Error::InvalidArgument(what) => Error::InvalidArgument(format!("row {row}: {what}")),
                other => other,
            })
        };
        Self::from_rows(&offsets.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?)
    }

    /// Returns what makes the same tables once it is 32-bit integers: see [`Tables::new`].
    pub fn to_parts(&self) -> (Vec<u16>, Vec<i32>, Vec<i32>) {
        let lengths = self.rows.iter().map(|row| i32::from(row.symbols) + 2).collect();
        (self.cdf.clone(), lengths, self.rows.iter().map(|row| row.offset).collect())
    }

    /// An empty set with room for rows of these lengths, once they and the offsets are known to be sane.
    fn sized(cdf: &[i32], lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        if lengths.len() != offsets.len() {
            return Err(Error::InvalidArgument(format!(
                "{} lengths, {} offsets",
                lengths.len(),
                offsets.len()
            )));
        }
        if let Some(row) = lengths.iter().position(|&n| !(2..=(1 << MAX_PRECISION) + 1).contains(&n)) {
            return Err(invalid(row, "does not have 2 to 2^24 + 1 boundaries"));
        }
        let total = lengths.iter().map(|&n| n as usize).sum::<usize>();
        if lengths.len() > MAX_ROWS || total > MAX_CDF {
            let what = format!("{} rows with {total} boundaries are too many", lengths.len());
            return Err(Error::InvalidArgument(what));
        }
        Ok(Self {
            rows: Vec::with_capacity(lengths.len()),
            small: None,
            // Lengths alone have not earned any memory.
            cdf: Vec::with_capacity(total.min(cdf.len())),
            buckets: Vec::new(),
        })
    }

    /// Adds a row of the caller's once it is known to be sane.
    fn take(&mut self, boundaries: &[i32], precision: u32, offset: i32) -> std::result::Result<(), String> {
        if boundaries.first() != Some(&0) || boundaries.last() != Some(&(1 << precision)) {
            return Err(format!("does not run from 0 to 2^{precision}"));
        }
        let falls = |pair: &[i32]| pair[0] > pair[1] || (pair[0] == pair[1] && precision == PRECISION);
        if let Some(i) = boundaries.windows(2).position(falls) {
            return Err(format!(
                "has no slots at position {i}: its boundaries are {} and {}",
                boundaries[i],
                boundaries[i + 1]
            ));
        }
        if offset.unsigned_abs() > MAX_OFFSET {
            return Err("has an offset beyond 2^30".into());
        }
        if precision == PRECISION {
            self.push(boundaries, offset);
        } else {
            let row = requantize(boundaries, precision, offset);
            self.push(row.cdf(), row.offset());
        }
        Ok(())
    }

    fn push(&mut self, boundaries: &[i32], offset: i32) {
        let intervals = boundaries.len() - 1;
        let shift = bucket_shift(boundaries);
        self.rows.push(Layout {
            bucket: self.buckets.len() as u32,
            offset,
            first: self.cdf.len() as u32,
            symbols: (intervals - 1) as u16,
            shift,
        });
        self.cdf.extend(boundaries.iter().map(|&boundary| boundary as u16));
        self.buckets.extend(buckets(boundaries, shift, 0));
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The symbols of a row that have slots of their own.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn support(&self, row: usize) -> std::ops::Range<i32> {
        let row = &self.rows[row];
        row.offset..row.offset + i32::from(row.symbols)
    }

    /// A hash of every distribution, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for row in &self.rows {
            hash.update(&row.offset.to_le_bytes());
            hash.update(&u32::from(row.symbols).to_le_bytes());
            for boundary in &self.cdf[row.first as usize..][..row.symbols as usize + 2] {
                hash.update(&boundary.to_le_bytes());
            }
        }
        hash.digest()
    }

    /// Bytes that decoding reads, which should stay within the L2 cache.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.cdf) + size_of_val(&*self.buckets)
    }

    /// The rows once more, if they are small.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(crate) fn small(&self) -> Option<&SmallLayout> {
        self.small.as_deref()
    }

    /// The parts that SIMD backends read.
    pub(crate) fn parts(&self) -> (&[Layout], &[u16], &[Bucket]) {
        (&self.rows, &self.cdf, &self.buckets)
    }

    /// The slots of a symbol; if these are the escape's, how far outside the row's support the symbol lies.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn slots(&self, row: usize, symbol: i32) -> (Slots, Option<u64>) {
        let row = &self.rows[row];
        let position = symbol.wrapping_sub(row.offset) as u32;
        let symbols = u32::from(row.symbols);
        let interval = position.min(symbols);
        let boundary = (row.first + interval) as usize;
        let slots = Slots::new(self.cdf[boundary].into(), self.cdf[boundary + 1].into());
        (slots, (interval == symbols).then(|| row.outside(symbol)))
    }

    /// The symbol that owns a slot, and its slots; `None` is the escape.
    #[inline]
    pub(crate) fn find(&self, row: usize, slot: u32) -> (Option<i32>, Slots) {
        let row = &self.rows[row];
        let bucket = &self.buckets[(row.bucket + (slot >> row.shift)) as usize];
        let [first, middle, last] = bucket.boundaries.map(u32::from);
        let second = slot >= middle;
        let (start, end) = if second { (middle, last) } else { (first, middle) };
        let interval = u32::from(bucket.interval) + u32::from(second);
        let (interval, slots) = if slot < end {
            (interval, Slots::new(start, end))
        } else {
            self.search(row, interval + 1, slot)
        };
        let symbol = row.offset + interval as i32;
        ((interval < u32::from(row.symbols)).then_some(symbol), slots)
    }

    /// The interval that a slot belongs to, `interval` or one after it.
    #[cold]
    fn search(&self, row: &Layout, mut interval: u32, slot: u32) -> (u32, Slots) {
        let boundaries = &self.cdf[row.first as usize..];
        while u32::from(boundaries[interval as usize + 1]) <= slot {
            interval += 1;
        }
        let [start, end] = [0, 1].map(|i| boundaries[interval as usize + i].into());
        (interval, Slots::new(start, end))
    }

    /// The symbol that lies this far outside a row's support, if any does.
    pub(crate) fn symbol_outside(&self, row: usize, distance: u64) -> Option<i32> {
        self.rows[row].symbol_outside(distance)
    }
}

impl Layout {
    /// Even numbers count up from the support, odd numbers down from it.
    #[cold]
    fn outside(&self, symbol: i32) -> u64 {
        let position = i64::from(symbol) - i64::from(self.offset);
        let above = position - i64::from(self.symbols);
        if above >= 0 {
            2 * above as u64
        } else {
            2 * (-1 - position) as u64 + 1
        }
    }

    fn symbol_outside(&self, distance: u64) -> Option<i32> {
        let half = i64::try_from(distance / 2).ok()?;
        let position =
            if distance.is_multiple_of(2) { half.checked_add(self.symbols.into())? } else { -1 - half };
        i32::try_from(position.checked_add(self.offset.into())?).ok()
    }
}

/// The least number of buckets of a row, by which all numbers of buckets can be divided.
const MIN_BUCKETS: u32 = 1 << MIN_BUCKET_BITS;
pub(crate) const MIN_BUCKET_BITS: u32 = 3;
const MAX_BUCKET_BITS: u32 = 12;

/// A slot's bucket is `slot >> shift`. A search costs more than a vector of elements, so buckets leave it at most 1/128
/// of the slots; but they are no more than that takes, for tables should stay in the cache.
fn bucket_shift(boundaries: &[i32]) -> u16 {
    let enough = |bits: &u32| slots_to_search(boundaries, PRECISION - bits) <= TOTAL as i32 / 128;
    let bits = (MIN_BUCKET_BITS..MAX_BUCKET_BITS).find(enough).unwrap_or(MAX_BUCKET_BITS);
    (PRECISION - bits) as u16
}

/// The buckets of a row, whose intervals are counted from `first` on.
fn buckets(boundaries: &[i32], shift: u16, first: u16) -> impl Iterator<Item = Bucket> + '_ {
    let (mut interval, intervals) = (0, boundaries.len() - 1);
    (0..TOTAL as i32 >> shift).map(move |bucket| {
        while boundaries[interval + 1] <= bucket << shift {
            interval += 1;
        }
        let boundary = |i: usize| boundaries[i.min(intervals)] as u16;
        Bucket {
            boundaries: [interval, interval + 1, interval + 2].map(boundary),
            interval: first.wrapping_add(interval as u16),
        }
    })
}

/// The logarithm of the number of slots, which is the first row's last boundary.
fn precision(cdf: &[i32], lengths: &[i32]) -> Result<u32> {
    let Some(&length) = lengths.first() else { return Ok(PRECISION) };
    let end = *cdf.get(length as usize - 1).ok_or_else(|| invalid(0, "lies beyond the buffer"))?;
    let power = (1..=MAX_PRECISION).find(|power| end == 1 << power);
    power.ok_or_else(|| invalid(0, "does not end at a power of two from 2 to 2^24"))
}

/// How many slots lie beyond the two intervals of their bucket.
fn slots_to_search(boundaries: &[i32], shift: u32) -> i32 {
    let mut interval = 0;
    let beyond = |bucket: i32| {
        while boundaries[interval + 1] <= bucket << shift {
            interval += 1;
        }
        let end = boundaries.get(interval + 2).copied().unwrap_or(TOTAL as i32);
        (((bucket + 1) << shift) - end).max(0)
    };
    (0..TOTAL as i32 >> shift).map(beyond).sum()
}

fn invalid(row: usize, rule: &str) -> Error {
    Error::InvalidArgument(format!("row {row} {rule}"))
}

#[cfg(test)]
mod tests;
