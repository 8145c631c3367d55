//! The `.lic` file: what it holds, how long the restored file is, and checksums of both. See `docs/format.md`.

mod dictionary;
mod image;
mod metadata;

use std::collections::hash_map::{Entry, HashMap};
use std::io::Read;

use crate::interrupt::Watched;
use crate::limits::check;
use crate::{document, interrupt, tensor, varint, Error, Limits, Result};
use xxhash_rust::xxh3::xxh3_64;

pub use image::{pack_image, ImageBody, LatentsChecksum, Metadata};

/// The first bytes of every `.lic` file.
pub const MAGIC: [u8; 4] = *b"\x89LIC";
/// The format this crate writes, and the newest it reads.
pub const VERSION: u8 = 1;

const KIND_STORED: u8 = 0;
const KIND_JPEG: u8 = 1;
const STORED_VERBATIM: u8 = 0;
const STORED_ZSTD: u8 = 1;
const STORED_LIKE_SKELETON: u8 = 2;
/// Of large files that are stored: they rarely compress, and higher levels take seconds a megabyte to find out.
const ZSTD_LEVEL: i32 = 9;
/// Magic, version, kind and checksum of the restored file.
const FIXED_BYTES: usize = 4 + 1 + 1 + 8;
const CRC_BYTES: usize = 4;
/// A parsed `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Length of the restored file, or of an image's samples.
    pub size: u64,
    /// XXH3-64 of the restored file; the low half of that of an image's latents.
    pub checksum: u64,
    /// What the file is restored from.
    pub body: Body,
}

/// The content of a `.lic` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The original bytes, verbatim or deflated by zstd.
    Stored(Vec<u8>),
    /// A file with JPEG pictures in it.
    Jpeg(JpegBody),
    /// An image coded from its pixels.
    Image(ImageBody),
}

/// A file whose JPEG pictures are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JpegBody {
    /// Everything but the coefficients, as [`crate::document::read`] gives it.
    pub skeleton: Vec<u8>,
    /// The coefficients, picture by picture as in the skeleton.
    pub pictures: Vec<CodedPicture>,
}

/// The coefficients of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedPicture {
    /// Number of the model or other coder, as registered in `docs/format.md`.
    pub coder: u64,
    /// Fingerprint of the coder's weights and tables.
    pub fingerprint: u32,
    /// What the coder made of the coefficients.
    pub data: Vec<u8>,
}

/// A file whose original is kept as it is, or as zstd makes it if that is smaller.
pub fn store(original: &[u8]) -> Result<Vec<u8>> {
    let mut out = header(KIND_STORED, original);
    let (method, packed) = if original.len() < dictionary::LARGE {
        (STORED_LIKE_SKELETON, dictionary::compress(original)?)
    } else {
        let failed = |e: std::io::Error| Error::InvalidArgument(e.to_string());
        let deflate = |data: &[u8]| zstd::bulk::compress(data, ZSTD_LEVEL);
        (STORED_ZSTD, interrupt::compress(original, deflate)?.map_err(failed)?)
    };
    let smaller = packed.len() < original.len();
    out.push(if smaller { method } else { STORED_VERBATIM });
    out.extend_from_slice(if smaller { &packed } else { original });
    Ok(sealed(out))
}

/// A file that restores `original` from its coded pictures.
///
/// # Errors
/// [`Error::InvalidArgument`] if the skeleton is of another number of pictures, or a coder has several fingerprints.
pub fn pack_jpeg(original: &[u8], body: &JpegBody) -> Result<Vec<u8>> {
    let count = document::count(&body.skeleton)?;
    if body.pictures.len() != count {
        return Err(Error::InvalidArgument(format!(
            "{} pictures where there are {count}",
            body.pictures.len()
        )));
    }
    let mut out = header(KIND_JPEG, original);
    let skeleton = dictionary::compress(&body.skeleton)?;
    varint::put(&mut out, body.skeleton.len() as u64);
    put_section(&mut out, &skeleton);
    let mut fingerprints = HashMap::new();
    for (index, picture) in body.pictures.iter().enumerate() {
        varint::put(&mut out, picture.coder);
        match fingerprints.insert(picture.coder, picture.fingerprint) {
            None => out.extend_from_slice(&picture.fingerprint.to_le_bytes()),
            Some(known) if known == picture.fingerprint => {}
            Some(_) => return Err(Error::InvalidArgument("one coder, several fingerprints".into())),
        }
        if index + 1 < count {
            varint::put(&mut out, picture.data.len() as u64);
        }
        out.extend_from_slice(&picture.data);
    }
    Ok(sealed(out))
}

/// Read a `.lic` file; nothing larger than `limits` allow is unpacked, give or take a skeleton's notes.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Corrupt`], [`Error::Unsupported`] or [`Error::LimitExceeded`].
pub fn unpack(data: &[u8], limits: &Limits) -> Result<Container> {
    let mut cursor = open(data)?;
    let kind = cursor.take(1, "kind")?[0];
    if kind == image::KIND_IMAGE {
        let image = image::read(&mut cursor, limits)?;
        return Ok(Container {
            size: image.size(),
            checksum: image.checksum.into(),
            body: Body::Image(image),
        });
    }
    let checksum = u64::from_le_bytes(cursor.array("checksum of the restored file")?);
    let size = cursor.varint("length of the restored file")?;
    limits.check_output("a restored file's length", size)?;
    let body = match kind {
        KIND_STORED => Body::Stored(read_stored(&mut cursor, size)?),
        KIND_JPEG => Body::Jpeg(read_jpeg(&mut cursor, limits)?),
        other => return Err(Error::Unsupported(format!("content of kind {other}"))),
    };
    cursor.end()?;
    Ok(Container { size, checksum, body })
}

/// Check that `restored` is what the file promised.
///
/// # Errors
/// [`Error::Corrupt`] if its length or its checksum is another.
pub fn verify(restored: &[u8], size: u64, checksum: u64) -> Result<()> {
    check_size(restored, size, 0)?;
    if xxh3_64(restored) != checksum {
        return Err(Error::Corrupt {
            what: "the restored file's checksum differs from the one stored".into(),
            offset: 0,
        });
    }
    Ok(())
}

fn check_size(restored: &[u8], size: u64, offset: usize) -> Result<()> {
    if restored.len() as u64 == size {
        return Ok(());
    }
    Err(Error::Corrupt { what: format!("{} bytes where {size} were promised", restored.len()), offset })
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
        let what = if data.is_empty() { "the file is empty" } else { "the file's magic number" };
        return Err(Error::Truncated { what, offset: data.len() });
    }
    if !data.starts_with(&MAGIC) {
        return Err(Error::Unsupported(format!("not a .lic file: it {}", what_else(data))));
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

/// What a file is that is no `.lic` file: whoever has confused two files is told which one it was.
fn what_else(data: &[u8]) -> &'static str {
    if data.starts_with(&tensor::MAGIC) {
        "is a tensor, which lic_native.decode restores"
    } else if data.starts_with(&[0xFF, 0xD8, 0xFF]) {
        "is a JPEG file"
    } else {
        "begins otherwise"
    }
}

fn read_stored(cursor: &mut Cursor, size: u64) -> Result<Vec<u8>> {
    let method = cursor.take(1, "storage method")?[0];
    let offset = cursor.position;
    let data = cursor.rest();
    match method {
        STORED_VERBATIM => check_size(data, size, offset).map(|()| data.to_vec()),
        STORED_ZSTD => unzstd(zstd::stream::read::Decoder::with_buffer(data), size, offset),
        STORED_LIKE_SKELETON => dictionary::decompress(data, size, offset),
        other => Err(Error::Unsupported(format!("storage method {other}"))),
    }
}

fn read_jpeg(cursor: &mut Cursor, limits: &Limits) -> Result<JpegBody> {
    let length = cursor.varint("length of the skeleton")?;
    check("a skeleton's length", length, limits.max_output_bytes.saturating_add(document::SKELETON_SURPLUS))?;
    let offset = cursor.position;
    let skeleton = dictionary::decompress(cursor.section("skeleton")?, length, offset)?;
    let count = document::count(&skeleton)?;
    let mut fingerprints = HashMap::new();
    let mut pictures = Vec::with_capacity(count);
    for index in 0..count {
        let coder = cursor.varint("number of a coder")?;
        let fingerprint = match fingerprints.entry(coder) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                *entry.insert(u32::from_le_bytes(cursor.array("fingerprint of a coder")?))
            }
        };
        let last = index + 1 == count;
        let data = if last { cursor.rest() } else { cursor.section("coefficients of a picture")? }.to_vec();
        pictures.push(CodedPicture { coder, fingerprint, data });
    }
    Ok(JpegBody { skeleton, pictures })
}

/// zstd's output of exactly `size` bytes, never more; `offset` is where its input begins.
fn unzstd<R: std::io::BufRead>(
    decoder: std::io::Result<zstd::stream::read::Decoder<'_, R>>,
    size: u64,
    offset: usize,
) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder
        .and_then(|decoder| Watched(decoder.take(size.saturating_add(1))).read_to_end(&mut out))
        .map_err(|e| Error::Corrupt { what: format!("zstd: {e}"), offset })?;
    check_size(&out, size, offset)?;
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
    use crate::limits::up_to;

    /// A document of three pictures, as far as its head says: they are never written.
    fn skeleton() -> Vec<u8> {
        let mut skeleton = vec![3, 0, 0xc8, 1, 0, 0x96, 1, 100, 0, 60, 10, 0];
        skeleton.extend((0..300u32).map(|i| ((i * i) >> 3) as u8));
        skeleton
    }

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let original: Vec<u8> = (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect();
        let picture = |coder: u64, range: std::ops::Range<usize>| CodedPicture {
            coder,
            fingerprint: 0xfeed_f00d + coder as u32,
            data: original[range].to_vec(),
        };
        let pictures = vec![picture(1, 300..900), picture(300, 0..0), picture(1, 900..1000)];
        let body = JpegBody { skeleton: skeleton(), pictures };
        let packed = pack_jpeg(&original, &body).unwrap();
        let container = unpack(&packed, &up_to(1 << 20)).unwrap();
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
        for original in [&b""[..], b"x", b"\x89LIC", &noise, &[7; 100_000], &vec![7; dictionary::LARGE]] {
            let packed = store(original).unwrap();
            assert!(packed.len() <= original.len() + 32);
            match unpack(&packed, &up_to(1 << 20)).unwrap().body {
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
    fn the_dictionary_never_changes() {
        assert_eq!(
            (dictionary::DICTIONARY.len(), xxh3_64(&dictionary::DICTIONARY)),
            (27958, 10882985104625769060)
        );
    }

    #[test]
    fn every_truncation_is_an_error() {
        let (original, packed) = sample();
        for packed in [packed, store(&original).unwrap()] {
            for end in 0..packed.len() {
                assert!(unpack(&packed[..end], &up_to(1 << 20)).is_err(), "cut at {end}");
            }
        }
    }

    #[test]
    fn every_bit_flip_is_an_error() {
        let (_, packed) = sample();
        for bit in 0..8 * packed.len() {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&flipped, &up_to(1 << 20)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn altered_files_with_a_right_checksum_do_not_panic() {
        let (_, packed) = sample();
        for byte in 5..packed.len() - CRC_BYTES {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = packed[..packed.len() - CRC_BYTES].to_vec();
                altered[byte] = value;
                let _ = unpack(&sealed(altered), &up_to(1 << 20));
            }
        }
    }

    /// A file that is whole but for what it says: its length, and the body after that.
    fn crafted(kind: u8, size: u64, body: &[u8]) -> Vec<u8> {
        let mut out = header(kind, b"");
        out.truncate(FIXED_BYTES);
        varint::put(&mut out, size);
        out.extend_from_slice(body);
        sealed(out)
    }

    fn crafted_jpeg(size: u64, skeleton: &[u8], skeleton_size: u64) -> Vec<u8> {
        let mut body = Vec::new();
        varint::put(&mut body, skeleton_size);
        put_section(&mut body, &dictionary::compress(skeleton).unwrap());
        crafted(KIND_JPEG, size, &body)
    }

    #[test]
    fn promised_lengths_are_kept() {
        let wrong = |data: &[u8], what: &str| {
            let error = unpack(data, &up_to(u64::MAX)).unwrap_err();
            assert!(matches!(&error, Error::Corrupt { what: found, .. } if found == what), "{error}");
        };
        for size in [0, 2, 4, 1 << 40, u64::MAX - 1, u64::MAX] {
            let expected = format!("3 bytes where {size} were promised");
            let packed = zstd::bulk::compress(b"abc", 1).unwrap();
            wrong(&crafted(KIND_STORED, size, b"\0abc"), &expected);
            if size > 3 {
                wrong(&crafted(KIND_STORED, size, &[&[STORED_ZSTD], &packed[..]].concat()), &expected);
                let packed = dictionary::compress(b"abc").unwrap();
                wrong(
                    &crafted(KIND_STORED, size, &[&[STORED_LIKE_SKELETON], &packed[..]].concat()),
                    &expected,
                );
                wrong(&crafted_jpeg(size, b"abc", size), &expected);
            }
        }
    }

    #[test]
    fn bombs_are_left_after_what_they_promised() {
        let zeros = vec![0; 1 << 24];
        let bomb = [&[STORED_ZSTD], &zstd::bulk::compress(&zeros, 1).unwrap()[..]].concat();
        for data in [crafted(KIND_STORED, 1000, &bomb), crafted_jpeg(1000, &zeros, 1000)] {
            let error = unpack(&data, &up_to(u64::MAX)).unwrap_err().to_string();
            assert!(error.ends_with("1001 bytes where 1000 were promised"), "{error}");
        }
        let length = zeros.len() as u64;
        let honest = crafted_jpeg(1000, &zeros, length);
        assert!(unpack(&honest, &up_to(length)).is_ok());
        let refused = unpack(&honest, &up_to(1000));
        let limit = 1000 + document::SKELETON_SURPLUS;
        let expected = Error::LimitExceeded { what: "a skeleton's length", value: length, limit };
        assert_eq!(refused, Err(expected));
    }

    #[test]
    fn as_many_pictures_as_the_skeleton_says() {
        let picture = |fingerprint| CodedPicture { coder: 1, fingerprint, data: vec![] };
        let pack = |pictures| pack_jpeg(b"", &JpegBody { skeleton: skeleton(), pictures });
        assert!(pack(vec![picture(7); 3]).is_ok());
        for wrong in [vec![picture(7); 2], vec![picture(7); 4], vec![picture(7), picture(8), picture(7)]] {
            assert!(matches!(pack(wrong), Err(Error::InvalidArgument(_))));
        }
        let none = crafted_jpeg(9, &skeleton(), skeleton().len() as u64);
        assert!(matches!(unpack(&none, &up_to(9)), Err(Error::Truncated { .. })));
    }

    #[test]
    fn what_is_restored_is_checked() {
        let container = unpack(&store(b"abc").unwrap(), &up_to(3)).unwrap();
        let error =
            |restored: &[u8]| verify(restored, container.size, container.checksum).unwrap_err().to_string();
        assert_eq!(error(b"ab"), "corrupt at byte 0: 2 bytes where 3 were promised");
        assert!(error(b"abd").contains("checksum differs"));
    }

    #[test]
    fn a_promise_beyond_the_limit_is_refused() {
        let packed = store(&[0; 1000]).unwrap();
        let refused = unpack(&packed, &up_to(999));
        assert!(matches!(refused, Err(Error::LimitExceeded { value: 1000, limit: 999, .. })), "{refused:?}");
    }

    #[test]
    fn unknown_versions_are_named() {
        let mut packed = store(b"abc").unwrap();
        packed[4] = 9;
        assert_eq!(
            unpack(&packed, &up_to(99)).unwrap_err().to_string(),
            "format version 9: this release reads version 1"
        );
    }
}
