//! The rANS coder as two classes, and the tables it codes with.

use numpy::{
    PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{slice, slice_mut, wrong_type};
use super::enter;
use crate::{ans, tables};

/// Integer CDFs, validated once: rows of 15-bit cumulative frequencies whose last slot is the escape.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Tables(tables::Tables);

#[pymethods]
impl Tables {
    /// Discretised Gaussians: one row for each scale and each of `fractions` mean offsets, scale-major.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn gaussian(scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Ok(Self(tables::gaussian(&scales, fractions)?))
    }

    /// Discretised Laplace distributions, as `gaussian`.
    #[staticmethod]
    #[pyo3(signature = (scales, fractions = 1))]
    fn laplace(scales: Vec<f64>, fractions: u32) -> PyResult<Self> {
        Ok(Self(tables::laplace(&scales, fractions)?))
    }

    /// Rows in CompressAI's layout: int32 `cdf` `[rows, stride]`, of which row `i` uses the first `lengths[i]`
    /// boundaries, and whose first symbol is `offsets[i]`; both int32 `[rows]`.
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
        Ok(Self(tables::Tables::from_padded(slice(&cdf, "cdf")?, stride, lengths, offsets)?))
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// XXH3-64 of the rows.
    fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }
}

/// Evaluates an expression with `$indexes` as the slice of integers that an array of a fitting dtype holds.
macro_rules! with_indexes {
    ($indexes:ident => $body:expr) => {
        with_indexes!($indexes => $body; u8, u16, i32)
    };
    ($indexes:ident => $body:expr; $($T:ty),*) => {{
        let array: &Bound<'_, PyAny> = $indexes;
        $(if let Ok(array) = array.cast::<PyArrayDyn<$T>>() {
            let array = array.try_readonly()?;
            let $indexes = slice(&array, "indexes")?;
            $body
        } else)* {
            Err(wrong_type(array, "indexes", "uint8, uint16 or int32"))
        }
    }};
}

/// Collects groups of symbols and turns them into one rANS stream.
#[pyclass(module = "lic_native._native")]
pub(super) struct Encoder(Option<ans::Encoder>);

impl Encoder {
    fn open(&mut self) -> PyResult<&mut ans::Encoder> {
        self.0.as_mut().ok_or_else(|| PyValueError::new_err("the encoder is finished"))
    }
}

#[pymethods]
impl Encoder {
    #[new]
    fn new() -> Self {
        Self(Some(ans::Encoder::new()))
    }

    /// Code int32 `symbols`, each under the row of `tables` that its index names: uint8, uint16 or int32.
    fn put_tables(
        &mut self,
        py: Python<'_>,
        symbols: PyReadonlyArrayDyn<'_, i32>,
        indexes: &Bound<'_, PyAny>,
        tables: &Tables,
    ) -> PyResult<()> {
        let symbols = slice(&symbols, "symbols")?;
        let encoder = self.open()?;
        with_indexes!(indexes => enter(py, || encoder.put_tables(symbols, indexes, &tables.0)))
    }

    /// Code int16 `symbols` `[n]` under logistic mixtures, int16 `params` `[n, 5]`.
    fn put_mixture(
        &mut self,
        py: Python<'_>,
        symbols: PyReadonlyArrayDyn<'_, i16>,
        params: PyReadonlyArrayDyn<'_, i16>,
    ) -> PyResult<()> {
        let (symbols, params) = (slice(&symbols, "symbols")?, slice(&params, "params")?);
        let encoder = self.open()?;
        enter(py, || encoder.put_mixture(symbols, params))
    }

    /// Bits that what was put will take.
    fn cost_bits(&mut self) -> PyResult<f64> {
        Ok(self.open()?.cost_bits())
    }

    /// The stream; the encoder can't be used any more.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.open()?;
        let encoder = self.0.take().expect("it is open");
        let bytes = py.detach(|| encoder.finish());
        Ok(PyBytes::new(py, &bytes))
    }
}

/// Reads groups of symbols back, in the order in which they were put.
#[pyclass(module = "lic_native._native")]
pub(super) struct Decoder(ans::Decoder);

#[pymethods]
impl Decoder {
    #[new]
    fn new(data: Vec<u8>) -> PyResult<Self> {
        Ok(Self(ans::Decoder::new(data)?))
    }

    /// Fill int32 `out` with symbols under the rows of `tables` that uint8, uint16 or int32 `indexes` name.
    fn get_tables(
        &mut self,
        py: Python<'_>,
        indexes: &Bound<'_, PyAny>,
        tables: &Tables,
        mut out: PyReadwriteArrayDyn<'_, i32>,
    ) -> PyResult<()> {
        let out = slice_mut(&mut out, "out")?;
        let decoder = &mut self.0;
        with_indexes!(indexes => enter(py, || decoder.get_tables(indexes, &tables.0, out)))
    }

    /// Fill int16 `out` `[n]` with symbols under logistic mixtures, int16 `params` `[n, 5]`.
    fn get_mixture(
        &mut self,
        py: Python<'_>,
        params: PyReadonlyArrayDyn<'_, i16>,
        mut out: PyReadwriteArrayDyn<'_, i16>,
    ) -> PyResult<()> {
        let (params, out) = (slice(&params, "params")?, slice_mut(&mut out, "out")?);
        let decoder = &mut self.0;
        enter(py, || decoder.get_mixture(params, out))
    }

    /// Check that the stream ends here.
    fn finish(&self) -> PyResult<()> {
        Ok(self.0.finish()?)
    }
}
