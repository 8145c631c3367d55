//! Distributions that are corrected by the symbols coded before.
//!
//! If a model is right, its distribution function `F` falls anywhere between 0 and 1 with the same probability (the
//! *probability integral transform*). For each context a [`Curve`] `G` counts where it does fall, and symbols are coded
//! with `G(F)` in place of `F`.

use super::constants::BLOCK;
use super::simd::Backend;
use crate::{Error, Result};

/// The number of bins of a curve.
pub(super) const BINS: usize = 16;
/// The bins' borders in units of 2^−16: finer towards 0 and 1, where a unit is a larger part of a symbol's probability.
pub(super) const EDGES: [u32; BINS + 1] = [
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
pub(super) const SLOPE_BITS: u32 = 15;

/// What a symbol adds to the counts of its bins together, but for rounding.
const WEIGHT_BITS: u32 = 12;
/// The same, times 2^16.
pub(super) const UNIT: u32 = 1 << (16 + WEIGHT_BITS);
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
    /// For each bin, the value at its lower edge, times 2^16, in the low half, and how much the values grow inside it, times
    /// 2^15, in the high half. The values are strictly increasing from 0; that at the last edge is 2^16.
    pub(super) knots: [u64; BINS],
    /// What was counted in each bin.
    pub(super) counts: [u32; BINS],
}

/// How many symbols a curve has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Age {
    /// The symbols that the counts stand for.
    seen: u32,
    /// Those of them that are not in the knots yet.
    fresh: u32,
}

impl Age {
    /// Counts a symbol.
    #[inline(always)]
    pub(super) fn grow(&mut self) {
        self.seen += 1;
        self.fresh += 1;
    }

    /// Returns whether it is time to [renew](Curve::renew) the curve: whether a 32nd of the counts, or more, is new.
    #[inline(always)]
    pub(super) fn is_due(self) -> bool {
        32 * self.fresh >= self.seen + 128
    }
}

impl Curve {
    pub(super) const UNIFORM: Self = {
        let (mut knots, mut bin) = ([0; BINS], 0);
        while bin < BINS {
            knots[bin] = EDGES[bin] as u64 | 1 << (32 + SLOPE_BITS);
            bin += 1;
        }
        Self { knots, counts: [0; BINS] }
    };

    /// Returns the values at [`EDGES`].
    #[inline(always)]
    fn values(&self) -> [u32; BINS + 1] {
        let mut values = [1 << 16; BINS + 1];
        for (value, knot) in values.iter_mut().zip(self.knots) {
            *value = knot as u32;
        }
        values
    }

    /// Returns the value at `v`, 0 to 2^16. It is 0 at 0 and 2^16 at 2^16, and never decreases.
    #[inline(always)]
    pub(super) fn at(&self, v: u32) -> u32 {
        let bin = usize::from(BIN_OF[(v >> 4) as usize % BIN_OF.len()]) % BINS;
        let [value, slope] = [self.knots[bin] as u32, (self.knots[bin] >> 32) as u32];
        value + (((v - EDGES[bin]) * slope) >> SLOPE_BITS)
    }

    /// Returns an argument at which the value is near `value`, below 2^16. Searches begin there.
    #[inline]
    pub(super) fn guess(&self, value: u32) -> u32 {
        let values = self.values();
        let bin = values[1..BINS].iter().filter(|&&first| first <= value).count() % BINS;
        let (first, end) = (values[bin], values[bin + 1]);
        EDGES[bin] + (value - first) * (EDGES[bin + 1] - EDGES[bin]) / (end - first)
    }

    /// Returns what a part of a symbol between these values of the curve counts, times 2^16.
    #[inline(always)]
    pub(super) fn unit(low: u32, high: u32) -> u32 {
        // Exact: no integer lies between the quotient and the nearest double. Unlike integers, many are divided at once.
        (f64::from(UNIT) / f64::from(high.max(low + 1) - low)) as u32
    }

    /// Counts a symbol between these values of the curve. Each bin gets the share that the curve gives it.
    #[inline(always)]
    pub(super) fn count(&mut self, low: u32, high: u32, unit: u32) {
        let high = high.max(low + 1);
        // Loops over arrays, which compilers turn into vector instructions.
        let mut inside = self.values();
        for value in &mut inside {
            *value = (*value).max(low).min(high);
        }
        for k in 0..BINS {
            self.counts[k] += ((inside[k + 1] - inside[k]) * unit) >> 16;
        }
    }

    /// Takes the counts over.
    #[inline(never)]
    pub(super) fn renew(&mut self, age: &mut Age) {
        if age.seen > MEMORY {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            age.seen /= 2;
        }
        const PRIOR_UNIT: u32 = (PRIOR << WEIGHT_BITS) >> 16;
        let weights: [u32; BINS] =
            std::array::from_fn(|k| self.counts[k] + PRIOR_UNIT * (EDGES[k + 1] - EDGES[k]));
        let reciprocal = (1 << 48) / weights.iter().copied().map(u64::from).sum::<u64>();
        let (mut values, mut sum) = ([1 << 16; BINS + 1], 0);
        for (value, weight) in values.iter_mut().zip(weights) {
            *value = ((sum * reciprocal) >> 32) as u32;
            sum += u64::from(weight);
        }
        for k in 0..BINS {
            let slope = ((values[k + 1] - values[k]) << SLOPE_BITS) / (EDGES[k + 1] - EDGES[k]);
            self.knots[k] = u64::from(values[k]) | u64::from(slope) << 32;
        }
        age.fresh = 0;
    }
}

/// The curves of the elements of a block.
#[derive(Debug, Clone, Copy)]
pub struct BlockCurves<'a> {
    backend: Backend,
    curves: &'a [Curve],
    numbers: &'a [u16; BLOCK],
}

impl<'a> BlockCurves<'a> {
    /// Takes curves, and for each element the number of its own.
    #[inline(always)]
    pub(super) fn of(backend: Backend, curves: &'a [Curve], numbers: &'a [u16; BLOCK]) -> Self {
        Self { backend, curves, numbers }
    }

    /// Returns the curve of element `j`.
    #[inline(always)]
    pub(super) fn get(&self, j: usize) -> &'a Curve {
        &self.curves[usize::from(self.numbers[j])]
    }

    /// Replaces a value of each element, 0 to 2^16, by what its curve has there.
    #[inline(always)]
    pub(super) fn apply(&self, values: &mut [u32; BLOCK]) {
        if !self.backend.apply_curves(self.curves, self.numbers, values) {
            for (j, value) in values.iter_mut().enumerate() {
                *value = self.get(j).at(*value);
            }
        }
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
    /// Of each curve; apart from them, since these few bytes stay in the fastest cache.
    ages: Vec<Age>,
}

impl Calibration {
    /// Makes room for these contexts.
    pub(super) fn reserve(&mut self, contexts: Contexts) {
        let count = contexts.contexts.iter().max().map_or(0, |&most| usize::from(most) + 1);
        if self.curves.len() < count * RANGES {
            self.curves.resize(count * RANGES, Curve::UNIFORM);
            self.ages.resize(count * RANGES, Age::default());
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

    /// Returns the curves of a block, given their numbers.
    #[inline(always)]
    pub(super) fn block<'a>(&'a self, backend: Backend, numbers: &'a [u16; BLOCK]) -> BlockCurves<'a> {
        BlockCurves::of(backend, &self.curves, numbers)
    }

    /// Learns from the first `count` symbols of a block: the numbers of the curves, and the values of these below and above
    /// the symbols. All symbols of a block are coded with the curves as they were before it.
    pub(super) fn learn(
        &mut self,
        backend: Backend,
        numbers: &[u16; BLOCK],
        bounds: &[[u32; BLOCK]; 2],
        count: usize,
    ) {
        let (numbers, [lows, highs]) = (&numbers[..count], bounds);
        if !backend.count(&mut self.curves, numbers, bounds) {
            backend.compiled(
                #[inline(always)]
                || {
                    let mut units = [0; BLOCK];
                    for (j, unit) in units.iter_mut().enumerate() {
                        *unit = Curve::unit(lows[j], highs[j]);
                    }
                    for (j, &number) in numbers.iter().enumerate() {
                        self.curves[usize::from(number)].count(lows[j], highs[j], units[j]);
                    }
                },
            );
        }
        let (mut due, mut count) = ([0; BLOCK], 0);
        for &number in numbers {
            let age = &mut self.ages[usize::from(number)];
            age.grow();
            due[count % BLOCK] = number;
            count += usize::from(age.is_due());
        }
        for number in due[..count].iter().map(|&number| usize::from(number)) {
            if self.ages[number].is_due() {
                self.curves[number].renew(&mut self.ages[number]);
            }
        }
    }
}
