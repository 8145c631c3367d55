//! The encoding half.

use super::stream::Words;
use super::symbol::widen;
use super::{bits, check_count, Backend, Model, Stream, Symbol, BLOCK, LOWER_BOUND, MASK, MAX_LANES};
use crate::tables::{cost_table, Slots, COST_BITS, PRECISION};
use crate::{varint, Result};

/// A lane's first state takes 2 to 3 bytes more than it carries: up to 0.15 % of this many.
const BYTES_PER_LANE: u64 = 2000;

/// Collects groups of symbols and codes them all in [`Encoder::finish`].
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    backend: Backend,
    slots: Vec<Slots>,
    /// Where in `slots` each group ends.
    group_ends: Vec<usize>,
    escapes: Vec<u8>,
}

impl Encoder {
    /// An encoder without symbols.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes with this backend from here on.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    /// Codes a group of symbols, `symbols[i]` by the distribution of element `i` of the model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if there are not as many symbols as elements, or the
    /// model's parameters are wrong; the group is then not coded.
    pub fn put<S: Symbol, M: Model>(&mut self, symbols: &[S], model: &M) -> Result<()> {
        check_count(symbols.len(), model.len())?;
        let before = (self.slots.len(), self.escapes.len());
        let result = self.put_blocks(symbols, model);
        if result.is_err() {
            self.slots.truncate(before.0);
            self.escapes.truncate(before.1);
        } else {
            self.group_ends.push(self.slots.len());
        }
        result
    }

    fn put_blocks<S: Symbol, M: Model>(&mut self, symbols: &[S], model: &M) -> Result<()> {
        self.slots.reserve(symbols.len());
        let mut block = Block::default();
        for (i, symbols) in symbols.chunks(BLOCK).enumerate() {
            self.slots.extend_from_slice(block.fill(self.backend, symbols, model, i * BLOCK)?);
            block.outside.iter().for_each(|&distance| varint::put(&mut self.escapes, distance));
        }
        Ok(())
    }

    /// What the symbols so far cost, without what each stream costs besides (a few bytes for each lane).
    pub fn cost_bits(&self) -> f64 {
        slots_cost(&self.slots) as f64 / f64::from(1 << COST_BITS) + 8.0 * self.escapes.len() as f64
    }

    /// The stream's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.stream().to_vec()
    }

    /// The stream.
    pub fn stream(self) -> Stream {
        let lanes = self.lanes();
        self.stream_with(lanes)
    }

    fn lanes(&self) -> usize {
        // The first slots may already pay for all lanes.
        let mut cost = 0;
        for slots in self.slots.chunks(1 << 12) {
            cost += slots_cost(slots);
            if affordable_lanes(cost, usize::MAX) == MAX_LANES {
                break;
            }
        }
        let starts = std::iter::once(&0).chain(&self.group_ends);
        let longest = starts.zip(&self.group_ends).map(|(start, end)| end - start).max();
        affordable_lanes(cost, longest.unwrap_or(0))
    }

    pub(super) fn stream_with(self, lanes: usize) -> Stream {
        let mut lanes = Lanes::new(self.backend, lanes, self.slots.len() / 4);
        let mut end = self.slots.len();
        for start in self.group_ends.iter().rev().skip(1).chain(&[0]) {
            self.slots[*start..end].chunks(BLOCK).rev().for_each(|slots| lanes.put(slots));
            end = *start;
        }
        lanes.finish(&self.escapes)
    }
}

/// Codes elements from `first` on of a model as one group in a stream of its own: what [`Encoder`] makes of them, but
/// block by block in one pass, since nothing has to be remembered. `cost` is about what they all cost, in units of
/// 2^−[`COST_BITS`] bits.
pub(super) fn encode_group<S: Symbol, M: Model>(
    backend: Backend,
    symbols: &[S],
    model: &M,
    first: usize,
    cost: u64,
) -> Result<Stream> {
    let words = (cost >> COST_BITS) as usize / 16;
    let mut lanes = Lanes::new(backend, affordable_lanes(cost, symbols.len()), words + words / 16);
    let (mut block, mut outside) = (Block::default(), Vec::new());
    for (i, symbols) in symbols.chunks(BLOCK).enumerate().rev() {
        lanes.put(block.fill(backend, symbols, model, first + i * BLOCK)?);
        outside.extend(block.outside.iter().rev());
    }
    let mut escapes = Vec::new();
    outside.iter().rev().for_each(|&distance| varint::put(&mut escapes, distance));
    Ok(lanes.finish(&escapes))
}

/// About what elements `first..first + symbols.len()` cost, as a sample of their blocks says.
pub(super) fn estimate_cost<S: Symbol, M: Model>(backend: Backend, symbols: &[S], model: &M) -> Result<u64> {
    const SAMPLE: usize = 128;
    let blocks = symbols.len().div_ceil(BLOCK);
    let mut block = Block::default();
    let (mut cost, mut judged) = (0, 0);
    for (i, symbols) in symbols.chunks(BLOCK).enumerate().step_by(blocks.div_ceil(SAMPLE).max(1)) {
        cost += slots_cost(block.fill(backend, symbols, model, i * BLOCK)?);
        judged += symbols.len();
    }
    Ok((u128::from(cost) * symbols.len() as u128 / judged.max(1) as u128) as u64)
}

/// As many lanes as a stream of this cost pays for, and as its longest group has elements.
fn affordable_lanes(cost: u64, longest_group: usize) -> usize {
    let bytes = cost >> (COST_BITS + 3);
    let affordable = ((bytes / BYTES_PER_LANE) as usize).clamp(1, MAX_LANES);
    1 << affordable.min(longest_group.max(1)).ilog2()
}

/// The exact cost of the slots in units of 2^−[`COST_BITS`] bits.
fn slots_cost(slots: &[Slots]) -> u64 {
    let table = cost_table();
    slots.iter().map(|slots| u64::from(table[slots.freq() as usize])).sum()
}

/// Where the slots of a block are worked out.
struct Block {
    slots: [Slots; BLOCK],
    /// For each escape, in order, how far outside the symbol lies.
    outside: Vec<u64>,
}

impl Default for Block {
    fn default() -> Self {
        Self { slots: [Slots::new(0, 1); BLOCK], outside: Vec::new() }
    }
}

impl Block {
    /// The slots of up to 64 symbols, whose distributions are those of the model from element `first` on.
    #[inline]
    fn fill<S: Symbol, M: Model>(
        &mut self,
        backend: Backend,
        symbols: &[S],
        model: &M,
        first: usize,
    ) -> Result<&[Slots]> {
        let block = model.block(first, symbols.len())?;
        let mut wide = [0; BLOCK];
        widen(symbols, &mut wide);
        self.outside.clear();
        if symbols.len() == BLOCK {
            let escapes = model.slots_of_block(backend, &block, &wide, &mut self.slots);
            self.outside.extend(bits(escapes).filter_map(|j| model.slots(&block, j, wide[j]).1));
        } else {
            for (j, slots) in self.slots[..symbols.len()].iter_mut().enumerate() {
                let outside;
                (*slots, outside) = model.slots(&block, j, wide[j]);
                self.outside.extend(outside);
            }
        }
        Ok(&self.slots[..symbols.len()])
    }
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

    /// Encodes the slots of the block before those so far; it begins with lane 0.
    #[inline]
    fn put(&mut self, slots: &[Slots]) {
        let count = encode(self.backend, slots, self.lanes, &mut self.states, self.words.room());
        self.words.put(count);
    }

    fn finish(self, escapes: &[u8]) -> Stream {
        Stream::new(&self.states[..self.lanes], escapes, self.words)
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
