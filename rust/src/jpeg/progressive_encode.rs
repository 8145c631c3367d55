//! The four kinds of progressive scans, encoded.

use super::bits::BitWriter;
use super::header::{Band, Scan};
use super::huffman::HuffmanEncoder;
use super::progressive_decode::{MAX_CORRECTIONS, MAX_EOB_RUN};
use super::scan_decode::Block;
use super::scan_encode::{encode_ac, encode_dc, put_symbol, put_zero_runs, BlockEncoder, Hints};

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
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: Hints) -> Option<()> {
        let table = &self.tables[hints.component];
        encode_dc(table, bits, (block[0] >> self.al).into(), &mut self.predictions[hints.component])
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
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, _: Hints) -> Option<()> {
        bits.put((block[0] >> self.al) as u32 & 1, 1);
        Some(())
    }
}

/// An EOB run held back because it may go on, and the correction bits that follow its symbol.
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
        put_symbol(table, bits, (log2 as u8) << 4)?;
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
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: Hints) -> Option<()> {
        let Band { ss, se, al } = self.band;
        if hints.breaks_eob_run {
            self.flush(bits)?;
        }
        let mut k = ss;
        for (next, &coefficient) in (ss..).zip(&block[ss..=se]) {
            let magnitude = i32::from(coefficient.unsigned_abs() >> al);
            if magnitude > 0 {
                self.run.flush(&self.table, bits)?;
                encode_ac(&self.table, bits, next - k, magnitude * i32::from(coefficient.signum()))?;
                k = next + 1;
            }
        }
        if k > se {
            return Some(());
        }
        if hints.zero_runs > 0 {
            self.flush(bits)?;
            put_zero_runs(&self.table, bits, hints.zero_runs, se - k)?;
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

    /// A symbol, its extra bit if it has one, and the correction bits of the coefficients it passes.
    fn put(
        &mut self,
        bits: &mut BitWriter,
        symbol: u8,
        sign: Option<bool>,
        corrections: &mut Corrections,
    ) -> Option<()> {
        self.run.flush(&self.table, bits)?;
        put_symbol(&self.table, bits, symbol)?;
        if let Some(sign) = sign {
            bits.put(sign.into(), 1);
        }
        corrections.put(bits);
        Some(())
    }
}

impl BlockEncoder for AcRefinement {
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: Hints) -> Option<()> {
        let Band { ss, se, al } = self.band;
        if hints.breaks_eob_run {
            self.flush(bits)?;
        }
        let magnitude = |k: usize| block[k].unsigned_abs() >> al;
        // Behind the last coefficient that becomes nonzero.
        let eob = (ss..=se).rfind(|&k| magnitude(k) == 1).map_or(ss, |k| k + 1);
        let mut zero_runs_left = hints.zero_runs;
        let mut zeros = 0;
        let mut corrections = Corrections::default();
        for k in ss..=se {
            match magnitude(k) {
                0 => zeros += 1,
                1 => {
                    self.put(bits, zeros << 4 | 1, Some(block[k] > 0), &mut corrections)?;
                    zeros = 0;
                }
                magnitude => corrections.push(magnitude & 1 != 0),
            }
            let more_zero_runs = k < eob || zero_runs_left > 0;
            if zeros == 16 && more_zero_runs {
                zero_runs_left -= usize::from(k >= eob);
                self.put(bits, 0xF0, None, &mut corrections)?;
                zeros = 0;
            }
        }
        if zero_runs_left > 0 {
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
