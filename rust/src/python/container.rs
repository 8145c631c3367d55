//! The `.lic` file.

use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::slice;
use super::enter;
use super::image::Image;
use super::jpeg::{Frame, limits};
use crate::carve;
use crate::container::{self, Body, CodedPicture, Hashes, Identity, JpegBody, Kind};

/// A picture's coder, the coder's fingerprint, and the coded coefficients; or the index of an earlier picture that has the
/// same coefficients.
#[derive(FromPyObject, IntoPyObject)]
pub(super) enum Picture {
    Coded(u64, u32, Vec<u8>),
    DuplicateOf(u16),
}

impl From<Picture> for CodedPicture {
    fn from(picture: Picture) -> Self {
        match picture {
            Picture::Coded(coder, fingerprint, data) => Self::Coded { coder, fingerprint, data },
            Picture::DuplicateOf(index) => Self::DuplicateOf(index),
        }
    }
}

impl From<CodedPicture> for Picture {
    fn from(picture: CodedPicture) -> Self {
        match picture {
            CodedPicture::Coded { coder, fingerprint, data } => Self::Coded(coder, fingerprint, data),
            CodedPicture::DuplicateOf(index) => Self::DuplicateOf(index),
        }
    }
}

/// A parsed `.lic` file.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Container(container::Container);

#[pymethods]
impl Container {
    /// "stored", "jpeg" or "image".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.body {
            Body::Stored(_) => name(Kind::Stored),
            Body::Jpeg(_) => name(Kind::Jpeg),
            Body::Image(_) => name(Kind::Image),
        }
    }

    /// Length of the restored file, or of an image's samples.
    #[getter]
    fn size(&self) -> u64 {
        self.0.identity.size
    }

    /// XXH3-64 of the restored file, or the low half of that of an image's latents.
    #[getter]
    fn checksum(&self) -> u64 {
        self.0.identity.checksum
    }

    /// SHA-256 of the restored file, if the file holds it.
    #[getter]
    fn sha256(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        bytes(py, self.0.identity.sha256.as_ref())
    }

    /// SHA-1 of the restored file, if the file holds it.
    #[getter]
    fn sha1(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        bytes(py, self.0.identity.sha1.as_ref())
    }

    /// Raise CorruptError unless `restored` has the size, the checksum and the hashes that the file holds.
    fn verify(&self, py: Python<'_>, restored: &[u8]) -> PyResult<()> {
        enter(py, || self.0.identity.verify(restored))
    }

    /// The original bytes, if the kind is "stored".
    #[getter]
    fn stored<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.0.body {
            Body::Stored(original) => Some(PyBytes::new(py, original)),
            _ => None,
        }
    }

    /// The file without its pictures' coefficients; empty unless the kind is "jpeg".
    #[getter]
    fn reconstruction<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.0.body {
            Body::Jpeg(body) => PyBytes::new(py, &body.reconstruction),
            _ => PyBytes::new(py, &[]),
        }
    }

    /// The pictures of a file of kind "jpeg".
    #[getter]
    fn pictures(&self) -> Vec<Picture> {
        match &self.0.body {
            Body::Jpeg(body) => body.pictures.iter().cloned().map(Picture::from).collect(),
            _ => Vec::new(),
        }
    }

    /// The content of a file of kind "image".
    #[getter]
    fn image(&self, py: Python<'_>) -> PyResult<Option<Image>> {
        match &self.0.body {
            Body::Image(image) => Image::new(py, image).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the file is of kind "jpeg", and begins with its first picture.
    #[getter]
    fn begins_with_picture(&self) -> PyResult<bool> {
        match &self.0.body {
            Body::Jpeg(body) => Ok(carve::begins_with_jpeg(&body.reconstruction)?),
            _ => Ok(false),
        }
    }

    /// Return the frames of the pictures of a file of kind "jpeg".
    fn frames(&self, py: Python<'_>, max_blocks: u64) -> PyResult<Vec<Frame>> {
        let Body::Jpeg(body) = &self.0.body else { return Ok(Vec::new()) };
        let frames = enter(py, || body.frames(self.0.identity.size, &limits(Some(max_blocks), None)))?;
        Ok(frames.into_iter().map(Frame::from).collect())
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Stored => "stored",
        Kind::Jpeg => "jpeg",
        Kind::Image => "image",
        Kind::Tensor => "tensor",
        Kind::Symbols => "symbols",
    }
}

/// Return the kind of data from their first six bytes: "stored", "jpeg", "image", "tensor" or "symbols".
#[pyfunction]
pub(super) fn kind(head: &[u8]) -> PyResult<&'static str> {
    Ok(name(container::kind(head)?))
}

fn bytes<const N: usize>(py: Python<'_>, hash: Option<&[u8; N]>) -> Option<Py<PyBytes>> {
    hash.map(|hash| PyBytes::new(py, hash).unbind())
}

/// Size, XXH3-64, SHA-256 and SHA-1 of a restored file; None for hashes that the `.lic` file does not hold.
pub(super) type Identified = (u64, u64, Option<Py<PyBytes>>, Option<Py<PyBytes>>);

pub(super) fn identified(py: Python<'_>, identity: &Identity) -> Identified {
    let Identity { size, checksum, sha256, sha1 } = identity;
    (*size, *checksum, bytes(py, sha256.as_ref()), bytes(py, sha1.as_ref()))
}

/// Return (size, checksum, SHA-256 or None, SHA-1 or None) of the file that a `.lic` file restores, from the beginning of the
/// `.lic` file, of which 76 bytes are enough.
#[pyfunction]
pub(super) fn identify(py: Python<'_>, part: &[u8]) -> PyResult<Identified> {
    Ok(identified(py, &container::identify(part)?))
}

/// Return a file that stores `original`, compressed by zstd if that is smaller; with these hashes of it.
#[pyfunction]
#[pyo3(signature = (original, sha256 = false, sha1 = false))]
pub(super) fn store<'py>(
    py: Python<'py>,
    original: &[u8],
    sha256: bool,
    sha1: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &enter(py, || container::store(original, Hashes { sha256, sha1 }))?))
}

/// Return a file that restores `original` from its reconstruction data and coded pictures; with these hashes of it.
#[pyfunction]
#[pyo3(signature = (original, reconstruction, pictures, sha256 = false, sha1 = false))]
pub(super) fn pack_jpeg<'py>(
    py: Python<'py>,
    original: &[u8],
    reconstruction: Vec<u8>,
    pictures: Vec<Picture>,
    sha256: bool,
    sha1: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let body = JpegBody { reconstruction, pictures: pictures.into_iter().map(CodedPicture::from).collect() };
    Ok(PyBytes::new(py, &enter(py, || container::pack_jpeg(original, &body, Hashes { sha256, sha1 }))?))
}

/// Read a `.lic` file; nothing larger than `max_output` bytes is unpacked.
#[pyfunction]
pub(super) fn unpack(py: Python<'_>, data: &[u8], max_output: u64) -> PyResult<Container> {
    Ok(Container(enter(py, || container::unpack(data, &limits(None, Some(max_output))))?))
}

/// Return the beginning of the file that a `.lic` file restores, from the beginning of the `.lic` file, up to the first
/// coefficients, with zeros in place of nested JPEGs; at most `max_output` bytes.
#[pyfunction]
pub(super) fn head<'py>(py: Python<'py>, part: &[u8], max_output: usize) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &enter(py, || container::head(part, max_output))?))
}

/// Return the frames of the pictures of a file of `size` bytes from its reconstruction data.
#[pyfunction]
pub(super) fn frames(
    py: Python<'_>,
    reconstruction: &[u8],
    size: u64,
    max_blocks: u64,
) -> PyResult<Vec<Frame>> {
    let frames = enter(py, || container::frames(reconstruction, size, &limits(Some(max_blocks), None)))?;
    Ok(frames.into_iter().map(Frame::from).collect())
}

/// Return, for each picture, the index of an earlier picture with the same coefficients, or None.
#[pyfunction]
pub(super) fn duplicates(
    py: Python<'_>,
    pictures: Vec<Vec<PyReadonlyArrayDyn<'_, i16>>>,
) -> PyResult<Vec<Option<u16>>> {
    let pictures: Vec<Vec<&[i16]>> = pictures
        .iter()
        .map(|planes| planes.iter().map(|plane| slice(plane, "plane")).collect())
        .collect::<PyResult<_>>()?;
    enter(py, || Ok(container::duplicates(&pictures)))
}

/// Begins and ends of the tiles of a side, one at a time: a file that lies about its size costs no memory.
#[pyclass(module = "lic_native._native")]
pub(super) struct Cuts(container::Cuts);

#[pymethods]
impl Cuts {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self) -> Option<(usize, usize)> {
        self.0.next().map(|tile| (tile.start, tile.end))
    }
}

/// Iterate over begins and ends of the tiles of a side of `size` units: as few of at most `most` units as possible, and
/// those as equal as multiples of `multiple` allow.
#[pyfunction]
#[pyo3(signature = (size, most, multiple = 1))]
pub(super) fn cuts(size: usize, most: usize, multiple: usize) -> PyResult<Cuts> {
    Ok(Cuts(container::cuts(size, most, multiple)?))
}

/// Return one section of several streams.
#[pyfunction]
pub(super) fn join_streams(py: Python<'_>, streams: Vec<Vec<u8>>) -> PyResult<Bound<'_, PyBytes>> {
    Ok(PyBytes::new(py, &enter(py, || container::join_streams(&streams))?))
}

/// Return the `count` streams that `join_streams` received. Raises TruncatedError if the section is too short.
#[pyfunction]
pub(super) fn split_streams<'py>(
    py: Python<'py>,
    section: &[u8],
    count: usize,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let streams = enter(py, || container::split_streams(section, count))?;
    Ok(streams.into_iter().map(|stream| PyBytes::new(py, stream)).collect())
}
