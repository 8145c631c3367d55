//! NumPy arrays as slices.

use numpy::ndarray::Dimension;
use numpy::{Element, PyReadonlyArray, PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Returns the elements of a C-contiguous array without a copy.
pub(super) fn slice<'a, T: Element, D: Dimension>(
    array: &'a PyReadonlyArray<'_, T, D>,
    name: &str,
) -> PyResult<&'a [T]> {
    // `as_slice` alone would accept arrays in Fortran order as well.
    array.as_slice().ok().filter(|_| array.is_c_contiguous()).ok_or_else(|| not_contiguous(name))
}

/// Returns the elements of a C-contiguous array for writing.
pub(super) fn slice_mut<'a, T: Element>(
    array: &'a mut PyReadwriteArrayDyn<'_, T>,
    name: &str,
) -> PyResult<&'a mut [T]> {
    let in_order = array.is_c_contiguous();
    array.as_slice_mut().ok().filter(|_| in_order).ok_or_else(|| not_contiguous(name))
}

fn not_contiguous(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} must be C-contiguous and aligned: pass numpy.require({name}, requirements='CA')"
    ))
}

/// Returns the exception for an `argument` called `name` that is not an array of the dtypes `accepted`.
pub(super) fn wrong_type(argument: &Bound<'_, PyAny>, name: &str, accepted: &str) -> PyErr {
    let found = match argument.cast::<PyUntypedArray>() {
        Ok(array) => format!("one of {}", array.dtype()),
        Err(_) => argument.get_type().to_string(),
    };
    PyTypeError::new_err(format!("{name} must be an array of {accepted}, not {found}"))
}

/// Evaluates an expression with `$symbols` as the elements of an array of any dtype that symbols may have, and `$array` as the
/// array itself.
macro_rules! with_symbols {
    (mut $out:expr, $symbols:ident => $body:expr) => {
        with_symbols!(mut $out, $symbols => $body; i32, i16, i8, u8, u16)
    };
    ($in:expr, $symbols:ident => $body:expr) => {
        with_symbols!($in, $symbols, _array => $body; i32, i16, i8, u8, u16)
    };
    ($in:expr, $symbols:ident, $array:ident => $body:expr) => {
        with_symbols!($in, $symbols, $array => $body; i32, i16, i8, u8, u16)
    };
    (mut $out:expr, $symbols:ident => $body:expr; $($T:ty),*) => {{
        let argument: &Bound<'_, PyAny> = $out;
        $(if let Ok(array) = argument.cast::<PyArrayDyn<$T>>() {
            let mut array = numpy::PyArrayMethods::try_readwrite(array)?;
            let $symbols = slice_mut(&mut array, "out")?;
            $body
        } else)* {
            Err(wrong_type(argument, "out", "int8, uint8, int16, uint16 or int32"))
        }
    }};
    ($in:expr, $symbols:ident, $array:ident => $body:expr; $($T:ty),*) => {{
        let argument: &Bound<'_, PyAny> = $in;
        $(if let Ok($array) = argument.cast::<PyArrayDyn<$T>>() {
            let array = numpy::PyArrayMethods::try_readonly($array)?;
            let $symbols = $crate::python::arrays::slice(&array, "symbols")?;
            $body
        } else)* {
            Err(wrong_type(argument, "symbols", "int8, uint8, int16, uint16 or int32"))
        }
    }};
}
pub(super) use with_symbols;
