use super::expected_bits;
use crate::Error;
use crate::tables::{CdfRow, TOTAL, Tables, exact_math::normal_cdf, gaussian, laplace, scale_table};

fn gaussians() -> Tables {
    gaussian(&scale_table(0.11, 64.0, 64).unwrap(), 1).unwrap()
}

#[test]
fn tables_are_the_same_everywhere() {
    let scales = scale_table(0.11, 64.0, 64).unwrap();
    assert_eq!(scales[0].to_bits(), 4592590756007337002);
    assert_eq!(scales[31].to_bits(), 4612862745991832632);
    let fine = scale_table(0.05, 32.0, 16).unwrap();
    let hashes = [gaussian(&scales, 1), laplace(&scales, 1), gaussian(&fine, 16), laplace(&fine, 16)];
    assert_eq!(
        hashes.map(|tables| tables.unwrap().fingerprint()),
        [2739310860307963284, 4858162463024491738, 4497295482771775557, 1451214559238641093]
    );
}

#[test]
fn tables_fit_the_cache() {
    let tables = gaussians();
    println!("{} bytes", tables.bytes());
    assert!(tables.bytes() <= 512 << 10);
}

#[test]
fn every_slot_finds_its_symbol() {
    let tables = gaussian(&[0.01, 0.3, 2.0, 40.0, 512.0], 2).unwrap();
    for row in 0..tables.len() {
        let mut slot = 0;
        let support = tables.support(row);
        for symbol in support.clone().chain([support.end]) {
            let (slots, outside) = tables.slots(row, symbol);
            assert_eq!(slots.start(), slot);
            assert_eq!(outside.is_some(), symbol == support.end);
            for slot in slot..slot + slots.freq() {
                assert_eq!(tables.find(row, slot), ((symbol != support.end).then_some(symbol), slots));
            }
            slot += slots.freq();
        }
        assert_eq!(slot, TOTAL);
    }
}

#[test]
fn symbols_outside_come_back() {
    let tables = gaussians();
    for row in [0, 63] {
        let support = tables.support(row);
        for symbol in [i32::MIN, -1_000_000, support.start - 1, support.end, support.end + 7, i32::MAX] {
            let distance = tables.slots(row, symbol).1.unwrap();
            assert_eq!(tables.symbol_outside(row, distance), Some(symbol));
        }
        assert_eq!(tables.symbol_outside(row, u64::MAX), None);
        assert_eq!(tables.symbol_outside(row, u64::MAX - 1), None);
        assert_eq!(tables.symbol_outside(row, 1 << 33), None);
    }
}

#[test]
fn offsets_at_the_extremes() {
    for offset in [-1 << 30, 1 << 30] {
        let tables = Tables::new(&[0, 5, 1 << 15], &[3], &[offset]).unwrap();
        for symbol in [i32::MIN, i32::MIN + 1, offset - 1, offset + 1, i32::MAX] {
            let distance = tables.slots(0, symbol).1.unwrap();
            assert_eq!(tables.symbol_outside(0, distance), Some(symbol));
        }
        assert_eq!(tables.slots(0, offset).1, None);
    }
}

#[test]
fn gaussian_rows_cost_the_entropy() {
    let scales = scale_table(0.11, 64.0, 64).unwrap();
    let tables = gaussian(&scales, 4).unwrap();
    let (mut actual, mut ideal) = (0.0, 0.0);
    for (i, &scale) in scales.iter().enumerate() {
        let (mut row_actual, mut row_ideal) = (0.0, 0.0);
        for k in 0..4 {
            let mean = f64::from(k) / 4.0;
            let probability = |symbol| {
                let distance = (f64::from(symbol) - mean).abs();
                normal_cdf((0.5 - distance) / scale) - normal_cdf((-0.5 - distance) / scale)
            };
            let (a, b) =
                expected_bits(-1000..1000, probability, |symbol| tables.slots(4 * i + k as usize, symbol));
            (row_actual, row_ideal) = (row_actual + a, row_ideal + b);
        }
        if i % 7 == 0 {
            println!(
                "scale {scale:.3}: {row_actual:.5} over {row_ideal:.5}: {:.4} %",
                (row_actual / row_ideal - 1.0) * 100.0
            );
        }
        actual += row_actual;
        ideal += row_ideal;
    }
    println!("overhead {:.4} %", (actual / ideal - 1.0) * 100.0);
    assert!(actual / ideal < 1.001);
}

#[test]
fn counts_become_their_entropy() {
    let counts = [1_000_000, 3, 0, 70_000, 1, 250_000, 0];
    let tables = Tables::from_rows(&[CdfRow::from_counts(&counts, -3).unwrap()]).unwrap();
    let total: f64 = counts.iter().map(|&n| f64::from(n)).sum();
    let (mut actual, mut ideal) = (0.0, 0.0);
    for (symbol, &count) in (-3..).zip(&counts).filter(|(_, count)| **count > 0) {
        actual += f64::from(count) * (15.0 - f64::from(tables.slots(0, symbol).0.freq()).log2());
        ideal += f64::from(count) * (total / f64::from(count)).log2();
    }
    assert!(actual / ideal < 1.0005);
    assert!(CdfRow::from_counts(&[], 0).is_err());
    assert!(CdfRow::from_counts(&vec![1; 40_000], 0).is_err());
}

#[test]
fn bad_tables_are_errors() {
    let end = 1 << 15;
    let invalid = |cdf: &[i32], lengths: &[i32], offsets: &[i32]| {
        matches!(Tables::new(cdf, lengths, offsets), Err(Error::InvalidArgument(_)))
    };
    assert!(!invalid(&[0, 1, end, 0, end], &[3, 2], &[0, 0]));
    assert!(invalid(&[0, 1, end], &[2], &[0]));
    assert!(invalid(&[0, 1, end], &[4], &[0]));
    assert!(invalid(&[0, 1, end], &[3], &[0, 1]));
    assert!(invalid(&[0, 0, end], &[3], &[0]));
    assert!(invalid(&[0, 5, 4, end], &[4], &[0]));
    assert!(invalid(&[1, 5, end], &[3], &[0]));
    assert!(invalid(&[0, 5, end - 1], &[3], &[0]));
    assert!(invalid(&[0, 5, end, 0, 5, 2 * end], &[3, 3], &[0, 0]));
    assert!(invalid(&[0, 5, 1 << 25], &[3], &[0]));
    assert!(invalid(&[0, 5, 4, 2 * end], &[4], &[0]));
    assert!(invalid(&[0], &[1], &[0]));
    assert!(invalid(&[0, end], &[-2], &[0]));
    assert!(invalid(&[0, end], &[2], &[i32::MIN]));
    assert!(Tables::from_padded(&[0, end, 0, 7], 2, &[2, 2], &[0, 0]).is_err());
    assert!(Tables::from_padded(&[0, end, 0, 0, 5, end], 3, &[2, 3], &[0, 0]).is_ok());
    assert!(Tables::from_padded(&[0, end, 0], 3, &[4], &[0]).is_err());
    assert!(gaussian(&[0.0], 1).is_err());
    assert!(laplace(&[f64::NAN], 1).is_err());
    assert!(gaussian(&[1.0], 0).is_err());
    assert!(scale_table(1.0, 0.5, 8).is_err());
}

#[test]
fn parts_make_the_same_tables() {
    for tables in [gaussians(), laplace(&[0.01, 512.0], 3).unwrap(), gaussian(&[], 1).unwrap()] {
        let (cdf, lengths, offsets) = tables.to_parts();
        let cdf: Vec<i32> = cdf.into_iter().map(i32::from).collect();
        let again = Tables::new(&cdf, &lengths, &offsets).unwrap();
        assert_eq!((again.len(), again.fingerprint()), (tables.len(), tables.fingerprint()));
    }
}

#[test]
fn probabilities_of_all_rows() {
    let rows = [CdfRow::from_pmf(&[1.0, 2.0], -1).unwrap(), CdfRow::from_pmf(&[3.0, 0.0], 7).unwrap()];
    let tables = Tables::from_pmf(&[1.0, 2.0, 3.0, 0.0], 2, &[-1, 7]).unwrap();
    assert_eq!(tables.fingerprint(), Tables::from_rows(&rows).unwrap().fingerprint());
    let error = Tables::from_pmf(&[1.0, 2.0, 0.0, 0.0], 2, &[0, 0]).unwrap_err();
    assert!(error.to_string().contains("row 1: all"), "{error}");
    assert!(Tables::from_pmf(&[], 0, &[0]).is_err());
    assert!(Tables::from_pmf(&[], 3, &[]).unwrap().is_empty());
}
