//! Decoding of an arithmetic-coded segment into coefficients.
//!
//! Any bytes decode to some coefficients, so these are encoded again at once. A patch replaces the blocks that do not
//! give the same bytes.

use super::binary_coder::{BinaryCoder, Context, Decoder, Encoder};
use super::model::{CHECK_INTERVAL, ScanModel};
use crate::interrupt;
use crate::jpeg::block::Block;
use crate::jpeg::intervals::{Fault, decode_intervals, next_interval};
use crate::jpeg::markers::interval_len;
use crate::jpeg::mcu_order::McuOrder;
use crate::jpeg::notes::ScanNotes;
use crate::jpeg::scan::{Conditioning, Scan, ScanKind};

/// Number of zeros to assume after a segment that the end of the file truncates. After any other segment their number
/// is not limited, since an encoder omits zeros at the end.
const MAX_ZEROS_IF_TRUNCATED: usize = 2;

// The assumed zeros code decisions without end. These constants keep the number of decisions in proportion to the size
// of the segment, including bytes that the encoder omitted.
const MAX_DECISIONS_PER_BYTE: usize = 512;
const OMITTED_BYTES: usize = 4;
const MAX_DECISIONS_PER_BLOCK: usize = 8;

/// Decodes an entropy-coded segment into the coefficients.
pub(in crate::jpeg) fn decode(
    scan: &Scan,
    conditioning: Conditioning,
    order: &McuOrder,
    segment: &[u8],
    at_end_of_file: bool,
    planes: &mut [Vec<Block>],
) -> ScanNotes {
    let model = ScanModel::new(scan, conditioning);
    let mut decoder = SegmentDecoder { model, kind: scan.kind, order, segment, at_end_of_file, planes };
    let patches = decode_intervals(order, segment, |interval, position| decoder.interval(interval, position));
    ScanNotes { patches, ..ScanNotes::default() }
}

struct SegmentDecoder<'a> {
    model: ScanModel,
    kind: ScanKind,
    order: &'a McuOrder,
    segment: &'a [u8],
    at_end_of_file: bool,
    planes: &'a mut [Vec<Block>],
}

impl SegmentDecoder<'_> {
    /// Decodes a restart interval that begins at `position`, and returns the position of the next.
    fn interval(&mut self, interval: usize, position: usize) -> Result<usize, Fault> {
        let end = position + interval_len(&self.segment[position..]);
        let data = &self.segment[position..end];
        let is_truncated = self.at_end_of_file && end == self.segment.len();
        let blocks = self.order.interval_blocks(interval);
        let mut coder = Transcoder { decoder: Decoder::new(data), encoder: Encoder::default(), decisions: 0 };
        let max_decisions =
            MAX_DECISIONS_PER_BYTE * (data.len() + OMITTED_BYTES) + MAX_DECISIONS_PER_BLOCK * blocks.len();
        // Up to here encoding gives exactly the bytes that have been read.
        let mut safe = Fault { blocks: 0, position };
        self.model.restart();
        for ordinal in blocks.clone() {
            if ordinal.is_multiple_of(CHECK_INTERVAL) && !interrupt::is_wanted() {
                return Err(safe);
            }
            let (mcu_block, index) = self.order.block(ordinal);
            let block = &mut self.planes[mcu_block.plane][index];
            let coded = self.model.code(&mut coder, mcu_block.component, block);
            let certain = coder.encoder.certain();
            let missing_zeros = (certain.len() + coder.encoder.zeros()).saturating_sub(data.len());
            let compared = safe.position - position;
            if coded.is_none()
                || !data[compared..].starts_with(&certain[compared..])
                || is_truncated && missing_zeros > MAX_ZEROS_IF_TRUNCATED
                || coder.decisions > max_decisions
            {
                return Err(self.retreat(blocks.start, ordinal + 1, safe));
            }
            safe = Fault { blocks: ordinal + 1 - blocks.start, position: position + certain.len() };
        }
        next_interval(self.order, self.segment, interval, end)
            .filter(|_| coder.encoder.finish() == data)
            .ok_or_else(|| self.retreat(blocks.start, blocks.end, safe))
    }

    /// Undoes the blocks from the fault to `end`, and returns the fault.
    fn retreat(&mut self, start: usize, end: usize, fault: Fault) -> Fault {
        for ordinal in start + fault.blocks..end {
            let (mcu_block, index) = self.order.block(ordinal);
            self.kind.undo(&mut self.planes[mcu_block.plane][index]);
        }
        fault
    }
}

/// Decodes decisions and encodes them again.
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
