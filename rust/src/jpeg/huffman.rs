//! Huffman tables: as DHT defines them, and made ready to decode or encode.

use super::bits::BitReader;

/// A table as in DHT: how many codes there are of each length, and their symbols.
#[derive(Debug, Clone, Default)]
pub(super) struct HuffmanTable {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

/// One code of a table.
struct Code {
    symbol: u8,
    len: u32,
    bits: u32,
}

impl HuffmanTable {
    /// `None` if more codes of some length are asked for than there can be.
    pub fn new(counts: [u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut free = 1i32;
        for &count in &counts {
            free = 2 * free - i32::from(count);
            if free < 0 {
                return None;
            }
        }
        Some(Self { counts, symbols: symbols.to_vec() })
    }

    /// The codes in increasing order. Of several codes for one symbol only the first counts:
    /// the others are treated as undefined, so that every symbol is written in one way only.
    fn codes(&self) -> Vec<Code> {
        let mut codes = Vec::with_capacity(self.symbols.len());
        let mut symbols = self.symbols.iter();
        let mut seen = [false; 256];
        let mut next = 0;
        for (len, &count) in (1..).zip(&self.counts) {
            for &symbol in symbols.by_ref().take(count.into()) {
                let known = std::mem::replace(&mut seen[usize::from(symbol)], true);
                if !known {
                    codes.push(Code { symbol, len, bits: next });
                }
                next += 1;
            }
            next <<= 1;
        }
        codes
    }
}

/// Codes up to this length are found with a single look-up.
const LOOKUP_BITS: u32 = 10;

/// A table ready for decoding.
pub(super) struct HuffmanDecoder {
    /// Length and symbol by the next `LOOKUP_BITS` bits; length 0 where no short code fits.
    lookup: [(u8, u8); 1 << LOOKUP_BITS],
    /// The longer codes in increasing order, the bits aligned to the left of 16.
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
    pub fn decode(&self, bits: &mut BitReader) -> Option<u8> {
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
}

/// A table ready for encoding.
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

    /// Length and bits of the code of `symbol`, if it has one.
    #[inline(always)]
    pub fn code(&self, symbol: u8) -> Option<(u32, u32)> {
        let (len, bits) = self.codes[usize::from(symbol)];
        (len > 0).then_some((len.into(), bits.into()))
    }
}
