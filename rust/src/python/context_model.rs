//! The context model, which codes coefficients without a network.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::slice;
use super::enter;
use super::jpeg::Frame;
use crate::jpeg::{self, context_model};

/// Encode the coefficients of a frame as bytes, which are decoded and compared.
///
/// `threads` 0 means one for each core. With `steps`, the coefficients are divided by the frame's steps.
#[pyfunction]
#[pyo3(signature = (frame, planes, threads, steps = false))]
pub(super) fn context_encode<'py>(
    py: Python<'py>,
    frame: &Frame,
    planes: Vec<PyReadonlyArrayDyn<'py, i16>>,
    threads: usize,
    steps: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let planes: Vec<&[i16]> = planes.iter().map(|plane| slice(plane, "plane")).collect::<PyResult<_>>()?;
    let frame = frame.to_rust(steps);
    Ok(PyBytes::new(py, &enter(py, || context_model::encode(&frame, &planes, threads))?))
}

/// Decode the int16 coefficients of each component that `context_encode` was given, with the same `steps`.
///
/// With `rows`, a first row of MCUs and an end, only the bands that hold these; the other coefficients are 0.
#[pyfunction]
#[pyo3(signature = (frame, data, threads, steps = false, rows = None))]
pub(super) fn context_decode<'py>(
    py: Python<'py>,
    frame: &Frame,
    data: &[u8],
    threads: usize,
    steps: bool,
    rows: Option<(usize, usize)>,
) -> PyResult<Vec<Bound<'py, PyArray1<i16>>>> {
    let frame = frame.to_rust(steps);
    let (start, end) = rows.unwrap_or((0, usize::MAX));
    let planes = enter(py, || context_model::decode_rows(&frame, data, start..end, threads))?;
    Ok(planes.into_iter().map(|plane| plane.into_pyarray(py)).collect())
}

/// Return the fingerprint of the prior that files are coded with.
#[pyfunction]
pub(super) fn context_fingerprint() -> u32 {
    context_model::fingerprint()
}

type Counts<'py> = Vec<(Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u32>>)>;

/// Count, for luma and chroma, each of the 16 symbols of each context and each of its two bits in JPEG files.
#[pyfunction]
pub(super) fn context_statistics<'py>(
    py: Python<'py>,
    prior: Vec<u8>,
    files: Vec<Vec<u8>>,
) -> PyResult<Counts<'py>> {
    let statistics = enter(py, || {
        let mut statistics = context_model::Statistics::new(&prior)?;
        for file in &files {
            let file = jpeg::read(file, &crate::Limits::default())?;
            statistics.add(&file.frame, &file.planes)?;
        }
        Ok(statistics)
    })?;
    let arrays = |(rows, bits): (&[[u32; 16]], &[[u32; 2]])| {
        (rows.as_flattened().to_vec().into_pyarray(py), bits.as_flattened().to_vec().into_pyarray(py))
    };
    Ok(statistics.counts().map(arrays).into())
}
