//! Products of integer vectors with a matrix of integers, scaled and shifted.

use std::ops::Range;

use super::pointwise::Grid;
use super::simd;
use crate::simd::Backend;

/// Outputs that are computed together at least: sums of 32 bits in the widest vector.
pub(super) const LANES: usize = 16;
/// Vectors of outputs in a block, but for the last one, which may have fewer.
pub(super) const BLOCK_VECTORS: usize = 4;
/// Rows that are multiplied by all blocks of a matrix before the next ones, so that they stay in the cache.
const CHUNK: usize = 96;

/// The weights of two inputs, side by side, to each of a vector of outputs.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Pairs(pub(super) [[i16; 2]; LANES]);

/// The leaky rectifier and the rounding that follow a product.
#[derive(Debug, Clone, Copy)]
pub struct Activation {
    /// The slope below zero; 1 is no rectifier.
    pub slope: f32,
    /// The grid of the result, whose bound is below 2^15.
    pub grid: Grid,
}

impl Activation {
    /// Returns the multiple of the grid's step.
    #[inline]
    pub(super) fn apply(self, x: f32) -> i16 {
        self.grid.index(if x > 0.0 { x } else { x * self.slope })
    }
}

/// Rows of 16-bit integers at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The first row begins at index 0.
    pub values: &'a [i16],
    /// The distance of the beginnings of two rows. None: the length of a row.
    pub stride: Option<usize>,
}

impl<'a> From<&'a [i16]> for Rows<'a> {
    fn from(values: &'a [i16]) -> Self {
        Self { values, stride: None }
    }
}

impl<'a> From<&'a Vec<i16>> for Rows<'a> {
    fn from(values: &'a Vec<i16>) -> Self {
        values.as_slice().into()
    }
}

/// What becomes of the products, `[rows, outputs]`.
#[derive(Debug)]
pub(super) enum Out<'a> {
    Set(&'a mut [f32]),
    Add(&'a mut [f32]),
    Activated(Activation, &'a mut [i16]),
}

impl Out<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Set(out) | Self::Add(out) => out.len(),
            Self::Activated(_, out) => out.len(),
        }
    }
}

/// A matrix of integers `[outputs, inputs]`, with a factor and a shift for each output. Inputs come in segments, each
/// from another array.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) outputs: usize,
    /// Inputs of each segment.
    lengths: Vec<usize>,
    /// For each block, segment, pair of inputs and vector of the block. What is missing at the end of a segment or of the
    /// outputs is zero.
    weights: Vec<Pairs>,
    /// For each output, and zeros up to a whole vector.
    scales: Vec<f32>,
    /// As `scales`.
    biases: Vec<f32>,
}

/// A block of outputs of a product, for the kernels.
///
/// Only [`Matrix::multiply`] makes one, and then `rows` of each source have the length of their segment, `weights` has
/// vectors for all pairs of all segments, `scales` and `biases` have `vectors` vectors of values, and the result has
/// `rows.end * stride` values at least, those of row i from `i * stride + first` to `i * stride + first + outputs` being
/// this block's: memory safety rests on that.
pub(super) struct Block<'a> {
    pub(super) rows: Range<usize>,
    pub(super) sources: &'a [(Rows<'a>, usize)],
    pub(super) weights: &'a [Pairs],
    pub(super) scales: &'a [f32],
    pub(super) biases: &'a [f32],
    /// Vectors of outputs, 1 to 4.
    pub(super) vectors: usize,
    /// The first output, and the number of outputs: all of the vectors but for some at the end of the last one.
    pub(super) first: usize,
    pub(super) outputs: usize,
    /// Outputs of the whole matrix.
    pub(super) stride: usize,
}

impl Matrix {
    /// Packs a matrix. `weight` returns the weight of an output, a segment and an input of it; scales and biases are
    /// `[outputs]`.
    pub(super) fn new(
        lengths: Vec<usize>,
        mut scales: Vec<f32>,
        mut biases: Vec<f32>,
        weight: impl Fn(usize, usize, usize) -> i16,
    ) -> Self {
        let outputs = scales.len();
        let padded = outputs.next_multiple_of(LANES);
        let mut weights = Vec::new();
        for first in (0..padded).step_by(BLOCK_VECTORS * LANES) {
            let last = padded.min(first + BLOCK_VECTORS * LANES);
            for (segment, &length) in lengths.iter().enumerate() {
                for input in (0..length).step_by(2) {
                    let at = |output, input| {
                        if output < outputs && input < length { weight(output, segment, input) } else { 0 }
                    };
                    weights.extend((first..last).step_by(LANES).map(|first| {
                        Pairs(std::array::from_fn(|i| [at(first + i, input), at(first + i, input + 1)]))
                    }));
                }
            }
        }
        scales.resize(padded, 0.0);
        biases.resize(padded, 0.0);
        Self { outputs, lengths, weights, scales, biases }
    }

    /// Multiplies rows of all segments side by side.
    ///
    /// # Panics
    /// If a source is too short, or if there are not as many as segments, or if `out` has no whole rows.
    pub(super) fn multiply<'a>(
        &self,
        backend: Backend,
        sources: impl IntoIterator<Item = Rows<'a>>,
        mut out: Out,
    ) {
        let rows = out.len() / self.outputs;
        assert_eq!(rows * self.outputs, out.len(), "results are not whole rows");
        if let Out::Activated(activation, _) = &out {
            assert!(activation.grid.bound <= f32::from(i16::MAX), "a grid of more than 16 bits");
        }
        if rows == 0 {
            return;
        }
        let mut lengths = self.lengths.iter();
        let sources: Vec<_> = sources
            .into_iter()
            .map(|source| {
                let &length = lengths.next().expect("more sources than segments");
                let stride = source.stride.unwrap_or(length);
                let end = stride.checked_mul(rows - 1).and_then(|last| last.checked_add(length));
                assert!(end.is_some_and(|end| end <= source.values.len()), "a source has too few rows");
                (Rows { stride: Some(stride), ..source }, length)
            })
            .collect();
        assert!(lengths.next().is_none(), "fewer sources than segments");
        let pairs: usize = self.lengths.iter().map(|length| length.div_ceil(2)).sum();
        for start in (0..rows).step_by(CHUNK) {
            let (mut first, mut weights) = (0, &self.weights[..]);
            while first < self.outputs {
                let vectors = (self.outputs - first).div_ceil(LANES).min(BLOCK_VECTORS);
                let (own, rest) = weights.split_at(pairs * vectors);
                let block = Block {
                    rows: start..rows.min(start + CHUNK),
                    sources: &sources,
                    weights: own,
                    scales: &self.scales[first..][..vectors * LANES],
                    biases: &self.biases[first..][..vectors * LANES],
                    vectors,
                    first,
                    outputs: (self.outputs - first).min(vectors * LANES),
                    stride: self.outputs,
                };
                simd::multiply(backend, &block, &mut out);
                first += block.outputs;
                weights = rest;
            }
        }
    }
}
