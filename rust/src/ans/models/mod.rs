//! Entropy models: the distribution of each element of a group.

mod categorical;
mod entropy_model;
mod fused;
mod location_scale;
mod logistic_pair;
mod mixture;
mod parameter;
mod table_rows;

pub use categorical::Categorical;
pub(super) use entropy_model::check_count;
pub use entropy_model::{Calibrated, EntropyModel};
pub(super) use fused::FusedBlocks;
pub use location_scale::LocationScale;
pub use logistic_pair::LogisticPair;
pub use mixture::{Mixture, MixtureComponent};
pub use parameter::Parameter;
pub use table_rows::{Index, TableRows};

#[cfg(test)]
mod tests;
