//! Distributions that adapt to the symbols they code, one after another.
//!
//! The symbols are a single group of an ordinary stream (see [`super`]): the distributions adapt before the next symbol is
//! coded.

use super::constants::{LOWER_BOUND, MAX_LANES, SLOT_MASK};
use super::decoder::LaneReader;
use super::encoder::Encoder;
use super::simd::adaptive_row;
pub(crate) use super::simd::adaptive_row::SYMBOLS;
use crate::tables::{PRECISION, Slots, TOTAL};
use crate::{Error, Result};

/// The smallest number of slots of a symbol.
const LEAST: i16 = 2;

/// An adaptive distribution of 16 symbols: their first slots, of which the first is 0.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(crate) struct AdaptiveCdf(pub(crate) [i16; SYMBOLS]);

/// For each symbol, the distribution in which it has all slots but the least of each other symbol.
static CERTAIN: [[i16; SYMBOLS]; SYMBOLS] = {
    let mut rows = [[0; SYMBOLS]; SYMBOLS];
    let (mut symbol, mut j) = (0, 0);
    while symbol < SYMBOLS {
        let above = if j > symbol { (TOTAL as i32 - SYMBOLS as i32 * LEAST as i32) as i16 } else { 0 };
        rows[symbol][j] = above + LEAST * j as i16;
        (symbol, j) = if j + 1 == SYMBOLS { (symbol + 1, 0) } else { (symbol, j + 1) };
    }
    rows
};

impl AdaptiveCdf {
    /// Returns the slots of a symbol.
    #[inline(always)]
    fn slots(&self, symbol: usize) -> Slots {
        let [start, end] = [symbol, symbol + 1].map(|symbol| self.0[symbol % SYMBOLS] as u32);
        // The last symbol ends where the first one begins, modulo 2^15.
        Slots::starting(start, end.wrapping_sub(start) % TOTAL)
    }

    /// Adapts to a symbol. Each symbol keeps the least number of slots: it loses, even after rounding, no more than it has
    /// above that.
    #[inline(always)]
    fn learn(&mut self, symbol: usize, rate: u32) {
        adaptive_row::approach(&mut self.0, &CERTAIN[symbol % SYMBOLS], rate);
    }
}

/// An adaptive distribution of a bit: the probability of a 0 in 2^−16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdaptiveBit(pub(crate) u16);

impl AdaptiveBit {
    /// Returns the first slot of a 1.
    #[inline(always)]
    fn ones(self) -> u32 {
        (u32::from(self.0) >> 1).clamp(16, TOTAL - 16)
    }

    #[inline(always)]
    fn slots(self, bit: bool) -> Slots {
        if bit { Slots::new(self.ones(), TOTAL) } else { Slots::new(0, self.ones()) }
    }

    #[inline(always)]
    fn learn(&mut self, bit: bool, rate: u32) {
        let flip = if bit { 0 } else { u16::MAX };
        let distance = self.0 ^ flip;
        self.0 = (distance - (distance >> rate)) ^ flip;
    }
}

/// The rate of adaptation after each number of symbols: first it is near that of a running mean, then slower.
const RATES: [u8; 256] = {
    let mut rates = [7; 256];
    let mut count = 0;
    while count < 90 {
        rates[count] = match count {
            0 => 1,
            1..=2 => 2,
            3..=6 => 3,
            7..=15 => 4,
            16..=35 => 5,
            _ => 6,
        };
        count += 1;
    }
    rates
};

/// Returns the rate for a distribution that has coded `count` symbols, and counts one more.
#[inline(always)]
fn next_rate(count: &mut u8) -> u32 {
    let rate = RATES[usize::from(*count)];
    *count = count.saturating_add(1);
    rate.into()
}

/// All distributions of a coder, by the number of their context, with the number of symbols that each has coded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contexts {
    pub(crate) rows: Vec<AdaptiveCdf>,
    pub(crate) row_counts: Vec<u8>,
    pub(crate) bits: Vec<AdaptiveBit>,
    pub(crate) bit_counts: Vec<u8>,
}

impl Contexts {
    /// Appends other contexts.
    pub(crate) fn extend(&mut self, more: &Self) {
        self.rows.extend_from_slice(&more.rows);
        self.row_counts.extend_from_slice(&more.row_counts);
        self.bits.extend_from_slice(&more.bits);
        self.bit_counts.extend_from_slice(&more.bit_counts);
    }

    #[inline(always)]
    fn learn_symbol(&mut self, context: usize, symbol: usize) {
        let rate = next_rate(&mut self.row_counts[context]);
        self.rows[context].learn(symbol, rate);
    }

    #[inline(always)]
    fn learn_bit(&mut self, context: usize, bit: bool) {
        let rate = next_rate(&mut self.bit_counts[context]);
        self.bits[context].learn(bit, rate);
    }
}

/// Writes, reads or counts symbols. A traversal that is generic over its coder visits the same symbols in the same contexts
/// in all three cases. Every method returns the symbol: readers return the decoded one and ignore the argument.
pub(crate) trait AdaptiveCoder {
    /// `true` for writers and counters, whose arguments matter.
    const WRITES: bool;
    /// Codes a symbol below 16 by the [`AdaptiveCdf`] of this context.
    fn symbol(&mut self, context: usize, symbol: usize) -> usize;
    /// Codes a bit by the [`AdaptiveBit`] of this context.
    fn bit(&mut self, context: usize, bit: bool) -> bool;
    /// Codes `count` equiprobable bits, at most 15.
    fn raw(&mut self, count: u32, bits: u32) -> u32;
    /// Returns whether a reader is beyond the end of its stream.
    fn has_failed(&self) -> bool {
        false
    }
}

/// Returns the slots of equiprobable bits.
#[inline(always)]
fn raw_slots(count: u32, bits: u32) -> Slots {
    let unit = PRECISION - count;
    Slots::new(bits << unit, (bits + 1) << unit)
}

/// Writes symbols to a stream.
pub(crate) struct Writer {
    contexts: Contexts,
    slots: Vec<Slots>,
}

impl Writer {
    pub(crate) fn new(contexts: Contexts) -> Self {
        Self { contexts, slots: Vec::new() }
    }

    /// Returns the stream, which has at most `max_lanes` lanes.
    pub(crate) fn finish(self, max_lanes: usize) -> Result<Vec<u8>> {
        Ok(Encoder::of_slots(self.slots).with_max_lanes(max_lanes)?.finish())
    }
}

impl AdaptiveCoder for Writer {
    const WRITES: bool = true;

    #[inline(always)]
    fn symbol(&mut self, context: usize, symbol: usize) -> usize {
        self.slots.push(self.contexts.rows[context].slots(symbol));
        self.contexts.learn_symbol(context, symbol);
        symbol
    }

    #[inline(always)]
    fn bit(&mut self, context: usize, bit: bool) -> bool {
        self.slots.push(self.contexts.bits[context].slots(bit));
        self.contexts.learn_bit(context, bit);
        bit
    }

    #[inline(always)]
    fn raw(&mut self, count: u32, bits: u32) -> u32 {
        self.slots.push(raw_slots(count, bits));
        bits
    }
}

/// Reads symbols from a stream.
pub(crate) struct Reader<'a> {
    contexts: Contexts,
    bytes: &'a [u8],
    lanes: LaneReader,
    lane: usize,
}

impl<'a> Reader<'a> {
    /// Reads the stream up to its first word.
    pub(crate) fn new(contexts: Contexts, bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { contexts, bytes, lanes: LaneReader::read(bytes)?, lane: 0 })
    }

    /// Checks that the stream ends here.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.has_failed() {
            true => Err(Error::Truncated { what: "rANS words", offset: self.bytes.len() }),
            false => self.lanes.finish(self.bytes),
        }
    }

    #[inline(always)]
    fn slot(&self) -> u32 {
        self.lanes.states[self.lane % MAX_LANES] & SLOT_MASK
    }

    #[inline(always)]
    fn step(&mut self, slots: Slots) {
        let state = &mut self.lanes.states[self.lane % MAX_LANES];
        *state = slots.freq() * (*state >> PRECISION) + (*state & SLOT_MASK) - slots.start();
        let word = self.bytes.get(self.lanes.next_word..).and_then(|rest| rest.first_chunk());
        let refilled = *state << 16 | u32::from(word.map_or(0, |&word| u16::from_le_bytes(word)));
        let short = *state < LOWER_BOUND;
        *state = if short { refilled } else { *state };
        self.lanes.next_word += 2 * usize::from(short);
        self.lane = (self.lane + 1) & self.lanes.lane_mask;
    }
}

impl AdaptiveCoder for Reader<'_> {
    const WRITES: bool = false;

    #[inline(always)]
    fn symbol(&mut self, context: usize, _: usize) -> usize {
        let row = &self.contexts.rows[context];
        let symbol = adaptive_row::find(&row.0, self.slot() as i16);
        let slots = row.slots(symbol);
        self.step(slots);
        self.contexts.learn_symbol(context, symbol);
        symbol
    }

    #[inline(always)]
    fn bit(&mut self, context: usize, _: bool) -> bool {
        let distribution = self.contexts.bits[context];
        let bit = self.slot() >= distribution.ones();
        self.step(distribution.slots(bit));
        self.contexts.learn_bit(context, bit);
        bit
    }

    #[inline(always)]
    fn raw(&mut self, count: u32, _: u32) -> u32 {
        let bits = self.slot() >> (PRECISION - count);
        self.step(raw_slots(count, bits));
        bits
    }

    #[inline(always)]
    fn has_failed(&self) -> bool {
        self.lanes.next_word > self.bytes.len()
    }
}

/// Counts symbols, from which initial [`Contexts`] can be computed.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    pub(crate) rows: Vec<[u32; SYMBOLS]>,
    pub(crate) bits: Vec<[u32; 2]>,
}

impl Counter {
    /// Returns counts of 0 for these contexts.
    pub(crate) fn of(contexts: &Contexts) -> Self {
        Self { rows: vec![[0; SYMBOLS]; contexts.rows.len()], bits: vec![[0; 2]; contexts.bits.len()] }
    }

    /// Adds other counts.
    pub(crate) fn add(&mut self, rows: &[[u32; SYMBOLS]], bits: &[[u32; 2]]) {
        let counts = self.rows.as_flattened_mut().iter_mut().chain(self.bits.as_flattened_mut());
        let more = rows.as_flattened().iter().chain(bits.as_flattened());
        counts.zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
    }
}

impl AdaptiveCoder for Counter {
    const WRITES: bool = true;

    fn symbol(&mut self, context: usize, symbol: usize) -> usize {
        self.rows[context][symbol] += 1;
        symbol
    }

    fn bit(&mut self, context: usize, bit: bool) -> bool {
        self.bits[context][usize::from(bit)] += 1;
        bit
    }

    fn raw(&mut self, _: u32, bits: u32) -> u32 {
        bits
    }
}
