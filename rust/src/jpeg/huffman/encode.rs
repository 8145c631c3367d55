//! Encoding of coefficients as a Huffman-coded segment: the canonical one, with the departures that the notes describe.

use super::bits::BitWriter;
use super::block_coder::{BlockEncoder, BlockHints};
use super::progressive_encode::{AcFirst, AcRefinement, DcFirst, DcRefinement};
use super::sequential::SequentialEncoder;
use crate::jpeg::markers::restart_marker;
use crate::jpeg::mcu_order::McuOrder;
use crate::jpeg::notes::{Padding, ScanNotes};
use crate::jpeg::scan::{Scan, ScanKind};
use crate::{Error, Limits, Result, interrupt};

/// Appends the entropy-coded segment of a scan to `out`.
pub(in crate::jpeg) fn encode(
    scan: &Scan,
    order: &McuOrder,
    notes: &ScanNotes,
    planes: &[&[i16]],
    out: &mut Vec<u8>,
    limits: &Limits,
) -> Result<()> {
    let encoder = SegmentEncoder { order, notes, planes, limits, offset: scan.offset };
    match scan.kind {
        ScanKind::Sequential => encoder.run(SequentialEncoder::new(scan), out),
        ScanKind::DcFirst { al } => encoder.run(DcFirst::new(scan, al), out),
        ScanKind::DcRefinement { al } => encoder.run(DcRefinement { al }, out),
        ScanKind::AcFirst(band) => encoder.run(AcFirst::new(scan, band), out),
        ScanKind::AcRefinement(band) => {
            encoder.run(AcRefinement::new(scan, band, notes.unlimited_corrections), out)
        }
    }
}

struct SegmentEncoder<'a> {
    order: &'a McuOrder,
    notes: &'a ScanNotes,
    planes: &'a [&'a [i16]],
    limits: &'a Limits,
    /// Position of the scan header, for errors.
    offset: usize,
}

impl SegmentEncoder<'_> {
    #[inline(never)]
    fn run(&self, mut encoder: impl BlockEncoder, out: &mut Vec<u8>) -> Result<()> {
        let mut bits = BitWriter::new(out);
        let mut hints = HintReader { notes: self.notes, next_break: 0, next_zero_run: 0 };
        let mut patches = self.notes.patches.iter().peekable();
        let mut regular_intervals = 0;
        for interval in 0..self.order.intervals() {
            let patch = patches.next_if(|patch| patch.interval == interval);
            encoder.restart();
            bits =
                self.interval(interval, patch.map(|patch| patch.blocks), &mut encoder, &mut hints, bits)?;
            let is_last = interval + 1 == self.order.intervals();
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

    /// Encodes a restart interval, or only its first `count` blocks.
    #[inline(always)]
    fn interval<'a>(
        &self,
        interval: usize,
        count: Option<usize>,
        encoder: &mut impl BlockEncoder,
        hints: &mut HintReader,
        mut bits: BitWriter<'a>,
    ) -> Result<BitWriter<'a>> {
        let mcus = self.order.interval(interval);
        let mut ordinal = mcus.start * self.order.mcu_blocks.len();
        let all = mcus.len() * self.order.mcu_blocks.len();
        let end = ordinal + count.unwrap_or(all).min(all);
        'blocks: for mcu in mcus {
            let position = self.order.position(mcu);
            self.limits.check_output("size of the JPEG file", bits.output_len() as u64)?;
            if position.0 == 0 {
                interrupt::check()?;
            }
            for mcu_block in &self.order.mcu_blocks {
                if ordinal == end {
                    break 'blocks;
                }
                let start = 64 * mcu_block.index(position);
                let block = self.planes[mcu_block.plane].get(start..).and_then(|plane| plane.first_chunk());
                let hints = hints.next(ordinal, mcu_block.component);
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

/// Finds the notes on each block.
struct HintReader<'a> {
    notes: &'a ScanNotes,
    next_break: usize,
    next_zero_run: usize,
}

impl HintReader<'_> {
    #[inline(always)]
    fn next(&mut self, ordinal: usize, component: usize) -> BlockHints {
        let breaks_eob_run = self.notes.eob_breaks.get(self.next_break) == Some(&ordinal);
        self.next_break += usize::from(breaks_eob_run);
        let zero_runs = match self.notes.zero_runs.get(self.next_zero_run) {
            Some(&(block, count)) if block == ordinal => {
                self.next_zero_run += 1;
                count
            }
            _ => 0,
        };
        BlockHints { component, breaks_eob_run, zero_runs }
    }
}
