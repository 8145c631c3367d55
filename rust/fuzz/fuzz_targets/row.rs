//! Any counts, probabilities and finer distributions as a row: 2^15 slots, at least one each, in the right order.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lic_native::tables::{CdfRow, Tables, TOTAL};
use lic_native_fuzz::{cycle, is_invalid_argument};

#[derive(Arbitrary, Debug)]
struct Input {
    weights: Weights,
    length: Option<u16>,
    offset: i32,
    precision: u8,
}

#[derive(Arbitrary, Debug)]
enum Weights {
    Small(Vec<u8>),
    Counts(Vec<u32>),
    Probabilities(Vec<f64>),
    Ratios(Vec<(u8, i8)>),
}

impl Weights {
    /// The last count is the escape's; probabilities leave it out.
    fn row(&self, length: Option<u16>, offset: i32) -> (lic_native::Result<CdfRow>, Vec<f64>) {
        let counts = |counts: Vec<u32>| {
            let counts = expand(&counts, length);
            (CdfRow::from_counts(&counts, offset), counts.into_iter().map(f64::from).collect())
        };
        let pmf = |pmf: Vec<f64>| {
            let pmf = expand(&pmf, length);
            (CdfRow::from_pmf(&pmf, offset), pmf.into_iter().chain([0.0]).collect())
        };
        match self {
            Self::Small(values) => counts(values.iter().map(|&value| value.into()).collect()),
            Self::Counts(values) => counts(values.clone()),
            Self::Probabilities(values) => pmf(values.clone()),
            Self::Ratios(values) => {
                pmf(values.iter().map(|&(p, power)| f64::from(p) * 2f64.powi(power.into())).collect())
            }
        }
    }
}

fn expand<T: Copy + Default>(values: &[T], length: Option<u16>) -> Vec<T> {
    cycle(values, length.map_or(values.len(), usize::from))
}

/// The frequencies are a distribution, and a greater weight has at most one slot less than a lesser one.
fn check(freqs: &[i32], weights: &[f64]) {
    assert_eq!(freqs.len(), weights.len());
    assert!(freqs.iter().all(|&freq| freq >= 1));
    assert_eq!(freqs.iter().sum::<i32>(), TOTAL as i32);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&i, &j| weights[i].total_cmp(&weights[j]));
    let mut most = 0;
    for i in order {
        assert!(freqs[i] + 1 >= most, "{} for weight {}, but {most} for a lesser one", freqs[i], weights[i]);
        most = most.max(freqs[i]);
    }
}

fuzz_target!(|input: Input| {
    let (row, weights) = input.weights.row(input.length, input.offset);
    let row = match row {
        Ok(row) => row,
        Err(error) => return assert!(is_invalid_argument(&error), "{error}"),
    };
    assert_eq!(row.offset(), input.offset);
    let freqs: Vec<i32> = row.cdf().windows(2).map(|pair| pair[1] - pair[0]).collect();
    check(&freqs, &weights);

    // The same boundaries at another precision, as others' tables have them.
    let precision = 1 + u32::from(input.precision % 24);
    let boundaries: Vec<i32> =
        row.cdf().iter().map(|&boundary| ((i64::from(boundary) << precision) >> 15) as i32).collect();
    match Tables::new(&boundaries, &[boundaries.len() as i32], &[input.offset]) {
        Err(error) => {
            assert!(is_invalid_argument(&error) && input.offset.unsigned_abs() > 1 << 30, "{error}")
        }
        Ok(tables) => {
            let support = tables.support(0);
            let freqs: Vec<u32> =
                support.clone().chain([support.end]).map(|symbol| tables.slots(0, symbol).0.freq()).collect();
            assert_eq!(freqs.iter().sum::<u32>(), TOTAL);
            assert!(freqs.iter().all(|&freq| freq >= 1));
        }
    }
});
