//! What a symbol may be in memory.

use super::simd::prefetch;
use super::{BATCH, BLOCK};

/// An integer that can be coded: coders work on 32 bits.
pub trait Symbol: Copy + Default + Send + Sync {
    /// What it is called.
    const NAME: &'static str;

    /// Its value.
    fn to_i32(self) -> i32;

    /// The symbol with this value, or with some other one if there is none.
    fn from_i32(value: i32) -> Self;

    /// The symbols themselves, if these are 32-bit integers.
    fn as_i32(_symbols: &[Self]) -> Option<&[i32]> {
        None
    }

    /// The same, to write to.
    fn as_i32_mut(_symbols: &mut [Self]) -> Option<&mut [i32]> {
        None
    }
}

macro_rules! symbol {
    ($($integer:ident $name:literal),*) => {$(
        impl Symbol for $integer {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn to_i32(self) -> i32 {
                self.into()
            }

            #[inline(always)]
            fn from_i32(value: i32) -> Self {
                value as $integer
            }
        }
    )*};
}
symbol!(i8 "int8", u8 "uint8", i16 "int16", u16 "uint16");

impl Symbol for i32 {
    const NAME: &'static str = "int32";

    #[inline(always)]
    fn to_i32(self) -> i32 {
        self
    }

    #[inline(always)]
    fn from_i32(value: i32) -> Self {
        value
    }

    fn as_i32(symbols: &[Self]) -> Option<&[i32]> {
        Some(symbols)
    }

    fn as_i32_mut(symbols: &mut [Self]) -> Option<&mut [i32]> {
        Some(symbols)
    }
}

/// The symbols as 32-bit integers, less the shifts, copied to `wide` if need be; and the sum of the symbols.
#[inline(always)]
pub(super) fn widen<'a, S: Symbol>(
    symbols: &'a [S],
    shifts: Option<&[i32]>,
    wide: &'a mut [i32],
) -> (&'a [i32], u32) {
    let wide = &mut wide[..symbols.len()];
    let mut sum = 0u32;
    match (shifts, S::as_i32(symbols)) {
        (None, Some(symbols)) => return (symbols, sum_of(symbols)),
        (None, None) => {
            for (wide, symbol) in wide.iter_mut().zip(symbols) {
                *wide = symbol.to_i32();
                sum = sum.wrapping_add(*wide as u32);
            }
        }
        (Some(shifts), _) => {
            let blocks = wide.chunks_mut(BLOCK).zip(symbols.chunks(BLOCK)).zip(shifts.chunks(BLOCK));
            for ((wide, symbols), shifts) in blocks {
                prefetch(symbols.as_ptr().wrapping_add(BATCH), BLOCK);
                for ((wide, symbol), shift) in wide.iter_mut().zip(symbols).zip(shifts) {
                    *wide = symbol.to_i32().wrapping_sub(*shift);
                    sum = sum.wrapping_add(symbol.to_i32() as u32);
                }
            }
        }
    }
    (wide, sum)
}

/// The inverse; the result is the symbols' sum, and a value that is no symbol, if there is any.
#[inline(always)]
pub(super) fn narrow<S: Symbol>(
    wide: &mut [i32],
    shifts: Option<&[i32]>,
    symbols: &mut [S],
) -> (u32, Option<i32>) {
    let (mut sum, mut differences) = (0u32, 0);
    match shifts {
        Some(shifts) => {
            for ((symbol, wide), shift) in symbols.iter_mut().zip(&mut *wide).zip(shifts) {
                *wide = wide.wrapping_add(*shift);
                sum = sum.wrapping_add(*wide as u32);
                *symbol = S::from_i32(*wide);
                differences |= symbol.to_i32() ^ *wide;
            }
        }
        None => {
            for (symbol, &mut wide) in symbols.iter_mut().zip(&mut *wide) {
                sum = sum.wrapping_add(wide as u32);
                *symbol = S::from_i32(wide);
                differences |= symbol.to_i32() ^ wide;
            }
        }
    }
    let wrong = || wide.iter().copied().find(|&wide| S::from_i32(wide).to_i32() != wide);
    (sum, if differences == 0 { None } else { wrong() })
}

/// The sum of integers modulo 2^32.
#[inline(always)]
pub(super) fn sum_of(integers: &[i32]) -> u32 {
    integers.iter().fold(0, |sum, &integer| sum.wrapping_add(integer as u32))
}
