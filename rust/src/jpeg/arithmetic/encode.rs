//! Encoding of coefficients as an arithmetic-coded segment.

use super::binary_coder::Encoder;
use super::model::{CHECK_INTERVAL, ScanModel};
use crate::jpeg::markers::restart_marker;
use crate::jpeg::mcu_order::McuOrder;
use crate::jpeg::notes::ScanNotes;
use crate::jpeg::scan::{Conditioning, Scan};
use crate::{Error, Limits, Result, interrupt};

/// Appends the entropy-coded segment of a scan to `out`.
pub(in crate::jpeg) fn encode(
    scan: &Scan,
    conditioning: Conditioning,
    order: &McuOrder,
    notes: &ScanNotes,
    planes: &[&[i16]],
    out: &mut Vec<u8>,
    limits: &Limits,
) -> Result<()> {
    let mut model = ScanModel::new(scan, conditioning);
    let mut patches = notes.patches.iter().peekable();
    for interval in 0..order.intervals() {
        let patch = patches.next_if(|patch| patch.interval == interval);
        let blocks = order.interval_blocks(interval);
        let count = patch.map_or(blocks.len(), |patch| patch.blocks);
        let mut encoder = Encoder::default();
        model.restart();
        for ordinal in blocks.take(count) {
            if ordinal.is_multiple_of(CHECK_INTERVAL) {
                interrupt::check()?;
            }
            let (mcu_block, index) = order.block(ordinal);
            let block = planes[mcu_block.plane].get(64 * index..).and_then(|plane| plane.first_chunk());
            block
                .and_then(|&(mut block)| model.code(&mut encoder, mcu_block.component, &mut block))
                .ok_or_else(|| out_of_range(scan, ordinal))?;
            limits.check_output("size of the JPEG file", (out.len() + encoder.certain().len()) as u64)?;
        }
        if let Some(patch) = patch {
            out.extend_from_slice(encoder.certain());
            out.extend_from_slice(&patch.bytes);
            if !patch.resumes() {
                break;
            }
        } else {
            out.extend(encoder.finish());
            if interval + 1 < order.intervals() {
                out.extend(restart_marker(interval));
            }
        }
    }
    limits.check_output("size of the JPEG file", out.len() as u64)
}

fn out_of_range(scan: &Scan, ordinal: usize) -> Error {
    let what = format!("coefficients out of range, found at block {ordinal} of the scan");
    Error::Corrupt { what, offset: scan.offset }
}
