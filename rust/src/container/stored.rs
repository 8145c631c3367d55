//! Kind 0: a file that stores the original bytes.

use std::io::{BufRead, Read};

use super::header::{KIND_STORED, check_size, header, sealed, take_rest};
use super::{Hashes, dictionary};
use crate::bytes::Cursor;
use crate::{Error, Result, Unsupported, interrupt};

pub(super) const VERBATIM: u8 = 0;
pub(super) const ZSTD: u8 = 1;
/// zstd with the dictionary of reconstruction data.
pub(super) const ZSTD_DICTIONARY: u8 = 2;

/// Returns a file that stores `original`, compressed by zstd if that is smaller.
///
/// # Errors
/// [`Error::InvalidArgument`] if zstd fails, [`Error::Interrupted`].
pub fn store(original: &[u8], hashes: Hashes) -> Result<Vec<u8>> {
    let mut out = header(KIND_STORED, original, hashes)?;
    let (method, packed) = if original.len() < dictionary::LARGE {
        (ZSTD_DICTIONARY, dictionary::compress(original)?)
    } else {
        let failed = |e: std::io::Error| Error::InvalidArgument(e.to_string());
        let deflate = |data: &[u8]| zstd::bulk::compress(data, dictionary::LARGE_LEVEL);
        (ZSTD, interrupt::compress(original, deflate)?.map_err(failed)?)
    };
    let smaller = packed.len() < original.len();
    out.push(if smaller { method } else { VERBATIM });
    out.extend_from_slice(if smaller { &packed } else { original });
    Ok(sealed(out))
}

/// Returns the beginning of the original bytes, at most `max`; the end of the data may be missing.
pub(super) fn beginning(cursor: &mut Cursor, max: usize) -> Result<Vec<u8>> {
    let method = cursor.byte("storage method")?;
    Ok(dictionary::read_beginning(unpacking(method, take_rest(cursor))?, max))
}

/// Returns a reader of the original bytes.
pub(super) fn unpacking<'a, R: BufRead + 'a>(
    method: u8,
    packed: R,
) -> Result<std::io::Result<Box<dyn Read + 'a>>> {
    fn boxed<'a>(reader: impl Read + 'a) -> Box<dyn Read + 'a> {
        Box::new(reader)
    }
    match method {
        VERBATIM => Ok(Ok(boxed(packed))),
        ZSTD => Ok(zstd::stream::read::Decoder::with_buffer(packed).map(boxed)),
        ZSTD_DICTIONARY => Ok(dictionary::unpacking(packed).map(boxed)),
        method => Err(Unsupported::Method { format: "storage", method }.into()),
    }
}

/// Reads the original bytes, of which there must be `size`.
pub(super) fn read(cursor: &mut Cursor, size: u64) -> Result<Vec<u8>> {
    let method = cursor.byte("storage method")?;
    let offset = cursor.position();
    let data = take_rest(cursor);
    match method {
        VERBATIM => check_size(data, size, offset).map(|()| data.to_vec()),
        method => dictionary::read_exactly(unpacking(method, data)?, size, offset),
    }
}
