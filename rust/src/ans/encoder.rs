//! The encoder of streams.

use std::borrow::Cow;

use super::calibration::{Calibration, Contexts};
use super::comb::{Chosen, Trials};
use super::constants::{BATCH, BLOCK, LOWER_BOUND, MAX_LANES, PIECE, SLOT_MASK};
use super::models::{Calibrated, EntropyModel, check_count};
use super::simd::{Backend, prefetch, set_bits};
use super::stream::{Stream, Words};
use super::symbol::{Symbol, widen};
use crate::bytes::{put_varint, varint_len};
use crate::tables::{COST_BITS, Intervals, PRECISION, Slots, cost_table};
use crate::{Error, Result, interrupt};

/// A stream has a lane for each of this many bytes. The first state of a lane takes 2 to 3 bytes more than it carries,
/// which is up to 0.15 % of this.
const BYTES_PER_LANE: u64 = 2000;
/// A stream of this many bytes has at least two lanes. One lane would take nearly as long, since each step of a lane waits
/// for the step before.
const BYTES_OF_TWO: u64 = 400;

/// The number of blocks from which the cost of a large group is estimated.
const SAMPLE: usize = 64;
/// The largest group whose cost is not estimated from a sample.
pub(super) const SMALL: usize = SAMPLE * BLOCK;

/// Collects groups of symbols, and codes all of them in [`Encoder::finish`].
#[derive(Debug, Clone)]
pub struct Encoder {
    backend: Backend,
    max_lanes: usize,
    queue: Queue,
    /// The end of each group in the queue.
    group_ends: Vec<usize>,
    calibrated: Option<CalibratedSlots>,
}

impl Default for Encoder {
    fn default() -> Self {
        let (backend, queue, group_ends, calibrated) = Default::default();
        Self { backend, max_lanes: MAX_LANES, queue, group_ends, calibrated }
    }
}

impl Encoder {
    /// Returns an encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an encoder of one group of symbols, given by their slots.
    pub(super) fn of_slots(slots: Vec<Slots>) -> Self {
        let group_ends = vec![slots.len()];
        Self { queue: Queue { slots, outside: Vec::new() }, group_ends, ..Self::default() }
    }

    /// Limits the number of lanes of the stream to `max_lanes`, 1 to 64.
    ///
    /// Each lane takes 2 to 3 bytes. Vector instructions need at least 16 lanes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number is not 1 to 64.
    pub fn with_max_lanes(self, max_lanes: usize) -> Result<Self> {
        if !(1..=MAX_LANES).contains(&max_lanes) {
            return Err(Error::InvalidArgument(format!("{max_lanes} lanes are not 1 to {MAX_LANES}")));
        }
        Ok(Self { max_lanes, ..self })
    }

    /// Encodes with this backend from now on.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// Calibrates all groups that [`Encoder::put_in_contexts`] adds, unless that makes the stream longer.
    #[must_use]
    pub fn calibrating(self) -> Self {
        Self { calibrated: Some(CalibratedSlots::default()), ..self }
    }

    /// Does as [`Encoder::calibrating`], and corrects the frequencies of single values in those contexts in which that saves
    /// enough. This is for [`LogisticPair`](super::LogisticPair), and for values that are symmetric about 0.
    #[must_use]
    pub fn with_combs(self) -> Self {
        let trials = Some(Trials::default());
        Self { calibrated: Some(CalibratedSlots { trials, ..CalibratedSlots::default() }), ..self }
    }

    /// Adds a group of symbols: `symbols[i]` has the distribution of element `i` of the model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number of symbols is not that of elements, or a parameter of the model is not
    /// valid. After any error, the group is not in the stream.
    pub fn put<S: Symbol, M: EntropyModel>(&mut self, symbols: &[S], model: &M) -> Result<()> {
        check_count(symbols.len(), model.len())?;
        let before = (self.queue.slots.len(), self.queue.outside.len());
        let result = self.queue.push(self.backend, symbols, model);
        if let (Some(calibrated), Ok(_)) = (&mut self.calibrated, &result) {
            calibrated.slots.extend_from_slice(&self.queue.slots[before.0..]);
        }
        self.end_group(before, result.map(drop))
    }

    /// Adds a group as [`Encoder::put`] does, whose distributions are corrected if the encoder is [calibrating](
    /// Encoder::calibrating): elements of a context are wrong in the same way. The contexts of a stream may be those of
    /// several groups.
    ///
    /// # Errors
    /// As [`Encoder::put`]. After an error the encoder does not calibrate.
    pub fn put_in_contexts<S: Symbol, M: Calibrated>(
        &mut self,
        symbols: &[S],
        model: &M,
        contexts: Contexts,
    ) -> Result<()> {
        let Some(calibrated) = &mut self.calibrated else {
            return self.put(symbols, model);
        };
        check_count(symbols.len(), model.len())?;
        let before = (self.queue.slots.len(), self.queue.outside.len());
        let result = calibrated.push(self.backend, symbols, model, 0, contexts, &mut self.queue);
        if result.is_err() {
            // The curves may have learnt from some of the symbols.
            self.calibrated = None;
        }
        self.end_group(before, result.map(drop))
    }

    /// Ends a group, or forgets its symbols after an error. Before it were so many slots and escapes.
    fn end_group(&mut self, before: (usize, usize), result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.queue.slots.truncate(before.0);
            self.queue.outside.truncate(before.1);
        } else {
            self.group_ends.push(self.queue.slots.len());
        }
        result
    }

    /// Returns the slots of the shortest stream; if they are calibrated, the contexts with combs as well.
    fn slots(&self) -> (Cow<'_, [Slots]>, Option<Chosen>) {
        if let Some(calibrated) = &self.calibrated {
            let combs = calibrated.trials.as_ref().and_then(Trials::chosen);
            let (chosen, saved) = combs.unwrap_or_default();
            if total_cost(&calibrated.slots).saturating_sub(saved) < total_cost(&self.queue.slots) {
                return (calibrated.combed(&chosen), Some(chosen));
            }
        }
        (Cow::Borrowed(&self.queue.slots), None)
    }

    /// Makes all symbols so far one group, which [`Decoder::continue_group`](super::Decoder::continue_group) can decode in
    /// pieces of any size.
    pub fn join_groups(&mut self) {
        self.group_ends = vec![self.queue.slots.len()];
    }

    /// Returns the cost of the symbols so far in bits, without the stream's overhead of a few bytes for each lane.
    pub fn cost_bits(&self) -> f64 {
        let bytes = self.queue.outside.iter().map(|&distance| varint_len(distance) as u64).sum::<u64>();
        (total_cost(&self.slots().0) + (bytes << (COST_BITS + 3))) as f64 / f64::from(1 << COST_BITS)
    }

    /// Codes all symbols and returns the stream's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.stream().to_vec()
    }

    /// Codes all symbols and returns the stream.
    pub fn stream(self) -> Stream {
        self.to_stream()
    }

    /// Codes all symbols; the stream has no meaning if the work was cancelled meanwhile.
    pub(crate) fn to_stream(&self) -> Stream {
        let (slots, calibrated) = self.slots();
        self.stream_of(&slots, self.lanes(&slots), calibrated.as_ref())
    }

    fn lanes(&self, slots: &[Slots]) -> usize {
        // The first slots may already pay for all lanes.
        let mut cost = 0;
        for slots in slots.chunks(PIECE) {
            cost += slots_cost(slots);
            if affordable_lanes(cost, usize::MAX) == MAX_LANES
                || slots.len() == PIECE && !interrupt::is_wanted()
            {
                break;
            }
        }
        let starts = std::iter::once(&0).chain(&self.group_ends);
        let longest = starts.zip(&self.group_ends).map(|(start, end)| end - start).max();
        affordable_lanes(cost, longest.unwrap_or(0).min(self.max_lanes))
    }

    /// Returns the stream with these lanes, calibrated wherever there are contexts, with combs in all of them if any are tried.
    #[cfg(test)]
    pub(super) fn stream_with(&self, lanes: usize) -> Stream {
        match &self.calibrated {
            Some(calibrated) if !calibrated.calibration.is_empty() => {
                let chosen = calibrated.trials.as_ref().map(Trials::all).unwrap_or_default();
                self.stream_of(&calibrated.combed(&chosen), lanes, Some(&chosen))
            }
            _ => self.stream_of(&self.queue.slots, lanes, None),
        }
    }

    fn stream_of(&self, slots: &[Slots], lanes: usize, calibrated: Option<&Chosen>) -> Stream {
        let mut lanes = LaneWriter::new(self.backend, lanes, slots.len() / 4);
        let (mut end, mut unchecked) = (slots.len(), 0);
        'groups: for start in self.group_ends.iter().rev().skip(1).chain(&[0]) {
            for slots in slots[*start..end].chunks(PIECE).rev() {
                lanes.put(slots);
                unchecked += slots.len();
                if unchecked > PIECE && !interrupt::is_wanted() {
                    break 'groups;
                }
                unchecked %= PIECE;
            }
            end = *start;
        }
        lanes.finish(self.queue.outside.iter(), calibrated)
    }
}

/// Codes all elements of a model as one group in a stream of its own, and returns the stream and the sum of the symbols.
/// All slots are held in memory, which suits up to [`SMALL`] elements.
pub(super) fn encode_small<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
) -> Result<(Stream, u32)> {
    let mut encoder = Encoder::new().with_backend(backend);
    let sum = encoder.queue.push(backend, symbols, model)?;
    encoder.group_ends.push(symbols.len());
    Ok((encoder.stream(), sum))
}

/// Codes the elements from `first` on of a model as one group in a stream of its own, calibrated unless that makes it longer,
/// and returns the stream and the sum of the symbols. All slots are held in memory.
pub(super) fn encode_in_contexts<S: Symbol, M: Calibrated>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    contexts: Contexts,
) -> Result<(Stream, u32)> {
    let mut encoder = Encoder::new().with_backend(backend);
    let mut calibrated = CalibratedSlots::default();
    let sum = calibrated.push(backend, symbols, model, first, contexts, &mut encoder.queue)?;
    encoder.calibrated = Some(calibrated);
    encoder.group_ends.push(symbols.len());
    Ok((encoder.stream(), sum))
}

/// Codes the elements from `first` on of a model as one group in a stream of its own, and returns the stream and the sum of
/// the symbols. The stream is that of [`Encoder`], but slots are computed a piece at a time, so that they stay in the
/// cache. `cost` is an estimate of the cost of all symbols in units of 2^−[`COST_BITS`] bits.
pub(super) fn encode_group<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    cost: u64,
) -> Result<(Stream, u32)> {
    let words = (cost >> COST_BITS) as usize / 16;
    let mut lanes = LaneWriter::new(backend, affordable_lanes(cost, symbols.len()), words + words / 16);
    let mut slots = vec![Slots::default(); symbols.len().min(PIECE)];
    let (mut outside, mut all_outside) = (Vec::new(), Vec::new());
    let mut sum = 0;
    for (i, symbols) in symbols.chunks(PIECE).enumerate().rev() {
        interrupt::check()?;
        let slots = &mut slots[..symbols.len()];
        // The next piece is the one before this one.
        prefetch(symbols.as_ptr().wrapping_sub(PIECE), BATCH);
        sum = fill_slots(backend, symbols, model, first + i * PIECE, slots, &mut outside)?.wrapping_add(sum);
        lanes.put(slots);
        all_outside.extend(outside.drain(..).rev());
    }
    Ok((lanes.finish(all_outside.iter().rev(), None), sum))
}

/// Estimates the cost of many symbols from a sample of blocks, in units of 2^−[`COST_BITS`] bits.
pub(super) fn estimate_cost<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
) -> Result<u64> {
    let step = symbols.len().div_ceil(BLOCK).div_ceil(SAMPLE).max(1);
    let (mut cost, mut sampled) = (0, 0);
    let (mut slots, mut outside) = ([Slots::default(); BLOCK], Vec::new());
    for (i, symbols) in symbols.chunks(BLOCK).enumerate().step_by(step) {
        let slots = &mut slots[..symbols.len()];
        fill_slots(backend, symbols, model, i * BLOCK, slots, &mut outside)?;
        // The exact costs are in a table, which would have to be loaded into the cache first.
        cost += slots.iter().map(|slots| approximate_cost(*slots)).sum::<u64>();
        sampled += slots.len() as u128;
    }
    Ok((u128::from(cost) * symbols.len() as u128 / sampled.max(1)) as u64)
}

/// Returns the cost of a symbol within 0.1 bits.
fn approximate_cost(slots: Slots) -> u64 {
    // The bits of a float are its binary logarithm with 23 fraction bits, linear between powers of two.
    const MANTISSA_BITS: u32 = f32::MANTISSA_DIGITS - 1;
    let log2 = u64::from((slots.freq() as f32).to_bits() - 1f32.to_bits());
    (u64::from(PRECISION) << COST_BITS) - (log2 << (COST_BITS - MANTISSA_BITS))
}

/// Returns the number of lanes of a stream of this cost: no more than its longest group has elements.
fn affordable_lanes(cost: u64, longest_group: usize) -> usize {
    let bytes = cost >> (COST_BITS + 3);
    let least = if bytes < BYTES_OF_TWO { 1 } else { 2 };
    let affordable = ((bytes / BYTES_PER_LANE) as usize).clamp(least, MAX_LANES);
    1 << affordable.min(longest_group.max(1)).ilog2()
}

/// Returns the exact cost of the symbols in units of 2^−[`COST_BITS`] bits.
fn slots_cost(slots: &[Slots]) -> u64 {
    let table = cost_table();
    slots.iter().map(|slots| u64::from(table[slots.freq() as usize])).sum()
}

/// Does as [`slots_cost`] for any number of symbols; the result has no meaning if the work was cancelled meanwhile.
fn total_cost(slots: &[Slots]) -> u64 {
    let pieces = slots.chunks(PIECE);
    pieces.take_while(|slots| slots.len() < PIECE || interrupt::is_wanted()).map(slots_cost).sum()
}

/// The symbols to be coded.
#[derive(Debug, Clone, Default)]
struct Queue {
    slots: Vec<Slots>,
    /// The distance of each escape, in order.
    outside: Vec<u64>,
}

impl Queue {
    /// Appends symbols and returns their sum.
    fn push<S: Symbol, M: EntropyModel>(
        &mut self,
        backend: Backend,
        symbols: &[S],
        model: &M,
    ) -> Result<u32> {
        let mut batch = [Slots::default(); BATCH];
        let mut sum = 0u32;
        self.slots.reserve(symbols.len());
        for (i, symbols) in symbols.chunks(BATCH).enumerate() {
            let batch = &mut batch[..symbols.len()];
            let more = fill_slots(backend, symbols, model, i * BATCH, batch, &mut self.outside)?;
            sum = sum.wrapping_add(more);
            self.slots.extend_from_slice(batch);
            if (i + 1).is_multiple_of(PIECE / BATCH) {
                interrupt::check()?;
            }
        }
        Ok(sum)
    }
}

/// The slots of a queue's symbols with calibrated distributions.
#[derive(Debug, Clone, Default)]
struct CalibratedSlots {
    calibration: Calibration,
    slots: Vec<Slots>,
    /// What combs would make of them, if that is tried.
    trials: Option<Trials>,
}

impl CalibratedSlots {
    /// Returns the slots with combs in these contexts.
    fn combed(&self, chosen: &Chosen) -> Cow<'_, [Slots]> {
        let mut slots = Cow::Borrowed(&self.slots[..]);
        if let Some(trials) = self.trials.as_ref().filter(|_| !chosen.is_empty()) {
            trials.apply(chosen, slots.to_mut());
        }
        slots
    }

    /// Appends symbols of the elements from `first` on, here and to the queue, and returns their sum.
    fn push<S: Symbol, M: Calibrated>(
        &mut self,
        backend: Backend,
        symbols: &[S],
        model: &M,
        first: usize,
        contexts: Contexts,
        queue: &mut Queue,
    ) -> Result<u32> {
        self.calibration.reserve(contexts);
        if let Some(trials) = &mut self.trials {
            trials.begin(contexts, self.slots.len(), symbols.len());
        }
        let mut sum = 0u32;
        let mut params = M::Params::default();
        let mut wide = [0; BATCH];
        let mut contexts = contexts.blocks();
        let (mut ranges, mut intervals) = ([0; BLOCK], Intervals::EMPTY);
        let mut slots = [Slots::default(); BLOCK];
        let mut compute_slots = |intervals: &Intervals<BLOCK>, queue: &mut Vec<Slots>, count: usize| {
            backend.compiled(
                #[inline(always)]
                || intervals.slots(&mut slots),
            );
            queue.extend_from_slice(&slots[..count]);
        };
        for (i, symbols) in symbols.chunks(BATCH).enumerate() {
            if (i + 1).is_multiple_of(PIECE / BATCH) {
                interrupt::check()?;
            }
            let first = first + i * BATCH;
            model.load(first, symbols.len(), &mut params)?;
            let shifts = model.shifts(&params).map(|shifts| &shifts[..symbols.len()]);
            let (symbols, more) = widen(backend, symbols, shifts, &mut wide);
            sum = sum.wrapping_add(more);
            for (b, symbols) in symbols.chunks(BLOCK).enumerate() {
                let count = symbols.len();
                model.prepare(&mut params, b, backend);
                model.block_ranges(&params, b, backend, &mut ranges, count);
                let contexts = contexts.block(first + b * BLOCK);
                let numbers = Calibration::numbers(contexts, &ranges);
                let mut padded = [0; BLOCK];
                let block = symbols.first_chunk().unwrap_or_else(|| {
                    padded[..count].copy_from_slice(symbols);
                    &padded
                });
                let asked = model.block_intervals(&params, backend, block, &mut intervals);
                for j in set_bits(asked).take_while(|&j| j < count) {
                    let (interval, distance) = model.interval(&params, b * BLOCK + j, symbols[j]);
                    intervals.set(j, interval);
                    queue.outside.extend(distance);
                }
                compute_slots(&intervals, &mut queue.slots, count);
                let curves = self.calibration.block(backend, &numbers);
                intervals.bounds.iter_mut().for_each(|bounds| curves.apply(bounds));
                let before = self.slots.len();
                compute_slots(&intervals, &mut self.slots, count);
                if let Some(trials) = &mut self.trials {
                    trials.push(backend, symbols, contexts, &self.slots[before..], |j, window| {
                        model.open_window(&params, b * BLOCK + j, backend, curves.get(j), window)
                    });
                }
                self.calibration.learn(backend, &numbers, &intervals.bounds, count);
            }
        }
        Ok(sum)
    }
}

/// Fills in the slots of symbols of the elements from `first` on, appends the distances of the escapes among them, and
/// returns the sum of the symbols.
fn fill_slots<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    slots: &mut [Slots],
    outside: &mut Vec<u64>,
) -> Result<u32> {
    let is_fused = backend.is_fused() && symbols.len() >= BLOCK;
    let Some(mut fused) = model.fused().filter(|_| is_fused) else {
        return fill_slots_by_batch(backend, symbols, model, first, slots, outside);
    };
    let mut wide = [0; BATCH];
    let mut sum = 0u32;
    for (i, (symbols, slots)) in symbols.chunks(BATCH).zip(slots.chunks_mut(BATCH)).enumerate() {
        let (wide, more) = widen(backend, symbols, None, &mut wide);
        sum = sum.wrapping_add(more);
        for (b, slots) in slots.chunks_mut(BLOCK).enumerate() {
            let (first, start) = (first + i * BATCH + b * BLOCK, b * BLOCK);
            let block = wide[start..].first_chunk().zip((&mut *slots).try_into().ok());
            let done = block.is_some_and(|(wide, slots)| fused.slots(backend, first, wide, slots, outside));
            if !done {
                let symbols = &symbols[start..][..slots.len()];
                fill_slots_by_batch(backend, symbols, model, first, slots, outside)?;
            }
        }
    }
    Ok(sum)
}

/// Does as [`fill_slots`] for any model: loads the parameters of each batch first.
fn fill_slots_by_batch<S: Symbol, M: EntropyModel>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    slots: &mut [Slots],
    outside: &mut Vec<u64>,
) -> Result<u32> {
    let mut params = M::Params::default();
    let mut wide = [0; BATCH];
    let mut sum = 0u32;
    for (i, (symbols, slots)) in symbols.chunks(BATCH).zip(slots.chunks_mut(BATCH)).enumerate() {
        model.load(first + i * BATCH, symbols.len(), &mut params)?;
        let shifts = model.shifts(&params).map(|shifts| &shifts[..symbols.len()]);
        let (symbols, more) = widen(backend, symbols, shifts, &mut wide);
        sum = sum.wrapping_add(more);
        let blocks = symbols.as_chunks::<BLOCK>().0.iter().zip(slots.as_chunks_mut().0);
        let mut done = 0;
        for (b, (symbols, slots)) in blocks.enumerate() {
            model.prepare(&mut params, b, backend);
            let Some(asked) = model.block_slots(&params, b, backend, symbols, slots) else { break };
            for j in set_bits(asked) {
                let distance;
                (slots[j], distance) = model.slots(&params, b * BLOCK + j, symbols[j]);
                outside.extend(distance);
            }
            done += BLOCK;
        }
        for j in done..symbols.len() {
            let distance;
            (slots[j], distance) = model.slots(&params, j, symbols[j]);
            outside.extend(distance);
        }
    }
    Ok(sum)
}

/// The states and words of a stream, which is encoded from its end.
struct LaneWriter {
    backend: Backend,
    states: [u32; MAX_LANES],
    lanes: usize,
    words: Words,
}

impl LaneWriter {
    fn new(backend: Backend, lanes: usize, room: usize) -> Self {
        Self { backend, states: [LOWER_BOUND; MAX_LANES], lanes, words: Words::with_room(room) }
    }

    /// Encodes symbols that come before all symbols so far. They begin with lane 0.
    fn put(&mut self, slots: &[Slots]) {
        for slots in slots.chunks(BLOCK).rev() {
            let count = encode(self.backend, slots, self.lanes, &mut self.states, self.words.room());
            self.words.put(count);
        }
    }

    fn finish<'a>(self, outside: impl Iterator<Item = &'a u64>, calibrated: Option<&Chosen>) -> Stream {
        let mut escapes = Vec::new();
        outside.for_each(|&distance| put_varint(&mut escapes, distance));
        Stream::new(&self.states[..self.lanes], &escapes, self.words, calibrated)
    }
}

/// Encodes up to 64 symbols, last to first. Their words become the last of `words`; the result is their number.
#[inline]
pub(super) fn encode(
    backend: Backend,
    slots: &[Slots],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &mut [u16; BLOCK],
) -> usize {
    slots
        .try_into()
        .ok()
        .and_then(|slots| backend.encode(slots, lanes, states, words))
        .unwrap_or_else(|| encode_scalar(slots, lanes, states, words))
}

/// Does as [`encode`] for one symbol after another.
#[inline]
fn encode_scalar(
    slots: &[Slots],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &mut [u16; BLOCK],
) -> usize {
    let mut next = BLOCK;
    for (j, slots) in slots.iter().enumerate().rev() {
        let state = &mut states[(j & (lanes - 1)) % MAX_LANES];
        let freq = slots.freq();
        // If the new state would not fit 32 bits, a word is output. It is stored in any case, as there is room.
        let full = *state >> (32 - PRECISION) >= freq;
        words[next - 1] = *state as u16;
        next -= usize::from(full);
        let fitting = if full { *state >> 16 } else { *state };
        *state = (fitting / freq) << PRECISION | (fitting % freq + slots.start()) & SLOT_MASK;
    }
    BLOCK - next
}
