//! Entropy models as one class, whose arrays are borrowed for each call.

use numpy::{
    Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use super::arrays::{slice, wrong_type};
use super::tables::Tables;
use crate::ans::{MixtureComponent, Parameter};
use crate::tables::{Family, PAIR_PARAMS, ScaleTables};
use crate::{Error, Result};

/// A distribution for each element of a group. Arrays are not copied; they are read when something is coded.
#[pyclass(name = "Model", frozen, module = "lic_native._native")]
pub(super) struct PyModel {
    pub(super) kind: Kind,
    /// A hash of the tables from which the distributions are taken.
    pub(super) fingerprint: u64,
    pub(super) len: usize,
}

pub(super) enum Kind {
    Rows8(Py<Tables>, Py<PyArrayDyn<u8>>),
    Rows16(Py<Tables>, Py<PyArrayDyn<u16>>),
    Rows32(Py<Tables>, Py<PyArrayDyn<i32>>),
    Rows64(Py<Tables>, Py<PyArrayDyn<i64>>),
    Located32(&'static ScaleTables, [Values<f32>; 2]),
    Located64(&'static ScaleTables, [Values<f64>; 2]),
    Mixture32(Components<f32>),
    Mixture64(Components<f64>),
    Categorical(Py<PyArrayDyn<f32>>, usize),
    LogisticPair(Py<PyArrayDyn<i16>>),
}

/// For each component, the family, and `[weights, means, scales]`.
type Components<T> = Vec<(Family, [Values<T>; 3])>;

#[pymethods]
impl PyModel {
    /// Make a model of rows of `tables`, chosen by uint8, uint16, int32 or int64 `indexes` of any shape.
    #[staticmethod]
    fn rows(tables: Bound<'_, Tables>, indexes: &Bound<'_, PyAny>) -> PyResult<Self> {
        let fingerprint = tables.get().fingerprint;
        let tables = tables.unbind();
        let (kind, len) = if let Ok(array) = indexes.cast::<PyArrayDyn<u8>>() {
            (Kind::Rows8(tables, array.clone().unbind()), array.len())
        } else if let Ok(array) = indexes.cast::<PyArrayDyn<i32>>() {
            (Kind::Rows32(tables, array.clone().unbind()), array.len())
        } else if let Ok(array) = indexes.cast::<PyArrayDyn<i64>>() {
            (Kind::Rows64(tables, array.clone().unbind()), array.len())
        } else if let Ok(array) = indexes.cast::<PyArrayDyn<u16>>() {
            (Kind::Rows16(tables, array.clone().unbind()), array.len())
        } else {
            return Err(wrong_type(indexes, "indexes", "uint8, uint16, int32 or int64"));
        };
        Ok(Self { kind, fingerprint, len })
    }

    /// Make a model of `count` distributions of a family: `gaussian`, `laplace` or `logistic`.
    ///
    /// Means and scales are numbers or arrays, all float32 or all float64. Numbers are float32 if that holds them exactly.
    #[staticmethod]
    fn located(
        py: Python<'_>,
        family: &str,
        count: usize,
        means: &Bound<'_, PyAny>,
        scales: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let family = family_of(family)?;
        // The first call for a family builds its tables, while other threads run.
        let tables = py.detach(|| ScaleTables::get(family));
        let kind = match [means, scales].map(|argument| Values::<f32>::new(argument)) {
            [Some(means), Some(scales)] => Kind::Located32(tables, [means, scales]),
            _ => Kind::Located64(tables, [Values::take(means, "means")?, Values::take(scales, "scales")?]),
        };
        Ok(Self { kind, fingerprint: tables.fingerprint(), len: count })
    }

    /// Make a model of `count` mixtures. A component is `(family, (weights, means, scales))` with numbers or arrays as in
    /// `located`.
    #[staticmethod]
    fn mixture_of(count: usize, components: Vec<(String, [Bound<'_, PyAny>; 3])>) -> PyResult<Self> {
        let families =
            components.iter().map(|(family, _)| family_of(family)).collect::<Result<Vec<Family>>>()?;
        let arguments = || families.iter().copied().zip(components.iter().map(|(_, arguments)| arguments));
        let single = |arguments: &[Bound<'_, PyAny>; 3]| {
            let [weights, means, scales] = arguments.each_ref().map(Values::new);
            Some([weights?, means?, scales?])
        };
        let kind = match arguments().map(|(family, arguments)| Some((family, single(arguments)?))).collect() {
            Some(components) => Kind::Mixture32(components),
            None => Kind::Mixture64(
                arguments()
                    .map(|(family, [weights, means, scales])| {
                        let (weights, means) =
                            (Values::take(weights, "weights")?, Values::take(means, "means")?);
                        Ok((family, [weights, means, Values::take(scales, "scales")?]))
                    })
                    .collect::<PyResult<_>>()?,
            ),
        };
        let families: Vec<u8> = families.iter().map(|&family| family as u8).collect();
        Ok(Self { kind, fingerprint: xxhash_rust::xxh3::xxh3_64(&families), len: count })
    }

    /// Make a model of probabilities, float32 `[..., symbols]`, for the symbols from 0 on.
    #[staticmethod]
    fn categoricals(probabilities: &Bound<'_, PyArrayDyn<f32>>) -> PyResult<Self> {
        let symbols = probabilities.shape().last().copied().unwrap_or(0);
        let len = probabilities.len().checked_div(symbols).unwrap_or(0);
        let kind = Kind::Categorical(probabilities.clone().unbind(), symbols);
        Ok(Self { kind, fingerprint: symbols as u64, len })
    }

    /// Make a model of mixtures of two logistic distributions, int16 `params` `[..., 5]` as in docs/format.md.
    #[staticmethod]
    fn mixtures(params: &Bound<'_, PyArrayDyn<i16>>) -> PyResult<Self> {
        if params.shape().last() != Some(&PAIR_PARAMS) {
            let what = format!("params of shape {:?}, not [..., {PAIR_PARAMS}]", params.shape());
            return Err(Error::InvalidArgument(what).into());
        }
        let len = params.len() / PAIR_PARAMS;
        let kind = Kind::LogisticPair(params.clone().unbind());
        Ok(Self { kind, fingerprint: 0, len })
    }

    /// Return the number of elements.
    fn __len__(&self) -> usize {
        self.len
    }
}

pub(super) fn family_of(name: &str) -> Result<Family> {
    match name {
        "gaussian" => Ok(Family::Gaussian),
        "laplace" => Ok(Family::Laplace),
        "logistic" => Ok(Family::Logistic),
        _ => Err(Error::InvalidArgument(format!(
            "unknown family '{name}'; choose from: gaussian, laplace, logistic"
        ))),
    }
}

/// One number for all elements, or an array of numbers.
pub(super) enum Values<T> {
    Constant(T),
    Each(Py<PyArrayDyn<T>>),
}

/// The type of an array of parameters.
pub(super) trait Number: Element + Copy {
    /// Returns the number, if this type holds it exactly.
    fn exactly(number: f64) -> Option<Self>;
}

impl Number for f32 {
    fn exactly(number: f64) -> Option<Self> {
        let single = number as Self;
        (f64::from(single) == number || number.is_nan()).then_some(single)
    }
}

impl Number for f64 {
    fn exactly(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl<T: Number> Values<T> {
    fn new(argument: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(array) = argument.cast::<PyArrayDyn<T>>() {
            return Some(Self::Each(array.clone().unbind()));
        }
        // `extract` would accept an array of one number.
        if argument.cast::<PyUntypedArray>().is_ok() {
            return None;
        }
        T::exactly(argument.extract().ok()?).map(Self::Constant)
    }

    fn take(argument: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        Self::new(argument).ok_or_else(|| wrong_type(argument, name, std::any::type_name::<T>()))
    }
}

impl<T: Element + Copy> Values<T> {
    pub(super) fn borrow<'py>(&self, py: Python<'py>) -> PyResult<Borrowed<'py, T>> {
        Ok(match self {
            Self::Constant(value) => Borrowed::Constant(*value),
            Self::Each(array) => Borrowed::Each(array.bind(py).try_readonly()?),
        })
    }
}

/// [`Values`] that are borrowed for one call.
pub(super) enum Borrowed<'py, T: Element> {
    Constant(T),
    Each(PyReadonlyArrayDyn<'py, T>),
}

impl<T: Element + Copy> Borrowed<'_, T> {
    pub(super) fn parameter(&self, name: &str) -> PyResult<Parameter<'_, T>> {
        Ok(match self {
            Self::Constant(value) => Parameter::Constant(*value),
            Self::Each(array) => Parameter::Each(slice(array, name)?),
        })
    }
}

pub(super) fn borrow<'py, T: Number>(
    py: Python<'py>,
    [weights, means, scales]: &[Values<T>; 3],
) -> PyResult<[Borrowed<'py, T>; 3]> {
    Ok([weights.borrow(py)?, means.borrow(py)?, scales.borrow(py)?])
}

/// Returns the components of a mixture model.
pub(super) fn components<'a, T: Number>(
    families: impl Iterator<Item = Family>,
    borrowed: &'a [[Borrowed<'_, T>; 3]],
) -> PyResult<Vec<MixtureComponent<'a, T>>> {
    let component = |(family, [weights, means, scales]): (Family, &'a [Borrowed<'_, T>; 3])| {
        let (weights, means) = (weights.parameter("weights")?, means.parameter("means")?);
        Ok(MixtureComponent { family, weights, means, scales: scales.parameter("scales")? })
    };
    families.zip(borrowed).map(component).collect()
}

/// Evaluates an expression with `$model` as the [`EntropyModel`](crate::ans::EntropyModel) that a [`PyModel`] stands for.
macro_rules! with_model {
    ($py:expr, $native:expr, $model:ident => $body:expr) => {
        with_model!($py, $native, $model => $body;
            [Rows8, Rows16, Rows32, Rows64], [Located32, Located64], [Mixture32, Mixture64])
    };
    ($py:expr, $native:expr, $model:ident => $body:expr;
        [$($rows:ident),*], [$($located:ident),*], [$($mixture:ident),*]) => {{
        use $crate::python::model::{borrow, components, slice_of, Kind};
        match &$native.kind {
            $(Kind::$rows(tables, indexes) => {
                slice_of!($py, indexes, "indexes", slice);
                let $model = $crate::ans::TableRows::new(&tables.get().tables, slice);
                $body
            })*
            $(Kind::$located(tables, [means, scales]) => {
                let (means, scales) = (means.borrow($py)?, scales.borrow($py)?);
                let (means, scales) = (means.parameter("means")?, scales.parameter("scales")?);
                let $model = $crate::ans::LocationScale::new(tables, $native.len, means, scales)?;
                $body
            })*
            $(Kind::$mixture(kept) => {
                let borrowed =
                    kept.iter().map(|(_, values)| borrow($py, values)).collect::<PyResult<Vec<_>>>()?;
                let components = components(kept.iter().map(|(family, _)| *family), &borrowed)?;
                let $model = $crate::ans::Mixture::new($native.len, &components)?;
                $body
            })*
            Kind::Categorical(probabilities, symbols) => {
                slice_of!($py, probabilities, "probabilities", slice);
                let $model = $crate::ans::Categorical::new(slice, *symbols)?;
                $body
            }
            Kind::LogisticPair(params) => {
                slice_of!($py, params, "params", slice);
                let $model = $crate::ans::LogisticPair::new(slice.as_chunks().0);
                $body
            }
        }
    }};
}

/// The contexts of elements: element `i` has context `contexts[i / run % len(contexts)]` of `(contexts, run)`.
pub(super) type PyContexts<'py> = (Bound<'py, PyArray1<u16>>, usize);

/// Evaluates an expression with `$contexts` as the [`Contexts`](crate::ans::Contexts) that optional [`PyContexts`] stand for.
macro_rules! with_contexts {
    ($native:expr, $contexts:ident => $body:expr) => {{
        let borrowed = $native
            .as_ref()
            .map(|(array, run)| Ok::<_, pyo3::PyErr>((array.try_readonly()?, *run)))
            .transpose()?;
        let $contexts = match &borrowed {
            Some((array, run)) => Some(
                $crate::ans::Contexts::new($crate::python::arrays::slice(array, "contexts")?)?.in_runs(*run),
            ),
            None => None,
        };
        $body
    }};
}

/// Binds `$slice` to the elements of an array for the rest of the block.
macro_rules! slice_of {
    ($py:expr, $array:expr, $name:literal, $slice:ident) => {
        let array = numpy::PyArrayMethods::try_readonly($array.bind($py))?;
        let $slice = $crate::python::arrays::slice(&array, $name)?;
    };
}

pub(super) use {slice_of, with_contexts, with_model};
