//! Distributions that learn from the symbols they code, one by one.
//!
//! The symbols lie in a stream like any other ([`super`]) of a single group, so each adapts before the next is coded.

use super::decoder::Lanes;
use super::simd::row;
pub(crate) use super::simd::row::SYMBOLS;
use super::{Encoder, MASK, MAX_LANES};
use crate::tables::{Slots, PRECISION, TOTAL};
use crate::{Error, Result};

/// What no symbol has fewer slots than.
const LEAST: i16 = 2;

/// A distribution of 16 symbols: the slots at which they begin, the first of which is 0.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(crate) struct Row(pub [i16; SYMBOLS]);

/// For each symbol, the row in which it has all slots but the least that others must have.
static SURE: [[i16; SYMBOLS]; SYMBOLS] = {
    let mut rows = [[0; SYMBOLS]; SYMBOLS];
    let (mut symbol, mut j) = (0, 0);
    while symbol < SYMBOLS {
        let above = if j > symbol { (TOTAL as i32 - SYMBOLS as i32 * LEAST as i32) as i16 } else { 0 };
        rows[symbol][j] = above + LEAST * j as i16;
        (symbol, j) = if j + 1 == SYMBOLS { (symbol + 1, 0) } else { (symbol, j + 1) };
    }
    rows
};

impl Row {
    /// The slots of a symbol.
    #[inline(always)]
    pub fn slots(&self, symbol: usize) -> Slots {
        let [start, end] = [symbol, symbol + 1].map(|symbol| self.0[symbol % SYMBOLS] as u32);
        // The last ends where the first begins, 2^15 slots on.
        Slots::starting(start, end.wrapping_sub(start) % TOTAL)
    }

    /// Learns a symbol. Each keeps its least number of slots: what is taken from one is no more, after rounding, than
    /// what it has above that.
    #[inline(always)]
    fn learn(&mut self, symbol: usize, rate: u32) {
        row::approach(&mut self.0, &SURE[symbol % SYMBOLS], rate);
    }
}

/// The distribution of a bit: how probable a 0 is, in 2^16ths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bit(pub u16);

impl Bit {
    #[inline(always)]
    fn ones(self) -> u32 {
        (u32::from(self.0) >> 1).clamp(16, TOTAL - 16)
    }

    #[inline(always)]
    fn slots(self, bit: bool) -> Slots {
        if bit {
            Slots::new(self.ones(), TOTAL)
        } else {
            Slots::new(0, self.ones())
        }
    }

    #[inline(always)]
    fn learn(&mut self, bit: bool, rate: u32) {
        let flip = if bit { 0 } else { u16::MAX };
        let distance = self.0 ^ flip;
        self.0 = (distance - (distance >> rate)) ^ flip;
    }
}

/// How quickly to learn after so many symbols: about like their mean at first, then ever more slowly.
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

/// A distribution and how many symbols it has seen.
#[inline(always)]
fn seen(count: &mut u8) -> u32 {
    let rate = RATES[usize::from(*count)];
    *count = count.saturating_add(1);
    rate.into()
}

/// Many distributions, which contexts choose from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contexts {
    pub rows: Vec<Row>,
    pub row_counts: Vec<u8>,
    pub bits: Vec<Bit>,
    pub bit_counts: Vec<u8>,
}

impl Contexts {
    /// Appends others.
    pub fn extend(&mut self, more: &Self) {
        self.rows.extend_from_slice(&more.rows);
        self.row_counts.extend_from_slice(&more.row_counts);
        self.bits.extend_from_slice(&more.bits);
        self.bit_counts.extend_from_slice(&more.bit_counts);
    }

    #[inline(always)]
    fn learn_symbol(&mut self, context: usize, symbol: usize) {
        let rate = seen(&mut self.row_counts[context]);
        self.rows[context].learn(symbol, rate);
    }

    #[inline(always)]
    fn learn_bit(&mut self, context: usize, bit: bool) {
        let rate = seen(&mut self.bit_counts[context]);
        self.bits[context].learn(bit, rate);
    }
}

/// What a walk over symbols has them coded by: writing, reading and counting are one call each way, so that they can't
/// drift apart. Who reads gets the symbol as the result; who writes gets what it passed.
pub(crate) trait Coder {
    /// Whether symbols are passed; who reads passes any.
    const WRITES: bool;
    /// A symbol below 16 by the row of this number.
    fn symbol(&mut self, context: usize, symbol: usize) -> usize;
    /// A bit by the distribution of this number.
    fn bit(&mut self, context: usize, bit: bool) -> bool;
    /// `count` (at most 15) bits as they are.
    fn raw(&mut self, count: u32, bits: u32) -> u32;
    /// Whether reading on is in vain.
    fn has_failed(&self) -> bool {
        false
    }
}

/// The slots of bits that are all alike.
#[inline(always)]
fn raw_slots(count: u32, bits: u32) -> Slots {
    let unit = PRECISION - count;
    Slots::new(bits << unit, (bits + 1) << unit)
}

/// Writes.
pub(crate) struct Writer {
    contexts: Contexts,
    slots: Vec<Slots>,
}

impl Writer {
    pub fn new(contexts: Contexts) -> Self {
        Self { contexts, slots: Vec::new() }
    }

    /// A stream of at most so many lanes.
    pub fn finish(self, max_lanes: usize) -> Result<Vec<u8>> {
        Ok(Encoder::of_slots(self.slots).with_max_lanes(max_lanes)?.finish())
    }
}

impl Coder for Writer {
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

/// Reads.
pub(crate) struct Reader<'a> {
    contexts: Contexts,
    bytes: &'a [u8],
    lanes: Lanes,
    lane: usize,
}

impl<'a> Reader<'a> {
    pub fn new(contexts: Contexts, bytes: &'a [u8]) -> Result<Self> {
        Ok(Self { contexts, bytes, lanes: Lanes::read(bytes)?, lane: 0 })
    }

    /// Checks that the stream ends here.
    pub fn finish(&self) -> Result<()> {
        match self.has_failed() {
            true => Err(Error::Truncated { what: "rANS words", offset: self.bytes.len() }),
            false => self.lanes.finish(self.bytes),
        }
    }

    #[inline(always)]
    fn slot(&self) -> u32 {
        self.lanes.states[self.lane % MAX_LANES] & MASK
    }

    #[inline(always)]
    fn step(&mut self, slots: Slots) {
        let state = &mut self.lanes.states[self.lane % MAX_LANES];
        *state = slots.freq() * (*state >> PRECISION) + (*state & MASK) - slots.start();
        let word = self.bytes.get(self.lanes.next_word..).and_then(|rest| rest.first_chunk());
        let refilled = *state << 16 | u32::from(word.map_or(0, |&word| u16::from_le_bytes(word)));
        let short = *state < super::LOWER_BOUND;
        *state = if short { refilled } else { *state };
        self.lanes.next_word += 2 * usize::from(short);
        self.lane = (self.lane + 1) & self.lanes.lane_mask;
    }
}

impl Coder for Reader<'_> {
    const WRITES: bool = false;

    #[inline(always)]
    fn symbol(&mut self, context: usize, _: usize) -> usize {
        let row = &self.contexts.rows[context];
        let symbol = row::find(&row.0, self.slot() as i16);
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

/// Counts symbols, from which a [`Contexts`] to begin with can be made.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    pub rows: Vec<[u32; SYMBOLS]>,
    pub bits: Vec<[u32; 2]>,
}

impl Counter {
    /// None yet, with room for so many contexts.
    pub fn of(contexts: &Contexts) -> Self {
        Self { rows: vec![[0; SYMBOLS]; contexts.rows.len()], bits: vec![[0; 2]; contexts.bits.len()] }
    }

    /// Adds other counts.
    pub fn add(&mut self, rows: &[[u32; SYMBOLS]], bits: &[[u32; 2]]) {
        let counts = self.rows.as_flattened_mut().iter_mut().chain(self.bits.as_flattened_mut());
        let more = rows.as_flattened().iter().chain(bits.as_flattened());
        counts.zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
    }
}

impl Coder for Counter {
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
