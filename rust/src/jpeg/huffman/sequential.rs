//! Blocks of sequential scans, decoded and encoded: all coefficients at once.

use super::bits::{BitReader, BitWriter};
use super::block_coder::{BlockDecoder, BlockEncoder, BlockHints, BlockIndex, BlockNotes};
use super::codes::{HuffmanDecoder, HuffmanEncoder};
use crate::jpeg::block::{Block, mask, positions};
use crate::jpeg::scan::{Scan, ScanComponent};

pub(super) struct SequentialDecoder {
    /// DC and AC tables by component.
    tables: Vec<(HuffmanDecoder, HuffmanDecoder)>,
    predictions: [i32; 4],
}

impl SequentialDecoder {
    pub fn new(scan: &Scan) -> Self {
        let decoders = |c: &ScanComponent| (HuffmanDecoder::new(&c.dc), HuffmanDecoder::new(&c.ac));
        Self { tables: scan.components.iter().map(decoders).collect(), predictions: [0; 4] }
    }
}

impl BlockDecoder for SequentialDecoder {
    #[inline(always)]
    fn decode(
        &mut self,
        bits: &mut BitReader,
        at: BlockIndex,
        block: &mut Block,
        notes: &mut BlockNotes,
    ) -> Option<()> {
        let (dc, ac) = &self.tables[at.component];
        block[0] = dc.dc(bits, &mut self.predictions[at.component])?;
        let mut k = 1;
        let mut zero_runs = 0;
        while k < 64 {
            bits.refill();
            let symbol = ac.symbol(bits)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size > 0 {
                k += run;
                *block.get_mut(k)? = bits.take_signed(size)? as i16;
                k += 1;
                zero_runs = 0;
            } else if run == 15 {
                k += 16;
                zero_runs += 1;
                if k > 63 {
                    return None;
                }
            } else if run == 0 {
                if zero_runs > 0 {
                    notes.zero_runs.push((at.ordinal, zero_runs));
                }
                return Some(());
            } else {
                return None;
            }
        }
        Some(())
    }

    fn restart(&mut self) {
        self.predictions = [0; 4];
    }
}

pub(super) struct SequentialEncoder {
    /// DC and AC tables by component.
    tables: Vec<(HuffmanEncoder, HuffmanEncoder)>,
    predictions: [i32; 4],
}

impl SequentialEncoder {
    pub fn new(scan: &Scan) -> Self {
        let encoders = |c: &ScanComponent| (HuffmanEncoder::new(&c.dc), HuffmanEncoder::new(&c.ac));
        Self { tables: scan.components.iter().map(encoders).collect(), predictions: [0; 4] }
    }
}

impl BlockEncoder for SequentialEncoder {
    #[inline(always)]
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: BlockHints) -> Option<()> {
        let (dc, ac) = &self.tables[hints.component];
        dc.put_dc(bits, block[0].into(), &mut self.predictions[hints.component])?;
        let mut k = 1;
        for next in positions(mask(block, |coefficient| coefficient != 0) & !1) {
            ac.put_ac(bits, next - k, block[next].into())?;
            k = next + 1;
        }
        if k < 64 {
            ac.put_zero_runs(bits, hints.zero_runs, 63 - k)?;
            ac.put_symbol(bits, 0)?;
        }
        Some(())
    }

    fn restart(&mut self) {
        self.predictions = [0; 4];
    }
}
