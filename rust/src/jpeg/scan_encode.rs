//! From coefficients to an entropy-coded segment: canonical, but for what the notes say.

use super::arithmetic_encode;
use super::bits::BitWriter;
use super::block::{mask, positions, Block};
use super::frame::Frame;
use super::header::{Scan, ScanComponent, ScanKind};
use super::huffman::HuffmanEncoder;
use super::intervals::restart_marker;
use super::progressive_encode::{AcFirst, AcRefinement, DcFirst, DcRefinement};
use super::skeleton::{Padding, ScanNotes};
use super::walk::Walk;
use crate::Limits;
use crate::{interrupt, Error, Result};

/// Encodes what one kind of scan codes of a block.
pub(super) trait BlockEncoder {
    /// Encodes the block; `None` if the Huffman tables or the standard's ranges do not allow it.
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: Hints) -> Option<()>;

    /// Begins a restart interval.
    fn restart(&mut self) {}

    /// Writes what has been held back.
    fn flush(&mut self, _bits: &mut BitWriter) -> Option<()> {
        Some(())
    }
}

/// What is particular about a block.
#[derive(Clone, Copy)]
pub(super) struct Hints {
    /// Index into the components of the scan.
    pub component: usize,
    /// The block does not join the EOB run before it.
    pub breaks_eob_run: bool,
    /// Number of ZRL symbols before the EOB.
    pub zero_runs: usize,
}

/// Appends the entropy-coded segment of a scan to `out`.
pub(super) fn encode(
    scan: &Scan,
    frame: &Frame,
    notes: &ScanNotes,
    planes: &[&[i16]],
    out: &mut Vec<u8>,
    limits: &Limits,
) -> Result<()> {
    if let Some(conditioning) = scan.conditioning {
        return arithmetic_encode::encode(scan, conditioning, frame, notes, planes, out, limits);
    }
    let scan_encoder =
        ScanEncoder { walk: Walk::new(scan, frame), notes, planes, limits, offset: scan.offset };
    match scan.kind {
        ScanKind::Sequential => scan_encoder.run(Sequential::new(scan), out),
        ScanKind::DcFirst { al } => scan_encoder.run(DcFirst::new(scan, al), out),
        ScanKind::DcRefinement { al } => scan_encoder.run(DcRefinement { al }, out),
        ScanKind::AcFirst(band) => scan_encoder.run(AcFirst::new(scan, band), out),
        ScanKind::AcRefinement(band) => {
            scan_encoder.run(AcRefinement::new(scan, band, notes.unlimited_corrections), out)
        }
    }
}

struct ScanEncoder<'a> {
    walk: Walk,
    notes: &'a ScanNotes,
    planes: &'a [&'a [i16]],
    limits: &'a Limits,
    offset: usize,
}

impl ScanEncoder<'_> {
    #[inline(never)]
    fn run(&self, mut encoder: impl BlockEncoder, out: &mut Vec<u8>) -> Result<()> {
        let mut bits = BitWriter::new(out);
        let mut hints = HintReader { notes: self.notes, next_break: 0, next_zero_run: 0 };
        let mut patches = self.notes.patches.iter().peekable();
        let mut regular_intervals = 0;
        for interval in 0..self.walk.intervals() {
            let patch = patches.next_if(|patch| patch.interval == interval);
            encoder.restart();
            bits =
                self.interval(interval, patch.map(|patch| patch.blocks), &mut encoder, &mut hints, bits)?;
            let is_last = interval + 1 == self.walk.intervals();
            if let Some(patch) = patch {
                bits.drop_partial_byte();
                bits.put_raw(&patch.bytes);
                if !patch.resumes() {
                    break;
                }
            } else {
                bits.pad(self.padding(regular_intervals));
                regular_intervals += 1;
                if !is_last {
                    bits.put_raw(&restart_marker(interval));
                }
            }
        }
        self.limits.check_output("size of the JPEG file", bits.output_len() as u64)
    }

    /// Encodes a restart interval, or only the first `count` blocks of it.
    #[inline(always)]
    fn interval<'a>(
        &self,
        interval: usize,
        count: Option<usize>,
        encoder: &mut impl BlockEncoder,
        hints: &mut HintReader,
        mut bits: BitWriter<'a>,
    ) -> Result<BitWriter<'a>> {
        let mcus = self.walk.interval(interval);
        let mut ordinal = mcus.start * self.walk.slots.len();
        let all = mcus.len() * self.walk.slots.len();
        let end = ordinal + count.unwrap_or(all).min(all);
        'blocks: for mcu in mcus {
            let position = self.walk.mcu(mcu);
            self.limits.check_output("size of the JPEG file", bits.output_len() as u64)?;
            if position.0 == 0 {
                interrupt::check()?;
            }
            for slot in &self.walk.slots {
                if ordinal == end {
                    break 'blocks;
                }
                let start = 64 * slot.block(position);
                let block = self.planes[slot.plane].get(start..).and_then(|plane| plane.first_chunk());
                let hints = hints.next(ordinal, slot.component);
                block
                    .and_then(|block| encoder.encode(&mut bits, block, hints))
                    .ok_or_else(|| self.no_code(ordinal))?;
                ordinal += 1;
            }
        }
        encoder.flush(&mut bits).ok_or_else(|| self.no_code(ordinal))?;
        Ok(bits)
    }

    fn no_code(&self, ordinal: usize) -> Error {
        let what = format!("coefficients without a Huffman code, found at block {ordinal} of the scan");
        Error::Corrupt { what, offset: self.offset }
    }

    fn padding(&self, regular_interval: usize) -> u8 {
        match &self.notes.padding {
            Padding::Ones => 0xFF,
            Padding::Zeros => 0,
            Padding::Explicit(bytes) => bytes.get(regular_interval).copied().unwrap_or(0xFF),
        }
    }
}

/// Matches the notes to the blocks.
struct HintReader<'a> {
    notes: &'a ScanNotes,
    next_break: usize,
    next_zero_run: usize,
}

impl HintReader<'_> {
    #[inline(always)]
    fn next(&mut self, ordinal: usize, component: usize) -> Hints {
        let breaks_eob_run = self.notes.eob_breaks.get(self.next_break) == Some(&ordinal);
        self.next_break += usize::from(breaks_eob_run);
        let zero_runs = match self.notes.zero_runs.get(self.next_zero_run) {
            Some(&(block, count)) if block == ordinal => {
                self.next_zero_run += 1;
                count
            }
            _ => 0,
        };
        Hints { component, breaks_eob_run, zero_runs }
    }
}

/// Whole blocks, as in SOF0 and SOF1.
struct Sequential {
    tables: Vec<(HuffmanEncoder, HuffmanEncoder)>,
    predictions: [i32; 4],
}

impl Sequential {
    fn new(scan: &Scan) -> Self {
        let encoders = |c: &ScanComponent| (HuffmanEncoder::new(&c.dc), HuffmanEncoder::new(&c.ac));
        Self { tables: scan.components.iter().map(encoders).collect(), predictions: [0; 4] }
    }
}

impl BlockEncoder for Sequential {
    #[inline(always)]
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: Hints) -> Option<()> {
        let (dc, ac) = &self.tables[hints.component];
        encode_dc(dc, bits, block[0].into(), &mut self.predictions[hints.component])?;
        let mut k = 1;
        for next in positions(mask(block, |coefficient| coefficient != 0) & !1) {
            encode_ac(ac, bits, next - k, block[next].into())?;
            k = next + 1;
        }
        if k < 64 {
            put_zero_runs(ac, bits, hints.zero_runs, 63 - k)?;
            put_symbol(ac, bits, 0)?;
        }
        Some(())
    }

    fn restart(&mut self) {
        self.predictions = [0; 4];
    }
}

#[inline(always)]
pub(super) fn encode_dc(
    table: &HuffmanEncoder,
    bits: &mut BitWriter,
    value: i32,
    prediction: &mut i32,
) -> Option<()> {
    let difference = value - std::mem::replace(prediction, value);
    put_value(table, bits, 0, difference)
}

/// A coefficient behind `zeros` zeros.
#[inline(always)]
pub(super) fn encode_ac(
    table: &HuffmanEncoder,
    bits: &mut BitWriter,
    mut zeros: usize,
    value: i32,
) -> Option<()> {
    while zeros >= 16 {
        put_symbol(table, bits, 0xF0)?;
        zeros -= 16;
    }
    (-0x7FFF..=0x7FFF).contains(&value).then_some(())?;
    put_value(table, bits, (zeros as u8) << 4, value)
}

/// The symbol that is `run` plus the size of the value, and the value's bits.
#[inline(always)]
fn put_value(table: &HuffmanEncoder, bits: &mut BitWriter, run: u8, value: i32) -> Option<()> {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let (len, code) = table.code(run + size as u8)?;
    let low_bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    bits.put(code << size | low_bits, len + size);
    Some(())
}

#[inline(always)]
pub(super) fn put_symbol(table: &HuffmanEncoder, bits: &mut BitWriter, symbol: u8) -> Option<()> {
    let (len, code) = table.code(symbol)?;
    bits.put(code, len);
    Some(())
}

/// ZRL symbols before an EOB, for which `zeros` coefficients are to spare.
#[inline(always)]
pub(super) fn put_zero_runs(
    table: &HuffmanEncoder,
    bits: &mut BitWriter,
    count: usize,
    zeros: usize,
) -> Option<()> {
    if count > zeros / 16 {
        return None;
    }
    (0..count).try_for_each(|_| put_symbol(table, bits, 0xF0))
}
