//! Integer arrays to bytes that describe themselves, and back.

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arrays::{slice, wrong_type};
use super::enter;
use super::message::DTYPES;
use crate::tensor::{Element, Library, Values, fitted};
use crate::{Error, Limits};

/// Encode a C-contiguous integer or bool array; `torch` tells its library, and each index along `axis` gets a distribution.
#[pyfunction]
pub(super) fn tensor_encode<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyAny>,
    torch: bool,
    axis: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let library = if torch { Library::Torch } else { Library::NumPy };
    if array.cast::<PyArrayDyn<bool>>().is_ok() {
        // NumPy takes any byte other than 0 for true, but a `bool` of Rust must be 0 or 1.
        let bytes = array.call_method1("view", ("uint8",))?;
        let bytes = bytes.cast::<PyArrayDyn<u8>>()?.try_readonly()?;
        let values = slice(&bytes, "array")?;
        let values: Vec<bool> = py.detach(|| values.iter().map(|&byte| byte != 0).collect());
        return encode(py, &values, bytes.shape(), library, axis);
    }
    macro_rules! try_types {
        ($($T:ty),*) => {$(
            if let Ok(array) = array.cast::<PyArrayDyn<$T>>() {
                let array = array.try_readonly()?;
                return encode(py, slice(&array, "array")?, array.shape(), library, axis);
            }
        )*};
    }
    try_types!(i8, u8, i16, u16, i32, u32, i64);
    Err(wrong_type(array, "array", "bool, int8, uint8, int16, uint16, int32, uint32 or int64"))
}

fn encode<'py, T: Element + Sync>(
    py: Python<'py>,
    values: &[T],
    shape: &[usize],
    library: Library,
    axis: Option<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    Ok(PyBytes::new(py, &enter(py, || fitted::encode(values, &shape, library, axis))?))
}

/// Return `(array, torch)` of bytes that `tensor_encode` made.
#[pyfunction]
pub(super) fn tensor_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    max_bytes: u64,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    let limits = Limits { max_output_bytes: max_bytes, ..Limits::default() };
    let decoded = enter(py, || fitted::decode(data, &limits))?;
    let shape: Vec<usize> = decoded.shape.iter().map(|&n| n as usize).collect();
    macro_rules! to_array {
        ($($variant:ident),*) => {
            match decoded.values {
                $(Values::$variant(values) => values.into_pyarray(py).reshape(shape).map(Bound::into_any),)*
            }
        };
    }
    // Empty arrays can have dimensions that are too large for NumPy.
    let array = to_array!(Bool, I8, U8, I16, U16, I32, U32, I64)
        .map_err(|error| Error::Unsupported(format!("NumPy has no array of this shape: {error}").into()))?;
    Ok((array, decoded.library == Library::Torch))
}

/// Return `(dtype, torch, shape)` of bytes that `tensor_encode` made.
#[pyfunction]
pub(super) fn tensor_head<'py>(
    py: Python<'py>,
    data: &[u8],
) -> PyResult<(&'static str, bool, Bound<'py, PyTuple>)> {
    let array = enter(py, || fitted::read_head(data))?;
    let named = DTYPES.iter().find(|(_, dtype)| *dtype == array.dtype);
    let name = named.map_or("bool", |(name, _)| name);
    Ok((name, array.library == Library::Torch, PyTuple::new(py, array.shape)?))
}
