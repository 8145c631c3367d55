//! Integer CDF tables.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arrays::slice;
use crate::tables;

/// Integer CDFs, validated once: rows of 15-bit cumulative frequencies whose last slot is the escape.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Tables {
    pub(super) tables: tables::Tables,
    pub(super) fingerprint: u64,
}

impl From<tables::Tables> for Tables {
    fn from(tables: tables::Tables) -> Self {
        let fingerprint = tables.fingerprint();
        Self { tables, fingerprint }
    }
}

#[pymethods]
impl Tables {
    /// Discretised Gaussians: one row for each scale and each of `fractions` mean offsets, scale-major.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn gaussian(scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Ok(tables::gaussian(&scales, fractions)?.into())
    }

    /// Discretised Laplace distributions, as `gaussian`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn laplace(scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Ok(tables::laplace(&scales, fractions)?.into())
    }

    /// Discretised logistic distributions, as `gaussian`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn logistic(scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Ok(tables::logistic(&scales, fractions)?.into())
    }

    /// Rows of symbols' probabilities or counts, each from its first symbol on.
    #[staticmethod]
    fn from_pmf(pmfs: Vec<Vec<f64>>, offsets: Vec<i32>) -> PyResult<Self> {
        let rows = pmfs.iter().zip(&offsets).map(|(pmf, &offset)| tables::Row::from_pmf(pmf, offset));
        Ok(tables::Tables::from_rows(&rows.collect::<crate::Result<Vec<_>>>()?)?.into())
    }

    /// Rows in CompressAI's layout: int32 `cdf` `[rows, stride]`, of which row `i` uses the first `lengths[i]`
    /// boundaries, and whose first symbol is `offsets[i]`; both int32 `[rows]`. Rows of another precision than 15 bits
    /// are converted.
    #[staticmethod]
    fn from_cdf(
        cdf: PyReadonlyArray2<'_, i32>,
        lengths: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i32>,
    ) -> PyResult<Self> {
        let (rows, stride) = (cdf.shape()[0], cdf.shape()[1]);
        let (lengths, offsets) = (slice(&lengths, "lengths")?, slice(&offsets, "offsets")?);
        if lengths.len() != rows {
            return Err(PyValueError::new_err(format!("{} lengths for {rows} rows", lengths.len())));
        }
        Ok(tables::Tables::from_padded(slice(&cdf, "cdf")?, stride, lengths, offsets)?.into())
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        self.tables.len()
    }

    /// XXH3-64 of the rows.
    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}
