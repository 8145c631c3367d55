//! Windows on distributions: what a decoder needs most of the time, computed for a whole block in vectors.

use crate::ans::constants::BLOCK;
use crate::tables::{PAIR_PARAMS, PairBlock, PairCdf, PairConstants, Slots, TOTAL};

/// The columns of a window: the starts of the symbols from three below the centre to four above it.
const COLUMNS: usize = 8;
/// The column of the centre.
const CENTRE: usize = 3;
/// Windows grow if this many symbols of a block are expected outside.
const FEW: u32 = 4;

/// The slots of the symbols around the centre of each distribution of a block, as far as most symbols need it.
#[derive(Debug)]
pub(super) struct Windows {
    block: PairBlock<BLOCK>,
    /// The first slots of the symbols. Instead of one that is not known stands the nearest one that is: no slot is in between.
    starts: [[u32; BLOCK]; COLUMNS],
    /// The distribution functions below the symbols, by the element's curve.
    bounds: [[u32; BLOCK]; COLUMNS],
    /// The first slots once more, four of an element in each integer.
    rows: [[u64; BLOCK]; COLUMNS / 4],
}

impl Windows {
    pub(super) const EMPTY: Self = Self {
        block: PairBlock::EMPTY,
        starts: [[0; BLOCK]; COLUMNS],
        bounds: [[0; BLOCK]; COLUMNS],
        rows: [[0; BLOCK]; COLUMNS / 4],
    };

    /// Becomes the windows on these mixtures, which grow beyond the centre if `grows`. `curve` maps the distribution
    /// functions of an element of the block.
    #[inline(always)]
    pub(super) fn open(
        &mut self,
        constants: &PairConstants,
        mixtures: &[[i16; PAIR_PARAMS]; BLOCK],
        grows: bool,
        curve: impl Fn(usize, u32) -> u32,
    ) {
        let Self { block, starts, bounds, rows } = self;
        block.load(constants, mixtures);
        // The rings of columns around the centre, from the inside. Every second one asks whether the next two are needed.
        let mut is_needed = true;
        for ring in 0..COLUMNS / 2 {
            let (low, high) = (CENTRE - ring, CENTRE + 1 + ring);
            for column in [low, high] {
                if is_needed {
                    let offset = column as i32 - CENTRE as i32;
                    block.starts(constants, offset, &curve, [&mut starts[column], &mut bounds[column]]);
                } else {
                    let inner = if column == low { column + 1 } else { column - 1 };
                    starts[column] = starts[inner];
                }
            }
            if ring % 2 == 0 {
                let inside = (0..BLOCK).fold(0, |sum, j| sum + (starts[high][j] - starts[low][j]));
                is_needed = grows && inside + FEW * TOTAL <= BLOCK as u32 * TOTAL;
            }
        }
        for (rows, starts) in rows.iter_mut().zip(starts.as_chunks::<4>().0) {
            for j in 0..BLOCK {
                let [low, high] = [0, 2].map(|i| starts[i][j] | starts[i + 1][j] << 16);
                rows[j] = u64::from(low) | u64::from(high) << 32;
            }
        }
    }

    /// Returns the distribution of element `j`.
    #[inline(always)]
    pub(super) fn cdf<'a>(&self, constants: &'a PairConstants, j: usize) -> PairCdf<'a> {
        self.block.cdf(constants, j % BLOCK)
    }

    /// Returns the symbol of element `j` that owns a slot, its slots and bounds, if they are known.
    #[inline(always)]
    pub(super) fn find(&self, j: usize, slot: u32) -> Option<(i32, Slots, [u32; 2])> {
        const ONES: u64 = 0x0001_0001_0001_0001;
        const HIGHEST: u64 = ONES << 15;
        let j = j % BLOCK;
        let slots = (u64::from(slot) * ONES) | HIGHEST;
        // The highest bit of each 16 is set if the start is not above the slot. No bit is borrowed from the next 16.
        let begun = |starts: &[u64; BLOCK]| ((slots - starts[j]) & HIGHEST).count_ones();
        let count = self.rows.iter().map(begun).sum::<u32>() as usize;
        if count.is_multiple_of(COLUMNS) {
            return None;
        }
        let (start, end) = (self.starts[count - 1][j], self.starts[count][j]);
        let bounds = [self.bounds[count - 1][j], self.bounds[count][j]];
        let symbol = self.block.centres()[j] + (count - 1) as i32 - CENTRE as i32;
        Some((symbol, Slots::starting(start, end - start), bounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ans::{Backend, Random};
    use crate::tables::Region;

    /// What a window knows is what a search finds, for all slots, whether it may grow or not, and by a curve as well.
    #[test]
    fn windows_show_what_a_search_finds() {
        let (constants, mut random) = (PairConstants::get(), Random::new(5));
        let mut windows = Windows::EMPTY;
        for (round, widest) in [0, 20, 40, 60, 90, 128].into_iter().enumerate() {
            let mixtures = std::array::from_fn(|_| {
                let mean = random.below(200) as i16 - 100;
                let [scale1, scale2] = [0, 1].map(|_| random.below(widest + 1) as i16);
                [mean, mean + random.below(40) as i16 - 20, scale1, scale2, random.below(128) as i16]
            });
            for (backend, grows) in
                Backend::all().into_iter().flat_map(|backend| [(backend, true), (backend, false)])
            {
                // Towards 0, so that starts collide as seldom and as often as they do.
                let curve =
                    |bound: u32| if round % 2 == 0 { bound } else { (bound * bound.div_ceil(2)) >> 15 };
                backend.compiled(
                    #[inline(always)]
                    || windows.open(constants, &mixtures, grows, |_, bound| curve(bound)),
                );
                let mut known = 0;
                for (j, mixture) in mixtures.iter().enumerate() {
                    let cdf = PairCdf::new(constants, mixture);
                    for slot in (0..TOTAL).step_by(37).chain([TOTAL - 1]) {
                        let Some((symbol, slots, bounds)) = windows.find(j, slot) else { continue };
                        let expected = cdf.find_by(slot, slot, curve);
                        assert_eq!((Region::Inside(symbol), slots), expected, "{mixture:?} at {slot}");
                        assert_eq!(bounds, cdf.interval_of(expected.0).by(curve).bounds);
                        known += 1;
                    }
                }
                assert!(known > 0 || widest > 60);
            }
        }
    }
}
