//! What the fuzz targets share: models and symbols of all kinds, described by few bytes.

pub mod hostile;

use std::fmt::Debug;

use arbitrary::Arbitrary;
use lic_native::ans::{
    Backend, Calibrated, Categorical, Contexts, LocationScale, LogisticPair, Mixture, MixtureComponent, Parameter,
    Symbol, TableRows,
};
use lic_native::tables::{CdfRow, Family, Float, ScaleTables, Tables};
use lic_native::{Error, Result};

/// The values, over and over, as many as are wanted: a few bytes stand for a large group.
pub fn cycle<T: Copy + Default>(values: &[T], count: usize) -> Vec<T> {
    if values.is_empty() {
        return vec![T::default(); count];
    }
    values.iter().copied().cycle().take(count).collect()
}

/// An integer that is often small.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Integer {
    Byte(i8),
    Word(i16),
    Any(i32),
    Long(i64),
    Lowest(u8),
    Highest(u8),
}

impl Integer {
    pub fn to_i32(self) -> i32 {
        match self {
            Self::Byte(value) => value.into(),
            Self::Word(value) => value.into(),
            Self::Any(value) => value,
            Self::Long(value) => value as i32,
            Self::Lowest(more) => i32::MIN + i32::from(more),
            Self::Highest(less) => i32::MAX - i32::from(less),
        }
    }

    pub fn to_i64(self) -> i64 {
        match self {
            Self::Long(value) => value,
            Self::Lowest(more) => i64::MIN + i64::from(more),
            Self::Highest(less) => i64::MAX - i64::from(less),
            _ => self.to_i32().into(),
        }
    }
}

/// Any float: often a sane one, since any bits at all make few of them.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Number {
    Positive(u8),
    Sane(i16),
    Single(f32),
    Double(f64),
}

impl Number {
    fn to_f64(self) -> f64 {
        match self {
            Self::Positive(value) => (f64::from(value) + 1.0) / 16.0,
            Self::Sane(value) => f64::from(value) / 64.0,
            Self::Single(value) => value.into(),
            Self::Double(value) => value,
        }
    }
}

/// Parameters as a caller may have them.
#[derive(Arbitrary, Debug)]
pub enum Numbers {
    Constant(Number),
    Each(Vec<Number>),
}

impl Numbers {
    fn expand<T: Copy + Default>(&self, count: usize, convert: fn(f64) -> T) -> Expanded<T> {
        match self {
            Self::Constant(value) => Expanded::Constant(convert(value.to_f64())),
            Self::Each(values) => {
                let values: Vec<T> = values.iter().map(|value| convert(value.to_f64())).collect();
                Expanded::Each(cycle(&values, count))
            }
        }
    }
}

enum Expanded<T> {
    Constant(T),
    Each(Vec<T>),
}

impl<T: Copy> Expanded<T> {
    fn parameter(&self) -> Parameter<'_, T> {
        match self {
            Self::Constant(value) => Parameter::Constant(*value),
            Self::Each(values) => Parameter::Each(values),
        }
    }
}

#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum AnyFamily {
    Gaussian,
    Laplace,
    Logistic,
}

impl AnyFamily {
    fn family(self) -> Family {
        Family::ALL[self as usize]
    }
}

/// A row of tables, narrow or wide.
#[derive(Arbitrary, Debug)]
pub struct AnyRow {
    counts: Vec<Count>,
    length: Option<u16>,
    offset: Integer,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Count {
    Few(u8),
    Any(u32),
}

impl Default for Count {
    fn default() -> Self {
        Self::Few(0)
    }
}

impl AnyRow {
    fn row(&self) -> Result<CdfRow> {
        let length = self.length.map_or(self.counts.len(), |length| usize::from(length % 4096));
        let count = |count: Count| match count {
            Count::Few(count) => count.into(),
            Count::Any(count) => count,
        };
        let counts: Vec<u32> = cycle(&self.counts, length).into_iter().map(count).collect();
        CdfRow::from_counts(&counts, self.offset.to_i32())
    }
}

#[derive(Arbitrary, Debug)]
pub struct AnyComponent {
    family: AnyFamily,
    weights: Numbers,
    means: Numbers,
    scales: Numbers,
}

/// A model of any kind.
#[derive(Arbitrary, Debug)]
pub enum AnyModel {
    Rows { rows: Vec<AnyRow>, copies: u8, indexes: Vec<u8> },
    WideRows { rows: Vec<AnyRow>, copies: u8, indexes: Vec<Integer> },
    LocationScale { double: bool, family: AnyFamily, means: Numbers, scales: Numbers },
    Mixture { double: bool, components: Vec<AnyComponent> },
    Categorical { double: bool, symbols: u16, probabilities: Vec<Number> },
    LogisticPair { params: Vec<[i16; 5]> },
}

/// What is to be done with a model, whatever its type.
pub trait Visitor {
    type Output;

    fn visit<M: Calibrated>(self, model: &M) -> Self::Output;
}

impl AnyModel {
    /// Makes the model for so many elements.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such model.
    pub fn visit<V: Visitor>(&self, count: usize, visitor: V) -> Result<V::Output> {
        match self {
            Self::Rows { rows, copies, indexes } => {
                let tables = tables(rows, *copies)?;
                let rows = tables.len().clamp(1, 256);
                let indexes: Vec<u8> =
                    indexes.iter().map(|&index| (usize::from(index) % rows) as u8).collect();
                Ok(visitor.visit(&TableRows::new(&tables, &cycle(&indexes, count))))
            }
            Self::WideRows { rows, copies, indexes } => {
                let tables = tables(rows, *copies)?;
                let indexes: Vec<i32> = indexes.iter().map(|index| index.to_i32()).collect();
                Ok(visitor.visit(&TableRows::new(&tables, &cycle(&indexes, count))))
            }
            Self::LocationScale { double: false, family, means, scales } => {
                located(*family, count, means, scales, |value| value as f32, visitor)
            }
            Self::LocationScale { family, means, scales, .. } => {
                located(*family, count, means, scales, |value| value, visitor)
            }
            Self::Mixture { double: false, components } => {
                mixture(count, components, |value| value as f32, visitor)
            }
            Self::Mixture { components, .. } => mixture(count, components, |value| value, visitor),
            Self::Categorical { double: false, symbols, probabilities } => {
                categorical(count, *symbols, probabilities, |value| value as f32, visitor)
            }
            Self::Categorical { symbols, probabilities, .. } => {
                categorical(count, *symbols, probabilities, |value| value, visitor)
            }
            Self::LogisticPair { params } => Ok(visitor.visit(&LogisticPair::new(&cycle(params, count)))),
        }
    }
}

/// The rows, and so many copies of them: more than 64 rows have another layout.
fn tables(rows: &[AnyRow], copies: u8) -> Result<Tables> {
    let once = rows.iter().take(8).map(AnyRow::row).collect::<Result<Vec<CdfRow>>>()?;
    let copies = 1 + usize::from(copies) % 16;
    Tables::from_rows(&once.iter().cycle().take(copies * once.len()).cloned().collect::<Vec<_>>())
}

fn located<T: Float, V: Visitor>(
    family: AnyFamily,
    count: usize,
    means: &Numbers,
    scales: &Numbers,
    convert: fn(f64) -> T,
    visitor: V,
) -> Result<V::Output> {
    let (means, scales) = (means.expand(count, convert), scales.expand(count, convert));
    let tables = ScaleTables::get(family.family());
    Ok(visitor.visit(&LocationScale::new(tables, count, means.parameter(), scales.parameter())?))
}

fn mixture<T: Float, V: Visitor>(
    count: usize,
    components: &[AnyComponent],
    convert: fn(f64) -> T,
    visitor: V,
) -> Result<V::Output> {
    let expand = |component: &AnyComponent| {
        let AnyComponent { family, weights, means, scales } = component;
        (family.family(), [weights, means, scales].map(|numbers| numbers.expand(count, convert)))
    };
    let expanded: Vec<_> = components.iter().take(9).map(expand).collect();
    let mut components = Vec::new();
    for (family, numbers) in &expanded {
        let [weights, means, scales] = numbers.each_ref().map(Expanded::parameter);
        components.push(MixtureComponent { family: *family, weights, means, scales });
    }
    Ok(visitor.visit(&Mixture::new(count, &components)?))
}

fn categorical<T: Float, V: Visitor>(
    count: usize,
    symbols: u16,
    probabilities: &[Number],
    convert: fn(f64) -> T,
    visitor: V,
) -> Result<V::Output> {
    // Many symbols for few elements only.
    let symbols = usize::from(symbols % 5000).min((1 << 20) / count.max(1));
    let probabilities: Vec<T> = probabilities.iter().map(|value| convert(value.to_f64())).collect();
    let probabilities = cycle(&probabilities, count * symbols);
    Ok(visitor.visit(&Categorical::new(&probabilities, symbols)?))
}

/// Contexts of a group's elements.
#[derive(Arbitrary, Debug)]
pub struct AnyContexts {
    contexts: [u16; 3],
    run: u8,
}

impl AnyContexts {
    /// Calls `work` with the contexts.
    pub fn visit<T>(&self, work: impl FnOnce(Contexts) -> T) -> T {
        let contexts = self.contexts.map(|context| context % Contexts::MAX as u16);
        work(Contexts::new(&contexts).expect("they are in range").in_runs(self.run.into()))
    }
}

/// The types that symbols may have.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
pub enum SymbolType {
    I8,
    U8,
    I16,
    U16,
    I32,
}

/// Calls an expression with `$S` as the symbol type.
#[macro_export]
macro_rules! with_symbols {
    ($type:expr, $S:ident => $body:expr) => {
        match $type {
            $crate::SymbolType::I8 => {
                type $S = i8;
                $body
            }
            $crate::SymbolType::U8 => {
                type $S = u8;
                $body
            }
            $crate::SymbolType::I16 => {
                type $S = i16;
                $body
            }
            $crate::SymbolType::U16 => {
                type $S = u16;
                $body
            }
            $crate::SymbolType::I32 => {
                type $S = i32;
                $body
            }
        }
    };
}

/// The same from every backend: what the scalar one, which defines it, returns.
pub fn on_all<T: PartialEq + Debug>(run: impl Fn(Backend) -> T) -> T {
    let scalar = run(Backend::SCALAR);
    for backend in Backend::all() {
        assert_eq!(run(backend), scalar, "{}", backend.name());
    }
    scalar
}

/// Whatever could not be done, the caller's arguments are to blame.
pub fn is_invalid_argument(error: &Error) -> bool {
    matches!(error, Error::InvalidArgument(_))
}

/// Symbols of this type as plain integers.
pub fn widen<S: Symbol>(symbols: &[S]) -> Vec<i32> {
    symbols.iter().map(|symbol| symbol.to_i32()).collect()
}
