//! The `.lic` file.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::enter;
use crate::container::{self, Body, CodedPicture, ImageBody, JpegBody};
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

/// What a file has of an image: see [`ImageBody`].
#[pyclass(frozen, get_all, module = "lic_native._native")]
pub(super) struct Image {
    width: u32,
    height: u32,
    channels: u8,
    model: u64,
    fingerprint: u32,
    quality: u32,
    checksum: u32,
    metadata: Py<PyBytes>,
    alpha: Py<PyBytes>,
    latents: Py<PyBytes>,
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

/// A file of an image: see [`ImageBody`].
#[pyfunction]
#[pyo3(signature = (width, height, channels, model, fingerprint, quality, checksum, metadata, alpha, latents))]
#[allow(clippy::too_many_arguments)] // as many as the file has fields; Python names them
pub(super) fn pack_image(
    py: Python<'_>,
    width: u32,
    height: u32,
    channels: u8,
    model: u64,
    fingerprint: u32,
    quality: u32,
    checksum: u32,
    metadata: Vec<u8>,
    alpha: Vec<u8>,
    latents: Vec<u8>,
) -> PyResult<Bound<'_, PyBytes>> {
    let image = ImageBody {
        width,
        height,
        channels,
        model,
        fingerprint,
        quality,
        checksum,
        metadata,
        alpha,
        latents,
    };
    Ok(PyBytes::new(py, &enter(py, || container::pack_image(&image))?))
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
            let image = Image {
                width: image.width,
                height: image.height,
                channels: image.channels,
                model: image.model,
                fingerprint: image.fingerprint,
                quality: image.quality,
                checksum: image.checksum,
                metadata: bytes(&image.metadata),
                alpha: bytes(&image.alpha),
                latents: bytes(&image.latents),
            };
            Container { kind: "image", image: Some(Py::new(py, image)?), ..empty }
        }
    })
}

/// Raise CorruptError unless `restored` has this size and checksum.
#[pyfunction]
pub(super) fn verify(py: Python<'_>, restored: &[u8], size: u64, checksum: u64) -> PyResult<()> {
    enter(py, || container::verify(restored, size, checksum))
}
