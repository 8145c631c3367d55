//! JPEG files as quantised DCT coefficients plus a *skeleton*, and back into exactly the same bytes.
//!
//! [`read()`] decodes the Huffman codes of a file (SOF0, SOF1 and SOF2 with 8 bits per sample), and [`write()`]
//! makes them again. Whatever the coefficients do not tell goes into the skeleton: the file without its
//! entropy-coded segments and, where these are not what libjpeg would have written, notes on the differences.
//! A damaged or truncated segment is kept literally from where it cannot be decoded any more.

pub(crate) mod annex_k;
mod bits;
mod block;
mod frame;
mod header;
mod huffman;
pub mod native;
mod progressive_decode;
mod progressive_encode;
mod scan_decode;
mod scan_encode;
mod skeleton;
#[cfg(test)]
mod tests;
mod walk;

pub use frame::{Component, Frame};

use crate::{Error, Result};
use header::Parser;
use skeleton::ScanNotes;

/// The coefficients of one component: 64 per block in zig-zag order, the blocks in raster order.
/// The DC coefficients are absolute, not differences.
pub type Plane = Vec<i16>;

/// A JPEG file taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// What the frame header declares.
    pub frame: Frame,
    /// The coefficients of each component of the frame.
    pub planes: Vec<Plane>,
    /// All else that it takes to [`write()`] the file.
    pub skeleton: Vec<u8>,
}

/// What a JPEG file may ask for at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of 64 coefficients in all components.
    pub max_blocks: u64,
    /// Bytes of the file that [`write()`] makes.
    pub max_output: u64,
}

impl Default for Limits {
    /// 512 megapixels in 4:4:4, and a file of 1 GiB.
    fn default() -> Self {
        Self { max_blocks: 24 << 20, max_output: 1 << 30 }
    }
}

impl Limits {
    fn check_blocks(&self, blocks: u64) -> Result<()> {
        check("number of JPEG blocks", blocks, self.max_blocks)
    }

    fn check_output(&self, len: usize) -> Result<()> {
        check("size of the JPEG file", len as u64, self.max_output)
    }
}

#[inline(always)]
fn check(what: &'static str, value: u64, limit: u64) -> Result<()> {
    match value > limit {
        true => Err(Error::LimitExceeded { what, value, limit }),
        false => Ok(()),
    }
}

/// Takes a JPEG file apart. Feeding skeleton and planes to [`write()`] gives the same file again.
pub fn read(data: &[u8], limits: &Limits) -> Result<Jpeg> {
    let mut parser = Parser::new(data, 0, limits)?;
    let mut planes = Vec::new();
    let mut notes = Vec::new();
    let mut markers = Vec::new();
    let mut segment_end = 0;
    while let Some(scan) = parser.next_scan()? {
        let segment_start = parser.position();
        let frame = parser.frame()?;
        if planes.is_empty() {
            planes = blank_planes(frame, segment_start, data.len())?;
        }
        markers.extend_from_slice(&data[segment_end..segment_start]);
        let len = scan_decode::segment_len(&data[segment_start..]);
        segment_end = segment_start + len;
        notes.push(scan_decode::decode(&scan, frame, &data[segment_start..segment_end], &mut planes));
        parser.set_position(segment_end);
    }
    markers.extend_from_slice(&data[segment_end..]);
    let planes = planes.into_iter().map(Vec::into_flattened).collect();
    Ok(Jpeg { frame: parser.into_frame()?, planes, skeleton: skeleton::join(&markers, &notes) })
}

/// Zeros for all coefficients, provided that the bytes `start..end` can possibly code so many blocks, at a bit each.
fn blank_planes(frame: &Frame, start: usize, end: usize) -> Result<Vec<Vec<block::Block>>> {
    if frame.blocks().div_ceil(8) > end - start {
        return Err(Error::Truncated { what: "entropy-coded segment", offset: end });
    }
    Ok(frame.components.iter().map(|component| vec![[0; 64]; component.blocks()]).collect())
}

/// The frame that [`write()`] expects planes for.
pub fn layout(skeleton: &[u8], limits: &Limits) -> Result<Frame> {
    let parts = skeleton::split(skeleton, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, limits)?;
    while parser.next_scan()?.is_some() {}
    parser.into_frame()
}

/// Makes the file that a skeleton and its planes came from.
pub fn write<P: AsRef<[i16]>>(skeleton: &[u8], planes: &[P], limits: &Limits) -> Result<Vec<u8>> {
    let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
    let parts = skeleton::split(skeleton, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, limits)?;
    let mut notes = parts.notes.into_iter().peekable();
    let mut out = Vec::new();
    let mut copied = parts.start;
    for index in 0.. {
        let Some(scan) = parser.next_scan()? else { break };
        let frame = parser.frame()?;
        check_planes(frame, &planes)?;
        out.extend_from_slice(&parts.markers[copied..parser.position()]);
        copied = parser.position();
        let notes = notes.next_if(|notes| notes.0 == index).map_or_else(ScanNotes::default, |notes| notes.1);
        scan_encode::encode(&scan, frame, &notes, &planes, &mut out, limits)?;
    }
    parser.into_frame()?;
    out.extend_from_slice(&parts.markers[copied..]);
    limits.check_output(out.len())?;
    Ok(out)
}

fn check_planes(frame: &Frame, planes: &[&[i16]]) -> Result<()> {
    let expected = frame.components.iter().map(|component| 64 * component.blocks());
    match expected.eq(planes.iter().map(|plane| plane.len())) {
        true => Ok(()),
        false => Err(Error::InvalidArgument("the coefficients do not fit the JPEG skeleton".into())),
    }
}
