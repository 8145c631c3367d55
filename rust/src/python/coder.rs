//! The rANS coder as two classes, for models that code in several steps.

use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{slice_mut, with_symbols, wrong_type};
use super::model::{PyContexts, PyModel, with_contexts, with_model};
use super::{bytes, enter};
use crate::ans;

/// Encoder that collects groups of symbols and turns them into one rANS stream.
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
    #[pyo3(signature = (max_lanes = 64, calibrate = false, combs = false))]
    fn new(max_lanes: usize, calibrate: bool, combs: bool) -> PyResult<Self> {
        let encoder = ans::Encoder::new().with_max_lanes(max_lanes)?;
        Ok(Self(Some(match (calibrate, combs) {
            (true, true) => encoder.with_combs(),
            (true, false) => encoder.calibrating(),
            (false, _) => encoder,
        })))
    }

    /// Add a group of `symbols`, an array of int8, uint8, int16, uint16 or int32 of any shape; `model` has the distribution of
    /// each. Those with `contexts` (`(contexts, run)`: element `i` has `contexts[i / run % len(contexts)]`) are calibrated if the
    /// encoder calibrates.
    #[pyo3(signature = (symbols, model, contexts = None))]
    fn put(
        &mut self,
        py: Python<'_>,
        symbols: &Bound<'_, PyAny>,
        model: &PyModel,
        contexts: Option<PyContexts<'_>>,
    ) -> PyResult<()> {
        let encoder = self.open()?;
        with_contexts!(contexts, contexts => with_symbols!(symbols, symbols => with_model!(py, model, model => {
            enter(py, || match contexts {
                Some(contexts) => encoder.put_in_contexts(symbols, &model, contexts),
                None => encoder.put(symbols, &model),
            })
        })))
    }

    /// Make all symbols so far one group, which `continue_group` can decode in pieces of any size.
    fn join_groups(&mut self) -> PyResult<()> {
        self.open()?.join_groups();
        Ok(())
    }

    /// Return the cost of all symbols so far in bits.
    fn cost_bits(&mut self, py: Python<'_>) -> PyResult<f64> {
        let encoder = self.open()?;
        enter(py, || Ok(encoder.cost_bits()))
    }

    /// Return the stream. The encoder cannot be used after that.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let encoder = self.open()?;
        let stream = enter(py, || Ok(encoder.to_stream()))?;
        self.0 = None;
        bytes(py, stream.len(), |bytes| stream.write(bytes))
    }
}

/// Decoder that reads groups of symbols in the order in which they were encoded.
#[pyclass(module = "lic_native._native")]
pub(super) struct Decoder(ans::Decoder);

#[pymethods]
impl Decoder {
    #[new]
    fn new(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        Ok(Self(enter(py, || ans::Decoder::new(data.to_vec()))?))
    }

    /// Fill `out`, an array of int8, uint8, int16, uint16 or int32, with the next group of symbols, encoded with `model` and
    /// `contexts`.
    #[pyo3(signature = (model, out, contexts = None))]
    fn get(
        &mut self,
        py: Python<'_>,
        model: &PyModel,
        out: &Bound<'_, PyAny>,
        contexts: Option<PyContexts<'_>>,
    ) -> PyResult<()> {
        let decoder = &mut self.0;
        with_contexts!(contexts, contexts => with_symbols!(mut out, out => with_model!(py, model, model => {
            enter(py, || match contexts {
                Some(contexts) => decoder.get_in_contexts(&model, contexts, out),
                None => decoder.get(&model, out),
            })
        })))
    }

    /// Whether groups with contexts are calibrated.
    #[getter]
    fn calibrated(&self) -> bool {
        self.0.is_calibrated()
    }

    /// Make the next call continue the group of which the last call decoded `decoded` symbols.
    fn continue_group(&mut self, decoded: usize) {
        self.0.continue_group(decoded);
    }

    /// Check that the stream ends here.
    fn finish(&self) -> PyResult<()> {
        Ok(self.0.finish()?)
    }
}
