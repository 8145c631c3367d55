use proptest::prelude::*;

use xxhash_rust::xxh3::xxh3_64;

use crate::ans::Random;
use crate::bytes::put_varint;
use crate::tensor::fitted::{MAGIC, Method, Tensor, VERSION, decode, encode};
use crate::tensor::{Dtype, Element, Library, Values};
use crate::{Error, Limits, Unsupported};

fn round_trip<T: Element + std::fmt::Debug>(values: &[T], shape: &[u64]) -> Vec<u8> {
    let bytes = encode(values, shape, Library::NumPy, None).unwrap();
    let tensor = decode(&bytes, &Limits::default()).unwrap();
    assert_eq!(tensor.library, Library::NumPy);
    assert_eq!(tensor.shape, shape);
    assert_eq!(tensor.values, T::wrap(values.to_vec()));
    let most = size_of_val(values) + 32 + 2 * shape.len();
    assert!(bytes.len() <= most, "{} bytes are more than {most}", bytes.len());
    bytes
}

/// The method byte, if no dimension exceeds 127.
fn method(bytes: &[u8]) -> Method {
    Method::from_number(bytes[7 + usize::from(bytes[6])]).unwrap()
}

/// About normal, for each channel with a scale and mean of its own.
fn latents(channels: u64, inner: u64) -> Vec<i32> {
    let mut random = Random::new(3);
    let mut value = |channel: u64| {
        let sum: i32 = (0..12).map(|_| random.below(1 << 16) as i32).sum();
        (f64::from(sum - (6 << 16)) / 65536.0 * (0.3 + channel as f64 * 0.7)).round() as i32
            + 10 * channel as i32
    };
    (0..channels * inner).map(|i| value(i / inner)).collect()
}

#[test]
fn small_and_odd_shapes() {
    assert_eq!(round_trip::<i32>(&[], &[0]).len(), 22);
    round_trip::<i64>(&[], &[3, 0, u64::MAX]);
    round_trip(&[7i32], &[]);
    round_trip(&[i64::MIN], &[]);
    round_trip(&[true, false, true], &[3]);
    round_trip(&[-1i8, -128, 127], &[1, 3, 1]);
    round_trip(&[u32::MAX, 0, 5, 5], &[2, 2]);
    round_trip(&[i64::MIN, i64::MAX, 0, -1, i64::MAX - 1], &[5]);
    round_trip(&[i64::MAX; 100], &[100]);
    round_trip(&[i32::MIN, i32::MAX, 0, -1], &[4]);
    let edges: Vec<i32> = (0..4000).map(|i| if i % 2 == 0 { i32::MIN } else { i32::MAX }).collect();
    round_trip(&edges, &[4000]);
    let wide: Vec<i32> = (0..5000).map(|i: i32| i.wrapping_mul(858_993_459)).collect();
    round_trip(&wide, &[5000]);
}

#[test]
fn the_library_is_one_bit() {
    let [numpy, torch] = [Library::NumPy, Library::Torch].map(|library| {
        let bytes = encode(&[-5i64, 70], &[2], library, None).unwrap();
        let values = Values::I64(vec![-5, 70]);
        assert_eq!(decode(&bytes, &Limits::default()), Ok(Tensor { library, shape: vec![2], values }));
        bytes
    });
    assert_eq!((numpy[5], torch[5]), (Dtype::I64 as u8, Dtype::I64 as u8 | 0x80));
    assert_eq!(numpy.len(), torch.len());
}

#[test]
fn unknown_types_are_named() {
    for (code, dtype) in [(8, 8), (0x80 | 9, 9), (0xff, 127)] {
        let mut bytes = encode(&[1u8, 2], &[2], Library::NumPy, None).unwrap();
        bytes[5] = code;
        let end = bytes.len() - 12;
        let crc = crc32fast::hash(&bytes[..end]).to_le_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
        assert_eq!(decode(&bytes, &Limits::default()), Err(Error::Unsupported(Unsupported::Dtype(dtype))));
    }
}

#[test]
fn constants_are_tiny() {
    let bytes = round_trip(&vec![-70_000i64; 1_000_000], &[100, 100, 100]);
    assert!(bytes.len() < 40, "{}", bytes.len());
    assert_eq!(method(&bytes), Method::Dictionary);
}

#[test]
fn each_method_finds_its_data() {
    let mut random = Random::new(5);
    let noise: Vec<u8> = (0..5000).map(|_| random.next() as u8).collect();
    assert_eq!(method(&round_trip(&noise, &[50, 100])), Method::Raw);
    let wide: Vec<i64> = (0..20_000).map(|i| (i % 5000) * 0x1234_5678_9abc).collect();
    assert_eq!(method(&round_trip(&wide, &[100, 100, 2])), Method::Zstd);
    let sparse: Vec<i16> = (0..40_000).map(|_| (random.below(6) * random.below(6)) as i16 * 16).collect();
    assert_eq!(method(&round_trip(&sparse, &[100, 100, 4])), Method::Dictionary);

    let values = latents(64, 900);
    let bytes = round_trip(&values, &[1, 64, 30, 30]);
    assert_eq!(method(&bytes), Method::GaussianSlices);
    let last: Vec<i32> = (0..900 * 64).map(|i| values[i % 64 * 900 + i / 64]).collect();
    let bytes_last = round_trip(&last, &[30, 30, 64]);
    assert!(bytes_last.len().abs_diff(bytes.len()) < 40);

    let values: Vec<i32> = (0..64_000)
        .map(|i| {
            let (u, scale) =
                (f64::from(random.next()) / f64::from(1u32 << 31) - 1.0, 1.0 + f64::from(i / 1000));
            (u.signum() * -(1.0 - u.abs() + 1e-9).ln() * scale).round() as i32
        })
        .collect();
    assert_eq!(method(&round_trip(&values, &[64, 100, 10])), Method::LaplaceSlices);
}

#[test]
fn several_blocks_and_lanes() {
    let values = latents(40, 10_007);
    let bytes = round_trip(&values, &[40, 10_007]);
    println!("{:.3} bits per value", 8.0 * bytes.len() as f64 / values.len() as f64);
    let small: Vec<i8> = values.iter().map(|&value| (value / 16) as i8).collect();
    round_trip(&small, &[40, 10_007]);
    round_trip(&small, &[400_280]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_values(
        values in prop::collection::vec(any::<i64>(), 0..200),
        shift in 0..64u32,
        copies in 1..40usize,
    ) {
        let values: Vec<i64> = values.iter().map(|value| value >> shift).collect::<Vec<_>>().repeat(copies);
        round_trip(&values, &[values.len() as u64]);
        let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
        round_trip(&values, &[1, values.len() as u64]);
        let values: Vec<u16> = values.iter().map(|&value| value as u16).collect();
        round_trip(&values, &[values.len() as u64, 1]);
    }

    #[test]
    fn noise_is_an_error(method in 0..6u8, payload in prop::collection::vec(any::<u8>(), 0..80)) {
        // With the right CRC, so that the payload itself is read.
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, Dtype::I16 as u8, 1, 100, method, payload.len() as u8]);
        bytes.extend(payload);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend([0; 8]);
        prop_assert!(decode(&bytes, &Limits::default()).is_err());
    }
}

#[test]
fn every_truncation_and_flip_is_an_error() {
    let values = latents(4, 100);
    let sparse: Vec<i32> = values.iter().map(|value| value & 16).collect();
    let periodic: Vec<i32> = (0..400).map(|i| (i % 37) * 0x123_4567).collect();
    for values in [
        values,
        sparse,
        periodic,
        vec![1; 400],
        (0..400).map(|i: i32| i.wrapping_mul(0x9e37_79b9_u32 as i32)).collect(),
    ] {
        let mut bytes = encode(&values, &[4, 100], Library::Torch, None).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..length], &Limits::default()), Err(Error::Truncated { .. })));
        }
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, &Limits::default()).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes.push(0);
        assert!(matches!(decode(&bytes, &Limits::default()), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn limits_hold() {
    let bytes = encode(&[0u8; 1000], &[1000], Library::NumPy, None).unwrap();
    assert!(decode(&bytes, &Limits { max_output_bytes: 1000, ..Limits::default() }).is_ok());
    let error = decode(&bytes, &Limits { max_output_bytes: 999, ..Limits::default() });
    assert_eq!(error, Err(Error::LimitExceeded { what: "size of the tensor", value: 1000, limit: 999 }));
    let mut huge = MAGIC.to_vec();
    huge.extend([VERSION, Dtype::I64 as u8, 2]);
    [u64::MAX, 3].into_iter().for_each(|dimension| put_varint(&mut huge, dimension));
    huge.extend([Method::Raw as u8, 0]);
    huge.extend(crc32fast::hash(&huge).to_le_bytes());
    huge.extend([0; 8]);
    for max_bytes in [1 << 31, u64::MAX] {
        assert!(matches!(
            decode(&huge, &Limits { max_output_bytes: max_bytes, ..Limits::default() }),
            Err(Error::LimitExceeded { .. })
        ));
    }
    assert!(encode(&[0u8; 5], &[4], Library::NumPy, None).is_err());
    assert!(encode(&[0u8; 5], &[u64::MAX, 3], Library::NumPy, None).is_err());
    assert!(encode(&[0u8], &[1; 65], Library::NumPy, None).is_err());
}

#[test]
fn golden_bytes() {
    let hash =
        |values: &[i32]| xxh3_64(&encode(values, &[values.len() as u64], Library::NumPy, None).unwrap());
    let normal = latents(64, 900);
    assert_eq!(hash(&normal), 16708085786678885819);
    assert_eq!(
        encode(&[3i16, 3, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], &[4, 4], Library::NumPy, None).unwrap(),
        [
            137, 76, 73, 84, 1, 3, 2, 4, 4, 3, 8, 16, 1, 6, 7, 48, 84, 30, 85, 39, 27, 43, 180, 194, 242, 83,
            65, 10, 56, 7, 75
        ]
    );
}

#[test]
fn an_axis_can_be_given() {
    let values = latents(8, 500);
    let chosen = encode(&values, &[8, 500], Library::NumPy, None).unwrap();
    let given = |axis| encode(&values, &[8, 500], Library::NumPy, Some(axis));
    assert_eq!(given(0).unwrap(), chosen);
    let other = given(1).unwrap();
    assert!(other.len() > chosen.len());
    assert_eq!(decode(&other, &Limits::default()).unwrap().values, Values::I32(values.clone()));
    assert!(matches!(given(2), Err(Error::InvalidArgument(_))));
}
