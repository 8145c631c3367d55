use super::expected_bits;
use crate::tables::buckets::{Bucket, MAX_BUCKET_BITS, slots_to_search};
use crate::tables::float::LocateRow;
use crate::tables::levels::{LEVELS, OCTAVES, STEPS};
use crate::tables::{Family, PRECISION, ScaleTables};

#[test]
fn scale_tables_are_the_same_everywhere() {
    let all = Family::ALL.map(ScaleTables::get);
    assert_eq!(
        all.map(ScaleTables::fingerprint),
        [14248405528900644062, 5351063737727539997, 2401781537384954794]
    );
    assert_eq!(all[0].scales()[0].to_bits(), 4589441209417559257);
    assert_eq!(all[0].scales()[103].to_bits(), 4647428799369006810);
}

#[test]
fn levels_begin_at_thresholds() {
    let tables = ScaleTables::get(Family::Gaussian);
    let thresholds = tables.thresholds();
    assert_eq!((thresholds.len() + 1, tables.scales().len()), (LEVELS as usize, LEVELS as usize));
    assert_eq!((thresholds[0], thresholds[LEVELS as usize - 2]), (0.0703125, 480.0));
    for (level, pair) in thresholds.windows(2).enumerate() {
        assert!(pair[0] < pair[1]);
        let scale = tables.scales()[level + 1];
        assert!(f64::from(pair[0]) < scale && scale < pair[1].into());
    }
    let check = |scale: f32| {
        let level = thresholds.iter().filter(|threshold| scale >= **threshold).count();
        assert_eq!((scale.level() as usize, tables.level(scale.into())), (level, level), "{scale}");
    };
    for (level, &threshold) in thresholds.iter().enumerate() {
        [threshold.next_down(), threshold, threshold.next_up()].into_iter().for_each(check);
        let wide = f64::from(threshold);
        let levels = [wide.next_down(), wide, wide.next_up()].map(|scale| tables.level(scale));
        assert_eq!(levels, [level, level + 1, level + 1]);
    }
    [f32::from_bits(1), f32::MIN_POSITIVE, 1e-3, 512.0, 513.0, f32::MAX].into_iter().for_each(check);
    (0..f32::INFINITY.to_bits()).step_by(9973).skip(1).map(f32::from_bits).for_each(check);
}

/// The shift and the row by their definition, in integers: the mean is `mantissa` / 2^40.
fn defined(tables: &ScaleTables, mantissa: i128, level: usize) -> (i32, u16) {
    let fractions = i128::from(tables.fractions(level));
    let n = (mantissa * fractions + (1 << 39)) >> 40;
    let first: u32 = (0..level).map(|level| tables.fractions(level)).sum();
    (n.div_euclid(fractions) as i32, first as u16 + n.rem_euclid(fractions) as u16)
}

#[test]
fn means_have_the_row_of_the_nearest_fraction() {
    let tables = ScaleTables::get(Family::Laplace);
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
            for (level, &scale) in tables.scales().iter().enumerate() {
                let want = defined(tables, mantissa, level);
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
fn rows_of_scales_up_to_16_fit_the_cache() {
    for family in Family::ALL {
        let tables = ScaleTables::get(family).tables();
        let bytes_up_to = |octaves: i32| {
            let rows = tables.len() - ((OCTAVES - octaves) * STEPS) as usize;
            let row = &tables.parts().0[rows];
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
        let tables = ScaleTables::get(family).tables();
        for row in tables.parts().0 {
            let boundaries: Vec<i32> =
                tables.boundaries(row).iter().map(|&boundary| boundary.into()).collect();
            let most_buckets = u32::from(row.shift) == PRECISION - MAX_BUCKET_BITS;
            assert!(most_buckets || slots_to_search(&boundaries, row.shift.into()) <= 256);
        }
    }
}

/// Returns the mean of the expected bits, and of the entropy, over means at equal distances.
fn mean_expected_bits(scale_tables: &ScaleTables, scale: f64) -> (f64, f64) {
    let (cdf, tables) = (scale_tables.family().cdf(), scale_tables.tables());
    let reach = (40.0 * scale) as i32 + 8;
    let means = 8 * scale_tables.fractions(scale_tables.level(scale));
    let (mut actual, mut ideal) = (0.0, 0.0);
    for i in 0..means {
        let mean = (f64::from(i) + 0.5) / f64::from(means) - 0.5;
        let (shift, row) = f64::locate(mean, scale);
        let probability = |symbol| {
            let distance = (f64::from(symbol) - mean).abs();
            cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale)
        };
        let slots = |symbol| tables.slots(row.into(), symbol - shift);
        let (a, b) = expected_bits(-reach..=reach, probability, slots);
        (actual, ideal) = (actual + a, ideal + b);
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
            let (a, b) = mean_expected_bits(ScaleTables::get(family), scale);
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
