//! Reconstruction data: the file without its entropy-coded segments, and notes on how these depart from the canonical.
//!
//! ```text
//! reconstruction = varint length of notes, marker segments and all other bytes as in the file, notes
//! notes          = nothing, or varint rows of MCUs kept (0: all that the height asks for), notes on scans
//! on scans       = for each scan that has any: varint scans skipped, flags byte, then by flag:
//!                  PADDING_EXPLICIT   varint n, n bytes: the padding before each marker
//!                  EOB_BREAKS         list of (varint blocks skipped)
//!                  ZERO_RUNS          list of (varint blocks skipped, varint runs)
//!                  PATCHES            list of (varint intervals skipped, varint blocks, varint n, n bytes)
//! list           = varint number of entries, entries; "skipped" counts from after the previous entry
//! ```

use super::frame::KeptRows;
use super::notes::{Padding, Patch, ScanNotes};
use crate::{Error, Limits, Result, bytes};

/// Bound on the scans with notes: notes take more room in memory than as bytes.
const MAX_NOTED_SCANS: usize = 4096;

const PADDING_ZEROS: u8 = 1;
const PADDING_EXPLICIT: u8 = 2;
const UNLIMITED_CORRECTIONS: u8 = 4;
const EOB_BREAKS: u8 = 8;
const ZERO_RUNS: u8 = 16;
const PATCHES: u8 = 32;
const KNOWN_FLAGS: u8 = 63;

/// Joins marker segments and notes into reconstruction data.
pub(super) fn join(markers: &[u8], rows: KeptRows, notes: &[ScanNotes]) -> Vec<u8> {
    let notes = write_notes(rows, notes);
    let mut out = Vec::with_capacity(markers.len() + notes.len() + 4);
    put_varint(&mut out, notes.len());
    out.extend_from_slice(markers);
    out.extend_from_slice(&notes);
    out
}

/// The parts of reconstruction data.
pub(super) struct Parts<'a> {
    /// The data up to the end of the marker segments, which begin at `start`.
    pub markers: &'a [u8],
    pub start: usize,
    pub rows: KeptRows,
    /// The notes of those scans that have any, in order, with the index of the scan.
    pub notes: Vec<(usize, ScanNotes)>,
}

/// Splits reconstruction data into its parts.
pub(super) fn split<'a>(data: &'a [u8], limits: &Limits) -> Result<Parts<'a>> {
    let max_entries = usize::try_from(limits.max_blocks).unwrap_or(usize::MAX);
    let mut header = Reader { data, position: 0, max_entries };
    let notes_len = header.varint()?;
    let start = header.position;
    let end = data.len().checked_sub(notes_len).filter(|&end| end >= start);
    let end = end.ok_or(truncated(data))?;
    let (rows, notes) = read_notes(Reader { data, position: end, max_entries })?;
    Ok(Parts { markers: &data[..end], start, rows, notes })
}

fn write_notes(rows: KeptRows, scans: &[ScanNotes]) -> Vec<u8> {
    let mut out = Vec::new();
    let rows = if let KeptRows::First(rows) = rows { rows } else { 0 };
    put_varint(&mut out, rows);
    let mut next = 0;
    for (index, notes) in scans.iter().enumerate().filter(|(_, notes)| **notes != ScanNotes::default()) {
        put_varint(&mut out, index - next);
        next = index + 1;
        write_scan_notes(&mut out, notes);
    }
    if out == [0] {
        out.clear();
    }
    out
}

fn write_scan_notes(out: &mut Vec<u8>, notes: &ScanNotes) {
    let flag = |flag, set| if set { flag } else { 0 };
    out.push(
        flag(PADDING_ZEROS, notes.padding == Padding::Zeros)
            | flag(PADDING_EXPLICIT, matches!(notes.padding, Padding::Explicit(_)))
            | flag(UNLIMITED_CORRECTIONS, notes.unlimited_corrections)
            | flag(EOB_BREAKS, !notes.eob_breaks.is_empty())
            | flag(ZERO_RUNS, !notes.zero_runs.is_empty())
            | flag(PATCHES, !notes.patches.is_empty()),
    );
    if let Padding::Explicit(bytes) = &notes.padding {
        put_bytes(out, bytes);
    }
    put_list(out, &notes.eob_breaks, |&block| block, |_, _| {});
    put_list(out, &notes.zero_runs, |run| run.0, |out, run| put_varint(out, run.1));
    let put_patch = |out: &mut Vec<u8>, patch: &Patch| {
        put_varint(out, patch.blocks);
        put_bytes(out, &patch.bytes);
    };
    put_list(out, &notes.patches, |patch| patch.interval, put_patch);
}

/// Appends a list. An empty one takes no bytes, as its flag is not set.
fn put_list<T>(
    out: &mut Vec<u8>,
    list: &[T],
    position: fn(&T) -> usize,
    put_rest: impl Fn(&mut Vec<u8>, &T),
) {
    if !list.is_empty() {
        put_varint(out, list.len());
    }
    let mut next = 0;
    for entry in list {
        put_varint(out, position(entry) - next);
        next = position(entry) + 1;
        put_rest(out, entry);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, value: usize) {
    bytes::put_varint(out, value as u64);
}

fn read_notes(mut reader: Reader) -> Result<(KeptRows, Vec<(usize, ScanNotes)>)> {
    let mut notes = Vec::new();
    if reader.position == reader.data.len() {
        return Ok((KeptRows::All, notes));
    }
    let rows = match reader.varint()? {
        0 => KeptRows::All,
        rows => KeptRows::First(rows),
    };
    let mut next = 0;
    while reader.position < reader.data.len() {
        let index = reader.position_after(&mut next)?;
        if notes.len() == MAX_NOTED_SCANS {
            return Err(reader.corrupt("notes on too many scans"));
        }
        notes.push((index, reader.scan_notes()?));
    }
    Ok((rows, notes))
}

/// Reads the numbers and byte strings of reconstruction data.
struct Reader<'a> {
    data: &'a [u8],
    position: usize,
    /// Bound on the entries of a list: the largest number of blocks.
    max_entries: usize,
}

impl<'a> Reader<'a> {
    fn scan_notes(&mut self) -> Result<ScanNotes> {
        let flags = self.bytes(1)?[0];
        if flags & !KNOWN_FLAGS != 0 {
            return Err(self.corrupt("unknown flag"));
        }
        let padding = match flags & (PADDING_ZEROS | PADDING_EXPLICIT) {
            0 => Padding::Ones,
            PADDING_ZEROS => Padding::Zeros,
            PADDING_EXPLICIT => Padding::Explicit(self.counted_bytes()?.to_vec()),
            _ => return Err(self.corrupt("contradicting flags")),
        };
        let patch = |reader: &mut Self, interval| {
            Ok(Patch { interval, blocks: reader.varint()?, bytes: reader.counted_bytes()?.to_vec() })
        };
        Ok(ScanNotes {
            padding,
            unlimited_corrections: flags & UNLIMITED_CORRECTIONS != 0,
            eob_breaks: self.list(flags & EOB_BREAKS, |_, block| Ok(block))?,
            zero_runs: self.list(flags & ZERO_RUNS, |reader, block| Ok((block, reader.varint()?)))?,
            patches: self.list(flags & PATCHES, patch)?,
        })
    }

    fn list<T>(&mut self, flag: u8, read: impl Fn(&mut Self, usize) -> Result<T>) -> Result<Vec<T>> {
        let count = if flag == 0 { 0 } else { self.varint()? };
        if count > self.max_entries {
            return Err(self.corrupt("notes on more blocks than allowed"));
        }
        let mut next = 0;
        let mut list = Vec::new();
        for _ in 0..count {
            let position = self.position_after(&mut next)?;
            list.push(read(self, position)?);
        }
        Ok(list)
    }

    /// Reads a position, which is stored as its distance from `next`, and moves `next` after it.
    fn position_after(&mut self, next: &mut usize) -> Result<usize> {
        let position = next.checked_add(self.varint()?).filter(|&position| position < usize::MAX);
        let position = position.ok_or_else(|| self.corrupt("number out of range"))?;
        *next = position + 1;
        Ok(position)
    }

    fn counted_bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        self.bytes(len)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.data[self.position..].get(..len);
        let bytes = bytes.ok_or(truncated(self.data))?;
        self.position += len;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<usize> {
        let value = bytes::take_varint(self.data, &mut self.position, WHAT)?;
        usize::try_from(value).map_err(|_| self.corrupt("number out of range"))
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt { what: format!("{WHAT}: {what}"), offset: self.position }
    }
}

const WHAT: &str = "JPEG reconstruction data";

fn truncated(data: &[u8]) -> Error {
    Error::Truncated { what: WHAT, offset: data.len() }
}
