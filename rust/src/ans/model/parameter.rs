//! Parameters of distributions, as callers have them.

use std::ops::Range;

use super::super::simd::prefetch;
use super::super::{BATCH, BLOCK};
use crate::tables::Float;
use crate::{Error, Result};

/// One number for all elements, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum Parameter<'a, T> {
    /// The same for all elements.
    Constant(T),
    /// Element `i` has number `i`.
    Each(&'a [T]),
}

impl<'a, T: Float> Parameter<'a, T> {
    /// The numbers themselves, if they are `f32`.
    pub(super) fn as_f32(&self) -> Option<Parameter<'a, f32>> {
        match self {
            Self::Constant(value) => T::as_f32(&[*value]).map(|value| Parameter::Constant(value[0])),
            Self::Each(values) => T::as_f32(values).map(Parameter::Each),
        }
    }
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

    /// Those of the block from element `first` on, which is `constant` if all are the same.
    #[inline]
    pub(super) fn whole_block<'b>(&'b self, first: usize, constant: &'b [T; BLOCK]) -> &'b [T; BLOCK] {
        match self {
            Self::Constant(_) => constant,
            Self::Each(all) => {
                prefetch(all.as_ptr().wrapping_add(first + BATCH), BLOCK);
                all[first..].first_chunk().expect("models have a number for each element")
            }
        }
    }

    /// Those of up to a block of elements, if need be copied to the front of `buffer`.
    #[inline]
    pub(super) fn block<'b>(&'b self, elements: Range<usize>, buffer: &'b mut [T; BLOCK]) -> &'b [T; BLOCK] {
        match self {
            Self::Constant(value) => buffer.fill(*value),
            Self::Each(all) => {
                prefetch(all.as_ptr().wrapping_add(elements.start + BATCH), BLOCK);
                let values = &all[elements];
                if let Ok(values) = values.try_into() {
                    return values;
                }
                buffer[..values.len()].copy_from_slice(values);
            }
        }
        buffer
    }
}
