//! Parameters of distributions.

use std::ops::Range;

use crate::ans::constants::{BATCH, BLOCK};
use crate::ans::simd::prefetch;
use crate::tables::Float;
use crate::{Error, Result};

/// A parameter of a group's distributions: one number for all elements, or one for each.
#[derive(Debug, Clone, Copy)]
pub enum Parameter<'a, T> {
    /// The number of all elements.
    Constant(T),
    /// Element `i` has number `i`.
    Each(&'a [T]),
}

impl<'a, T: Float> Parameter<'a, T> {
    /// Returns the parameter without a copy if its numbers are `f32`.
    pub(super) fn as_f32(&self) -> Option<Parameter<'a, f32>> {
        match self {
            Self::Constant(value) => T::as_f32(&[*value]).map(|value| Parameter::Constant(value[0])),
            Self::Each(values) => T::as_f32(values).map(Parameter::Each),
        }
    }
}

impl<T: Copy> Parameter<'_, T> {
    /// Checks that there is a number for each of `count` elements; `name` is the parameter's name in the plural.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the count differs.
    pub(super) fn check(&self, count: usize, name: &str) -> Result<()> {
        match self {
            Self::Each(values) if values.len() != count => {
                Err(Error::InvalidArgument(format!("{} {name} for {count} elements", values.len())))
            }
            _ => Ok(()),
        }
    }

    /// Returns the number of element `i`.
    #[inline]
    pub(super) fn at(&self, i: usize) -> T {
        match self {
            Self::Constant(value) => *value,
            Self::Each(values) => values[i],
        }
    }

    /// Returns the numbers of the block from element `first` on, or `constant` if all elements have the same number.
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

    /// Returns the numbers of up to a block of elements, copied to the front of `buffer` if need be.
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
