//! The tables that DHT, DAC and DQT segments define.

use super::annex_k;
use super::huffman_table::HuffmanTable;
use super::markers::{Segment, corrupt};
use super::scan::{Conditioning, ScanKind};
use crate::Result;

/// The tables in force, by number. Without DHT, the Huffman tables are those of annex K.
pub(super) struct Tables {
    /// In zig-zag order.
    pub quant: [[u16; 64]; 4],
    pub conditioning: Conditioning,
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
}

impl Default for Tables {
    fn default() -> Self {
        let conditioning = Conditioning::default();
        Self { quant: [[0; 64]; 4], conditioning, dc: annex_k::dc(), ac: annex_k::ac() }
    }
}

impl Tables {
    pub fn parse_dht(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.position;
            let (class, slot) = segment.nibbles()?;
            let mut counts = [0; 16];
            counts.copy_from_slice(segment.take(16)?);
            let symbols = segment.take(counts.iter().map(|&count| usize::from(count)).sum())?;
            let table = HuffmanTable::new(counts, symbols)
                .filter(|_| symbols.len() <= 256)
                .ok_or_else(|| corrupt("impossible Huffman table", offset))?;
            let tables = match class {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(corrupt("Huffman table class above 1", offset)),
            };
            let entry = tables.get_mut(usize::from(slot));
            *entry.ok_or_else(|| corrupt("Huffman table slot above 3", offset))? = Some(table);
        }
        Ok(())
    }

    pub fn parse_dac(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.position;
            let (class, slot) = segment.nibbles()?;
            let (upper, lower) = segment.nibbles()?;
            match class {
                0 if lower <= upper => self.conditioning.dc[usize::from(slot)] = (lower, upper),
                1 => self.conditioning.ac[usize::from(slot)] = upper << 4 | lower,
                _ => return Err(corrupt("bad arithmetic conditioning", offset)),
            }
        }
        Ok(())
    }

    pub fn parse_dqt(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.position;
            let (precision, slot) = segment.nibbles()?;
            let table = self.quant.get_mut(usize::from(slot));
            for step in table.ok_or_else(|| corrupt("quantisation table slot above 3", offset))? {
                *step = match precision {
                    0 => segment.u8()?.into(),
                    1 => segment.u16()?,
                    _ => return Err(corrupt("quantisation table precision above 1", offset)),
                };
            }
        }
        Ok(())
    }

    /// Returns the tables that a Huffman-coded scan of this kind uses for DC and AC, given their numbers.
    ///
    /// # Errors
    /// `Corrupt`, at the offset of the scan, if one of them is not defined.
    pub fn huffman(
        &self,
        kind: ScanKind,
        (dc, ac): (u8, u8),
        offset: usize,
    ) -> Result<(HuffmanTable, HuffmanTable)> {
        let get = |tables: &[Option<HuffmanTable>; 4], slot: u8| {
            let table = tables.get(usize::from(slot)).cloned().flatten();
            table.ok_or_else(|| corrupt("scan uses an undefined Huffman table", offset))
        };
        let unused = HuffmanTable::default;
        Ok(match kind {
            ScanKind::Sequential => (get(&self.dc, dc)?, get(&self.ac, ac)?),
            ScanKind::DcFirst { .. } => (get(&self.dc, dc)?, unused()),
            ScanKind::DcRefinement { .. } => (unused(), unused()),
            ScanKind::AcFirst(_) | ScanKind::AcRefinement(_) => (unused(), get(&self.ac, ac)?),
        })
    }
}
