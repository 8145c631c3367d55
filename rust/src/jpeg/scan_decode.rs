//! From an entropy-coded segment to coefficients, noting where the segment is not canonical.
//!
//! This cannot fail: what does not decode to something that the encoder would write again in the same way
//! (errors, truncation, missing restart markers, bytes left over) goes into a [`Patch`], literally. Where the work is no
//! longer wanted, it ends early.

use super::arithmetic_decode;
use super::bits::BitReader;
use super::block::Block;
use super::header::{Scan, ScanComponent, ScanKind};
use super::huffman::HuffmanDecoder;
use super::intervals::{decode_intervals, next_interval, Fault};
use super::progressive_decode::{AcFirst, AcRefinement, DcFirst, DcRefinement};
use super::skeleton::{Padding, Patch, ScanNotes};
use super::walk::Walk;
use crate::interrupt;
use std::ops::Range;

/// Decodes what one kind of scan codes of a block.
pub(super) trait BlockDecoder {
    /// Decodes the block, the `ordinal`-th of the scan; `None` if it is not as the encoder would write it.
    fn decode(&mut self, bits: &mut BitReader, at: At, block: &mut Block, notes: &mut Notes) -> Option<()>;

    /// Begins a restart interval.
    fn restart(&mut self);

    /// Whether an EOB run goes on behind the last block.
    fn in_eob_run(&self) -> bool {
        false
    }
}

/// Which block of a scan is being decoded.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// Index into the components of the scan.
    pub component: usize,
    /// Number of blocks before it.
    pub ordinal: usize,
}

/// What decoders note about blocks.
#[derive(Default)]
pub(super) struct Notes {
    /// The block, and whether it is no surprise because many correction bits were waiting.
    pub eob_breaks: Vec<(usize, bool)>,
    pub zero_runs: Vec<(usize, usize)>,
    /// Some EOB run went on although many correction bits were waiting.
    pub unlimited_corrections: bool,
}

impl Notes {
    /// Forgets what has been noted of this and later blocks.
    fn truncate(&mut self, ordinal: usize) {
        self.eob_breaks.truncate(self.eob_breaks.partition_point(|entry| entry.0 < ordinal));
        self.zero_runs.truncate(self.zero_runs.partition_point(|entry| entry.0 < ordinal));
    }

    fn finish(self, padding: PaddingNotes, patches: Vec<Patch>) -> ScanNotes {
        let unlimited_corrections = self.unlimited_corrections;
        let worth_noting = self.eob_breaks.into_iter().filter(|entry| unlimited_corrections || !entry.1);
        ScanNotes {
            padding: padding.finish(),
            unlimited_corrections,
            eob_breaks: worth_noting.map(|entry| entry.0).collect(),
            zero_runs: self.zero_runs,
            patches,
        }
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

/// Decodes an entropy-coded segment into the coefficients.
pub(super) fn decode(
    scan: &Scan,
    walk: &Walk,
    segment: &[u8],
    at_end_of_file: bool,
    planes: &mut [Vec<Block>],
) -> ScanNotes {
    if let Some(conditioning) = scan.conditioning {
        return arithmetic_decode::decode(scan, conditioning, walk, segment, at_end_of_file, planes);
    }
    let scan_decoder = ScanDecoder { kind: scan.kind, walk, segment, planes };
    match scan.kind {
        ScanKind::Sequential => scan_decoder.run(Sequential::new(scan)),
        ScanKind::DcFirst { al } => scan_decoder.run(DcFirst::new(scan, al)),
        ScanKind::DcRefinement { al } => scan_decoder.run(DcRefinement { al }),
        ScanKind::AcFirst(band) => scan_decoder.run(AcFirst::new(scan, band)),
        ScanKind::AcRefinement(band) => scan_decoder.run(AcRefinement::new(scan, band)),
    }
}

struct ScanDecoder<'a> {
    kind: ScanKind,
    walk: &'a Walk,
    segment: &'a [u8],
    planes: &'a mut [Vec<Block>],
}

impl ScanDecoder<'_> {
    #[inline(never)]
    fn run(mut self, mut decoder: impl BlockDecoder) -> ScanNotes {
        let mut notes = Notes::default();
        let mut padding = PaddingNotes { bytes: Vec::new(), ones: true, zeros: true };
        let patches = decode_intervals(self.walk, self.segment, |interval, pos| {
            decoder.restart();
            self.interval(interval, pos, &mut decoder, &mut notes, &mut padding)
        });
        notes.finish(padding, patches)
    }

    /// Decodes a restart interval that begins at `pos`; returns where the next begins.
    #[inline(always)]
    fn interval(
        &mut self,
        interval: usize,
        pos: usize,
        decoder: &mut impl BlockDecoder,
        notes: &mut Notes,
        padding: &mut PaddingNotes,
    ) -> Result<usize, Fault> {
        let mcus = self.walk.interval(interval);
        let first = mcus.start * self.walk.slots.len();
        let mut at = At { component: 0, ordinal: first };
        let mut bits = BitReader::new(self.segment, pos);
        // Up to here the encoder would have written just what has been read.
        let mut safe = (first, bits);
        for mcu in mcus {
            let position = self.walk.mcu(mcu);
            if position.0 == 0 && !interrupt::is_wanted() {
                return Err(Fault { blocks: safe.0 - first, position: safe.1.position() });
            }
            for slot in &self.walk.slots {
                if !decoder.in_eob_run() {
                    safe = (at.ordinal, bits);
                }
                at.component = slot.component;
                let block = &mut self.planes[slot.plane][slot.block(position)];
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

    fn undo(&mut self, ordinals: Range<usize>, notes: &mut Notes) {
        notes.truncate(ordinals.start);
        for ordinal in ordinals {
            let (slot, block) = self.walk.slot(ordinal);
            self.kind.undo(&mut self.planes[slot.plane][block]);
        }
    }

    /// Reads padding and restart marker (behind the last interval: padding and end); returns where the next begins.
    fn end_of_interval(
        &self,
        interval: usize,
        bits: &mut BitReader,
        padding: &mut PaddingNotes,
    ) -> Option<usize> {
        let (pad, count) = bits.padding()?;
        let next = next_interval(self.walk, self.segment, interval, bits.end())?;
        padding.push(pad, count);
        Some(next)
    }
}

/// Whole blocks, as in SOF0 and SOF1.
struct Sequential {
    tables: Vec<(HuffmanDecoder, HuffmanDecoder)>,
    predictions: [i32; 4],
}

impl Sequential {
    fn new(scan: &Scan) -> Self {
        let decoders = |c: &ScanComponent| (HuffmanDecoder::new(&c.dc), HuffmanDecoder::new(&c.ac));
        Self { tables: scan.components.iter().map(decoders).collect(), predictions: [0; 4] }
    }
}

impl BlockDecoder for Sequential {
    #[inline(always)]
    fn decode(&mut self, bits: &mut BitReader, at: At, block: &mut Block, notes: &mut Notes) -> Option<()> {
        let (dc, ac) = &self.tables[at.component];
        block[0] = decode_dc(dc, bits, &mut self.predictions[at.component])?;
        let mut k = 1;
        let mut zero_runs = 0;
        while k < 64 {
            bits.refill();
            let symbol = ac.decode(bits)?;
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

/// A DC value given by its difference from the prediction.
#[inline(always)]
pub(super) fn decode_dc(table: &HuffmanDecoder, bits: &mut BitReader, prediction: &mut i32) -> Option<i16> {
    bits.refill();
    let size = table.decode(bits)?;
    if size > 16 {
        return None;
    }
    *prediction += bits.take_signed(size.into())?;
    i16::try_from(*prediction).ok()
}
