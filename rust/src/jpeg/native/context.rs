//! The numbers of contexts: which distribution codes a symbol, given what is known.

use super::zigzag::{COLUMN, ROW};

/// Steps of predicted scales, of 0.22 nats each.
const LEVELS: usize = 32;
/// Steps of predicted values, of half an octave each.
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

/// The step of a number: half octaves from 1 on.
#[inline(always)]
pub(super) fn size(number: u32) -> usize {
    let octave = 31 - (number | 1).leading_zeros();
    let half = number << 1 >> octave & 1;
    let size = 1 + 2 * octave + half;
    if number == 0 {
        0
    } else {
        size.min(SIZES as u32 - 1) as usize
    }
}

/// The step of the logarithm of a scale.
#[inline(always)]
pub(super) fn level(scale: i16) -> usize {
    (((i32::from(scale) + (3 << 10)) * 9) >> 11).clamp(0, LEVELS as i32 - 1) as usize
}

/// A coefficient outside the first row and column.
#[inline(always)]
pub(super) fn inner(k: usize, level: usize) -> usize {
    INNER + k * LEVELS + level
}

/// The last coefficient of a block, which is not 0.
#[inline(always)]
pub(super) fn inner_last(k: usize, level: usize) -> usize {
    INNER_LAST + (k * LEVELS + level) / 4
}

/// Which of the 14 coefficients of the first row and column.
#[inline(always)]
fn edge_number(k: usize) -> usize {
    usize::from(ROW[k] + COLUMN[k]) * 2 + usize::from(ROW[k] == 0)
}

/// A coefficient of the first row or column, by the size of what is expected of it.
#[inline(always)]
pub(super) fn edge(k: usize, expected: usize, level: usize) -> usize {
    EDGE + ((edge_number(k) % 16) * SIZES + expected) * (LEVELS / 2) + level / 2
}

/// The same, if it is the last of the block.
#[inline(always)]
pub(super) fn edge_last(k: usize, expected: usize) -> usize {
    EDGE_LAST + (edge_number(k) % 16) * SIZES + expected
}

/// How far such a coefficient is beyond the symbols of this context: whichever it is, by what is expected and the level;
/// of a block's last, by which it is.
#[inline(always)]
pub(super) fn beyond(against: bool, context: usize) -> usize {
    const EACH: usize = SIZES * LEVELS / 2;
    let group = match context.checked_sub(EDGE_LAST) {
        Some(last) => EACH + last / SIZES,
        None => (context - EDGE) % EACH,
    };
    BEYOND + 2 * group + usize::from(against)
}

/// Where a block ends, in fours: by the ends and the energy around it.
#[inline(always)]
pub(super) fn end_high(average: usize, energy: usize) -> usize {
    END_HIGH + average / 2 * SIZES + energy
}

/// Which of the four.
#[inline(always)]
pub(super) fn end_low(high: usize, average: usize) -> usize {
    END_LOW + high * 64 + average
}

/// How far the DC value is from what is expected: by the disagreement of two expectations, and earlier errors.
#[inline(always)]
pub(super) fn dc(disagreement: usize, errors: usize) -> usize {
    DC + disagreement * SIZES + errors
}

/// In which direction: by which of two expectations is larger.
#[inline(always)]
pub(super) fn dc_sign(disagreement: usize, larger: bool) -> usize {
    disagreement * 2 + usize::from(larger)
}
