//! Distributions given by the probability of each symbol.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use crate::ans::calibration::Curve;
use crate::tables::{Float, Interval, Region, RowCdf, Slots, TOTAL, distance_outside, symbol_outside};
use crate::{Error, Result};

const MAX_SYMBOLS: usize = 4096;
/// The highest probability of an element is scaled to 2^19, so that no sum overflows 32 bits.
const HIGHEST: f32 = 524_288.0;
/// The highest probability must be at least this, so that the factor that scales it is finite.
const MIN_HIGHEST: f32 = 1.0 / (1u128 << 100) as f32;

/// Gives element `i` the probabilities `probabilities[i]` `[symbols]` for the symbols `0..symbols`. They must be finite
/// and not negative as `f32`; a factor common to those of one element does not matter.
///
/// Let `q` be the nearest integer to p · (2^19 / highest p) (in `f32`; the even one of two). Symbol `j` starts at slot
/// `j + ⌊(q_0 + … + q_(j−1)) · ⌊2^32 · (2^15 − symbols − 1) / (sum of all q)⌋ / 2^32⌋`. The slots after the last symbol are
/// the escape, for all other symbols.
#[derive(Debug, Clone, Copy)]
pub struct Categorical<'a, T> {
    probabilities: &'a [T],
    symbols: usize,
}

impl<'a, T: Float> Categorical<'a, T> {
    /// Takes probabilities `[elements, symbols]`. They are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 4096 symbols, with a probability for each.
    pub fn new(probabilities: &'a [T], symbols: usize) -> Result<Self> {
        if !(1..=MAX_SYMBOLS).contains(&symbols) {
            return Err(Error::InvalidArgument(format!("{symbols} symbols are not 1 to {MAX_SYMBOLS}")));
        }
        if !probabilities.len().is_multiple_of(symbols) {
            let what = format!("{} probabilities for elements of {symbols} symbols", probabilities.len());
            return Err(Error::InvalidArgument(what));
        }
        Ok(Self { probabilities, symbols })
    }

    /// Returns boundaries 0..=`symbols` of element `j` of the batch.
    fn boundaries<'b>(&self, params: &'b CategoricalBatch, j: usize) -> &'b [u16] {
        &params.boundaries[j * (self.symbols + 1)..][..self.symbols + 1]
    }

    /// Returns the rank of a symbol, or of the escape, and in the latter case its distance from the support.
    #[inline]
    fn rank(&self, symbol: i32) -> (u32, Option<u64>) {
        let symbols = self.symbols as u32;
        let rank = (symbol as u32).min(symbols);
        (rank, (rank == symbols).then(|| distance_outside(symbol, 0, symbols)))
    }

    #[inline]
    fn region(&self, rank: u32) -> Region {
        if rank < self.symbols as u32 { Region::Inside(rank as i32) } else { Region::Above }
    }
}

impl<T: Float> EntropyModel for Categorical<'_, T> {
    fn len(&self) -> usize {
        self.probabilities.len() / self.symbols
    }
}

impl<T: Float> BatchModel for Categorical<'_, T> {
    type Params = CategoricalBatch;

    fn load(&self, first: usize, count: usize, params: &mut CategoricalBatch) -> Result<()> {
        params.boundaries.resize(count * (self.symbols + 1), 0);
        params.element.resize(self.symbols, 0.0);
        let elements = self.probabilities[first * self.symbols..].chunks_exact(self.symbols);
        let boundaries = params.boundaries.chunks_exact_mut(self.symbols + 1);
        for ((j, element), boundaries) in elements.enumerate().zip(boundaries) {
            set_boundaries(element, &mut params.element, boundaries)
                .map_err(|what| Error::InvalidArgument(format!("{what} of element {}", first + j)))?;
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &CategoricalBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        let (rank, outside) = self.rank(symbol);
        (RowCdf(self.boundaries(params, j)).slots(rank), outside)
    }

    #[inline]
    fn find(&self, params: &CategoricalBatch, j: usize, slot: u32) -> (Region, Slots) {
        let boundaries = self.boundaries(params, j);
        let rank = boundaries.partition_point(|&boundary| u32::from(boundary) <= slot) as u32 - 1;
        (self.region(rank), RowCdf(boundaries).slots(rank))
    }

    fn symbol_outside(&self, _: &CategoricalBatch, _: usize, _: Region, distance: u64) -> Option<i32> {
        symbol_outside(distance, 0, self.symbols as u32)
    }
}

impl<T: Float> Calibrated for Categorical<'_, T> {
    /// All distributions are in one range.
    #[inline]
    fn range(&self, _: &CategoricalBatch, _: usize) -> usize {
        0
    }

    #[inline]
    fn interval(&self, params: &CategoricalBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        let (rank, outside) = self.rank(symbol);
        (RowCdf(self.boundaries(params, j)).interval(rank), outside)
    }

    #[inline]
    fn find_by(&self, params: &CategoricalBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        let (boundaries, guess) = (self.boundaries(params, j), curve.guess(2 * slot) / 2);
        let guess = boundaries.partition_point(|&boundary| u32::from(boundary) <= guess) as u32 - 1;
        let rank = RowCdf(boundaries).find_by(slot, guess, |bound| curve.at(bound));
        (self.region(rank), RowCdf(boundaries).interval(rank).by(|bound| curve.at(bound)))
    }
}

/// Fills in the first slots of all symbols and of the escape; the error is the rule that the probabilities break.
fn set_boundaries<T: Float>(
    probabilities: &[T],
    element: &mut [f32],
    boundaries: &mut [u16],
) -> std::result::Result<(), &'static str> {
    // Floats that are not negative are in the order of their bits.
    let (mut valid, mut highest) = (true, 0);
    for (value, p) in element.iter_mut().zip(probabilities) {
        *value = p.to_f32();
        valid &= *value >= 0.0;
        highest = highest.max(value.to_bits() as i32);
    }
    let highest = f32::from_bits(highest as u32);
    if !valid || highest == f32::INFINITY {
        return Err("the probabilities are not finite numbers of at least 0 (as float32): those");
    }
    if highest < MIN_HIGHEST {
        return Err("all probabilities are below 2^-100: those");
    }
    /// Adding this leaves the nearest integer in the last bits. Compilers vectorise that, unlike casts.
    const ROUND: f32 = 1.5 / f32::EPSILON;
    let factor = HIGHEST / highest;
    let count = |value: f32| (value * factor + ROUND).to_bits() - ROUND.to_bits();
    let total = element.iter().fold(0, |total, &value| total + count(value));
    let spare = TOTAL - 1 - element.len() as u32;
    let per_count = (u64::from(spare) << 32) / u64::from(total);
    let (mut least, mut sum) = (0, 0u64);
    let (last, firsts) = boundaries.split_last_mut().expect("a boundary for each symbol and one more");
    for (boundary, &value) in firsts.iter_mut().zip(&*element) {
        *boundary = least + ((sum * per_count) >> 32) as u16;
        least += 1;
        sum += u64::from(count(value));
    }
    *last = least + ((sum * per_count) >> 32) as u16;
    Ok(())
}

/// The boundaries of a batch.
#[derive(Debug, Default)]
pub struct CategoricalBatch {
    boundaries: Vec<u16>,
    /// The probabilities of one element, so that the caller's memory is read only once.
    element: Vec<f32>,
}
