//! The parser of marker segments: it finds the scans and the tables that are in force there.

use super::frame::{Frame, KeptRows};
use super::markers::{self, Marker, Process, SOI, Segment, corrupt, segment_len};
use super::scan::{Band, Scan, ScanComponent, ScanKind};
use super::tables::Tables;
use crate::limits::check;
use crate::{Error, Limits, Result, Unsupported};
use std::ops::Range;

/// For each coefficient of a component, the lowest bit that a scan has coded.
type Progress = [Option<u8>; 64];

/// Parses everything except entropy-coded segments.
///
/// It serves the file and its reconstruction data alike. In the file, the caller steps over the entropy-coded segments.
pub(super) struct Parser<'a> {
    data: &'a [u8],
    position: usize,
    rows: KeptRows,
    limits: Limits,
    application_segments: Vec<Range<usize>>,
    frame: Option<Frame>,
    progress: Vec<Progress>,
    quant_settled: Vec<bool>,
    tables: Tables,
    arithmetic: bool,
    restart_interval: usize,
    scans: usize,
    /// Bytes of all entropy-coded segments, once they have been counted, and the position where the count ended.
    scan_bytes: Option<(usize, usize)>,
    block_visits: u64,
}

impl<'a> Parser<'a> {
    /// Parses `data` from byte `start`, where SOI must be.
    pub fn new(data: &'a [u8], start: usize, rows: KeptRows, limits: &Limits) -> Result<Self> {
        if !data.get(start..).is_some_and(|data| data.starts_with(&SOI)) {
            return Err(corrupt("no SOI marker", start));
        }
        Ok(Self {
            data,
            position: start + SOI.len(),
            rows,
            limits: limits.clone(),
            application_segments: Vec::new(),
            frame: None,
            progress: Vec::new(),
            quant_settled: Vec::new(),
            tables: Tables::default(),
            arithmetic: false,
            restart_interval: 0,
            scans: 0,
            scan_bytes: None,
            block_visits: 0,
        })
    }

    /// Proceeds to the next scan and stops after its header; returns `None` if there is no further scan.
    ///
    /// Segments that cannot be parsed, and scans that the coefficients do not determine, are passed over:
    /// reconstruction data hold them as bytes. If no scan is found, the first of their errors is returned.
    pub fn next_scan(&mut self) -> Result<Option<Scan>> {
        let mut first_error = None;
        loop {
            match self.parse_to_scan() {
                Ok(Some(scan)) => {
                    self.scans += 1;
                    return Ok(Some(scan));
                }
                Ok(None) if self.scans == 0 => {
                    let no_scan = Error::Truncated { what: "file without a scan", offset: self.position };
                    return Err(first_error.unwrap_or(no_scan));
                }
                Ok(None) => return Ok(None),
                Err(error @ Error::LimitExceeded { .. }) => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }

    /// Returns the position of the parser: after `next_scan`, the end of the scan header.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns the end of the data that have been read so far.
    pub fn furthest(&self) -> usize {
        self.scan_bytes.map_or(self.position, |(_, end)| self.position.max(end))
    }

    /// Continues elsewhere, namely after the entropy-coded segment.
    pub fn set_position(&mut self, position: usize) {
        self.position = position;
    }

    /// Returns the frame, once a scan has been found.
    pub fn frame(&self) -> Result<&Frame> {
        self.frame.as_ref().filter(|_| self.scans > 0).ok_or_else(|| corrupt("no scan", self.position))
    }

    /// Records in the frame that a scan reached the first `rows` rows of MCUs.
    pub fn cover(&mut self, scan: &Scan, rows: usize) {
        let Some(frame) = &mut self.frame else { return };
        for component in &scan.components {
            frame.components[component.index].cover(scan.kind.coefficients(), rows);
        }
    }

    /// Returns whether scans have certainly coded all bits of all coefficients. Arithmetic-coded scans are never
    /// certain, as a truncated one may look complete.
    pub fn is_complete(&self) -> bool {
        !self.arithmetic && self.progress.iter().flatten().all(|progress| *progress == Some(0))
    }

    /// Returns the first component whose DC coefficients no scan has coded.
    pub fn missing_component(&self) -> Option<usize> {
        self.progress.iter().position(|progress| progress[0].is_none())
    }

    /// Returns the frame, once all scans have been found.
    pub fn into_frame(mut self) -> Result<Frame> {
        for index in 0..self.progress.len() {
            self.settle_quant(index);
        }
        self.frame()?;
        self.frame.ok_or_else(|| corrupt("no frame", self.position))
    }

    /// Returns where the contents of APP and COM segments are.
    pub fn into_application_segments(self) -> Vec<Range<usize>> {
        self.application_segments
    }

    fn parse_to_scan(&mut self) -> Result<Option<Scan>> {
        while let Some(marker) = self.next_marker() {
            match marker {
                Marker::Eoi => return Ok(None),
                Marker::Soi => {
                    // Another file begins.
                    self.position -= SOI.len();
                    return Ok(None);
                }
                Marker::Standalone => continue,
                _ => {}
            }
            let mut segment = self.segment()?;
            match marker {
                Marker::Dht => self.tables.parse_dht(&mut segment)?,
                Marker::Dac => self.tables.parse_dac(&mut segment)?,
                Marker::Dqt => self.tables.parse_dqt(&mut segment)?,
                Marker::Dri => self.restart_interval = segment.u16()?.into(),
                Marker::Sof(process) => self.parse_sof(process, &mut segment)?,
                Marker::UnsupportedSof(byte) => return Err(unsupported_process(byte)),
                Marker::Sos => return self.parse_sos(&mut segment).map(Some),
                Marker::Application => self.application_segments.push(segment.position..self.position),
                Marker::Soi | Marker::Eoi | Marker::Standalone | Marker::Other => {}
            }
        }
        self.position = self.data.len();
        Ok(None)
    }

    /// Steps after the next marker, over fill bytes and whatever else precedes it.
    fn next_marker(&mut self) -> Option<Marker> {
        let (marker, end) = markers::next_marker(self.data, self.position)?;
        self.position = end;
        Some(marker)
    }

    /// Finds the contents of the segment whose length comes next, and steps after it.
    fn segment(&mut self) -> Result<Segment<'a>> {
        let segment = Segment::at(self.data, self.position)?;
        self.position = segment.end();
        Ok(segment)
    }

    fn parse_sof(&mut self, process: Process, segment: &mut Segment) -> Result<()> {
        let offset = segment.position;
        let precision = segment.u8()?;
        let (height, width, count) = (segment.u16()?, segment.u16()?, segment.u8()?);
        if self.frame.is_some() {
            return Err(Error::Unsupported("JPEG with several frames".into()));
        }
        if width == 0 {
            return Err(Error::Unsupported("JPEG of width 0".into()));
        }
        if !(1..=4).contains(&count) {
            return Err(Error::Unsupported(format!("JPEG of {count} components").into()));
        }
        let mut components = Vec::new();
        for _ in 0..count {
            let id = segment.u8()?;
            let (h, v) = segment.nibbles()?;
            let quant_index = segment.u8()?;
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || quant_index > 3 {
                return Err(corrupt("bad sampling factor or quantisation table index", segment.position));
            }
            components.push((id, h, v, quant_index));
        }
        if !segment.is_empty() {
            return Err(corrupt("bad length of SOF", offset));
        }
        self.progress = vec![[None; 64]; components.len()];
        self.quant_settled = vec![false; components.len()];
        self.arithmetic = process.arithmetic;
        self.frame = Some(Frame::new((width, height), precision, process.progressive, &components));
        Ok(())
    }

    /// At the first scan, finds the height if SOF does not give it, and settles the rows of MCUs to keep.
    fn settle_rows(&mut self) -> Result<()> {
        if self.scans > 0 || self.frame.is_none() {
            return Ok(());
        }
        // Reconstruction data have no such segments: there is nothing to count.
        let scan_bytes = if let KeptRows::Earned = self.rows { self.count_scan_bytes() } else { 0 };
        let Some(frame) = &mut self.frame else { return Ok(()) };
        if frame.height == 0 {
            frame.height = markers::height_after_scan(&self.data[self.position..]).unwrap_or(u16::MAX);
        }
        let all = frame.declared_rows();
        let rows = match self.rows {
            KeptRows::All => all,
            KeptRows::First(rows) if (1..all).contains(&rows) => rows,
            KeptRows::First(_) => return Err(corrupt("impossible number of rows", self.position)),
            KeptRows::Earned => all.min(8 * scan_bytes / frame.row_blocks()),
        };
        if rows == 0 {
            return Err(Error::Truncated { what: "entropy-coded segment", offset: self.data.len() });
        }
        frame.keep_rows(rows);
        self.limits.check_blocks(frame.blocks() as u64)
    }

    /// Counts the bytes of all entropy-coded segments from here to the end of the image.
    ///
    /// Scans that turn out to be invalid count too. As a count ends at SOI or EOI, no byte counts for two images.
    fn count_scan_bytes(&mut self) -> usize {
        if let Some((bytes, _)) = self.scan_bytes {
            return bytes;
        }
        let start = self.position;
        let mut bytes = 0;
        let mut in_scan = true;
        loop {
            if in_scan {
                let len = segment_len(&self.data[self.position..]);
                bytes += len;
                self.position += len;
            }
            match self.next_marker() {
                None | Some(Marker::Soi | Marker::Eoi) => break,
                Some(Marker::Standalone) => in_scan = false,
                Some(marker) => in_scan = self.segment().is_ok() && marker == Marker::Sos,
            }
        }
        self.scan_bytes = Some((bytes, self.position));
        self.position = start;
        bytes
    }

    fn parse_sos(&mut self, segment: &mut Segment) -> Result<Scan> {
        let offset = segment.position;
        self.settle_rows()?;
        let Some(frame) = &self.frame else { return Err(corrupt("SOS before SOF", offset)) };
        let progressive = frame.progressive;
        let mut selected = Vec::new();
        for _ in 0..segment.u8()? {
            let (id, selectors) = (segment.u8()?, segment.nibbles()?);
            let is_new = |&i: &usize| frame.components[i].id == id && !selected.iter().any(|&(j, _)| j == i);
            let index = (0..frame.components.len()).find(is_new);
            let index = index.ok_or_else(|| corrupt("SOS selects an unknown component", offset))?;
            selected.push((index, selectors));
        }
        let (ss, se, (ah, al)) = (segment.u8()?, segment.u8()?, segment.nibbles()?);
        if selected.is_empty() || !segment.is_empty() {
            return Err(corrupt("bad length of SOS", offset));
        }
        let (kind, ah) = match progressive {
            true => (progressive_kind(ss, se, ah, al, selected.len(), offset)?, ah),
            false => (ScanKind::Sequential, 0),
        };
        let mut components = Vec::new();
        for &(index, selectors) in &selected {
            self.check_order(index, kind, ah)?;
            let (dc, ac) = match self.arithmetic {
                true => Default::default(),
                false => self.tables.huffman(kind, selectors, offset)?,
            };
            let selectors = (selectors.0.into(), selectors.1.into());
            components.push(ScanComponent { index, selectors, dc, ac });
        }
        for component in &components {
            let (first, last, al) = kind.coefficients();
            self.progress[component.index][first..=last].fill(Some(al));
            self.count_visits(component.index)?;
            self.settle_quant(component.index);
        }
        let conditioning = self.arithmetic.then_some(self.tables.conditioning);
        Ok(Scan { kind, conditioning, components, restart_interval: self.restart_interval, offset })
    }

    /// Checks that each bit of a coefficient is coded once and from the top down. Otherwise the coefficients do not
    /// determine the scan.
    fn check_order(&self, index: usize, kind: ScanKind, ah: u8) -> Result<()> {
        let (first, last, _) = kind.coefficients();
        let coded_so_far = (ah > 0).then_some(ah);
        match self.progress[index][first..=last].iter().all(|progress| *progress == coded_so_far) {
            true => Ok(()),
            false => Err(Error::Unsupported("JPEG that codes coefficients twice or out of order".into())),
        }
    }

    /// Bounds the work that small scans of a large image can cause.
    fn count_visits(&mut self, index: usize) -> Result<()> {
        let Some(frame) = &self.frame else { return Ok(()) };
        self.block_visits += frame.components[index].blocks() as u64;
        let most = (1 << 20) + 32 * frame.blocks() as u64;
        // In a file, the bytes of the scans bound the work: ordinary scans visit at most 30 blocks for each byte.
        let limit = self.scan_bytes.map_or(most, |(bytes, _)| most.min((1 << 14) + 64 * bytes as u64));
        check("number of blocks over all scans", self.block_visits, limit)
    }

    /// Gives a component the current quantisation table, unless an earlier scan did.
    fn settle_quant(&mut self, index: usize) {
        let Some(frame) = &mut self.frame else { return };
        let component = &mut frame.components[index];
        if !std::mem::replace(&mut self.quant_settled[index], true) {
            component.quant = self.tables.quant[usize::from(component.quant_index)];
        }
    }
}

fn progressive_kind(ss: u8, se: u8, ah: u8, al: u8, components: usize, offset: usize) -> Result<ScanKind> {
    let refinement = ah > 0;
    let band = Band { ss: ss.into(), se: se.into(), al };
    if al > 13 || refinement && ah != al + 1 {
        return Err(corrupt("bad successive approximation in SOS", offset));
    }
    match (ss, se) {
        (0, 0) if refinement => Ok(ScanKind::DcRefinement { al }),
        (0, 0) => Ok(ScanKind::DcFirst { al }),
        (1..=63, 1..=63) if ss <= se && components == 1 && refinement => Ok(ScanKind::AcRefinement(band)),
        (1..=63, 1..=63) if ss <= se && components == 1 => Ok(ScanKind::AcFirst(band)),
        _ => Err(corrupt("bad spectral selection in SOS", offset)),
    }
}

fn unsupported_process(marker: u8) -> Error {
    let process = match marker {
        0xC3 => "lossless",
        0xC5..=0xC7 => "hierarchical",
        0xC8 => "reserved",
        _ => "arithmetic-coded",
    };
    Error::Unsupported(Unsupported::JpegProcess { process, marker })
}
