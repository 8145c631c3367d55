//! The decoding half.

use super::simd::MIN_LANES;
use super::{
    bits, check_count, encoder::PIECE, Around, Backend, LocatedParams, Model, Symbol, BATCH, BLOCK,
    HAS_ESCAPES, LOWER_BOUND, MASK, MAX_LANES, STATE_BYTES_SHIFT,
};
use crate::tables::{Place, PRECISION};
use crate::{interrupt, varint, Error, Result};

/// Decodes groups of symbols in the order and with the distributions that they were encoded with.
///
/// After an error the symbols of that call and everything later are meaningless, but decoding stays safe. Only after
/// [`Error::Interrupted`] the same group can be decoded once more.
#[derive(Debug, Clone)]
pub struct Decoder<D = Vec<u8>> {
    data: D,
    lanes: Lanes,
}

impl<D: AsRef<[u8]>> Decoder<D> {
    /// Reads a stream up to its first word.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Corrupt`].
    pub fn new(data: D) -> Result<Self> {
        let lanes = Lanes::read(data.as_ref())?;
        Ok(Self { data, lanes })
    }

    /// Decodes with this backend from here on.
    #[must_use]
    pub fn with_backend(mut self, backend: Backend) -> Self {
        self.lanes.backend = backend;
        self
    }

    /// Decodes a group, `out[i]` by the distribution of element `i` of the model.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are not as many symbols as elements, or the model's parameters are wrong;
    /// [`Error::Truncated`] or [`Error::Corrupt`] if the stream does not continue so.
    pub fn get<S: Symbol, M: Model>(&mut self, model: &M, out: &mut [S]) -> Result<()> {
        check_count(out.len(), model.len())?;
        // Small groups are never interrupted.
        let before = (out.len() >= PIECE).then(|| self.lanes.clone());
        let result = self.get_part(model, 0, out);
        if let (Err(Error::Interrupted), Some(before)) = (&result, before) {
            self.lanes = before;
        }
        result.map(drop)
    }

    /// Decodes elements from `first` on of a model as a group, and returns their sum.
    pub(super) fn get_part<S: Symbol, M: Model>(
        &mut self,
        model: &M,
        first: usize,
        out: &mut [S],
    ) -> Result<u32> {
        let in_one_pass = self.lanes.backend.codes_around() && self.lanes.lane_mask + 1 >= MIN_LANES;
        let mut around = model.around().filter(|_| in_one_pass && out.len() >= BLOCK);
        let mut params = M::Params::default();
        let mut wide = [0; BATCH];
        let mut sum = 0;
        for (i, out) in out.chunks_mut(BATCH).enumerate() {
            if (i + 1).is_multiple_of(PIECE / BATCH) {
                interrupt::check()?;
            }
            let first = first + i * BATCH;
            if around.is_none() {
                model.load(first, out.len(), &mut params)?;
            }
            let shifts =
                model.shifts(&params).filter(|_| around.is_none()).map(|shifts| &shifts[..out.len()]);
            let mut decode = |out: &mut [i32]| match &mut around {
                Some(around) => self.get_around(around, first, out),
                None => self.get_batch(model, &params, out),
            };
            if let (None, Some(out)) = (shifts, S::as_i32_mut(out)) {
                decode(out)?;
                sum = self.lanes.backend.sum(out).wrapping_add(sum);
                continue;
            }
            let wide = &mut wide[..out.len()];
            decode(wide)?;
            let (more, wrong) = self.lanes.backend.narrow_symbols(wide, shifts, out);
            sum = sum.wrapping_add(more);
            if let Some(symbol) = wrong {
                let what = format!("symbol {symbol} is no {}", S::NAME);
                return Err(Error::Corrupt { what, offset: self.lanes.next_word });
            }
        }
        Ok(sum)
    }

    /// Decodes a batch, shifts aside.
    fn get_batch<M: Model>(&mut self, model: &M, params: &M::Params, out: &mut [i32]) -> Result<()> {
        let bytes = self.data.as_ref();
        let mut blocks = out.chunks_mut(BLOCK).enumerate();
        blocks.try_for_each(|(b, out)| self.lanes.get(bytes, model, params, b, out))
    }

    /// Decodes a batch from element `first` on, block by block in one pass each, where that can be.
    fn get_around(&mut self, around: &mut Around, first: usize, out: &mut [i32]) -> Result<()> {
        let bytes = self.data.as_ref();
        for (b, out) in out.chunks_mut(BLOCK).enumerate() {
            let first = first + b * BLOCK;
            if let Ok(out) = out.try_into() {
                if self.lanes.get_around(bytes, around, first, out)? {
                    continue;
                }
            }
            let (located, mut params) = (&around.located, LocatedParams::default());
            located.load(first, out.len(), &mut params)?;
            self.lanes.get(bytes, located, &params, 0, out)?;
            let shifts = located.shifts(&params).unwrap_or_default();
            out.iter_mut().zip(shifts).for_each(|(symbol, shift)| *symbol = symbol.wrapping_add(*shift));
        }
        Ok(())
    }

    /// Has what is decoded next belong to the same group as the `decoded` symbols of the last call.
    pub fn continue_group(&mut self, decoded: usize) {
        let lanes = &mut self.lanes;
        lanes.states[..=lanes.lane_mask].rotate_left(decoded & lanes.lane_mask);
    }

    /// Checks that the stream ends here.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if anything is left, or a state is not what the encoder began with.
    pub fn finish(&self) -> Result<()> {
        self.lanes.finish(self.data.as_ref())
    }
}

/// How far a stream is decoded.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    backend: Backend,
    pub(super) states: [u32; MAX_LANES],
    /// The number of lanes, a power of two, minus 1.
    pub(super) lane_mask: usize,
    /// The next word's position in the stream.
    pub(super) next_word: usize,
    /// The next escape's position in the stream, and where escapes end.
    next_escape: usize,
    escapes_end: usize,
}

impl Lanes {
    /// Reads a stream up to its first word.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut lanes = Self {
            backend: Backend::default(),
            states: [LOWER_BOUND; MAX_LANES],
            lane_mask: 0,
            next_word: 0,
            next_escape: 0,
            escapes_end: 0,
        };
        lanes.read_header(bytes)?;
        Ok(lanes)
    }

    /// Checks that a stream ends here.
    pub(super) fn finish(&self, bytes: &[u8]) -> Result<()> {
        let corrupt = |what: &str, offset| Err(Error::Corrupt { what: what.into(), offset });
        if self.next_escape != self.escapes_end {
            return corrupt("escapes are left after the last symbol", self.next_escape);
        }
        if self.next_word != bytes.len() {
            return corrupt("words are left after the last symbol", self.next_word);
        }
        if self.states.iter().any(|&state| state != LOWER_BOUND) {
            return corrupt("the final rANS state is wrong", self.next_word);
        }
        Ok(())
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(&header) = bytes.first() else { return Ok(()) };
        let (lanes_log2, state_bytes) = (header & 7, usize::from(header >> STATE_BYTES_SHIFT));
        if lanes_log2 > 6 || state_bytes > 4 {
            return Err(Error::Corrupt { what: format!("rANS header {header:#04x}"), offset: 0 });
        }
        let mut position = 1;
        if header & HAS_ESCAPES != 0 {
            let length = varint::take(bytes, &mut position, "length of escapes")?;
            self.next_escape = position;
            position = usize::try_from(length)
                .ok()
                .and_then(|length| position.checked_add(length))
                .filter(|&end| end <= bytes.len())
                .ok_or(Error::Truncated { what: "escapes", offset: bytes.len() })?;
            self.escapes_end = position;
        }
        self.lane_mask = (1 << lanes_log2) - 1;
        for state in &mut self.states[..=self.lane_mask] {
            let stored = bytes
                .get(position..position + state_bytes)
                .ok_or(Error::Truncated { what: "rANS state", offset: bytes.len() })?;
            let value = stored.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            *state = value.checked_add(LOWER_BOUND).ok_or_else(|| Error::Corrupt {
                what: "rANS state exceeds 32 bits".into(),
                offset: position,
            })?;
            position += state_bytes;
        }
        self.next_word = position;
        Ok(())
    }

    /// Decodes block `b` of a batch.
    #[inline]
    fn get<M: Model>(
        &mut self,
        bytes: &[u8],
        model: &M,
        params: &M::Params,
        b: usize,
        out: &mut [i32],
    ) -> Result<()> {
        let mut padded = [0; 2 * BLOCK];
        let words = self.words(bytes, &mut padded);
        let used = self.block(bytes, model, params, b, words, out)?;
        self.take(bytes, used)
    }

    /// Decodes the block of symbols from element `first` on, shifts and all; false, and nothing has happened, if it is to
    /// be located first.
    #[inline]
    fn get_around(
        &mut self,
        bytes: &[u8],
        around: &mut Around,
        first: usize,
        out: &mut [i32; BLOCK],
    ) -> Result<bool> {
        let mut padded = [0; 2 * BLOCK];
        let words = self.words(bytes, &mut padded);
        let lanes = (self.lane_mask + 1, &mut self.states);
        let decoded = around.decode(self.backend, first, lanes, words, out);
        let Some((used, escapes)) = decoded else { return Ok(false) };
        for j in bits(escapes) {
            out[j] = self.escape(bytes, |distance| around.symbol_outside(j, distance))?;
        }
        self.take(bytes, used)?;
        Ok(true)
    }

    /// The next words, as many as a block can take: each element takes one at most, so they need a look only after the
    /// block.
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

    /// Goes past words that a block took.
    #[inline]
    fn take(&mut self, bytes: &[u8], used: usize) -> Result<()> {
        if used > (bytes.len() - self.next_word) / 2 {
            return Err(Error::Truncated { what: "rANS words", offset: bytes.len() });
        }
        self.next_word += 2 * used;
        Ok(())
    }

    /// Decodes a block, and returns how many of the words it took.
    #[inline]
    fn block<M: Model>(
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
            return self.scalar_block(bytes, model, params, b, words, out);
        };
        for j in bits(escapes) {
            let symbol = |distance| model.symbol_outside(params, b * BLOCK + j, Place::Above, distance);
            out[j] = self.escape(bytes, symbol)?;
        }
        Ok(used)
    }

    /// [`Self::block`], one by one.
    #[inline]
    fn scalar_block<M: Model>(
        &mut self,
        bytes: &[u8],
        model: &M,
        params: &M::Params,
        b: usize,
        words: &[u8; 2 * BLOCK],
        out: &mut [i32],
    ) -> Result<usize> {
        let words = words.as_chunks().0;
        let mut used = 0;
        for (j, out) in out.iter_mut().enumerate() {
            let state = self.states[j & self.lane_mask];
            let slot = state & MASK;
            let (place, slots) = model.find(params, b * BLOCK + j, slot);
            let state = slots.freq() * (state >> PRECISION) + slot - slots.start();
            let short = state < LOWER_BOUND;
            let refilled = state << 16 | u32::from(u16::from_le_bytes(words[used % BLOCK]));
            self.states[j & self.lane_mask] = if short { refilled } else { state };
            used += usize::from(short);
            *out = match place {
                Place::Inside(symbol) => symbol,
                outside => {
                    let symbol = |distance| model.symbol_outside(params, b * BLOCK + j, outside, distance);
                    self.escape(bytes, symbol)?
                }
            };
        }
        Ok(used)
    }

    /// The next escape's symbol, by its distance.
    #[cold]
    fn escape(&mut self, bytes: &[u8], symbol_outside: impl Fn(u64) -> Option<i32>) -> Result<i32> {
        let offset = self.next_escape;
        let escapes = &bytes[..self.escapes_end];
        let distance = varint::take(escapes, &mut self.next_escape, "escape")?;
        symbol_outside(distance).ok_or_else(|| Error::Corrupt {
            what: format!("escape {distance} is beyond the symbols"),
            offset,
        })
    }
}
