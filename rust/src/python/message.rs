//! Symbols to bytes and back, with the caller's distribution.

use numpy::{PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arrays::{slice_mut, with_symbols, wrong_type};
use super::model::{PyContexts, PyModel, with_contexts, with_model};
use super::{bytes, enter};
use crate::Error;
use crate::tensor::modelled::{self, ContextSource};
use crate::tensor::{ArrayInfo, Dtype, Library};

/// The dtypes of symbols. All are coded as 32-bit integers.
pub(super) const DTYPES: [(&str, Dtype); 7] = [
    ("int8", Dtype::I8),
    ("uint8", Dtype::U8),
    ("int16", Dtype::I16),
    ("uint16", Dtype::U16),
    ("int32", Dtype::I32),
    ("uint32", Dtype::U32),
    ("int64", Dtype::I64),
];

/// Encode a C-contiguous array of int8, uint8, int16, uint16 or int32; `model` has the distribution of each element.
///
/// `dtype` and `torch` are the dtype and the library of the original array, which decoding restores. If there are `contexts`,
/// `(contexts, run)` as for `Encoder.put`, the message may be calibrated; `source` says where they come from: 0 the
/// distribution, 1 the caller, 2 and more the axes.
#[pyfunction]
#[pyo3(signature = (symbols, model, dtype, torch, threads, contexts = None, source = 0))]
#[expect(clippy::too_many_arguments)]
pub(super) fn message_encode<'py>(
    py: Python<'py>,
    symbols: &Bound<'py, PyAny>,
    model: &PyModel,
    dtype: &str,
    torch: bool,
    threads: usize,
    contexts: Option<PyContexts<'_>>,
    source: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let named = DTYPES.iter().find(|(name, _)| *name == dtype);
    let &(_, dtype) = named.ok_or_else(|| Error::InvalidArgument(format!("symbols of dtype {dtype}")))?;
    let library = if torch { Library::Torch } else { Library::NumPy };
    let message = with_contexts!(contexts, contexts => with_symbols!(symbols, symbols, array => {
        let shape = array.shape().iter().map(|&n| n as u64).collect();
        let array = ArrayInfo { dtype, library, shape };
        let contexts = contexts.map(|contexts| (contexts, ContextSource::from_code(source)));
        with_model!(py, model, native => {
            enter(py, || modelled::encode(symbols, &array, &native, contexts, model.fingerprint, threads))
        })
    }))?;
    bytes(py, message.len(), |bytes| message.write(bytes))
}

/// Return `(dtype, torch, shape, source)` of a message (`source` of contexts as for `message_encode`, or None); if a `model` is given, after a check of the message's hash with it.
#[pyfunction]
#[pyo3(signature = (data, model = None))]
pub(super) fn message_head<'py>(
    py: Python<'py>,
    data: &[u8],
    model: Option<Bound<'py, PyModel>>,
) -> PyResult<(&'static str, bool, Bound<'py, PyTuple>, Option<u64>)> {
    let (array, source, _) = modelled::read_head(data)?;
    array.elements()?;
    if let Some(model) = model {
        let fingerprint = model.get().fingerprint;
        enter(py, || modelled::verify(data, fingerprint))?;
    }
    let named = DTYPES.iter().find(|(_, dtype)| *dtype == array.dtype);
    let &(name, _) =
        named.ok_or_else(|| Error::Unsupported(format!("a message of {:?}", array.dtype).into()))?;
    let source = source.map(ContextSource::code);
    Ok((name, array.library == Library::Torch, PyTuple::new(py, array.shape)?, source))
}

/// Fill `out`, an array of the size that `message_head` returns, with the symbols of a message. `contexts` as for
/// `Encoder.put`.
#[pyfunction]
#[pyo3(signature = (data, model, out, threads, contexts = None))]
pub(super) fn message_decode(
    py: Python<'_>,
    data: &[u8],
    model: &PyModel,
    out: &Bound<'_, PyAny>,
    threads: usize,
    contexts: Option<PyContexts<'_>>,
) -> PyResult<()> {
    with_contexts!(contexts, contexts => with_symbols!(mut out, out => with_model!(py, model, native => {
        enter(py, || modelled::decode(data, &native, contexts, model.fingerprint, out, threads))
    })))
}
