//! Blocks of the four kinds of progressive scans, decoded (T.81, annex G).

use super::bits::BitReader;
use super::block_coder::{BlockDecoder, BlockIndex, BlockNotes, MAX_CORRECTIONS, MAX_EOB_RUN};
use super::codes::HuffmanDecoder;
use crate::jpeg::block::{Block, mask, positions};
use crate::jpeg::scan::{Band, Scan};

/// The first scan of DC coefficients.
pub(super) struct DcFirst {
    tables: Vec<HuffmanDecoder>,
    predictions: [i32; 4],
    al: u8,
}

impl DcFirst {
    pub fn new(scan: &Scan, al: u8) -> Self {
        let tables = scan.components.iter().map(|c| HuffmanDecoder::new(&c.dc)).collect();
        Self { tables, predictions: [0; 4], al }
    }
}

impl BlockDecoder for DcFirst {
    #[inline]
    fn decode(
        &mut self,
        bits: &mut BitReader,
        at: BlockIndex,
        block: &mut Block,
        _: &mut BlockNotes,
    ) -> Option<()> {
        let value = self.tables[at.component].dc(bits, &mut self.predictions[at.component])?;
        block[0] = i16::try_from(i32::from(value) << self.al).ok()?;
        Some(())
    }

    fn restart(&mut self) {
        self.predictions = [0; 4];
    }
}

/// One more bit of each DC coefficient.
pub(super) struct DcRefinement {
    pub al: u8,
}

impl BlockDecoder for DcRefinement {
    #[inline]
    fn decode(
        &mut self,
        bits: &mut BitReader,
        _: BlockIndex,
        block: &mut Block,
        _: &mut BlockNotes,
    ) -> Option<()> {
        block[0] |= i16::from(bits.take_bit()?) << self.al;
        Some(())
    }
}

/// An EOB run: blocks without further coefficients.
#[derive(Default)]
struct EobRun {
    /// Number of blocks still to come.
    left: u32,
    /// Length as coded; 0 if the last block did not end in a run.
    len: u32,
    /// Correction bits since its start.
    corrections: usize,
}

impl EobRun {
    /// Reads the length of a run, which includes the current block. `only_eob`: the block has no other symbol.
    fn read(
        &mut self,
        log2: u32,
        bits: &mut BitReader,
        ordinal: usize,
        only_eob: bool,
        notes: &mut BlockNotes,
    ) -> Option<()> {
        if only_eob && self.len > 0 && self.len < MAX_EOB_RUN {
            notes.eob_breaks.push((ordinal, self.corrections > MAX_CORRECTIONS));
        }
        bits.refill();
        self.len = (1 << log2) + bits.take(log2)?;
        self.left = self.len;
        self.corrections = 0;
        Some(())
    }
}

/// The first scan of a band of AC coefficients.
pub(super) struct AcFirst {
    table: HuffmanDecoder,
    band: Band,
    run: EobRun,
}

impl AcFirst {
    pub fn new(scan: &Scan, band: Band) -> Self {
        Self { table: HuffmanDecoder::new(&scan.components[0].ac), band, run: EobRun::default() }
    }

    fn decode_coded(
        &mut self,
        bits: &mut BitReader,
        ordinal: usize,
        block: &mut Block,
        notes: &mut BlockNotes,
    ) -> Option<()> {
        let Band { ss, se, al } = self.band;
        let mut k = ss;
        let mut zero_runs = 0;
        while k <= se {
            bits.refill();
            let symbol = self.table.symbol(bits)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size > 0 {
                k += run;
                let value = i16::try_from(bits.take_signed(size)? << al).ok();
                // Refinements may raise the magnitude and must not leave the range.
                *block[..=se].get_mut(k)? = value.filter(|&value| value != i16::MIN)?;
                k += 1;
                zero_runs = 0;
            } else if run == 15 {
                k += 16;
                zero_runs += 1;
                if k > se {
                    return None;
                }
            } else {
                self.run.read(run as u32, bits, ordinal, k == ss, notes)?;
                self.run.left -= 1;
                if zero_runs > 0 {
                    notes.zero_runs.push((ordinal, zero_runs));
                }
                return Some(());
            }
        }
        self.run = EobRun::default();
        Some(())
    }
}

impl BlockDecoder for AcFirst {
    #[inline]
    fn decode(
        &mut self,
        bits: &mut BitReader,
        at: BlockIndex,
        block: &mut Block,
        notes: &mut BlockNotes,
    ) -> Option<()> {
        if self.run.left > 0 {
            self.run.left -= 1;
            return Some(());
        }
        self.decode_coded(bits, at.ordinal, block, notes)
    }

    fn restart(&mut self) {
        self.run = EobRun::default();
    }

    fn in_eob_run(&self) -> bool {
        self.run.left > 0
    }
}

/// One more bit of each AC coefficient of a band.
pub(super) struct AcRefinement {
    table: HuffmanDecoder,
    band: Band,
    run: EobRun,
}

impl AcRefinement {
    pub fn new(scan: &Scan, band: Band) -> Self {
        Self { table: HuffmanDecoder::new(&scan.components[0].ac), band, run: EobRun::default() }
    }

    /// Decodes up to an EOB and returns its position in the band, or `se + 1` if the band is complete.
    /// `nonzero` is the mask of the coefficients that are nonzero after earlier scans.
    fn decode_coded(
        &mut self,
        bits: &mut BitReader,
        ordinal: usize,
        block: &mut Block,
        nonzero: u64,
        notes: &mut BlockNotes,
    ) -> Option<usize> {
        let Band { ss, se, al } = self.band;
        let mut k = ss;
        let mut zero_runs = 0;
        while k <= se {
            bits.refill();
            let symbol = self.table.symbol(bits)?;
            let run = symbol >> 4;
            let value = match symbol & 15 {
                0 if run < 15 => {
                    self.run.read(run.into(), bits, ordinal, k == ss, notes)?;
                    if zero_runs > 0 {
                        notes.zero_runs.push((ordinal, zero_runs));
                    }
                    return Some(k);
                }
                0 => 0,
                1 if bits.take(1)? == 1 => 1 << al,
                1 => -1 << al,
                _ => return None,
            };
            let rest = self.band.mask_from(k);
            k = nth_position(rest & !nonzero, run)?;
            self.correct(bits, block, rest & nonzero & ((1 << k) - 1))?;
            block[k] = value;
            k += 1;
            zero_runs = if value == 0 { zero_runs + 1 } else { 0 };
            // The encoder writes an EOB for zeros up to the end of the band.
            if value == 0 && k > se {
                return None;
            }
        }
        self.run = EobRun::default();
        Some(k)
    }

    /// Reads a correction bit for each coefficient in the mask: bit `al` of its magnitude.
    #[inline(always)]
    fn correct(&self, bits: &mut BitReader, block: &mut Block, mask: u64) -> Option<()> {
        for k in positions(mask) {
            let bit = i16::from(bits.take_bit()?) << self.band.al;
            block[k] += if block[k] < 0 { -bit } else { bit };
        }
        Some(())
    }
}

/// Returns the position of the bit of the mask that follows `skipped` others.
#[inline(always)]
fn nth_position(mut mask: u64, skipped: u8) -> Option<usize> {
    for _ in 0..skipped {
        mask &= mask.wrapping_sub(1);
    }
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

impl BlockDecoder for AcRefinement {
    #[inline(always)]
    fn decode(
        &mut self,
        bits: &mut BitReader,
        at: BlockIndex,
        block: &mut Block,
        notes: &mut BlockNotes,
    ) -> Option<()> {
        let nonzero = mask(block, |coefficient| coefficient != 0);
        let k = match self.run.left {
            0 => self.decode_coded(bits, at.ordinal, block, nonzero, notes)?,
            _ => self.band.ss,
        };
        if self.run.left == 0 {
            return Some(());
        }
        let rest = nonzero & self.band.mask_from(k);
        self.correct(bits, block, rest)?;
        self.run.corrections += rest.count_ones() as usize;
        self.run.left -= 1;
        notes.unlimited_corrections |= self.run.left > 0 && self.run.corrections > MAX_CORRECTIONS;
        Some(())
    }

    fn restart(&mut self) {
        self.run = EobRun::default();
    }

    fn in_eob_run(&self) -> bool {
        self.run.left > 0
    }
}
