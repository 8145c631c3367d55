//! The sections of a `.lic` file of an image.

use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arrays::slice;
use super::enter;
use crate::container::{self, ImageBody, Metadata};

/// The content of a `.lic` file of an image: see [`ImageBody`].
#[pyclass(frozen, get_all, module = "lic_native._native")]
pub(super) struct Image {
    width: u32,
    height: u32,
    channels: u8,
    model: u64,
    fingerprint: u32,
    quality: u32,
    checksum: u32,
    metadata: Py<PyDict>,
    alpha: Py<PyBytes>,
    latents: Py<PyBytes>,
}

impl Image {
    pub(super) fn new(py: Python<'_>, image: &ImageBody) -> PyResult<Self> {
        let bytes = |data: &[u8]| PyBytes::new(py, data).unbind();
        let metadata = PyDict::new(py);
        let Metadata { exif, icc_profile, xmp } = &image.metadata;
        for (name, section) in [("exif", exif), ("icc_profile", icc_profile), ("xmp", xmp)] {
            if !section.is_empty() {
                metadata.set_item(name, bytes(section))?;
            }
        }
        Ok(Self {
            width: image.width,
            height: image.height,
            channels: image.channels,
            model: image.model,
            fingerprint: image.fingerprint,
            quality: image.quality,
            checksum: image.checksum,
            metadata: metadata.unbind(),
            alpha: bytes(&image.alpha),
            latents: bytes(&image.latents),
        })
    }
}

/// Return the file of an image: see [`ImageBody`]. `metadata` has bytes by the names of [`Metadata`]'s fields.
#[pyfunction]
#[pyo3(signature = (width, height, channels, model, fingerprint, quality, checksum, metadata, alpha, latents))]
#[allow(clippy::too_many_arguments)] // as many as the file has fields; Python names them
pub(super) fn pack_image<'py>(
    py: Python<'py>,
    width: u32,
    height: u32,
    channels: u8,
    model: u64,
    fingerprint: u32,
    quality: u32,
    checksum: u32,
    metadata: &Bound<'py, PyDict>,
    alpha: Vec<u8>,
    latents: Vec<u8>,
) -> PyResult<Bound<'py, PyBytes>> {
    let section = |name| metadata.get_item(name)?.map_or_else(|| Ok(Vec::new()), |bytes| bytes.extract());
    let metadata =
        Metadata { exif: section("exif")?, icc_profile: section("icc_profile")?, xmp: section("xmp")? };
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

/// Computes the checksum of an image's latents, tile by tile.
#[pyclass(module = "lic_native._native")]
#[derive(Default)]
pub(super) struct LatentsChecksum(container::LatentsChecksum);

#[pymethods]
impl LatentsChecksum {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Add the next tile in raster order, `[C, H, W]`.
    fn update(&mut self, tile: PyReadonlyArrayDyn<'_, i16>) -> PyResult<()> {
        self.0.update(slice(&tile, "tile")?);
        Ok(())
    }

    /// Return the checksum of the tiles so far.
    fn value(&self) -> u32 {
        self.0.value()
    }

    /// Raise CorruptError unless the tiles have this checksum.
    fn verify(&self, stored: u32) -> PyResult<()> {
        Ok(self.0.verify(stored)?)
    }
}
