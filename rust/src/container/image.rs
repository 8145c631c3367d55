//! Kind 2: an image coded from its pixels.

use super::dictionary;
use super::header::{KIND_IMAGE, MAGIC, VERSION, check_end, put_section, sealed, take_rest, take_section};
use crate::bytes::Cursor;
use crate::limits::check;
use crate::{Error, Limits, Result, bytes};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that an image's metadata may have. It packs well: a small file could ask for much.
pub const MAX_METADATA: u64 = 1 << 24;

/// Header and sections of an image file; alpha and latents are still entropy-coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBody {
    /// In pixels, at least 1.
    pub width: u32,
    /// In pixels, at least 1.
    pub height: u32,
    /// 1: gray, 2: gray and alpha, 3: RGB, 4: RGB and alpha.
    pub channels: u8,
    /// Number of the model, as registered in `docs/format.md`.
    pub model: u64,
    /// Fingerprint of the model's weights and tables.
    pub fingerprint: u32,
    /// The quality, as an index of the model's.
    pub quality: u32,
    /// Checksum of the decoded latents, as [`LatentsChecksum`] computes it.
    pub checksum: u32,
    /// Exif, colour profile and XMP.
    pub metadata: Metadata,
    /// The coded alpha channel; empty if there is none.
    pub alpha: Vec<u8>,
    /// The coded latents: the streams of all tiles, after their lengths.
    pub latents: Vec<u8>,
}

impl ImageBody {
    /// Bytes of the decoded samples.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(self.channels)
    }

    fn has_alpha(&self) -> bool {
        self.channels.is_multiple_of(2)
    }
}

/// Metadata of an image, byte for byte; a section without bytes counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Exif, with or without its `Exif\0\0`.
    pub exif: Vec<u8>,
    /// The ICC colour profile.
    pub icc_profile: Vec<u8>,
    /// The XMP packet.
    pub xmp: Vec<u8>,
}

impl Metadata {
    /// Return nothing if there is no metadata, else the three sections, each after its length in 4 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sections = [&self.exif, &self.icc_profile, &self.xmp];
        let mut out = Vec::new();
        if sections.iter().any(|section| !section.is_empty()) {
            for section in sections {
                // `pack_image` refuses a section whose length does not fit.
                out.extend_from_slice(&(section.len() as u32).to_le_bytes());
                out.extend_from_slice(section);
            }
        }
        out
    }

    /// Read what [`Self::to_bytes`] returns.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the sections do not fill the bytes exactly; its offset counts from their start.
    pub fn from_bytes(data: &[u8]) -> Result<Self> {
        let mut metadata = Self::default();
        let mut cursor = Cursor::new(data);
        if data.is_empty() {
            return Ok(metadata);
        }
        for (name, section) in [
            ("exif", &mut metadata.exif),
            ("icc_profile", &mut metadata.icc_profile),
            ("xmp", &mut metadata.xmp),
        ] {
            let offset = cursor.position();
            let corrupt = |_| Error::Corrupt {
                what: format!("{} bytes of metadata end inside {name}", data.len()),
                offset,
            };
            let length = u32::from_le_bytes(cursor.array(name).map_err(corrupt)?);
            *section = cursor.take(length as usize, name).map_err(corrupt)?.to_vec();
        }
        check_end(&cursor)?;
        Ok(metadata)
    }
}

/// Computes the checksum of an image's latents: the low half of the XXH3-64 of the tiles' own XXH3-64.
#[derive(Debug, Clone, Default)]
pub struct LatentsChecksum {
    tiles: Vec<u8>,
}

impl LatentsChecksum {
    /// Add the next tile in raster order: its latents channel by channel, each in raster order.
    pub fn update(&mut self, tile: &[i16]) {
        let bytes: Vec<u8> = tile.iter().flat_map(|latent| latent.to_le_bytes()).collect();
        self.tiles.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    }

    /// Return the checksum of the tiles so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        xxh3_64(&self.tiles) as u32
    }

    /// Check that the tiles have the checksum that their file has stored.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is another.
    pub fn verify(&self, stored: u32) -> Result<()> {
        match self.value() == stored {
            true => Ok(()),
            false => Err(Error::Corrupt {
                what: "the latents' checksum differs from the one stored".into(),
                offset: 0,
            }),
        }
    }
}

/// Return the file of an image.
///
/// # Errors
/// [`Error::InvalidArgument`] if the image has no pixels, an unknown number of channels, or an alpha channel where
/// `channels` says that there is none, or the reverse; [`Error::LimitExceeded`] if its metadata is longer than
/// 16 MiB.
pub fn pack_image(image: &ImageBody) -> Result<Vec<u8>> {
    write(image, &image.metadata.to_bytes())
}

/// Return the file of an image with these bytes as its metadata sections.
fn write(image: &ImageBody, metadata: &[u8]) -> Result<Vec<u8>> {
    let (width, height, channels) = (image.width, image.height, image.channels);
    if width == 0 || height == 0 || !(1..=4).contains(&channels) {
        return Err(Error::InvalidArgument(format!("an image of {width}x{height}x{channels}")));
    }
    if image.has_alpha() == image.alpha.is_empty() {
        return Err(Error::InvalidArgument(format!("alpha and {channels} channels")));
    }
    check("the metadata's length", metadata.len() as u64, MAX_METADATA)?;
    let mut out = Vec::with_capacity(64 + metadata.len() + image.alpha.len() + image.latents.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, KIND_IMAGE]);
    bytes::put_varint(&mut out, width.into());
    bytes::put_varint(&mut out, height.into());
    out.push(channels);
    bytes::put_varint(&mut out, image.model);
    out.extend_from_slice(&image.fingerprint.to_le_bytes());
    bytes::put_varint(&mut out, image.quality.into());
    out.extend_from_slice(&image.checksum.to_le_bytes());
    bytes::put_varint(&mut out, metadata.len() as u64);
    if !metadata.is_empty() {
        put_section(&mut out, &dictionary::compress(metadata)?);
    }
    if image.has_alpha() {
        put_section(&mut out, &image.alpha);
    }
    out.extend_from_slice(&image.latents);
    Ok(sealed(out))
}

pub(super) fn read(cursor: &mut Cursor, limits: &Limits) -> Result<ImageBody> {
    let mut image = ImageBody {
        width: side(cursor, "width of the image")?,
        height: side(cursor, "height of the image")?,
        channels: cursor.byte("channels of the image")?,
        model: cursor.varint("number of the model")?,
        fingerprint: u32::from_le_bytes(cursor.array("fingerprint of the model")?),
        quality: below_2_to_32(cursor, "quality")?,
        checksum: u32::from_le_bytes(cursor.array("checksum of the latents")?),
        metadata: Metadata::default(),
        alpha: Vec::new(),
        latents: Vec::new(),
    };
    if !(1..=4).contains(&image.channels) {
        return Err(Error::Unsupported(format!("an image of {} channels", image.channels).into()));
    }
    limits.check_output("an image's size", image.size())?;
    let length = cursor.varint("length of the metadata")?;
    check("the metadata's length", length, MAX_METADATA)?;
    if length > 0 {
        let offset = cursor.position();
        let sections = dictionary::decompress(take_section(cursor, "metadata")?, length, offset)?;
        image.metadata = Metadata::from_bytes(&sections).map_err(|error| error.offset_by(offset))?;
    }
    if image.has_alpha() {
        image.alpha = take_section(cursor, "alpha channel")?.to_vec();
    }
    image.latents = take_rest(cursor).to_vec();
    Ok(image)
}

fn side(cursor: &mut Cursor, what: &'static str) -> Result<u32> {
    let offset = cursor.position();
    match below_2_to_32(cursor, what)? {
        0 => Err(Error::Corrupt { what: format!("the {what} is 0"), offset }),
        side => Ok(side),
    }
}

fn below_2_to_32(cursor: &mut Cursor, what: &'static str) -> Result<u32> {
    let offset = cursor.position();
    let value = cursor.varint(what)?;
    u32::try_from(value).map_err(|_| Error::Corrupt { what: format!("{what} {value}"), offset })
}

#[cfg(test)]
mod tests {
    use super::super::header::CRC_BYTES;
    use super::super::{Body, unpack};
    use super::*;
    use crate::limits::up_to;

    fn sample() -> ImageBody {
        ImageBody {
            width: 300,
            height: 1,
            channels: 4,
            model: 4,
            fingerprint: 0xfeed_f00d,
            quality: 200,
            checksum: 0xdead_beef,
            metadata: Metadata {
                exif: b"Exif\0\0II*\0".repeat(9),
                xmp: b"<x/>".to_vec(),
                ..Metadata::default()
            },
            alpha: vec![1, 2, 3],
            latents: (0..200u8).collect(),
        }
    }

    #[test]
    fn images_round_trip() {
        let opaque = ImageBody {
            channels: 3,
            alpha: vec![],
            metadata: Metadata::default(),
            latents: vec![],
            ..sample()
        };
        for image in [sample(), opaque] {
            let packed = pack_image(&image).unwrap();
            let container = unpack(&packed, &up_to(image.size())).unwrap();
            assert_eq!(
                (container.identity.size, container.identity.checksum),
                (image.size(), image.checksum.into())
            );
            assert_eq!(container.body, Body::Image(image));
        }
    }

    #[test]
    fn what_an_image_cannot_be() {
        for wrong in [
            ImageBody { width: 0, ..sample() },
            ImageBody { height: 0, ..sample() },
            ImageBody { channels: 0, ..sample() },
            ImageBody { channels: 5, ..sample() },
            ImageBody { channels: 3, ..sample() },
            ImageBody { alpha: vec![], ..sample() },
        ] {
            assert!(matches!(pack_image(&wrong), Err(Error::InvalidArgument(_))), "{wrong:?}");
        }
    }

    #[test]
    fn every_truncation_and_bit_flip_is_an_error() {
        let packed = pack_image(&sample()).unwrap();
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], &up_to(1 << 20)).is_err(), "cut at {end}");
        }
        for bit in 0..8 * packed.len() {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&flipped, &up_to(1 << 20)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn altered_files_with_a_right_checksum_do_not_panic() {
        let packed = pack_image(&sample()).unwrap();
        let whole = &packed[..packed.len() - CRC_BYTES];
        for byte in 5..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut altered = whole.to_vec();
                altered[byte] = value;
                let _ = unpack(&sealed(altered), &up_to(1 << 20));
            }
        }
        for end in 5..whole.len() {
            let _ = unpack(&sealed(whole[..end].to_vec()), &up_to(1 << 20));
        }
    }

    #[test]
    fn more_than_the_limit_is_refused() {
        let packed = pack_image(&sample()).unwrap();
        let refused = unpack(&packed, &up_to(1199));
        assert!(matches!(refused, Err(Error::LimitExceeded { value: 1200, limit: 1199, .. })), "{refused:?}");
    }

    #[test]
    fn metadata_is_no_bomb() {
        let flat = |length: u64| Metadata { exif: vec![0; length as usize - 12], ..Metadata::default() };
        let image = ImageBody { metadata: flat(MAX_METADATA), ..sample() };
        let packed = pack_image(&image).unwrap();
        assert!(packed.len() < 10_000);
        assert_eq!(unpack(&packed, &up_to(1200)).unwrap().body, Body::Image(image));
        let more = ImageBody { metadata: flat(MAX_METADATA + 1), ..sample() };
        assert!(matches!(pack_image(&more), Err(Error::LimitExceeded { limit: MAX_METADATA, .. })));
        // The length stands before the metadata: it is refused before anything is unpacked.
        let mut lying = packed[..packed.len() - CRC_BYTES].to_vec();
        let place = lying.windows(4).position(|w| w == [0x80, 0x80, 0x80, 0x08]).unwrap();
        lying[place + 3] = 0x09;
        let refused = unpack(&sealed(lying), &up_to(u64::MAX));
        assert!(matches!(refused, Err(Error::LimitExceeded { limit: MAX_METADATA, .. })), "{refused:?}");
    }

    #[test]
    fn metadata_that_does_not_add_up_is_corrupt() {
        for (sections, expected) in [
            (&b"\x01\0\0"[..], "3 bytes of metadata end inside exif"),
            (&b"\xff\0\0\0".repeat(3), "12 bytes of metadata end inside exif"),
            (&[0; 11], "11 bytes of metadata end inside xmp"),
            (&[&[0; 8][..], b"\x02\0\0\0x"].concat(), "13 bytes of metadata end inside xmp"),
            (&[&[0; 4][..], &[0xff; 8]].concat(), "12 bytes of metadata end inside icc_profile"),
            (&[0; 13], "1 bytes after the last section"),
        ] {
            let refused = unpack(&write(&sample(), sections).unwrap(), &up_to(1 << 20)).unwrap_err();
            assert!(matches!(&refused, Error::Corrupt { what, .. } if what == expected), "{refused}");
        }
        let empty = unpack(&write(&sample(), &[0; 12]).unwrap(), &up_to(1 << 20)).unwrap();
        assert!(matches!(empty.body, Body::Image(image) if image.metadata == Metadata::default()));
    }

    #[test]
    fn any_bytes_as_metadata_are_read_or_corrupt() {
        let mut read = 0;
        for seed in 0..20_000u64 {
            let noise = [seed, seed + 1, seed + 2].map(|n| xxh3_64(&n.to_le_bytes()).to_le_bytes()).concat();
            // Mostly zeros, so that many lengths fit.
            let bytes: Vec<u8> = noise[..seed as usize % 24].iter().map(|n| u8::from(n % 8 == 0)).collect();
            match Metadata::from_bytes(&bytes) {
                Ok(metadata) if metadata == Metadata::default() => {
                    assert!(bytes.iter().all(|&byte| byte == 0))
                }
                Ok(metadata) => assert_eq!(metadata.to_bytes(), bytes),
                Err(error) => {
                    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                    continue;
                }
            }
            read += 1;
        }
        assert!((100..19_900).contains(&read), "{read}");
    }

    #[test]
    fn metadata_keeps_its_order() {
        let [exif, icc_profile, xmp] = [b"e".to_vec(), b"icc".to_vec(), vec![]];
        let metadata = Metadata { exif, icc_profile, xmp };
        assert_eq!(metadata.to_bytes(), b"\x01\0\0\0e\x03\0\0\0icc\0\0\0\0");
        assert_eq!(Metadata::from_bytes(&metadata.to_bytes()), Ok(metadata));
        assert!(Metadata::default().to_bytes().is_empty());
    }

    #[test]
    fn the_checksum_is_of_the_tiles_checksums() {
        let mut checksum = LatentsChecksum::default();
        checksum.update(&[1, -2]);
        checksum.update(&[]);
        let tiles = [xxh3_64(b"\x01\0\xfe\xff"), xxh3_64(b"")].map(u64::to_le_bytes).concat();
        assert_eq!(checksum.value(), xxh3_64(&tiles) as u32);
        assert_eq!(checksum.verify(checksum.value()), Ok(()));
        assert!(matches!(checksum.verify(!checksum.value()), Err(Error::Corrupt { .. })));
    }
}
