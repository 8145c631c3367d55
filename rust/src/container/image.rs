//! Kind 2: an image coded from its pixels.

use super::{dictionary, put_section, sealed, Cursor, MAGIC, VERSION};
use crate::limits::check;
use crate::{bytes, Error, Limits, Result};

pub(super) const KIND_IMAGE: u8 = 2;
/// Bytes that an image's metadata may have. It packs well: a small file could ask for much.
pub const MAX_METADATA: u64 = 1 << 24;

/// An image, but for what its model makes of the latents.
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
    /// Of the decoded latents: the low half of their XXH3-64.
    pub checksum: u32,
    /// Exif, XMP and colour profile.
    pub metadata: Vec<u8>,
    /// The coded alpha channel; empty if there is none.
    pub alpha: Vec<u8>,
    /// The coded latents.
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

/// A file of an image.
///
/// # Errors
/// [`Error::InvalidArgument`] if the image has no pixels, no such number of channels, or alpha where it has none;
/// [`Error::LimitExceeded`] if its metadata is longer than `MAX_METADATA`.
pub fn pack_image(image: &ImageBody) -> Result<Vec<u8>> {
    let (width, height, channels) = (image.width, image.height, image.channels);
    if width == 0 || height == 0 || !(1..=4).contains(&channels) {
        return Err(Error::InvalidArgument(format!("an image of {width}x{height}x{channels}")));
    }
    if image.has_alpha() == image.alpha.is_empty() {
        return Err(Error::InvalidArgument(format!("alpha and {channels} channels")));
    }
    check("the metadata's length", image.metadata.len() as u64, MAX_METADATA)?;
    let mut out = Vec::with_capacity(64 + image.metadata.len() + image.alpha.len() + image.latents.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, KIND_IMAGE]);
    bytes::put_varint(&mut out, width.into());
    bytes::put_varint(&mut out, height.into());
    out.push(channels);
    bytes::put_varint(&mut out, image.model);
    out.extend_from_slice(&image.fingerprint.to_le_bytes());
    bytes::put_varint(&mut out, image.quality.into());
    out.extend_from_slice(&image.checksum.to_le_bytes());
    bytes::put_varint(&mut out, image.metadata.len() as u64);
    if !image.metadata.is_empty() {
        put_section(&mut out, &dictionary::compress(&image.metadata)?);
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
        channels: cursor.take(1, "channels of the image")?[0],
        model: cursor.varint("number of the model")?,
        fingerprint: u32::from_le_bytes(cursor.array("fingerprint of the model")?),
        quality: below_2_to_32(cursor, "quality")?,
        checksum: u32::from_le_bytes(cursor.array("checksum of the latents")?),
        metadata: Vec::new(),
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
        let offset = cursor.position;
        image.metadata = dictionary::decompress(cursor.section("metadata")?, length, offset)?;
    }
    if image.has_alpha() {
        image.alpha = cursor.section("alpha channel")?.to_vec();
    }
    image.latents = cursor.rest().to_vec();
    Ok(image)
}

fn side(cursor: &mut Cursor, what: &'static str) -> Result<u32> {
    let offset = cursor.position;
    match below_2_to_32(cursor, what)? {
        0 => Err(Error::Corrupt { what: format!("the {what} is 0"), offset }),
        side => Ok(side),
    }
}

fn below_2_to_32(cursor: &mut Cursor, what: &'static str) -> Result<u32> {
    let offset = cursor.position;
    let value = cursor.varint(what)?;
    u32::try_from(value).map_err(|_| Error::Corrupt { what: format!("{what} {value}"), offset })
}

#[cfg(test)]
mod tests {
    use super::super::{unpack, Body};
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
            metadata: b"Exif\0\0II*\0".repeat(9),
            alpha: vec![1, 2, 3],
            latents: (0..200u8).collect(),
        }
    }

    #[test]
    fn images_round_trip() {
        let opaque = ImageBody { channels: 3, alpha: vec![], metadata: vec![], latents: vec![], ..sample() };
        for image in [sample(), opaque] {
            let packed = pack_image(&image).unwrap();
            let container = unpack(&packed, &up_to(image.size())).unwrap();
            assert_eq!((container.size, container.checksum), (image.size(), image.checksum.into()));
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
        let whole = &packed[..packed.len() - super::super::CRC_BYTES];
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
        let flat = ImageBody { metadata: vec![0; MAX_METADATA as usize], ..sample() };
        let packed = pack_image(&flat).unwrap();
        assert!(packed.len() < 10_000);
        assert_eq!(unpack(&packed, &up_to(1200)).unwrap().body, Body::Image(flat.clone()));
        let more = ImageBody { metadata: vec![0; MAX_METADATA as usize + 1], ..flat };
        assert!(matches!(pack_image(&more), Err(Error::LimitExceeded { limit: MAX_METADATA, .. })));
        // Just before the metadata: what it says of their length is refused before any is unpacked.
        let mut lying = packed[..packed.len() - super::super::CRC_BYTES].to_vec();
        let place = lying.windows(4).position(|w| w == [0x80, 0x80, 0x80, 0x08]).unwrap();
        lying[place + 3] = 0x09;
        let refused = unpack(&sealed(lying), &up_to(u64::MAX));
        assert!(matches!(refused, Err(Error::LimitExceeded { limit: MAX_METADATA, .. })), "{refused:?}");
    }
}
