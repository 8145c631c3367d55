//! Stored files that pass from one Python function to another.

use std::io::{self, Read, Write};

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::container::{Identified, identified};
use super::enter;
use super::jpeg::limits;
use crate::carve::Finder;
use crate::container::{self, Hasher, Hashes, StreamError};

/// What must be known of a file before it can be stored: its identity, and whether it holds a JPEG.
#[pyclass(module = "lic_native._native")]
pub(super) struct Intake {
    hasher: Hasher,
    finder: Finder,
}

#[pymethods]
impl Intake {
    #[new]
    #[pyo3(signature = (sha256 = false, sha1 = false))]
    fn new(sha256: bool, sha1: bool) -> Self {
        Self { hasher: Hasher::new(Hashes { sha256, sha1 }), finder: Finder::default() }
    }

    /// Add the next bytes of the file.
    fn update(&mut self, py: Python<'_>, piece: &[u8]) -> PyResult<()> {
        enter(py, || {
            self.finder.update(piece);
            self.hasher.update(piece)
        })
    }

    /// Return whether the file, all of which was added, seems to hold a JPEG.
    fn holds_jpeg(&mut self) -> bool {
        self.finder.finish()
    }

    /// Write a file that stores the same bytes, which `read(count)` returns once more; return its length.
    ///
    /// `write` takes bytes. `compressed`: as a zstd frame, or else verbatim.
    fn store(&self, py: Python<'_>, read: Py<PyAny>, write: Py<PyAny>, compressed: bool) -> PyResult<u64> {
        let identity = self.hasher.clone().finish();
        into_result(enter(py, || {
            Ok(container::store_stream(Reader(read), &identity, compressed, Writer(write)))
        })?)
    }
}

/// Restore a stored file, which `read(count)` returns, by `write`; return what `identify` returns.
///
/// `write` gets bytes before they are verified.
#[pyfunction]
pub(super) fn restore_stream(
    py: Python<'_>,
    read: Py<PyAny>,
    write: Py<PyAny>,
    max_output: u64,
) -> PyResult<Identified> {
    let limits = limits(None, Some(max_output));
    let result = enter(py, || Ok(container::restore_stream(Reader(read), &limits, Writer(write))))?;
    Ok(identified(py, &into_result(result)?))
}

fn into_result<T>(result: Result<T, StreamError>) -> PyResult<T> {
    result.map_err(|error| match error {
        StreamError::Data(error) => error.into(),
        StreamError::Io(error) => error.downcast::<PyErr>().unwrap_or_else(Into::into),
    })
}

struct Reader(Py<PyAny>);

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let piece = self.0.call1(py, (out.len(),))?;
            let piece = piece.cast_bound::<PyBytes>(py).map_err(PyErr::from)?.as_bytes();
            let Some(begin) = out.get_mut(..piece.len()) else {
                return Err(PyErr::new::<pyo3::exceptions::PyValueError, _>(
                    "read returned more than was asked for",
                ));
            };
            begin.copy_from_slice(piece);
            Ok(piece.len())
        })
        .map_err(io::Error::other)
    }
}

struct Writer(Py<PyAny>);

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Python::attach(|py| self.0.call1(py, (PyBytes::new(py, data),)).map(drop))
            .map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
