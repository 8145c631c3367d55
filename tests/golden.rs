//! The golden files that take no network: restored and written again by the crate alone, on any processor.
//!
//! `test_golden.py` checks all of them, against the hashes of its manifest.

use std::fs;
use std::path::Path;

use lic_native::container::{self, Body, CodedPicture, Hashes, JpegBody};
use lic_native::jpeg::context_model;
use lic_native::tensor::{Values, fitted};
use lic_native::{Limits, carve};

fn golden(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    let files: Vec<_> = named
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    assert!(!files.is_empty(), "no golden file is named {prefix}*");
    files
}

/// Restore the file that a `.lic` file holds, and encode its pictures again.
fn restore(data: &[u8]) -> (Vec<u8>, Option<JpegBody>, Hashes) {
    let limits = Limits::default();
    let container = container::unpack(data, &limits).unwrap();
    let (restored, body) = match container.body {
        Body::Stored(restored) => (restored, None),
        Body::Image(image) => panic!("an image of model {}", image.model),
        Body::Jpeg(body) => {
            let frames = carve::layout(&body.reconstruction, &limits).unwrap();
            let mut planes: Vec<Vec<Vec<i16>>> = Vec::new();
            let mut pictures = Vec::new();
            for (frame, picture) in frames.iter().zip(&body.pictures) {
                match picture {
                    CodedPicture::DuplicateOf(index) => {
                        planes.push(planes[usize::from(*index)].clone());
                        pictures.push(picture.clone());
                    }
                    &CodedPicture::Coded { coder, fingerprint, ref data } => {
                        assert_eq!(fingerprint, context_model::fingerprint());
                        let decoded = context_model::decode(frame, data, 1).unwrap();
                        let data = context_model::encode(frame, &decoded, 1).unwrap();
                        pictures.push(CodedPicture::Coded { coder, fingerprint, data });
                        planes.push(decoded);
                    }
                }
            }
            let restored = carve::write(&body.reconstruction, &planes, &limits).unwrap();
            (restored, Some(JpegBody { pictures, reconstruction: body.reconstruction }))
        }
    };
    container.identity.verify(&restored).unwrap();
    (restored, body, container.identity.hashes())
}

#[test]
fn files_are_restored_and_written_again() {
    for (name, data) in golden("v1_native_") {
        let (restored, body, hashes) = restore(&data);
        let encoded = match body {
            Some(body) => container::pack_jpeg(&restored, &body, hashes),
            None => container::store(&restored, hashes),
        };
        assert!(encoded.unwrap() == data, "{name}: other bytes");
    }
}

#[test]
fn tensors_are_decoded_and_written_again() {
    for (name, data) in golden("v1.lit") {
        let fitted::Tensor { library, shape, values } = fitted::decode(&data, &Limits::default()).unwrap();
        let Values::I16(values) = values else { panic!("{name}: {values:?}") };
        assert!(fitted::encode(&values, &shape, library, None).unwrap() == data, "{name}: other bytes");
    }
}
