//! The order in which coefficients are coded, and what each is coded by.
//!
//! Block by block in raster order, and in a block: where it ends in zig-zag order; the magnitudes of the coefficients
//! outside the first row and column, from the highest frequency down, then their signs; those of the first row and
//! column; the DC value. A coefficient's context is a linear prediction of its scale (its magnitude's logarithm) from
//! all magnitudes known so far in its block and in its neighbours. In the first row and column, and for DC, a value is
//! expected as well: the one that has the picture go on smoothly across the blocks' boundary.

use super::super::block::{mask, positions};
use super::context::{self, level, size};
use super::prior::{Boundary, Vector, Weights};
use super::zigzag::{self, COLUMN, ROW};
use crate::ans::adaptive::AdaptiveCoder;
use crate::{interrupt, Error, Result};

/// The logarithm of a magnitude plus 1, in 2^-12 octaves.
pub(super) type Logarithms = [i16; 1 << 15];

/// One component of a band of rows of blocks.
pub(super) struct Component<'a> {
    pub columns: usize,
    /// In zig-zag order.
    pub quantisers: [u16; 64],
    /// 2^24 / quantiser.
    pub reciprocals: [u32; 64],
    pub weights: &'a Weights,
    /// The number of its first row and its first bit among the contexts.
    pub first_row: usize,
    pub first_bit: usize,
}

/// What is kept of a block for those after it.
#[derive(Clone)]
struct Done {
    /// Logarithms of magnitudes; 0 for DC.
    magnitudes: Vector,
    /// How the boundary continues to the right and below, coefficient by coefficient.
    right: [i32; 8],
    below: [i32; 8],
    end: usize,
    energy: u32,
    dc_error: u32,
}

const NOTHING: Done =
    Done { magnitudes: [0; 64], right: [0; 8], below: [0; 8], end: 0, energy: 0, dc_error: 0 };

/// Codes the blocks of a component; who reads passes zeros. `reference` are those of another one at the same places, if
/// there is one.
#[inline(always)]
pub(super) fn walk<C: AdaptiveCoder>(
    coder: &mut C,
    component: &Component,
    boundary: &Boundary,
    logarithms: &Logarithms,
    blocks: &mut [[i16; 64]],
    reference: Option<&[[i16; 64]]>,
) -> Result<()> {
    let columns = component.columns;
    let bias = component.bias(logarithms);
    let mut rows = [const { Vec::new() }; 3];
    rows.iter_mut().for_each(|row| row.resize(columns, NOTHING));
    for (y, blocks) in blocks.chunks_mut(columns).enumerate() {
        interrupt::check()?;
        rows.rotate_right(1);
        let [current, above, above2] = &mut rows;
        for (x, block) in blocks.iter_mut().enumerate() {
            let (before, from_here) = current.split_at_mut(x);
            let west = before.last();
            let north = (y > 0).then(|| &above[x]);
            let nearest = Nearest { west, north };
            // What is beyond the picture is taken to be like what is nearest.
            let n = north.or(west).unwrap_or(&NOTHING);
            let w = west.unwrap_or(n);
            let [nw, ne] = [x.wrapping_sub(1), x + 1].map(|x| above.get(x).filter(|_| y > 0).unwrap_or(n));
            let nn = if y > 1 { &above2[x] } else { n };
            let ww = before.get(x.wrapping_sub(2)).unwrap_or(w);
            let same = reference.map(|reference| {
                let block = &reference[y * columns + x];
                let mut same = [0; 64];
                for k in positions(mask(block, |value| value != 0)) {
                    same[k] = logarithms[usize::from(block[k].unsigned_abs().min(0x7FFF))];
                }
                same
            });
            let around = [n, w, nw, ne, nn, ww];
            let done = &mut from_here[0];
            component.block(coder, boundary, logarithms, &bias, nearest, around, same.as_ref(), done, block);
        }
        if coder.has_failed() {
            return Err(Error::Truncated { what: "coefficient stream", offset: 0 });
        }
    }
    Ok(())
}

/// The blocks that a block continues.
#[derive(Clone, Copy)]
struct Nearest<'a> {
    west: Option<&'a Done>,
    north: Option<&'a Done>,
}

impl Component<'_> {
    /// The prediction of scales from what is known of the whole component, for each end of a block.
    fn bias(&self, logarithms: &Logarithms) -> Vec<Vector> {
        let quantisers = self.quantisers.map(|q| logarithms[usize::from(q.clamp(1, 0x8000)) - 1]);
        let with_quantiser = |last: &Vector| {
            let mut bias = *last;
            accumulate(&mut bias, &self.weights.quantiser, &quantisers);
            bias
        };
        self.weights.last.iter().map(with_quantiser).collect()
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments)]
    fn block<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        boundary: &Boundary,
        logarithms: &Logarithms,
        bias: &[Vector],
        nearest: Nearest,
        around: [&Done; 6],
        same: Option<&Vector>,
        done: &mut Done,
        block: &mut [i16; 64],
    ) {
        *done = NOTHING;
        let end = self.end(coder, around, block);
        let mut scales = bias[end];
        for (weights, neighbour) in self.weights.around.iter().zip(around) {
            accumulate(&mut scales, weights, &neighbour.magnitudes);
        }
        if let (Some(same), Some(weights)) = (same, self.weights.around.last()) {
            accumulate(&mut scales, weights, same);
        }
        let mut expected = Expected {
            column: nearest.west.map_or([0; 8], |west| west.right),
            row: nearest.north.map_or([0; 8], |north| north.below),
        };
        done.end = end;

        let mut values = [Square::default(); 2];
        let mut nonzero = [(0, 0); 64];
        let mut count = 0;
        let mut previous = (0, 0);
        for k in zigzag::inner(end) {
            // Before the coefficient just before counts: so the processor need not wait for it.
            let level = level(scales[k]);
            accumulate_one(&mut scales, &self.weights.within[previous.0], previous.1);
            let value = block[k].unsigned_abs();
            // The last is not 0.
            let (least, context) = match k == end {
                true => (1, context::inner_last(k, level)),
                false => (0, context::inner(k, level)),
            };
            let magnitude = least + self.number(coder, context, u32::from(value).wrapping_sub(least));
            // Without a branch, for it could not be foretold.
            let logarithm = logarithms[magnitude.min(0x7FFF) as usize];
            done.magnitudes[k] = logarithm;
            done.energy += if k < 16 { logarithm as u32 } else { 0 };
            previous = (k, logarithm);
            nonzero[count % 64] = (k as u8, magnitude);
            count += usize::from(magnitude != 0);
        }
        for some in nonzero[..count].chunks(12) {
            let negative =
                some.iter().fold(0, |bits, &(k, _)| bits << 1 | u32::from(block[usize::from(k)] < 0));
            let negative = coder.raw(some.len() as u32, negative);
            for (i, &(k, magnitude)) in some.iter().rev().enumerate() {
                let k = usize::from(k);
                let negative = negative >> i & 1 != 0;
                block[k] = if negative { (magnitude as i16).wrapping_neg() } else { magnitude as i16 };
                self.place(k, block[k], &mut values);
            }
        }

        expected.add(boundary, &values);

        for k in zigzag::edges(end) {
            let expected_value = self.quantised(expected.of(k), k);
            let expected_size = size(expected_value.unsigned_abs());
            let level = level(scales[k]);
            accumulate_one(&mut scales, &self.weights.within[previous.0], previous.1);
            let context = match k == end {
                true => context::edge_last(k, expected_size),
                false => context::edge(k, expected_size, level),
            };
            let value = self.signed_number(coder, context, expected_value < 0, block[k].into());
            block[k] = value as i16;
            self.place(k, block[k], &mut values);
            let logarithm = logarithms[value.unsigned_abs().min(0x7FFF) as usize];
            done.magnitudes[k] = logarithm;
            done.energy += if k < 16 { logarithm as u32 } else { 0 };
            previous = (k, logarithm);
        }
        expected.add_edges(boundary, &values);
        self.dc(coder, nearest, around, &expected, done, block);
        self.place(0, block[0], &mut values);
        let [by_row, by_column] = &values;
        done.right = weighted(&boundary.from, by_column);
        done.below = weighted(&boundary.from, by_row);
    }

    /// Where the block ends: the last coefficient that is not 0, or 0.
    #[inline(always)]
    fn end<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        [n, w, nw, ne, ..]: [&Done; 6],
        block: &[i16; 64],
    ) -> usize {
        let end = if C::WRITES { (mask(block, |value| value != 0) | 1).ilog2() as usize } else { 0 };
        let average = (3 * (n.end + w.end) + nw.end + ne.end) / 8;
        let energy = size((n.energy + w.energy) >> 12);
        let high = coder.symbol(self.first_row + context::end_high(average, energy), end >> 2);
        let low = coder.symbol(self.first_row + context::end_low(high, average), end & 3);
        high << 2 | low & 3
    }

    #[inline(always)]
    fn dc<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        nearest: Nearest,
        [n, w, ..]: [&Done; 6],
        expected: &Expected,
        done: &mut Done,
        block: &mut [i16; 64],
    ) {
        let [column, row] = [expected.column[0], expected.row[0]].map(|sum| self.quantised(sum, 0));
        let (value, disagreement) = match (nearest.west, nearest.north) {
            // The left neighbour tells a little more.
            (Some(_), Some(_)) => ((19 * column + 13 * row) / 32, size(column.abs_diff(row))),
            (Some(_), None) => (column, size(u32::MAX)),
            (None, Some(_)) => (row, size(u32::MAX)),
            (None, None) => (0, size(u32::MAX)),
        };
        let value = ((value + 2) >> 2).clamp(i16::MIN.into(), i16::MAX.into());
        let error = i32::from(block[0]).wrapping_sub(value);
        let context = context::dc(disagreement, size(2 * (n.dc_error + w.dc_error)));
        let magnitude = self.number(coder, context, error.unsigned_abs());
        done.dc_error = magnitude;
        let mut error = magnitude as i32;
        if magnitude != 0 {
            let context = self.first_bit + context::dc_sign(disagreement, column < row);
            if coder.bit(context, i32::from(block[0]) < value) {
                error = -error;
            }
        }
        block[0] = (value + error) as i16;
    }

    /// A number whose sign is likely to be the expected one: by one symbol for both, unless it is large.
    #[inline(always)]
    fn signed_number<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        context: usize,
        negative: bool,
        number: i32,
    ) -> i32 {
        let number = if negative { -number } else { number };
        let symbol = match number >= 0 {
            true => number.min(WITH_SIGN),
            false => WITH_SIGN - number.max(WITH_SIGN - 15),
        };
        let symbol = coder.symbol(self.first_row + context, symbol as usize) as i32;
        let mut found = if symbol <= WITH_SIGN { symbol } else { WITH_SIGN - symbol };
        if symbol == WITH_SIGN || symbol == 15 {
            let against = symbol == 15;
            let more = number.abs_diff(found);
            let more = self.number(coder, context::beyond(against, context), more) as i32;
            found += if against { -more } else { more };
        }
        if negative {
            -found
        } else {
            found
        }
    }

    /// A number of 16 bits: small ones by a symbol each, others by a symbol for their size and the bits below it.
    #[inline(always)]
    fn number<C: AdaptiveCoder>(&self, coder: &mut C, context: usize, number: u32) -> u32 {
        let symbol = match number {
            0..=9 => number,
            10..=11 => 10,
            12..=15 => 11,
            16..=127 => 8 + number.ilog2(),
            _ => 15,
        };
        let symbol = coder.symbol(self.first_row + context, symbol as usize) as u32;
        if symbol < 10 {
            symbol
        } else {
            large(coder, symbol, number)
        }
    }

    /// An expected value in quarters of the quantiser.
    #[inline(always)]
    fn quantised(&self, expected: i32, k: usize) -> i32 {
        ((i64::from(expected) * i64::from(self.reciprocals[k])) >> 32) as i32
    }

    /// Notes a coefficient, not quantised, in both orders of a block.
    #[inline(always)]
    fn place(&self, k: usize, value: i16, [by_row, by_column]: &mut [Square; 2]) {
        let (u, v) = (usize::from(ROW[k]) % 8, usize::from(COLUMN[k]) % 8);
        let value = (i32::from(value) * i32::from(self.quantisers[k])).clamp(-0x7FFF, 0x7FFF);
        by_row[u][v] = value;
        by_column[v][u] = value;
    }
}

/// A number of 10 or more, by the bits below its symbol.
#[cold]
#[inline(never)]
fn large<C: AdaptiveCoder>(coder: &mut C, symbol: u32, number: u32) -> u32 {
    let below = |coder: &mut C, count: u32, shift: u32| {
        coder.raw(count, number >> shift & ((1 << count) - 1)) << shift
    };
    match symbol {
        10 => 10 + below(coder, 1, 0),
        11 => 12 + below(coder, 2, 0),
        12..=14 => (1 << (symbol - 8)) + below(coder, symbol - 8, 0),
        _ => {
            let octave = coder.raw(4, number.max(1).ilog2());
            let (half, rest) = (octave / 2, octave - octave / 2);
            (1 << octave) + below(coder, rest, half) + below(coder, half, 0)
        }
    }
}

/// The largest number with the expected sign that has a symbol of its own.
const WITH_SIGN: i32 = 9;

/// A block's coefficients.
type Square = [[i32; 8]; 8];

/// For each place in a line of a block, Σ weight × value over the lines; the weight is `weights[line][place]`.
#[inline(always)]
fn weighted(weights: &Square, lines: &Square) -> [i32; 8] {
    let mut sums = [0i32; 8];
    for (weights, line) in weights.iter().zip(lines) {
        for ((sum, &weight), &value) in sums.iter_mut().zip(weights).zip(line) {
            *sum = sum.wrapping_add(weight * value);
        }
    }
    sums
}

/// What is expected of the first column and the first row, in 2^-10ths, not quantised.
#[derive(Default)]
struct Expected {
    column: [i32; 8],
    row: [i32; 8],
}

impl Expected {
    /// Takes the coefficients outside the first row and column into account.
    #[inline(always)]
    fn add(&mut self, boundary: &Boundary, [by_row, by_column]: &[Square; 2]) {
        let column = weighted(&boundary.own, by_column);
        let row = weighted(&boundary.own, by_row);
        self.column.iter_mut().zip(column).for_each(|(sum, more)| *sum += more);
        self.row.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
    }

    /// Takes the first row and column into account, in what is expected of DC.
    #[inline(always)]
    fn add_edges(&mut self, boundary: &Boundary, [by_row, by_column]: &[Square; 2]) {
        for i in 1..8 {
            self.column[0] += boundary.own[i][0] * by_row[0][i];
            self.row[0] += boundary.own[i][0] * by_column[0][i];
        }
    }

    #[inline(always)]
    fn of(&self, k: usize) -> i32 {
        match COLUMN[k] {
            0 => self.column[usize::from(ROW[k]) % 8],
            column => self.row[usize::from(column) % 8],
        }
    }
}

#[inline(always)]
fn accumulate(scales: &mut Vector, weights: &Vector, magnitudes: &Vector) {
    for ((scale, &weight), &magnitude) in scales.iter_mut().zip(weights).zip(magnitudes) {
        *scale = scale.wrapping_add(scaled(weight, magnitude));
    }
}

#[inline(always)]
fn accumulate_one(scales: &mut Vector, weights: &Vector, magnitude: i16) {
    for (scale, &weight) in scales.iter_mut().zip(weights) {
        *scale = scale.wrapping_add(scaled(weight, magnitude));
    }
}

#[inline(always)]
fn scaled(weight: i16, magnitude: i16) -> i16 {
    ((i32::from(weight) * i32::from(magnitude)) >> 16) as i16
}
