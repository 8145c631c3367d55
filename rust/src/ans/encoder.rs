//! The encoding half: remembers slots, and turns them into words at the end.

use super::{
    bits, check_indexes, check_params, element, Backend, Index, BLOCK, HAS_ESCAPES, LOWER_BOUND, MASK,
    MAX_LANES, STATE_BYTES_SHIFT,
};
use crate::tables::{cost_table, LogisticMixture, MixtureConstants, Slots, Tables, COST_BITS, PRECISION};
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

    /// Codes a group of symbols, `symbols[i]` by row `indexes[i]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if there is not one index for each symbol or
    /// a row does not exist; the group is then not coded.
    pub fn put_tables<I: Index>(&mut self, symbols: &[i32], indexes: &[I], tables: &Tables) -> Result<()> {
        check_indexes(indexes, symbols.len(), tables.len())?;
        self.slots.reserve(symbols.len());
        let done = self.put_blocks(symbols, indexes, tables);
        let pairs = symbols[done..].iter().zip(&indexes[done..]);
        self.put(pairs.map(|(&symbol, index)| tables.slots(index.row(), symbol)));
        self.group_ends.push(self.slots.len());
        Ok(())
    }

    /// Codes as many of the first elements as the backend does, and returns how many these are.
    fn put_blocks<I: Index>(&mut self, symbols: &[i32], indexes: &[I], tables: &Tables) -> usize {
        let mut done = 0;
        let mut slots = [Slots::new(0, 1); BLOCK];
        for (symbols, indexes) in symbols.as_chunks().0.iter().zip(indexes.as_chunks().0) {
            let Some(escapes) = self.backend.slots(tables, symbols, indexes, &mut slots) else { break };
            self.slots.extend_from_slice(&slots);
            bits(escapes)
                .filter_map(|i| tables.slots(indexes[i].row(), symbols[i]).1)
                .for_each(|distance| varint::put(&mut self.escapes, distance));
            done += BLOCK;
        }
        done
    }

    /// Codes a group of symbols, each by the [`LogisticMixture`] of its five parameters.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if there are not five parameters for each
    /// symbol; the group is then not coded.
    pub fn put_mixture(&mut self, symbols: &[i16], params: &[i16]) -> Result<()> {
        check_params(params, symbols.len())?;
        let constants = MixtureConstants::get();
        let mixture = |i| LogisticMixture::new(constants, element(params, i));
        self.put(symbols.iter().enumerate().map(|(i, &symbol)| mixture(i).slots(symbol)));
        self.group_ends.push(self.slots.len());
        Ok(())
    }

    fn put(&mut self, group: impl ExactSizeIterator<Item = (Slots, Option<u64>)>) {
        let escapes = &mut self.escapes;
        self.slots.extend(group.map(|(slots, outside)| {
            if let Some(distance) = outside {
                varint::put(escapes, distance);
            }
            slots
        }));
    }

    /// What the symbols so far cost, without what each stream costs besides (a few bytes for each lane).
    pub fn cost_bits(&self) -> f64 {
        self.slots_cost(u64::MAX) as f64 / f64::from(1 << COST_BITS) + 8.0 * self.escapes.len() as f64
    }

    /// The exact cost of the slots in units of 2^−[`COST_BITS`] bits, or something above `enough`.
    fn slots_cost(&self, enough: u64) -> u64 {
        let table = cost_table();
        let mut cost = 0;
        for block in self.slots.chunks(1 << 12) {
            cost += block.iter().map(|slots| u64::from(table[slots.freq() as usize])).sum::<u64>();
            if cost > enough {
                break;
            }
        }
        cost
    }

    /// The stream.
    pub fn finish(self) -> Vec<u8> {
        let lanes = self.lanes();
        self.finish_with(lanes)
    }

    /// As many lanes as the stream's size pays for, and its groups have elements.
    fn lanes(&self) -> usize {
        let byte = 8 << COST_BITS;
        let bytes = self.slots_cost(MAX_LANES as u64 * BYTES_PER_LANE * byte) / byte;
        let starts = std::iter::once(&0).chain(&self.group_ends);
        let longest = starts.zip(&self.group_ends).map(|(start, end)| end - start).max().unwrap_or(0);
        let affordable = ((bytes / BYTES_PER_LANE) as usize).clamp(1, MAX_LANES);
        1 << affordable.min(longest.max(1)).ilog2()
    }

    pub(super) fn finish_with(self, lanes: usize) -> Vec<u8> {
        // Each symbol makes at most one word. They are made last to first.
        let mut words = vec![0; self.slots.len()];
        let mut first = words.len();
        let mut states = [LOWER_BOUND; MAX_LANES];
        let mut end = self.slots.len();
        for start in self.group_ends.iter().rev().skip(1).chain(&[0]) {
            first -= self.encode_group(&self.slots[*start..end], lanes, &mut states, &mut words[..first]);
            end = *start;
        }
        self.stream(&states[..lanes], &words[first..])
    }

    /// Encodes a group's slots last to first; the words become the last of `words`, and the result is how many.
    pub(super) fn encode_group(
        &self,
        slots: &[Slots],
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &mut [u16],
    ) -> usize {
        let mut next = words.len();
        let (blocks, tail) = slots.as_chunks::<BLOCK>();
        next -= encode_scalar(tail, lanes, states, &mut words[..next]);
        for block in blocks.iter().rev() {
            let place = words[..next].last_chunk_mut().expect("each slot has room for a word");
            next -= self
                .backend
                .encode(block, lanes, states, place)
                .unwrap_or_else(|| encode_scalar(block, lanes, states, place));
        }
        words.len() - next
    }

    fn stream(self, states: &[u32], words: &[u16]) -> Vec<u8> {
        let highest = states.iter().map(|state| state - LOWER_BOUND).max().unwrap_or(0);
        if highest == 0 && words.is_empty() && self.escapes.is_empty() {
            return Vec::new();
        }
        let state_bytes = (u32::BITS - highest.leading_zeros()).div_ceil(8);
        let mut bytes = Vec::with_capacity(self.escapes.len() + 4 * states.len() + 2 * words.len() + 8);
        bytes.push(states.len().ilog2() as u8 | (state_bytes << STATE_BYTES_SHIFT) as u8);
        if !self.escapes.is_empty() {
            bytes[0] |= HAS_ESCAPES;
            varint::put(&mut bytes, self.escapes.len() as u64);
            bytes.extend(self.escapes);
        }
        for state in states {
            bytes.extend(&(state - LOWER_BOUND).to_le_bytes()[..state_bytes as usize]);
        }
        let first = bytes.len();
        bytes.resize(first + 2 * words.len(), 0);
        for (bytes, word) in bytes[first..].as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }
}

/// [`Encoder::encode_group`] for slots that begin with lane 0, one by one.
#[inline]
fn encode_scalar(slots: &[Slots], lanes: usize, states: &mut [u32; MAX_LANES], words: &mut [u16]) -> usize {
    let mut next = words.len();
    for (i, slots) in slots.iter().enumerate().rev() {
        let state = &mut states[(i & (lanes - 1)) % MAX_LANES];
        let freq = slots.freq();
        // Would the new state not fit 32 bits? The word is stored in any case: the place is free.
        let full = *state >> (32 - PRECISION) >= freq;
        words[next - 1] = *state as u16;
        next -= usize::from(full);
        let fitting = if full { *state >> 16 } else { *state };
        *state = (fitting / freq) << PRECISION | (fitting % freq + slots.start()) & MASK;
    }
    words.len() - next
}
