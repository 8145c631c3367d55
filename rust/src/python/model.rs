//! Distributions for the elements of arrays, as one class whose arrays are borrowed for each call.

use numpy::{Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{slice, wrong_type};
use super::tables::Tables;
use crate::ans::{Component, Parameter};
use crate::tables::{Family, Ladder, MIXTURE_PARAMS};
use crate::{Error, Result};

/// A distribution for each element of a group; arrays are kept, not copied, and read when something is coded.
#[pyclass(frozen, module = "lic_native._native")]
pub(super) struct Model {
    pub(super) kind: Kind,
    /// Of what the distributions are taken from.
    pub(super) fingerprint: u64,
    pub(super) len: usize,
}

pub(super) enum Kind {
    Rows8(Py<Tables>, Py<PyArrayDyn<u8>>),
    Rows16(Py<Tables>, Py<PyArrayDyn<u16>>),
    Rows32(Py<Tables>, Py<PyArrayDyn<i32>>),
    Rows64(Py<Tables>, Py<PyArrayDyn<i64>>),
    Located32(&'static Ladder, [Values<f32>; 2]),
    Located64(&'static Ladder, [Values<f64>; 2]),
    MixtureOf32(Components<f32>),
    MixtureOf64(Components<f64>),
    Categoricals(Py<PyArrayDyn<f32>>, usize),
    Mixtures(Py<PyArrayDyn<i16>>),
}

/// Families, with weights, means and scales.
type Components<T> = Vec<(Family, [Values<T>; 3])>;

#[pymethods]
impl Model {
    /// Rows of `tables`, by uint8, uint16, int32 or int64 `indexes` of any shape.
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

    /// `count` distributions of a family, `gaussian`, `laplace` or `logistic`: means and scales are numbers or arrays, all
    /// float32 or all float64. If float32 does not hold a number, all are float64.
    #[staticmethod]
    fn located(
        py: Python<'_>,
        family: &str,
        count: usize,
        means: &Bound<'_, PyAny>,
        scales: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let family = named(family)?;
        // The first one of a family is built, for which others need not wait.
        let ladder = py.detach(|| Ladder::get(family));
        let kind = match [means, scales].map(|given| Values::<f32>::new(given)) {
            [Some(means), Some(scales)] => Kind::Located32(ladder, [means, scales]),
            _ => Kind::Located64(ladder, [Values::take(means, "means")?, Values::take(scales, "scales")?]),
        };
        Ok(Self { kind, fingerprint: ladder.fingerprint(), len: count })
    }

    /// `count` mixtures of components, each a family, weights, means and scales: numbers or arrays, as in `located`.
    #[staticmethod]
    fn mixture_of(count: usize, components: Vec<(String, [Bound<'_, PyAny>; 3])>) -> PyResult<Self> {
        let families = components.iter().map(|(family, _)| named(family)).collect::<Result<Vec<Family>>>()?;
        let given = || families.iter().copied().zip(components.iter().map(|(_, given)| given));
        let single = |given: &[Bound<'_, PyAny>; 3]| {
            let [weights, means, scales] = given.each_ref().map(Values::new);
            Some([weights?, means?, scales?])
        };
        let kind = match given().map(|(family, given)| Some((family, single(given)?))).collect() {
            Some(components) => Kind::MixtureOf32(components),
            None => Kind::MixtureOf64(
                given()
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

    /// Probabilities of symbols 0.. for each element, float32 `[..., symbols]`.
    #[staticmethod]
    fn categoricals(probabilities: &Bound<'_, PyArrayDyn<f32>>) -> PyResult<Self> {
        let symbols = probabilities.shape().last().copied().unwrap_or(0);
        let len = probabilities.len().checked_div(symbols).unwrap_or(0);
        let kind = Kind::Categoricals(probabilities.clone().unbind(), symbols);
        Ok(Self { kind, fingerprint: symbols as u64, len })
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

fn named(family: &str) -> Result<Family> {
    match family {
        "gaussian" => Ok(Family::Gaussian),
        "laplace" => Ok(Family::Laplace),
        "logistic" => Ok(Family::Logistic),
        _ => Err(Error::InvalidArgument(format!("no family {family}"))),
    }
}

/// One number for all elements, or an array of numbers.
pub(super) enum Values<T> {
    Constant(T),
    Each(Py<PyArrayDyn<T>>),
}

/// A float that arrays may be of.
pub(super) trait Number: Element + Copy {
    /// This number, if there is one that is the same.
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
    fn new(given: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(array) = given.cast::<PyArrayDyn<T>>() {
            return Some(Self::Each(array.clone().unbind()));
        }
        // An array of one number would pass for a number.
        if given.cast::<PyUntypedArray>().is_ok() {
            return None;
        }
        T::exactly(given.extract().ok()?).map(Self::Constant)
    }

    fn take(given: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        Self::new(given).ok_or_else(|| wrong_type(given, name, std::any::type_name::<T>()))
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

/// [`Values`] that can be read.
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

/// The components of mixtures.
pub(super) fn components<'a, T: Number>(
    families: impl Iterator<Item = Family>,
    borrowed: &'a [[Borrowed<'_, T>; 3]],
) -> PyResult<Vec<Component<'a, T>>> {
    let component = |(family, [weights, means, scales]): (Family, &'a [Borrowed<'_, T>; 3])| {
        let (weights, means) = (weights.parameter("weights")?, means.parameter("means")?);
        Ok(Component { family, weights, means, scales: scales.parameter("scales")? })
    };
    families.zip(borrowed).map(component).collect()
}

/// Evaluates an expression with `$model` as the [`ans::Model`](crate::ans::Model) that a [`Model`] stands for.
macro_rules! with_model {
    ($py:expr, $native:expr, $model:ident => $body:expr) => {{
        use $crate::python::model::{borrow, components, slice_of, Kind};
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
            Kind::Rows64(tables, indexes) => {
                slice_of!($py, indexes, "indexes", slice);
                let $model = $crate::ans::Rows::new(&tables.get().tables, slice);
                $body
            }
            Kind::Located32(ladder, [means, scales]) => {
                let (means, scales) = (means.borrow($py)?, scales.borrow($py)?);
                let (means, scales) = (means.parameter("means")?, scales.parameter("scales")?);
                let $model = $crate::ans::Located::new(ladder, $native.len, means, scales)?;
                $body
            }
            Kind::Located64(ladder, [means, scales]) => {
                let (means, scales) = (means.borrow($py)?, scales.borrow($py)?);
                let (means, scales) = (means.parameter("means")?, scales.parameter("scales")?);
                let $model = $crate::ans::Located::new(ladder, $native.len, means, scales)?;
                $body
            }
            Kind::MixtureOf32(kept) => {
                let borrowed =
                    kept.iter().map(|(_, values)| borrow($py, values)).collect::<PyResult<Vec<_>>>()?;
                let components = components(kept.iter().map(|(family, _)| *family), &borrowed)?;
                let $model = $crate::ans::MixtureOf::new($native.len, &components)?;
                $body
            }
            Kind::MixtureOf64(kept) => {
                let borrowed =
                    kept.iter().map(|(_, values)| borrow($py, values)).collect::<PyResult<Vec<_>>>()?;
                let components = components(kept.iter().map(|(family, _)| *family), &borrowed)?;
                let $model = $crate::ans::MixtureOf::new($native.len, &components)?;
                $body
            }
            Kind::Categoricals(probabilities, symbols) => {
                slice_of!($py, probabilities, "probabilities", slice);
                let $model = $crate::ans::Categoricals::new(slice, *symbols)?;
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
