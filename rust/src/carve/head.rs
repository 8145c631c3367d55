//! Parts of a file without its coefficients: its beginning, and a JPEG nested in it.

use super::residue::{Embedding, Residue, header};
use crate::Result;
use crate::bytes::take_varint;

/// Returns the beginning of a file, up to the coefficients of its first JPEG, with zeros in place of nested JPEGs.
///
/// `part` is the beginning of reconstruction data of `length` bytes. If it is short, the result is. At most `max` bytes
/// are returned.
///
/// # Errors
/// [`crate::Error::Truncated`] if `part` is too short for any byte, [`crate::Error::Corrupt`].
pub fn head(part: &[u8], length: usize, max: usize) -> Result<Vec<u8>> {
    let residue = Residue::parse_beginning(part, length)?;
    let bytes = residue.bytes();
    let mut embeddings = residue.embeddings.iter();
    let Some(first) = embeddings.next() else { return Ok(bytes[..bytes.len().min(max)].to_vec()) };
    if first.range.start > 0 {
        // Nobody knows where the first JPEG's reconstruction data lead to before they are decoded.
        return Ok(bytes[..first.range.start.min(bytes.len()).min(max)].to_vec());
    }
    let end = first.range.end.min(bytes.len());
    let mut position = 0;
    take_varint(&bytes[..end], &mut position, "length of the notes")?;
    let mut out = Vec::new();
    while out.len() < max {
        // Those inside the one before are gone with it.
        let nested = embeddings.find(|nested| nested.range.start >= position);
        let Some(nested) = nested.filter(|nested| nested.range.start < end) else { break };
        out.extend_from_slice(&bytes[position..nested.range.start]);
        out.resize(out.len() + nested.nested_len, 0);
        position = nested.range.end;
    }
    out.extend_from_slice(bytes.get(position..end).unwrap_or_default());
    out.truncate(max);
    Ok(out)
}

/// Returns the JPEG that begins at a position of the file and is nested in the file's first JPEG: its index, and the
/// reconstruction data of a file that consists of it alone. Returns None if there is none, or others are nested in it.
///
/// # Errors
/// [`crate::Error::Corrupt`] or [`crate::Error::Truncated`].
pub fn nested_at(reconstruction: &[u8], position: usize) -> Result<Option<(usize, Vec<u8>)>> {
    let residue = Residue::parse(reconstruction)?;
    let Some(first) = residue.embeddings.first().filter(|first| first.range.start == 0) else {
        return Ok(None);
    };
    // The position in the file of what has been passed, and that in the residue.
    let (mut in_file, mut in_residue) = (0, 0);
    take_varint(residue.bytes(), &mut in_residue, "length of the notes")?;
    for (index, nested) in residue.embeddings.iter().enumerate().skip(1) {
        let range = nested.range.clone();
        if range.start >= first.range.end {
            break;
        }
        if range.start < in_residue {
            continue;
        }
        in_file += range.start - in_residue;
        if in_file == position {
            let has_nested =
                residue.embeddings.get(index + 1).is_some_and(|next| next.range.start < range.end);
            let bytes = &residue.bytes()[range];
            let mut alone = header(&[Embedding { range: 0..bytes.len(), nested_len: 0 }], bytes.len());
            alone.extend_from_slice(bytes);
            return Ok((!has_nested).then_some((index, alone)));
        }
        in_file += nested.nested_len;
        in_residue = range.end;
    }
    Ok(None)
}
