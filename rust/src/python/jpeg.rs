//! JPEG files as coefficients and the rest.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::slice;
use super::enter;
use crate::jpeg::{self, Limits};

/// One colour component of a frame; sizes in blocks, whole MCUs.
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
}

/// What a frame header says.
#[pyclass(frozen, get_all, module = "lic_native._native")]
pub(super) struct Frame {
    width: u16,
    height: u16,
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
        });
        Self {
            components: components.collect(),
            width: frame.width,
            height: frame.height,
            progressive: frame.progressive,
        }
    }
}

impl From<&Frame> for jpeg::Frame {
    fn from(frame: &Frame) -> Self {
        let component = |c: &Component| jpeg::Component {
            id: c.id,
            h: c.h,
            v: c.v,
            quant_index: 0,
            blocks_w: c.blocks_w,
            blocks_h: c.blocks_h,
            quant: std::array::from_fn(|k| c.quant[k]),
        };
        Self {
            width: frame.width,
            height: frame.height,
            progressive: frame.progressive,
            components: frame.components.iter().map(component).collect(),
        }
    }
}

fn limits(max_blocks: Option<u64>, max_output: Option<u64>) -> Limits {
    let mut limits = Limits::default();
    limits.max_blocks = max_blocks.unwrap_or(limits.max_blocks);
    limits.max_output = max_output.unwrap_or(limits.max_output);
    limits
}

type Read<'py> = (Frame, Vec<Bound<'py, PyArray1<i16>>>, Bound<'py, PyBytes>);

/// A JPEG file -> (frame, int16 coefficients of each component, skeleton).
#[pyfunction]
#[pyo3(signature = (data, max_blocks = None))]
pub(super) fn jpeg_read<'py>(py: Python<'py>, data: &[u8], max_blocks: Option<u64>) -> PyResult<Read<'py>> {
    let file = enter(py, || jpeg::read(data, &limits(max_blocks, None)))?;
    let planes = file.planes.into_iter().map(|plane| plane.into_pyarray(py)).collect();
    Ok((file.frame.into(), planes, PyBytes::new(py, &file.skeleton)))
}

/// The frame of the file that a skeleton was taken from.
#[pyfunction]
#[pyo3(signature = (skeleton, max_blocks = None))]
pub(super) fn jpeg_layout(py: Python<'_>, skeleton: &[u8], max_blocks: Option<u64>) -> PyResult<Frame> {
    Ok(enter(py, || jpeg::layout(skeleton, &limits(max_blocks, None)))?.into())
}

/// The file that a skeleton and int16 coefficients make.
#[pyfunction]
#[pyo3(signature = (skeleton, planes, max_output = None))]
pub(super) fn jpeg_write<'py>(
    py: Python<'py>,
    skeleton: &[u8],
    planes: Vec<PyReadonlyArrayDyn<'py, i16>>,
    max_output: Option<u64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let planes: Vec<&[i16]> = planes.iter().map(|plane| slice(plane, "plane")).collect::<PyResult<_>>()?;
    let file = enter(py, || jpeg::write(skeleton, &planes, &limits(None, max_output)))?;
    Ok(PyBytes::new(py, &file))
}
