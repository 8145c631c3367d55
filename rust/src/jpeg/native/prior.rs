//! What is known before the first block: weights and distributions, learnt from photographs.
//!
//! `prior.bin` is made by `lic-native train native` (docs/training.md). It is part of the format: other numbers make
//! other files. All are little-endian 16-bit integers:
//!
//! | integers | |
//! |---|---|
//! | 8 × 15 | [`Boundary`] |
//! | for luma, then for chroma: 136 × 64 | [`Weights`]: `last`, `within`, `around`, `quantiser` |
//! | 16 for each row | what it has seen (in place of the first boundary, which is 0), and the other boundaries |
//! | 2 for each bit | what it has seen, and how probable a 0 is |

use std::sync::OnceLock;

use super::context::{BITS, ROWS};
use crate::ans::adaptive::{AdaptiveBit, AdaptiveCdf, Contexts, SYMBOLS};
use crate::{Error, Result};

/// Neighbours whose magnitudes matter: north, west, north-west, north-east, two north, two west, and the block at
/// the same place of the component before.
pub(super) const NEIGHBOURS: usize = 7;

const WEIGHT_ROWS: usize = 64 + 64 + NEIGHBOURS + 1;
const CLASS_LEN: usize = 64 * WEIGHT_ROWS + SYMBOLS * ROWS + 2 * BITS;
const BOUNDARY_LEN: usize = 8 * 15;
const LEN: usize = 2 * (BOUNDARY_LEN + 2 * CLASS_LEN);

/// One integer for each coefficient of a block.
pub(super) type Vector = [i16; 64];

/// The linear prediction of the logarithm of each coefficient's scale, in 2^-10 nats: a bias by the block's last
/// coefficient, and weights of 2^-14 for logarithmic magnitudes.
pub(super) struct Weights {
    /// For each position that may be the last.
    pub last: [Vector; 64],
    /// Of a coefficient of the same block (outer index) in the prediction of each.
    pub within: [Vector; 64],
    /// Of the same coefficient in neighbours.
    pub around: [Vector; NEIGHBOURS],
    /// Of the logarithm of the quantiser.
    pub quantiser: Vector,
}

/// How coefficients continue those of the block before across the boundary, in 2^-10ths.
///
/// The coefficient F(u, 0) of the first column is about Σ `from[v][u]` F(u, v) over the block to the left plus
/// Σ `own[v][u]` F(u, v) over its own row but for itself; rows are like columns, transposed.
pub(super) struct Boundary {
    pub from: [[i32; 8]; 8],
    pub own: [[i32; 8]; 8],
}

/// What one class of components begins with.
pub(super) struct Class {
    pub weights: Weights,
    pub contexts: Contexts,
}

/// All of it.
pub(super) struct Prior {
    pub boundary: Boundary,
    pub luma: Class,
    pub chroma: Class,
}

impl Prior {
    /// The one that files are coded with.
    pub fn get() -> &'static Self {
        static PRIOR: OnceLock<Prior> = OnceLock::new();
        PRIOR.get_or_init(|| Self::parse(BYTES).expect("it has the right length"))
    }

    /// Reads the bytes of `prior.bin`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != LEN {
            return Err(Error::InvalidArgument(format!("{} bytes of numbers instead of {LEN}", bytes.len())));
        }
        let mut numbers = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair));
        Ok(Self { boundary: boundary(&mut numbers), luma: class(&mut numbers), chroma: class(&mut numbers) })
    }
}

/// The low half of the XXH3-64 of the numbers that files are coded with.
pub fn fingerprint() -> u32 {
    xxhash_rust::xxh3::xxh3_64(BYTES) as u32
}

const BYTES: &[u8] = include_bytes!("prior.bin");

const _: () = assert!(BYTES.len() == LEN);

fn boundary(numbers: &mut impl Iterator<Item = i16>) -> Boundary {
    let mut boundary = Boundary { from: [[0; 8]; 8], own: [[0; 8]; 8] };
    for u in 0..8 {
        let mut next = || i32::from(numbers.next().unwrap_or_default());
        (0..8).for_each(|v| boundary.from[v][u] = next());
        (1..8).for_each(|v| boundary.own[v][u] = next());
    }
    boundary
}

fn class(numbers: &mut impl Iterator<Item = i16>) -> Class {
    let mut vector = || std::array::from_fn(|_| numbers.next().unwrap_or_default());
    let weights = Weights {
        last: std::array::from_fn(|_| vector()),
        within: std::array::from_fn(|_| vector()),
        around: std::array::from_fn(|_| vector()),
        quantiser: vector(),
    };
    let mut contexts = Contexts::default();
    for _ in 0..ROWS {
        let mut row: [i16; SYMBOLS] = std::array::from_fn(|_| numbers.next().unwrap_or_default());
        contexts.row_counts.push(std::mem::take(&mut row[0]) as u8);
        contexts.rows.push(AdaptiveCdf(row));
    }
    for _ in 0..BITS {
        contexts.bit_counts.push(numbers.next().unwrap_or_default() as u8);
        contexts.bits.push(AdaptiveBit(numbers.next().unwrap_or_default() as u16));
    }
    Class { weights, contexts }
}
