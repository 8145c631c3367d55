//! The layers between the matrix products of exact networks.

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arrays::{slice, slice_mut};
use crate::exact_layers::{self, Grid, MixtureUnits, Normaliser};

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
    py.detach(|| exact_layers::activate(x, slope, grid));
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

/// Return blocks `[..., 64]` as channels of context.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "the parameters of a layer")]
pub(super) fn features<'py>(
    py: Python<'py>,
    x: PyReadonlyArrayDyn<'py, f32>,
    inverse: PyReadonlyArrayDyn<'py, f32>,
    pools: PyReadonlyArrayDyn<'py, f32>,
    limit: f32,
    fine: Scale,
    coarse: Scale,
    remainders: usize,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let (values, inverse, sums) = (slice(&x, "x")?, slice(&inverse, "inverse")?, slice(&pools, "pools")?);
    check(
        x.shape().last() == Some(&64) && pools.shape().last() == Some(&64),
        "x is not [..., 64], or pools not [n, 64]",
    )?;
    check(remainders <= inverse.len() && inverse.len() <= 64 && !sums.is_empty(), "bands are not 0 to 64")?;
    let mut shape = x.shape().to_vec();
    shape[x.ndim() - 1] = 2 * inverse.len() + sums.len() / 64 + 1 + remainders;
    let normaliser = normaliser(inverse, limit, fine, coarse)?;
    filled(py, &shape, |out| normaliser.features(values, sums, remainders, out))
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
    let units = MixtureUnits { gain, offset, octave };
    filled(py, raw.shape(), |out| units.params(values, mean, out))
}
