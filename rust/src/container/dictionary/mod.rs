//! zstd for JPEG headers and metadata, with a dictionary of the usual ones.
//!
//! An ordinary header has 623 bytes, 1 % of a small photograph. As references to the standard tables of the dictionary it
//! has 24, and the dictionary halves the metadata of a camera.
//! The dictionary is part of the format: it must never change.

mod exif;
mod icc;
mod photoshop;
mod xmp;

use std::io::{BufRead, Read};
use std::sync::LazyLock;

use super::header::check_size;
use crate::interrupt::Watched;
use crate::jpeg::annex_k;
use crate::{Error, Result, interrupt};

/// The level for data of less than [`LARGE`] bytes, as reconstruction data usually have.
const LEVEL: i32 = 19;
/// The level for large data, which rarely compress: higher levels take seconds per megabyte.
pub(super) const LARGE_LEVEL: i32 = 9;
/// Bytes from which data are large.
pub(super) const LARGE: usize = 1 << 20;
/// The first bytes of every zstd frame. They are not stored.
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Metadata, libjpeg's quantisation tables at every quality, JFIF and frame headers, Huffman tables and a scan header. The
/// most frequent come last, where references are cheapest.
pub(super) static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = metadata();
    for quality in 1..=100 {
        out.extend(quantisation_segment(0, &annex_k::LUMINANCE_QUANTISERS, quality));
        out.extend(quantisation_segment(1, &annex_k::CHROMINANCE_QUANTISERS, quality));
    }
    out.extend(b"\xff\xe2\x0c\x58ICC_PROFILE\0\x01\x01\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01\xff\xdd\0\x04");
    out.extend(b"\x01\0\0\0\0\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\x01\0\x48\0\x48\0\0\xff\xdb\0\x43\0");
    out.extend(b"\x01\0\0\0\0\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0\x43\0");
    out.extend(b"\xff\xc2\0\x11\x08\xff\xc0\0\x0b\x08\x01\x01\x11\0");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x21\0\x02\x11\x01\x03\x11\x01");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x11\0\x02\x11\x01\x03\x11\x01");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x22\0\x02\x11\x01\x03\x11\x01");
    let dc: Vec<u8> = (0..12).collect();
    out.extend(huffman_segment(0x00, &annex_k::DC_LUMINANCE_COUNTS, &dc));
    out.extend(huffman_segment(0x10, &annex_k::AC_LUMINANCE_COUNTS, &annex_k::AC_LUMINANCE_SYMBOLS));
    out.extend(huffman_segment(0x01, &annex_k::DC_CHROMINANCE_COUNTS, &dc));
    out.extend(huffman_segment(0x11, &annex_k::AC_CHROMINANCE_COUNTS, &annex_k::AC_CHROMINANCE_SYMBOLS));
    out.extend(b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xda\0\x0c\x03\x01\0\x02\x11\x03\x11\0\x3f\0\xff\xd9");
    out
});

/// Returns the usual metadata, the most frequent last.
fn metadata() -> Vec<u8> {
    let mut out = photoshop::PHOTOSHOP.to_vec();
    out.extend(xmp::XMP.as_bytes());
    out.extend(icc::display_p3());
    out.extend(icc::srgb());
    out.extend(exif::MAKERS);
    for order in [exif::ByteOrder::Big, exif::ByteOrder::Little] {
        out.extend(exif::segment(order));
    }
    out
}

/// Returns a DQT segment as libjpeg writes it at `quality`.
fn quantisation_segment(id: u8, base: &[u32; 64], quality: u32) -> Vec<u8> {
    let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let mut out = vec![0xff, 0xdb, 0, 67, id];
    out.extend(base.iter().map(|q| ((q * scale + 50) / 100).clamp(1, 255) as u8));
    out
}

fn huffman_segment(class_and_id: u8, counts: &[u8; 16], symbols: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff, 0xc4, 0, (19 + symbols.len()) as u8, class_and_id];
    out.extend_from_slice(counts);
    out.extend_from_slice(symbols);
    out
}

/// The dictionary prepared for the encoder. The preparation takes as long as compressing a small file.
static PREPARED: LazyLock<zstd::dict::EncoderDictionary<'static>> =
    LazyLock::new(|| zstd::dict::EncoderDictionary::copy(&DICTIONARY, LEVEL));

/// Compresses data of any size.
pub(super) fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let compressed = interrupt::compress(data, deflate)?;
    compressed.map_err(|e| Error::InvalidArgument(format!("zstd: {e}")))
}

fn deflate(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = if data.len() < LARGE {
        zstd::bulk::Compressor::with_prepared_dictionary(&PREPARED)
    } else {
        zstd::bulk::Compressor::with_dictionary(LARGE_LEVEL, &DICTIONARY)
    }?;
    compressor.include_contentsize(false)?;
    compressor.include_checksum(false)?;
    Ok(compressor.compress(data)?.split_off(ZSTD_MAGIC.len()))
}

/// Decompresses exactly `size` bytes; `offset` is where `data` begin in the file, for the error.
pub(super) fn decompress(data: &[u8], size: u64, offset: usize) -> Result<Vec<u8>> {
    read_exactly(unpacking(data), size, offset)
}

/// Returns a reader of the data that [`compress`] was given.
pub(super) fn unpacking<'a, R: BufRead + 'a>(packed: R) -> std::io::Result<impl Read + 'a> {
    zstd::stream::read::Decoder::with_dictionary(ZSTD_MAGIC.chain(packed), &DICTIONARY)
}

/// Decompresses the beginning of data of which the end may be missing: as much as is known, but at most `max` bytes.
pub(super) fn beginning(data: &[u8], max: usize) -> Vec<u8> {
    read_beginning(unpacking(data), max)
}

/// Reads the beginning of what zstd gives before its input ends or is damaged, at most `max` bytes.
pub(super) fn read_beginning(decoder: std::io::Result<impl Read>, max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(decoder) = decoder {
        // What was read before an error stays.
        let _ = decoder.take(max as u64).read_to_end(&mut out);
    }
    out
}

/// Reads exactly `size` bytes from zstd, never more; `offset` is where its input begins in the file.
pub(super) fn read_exactly(decoder: std::io::Result<impl Read>, size: u64, offset: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder
        .and_then(|decoder| Watched(decoder.take(size.saturating_add(1))).read_to_end(&mut out))
        .map_err(|e| Error::Corrupt { what: format!("zstd: {e}"), offset })?;
    check_size(&out, size, offset)?;
    Ok(out)
}
