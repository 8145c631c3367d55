use proptest::prelude::*;

use crate::ans::{Contexts, Random, Stream, TableRows};
use crate::tables::{Tables, gaussian, scale_table};
use crate::tensor::modelled::{ContextSource, VERSION, decode, encode, hash_of, join, read_head, split};
use crate::tensor::{ArrayInfo, Dtype, Library};
use crate::{Error, Result};

fn tables() -> Tables {
    gaussian(&scale_table(0.11, 64.0, 64).unwrap(), 1).unwrap()
}

/// Symbols of all sizes and their rows.
fn elements_of(count: usize, seed: u64) -> (Vec<i32>, Vec<u8>) {
    let mut random = Random::new(seed);
    let rows: Vec<u8> = (0..count).map(|_| random.below(64) as u8).collect();
    let symbol = |row: &u8| {
        (random.below(5) as i32 - 2) * (1 << (row / 8)) + (random.below(4000) / 3999) as i32 * 9999
    };
    (rows.iter().map(symbol).collect(), rows)
}

fn array(count: usize) -> ArrayInfo {
    ArrayInfo { dtype: Dtype::I32, library: Library::NumPy, shape: vec![count as u64] }
}

fn encode_with(symbols: &[i32], rows: &[u8], tables: &Tables, threads: usize) -> Vec<u8> {
    let model = TableRows::new(tables, rows);
    encode(symbols, &array(symbols.len()), &model, None, tables.fingerprint(), threads).unwrap().to_vec()
}

fn decode_with(bytes: &[u8], rows: &[u8], tables: &Tables, threads: usize) -> Result<Vec<i32>> {
    let mut out = vec![0; rows.len()];
    decode(bytes, &TableRows::new(tables, rows), None, tables.fingerprint(), &mut out, threads)?;
    Ok(out)
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let tables = tables();
    for count in [0, 1, 63, 64, 1000, 70_000, 1_500_000] {
        let (symbols, rows) = elements_of(count, 1);
        let bytes = encode_with(&symbols, &rows, &tables, 1);
        for threads in [0, 2, 3, 7] {
            assert_eq!(encode_with(&symbols, &rows, &tables, threads), bytes);
            assert_eq!(decode_with(&bytes, &rows, &tables, threads), Ok(symbols.clone()));
        }
    }
}

#[test]
fn messages_are_split_and_joined() {
    let tables = tables();
    for count in [0, 1, 1000, 1_500_000] {
        let (symbols, rows) = elements_of(count, 3);
        let bytes = encode_with(&symbols, &rows, &tables, 1);
        let (heads, sum) = split(&bytes).unwrap();
        let streams = heads.iter().map(|head| {
            let words = bytes[head.words.clone()].as_chunks().0;
            let words = words.iter().map(|&word| u16::from_le_bytes(word)).collect();
            Stream::of_lanes(&head.states, &head.outside, words).unwrap()
        });
        let joined = join(&array(count), streams.collect(), sum.into(), tables.fingerprint());
        assert_eq!(joined.to_vec(), bytes);
        assert!((0..9).all(|end| split(&bytes[..end]).is_err()));
    }
    for (states, right) in [(vec![1 << 16; 64], true), (vec![1 << 16; 3], false), (vec![0xffff], false)] {
        assert_eq!(Stream::of_lanes(&states, &[], Vec::new()).is_ok(), right);
    }
}

#[test]
fn large_groups_have_several_parts() {
    let (tables, (symbols, rows)) = (tables(), elements_of(1_500_000, 2));
    let bytes = encode_with(&symbols, &rows, &tables, 1);
    assert!(bytes.len() > 600_000);
    let (_, _, start) = read_head(&bytes).unwrap();
    assert!(bytes[start] >= 2, "{} parts", bytes[start] + 1);
}

#[test]
fn truncated_at_every_byte_and_flipped_at_every_bit() {
    let (tables, (symbols, rows)) = (tables(), elements_of(300, 3));
    let mut bytes = encode_with(&symbols, &rows, &tables, 1);
    for length in 0..bytes.len() {
        assert!(decode_with(&bytes[..length], &rows, &tables, 1).is_err(), "{length}");
    }
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_with(&bytes, &rows, &tables, 1).is_err(), "{bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_calibrated_message_says_whose_contexts_it_has() {
    let (tables, (symbols, _)) = (tables(), elements_of(3000, 5));
    let rows = vec![30; symbols.len()];
    let model = TableRows::new(&tables, &rows);
    let array = ArrayInfo { dtype: Dtype::I32, library: Library::NumPy, shape: vec![3, 1, 1000] };
    let contexts = Contexts::new(&[0, 1, 2]).unwrap().in_runs(1000);
    let code = |contexts| encode(&symbols, &array, &model, contexts, 7, 1).unwrap().to_vec();
    let plain = code(None);
    for source in [ContextSource::Distribution, ContextSource::Caller, ContextSource::Axis(0)] {
        let bytes = code(Some((contexts, source)));
        assert!(bytes.len() < plain.len());
        let (read, found, start) = read_head(&bytes).unwrap();
        assert_eq!((read, found), (array.clone(), Some(source)));
        let mut out = vec![0; symbols.len()];
        decode(&bytes, &model, Some(contexts), 7, &mut out, 1).unwrap();
        assert_eq!(out, symbols);
        assert!(matches!(decode(&bytes, &model, None, 7, &mut out, 1), Err(Error::Corrupt { .. })));
        // Contexts change nothing where there is no calibration.
        decode(&plain, &model, Some(contexts), 7, &mut out, 1).unwrap();
        assert_eq!(out, symbols);
        // An axis that there is not.
        let mut wrong = bytes;
        wrong[start - 1] = 5;
        assert!(matches!(read_head(&wrong), Err(Error::Corrupt { .. })));
    }
    let long = ArrayInfo { dtype: Dtype::I32, library: Library::NumPy, shape: vec![4097, 0] };
    let mut head = vec![VERSION];
    long.put(&mut head);
    head[1] |= 1 << 6;
    assert!(matches!(read_head(&[&head[..], &[2]].concat()), Err(Error::Corrupt { .. })));
    assert!(read_head(&[&head[..], &[3]].concat()).is_ok());
    assert!(matches!(read_head(&head), Err(Error::Truncated { .. })));
}

#[test]
fn another_distribution_is_noticed() {
    let (tables, (symbols, rows)) = (tables(), elements_of(5000, 4));
    let bytes = encode_with(&symbols, &rows, &tables, 1);
    let others = gaussian(&scale_table(0.12, 64.0, 64).unwrap(), 1).unwrap();
    assert!(matches!(decode_with(&bytes, &rows, &others, 1), Err(Error::Corrupt { .. })));
    for changed in (0..5000).step_by(7).chain([4999]) {
        let mut rows = rows.clone();
        rows[changed] = 63 - rows[changed];
        let decoded = decode_with(&bytes, &rows, &tables, 1);
        assert!(decoded.is_err(), "{changed}");
    }
    assert!(matches!(decode_with(&bytes, &rows[1..], &tables, 1), Err(Error::InvalidArgument(_))));
}

proptest! {
    #[test]
    fn noise_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..200usize) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let rows = vec![20; count];
        prop_assert!(decode_with(&bytes, &rows, &tables(), 2).is_err());
        // The same with a hash that is right, so that the rest is read.
        bytes.extend(hash_of(&bytes, tables().fingerprint()));
        let _ = decode_with(&bytes, &rows, &tables(), 2);
    }
}
