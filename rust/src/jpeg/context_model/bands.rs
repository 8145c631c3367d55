//! Coding of a frame in bands of rows, each a stream of its own, by many threads.

use super::band_coder::{code_band, initial_contexts};
use super::prior::Prior;
use super::steps::{divide, multiply};
use crate::ans::Backend;
use crate::ans::adaptive::{Reader, Writer};
use crate::jpeg::block::Block;
use crate::jpeg::file::{Plane, check_planes};
use crate::jpeg::frame::Frame;
use crate::parallel::in_parallel;
use crate::{Error, Result, streams};
use std::ops::Range;
use std::sync::Mutex;

/// The largest number of blocks in a band, unless it is a single row of MCUs. A frame is cut into as few bands as
/// possible. Part of the format: it bounds memory and keeps all cores busy.
const MAX_BAND_BLOCKS: usize = 48 << 10;
/// Lanes of a stream: as many as vector instructions need to encode. Symbols are decoded one by one with any number.
const MAX_LANES: usize = 16;

/// Encodes the coefficients of a frame: the [joined](crate::streams::join) streams of its bands.
///
/// Coefficients are divided by the steps of the frame. Each stream is decoded and compared. `threads` 0 means one for
/// each core.
///
/// # Errors
/// [`Error::InvalidArgument`] if the planes do not fit the frame, [`Error::Corrupt`] if coefficients are not multiples of
/// their steps.
pub fn encode<P: AsRef<[i16]> + Sync>(frame: &Frame, planes: &[P], threads: usize) -> Result<Vec<u8>> {
    check_planes(frame, planes)?;
    let bands = bands(frame);
    let streams = in_parallel(bands.len(), threads, |band| {
        let rows = &bands[band];
        let areas = areas(frame, rows);
        let original: Vec<&[Block]> =
            planes.iter().zip(areas).map(|(plane, area)| &plane.as_ref().as_chunks().0[area]).collect();
        let mut band: Vec<Vec<Block>> = original.iter().map(|blocks| blocks.to_vec()).collect();
        divide(frame, rows, &mut views(&mut band));
        let stream = Backend::default().compiled(
            #[inline(always)]
            || -> Result<Vec<u8>> {
                let mut writer = Writer::new(initial_contexts(frame, Prior::get()));
                code_band(&mut writer, frame, rows, Prior::get(), &mut views(&mut band))?;
                writer.finish(MAX_LANES)
            },
        )?;
        band.iter_mut().for_each(|blocks| blocks.fill([0; 64]));
        decode_band(frame, rows, &stream, &mut views(&mut band))?;
        match original.iter().eq(&band) {
            true => Ok(stream),
            false => Err(Error::Corrupt { what: "coefficients that do not decode".into(), offset: 0 }),
        }
    })?;
    streams::join(&streams)
}

/// Decodes the coefficients that [`encode`] was given.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Truncated`] if the data do not belong to such a frame.
pub fn decode(frame: &Frame, data: &[u8], threads: usize) -> Result<Vec<Plane>> {
    decode_rows(frame, data, 0..usize::MAX, threads)
}

/// Decodes the bands that hold some rows of MCUs. The coefficients of the others are 0.
///
/// # Errors
/// As [`decode`].
pub fn decode_rows(frame: &Frame, data: &[u8], rows: Range<usize>, threads: usize) -> Result<Vec<Plane>> {
    let bands = bands(frame);
    let streams = streams::split(data, bands.len())?;
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
    let first = bands.partition_point(|band| band.end <= rows.start);
    let wanted = first..bands.partition_point(|band| band.start < rows.end).max(first);
    in_parallel(wanted.len(), threads, |index| {
        let band = wanted.start + index;
        let mut job = jobs[band].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        decode_band(frame, &bands[band], streams[band], &mut job)
    })?;
    drop(jobs);
    Ok(planes.into_iter().map(Vec::into_flattened).collect())
}

fn decode_band(frame: &Frame, rows: &Range<usize>, stream: &[u8], blocks: &mut [&mut [Block]]) -> Result<()> {
    Backend::default().compiled(
        #[inline(always)]
        || {
            let mut reader = Reader::new(initial_contexts(frame, Prior::get()), stream)?;
            code_band(&mut reader, frame, rows, Prior::get(), blocks)?;
            reader.finish()
        },
    )?;
    multiply(frame, rows, blocks);
    Ok(())
}

/// Returns the rows of MCUs of each band.
pub(super) fn bands(frame: &Frame) -> Vec<Range<usize>> {
    let (_, rows) = frame.mcus();
    let count = frame.blocks().div_ceil(MAX_BAND_BLOCKS).clamp(1, rows.max(1));
    let start = |i: usize| rows * i / count;
    (0..count).map(|i| start(i)..start(i + 1)).collect()
}

/// Returns the blocks of a band in each component.
fn areas<'a>(frame: &'a Frame, band: &'a Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
    frame.components.iter().map(|component| {
        let blocks = usize::from(component.v) * component.blocks_w;
        band.start * blocks..band.end * blocks
    })
}

fn views(blocks: &mut [Vec<Block>]) -> Vec<&mut [Block]> {
    blocks.iter_mut().map(Vec::as_mut_slice).collect()
}
