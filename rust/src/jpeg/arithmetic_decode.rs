//! From an arithmetic-coded segment to coefficients.
//!
//! Any bytes decode to something, so all that has been decoded is encoded again: what does not give the same bytes
//! is patched.

use super::arithmetic::{BinaryCoder, Context, Decoder, Encoder};
use super::arithmetic_model::Model;
use super::block::Block;
use super::header::{Conditioning, Scan, ScanKind};
use super::intervals::{decode_intervals, interval_len, next_interval, Fault};
use super::skeleton::ScanNotes;
use super::walk::Walk;
use crate::interrupt;

/// How many zeros to put behind a segment that the end of the file cuts. Others get as many as it takes, since an
/// encoder leaves out those at the end.
const MAX_ZEROS_IF_TRUNCATED: usize = 2;

/// Zeros behind a segment code decisions without end. What is decoded must not be out of all proportion to its size,
/// with some bytes left out.
const MAX_DECISIONS_PER_BYTE: usize = 512;
const BYTES_LEFT_OUT: usize = 4;
const MAX_DECISIONS_PER_BLOCK: usize = 8;

/// After so many blocks it is asked whether the work is still wanted.
pub(super) const ASKED: usize = 1 << 10;

/// Decodes an entropy-coded segment into the coefficients.
pub(super) fn decode(
    scan: &Scan,
    conditioning: Conditioning,
    walk: &Walk,
    segment: &[u8],
    at_end_of_file: bool,
    planes: &mut [Vec<Block>],
) -> ScanNotes {
    let model = Model::new(scan, conditioning);
    let mut decoder = ScanDecoder { model, kind: scan.kind, walk, segment, at_end_of_file, planes };
    let patches = decode_intervals(walk, segment, |interval, pos| decoder.interval(interval, pos));
    ScanNotes { patches, ..ScanNotes::default() }
}

struct ScanDecoder<'a> {
    model: Model,
    kind: ScanKind,
    walk: &'a Walk,
    segment: &'a [u8],
    at_end_of_file: bool,
    planes: &'a mut [Vec<Block>],
}

impl ScanDecoder<'_> {
    /// Decodes a restart interval that begins at `pos`; returns where the next begins.
    fn interval(&mut self, interval: usize, pos: usize) -> Result<usize, Fault> {
        let end = pos + interval_len(&self.segment[pos..]);
        let data = &self.segment[pos..end];
        let is_truncated = self.at_end_of_file && end == self.segment.len();
        let blocks = self.walk.interval_blocks(interval);
        let mut coder = Transcoder { decoder: Decoder::new(data), encoder: Encoder::default(), decisions: 0 };
        let max_decisions =
            MAX_DECISIONS_PER_BYTE * (data.len() + BYTES_LEFT_OUT) + MAX_DECISIONS_PER_BLOCK * blocks.len();
        // Up to here encoding gives just what has been read.
        let mut safe = Fault { blocks: 0, position: pos };
        self.model.restart();
        for ordinal in blocks.clone() {
            if ordinal.is_multiple_of(ASKED) && !interrupt::is_wanted() {
                return Err(safe);
            }
            let (slot, block) = self.walk.slot(ordinal);
            let block = &mut self.planes[slot.plane][block];
            let coded = self.model.code(&mut coder, slot.component, block);
            let certain = coder.encoder.certain();
            let missing_zeros = (certain.len() + coder.encoder.zeros()).saturating_sub(data.len());
            let compared = safe.position - pos;
            if coded.is_none()
                || !data[compared..].starts_with(&certain[compared..])
                || is_truncated && missing_zeros > MAX_ZEROS_IF_TRUNCATED
                || coder.decisions > max_decisions
            {
                return Err(self.retreat(blocks.start, ordinal + 1, safe));
            }
            safe = Fault { blocks: ordinal + 1 - blocks.start, position: pos + certain.len() };
        }
        next_interval(self.walk, self.segment, interval, end)
            .filter(|_| coder.encoder.finish() == data)
            .ok_or_else(|| self.retreat(blocks.start, blocks.end, safe))
    }

    /// Undoes the blocks from the fault to `end`.
    fn retreat(&mut self, start: usize, end: usize, fault: Fault) -> Fault {
        for ordinal in start + fault.blocks..end {
            let (slot, block) = self.walk.slot(ordinal);
            self.kind.undo(&mut self.planes[slot.plane][block]);
        }
        fault
    }
}

/// Encodes what it decodes.
struct Transcoder<'a> {
    decoder: Decoder<'a>,
    encoder: Encoder,
    decisions: usize,
}

impl BinaryCoder for Transcoder<'_> {
    #[inline(always)]
    fn code(&mut self, context: &mut Context, bit: bool) -> bool {
        self.decisions += 1;
        let bit = self.decoder.code(&mut { *context }, bit);
        self.encoder.code(context, bit)
    }
}
