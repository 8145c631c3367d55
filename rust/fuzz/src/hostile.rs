//! What hostile files may do: nothing but give a typed error, or what they should.
//!
//! Each function is a fuzz target's; it takes any bytes, and panics where something is amiss. Here are no dependencies
//! but the crate's own, so that the ordinary tests can replay what the fuzzers found (`regressions.rs`).

use lic_native::container::{self, Body, CodedPicture, ImageBody, JpegBody, Metadata};
use lic_native::document;
use lic_native::jpeg::{self, native, Component, Frame, Plane, Steps};
use lic_native::Limits;
use lic_native::{Error, Result};

/// Enough for several pictures, and little enough that none takes long.
const LIMITS: Limits = Limits { max_blocks: 1 << 13, max_output_bytes: 1 << 20 };
/// Enough for three bands of the native coder.
const MAX_BLOCKS: usize = 100 << 10;
/// What is encoded, at a microsecond or more for each coefficient where it is checked so thoroughly.
const MAX_ENCODED: usize = 1 << 10;

/// Any bytes as a JPEG file: what is read is written again.
pub fn jpeg(data: &[u8]) {
    match jpeg::read(data, &LIMITS) {
        Ok(jpeg) => {
            assert_eq!(jpeg::layout(&jpeg.skeleton, &LIMITS).as_ref(), Ok(&jpeg.frame));
            assert!(jpeg.frame.blocks() as u64 <= LIMITS.max_blocks);
            let written = jpeg::write(&jpeg.skeleton, &jpeg.planes, &LIMITS);
            assert!(written.expect("it was read") == data, "another file is written");
        }
        Err(error) => assert_typed(&error),
    }
}

/// Any bytes as a file with pictures in it: it is written again, and its pictures are coded.
pub fn document(data: &[u8]) {
    let document = document::read(data, &LIMITS);
    let frames = document::layout(&document.skeleton, &LIMITS).expect("it was read");
    assert!(frames.iter().eq(document.pictures.iter().map(|picture| &picture.frame)));
    let planes: Vec<Vec<Plane>> = document
        .pictures
        .iter()
        .map(|picture| {
            let coded = native::encode(&picture.frame, &picture.planes, 1).expect("the planes fit");
            native::decode(&picture.frame, &coded, 1).expect("it was encoded")
        })
        .collect();
    let written = document::write(&document.skeleton, &planes, &LIMITS);
    assert!(written.expect("it was read") == data, "another file is written");
}

/// A small frame, and behind it any bytes as its coefficients or as what codes them.
pub fn native(data: &[u8]) {
    let (data, edits) = with_edits(data);
    let mut input = Input(data);
    let [mode, threads] = [input.byte(), 1 + input.byte() % 3];
    let frame = frame(&mut input, mode);
    let is_small = frame.blocks() <= MAX_ENCODED;
    if frame.blocks() > MAX_BLOCKS {
        return;
    }
    let coded = if mode & 1 == 0 || !is_small {
        input.0.to_vec()
    } else {
        let planes = planes(&frame, input.0);
        let mut coded = native::encode(&frame, &planes, 1).expect("the planes fit");
        assert_eq!(native::encode(&frame, &planes, threads.into()).as_ref(), Ok(&coded));
        assert!(native::decode(&frame, &coded, threads.into()) == Ok(planes), "other coefficients");
        edits.iter().for_each(|edit| edit.apply(&mut coded));
        coded
    };
    match native::decode(&frame, &coded, threads.into()) {
        Ok(planes) if is_small => {
            let again = native::encode(&frame, &planes, 1).expect("they are of the right size");
            assert!(native::decode(&frame, &again, 1) == Ok(planes), "other coefficients");
        }
        Ok(planes) => assert!(planes.iter().map(Vec::len).sum::<usize>() == 64 * frame.blocks()),
        Err(error) => assert_typed(&error),
    }
}

/// A file that is compressed, and then altered: its skeleton, its pictures' coefficients, or the `.lic` file, whose
/// checksum is made right again. A file without pictures is taken for a `.lic` file itself.
pub fn lic(data: &[u8]) {
    let (file, edits) = with_edits(data);
    let document = document::read(file, &LIMITS);
    if document.pictures.is_empty() {
        if let Err(error) = restore(&resealed(file)) {
            assert_typed(&error);
        }
        return;
    }
    let coded = |picture: &document::Picture| {
        let data = native::encode(&picture.frame, &picture.planes, 1).expect("the planes fit");
        CodedPicture { coder: 3, fingerprint: native::fingerprint(), data }
    };
    let mut body =
        JpegBody { skeleton: document.skeleton, pictures: document.pictures.iter().map(coded).collect() };
    for edit in &edits {
        match usize::from(edit.what) % (2 + body.pictures.len()) {
            0 => edit.apply(&mut body.skeleton),
            1 => {}
            index => edit.apply(&mut body.pictures[index - 2].data),
        }
    }
    // Altered, it may be the skeleton of another number of pictures.
    let Ok(mut packed) = container::pack_jpeg(file, &body) else { return };
    edits
        .iter()
        .filter(|edit| usize::from(edit.what) % (2 + body.pictures.len()) == 1)
        .for_each(|edit| edit.apply(&mut packed));
    let restored = if edits.is_empty() { restore(&packed) } else { restore(&resealed(&packed)) };
    match restored {
        // The checksum of what is restored is 64 bits long, and may itself have been altered.
        Ok(restored) => assert!(restored == file || edits.iter().any(|edit| edit.place < 14)),
        Err(error) => {
            assert!(!edits.is_empty(), "{error}");
            assert_typed(&error);
        }
    }
}

/// Any bytes as the metadata sections of an image, and as its latents; then its file, altered.
pub fn image(data: &[u8]) {
    let (data, edits) = with_edits(data);
    let metadata = Metadata::from_bytes(data).unwrap_or_else(|error| {
        assert_typed(&error);
        Metadata { xmp: data.to_vec(), ..Metadata::default() }
    });
    let sections = metadata.to_bytes();
    assert_eq!(Metadata::from_bytes(&sections).as_ref(), Ok(&metadata));
    let image = ImageBody {
        width: 3,
        height: 200,
        channels: 4,
        model: 5,
        fingerprint: 0xfeed_f00d,
        quality: 192,
        checksum: 0xdead_beef,
        metadata,
        alpha: sections.iter().copied().chain([0]).collect(),
        latents: data.to_vec(),
    };
    let mut packed = container::pack_image(&image).expect("it has all that it needs");
    assert_eq!(container::unpack(&packed, &LIMITS).expect("it was packed").body, Body::Image(image));
    edits.iter().for_each(|edit| edit.apply(&mut packed));
    if let Err(error) = container::unpack(&resealed(&packed), &LIMITS) {
        assert_typed(&error);
    }
}

/// What `lic_native.jpeg.decompress` does.
fn restore(packed: &[u8]) -> Result<Vec<u8>> {
    let container = container::unpack(packed, &LIMITS)?;
    let restored = match container.body {
        Body::Stored(stored) => stored,
        // It has no original to restore, only a model that is not here.
        Body::Image(image) => return Err(Error::Unsupported(format!("model {}", image.model))),
        Body::Jpeg(body) => {
            let max_blocks = LIMITS.max_blocks.min(8 * container.size);
            let limits = Limits { max_blocks, max_output_bytes: container.size };
            let frames = document::layout(&body.skeleton, &limits)?;
            let decode = |(frame, coded): (&Frame, &CodedPicture)| native::decode(frame, &coded.data, 1);
            let planes = frames.iter().zip(&body.pictures).map(decode).collect::<Result<Vec<_>>>()?;
            let restored = document::write(&body.skeleton, &planes, &limits)?;
            assert!(restored.len() as u64 <= container.size);
            restored
        }
    };
    container::verify(&restored, container.size, container.checksum)?;
    Ok(restored)
}

/// The file with magic, version and checksum as they must be.
fn resealed(packed: &[u8]) -> Vec<u8> {
    let content = packed.get(5..packed.len().saturating_sub(4)).unwrap_or_default();
    let mut out = [&container::MAGIC[..], &[container::VERSION], content].concat();
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out
}

/// It is for callers who pass what doesn't fit; no file may bring it about.
fn assert_typed(error: &Error) {
    assert!(!matches!(error, Error::InvalidArgument(_) | Error::OutOfMemory { .. }), "{error}");
}

/// A byte in place of another.
struct Edit {
    what: u8,
    place: usize,
    value: u8,
}

impl Edit {
    fn apply(&self, bytes: &mut [u8]) {
        if let Some(byte) = bytes.get_mut(self.place) {
            *byte = self.value;
        }
    }
}

/// The input, and the edits at its end: their number in the last byte, four bytes for each.
fn with_edits(data: &[u8]) -> (&[u8], Vec<Edit>) {
    let Some((&count, rest)) = data.split_last() else { return (data, Vec::new()) };
    let (rest, edits) = rest.split_at(rest.len().saturating_sub(4 * usize::from(count % 8)));
    let edit = |&[what, low, high, value]: &[u8; 4]| Edit {
        what,
        place: u16::from_le_bytes([low, high]).into(),
        value,
    };
    (rest, edits.as_chunks().0.iter().map(edit).collect())
}

/// Bytes one by one; zeros where there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }
}

/// A frame of whole MCUs, as [`jpeg::layout`] makes them: mostly small ones.
fn frame(input: &mut Input, mode: u8) -> Frame {
    let count = 1 + input.byte() % 4;
    let [mcus_x, mcus_y] = [0, 1].map(|_| match mode & 2 == 0 {
        true => 1 + usize::from(input.byte() % 16),
        false => 1 + 4 * usize::from(input.byte()),
    });
    let component = |id: u8| {
        let [sampling, quantiser] = [input.byte(), input.byte()];
        let [h, v] = if count == 1 { [1, 1] } else { [1 + sampling % 4, 1 + sampling / 4 % 4] };
        // All alike, rising, or, in most, as large as can be.
        let quant = std::array::from_fn(|k| match quantiser % 4 {
            0 => u16::from(quantiser / 4),
            1 => 1 + k as u16 * u16::from(quantiser / 4),
            _ => u16::MAX - u16::from(quantiser / 4),
        });
        let (blocks_w, blocks_h) = (mcus_x * usize::from(h), mcus_y * usize::from(v));
        let step = |row: usize| Steps { row, shifts: [(row + usize::from(quantiser)) as u8 % 14; 64] };
        let steps = if mode & 8 == 0 { Vec::new() } else { (0..2).map(step).collect() };
        Component { id, h, v, quant_index: 0, blocks_w, blocks_h, quant, steps }
    };
    let components = (0..count).map(component).collect();
    Frame { width: 1, height: 1, precision: 8, progressive: mode & 4 != 0, components }
}

/// As many coefficients as fit the frame, the same bytes over and over.
fn planes(frame: &Frame, bytes: &[u8]) -> Vec<Plane> {
    let mut values = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).cycle();
    let mut plane = |component: &Component| {
        // Multiples of the largest step.
        let mask = if component.steps.is_empty() { -1 } else { -1 << 13 };
        (0..64 * component.blocks()).map(|_| values.next().unwrap_or_default() & mask).collect()
    };
    frame.components.iter().map(&mut plane).collect()
}
