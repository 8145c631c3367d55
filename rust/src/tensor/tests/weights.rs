use xxhash_rust::xxh3::xxh3_64;

use crate::ans::Random;
use crate::tensor::weights::{Array, Values, Weights, decode, encode};
use crate::{Error, Limits, Unsupported};

fn array(name: &str, shape: &[u64], values: Values) -> Array {
    Array { name: name.into(), shape: shape.into(), values }
}

/// Returns integers of 7 bits, one of `outliers` of 20, on a grid for each row and for each column.
fn exact_layer(rows: usize, columns: usize, outliers: u32) -> Vec<f32> {
    let mut random = Random::new(3);
    let value = |i: usize| {
        let bits = if random.below(outliers) == 0 { 20 } else { 7 };
        let integer = f64::from(random.below(1 << bits) as i32 - (1 << (bits - 1)));
        let (row, column) = ((i / columns) as i32, (i % columns) as i32);
        (integer * 2f64.powi(row % 5 - 20 + 4 * (column / 8 % 2))) as f32
    };
    (0..rows * columns).map(value).collect()
}

fn some_weights() -> Weights {
    let floats = vec![0.0, -0.0, f32::NAN, f32::INFINITY, f32::from_bits(1), f32::MAX, -1.5, 1e-30];
    let arrays = vec![
        array("a", &[64, 9, 3, 3], Values::F32(exact_layer(64, 81, 100))),
        array("a.bias", &[64], Values::F32(exact_layer(1, 64, 9))),
        array("b", &[2, 4], Values::F32(floats)),
        array("c", &[], Values::F32(vec![0.375])),
        array("d", &[3, 0, 1 << 40], Values::F32(vec![])),
        array("e", &[4, 2], Values::I32(vec![i32::MIN, i32::MAX, 0, -1, 5, 70_000, 1 << 24, 3])),
        array("f", &[2, 20_000], Values::I32((0..40_000).map(|i| (i * i % 977) << (i % 23)).collect())),
        array("g", &[1, 0], Values::I32(vec![])),
        array("h", &[40_000], Values::F32(vec![0.0; 40_000])),
    ];
    Weights { config: "{\"width\": 9}".into(), arrays }
}

fn bits(weights: &Weights) -> Vec<Vec<u32>> {
    let words = |array: &Array| match &array.values {
        Values::F32(values) => values.iter().map(|value| value.to_bits()).collect(),
        Values::I32(values) => values.iter().map(|&value| value as u32).collect(),
    };
    weights.arrays.iter().map(words).collect()
}

#[test]
fn weights_are_restored_to_the_bit() {
    let weights = some_weights();
    let bytes = encode(&weights).unwrap();
    for threads in [1, 3] {
        let decoded = decode(&bytes, &Limits::default(), threads).unwrap();
        assert_eq!(bits(&decoded), bits(&weights));
        let heads = |weights: &Weights| -> Vec<_> {
            weights.arrays.iter().map(|array| (array.name.clone(), array.shape.clone())).collect()
        };
        assert_eq!((heads(&decoded), decoded.config), (heads(&weights), weights.config.clone()));
    }
}

#[test]
fn integers_of_an_exact_layer_take_their_entropy() {
    let weights = Weights {
        config: String::new(),
        arrays: vec![array("a", &[512, 400], Values::F32(exact_layer(512, 400, u32::MAX)))],
    };
    // Equally probable integers of 7 bits, which a logistic distribution does not fit perfectly.
    let bits = 8.0 * encode(&weights).unwrap().len() as f64 / (512.0 * 400.0);
    assert!((7.0..7.5).contains(&bits), "{bits}");
}

#[test]
fn damage_is_noticed() {
    let bytes = encode(&some_weights()).unwrap();
    let decode = |bytes: &[u8]| decode(bytes, &Limits::default(), 1);
    for end in 0..bytes.len() {
        assert!(
            matches!(decode(&bytes[..end]), Err(Error::Truncated { .. } | Error::Corrupt { .. })),
            "{end}"
        );
    }
    let mut random = Random::new(1);
    for _ in 0..500 {
        let mut damaged = bytes.clone();
        // Behind a checksum that is right, everything has to be checked.
        let end = damaged.len() - 8;
        damaged[5 + random.below(end as u32 - 5) as usize] ^= 1 << random.below(8);
        let checksum = xxh3_64(&damaged[..end]).to_le_bytes();
        damaged[end..].copy_from_slice(&checksum);
        match decode(&damaged) {
            // Only the checksum of the file covers the names.
            Ok(other) => assert_eq!(bits(&other), bits(&some_weights())),
            Err(error) => {
                assert!(!matches!(error, Error::InvalidArgument(_) | Error::OutOfMemory { .. }), "{error}")
            }
        }
    }
}

#[test]
fn other_files_are_named() {
    let limits = Limits::default();
    let bytes = encode(&some_weights()).unwrap();
    let mut newer = bytes.clone();
    newer[4] = 2;
    let version = Unsupported::Version { format: "weights", found: 2, newest: 1 };
    assert_eq!(decode(&newer, &limits, 1), Err(version.into()));
    let former = decode(b"\x10\0\0\0\0\0\0\0{\"__metadata__\":", &limits, 1).unwrap_err();
    assert!(
        matches!(&former, Error::Unsupported(_)) && former.to_string().contains("safetensors"),
        "{former}"
    );
    assert!(matches!(decode(b"\x89LIT\x01", &limits, 1), Err(Error::Corrupt { .. })));
    let limit = Limits { max_output_bytes: 1 << 10, ..limits };
    assert!(matches!(decode(&bytes, &limit, 1), Err(Error::LimitExceeded { .. })));
}

#[test]
fn wrong_arguments_are_errors() {
    let value = Values::I32(vec![1]);
    for arrays in [
        vec![array("a", &[2], value.clone())],
        vec![array("a", &[1; 65], value.clone())],
        vec![array("b", &[1], value.clone()), array("a", &[1], value.clone())],
        vec![array("a", &[1], value.clone()), array("a", &[1], value)],
    ] {
        let weights = Weights { config: String::new(), arrays };
        assert!(matches!(encode(&weights), Err(Error::InvalidArgument(_))));
    }
}
