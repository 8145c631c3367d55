//! Tables for distributions whose mean and scale are floats.
//!
//! [`ScaleTables`] have the rows of all levels of scale and all fractions of a mean (see [`levels`](super::levels)). A
//! level stands for the geometric mean of its lowest scale and that of the next level.
//!
//! With `n = ⌊mean · F + 1/2⌋`, symbol `x` is coded as symbol `x − ⌊n / F⌋` of the row with `k = n mod F`.

use std::sync::OnceLock;

use super::cdf::Tables;
use super::cdf_row::CdfRow;
#[cfg(target_arch = "x86_64")]
use super::direct_tables::DirectTables;
use super::families::Family;
use super::float::LocateRow;
use super::levels::{LEVELS, MAX_MEAN, MIN_EXPONENT, ROW_BITS, begin, fractions};
use crate::interrupt;

/// The distributions of one family, for any mean and scale.
#[derive(Debug)]
pub struct ScaleTables {
    family: Family,
    tables: Tables,
    #[cfg(target_arch = "x86_64")]
    direct: DirectTables,
    thresholds: Vec<f32>,
    scales: Vec<f64>,
}

impl ScaleTables {
    /// Means are within ± 2^30.
    pub const MAX_MEAN: i32 = MAX_MEAN;

    /// Returns the only instance for a family, which the first call builds.
    pub fn get(family: Family) -> &'static Self {
        static INSTANCES: [OnceLock<ScaleTables>; Family::ALL.len()] =
            [const { OnceLock::new() }; Family::ALL.len()];
        INSTANCES[family as usize].get_or_init(|| Self::build(family))
    }

    fn build(family: Family) -> Self {
        let scales: Vec<f64> = (0..LEVELS).map(|level| (begin(level) * begin(level + 1)).sqrt()).collect();
        let rows: Vec<CdfRow> =
            (0..).zip(&scales).flat_map(|(level, &scale)| family.rows(scale, fractions(level))).collect();
        let tables = interrupt::undisturbed(|| Tables::from_rows(&rows)).expect("rows are few and near 0");
        Self {
            family,
            #[cfg(target_arch = "x86_64")]
            direct: DirectTables::new(&tables),
            tables,
            thresholds: (1..LEVELS).map(|level| begin(level) as f32).collect(),
            scales,
        }
    }

    /// Returns the family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Returns all rows, level by level.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Returns the rows in the form that x86's vectors read.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn direct(&self) -> &DirectTables {
        &self.direct
    }

    /// Returns the row of a place.
    #[inline(always)]
    pub(crate) fn row(place: u16) -> u16 {
        place & ((1 << ROW_BITS) - 1)
    }

    /// Returns the binary logarithm, rounded down, of the scales of a place.
    #[inline(always)]
    pub(crate) fn octave(place: u16) -> i32 {
        i32::from(place >> ROW_BITS) + MIN_EXPONENT
    }

    /// Returns the lowest scale of each level but the first: the level of a scale is the number of thresholds that are
    /// not above it.
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// Returns the scale that each level stands for.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// Returns the level of a positive scale.
    pub fn level(&self, scale: f64) -> usize {
        scale.level() as usize
    }

    /// Returns the number of rows that a level has, each for another mean.
    ///
    /// # Panics
    /// If there is no such level.
    pub fn fractions(&self, level: usize) -> u32 {
        assert!(level < self.scales.len());
        fractions(level as i32)
    }

    /// Returns a hash of every distribution, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        self.tables.fingerprint()
    }
}
