//! The types, owners and shapes of arrays.

use crate::bytes::{Cursor, put_varint};
use crate::{Error, Result, Unsupported};

pub(super) const MAX_DIMENSIONS: u64 = 64;

/// The type of an array's elements, with its code in the bytes.
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

/// The library that an array came from, with the bit that it sets in the byte of the type. Decoders return an array of the
/// same library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Library {
    NumPy = 0,
    Torch = 1 << 7,
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

/// The properties of an array other than its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayInfo {
    /// The type of the elements.
    pub dtype: Dtype,
    /// The library that the array came from.
    pub library: Library,
    /// The dimensions; empty for a single value.
    pub shape: Vec<u64>,
}

impl ArrayInfo {
    /// Returns the number of elements.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if 64 bits do not hold it.
    pub fn elements(&self) -> Result<u64> {
        let corrupt = || Error::Corrupt { what: format!("shape {:?}", self.shape), offset: 2 };
        element_count(&self.shape).ok_or_else(corrupt)
    }

    /// Checks that the shape has this number of elements, which are called `elements`.
    pub(super) fn check_count(&self, count: usize, elements: &str) -> Result<()> {
        if element_count(&self.shape) == Some(count as u64) && self.shape.len() as u64 <= MAX_DIMENSIONS {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!("{count} {elements} for the shape {:?}", self.shape)))
    }

    /// Appends a byte for type and library, and varints with the number of dimensions and the dimensions.
    pub(super) fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.dtype as u8 | self.library as u8);
        put_varint(bytes, self.shape.len() as u64);
        self.shape.iter().for_each(|&dimension| put_varint(bytes, dimension));
    }

    /// Reads what [`ArrayInfo::put`] appended, of which `code` is the first byte. An unknown type is the inner error, since the caller may have to report other
    /// errors first.
    pub(super) fn read(code: u8, cursor: &mut Cursor) -> Result<std::result::Result<Self, Unsupported>> {
        let offset = cursor.position();
        let dimensions = cursor.varint("number of dimensions")?;
        if dimensions > MAX_DIMENSIONS {
            return Err(Error::Corrupt { what: format!("{dimensions} dimensions"), offset });
        }
        let shape = (0..dimensions).map(|_| cursor.varint("dimension")).collect::<Result<_>>()?;
        let (library, code) = Library::split(code);
        let dtype = Dtype::from_code(code).ok_or(Unsupported::Dtype(code));
        Ok(dtype.map(|dtype| Self { dtype, library, shape }))
    }
}

/// Returns the product of the dimensions, if 64 bits hold it.
pub(super) fn element_count(shape: &[u64]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1, |product: u64, &dimension| product.checked_mul(dimension))
}

impl Library {
    /// Separates the library from the code of the type.
    fn split(code: u8) -> (Self, u8) {
        let torch = Self::Torch as u8;
        (if code & torch == 0 { Self::NumPy } else { Self::Torch }, code & !torch)
    }
}

/// Evaluates an expression with `T` as the type that a [`Dtype`] names.
macro_rules! with_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        with_dtype!($dtype, $T => $body;
            Bool bool, I8 i8, U8 u8, I16 i16, U16 u16, I32 i32, U32 u32, I64 i64)
    };
    ($dtype:expr, $T:ident => $body:expr; $($variant:ident $type:ty),*) => {
        match $dtype {
            $($crate::tensor::Dtype::$variant => {
                type $T = $type;
                $body
            })*
        }
    };
}
#[cfg(feature = "formats")]
pub(super) use with_dtype;

impl Dtype {
    /// Returns the number of bytes of one element.
    pub fn bytes(self) -> usize {
        with_dtype!(self, T => size_of::<T>())
    }

    fn from_code(code: u8) -> Option<Self> {
        use Dtype::*;
        [Bool, I8, U8, I16, U16, I32, U32, I64].into_iter().find(|&dtype| dtype as u8 == code)
    }
}

/// The Rust type of an array's elements. The trait is sealed.
pub trait Element: Copy + sealed::Sealed {
    /// The type's code.
    const DTYPE: Dtype;

    /// Returns the value.
    fn to_i64(self) -> i64;

    /// Returns the element with this value, if there is one.
    fn from_i64(value: i64) -> Option<Self>;

    /// Wraps elements of this type.
    fn wrap(values: Vec<Self>) -> Values;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($integer:ident $dtype:ident $from:expr;)*) => {$(
        impl sealed::Sealed for $integer {}

        impl Element for $integer {
            const DTYPE: Dtype = Dtype::$dtype;

            #[inline]
            fn to_i64(self) -> i64 {
                self.into()
            }

            #[inline]
            fn from_i64(value: i64) -> Option<Self> {
                let from: fn(i64) -> Option<Self> = $from;
                from(value)
            }

            fn wrap(values: Vec<Self>) -> Values {
                Values::$dtype(values)
            }
        }
    )*};
}
element! {
    bool Bool |value| [false, true].get(usize::try_from(value).ok()?).copied();
    i8 I8 |value| value.try_into().ok();
    u8 U8 |value| value.try_into().ok();
    i16 I16 |value| value.try_into().ok();
    u16 U16 |value| value.try_into().ok();
    i32 I32 |value| value.try_into().ok();
    u32 U32 |value| value.try_into().ok();
    i64 I64 Some;
}
