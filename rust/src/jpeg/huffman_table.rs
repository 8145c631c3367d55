//! Huffman tables as DHT defines them.

/// A Huffman table: the number of codes of each length, and the symbols in the order of the codes.
#[derive(Debug, Clone, Default)]
pub(super) struct HuffmanTable {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

/// One code of a table.
pub(super) struct Code {
    pub symbol: u8,
    pub len: u32,
    pub bits: u32,
}

impl HuffmanTable {
    /// Makes a table; `None` if it has more codes of some length than there can be.
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

    /// Returns the codes in increasing order.
    ///
    /// If a symbol has several codes, only the first counts. The others are treated as undefined, so that every
    /// symbol is written in one way only.
    pub fn codes(&self) -> Vec<Code> {
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
