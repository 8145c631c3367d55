//! JPEG files, and JPEGs embedded in other files, as coefficients and reconstruction data.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::slice;
use super::enter;
use crate::Limits;
use crate::carve;
use crate::jpeg::{self, Steps};

/// One colour component of a frame; its sizes are in blocks and cover whole MCUs.
#[pyclass(frozen, get_all, module = "lic_native._native")]
#[derive(Clone)]
pub(super) struct Component {
    id: u8,
    h: u8,
    v: u8,
    blocks_w: usize,
    blocks_h: usize,
    /// Quantisation table, 64 values in zig-zag order.
    quant: Vec<u16>,
    /// Steps of the coefficients where scans are missing: the first row of MCUs, and 64 binary logarithms.
    steps: Vec<(usize, [u8; 64])>,
}

/// The declarations of a frame header.
#[pyclass(frozen, get_all, module = "lic_native._native")]
pub(super) struct Frame {
    width: u16,
    height: u16,
    precision: u8,
    progressive: bool,
    components: Vec<Component>,
}

impl From<jpeg::Frame> for Frame {
    fn from(frame: jpeg::Frame) -> Self {
        let components = frame.components.iter().map(|c| Component {
            id: c.id,
            h: c.h,
            v: c.v,
            blocks_w: c.blocks_w,
            blocks_h: c.blocks_h,
            quant: c.quant.to_vec(),
            steps: c.steps.iter().map(|steps| (steps.row, steps.shifts)).collect(),
        });
        Self {
            components: components.collect(),
            width: frame.width,
            height: frame.height,
            precision: frame.precision,
            progressive: frame.progressive,
        }
    }
}

impl Frame {
    /// Returns the frame, with or without its steps.
    pub(super) fn to_rust(&self, steps: bool) -> jpeg::Frame {
        let component = |c: &Component| jpeg::Component {
            id: c.id,
            h: c.h,
            v: c.v,
            quant_index: 0,
            blocks_w: c.blocks_w,
            blocks_h: c.blocks_h,
            quant: std::array::from_fn(|k| c.quant[k]),
            steps: c.steps.iter().filter(|_| steps).map(|&(row, shifts)| Steps { row, shifts }).collect(),
        };
        jpeg::Frame {
            width: self.width,
            height: self.height,
            precision: self.precision,
            progressive: self.progressive,
            components: self.components.iter().map(component).collect(),
        }
    }
}

pub(super) fn limits(max_blocks: Option<u64>, max_output: Option<u64>) -> Limits {
    let mut limits = Limits::default();
    limits.max_blocks = max_blocks.unwrap_or(limits.max_blocks);
    limits.max_output_bytes = max_output.unwrap_or(limits.max_output_bytes);
    limits
}

type Planes<'py> = Vec<Bound<'py, PyArray1<i16>>>;
type Read<'py> = (Frame, Planes<'py>, Bound<'py, PyBytes>);

/// Read a JPEG file -> (frame, int16 coefficients of each component, reconstruction data).
///
/// With `whole`, a file with missing coefficients is an error.
#[pyfunction]
#[pyo3(signature = (data, max_blocks = None, whole = false))]
pub(super) fn jpeg_read<'py>(
    py: Python<'py>,
    data: &[u8],
    max_blocks: Option<u64>,
    whole: bool,
) -> PyResult<Read<'py>> {
    let read = if whole { jpeg::read_whole } else { jpeg::read };
    let file = enter(py, || read(data, &limits(max_blocks, None)))?;
    let planes = file.planes.into_iter().map(|plane| plane.into_pyarray(py)).collect();
    Ok((file.frame.into(), planes, PyBytes::new(py, &file.reconstruction)))
}

/// Return the frame of the file that reconstruction data were read from.
#[pyfunction]
#[pyo3(signature = (reconstruction, max_blocks = None))]
pub(super) fn jpeg_layout(py: Python<'_>, reconstruction: &[u8], max_blocks: Option<u64>) -> PyResult<Frame> {
    Ok(enter(py, || jpeg::layout(reconstruction, &limits(max_blocks, None)))?.into())
}

/// Write the file from its reconstruction data and int16 coefficients.
#[pyfunction]
#[pyo3(signature = (reconstruction, planes, max_output = None))]
pub(super) fn jpeg_write<'py>(
    py: Python<'py>,
    reconstruction: &[u8],
    planes: Vec<PyReadonlyArrayDyn<'py, i16>>,
    max_output: Option<u64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let planes: Vec<&[i16]> = planes.iter().map(|plane| slice(plane, "plane")).collect::<PyResult<_>>()?;
    let file = enter(py, || jpeg::write(reconstruction, &planes, &limits(None, max_output)))?;
    Ok(PyBytes::new(py, &file))
}

/// Write a new sequential JPEG file of 8 bits a sample from the int16 coefficients of components, each given by (identifier,
/// sampling factors, quantisation table); `segments` follow SOI.
///
/// A plane has the blocks of whole MCUs, in raster order.
#[pyfunction]
pub(super) fn jpeg_create<'py>(
    py: Python<'py>,
    size: (u16, u16),
    components: Vec<(u8, u8, u8, Vec<u16>)>,
    planes: Vec<PyReadonlyArrayDyn<'py, i16>>,
    segments: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let planes: Vec<&[i16]> = planes.iter().map(|plane| slice(plane, "plane")).collect::<PyResult<_>>()?;
    let file = enter(py, || {
        let components: Vec<jpeg::NewComponent> = components
            .into_iter()
            .map(|(id, h, v, quant)| Ok(jpeg::NewComponent { id, h, v, quant: table(&quant)? }))
            .collect::<crate::Result<_>>()?;
        jpeg::create(size, &components, &planes, segments)
    })?;
    Ok(PyBytes::new(py, &file))
}

fn table(quant: &[u16]) -> crate::Result<[u16; 64]> {
    quant
        .try_into()
        .map_err(|_| crate::Error::InvalidArgument(format!("a table of {} quantisers", quant.len())))
}

/// Carve the JPEGs out of any file -> (for each JPEG, int16 coefficients of each component; reconstruction data).
#[pyfunction]
#[pyo3(signature = (data, max_blocks = None))]
pub(super) fn carve_read<'py>(
    py: Python<'py>,
    data: &[u8],
    max_blocks: Option<u64>,
) -> PyResult<(Vec<Planes<'py>>, Bound<'py, PyBytes>)> {
    let carved = enter(py, || Ok(carve::read(data, &limits(max_blocks, None))))?;
    let arrays = |planes: Vec<Vec<i16>>| planes.into_iter().map(|plane| plane.into_pyarray(py)).collect();
    let jpegs = carved.jpegs.into_iter().map(|jpeg| arrays(jpeg.planes)).collect();
    Ok((jpegs, PyBytes::new(py, &carved.reconstruction)))
}

/// Write a file from its reconstruction data and the int16 coefficients of its JPEGs.
#[pyfunction]
#[pyo3(signature = (reconstruction, jpegs, max_output = None))]
pub(super) fn carve_write<'py>(
    py: Python<'py>,
    reconstruction: &[u8],
    jpegs: Vec<Vec<PyReadonlyArrayDyn<'py, i16>>>,
    max_output: Option<u64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let jpegs: Vec<Vec<&[i16]>> = jpegs
        .iter()
        .map(|planes| planes.iter().map(|plane| slice(plane, "plane")).collect())
        .collect::<PyResult<_>>()?;
    let file = enter(py, || carve::write(reconstruction, &jpegs, &limits(None, max_output)))?;
    Ok(PyBytes::new(py, &file))
}

/// Return the JPEG that begins at a position of a file and is nested in its first JPEG -> (its index, the reconstruction
/// data of a file that consists of it alone), or None.
#[pyfunction]
pub(super) fn carve_nested<'py>(
    py: Python<'py>,
    reconstruction: &[u8],
    position: usize,
) -> PyResult<Option<(usize, Bound<'py, PyBytes>)>> {
    let found = enter(py, || carve::nested_at(reconstruction, position))?;
    Ok(found.map(|(index, alone)| (index, PyBytes::new(py, &alone))))
}
