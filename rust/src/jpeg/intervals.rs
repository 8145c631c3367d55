//! Restart intervals of an entropy-coded segment: which decode exactly, which are patched, and where the next begins.

use super::markers::{interval_len, restart_marker};
use super::mcu_order::McuOrder;
use super::notes::Patch;
use crate::interrupt;

/// The place in an interval from which on it is not canonical.
pub(super) struct Fault {
    /// Number of blocks of the interval before it.
    pub blocks: usize,
    /// The first byte that those blocks do not complete.
    pub position: usize,
}

/// Decodes the intervals of a segment in order, and returns patches for the faulty ones.
///
/// `decode` gets the index of the interval and its position, and returns the position of the next interval.
#[inline(always)]
pub(super) fn decode_intervals(
    order: &McuOrder,
    segment: &[u8],
    mut decode: impl FnMut(usize, usize) -> Result<usize, Fault>,
) -> Vec<Patch> {
    let mut patches = Vec::new();
    let mut position = 0;
    for interval in 0..order.intervals() {
        match decode(interval, position) {
            Ok(next) => position = next,
            Err(fault) => {
                let bytes = patch_bytes(&segment[fault.position..], interval + 1 == order.intervals());
                position = fault.position + bytes.len();
                let patch = Patch { interval, blocks: fault.blocks, bytes: bytes.to_vec() };
                let resumes = patch.resumes();
                patches.push(patch);
                if !resumes || !interrupt::is_wanted() {
                    break;
                }
            }
        }
    }
    patches
}

/// Returns the number of rows of the frame's MCUs that a scan with these patches reached.
pub(super) fn rows_reached(order: &McuOrder, patches: &[Patch]) -> usize {
    let ends_scan = |patch: &&Patch| !patch.resumes() || patch.interval + 1 == order.intervals();
    match patches.last().filter(ends_scan) {
        Some(patch) if patch.interval < order.intervals() => {
            order.rows(order.interval_blocks(patch.interval).start.saturating_add(patch.blocks))
        }
        _ => order.rows(usize::MAX),
    }
}

/// Returns whether a scan with these patches has all its blocks.
pub(super) fn is_complete(order: &McuOrder, patches: &[Patch]) -> bool {
    let has_all = |patch: &Patch| {
        let is_last = patch.interval + 1 == order.intervals();
        patch.blocks == order.interval_blocks(patch.interval).len() && (is_last || patch.resumes())
    };
    patches.iter().all(has_all)
}

/// Returns where the next interval begins; `None` unless this one, which ends at `end`, ends regularly.
///
/// The last interval must end with the segment, any other with the restart marker of its number.
pub(super) fn next_interval(order: &McuOrder, segment: &[u8], interval: usize, end: usize) -> Option<usize> {
    let rest = &segment[end..];
    match interval + 1 == order.intervals() {
        true => (rest.is_empty() && !order.is_cut).then_some(end),
        false => rest.starts_with(&restart_marker(interval)).then_some(end + 2),
    }
}

/// Returns the bytes at the start of `rest` that patch an interval: all in the last interval, else up to and with the
/// next marker.
fn patch_bytes(rest: &[u8], is_last: bool) -> &[u8] {
    match is_last {
        true => rest,
        false => &rest[..(interval_len(rest) + 2).min(rest.len())],
    }
}
