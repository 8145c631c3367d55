//! The `.lic` file.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::enter;
use super::image::Image;
use crate::container::{self, Body, CodedPicture, JpegBody};
use crate::Limits;

/// A picture's coder, the coder's fingerprint, and the coded coefficients.
type Coded<T> = (u64, u32, T);

/// A parsed `.lic` file. `kind` is "stored", "jpeg" or "image"; fields of other kinds are empty.
#[pyclass(frozen, get_all, module = "lic_native._native")]
pub(super) struct Container {
    kind: &'static str,
    size: u64,
    checksum: u64,
    stored: Option<Py<PyBytes>>,
    skeleton: Py<PyBytes>,
    pictures: Vec<Coded<Py<PyBytes>>>,
    image: Option<Py<Image>>,
}

/// A file that keeps `original` as it is, or as zstd makes it.
#[pyfunction]
pub(super) fn store<'py>(py: Python<'py>, original: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &enter(py, || container::store(original))?))
}

/// A file that restores `original` from its skeleton and coded pictures.
#[pyfunction]
pub(super) fn pack_jpeg<'py>(
    py: Python<'py>,
    original: &[u8],
    skeleton: Vec<u8>,
    pictures: Vec<Coded<Vec<u8>>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let coded = |(coder, fingerprint, data)| CodedPicture { coder, fingerprint, data };
    let body = JpegBody { skeleton, pictures: pictures.into_iter().map(coded).collect() };
    Ok(PyBytes::new(py, &enter(py, || container::pack_jpeg(original, &body))?))
}

/// Read a `.lic` file; nothing larger than `max_output` bytes is unpacked.
#[pyfunction]
pub(super) fn unpack(py: Python<'_>, data: &[u8], max_output: u64) -> PyResult<Container> {
    let container =
        enter(py, || container::unpack(data, &Limits { max_output_bytes: max_output, ..Limits::default() }))?;
    let bytes = |data: &[u8]| PyBytes::new(py, data).unbind();
    let empty = Container {
        kind: "stored",
        size: container.size,
        checksum: container.checksum,
        stored: None,
        skeleton: bytes(&[]),
        pictures: Vec::new(),
        image: None,
    };
    Ok(match container.body {
        Body::Stored(original) => Container { stored: Some(bytes(&original)), ..empty },
        Body::Jpeg(body) => Container {
            kind: "jpeg",
            skeleton: bytes(&body.skeleton),
            pictures: body.pictures.iter().map(|p| (p.coder, p.fingerprint, bytes(&p.data))).collect(),
            ..empty
        },
        Body::Image(image) => {
            Container { kind: "image", image: Some(Py::new(py, Image::new(py, &image)?)?), ..empty }
        }
    })
}

/// Raise CorruptError unless `restored` has this size and checksum.
#[pyfunction]
pub(super) fn verify(py: Python<'_>, restored: &[u8], size: u64, checksum: u64) -> PyResult<()> {
    enter(py, || container::verify(restored, size, checksum))
}
