//! Kind 0: a file that stores the original bytes.

use super::dictionary;
use super::header::{KIND_STORED, check_size, header, sealed, take_rest};
use crate::bytes::Cursor;
use crate::{Error, Result, Unsupported, interrupt};

const VERBATIM: u8 = 0;
pub(super) const ZSTD: u8 = 1;
/// zstd with the dictionary of reconstruction data.
pub(super) const ZSTD_DICTIONARY: u8 = 2;

/// Returns a file that stores `original`, compressed by zstd if that is smaller.
///
/// # Errors
/// [`Error::InvalidArgument`] if zstd fails, [`Error::Interrupted`].
pub fn store(original: &[u8]) -> Result<Vec<u8>> {
    let mut out = header(KIND_STORED, original);
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
    let data = take_rest(cursor);
    match method {
        VERBATIM => Ok(data[..data.len().min(max)].to_vec()),
        ZSTD => Ok(dictionary::read_beginning(zstd::stream::read::Decoder::with_buffer(data), max)),
        ZSTD_DICTIONARY => Ok(dictionary::beginning(data, max)),
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
        ZSTD => dictionary::read_exactly(zstd::stream::read::Decoder::with_buffer(data), size, offset),
        ZSTD_DICTIONARY => dictionary::decompress(data, size, offset),
        method => Err(Unsupported::Method { format: "storage", method }.into()),
    }
}
