//! Distributions whose probabilities come one by one.

use super::Model;
use crate::tables::{Float, Place, Slots, TOTAL};
use crate::{Error, Result};

const MAX_SYMBOLS: usize = 4096;
/// The highest of an element's probabilities becomes 2^19: no sum of them overflows 32 bits.
const HIGHEST: f32 = 524_288.0;
/// It is at least this, so that the factor that makes it so is finite.
const MIN_HIGHEST: f32 = 1.0 / (1u128 << 100) as f32;

/// Element `i` has `probabilities[i]` for the symbols `0..symbols`: finite floats that are not negative, as `f32`, up to
/// a common factor.
///
/// With `q` the nearest integer to p · (2^19 / highest p) (in `f32`; the even one of two), symbol `j` has the slots from
/// `j + ⌊(q_0 + … + q_(j−1)) · ⌊2^32 · (2^15 − symbols − 1) / (sum of all q)⌋ / 2^32⌋` on. What is left after the last is the escape, for all other symbols.
#[derive(Debug, Clone, Copy)]
pub struct Categoricals<'a, T> {
    probabilities: &'a [T],
    symbols: usize,
}

impl<'a, T: Float> Categoricals<'a, T> {
    /// `symbols` probabilities for each element, which are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 4096 symbols, and probabilities for each.
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

    /// Boundaries 0..=`symbols` of element `j` of the batch.
    fn boundaries<'b>(&self, params: &'b CategoricalParams, j: usize) -> &'b [u16] {
        &params.boundaries[j * (self.symbols + 1)..][..self.symbols + 1]
    }
}

impl<T: Float> Model for Categoricals<'_, T> {
    type Params = CategoricalParams;

    fn len(&self) -> usize {
        self.probabilities.len() / self.symbols
    }

    fn load(&self, first: usize, count: usize, params: &mut CategoricalParams) -> Result<()> {
        params.boundaries.resize(count * (self.symbols + 1), 0);
        params.element.resize(self.symbols, 0.0);
        let elements = self.probabilities[first * self.symbols..].chunks_exact(self.symbols);
        let boundaries = params.boundaries.chunks_exact_mut(self.symbols + 1);
        for ((j, element), boundaries) in elements.enumerate().zip(boundaries) {
            count_slots(element, &mut params.element, boundaries)
                .map_err(|what| Error::InvalidArgument(format!("{what} of element {}", first + j)))?;
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &CategoricalParams, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        let boundaries = self.boundaries(params, j);
        let interval = (symbol as u32 as usize).min(self.symbols);
        let outside = (interval == self.symbols).then(|| distance(symbol, self.symbols));
        (interval_of(boundaries, interval), outside)
    }

    #[inline]
    fn find(&self, params: &CategoricalParams, j: usize, slot: u32) -> (Place, Slots) {
        let boundaries = self.boundaries(params, j);
        let interval = boundaries.partition_point(|&boundary| u32::from(boundary) <= slot) - 1;
        let inside = interval < self.symbols;
        let place = if inside { Place::Inside(interval as i32) } else { Place::Above };
        (place, interval_of(boundaries, interval))
    }

    fn symbol_outside(&self, _: &CategoricalParams, _: usize, _: Place, distance: u64) -> Option<i32> {
        let half = i64::try_from(distance / 2).ok()?;
        let symbol =
            if distance.is_multiple_of(2) { half.checked_add(self.symbols as i64)? } else { -1 - half };
        symbol.try_into().ok()
    }
}

/// The slots between a boundary and the next.
#[inline]
fn interval_of(boundaries: &[u16], interval: usize) -> Slots {
    let end = boundaries.get(interval + 1).map_or(TOTAL, |&end| end.into());
    Slots::new(boundaries[interval].into(), end)
}

/// How far outside `0..symbols` a symbol lies: even numbers count up, odd numbers down.
#[cold]
fn distance(symbol: i32, symbols: usize) -> u64 {
    match u64::try_from(symbol) {
        Ok(symbol) => 2 * (symbol - symbols as u64),
        Err(_) => 2 * u64::from(!symbol as u32) + 1,
    }
}

/// Where each symbol's slots begin, and those of the escape.
fn count_slots<T: Float>(
    probabilities: &[T],
    element: &mut [f32],
    boundaries: &mut [u16],
) -> std::result::Result<(), &'static str> {
    // Not negative, floats are in the order of their bits.
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
    /// Added, it leaves the nearest integer in the last bits. Unlike casts, compilers make vectors of that.
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
pub struct CategoricalParams {
    boundaries: Vec<u16>,
    /// One element's probabilities, which are read but once.
    element: Vec<f32>,
}
