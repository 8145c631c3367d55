//! The search for embedded JPEGs.

use super::residue::{Embedding, MAX_DEPTH, MAX_JPEGS, header};
use crate::jpeg::{self, Frame, Jpeg, Plane, SOI};
use crate::{Limits, interrupt};

/// Bytes by which a JPEG must be longer than its reconstruction data: below, coding it costs as much as it saves.
const MIN_CODED_LEN: usize = 64;
/// Bound on the cost of failed attempts, in bytes read for each byte of the file.
const MAX_EFFORT: usize = 8;
/// Cost of each failed attempt besides the bytes that it reads.
const ATTEMPT_COST: usize = 1024;

/// The first bytes of every undamaged JPEG: SOI, and the next marker.
pub(super) const START: [u8; 3] = [0xFF, 0xD8, 0xFF];

/// A file without its JPEGs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarvedFile {
    /// The JPEGs in the order in which they begin in the file, a nested one after the one around it.
    pub jpegs: Vec<EmbeddedJpeg>,
    /// Everything else that [`write()`](super::write()) needs to restore the file.
    pub reconstruction: Vec<u8>,
}

/// A JPEG of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedJpeg {
    /// The declarations of its frame header.
    pub frame: Frame,
    /// The coefficients of each component of the frame.
    pub planes: Vec<Plane>,
}

/// Carves the JPEGs out of any file; a file without JPEGs is all residue.
///
/// The limit on blocks holds for all JPEGs together: those that would exceed it stay in the residue.
pub fn read(data: &[u8], limits: &Limits) -> CarvedFile {
    let mut search = Search {
        residue: Vec::new(),
        embeddings: Vec::new(),
        jpegs: Vec::new(),
        blocks_left: limits.max_blocks,
        effort_left: MAX_EFFORT.saturating_mul(data.len()) + 64 * ATTEMPT_COST,
    };
    search.carve(data, 0);
    let mut reconstruction = header(&search.embeddings, search.residue.len());
    reconstruction.append(&mut search.residue);
    CarvedFile { jpegs: search.jpegs, reconstruction }
}

struct Search {
    residue: Vec<u8>,
    embeddings: Vec<Embedding>,
    jpegs: Vec<EmbeddedJpeg>,
    blocks_left: u64,
    effort_left: usize,
}

impl Search {
    /// Carves the JPEGs out of `data`, and appends the rest to the residue; `depth` is the number of JPEGs around it.
    fn carve(&mut self, data: &[u8], depth: usize) {
        let mut copied = 0;
        // At the beginning of a file, SOI is enough.
        let mut next = if depth == 0 && data.starts_with(&SOI) { Some(0) } else { find_start(data, 0) };
        while let Some(start) = next.filter(|_| interrupt::is_wanted()) {
            let mut position = start + SOI.len();
            if let Some((jpeg, len)) = self.jpeg(&data[start..]) {
                self.residue.extend_from_slice(&data[copied..start]);
                self.embed(jpeg, len, depth);
                copied = start + len;
                position = copied;
            }
            next = find_start(data, position);
        }
        self.residue.extend_from_slice(&data[copied..]);
    }

    /// Returns the JPEG that `data` begins with and its length, if coding it saves bytes and restores it exactly.
    fn jpeg(&mut self, data: &[u8]) -> Option<(Jpeg, usize)> {
        if self.effort_left == 0 || self.jpegs.len() == MAX_JPEGS {
            return None;
        }
        let limits = Limits { max_blocks: self.blocks_left, max_output_bytes: data.len() as u64 };
        let (len, jpeg) = jpeg::read_first(data, &limits);
        let jpeg = jpeg.ok().filter(|jpeg| is_worth_coding(jpeg, &data[..len], limits));
        if jpeg.is_none() {
            self.effort_left = self.effort_left.saturating_sub(len + ATTEMPT_COST);
        }
        jpeg.map(|jpeg| (jpeg, len))
    }

    /// Appends a JPEG's reconstruction data to the residue, without the JPEGs nested in it.
    fn embed(&mut self, jpeg: Jpeg, len: usize, depth: usize) {
        let blocks = jpeg.frame.blocks() as u64;
        self.blocks_left -= blocks;
        let (index, start) = (self.embeddings.len(), self.residue.len());
        self.embeddings.push(Embedding { range: start..start, nested_len: if depth == 0 { 0 } else { len } });
        self.jpegs.push(EmbeddedJpeg { frame: jpeg.frame, planes: jpeg.planes });
        let reconstruction = jpeg.reconstruction;
        let mut copied = 0;
        if depth + 1 < MAX_DEPTH {
            let limits = Limits { max_blocks: blocks, ..Limits::default() };
            for segment in jpeg::application_segments(&reconstruction, &limits).unwrap_or_default() {
                self.residue.extend_from_slice(&reconstruction[copied..segment.start]);
                self.carve(&reconstruction[segment.clone()], depth + 1);
                copied = segment.end;
            }
        }
        self.residue.extend_from_slice(&reconstruction[copied..]);
        self.embeddings[index].range.end = self.residue.len();
    }
}

/// Returns where, from `position` on, a JPEG may begin.
fn find_start(data: &[u8], position: usize) -> Option<usize> {
    data[position..].windows(START.len()).position(|bytes| bytes == START).map(|start| position + start)
}

/// Returns whether the reconstruction data are sufficiently shorter than `file`, and restore it exactly.
fn is_worth_coding(jpeg: &Jpeg, file: &[u8], limits: Limits) -> bool {
    let limits = Limits { max_output_bytes: file.len() as u64, ..limits };
    jpeg.reconstruction.len() + MIN_CODED_LEN <= file.len()
        // As a block takes at least a bit, this keeps the blocks in proportion to the bytes that coefficients replace.
        && jpeg.frame.blocks() <= 8 * (file.len() - jpeg.reconstruction.len())
        && jpeg::layout(&jpeg.reconstruction, &limits).is_ok_and(|frame| frame == jpeg.frame)
        && jpeg::write(&jpeg.reconstruction, &jpeg.planes, &limits).is_ok_and(|written| written == file)
}
