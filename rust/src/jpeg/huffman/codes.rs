//! Huffman tables, ready to decode and to encode symbols and coefficients.

use super::bits::{BitReader, BitWriter};
use crate::jpeg::huffman_table::{Code, HuffmanTable};

/// The symbol for a run of 16 zeros.
pub(super) const ZRL: u8 = 0xF0;

/// Codes up to this length are found with a single look-up.
const LOOKUP_BITS: u32 = 10;

/// A table ready to decode.
pub(super) struct HuffmanDecoder {
    /// Length and symbol by the next `LOOKUP_BITS` bits; length 0 where no short code fits.
    lookup: [(u8, u8); 1 << LOOKUP_BITS],
    /// The longer codes in increasing order, their bits aligned to the left of 16.
    long: Vec<Code>,
}

impl HuffmanDecoder {
    pub fn new(table: &HuffmanTable) -> Self {
        let mut lookup = [(0, 0); 1 << LOOKUP_BITS];
        let mut long = Vec::new();
        for Code { symbol, len, bits } in table.codes() {
            if len <= LOOKUP_BITS {
                let free_bits = LOOKUP_BITS - len;
                let first = (bits << free_bits) as usize;
                lookup[first..first + (1 << free_bits)].fill((len as u8, symbol));
            } else {
                long.push(Code { symbol, len, bits: bits << (16 - len) });
            }
        }
        Self { lookup, long }
    }

    /// Decodes one symbol; `None` at an undefined code or the end of the data. Needs a refilled reader.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut BitReader) -> Option<u8> {
        let (mut len, mut symbol) = self.lookup[bits.peek(LOOKUP_BITS) as usize];
        if len == 0 {
            (len, symbol) = self.find_long(bits.peek(16))?;
        }
        bits.consume(len.into())?;
        Some(symbol)
    }

    #[cold]
    fn find_long(&self, next: u32) -> Option<(u8, u8)> {
        let code = &self.long[..self.long.partition_point(|code| code.bits <= next)].last()?;
        let matches = (next ^ code.bits) >> (16 - code.len) == 0;
        matches.then_some((code.len as u8, code.symbol))
    }

    /// Decodes a DC value, which is coded as its difference from the prediction, and makes it the next prediction.
    #[inline(always)]
    pub fn dc(&self, bits: &mut BitReader, prediction: &mut i32) -> Option<i16> {
        bits.refill();
        let size = self.symbol(bits)?;
        if size > 16 {
            return None;
        }
        *prediction += bits.take_signed(size.into())?;
        i16::try_from(*prediction).ok()
    }
}

/// A table ready to encode. All methods return `None` if a symbol has no code or a value is out of range.
pub(super) struct HuffmanEncoder {
    /// Length and bits by symbol; length 0 for a symbol without a code.
    codes: [(u8, u16); 256],
}

impl HuffmanEncoder {
    pub fn new(table: &HuffmanTable) -> Self {
        let mut codes = [(0, 0); 256];
        for Code { symbol, len, bits } in table.codes() {
            codes[usize::from(symbol)] = (len as u8, bits as u16);
        }
        Self { codes }
    }

    /// Returns length and bits of the code of `symbol`.
    #[inline(always)]
    fn code(&self, symbol: u8) -> Option<(u32, u32)> {
        let (len, bits) = self.codes[usize::from(symbol)];
        (len > 0).then_some((len.into(), bits.into()))
    }

    /// Encodes a symbol.
    #[inline(always)]
    pub fn put_symbol(&self, bits: &mut BitWriter, symbol: u8) -> Option<()> {
        let (len, code) = self.code(symbol)?;
        bits.put(code, len);
        Some(())
    }

    /// Encodes `count` runs of 16 zeros before an EOB that stands for `zeros` coefficients.
    #[inline(always)]
    pub fn put_zero_runs(&self, bits: &mut BitWriter, count: usize, zeros: usize) -> Option<()> {
        if count > zeros / 16 {
            return None;
        }
        (0..count).try_for_each(|_| self.put_symbol(bits, ZRL))
    }

    /// Encodes a DC value as its difference from the prediction, and makes it the next prediction.
    #[inline(always)]
    pub fn put_dc(&self, bits: &mut BitWriter, value: i32, prediction: &mut i32) -> Option<()> {
        let difference = value - std::mem::replace(prediction, value);
        self.put_value(bits, 0, difference)
    }

    /// Encodes an AC coefficient after `zeros` zeros.
    #[inline(always)]
    pub fn put_ac(&self, bits: &mut BitWriter, mut zeros: usize, value: i32) -> Option<()> {
        while zeros >= 16 {
            self.put_symbol(bits, ZRL)?;
            zeros -= 16;
        }
        (-0x7FFF..=0x7FFF).contains(&value).then_some(())?;
        self.put_value(bits, (zeros as u8) << 4, value)
    }

    /// Encodes the symbol `run` plus the size of the value, then the value's bits.
    #[inline(always)]
    fn put_value(&self, bits: &mut BitWriter, run: u8, value: i32) -> Option<()> {
        let size = 32 - value.unsigned_abs().leading_zeros();
        let (len, code) = self.code(run + size as u8)?;
        let low_bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        bits.put(code << size | low_bits, len + size);
        Some(())
    }
}
