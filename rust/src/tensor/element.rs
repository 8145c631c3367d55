//! The types of integers that arrays are made of, and whose arrays they are.

use crate::interrupt::{pieces, PIECE};

/// An array's type, by its code in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Dtype {
    Bool = 0,
    I8 = 1,
    U8 = 2,
    I16 = 3,
    U16 = 4,
    I32 = 5,
    U32 = 6,
    I64 = 7,
}

/// Whose array it was, by the bit that it sets in the code of the type: decoding can give back the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Library {
    NumPy = 0,
    Torch = 1 << 7,
}

impl Library {
    /// The library, and the code of the type without its bit.
    pub(crate) fn split(code: u8) -> (Self, u8) {
        let torch = Self::Torch as u8;
        (if code & torch == 0 { Self::NumPy } else { Self::Torch }, code & !torch)
    }
}

/// The values of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Values {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
}

/// Calls an expression with `T` as the type that a [`Dtype`] names.
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::tensor::Dtype::Bool => {
                type $T = bool;
                $body
            }
            $crate::tensor::Dtype::I8 => {
                type $T = i8;
                $body
            }
            $crate::tensor::Dtype::U8 => {
                type $T = u8;
                $body
            }
            $crate::tensor::Dtype::I16 => {
                type $T = i16;
                $body
            }
            $crate::tensor::Dtype::U16 => {
                type $T = u16;
                $body
            }
            $crate::tensor::Dtype::I32 => {
                type $T = i32;
                $body
            }
            $crate::tensor::Dtype::U32 => {
                type $T = u32;
                $body
            }
            $crate::tensor::Dtype::I64 => {
                type $T = i64;
                $body
            }
        }
    };
}
pub(super) use with_dtype;

impl Dtype {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        with_dtype!(self, T => size_of::<T>())
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        use Dtype::*;
        [Bool, I8, U8, I16, U16, I32, U32, I64].into_iter().find(|&dtype| dtype as u8 == code)
    }
}

/// An integer that arrays can be made of.
pub trait Element: Copy + sealed::Sealed {
    /// The type's code.
    const DTYPE: Dtype;

    /// The value, which always fits.
    fn to_i64(self) -> i64;

    /// The integer of this type with this value, if there is one.
    fn from_i64(value: i64) -> Option<Self>;

    /// Values of this type as those of an array.
    fn wrap(values: Vec<Self>) -> Values;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($integer:ident $dtype:ident),*) => {$(
        impl sealed::Sealed for $integer {}

        impl Element for $integer {
            const DTYPE: Dtype = Dtype::$dtype;

            #[inline]
            fn to_i64(self) -> i64 {
                self.into()
            }

            #[inline]
            fn from_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }

            fn wrap(values: Vec<Self>) -> Values {
                Values::$dtype(values)
            }
        }
    )*};
}
element!(i8 I8, u8 U8, i16 I16, u16 U16, i32 I32, u32 U32, i64 I64);

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: Dtype = Dtype::Bool;

    fn to_i64(self) -> i64 {
        self.into()
    }

    fn from_i64(value: i64) -> Option<Self> {
        [false, true].get(usize::try_from(value).ok()?).copied()
    }

    fn wrap(values: Vec<Self>) -> Values {
        Values::Bool(values)
    }
}

/// The values as little-endian bytes.
pub(super) fn to_bytes<T: Element>(values: &[T]) -> Vec<u8> {
    let size = size_of::<T>();
    let mut bytes = vec![0; size_of_val(values)];
    for (bytes, values) in bytes.chunks_mut(PIECE * size).zip(pieces(values)) {
        for (bytes, value) in bytes.chunks_exact_mut(size).zip(values) {
            bytes.copy_from_slice(&value.to_i64().to_le_bytes()[..size]);
        }
    }
    bytes
}

/// The values of little-endian bytes, sign-extended for a signed type.
pub(super) fn from_bytes<T: Element>(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    let size = size_of::<T>();
    let unused = 64 - 8 * size as u32;
    let signed = matches!(T::DTYPE, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
    bytes.chunks_exact(size).map(move |bytes| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(bytes);
        let value = i64::from_le_bytes(wide);
        if signed {
            value << unused >> unused
        } else {
            value
        }
    })
}
