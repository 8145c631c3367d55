//! The numbers of the contexts, which choose the distribution of each symbol. Part of the format.

use super::zigzag::{COLUMN, ROW};

/// Number of levels of a predicted scale, 0.22 nats apart.
const LEVELS: usize = 32;
/// Number of sizes of a value, half an octave apart.
const SIZES: usize = 16;

const INNER: usize = 0;
const INNER_LAST: usize = INNER + 64 * LEVELS;
const EDGE: usize = INNER_LAST + 64 * LEVELS / 4;
const EDGE_LAST: usize = EDGE + 16 * SIZES * LEVELS / 2;
const BEYOND: usize = EDGE_LAST + 16 * SIZES;
const END_HIGH: usize = BEYOND + 2 * (SIZES * LEVELS / 2 + 16);
const END_LOW: usize = END_HIGH + 32 * SIZES;
const DC: usize = END_LOW + 16 * 64;
/// Number of contexts with a row of symbols.
pub(super) const ROWS: usize = DC + SIZES * SIZES;

/// Number of contexts of bits.
pub(super) const BITS: usize = 2 * SIZES;

/// Returns the size of a number: half octaves from 1 on.
#[inline(always)]
pub(super) fn size(number: u32) -> usize {
    let octave = 31 - (number | 1).leading_zeros();
    let half = number << 1 >> octave & 1;
    let size = 1 + 2 * octave + half;
    if number == 0 { 0 } else { size.min(SIZES as u32 - 1) as usize }
}

/// Returns the level of the logarithm of a scale.
#[inline(always)]
pub(super) fn level(scale: i16) -> usize {
    (((i32::from(scale) + (3 << 10)) * 9) >> 11).clamp(0, LEVELS as i32 - 1) as usize
}

/// Returns the context of a coefficient outside the first row and column.
#[inline(always)]
pub(super) fn inner(k: usize, level: usize) -> usize {
    INNER + k * LEVELS + level
}

/// Returns the context of such a coefficient if it is the last of the block, which is not 0.
#[inline(always)]
pub(super) fn inner_last(k: usize, level: usize) -> usize {
    INNER_LAST + (k * LEVELS + level) / 4
}

/// Returns the number of a coefficient of the first row or column.
#[inline(always)]
fn edge_number(k: usize) -> usize {
    usize::from(ROW[k] + COLUMN[k]) * 2 + usize::from(ROW[k] == 0)
}

/// Returns the context of a coefficient of the first row or column, by the size of its prediction.
#[inline(always)]
pub(super) fn edge(k: usize, predicted: usize, level: usize) -> usize {
    EDGE + ((edge_number(k) % 16) * SIZES + predicted) * (LEVELS / 2) + level / 2
}

/// Returns the context of such a coefficient if it is the last of the block.
#[inline(always)]
pub(super) fn edge_last(k: usize, predicted: usize) -> usize {
    EDGE_LAST + (edge_number(k) % 16) * SIZES + predicted
}

/// Returns the context of the distance by which such a coefficient exceeds the symbols of its own context.
///
/// The last coefficients of blocks share it by their number, all others by prediction and level.
#[inline(always)]
pub(super) fn beyond(against: bool, context: usize) -> usize {
    const EDGE_GROUPS: usize = SIZES * LEVELS / 2;
    let group = match context.checked_sub(EDGE_LAST) {
        Some(last) => EDGE_GROUPS + last / SIZES,
        None => (context - EDGE) % EDGE_GROUPS,
    };
    BEYOND + 2 * group + usize::from(against)
}

/// Returns the context of a block's end divided by 4, by the ends and the energy around it.
#[inline(always)]
pub(super) fn end_high(average: usize, energy: usize) -> usize {
    END_HIGH + average / 2 * SIZES + energy
}

/// Returns the context of the remainder of that division.
#[inline(always)]
pub(super) fn end_low(high: usize, average: usize) -> usize {
    END_LOW + high * 64 + average
}

/// Returns the context of the error of the DC prediction, by the disagreement of its two parts and by earlier errors.
#[inline(always)]
pub(super) fn dc(disagreement: usize, errors: usize) -> usize {
    DC + disagreement * SIZES + errors
}

/// Returns the context of the sign of that error: `larger` says which of the two parts is larger.
#[inline(always)]
pub(super) fn dc_sign(disagreement: usize, larger: bool) -> usize {
    disagreement * 2 + usize::from(larger)
}
