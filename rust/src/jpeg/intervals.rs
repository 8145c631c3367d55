//! The restart intervals of an entropy-coded segment, and the markers between them.

use super::skeleton::Patch;
use super::walk::Walk;
use crate::interrupt;

/// Length of the entropy-coded segment at the start of `data`: up to a marker other than RST.
pub(super) fn segment_len(data: &[u8]) -> usize {
    let mut len = 0;
    while let Some(ff) = data[len..].iter().position(|&byte| byte == 0xFF) {
        len += ff;
        match data.get(len + 1) {
            Some(0x00 | 0xD0..=0xD7) => len += 2,
            _ => return len,
        }
    }
    data.len()
}

/// Length of the restart interval at the start of `data`: up to a marker.
pub(super) fn interval_len(data: &[u8]) -> usize {
    let marker = data.windows(2).position(|w| w[0] == 0xFF && w[1] != 0);
    marker.unwrap_or(data.len())
}

/// RST as it follows the interval.
pub(super) fn restart_marker(interval: usize) -> [u8; 2] {
    [0xFF, 0xD0 + (interval % 8) as u8]
}

/// Where an interval ceases to be canonical.
pub(super) struct Fault {
    /// Number of blocks of the interval before.
    pub blocks: usize,
    /// The first byte that is not complete with those blocks.
    pub position: usize,
}

/// Decodes the intervals of a segment one after the other, and patches the faulty ones.
///
/// `decode` gets the index of the interval and where it begins, and returns where the next begins.
#[inline(always)]
pub(super) fn decode_intervals(
    walk: &Walk,
    segment: &[u8],
    mut decode: impl FnMut(usize, usize) -> Result<usize, Fault>,
) -> Vec<Patch> {
    let mut patches = Vec::new();
    let mut pos = 0;
    for interval in 0..walk.intervals() {
        match decode(interval, pos) {
            Ok(next) => pos = next,
            Err(fault) => {
                let bytes = patch_bytes(&segment[fault.position..], interval + 1 == walk.intervals());
                pos = fault.position + bytes.len();
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

/// How many rows of MCUs of the frame a scan with these patches got to.
pub(super) fn rows_reached(walk: &Walk, patches: &[Patch]) -> usize {
    let ends_scan = |patch: &&Patch| !patch.resumes() || patch.interval + 1 == walk.intervals();
    match patches.last().filter(ends_scan) {
        Some(patch) if patch.interval < walk.intervals() => {
            walk.rows(walk.interval_blocks(patch.interval).start.saturating_add(patch.blocks))
        }
        _ => walk.rows(usize::MAX),
    }
}

/// Whether a scan with these patches has all its blocks.
pub(super) fn is_whole(walk: &Walk, patches: &[Patch]) -> bool {
    let has_all = |patch: &Patch| {
        let is_last = patch.interval + 1 == walk.intervals();
        patch.blocks == walk.interval_blocks(patch.interval).len() && (is_last || patch.resumes())
    };
    patches.iter().all(has_all)
}

/// Where the interval behind this one begins, if this one ends regularly: with a marker that counts the intervals,
/// or as the last one with the segment.
pub(super) fn next_interval(walk: &Walk, segment: &[u8], interval: usize, end: usize) -> Option<usize> {
    let rest = &segment[end..];
    match interval + 1 == walk.intervals() {
        true => (rest.is_empty() && !walk.is_cut).then_some(end),
        false => rest.starts_with(&restart_marker(interval)).then_some(end + 2),
    }
}

/// The bytes at the start of `rest` that patch an interval: to behind the next marker, or all in the last interval.
fn patch_bytes(rest: &[u8], is_last: bool) -> &[u8] {
    match is_last {
        true => rest,
        false => &rest[..(interval_len(rest) + 2).min(rest.len())],
    }
}
