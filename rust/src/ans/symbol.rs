//! The integer types of symbols, and their conversion to the 32 bits that coders work on.

use super::constants::{BATCH, BLOCK};
use super::simd::{Backend, prefetch};

/// The type of a symbol: `i8`, `u8`, `i16`, `u16` or `i32`. The trait is sealed.
pub trait Symbol: AsI32 + Copy + Default + Send + Sync {
    /// The type's name in NumPy.
    const NAME: &'static str;

    /// Returns the symbol's value.
    fn to_i32(self) -> i32;

    /// Returns the symbol with the lowest bits of this value.
    fn from_i32(value: i32) -> Self;
}

/// Views symbols that already have 32 bits.
pub trait AsI32: Sized {
    /// Returns the symbols without a copy if they are `i32`.
    fn as_i32(_symbols: &[Self]) -> Option<&[i32]> {
        None
    }

    /// Returns the symbols for writing if they are `i32`.
    fn as_i32_mut(_symbols: &mut [Self]) -> Option<&mut [i32]> {
        None
    }
}

impl AsI32 for i32 {
    fn as_i32(symbols: &[Self]) -> Option<&[i32]> {
        Some(symbols)
    }

    fn as_i32_mut(symbols: &mut [Self]) -> Option<&mut [i32]> {
        Some(symbols)
    }
}

impl AsI32 for i8 {}
impl AsI32 for u8 {}
impl AsI32 for i16 {}
impl AsI32 for u16 {}

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
                value as Self
            }
        }
    )*};
}
symbol!(i8 "int8", u8 "uint8", i16 "int16", u16 "uint16", i32 "int32");

/// Returns the symbols as 32-bit integers minus the shifts, copied to `wide` if need be, and the sum of the symbols.
pub(super) fn widen<'a, S: Symbol>(
    backend: Backend,
    symbols: &'a [S],
    shifts: Option<&[i32]>,
    wide: &'a mut [i32],
) -> (&'a [i32], u32) {
    backend.compiled(
        #[inline(always)]
        || widen_scalar(symbols, shifts, wide),
    )
}

#[inline(always)]
fn widen_scalar<'a, S: Symbol>(
    symbols: &'a [S],
    shifts: Option<&[i32]>,
    wide: &'a mut [i32],
) -> (&'a [i32], u32) {
    let wide = &mut wide[..symbols.len()];
    let mut sum = 0u32;
    match (shifts, S::as_i32(symbols)) {
        (None, Some(symbols)) => return (symbols, sum_scalar(symbols)),
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

/// Inverts [`widen`]. Returns the sum of the symbols, and a value that does not fit a symbol, if there is one.
pub(super) fn narrow<S: Symbol>(
    backend: Backend,
    wide: &mut [i32],
    shifts: Option<&[i32]>,
    symbols: &mut [S],
) -> (u32, Option<i32>) {
    backend.compiled(
        #[inline(always)]
        || narrow_scalar(wide, shifts, symbols),
    )
}

#[inline(always)]
fn narrow_scalar<S: Symbol>(
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

/// Returns the sum of integers modulo 2^32.
pub(super) fn sum(backend: Backend, integers: &[i32]) -> u32 {
    backend.compiled(
        #[inline(always)]
        || sum_scalar(integers),
    )
}

#[inline(always)]
fn sum_scalar(integers: &[i32]) -> u32 {
    integers.iter().fold(0, |sum, &integer| sum.wrapping_add(integer as u32))
}
