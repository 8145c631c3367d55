//! `lic_native._native`: the crate as a Python extension. It only translates; no logic lives here.

mod arrays;
mod coder;
mod container;
mod context_model;
mod exceptions;
mod image;
mod jpeg;
mod message;
mod model;
mod nn;
mod stream;
mod tables;
mod tensor;
mod weights;

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

use crate::{Limits, Result, interrupt, parallel};

/// Does long work: without the GIL, until Ctrl-C or `threads.check` cancels it. All long work goes through this function. An
/// error of the crate becomes a Python exception.
fn enter<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let result = py.detach(|| interrupt::watched(is_wanted, work));
    // If the work was cancelled, the exception that cancelled it replaces the result.
    match RAISED.take() {
        Some(raised) => Err(raised),
        None => Ok(result?),
    }
}

thread_local! {
    /// The exception that a signal handler or `threads.check` has raised during work.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Returns whether Python still wants the work of this thread.
fn is_wanted() -> bool {
    static CHECK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let answer = Python::try_attach(|py| {
        py.check_signals()?;
        CHECK.import(py, "lic_native.threads", "check")?.call0().map(drop)
    });
    // There is no answer if the interpreter is shutting down.
    let raised = answer.and_then(PyResult::err);
    let wanted = raised.is_none();
    RAISED.set(raised);
    wanted
}

/// Returns bytes of this length, which `write` fills in.
fn bytes(py: Python<'_>, len: usize, write: impl FnOnce(&mut [u8]) + Send) -> PyResult<Bound<'_, PyBytes>> {
    PyBytes::new_with(py, len, |bytes| {
        py.detach(|| write(bytes));
        Ok(())
    })
}

/// Native half of lic_native.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::coder::{Decoder, Encoder};
    #[pymodule_export]
    use super::container::{Container, identify, pack_jpeg, store, unpack};
    #[pymodule_export]
    use super::container::{Cuts, cuts, duplicates, frames, head, join_streams, kind, split_streams};
    #[pymodule_export]
    use super::context_model::{context_decode, context_encode, context_fingerprint, context_statistics};
    #[pymodule_export]
    use super::exceptions::{
        CorruptError, InexactDeviceError, LicError, LimitExceededError, TruncatedError, UnknownModelError,
        UnsupportedError, VersionError, WeightsMismatchError,
    };
    #[pymodule_export]
    use super::image::{Image, LatentsChecksum, pack_image};
    #[pymodule_export]
    use super::jpeg::{Component, Frame, jpeg_create, jpeg_layout, jpeg_read, jpeg_write};
    #[pymodule_export]
    use super::jpeg::{carve_nested, carve_read, carve_write};
    #[pymodule_export]
    use super::message::{message_decode, message_encode, message_head, message_join, message_split};
    #[pymodule_export]
    use super::model::PyModel;
    #[pymodule_export]
    use super::nn::{Mlcc, Msp, activate, mixture_params, normalise};
    #[pymodule_export]
    use super::stream::{Intake, restore_stream};
    #[pymodule_export]
    use super::tables::{Tables, cost_table, pair_tables};
    #[pymodule_export]
    use super::tensor::{tensor_decode, tensor_encode, tensor_head};
    #[pymodule_export]
    use super::weights::{weights_decode, weights_encode};
    #[pymodule_export]
    use super::{available_parallelism, default_limits, fingerprint};

    /// Sets the version that `Cargo.toml` states.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Return the XXH3-64 of a buffer.
#[pyfunction]
fn fingerprint(py: Python<'_>, data: &[u8]) -> u64 {
    py.detach(|| xxhash_rust::xxh3::xxh3_64(data))
}

/// Return the number of processors that this process may use, according to its affinity and its cgroup's quota.
#[pyfunction]
fn available_parallelism() -> usize {
    parallel::cores()
}

/// Return the limits of the crate unless a caller sets others: blocks of pictures, bytes of output.
#[pyfunction]
fn default_limits() -> (u64, u64) {
    let limits = Limits::default();
    (limits.max_blocks, limits.max_output_bytes)
}
