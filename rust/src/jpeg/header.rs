//! Marker segments: the parser that finds the scans and knows which tables are in force there.

use super::annex_k;
use super::frame::Frame;
use super::huffman::HuffmanTable;
use super::intervals::segment_len;
use crate::Limits;
use crate::{Error, Result, Unsupported};
use std::ops::Range;

/// A scan as its header and the tables before it describe it.
pub(super) struct Scan {
    pub kind: ScanKind,
    /// If the scan is arithmetic-coded.
    pub conditioning: Option<Conditioning>,
    /// In the order of SOS, which is the order within an MCU.
    pub components: Vec<ScanComponent>,
    /// In MCUs; 0 without restart markers.
    pub restart_interval: usize,
    /// Position of the scan header.
    pub offset: usize,
}

/// What a scan codes of each block.
#[derive(Clone, Copy)]
pub(super) enum ScanKind {
    Sequential,
    DcFirst { al: u8 },
    DcRefinement { al: u8 },
    AcFirst(Band),
    AcRefinement(Band),
}

impl ScanKind {
    /// The first and the last coefficient, and the lowest bit that is coded.
    pub fn coefficients(self) -> (usize, usize, u8) {
        match self {
            Self::Sequential => (0, 63, 0),
            Self::DcFirst { al } | Self::DcRefinement { al } => (0, 0, al),
            Self::AcFirst(band) | Self::AcRefinement(band) => (band.ss, band.se, band.al),
        }
    }
}

/// Coefficients `ss..=se`, of which all bits below `al` are left to later scans.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub ss: usize,
    pub se: usize,
    pub al: u8,
}

/// A component of a scan; a Huffman table that the scan has no use for is empty.
pub(super) struct ScanComponent {
    /// Index into the components of the frame.
    pub index: usize,
    /// Numbers of the tables for DC and for AC, 0 to 15.
    pub selectors: (usize, usize),
    pub dc: HuffmanTable,
    pub ac: HuffmanTable,
}

/// How arithmetic coding adapts to its surroundings: the tables that DAC defines, by number.
#[derive(Clone, Copy)]
pub(super) struct Conditioning {
    /// Binary logarithms of what separates zero and small, and small and large differences.
    pub dc: [(u8, u8); 16],
    /// The last of the low frequencies.
    pub ac: [u8; 16],
}

/// How many rows of MCUs there are coefficients for.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    /// As many as the picture's own entropy-coded segments can code, at a bit for each block.
    Earned,
    /// As many as the height asks for.
    All,
    /// Fewer.
    Kept(usize),
}

/// For each coefficient of a component, the lowest bit that a scan has coded.
type Progress = [Option<u8>; 64];

/// Walks over everything but entropy-coded segments.
///
/// It serves the file and the skeleton alike; in the file, the caller steps over the entropy-coded segments.
pub(super) struct Parser<'a> {
    data: &'a [u8],
    pos: usize,
    rows: Rows,
    limits: Limits,
    free_segments: Vec<Range<usize>>,
    frame: Option<Frame>,
    progress: Vec<Progress>,
    quant_fixed: Vec<bool>,
    quant: [[u16; 64]; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    arithmetic: bool,
    conditioning: Conditioning,
    restart_interval: usize,
    scans: usize,
    /// Bytes of all entropy-coded segments, once they have been counted, and where the count ended.
    scan_bytes: Option<(usize, usize)>,
    block_visits: u64,
}

impl<'a> Parser<'a> {
    /// Parses `data` from byte `pos`, where SOI must be.
    pub fn new(data: &'a [u8], pos: usize, rows: Rows, limits: &Limits) -> Result<Self> {
        if !data.get(pos..).is_some_and(|data| data.starts_with(&[0xFF, 0xD8])) {
            return Err(corrupt("no SOI marker", pos));
        }
        Ok(Self {
            data,
            pos: pos + 2,
            rows,
            limits: limits.clone(),
            free_segments: Vec::new(),
            frame: None,
            progress: Vec::new(),
            quant_fixed: Vec::new(),
            quant: [[0; 64]; 4],
            dc: annex_k::dc(),
            ac: annex_k::ac(),
            arithmetic: false,
            conditioning: Conditioning { dc: [(0, 1); 16], ac: [5; 16] },
            restart_interval: 0,
            scans: 0,
            scan_bytes: None,
            block_visits: 0,
        })
    }

    /// Goes on to the next scan and stops behind its header; `None` if there is no further scan.
    ///
    /// Segments that cannot be parsed, and scans that the coefficients could not give again, are passed over:
    /// to the skeleton, they are bytes. If no scan is found, the first of them is the error.
    pub fn next_scan(&mut self) -> Result<Option<Scan>> {
        let mut first_error = None;
        loop {
            match self.parse_to_scan() {
                Ok(Some(scan)) => {
                    self.scans += 1;
                    return Ok(Some(scan));
                }
                Ok(None) if self.scans == 0 => {
                    let no_scan = Error::Truncated { what: "file without a scan", offset: self.pos };
                    return Err(first_error.unwrap_or(no_scan));
                }
                Ok(None) => return Ok(None),
                Err(error @ Error::LimitExceeded { .. }) => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
    }

    /// Where the parser stands: after `next_scan`, just behind the header of the scan.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// How far the data have been looked at.
    pub fn furthest(&self) -> usize {
        self.scan_bytes.map_or(self.pos, |(_, end)| self.pos.max(end))
    }

    /// Goes on elsewhere: behind the entropy-coded segment.
    pub fn set_position(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// The frame, once a scan has been found.
    pub fn frame(&self) -> Result<&Frame> {
        self.frame.as_ref().filter(|_| self.scans > 0).ok_or_else(|| corrupt("no scan", self.pos))
    }

    /// Notes in the frame how many rows of MCUs a scan has got to.
    pub fn cover(&mut self, scan: &Scan, rows: usize) {
        let Some(frame) = &mut self.frame else { return };
        for component in &scan.components {
            frame.components[component.index].cover(scan.kind.coefficients(), rows);
        }
    }

    /// Whether scans have certainly coded all bits of all coefficients: a cut arithmetic-coded one may look whole.
    pub fn is_complete(&self) -> bool {
        !self.arithmetic && self.progress.iter().flatten().all(|progress| *progress == Some(0))
    }

    /// The first component whose DC coefficients no scan has coded.
    pub fn missing_component(&self) -> Option<usize> {
        self.progress.iter().position(|progress| progress[0].is_none())
    }

    /// The frame, when all scans have been found.
    pub fn into_frame(mut self) -> Result<Frame> {
        for index in 0..self.progress.len() {
            self.fix_quant(index);
        }
        self.frame()?;
        self.frame.ok_or_else(|| corrupt("no frame", self.pos))
    }

    /// The contents of the APP and COM segments that have been found.
    pub fn into_free_segments(self) -> Vec<Range<usize>> {
        self.free_segments
    }

    fn parse_to_scan(&mut self) -> Result<Option<Scan>> {
        while let Some(marker) = self.next_marker() {
            match marker {
                0xD9 => return Ok(None),
                0xD8 => {
                    // Another picture begins.
                    self.pos -= 2;
                    return Ok(None);
                }
                0x01 | 0xD0..=0xD7 => continue,
                _ => {}
            }
            let mut segment = self.segment()?;
            match marker {
                0xC4 => self.parse_dht(&mut segment)?,
                0xC0..=0xC2 | 0xC9 | 0xCA => self.parse_sof(marker, &mut segment)?,
                0xCC => self.parse_dac(&mut segment)?,
                0xC3 | 0xC5..=0xC8 | 0xCB | 0xCD..=0xCF => return Err(unsupported_process(marker)),
                0xDA => return self.parse_sos(&mut segment).map(Some),
                0xDB => self.parse_dqt(&mut segment)?,
                0xDD => self.restart_interval = segment.u16()?.into(),
                0xE0..=0xEF | 0xFE => self.free_segments.push(segment.pos..self.pos),
                _ => {}
            }
        }
        self.pos = self.data.len();
        Ok(None)
    }

    /// Steps behind the next marker, over fill bytes and whatever else precedes it.
    fn next_marker(&mut self) -> Option<u8> {
        let rest = self.data.get(self.pos..)?;
        let marker = rest.windows(2).position(|w| w[0] == 0xFF && !matches!(w[1], 0x00 | 0xFF))?;
        self.pos += marker + 2;
        Some(rest[marker + 1])
    }

    /// The contents of the segment whose length comes next; steps behind it.
    fn segment(&mut self) -> Result<Segment<'a>> {
        let mut segment = Segment { data: self.data, pos: self.pos };
        let len = usize::from(segment.u16()?);
        let end = self.pos + len;
        if len < 2 {
            return Err(corrupt("segment length below 2", self.pos));
        }
        if end > self.data.len() {
            return Err(Error::Truncated { what: "marker segment", offset: self.data.len() });
        }
        segment.data = &self.data[..end];
        self.pos = end;
        Ok(segment)
    }

    fn parse_dht(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.pos;
            let (class, slot) = nibbles(segment.u8()?);
            let mut counts = [0; 16];
            counts.copy_from_slice(segment.take(16)?);
            let symbols = segment.take(counts.iter().map(|&count| usize::from(count)).sum())?;
            let table = HuffmanTable::new(counts, symbols)
                .filter(|_| symbols.len() <= 256)
                .ok_or_else(|| corrupt("impossible Huffman table", offset))?;
            let tables = match class {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(corrupt("Huffman table class above 1", offset)),
            };
            let entry = tables.get_mut(usize::from(slot));
            *entry.ok_or_else(|| corrupt("Huffman table slot above 3", offset))? = Some(table);
        }
        Ok(())
    }

    fn parse_dac(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.pos;
            let (class, slot) = nibbles(segment.u8()?);
            let value = segment.u8()?;
            let (upper, lower) = nibbles(value);
            match class {
                0 if lower <= upper => self.conditioning.dc[usize::from(slot)] = (lower, upper),
                1 => self.conditioning.ac[usize::from(slot)] = value,
                _ => return Err(corrupt("bad arithmetic conditioning", offset)),
            }
        }
        Ok(())
    }

    fn parse_dqt(&mut self, segment: &mut Segment) -> Result<()> {
        while !segment.is_empty() {
            let offset = segment.pos;
            let (precision, slot) = nibbles(segment.u8()?);
            let table = self.quant.get_mut(usize::from(slot));
            for step in table.ok_or_else(|| corrupt("quantisation table slot above 3", offset))? {
                *step = match precision {
                    0 => segment.u8()?.into(),
                    1 => segment.u16()?,
                    _ => return Err(corrupt("quantisation table precision above 1", offset)),
                };
            }
        }
        Ok(())
    }

    fn parse_sof(&mut self, marker: u8, segment: &mut Segment) -> Result<()> {
        let offset = segment.pos;
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
            let (h, v) = nibbles(segment.u8()?);
            let quant_index = segment.u8()?;
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || quant_index > 3 {
                return Err(corrupt("bad sampling factor or quantisation table index", segment.pos));
            }
            components.push((id, h, v, quant_index));
        }
        if !segment.is_empty() {
            return Err(corrupt("bad length of SOF", offset));
        }
        self.progress = vec![[None; 64]; components.len()];
        self.quant_fixed = vec![false; components.len()];
        let progressive = matches!(marker, 0xC2 | 0xCA);
        self.arithmetic = matches!(marker, 0xC9 | 0xCA);
        self.frame = Some(Frame::new((width, height), precision, progressive, &components));
        Ok(())
    }

    /// At the first scan: finds the height if SOF does not give it, and how many rows of MCUs to keep.
    fn settle_rows(&mut self) -> Result<()> {
        if self.scans > 0 || self.frame.is_none() {
            return Ok(());
        }
        // In a skeleton, which has no such segments, nothing need be counted.
        let scan_bytes = if let Rows::Earned = self.rows { self.count_scan_bytes() } else { 0 };
        let Some(frame) = &mut self.frame else { return Ok(()) };
        if frame.height == 0 {
            frame.height = defined_height(&self.data[self.pos..]).unwrap_or(u16::MAX);
        }
        let all = frame.declared_rows();
        let rows = match self.rows {
            Rows::All => all,
            Rows::Kept(rows) if (1..all).contains(&rows) => rows,
            Rows::Kept(_) => return Err(corrupt("impossible number of rows", self.pos)),
            Rows::Earned => all.min(8 * scan_bytes / frame.row_blocks()),
        };
        if rows == 0 {
            return Err(Error::Truncated { what: "entropy-coded segment", offset: self.data.len() });
        }
        frame.keep_rows(rows);
        self.limits.check_blocks(frame.blocks() as u64)
    }

    /// The bytes of all entropy-coded segments from here to the end of the picture. Scans that turn out to be none
    /// count too, but each byte of a file in one picture only.
    fn count_scan_bytes(&mut self) -> usize {
        if let Some((bytes, _)) = self.scan_bytes {
            return bytes;
        }
        let start = self.pos;
        let mut bytes = 0;
        let mut in_scan = true;
        loop {
            if in_scan {
                let len = segment_len(&self.data[self.pos..]);
                bytes += len;
                self.pos += len;
            }
            match self.next_marker() {
                None | Some(0xD8 | 0xD9) => break,
                Some(0x01 | 0xD0..=0xD7) => in_scan = false,
                Some(marker) => in_scan = self.segment().is_ok() && marker == 0xDA,
            }
        }
        self.scan_bytes = Some((bytes, self.pos));
        self.pos = start;
        bytes
    }

    fn parse_sos(&mut self, segment: &mut Segment) -> Result<Scan> {
        let offset = segment.pos;
        self.settle_rows()?;
        let Some(frame) = &self.frame else { return Err(corrupt("SOS before SOF", offset)) };
        let progressive = frame.progressive;
        let mut selected = Vec::new();
        for _ in 0..segment.u8()? {
            let (id, tables) = (segment.u8()?, segment.u8()?);
            let is_it = |&i: &usize| frame.components[i].id == id && !selected.iter().any(|&(j, _)| j == i);
            let index = (0..frame.components.len()).find(is_it);
            let index = index.ok_or_else(|| corrupt("SOS selects an unknown component", offset))?;
            selected.push((index, tables));
        }
        let (ss, se, (ah, al)) = (segment.u8()?, segment.u8()?, nibbles(segment.u8()?));
        if selected.is_empty() || !segment.is_empty() {
            return Err(corrupt("bad length of SOS", offset));
        }
        let (kind, ah) = match progressive {
            true => (progressive_kind(ss, se, ah, al, selected.len(), offset)?, ah),
            false => (ScanKind::Sequential, 0),
        };
        let mut components = Vec::new();
        for &(index, tables) in &selected {
            self.check_order(index, kind, ah)?;
            let selectors = nibbles(tables);
            let (dc, ac) = self.tables(kind, selectors, offset)?;
            components.push(ScanComponent {
                index,
                selectors: (selectors.0.into(), selectors.1.into()),
                dc,
                ac,
            });
        }
        for component in &components {
            let (first, last, al) = kind.coefficients();
            self.progress[component.index][first..=last].fill(Some(al));
            self.count_visits(component.index)?;
            self.fix_quant(component.index);
        }
        let conditioning = self.arithmetic.then_some(self.conditioning);
        Ok(Scan { kind, conditioning, components, restart_interval: self.restart_interval, offset })
    }

    /// Each bit of a coefficient must be coded once and from the top down, or else the coefficients do not
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
        // In a file, by what the scans take: ordinary ones visit no more than 30 blocks for each of their bytes.
        let limit = self.scan_bytes.map_or(most, |(bytes, _)| most.min((1 << 14) + 64 * bytes as u64));
        match self.block_visits > limit {
            true => Err(Error::LimitExceeded {
                what: "number of blocks over all scans",
                value: self.block_visits,
                limit,
            }),
            false => Ok(()),
        }
    }

    /// The Huffman tables that a scan of this kind uses, given their numbers.
    fn tables(
        &self,
        kind: ScanKind,
        (dc, ac): (u8, u8),
        offset: usize,
    ) -> Result<(HuffmanTable, HuffmanTable)> {
        let get = |tables: &[Option<HuffmanTable>; 4], slot: u8| {
            let table = tables.get(usize::from(slot)).cloned().flatten();
            table.ok_or_else(|| corrupt("scan uses an undefined Huffman table", offset))
        };
        let none = HuffmanTable::default;
        Ok(match kind {
            _ if self.arithmetic => (none(), none()),
            ScanKind::Sequential => (get(&self.dc, dc)?, get(&self.ac, ac)?),
            ScanKind::DcFirst { .. } => (get(&self.dc, dc)?, none()),
            ScanKind::DcRefinement { .. } => (none(), none()),
            ScanKind::AcFirst(_) | ScanKind::AcRefinement(_) => (none(), get(&self.ac, ac)?),
        })
    }

    /// Gives a component the quantisation table in force, unless an earlier scan did.
    fn fix_quant(&mut self, index: usize) {
        let Some(frame) = &mut self.frame else { return };
        let component = &mut frame.components[index];
        if !std::mem::replace(&mut self.quant_fixed[index], true) {
            component.quant = self.quant[usize::from(component.quant_index)];
        }
    }
}

/// The height that a DNL segment gives, if there is one behind the entropy-coded segment (which a skeleton is without).
fn defined_height(data: &[u8]) -> Option<u16> {
    let behind = &data[segment_len(data)..];
    let fill = behind.iter().take_while(|&&byte| byte == 0xFF).count();
    match behind[fill..] {
        [0xDC, 0, 4, high, low, ..] if fill > 0 => Some(u16::from_be_bytes([high, low])).filter(|&h| h > 0),
        _ => None,
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

/// A marker segment being read.
struct Segment<'a> {
    data: &'a [u8],
    pos: usize,
}

impl<'a> Segment<'a> {
    fn is_empty(&self) -> bool {
        self.pos == self.data.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.data.get(self.pos..).and_then(|rest| rest.get(..len));
        self.pos += len;
        bytes.ok_or(Error::Truncated { what: "marker segment", offset: self.data.len() })
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

fn nibbles(byte: u8) -> (u8, u8) {
    (byte >> 4, byte & 15)
}

fn corrupt(what: &str, offset: usize) -> Error {
    Error::Corrupt { what: what.into(), offset }
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
