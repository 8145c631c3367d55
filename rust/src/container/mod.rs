//! The `.lic` file: what it holds, how long the restored file is, and checksums of both. See `docs/format.md`.

mod dictionary;

use std::io::Read;

use crate::{varint, Error, Result};
use xxhash_rust::xxh3::xxh3_64;

/// The first bytes of every `.lic` file.
pub const MAGIC: [u8; 4] = *b"\x89LIC";
/// The format this crate writes, and the newest it reads.
pub const VERSION: u8 = 1;

const KIND_STORED: u8 = 0;
const KIND_JPEG: u8 = 1;
const STORED_VERBATIM: u8 = 0;
const STORED_ZSTD: u8 = 1;
const ZSTD_LEVEL: i32 = 19;
/// Magic, version, kind and checksum of the restored file.
const FIXED_BYTES: usize = 4 + 1 + 1 + 8;
const CRC_BYTES: usize = 4;

/// A parsed `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Length of the restored file.
    pub size: u64,
    /// XXH3-64 of the restored file.
    pub checksum: u64,
    /// What the file is restored from.
    pub body: Body,
}

/// The content of a `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The original bytes, verbatim or deflated by zstd.
    Stored(Vec<u8>),
    /// A JPEG file whose coefficients a model has coded.
    Jpeg(JpegBody),
}

/// A recompressed JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JpegBody {
    /// Number of the model, as registered in `docs/format.md`.
    pub model: u64,
    /// Fingerprint of the model's weights.
    pub fingerprint: u32,
    /// Everything but the coefficients, as [`crate::jpeg::read`] gives it.
    pub skeleton: Vec<u8>,
    /// One rANS stream for each tile.
    pub streams: Vec<Vec<u8>>,
}

/// A file whose original is kept as it is, or as zstd makes it if that is smaller.
pub fn store(original: &[u8]) -> Result<Vec<u8>> {
    let mut out = header(KIND_STORED, original);
    let packed =
        zstd::bulk::compress(original, ZSTD_LEVEL).map_err(|e| Error::InvalidArgument(e.to_string()))?;
    let (method, data) =
        if packed.len() < original.len() { (STORED_ZSTD, &packed[..]) } else { (STORED_VERBATIM, original) };
    out.push(method);
    out.extend_from_slice(data);
    Ok(sealed(out))
}

/// A file that restores `original` from its coded coefficients.
pub fn pack_jpeg(original: &[u8], body: &JpegBody) -> Result<Vec<u8>> {
    let mut out = header(KIND_JPEG, original);
    varint::put(&mut out, body.model);
    out.extend_from_slice(&body.fingerprint.to_le_bytes());
    let skeleton = dictionary::compress(&body.skeleton)?;
    varint::put(&mut out, body.skeleton.len() as u64);
    put_section(&mut out, &skeleton);
    varint::put(&mut out, body.streams.len() as u64);
    for stream in &body.streams {
        put_section(&mut out, stream);
    }
    Ok(sealed(out))
}

/// Read a `.lic` file; nothing larger than `max_output` bytes is unpacked.
pub fn unpack(data: &[u8], max_output: u64) -> Result<Container> {
    let mut cursor = open(data)?;
    let kind = cursor.take(1, "kind")?[0];
    let checksum = u64::from_le_bytes(cursor.array("checksum of the restored file")?);
    let size = cursor.varint("length of the restored file")?;
    if size > max_output {
        return Err(Error::LimitExceeded {
            what: "a restored file's length",
            value: size,
            limit: max_output,
        });
    }
    let body = match kind {
        KIND_STORED => Body::Stored(read_stored(&mut cursor, size)?),
        KIND_JPEG => Body::Jpeg(read_jpeg(&mut cursor, size)?),
        other => return Err(Error::Unsupported(format!("content of kind {other}"))),
    };
    cursor.end()?;
    Ok(Container { size, checksum, body })
}

/// Check that `restored` is what the file promised.
pub fn verify(restored: &[u8], size: u64, checksum: u64) -> Result<()> {
    if restored.len() as u64 != size || xxh3_64(restored) != checksum {
        return Err(Error::Corrupt {
            what: "the restored file's checksum differs from the one stored".into(),
            offset: 0,
        });
    }
    Ok(())
}

fn header(kind: u8, original: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_BYTES + 16);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&xxh3_64(original).to_le_bytes());
    varint::put(&mut out, original.len() as u64);
    out
}

fn sealed(mut out: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Check what holds for the whole file, and stand behind the version byte.
fn open(data: &[u8]) -> Result<Cursor<'_>> {
    if data.len() < MAGIC.len() && MAGIC.starts_with(data) {
        return Err(Error::Truncated { what: "the file's magic number", offset: data.len() });
    }
    if !data.starts_with(&MAGIC) {
        return Err(Error::Corrupt { what: "not a .lic file: wrong magic number".into(), offset: 0 });
    }
    let version = *data.get(4).ok_or(Error::Truncated { what: "format version", offset: 4 })?;
    if version != VERSION {
        return Err(Error::Unsupported(format!(
            "format version {version}: this release reads version {VERSION}"
        )));
    }
    let end = data.len().saturating_sub(CRC_BYTES);
    if end < FIXED_BYTES {
        return Err(Error::Truncated { what: "header", offset: data.len() });
    }
    let (content, crc) = data.split_at(end);
    if crc32fast::hash(content).to_le_bytes() != crc {
        return Err(Error::Corrupt {
            what: "the file's checksum does not match: it is truncated or altered".into(),
            offset: end,
        });
    }
    Ok(Cursor { data: content, position: 5 })
}

fn read_stored(cursor: &mut Cursor, size: u64) -> Result<Vec<u8>> {
    let method = cursor.take(1, "storage method")?[0];
    let offset = cursor.position;
    let data = cursor.rest();
    match method {
        STORED_VERBATIM => Ok(data.to_vec()),
        STORED_ZSTD => unzstd(zstd::stream::read::Decoder::with_buffer(data), size, offset),
        other => Err(Error::Unsupported(format!("storage method {other}"))),
    }
}

fn read_jpeg(cursor: &mut Cursor, size: u64) -> Result<JpegBody> {
    let model = cursor.varint("model number")?;
    let fingerprint = u32::from_le_bytes(cursor.array("fingerprint of the weights")?);
    let length = cursor.varint("length of the JPEG skeleton")?;
    // A skeleton is the file without its scans and a few bytes about each.
    if length > 2 * size + 1024 {
        return Err(Error::Corrupt {
            what: format!("a JPEG skeleton of {length} bytes for a file of {size}"),
            offset: cursor.position,
        });
    }
    let offset = cursor.position;
    let skeleton = dictionary::decompress(cursor.section("JPEG skeleton")?, length, offset)?;
    let count = cursor.varint("number of coefficient streams")?;
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(cursor.section("coefficient stream")?.to_vec());
    }
    Ok(JpegBody { model, fingerprint, skeleton, streams })
}

/// zstd's output of exactly `size` bytes, never more; `offset` is where its input begins.
fn unzstd<R: std::io::BufRead>(
    decoder: std::io::Result<zstd::stream::read::Decoder<'_, R>>,
    size: u64,
    offset: usize,
) -> Result<Vec<u8>> {
    let corrupt = |what: String| Error::Corrupt { what, offset };
    let mut out = Vec::new();
    decoder
        .and_then(|decoder| decoder.take(size + 1).read_to_end(&mut out))
        .map_err(|e| corrupt(format!("zstd: {e}")))?;
    if out.len() as u64 != size {
        return Err(corrupt(format!("zstd gives {} bytes where {size} were promised", out.len())));
    }
    Ok(out)
}

fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    varint::put(out, section.len() as u64);
    out.extend_from_slice(section);
}

struct Cursor<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8]> {
        let rest = &self.data[self.position..];
        if count > rest.len() {
            return Err(Error::Truncated { what, offset: self.data.len() });
        }
        self.position += count;
        Ok(&rest[..count])
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    fn varint(&mut self, what: &'static str) -> Result<u64> {
        varint::take(self.data, &mut self.position, what)
    }

    fn section(&mut self, what: &'static str) -> Result<&'a [u8]> {
        let length = self.varint(what)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.take(length, what)
    }

    fn rest(&mut self) -> &'a [u8] {
        let rest = &self.data[self.position..];
        self.position = self.data.len();
        rest
    }

    fn end(&self) -> Result<()> {
        match self.data.len() - self.position {
            0 => Ok(()),
            extra => Err(Error::Corrupt {
                what: format!("{extra} bytes after the last section"),
                offset: self.position,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let original: Vec<u8> = (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect();
        let body = JpegBody {
            model: 1,
            fingerprint: 0xfeed_f00d,
            skeleton: original[..300].to_vec(),
            streams: vec![original[300..900].to_vec(), vec![], original[900..1000].to_vec()],
        };
        let packed = pack_jpeg(&original, &body).unwrap();
        let container = unpack(&packed, 1 << 20).unwrap();
        assert_eq!(container.body, Body::Jpeg(body));
        verify(&original, container.size, container.checksum).unwrap();
        (original, packed)
    }

    #[test]
    fn jpeg_bodies_round_trip() {
        sample();
    }

    #[test]
    fn stored_files_round_trip_within_32_bytes() {
        let noise: Vec<u8> = (0..5000u64).map(|i| (xxh3_64(&i.to_le_bytes()) >> 13) as u8).collect();
        for original in [&b""[..], b"x", b"\x89LIC", &noise, &[7; 100_000]] {
            let packed = store(original).unwrap();
            assert!(packed.len() <= original.len() + 32);
            match unpack(&packed, 1 << 20).unwrap().body {
                Body::Stored(restored) => assert_eq!(restored, original),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn standard_headers_shrink_to_little() {
        let standard = &dictionary::DICTIONARY[..];
        let header = [b"\xff\xd8", &standard[standard.len() - 600..]].concat();
        assert!(dictionary::compress(&header).unwrap().len() < 24);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (original, packed) = sample();
        for packed in [packed, store(&original).unwrap()] {
            for end in 0..packed.len() {
                assert!(unpack(&packed[..end], 1 << 20).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn every_bit_flip_is_an_error() {
        let (_, packed) = sample();
        for bit in 0..8 * packed.len() {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&flipped, 1 << 20).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn altered_files_with_a_right_checksum_do_not_panic() {
        let (_, packed) = sample();
        for byte in 5..packed.len() - CRC_BYTES {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = packed[..packed.len() - CRC_BYTES].to_vec();
                altered[byte] = value;
                let _ = unpack(&sealed(altered), 1 << 20);
            }
        }
    }

    #[test]
    fn a_promise_beyond_the_limit_is_refused() {
        let packed = store(&[0; 1000]).unwrap();
        let refused = unpack(&packed, 999);
        assert!(matches!(refused, Err(Error::LimitExceeded { value: 1000, limit: 999, .. })), "{refused:?}");
    }

    #[test]
    fn unknown_versions_are_named() {
        let mut packed = store(b"abc").unwrap();
        packed[4] = 9;
        assert_eq!(
            unpack(&packed, 99).unwrap_err().to_string(),
            "unsupported: format version 9: this release reads version 1"
        );
    }
}
