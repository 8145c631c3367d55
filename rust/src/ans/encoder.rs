//! The encoding half.

use super::simd::prefetch;
use super::stream::Words;
use super::{bits, check_count, Backend, Model, Stream, Symbol, BATCH, BLOCK, LOWER_BOUND, MASK, MAX_LANES};
use crate::tables::{cost_table, Slots, COST_BITS, PRECISION};
use crate::{interrupt, varint, Error, Result};

/// A lane's first state takes 2 to 3 bytes more than it carries: up to 0.15 % of this many.
const BYTES_PER_LANE: u64 = 2000;
/// From here on there are two lanes, which take hardly longer than one: a lane waits for itself most of the time.
const BYTES_OF_TWO: u64 = 400;

/// So many blocks tell what a large group costs.
const SAMPLE: usize = 64;
/// A group of no more elements is too small to be judged by a sample.
pub(super) const SMALL: usize = SAMPLE * BLOCK;
/// So many symbols are coded before it is asked whether the work is still wanted.
pub(super) const PIECE: usize = 32 * BATCH;

/// Collects groups of symbols and codes them all in [`Encoder::finish`].
#[derive(Debug, Clone)]
pub struct Encoder {
    backend: Backend,
    max_lanes: usize,
    queue: Queue,
    /// Where in the queue each group ends.
    group_ends: Vec<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        let (backend, queue, group_ends) = Default::default();
        Self { backend, max_lanes: MAX_LANES, queue, group_ends }
    }
}

impl Encoder {
    /// An encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder of one group of symbols, given by their slots.
    pub(super) fn of_slots(slots: Vec<Slots>) -> Self {
        let group_ends = vec![slots.len()];
        Self { queue: Queue { slots, outside: Vec::new() }, group_ends, ..Self::default() }
    }

    /// Makes a stream of no more than so many lanes, 1 to 64.
    ///
    /// Each takes 2 to 3 bytes. The vector instructions, which are for tables, want 16 or more.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there can't be that many.
    pub fn with_max_lanes(self, max_lanes: usize) -> Result<Self> {
        if !(1..=MAX_LANES).contains(&max_lanes) {
            return Err(Error::InvalidArgument(format!("{max_lanes} lanes are not 1 to {MAX_LANES}")));
        }
        Ok(Self { max_lanes, ..self })
    }

    /// Encodes with this backend from here on.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// Codes a group of symbols, `symbols[i]` by the distribution of element `i` of the model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are not as many symbols as elements, or the
    /// model's parameters are wrong; whatever the error, the group is then not coded.
    pub fn put<S: Symbol, M: Model>(&mut self, symbols: &[S], model: &M) -> Result<()> {
        check_count(symbols.len(), model.len())?;
        let before = (self.queue.slots.len(), self.queue.outside.len());
        let result = self.queue.push(self.backend, symbols, model);
        if result.is_err() {
            self.queue.slots.truncate(before.0);
            self.queue.outside.truncate(before.1);
        } else {
            self.group_ends.push(self.queue.slots.len());
        }
        result.map(drop)
    }

    /// Makes all symbols so far one group, which [`Decoder::continue_group`](super::Decoder::continue_group) can read in
    /// any pieces.
    pub fn join_groups(&mut self) {
        self.group_ends = vec![self.queue.slots.len()];
    }

    /// What the symbols so far cost, without what each stream costs besides (a few bytes for each lane).
    pub fn cost_bits(&self) -> f64 {
        self.queue.cost() as f64 / f64::from(1 << COST_BITS)
    }

    /// The stream's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.stream().to_vec()
    }

    /// The stream.
    pub fn stream(self) -> Stream {
        self.to_stream()
    }

    /// The stream; of no use if the work was interrupted.
    pub(crate) fn to_stream(&self) -> Stream {
        self.stream_with(self.lanes())
    }

    fn lanes(&self) -> usize {
        // The first slots may already pay for all lanes.
        let mut cost = 0;
        for slots in self.queue.slots.chunks(PIECE) {
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

    pub(super) fn stream_with(&self, lanes: usize) -> Stream {
        let Queue { slots, outside } = &self.queue;
        let mut lanes = Lanes::new(self.backend, lanes, slots.len() / 4);
        let (mut end, mut unasked) = (slots.len(), 0);
        'groups: for start in self.group_ends.iter().rev().skip(1).chain(&[0]) {
            for slots in slots[*start..end].chunks(PIECE).rev() {
                lanes.put(slots);
                unasked += slots.len();
                if unasked > PIECE && !interrupt::is_wanted() {
                    break 'groups;
                }
                unasked %= PIECE;
            }
            end = *start;
        }
        lanes.finish(outside.iter())
    }
}

/// Codes all elements of a model as one group in a stream of its own, and returns their sum as well. The slots are
/// remembered, which suits up to [`SMALL`] elements.
pub(super) fn encode_small<S: Symbol, M: Model>(
    backend: Backend,
    symbols: &[S],
    model: &M,
) -> Result<(Stream, u32)> {
    let mut encoder = Encoder::new().with_backend(backend);
    let sum = encoder.queue.push(backend, symbols, model)?;
    encoder.group_ends.push(symbols.len());
    Ok((encoder.stream(), sum))
}

/// Codes elements from `first` on of a model as one group in a stream of its own: what [`Encoder`] makes of them, but a
/// piece at a time, so that slots stay in the cache; and the symbols' sum. `cost` is about what they all cost, in
/// units of 2^−[`COST_BITS`] bits.
pub(super) fn encode_group<S: Symbol, M: Model>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    cost: u64,
) -> Result<(Stream, u32)> {
    let words = (cost >> COST_BITS) as usize / 16;
    let mut lanes = Lanes::new(backend, affordable_lanes(cost, symbols.len()), words + words / 16);
    let mut slots = vec![Slots::default(); symbols.len().min(PIECE)];
    let (mut outside, mut all_outside) = (Vec::new(), Vec::new());
    let mut sum = 0;
    for (i, symbols) in symbols.chunks(PIECE).enumerate().rev() {
        interrupt::check()?;
        let slots = &mut slots[..symbols.len()];
        // The piece before this one is next.
        prefetch(symbols.as_ptr().wrapping_sub(PIECE), BATCH);
        sum = fill_slots(backend, symbols, model, first + i * PIECE, slots, &mut outside)?.wrapping_add(sum);
        lanes.put(slots);
        all_outside.extend(outside.drain(..).rev());
    }
    Ok((lanes.finish(all_outside.iter().rev()), sum))
}

/// About what many symbols cost, as a sample of blocks says.
pub(super) fn estimate_cost<S: Symbol, M: Model>(backend: Backend, symbols: &[S], model: &M) -> Result<u64> {
    let step = symbols.len().div_ceil(BLOCK).div_ceil(SAMPLE).max(1);
    let (mut cost, mut judged) = (0, 0);
    let (mut slots, mut outside) = ([Slots::default(); BLOCK], Vec::new());
    for (i, symbols) in symbols.chunks(BLOCK).enumerate().step_by(step) {
        let slots = &mut slots[..symbols.len()];
        fill_slots(backend, symbols, model, i * BLOCK, slots, &mut outside)?;
        // Not exactly, for the table of costs would have to come to the cache first.
        cost += slots.iter().map(|slots| about_cost(*slots)).sum::<u64>();
        judged += slots.len() as u128;
    }
    Ok((u128::from(cost) * symbols.len() as u128 / judged.max(1)) as u64)
}

/// What a slot costs, within 0.1 bits.
fn about_cost(slots: Slots) -> u64 {
    // Read as an integer, a float is its logarithm with 23 fraction bits, linear between powers of two.
    const MANTISSA_BITS: u32 = f32::MANTISSA_DIGITS - 1;
    let log2 = u64::from((slots.freq() as f32).to_bits() - 1f32.to_bits());
    (u64::from(PRECISION) << COST_BITS) - (log2 << (COST_BITS - MANTISSA_BITS))
}

/// As many lanes as a stream of this cost pays for, and as its longest group has elements.
fn affordable_lanes(cost: u64, longest_group: usize) -> usize {
    let bytes = cost >> (COST_BITS + 3);
    let least = if bytes < BYTES_OF_TWO { 1 } else { 2 };
    let affordable = ((bytes / BYTES_PER_LANE) as usize).clamp(least, MAX_LANES);
    1 << affordable.min(longest_group.max(1)).ilog2()
}

/// The exact cost of the slots in units of 2^−[`COST_BITS`] bits.
fn slots_cost(slots: &[Slots]) -> u64 {
    let table = cost_table();
    slots.iter().map(|slots| u64::from(table[slots.freq() as usize])).sum()
}

/// Slots to be coded.
#[derive(Debug, Clone, Default)]
struct Queue {
    slots: Vec<Slots>,
    /// For each escape, in order, how far outside the symbol lies.
    outside: Vec<u64>,
}

impl Queue {
    /// Appends the slots of symbols by a model, and returns the symbols' sum.
    fn push<S: Symbol, M: Model>(&mut self, backend: Backend, symbols: &[S], model: &M) -> Result<u32> {
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

    /// The exact cost in units of 2^−[`COST_BITS`] bits.
    fn cost(&self) -> u64 {
        let bytes = self.outside.iter().map(|&distance| varint::length(distance) as u64).sum::<u64>();
        let pieces = self.slots.chunks(PIECE);
        let wanted = pieces.take_while(|slots| slots.len() < PIECE || interrupt::is_wanted());
        wanted.map(slots_cost).sum::<u64>() + (bytes << (COST_BITS + 3))
    }
}

/// Fills in the slots of symbols whose distributions are those of the model from element `first` on, and appends how far
/// outside the escapes among them lie; the result is the symbols' sum.
fn fill_slots<S: Symbol, M: Model>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    slots: &mut [Slots],
    outside: &mut Vec<u64>,
) -> Result<u32> {
    let Some(mut around) = model.around().filter(|_| backend.codes_around() && symbols.len() >= BLOCK) else {
        return fill_slots_by_rows(backend, symbols, model, first, slots, outside);
    };
    let mut wide = [0; BATCH];
    let mut sum = 0u32;
    for (i, (symbols, slots)) in symbols.chunks(BATCH).zip(slots.chunks_mut(BATCH)).enumerate() {
        let (wide, more) = backend.widen(symbols, None, &mut wide);
        sum = sum.wrapping_add(more);
        for (b, slots) in slots.chunks_mut(BLOCK).enumerate() {
            let (first, start) = (first + i * BATCH + b * BLOCK, b * BLOCK);
            let block = wide[start..].first_chunk().zip((&mut *slots).try_into().ok());
            let done = block.is_some_and(|(wide, slots)| around.slots(backend, first, wide, slots, outside));
            if !done {
                fill_slots_by_rows(
                    backend,
                    &symbols[start..][..slots.len()],
                    &around.located,
                    first,
                    slots,
                    outside,
                )?;
            }
        }
    }
    Ok(sum)
}

/// [`fill_slots`] for any model, which loads its parameters first.
fn fill_slots_by_rows<S: Symbol, M: Model>(
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
        let (symbols, more) = backend.widen(symbols, shifts, &mut wide);
        sum = sum.wrapping_add(more);
        let blocks = symbols.as_chunks::<BLOCK>().0.iter().zip(slots.as_chunks_mut().0);
        let mut done = 0;
        for (b, (symbols, slots)) in blocks.enumerate() {
            let Some(rows) = model.rows(&params, b) else { break };
            for j in bits(backend.slots(rows, symbols, slots)) {
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

/// The states of a stream that is encoded from its end.
pub(super) struct Lanes {
    backend: Backend,
    states: [u32; MAX_LANES],
    lanes: usize,
    words: Words,
}

impl Lanes {
    fn new(backend: Backend, lanes: usize, room: usize) -> Self {
        Self { backend, states: [LOWER_BOUND; MAX_LANES], lanes, words: Words::with_room(room) }
    }

    /// Encodes slots before those so far; they begin with lane 0.
    fn put(&mut self, slots: &[Slots]) {
        for slots in slots.chunks(BLOCK).rev() {
            let count = encode(self.backend, slots, self.lanes, &mut self.states, self.words.room());
            self.words.put(count);
        }
    }

    fn finish<'a>(self, outside: impl Iterator<Item = &'a u64>) -> Stream {
        let mut escapes = Vec::new();
        outside.for_each(|&distance| varint::put(&mut escapes, distance));
        Stream::new(&self.states[..self.lanes], &escapes, self.words)
    }
}

/// Encodes up to 64 slots, last to first; the words become the last of `words`, and the result is how many.
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

/// [`encode`], one by one.
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
        // Would the new state not fit 32 bits? The word is stored in any case: the place is free.
        let full = *state >> (32 - PRECISION) >= freq;
        words[next - 1] = *state as u16;
        next -= usize::from(full);
        let fitting = if full { *state >> 16 } else { *state };
        *state = (fitting / freq) << PRECISION | (fitting % freq + slots.start()) & MASK;
    }
    BLOCK - next
}
