//! The prior: weights and initial distributions, learnt from photographs.
//!
//! `lic-native train native` writes `prior.bin` (docs/training.md). It is part of the format: other numbers
//! give other files. All numbers are little-endian 16-bit integers:
//!
//! | integers | |
//! |---|---|
//! | 8 × 15 | [`Boundary`] |
//! | for luma, then for chroma: 136 × 64 | [`Weights`]: `last`, `within`, `around`, `quantiser` |
//! | 16 for each row | its count of symbols (in place of the first boundary, which is 0), and the other boundaries |
//! | 2 for each bit | its count of bits, and the probability of a 0 |

use std::sync::OnceLock;

use super::contexts::{BITS, ROWS};
use crate::ans::adaptive::{AdaptiveBit, AdaptiveCdf, Contexts, SYMBOLS};
use crate::{Error, Result};

/// Number of neighbours whose magnitudes matter: north, west, north-west, north-east, two north, two west, and the
/// block at the same position of the previous component.
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
    /// The bias for each position of the last coefficient.
    pub last: [Vector; 64],
    /// Weights of a coefficient of the same block (outer index) in the prediction of each.
    pub within: [Vector; 64],
    /// Weights of the same coefficient in neighbours.
    pub around: [Vector; NEIGHBOURS],
    /// Weights of the logarithm of the quantiser.
    pub quantiser: Vector,
}

/// The weights that predict coefficients across the boundary between blocks, in 2^-10ths.
///
/// The coefficient F(u, 0) of the first column is about Σ `from[v][u]` F(u, v) over the block to the left plus
/// Σ `own[v][u]` F(u, v) over the rest of its own row; rows are like columns, transposed.
pub(super) struct Boundary {
    pub from: [[i32; 8]; 8],
    pub own: [[i32; 8]; 8],
}

/// The prior of one class of components.
pub(super) struct ClassPrior {
    pub weights: Weights,
    pub contexts: Contexts,
}

/// The whole prior.
pub(super) struct Prior {
    pub boundary: Boundary,
    pub luma: ClassPrior,
    pub chroma: ClassPrior,
}

impl Prior {
    /// Returns the prior that files are coded with.
    pub fn get() -> &'static Self {
        static PRIOR: OnceLock<Prior> = OnceLock::new();
        PRIOR.get_or_init(|| Self::parse(BYTES).expect("it has the right length"))
    }

    /// Parses the bytes of `prior.bin`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != LEN {
            return Err(Error::InvalidArgument(format!("a prior has {LEN} bytes, not {}", bytes.len())));
        }
        let mut numbers = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair));
        Ok(Self { boundary: boundary(&mut numbers), luma: class(&mut numbers), chroma: class(&mut numbers) })
    }
}

/// Returns the fingerprint of the prior: the low half of the XXH3-64 of its bytes.
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

fn class(numbers: &mut impl Iterator<Item = i16>) -> ClassPrior {
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
    ClassPrior { weights, contexts }
}
