//! Integer CDF tables.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::arrays::slice;
use super::enter;
use super::model::family_of;
use crate::Result;
use crate::tables;

/// The boundaries of all rows, end to end, and for each row their number and the first symbol.
type Parts<'py> = (Bound<'py, PyArray1<u16>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i32>>);

/// What `Tables.layout` returns.
type Layout<'py> = (Bound<'py, PyArray2<i32>>, Bound<'py, PyArray1<u16>>, Bound<'py, PyArray1<u64>>);

/// Integer CDFs, validated once: rows of 15-bit cumulative frequencies whose last slot is the escape.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Tables {
    pub(super) tables: tables::Tables,
    pub(super) fingerprint: u64,
}

impl Tables {
    /// Makes tables without the GIL, which may take seconds.
    fn of(py: Python<'_>, make: impl FnOnce() -> Result<tables::Tables> + Send) -> PyResult<Self> {
        enter(py, || {
            let tables = make()?;
            let fingerprint = tables.fingerprint();
            Ok(Self { tables, fingerprint })
        })
    }
}

#[pymethods]
impl Tables {
    /// Make the tables that `__reduce__` describes: `cdf` has the boundaries of all rows end to end, `lengths[i]` for row `i`.
    #[new]
    fn new(
        py: Python<'_>,
        cdf: PyReadonlyArray1<'_, u16>,
        lengths: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Self> {
        let (cdf, lengths, offsets) =
            (slice(&cdf, "cdf")?, slice(&lengths, "lengths")?, slice(&offsets, "offsets")?);
        Self::of(py, || {
            let cdf: Vec<i32> = cdf.iter().map(|&boundary| boundary.into()).collect();
            tables::Tables::new(&cdf, lengths, offsets)
        })
    }

    /// Return the class and the arguments that make the same tables, for pickle.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, Parts<'py>) {
        let (py, tables) = (slf.py(), &slf.get().tables);
        let (cdf, lengths, offsets) = py.detach(|| tables.to_parts());
        (slf.get_type(), (cdf.into_pyarray(py), lengths.into_pyarray(py), offsets.into_pyarray(py)))
    }

    /// Make discretised Gaussians: row `i * fractions + k` has standard deviation `scales[i]` and mean `k / fractions`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn gaussian(py: Python<'_>, scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Self::of(py, || tables::gaussian(&scales, fractions))
    }

    /// Make discretised Laplace distributions, in the same order as `gaussian`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn laplace(py: Python<'_>, scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Self::of(py, || tables::laplace(&scales, fractions))
    }

    /// Make discretised logistic distributions, in the same order as `gaussian`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn logistic(py: Python<'_>, scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Self::of(py, || tables::logistic(&scales, fractions))
    }

    /// Return the tables of a family, `gaussian`, `laplace` or `logistic`, for any mean and scale.
    #[staticmethod]
    fn located(py: Python<'_>, family: &str) -> PyResult<Self> {
        let family = family_of(family)?;
        Self::of(py, || Ok(tables::ScaleTables::get(family).tables().clone()))
    }

    /// Make rows of probabilities or counts, float64 `[rows, n]`, whose first symbols are int32 `offsets` `[rows]`.
    #[staticmethod]
    fn from_pmf(
        py: Python<'_>,
        pmf: PyReadonlyArray2<'_, f64>,
        offsets: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Self> {
        let (rows, symbols) = (pmf.shape()[0], pmf.shape()[1]);
        let (pmf, offsets) = (slice(&pmf, "pmf")?, slice(&offsets, "offsets")?);
        if offsets.len() != rows {
            return Err(PyValueError::new_err(format!("{} offsets for {rows} rows", offsets.len())));
        }
        Self::of(py, || tables::Tables::from_pmf(pmf, symbols, offsets))
    }

    /// Make rows from CompressAI's layout: int32 `cdf` `[rows, stride]`, int32 `lengths` `[rows]` and `offsets` `[rows]`. Row
    /// `i` has the first `lengths[i]` boundaries of `cdf[i]`, and its first symbol is `offsets[i]`. Rows of another
    /// precision than 15 bits are converted.
    #[staticmethod]
    fn from_cdf(
        py: Python<'_>,
        cdf: PyReadonlyArray2<'_, i32>,
        lengths: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Self> {
        let (rows, stride) = (cdf.shape()[0], cdf.shape()[1]);
        let (cdf, lengths, offsets) =
            (slice(&cdf, "cdf")?, slice(&lengths, "lengths")?, slice(&offsets, "offsets")?);
        if lengths.len() != rows {
            return Err(PyValueError::new_err(format!("{} lengths for {rows} rows", lengths.len())));
        }
        Self::of(py, || tables::Tables::from_padded(cdf, stride, lengths, offsets))
    }

    /// Return int32 `[rows, 5]`: first bucket, first symbol, first boundary, number of symbols, shift from slots to buckets;
    /// uint16 boundaries of all rows; and uint64 buckets: from the lowest 16 bits on, where the bucket's first interval
    /// begins, where it ends, where the next one ends, and its number.
    fn layout<'py>(slf: &Bound<'py, Self>) -> Layout<'py> {
        let (py, tables) = (slf.py(), &slf.get().tables);
        let (rows, boundaries, buckets) = py.detach(|| tables.layout());
        let rows = PyArray2::from_owned_array(py, rows.into());
        (rows, boundaries.to_vec().into_pyarray(py), buckets.into_pyarray(py))
    }

    /// Return the number of rows.
    fn __len__(&self) -> usize {
        self.tables.len()
    }

    /// Return the XXH3-64 of the rows.
    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// Return the tables of mixtures of two logistic distributions, each int32: reciprocals, radii and weights by index, then
/// the sigmoid at its knots and the growth to the next knot.
#[pyfunction]
pub(super) fn pair_tables(py: Python<'_>) -> [Bound<'_, PyArray1<i32>>; 5] {
    let ([reciprocals, radii, weights], [values, growths]) = tables::PairConstants::get().parts();
    [reciprocals.to_vec(), radii.to_vec(), weights.to_vec(), values, growths]
        .map(|table| table.into_pyarray(py))
}

/// Return the cost of a symbol of 0 to 2^15 slots, in units of 2^-26 bits.
#[pyfunction]
pub(super) fn cost_table(py: Python<'_>) -> Bound<'_, PyArray1<u32>> {
    tables::cost_table().to_vec().into_pyarray(py)
}
