//! The method that stores all distinct values, and one distribution over them.

use std::collections::HashMap;

use super::candidate::Candidate;
use super::header::Method;
use super::sink::{BLOCK, Sink, in_payload};
use super::zigzag::{put_zigzag, read_zigzag};
use crate::ans::{Decoder, Encoder, TableRows};
use crate::bytes::{Cursor, put_varint};
use crate::interrupt::pieces;
use crate::tables::{COST_BITS, CdfRow, TOTAL, Tables, cost_table};
use crate::tensor::Element;
use crate::{Error, Result};

const MAX_VALUES: usize = 4096;

/// Distinct values in increasing order, with their counts.
type Counts = Vec<(i64, u64)>;

/// Returns the dictionary of the values, unless there are no values or too many distinct ones.
pub(super) fn candidate<'a, T: Element>(values: &'a [T]) -> Option<Candidate<'a>> {
    let counts = count(values)?;
    let row = row(&counts);
    let header = header(&counts, &row);
    let table = cost_table();
    let cost = |(&(_, count), boundaries): (&(i64, u64), &[i32])| {
        u128::from(count) * u128::from(table[(boundaries[1] - boundaries[0]) as usize])
    };
    let bits = counts.iter().zip(row.cdf().windows(2)).map(cost).sum::<u128>() >> COST_BITS;
    let stream_bytes = if counts.len() > 1 { bits as u64 / 8 + 4 } else { 0 };
    let bytes = header.len() as u64 + stream_bytes;
    Some(Candidate {
        method: Method::Dictionary,
        bytes,
        payload: Box::new(move || encode(values, &counts, &row, header)),
    })
}

/// Counts values; returns `None` if there are no values or more than `MAX_VALUES` distinct ones.
fn count<'a, T: Element>(values: &'a [T]) -> Option<Counts> {
    let all = |piece: &'a [T]| piece.iter().map(|value| value.to_i64());
    let low = pieces(values).filter_map(|piece| all(piece).min()).min()?;
    let high = pieces(values).filter_map(|piece| all(piece).max()).max()?;
    let range = high.checked_sub(low).filter(|&range| range < 1 << 16);
    let counts: Counts = if let Some(range) = range {
        let mut counts = vec![0; range as usize + 1];
        for piece in pieces(values) {
            all(piece).for_each(|value| counts[(value - low) as usize] += 1);
        }
        (low..=high).zip(counts).filter(|&(_, count)| count > 0).collect()
    } else {
        let mut counts = HashMap::new();
        for value in pieces(values).flat_map(all) {
            *counts.entry(value).or_insert(0) += 1;
            if counts.len() > MAX_VALUES {
                return None;
            }
        }
        let mut counts: Counts = counts.into_iter().collect();
        counts.sort_unstable();
        counts
    };
    (counts.len() <= MAX_VALUES).then_some(counts)
}

/// Returns the distribution over positions in the dictionary.
fn row(counts: &Counts) -> CdfRow {
    let most = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
    let shift = (u64::BITS - most.leading_zeros()).saturating_sub(u32::BITS);
    let mut counts: Vec<u32> = counts.iter().map(|&(_, count)| (count >> shift) as u32).collect();
    counts.push(0);
    CdfRow::from_counts(&counts, 0).expect("at most 4097 counts")
}

fn header(counts: &Counts, row: &CdfRow) -> Vec<u8> {
    let values: Vec<i64> = counts.iter().map(|&(value, _)| value).collect();
    let runs: Vec<&[i64]> = values.chunk_by(|a, b| a + 1 == *b).collect();
    let mut bytes = Vec::new();
    put_varint(&mut bytes, runs.len() as u64);
    let mut after = 0i64;
    for run in runs {
        put_zigzag(&mut bytes, run[0].wrapping_sub(after));
        put_varint(&mut bytes, run.len() as u64 - 1);
        after = run[run.len() - 1].wrapping_add(1);
    }
    let boundaries = &row.cdf()[..=values.len()];
    boundaries.windows(2).for_each(|pair| put_varint(&mut bytes, (pair[1] - pair[0]) as u64));
    bytes
}

fn encode<T: Element>(values: &[T], counts: &Counts, row: &CdfRow, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    if counts.len() == 1 {
        return Ok(bytes);
    }
    let tables = Tables::from_rows(std::slice::from_ref(row))?;
    let mut encoder = Encoder::new();
    let indexes = [0u8; BLOCK];
    for block in values.chunks(BLOCK) {
        let position = |value: &T| counts.partition_point(|&(other, _)| other < value.to_i64()) as i32;
        let symbols: Vec<i32> = block.iter().map(position).collect();
        encoder.put(&symbols, &TableRows::new(&tables, &indexes[..block.len()]))?;
    }
    bytes.extend(encoder.finish());
    Ok(bytes)
}

pub(super) fn decode<T: Element>(payload: &[u8], sink: &mut Sink<T>) -> Result<()> {
    let mut cursor = Cursor::new(payload);
    let values = read_values(&mut cursor)?;
    let mut cdf = vec![0];
    for _ in &values {
        let freq = cursor.varint("frequency")?.min(TOTAL.into()) as i32;
        cdf.push(cdf[cdf.len() - 1] + freq);
    }
    cdf.push(TOTAL as i32);
    let tables = in_payload(Tables::new(&cdf, &[cdf.len() as i32], &[0]))?;
    if let [value] = values[..] {
        while sink.left() > 0 {
            sink.push(std::iter::repeat_n(value, BLOCK))?;
        }
        return match cursor.rest() {
            [] => Ok(()),
            _ => Err(corrupt("bytes after one value", cursor.position())),
        };
    }
    let mut decoder = Decoder::new(cursor.rest())?;
    let (indexes, mut symbols) = ([0u8; BLOCK], vec![0i32; BLOCK]);
    while sink.left() > 0 {
        let n = sink.left().min(BLOCK);
        decoder.get(&TableRows::new(&tables, &indexes[..n]), &mut symbols[..n])?;
        if symbols[..n].iter().any(|&symbol| symbol as usize >= values.len()) {
            return Err(corrupt("symbol outside the dictionary", payload.len()));
        }
        sink.push(symbols[..n].iter().map(|&symbol| values[symbol as usize]))?;
    }
    decoder.finish()
}

fn read_values(cursor: &mut Cursor) -> Result<Vec<i64>> {
    let runs = cursor.varint("number of runs")?;
    let (mut values, mut after) = (Vec::new(), 0i64);
    for _ in 0..runs {
        let first = after.wrapping_add(read_zigzag(cursor, "first value")?);
        let more = cursor.varint("length of a run")?;
        if more >= (MAX_VALUES - values.len()) as u64 || first.checked_add(more as i64).is_none() {
            return Err(corrupt("too many values in the dictionary", cursor.position()));
        }
        let last = first + more as i64;
        values.extend(first..=last);
        after = last.wrapping_add(1);
    }
    Ok(values)
}

fn corrupt(what: &str, offset: usize) -> Error {
    Error::Corrupt { what: what.into(), offset }
}
