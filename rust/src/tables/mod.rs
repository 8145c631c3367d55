//! Integer probability tables: cumulative distributions of 2^15 slots, the same on every machine.
//!
//! | type | distributions |
//! |---|---|
//! | [`Tables`] | rows of a table, computed once; see [`gaussian`], [`laplace`], [`logistic`], [`Tables::from_pmf`] |
//! | [`ScaleTables`] | the rows of a [`Family`] for any mean and scale |
//!
//! A row of [`Tables`] gives symbol `offset + j` the slots `cdf[j]..cdf[j + 1]`. The last interval of a row is the
//! *escape*: all symbols outside the row share it. Mixtures have no rows: they are computed for each element (see
//! [`ans::Mixture`](crate::ans::Mixture)), and have an escape on either side.

mod buckets;
mod cdf;
mod cdf_curve;
mod cdf_row;
mod cost;
#[cfg(target_arch = "x86_64")]
mod direct_tables;
mod escape;
pub(crate) mod exact_math;
mod families;
mod float;
mod levels;
mod logistic_pair;
mod mixture;
mod requantize;
mod row_cdf;
mod scale_tables;
mod slots;
mod support;

#[cfg(target_arch = "x86_64")]
pub(crate) use buckets::{Bucket, MIN_BUCKET_BITS};
#[cfg(target_arch = "aarch64")]
pub(crate) use cdf::RowLayout;
#[cfg(target_arch = "x86_64")]
pub(crate) use cdf::SmallRows;
pub use cdf::Tables;
pub(crate) use cdf_curve::CdfCurve;
pub use cdf_row::CdfRow;
pub(crate) use cost::{COST_BITS, cost_table};
#[cfg(target_arch = "x86_64")]
pub(crate) use direct_tables::DirectTables;
pub(crate) use escape::{distance_outside, symbol_outside};
pub use families::{Family, gaussian, laplace, logistic, scale_table};
pub use float::Float;
pub use logistic_pair::PAIR_PARAMS;
pub(crate) use logistic_pair::{PairBlock, PairCdf, PairConstants};
pub use mixture::MAX_COMPONENTS;
pub(crate) use mixture::{MixtureBounds, MixtureCdf, MixtureComponent};
pub(crate) use row_cdf::RowCdf;
pub use scale_tables::ScaleTables;
pub use slots::{Interval, Intervals, PRECISION, Slots, TOTAL};
pub(crate) use support::Region;
#[cfg(target_arch = "x86_64")]
pub(crate) use support::Support;

#[cfg(test)]
mod tests;
