//! The decoder of streams.

use std::ops::Range;

use super::calibration::{Calibration, Contexts};
use super::comb::{Chosen, Combs, Window};
use super::constants::{
    BATCH, BLOCK, HAS_COMBS, HAS_ESCAPES, IS_CALIBRATED, LOWER_BOUND, MAX_LANES, PIECE, SLOT_MASK,
    STATE_BYTES_SHIFT,
};
use super::models::{Calibrated, EntropyModel, FusedBlocks, check_count};
use super::simd::{Backend, Likely, MIN_LANES, set_bits};
use super::symbol::{Symbol, narrow, sum};
use crate::bytes::{Cursor, take_varint};
use crate::tables::{PRECISION, Region, Slots};
use crate::{Error, Result, interrupt};

/// Decodes groups of symbols, in the same order and with the same distributions as they were encoded.
///
/// After an error, the symbols of that call and of all later calls have no meaning, but decoding stays safe. After
/// [`Error::Interrupted`] alone, the same group can be decoded once more.
#[derive(Debug, Clone)]
pub struct Decoder<D = Vec<u8>> {
    data: D,
    lanes: LaneReader,
    /// The curves of a calibrated stream.
    calibration: Option<Calibration>,
    combs: Combs,
}

impl<D: AsRef<[u8]>> Decoder<D> {
    /// Reads a stream up to its first word.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Corrupt`].
    pub fn new(data: D) -> Result<Self> {
        let calibrated = data.as_ref().first().is_some_and(|header| header & IS_CALIBRATED != 0);
        let (lanes, chosen) = LaneReader::read_combed(data.as_ref(), calibrated)?;
        Ok(Self {
            data,
            lanes,
            calibration: calibrated.then(Calibration::default),
            combs: Combs::new(chosen),
        })
    }

    /// Decodes with this backend from now on.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.lanes.backend = backend;
        self
    }

    /// Decodes a group: `out[i]` has the distribution of element `i` of the model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the length of `out` is not the number of elements, or a parameter of the model is not
    /// valid; [`Error::Truncated`] or [`Error::Corrupt`] if the stream does not hold such a group here.
    pub fn get<S: Symbol, M: EntropyModel>(&mut self, model: &M, out: &mut [S]) -> Result<()> {
        check_count(out.len(), model.len())?;
        // Only groups of several pieces can be interrupted.
        let before = (out.len() >= PIECE).then(|| self.lanes.clone());
        let result = self.get_part(model, 0, out);
        if let (Err(Error::Interrupted), Some(before)) = (&result, before) {
            self.lanes = before;
        }
        result.map(drop)
    }

    /// Decodes a group that was encoded with [`Encoder::put_in_contexts`](super::Encoder::put_in_contexts) and these contexts.
    ///
    /// # Errors
    /// As [`Decoder::get`].
    pub fn get_in_contexts<S: Symbol, M: Calibrated>(
        &mut self,
        model: &M,
        contexts: Contexts,
        out: &mut [S],
    ) -> Result<()> {
        check_count(out.len(), model.len())?;
        let learnt = || (self.lanes.clone(), self.calibration.clone(), self.combs.clone());
        let before = (out.len() >= PIECE).then(learnt);
        let result = self.get_part_in_contexts(model, 0, contexts, out);
        if let (Err(Error::Interrupted), Some(before)) = (&result, before) {
            (self.lanes, self.calibration, self.combs) = before;
        }
        result.map(drop)
    }

    /// Decodes the elements from `first` on of a model as a group with contexts, and returns the sum of the symbols.
    pub(super) fn get_part_in_contexts<S: Symbol, M: Calibrated>(
        &mut self,
        model: &M,
        first: usize,
        contexts: Contexts,
        out: &mut [S],
    ) -> Result<u32> {
        if self.calibration.is_none() {
            return self.get_part(model, first, out);
        }
        let (bytes, backend) = (self.data.as_ref(), self.lanes.backend);
        let (calibration, combs) = (self.calibration.get_or_insert_default(), &mut self.combs);
        let mut window = Window::EMPTY;
        calibration.reserve(contexts);
        let mut total = 0u32;
        let mut params = M::Params::default();
        let mut wide = [0; BATCH];
        let mut contexts = contexts.blocks();
        let (mut ranges, mut bounds) = ([0; BLOCK], [[0; BLOCK]; 2]);
        for (i, out) in out.chunks_mut(BATCH).enumerate() {
            if (i + 1).is_multiple_of(PIECE / BATCH) {
                interrupt::check()?;
            }
            let first = first + i * BATCH;
            model.load(first, out.len(), &mut params)?;
            let wide = &mut wide[..out.len()];
            for (b, wide) in wide.chunks_mut(BLOCK).enumerate() {
                model.prepare(&mut params, b, backend);
                model.block_ranges(&params, b, backend, &mut ranges, wide.len());
                let contexts = contexts.block(first + b * BLOCK);
                let numbers = Calibration::numbers(contexts, &ranges);
                let curves = calibration.block(backend, &numbers);
                model.expect(&mut params, backend, Some(&curves));
                if let Some(likely) = model.likely_bounds(&params) {
                    bounds = *likely;
                }
                // A comb may give the slots of a likely symbol to another one.
                let combed = combs.of_block(contexts);
                let others;
                let mut likely = model.likely(&params);
                if let Some(all) = likely.filter(|_| combed != 0) {
                    others = all.without(combed);
                    likely = Some(&others);
                }
                let find = |j: usize, slot| {
                    if combed >> j & 1 == 1
                        && model.open_window(&params, b * BLOCK + j, backend, curves.get(j), &mut window)
                        && let Some((symbol, slots, by)) = combs.find(backend, contexts[j], slot, &mut window)
                    {
                        [bounds[0][j], bounds[1][j]] = by;
                        return (Region::Inside(symbol), slots);
                    }
                    let (region, interval) = model.find_by(&params, b * BLOCK + j, slot, curves.get(j));
                    [bounds[0][j], bounds[1][j]] = interval.bounds;
                    (region, interval.slots())
                };
                let symbol_outside =
                    |j, region, distance| model.symbol_outside(&params, b * BLOCK + j, region, distance);
                let mut padded = [0; 2 * BLOCK];
                let words = self.lanes.words(bytes, &mut padded);
                let used = self.lanes.block_by(bytes, words, wide, likely, find, symbol_outside)?;
                self.lanes.take(bytes, used)?;
                combs.learn();
                calibration.learn(backend, &numbers, &bounds, wide.len());
            }
            let shifts = model.shifts(&params).map(|shifts| &shifts[..out.len()]);
            let (more, wrong) = narrow(backend, wide, shifts, out);
            total = total.wrapping_add(more);
            if let Some(symbol) = wrong {
                let what = format!("symbol {symbol} is no {}", S::NAME);
                return Err(Error::Corrupt { what, offset: self.lanes.next_word });
            }
        }
        Ok(total)
    }

    /// Decodes the elements from `first` on of a model as a group, and returns the sum of the symbols.
    pub(super) fn get_part<S: Symbol, M: EntropyModel>(
        &mut self,
        model: &M,
        first: usize,
        out: &mut [S],
    ) -> Result<u32> {
        let backend = self.lanes.backend;
        let is_fused = backend.is_fused() && self.lanes.lane_mask + 1 >= MIN_LANES && out.len() >= BLOCK;
        let mut fused = model.fused().filter(|_| is_fused);
        let mut params = M::Params::default();
        let mut wide = [0; BATCH];
        let mut total = 0u32;
        for (i, out) in out.chunks_mut(BATCH).enumerate() {
            if (i + 1).is_multiple_of(PIECE / BATCH) {
                interrupt::check()?;
            }
            let first = first + i * BATCH;
            if fused.is_none() {
                model.load(first, out.len(), &mut params)?;
            }
            let has_shifts = fused.is_none() && model.shifts(&params).is_some();
            let mut decode = |params: &mut M::Params, out: &mut [i32]| match &mut fused {
                Some(fused) => self.get_fused(model, fused, first, out),
                None => self.get_batch(model, params, out),
            };
            if let (false, Some(out)) = (has_shifts, S::as_i32_mut(out)) {
                decode(&mut params, out)?;
                total = total.wrapping_add(sum(backend, out));
                continue;
            }
            let wide = &mut wide[..out.len()];
            decode(&mut params, wide)?;
            let shifts = model.shifts(&params).filter(|_| has_shifts).map(|shifts| &shifts[..out.len()]);
            let (more, wrong) = narrow(backend, wide, shifts, out);
            total = total.wrapping_add(more);
            if let Some(symbol) = wrong {
                let what = format!("symbol {symbol} is no {}", S::NAME);
                return Err(Error::Corrupt { what, offset: self.lanes.next_word });
            }
        }
        Ok(total)
    }

    /// Decodes a batch, without its shifts.
    fn get_batch<M: EntropyModel>(
        &mut self,
        model: &M,
        params: &mut M::Params,
        out: &mut [i32],
    ) -> Result<()> {
        let bytes = self.data.as_ref();
        let mut blocks = out.chunks_mut(BLOCK).enumerate();
        blocks.try_for_each(|(b, out)| self.lanes.get(bytes, model, params, b, out))
    }

    /// Decodes the batch from element `first` on, including shifts: blocks in one pass each, where that is possible.
    fn get_fused<M: EntropyModel>(
        &mut self,
        model: &M,
        fused: &mut FusedBlocks,
        first: usize,
        out: &mut [i32],
    ) -> Result<()> {
        let bytes = self.data.as_ref();
        for (b, out) in out.chunks_mut(BLOCK).enumerate() {
            let first = first + b * BLOCK;
            if let Ok(out) = out.try_into()
                && self.lanes.get_fused(bytes, fused, first, out)?
            {
                continue;
            }
            let mut params = M::Params::default();
            model.load(first, out.len(), &mut params)?;
            self.lanes.get(bytes, model, &mut params, 0, out)?;
            let shifts = model.shifts(&params).unwrap_or_default();
            out.iter_mut().zip(shifts).for_each(|(symbol, shift)| *symbol = symbol.wrapping_add(*shift));
        }
        Ok(())
    }

    /// Makes the next call continue the group of which the last call decoded `decoded` symbols.
    pub fn continue_group(&mut self, decoded: usize) {
        let lanes = &mut self.lanes;
        lanes.states[..=lanes.lane_mask].rotate_left(decoded & lanes.lane_mask);
    }

    /// Returns whether the stream says that groups with contexts are calibrated.
    pub fn is_calibrated(&self) -> bool {
        self.calibration.is_some()
    }

    /// Checks that the stream ends here.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if anything is left, or a state is not the one that the encoder started with.
    pub fn finish(&self) -> Result<()> {
        if self.calibration.as_ref().is_some_and(Calibration::is_empty) {
            let what = "a calibrated stream without contexts".into();
            return Err(Error::Corrupt { what, offset: 0 });
        }
        self.lanes.finish(self.data.as_ref())
    }
}

/// What precedes the words of a stream that is not calibrated, for decoders elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHead {
    /// The first state of each lane.
    pub states: Vec<u32>,
    /// The distance of each escape, in order.
    pub outside: Vec<u64>,
    /// Where the words lie.
    pub words: Range<usize>,
}

impl StreamHead {
    /// Reads a stream up to its first word.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Corrupt`], which a calibrated stream is as well.
    pub fn read(stream: &[u8]) -> Result<Self> {
        let lanes = LaneReader::read(stream)?;
        let (mut outside, mut position) = (Vec::new(), lanes.escapes.next);
        while position < lanes.escapes.end {
            outside.push(take_varint(&stream[..lanes.escapes.end], &mut position, "escape")?);
        }
        let states = lanes.states[..=lanes.lane_mask].to_vec();
        Ok(Self { states, outside, words: lanes.next_word..stream.len() })
    }

    /// Returns the same where the stream lies so many bytes further on.
    #[must_use]
    pub(crate) fn moved_by(mut self, offset: usize) -> Self {
        self.words = self.words.start + offset..self.words.end + offset;
        self
    }
}

/// The states and positions of a stream that is being decoded.
#[derive(Debug, Clone)]
pub(super) struct LaneReader {
    backend: Backend,
    pub(super) states: [u32; MAX_LANES],
    /// The number of lanes, a power of two, minus 1.
    pub(super) lane_mask: usize,
    /// The position of the next word in the stream.
    pub(super) next_word: usize,
    escapes: Escapes,
}

impl LaneReader {
    /// Reads a stream without calibration up to its first word.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        Ok(Self::read_combed(bytes, false)?.0)
    }

    /// Reads a stream, which is calibrated or not, up to its first word, and the contexts with combs.
    fn read_combed(bytes: &[u8], calibrated: bool) -> Result<(Self, Chosen)> {
        let mut lanes = Self {
            backend: Backend::default(),
            states: [LOWER_BOUND; MAX_LANES],
            lane_mask: 0,
            next_word: 0,
            escapes: Escapes::default(),
        };
        let chosen = lanes.read_header(bytes, calibrated)?;
        Ok((lanes, chosen))
    }

    /// Checks that a stream ends here.
    pub(super) fn finish(&self, bytes: &[u8]) -> Result<()> {
        let corrupt = |what: &str, offset| Err(Error::Corrupt { what: what.into(), offset });
        if self.escapes.next != self.escapes.end {
            return corrupt("escapes are left after the last symbol", self.escapes.next);
        }
        if self.next_word != bytes.len() {
            return corrupt("words are left after the last symbol", self.next_word);
        }
        if self.states.iter().any(|&state| state != LOWER_BOUND) {
            return corrupt("the final rANS state is wrong", self.next_word);
        }
        Ok(())
    }

    fn read_header(&mut self, bytes: &[u8], calibrated: bool) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        let Some(&header) = bytes.first() else { return Ok(chosen) };
        let header = header ^ if calibrated { IS_CALIBRATED } else { 0 };
        let (mut lanes_log2, state_bytes) = (header & 7, usize::from(header >> STATE_BYTES_SHIFT));
        let mut cursor = Cursor::at(bytes, 1);
        if lanes_log2 == HAS_COMBS && calibrated {
            lanes_log2 = cursor.byte("number of lanes")?;
            chosen = Chosen::read(&mut cursor)?;
        }
        if lanes_log2 > 6 || state_bytes > 4 {
            return Err(Error::Corrupt { what: format!("rANS header {header:#04x}"), offset: 0 });
        }
        if header & HAS_ESCAPES != 0 {
            let length = cursor.varint("length of escapes")?;
            self.escapes.next = cursor.position();
            cursor.take_u64(length, "escapes")?;
            self.escapes.end = cursor.position();
        }
        self.lane_mask = (1 << lanes_log2) - 1;
        for state in &mut self.states[..=self.lane_mask] {
            let offset = cursor.position();
            let stored = cursor.take(state_bytes, "rANS state")?;
            let value = stored.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            let too_large = || Error::Corrupt { what: "rANS state exceeds 32 bits".into(), offset };
            *state = value.checked_add(LOWER_BOUND).ok_or_else(too_large)?;
        }
        self.next_word = cursor.position();
        Ok(chosen)
    }

    /// Decodes block `b` of a batch.
    #[inline]
    fn get<M: EntropyModel>(
        &mut self,
        bytes: &[u8],
        model: &M,
        params: &mut M::Params,
        b: usize,
        out: &mut [i32],
    ) -> Result<()> {
        model.prepare(params, b, self.backend);
        model.expect(params, self.backend, None);
        let mut padded = [0; 2 * BLOCK];
        let words = self.words(bytes, &mut padded);
        let used = self.block(bytes, model, params, b, words, out)?;
        self.take(bytes, used)
    }

    /// Decodes the block of symbols from element `first` on, including shifts. Returns false, with nothing changed, if the
    /// block must be located first.
    #[inline]
    fn get_fused(
        &mut self,
        bytes: &[u8],
        fused: &mut FusedBlocks,
        first: usize,
        out: &mut [i32; BLOCK],
    ) -> Result<bool> {
        let mut padded = [0; 2 * BLOCK];
        let words = self.words(bytes, &mut padded);
        let lanes = (self.lane_mask + 1, &mut self.states);
        let decoded = fused.decode(self.backend, first, lanes, words, out);
        let Some((used, escapes)) = decoded else { return Ok(false) };
        for j in set_bits(escapes) {
            out[j] = self.escapes.next(bytes, |distance| fused.symbol_outside(j, distance))?;
        }
        self.take(bytes, used)?;
        Ok(true)
    }

    /// Returns the next words, padded with zeros. A block takes at most one word for each element, so that the end of the
    /// words needs a check only after each block.
    #[inline]
    fn words<'a>(&self, bytes: &'a [u8], padded: &'a mut [u8; 2 * BLOCK]) -> &'a [u8; 2 * BLOCK] {
        let rest = &bytes[self.next_word..];
        match rest.first_chunk() {
            Some(words) => words,
            None => {
                padded[..rest.len()].copy_from_slice(rest);
                padded
            }
        }
    }

    /// Moves past the words that a block took.
    #[inline]
    fn take(&mut self, bytes: &[u8], used: usize) -> Result<()> {
        if used > (bytes.len() - self.next_word) / 2 {
            return Err(Error::Truncated { what: "rANS words", offset: bytes.len() });
        }
        self.next_word += 2 * used;
        Ok(())
    }

    /// Decodes a block, and returns the number of words that it took.
    #[inline]
    fn block<M: EntropyModel>(
        &mut self,
        bytes: &[u8],
        model: &M,
        params: &M::Params,
        b: usize,
        words: &[u8; 2 * BLOCK],
        out: &mut [i32],
    ) -> Result<usize> {
        let (lanes, states) = (self.lane_mask + 1, &mut self.states);
        let whole = <&mut [i32; BLOCK]>::try_from(&mut *out).ok().zip(model.rows(params, b));
        let vectorised = whole.and_then(|(out, rows)| self.backend.decode(rows, lanes, states, words, out));
        let Some((used, escapes)) = vectorised else {
            let find = |j, slot| model.find(params, b * BLOCK + j, slot);
            let symbol_outside =
                |j, region, distance| model.symbol_outside(params, b * BLOCK + j, region, distance);
            return self.block_by(bytes, words, out, model.likely(params), find, symbol_outside);
        };
        for j in set_bits(escapes) {
            let symbol = |distance| model.symbol_outside(params, b * BLOCK + j, Region::Above, distance);
            out[j] = self.escapes.next(bytes, symbol)?;
        }
        Ok(used)
    }

    /// Does as [`Self::block`] by searches: `find` returns the owner of a slot of element `j` of the block and all slots of
    /// that owner unless it is the likely one, `symbol_outside` the symbol at a distance from the support.
    #[inline(always)]
    fn block_by(
        &mut self,
        bytes: &[u8],
        words: &[u8; 2 * BLOCK],
        out: &mut [i32],
        likely: Option<&Likely>,
        mut find: impl FnMut(usize, u32) -> (Region, Slots),
        symbol_outside: impl Fn(usize, Region, u64) -> Option<i32>,
    ) -> Result<usize> {
        let Self { states, escapes, lane_mask, backend, .. } = self;
        let mut search = |j: usize, slot, out: &mut i32| {
            let (region, slots) = find(j, slot);
            *out = match region {
                Region::Inside(symbol) => symbol,
                outside => escapes.next(bytes, |distance| symbol_outside(j, outside, distance))?,
            };
            Ok(slots)
        };
        if let (Some(likely), Ok(out)) = (likely, <&mut [i32; BLOCK]>::try_from(&mut *out)) {
            *out = likely.symbols;
            let miss = |j: usize, slot| search(j, slot, &mut out[j % BLOCK]);
            if let Some(used) = backend.decode_likely(likely, *lane_mask + 1, states, words, miss) {
                return used;
            }
        }
        let words = words.as_chunks().0;
        let mut used = 0;
        for (j, out) in out.iter_mut().enumerate() {
            let state = &mut states[j & *lane_mask];
            let slot = *state & SLOT_MASK;
            let slots = match likely.and_then(|likely| likely.find(j, slot)) {
                Some((symbol, slots)) => {
                    *out = symbol;
                    slots
                }
                None => search(j, slot, out)?,
            };
            let next = slots.freq() * (*state >> PRECISION) + slot - slots.start();
            let short = next < LOWER_BOUND;
            let refilled = next << 16 | u32::from(u16::from_le_bytes(words[used % BLOCK]));
            *state = if short { refilled } else { next };
            used += usize::from(short);
        }
        Ok(used)
    }
}

/// The position of the next escape in the stream, and the end of the escapes.
#[derive(Debug, Clone, Default)]
struct Escapes {
    next: usize,
    end: usize,
}

impl Escapes {
    /// Reads the next escape, and returns the symbol at that distance.
    #[cold]
    fn next(&mut self, bytes: &[u8], symbol_outside: impl Fn(u64) -> Option<i32>) -> Result<i32> {
        let offset = self.next;
        let distance = take_varint(&bytes[..self.end], &mut self.next, "escape")?;
        symbol_outside(distance).ok_or_else(|| Error::Corrupt {
            what: format!("escape {distance} is beyond the symbols"),
            offset,
        })
    }
}
