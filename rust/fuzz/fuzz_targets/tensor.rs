//! Any array comes back from its bytes; any payload with the right checksums gives an array or an error.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use lic_native::tensor::fitted::{decode, encode};
use lic_native::tensor::{Element, Library};
use lic_native::Limits;
use lic_native_fuzz::{cycle, is_invalid_argument, Integer};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Array { dtype: u8, values: Vec<Integer>, dimensions: Vec<Dimension>, axis: Option<u8>, torch: bool },
    Payload { dtype: u8, shape: Vec<Dimension>, method: u8, payload: &'a [u8] },
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Dimension {
    Small(u8),
    Large(u64),
}

impl Dimension {
    fn size(self) -> u64 {
        match self {
            Self::Small(size) => size.into(),
            Self::Large(size) => size,
        }
    }
}

const LIMITS: Limits = Limits { max_blocks: 0, max_output_bytes: 1 << 20 };
const MAX_VALUES: u64 = 1 << 14;

fn round_trip<T: Element + Default>(values: &[T], shape: &[u64], axis: Option<usize>, library: Library) {
    let count = shape.iter().try_fold(1, |product: u64, &size| product.checked_mul(size));
    let count = if shape.contains(&0) { 0 } else { count.unwrap_or(u64::MAX) };
    let values = cycle(values, count.min(MAX_VALUES) as usize);
    let fits =
        count == values.len() as u64 && shape.len() <= 64 && axis.is_none_or(|axis| axis < shape.len());
    match encode(&values, shape, library, axis) {
        Ok(bytes) => {
            assert!(fits);
            let tensor = decode(&bytes, &Limits::default()).expect("it was encoded");
            assert_eq!((tensor.library, &tensor.shape[..], tensor.values), (library, shape, T::wrap(values)));
        }
        Err(error) => assert!(!fits && is_invalid_argument(&error), "{error}"),
    }
}

/// The bytes of a tensor with this payload. Of no values the checksum is right, too.
fn bytes(dtype: u8, shape: &[Dimension], method: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89LIT\x01".to_vec();
    bytes.push(dtype);
    put(&mut bytes, shape.len() as u64);
    shape.iter().for_each(|dimension| put(&mut bytes, dimension.size()));
    bytes.push(method);
    put(&mut bytes, payload.len() as u64);
    bytes.extend(payload);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.extend(xxh3_64(if method == 0 { payload } else { &[] }).to_le_bytes());
    bytes
}

/// Little-endian base 128.
fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fuzz_target!(|data: &[u8]| {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    match input {
        Input::Array { dtype, values, dimensions, axis, torch } => {
            let shape: Vec<u64> = dimensions.iter().map(|dimension| dimension.size()).collect();
            let library = if torch { Library::Torch } else { Library::NumPy };
            let axis = axis.map(usize::from);
            macro_rules! values {
                ($convert:expr) => {
                    round_trip(&values.iter().map($convert).collect::<Vec<_>>(), &shape, axis, library)
                };
            }
            match dtype % 8 {
                0 => values!(|value| value.to_i64() & 1 == 1),
                1 => values!(|value| value.to_i64() as i8),
                2 => values!(|value| value.to_i64() as u8),
                3 => values!(|value| value.to_i64() as i16),
                4 => values!(|value| value.to_i64() as u16),
                5 => values!(|value| value.to_i32()),
                6 => values!(|value| value.to_i32() as u32),
                _ => values!(|value| value.to_i64()),
            }
        }
        Input::Payload { dtype, shape, method, payload } => {
            let result = decode(&bytes(dtype % 9, &shape, method % 6, payload), &LIMITS);
            assert!(!result.is_err_and(|error| is_invalid_argument(&error)));
        }
        Input::Bytes(bytes) => {
            let result = decode(bytes, &LIMITS);
            assert!(!result.is_err_and(|error| is_invalid_argument(&error)));
        }
    }
});
