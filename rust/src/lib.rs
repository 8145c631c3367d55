//! The native half of `lic_native`: rANS coding, integer CDF tables, JPEG coefficients and the `.lic` container.
//!
//! Nothing here knows of Python (outside the `python` feature) or of torch.

mod bytes;
mod error;
mod interrupt;
mod limits;
mod parallel;
mod streams;

pub mod ans;
pub mod carve;
#[cfg(feature = "formats")]
pub mod container;
#[doc(hidden)]
pub mod exact_layers;
pub mod jpeg;
pub mod tables;
pub mod tensor;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result, Unsupported};
pub use limits::Limits;
