//! The residue of a file, and the places in it where JPEGs were embedded.

use std::ops::Range;

use crate::limits::check;
use crate::{Error, Limits, Result, bytes};

/// The largest number of JPEGs that are carved out of one file.
pub const MAX_JPEGS: usize = 4096;
/// The largest number of JPEGs nested in one another.
pub(super) const MAX_DEPTH: usize = 8;
/// The longest JPEG nested in another, in the contents of an APP or COM segment.
const MAX_NESTED_LEN: usize = 0xFFFF - 2;
/// Bytes by which reconstruction data may exceed the limit on the file: the notes on a small file can be longer than
/// it.
pub(crate) const RECONSTRUCTION_SURPLUS: u64 = 1 << 20;

/// The place of an embedded JPEG.
pub(super) struct Embedding {
    /// The range of its reconstruction data in the residue.
    pub range: Range<usize>,
    /// The length of a JPEG that is nested in another; 0 if it is not nested.
    pub nested_len: usize,
}

/// The residue of a file, parsed from the file's reconstruction data.
pub(super) struct Residue<'a> {
    bytes: &'a [u8],
    pub embeddings: Vec<Embedding>,
}

/// Returns what precedes the residue in the reconstruction data of a file.
pub(super) fn header(embeddings: &[Embedding], residue_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |value: usize| bytes::put_varint(&mut out, value as u64);
    put(embeddings.len());
    let mut previous = 0;
    for embedding in embeddings {
        put(embedding.range.start - previous);
        put(residue_len - embedding.range.end);
        put(embedding.nested_len);
        previous = embedding.range.start;
    }
    out
}

impl<'a> Residue<'a> {
    pub fn parse(reconstruction: &'a [u8]) -> Result<Self> {
        Self::parse_beginning(reconstruction, reconstruction.len())
    }

    /// Parses the beginning of reconstruction data of `length` bytes. The ranges of embeddings may lie beyond it.
    pub fn parse_beginning(part: &'a [u8], length: usize) -> Result<Self> {
        let mut position = 0;
        let mut number = || {
            let number = bytes::take_varint(part, &mut position, "reconstruction data")?;
            usize::try_from(number).map_err(|_| corrupt("a number is out of range"))
        };
        let count = number()?;
        if count > MAX_JPEGS {
            return Err(corrupt("too many JPEGs"));
        }
        let entries =
            (0..count).map(|_| Ok([number()?, number()?, number()?])).collect::<Result<Vec<_>>>()?;
        let bytes = &part[position..];
        let length = length.saturating_sub(position);
        let mut embeddings: Vec<Embedding> = Vec::with_capacity(count);
        // Ends of the residue and of the JPEGs that the next one may be nested in.
        let mut enclosing_ends = vec![length];
        for [distance, bytes_after, nested_len] in entries {
            let start = embeddings.last().map_or(0, |previous| previous.range.start).checked_add(distance);
            let range = start.zip(length.checked_sub(bytes_after)).map(|(start, end)| start..end);
            let range = range
                .filter(|range| !range.is_empty())
                .ok_or_else(|| corrupt("no bytes for an embedded JPEG"))?;
            while enclosing_ends.len() > 1 && enclosing_ends.last().is_some_and(|&end| end <= range.start) {
                enclosing_ends.pop();
            }
            let depth = enclosing_ends.len() - 1;
            let fits = enclosing_ends.last().is_some_and(|&end| range.end <= end);
            if !fits || depth >= MAX_DEPTH || (nested_len > 0) != (depth > 0) {
                return Err(corrupt("embedded JPEGs overlap"));
            }
            if nested_len > MAX_NESTED_LEN {
                return Err(corrupt("a nested JPEG is longer than a segment"));
            }
            enclosing_ends.push(range.end);
            embeddings.push(Embedding { range, nested_len });
        }
        Ok(Self { bytes, embeddings })
    }

    /// Returns the bytes, which may be fewer than the ranges of the embeddings say.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the residue with its JPEGs put back.
    ///
    /// `write` returns the bytes of a JPEG, given its index, its reconstruction data and the number of bytes allowed.
    pub fn assemble<F>(&self, limits: &Limits, mut write: F) -> Result<Vec<u8>>
    where
        F: FnMut(usize, &[u8], u64) -> Result<Vec<u8>>,
    {
        self.assemble_range(0..self.bytes.len(), &mut 0, limits.max_output_bytes, &mut write)
    }

    /// Assembles a range of the residue, in which `next` is the first JPEG.
    fn assemble_range<F>(
        &self,
        range: Range<usize>,
        next: &mut usize,
        limit: u64,
        write: &mut F,
    ) -> Result<Vec<u8>>
    where
        F: FnMut(usize, &[u8], u64) -> Result<Vec<u8>>,
    {
        let mut out = Vec::new();
        let mut copied = range.start;
        while let Some(jpeg) = self.embeddings.get(*next).filter(|jpeg| jpeg.range.start < range.end) {
            let index = *next;
            *next += 1;
            let nested_limit = limit.saturating_add(RECONSTRUCTION_SURPLUS);
            let reconstruction = self.assemble_range(jpeg.range.clone(), next, nested_limit, write)?;
            out.extend_from_slice(&self.bytes[copied..jpeg.range.start]);
            let room = limit.saturating_sub(out.len() as u64);
            let room = if jpeg.nested_len == 0 { room } else { room.min(jpeg.nested_len as u64) };
            out.append(&mut write(index, &reconstruction, room)?);
            copied = jpeg.range.end;
        }
        out.extend_from_slice(&self.bytes[copied..range.end]);
        check("size of the restored file", out.len() as u64, limit)?;
        Ok(out)
    }
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::Corrupt { what: format!("reconstruction data: {what}"), offset: 0 }
}
