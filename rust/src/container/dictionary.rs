//! zstd for JPEG headers, with a dictionary of what most of them consist of.
//!
//! An ordinary header is 623 bytes, 1 % of a small photograph; as references to standard tables it is 24, and the
//! metadata of a camera are half as long with the dictionary as without.
//! The dictionary is part of the format: it must never change.

use std::io::Read;
use std::sync::LazyLock;

use super::metadata;
use crate::jpeg::annex_k;
use crate::{interrupt, Error, Result};

/// Skeletons are small, but for one with much behind the end of its picture.
const LEVEL: i32 = 19;
pub(super) const LARGE: usize = 1 << 20;
/// What every zstd frame begins with; not stored.
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Metadata, libjpeg's quantisation tables at every quality, JFIF and frame headers, Huffman tables, scan header: the
/// most frequent last, where references are cheapest.
pub(super) static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = metadata::pieces();
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

/// A DQT segment as libjpeg writes it at `quality`.
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

/// The dictionary as the encoder wants it: to make this takes as long as to compress a small file with it.
static PREPARED: LazyLock<zstd::dict::EncoderDictionary<'static>> =
    LazyLock::new(|| zstd::dict::EncoderDictionary::copy(&DICTIONARY, LEVEL));

pub(super) fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let compressed = interrupt::compress(data, deflate)?;
    compressed.map_err(|e| Error::InvalidArgument(format!("zstd: {e}")))
}

fn deflate(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = if data.len() < LARGE {
        zstd::bulk::Compressor::with_prepared_dictionary(&PREPARED)
    } else {
        zstd::bulk::Compressor::with_dictionary(super::ZSTD_LEVEL, &DICTIONARY)
    }?;
    compressor.include_contentsize(false)?;
    compressor.include_checksum(false)?;
    Ok(compressor.compress(data)?.split_off(ZSTD_MAGIC.len()))
}

/// Exactly `size` bytes, or an error that names `offset`, where `data` stands in the file.
pub(super) fn decompress(data: &[u8], size: u64, offset: usize) -> Result<Vec<u8>> {
    let frame = ZSTD_MAGIC.chain(data);
    super::unzstd(zstd::stream::read::Decoder::with_dictionary(frame, &DICTIONARY), size, offset)
}
