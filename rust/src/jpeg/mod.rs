//! JPEG files as quantised DCT coefficients plus a *skeleton*, and back into exactly the same bytes.
//!
//! [`read()`] decodes the Huffman or arithmetic codes of a file (SOF0, SOF1, SOF2, SOF9 and SOF10), and [`write()`]
//! makes them again. Whatever the coefficients do not tell goes into the skeleton: the file without its
//! entropy-coded segments and, where these are not what libjpeg would have written, notes on the differences.
//! A damaged or truncated segment is kept literally from where it cannot be decoded any more.

pub(crate) mod annex_k;
mod arithmetic;
mod arithmetic_decode;
mod arithmetic_encode;
mod arithmetic_model;
mod bits;
mod block;
mod frame;
mod header;
mod huffman;
mod intervals;
pub mod native;
mod progressive_decode;
mod progressive_encode;
mod scan_decode;
mod scan_encode;
mod skeleton;
#[cfg(test)]
mod tests;
mod walk;

pub use frame::{Component, Frame, Steps};

use crate::{interrupt, Error, Limits, Result};
use header::{Parser, Rows};
use skeleton::ScanNotes;
use std::ops::Range;
use walk::Walk;

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

/// Takes a JPEG file apart. Feeding skeleton and planes to [`write()`] gives the same file again, with all that
/// follows the picture.
pub fn read(data: &[u8], limits: &Limits) -> Result<Jpeg> {
    let mut parser = Parser::new(data, 0, Rows::Earned, limits)?;
    let scans = Scans::read(&mut parser, data)?;
    scans.finish(parser, data, data.len())
}

/// The same, but only for a picture all of whose coefficients are there.
///
/// A progressive picture that ends with EOI need not have been refined to the last bit.
pub fn read_whole(data: &[u8], limits: &Limits) -> Result<Jpeg> {
    let mut parser = Parser::new(data, 0, Rows::Earned, limits)?;
    let scans = Scans::read(&mut parser, data)?;
    scans.check_whole(&parser, data)?;
    let jpeg = scans.finish(parser, data, data.len())?;
    match jpeg.frame.components.iter().position(|component| component.quant == [0; 64]) {
        Some(index) => Err(corrupt(format!("component {index} has no quantisation table"), 0)),
        None => Ok(jpeg),
    }
}

fn corrupt(what: String, offset: usize) -> Error {
    Error::Corrupt { what, offset }
}

/// Takes the picture apart that `data` begins with, and says where it ends: behind EOI or, where that is missing,
/// behind the last scan. With an error, it says how far the picture was looked for.
pub(crate) fn read_first(data: &[u8], limits: &Limits) -> (usize, Result<Jpeg>) {
    let mut parser = match Parser::new(data, 0, Rows::Earned, limits) {
        Ok(parser) => parser,
        Err(error) => return (0, Err(error)),
    };
    match Scans::read(&mut parser, data) {
        Ok(scans) => {
            let position = parser.position();
            let end = if data[..position].ends_with(&EOI) { position } else { scans.end };
            (end, scans.finish(parser, data, end))
        }
        Err(error) => (parser.furthest(), Err(error)),
    }
}

const EOI: [u8; 2] = [0xFF, 0xD9];

/// The scans of a picture.
#[derive(Default)]
struct Scans {
    planes: Vec<Vec<block::Block>>,
    /// How many rows of MCUs the scans reach.
    rows: usize,
    /// All bytes up to the last scan's header, without the entropy-coded segments.
    markers: Vec<u8>,
    notes: Vec<ScanNotes>,
    /// Where the first entropy-coded segment begins that is without some of its blocks.
    damage: Option<usize>,
    /// Where the last entropy-coded segment ends.
    end: usize,
}

impl Scans {
    fn read(parser: &mut Parser, data: &[u8]) -> Result<Self> {
        let mut scans = Self::default();
        while let Some(scan) = parser.next_scan()? {
            let start = parser.position();
            let frame = parser.frame()?;
            if scans.planes.is_empty() {
                scans.planes =
                    frame.components.iter().map(|component| vec![[0; 64]; component.blocks()]).collect();
            }
            scans.markers.extend_from_slice(&data[scans.end..start]);
            scans.end = start + intervals::segment_len(&data[start..]);
            let (segment, is_last) = (&data[start..scans.end], scans.end == data.len());
            let walk = Walk::new(&scan, frame);
            let notes = scan_decode::decode(&scan, &walk, segment, is_last, &mut scans.planes);
            interrupt::check()?;
            let rows = intervals::rows_reached(&walk, &notes.patches);
            if !intervals::is_whole(&walk, &notes.patches) {
                scans.damage.get_or_insert(start);
            }
            scans.notes.push(notes);
            scans.rows = scans.rows.max(rows);
            parser.cover(&scan, rows);
            parser.set_position(scans.end);
        }
        Ok(scans)
    }

    /// That all coefficients are there, as far as a picture that ends with EOI must have them.
    fn check_whole(&self, parser: &Parser, data: &[u8]) -> Result<()> {
        let end = parser.position();
        let has_rows = !parser.frame()?.is_cut();
        let is_missing = self.damage.is_some() || !has_rows || !parser.is_complete();
        if is_missing && !data[..end].ends_with(&EOI) {
            return Err(Error::Truncated {
                what: "JPEG picture, of which coefficients are missing",
                offset: end,
            });
        }
        if let Some(offset) = self.damage {
            return Err(corrupt("JPEG scan that cannot be decoded to its end".into(), offset));
        }
        if !has_rows {
            return Err(corrupt("JPEG picture without the rows that its height asks for".into(), end));
        }
        match parser.missing_component() {
            Some(index) => Err(corrupt(format!("JPEG picture without a scan for component {index}"), end)),
            None => Ok(()),
        }
    }

    /// The picture up to byte `end` of `data`.
    fn finish(mut self, parser: Parser, data: &[u8], end: usize) -> Result<Jpeg> {
        self.markers.extend_from_slice(&data[self.end..end]);
        let mut frame = parser.into_frame()?;
        frame.keep_rows(self.rows);
        let kept = if frame.is_cut() { Rows::Kept(self.rows) } else { Rows::All };
        for (plane, component) in self.planes.iter_mut().zip(&frame.components) {
            plane.truncate(component.blocks());
            plane.shrink_to_fit();
        }
        let frame = frame.with_tidy_steps();
        let planes = self.planes.into_iter().map(Vec::into_flattened).collect();
        Ok(Jpeg { frame, planes, skeleton: skeleton::join(&self.markers, kept, &self.notes) })
    }
}

/// The frame that [`write()`] expects planes for.
pub fn layout(skeleton: &[u8], limits: &Limits) -> Result<Frame> {
    let parts = skeleton::split(skeleton, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, parts.rows, limits)?;
    let mut notes = parts.notes.iter().peekable();
    for index in 0.. {
        let Some(scan) = parser.next_scan()? else { break };
        let walk = Walk::new(&scan, parser.frame()?);
        let patches = notes.next_if(|notes| notes.0 == index).map_or(&[][..], |notes| &notes.1.patches);
        parser.cover(&scan, intervals::rows_reached(&walk, patches));
    }
    Ok(parser.into_frame()?.with_tidy_steps())
}

/// Where in a skeleton the contents of APP and COM segments stand: bytes that do not matter to [`layout()`].
pub(crate) fn free_segments(skeleton: &[u8], limits: &Limits) -> Result<Vec<Range<usize>>> {
    let parts = skeleton::split(skeleton, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, parts.rows, limits)?;
    while parser.next_scan()?.is_some() {}
    Ok(parser.into_free_segments())
}

/// Makes the file that a skeleton and its planes came from.
pub fn write<P: AsRef<[i16]>>(skeleton: &[u8], planes: &[P], limits: &Limits) -> Result<Vec<u8>> {
    let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
    let parts = skeleton::split(skeleton, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, parts.rows, limits)?;
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
    limits.check_output("size of the JPEG file", out.len() as u64)?;
    Ok(out)
}

pub(crate) fn check_planes(frame: &Frame, planes: &[&[i16]]) -> Result<()> {
    let expected = frame.components.iter().map(|component| 64 * component.blocks());
    match expected.eq(planes.iter().map(|plane| plane.len())) {
        true => Ok(()),
        false => Err(Error::InvalidArgument("the coefficients do not fit the JPEG skeleton".into())),
    }
}
