//! The decoding half.

use super::{
    bits, check_indexes, check_params, element, Backend, Index, BLOCK, HAS_ESCAPES, LOWER_BOUND, MASK,
    MAX_LANES, STATE_BYTES_SHIFT,
};
use crate::tables::{LogisticMixture, MixtureConstants, Place, Slots, Tables, PRECISION};
use crate::{varint, Error, Result};

/// Decodes groups of symbols in the order and with the distributions that they were encoded with.
///
/// After an error the symbols of that call and everything later are meaningless, but decoding stays safe.
#[derive(Debug, Clone)]
pub struct Decoder<D = Vec<u8>> {
    data: D,
    backend: Backend,
    states: [u32; MAX_LANES],
    /// The number of lanes, a power of two, minus 1.
    lane_mask: usize,
    /// The next word's position in `data`.
    next_word: usize,
    /// The next escape's position in `data`, and where escapes end.
    next_escape: usize,
    escapes_end: usize,
}

/// Where a group's distributions come from.
trait Model {
    type Symbol;

    /// The symbol of element `i` that owns `slot`; if that is an escape, what is needed to tell the symbol.
    fn find(&self, i: usize, slot: u32) -> (std::result::Result<Self::Symbol, Place>, Slots);

    /// The symbol of element `i` so far outside of the support.
    fn symbol_outside(&self, i: usize, place: Place, distance: u64) -> Option<Self::Symbol>;

    /// [`Backend::decode`] for the block that begins with element `i`, whose only place outside is above.
    fn decode_block(
        &self,
        _backend: Backend,
        _i: usize,
        _lanes: usize,
        _states: &mut [u32; MAX_LANES],
        _words: &[u8; 2 * BLOCK],
        _out: &mut [Self::Symbol; BLOCK],
    ) -> Option<(usize, u64)> {
        None
    }
}

impl<D: AsRef<[u8]>> Decoder<D> {
    /// Reads a stream up to its first word.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Corrupt`].
    pub fn new(data: D) -> Result<Self> {
        let mut decoder = Self {
            data,
            backend: Backend::default(),
            states: [LOWER_BOUND; MAX_LANES],
            lane_mask: 0,
            next_word: 0,
            next_escape: 0,
            escapes_end: 0,
        };
        decoder.read_header()?;
        Ok(decoder)
    }

    /// Decodes with this backend from here on.
    #[must_use]
    pub fn with_backend(self, backend: Backend) -> Self {
        Self { backend, ..self }
    }

    fn read_header(&mut self) -> Result<()> {
        let bytes = self.data.as_ref();
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

    /// Decodes a group, `out[i]` by row `indexes[i]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there is not one index for each symbol or a row does not exist;
    /// [`Error::Truncated`] or [`Error::Corrupt`] if the stream does not continue so.
    pub fn get_tables<I: Index>(&mut self, indexes: &[I], tables: &Tables, out: &mut [i32]) -> Result<()> {
        check_indexes(indexes, out.len(), tables.len())?;
        self.group(&TablesModel { indexes, tables }, out)
    }

    /// Decodes a group, each symbol by the [`LogisticMixture`] of its five parameters.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if there are not five parameters for each symbol; [`Error::Truncated`] or
    /// [`Error::Corrupt`] if the stream does not continue so.
    pub fn get_mixture(&mut self, params: &[i16], out: &mut [i16]) -> Result<()> {
        check_params(params, out.len())?;
        self.group(&MixtureModel { constants: MixtureConstants::get(), params }, out)
    }

    fn group<M: Model>(&mut self, model: &M, out: &mut [M::Symbol]) -> Result<()> {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            // Each element takes one word at most, so the words need a look only after the block.
            let rest = &self.data.as_ref()[self.next_word..];
            let available = rest.len() / 2;
            let padded;
            let words = match rest.first_chunk() {
                Some(words) => words,
                None => {
                    padded = pad(rest);
                    &padded
                }
            };
            let (first, lanes, states) = (block * BLOCK, self.lane_mask + 1, &mut self.states);
            let vectorised = <&mut [_; BLOCK]>::try_from(&mut *out)
                .ok()
                .and_then(|out| model.decode_block(self.backend, first, lanes, states, words, out));
            let used = if let Some((used, escapes)) = vectorised {
                for j in bits(escapes) {
                    out[j] = self.escape(model, first + j, Place::Above)?;
                }
                used
            } else {
                let words = *words;
                self.scalar_block(model, first, &words, out)?
            };
            if used > available {
                return Err(Error::Truncated { what: "rANS words", offset: self.data.as_ref().len() });
            }
            self.next_word += 2 * used;
        }
        Ok(())
    }

    /// Decodes a block from element `first` on, and returns how many of the words it took.
    #[inline]
    fn scalar_block<M: Model>(
        &mut self,
        model: &M,
        first: usize,
        words: &[u8; 2 * BLOCK],
        out: &mut [M::Symbol],
    ) -> Result<usize> {
        let words = words.as_chunks().0;
        let mut used = 0;
        for (j, out) in out.iter_mut().enumerate() {
            let state = self.states[j & self.lane_mask];
            let slot = state & MASK;
            let (symbol, slots) = model.find(first + j, slot);
            let state = slots.freq() * (state >> PRECISION) + slot - slots.start();
            let short = state < LOWER_BOUND;
            let refilled = state << 16 | u32::from(u16::from_le_bytes(words[used % BLOCK]));
            self.states[j & self.lane_mask] = if short { refilled } else { state };
            used += usize::from(short);
            *out = match symbol {
                Ok(symbol) => symbol,
                Err(place) => self.escape(model, first + j, place)?,
            };
        }
        Ok(used)
    }

    #[cold]
    fn escape<M: Model>(&mut self, model: &M, i: usize, place: Place) -> Result<M::Symbol> {
        let offset = self.next_escape;
        let escapes = &self.data.as_ref()[..self.escapes_end];
        let distance = varint::take(escapes, &mut self.next_escape, "escape")?;
        model.symbol_outside(i, place, distance).ok_or_else(|| Error::Corrupt {
            what: format!("escape {distance} is beyond the symbols"),
            offset,
        })
    }

    /// Checks that the stream ends here.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if anything is left, or a state is not what the encoder began with.
    pub fn finish(&self) -> Result<()> {
        let corrupt = |what: &str, offset| Err(Error::Corrupt { what: what.into(), offset });
        if self.next_escape != self.escapes_end {
            return corrupt("escapes are left after the last symbol", self.next_escape);
        }
        if self.next_word != self.data.as_ref().len() {
            return corrupt("words are left after the last symbol", self.next_word);
        }
        if self.states.iter().any(|&state| state != LOWER_BOUND) {
            return corrupt("the final rANS state is wrong", self.next_word);
        }
        Ok(())
    }
}

/// The bytes, and zeros after them.
#[cold]
fn pad(bytes: &[u8]) -> [u8; 2 * BLOCK] {
    let mut padded = [0; 2 * BLOCK];
    padded[..bytes.len()].copy_from_slice(bytes);
    padded
}

struct TablesModel<'a, I> {
    indexes: &'a [I],
    tables: &'a Tables,
}

impl<I: Index> Model for TablesModel<'_, I> {
    type Symbol = i32;

    #[inline]
    fn find(&self, i: usize, slot: u32) -> (std::result::Result<i32, Place>, Slots) {
        let (symbol, slots) = self.tables.find(self.indexes[i].row(), slot);
        (symbol.ok_or(Place::Above), slots)
    }

    fn symbol_outside(&self, i: usize, _: Place, distance: u64) -> Option<i32> {
        self.tables.symbol_outside(self.indexes[i].row(), distance)
    }

    #[inline]
    fn decode_block(
        &self,
        backend: Backend,
        i: usize,
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        let indexes = self.indexes[i..].first_chunk()?;
        backend.decode(self.tables, indexes, lanes, states, words, out)
    }
}

struct MixtureModel<'a> {
    constants: &'a MixtureConstants,
    params: &'a [i16],
}

impl<'a> MixtureModel<'a> {
    #[inline]
    fn element(&self, i: usize) -> LogisticMixture<'a> {
        LogisticMixture::new(self.constants, element(self.params, i))
    }
}

impl Model for MixtureModel<'_> {
    type Symbol = i16;

    #[inline]
    fn find(&self, i: usize, slot: u32) -> (std::result::Result<i16, Place>, Slots) {
        let (place, slots) = self.element(i).find(slot);
        match place {
            Place::Inside(symbol) => (Ok(symbol), slots),
            outside => (Err(outside), slots),
        }
    }

    fn symbol_outside(&self, i: usize, place: Place, distance: u64) -> Option<i16> {
        self.element(i).symbol_outside(place, distance)
    }
}
