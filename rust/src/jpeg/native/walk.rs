//! The order in which coefficients are coded, and what each is coded by.
//!
//! Block by block in raster order, and in a block: where it ends in zig-zag order; the magnitudes of the coefficients
//! outside the first row and column, from the highest frequency down, then their signs; those of the first row and
//! column; the DC value. A coefficient's context is a linear prediction of its scale (its magnitude's logarithm) from
//! all magnitudes known so far in its block and in its neighbours. In the first row and column, and for DC, a value is
//! expected as well: the one that has the picture go on smoothly across the blocks' boundary.

use super::context::{self, level, size};
use super::prior::{Boundary, Vector, Weights};
use super::zigzag::{COLUMN, EDGES, INNER, ROW};
use crate::ans::adaptive::Coder;
use crate::{Error, Result};

/// The logarithm of a magnitude plus 1, in 2^-12 octaves.
pub(super) type Logarithms = [i16; 1 << 15];

/// One component of a band of rows of blocks.
pub(super) struct Component<'a> {
    pub columns: usize,
    /// In zig-zag order.
    pub quantisers: [u16; 64],
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

/// Codes the blocks of a component; who reads passes zeros. `reference` are those of another one at the same places, if there is one.
#[inline(always)]
pub(super) fn walk<C: Coder>(
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
                reference[y * columns + x].map(|value| logarithms[usize::from(value.unsigned_abs().min(0x7FFF))])
            });
            let around = [n, w, nw, ne, nn, ww];
            let done = &mut from_here[0];
            component.block(coder, boundary, logarithms, &bias, nearest, around, same.as_ref(), done, block)?;
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
    fn block<C: Coder>(
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
    ) -> Result<()> {
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

        let mut nonzero = [(0, 0); 49];
        let mut count = 0;
        for k in INNER.map(usize::from).into_iter().filter(|&k| k <= end) {
            let level = level(scales[k]);
            let value = block[k].unsigned_abs();
            let magnitude = match k == end {
                true => 1 + self.number(coder, context::inner_last(k, level), u32::from(value).wrapping_sub(1)),
                false => self.number(coder, context::inner(k, level), value.into()),
            };
            if magnitude != 0 {
                let logarithm = logarithms[magnitude.min(0x7FFF) as usize];
                done.magnitudes[k] = logarithm;
                accumulate_one(&mut scales, &self.weights.within[k], logarithm);
                nonzero[count] = (k as u8, magnitude);
                count += 1;
            }
        }
        for some in nonzero[..count].chunks(12) {
            let negative = some.iter().fold(0, |bits, &(k, _)| bits << 1 | u32::from(block[usize::from(k)] < 0));
            let negative = coder.raw(some.len() as u32, negative);
            for (i, &(k, magnitude)) in some.iter().rev().enumerate() {
                let k = usize::from(k);
                block[k] = signed(magnitude, negative >> i & 1 != 0)?;
                self.settle(k, block[k], boundary, &mut expected, done);
            }
        }

        for k in EDGES.map(usize::from).into_iter().filter(|&k| k <= end) {
            let expected_value = expected.of(k) / (i32::from(self.quantisers[k].max(1)) << 8);
            let expected_size = size(expected_value.unsigned_abs());
            let value = block[k].unsigned_abs();
            let magnitude = match k == end {
                true => 1 + self.number(coder, context::edge_last(k, expected_size), u32::from(value).wrapping_sub(1)),
                false => self.number(coder, context::edge(k, expected_size, level(scales[k])), value.into()),
            };
            if magnitude != 0 {
                let logarithm = logarithms[magnitude.min(0x7FFF) as usize];
                done.magnitudes[k] = logarithm;
                accumulate_one(&mut scales, &self.weights.within[k], logarithm);
                let context = self.first_bit + context::edge_sign(k, expected_size, magnitude);
                let against = coder.bit(context, (block[k] < 0) != (expected_value < 0));
                block[k] = signed(magnitude, against != (expected_value < 0))?;
                self.settle(k, block[k], boundary, &mut expected, done);
            }
        }
        done.energy = done.magnitudes[..16].iter().map(|&magnitude| magnitude as u32).sum();
        self.dc(coder, boundary, nearest, around, &expected, done, block)
    }

    /// Where the block ends: the last coefficient that is not 0, or 0.
    #[inline(always)]
    fn end<C: Coder>(&self, coder: &mut C, [n, w, nw, ne, ..]: [&Done; 6], block: &[i16; 64]) -> usize {
        let end = if C::WRITES { (1..64).rev().find(|&k| block[k] != 0).unwrap_or(0) } else { 0 };
        let average = (3 * (n.end + w.end) + nw.end + ne.end) / 8;
        let energy = size((n.energy + w.energy) >> 12);
        let high = coder.symbol(self.first_row + context::end_high(average, energy), end >> 2);
        let low = coder.symbol(self.first_row + context::end_low(high, average), end & 3);
        high << 2 | low & 3
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments)]
    fn dc<C: Coder>(
        &self,
        coder: &mut C,
        boundary: &Boundary,
        nearest: Nearest,
        [n, w, ..]: [&Done; 6],
        expected: &Expected,
        done: &mut Done,
        block: &mut [i16; 64],
    ) -> Result<()> {
        let quantiser = i64::from(self.quantisers[0].max(1));
        let (column, row) = (i64::from(expected.column[0]), i64::from(expected.row[0]));
        let (value, disagreement) = match (nearest.west, nearest.north) {
            (Some(_), Some(_)) => ((3 * column + 2 * row) / 5, size(((column - row).abs() / (quantiser << 8)) as u32)),
            (Some(_), None) => (column, 15),
            (None, Some(_)) => (row, 15),
            (None, None) => (0, 15),
        };
        let value = (value + (quantiser << 9)).div_euclid(quantiser << 10);
        let value = value.clamp(i16::MIN.into(), i16::MAX.into()) as i32;
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
        block[0] = i16::try_from(value + error).map_err(|_| out_of_range())?;
        self.settle(0, block[0], boundary, &mut Expected::default(), done);
        Ok(())
    }

    /// A number of 16 bits: small ones by a symbol each, others by a symbol for their size and the bits below it.
    #[inline(always)]
    fn number<C: Coder>(&self, coder: &mut C, context: usize, number: u32) -> u32 {
        let symbol = match number {
            0..=9 => number,
            10..=11 => 10,
            12..=15 => 11,
            16..=127 => 8 + number.ilog2(),
            _ => 15,
        };
        let symbol = coder.symbol(self.first_row + context, symbol as usize) as u32;
        let below = |coder: &mut C, count: u32, shift: u32| coder.raw(count, number >> shift & ((1 << count) - 1)) << shift;
        match symbol {
            0..=9 => symbol,
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

    /// Takes a coefficient into account: in what is expected of its block's others, and of the next blocks'.
    #[inline(always)]
    fn settle(&self, k: usize, value: i16, boundary: &Boundary, expected: &mut Expected, done: &mut Done) {
        let (u, v) = (usize::from(ROW[k]) % 8, usize::from(COLUMN[k]) % 8);
        let value = (i32::from(value) * i32::from(self.quantisers[k])).clamp(-0x7FFF, 0x7FFF);
        // `own` is 0 for the coefficients that are expected themselves.
        expected.column[u] += boundary.own[u][v] * value;
        expected.row[v] += boundary.own[v][u] * value;
        done.right[u] += boundary.from[u][v] * value;
        done.below[v] += boundary.from[v][u] * value;
    }
}

/// What is expected of the first column and the first row, in 2^-10ths, not quantised.
#[derive(Default)]
struct Expected {
    column: [i32; 8],
    row: [i32; 8],
}

impl Expected {
    #[inline(always)]
    fn of(&self, k: usize) -> i32 {
        match COLUMN[k] {
            0 => self.column[usize::from(ROW[k]) % 8],
            column => self.row[usize::from(column) % 8],
        }
    }
}

#[inline(always)]
fn signed(magnitude: u32, negative: bool) -> Result<i16> {
    let value = magnitude as i32;
    i16::try_from(if negative { -value } else { value }).map_err(|_| out_of_range())
}

#[cold]
fn out_of_range() -> Error {
    Error::Corrupt { what: "coefficient beyond 16 bits".into(), offset: 0 }
}

#[inline(always)]
fn accumulate(scales: &mut Vector, weights: &Vector, magnitudes: &Vector) {
    for ((scale, &weight), &magnitude) in scales.iter_mut().zip(weights).zip(magnitudes) {
        *scale = scale.wrapping_add((i32::from(weight) * i32::from(magnitude) >> 16) as i16);
    }
}

#[inline(always)]
fn accumulate_one(scales: &mut Vector, weights: &Vector, magnitude: i16) {
    for (scale, &weight) in scales.iter_mut().zip(weights) {
        *scale = scale.wrapping_add((i32::from(weight) * i32::from(magnitude) >> 16) as i16);
    }
}
