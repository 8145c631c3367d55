//! Coefficients by an adaptive context model: for the pictures that no network is trained for, and without torch.
//!
//! The ideas are those of packJPG, Lepton and brunsli: a coefficient's distribution depends on the magnitudes around
//! it, in its block and in the blocks before; the first row and column, and DC, on how the picture goes on across the
//! boundary. Here both are linear predictions whose weights are learnt from photographs (`prior.rs`), and the
//! distributions of each context, though they adapt to the file, begin with what photographs have taught as well. So
//! even small pictures are coded well, and large ones can be cut into bands for many threads at little cost.
//!
//! Everything is integers: the same bytes on any machine.

mod context;
mod prior;
#[cfg(test)]
mod tests;
mod walk;
mod zigzag;

use std::ops::Range;
use std::sync::{Mutex, OnceLock};

use super::{Frame, Plane};
use crate::ans::adaptive::{AdaptiveCoder, Contexts, Counter, Reader, Writer};
use crate::ans::Backend;
use crate::jpeg;
use crate::parallel::in_parallel;
use crate::tables::exact_math;
use crate::{Error, Result};
pub use prior::fingerprint;
use prior::{Class, Prior};
use walk::{walk, Component, Logarithms};

/// A frame is cut into bands of whole rows of MCUs, as few as have no more blocks than this, unless it is one row.
/// Part of the format. It bounds memory and keeps all cores busy.
const BAND: usize = 48 << 10;
/// As many as vector instructions need to encode; symbols are decoded one by one on any number.
const MAX_LANES: usize = 16;

type Block = [i16; 64];

/// A stream for each band of a frame, each of which has been seen to give the same coefficients back; in front, the
/// lengths of all but the last, 32 bits each. Where the frame has steps, coefficients are divided by them.
///
/// # Errors
/// [`Error::InvalidArgument`] if the planes do not fit the frame.
pub fn encode<P: AsRef<[i16]> + Sync>(frame: &Frame, planes: &[P], threads: usize) -> Result<Vec<u8>> {
    let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
    super::check_planes(frame, &planes)?;
    let bands = bands(frame);
    let streams = in_parallel(bands.len(), threads, |band| {
        let rows = &bands[band];
        let original = || planes.iter().zip(areas(frame, rows)).map(|(plane, area)| &blocks(plane)[area]);
        let mut band: Vec<Vec<Block>> = original().map(<[Block]>::to_vec).collect();
        scale(frame, rows, &mut views(&mut band), |coefficient, shift| coefficient >> shift);
        let stream = Backend::default().compiled(
            #[inline(always)]
            || -> Result<Vec<u8>> {
                let mut writer = Writer::new(contexts(frame, Prior::get()));
                code(&mut writer, frame, rows, Prior::get(), &mut views(&mut band))?;
                writer.finish(MAX_LANES)
            },
        )?;
        band.iter_mut().for_each(|blocks| blocks.fill([0; 64]));
        decode_band(frame, rows, &stream, &mut views(&mut band))?;
        match original().eq(band.iter()) {
            true => Ok(stream),
            false => Err(Error::Corrupt { what: "coefficients that do not decode".into(), offset: 0 }),
        }
    })?;
    let lengths = streams[..streams.len() - 1].iter().flat_map(|stream| (stream.len() as u32).to_le_bytes());
    Ok(lengths.chain(streams.iter().flatten().copied()).collect())
}

/// The coefficients that [`encode`] was given.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Truncated`] if the data are not of such a frame.
pub fn decode(frame: &Frame, data: &[u8], threads: usize) -> Result<Vec<Plane>> {
    let bands = bands(frame);
    let streams = split(data, bands.len())?;
    let mut planes: Vec<Vec<Block>> =
        frame.components.iter().map(|component| vec![[0; 64]; component.blocks()]).collect();
    let mut rest: Vec<&mut [Block]> = views(&mut planes);
    let mut jobs = Vec::new();
    for band in &bands {
        let areas = areas(frame, band);
        let job: Vec<&mut [Block]> = rest
            .iter_mut()
            .zip(areas)
            .map(|(rest, area)| rest.split_off_mut(..area.len()).unwrap_or_default())
            .collect();
        jobs.push(Mutex::new(job));
    }
    in_parallel(bands.len(), threads, |band| {
        let mut job = jobs[band].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        decode_band(frame, &bands[band], streams[band], &mut job)
    })?;
    drop(jobs);
    Ok(planes.into_iter().map(Vec::into_flattened).collect())
}

/// The streams of so many bands.
fn split(data: &[u8], bands: usize) -> Result<Vec<&[u8]>> {
    let truncated = Error::Truncated { what: "coefficients of a picture", offset: data.len() };
    let (lengths, mut rest) = data.split_at_checked(4 * (bands - 1)).ok_or(truncated.clone())?;
    let mut streams = Vec::with_capacity(bands);
    for &length in lengths.as_chunks().0 {
        let stream;
        (stream, rest) =
            rest.split_at_checked(u32::from_le_bytes(length) as usize).ok_or(truncated.clone())?;
        streams.push(stream);
    }
    streams.push(rest);
    Ok(streams)
}

fn decode_band(frame: &Frame, rows: &Range<usize>, stream: &[u8], blocks: &mut [&mut [Block]]) -> Result<()> {
    Backend::default().compiled(
        #[inline(always)]
        || {
            let mut reader = Reader::new(contexts(frame, Prior::get()), stream)?;
            code(&mut reader, frame, rows, Prior::get(), blocks)?;
            reader.finish()
        },
    )?;
    scale(frame, rows, blocks, |coefficient, shift| coefficient << shift);
    Ok(())
}

/// Divides the coefficients of a band by their steps, or multiplies them.
fn scale(frame: &Frame, rows: &Range<usize>, blocks: &mut [&mut [Block]], by: impl Fn(i16, u8) -> i16) {
    for (component, blocks) in frame.components.iter().zip(blocks) {
        for (part, shifts) in parts(component, rows).filter(|(_, shifts)| **shifts != NO_SHIFTS) {
            for block in &mut blocks[part] {
                block.iter_mut().zip(shifts).for_each(|(value, &shift)| *value = by(*value, shift));
            }
        }
    }
}

static NO_SHIFTS: [u8; 64] = [0; 64];

/// The blocks of a band of a component in parts whose coefficients are multiples of the same steps, and the binary
/// logarithms of these.
fn parts<'a>(
    component: &'a jpeg::Component,
    rows: &'a Range<usize>,
) -> impl Iterator<Item = (Range<usize>, &'a [u8; 64])> {
    let steps = &component.steps;
    let row_blocks = usize::from(component.v) * component.blocks_w;
    let start = move |index: usize| {
        let row = steps.get(index).map_or(rows.end, |steps| steps.row);
        // Whatever the first says, it begins with the band.
        if index == 0 {
            0
        } else {
            (row.clamp(rows.start, rows.end) - rows.start) * row_blocks
        }
    };
    (0..steps.len().max(1))
        .map(move |index| {
            let shifts = steps.get(index).map_or(&NO_SHIFTS, |steps| &steps.shifts);
            (start(index)..start(index + 1), shifts)
        })
        .filter(|(part, _)| !part.is_empty())
}

/// Codes a band of all components, divided by their steps, by any coder.
#[inline(always)]
fn code<C: AdaptiveCoder>(
    coder: &mut C,
    frame: &Frame,
    rows: &Range<usize>,
    prior: &Prior,
    blocks: &mut [&mut [Block]],
) -> Result<()> {
    let (mut first_row, mut first_bit) = (0, 0);
    for index in 0..blocks.len() {
        let of_frame = &frame.components[index];
        let class = class(frame, index, prior);
        let (before, from_here) = blocks.split_at_mut(index);
        let reference = before.last().filter(|_| is_chroma(frame, index) && is_chroma(frame, index - 1));
        let reference = reference.map(|blocks| &**blocks).filter(|blocks| blocks.len() == from_here[0].len());
        for (part, shifts) in parts(of_frame, rows) {
            let quantisers = std::array::from_fn(|k| {
                (u32::from(of_frame.quant[k]) << shifts[k]).min(u16::MAX.into()) as u16
            });
            let component = Component {
                columns: of_frame.blocks_w,
                quantisers,
                reciprocals: quantisers.map(|quantiser| (1 << 24) / u32::from(quantiser.max(1))),
                weights: &class.weights,
                first_row,
                first_bit,
            };
            let reference = reference.map(|blocks| &blocks[part.clone()]);
            walk(coder, &component, &prior.boundary, logarithms(), &mut from_here[0][part], reference)?;
        }
        first_row += class.contexts.rows.len();
        first_bit += class.contexts.bits.len();
    }
    Ok(())
}

/// Whether a component is likely to be smooth: the second and third, but not in CMYK.
fn is_chroma(frame: &Frame, index: usize) -> bool {
    let [first, component] = [0, index].map(|index| &frame.components[index]);
    let like_first = (component.h, component.v, &component.quant) == (first.h, first.v, &first.quant);
    (1..=2).contains(&index) && !(frame.components.len() == 4 && like_first)
}

fn class<'a>(frame: &Frame, index: usize, prior: &'a Prior) -> &'a Class {
    if is_chroma(frame, index) {
        &prior.chroma
    } else {
        &prior.luma
    }
}

/// What all components begin with, one after the other.
fn contexts(frame: &Frame, prior: &Prior) -> Contexts {
    let mut all = Contexts::default();
    for index in 0..frame.components.len() {
        all.extend(&class(frame, index, prior).contexts);
    }
    all
}

fn logarithms() -> &'static Logarithms {
    static LOGARITHMS: OnceLock<Box<Logarithms>> = OnceLock::new();
    LOGARITHMS.get_or_init(|| {
        let mut table = Box::new([0; 1 << 15]);
        for (magnitude, logarithm) in table.iter_mut().enumerate() {
            let octaves = exact_math::ln(1.0 + magnitude as f64) / exact_math::ln(2.0);
            *logarithm = (4096.0 * octaves + 0.5).min(f64::from(i16::MAX)) as i16;
        }
        table
    })
}

/// The rows of MCUs of each band.
fn bands(frame: &Frame) -> Vec<Range<usize>> {
    let (_, rows) = frame.mcus();
    let count = frame.blocks().div_ceil(BAND).clamp(1, rows.max(1));
    let start = |i: usize| rows * i / count;
    (0..count).map(|i| start(i)..start(i + 1)).collect()
}

/// The blocks of a band in each component.
fn areas<'a>(frame: &'a Frame, band: &'a Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
    frame.components.iter().map(|component| {
        let blocks = usize::from(component.v) * component.blocks_w;
        band.start * blocks..band.end * blocks
    })
}

fn blocks(plane: &[i16]) -> &[Block] {
    plane.as_chunks().0
}

fn views(blocks: &mut [Vec<Block>]) -> Vec<&mut [Block]> {
    blocks.iter_mut().map(Vec::as_mut_slice).collect()
}

/// The counts of the 16 symbols of each row, and those of each bit.
pub type Counts<'a> = (&'a [[u32; 16]], &'a [[u32; 2]]);

/// How often each symbol of each context occurs, from which `prior.bin` is made.
pub struct Statistics {
    prior: Prior,
    luma: Counter,
    chroma: Counter,
}

impl Statistics {
    /// Nothing yet; `prior` is what `prior.bin` holds, of which only the weights matter.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it has not that length.
    pub fn new(prior: &[u8]) -> Result<Self> {
        let prior = Prior::parse(prior)?;
        let [luma, chroma] = [&prior.luma, &prior.chroma].map(|class| Counter::of(&class.contexts));
        Ok(Self { prior, luma, chroma })
    }

    /// Adds what coding these coefficients takes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the planes do not fit the frame.
    pub fn add<P: AsRef<[i16]>>(&mut self, frame: &Frame, planes: &[P]) -> Result<()> {
        let planes: Vec<&[i16]> = planes.iter().map(AsRef::as_ref).collect();
        super::check_planes(frame, &planes)?;
        let frame = &frame.clone().without_steps();
        let mut blocks: Vec<Vec<Block>> = planes.iter().map(|plane| blocks(plane).to_vec()).collect();
        let mut counter = Counter::of(&contexts(frame, &self.prior));
        code(&mut counter, frame, &(0..frame.mcus().1), &self.prior, &mut views(&mut blocks))?;
        let (mut rows, mut bits) = (&counter.rows[..], &counter.bits[..]);
        for index in 0..planes.len() {
            let class = if is_chroma(frame, index) { &mut self.chroma } else { &mut self.luma };
            let (these_rows, these_bits);
            (these_rows, rows) = rows.split_at(class.rows.len());
            (these_bits, bits) = bits.split_at(class.bits.len());
            class.add(these_rows, these_bits);
        }
        Ok(())
    }

    /// For luma and chroma.
    pub fn counts(&self) -> [Counts<'_>; 2] {
        [&self.luma, &self.chroma].map(|counter| (&counter.rows[..], &counter.bits[..]))
    }
}
