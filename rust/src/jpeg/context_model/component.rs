//! Coding of one component of a band: the order of its coefficients, and their contexts.
//!
//! Blocks are coded in raster order. In a block come: its end in zig-zag order; the magnitudes of the coefficients
//! outside the first row and column, from the highest frequency down, then their signs; the coefficients of the first
//! row and column; the DC value. The context of a coefficient is a linear prediction of its scale (the logarithm of its
//! magnitude) from all magnitudes known so far, in its block and in neighbours. In the first row and column and for DC,
//! the value itself is predicted as well, from how the image continues smoothly across the boundary between blocks.

use super::boundary::{EdgePrediction, Values};
use super::contexts::{self, level, size};
use super::prior::{Boundary, Vector, Weights};
use super::zigzag;
use crate::ans::adaptive::AdaptiveCoder;
use crate::jpeg::block::{Block, mask, positions};
use crate::{Error, Result, interrupt};

/// The logarithm of a magnitude plus 1, in 2^-12 octaves.
pub(super) type Logarithms = [i16; 1 << 15];

/// One component of a band of rows of blocks.
pub(super) struct BandComponent<'a> {
    /// Number of blocks in a row.
    pub columns: usize,
    /// In zig-zag order.
    pub quantisers: [u16; 64],
    /// 2^24 / quantiser.
    pub reciprocals: [u32; 64],
    pub weights: &'a Weights,
    pub boundary: &'a Boundary,
    pub logarithms: &'a Logarithms,
    /// The numbers of its first row and its first bit among the contexts.
    pub first_row: usize,
    pub first_bit: usize,
}

/// The properties of a coded block that later blocks depend on.
#[derive(Clone)]
struct CodedBlock {
    /// Logarithms of the magnitudes; 0 for DC.
    magnitudes: Vector,
    /// Prediction of the first column of the block to the right.
    right: [i32; 8],
    /// Prediction of the first row of the block below.
    below: [i32; 8],
    end: usize,
    energy: u32,
    dc_error: u32,
}

impl CodedBlock {
    const EMPTY: Self =
        Self { magnitudes: [0; 64], right: [0; 8], below: [0; 8], end: 0, energy: 0, dc_error: 0 };
}

/// The coded blocks around a block.
struct Neighbours<'a> {
    west: Option<&'a CodedBlock>,
    north: Option<&'a CodedBlock>,
    /// North, west, north-west, north-east, two north, two west. Outside the image they repeat the nearest block.
    around: [&'a CodedBlock; 6],
    /// Logarithms of the magnitudes of the reference component's block.
    reference: Option<Vector>,
}

impl BandComponent<'_> {
    /// Codes the blocks of the component; a reader ignores their contents and overwrites them. `reference` are the
    /// blocks of another component at the same positions, if there is one.
    #[inline(always)]
    pub fn code<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        blocks: &mut [Block],
        reference: Option<&[Block]>,
    ) -> Result<()> {
        let columns = self.columns;
        let bias = self.bias();
        let mut rows = [const { Vec::new() }; 3];
        rows.iter_mut().for_each(|row| row.resize(columns, CodedBlock::EMPTY));
        for (y, blocks) in blocks.chunks_mut(columns).enumerate() {
            interrupt::check()?;
            rows.rotate_right(1);
            let [current, above, above2] = &mut rows;
            for (x, block) in blocks.iter_mut().enumerate() {
                let (before, from_here) = current.split_at_mut(x);
                let west = before.last();
                let north = (y > 0).then(|| &above[x]);
                let n = north.or(west).unwrap_or(&CodedBlock::EMPTY);
                let w = west.unwrap_or(n);
                let [nw, ne] =
                    [x.wrapping_sub(1), x + 1].map(|x| above.get(x).filter(|_| y > 0).unwrap_or(n));
                let nn = if y > 1 { &above2[x] } else { n };
                let ww = before.get(x.wrapping_sub(2)).unwrap_or(w);
                let reference = reference.map(|blocks| self.magnitudes(&blocks[y * columns + x]));
                let neighbours = Neighbours { west, north, around: [n, w, nw, ne, nn, ww], reference };
                self.code_block(coder, &bias, &neighbours, &mut from_here[0], block);
            }
            if coder.has_failed() {
                return Err(Error::Truncated { what: "coefficient stream", offset: 0 });
            }
        }
        Ok(())
    }

    /// Predicts the scales from properties of the whole component, for each end of a block.
    fn bias(&self) -> Vec<Vector> {
        let quantisers = self.quantisers.map(|q| self.logarithms[usize::from(q.clamp(1, 0x8000)) - 1]);
        let with_quantiser = |last: &Vector| {
            let mut bias = *last;
            accumulate(&mut bias, &self.weights.quantiser, &quantisers);
            bias
        };
        self.weights.last.iter().map(with_quantiser).collect()
    }

    /// Returns the logarithms of the magnitudes of a block.
    #[inline(always)]
    fn magnitudes(&self, block: &Block) -> Vector {
        let mut magnitudes = [0; 64];
        for k in positions(mask(block, |value| value != 0)) {
            magnitudes[k] = self.logarithm(block[k].unsigned_abs().into());
        }
        magnitudes
    }

    #[inline(always)]
    fn logarithm(&self, magnitude: u32) -> i16 {
        self.logarithms[magnitude.min(0x7FFF) as usize]
    }

    #[inline(always)]
    fn code_block<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        bias: &[Vector],
        neighbours: &Neighbours,
        coded: &mut CodedBlock,
        block: &mut Block,
    ) {
        *coded = CodedBlock::EMPTY;
        let end = self.code_end(coder, neighbours, block);
        let mut scales = bias[end];
        for (weights, neighbour) in self.weights.around.iter().zip(neighbours.around) {
            accumulate(&mut scales, weights, &neighbour.magnitudes);
        }
        if let (Some(reference), Some(weights)) = (&neighbours.reference, self.weights.around.last()) {
            accumulate(&mut scales, weights, reference);
        }
        let mut prediction = EdgePrediction {
            column: neighbours.west.map_or([0; 8], |west| west.right),
            row: neighbours.north.map_or([0; 8], |north| north.below),
        };
        coded.end = end;

        let mut values = Values::default();
        let mut nonzero = [(0, 0); 64];
        let mut count = 0;
        let mut previous = (0, 0);
        for k in zigzag::inner(end) {
            // The level leaves the previous coefficient out, so that the processor need not wait for it.
            let level = level(scales[k]);
            accumulate_one(&mut scales, &self.weights.within[previous.0], previous.1);
            let value = block[k].unsigned_abs();
            // The last coefficient is not 0.
            let (least, context) = match k == end {
                true => (1, contexts::inner_last(k, level)),
                false => (0, contexts::inner(k, level)),
            };
            let magnitude = least + self.code_number(coder, context, u32::from(value).wrapping_sub(least));
            let logarithm = self.logarithm(magnitude);
            coded.magnitudes[k] = logarithm;
            coded.energy += if k < 16 { logarithm as u32 } else { 0 };
            previous = (k, logarithm);
            // Without a branch, which the processor could not predict.
            nonzero[count % 64] = (k as u8, magnitude);
            count += usize::from(magnitude != 0);
        }
        for chunk in nonzero[..count].chunks(12) {
            let signs =
                chunk.iter().fold(0, |bits, &(k, _)| bits << 1 | u32::from(block[usize::from(k)] < 0));
            let signs = coder.raw(chunk.len() as u32, signs);
            for (i, &(k, magnitude)) in chunk.iter().rev().enumerate() {
                let k = usize::from(k);
                let negative = signs >> i & 1 != 0;
                block[k] = if negative { (magnitude as i16).wrapping_neg() } else { magnitude as i16 };
                values.store(k, self.dequantised(k, block[k]));
            }
        }

        prediction.add_inner(self.boundary, &values);

        for k in zigzag::edges(end) {
            let predicted = self.quantised(k, prediction.of(k));
            let predicted_size = size(predicted.unsigned_abs());
            let level = level(scales[k]);
            accumulate_one(&mut scales, &self.weights.within[previous.0], previous.1);
            let context = match k == end {
                true => contexts::edge_last(k, predicted_size),
                false => contexts::edge(k, predicted_size, level),
            };
            let value = self.code_signed_number(coder, context, predicted < 0, block[k].into());
            block[k] = value as i16;
            values.store(k, self.dequantised(k, block[k]));
            let logarithm = self.logarithm(value.unsigned_abs());
            coded.magnitudes[k] = logarithm;
            coded.energy += if k < 16 { logarithm as u32 } else { 0 };
            previous = (k, logarithm);
        }
        prediction.add_edges(self.boundary, &values);
        self.code_dc(coder, neighbours, &prediction, coded, block);
        values.store(0, self.dequantised(0, block[0]));
        [coded.right, coded.below] = values.continuation(self.boundary);
    }

    /// Codes the end of the block: the index of the last coefficient that is not 0, or 0.
    #[inline(always)]
    fn code_end<C: AdaptiveCoder>(&self, coder: &mut C, neighbours: &Neighbours, block: &Block) -> usize {
        let [n, w, nw, ne, ..] = neighbours.around;
        let end = if C::WRITES { (mask(block, |value| value != 0) | 1).ilog2() as usize } else { 0 };
        let average = (3 * (n.end + w.end) + nw.end + ne.end) / 8;
        let energy = size((n.energy + w.energy) >> 12);
        let high = coder.symbol(self.first_row + contexts::end_high(average, energy), end >> 2);
        let low = coder.symbol(self.first_row + contexts::end_low(high, average), end & 3);
        high << 2 | low & 3
    }

    /// Codes DC as its difference from the prediction.
    #[inline(always)]
    fn code_dc<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        neighbours: &Neighbours,
        prediction: &EdgePrediction,
        coded: &mut CodedBlock,
        block: &mut Block,
    ) {
        let [n, w, ..] = neighbours.around;
        let [column, row] = [prediction.column[0], prediction.row[0]].map(|sum| self.quantised(0, sum));
        let (predicted, disagreement) = match (neighbours.west, neighbours.north) {
            // The left neighbour predicts a little better.
            (Some(_), Some(_)) => ((19 * column + 13 * row) / 32, size(column.abs_diff(row))),
            (Some(_), None) => (column, size(u32::MAX)),
            (None, Some(_)) => (row, size(u32::MAX)),
            (None, None) => (0, size(u32::MAX)),
        };
        let predicted = ((predicted + 2) >> 2).clamp(i16::MIN.into(), i16::MAX.into());
        let error = i32::from(block[0]).wrapping_sub(predicted);
        let context = contexts::dc(disagreement, size(2 * (n.dc_error + w.dc_error)));
        let magnitude = self.code_number(coder, context, error.unsigned_abs());
        coded.dc_error = magnitude;
        let mut error = magnitude as i32;
        if magnitude != 0 {
            let context = self.first_bit + contexts::dc_sign(disagreement, column < row);
            if coder.bit(context, i32::from(block[0]) < predicted) {
                error = -error;
            }
        }
        block[0] = (predicted + error) as i16;
    }

    /// Codes a number whose sign is likely to be the predicted one: sign and magnitude by one symbol, unless it is
    /// large.
    #[inline(always)]
    fn code_signed_number<C: AdaptiveCoder>(
        &self,
        coder: &mut C,
        context: usize,
        negative: bool,
        number: i32,
    ) -> i32 {
        let number = if negative { -number } else { number };
        let symbol = match number >= 0 {
            true => number.min(MAX_WITH_SIGN),
            false => MAX_WITH_SIGN - number.max(MAX_WITH_SIGN - 15),
        };
        let symbol = coder.symbol(self.first_row + context, symbol as usize) as i32;
        let mut coded = if symbol <= MAX_WITH_SIGN { symbol } else { MAX_WITH_SIGN - symbol };
        if symbol == MAX_WITH_SIGN || symbol == 15 {
            let against = symbol == 15;
            let more = number.abs_diff(coded);
            let more = self.code_number(coder, contexts::beyond(against, context), more) as i32;
            coded += if against { -more } else { more };
        }
        if negative { -coded } else { coded }
    }

    /// Codes a number of 16 bits: small ones by a symbol each, others by a symbol for their size and the bits below it.
    #[inline(always)]
    fn code_number<C: AdaptiveCoder>(&self, coder: &mut C, context: usize, number: u32) -> u32 {
        let symbol = match number {
            0..=9 => number,
            10..=11 => 10,
            12..=15 => 11,
            16..=127 => 8 + number.ilog2(),
            _ => 15,
        };
        let symbol = coder.symbol(self.first_row + context, symbol as usize) as u32;
        if symbol < 10 { symbol } else { code_large(coder, symbol, number) }
    }

    /// Returns a predicted value of coefficient `k` in quarters of its quantiser.
    #[inline(always)]
    fn quantised(&self, k: usize, predicted: i32) -> i32 {
        ((i64::from(predicted) * i64::from(self.reciprocals[k])) >> 32) as i32
    }

    /// Returns the value that coefficient `k` stands for.
    #[inline(always)]
    fn dequantised(&self, k: usize, coefficient: i16) -> i32 {
        (i32::from(coefficient) * i32::from(self.quantisers[k])).clamp(-0x7FFF, 0x7FFF)
    }
}

/// The largest number with the predicted sign that has a symbol of its own.
const MAX_WITH_SIGN: i32 = 9;

/// Codes a number of 10 or more by the bits below its symbol.
#[cold]
#[inline(never)]
fn code_large<C: AdaptiveCoder>(coder: &mut C, symbol: u32, number: u32) -> u32 {
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

/// Adds the predictions from all magnitudes of another block.
#[inline(always)]
fn accumulate(scales: &mut Vector, weights: &Vector, magnitudes: &Vector) {
    for ((scale, &weight), &magnitude) in scales.iter_mut().zip(weights).zip(magnitudes) {
        *scale = scale.wrapping_add(scaled(weight, magnitude));
    }
}

/// Adds the predictions from one magnitude of the same block.
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
