//! Any file as *text* with JPEG pictures cut out of it, and back into exactly the same bytes.
//!
//! A picture leaves its [skeleton](crate::jpeg) where it stood. Thumbnails are pictures too: they lie in the
//! skeleton of another, in the contents of its APP and COM segments. So one blob, the skeleton of the document,
//! holds all that is no coefficient:
//!
//! ```text
//! skeleton = varint number of pictures, then for each, in the order in which their skeletons begin:
//!              varint distance of this beginning from the one before, or from that of the text
//!              varint bytes of the text behind the end of its skeleton
//!              varint length of the picture if it lies in another, else 0
//!            text
//! ```
//!
//! A picture that would not be written again just as it was stays in the text, and so does one that is too small.

use std::ops::Range;

use crate::jpeg::{self, Frame, Jpeg, Plane};
use crate::limits::check;
use crate::{bytes, interrupt, Error, Limits, Result};

#[cfg(test)]
mod tests;

/// The most pictures that are cut out of one file.
pub const MAX_PICTURES: usize = 4096;
/// Pictures inside one another.
const MAX_DEPTH: usize = 8;
/// The longest picture inside another: it lies in an APP or COM segment.
const MAX_INNER: usize = 0xFFFF - 2;
/// By how many bytes a picture must be longer than its skeleton: below, coding it costs what it saves.
const LEAST_CODED: usize = 64;
/// What the search for pictures that turn out to be none may cost, in bytes looked at for each byte of the file,
const EFFORT: usize = 8;
/// and what every attempt counts in addition.
const ATTEMPT: usize = 1024;
/// By how much a skeleton may exceed the limit on the file: the notes on a small file can be longer than it is.
pub(crate) const SKELETON_SURPLUS: u64 = 1 << 20;

/// What every sound picture begins with: SOI, and the next marker.
const START: [u8; 3] = [0xFF, 0xD8, 0xFF];
const SOI: [u8; 2] = [0xFF, 0xD8];

/// A file taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// In the order in which they, or what they lie in, begin in the file.
    pub pictures: Vec<Picture>,
    /// All else that it takes to [`write()`] the file.
    pub skeleton: Vec<u8>,
}

/// A JPEG picture of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What its frame header declares.
    pub frame: Frame,
    /// The coefficients of each component of the frame.
    pub planes: Vec<Plane>,
}

/// Takes any file apart; one without pictures is all skeleton.
///
/// The limit on blocks holds for all pictures together: those that would exceed it stay in the text.
pub fn read(data: &[u8], limits: &Limits) -> Document {
    let mut reader = Reader {
        text: Vec::new(),
        cuts: Vec::new(),
        pictures: Vec::new(),
        blocks_left: limits.max_blocks,
        effort_left: EFFORT.saturating_mul(data.len()) + 64 * ATTEMPT,
    };
    reader.search(data, 0);
    let mut skeleton = head(&reader.cuts, reader.text.len());
    skeleton.append(&mut reader.text);
    Document { pictures: reader.pictures, skeleton }
}

/// The frames of the pictures that [`write()`] expects coefficients for.
pub fn layout(skeleton: &[u8], limits: &Limits) -> Result<Vec<Frame>> {
    let parts = Parts::of(skeleton)?;
    let mut blocks_left = limits.max_blocks;
    let mut frames = vec![None; parts.cuts.len()];
    parts.assemble(limits, |index, skeleton, max_output_bytes| {
        let frame = jpeg::layout(skeleton, &Limits { max_blocks: blocks_left, ..limits.clone() })?;
        blocks_left = blocks_left.saturating_sub(frame.blocks() as u64);
        frames[index] = Some(frame);
        // The picture around takes this one's length into account, and nothing of its contents.
        let inner_len = parts.cuts[index].inner_len;
        check("size of the restored file", inner_len as u64, max_output_bytes)?;
        Ok(vec![0; inner_len])
    })?;
    Ok(frames.into_iter().flatten().collect())
}

/// Makes the file that a skeleton and the planes of all its pictures came from.
pub fn write<P: AsRef<[i16]>>(skeleton: &[u8], pictures: &[Vec<P>], limits: &Limits) -> Result<Vec<u8>> {
    let parts = Parts::of(skeleton)?;
    if pictures.len() != parts.cuts.len() {
        let what = format!("{} pictures for a skeleton of {}", pictures.len(), parts.cuts.len());
        return Err(Error::InvalidArgument(what));
    }
    let written = parts.assemble(limits, |index, skeleton, max_output_bytes| {
        let picture =
            jpeg::write(skeleton, &pictures[index], &Limits { max_output_bytes, ..limits.clone() })?;
        match parts.cuts[index].inner_len {
            len if len == picture.len() || len == 0 => Ok(picture),
            _ => Err(corrupt("a picture inside another has not its length")),
        }
    });
    match written {
        Err(Error::InvalidArgument(_)) if fit(skeleton, pictures, limits) => {
            Err(corrupt("the frame of a picture depends on what lies in it"))
        }
        written => written,
    }
}

/// Whether these are planes for the frames of [`layout()`].
fn fit<P: AsRef<[i16]>>(skeleton: &[u8], pictures: &[Vec<P>], limits: &Limits) -> bool {
    let fits = |(frame, planes): (&Frame, &Vec<P>)| {
        let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
        jpeg::check_planes(frame, &planes).is_ok()
    };
    layout(skeleton, limits).is_ok_and(|frames| frames.iter().zip(pictures).all(fits))
}

/// How many pictures a skeleton is of.
pub(crate) fn count(skeleton: &[u8]) -> Result<usize> {
    Ok(Parts::of(skeleton)?.cuts.len())
}

/// A picture's skeleton in the text.
struct Cut {
    range: Range<usize>,
    /// The length of a picture that lies in another; 0 if it does not.
    inner_len: usize,
}

struct Reader {
    text: Vec<u8>,
    cuts: Vec<Cut>,
    pictures: Vec<Picture>,
    blocks_left: u64,
    effort_left: usize,
}

impl Reader {
    /// Appends `data` to the text, but for the pictures in it; `depth` is the number of pictures around it.
    fn search(&mut self, data: &[u8], depth: usize) {
        let mut copied = 0;
        // At the beginning of a file, SOI is enough.
        let mut next = if depth == 0 && data.starts_with(&SOI) { Some(0) } else { find_start(data, 0) };
        while let Some(start) = next.filter(|_| interrupt::is_wanted()) {
            let mut position = start + SOI.len();
            if let Some((jpeg, len)) = self.picture(&data[start..]) {
                self.text.extend_from_slice(&data[copied..start]);
                self.cut(jpeg, len, depth);
                copied = start + len;
                position = copied;
            }
            next = find_start(data, position);
        }
        self.text.extend_from_slice(&data[copied..]);
    }

    /// The picture that `data` begins with and its length, if it is worth it and comes out the same.
    fn picture(&mut self, data: &[u8]) -> Option<(Jpeg, usize)> {
        if self.effort_left == 0 || self.pictures.len() == MAX_PICTURES {
            return None;
        }
        let limits = Limits { max_blocks: self.blocks_left, max_output_bytes: data.len() as u64 };
        let (len, jpeg) = jpeg::read_first(data, &limits);
        let jpeg = jpeg.ok().filter(|jpeg| is_restored(jpeg, &data[..len], limits));
        if jpeg.is_none() {
            self.effort_left = self.effort_left.saturating_sub(len + ATTEMPT);
        }
        jpeg.map(|jpeg| (jpeg, len))
    }

    /// Puts a picture's skeleton into the text, but for the pictures in it.
    fn cut(&mut self, jpeg: Jpeg, len: usize, depth: usize) {
        let blocks = jpeg.frame.blocks() as u64;
        self.blocks_left -= blocks;
        let (index, start) = (self.cuts.len(), self.text.len());
        self.cuts.push(Cut { range: start..start, inner_len: if depth == 0 { 0 } else { len } });
        self.pictures.push(Picture { frame: jpeg.frame, planes: jpeg.planes });
        let mut copied = 0;
        if depth + 1 < MAX_DEPTH {
            let limits = Limits { max_blocks: blocks, ..Limits::default() };
            for segment in jpeg::free_segments(&jpeg.skeleton, &limits).unwrap_or_default() {
                self.text.extend_from_slice(&jpeg.skeleton[copied..segment.start]);
                self.search(&jpeg.skeleton[segment.clone()], depth + 1);
                copied = segment.end;
            }
        }
        self.text.extend_from_slice(&jpeg.skeleton[copied..]);
        self.cuts[index].range.end = self.text.len();
    }
}

/// Where, from `position` on, a picture may begin.
fn find_start(data: &[u8], position: usize) -> Option<usize> {
    data[position..].windows(START.len()).position(|bytes| bytes == START).map(|start| position + start)
}

/// Whether `jpeg` is enough shorter than `picture`, and gives just that.
fn is_restored(jpeg: &Jpeg, picture: &[u8], limits: Limits) -> bool {
    let limits = Limits { max_output_bytes: picture.len() as u64, ..limits };
    jpeg.skeleton.len() + LEAST_CODED <= picture.len()
        // A block takes a bit: hence the bytes that coefficients stand for bound the blocks, whatever else there is.
        && jpeg.frame.blocks() <= 8 * (picture.len() - jpeg.skeleton.len())
        && jpeg::layout(&jpeg.skeleton, &limits).is_ok_and(|frame| frame == jpeg.frame)
        && jpeg::write(&jpeg.skeleton, &jpeg.planes, &limits).is_ok_and(|written| written == picture)
}

fn head(cuts: &[Cut], text_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |value: usize| bytes::put_varint(&mut out, value as u64);
    put(cuts.len());
    let mut previous = 0;
    for cut in cuts {
        put(cut.range.start - previous);
        put(text_len - cut.range.end);
        put(cut.inner_len);
        previous = cut.range.start;
    }
    out
}

/// A skeleton taken apart.
struct Parts<'a> {
    text: &'a [u8],
    cuts: Vec<Cut>,
}

impl<'a> Parts<'a> {
    fn of(skeleton: &'a [u8]) -> Result<Self> {
        let mut position = 0;
        let mut number = || {
            let number = bytes::take_varint(skeleton, &mut position, "document skeleton")?;
            usize::try_from(number).map_err(|_| corrupt("a number is out of range"))
        };
        let count = number()?;
        if count > MAX_PICTURES {
            return Err(corrupt("too many pictures"));
        }
        let entries =
            (0..count).map(|_| Ok([number()?, number()?, number()?])).collect::<Result<Vec<_>>>()?;
        let text = &skeleton[position..];
        let mut cuts: Vec<Cut> = Vec::with_capacity(count);
        // Where the pictures end that the next one may lie in.
        let mut around = vec![text.len()];
        for [distance, behind, inner_len] in entries {
            let start = cuts.last().map_or(0, |cut| cut.range.start).checked_add(distance);
            let range = start.zip(text.len().checked_sub(behind)).map(|(start, end)| start..end);
            let range =
                range.filter(|range| !range.is_empty()).ok_or_else(|| corrupt("no place for a picture"))?;
            while around.len() > 1 && around.last().is_some_and(|&end| end <= range.start) {
                around.pop();
            }
            let fits = around.last().is_some_and(|&end| range.end <= end);
            if !fits || around.len() > MAX_DEPTH || (inner_len > 0) != (around.len() > 1) {
                return Err(corrupt("pictures overlap"));
            }
            if inner_len > MAX_INNER {
                return Err(corrupt("a picture inside another is longer than a segment"));
            }
            around.push(range.end);
            cuts.push(Cut { range, inner_len });
        }
        Ok(Self { text, cuts })
    }

    /// The text with its pictures, each as `picture` makes it of its number, its skeleton and the bytes it may have.
    fn assemble<F>(&self, limits: &Limits, mut picture: F) -> Result<Vec<u8>>
    where
        F: FnMut(usize, &[u8], u64) -> Result<Vec<u8>>,
    {
        self.piece(0..self.text.len(), &mut 0, limits.max_output_bytes, &mut picture)
    }

    /// The same for a part of the text, in which `next` is the first picture.
    fn piece<F>(&self, range: Range<usize>, next: &mut usize, limit: u64, picture: &mut F) -> Result<Vec<u8>>
    where
        F: FnMut(usize, &[u8], u64) -> Result<Vec<u8>>,
    {
        let mut out = Vec::new();
        let mut copied = range.start;
        while let Some(cut) = self.cuts.get(*next).filter(|cut| cut.range.start < range.end) {
            let index = *next;
            *next += 1;
            let skeleton =
                self.piece(cut.range.clone(), next, limit.saturating_add(SKELETON_SURPLUS), picture)?;
            out.extend_from_slice(&self.text[copied..cut.range.start]);
            let room = limit.saturating_sub(out.len() as u64);
            let room = if cut.inner_len == 0 { room } else { room.min(cut.inner_len as u64) };
            out.append(&mut picture(index, &skeleton, room)?);
            copied = cut.range.end;
        }
        out.extend_from_slice(&self.text[copied..range.end]);
        check("size of the restored file", out.len() as u64, limit)?;
        Ok(out)
    }
}

fn corrupt(what: &str) -> Error {
    Error::Corrupt { what: format!("document skeleton: {what}"), offset: 0 }
}
