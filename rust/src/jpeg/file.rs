//! Reading a JPEG file into coefficients and reconstruction data, and writing it again.

use super::block::Block;
use super::frame::{Frame, KeptRows};
use super::intervals::{is_complete, rows_reached};
use super::markers::{EOI, corrupt, segment_len};
use super::mcu_order::McuOrder;
use super::notes::ScanNotes;
use super::parser::Parser;
use super::{arithmetic, huffman, reconstruction};
use crate::{Error, Limits, Result, interrupt};
use std::ops::Range;

/// The coefficients of one component: 64 for each block in zig-zag order, the blocks in raster order.
/// The DC coefficients are absolute values, not differences.
pub type Plane = Vec<i16>;

/// A JPEG file as coefficients and reconstruction data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The declarations of the frame header.
    pub frame: Frame,
    /// The coefficients of each component of the frame.
    pub planes: Vec<Plane>,
    /// Everything else that [`write()`] needs to restore the file.
    pub reconstruction: Vec<u8>,
}

/// Reads a JPEG file. From the reconstruction data and the planes, [`write()`] restores it, including all bytes after
/// the end of the image.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Truncated`] if the file has no scan that can be decoded, [`Error::Unsupported`] if its
/// process is not supported, [`Error::LimitExceeded`].
pub fn read(data: &[u8], limits: &Limits) -> Result<Jpeg> {
    let mut parser = Parser::new(data, 0, KeptRows::Earned, limits)?;
    let scans = Scans::read(&mut parser, data)?;
    scans.finish(parser, data, data.len())
}

/// Reads a JPEG file, but only if it has all its coefficients.
///
/// A progressive image that ends with EOI need not be refined to the last bit.
///
/// # Errors
/// Those of [`read()`]; [`Error::Truncated`] or [`Error::Corrupt`] if coefficients or quantisation tables are missing.
pub fn read_whole(data: &[u8], limits: &Limits) -> Result<Jpeg> {
    let mut parser = Parser::new(data, 0, KeptRows::Earned, limits)?;
    let scans = Scans::read(&mut parser, data)?;
    scans.check_complete(&parser, data)?;
    let jpeg = scans.finish(parser, data, data.len())?;
    match jpeg.frame.components.iter().position(|component| component.quant == [0; 64]) {
        Some(index) => Err(corrupt(format!("component {index} has no quantisation table"), 0)),
        None => Ok(jpeg),
    }
}

/// Reads the JPEG file that `data` begins with, and returns its length as well: up to EOI or, where that is missing, up
/// to the end of the last scan. With an error comes the number of bytes that the search has read.
pub(crate) fn read_first(data: &[u8], limits: &Limits) -> (usize, Result<Jpeg>) {
    let mut parser = match Parser::new(data, 0, KeptRows::Earned, limits) {
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

/// Returns the frame that [`write()`] expects planes for.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Truncated`], [`Error::Unsupported`] or [`Error::LimitExceeded`], as for [`read()`].
pub fn layout(reconstruction: &[u8], limits: &Limits) -> Result<Frame> {
    let parts = reconstruction::split(reconstruction, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, parts.rows, limits)?;
    let mut notes = parts.notes.iter().peekable();
    for index in 0.. {
        let Some(scan) = parser.next_scan()? else { break };
        let order = McuOrder::new(&scan, parser.frame()?);
        let patches = notes.next_if(|notes| notes.0 == index).map_or(&[][..], |notes| &notes.1.patches);
        parser.cover(&scan, rows_reached(&order, patches));
    }
    Ok(parser.into_frame()?.with_tidy_steps())
}

/// Returns where reconstruction data hold the contents of APP and COM segments: bytes that do not matter to
/// [`layout()`].
pub(crate) fn application_segments(reconstruction: &[u8], limits: &Limits) -> Result<Vec<Range<usize>>> {
    let parts = reconstruction::split(reconstruction, limits)?;
    let mut parser = Parser::new(parts.markers, parts.start, parts.rows, limits)?;
    while parser.next_scan()?.is_some() {}
    Ok(parser.into_application_segments())
}

/// Writes the file that reconstruction data and planes were read from.
///
/// # Errors
/// [`Error::InvalidArgument`] if the planes do not fit the frame of [`layout()`], [`Error::Corrupt`] if some coefficients
/// cannot be coded, and the errors of [`layout()`].
pub fn write<P: AsRef<[i16]>>(reconstruction: &[u8], planes: &[P], limits: &Limits) -> Result<Vec<u8>> {
    let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
    let parts = reconstruction::split(reconstruction, limits)?;
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
        let order = McuOrder::new(&scan, frame);
        match scan.conditioning {
            Some(table) => arithmetic::encode(&scan, table, &order, &notes, &planes, &mut out, limits)?,
            None => huffman::encode(&scan, &order, &notes, &planes, &mut out, limits)?,
        }
    }
    parser.into_frame()?;
    out.extend_from_slice(&parts.markers[copied..]);
    limits.check_output("size of the JPEG file", out.len() as u64)?;
    Ok(out)
}

/// Checks that planes are those of a frame.
///
/// # Errors
/// [`Error::InvalidArgument`] if their number or their lengths differ.
pub(crate) fn check_planes<P: AsRef<[i16]>>(frame: &Frame, planes: &[P]) -> Result<()> {
    let expected = frame.components.iter().map(|component| 64 * component.blocks());
    match expected.eq(planes.iter().map(|plane| plane.as_ref().len())) {
        true => Ok(()),
        false => Err(Error::InvalidArgument("the coefficients do not fit the frame of the JPEG file".into())),
    }
}

/// The scans of a file, decoded.
#[derive(Default)]
struct Scans {
    planes: Vec<Vec<Block>>,
    /// Number of rows of MCUs that the scans reach.
    rows: usize,
    /// All bytes up to the last scan's header, without the entropy-coded segments.
    markers: Vec<u8>,
    notes: Vec<ScanNotes>,
    /// Start of the first entropy-coded segment that lacks some of its blocks.
    damage: Option<usize>,
    /// End of the last entropy-coded segment.
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
            scans.end = start + segment_len(&data[start..]);
            let segment = &data[start..scans.end];
            let order = McuOrder::new(&scan, frame);
            let (planes, at_end_of_file) = (&mut scans.planes, scans.end == data.len());
            let notes = match scan.conditioning {
                Some(table) => arithmetic::decode(&scan, table, &order, segment, at_end_of_file, planes),
                None => huffman::decode(&scan, &order, segment, planes),
            };
            interrupt::check()?;
            let rows = rows_reached(&order, &notes.patches);
            if !is_complete(&order, &notes.patches) {
                scans.damage.get_or_insert(start);
            }
            scans.notes.push(notes);
            scans.rows = scans.rows.max(rows);
            parser.cover(&scan, rows);
            parser.set_position(scans.end);
        }
        Ok(scans)
    }

    /// Checks that no coefficients are missing that an image which ends with EOI must have.
    fn check_complete(&self, parser: &Parser, data: &[u8]) -> Result<()> {
        let end = parser.position();
        let has_rows = !parser.frame()?.is_cut();
        let is_missing = self.damage.is_some() || !has_rows || !parser.is_complete();
        if is_missing && !data[..end].ends_with(&EOI) {
            return Err(Error::Truncated { what: "JPEG file, coefficients are missing", offset: end });
        }
        if let Some(offset) = self.damage {
            return Err(corrupt("JPEG scan that cannot be decoded to its end", offset));
        }
        if !has_rows {
            return Err(corrupt("JPEG file without the rows that its height asks for", end));
        }
        match parser.missing_component() {
            Some(index) => Err(corrupt(format!("JPEG file without a scan for component {index}"), end)),
            None => Ok(()),
        }
    }

    /// Returns the file up to byte `end` of `data`.
    fn finish(mut self, parser: Parser, data: &[u8], end: usize) -> Result<Jpeg> {
        self.markers.extend_from_slice(&data[self.end..end]);
        let mut frame = parser.into_frame()?;
        frame.keep_rows(self.rows);
        let rows = if frame.is_cut() { KeptRows::First(self.rows) } else { KeptRows::All };
        for (plane, component) in self.planes.iter_mut().zip(&frame.components) {
            plane.truncate(component.blocks());
            plane.shrink_to_fit();
        }
        Ok(Jpeg {
            frame: frame.with_tidy_steps(),
            planes: self.planes.into_iter().map(Vec::into_flattened).collect(),
            reconstruction: reconstruction::join(&self.markers, rows, &self.notes),
        })
    }
}
