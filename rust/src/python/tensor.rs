//! Integer arrays <-> self-describing bytes.

use numpy::{
    Element as ArrayElement, IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{slice, wrong_type};
use super::enter;
use crate::tensor::{self, Library, Limits, Values};

/// A C-contiguous integer or bool array -> bytes; `torch` says whose it was.
#[pyfunction]
pub(super) fn tensor_encode<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyAny>,
    torch: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let library = if torch { Library::Torch } else { Library::NumPy };
    macro_rules! try_types {
        ($($T:ty),*) => {$(
            if let Ok(array) = array.cast::<PyArrayDyn<$T>>() {
                return encode(py, array.readonly(), library);
            }
        )*};
    }
    try_types!(bool, i8, u8, i16, u16, i32, u32, i64);
    Err(wrong_type(array, "array", "bool, int8, uint8, int16, uint16, int32, uint32 or int64"))
}

fn encode<'py, T: ArrayElement + tensor::Element + Sync>(
    py: Python<'py>,
    array: PyReadonlyArrayDyn<'py, T>,
    library: Library,
) -> PyResult<Bound<'py, PyBytes>> {
    let shape: Vec<u64> = array.shape().iter().map(|&n| n as u64).collect();
    let values = slice(&array, "array")?;
    Ok(PyBytes::new(py, &enter(py, || tensor::encode(values, &shape, library))?))
}

/// Bytes that `tensor_encode` made -> (the array, `torch`).
#[pyfunction]
pub(super) fn tensor_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    max_symbols: u64,
) -> PyResult<(Bound<'py, PyAny>, bool)> {
    let decoded = enter(py, || tensor::decode(data, &Limits { max_symbols }))?;
    let shape: Vec<usize> = decoded.shape.iter().map(|&n| n as usize).collect();
    macro_rules! to_array {
        ($($variant:ident),*) => {
            match decoded.values {
                $(Values::$variant(values) => values.into_pyarray(py).reshape(shape)?.into_any(),)*
            }
        };
    }
    let array = to_array!(Bool, I8, U8, I16, U16, I32, U32, I64);
    Ok((array, decoded.library == Library::Torch))
}
