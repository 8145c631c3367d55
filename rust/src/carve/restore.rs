//! Restoring a file from its reconstruction data and the coefficients of its JPEGs.

use super::residue::{Residue, corrupt};
use crate::jpeg::{self, Frame};
use crate::limits::check;
use crate::{Error, Limits, Result};

/// Returns the frames of the JPEGs that [`write()`] expects coefficients for.
///
/// The limit on blocks holds for all JPEGs together.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Truncated`], [`Error::Unsupported`] or [`Error::LimitExceeded`].
pub fn layout(reconstruction: &[u8], limits: &Limits) -> Result<Vec<Frame>> {
    layout_of(&Residue::parse(reconstruction)?, limits)
}

/// Writes the file that reconstruction data and the planes of all its JPEGs were read from.
///
/// # Errors
/// [`Error::InvalidArgument`] if the planes do not fit the frames of [`layout()`], [`Error::Corrupt`] if some coefficients
/// cannot be coded, and the errors of [`layout()`].
pub fn write<P: AsRef<[i16]>>(reconstruction: &[u8], jpegs: &[Vec<P>], limits: &Limits) -> Result<Vec<u8>> {
    let residue = Residue::parse(reconstruction)?;
    if jpegs.len() != residue.embeddings.len() {
        let what =
            format!("coefficients of {} JPEGs for a file of {}", jpegs.len(), residue.embeddings.len());
        return Err(Error::InvalidArgument(what));
    }
    // The coefficients are in memory already: here the limit on blocks holds for each JPEG, not for all together.
    let blocks = jpegs.iter().flatten().map(|plane| plane.as_ref().len() as u64 / 64).sum();
    let frames =
        layout_of(&residue, &Limits { max_blocks: limits.max_blocks.max(blocks), ..limits.clone() })?;
    for (frame, planes) in frames.iter().zip(jpegs) {
        jpeg::check_planes(frame, planes)?;
    }
    residue.assemble(limits, |index, reconstruction, max_output_bytes| {
        let limits = Limits { max_output_bytes, ..limits.clone() };
        // The nested JPEGs are in place now, and they must not change the frame around them.
        if jpeg::layout(reconstruction, &limits)? != frames[index] {
            return Err(corrupt("the frame of a JPEG depends on one that is nested in it"));
        }
        let file = jpeg::write(reconstruction, &jpegs[index], &limits)?;
        match residue.embeddings[index].nested_len {
            len if len == file.len() || len == 0 => Ok(file),
            _ => Err(corrupt("a nested JPEG has another length")),
        }
    })
}

/// Returns the number of JPEGs whose reconstruction data this is.
pub(crate) fn count(reconstruction: &[u8]) -> Result<usize> {
    Ok(Residue::parse(reconstruction)?.embeddings.len())
}

/// Returns whether the file begins with a JPEG whose reconstruction data this is, and not with residue.
///
/// # Errors
/// As [`layout()`].
pub fn begins_with_jpeg(reconstruction: &[u8]) -> Result<bool> {
    let residue = Residue::parse(reconstruction)?;
    Ok(residue.embeddings.first().is_some_and(|first| first.range.start == 0))
}

fn layout_of(residue: &Residue, limits: &Limits) -> Result<Vec<Frame>> {
    let mut blocks_left = limits.max_blocks;
    let mut frames = vec![None; residue.embeddings.len()];
    residue.assemble(limits, |index, reconstruction, max_output_bytes| {
        let frame = jpeg::layout(reconstruction, &Limits { max_blocks: blocks_left, ..limits.clone() })?;
        blocks_left = blocks_left.saturating_sub(frame.blocks() as u64);
        frames[index] = Some(frame);
        // The enclosing JPEG depends on the length of this one, not on its contents.
        let nested_len = residue.embeddings[index].nested_len;
        check("size of the restored file", nested_len as u64, max_output_bytes)?;
        Ok(vec![0; nested_len])
    })?;
    Ok(frames.into_iter().flatten().collect())
}
