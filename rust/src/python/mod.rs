//! `lic_native._native`: the crate as a Python extension. Translation only; no logic lives here.

mod arrays;
mod coder;
mod container;
mod elementwise;
mod exceptions;
mod image;
mod jpeg;
mod message;
mod model;
mod native;
mod tables;
mod tensor;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use crate::{ans, interrupt, Result};

/// The one door for long work: the GIL is released, Ctrl-C ends it early, and the crate's error becomes a Python
/// exception.
fn enter<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let result = py.detach(|| interrupt::watched(is_wanted, work));
    // Whatever work made of having ended early.
    match RAISED.take() {
        Some(raised) => Err(raised),
        None => Ok(result?),
    }
}

thread_local! {
    /// What a signal's handler or `threads.check` has raised in the midst of work.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Whether Python still wants what this thread does.
fn is_wanted() -> bool {
    static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let answer = Python::try_attach(|py| {
        py.check_signals()?;
        CHECK.import(py, "lic_native.threads", "check")?.call0().map(drop)
    });
    // There is no answer where Python is about to end.
    let raised = answer.and_then(PyResult::err);
    let wanted = raised.is_none();
    RAISED.set(raised);
    wanted
}

/// Bytes of this length, written in place.
fn bytes(py: Python<'_>, len: usize, write: impl FnOnce(&mut [u8]) + Send) -> PyResult<Bound<'_, PyBytes>> {
    PyBytes::new_with(py, len, |bytes| {
        py.detach(|| write(bytes));
        Ok(())
    })
}

/// Native half of lic_native.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::coder::{Decoder, Encoder};
    #[pymodule_export]
    use super::container::{pack_jpeg, store, unpack, verify, Container};
    #[pymodule_export]
    use super::elementwise::{activate, features, mixture_params, normalise};
    #[pymodule_export]
    use super::exceptions::{CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError};
    #[pymodule_export]
    use super::image::{pack_image, Image, LatentsChecksum};
    #[pymodule_export]
    use super::jpeg::{document_layout, document_read, document_write};
    #[pymodule_export]
    use super::jpeg::{jpeg_layout, jpeg_read, jpeg_write, Component, Frame};
    #[pymodule_export]
    use super::message::{message_decode, message_encode, message_head};
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::native::{native_decode, native_encode, native_fingerprint, native_statistics};
    #[pymodule_export]
    use super::tables::Tables;
    #[pymodule_export]
    use super::tensor::{tensor_decode, tensor_encode};
    #[pymodule_export]
    use super::{available_parallelism, fingerprint};
}

/// XXH3-64 of a buffer.
#[pyfunction]
fn fingerprint(py: Python<'_>, data: &[u8]) -> u64 {
    py.detach(|| xxhash_rust::xxh3::xxh3_64(data))
}

/// Processors that this process may use: its affinity and its cgroup's quota count.
#[pyfunction]
fn available_parallelism() -> usize {
    ans::cores()
}
