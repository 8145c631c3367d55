//! Values that are rarer or more frequent than a smooth distribution can say.
//!
//! The histogram of a coefficient that was quantised twice is a *comb*: some values never occur, and others take their
//! place. A [`Comb`] counts, for each value in a context, how often it occurred and how often the calibrated distribution
//! expected it. The ratio of the two corrects the probabilities of the next symbols.

use super::calibration::Contexts;
use super::constants::{BLOCK, PIECE};
use super::simd::Backend;
use crate::bytes::{Cursor, put_varint, varint_len};
use crate::tables::{COST_BITS, Slots, TOTAL, cost_table};
use crate::{Error, Result, interrupt};

/// The values −REACH..=REACH have ratios.
const REACH: i32 = 511;
const VALUES: usize = 2 * REACH as usize + 1;
/// The most symbols of a window.
const WIDEST: usize = 255;
/// The bounds of a window are computed in pieces of this many.
pub(super) const STRIDE: usize = 16;
/// The room for the bounds of a window: one more than symbols, and none that a piece would lack.
const ROOM: usize = (WIDEST + 1).next_multiple_of(STRIDE);
/// The ratio 1.
const ONE: u16 = 1 << RATIO_BITS;
const RATIO_BITS: u32 = 10;
/// A symbol is expected this often in total, times its number of slots; at most, since the correction is inverted.
const SHARE_BITS: u32 = 12;
const MOST_SHARE: u32 = 8 << SHARE_BITS;
/// The unit of expected symbols, and what is added to both counts of a ratio: half a symbol.
const EXPECTED_BITS: u32 = 15;
const PRIOR: u64 = 1 << (EXPECTED_BITS - 1);
/// A comb of more symbols than this forgets half of each.
const MEMORY: u32 = 1 << 13;

/// Where the symbols around the centre of a distribution begin.
#[derive(Debug)]
pub struct Window {
    first: i32,
    count: usize,
    /// The calibrated distribution functions below the symbols and above the last one; those after these have no meaning.
    bounds: [u32; ROOM],
    /// The first slots of the symbols and the end of the last one: by these functions alone, and corrected.
    starts: [u32; ROOM],
    corrected: [u32; ROOM],
    /// The sum of the symbols' slots, each times its ratio.
    total: u32,
}

impl Window {
    pub(super) const EMPTY: Self =
        Self { first: 0, count: 0, bounds: [0; ROOM], starts: [0; ROOM], corrected: [0; ROOM], total: 0 };

    /// Becomes the symbols near `centre` of the support, which begins at `low` and has so many `symbols`, of a distribution
    /// in a range of scales. `bounds` fills in pieces of the calibrated distribution function below and above the symbols
    /// from the first argument on.
    #[inline(always)]
    pub(super) fn open(
        &mut self,
        range: usize,
        centre: i32,
        [low, symbols]: [i32; 2],
        bounds: impl FnOnce(i32, &mut [[u32; STRIDE]]),
    ) {
        // Eight times the range's largest scale, but 8 to 128.
        let radius = 1 << (range + 1).clamp(3, 7);
        self.first = (centre - radius + 1).max(low).max(-REACH);
        let end = (centre + radius).min(low + symbols).min(REACH + 1);
        self.count = (end - self.first).max(0) as usize % (WIDEST + 1);
        if self.count < 2 {
            self.count = 0;
            return;
        }
        let pieces = (self.count + 1).div_ceil(STRIDE).min(ROOM / STRIDE);
        bounds(self.first, &mut self.bounds.as_chunks_mut().0[..pieces]);
        let (rank, spare) = ((1 + self.first - low) as u32, TOTAL - 2 - symbols as u32);
        for (i, (start, bound)) in self.starts.iter_mut().zip(&self.bounds).take(pieces * STRIDE).enumerate()
        {
            *start = rank + i as u32 + ((bound * spare) >> 16);
        }
    }

    /// Returns the position of a symbol, if it is inside.
    #[inline]
    fn position(&self, symbol: i32) -> Option<usize> {
        let position = usize::try_from(i64::from(symbol) - i64::from(self.first)).ok()?;
        (position < self.count).then_some(position)
    }

    #[inline]
    fn slots(&self, position: usize) -> Slots {
        let [start, end] = [position, position + 1].map(|i| self.corrected[i % ROOM]);
        Slots::starting(start, end - start)
    }

    /// Returns the position of the symbol that owns a slot, if it is inside.
    #[inline(always)]
    fn find(&self, slot: u32) -> Option<usize> {
        let last = self.count % ROOM;
        if last == 0 || slot < self.corrected[0] || slot >= self.corrected[last] {
            return None;
        }
        let starts = &self.corrected[..last];
        Some(starts.iter().map(|&start| usize::from(start <= slot)).sum::<usize>() - 1)
    }
}

/// What was counted of each value in a context.
#[derive(Debug, Clone)]
struct Comb {
    /// How often a value occurred, and was expected, times 2^15.
    counted: [u32; VALUES],
    expected: [u32; VALUES],
    /// How much more frequent a value is than expected, times 2^10.
    ratios: [u16; VALUES],
    /// Values beyond this were never expected.
    reach: i32,
    seen: u32,
    fresh: u32,
}

impl Comb {
    const NEW: Self = Self {
        counted: [0; VALUES],
        expected: [0; VALUES],
        ratios: [ONE; VALUES],
        reach: 0,
        seen: 0,
        fresh: 0,
    };

    /// Divides the slots of a window among its symbols anew: each keeps one, and gets a part of the others.
    #[inline(always)]
    fn correct(&self, window: &mut Window) {
        let Window { first, count, starts, corrected, total, .. } = window;
        let count = *count % ROOM;
        let from = (*first + REACH) as usize;
        let Some(ratios) = self.ratios.get(from..from + count).filter(|_| count > 0) else { return };
        let mut weights = [0; ROOM];
        for (i, (weight, &ratio)) in weights.iter_mut().zip(ratios).enumerate() {
            *weight = (starts[i + 1] - starts[i]) * u32::from(ratio);
        }
        let mut sum = 0;
        for (corrected, weight) in corrected.iter_mut().zip(&weights[..count]) {
            *corrected = sum;
            sum += weight;
        }
        *total = sum;
        let (start, end) = (starts[0], starts[count]);
        // Below 2^32, since each of the window's slots has a ratio of at least 2^−10.
        let unit = (u64::from(end - start - count as u32) << 32) / u64::from(sum);
        for (i, corrected) in corrected[..count].iter_mut().enumerate() {
            *corrected = start + i as u32 + ((u64::from(*corrected) * unit) >> 32) as u32;
        }
        corrected[count] = end;
    }

    /// Counts a symbol, at this position of a window if it is inside.
    #[inline(always)]
    fn count(&mut self, window: &Window, position: Option<usize>) {
        self.seen += 1;
        self.fresh += 1;
        let count = window.count % ROOM;
        let from = (window.first + REACH) as usize;
        let Some(expected) = self.expected.get_mut(from..from + count).filter(|_| count > 0) else { return };
        let slots = window.starts[count] - window.starts[0];
        let share = ((u64::from(slots) << (RATIO_BITS + SHARE_BITS)) / u64::from(window.total)) as u32;
        let share = share.min(MOST_SHARE);
        for (i, expected) in expected.iter_mut().enumerate() {
            *expected += ((window.starts[i + 1] - window.starts[i]) * share) >> SHARE_BITS;
        }
        self.reach = self.reach.max(-window.first).max(window.first + count as i32 - 1);
        if let Some(position) = position {
            self.counted[from + position] += 1;
        }
    }

    /// Takes the counts over if there are enough new ones: a 32nd of all. A value and its negative have one ratio.
    fn renew(&mut self) {
        if 32 * self.fresh < self.seen + 128 {
            return;
        }
        let Self { counted, expected, ratios, reach, .. } = self;
        let (zero, reach) = (REACH as usize, *reach as usize);
        if self.seen > MEMORY {
            for i in zero - reach..=zero + reach {
                (counted[i], expected[i]) = (counted[i] / 2, expected[i] / 2);
            }
            self.seen /= 2;
        }
        for v in 0..=reach {
            let sum = |counts: &[u32; VALUES]| u64::from(counts[zero - v]) + u64::from(counts[zero + v]);
            let ratio = (((sum(counted) << EXPECTED_BITS) + PRIOR) << RATIO_BITS) / (sum(expected) + PRIOR);
            let ratio = ratio.clamp(1, u16::MAX.into()) as u16;
            (ratios[zero - v], ratios[zero + v]) = (ratio, ratio);
        }
        self.fresh = 0;
    }
}

/// The contexts of a stream in which combs correct the distributions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The first and the last of each run of contexts, in order.
    runs: Vec<[u16; 2]>,
}

impl Chosen {
    /// Takes contexts in order.
    fn new(contexts: impl Iterator<Item = u16>) -> Self {
        let mut runs: Vec<[u16; 2]> = Vec::new();
        for context in contexts {
            match runs.last_mut() {
                Some([_, last]) if *last + 1 == context => *last = context,
                _ => runs.push([context; 2]),
            }
        }
        Self { runs }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn contains(&self, context: u16) -> bool {
        let run = self.runs.partition_point(|[_, last]| *last < context);
        self.runs.get(run).is_some_and(|[first, _]| *first <= context)
    }

    /// Returns the numbers of a stream that name the contexts: of runs, and of other contexts before each run and of its own.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers = vec![self.runs.len() as u64];
        let mut next = 0;
        for &[first, last] in &self.runs {
            numbers.extend([first - next, last - first].map(u64::from));
            next = last + 1;
        }
        numbers
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.numbers().into_iter().for_each(|number| put_varint(bytes, number));
    }

    fn bytes(&self) -> usize {
        self.numbers().into_iter().map(varint_len).sum()
    }

    pub(super) fn read(cursor: &mut Cursor) -> Result<Self> {
        let offset = cursor.position();
        let wrong = |what: String| Error::Corrupt { what, offset };
        let count = cursor.varint("number of runs of contexts")?;
        if !(1..=Contexts::MAX as u64 / 2).contains(&count) {
            return Err(wrong(format!("{count} runs of contexts with combs")));
        }
        let (mut runs, mut next) = (Vec::new(), 0u64);
        for i in 0..count {
            let skipped = cursor.varint("contexts without combs")?;
            let more = cursor.varint("contexts with combs")?;
            let last = next.checked_add(skipped).and_then(|first| first.checked_add(more));
            let Some(last) = last.filter(|&last| last < Contexts::MAX as u64) else {
                return Err(wrong(format!("a context with combs is not below {}", Contexts::MAX)));
            };
            if i > 0 && skipped == 0 {
                return Err(wrong("two runs of contexts with combs are one".into()));
            }
            runs.push([(last - more) as u16, last as u16]);
            next = last + 1;
        }
        Ok(Self { runs })
    }
}

/// The combs of a stream that is decoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Combs {
    chosen: Chosen,
    /// Those of contexts of which a symbol was decoded.
    combs: Vec<Option<Box<Comb>>>,
    /// The contexts whose combs have counted something in this block.
    counted: Vec<u16>,
}

impl Combs {
    pub(super) fn new(chosen: Chosen) -> Self {
        Self { chosen, ..Self::default() }
    }

    /// Returns the bits of those elements of a block whose contexts have combs.
    pub(super) fn of_block(&self, contexts: &[u16; BLOCK]) -> u64 {
        if self.chosen.is_empty() {
            return 0;
        }
        (0..BLOCK).fold(0, |set, j| set | u64::from(self.chosen.contains(contexts[j])) << j)
    }

    /// Finds the owner of a slot in a window on its distribution, whose context has a comb: returns the symbol, its slots and
    /// the calibrated distribution function below and above it. `None` leaves it to the calibrated distribution.
    #[inline(never)]
    pub(super) fn find(
        &mut self,
        backend: Backend,
        context: u16,
        slot: u32,
        window: &mut Window,
    ) -> Option<(i32, Slots, [u32; 2])> {
        let context = usize::from(context);
        if self.combs.len() <= context {
            self.combs.resize_with(context + 1, || None);
        }
        let comb = self.combs[context].get_or_insert_with(|| Box::new(Comb::NEW));
        let position = backend.compiled(
            #[inline(always)]
            || {
                comb.correct(window);
                let position = window.find(slot);
                comb.count(window, position);
                position
            },
        );
        self.counted.push(context as u16);
        let position = position?;
        let bounds = [position, position + 1].map(|i| window.bounds[i % ROOM]);
        Some((window.first + position as i32, window.slots(position), bounds))
    }

    /// Learns from a block. All symbols of a block are coded with the combs as they were before it.
    pub(super) fn learn(&mut self) {
        for context in self.counted.drain(..) {
            if let Some(Some(comb)) = self.combs.get_mut(usize::from(context)) {
                comb.renew();
            }
        }
    }
}

/// A comb in a context must save this part of the cost of its symbols, for the time that it takes.
const LEAST_SAVED: u64 = 128;

/// What a comb would do in a context of a stream that is encoded.
#[derive(Debug, Clone)]
struct Trial {
    comb: Box<Comb>,
    /// The slots of the context's symbols with the comb.
    slots: Vec<Slots>,
    /// What the symbols cost without it, and what it saves, in units of 2^−[`COST_BITS`] bits.
    cost: u64,
    saved: i64,
}

impl Trial {
    fn new() -> Self {
        Self { comb: Box::new(Comb::NEW), slots: Vec::new(), cost: 0, saved: 0 }
    }

    /// Returns what is saved if that is worth it.
    fn gain(&self) -> Option<u64> {
        u64::try_from(self.saved).ok().filter(|&saved| saved > self.cost / LEAST_SAVED)
    }
}

/// The contexts of symbols of a stream.
#[derive(Debug, Clone)]
struct Group {
    contexts: Vec<u16>,
    run: usize,
    /// The first and the number of its symbols among those of the stream.
    start: usize,
    count: usize,
}

/// Tries combs in all contexts of a stream, each for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Trials {
    trials: Vec<Option<Trial>>,
    groups: Vec<Group>,
}

impl Trials {
    /// Begins a group, whose first symbol has this place in the stream.
    pub(super) fn begin(&mut self, contexts: Contexts, start: usize, count: usize) {
        let (numbers, run) = contexts.parts();
        let room = numbers.iter().max().map_or(0, |&most| usize::from(most) + 1);
        if self.trials.len() < room {
            self.trials.resize_with(room, || None);
        }
        match self.groups.last_mut() {
            Some(last)
                if last.contexts == numbers
                    && last.run == run
                    && last.start + last.count == start
                    && last.count.is_multiple_of(numbers.len() * run) =>
            {
                last.count += count;
            }
            _ => self.groups.push(Group { contexts: numbers.to_vec(), run, start, count }),
        }
    }

    /// Takes a block of symbols, their contexts, their calibrated slots, and what opens the window on the distribution of
    /// each, if its model has windows.
    pub(super) fn push(
        &mut self,
        backend: Backend,
        symbols: &[i32],
        contexts: &[u16; BLOCK],
        calibrated: &[Slots],
        mut open: impl FnMut(usize, &mut Window) -> bool,
    ) {
        let mut window = Window::EMPTY;
        let costs = cost_table();
        for (j, (&symbol, &calibrated)) in symbols.iter().zip(calibrated).enumerate() {
            let trial = self.trials[usize::from(contexts[j])].get_or_insert_with(Trial::new);
            if !open(j, &mut window) {
                trial.slots.push(calibrated);
                continue;
            }
            let position = window.position(symbol);
            backend.compiled(
                #[inline(always)]
                || {
                    trial.comb.correct(&mut window);
                    trial.comb.count(&window, position);
                },
            );
            let slots = position.map_or(calibrated, |position| window.slots(position));
            let [before, after] = [calibrated, slots].map(|slots| costs[slots.freq() as usize]);
            trial.cost += u64::from(before);
            trial.saved += i64::from(before) - i64::from(after);
            trial.slots.push(slots);
        }
        for &context in &contexts[..symbols.len()] {
            if let Some(trial) = &mut self.trials[usize::from(context)] {
                trial.comb.renew();
            }
        }
    }

    /// Returns the contexts in which combs save enough, and what they save together in units of 2^−[`COST_BITS`] bits.
    pub(super) fn chosen(&self) -> Option<(Chosen, u64)> {
        let gains = self.trials.iter().map(|trial| trial.as_ref().and_then(Trial::gain));
        let gains: Vec<(u16, u64)> = (0..).zip(gains).filter_map(|(i, gain)| Some((i, gain?))).collect();
        let chosen = Chosen::new(gains.iter().map(|(context, _)| *context));
        let saved: u64 = gains.iter().map(|(_, gain)| gain).sum();
        // The contexts' names, and the byte that says that there are any.
        let price = (chosen.bytes() as u64 + 1) << (COST_BITS + 3);
        saved.checked_sub(price).filter(|_| !chosen.is_empty()).map(|saved| (chosen, saved))
    }

    /// Returns all contexts that were tried.
    #[cfg(test)]
    pub(super) fn all(&self) -> Chosen {
        Chosen::new((0..).zip(&self.trials).filter_map(|(context, trial)| trial.as_ref().map(|_| context)))
    }

    /// Replaces the slots of the symbols in these contexts; the result has no meaning if the work was cancelled meanwhile.
    pub(super) fn apply(&self, chosen: &Chosen, slots: &mut [Slots]) {
        let mut queues: Vec<_> =
            self.trials.iter().map(|trial| trial.iter().flat_map(|t| &t.slots)).collect();
        let is_chosen: Vec<bool> =
            (0..self.trials.len()).map(|context| chosen.contains(context as u16)).collect();
        for group in &self.groups {
            let contexts = Contexts::of_parts(&group.contexts, group.run);
            let mut contexts = contexts.blocks();
            let slots = &mut slots[group.start..group.start + group.count];
            for (b, slots) in slots.chunks_mut(BLOCK).enumerate() {
                if (b + 1).is_multiple_of(PIECE / BLOCK) && !interrupt::is_wanted() {
                    return;
                }
                for (slots, &context) in slots.iter_mut().zip(contexts.block(b * BLOCK)) {
                    let context = usize::from(context);
                    if is_chosen[context]
                        && let Some(combed) = queues[context].next()
                    {
                        *slots = *combed;
                    }
                }
            }
        }
    }
}
