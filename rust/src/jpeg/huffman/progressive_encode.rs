//! Blocks of the four kinds of progressive scans, encoded (T.81, annex G).

use super::bits::BitWriter;
use super::block_coder::{BlockEncoder, BlockHints, MAX_CORRECTIONS, MAX_EOB_RUN};
use super::codes::{HuffmanEncoder, ZRL};
use crate::jpeg::block::{Block, mask, positions};
use crate::jpeg::scan::{Band, Scan};

/// The first scan of DC coefficients.
pub(super) struct DcFirst {
    tables: Vec<HuffmanEncoder>,
    predictions: [i32; 4],
    al: u8,
}

impl DcFirst {
    pub fn new(scan: &Scan, al: u8) -> Self {
        let tables = scan.components.iter().map(|c| HuffmanEncoder::new(&c.dc)).collect();
        Self { tables, predictions: [0; 4], al }
    }
}

impl BlockEncoder for DcFirst {
    #[inline]
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: BlockHints) -> Option<()> {
        let table = &self.tables[hints.component];
        table.put_dc(bits, (block[0] >> self.al).into(), &mut self.predictions[hints.component])
    }

    fn restart(&mut self) {
        self.predictions = [0; 4];
    }
}

/// One more bit of each DC coefficient.
pub(super) struct DcRefinement {
    pub al: u8,
}

impl BlockEncoder for DcRefinement {
    #[inline]
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, _: BlockHints) -> Option<()> {
        bits.put((block[0] >> self.al) as u32 & 1, 1);
        Some(())
    }
}

/// An EOB run, held back because it may continue, and the correction bits that follow its symbol.
#[derive(Default)]
struct EobRun {
    len: u32,
    corrections: Vec<Corrections>,
    correction_bits: usize,
}

/// Correction bits of one block.
#[derive(Clone, Copy, Default)]
struct Corrections {
    bits: u64,
    len: u32,
}

impl Corrections {
    fn push(&mut self, bit: bool) {
        self.bits = self.bits << 1 | u64::from(bit);
        self.len += 1;
    }

    fn put(&mut self, bits: &mut BitWriter) {
        let Self { bits: all, len } = std::mem::take(self);
        let low_len = len.min(32);
        bits.put((all >> low_len) as u32, len - low_len);
        bits.put((all & ((1 << low_len) - 1)) as u32, low_len);
    }
}

impl EobRun {
    fn extend(&mut self, corrections: Corrections) {
        self.len += 1;
        if corrections.len > 0 {
            self.correction_bits += corrections.len as usize;
            self.corrections.push(corrections);
        }
    }

    fn flush(&mut self, table: &HuffmanEncoder, bits: &mut BitWriter) -> Option<()> {
        if self.len == 0 {
            return Some(());
        }
        let log2 = self.len.ilog2();
        table.put_symbol(bits, (log2 as u8) << 4)?;
        bits.put(self.len - (1 << log2), log2);
        self.corrections.drain(..).for_each(|mut corrections| corrections.put(bits));
        self.len = 0;
        self.correction_bits = 0;
        Some(())
    }
}

/// The first scan of a band of AC coefficients.
pub(super) struct AcFirst {
    table: HuffmanEncoder,
    band: Band,
    run: EobRun,
}

impl AcFirst {
    pub fn new(scan: &Scan, band: Band) -> Self {
        Self { table: HuffmanEncoder::new(&scan.components[0].ac), band, run: EobRun::default() }
    }
}

impl BlockEncoder for AcFirst {
    #[inline]
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: BlockHints) -> Option<()> {
        let Band { ss, se, al } = self.band;
        if hints.breaks_eob_run {
            self.flush(bits)?;
        }
        let mut k = ss;
        let nonzero = mask(block, |coefficient| coefficient.unsigned_abs() >> al != 0);
        for next in positions(nonzero & self.band.mask_from(ss)) {
            self.run.flush(&self.table, bits)?;
            let magnitude = block[next].unsigned_abs() >> al;
            self.table.put_ac(bits, next - k, i32::from(magnitude) * i32::from(block[next].signum()))?;
            k = next + 1;
        }
        if k > se {
            return Some(());
        }
        if hints.zero_runs > 0 {
            self.flush(bits)?;
            self.table.put_zero_runs(bits, hints.zero_runs, se - k)?;
        }
        self.run.extend(Corrections::default());
        if self.run.len == MAX_EOB_RUN {
            self.flush(bits)?;
        }
        Some(())
    }

    fn flush(&mut self, bits: &mut BitWriter) -> Option<()> {
        self.run.flush(&self.table, bits)
    }
}

/// One more bit of each AC coefficient of a band.
pub(super) struct AcRefinement {
    table: HuffmanEncoder,
    band: Band,
    run: EobRun,
    max_corrections: usize,
}

impl AcRefinement {
    pub fn new(scan: &Scan, band: Band, unlimited_corrections: bool) -> Self {
        let table = HuffmanEncoder::new(&scan.components[0].ac);
        let max_corrections = if unlimited_corrections { usize::MAX } else { MAX_CORRECTIONS };
        Self { table, band, run: EobRun::default(), max_corrections }
    }

    /// Writes a symbol, its sign bit if it has one, and the correction bits of the coefficients that it passes.
    fn put(
        &mut self,
        bits: &mut BitWriter,
        symbol: u8,
        sign: Option<bool>,
        corrections: &mut Corrections,
    ) -> Option<()> {
        self.run.flush(&self.table, bits)?;
        self.table.put_symbol(bits, symbol)?;
        if let Some(sign) = sign {
            bits.put(sign.into(), 1);
        }
        corrections.put(bits);
        Some(())
    }
}

/// The zeros since the last symbol.
struct ZeroRuns {
    zeros: usize,
    /// Number of ZRL symbols still to come before the EOB.
    surplus: usize,
}

impl ZeroRuns {
    /// Takes 16 zeros and returns `true` if a ZRL is due. Before the EOB only surplus ones are.
    fn take(&mut self, coefficient_follows: bool) -> bool {
        let due = self.zeros >= 16 && (coefficient_follows || self.surplus > 0);
        if due {
            self.zeros -= 16;
            self.surplus -= usize::from(!coefficient_follows);
        }
        due
    }
}

impl BlockEncoder for AcRefinement {
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: BlockHints) -> Option<()> {
        let Band { ss, se, al } = self.band;
        if hints.breaks_eob_run {
            self.flush(bits)?;
        }
        let band = self.band.mask_from(ss);
        let nonzero = band & mask(block, |coefficient| coefficient.unsigned_abs() >> al != 0);
        let new = band & mask(block, |coefficient| coefficient.unsigned_abs() >> al == 1);
        // The position after the last coefficient that becomes nonzero.
        let eob = (u64::BITS - new.leading_zeros()) as usize;
        let mut runs = ZeroRuns { zeros: 0, surplus: hints.zero_runs };
        let mut corrections = Corrections::default();
        let mut next = ss;
        for k in positions(nonzero) {
            runs.zeros += k - next;
            next = k + 1;
            while runs.take(k < eob) {
                self.put(bits, ZRL, None, &mut corrections)?;
            }
            if new >> k & 1 == 1 {
                self.put(bits, (runs.zeros as u8) << 4 | 1, Some(block[k] > 0), &mut corrections)?;
                runs.zeros = 0;
            } else {
                corrections.push(block[k].unsigned_abs() >> al & 1 == 1);
            }
        }
        runs.zeros += se + 1 - next;
        while runs.take(false) {
            self.put(bits, ZRL, None, &mut corrections)?;
        }
        if runs.surplus > 0 {
            return None;
        }
        if eob <= se {
            self.run.extend(corrections);
            if self.run.len == MAX_EOB_RUN || self.run.correction_bits > self.max_corrections {
                self.flush(bits)?;
            }
        }
        Some(())
    }

    fn flush(&mut self, bits: &mut BitWriter) -> Option<()> {
        self.run.flush(&self.table, bits)
    }
}
