//! Symbols <-> bytes whose reader brings the distribution along.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arrays::{slice_mut, with_symbols, wrong_type};
use super::model::{with_model, Model};
use super::{bytes, enter};
use crate::message::{self, Array};
use crate::tensor::{Dtype, Library};
use crate::Error;

/// What symbols can be, though they are coded as 32-bit integers.
const DTYPES: [(&str, Dtype); 7] = [
    ("int8", Dtype::I8),
    ("uint8", Dtype::U8),
    ("int16", Dtype::I16),
    ("uint16", Dtype::U16),
    ("int32", Dtype::I32),
    ("uint32", Dtype::U32),
    ("int64", Dtype::I64),
];

/// A C-contiguous array of int8, uint8, int16, uint16 or int32 -> bytes, each element under that of `model`; `dtype` if
/// it was another one, and `torch` if it was a tensor of torch.
#[pyfunction]
pub(super) fn message_encode<'py>(
    py: Python<'py>,
    symbols: &Bound<'py, PyAny>,
    model: &Model,
    dtype: &str,
    torch: bool,
    threads: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let named = DTYPES.iter().find(|(name, _)| *name == dtype);
    let &(_, dtype) = named.ok_or_else(|| Error::InvalidArgument(format!("symbols of dtype {dtype}")))?;
    let library = if torch { Library::Torch } else { Library::NumPy };
    let message = with_symbols!(symbols, symbols, array => {
        let shape = array.shape().iter().map(|&n| n as u64).collect();
        let array = Array { dtype, library, shape };
        with_model!(py, model, native => {
            enter(py, || message::encode(symbols, &array, &native, model.fingerprint, threads))
        })
    })?;
    bytes(py, message.len(), |bytes| message.write(bytes))
}

/// The dtype, whether it was torch's, and the shape of what a message holds; with a `model`, once the message's hash is
/// found to be right for distributions as those of it.
#[pyfunction]
#[pyo3(signature = (data, model = None))]
pub(super) fn message_head<'py>(
    py: Python<'py>,
    data: &[u8],
    model: Option<Bound<'py, Model>>,
) -> PyResult<(&'static str, bool, Bound<'py, PyTuple>)> {
    let (array, _) = message::read_head(data)?;
    array.elements()?;
    if let Some(model) = model {
        let fingerprint = model.get().fingerprint;
        enter(py, || message::verify(data, fingerprint))?;
    }
    let named = DTYPES.iter().find(|(_, dtype)| *dtype == array.dtype);
    let &(name, _) = named.ok_or_else(|| Error::Unsupported(format!("a message of {:?}", array.dtype)))?;
    Ok((name, array.library == Library::Torch, PyTuple::new(py, array.shape)?))
}

/// Fill `out`, of the size that `message_head` says, with the symbols of a message.
#[pyfunction]
pub(super) fn message_decode(
    py: Python<'_>,
    data: &[u8],
    model: &Model,
    out: &Bound<'_, PyAny>,
    threads: usize,
) -> PyResult<()> {
    with_symbols!(mut out, out => with_model!(py, model, native => {
        enter(py, || message::decode(data, &native, model.fingerprint, out, threads))
    }))
}
