//! Notes on how an entropy-coded segment departs from the canonical one.

use super::markers::ends_with_restart;

/// The differences between an entropy-coded segment and what the scan encoder would write for the coefficients.
///
/// Blocks are counted in the order of the scan.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ScanNotes {
    pub padding: Padding,
    /// EOB runs of refinement scans end only where `eob_breaks` says so, however many correction bits wait.
    pub unlimited_corrections: bool,
    /// Blocks that begin a new EOB run although the run before could have continued.
    pub eob_breaks: Vec<usize>,
    /// Blocks with runs of 16 zeros (ZRL) just before an EOB, and the number of these runs.
    pub zero_runs: Vec<(usize, usize)>,
    pub patches: Vec<Patch>,
}

/// The bits that complete the byte before a marker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Padding {
    #[default]
    Ones,
    Zeros,
    /// One byte for each restart interval without a patch.
    Explicit(Vec<u8>),
}

/// Literal bytes of a restart interval, in place of its last blocks, its padding and the marker that follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub interval: usize,
    /// Number of blocks of the interval that come before the bytes.
    pub blocks: usize,
    /// From the first byte that those blocks do not complete.
    pub bytes: Vec<u8>,
}

impl Patch {
    /// Returns whether the next interval follows; otherwise the scan ends with this patch.
    pub fn resumes(&self) -> bool {
        ends_with_restart(&self.bytes)
    }
}
