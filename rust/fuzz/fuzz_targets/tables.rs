//! Any integers as tables. What is taken for tables divides all slots among its symbols, and every backend finds the
//! owner of each slot.
//!
//! The scalar backend checks every access, so what it finds for all slots and symbols is within the tables: that is
//! what the other backends rely on.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{Decoder, Encoder, TableRows};
use lic_native::tables::{Tables, TOTAL};
use lic_native_fuzz::{cycle, is_invalid_argument, on_all, Integer};

const ROWS: usize = 4;
const LANES: u32 = 64;

#[derive(Arbitrary, Debug)]
struct Input {
    precision: u8,
    rows: Vec<RowInput>,
    /// The row whose slots are searched for.
    found: u8,
    /// As in a matrix whose rows have so many boundaries more than the longest.
    padded: Option<u8>,
    /// What is wrong.
    cdf: Vec<(u16, i32)>,
    lengths: Vec<(u8, i32)>,
}

#[derive(Arbitrary, Debug)]
struct RowInput {
    growth: Vec<Growth>,
    length: Option<u16>,
    offset: Integer,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Growth {
    Slots(u8),
    /// This many 65536ths of what is left.
    Part(u16),
}

impl Default for Growth {
    fn default() -> Self {
        Self::Slots(1)
    }
}

impl RowInput {
    /// Boundaries that rise from 0 to `end`.
    fn boundaries(&self, end: i32) -> Vec<i32> {
        let length = self.length.map_or(self.growth.len(), |length| 2 * usize::from(length));
        let mut boundary = 0;
        let mut boundaries = vec![0];
        for growth in cycle(&self.growth, length) {
            let left = end - boundary;
            boundary += match growth {
                Growth::Slots(slots) => i32::from(slots).min(left),
                Growth::Part(part) => ((i64::from(left) * i64::from(part)) >> 16) as i32,
            };
            boundaries.push(boundary);
        }
        boundaries.push(end);
        boundaries
    }
}

fuzz_target!(|input: Input| {
    let end = 1 << (input.precision % 26);
    let rows: Vec<Vec<i32>> = input.rows.iter().take(80).map(|row| row.boundaries(end)).collect();
    let mut lengths: Vec<i32> = rows.iter().map(|row| row.len() as i32).collect();
    let offsets: Vec<i32> = input.rows.iter().take(80).map(|row| row.offset.to_i32()).collect();
    let stride = rows.iter().map(Vec::len).max().unwrap_or(0) + usize::from(input.padded.unwrap_or(0));
    if rows.len() * stride > 1 << 18 {
        return;
    }
    for &(row, length) in &input.lengths {
        if let Some(place) = lengths.get_mut(usize::from(row)) {
            *place = length;
        }
    }
    let damage = |mut cdf: Vec<i32>| {
        for &(place, boundary) in &input.cdf {
            if let Some(place) = cdf.get_mut(usize::from(place)) {
                *place = boundary;
            }
        }
        cdf
    };
    let tables = match input.padded {
        None => Tables::new(&damage(rows.concat()), &lengths, &offsets),
        Some(_) => {
            let mut padded = rows.clone();
            padded.iter_mut().for_each(|row| row.resize(stride, -1));
            Tables::from_padded(&damage(padded.concat()), stride, &lengths, &offsets)
        }
    };
    let tables = match tables {
        Ok(tables) => tables,
        Err(error) => return assert!(is_invalid_argument(&error), "{error}"),
    };
    let mut again = Vec::new();
    for row in 0..tables.len() {
        again.push(check_slots(&tables, row));
        if row < ROWS {
            check_symbols(&tables, row);
        }
    }
    if !tables.is_empty() {
        check_found(&tables, usize::from(input.found) % tables.len());
    }
    // Taken as they are now, they are the same.
    let lengths: Vec<i32> = again.iter().map(|row| row.len() as i32).collect();
    let offsets: Vec<i32> = (0..tables.len()).map(|row| tables.support(row).start).collect();
    if offsets.iter().all(|offset| offset.abs() <= 1 << 30) {
        let again = Tables::new(&again.concat(), &lengths, &offsets).expect("they are tables");
        assert_eq!(again.fingerprint(), tables.fingerprint());
        assert_eq!(again.bytes(), tables.bytes());
    }
});

/// All slots belong to a symbol or the escape, in order; the result is the boundaries.
fn check_slots(tables: &Tables, row: usize) -> Vec<i32> {
    let support = tables.support(row);
    let mut boundaries = vec![0];
    let mut next = 0;
    for symbol in support.clone().chain([support.end]) {
        let (slots, outside) = tables.slots(row, symbol);
        assert_eq!((slots.start(), outside), (next, (symbol == support.end).then_some(0)));
        assert!(slots.freq() > 0);
        next += slots.freq();
        boundaries.push(next as i32);
    }
    assert_eq!(next, TOTAL);
    boundaries
}

/// Symbols at and beyond the ends of the support make the same bytes with all backends, and come back.
fn check_symbols(tables: &Tables, row: usize) {
    let support = tables.support(row);
    let ends = [support.start - 1, support.start, support.end - 1, support.end, i32::MIN, i32::MAX];
    let middle = (support.start / 2 + support.end / 2) - 29..;
    let symbols: Vec<i32> = ends.into_iter().chain(middle).take(64).collect();
    let indexes = [row as u8; 64];
    let bytes = on_all(|backend| {
        let mut encoder = Encoder::new().with_backend(backend);
        encoder.put(&symbols, &TableRows::new(tables, &indexes)).expect("there is such a row");
        encoder.finish()
    });
    let decoded = on_all(|backend| {
        let mut out = [0; 64];
        let mut decoder = Decoder::new(&bytes[..])?.with_backend(backend);
        decoder.get(&TableRows::new(tables, &indexes), &mut out)?;
        decoder.finish().map(|()| out.to_vec())
    });
    assert_eq!(decoded, Ok(symbols));
}

/// Every slot is found by every backend: as the states of a stream's lanes.
fn check_found(tables: &Tables, row: usize) {
    let indexes = [row as u8; LANES as usize];
    for first in (0..TOTAL).step_by(LANES as usize) {
        // 64 lanes with states of 2 bytes; escapes of distance 0, as many as there may be; the states; words.
        let mut stream = vec![6 | 1 << 3 | 2 << 4, LANES as u8];
        stream.extend([0; LANES as usize]);
        stream.extend((first..first + LANES).flat_map(|slot| (slot as u16).to_le_bytes()));
        stream.extend([0; 2 * LANES as usize]);
        let symbols = on_all(|backend| {
            let mut out = [0; LANES as usize];
            let mut decoder = Decoder::new(&stream[..]).expect("a stream").with_backend(backend);
            decoder.get(&TableRows::new(tables, &indexes), &mut out).expect("there are words and escapes");
            out.to_vec()
        });
        for (slot, symbol) in (first..).zip(symbols) {
            let (slots, _) = tables.slots(row, symbol);
            assert!((slots.start()..slots.start() + slots.freq()).contains(&slot));
        }
    }
}
