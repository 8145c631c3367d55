//! Checked sets of integer distributions.

use std::ops::Range;

use super::buckets::{Bucket, MIN_BUCKETS, bucket_shift, buckets};
use super::cdf_row::CdfRow;
use super::escape::{distance_outside, symbol_outside};
use super::requantize::{MAX_PRECISION, requantize};
use super::row_cdf::RowCdf;
use super::slots::{Interval, PRECISION, Slots};
use crate::{Error, Result, interrupt};

pub(super) const MAX_ROWS: usize = 1 << 16;
const MAX_CDF: usize = 1 << 26;
const MAX_OFFSET: u32 = 1 << 30;

/// One row of a set of tables, in 16 bytes: loading the row takes no longer than loading any of its fields.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct RowLayout {
    /// Position of the row's first bucket.
    pub(super) bucket: u32,
    /// Symbol of the first interval.
    pub(super) offset: i32,
    /// Position of the row's first boundary in `cdf`.
    pub(super) first: u32,
    /// Number of symbols, which is also the position of the escape.
    pub(super) symbols: u16,
    /// A slot's bucket is `slot >> shift`.
    pub(super) shift: u16,
}

/// A second copy of up to 64 rows, field by field, where vectors of 16-bit integers can look them up.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
pub(crate) struct SmallRows {
    /// Positions of first boundaries.
    pub(crate) first: [i16; Self::ROWS],
    /// Numbers of symbols.
    pub(crate) symbols: [i16; Self::ROWS],
    /// Symbols of first intervals.
    pub(crate) offset: [i16; Self::ROWS],
    /// Positions of first buckets in units of [`MIN_BUCKETS`].
    pub(crate) bucket: [i16; Self::ROWS],
    /// Shifts from slots to buckets.
    pub(crate) shift: [i16; Self::ROWS],
}

impl SmallRows {
    pub(crate) const ROWS: usize = 64;

    /// Copies rows if there are at most 64 and 16 bits hold all their fields. Missing rows repeat the first.
    fn of(rows: &[RowLayout]) -> Option<Box<Self>> {
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

/// A checked set of integer distributions: one row for each table index.
///
/// SIMD backends rely on two invariants of every row for memory safety: boundaries `first..=first + symbols + 1` are in
/// `cdf`, and buckets `bucket..bucket + (2^15 >> shift)` are in `buckets`. Neither vector has 2^31 elements.
#[derive(Debug, Clone)]
pub struct Tables {
    rows: Vec<RowLayout>,
    small: Option<Box<SmallRows>>,
    cdf: Vec<u16>,
    buckets: Vec<Bucket>,
}

impl Tables {
    /// Takes rows laid end to end in `cdf`: row `i` has `lengths[i]` boundaries, which rise from 0 to the number of
    /// slots. Its first interval is symbol `offsets[i]`, and its last interval is the escape.
    ///
    /// The number of slots is a power of two, 2 to 2^24, the same for all rows. Rows of 2^15 slots are taken without a
    /// change, so each of their intervals needs a slot. Other rows are converted, always in the same way: symbols at the
    /// ends of the support that are worth less than a slot join the escape, and all other symbols get at least one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the row and the rule that it breaks.
    pub fn new(cdf: &[i32], lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        let mut rest = cdf;
        let tables = Self::collect(cdf, lengths, offsets, |row, length| {
            let boundaries;
            (boundaries, rest) =
                rest.split_at_checked(length).ok_or_else(|| invalid(row, "lies beyond the buffer"))?;
            Ok(boundaries)
        })?;
        if !rest.is_empty() {
            return Err(Error::InvalidArgument(format!("{} boundaries belong to no row", rest.len())));
        }
        Ok(tables)
    }

    /// Takes rows padded to `stride` boundaries each, as CompressAI's `_quantized_cdf`, `_cdf_length` and `_offset` hold
    /// them.
    ///
    /// # Errors
    /// As [`Tables::new`].
    pub fn from_padded(cdf: &[i32], stride: usize, lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        if stride.checked_mul(lengths.len()) != Some(cdf.len()) {
            return Err(Error::InvalidArgument(format!("{} boundaries for rows of {stride}", cdf.len())));
        }
        let too_long = |&length: &i32| usize::try_from(length).is_ok_and(|length| length > stride);
        if let Some(row) = lengths.iter().position(too_long) {
            return Err(invalid(row, "is longer than the stride"));
        }
        Self::collect(cdf, lengths, offsets, |row, length| Ok(&cdf[row * stride..][..length]))
    }

    /// Collects rows that are valid by construction.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are too many rows or an offset is out of range.
    pub fn from_rows(rows: &[CdfRow]) -> Result<Self> {
        let lengths: Vec<i32> = rows.iter().map(|row| row.cdf().len() as i32).collect();
        let offsets: Vec<i32> = rows.iter().map(CdfRow::offset).collect();
        let cdf: Vec<i32> = rows.iter().flat_map(|row| row.cdf().iter().copied()).collect();
        Self::new(&cdf, &lengths, &offsets)
    }

    /// Turns probabilities or counts `[rows, symbols]` into rows; see [`CdfRow::from_pmf`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the row and the rule that it breaks.
    ///
    /// # Panics
    /// If `pmf` does not have `symbols` values for each offset.
    pub fn from_pmf(pmf: &[f64], symbols: usize, offsets: &[i32]) -> Result<Self> {
        assert_eq!(pmf.len(), symbols * offsets.len());
        let row = |(row, &offset): (usize, &i32)| {
            interrupt::check()?;
            CdfRow::from_pmf(&pmf[row * symbols..][..symbols], offset).map_err(|error| match error {
                Error::InvalidArgument(what) => Error::InvalidArgument(format!("row {row}: {what}")),
                other => other,
            })
        };
        Self::from_rows(&offsets.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?)
    }

    /// Returns boundaries, lengths and offsets from which [`Tables::new`] makes the same tables.
    pub fn to_parts(&self) -> (Vec<u16>, Vec<i32>, Vec<i32>) {
        let lengths = self.rows.iter().map(|row| i32::from(row.symbols) + 2).collect();
        (self.cdf.clone(), lengths, self.rows.iter().map(|row| row.offset).collect())
    }

    /// Checks and adds all rows; `boundaries(row, length)` returns the boundaries of a row.
    fn collect<'a>(
        cdf: &'a [i32],
        lengths: &[i32],
        offsets: &[i32],
        mut boundaries: impl FnMut(usize, usize) -> Result<&'a [i32]>,
    ) -> Result<Self> {
        let mut tables = Self::sized(cdf, lengths, offsets)?;
        let precision = precision(cdf, lengths)?;
        for (row, (&length, &offset)) in lengths.iter().zip(offsets).enumerate() {
            interrupt::check()?;
            let boundaries = boundaries(row, length as usize)?;
            tables.add(boundaries, precision, offset).map_err(|rule| invalid(row, &rule))?;
        }
        tables.small = SmallRows::of(&tables.rows);
        Ok(tables)
    }

    /// Checks the lengths and returns an empty set with room for rows of these lengths.
    fn sized(cdf: &[i32], lengths: &[i32], offsets: &[i32]) -> Result<Self> {
        if lengths.len() != offsets.len() {
            let what = format!("{} lengths, {} offsets", lengths.len(), offsets.len());
            return Err(Error::InvalidArgument(what));
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
            // Lengths are only claims: the memory that they take is bounded by the data.
            cdf: Vec::with_capacity(total.min(cdf.len())),
            buckets: Vec::new(),
        })
    }

    /// Checks a row of the caller's and adds it; the error is the rule that it breaks.
    fn add(&mut self, boundaries: &[i32], precision: u32, offset: i32) -> std::result::Result<(), String> {
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
        self.rows.push(RowLayout {
            bucket: self.buckets.len() as u32,
            offset,
            first: self.cdf.len() as u32,
            symbols: (intervals - 1) as u16,
            shift,
        });
        self.cdf.extend(boundaries.iter().map(|&boundary| boundary as u16));
        self.buckets.extend(buckets(boundaries, shift, 0));
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the symbols of a row that have slots of their own.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn support(&self, row: usize) -> Range<i32> {
        let row = &self.rows[row];
        row.offset..row.offset + i32::from(row.symbols)
    }

    /// Returns a hash of every distribution, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for row in &self.rows {
            hash.update(&row.offset.to_le_bytes());
            hash.update(&u32::from(row.symbols).to_le_bytes());
            for boundary in self.boundaries(row) {
                hash.update(&boundary.to_le_bytes());
            }
        }
        hash.digest()
    }

    /// Returns the number of bytes that decoding reads, which should stay within the L2 cache.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.cdf) + size_of_val(&*self.buckets)
    }

    /// Returns the boundaries of a row, of which the last is stored as 2^15.
    pub(super) fn boundaries(&self, row: &RowLayout) -> &[u16] {
        &self.cdf[row.first as usize..][..usize::from(row.symbols) + 2]
    }

    /// Returns the second copy of the rows, if they are small.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(crate) fn small(&self) -> Option<&SmallRows> {
        self.small.as_deref()
    }

    /// Returns the parts that SIMD backends read: rows, boundaries and buckets.
    pub(crate) fn parts(&self) -> (&[RowLayout], &[u16], &[Bucket]) {
        (&self.rows, &self.cdf, &self.buckets)
    }

    /// Returns the rows in the form in which a device searches them: five numbers for each row (the position of its first
    /// bucket, its first symbol, the position of its first boundary, the number of its symbols, and the shift from a slot
    /// to a bucket), all boundaries, and all buckets, whose lowest 16 bits come first: where the bucket's first interval
    /// begins, where it ends, where the next one ends, and its number.
    pub fn layout(&self) -> (Vec<[i32; 5]>, &[u16], Vec<u64>) {
        let row = |row: &RowLayout| {
            [row.bucket as i32, row.offset, row.first as i32, row.symbols.into(), row.shift.into()]
        };
        (
            self.rows.iter().map(row).collect(),
            &self.cdf,
            self.buckets.iter().copied().map(Bucket::to_bits).collect(),
        )
    }

    /// Returns the slots of a symbol. If these are the escape's, the distance of the symbol from the row's support is
    /// returned as well.
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
        (slots, (interval == symbols).then(|| distance_outside(symbol, row.offset, symbols)))
    }

    /// Returns the symbol that owns a slot, or `None` for the escape, and all slots of that symbol.
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

    /// Finds the interval of a slot, which is `interval` or a later one.
    #[cold]
    fn search(&self, row: &RowLayout, mut interval: u32, slot: u32) -> (u32, Slots) {
        let boundaries = &self.cdf[row.first as usize..];
        while u32::from(boundaries[interval as usize + 1]) <= slot {
            interval += 1;
        }
        let [start, end] = [0, 1].map(|i| boundaries[interval as usize + i].into());
        (interval, Slots::new(start, end))
    }

    /// Returns where a symbol lies in the distribution of a row. If that is the escape, the distance of the symbol from the
    /// row's support is returned as well.
    #[inline]
    pub(crate) fn interval(&self, row: usize, symbol: i32) -> (Interval, Option<u64>) {
        let row = &self.rows[row];
        let symbols = u32::from(row.symbols);
        let rank = (symbol.wrapping_sub(row.offset) as u32).min(symbols);
        (
            self.row_cdf(row).interval(rank),
            (rank == symbols).then(|| distance_outside(symbol, row.offset, symbols)),
        )
    }

    /// Does as [`Self::find`] for slots that follow from a curve of the distribution function, and returns where their owner
    /// lies in the distribution. The search begins at the owner of slot `guess` without that curve.
    #[inline]
    pub(crate) fn find_by(
        &self,
        row: usize,
        slot: u32,
        guess: u32,
        curve: impl Fn(u32) -> u32,
    ) -> (Option<i32>, Interval) {
        let guess = self.find(row, guess).0;
        let row = &self.rows[row];
        let guess = guess.map_or(u32::from(row.symbols), |symbol| (symbol - row.offset) as u32);
        let rank = self.row_cdf(row).find_by(slot, guess, curve);
        let symbol = (rank < u32::from(row.symbols)).then_some(row.offset + rank as i32);
        (symbol, self.row_cdf(row).interval(rank))
    }

    fn row_cdf(&self, row: &RowLayout) -> RowCdf<'_> {
        RowCdf(&self.cdf[row.first as usize..][..usize::from(row.symbols) + 1])
    }

    /// Returns the symbol at this distance from a row's support, if there is one.
    pub(crate) fn symbol_outside(&self, row: usize, distance: u64) -> Option<i32> {
        let row = &self.rows[row];
        symbol_outside(distance, row.offset, row.symbols.into())
    }
}

/// Returns the binary logarithm of the number of slots, which is the first row's last boundary.
fn precision(cdf: &[i32], lengths: &[i32]) -> Result<u32> {
    let Some(&length) = lengths.first() else { return Ok(PRECISION) };
    let end = *cdf.get(length as usize - 1).ok_or_else(|| invalid(0, "lies beyond the buffer"))?;
    let power = (1..=MAX_PRECISION).find(|power| end == 1 << power);
    power.ok_or_else(|| invalid(0, "does not end at a power of two from 2 to 2^24"))
}

fn invalid(row: usize, rule: &str) -> Error {
    Error::InvalidArgument(format!("row {row} {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_alone_take_no_memory() {
        let (cdf, lengths) = ([0, 1 << 15], [1 << 24; 3]);
        assert!(Tables::sized(&cdf, &lengths, &[0; 3]).unwrap().cdf.capacity() <= cdf.len());
        assert!(Tables::new(&cdf, &lengths, &[0; 3]).is_err());
    }
}
