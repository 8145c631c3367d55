//! Scale tables in the form that x86's vectors read. Other backends load a row of [`Tables`].

use super::buckets::{Bucket, MAX_BUCKET_BITS, buckets};
use super::cdf::Tables;
use super::levels::{LEVELS, MIN_EXPONENT, OCTAVES, ROW_BITS, STEP_BITS, STEPS, fractions};
use super::slots::PRECISION;

/// The rows of scale tables in a form in which the positions of slots and buckets follow from an octave and a row,
/// without a load of the row.
///
/// Arrays over octaves have 16 elements, as many as a vector.
#[derive(Debug)]
pub(crate) struct DirectTables {
    /// For each octave, the number of fractions, and its binary logarithm.
    pub(crate) fractions: [f32; 16],
    pub(crate) fraction_bits: [u32; 16],
    /// For each octave, the row that fraction 0 of level 0 would have if level 0 were one of this octave.
    pub(crate) first_row: [u32; 16],
    /// For each row, the slots of the symbols less than `2 << octave` from 0, or 0 for an escape, then another 0.
    pub(crate) slots: Vec<u32>,
    /// For each octave, the position that the slots of row 0 would have if row 0 were one of this octave.
    pub(crate) first_slots: [u32; 16],
    /// For each row, `1 << bucket_bits[octave]` buckets, which hold symbols instead of intervals. Some unused buckets
    /// follow.
    pub(crate) buckets: Vec<Bucket>,
    pub(crate) bucket_bits: [u32; 16],
    /// For each octave, the position that the buckets of row 0 would have if row 0 were one of this octave.
    pub(crate) first_bucket: [u32; 16],
    /// The end of the last row's buckets.
    pub(crate) buckets_end: usize,
}

impl DirectTables {
    /// The octave of a place is above these bits.
    pub(crate) const ROW_BITS: u32 = ROW_BITS;
    /// The level of a scale is above these bits of the `f32`, less `FIRST_LEVEL`, clamped to 0..`LEVELS`.
    pub(crate) const LEVEL_SHIFT: u32 = f32::MANTISSA_DIGITS - 1 - STEP_BITS;
    pub(crate) const FIRST_LEVEL: i32 = (f32::MAX_EXP - 1 + MIN_EXPONENT) << STEP_BITS;
    pub(crate) const LEVELS: i32 = LEVELS;
    /// The octave of a level is above these bits.
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
                    (slots, None) => slots.to_bits(),
                    _ => 0,
                }));
                slots.push(0);
            }
            let shift = tables.parts().0[rows.clone()].iter().map(|row| row.shift).min().unwrap_or(0);
            let bits = PRECISION - u32::from(shift);
            bucket_bits[octave] = bits;
            first_bucket[octave] = (all_buckets.len() as u32).wrapping_sub((rows.start as u32) << bits);
            for row in &tables.parts().0[rows] {
                let boundaries: Vec<i32> =
                    tables.boundaries(row).iter().map(|&boundary| boundary.into()).collect();
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
