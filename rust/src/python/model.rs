//! Distributions for the elements of arrays, as one class whose arrays are borrowed for each call.

use numpy::{PyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::wrong_type;
use super::tables::Tables;
use crate::tables::MIXTURE_PARAMS;
use crate::Error;

/// A distribution for each element of a group; arrays are kept, not copied, and read when something is coded.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Model {
    pub(super) kind: Kind,
    /// Of what the distributions are taken from.
    pub(super) fingerprint: u64,
    len: usize,
}

pub(super) enum Kind {
    Rows8(Py<Tables>, Py<PyArrayDyn<u8>>),
    Rows16(Py<Tables>, Py<PyArrayDyn<u16>>),
    Rows32(Py<Tables>, Py<PyArrayDyn<i32>>),
    Mixtures(Py<PyArrayDyn<i16>>),
}

#[pymethods]
impl Model {
    /// Rows of `tables`, by uint8, uint16 or int32 `indexes` of any shape.
    #[staticmethod]
    fn rows(tables: Bound<'_, Tables>, indexes: &Bound<'_, PyAny>) -> PyResult<Self> {
        let fingerprint = tables.get().fingerprint;
        let tables = tables.unbind();
        let (kind, len) = if let Ok(array) = indexes.cast::<PyArrayDyn<u8>>() {
            (Kind::Rows8(tables, array.clone().unbind()), array.len())
        } else if let Ok(array) = indexes.cast::<PyArrayDyn<i32>>() {
            (Kind::Rows32(tables, array.clone().unbind()), array.len())
        } else if let Ok(array) = indexes.cast::<PyArrayDyn<u16>>() {
            (Kind::Rows16(tables, array.clone().unbind()), array.len())
        } else {
            return Err(wrong_type(indexes, "indexes", "uint8, uint16 or int32"));
        };
        Ok(Self { kind, fingerprint, len })
    }

    /// Mixtures of two logistic distributions, int16 `params` `[..., 5]` as docs/format.md has them.
    #[staticmethod]
    fn mixtures(params: &Bound<'_, PyArrayDyn<i16>>) -> PyResult<Self> {
        if params.shape().last() != Some(&MIXTURE_PARAMS) {
            let what = format!("params of shape {:?}, not [..., {MIXTURE_PARAMS}]", params.shape());
            return Err(Error::InvalidArgument(what).into());
        }
        let len = params.len() / MIXTURE_PARAMS;
        Ok(Self { kind: Kind::Mixtures(params.clone().unbind()), fingerprint: 0, len })
    }

    /// Number of elements.
    fn __len__(&self) -> usize {
        self.len
    }
}

/// Evaluates an expression with `$model` as the [`ans::Model`](crate::ans::Model) that a [`Model`] stands for.
macro_rules! with_model {
    ($py:expr, $native:expr, $model:ident => $body:expr) => {{
        use $crate::python::model::{slice_of, Kind};
        match &$native.kind {
            Kind::Rows8(tables, indexes) => {
                slice_of!($py, indexes, "indexes", slice);
                let $model = $crate::ans::Rows::new(&tables.get().tables, slice);
                $body
            }
            Kind::Rows16(tables, indexes) => {
                slice_of!($py, indexes, "indexes", slice);
                let $model = $crate::ans::Rows::new(&tables.get().tables, slice);
                $body
            }
            Kind::Rows32(tables, indexes) => {
                slice_of!($py, indexes, "indexes", slice);
                let $model = $crate::ans::Rows::new(&tables.get().tables, slice);
                $body
            }
            Kind::Mixtures(params) => {
                slice_of!($py, params, "params", slice);
                let $model = $crate::ans::Mixtures::new(slice.as_chunks().0);
                $body
            }
        }
    }};
}

/// Binds `$slice` to the elements of an array for the rest of the block.
macro_rules! slice_of {
    ($py:expr, $array:expr, $name:literal, $slice:ident) => {
        let array = numpy::PyArrayMethods::try_readonly($array.bind($py))?;
        let $slice = $crate::python::arrays::slice(&array, $name)?;
    };
}

pub(super) use {slice_of, with_model};
