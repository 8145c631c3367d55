//! NumPy arrays as slices.

use numpy::ndarray::Dimension;
use numpy::{Element, PyReadonlyArray, PyReadwriteArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The elements of a C-contiguous array, without a copy.
pub(super) fn slice<'a, T: Element, D: Dimension>(
    array: &'a PyReadonlyArray<'_, T, D>,
    name: &str,
) -> PyResult<&'a [T]> {
    // By itself, `as_slice` takes arrays in Fortran's order as well.
    array.as_slice().ok().filter(|_| array.is_c_contiguous()).ok_or_else(|| not_contiguous(name))
}

/// The same, to write into.
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

/// What to raise for an `argument` called `name` that is no array of the dtypes `accepted`.
pub(super) fn wrong_type(argument: &Bound<'_, PyAny>, name: &str, accepted: &str) -> PyErr {
    let found = match argument.cast::<PyUntypedArray>() {
        Ok(array) => format!("one of {}", array.dtype()),
        Err(_) => argument.get_type().to_string(),
    };
    PyTypeError::new_err(format!("{name} must be an array of {accepted}, not {found}"))
}
