//! The partition of a picture into tiles, each of which has a stream of its own.

use std::ops::Range;

use crate::{Error, Result};

/// The tiles of a side, in order: as few as possible, and as equal as multiples of a number of units allow.
#[derive(Debug, Clone)]
pub struct Cuts {
    size: usize,
    multiple: usize,
    count: usize,
    next: usize,
}

/// Cuts a side of `size` units into as few tiles of at most `most` units as possible, and those as equal as multiples of
/// `multiple` allow: all tiles but the last begin and end at one.
///
/// # Errors
/// [`Error::InvalidArgument`] unless `most` is a multiple of `multiple`, and neither is 0.
pub fn cuts(size: usize, most: usize, multiple: usize) -> Result<Cuts> {
    if most == 0 || multiple == 0 || !most.is_multiple_of(multiple) {
        return Err(Error::InvalidArgument(format!("tiles of {most} in multiples of {multiple}")));
    }
    Ok(Cuts { size, multiple, count: size.div_ceil(most), next: 0 })
}

impl Iterator for Cuts {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { size, multiple, count, next: i } = *self;
        if i == count {
            return None;
        }
        self.next += 1;
        let edge = |i: usize| (multiple * (size.div_ceil(multiple) * i / count)).min(size);
        Some(edge(i)..edge(i + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_few_and_even() {
        for (most, multiple) in [(128, 4), (16, 1), (8, 8)] {
            for size in 0..2000 {
                let tiles: Vec<_> = cuts(size, most, multiple).unwrap().collect();
                assert_eq!(tiles.len(), size.div_ceil(most), "{size}");
                assert!(tiles.iter().flat_map(Clone::clone).eq(0..size));
                let multiples = tiles.iter().map(|tile| tile.len().div_ceil(multiple));
                assert!(multiples.clone().max() <= multiples.min().map(|least| least + 1));
                assert!(tiles.iter().all(|tile| tile.len() <= most && tile.start % multiple == 0));
            }
        }
    }

    #[test]
    fn impossible_tiles_are_refused() {
        for (most, multiple) in [(0, 1), (4, 0), (6, 4)] {
            assert!(matches!(cuts(9, most, multiple), Err(Error::InvalidArgument(_))));
        }
    }
}
