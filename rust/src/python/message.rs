//! Symbols to bytes and back, with the caller's distribution.

use numpy::{IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arrays::{slice, slice_mut, with_symbols, wrong_type};
use super::model::{PyContexts, PyModel, with_contexts, with_model};
use super::{bytes, enter};
use crate::Error;
use crate::ans::Stream;
use crate::tensor::modelled::{self, ContextSource};
use crate::tensor::{ArrayInfo, Dtype, Library};

/// States, distances of escapes and words of a part.
type PartArrays<'py> = (Vec<u32>, PyReadonlyArray1<'py, u64>, PyReadonlyArray1<'py, u16>);
/// States, distances of escapes, and the first and last positions of the words of a part.
type PartHead<'py> = (Vec<u32>, Bound<'py, PyArray1<u64>>, usize, usize);

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

fn array_info(dtype: &str, torch: bool, shape: Vec<u64>) -> crate::Result<ArrayInfo> {
    let named = DTYPES.iter().find(|(name, _)| *name == dtype);
    let &(_, dtype) = named.ok_or_else(|| Error::InvalidArgument(format!("symbols of dtype {dtype}")))?;
    Ok(ArrayInfo { dtype, library: if torch { Library::Torch } else { Library::NumPy }, shape })
}

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
    let message = with_contexts!(contexts, contexts => with_symbols!(symbols, symbols, array => {
        let shape = array.shape().iter().map(|&n| n as u64).collect();
        let array = array_info(dtype, torch, shape)?;
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

/// Return the message of parts that were coded elsewhere, one or more: `(states, outside, words)` of each, which are the first
/// states of its lanes, uint64 distances of its escapes and uint16 words; and the sum of all symbols modulo 2^32.
///
/// Of `model` only the tables matter; `dtype`, `torch` and `shape` are those of the original array.
#[pyfunction]
pub(super) fn message_join<'py>(
    py: Python<'py>,
    parts: Vec<PartArrays<'py>>,
    sum: u32,
    model: &PyModel,
    dtype: &str,
    torch: bool,
    shape: Vec<u64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let array = array_info(dtype, torch, shape)?;
    if parts.is_empty() {
        return Err(Error::InvalidArgument("a message needs a part".into()).into());
    }
    let streams = parts.iter().map(|(states, outside, words)| {
        let (outside, words) = (slice(outside, "outside")?, slice(words, "words")?);
        Ok(Stream::of_lanes(states, outside, words.to_vec())?)
    });
    let message = modelled::join(&array, streams.collect::<PyResult<_>>()?, sum, model.fingerprint);
    bytes(py, message.len(), |bytes| message.write(bytes))
}

/// Return of each part of a message the first states of its lanes, uint64 distances of its escapes, and the positions of its
/// first word and of the end of its words; and the sum of all symbols modulo 2^16. Sum and hash are not checked.
#[pyfunction]
pub(super) fn message_split<'py>(py: Python<'py>, data: &[u8]) -> PyResult<(Vec<PartHead<'py>>, u16)> {
    let (heads, sum) = modelled::split(data)?;
    let heads = heads
        .into_iter()
        .map(|head| (head.states, head.outside.into_pyarray(py), head.words.start, head.words.end));
    Ok((heads.collect(), sum))
}
