//! One way to code an array, which competes with others.

use super::header::Method;
use crate::Result;

/// A method with parameters that fit the array.
pub(super) struct Candidate<'a> {
    pub(super) method: Method,
    /// The estimated length of the payload.
    pub(super) bytes: u64,
    /// Makes the payload.
    pub(super) payload: Box<dyn FnOnce() -> Result<Vec<u8>> + 'a>,
}
