//! zstd for JPEG headers, with a dictionary of what most of them consist of.
//!
//! An ordinary header is 623 bytes, 1 % of a small photograph; as references to standard tables it is about 50.
//! The dictionary is part of the format: it must never change.

use std::io::Read;
use std::sync::LazyLock;

use crate::{Error, Result};

/// Skeletons are small.
const LEVEL: i32 = 19;
/// What every zstd frame begins with; not stored.
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// ITU-T T.81 tables K.1 and K.2 in zig-zag order.
const LUMA_QUANTISERS: [u32; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40,
    58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103,
    104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
];
const CHROMA_QUANTISERS: [u32; 64] = [
    17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// Code counts by length of tables K.3 and K.5; K.4 and K.6 below. The symbols of the DC tables are 0..=11.
const LUMA_DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const CHROMA_DC_COUNTS: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
const LUMA_AC_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d];
const CHROMA_AC_COUNTS: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77];
const LUMA_AC_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
    0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
    0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
    0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
    0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
    0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
const CHROMA_AC_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
    0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
    0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
    0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
    0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
    0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
    0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
    0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

/// JFIF header, libjpeg's quantisation tables at every quality, frame headers, Huffman tables, scan header: the most
/// frequent last, where references are cheapest.
pub(super) static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    for quality in 1..=100 {
        out.extend(quantisation_segment(0, &LUMA_QUANTISERS, quality));
        out.extend(quantisation_segment(1, &CHROMA_QUANTISERS, quality));
    }
    out.extend(b"\xff\xe1\x00\x00Exif\0\0II*\0\x08\0\0\0MM\0*\0\0\0\x08http://ns.adobe.com/xap/1.0/\0");
    out.extend(b"\xff\xe2\x0c\x58ICC_PROFILE\0\x01\x01\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01\xff\xdd\0\x04");
    out.extend(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\x01\0\x48\0\x48\0\0\xff\xdb\0\x43\0");
    out.extend(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0\x43\0");
    out.extend(b"\xff\xc2\0\x11\x08\xff\xc0\0\x0b\x08\x01\x01\x11\0");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x21\0\x02\x11\x01\x03\x11\x01");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x11\0\x02\x11\x01\x03\x11\x01");
    out.extend(b"\xff\xc0\0\x11\x08\0\0\0\0\x03\x01\x22\0\x02\x11\x01\x03\x11\x01");
    let dc: Vec<u8> = (0..12).collect();
    out.extend(huffman_segment(0x00, &LUMA_DC_COUNTS, &dc));
    out.extend(huffman_segment(0x10, &LUMA_AC_COUNTS, &LUMA_AC_SYMBOLS));
    out.extend(huffman_segment(0x01, &CHROMA_DC_COUNTS, &dc));
    out.extend(huffman_segment(0x11, &CHROMA_AC_COUNTS, &CHROMA_AC_SYMBOLS));
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

pub(super) fn compress(data: &[u8]) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::InvalidArgument(format!("zstd: {e}"));
    let mut compressor = zstd::bulk::Compressor::with_dictionary(LEVEL, &DICTIONARY).map_err(failed)?;
    compressor.include_contentsize(false).map_err(failed)?;
    compressor.include_checksum(false).map_err(failed)?;
    Ok(compressor.compress(data).map_err(failed)?.split_off(ZSTD_MAGIC.len()))
}

/// Exactly `size` bytes, or an error that names `offset`, where `data` stands in the file.
pub(super) fn decompress(data: &[u8], size: u64, offset: usize) -> Result<Vec<u8>> {
    let frame = ZSTD_MAGIC.chain(data);
    super::unzstd(zstd::stream::read::Decoder::with_dictionary(frame, &DICTIONARY), size, offset)
}
