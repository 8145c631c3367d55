use crate::tables::exact_math::normal_cdf;
use crate::tables::requantize::{MAX_PRECISION, requantize};
use crate::tables::{CdfRow, PRECISION, TOTAL, scale_table};

/// 2^16 slots for these probabilities, at least one for each; the least frequent give up what that takes.
fn with_forced_slots(probabilities: &[f64]) -> Vec<i32> {
    let mut freqs: Vec<i32> = probabilities.iter().map(|p| (p * 65536.0).round() as i32).collect();
    for i in 0..freqs.len() {
        if freqs[i] == 0 {
            freqs[i] = 1;
            *freqs.iter_mut().filter(|freq| **freq > 1).min().unwrap() -= 1;
        }
    }
    let excess = freqs.iter().sum::<i32>() - 65536;
    *freqs.iter_mut().max().unwrap() -= excess;
    freqs
}

fn boundaries(freqs: &[i32]) -> Vec<i32> {
    let ends = freqs.iter().scan(0, |end, freq| {
        *end += freq;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn freqs(row: &CdfRow) -> Vec<i32> {
    row.cdf().windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn coarser_rows_stay_what_they_are() {
    for precision in 1..PRECISION {
        let end = 1 << precision;
        let row = requantize(&[0, 1, end], precision, -7);
        assert_eq!((row.offset(), row.cdf()), (-7, &[0, TOTAL as i32 / end, TOTAL as i32][..]));
    }
    let row = requantize(&[0, 1, 2, 30, 31, 32], 5, 3);
    assert_eq!((row.offset(), row.cdf()), (3, &[0, 1024, 2048, 30720, 31744, 32768][..]));
}

#[test]
fn symbols_without_slots_get_one_or_join_the_escape() {
    let row = requantize(&[0, 0, 40_000, 40_000, 65_536, 65_536, 65_536], 16, 10);
    assert_eq!((row.offset(), freqs(&row)), (11, vec![19_999, 1, 12_767, 1]));
    let row = requantize(&[0, 0, 0, 2], 1, 0);
    assert_eq!((row.offset(), row.cdf()), (2, &[0, TOTAL as i32][..]));
}

#[test]
fn flat_rows_stay_flat() {
    let row = requantize(&boundaries(&[1; 1 << 13]), 13, 0);
    assert!(freqs(&row).iter().all(|&freq| freq == 4));
    // At 16 bits, more symbols than slots.
    let row = requantize(&boundaries(&[1; 1 << 16]), 16, 0);
    assert_eq!(freqs(&row)[..TOTAL as usize / 2 - 1], [1; TOTAL as usize / 2 - 1]);
    assert_eq!(row.cdf().len(), TOTAL as usize + 1);
    // Every symbol next to impossible.
    let row = requantize(&boundaries(&[1; 1 << 20]), 20, 0);
    assert_eq!(row.cdf(), [0, TOTAL as i32]);
}

#[test]
fn the_finest_precision() {
    let end = 1 << MAX_PRECISION;
    let row = requantize(&[0, 1, 10_000, end - 10_000, end - 9, end], MAX_PRECISION, 0);
    assert_eq!((row.offset(), freqs(&row).len()), (1, 4));
    assert!(freqs(&row)[0].abs_diff(20) <= 1);
}

/// Compares expected bits under the true distributions: 15-bit rows converted from 16-bit rows, and these themselves.
#[test]
fn nothing_is_lost_against_16_bits() {
    let (mut ideal, mut at_16, mut at_15) = (0.0, 0.0, 0.0);
    for scale in scale_table(0.11, 256.0, 64).unwrap() {
        let reach = (scale * 6.11).ceil() as i32;
        let mass = |symbol: i32| {
            let distance = f64::from(symbol).abs();
            normal_cdf((0.5 - distance) / scale) - normal_cdf((-0.5 - distance) / scale)
        };
        let mut probabilities: Vec<f64> = (-reach..=reach).map(mass).collect();
        probabilities.push(1e-9);
        let fine = with_forced_slots(&probabilities);
        let row = requantize(&boundaries(&fine), 16, -reach);
        let coarse = freqs(&row);
        let escape = *coarse.last().unwrap();
        for (symbol, p) in (-reach..=reach).zip(&probabilities).filter(|(_, p)| **p > 0.0) {
            let inside = usize::try_from(symbol - row.offset()).ok().filter(|&i| i + 1 < coarse.len());
            let escape_bits = if inside.is_some() { 0.0 } else { 16.0 };
            let freq = inside.map_or(escape, |i| coarse[i]);
            ideal -= p * p.log2();
            at_16 += p * (16.0 - f64::from(fine[(symbol + reach) as usize]).log2());
            at_15 += p * (15.0 - f64::from(freq).log2() + escape_bits);
        }
    }
    println!("over the entropy: 16 bits {:.5}, 15 bits {:.5}", at_16 / ideal, at_15 / ideal);
    assert!(at_15 < at_16);
    assert!(at_15 / ideal < 1.0005);
}
