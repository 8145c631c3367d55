//! Distributions that are corrected by the symbols coded before.
//!
//! If a model is right, its distribution function `F` falls anywhere between 0 and 1 with the same probability (the
//! *probability integral transform*). For each context a [`Curve`] `G` counts where it does fall, and symbols are coded
//! with `G(F)` in place of `F`.

use super::constants::BLOCK;
use super::simd::Backend;
use crate::{Error, Result};

/// The number of bins of a curve.
const BINS: usize = 16;
/// The bins' borders in units of 2^−16: finer towards 0 and 1, where a unit is a larger part of a symbol's probability.
const EDGES: [u32; BINS + 1] = [
    0, 16, 128, 1024, 4096, 8192, 16384, 24576, 32768, 40960, 49152, 57344, 61440, 64512, 65408, 65520, 65536,
];
/// The bin of each 16 units. The array's length is a power of two, so that an index needs no check.
static BIN_OF: [u8; 8192] = {
    let mut bins = [BINS as u8 - 1; 8192];
    let (mut i, mut bin) = (0, 0);
    while i < 4096 {
        if 16 * i as u32 >= EDGES[bin + 1] {
            bin += 1;
        }
        bins[i] = bin as u8;
        i += 1;
    }
    bins
};
const SLOPE_BITS: u32 = 15;

/// What a symbol adds to the counts of its bins together, but for rounding.
const WEIGHT_BITS: u32 = 12;
/// The symbols that a curve has seen, as it were, before the first one: uniform ones.
const PRIOR: u32 = 160;
/// A curve of more symbols than this forgets half of each.
const MEMORY: u32 = 1000;

/// For each context, a curve for each range of the model's scales.
pub(super) const RANGES: usize = 8;

/// An adaptive distribution function of the values of another one, between whose knots it is linear.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Curve {
    /// What was counted in each bin. A store of these is slow if it is not aligned.
    counts: [u32; BINS],
    /// The values at [`EDGES`], times 2^16: strictly increasing from 0 to 2^16.
    values: [u32; BINS + 1],
    /// How much the values grow inside a bin, times 2^15.
    slopes: [u32; BINS],
    /// The symbols that the counts stand for.
    seen: u32,
    /// Those of them that are not in `values` yet.
    fresh: u32,
}

impl Curve {
    pub(super) const UNIFORM: Self =
        Self { values: EDGES, slopes: [1 << SLOPE_BITS; BINS], counts: [0; BINS], seen: 0, fresh: 0 };

    /// Returns the value at `v`, 0 to 2^16. It is 0 at 0 and 2^16 at 2^16, and never decreases.
    #[inline(always)]
    pub(super) fn at(&self, v: u32) -> u32 {
        let bin = usize::from(BIN_OF[(v >> 4) as usize % BIN_OF.len()]) % BINS;
        self.values[bin] + (((v - EDGES[bin]) * self.slopes[bin]) >> SLOPE_BITS)
    }

    /// Returns an argument at which the value is near `value`, below 2^16. Searches begin there.
    #[inline]
    pub(super) fn guess(&self, value: u32) -> u32 {
        let bin = self.values[1..BINS].iter().filter(|&&first| first <= value).count() % BINS;
        let (first, end) = (self.values[bin], self.values[bin + 1]);
        EDGES[bin] + (value - first) * (EDGES[bin + 1] - EDGES[bin]) / (end - first)
    }

    /// Returns what a part of a symbol between these values of the curve counts, times 2^16.
    #[inline(always)]
    pub(super) fn unit([low, high]: [u32; 2]) -> u32 {
        // Exact: no integer lies between the quotient and the nearest double. Unlike integers, many are divided at once.
        (f64::from(1 << (16 + WEIGHT_BITS)) / f64::from(high.max(low + 1) - low)) as u32
    }

    /// Counts a symbol between these values of the curve. Each bin gets the share that the curve gives it. Returns whether
    /// it is time to [renew](Curve::renew) the curve.
    #[inline(always)]
    pub(super) fn count(&mut self, [low, high]: [u32; 2], unit: u32) -> bool {
        let high = high.max(low + 1);
        // Loops over arrays, which compilers turn into vector instructions.
        let mut inside = self.values;
        for value in &mut inside {
            *value = (*value).max(low).min(high);
        }
        for k in 0..BINS {
            self.counts[k] += ((inside[k + 1] - inside[k]) * unit) >> 16;
        }
        self.seen += 1;
        self.fresh += 1;
        32 * self.fresh >= self.seen + 128
    }

    /// Takes the counts over if there are enough new ones: a 32nd of all.
    #[inline(never)]
    pub(super) fn renew(&mut self) {
        if 32 * self.fresh < self.seen + 128 {
            return;
        }
        if self.seen > MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.seen /= 2;
        }
        const UNIT: u32 = (PRIOR << WEIGHT_BITS) >> 16;
        let weights: [u32; BINS] = std::array::from_fn(|k| self.counts[k] + UNIT * (EDGES[k + 1] - EDGES[k]));
        let reciprocal = (1 << 48) / weights.iter().copied().map(u64::from).sum::<u64>();
        let mut sum = 0;
        for (value, weight) in self.values.iter_mut().zip(weights) {
            *value = ((sum * reciprocal) >> 32) as u32;
            sum += u64::from(weight);
        }
        for k in 0..BINS {
            let growth = self.values[k + 1] - self.values[k];
            self.slopes[k] = (growth << SLOPE_BITS) / (EDGES[k + 1] - EDGES[k]);
        }
        self.fresh = 0;
    }
}

/// The contexts of a group's elements: element `i` has context `contexts[i / run % contexts.len()]`.
#[derive(Debug, Clone, Copy)]
pub struct Contexts<'a> {
    contexts: &'a [u16],
    run: usize,
}

impl<'a> Contexts<'a> {
    /// Contexts are below this. Their curves take 8 MiB.
    pub const MAX: usize = 1 << 12;

    /// Takes the contexts of the first elements, which are repeated.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are none, or one is 4096 or more.
    pub fn new(contexts: &'a [u16]) -> Result<Self> {
        match contexts.iter().max() {
            None => Err(Error::InvalidArgument("no contexts".into())),
            Some(&most) if usize::from(most) >= Self::MAX => {
                Err(Error::InvalidArgument(format!("context {most} is not below {}", Self::MAX)))
            }
            Some(_) => Ok(Self { contexts, run: 1 }),
        }
    }

    /// Gives each context to `run` elements in turn, at least one.
    #[must_use]
    pub fn in_runs(self, run: usize) -> Self {
        Self { run: run.max(1), ..self }
    }

    /// Returns the first elements' contexts, and how many elements have each in turn.
    pub(super) fn parts(self) -> (&'a [u16], usize) {
        (self.contexts, self.run)
    }

    /// Inverts [`Contexts::parts`].
    pub(super) fn of_parts(contexts: &'a [u16], run: usize) -> Self {
        Self { contexts, run }
    }

    /// Returns the contexts of blocks.
    pub(super) fn blocks(self) -> BlockContexts<'a> {
        let Self { contexts, run } = self;
        let is_short = run == 1 && contexts.len() <= Self::MAX;
        let room = if is_short { contexts.len() + BLOCK } else { 0 };
        let repeated = contexts.iter().copied().cycle().take(room).collect();
        BlockContexts { contexts: self, repeated, filled: [0; BLOCK] }
    }
}

/// The contexts of a group's elements, for whole blocks at once.
#[derive(Debug)]
pub(super) struct BlockContexts<'a> {
    contexts: Contexts<'a>,
    /// A few contexts, repeated for another block, so that any block of them is a slice; or nothing.
    repeated: Vec<u16>,
    filled: [u16; BLOCK],
}

impl BlockContexts<'_> {
    /// Returns the contexts of the block from element `first` on.
    pub(super) fn block(&mut self, first: usize) -> &[u16; BLOCK] {
        let Contexts { contexts, run } = self.contexts;
        let slice = self.repeated.get(first % contexts.len()..);
        if let Some(block) = slice.and_then(|contexts| contexts.first_chunk()) {
            return block;
        }
        let (mut i, mut left) = (first / run % contexts.len(), run - first % run);
        for context in &mut self.filled {
            *context = contexts[i];
            left -= 1;
            if left == 0 {
                (i, left) = (if i + 1 < contexts.len() { i + 1 } else { 0 }, run);
            }
        }
        &self.filled
    }
}

/// The curves of a stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Calibration {
    /// [`RANGES`] for each context.
    curves: Vec<Curve>,
}

impl Calibration {
    /// Makes room for these contexts.
    pub(super) fn reserve(&mut self, contexts: Contexts) {
        let count = contexts.contexts.iter().max().map_or(0, |&most| usize::from(most) + 1);
        if self.curves.len() < count * RANGES {
            self.curves.resize(count * RANGES, Curve::UNIFORM);
        }
    }

    /// Returns whether there are no contexts yet.
    pub(super) fn is_empty(&self) -> bool {
        self.curves.is_empty()
    }

    /// Returns the numbers of the curves of these contexts and ranges.
    #[inline(always)]
    pub(super) fn numbers(contexts: &[u16; BLOCK], ranges: &[u16; BLOCK]) -> [u16; BLOCK] {
        std::array::from_fn(|j| RANGES as u16 * contexts[j] + ranges[j])
    }

    /// Returns the curve of this number.
    #[inline(always)]
    pub(super) fn curve(&self, number: usize) -> &Curve {
        &self.curves[number]
    }

    /// Learns from a block: the numbers of the curves, and the values of these below and above the symbols. All symbols of a
    /// block are coded with the curves as they were before it.
    pub(super) fn learn(&mut self, backend: Backend, numbers: &[u16], bounds: &[[u32; 2]]) {
        debug_assert!(numbers.len() <= BLOCK && numbers.len() == bounds.len());
        let mut due = [0; BLOCK];
        let due = backend.compiled(
            #[inline(always)]
            || {
                let mut units = [0; BLOCK];
                for (unit, &bounds) in units.iter_mut().zip(bounds) {
                    *unit = Curve::unit(bounds);
                }
                let mut count = 0;
                for ((&number, &bounds), unit) in numbers.iter().zip(bounds).zip(units) {
                    let is_due = self.curves[usize::from(number)].count(bounds, unit);
                    due[count % BLOCK] = number;
                    count += usize::from(is_due);
                }
                &due[..count]
            },
        );
        due.iter().for_each(|&number| self.curves[usize::from(number)].renew());
    }
}
