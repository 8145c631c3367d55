//! The interface between the coder of a segment and the coders of its blocks, one for each kind of scan.

use super::bits::{BitReader, BitWriter};
use crate::jpeg::block::Block;

/// The longest EOB run that can be coded.
pub(super) const MAX_EOB_RUN: u32 = 0x7FFF;

/// libjpeg ends an EOB run once more correction bits than this wait for its end, as its buffer of 1000 bits might not
/// hold those of another block. Most encoders descend from libjpeg and do the same.
pub(super) const MAX_CORRECTIONS: usize = 1000 - 63;

/// Decodes the blocks of one kind of scan.
pub(super) trait BlockDecoder {
    /// Decodes a block; `None` if its bits are not as the encoder would write them.
    fn decode(
        &mut self,
        bits: &mut BitReader,
        at: BlockIndex,
        block: &mut Block,
        notes: &mut BlockNotes,
    ) -> Option<()>;

    /// Begins a restart interval.
    fn restart(&mut self) {}

    /// Returns whether an EOB run continues after the last block.
    fn in_eob_run(&self) -> bool {
        false
    }
}

/// Identifies a block of a scan.
#[derive(Clone, Copy)]
pub(super) struct BlockIndex {
    /// Index into the components of the scan.
    pub component: usize,
    /// Number of blocks before it.
    pub ordinal: usize,
}

/// The notes that block decoders take.
#[derive(Default)]
pub(super) struct BlockNotes {
    /// Blocks that break an EOB run, and whether libjpeg would have ended the run because of its correction bits.
    pub eob_breaks: Vec<(usize, bool)>,
    /// Blocks with ZRL symbols before the EOB, and their number.
    pub zero_runs: Vec<(usize, usize)>,
    /// Some EOB run continued although libjpeg would have ended it because of its correction bits.
    pub unlimited_corrections: bool,
}

impl BlockNotes {
    /// Forgets the notes on a block and all later ones.
    pub fn truncate(&mut self, ordinal: usize) {
        self.eob_breaks.truncate(self.eob_breaks.partition_point(|entry| entry.0 < ordinal));
        self.zero_runs.truncate(self.zero_runs.partition_point(|entry| entry.0 < ordinal));
    }
}

/// Encodes the blocks of one kind of scan.
pub(super) trait BlockEncoder {
    /// Encodes a block; `None` if the Huffman tables or the standard's ranges do not allow it.
    fn encode(&mut self, bits: &mut BitWriter, block: &Block, hints: BlockHints) -> Option<()>;

    /// Begins a restart interval.
    fn restart(&mut self) {}

    /// Writes the bits that have been held back.
    fn flush(&mut self, _bits: &mut BitWriter) -> Option<()> {
        Some(())
    }
}

/// The component of a block, and the notes on it.
#[derive(Clone, Copy)]
pub(super) struct BlockHints {
    /// Index into the components of the scan.
    pub component: usize,
    /// The block does not join the EOB run before it.
    pub breaks_eob_run: bool,
    /// Number of ZRL symbols before the EOB.
    pub zero_runs: usize,
}
