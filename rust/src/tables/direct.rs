//! The rows of a ladder as x86's vectors look them up; the others load a row.
#![cfg(target_arch = "x86_64")]

use super::ladder::{fractions, FIRST_LEVEL, LEVELS, OCTAVES, ROW_BITS, STEPS, STEP_BITS};
use super::{buckets, Bucket, Tables, MAX_BUCKET_BITS, PRECISION};

/// The rows of a ladder in a form in which an octave and a row tell where everything is, without a look at the row.
///
/// An octave, of 16 for vectors' sake, is some bits of a place.
#[derive(Debug)]
pub(crate) struct Direct {
    /// Of each octave, its fractions of a symbol, and their logarithm.
    pub(crate) fractions: [f32; 16],
    pub(crate) fraction_bits: [u32; 16],
    /// Of each octave, what row fraction 0 of level 0 would have, if it were one of this octave.
    pub(crate) first_row: [u32; 16],
    /// Slots of the symbols less than `2 << octave` from 0 of each row, and a 0; those of escapes are 0 too.
    pub(crate) slots: Vec<u32>,
    /// Of each octave, where row 0 would have its slots, if it were one of this octave.
    pub(crate) first_slots: [u32; 16],
    /// `1 << bucket_bits[octave]` buckets of each row, with symbols in the place of intervals, and some more.
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) bucket_bits: [u32; 16],
    /// As `first_slots`.
    pub(crate) first_bucket: [u32; 16],
    /// Where the last row's buckets end.
    pub(crate) buckets_end: usize,
}

impl Direct {
    /// A place's octave is above these bits.
    pub(crate) const ROW_BITS: u32 = ROW_BITS;
    /// A level is above these bits of an `f32`, less the first level, and one of so many.
    pub(crate) const LEVEL_SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - STEP_BITS;
    pub(crate) const FIRST_LEVEL: i32 = ((f32::MAX_EXP - 1) << STEP_BITS) + FIRST_LEVEL;
    pub(crate) const LEVELS: i32 = LEVELS;
    /// An octave is above these bits of a level.
    pub(crate) const STEP_BITS: u32 = STEP_BITS;

    pub(super) fn new(tables: &Tables) -> Self {
        let (mut slots, mut all_buckets) = (Vec::new(), Vec::new());
        let [mut first_slots, mut bucket_bits, mut first_bucket] = [[0; 16]; 3];
        let ([mut fraction_bits, mut first_row], mut all_fractions) = ([[0u32; 16]; 2], [1.0; 16]);
        let mut row = 0;
        for octave in 0..OCTAVES as usize {
            let rows = row..row + (fractions(octave as i32 * STEPS) << STEP_BITS) as usize;
            row = rows.end;
            let count = fractions(octave as i32 * STEPS);
            all_fractions[octave] = count as f32;
            fraction_bits[octave] = count.ilog2();
            first_row[octave] = (rows.start as u32).wrapping_sub((octave as u32 * STEPS as u32) * count);
            first_slots[octave] = (slots.len() as u32).wrapping_sub((rows.start as u32) << (octave + 2));
            let lowest = 1 - (2 << octave);
            for row in rows.clone() {
                slots.extend((lowest..=-lowest).map(|symbol| match tables.slots(row, symbol) {
                    (slots, None) => slots.0,
                    _ => 0,
                }));
                slots.push(0);
            }
            let shift = tables.rows[rows.clone()].iter().map(|row| row.shift).min().unwrap_or(0);
            let bits = PRECISION - u32::from(shift);
            bucket_bits[octave] = bits;
            first_bucket[octave] = (all_buckets.len() as u32).wrapping_sub((rows.start as u32) << bits);
            for row in &tables.rows[rows] {
                let cdf = &tables.cdf[row.first as usize..][..usize::from(row.symbols) + 2];
                let boundaries: Vec<i32> = cdf.iter().map(|&boundary| boundary.into()).collect();
                all_buckets.extend(buckets(&boundaries, shift, row.offset as u16));
            }
        }
        let buckets_end = all_buckets.len();
        all_buckets.resize(buckets_end + (1 << MAX_BUCKET_BITS), Bucket { boundaries: [0; 3], interval: 0 });
        Self {
            fractions: all_fractions,
            fraction_bits,
            first_row,
            slots,
            first_slots,
            buckets: all_buckets,
            bucket_bits,
            first_bucket,
            buckets_end,
        }
    }
}
