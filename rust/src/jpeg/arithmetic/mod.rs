//! Arithmetic-coded scans, sequential and progressive (T.81, annex D, F.1.4 and G.1.3).

mod binary_coder;
mod decode;
mod encode;
mod model;

pub(super) use decode::decode;
pub(super) use encode::encode;
