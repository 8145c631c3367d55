//! The golden files that take no network: restored and written again by the crate alone, on any processor.
//!
//! `test_golden.py` checks all of them, against the hashes of its manifest.

use std::fs;
use std::path::Path;

use lic_native::container::{self, Body, CodedPicture, JpegBody};
use lic_native::jpeg::{native, Frame};
use lic_native::{document, tensor, Limits};

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
fn restore(data: &[u8]) -> (Vec<u8>, Option<JpegBody>) {
    let limits = Limits::default();
    let container = container::unpack(data, &limits).unwrap();
    let (restored, body) = match container.body {
        Body::Stored(restored) => (restored, None),
        Body::Image(image) => panic!("an image of model {}", image.model),
        Body::Jpeg(body) => {
            let frames = document::layout(&body.skeleton, &limits).unwrap();
            let decode = |(frame, coded): (&Frame, &CodedPicture)| {
                assert_eq!(coded.fingerprint, native::fingerprint());
                native::decode(frame, &coded.data, 1).unwrap()
            };
            let planes: Vec<_> = frames.iter().zip(&body.pictures).map(decode).collect();
            let encode = |((frame, planes), coded): ((&Frame, &Vec<_>), &CodedPicture)| CodedPicture {
                data: native::encode(frame, planes, 1).unwrap(),
                ..coded.clone()
            };
            let pictures = frames.iter().zip(&planes).zip(&body.pictures).map(encode).collect();
            let restored = document::write(&body.skeleton, &planes, &limits).unwrap();
            (restored, Some(JpegBody { pictures, skeleton: body.skeleton }))
        }
    };
    container::verify(&restored, container.size, container.checksum).unwrap();
    (restored, body)
}

#[test]
fn files_are_restored_and_written_again() {
    for (name, data) in golden("v1_native_") {
        let (restored, body) = restore(&data);
        let encoded = match body {
            Some(body) => container::pack_jpeg(&restored, &body),
            None => container::store(&restored),
        };
        assert!(encoded.unwrap() == data, "{name}: other bytes");
    }
}

#[test]
fn tensors_are_decoded_and_written_again() {
    for (name, data) in golden("v1.lit") {
        let tensor::Tensor { library, shape, values } = tensor::decode(&data, &Limits::default()).unwrap();
        let tensor::Values::I16(values) = values else { panic!("{name}: {values:?}") };
        assert!(tensor::encode(&values, &shape, library, None).unwrap() == data, "{name}: other bytes");
    }
}
