//! From coefficients to an arithmetic-coded segment.

use super::arithmetic::Encoder;
use super::arithmetic_decode::ASKED;
use super::arithmetic_model::Model;
use super::frame::Frame;
use super::header::{Conditioning, Scan};
use super::intervals::restart_marker;
use super::skeleton::ScanNotes;
use super::walk::Walk;
use crate::Limits;
use crate::{interrupt, Error, Result};

/// Appends the entropy-coded segment of a scan to `out`.
pub(super) fn encode(
    scan: &Scan,
    conditioning: Conditioning,
    frame: &Frame,
    notes: &ScanNotes,
    planes: &[&[i16]],
    out: &mut Vec<u8>,
    limits: &Limits,
) -> Result<()> {
    let walk = Walk::new(scan, frame);
    let mut model = Model::new(scan, conditioning);
    let mut patches = notes.patches.iter().peekable();
    for interval in 0..walk.intervals() {
        let patch = patches.next_if(|patch| patch.interval == interval);
        let blocks = walk.interval_blocks(interval);
        let count = patch.map_or(blocks.len(), |patch| patch.blocks);
        let mut encoder = Encoder::default();
        model.restart();
        for ordinal in blocks.take(count) {
            if ordinal.is_multiple_of(ASKED) {
                interrupt::check()?;
            }
            let (slot, block) = walk.slot(ordinal);
            let block = planes[slot.plane].get(64 * block..).and_then(|plane| plane.first_chunk());
            block
                .and_then(|&(mut block)| model.code(&mut encoder, slot.component, &mut block))
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
            if interval + 1 < walk.intervals() {
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
