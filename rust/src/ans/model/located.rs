//! Distributions of one family, with a mean and a scale for each element.

use super::super::{bits, Backend, BATCH, BLOCK, MAX_LANES};
use super::{BlockRows, Model, Parameter};
use crate::tables::{Float, Ladder, Place, Slots};
use crate::{Error, Result};

/// Element `i` has the distribution of a [`Ladder`] for its mean and scale.
///
/// Means lie in −2^30..=2^30; scales are positive and finite. The ladder's first and last level stand for scales that are
/// out of its range.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a, T> {
    ladder: &'static Ladder,
    count: usize,
    means: Parameter<'a, T>,
    scales: Parameter<'a, T>,
}

impl<'a, T: Float> Located<'a, T> {
    /// Means and scales for `count` elements; they are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are more or fewer.
    pub fn new(
        ladder: &'static Ladder,
        count: usize,
        means: Parameter<'a, T>,
        scales: Parameter<'a, T>,
    ) -> Result<Self> {
        means.check(count, "means")?;
        scales.check(count, "scales")?;
        Ok(Self { ladder, count, means, scales })
    }
}

/// [`Located`] as some backends take it, which locate a block and code it in one pass.
#[derive(Debug)]
pub struct Around<'a> {
    pub(in crate::ans) located: Located<'a, f32>,
    /// Blocks of the mean and of the scale that is the same for all elements, if one is.
    constants: [[f32; BLOCK]; 2],
    /// Of the last block, if it had escapes.
    spots: Spots,
}

impl<'a> Around<'a> {
    fn new(located: Located<'a, f32>) -> Self {
        let constants = [located.means, located.scales].map(|parameter| match parameter {
            Parameter::Constant(value) => [value; BLOCK],
            Parameter::Each(_) => [0.0; BLOCK],
        });
        Self { located, constants, spots: Spots::default() }
    }

    /// Fills in the slots of the block of symbols from element `first` on, and appends how far outside the escapes among
    /// them lie; false if the block is to be located first.
    #[inline]
    pub(in crate::ans) fn slots(
        &mut self,
        backend: Backend,
        first: usize,
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
        outside: &mut Vec<u64>,
    ) -> bool {
        let Located { ladder, means, scales, .. } = &self.located;
        let parameters =
            [means.whole_block(first, &self.constants[0]), scales.whole_block(first, &self.constants[1])];
        let missing = backend.slots_around(ladder, parameters, symbols, slots, &mut self.spots);
        for j in bits(missing.unwrap_or(0)) {
            let distance;
            let symbol = symbols[j].wrapping_sub(self.spots.shifts[j]);
            (slots[j], distance) = ladder.tables().slots(self.spots.row(j), symbol);
            outside.extend(distance);
        }
        missing.is_some()
    }

    /// Decodes the block of symbols from element `first` on, shifts and all; see [`Backend::decode`].
    #[inline]
    pub(in crate::ans) fn decode(
        &mut self,
        backend: Backend,
        first: usize,
        lanes: (usize, &mut [u32; MAX_LANES]),
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        let Located { ladder, means, scales, .. } = &self.located;
        let parameters =
            [means.whole_block(first, &self.constants[0]), scales.whole_block(first, &self.constants[1])];
        backend.decode_around(ladder, parameters, lanes, words, out, &mut self.spots)
    }

    /// The symbol of element `j` of the last block that lies this far outside, if there is one.
    pub(in crate::ans) fn symbol_outside(&self, j: usize, distance: u64) -> Option<i32> {
        let symbol = self.located.ladder.tables().symbol_outside(self.spots.row(j), distance)?;
        Some(symbol.wrapping_add(self.spots.shifts[j]))
    }
}

/// The places of a block, and the whole symbols that its means are away from their rows.
#[derive(Debug, Clone, Copy)]
pub struct Spots {
    pub(in crate::ans) places: [u16; BLOCK],
    pub(in crate::ans) shifts: [i32; BLOCK],
}

impl Default for Spots {
    fn default() -> Self {
        Self { places: [0; BLOCK], shifts: [0; BLOCK] }
    }
}

impl Spots {
    #[inline]
    pub(in crate::ans) fn row(&self, j: usize) -> usize {
        Ladder::row(self.places[j]).into()
    }
}

impl<T: Float> Model for Located<'_, T> {
    type Params = LocatedParams;

    fn len(&self) -> usize {
        self.count
    }

    fn load(&self, first: usize, count: usize, params: &mut LocatedParams) -> Result<()> {
        let (mut means, mut scales) = ([T::default(); BLOCK], [T::default(); BLOCK]);
        let blocks = params.places.iter_mut().zip(params.shifts.as_chunks_mut().0);
        for (b, (places, shifts)) in blocks.enumerate().take(count.div_ceil(BLOCK)) {
            let elements = first + b * BLOCK..first + count.min((b + 1) * BLOCK);
            let means = self.means.block(elements.clone(), &mut means);
            let scales = self.scales.block(elements.clone(), &mut scales);
            if !Backend::default().locate(means, scales, shifts, places) {
                check(elements.start, &means[..elements.len()], &scales[..elements.len()])?;
            }
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &LocatedParams, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        self.ladder.tables().slots(params.row(j), symbol)
    }

    #[inline]
    fn find(&self, params: &LocatedParams, j: usize, slot: u32) -> (Place, Slots) {
        let (symbol, slots) = self.ladder.tables().find(params.row(j), slot);
        (symbol.map_or(Place::Above, Place::Inside), slots)
    }

    fn symbol_outside(&self, params: &LocatedParams, j: usize, _: Place, distance: u64) -> Option<i32> {
        self.ladder.tables().symbol_outside(params.row(j), distance)
    }

    #[inline]
    fn shifts<'a>(&self, params: &'a LocatedParams) -> Option<&'a [i32]> {
        Some(&params.shifts)
    }

    fn around(&self) -> Option<Around<'_>> {
        let (means, scales) = (self.means.as_f32()?, self.scales.as_f32()?);
        Some(Around::new(Located { ladder: self.ladder, count: self.count, means, scales }))
    }

    #[inline]
    fn rows<'a>(&'a self, params: &'a LocatedParams, b: usize) -> Option<BlockRows<'a>> {
        Some(BlockRows::At(self.ladder, &params.places[b]))
    }
}

/// Shifts and places of a block, and whether all are valid: [`Backend::locate`] makes it of its instructions.
#[inline(always)]
pub(in crate::ans) fn locate<T: Float>(
    means: &[T; BLOCK],
    scales: &[T; BLOCK],
    shifts: &mut [i32; BLOCK],
    places: &mut [u16; BLOCK],
) -> bool {
    let mut valid = true;
    for j in 0..BLOCK {
        let row;
        (shifts[j], row) = T::locate(means[j], scales[j]);
        places[j] = T::place(scales[j], row);
        valid &= means[j].valid_mean() & scales[j].valid_scale();
    }
    valid
}

/// The same, if all means are small as well.
#[inline(always)]
pub(in crate::ans) fn locate_near<T: Float>(
    means: &[T; BLOCK],
    scales: &[T; BLOCK],
    shifts: &mut [i32; BLOCK],
    places: &mut [u16; BLOCK],
) -> bool {
    let mut near = true;
    for j in 0..BLOCK {
        let row;
        (shifts[j], row) = T::locate_near(means[j], scales[j]);
        places[j] = T::place(scales[j], row);
        near &= T::near(means[j], scales[j]);
    }
    near
}

/// Finds the first element whose parameters have no row.
#[cold]
fn check<T: Float>(first: usize, means: &[T], scales: &[T]) -> Result<()> {
    let flaws = means.iter().zip(scales).map(|(&mean, &scale)| flaw(mean, scale));
    match flaws.enumerate().find_map(|(j, flaw)| Some((j, flaw?))) {
        None => Ok(()),
        Some((j, (what, rule))) => {
            Err(Error::InvalidArgument(format!("{what} of element {} {rule}", first + j)))
        }
    }
}

/// What is wrong with a mean or a scale, if anything is: the one that is, and the rule that it breaks.
#[cold]
pub(super) fn flaw<T: Float>(mean: T, scale: T) -> Option<(String, &'static str)> {
    if !mean.valid_mean() {
        Some((format!("mean {mean:?}"), not_finite(mean).unwrap_or("is beyond 2^30")))
    } else if !scale.valid_scale() {
        Some((format!("scale {scale:?}"), not_finite(scale).unwrap_or("is not positive")))
    } else {
        None
    }
}

/// What keeps a float from being finite.
pub(super) fn not_finite<T: Float>(value: T) -> Option<&'static str> {
    let value: f64 = value.into();
    match value {
        _ if value.is_nan() => Some("is not a number"),
        _ if value.is_infinite() => Some("is not finite"),
        _ => None,
    }
}

/// The places of a batch, and the whole symbols that its means are away from their rows.
#[derive(Debug)]
pub struct LocatedParams {
    places: [[u16; BLOCK]; BATCH / BLOCK],
    shifts: [i32; BATCH],
}

impl Default for LocatedParams {
    fn default() -> Self {
        Self { places: [[0; BLOCK]; BATCH / BLOCK], shifts: [0; BATCH] }
    }
}

impl LocatedParams {
    #[inline]
    fn row(&self, j: usize) -> usize {
        Ladder::row(self.places.as_flattened()[j]).into()
    }
}
