//! Distributions of one family, with a mean and a scale for each element.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use super::fused::FusedBlocks;
use super::parameter::Parameter;
use super::table_rows::find_in_row;
use crate::ans::calibration::{Curve, RANGES};
use crate::ans::constants::{BATCH, BLOCK};
use crate::ans::simd::{Backend, BlockRows};
use crate::tables::{Float, Interval, Region, ScaleTables, Slots};
use crate::{Error, Result};

/// Gives element `i` the distribution of [`ScaleTables`] for its mean and scale.
///
/// Means must be within ± 2^30; scales must be positive and finite. Scales outside the range of the tables get the
/// distribution of the first or the last level.
#[derive(Debug, Clone, Copy)]
pub struct LocationScale<'a, T> {
    tables: &'static ScaleTables,
    count: usize,
    means: Parameter<'a, T>,
    scales: Parameter<'a, T>,
}

impl<'a, T: Float> LocationScale<'a, T> {
    /// Takes means and scales for `count` elements. Their values are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are more or fewer means or scales than elements.
    pub fn new(
        tables: &'static ScaleTables,
        count: usize,
        means: Parameter<'a, T>,
        scales: Parameter<'a, T>,
    ) -> Result<Self> {
        means.check(count, "means")?;
        scales.check(count, "scales")?;
        Ok(Self { tables, count, means, scales })
    }
}

impl<T: Float> EntropyModel for LocationScale<'_, T> {
    fn len(&self) -> usize {
        self.count
    }
}

impl<T: Float> BatchModel for LocationScale<'_, T> {
    type Params = LocatedBatch;

    fn load(&self, first: usize, count: usize, params: &mut LocatedBatch) -> Result<()> {
        let (mut means, mut scales) = ([T::default(); BLOCK], [T::default(); BLOCK]);
        let blocks = params.places.iter_mut().zip(params.shifts.as_chunks_mut().0);
        for (b, (places, shifts)) in blocks.enumerate().take(count.div_ceil(BLOCK)) {
            let elements = first + b * BLOCK..first + count.min((b + 1) * BLOCK);
            let means = self.means.block(elements.clone(), &mut means);
            let scales = self.scales.block(elements.clone(), &mut scales);
            if !locate(Backend::default(), means, scales, shifts, places) {
                check(elements.start, &means[..elements.len()], &scales[..elements.len()])?;
            }
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &LocatedBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        self.tables.tables().slots(params.row(j), symbol)
    }

    #[inline]
    fn find(&self, params: &LocatedBatch, j: usize, slot: u32) -> (Region, Slots) {
        let (symbol, slots) = self.tables.tables().find(params.row(j), slot);
        (symbol.map_or(Region::Above, Region::Inside), slots)
    }

    fn symbol_outside(&self, params: &LocatedBatch, j: usize, _: Region, distance: u64) -> Option<i32> {
        self.tables.tables().symbol_outside(params.row(j), distance)
    }

    #[inline]
    fn shifts<'a>(&self, params: &'a LocatedBatch) -> Option<&'a [i32]> {
        Some(&params.shifts)
    }

    #[inline]
    fn rows<'a>(&'a self, params: &'a LocatedBatch, b: usize) -> Option<BlockRows<'a>> {
        Some(BlockRows::Scale(self.tables, &params.places[b]))
    }

    fn fused(&self) -> Option<FusedBlocks<'_>> {
        let (means, scales) = (self.means.as_f32()?, self.scales.as_f32()?);
        Some(FusedBlocks::new(self.tables, means, scales))
    }
}

impl<T: Float> Calibrated for LocationScale<'_, T> {
    /// The ranges are octaves of the scale, as those of [`LogisticPair`](super::LogisticPair).
    #[inline]
    fn range(&self, params: &LocatedBatch, j: usize) -> usize {
        (ScaleTables::octave(params.places.as_flattened()[j]) + 3).clamp(0, RANGES as i32 - 1) as usize
    }

    #[inline]
    fn interval(&self, params: &LocatedBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        self.tables.tables().interval(params.row(j), symbol)
    }

    #[inline]
    fn find_by(&self, params: &LocatedBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        find_in_row(self.tables.tables(), params.row(j), slot, curve)
    }
}

/// The places of a batch in scale tables, and the shifts that are subtracted from its symbols.
#[derive(Debug)]
pub struct LocatedBatch {
    places: [[u16; BLOCK]; BATCH / BLOCK],
    shifts: [i32; BATCH],
}

impl Default for LocatedBatch {
    fn default() -> Self {
        Self { places: [[0; BLOCK]; BATCH / BLOCK], shifts: [0; BATCH] }
    }
}

impl LocatedBatch {
    #[inline]
    fn row(&self, j: usize) -> usize {
        ScaleTables::row(self.places.as_flattened()[j]).into()
    }
}

/// Fills in the shifts and places of a block, and returns whether all parameters are valid.
pub(super) fn locate<T: Float>(
    backend: Backend,
    means: &[T; BLOCK],
    scales: &[T; BLOCK],
    shifts: &mut [i32; BLOCK],
    places: &mut [u16; BLOCK],
) -> bool {
    if backend != Backend::SCALAR {
        let near = backend.compiled(
            #[inline(always)]
            || locate_near(means, scales, shifts, places),
        );
        if near {
            return true;
        }
    }
    backend.compiled(
        #[inline(always)]
        || locate_any(means, scales, shifts, places),
    )
}

#[inline(always)]
fn locate_any<T: Float>(
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

/// Does as [`locate_any`] in fewer steps, and returns whether all parameters are valid and all means small.
#[inline(always)]
fn locate_near<T: Float>(
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

/// Finds the first element whose parameters are not valid.
#[cold]
fn check<T: Float>(first: usize, means: &[T], scales: &[T]) -> Result<()> {
    let flaws = means.iter().zip(scales).map(|(&mean, &scale)| flaw(mean, scale));
    match flaws.enumerate().find_map(|(j, flaw)| Some((j, flaw?))) {
        None => Ok(()),
        Some((j, (parameter, rule))) => {
            Err(Error::InvalidArgument(format!("{parameter} of element {} {rule}", first + j)))
        }
    }
}

/// Returns the first parameter that is not valid, if there is one, and the rule that it breaks.
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

/// Returns the reason why a float is not finite, if it is not.
pub(super) fn not_finite<T: Float>(value: T) -> Option<&'static str> {
    let value: f64 = value.into();
    match value {
        _ if value.is_nan() => Some("is not a number"),
        _ if value.is_infinite() => Some("is not finite"),
        _ => None,
    }
}
