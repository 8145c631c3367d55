//! Files of weights.

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{slice, wrong_type};
use super::enter;
use crate::Limits;
use crate::tensor::weights::{Array, Values, Weights, decode, encode};

/// A name, and the array of that name.
pub(super) type Named<'py> = (String, Bound<'py, PyAny>);

/// Encode a configuration and named C-contiguous arrays of float32 and int32, sorted by name.
#[pyfunction]
pub(super) fn weights_encode<'py>(
    py: Python<'py>,
    config: String,
    arrays: Vec<Named<'py>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let weights = weights(config, arrays)?;
    Ok(PyBytes::new(py, &enter(py, || encode(&weights))?))
}

/// Returns a configuration and arrays as the crate takes them.
pub(super) fn weights(config: String, arrays: Vec<Named<'_>>) -> PyResult<Weights> {
    let array = |(name, array): Named<'_>| {
        macro_rules! try_types {
            ($($variant:ident $T:ty),*) => {$(
                if let Ok(array) = array.cast::<PyArrayDyn<$T>>() {
                    let array = array.try_readonly()?;
                    let shape = array.shape().iter().map(|&n| n as u64).collect();
                    let values = Values::$variant(slice(&array, &name)?.to_vec());
                    return Ok(Array { name, shape, values });
                }
            )*};
        }
        try_types!(F32 f32, I32 i32);
        Err(wrong_type(&array, &name, "float32 or int32"))
    };
    Ok(Weights { config, arrays: arrays.into_iter().map(array).collect::<PyResult<_>>()? })
}

/// Return `(config, arrays)` of bytes that `weights_encode` made.
#[pyfunction]
pub(super) fn weights_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    max_bytes: u64,
    threads: usize,
) -> PyResult<(String, Vec<Named<'py>>)> {
    let limits = Limits { max_output_bytes: max_bytes, ..Limits::default() };
    let weights = enter(py, || decode(data, &limits, threads))?;
    let array = |Array { name, shape, values }| {
        let shape: Vec<usize> = shape.into_iter().map(|n| n as usize).collect();
        let array = match values {
            Values::F32(values) => values.into_pyarray(py).reshape(shape)?.into_any(),
            Values::I32(values) => values.into_pyarray(py).reshape(shape)?.into_any(),
        };
        Ok((name, array))
    };
    Ok((weights.config, weights.arrays.into_iter().map(array).collect::<PyResult<_>>()?))
}
