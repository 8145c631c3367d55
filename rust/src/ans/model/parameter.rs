//! Parameters of distributions, as callers have them.

use std::ops::Range;

use crate::{Error, Result};

/// One number for all elements, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum Parameter<'a, T> {
    /// The same for all elements.
    Constant(T),
    /// Element `i` has number `i`.
    Each(&'a [T]),
}

impl<T: Copy> Parameter<'_, T> {
    /// Whether there is one for each of `count` elements; `what` says what they are.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if not.
    pub(super) fn check(&self, count: usize, what: &str) -> Result<()> {
        match self {
            Self::Each(values) if values.len() != count => {
                Err(Error::InvalidArgument(format!("{} {what} for {count} elements", values.len())))
            }
            _ => Ok(()),
        }
    }

    /// That of element `i`.
    #[inline]
    pub(super) fn at(&self, i: usize) -> T {
        match self {
            Self::Constant(value) => *value,
            Self::Each(values) => values[i],
        }
    }

    /// Those of some elements, copied to the front of `values`.
    #[inline]
    pub(super) fn copy(&self, elements: Range<usize>, values: &mut [T]) {
        match self {
            Self::Constant(value) => values[..elements.len()].fill(*value),
            Self::Each(all) => values[..elements.len()].copy_from_slice(&all[elements]),
        }
    }
}
