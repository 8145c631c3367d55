//! Decoding of a Huffman-coded segment into coefficients, with notes where the segment is not canonical.
//!
//! This cannot fail. Bytes that do not decode, or that the encoder would not write again (errors, truncation, missing
//! restart markers, left-over bytes), go literally into a [`Patch`]. If the work is cancelled, it ends early.

use super::bits::BitReader;
use super::block_coder::{BlockDecoder, BlockIndex, BlockNotes};
use super::progressive_decode::{AcFirst, AcRefinement, DcFirst, DcRefinement};
use super::sequential::SequentialDecoder;
use crate::interrupt;
use crate::jpeg::block::Block;
use crate::jpeg::intervals::{Fault, decode_intervals, next_interval};
use crate::jpeg::mcu_order::McuOrder;
use crate::jpeg::notes::{Padding, Patch, ScanNotes};
use crate::jpeg::scan::{Scan, ScanKind};
use std::ops::Range;

/// Decodes an entropy-coded segment into the coefficients.
pub(in crate::jpeg) fn decode(
    scan: &Scan,
    order: &McuOrder,
    segment: &[u8],
    planes: &mut [Vec<Block>],
) -> ScanNotes {
    let decoder = SegmentDecoder { kind: scan.kind, order, segment, planes };
    match scan.kind {
        ScanKind::Sequential => decoder.run(SequentialDecoder::new(scan)),
        ScanKind::DcFirst { al } => decoder.run(DcFirst::new(scan, al)),
        ScanKind::DcRefinement { al } => decoder.run(DcRefinement { al }),
        ScanKind::AcFirst(band) => decoder.run(AcFirst::new(scan, band)),
        ScanKind::AcRefinement(band) => decoder.run(AcRefinement::new(scan, band)),
    }
}

struct SegmentDecoder<'a> {
    kind: ScanKind,
    order: &'a McuOrder,
    segment: &'a [u8],
    planes: &'a mut [Vec<Block>],
}

impl SegmentDecoder<'_> {
    #[inline(never)]
    fn run(mut self, mut decoder: impl BlockDecoder) -> ScanNotes {
        let mut notes = BlockNotes::default();
        let mut padding = PaddingNotes { bytes: Vec::new(), ones: true, zeros: true };
        let patches = decode_intervals(self.order, self.segment, |interval, position| {
            decoder.restart();
            self.interval(interval, position, &mut decoder, &mut notes, &mut padding)
        });
        scan_notes(notes, padding, patches)
    }

    /// Decodes a restart interval that begins at `position`, and returns the position of the next.
    #[inline(always)]
    fn interval(
        &mut self,
        interval: usize,
        position: usize,
        decoder: &mut impl BlockDecoder,
        notes: &mut BlockNotes,
        padding: &mut PaddingNotes,
    ) -> Result<usize, Fault> {
        let mcus = self.order.interval(interval);
        let first = mcus.start * self.order.mcu_blocks.len();
        let mut at = BlockIndex { component: 0, ordinal: first };
        let mut bits = BitReader::new(self.segment, position);
        // Up to here the encoder would write exactly the bits that have been read.
        let mut safe = (first, bits);
        for mcu in mcus {
            let position = self.order.position(mcu);
            if position.0 == 0 && !interrupt::is_wanted() {
                return Err(Fault { blocks: safe.0 - first, position: safe.1.position() });
            }
            for mcu_block in &self.order.mcu_blocks {
                if !decoder.in_eob_run() {
                    safe = (at.ordinal, bits);
                }
                at.component = mcu_block.component;
                let block = &mut self.planes[mcu_block.plane][mcu_block.index(position)];
                if decoder.decode(&mut bits, at, block, notes).is_none() {
                    self.undo(safe.0..at.ordinal + 1, notes);
                    return Err(Fault { blocks: safe.0 - first, position: safe.1.position() });
                }
                at.ordinal += 1;
            }
        }
        if decoder.in_eob_run() {
            self.undo(safe.0..at.ordinal, notes);
            return Err(Fault { blocks: safe.0 - first, position: safe.1.position() });
        }
        let end_of_blocks = bits;
        self.end_of_interval(interval, &mut bits, padding)
            .ok_or_else(|| Fault { blocks: at.ordinal - first, position: end_of_blocks.position() })
    }

    fn undo(&mut self, ordinals: Range<usize>, notes: &mut BlockNotes) {
        notes.truncate(ordinals.start);
        for ordinal in ordinals {
            let (mcu_block, index) = self.order.block(ordinal);
            self.kind.undo(&mut self.planes[mcu_block.plane][index]);
        }
    }

    /// Reads the padding and the restart marker or end that must follow it; returns the position of the next interval.
    fn end_of_interval(
        &self,
        interval: usize,
        bits: &mut BitReader,
        padding: &mut PaddingNotes,
    ) -> Option<usize> {
        let (pad, count) = bits.padding()?;
        let next = next_interval(self.order, self.segment, interval, bits.end())?;
        padding.push(pad, count);
        Some(next)
    }
}

/// Collects the padding bits of all restart intervals.
struct PaddingNotes {
    bytes: Vec<u8>,
    ones: bool,
    zeros: bool,
}

impl PaddingNotes {
    fn push(&mut self, bits: u8, count: u32) {
        self.bytes.push(bits);
        self.ones &= u32::from(bits) == (1 << count) - 1;
        self.zeros &= bits == 0;
    }

    fn finish(self) -> Padding {
        match self {
            Self { ones: true, .. } => Padding::Ones,
            Self { zeros: true, .. } => Padding::Zeros,
            Self { bytes, .. } => Padding::Explicit(bytes),
        }
    }
}

/// Collects the notes on a scan. EOB breaks that libjpeg would make are left out unless the scan departs from that
/// rule.
fn scan_notes(notes: BlockNotes, padding: PaddingNotes, patches: Vec<Patch>) -> ScanNotes {
    let unlimited_corrections = notes.unlimited_corrections;
    let breaks = notes.eob_breaks.into_iter().filter(|entry| unlimited_corrections || !entry.1);
    ScanNotes {
        padding: padding.finish(),
        unlimited_corrections,
        eob_breaks: breaks.map(|entry| entry.0).collect(),
        zero_runs: notes.zero_runs,
        patches,
    }
}
