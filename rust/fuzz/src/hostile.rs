//! The fuzz targets for hostile files, which must give the correct result or a typed error.
//!
//! Each function belongs to a fuzz target; it takes any bytes, and panics if something is wrong. The module depends on
//! the crate only, so that the ordinary tests can replay what the fuzzers found (`regressions.rs`).

use lic_native::Limits;
use lic_native::carve::{self, EmbeddedJpeg};
use lic_native::container::{self, Body, CodedPicture, Hashes, ImageBody, JpegBody, Metadata};
use lic_native::jpeg::{self, Component, Frame, Plane, Steps, context_model};
use lic_native::{Error, Result, tensor};
use xxhash_rust::xxh3::xxh3_64;

/// Enough for several images, and little enough that each is fast.
const LIMITS: Limits = Limits { max_blocks: 1 << 13, max_output_bytes: 1 << 20 };
/// Enough for three bands of the context model.
const MAX_BLOCKS: usize = 100 << 10;
/// The largest number of blocks that are encoded: with sanitizers a coefficient takes a microsecond or more.
const MAX_ENCODED: usize = 1 << 10;

/// Reads any bytes as a JPEG file, and checks that writing restores it.
pub fn jpeg(data: &[u8]) {
    match jpeg::read(data, &LIMITS) {
        Ok(jpeg) => {
            assert_eq!(jpeg::layout(&jpeg.reconstruction, &LIMITS).as_ref(), Ok(&jpeg.frame));
            assert!(jpeg.frame.blocks() as u64 <= LIMITS.max_blocks);
            let written = jpeg::write(&jpeg.reconstruction, &jpeg.planes, &LIMITS);
            assert!(written.expect("it was read") == data, "another file is written");
        }
        Err(error) => assert_typed(&error),
    }
}

/// Reads any bytes as weights, as the body of such a file and as the payload of its only array.
pub fn weights(data: &[u8]) {
    let mut input = Input(data);
    let (kind, rows, columns) = (input.byte() & 1, input.byte() & 0x7f, input.byte() & 0x7f);
    let payload = input.0;
    // No configuration, one array called a, of two dimensions.
    let mut array = vec![0, 1, 1, b'a', kind, 2, rows, columns];
    let mut length = payload.len();
    while length >= 0x80 {
        array.push(length as u8 | 0x80);
        length >>= 7;
    }
    array.push(length as u8);
    array.extend([payload, &[0; 8]].concat());
    for file in [data.to_vec(), with_checksum(data), with_checksum(&array)] {
        if let Err(error) = tensor::weights::decode(&file, &LIMITS, 1) {
            assert_typed(&error);
        }
    }
}

/// Returns a file of weights with this body.
fn with_checksum(body: &[u8]) -> Vec<u8> {
    let mut file = [b"\x89LIW\x01", body].concat();
    file.extend(xxh3_64(&file).to_le_bytes());
    file
}

/// Carves JPEGs out of any bytes, codes them, and checks that writing restores the bytes.
pub fn carve(data: &[u8]) {
    let carved = carve::read(data, &LIMITS);
    let frames = carve::layout(&carved.reconstruction, &LIMITS).expect("it was read");
    assert!(frames.iter().eq(carved.jpegs.iter().map(|jpeg| &jpeg.frame)));
    let planes: Vec<Vec<Plane>> = carved
        .jpegs
        .iter()
        .map(|jpeg| {
            let coded = context_model::encode(&jpeg.frame, &jpeg.planes, 1).expect("the planes fit");
            context_model::decode(&jpeg.frame, &coded, 1).expect("it was encoded")
        })
        .collect();
    let written = carve::write(&carved.reconstruction, &planes, &LIMITS);
    assert!(written.expect("it was read") == data, "another file is written");
}

/// Takes a small frame from the bytes, and the rest as its coefficients or as a stream that codes them.
pub fn context_model(data: &[u8]) {
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
        let mut coded = context_model::encode(&frame, &planes, 1).expect("the planes fit");
        assert_eq!(context_model::encode(&frame, &planes, threads.into()).as_ref(), Ok(&coded));
        assert!(context_model::decode(&frame, &coded, threads.into()) == Ok(planes), "other coefficients");
        edits.iter().for_each(|edit| edit.apply(&mut coded));
        coded
    };
    match context_model::decode(&frame, &coded, threads.into()) {
        Ok(planes) if is_small => {
            let again = context_model::encode(&frame, &planes, 1).expect("they are of the right size");
            assert!(context_model::decode(&frame, &again, 1) == Ok(planes), "other coefficients");
        }
        Ok(planes) => assert!(planes.iter().map(Vec::len).sum::<usize>() == 64 * frame.blocks()),
        Err(error) => assert_typed(&error),
    }
}

/// Compresses a file and alters the result: its reconstruction data, its coefficients, or the `.lic` file, whose
/// checksum is then corrected. A file without JPEGs is taken for a `.lic` file itself, and for joined streams.
pub fn lic(data: &[u8]) {
    let (file, edits) = with_edits(data);
    let carved = carve::read(file, &LIMITS);
    if carved.jpegs.is_empty() {
        streams(file);
        if let Err(error) = container::kind(file).and(restore(&resealed(file))) {
            assert_typed(&error);
        }
        return;
    }
    let coded = |(jpeg, duplicate): (&EmbeddedJpeg, Option<u16>)| match duplicate {
        Some(index) => CodedPicture::DuplicateOf(index),
        None => {
            let data = context_model::encode(&jpeg.frame, &jpeg.planes, 1).expect("the planes fit");
            CodedPicture::Coded { coder: 3, fingerprint: context_model::fingerprint(), data }
        }
    };
    let planes: Vec<_> = carved.jpegs.iter().map(|jpeg| &jpeg.planes).collect();
    let pictures = carved.jpegs.iter().zip(container::duplicates(&planes)).map(coded).collect();
    let mut body = JpegBody { reconstruction: carved.reconstruction, pictures };
    for edit in &edits {
        match usize::from(edit.what) % (2 + body.pictures.len()) {
            0 => edit.apply(&mut body.reconstruction),
            1 => {}
            index => match &mut body.pictures[index - 2] {
                CodedPicture::Coded { data, .. } => edit.apply(data),
                CodedPicture::DuplicateOf(index) => *index = edit.value.into(),
            },
        }
    }
    // The altered data may declare another number of JPEGs, or a duplicate of a later one.
    let hashes = Hashes { sha256: file.len() & 1 == 1, sha1: file.len() & 2 == 2 };
    let Ok(mut packed) = container::pack_jpeg(file, &body, hashes) else { return };
    edits
        .iter()
        .filter(|edit| usize::from(edit.what) % (2 + body.pictures.len()) == 1)
        .for_each(|edit| edit.apply(&mut packed));
    let restored = if edits.is_empty() { restore(&packed) } else { restore(&resealed(&packed)) };
    match restored {
        // The checksum of the restored file may itself have been altered.
        Ok(restored) => assert!(restored == file || edits.iter().any(|edit| edit.place < 14)),
        Err(error) => {
            assert!(!edits.is_empty(), "{error}");
            assert_typed(&error);
        }
    }
}

/// Reads any bytes as the metadata of an image, and unpacks a file with them before and after it is altered.
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

/// Splits any bytes into streams, and checks that joining restores them.
fn streams(data: &[u8]) {
    let count = 1 + usize::from(data.first().copied().unwrap_or_default() % 8);
    match container::split_streams(data, count) {
        Ok(streams) => assert_eq!(container::join_streams(&streams).as_deref(), Ok(data)),
        Err(error) => assert_typed(&error),
    }
}

/// Restores a file as `lic_native.jpeg.decompress` does.
fn restore(packed: &[u8]) -> Result<Vec<u8>> {
    // Heads are read from any part of a file, before any checksum.
    for part in [packed, &packed[..packed.len() / 2]] {
        if let Err(error) = container::identify(part) {
            assert_typed(&error);
        }
        match container::head(part, 1 << 12) {
            Ok(head) => assert!(head.len() <= 1 << 12),
            Err(error) => assert_typed(&error),
        }
    }
    let container = container::unpack(packed, &LIMITS)?;
    let restored = match container.body {
        Body::Stored(stored) => stored,
        // An image needs a model, which is not available here.
        Body::Image(image) => return Err(Error::Unsupported(format!("model {}", image.model).into())),
        Body::Jpeg(body) => {
            if let Err(error) = carve::nested_at(&body.reconstruction, 24) {
                assert_typed(&error);
            }
            let mut planes: Vec<Vec<Plane>> = Vec::new();
            for (frame, picture) in body.frames(container.identity.size, &LIMITS)?.iter().zip(&body.pictures)
            {
                planes.push(match picture {
                    CodedPicture::Coded { data, .. } => context_model::decode(frame, data, 1)?,
                    CodedPicture::DuplicateOf(index) => planes[usize::from(*index)].clone(),
                });
            }
            let limits = Limits { max_output_bytes: container.identity.size, ..LIMITS };
            let restored = carve::write(&body.reconstruction, &planes, &limits)?;
            assert!(restored.len() as u64 <= container.identity.size);
            restored
        }
    };
    container.identity.verify(&restored)?;
    Ok(restored)
}

/// Returns the file with a valid magic, version and checksum.
fn resealed(packed: &[u8]) -> Vec<u8> {
    let content = packed.get(5..packed.len().saturating_sub(4)).unwrap_or_default();
    let mut out = [&container::MAGIC[..], &[container::VERSION], content].concat();
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out
}

/// Checks that a file may cause this error: some others blame the caller or the memory.
fn assert_typed(error: &Error) {
    assert!(!matches!(error, Error::InvalidArgument(_) | Error::OutOfMemory { .. }), "{error}");
}

/// The replacement of one byte.
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

/// Splits the input from the edits at its end: their number in the last byte, four bytes for each.
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

/// Gives the bytes of the input one by one, then zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }
}

/// Returns a frame of whole MCUs, as [`jpeg::layout`] does; most are small.
fn frame(input: &mut Input, mode: u8) -> Frame {
    let count = 1 + input.byte() % 4;
    let [mcus_x, mcus_y] = [0, 1].map(|_| match mode & 2 == 0 {
        true => 1 + usize::from(input.byte() % 16),
        false => 1 + 4 * usize::from(input.byte()),
    });
    let component = |id: u8| {
        let [sampling, quantiser] = [input.byte(), input.byte()];
        let [h, v] = if count == 1 { [1, 1] } else { [1 + sampling % 4, 1 + sampling / 4 % 4] };
        // Constant, rising or, in most, as large as possible.
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

/// Returns coefficients for the frame, which repeat the bytes.
fn planes(frame: &Frame, bytes: &[u8]) -> Vec<Plane> {
    let mut values = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).cycle();
    let mut plane = |component: &Component| {
        // Multiples of the largest step.
        let mask = if component.steps.is_empty() { -1 } else { -1 << 13 };
        (0..64 * component.blocks()).map(|_| values.next().unwrap_or_default() & mask).collect()
    };
    frame.components.iter().map(&mut plane).collect()
}
