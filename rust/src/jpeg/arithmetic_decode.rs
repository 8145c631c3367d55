//! From an arithmetic-coded segment to coefficients.
//!
//! Any bytes decode to something, so all that has been decoded is encoded again: what does not give the same bytes
//! goes into a [`Patch`].

use super::arithmetic::{BinaryCoder, Context, Decoder, Encoder};
use super::arithmetic_model::Model;
use super::block::Block;
use super::frame::Frame;
use super::header::{Conditioning, Scan};
use super::scan_decode::{patch_bytes, restart_marker, Fault};
use super::skeleton::{Patch, ScanNotes};
use super::walk::Walk;

/// An encoder ends with as few bytes as possible, by leaving out zeros. Among other bytes that is one or two;
/// more are a sign of a truncated segment.
const MAX_MISSING_ZEROS: usize = 2;

/// Decodes an entropy-coded segment into the coefficients. Also says how many rows of MCUs it got to.
pub(super) fn decode(
    scan: &Scan,
    conditioning: Conditioning,
    frame: &Frame,
    segment: &[u8],
    planes: &mut [Vec<Block>],
) -> (ScanNotes, usize) {
    let walk = Walk::new(scan, frame);
    let mut decoder = ScanDecoder { model: Model::new(scan, conditioning), scan, walk, segment, planes };
    let mut patches = Vec::new();
    let mut pos = 0;
    let mut reached = 0;
    for interval in 0..decoder.walk.intervals() {
        let blocks = decoder.walk.interval_blocks(interval);
        match decoder.interval(interval, pos) {
            Ok(end) => {
                pos = end;
                reached = blocks.end;
            }
            Err(fault) => {
                let is_last = interval + 1 == decoder.walk.intervals();
                let bytes = patch_bytes(&segment[fault.position..], is_last);
                pos = fault.position + bytes.len();
                reached = blocks.start + fault.blocks;
                let patch = Patch { interval, blocks: fault.blocks, bytes: bytes.to_vec() };
                let resumes = patch.resumes();
                patches.push(patch);
                if !resumes {
                    break;
                }
            }
        }
    }
    let rows = decoder.walk.rows(reached);
    (ScanNotes { patches, ..ScanNotes::default() }, rows)
}

struct ScanDecoder<'a> {
    model: Model,
    scan: &'a Scan,
    walk: Walk,
    segment: &'a [u8],
    planes: &'a mut [Vec<Block>],
}

impl ScanDecoder<'_> {
    /// Decodes a restart interval that begins at `pos`; returns where the next begins.
    fn interval(&mut self, interval: usize, pos: usize) -> Result<usize, Fault> {
        let rest = &self.segment[pos..];
        let marker = rest.windows(2).position(|w| w[0] == 0xFF && w[1] != 0);
        let data = &rest[..marker.unwrap_or(rest.len())];
        let blocks = self.walk.interval_blocks(interval);
        let mut coder = Transcoder { decoder: Decoder::new(data), encoder: Encoder::default() };
        let mut compared = 0;
        // Up to here encoding gives just what has been read.
        let mut safe = Fault { blocks: 0, position: pos };
        self.model.restart();
        for ordinal in blocks.clone() {
            let (slot, block) = self.walk.slot(ordinal);
            let block = &mut self.planes[slot.plane][block];
            let certain =
                self.model.code(&mut coder, slot.component, block).map(|()| coder.encoder.certain());
            if !certain.is_some_and(|certain| agrees(&certain[compared..], &data[compared.min(data.len())..]))
            {
                return Err(self.retreat(blocks.start, ordinal + 1, safe));
            }
            compared = coder.encoder.certain().len();
            if compared <= data.len() {
                safe = Fault { blocks: ordinal + 1 - blocks.start, position: pos + compared };
            }
        }
        let behind = &rest[data.len()..];
        let next = match interval + 1 == self.walk.intervals() {
            true => (behind.is_empty() && !self.walk.is_cut).then_some(pos + data.len()),
            false => behind.starts_with(&restart_marker(interval)).then_some(pos + data.len() + 2),
        };
        let next = next.filter(|_| coder.encoder.finish() == data);
        next.ok_or_else(|| self.retreat(blocks.start, blocks.end, safe))
    }

    /// Undoes the blocks from the fault to `end`.
    fn retreat(&mut self, start: usize, end: usize, fault: Fault) -> Fault {
        for ordinal in start + fault.blocks..end {
            let (slot, block) = self.walk.slot(ordinal);
            self.scan.kind.undo(&mut self.planes[slot.plane][block]);
        }
        fault
    }
}

/// Whether the bytes begin with the others, or are longer by a few zeros.
fn agrees(certain: &[u8], data: &[u8]) -> bool {
    let (common, surplus) = certain.split_at(certain.len().min(data.len()));
    data.starts_with(common) && surplus.len() <= MAX_MISSING_ZEROS && surplus.iter().all(|&byte| byte == 0)
}

/// Encodes what it decodes.
struct Transcoder<'a> {
    decoder: Decoder<'a>,
    encoder: Encoder,
}

impl BinaryCoder for Transcoder<'_> {
    #[inline(always)]
    fn code(&mut self, context: &mut Context, bit: bool) -> bool {
        let bit = self.decoder.code(&mut { *context }, bit);
        self.encoder.code(context, bit)
    }
}
