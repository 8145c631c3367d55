//! Exact networks: one as a whole, and the layers between the matrix products of those that run on torch.

use numpy::{
    IntoPyArray, PyArray3, PyArrayDyn, PyArrayMethods, PyReadonlyArray3, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{slice, slice_mut};
use super::enter;
use super::weights::{Named, weights};
use crate::Limits;
use crate::ans::Backend;
use crate::nn::pointwise::{self, Grid, MixtureUnits, Normaliser};
use crate::nn::{self, Sampling, Symbols};

/// `(1 / step, bound, step)` of a [`Grid`].
type Scale = (f32, f32, f32);

fn grid((inverse, bound, step): Scale) -> PyResult<Grid> {
    check((0.0..=Grid::LARGEST_BOUND).contains(&bound), "a bound is not within 0 to 2^22")?;
    Ok(Grid { inverse, bound, step })
}

fn normaliser(inverse: &[f32], limit: f32, fine: Scale, coarse: Scale) -> PyResult<Normaliser<'_>> {
    check(limit >= 0.0, "the limit is negative or not a number")?;
    Ok(Normaliser { inverse, limit, fine: grid(fine)?, coarse: grid(coarse)? })
}

fn check(holds: bool, what: &'static str) -> PyResult<()> {
    if holds { Ok(()) } else { Err(PyValueError::new_err(what)) }
}

/// Returns an array of this shape, whose elements `fill` sets.
fn filled<'py, T: numpy::Element + Copy + Default>(
    py: Python<'py>,
    shape: &[usize],
    fill: impl FnOnce(&mut [T]) + Send,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let mut out = vec![T::default(); shape.iter().product()];
    py.detach(|| fill(&mut out));
    out.into_pyarray(py).reshape(shape)
}

/// Apply a leaky rectifier and rounding to float32 `x` in place.
#[pyfunction]
pub(super) fn activate(
    py: Python<'_>,
    x: &Bound<'_, PyArrayDyn<f32>>,
    slope: f32,
    scale: Scale,
) -> PyResult<()> {
    let mut x = x.try_readwrite()?;
    let x = slice_mut(&mut x, "x")?;
    let grid = grid(scale)?;
    py.detach(|| pointwise::activate(x, slope, grid));
    Ok(())
}

/// Return coefficients `[..., n]` as `(fine, coarse, magnitude)`, each `[..., n]`.
#[pyfunction]
pub(super) fn normalise<'py>(
    py: Python<'py>,
    x: PyReadonlyArrayDyn<'py, f32>,
    inverse: PyReadonlyArrayDyn<'py, f32>,
    limit: f32,
    fine: Scale,
    coarse: Scale,
) -> PyResult<[Bound<'py, PyArrayDyn<f32>>; 3]> {
    let (values, inverse) = (slice(&x, "x")?, slice(&inverse, "inverse")?);
    check(
        x.shape().last() == Some(&inverse.len()) && !inverse.is_empty(),
        "x [..., n] and inverse [n] differ in n, or n is 0",
    )?;
    let normaliser = normaliser(inverse, limit, fine, coarse)?;
    let (mut a, mut b, mut c) = (vec![0.0; values.len()], vec![0.0; values.len()], vec![0.0; values.len()]);
    py.detach(|| normaliser.normalise(values, &mut a, &mut b, &mut c));
    let [a, b, c] = [a, b, c].map(|values| values.into_pyarray(py).reshape(x.shape()));
    Ok([a?, b?, c?])
}

/// Return the outputs `raw` `[..., n, 5]` and `mean` `[..., n]` of a network as int16 parameters `[..., n, 5]`.
#[pyfunction]
pub(super) fn mixture_params<'py>(
    py: Python<'py>,
    raw: PyReadonlyArrayDyn<'py, f32>,
    mean: Option<PyReadonlyArrayDyn<'py, f32>>,
    gain: PyReadonlyArrayDyn<'py, f32>,
    offset: PyReadonlyArrayDyn<'py, f32>,
    octave: f32,
) -> PyResult<Bound<'py, PyArrayDyn<i16>>> {
    let (values, gain, offset) = (slice(&raw, "raw")?, slice(&gain, "gain")?, slice(&offset, "offset")?);
    let mean = mean.as_ref().map(|mean| slice(mean, "mean")).transpose()?;
    check(
        raw.shape().ends_with(&[gain.len(), 5]) && offset.len() == gain.len() && !gain.is_empty(),
        "raw is not [..., n, 5] with gain and offset of [n], or n is 0",
    )?;
    check(
        mean.is_none_or(|mean| 5 * mean.len() == values.len()),
        "raw is not [..., n, 5] with mean of [..., n]",
    )?;
    let units = MixtureUnits::new(gain, offset, octave);
    filled(py, raw.shape(), |out| units.params(values, mean, out))
}

/// Returns the backend of a name, by default this one.
fn backend_of(name: Option<&str>, default: Backend) -> PyResult<Backend> {
    let missing = |name| PyValueError::new_err(format!("this processor has no backend '{name}'"));
    name.map_or(Ok(default), |name| Backend::named(name).ok_or_else(|| missing(name)))
}

/// The network of JPEG coefficients, computed in integers.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Mlcc(nn::Mlcc, Backend);

#[pymethods]
impl Mlcc {
    /// Take the bytes of a file of weights, of at most `max_bytes` when decoded. `backend` names instructions as `LIC_SIMD`
    /// does.
    #[new]
    #[pyo3(signature = (weights, max_bytes, threads = 0, backend = None))]
    fn new(
        py: Python<'_>,
        weights: &[u8],
        max_bytes: u64,
        threads: usize,
        backend: Option<&str>,
    ) -> PyResult<Self> {
        let backend = backend_of(backend, Backend::default())?;
        let limits = Limits { max_output_bytes: max_bytes, ..Limits::default() };
        Ok(Self(enter(py, || nn::Mlcc::from_bytes(weights, &limits, threads))?, backend))
    }

    /// The 32 bits by which files refer to the weights.
    #[getter]
    fn fingerprint(&self) -> u32 {
        self.0.fingerprint()
    }

    /// Return a picture's coefficients, `[rows, columns, 64]` of each component, as a stream.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        sampling: &str,
        tables: Vec<[u16; 64]>,
        blocks: Vec<PyReadonlyArray3<'py, i16>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let sampling = sampling_of(sampling)?;
        let planes = blocks.iter().map(plane).collect::<PyResult<_>>()?;
        let stream = enter(py, || self.0.encode(self.1, sampling, &tables, planes))?;
        Ok(PyBytes::new(py, &stream))
    }

    /// Return whether the histograms of coefficients (blocks in zig-zag order, of each component) are combs: an encoder then
    /// tries combs.
    #[staticmethod]
    fn is_comb(py: Python<'_>, blocks: Vec<PyReadonlyArray3<'_, i16>>) -> PyResult<bool> {
        let planes = blocks.iter().map(plane).collect::<PyResult<Vec<_>>>()?;
        enter(py, || Ok(crate::nn::is_comb(planes.iter().map(|plane| &plane.values[..]))))
    }

    /// Return the coefficients of a picture whose components have these (rows, columns) of blocks. `backend` replaces that of
    /// the network.
    #[pyo3(signature = (sampling, tables, sizes, stream, backend = None))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        sampling: &str,
        tables: Vec<[u16; 64]>,
        sizes: Vec<(usize, usize)>,
        stream: &[u8],
        backend: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyArray3<i16>>>> {
        let sampling = sampling_of(sampling)?;
        let backend = backend_of(backend, self.1)?;
        let planes = enter(py, || self.0.decode(backend, sampling, &tables, &sizes, stream))?;
        let array = |plane: Symbols| plane.values.into_pyarray(py).reshape([plane.size.0, plane.size.1, 64]);
        planes.into_iter().map(array).collect()
    }
}

/// The probability model of the latents of images, computed in integers.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Msp(nn::Msp, Backend);

#[pymethods]
impl Msp {
    /// The largest number of rows or columns of latents.
    #[classattr]
    const LARGEST_SIDE: usize = nn::LARGEST_SIDE;

    /// Take a file's weights, as `Mlcc` does.
    #[new]
    #[pyo3(signature = (weights, max_bytes, threads = 0, backend = None))]
    fn new(
        py: Python<'_>,
        weights: &[u8],
        max_bytes: u64,
        threads: usize,
        backend: Option<&str>,
    ) -> PyResult<Self> {
        let backend = backend_of(backend, Backend::default())?;
        let limits = Limits { max_output_bytes: max_bytes, ..Limits::default() };
        Ok(Self(enter(py, || nn::Msp::from_bytes(weights, &limits, threads))?, backend))
    }

    /// Take a configuration as JSON, and named float32 and int32 arrays, as `weights_encode` does.
    #[staticmethod]
    fn from_arrays(py: Python<'_>, config: String, arrays: Vec<Named<'_>>) -> PyResult<Self> {
        let weights = weights(config, arrays)?;
        Ok(Self(enter(py, || nn::Msp::new(weights))?, Backend::default()))
    }

    /// The 32 bits by which files refer to the weights.
    #[getter]
    fn fingerprint(&self) -> u32 {
        self.0.fingerprint()
    }

    /// The number of channels of latents.
    #[getter]
    fn channels(&self) -> usize {
        self.0.channels()
    }

    /// Return latents `[rows, columns, channels]` as a stream; `index` is the quality as files name it.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        latents: PyReadonlyArray3<'py, i16>,
        index: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let &[rows, columns, channels] = latents.shape() else { unreachable!("an array of 3 dimensions") };
        check(channels == self.0.channels(), "latents are not [rows, columns, channels] of this model")?;
        let latents = Symbols { size: (rows, columns), values: latents.as_array().iter().copied().collect() };
        let stream = enter(py, || self.0.encode(self.1, index, latents))?;
        Ok(PyBytes::new(py, &stream))
    }

    /// Return the latents of a stream, of `size` (rows, columns). `backend` replaces that of the network.
    #[pyo3(signature = (stream, index, size, backend = None))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        stream: &[u8],
        index: usize,
        size: (usize, usize),
        backend: Option<&str>,
    ) -> PyResult<Bound<'py, PyArray3<i16>>> {
        let backend = backend_of(backend, self.1)?;
        let latents = enter(py, || self.0.decode(backend, index, size, stream))?;
        latents.values.into_pyarray(py).reshape([size.0, size.1, self.0.channels()])
    }
}

fn sampling_of(name: &str) -> PyResult<Sampling> {
    Sampling::named(name).ok_or_else(|| PyValueError::new_err(format!("unknown sampling '{name}'")))
}

fn plane(blocks: &PyReadonlyArray3<'_, i16>) -> PyResult<Symbols> {
    let &[rows, columns, 64] = blocks.shape() else {
        return Err(PyValueError::new_err("blocks are not [rows, columns, 64]"));
    };
    Ok(Symbols { size: (rows, columns), values: blocks.as_array().iter().copied().collect() })
}
