//! Rows for distributions whose mean and scale come as floats.
//!
//! A [`Ladder`] has eight *levels* of scale for each power of two from 2^−4 to 2^9, which begin at 8/8, 9/8, …, 15/8
//! of it: a scale's level is its exponent and the first three bits of its mantissa, the same whether it is an `f32` or
//! an `f64`. Smaller scales belong to the first level, larger ones to the last. A level stands for the geometric mean of
//! where it begins and ends, and has rows for the means `k / F`, where `F` is the power of two that brings its scale
//! into 4..8, or 1 for larger scales.
//!
//! With `n = ⌊mean · F + 1/2⌋`, symbol `x` is coded as symbol `x − ⌊n / F⌋` of the row with `k = n mod F`.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::Direct;
use super::{Family, Row, Tables};
use crate::interrupt;

/// Levels for each power of two: the mantissa bits that matter.
pub(super) const STEP_BITS: u32 = 3;
pub(super) const STEPS: i32 = 1 << STEP_BITS;
/// The scales 2^−4..2^9.
const MIN_EXPONENT: i32 = -4;
#[cfg(target_arch = "x86_64")]
pub(super) const FIRST_LEVEL: i32 = MIN_EXPONENT << STEP_BITS;
pub(super) const OCTAVES: i32 = 13;
pub(super) const LEVELS: i32 = OCTAVES * STEPS;
/// The first octave's levels have 2^6 rows each, the next one's half as many, and so on.
const FRACTION_BITS: i32 = 6;

/// A *place* is an octave and a row of it, which has so many bits.
pub(super) const ROW_BITS: u32 = 11;

/// The distributions of one family, for any mean and scale.
#[derive(Debug)]
pub struct Ladder {
    family: Family,
    tables: Tables,
    #[cfg(target_arch = "x86_64")]
    direct: Direct,
    thresholds: Vec<f32>,
    scales: Vec<f64>,
}

impl Ladder {
    /// Means lie in −2^30..=2^30.
    pub const MAX_MEAN: i32 = 1 << 30;

    /// The one instance for a family, built on first use.
    pub fn get(family: Family) -> &'static Self {
        static LADDERS: [OnceLock<Ladder>; Family::ALL.len()] =
            [const { OnceLock::new() }; Family::ALL.len()];
        LADDERS[family as usize].get_or_init(|| Self::build(family))
    }

    fn build(family: Family) -> Self {
        let scales: Vec<f64> = (0..LEVELS).map(|level| (begin(level) * begin(level + 1)).sqrt()).collect();
        let rows: Vec<Row> =
            (0..).zip(&scales).flat_map(|(level, &scale)| family.rows(scale, fractions(level))).collect();
        let tables = interrupt::undisturbed(|| Tables::from_rows(&rows)).expect("rows are few and near 0");
        Self {
            family,
            #[cfg(target_arch = "x86_64")]
            direct: Direct::new(&tables),
            tables,
            thresholds: (1..LEVELS).map(|level| begin(level) as f32).collect(),
            scales,
        }
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// All rows, level by level.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The rows where vectors find them.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn direct(&self) -> &Direct {
        &self.direct
    }

    /// The row of a place.
    #[inline(always)]
    pub(crate) fn row(place: u16) -> u16 {
        place & ((1 << ROW_BITS) - 1)
    }

    /// Where each level but the first begins: a level is the number of thresholds that are not above the scale.
    pub fn thresholds(&self) -> &[f32] {
        &self.thresholds
    }

    /// The scale that each level stands for.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }

    /// The level of a positive scale.
    pub fn level(&self, scale: f64) -> usize {
        scale.level() as usize
    }

    /// The number of rows that a level has, each for another mean.
    ///
    /// # Panics
    /// If there is no such level.
    pub fn fractions(&self, level: usize) -> u32 {
        assert!(level < self.scales.len());
        fractions(level as i32)
    }

    /// A hash of every distribution, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        self.tables.fingerprint()
    }
}

/// Where a level begins.
pub(super) fn begin(level: i32) -> f64 {
    let mantissa = f64::from(STEPS + level % STEPS) / f64::from(STEPS);
    mantissa * f64::from(1 << (level / STEPS)) / f64::from(1 << -MIN_EXPONENT)
}

pub(super) fn fractions(level: i32) -> u32 {
    1 << (FRACTION_BITS - level / STEPS).max(0)
}

/// `f32` or `f64`, as parameters may come.
pub trait Float: Locate {}

impl Float for f32 {}
impl Float for f64 {}

/// What only this crate does with floats, so that it is the same for both.
pub trait Locate: Copy + Default + Send + Sync + std::fmt::Debug + Into<f64> {
    /// The numbers themselves, if they are `f32`.
    fn as_f32(numbers: &[Self]) -> Option<&[f32]>;

    /// The nearest `f32`.
    fn to_f32(self) -> f32;

    /// The level of a positive scale.
    fn level(self) -> i32;

    /// Whether a mean is one that a ladder has rows for.
    fn valid_mean(self) -> bool;

    /// Whether it is a scale, positive and finite.
    fn valid_scale(self) -> bool;

    /// Their shift and row; anything, if there are none.
    fn locate(mean: Self, scale: Self) -> (i32, u16);

    /// Whether they are valid and the mean is small enough for `locate_near`.
    fn near(mean: Self, scale: Self) -> bool;

    /// The same in fewer steps, where the processor knows how to round down.
    fn locate_near(mean: Self, scale: Self) -> (i32, u16);

    /// The place of a scale's row.
    #[inline(always)]
    fn place(scale: Self, row: u16) -> u16 {
        ((scale.level() >> STEP_BITS) as u16) << ROW_BITS | row
    }
}

// Written so that the compiler makes vectors of it: without branches, and without casts to integers, which saturate.
macro_rules! locate {
    ($float:ident, $bits:ident, $as_f32:expr) => {
        impl Locate for $float {
            fn as_f32(numbers: &[Self]) -> Option<&[f32]> {
                let as_f32: fn(&[Self]) -> Option<&[f32]> = $as_f32;
                as_f32(numbers)
            }

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn level(self) -> i32 {
                const STEP_SHIFT: u32 = $float::MANTISSA_DIGITS - 1 - STEP_BITS;
                const FIRST: i32 = ($float::MAX_EXP - 1 + MIN_EXPONENT) << STEP_BITS;
                ((self.to_bits() >> STEP_SHIFT) as i32 - FIRST).clamp(0, LEVELS - 1)
            }

            #[inline(always)]
            fn valid_mean(self) -> bool {
                self.abs() <= Ladder::MAX_MEAN as $float
            }

            #[inline(always)]
            fn valid_scale(self) -> bool {
                // By its bits: the smallest floats are 0 to a processor that was told so.
                self.to_bits().wrapping_sub(1) < $float::INFINITY.to_bits() - 1
            }

            #[inline(always)]
            fn locate(mean: Self, scale: Self) -> (i32, u16) {
                /// Added and subtracted again, it rounds to the nearest integer: anything up to 2^22.
                const ROUND: $float = 1.5 / $float::EPSILON;
                const HALF_BITS: u32 = 16;
                const HALF: $float = (1 << HALF_BITS) as $float;
                let round = |x: $float| x + ROUND - ROUND;
                let integer = |x: $float| (x + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;

                let level = scale.level();
                let (octave, step) = (level >> STEP_BITS, level & (STEPS - 1));
                let fraction_bits = (FRACTION_BITS - octave).max(0);
                let exponent = ($float::MAX_EXP - 1 + fraction_bits) as $bits;
                let fractions = $float::from_bits(exponent << ($float::MANTISSA_DIGITS - 1));

                // The mean is an integer, in two halves, and a rest; all this is exact.
                let high = round(mean / HALF);
                let low = mean - high * HALF;
                let rest = (low - round(low)) * fractions;
                let shift = (integer(high) << HALF_BITS).wrapping_add(integer(low));
                // The nearest fraction, the upper one of two, within one symbol of 0; then that of 0 or above.
                let nearest = round(rest);
                let nearest = nearest + if rest - nearest >= 0.5 { 1.0 } else { 0.0 };
                let (below, above) = (nearest < 0.0, nearest >= fractions);
                let fraction = if above { 0.0 } else { nearest + if below { fractions } else { 0.0 } };
                let shift = shift.wrapping_add(i32::from(above) - i32::from(below));

                // After an octave's first row there are as many rows as in 16 levels, down to the last with fractions.
                let row = integer(fraction + (step - 2 * STEPS) as $float * fractions);
                let rest = (octave - FRACTION_BITS).max(0) << STEP_BITS;
                (shift, (((2 * STEPS) << FRACTION_BITS) + rest).wrapping_add(row) as u16)
            }

            #[inline(always)]
            fn near(mean: Self, scale: Self) -> bool {
                (mean.abs() <= (1 << 15) as $float) & scale.valid_scale()
            }

            #[inline(always)]
            fn locate_near(mean: Self, scale: Self) -> (i32, u16) {
                // Added to an integer up to 2^22, it leaves that in the last bits.
                const ROUND: $float = 1.5 / $float::EPSILON;
                let level = scale.level();
                let (octave, step) = (level >> STEP_BITS, level & (STEPS - 1));
                let fraction_bits = (FRACTION_BITS - octave).max(0);
                let exponent = ($float::MAX_EXP + fraction_bits) as $bits;
                let doubled = mean * $float::from_bits(exponent << ($float::MANTISSA_DIGITS - 1));
                let doubled = (doubled.floor() + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
                let nearest = doubled.wrapping_add(1) >> 1;
                let shift = nearest >> fraction_bits;
                let row = nearest.wrapping_add((step - 2 * STEPS).wrapping_sub(shift) << fraction_bits);
                let rest = (octave + fraction_bits - FRACTION_BITS) << STEP_BITS;
                (shift, (((2 * STEPS) << FRACTION_BITS) + rest).wrapping_add(row) as u16)
            }
        }
    };
}
locate!(f32, u32, |numbers| Some(numbers));
locate!(f64, u64, |_| None);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{slots_to_search, Bucket, MAX_BUCKET_BITS, PRECISION};

    #[test]
    fn ladders_are_the_same_everywhere() {
        let ladders = Family::ALL.map(Ladder::get);
        assert_eq!(
            ladders.map(Ladder::fingerprint),
            [14248405528900644062, 5351063737727539997, 2401781537384954794]
        );
        assert_eq!(ladders[0].scales()[0].to_bits(), 4589441209417559257);
        assert_eq!(ladders[0].scales()[103].to_bits(), 4647428799369006810);
    }

    #[test]
    fn levels_begin_at_thresholds() {
        let ladder = Ladder::get(Family::Gaussian);
        let thresholds = ladder.thresholds();
        assert_eq!((thresholds.len() + 1, ladder.scales().len()), (LEVELS as usize, LEVELS as usize));
        assert_eq!((thresholds[0], thresholds[LEVELS as usize - 2]), (0.0703125, 480.0));
        for (level, pair) in thresholds.windows(2).enumerate() {
            assert!(pair[0] < pair[1]);
            let scale = ladder.scales()[level + 1];
            assert!(f64::from(pair[0]) < scale && scale < pair[1].into());
        }
        let check = |scale: f32| {
            let level = thresholds.iter().filter(|threshold| scale >= **threshold).count();
            assert_eq!((scale.level() as usize, ladder.level(scale.into())), (level, level), "{scale}");
        };
        for (level, &threshold) in thresholds.iter().enumerate() {
            [threshold.next_down(), threshold, threshold.next_up()].into_iter().for_each(check);
            let wide = f64::from(threshold);
            let levels = [wide.next_down(), wide, wide.next_up()].map(|scale| ladder.level(scale));
            assert_eq!(levels, [level, level + 1, level + 1]);
        }
        [f32::from_bits(1), f32::MIN_POSITIVE, 1e-3, 512.0, 513.0, f32::MAX].into_iter().for_each(check);
        (0..f32::INFINITY.to_bits()).step_by(9973).skip(1).map(f32::from_bits).for_each(check);
    }

    /// The shift and the row by their definition, in integers: the mean is `mantissa` / 2^40.
    fn defined(ladder: &Ladder, mantissa: i128, level: usize) -> (i32, u16) {
        let fractions = i128::from(ladder.fractions(level));
        let n = (mantissa * fractions + (1 << 39)) >> 40;
        let first: u32 = (0..level).map(|level| ladder.fractions(level)).sum();
        (n.div_euclid(fractions) as i32, first as u16 + n.rem_euclid(fractions) as u16)
    }

    #[test]
    fn means_have_the_row_of_the_nearest_fraction() {
        let ladder = Ladder::get(Family::Laplace);
        // Means around all borders between fractions, and some that are large.
        let borders = (-384..=384).map(|i| i as f32 / 128.0);
        let large = [
            32_767.5,
            32_768.0,
            4_194_303.5,
            4_194_304.5,
            8_388_607.5,
            8_388_609.0,
            16_777_217.0,
            (1 << 30) as f32,
        ];
        let means = borders.chain(large).chain(large.map(|mean| -mean)).chain([0.49999997, 0.1, -0.3, 7.77]);
        for mean in means {
            for mean in [mean.next_down(), mean, mean.next_up()] {
                if mean.abs() < 1e-3 && mean != 0.0 || mean.abs() > 1e9 && !mean.valid_mean() {
                    continue;
                }
                let mantissa = (f64::from(mean) * f64::from(1 << 20)) as i128;
                let rest = f64::from(mean) * f64::from(1 << 20) - mantissa as f64;
                let mantissa = (mantissa << 20) + (rest * f64::from(1 << 20)) as i128;
                for (level, &scale) in ladder.scales().iter().enumerate() {
                    let want = defined(ladder, mantissa, level);
                    assert_eq!(f32::locate(mean, scale as f32), want, "mean {mean}, level {level}");
                    if f32::near(mean, scale as f32) {
                        assert_eq!(f32::locate_near(mean, scale as f32), want, "mean {mean}, level {level}");
                        assert_eq!(f64::locate_near(mean.into(), scale), want, "mean {mean}, level {level}");
                    }
                    assert_eq!(f64::locate(mean.into(), scale), want, "mean {mean}, level {level}");
                }
            }
        }
    }

    #[test]
    fn only_finite_means_and_positive_scales_are_valid() {
        let limit = (1 << 30) as f32;
        for mean in [0.0, -0.0, 1e-40, limit, -limit] {
            assert!(mean.valid_mean() && f64::from(mean).valid_mean());
        }
        for mean in [limit.next_up(), -f32::INFINITY, f32::NAN] {
            assert!(!mean.valid_mean() && !f64::from(mean).valid_mean());
        }
        for scale in [f32::from_bits(1), 1e-40, f32::MIN_POSITIVE, 1.0, f32::MAX] {
            assert!(scale.valid_scale() && f64::from(scale).valid_scale());
        }
        for scale in [0.0, -0.0, -1e-40, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
            assert!(!scale.valid_scale() && !f64::from(scale).valid_scale());
        }
        for scale in [f64::from_bits(1), 1e-300, 1e300, f64::MAX] {
            assert!(scale.valid_scale());
            assert_eq!(f64::locate(0.3, scale), f64::locate(0.3, scale.clamp(0.0625, 511.0)));
        }
    }

    #[test]
    fn what_scales_up_to_16_read_fits_the_cache() {
        for family in Family::ALL {
            let tables = Ladder::get(family).tables();
            let bytes_up_to = |octaves: i32| {
                let rows = tables.rows.len() - ((OCTAVES - octaves) * STEPS) as usize;
                let row = &tables.rows[rows];
                rows * size_of_val(row) + row.first as usize * 2 + row.bucket as usize * size_of::<Bucket>()
            };
            let [bytes, more] = [16.0, 64.0].map(|scale: f64| bytes_up_to(scale.level() / STEPS));
            println!("{family:?}: {bytes} bytes up to 16, {more} up to 64, {} in all", tables.bytes());
            assert!(bytes <= 1 << 20);
        }
    }

    #[test]
    fn few_slots_need_a_search() {
        for family in Family::ALL {
            let tables = Ladder::get(family).tables();
            for row in &tables.rows {
                let cdf = &tables.cdf[row.first as usize..][..usize::from(row.symbols) + 2];
                let boundaries: Vec<i32> = cdf.iter().map(|&boundary| boundary.into()).collect();
                let most_buckets = u32::from(row.shift) == PRECISION - MAX_BUCKET_BITS;
                assert!(most_buckets || slots_to_search(&boundaries, row.shift.into()) <= 256);
            }
        }
    }

    /// Expected bits of a real-valued distribution coded with its row, and the least possible; for means at equal
    /// distances.
    fn expected_bits(ladder: &Ladder, scale: f64) -> (f64, f64) {
        let (cdf, tables) = (ladder.family().cdf(), ladder.tables());
        let reach = (40.0 * scale) as i32 + 8;
        let means = 8 * ladder.fractions(ladder.level(scale));
        let (mut actual, mut ideal) = (0.0, 0.0);
        for i in 0..means {
            let mean = (f64::from(i) + 0.5) / f64::from(means) - 0.5;
            let (shift, row) = f64::locate(mean, scale);
            for symbol in -reach..=reach {
                let distance = (f64::from(symbol) - mean).abs();
                let p = cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale);
                if p < 1e-30 {
                    continue;
                }
                let (slots, outside) = tables.slots(row.into(), symbol - shift);
                let escape_bytes = outside.map_or(0, |distance| 1 + (distance.max(1).ilog2() / 7));
                actual += p * (15.0 - f64::from(slots.freq()).log2() + 8.0 * f64::from(escape_bytes));
                ideal -= p * p.log2();
            }
        }
        (actual / f64::from(means), ideal / f64::from(means))
    }

    #[test]
    fn costs_little_more_than_the_real_distribution() {
        // Log-uniform scales from 0.11 to 64; at equal distances, so that they meet the levels everywhere.
        const COUNT: u32 = 200;
        for family in Family::ALL {
            let (mut actual, mut ideal) = (0.0, 0.0);
            let (mut some_actual, mut some_ideal) = (0.0, 0.0);
            for i in 0..COUNT {
                let scale = 0.11 * (64f64 / 0.11).powf((f64::from(i) + 0.5) / f64::from(COUNT));
                let (a, b) = expected_bits(Ladder::get(family), scale);
                (some_actual, some_ideal) = (some_actual + a, some_ideal + b);
                if i % 20 == 19 {
                    let over = (some_actual / some_ideal - 1.0) * 100.0;
                    println!("{family:?} up to {scale:.3}: {:.5} bits, {over:.4} % over", some_actual / 20.0);
                    (actual, ideal) = (actual + some_actual, ideal + some_ideal);
                    (some_actual, some_ideal) = (0.0, 0.0);
                }
            }
            let over = (actual / ideal - 1.0) * 100.0;
            println!("{family:?}: {:.5} bits, {over:.4} % over", actual / f64::from(COUNT));
            assert!(over < 0.1);
        }
    }
}
