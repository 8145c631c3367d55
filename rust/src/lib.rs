//! The native half of `lic_native`: rANS coding, integer CDF tables, JPEG coefficients and the `.lic` container.
//!
//! Nothing here knows of Python (outside the `python` feature) or of torch.

mod error;
mod interrupt;
mod limits;
mod streams;
mod varint;

pub mod ans;
pub mod carve;
pub mod container;
pub mod elementwise;
pub mod jpeg;
pub mod message;
pub mod tables;
pub mod tensor;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
pub use limits::Limits;
