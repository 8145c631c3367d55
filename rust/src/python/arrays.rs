//! NumPy arrays as slices.

use numpy::{Element, PyReadonlyArrayDyn, PyReadwriteArrayDyn};
use pyo3::exceptions::PyValueError;
use pyo3::PyResult;

/// The elements of a C-contiguous array, without a copy.
pub(super) fn slice<'a, T: Element>(array: &'a PyReadonlyArrayDyn<'_, T>, name: &str) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| not_contiguous(name))
}

/// The same, to write into.
pub(super) fn slice_mut<'a, T: Element>(
    array: &'a mut PyReadwriteArrayDyn<'_, T>,
    name: &str,
) -> PyResult<&'a mut [T]> {
    array.as_slice_mut().map_err(|_| not_contiguous(name))
}

fn not_contiguous(name: &str) -> pyo3::PyErr {
    PyValueError::new_err(format!("{name} must be C-contiguous: pass numpy.ascontiguousarray({name})"))
}
