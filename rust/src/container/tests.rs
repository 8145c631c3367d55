use super::dictionary;
use super::header::{CRC_BYTES, FIXED_BYTES, KIND_JPEG, KIND_STORED, header, put_section, sealed};
use super::stored::{ZSTD, ZSTD_DICTIONARY};
use super::*;
use crate::limits::up_to;
use crate::{Error, bytes, carve};
use xxhash_rust::xxh3::xxh3_64;

/// Returns reconstruction data whose header declares three pictures. They are never written.
fn reconstruction() -> Vec<u8> {
    let mut reconstruction = vec![3, 0, 0xc8, 1, 0, 0x96, 1, 100, 0, 60, 10, 0];
    reconstruction.extend((0..300u32).map(|i| ((i * i) >> 3) as u8));
    reconstruction
}

const NONE: Hashes = Hashes { sha256: false, sha1: false };
const ALL: Hashes = Hashes { sha256: true, sha1: true };

fn sample() -> (Vec<u8>, Vec<u8>) {
    sample_with(NONE)
}

fn sample_with(hashes: Hashes) -> (Vec<u8>, Vec<u8>) {
    let original: Vec<u8> = (0..2000u32).map(|i| ((i * i) >> 3) as u8).collect();
    let picture = |coder: u64, range: std::ops::Range<usize>| CodedPicture::Coded {
        coder,
        fingerprint: 0xfeed_f00d + coder as u32,
        data: original[range].to_vec(),
    };
    let pictures = vec![picture(1, 300..900), picture(300, 900..1000), CodedPicture::DuplicateOf(1)];
    let body = JpegBody { reconstruction: reconstruction(), pictures };
    let packed = pack_jpeg(&original, &body, hashes).unwrap();
    let container = unpack(&packed, &up_to(1 << 20)).unwrap();
    assert_eq!(container.body, Body::Jpeg(body));
    container.identity.verify(&original).unwrap();
    assert_eq!(container.identity.hashes(), hashes);
    assert_eq!(identify(&packed[..packed.len().min(76)]), Ok(container.identity));
    (original, packed)
}

#[test]
fn jpeg_bodies_round_trip() {
    for (sha256, sha1) in [(false, false), (false, true), (true, false), (true, true)] {
        sample_with(Hashes { sha256, sha1 });
    }
}

#[test]
fn stored_files_grow_by_32_bytes_and_their_hashes_at_most() {
    let noise: Vec<u8> = (0..5000u64).map(|i| (xxh3_64(&i.to_le_bytes()) >> 13) as u8).collect();
    for original in [&b""[..], b"x", b"\x89LIC", &noise, &[7; 100_000], &vec![7; dictionary::LARGE]] {
        let packed = store(original, NONE).unwrap();
        assert!(packed.len() <= original.len() + 32);
        assert_eq!(store(original, ALL).unwrap().len(), packed.len() + 32 + 20);
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
    for packed in
        [packed, store(&original, NONE).unwrap(), sample_with(ALL).1, store(&original, ALL).unwrap()]
    {
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], &up_to(1 << 20)).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn every_bit_flip_is_an_error() {
    let (_, packed) = sample_with(ALL);
    for bit in 0..8 * packed.len() {
        let mut flipped = packed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(unpack(&flipped, &up_to(1 << 20)).is_err(), "bit {bit}");
    }
}

#[test]
fn altered_files_with_a_right_checksum_do_not_panic() {
    let (_, packed) = sample_with(ALL);
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
    let mut out = header(kind, b"", NONE).unwrap();
    out.truncate(FIXED_BYTES);
    bytes::put_varint(&mut out, size);
    out.extend_from_slice(body);
    sealed(out)
}

fn crafted_jpeg(size: u64, reconstruction: &[u8], reconstruction_size: u64) -> Vec<u8> {
    let mut body = Vec::new();
    bytes::put_varint(&mut body, reconstruction_size);
    put_section(&mut body, &dictionary::compress(reconstruction).unwrap());
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
            wrong(&crafted(KIND_STORED, size, &[&[ZSTD], &packed[..]].concat()), &expected);
            let packed = dictionary::compress(b"abc").unwrap();
            wrong(&crafted(KIND_STORED, size, &[&[ZSTD_DICTIONARY], &packed[..]].concat()), &expected);
            wrong(&crafted_jpeg(size, b"abc", size), &expected);
        }
    }
}

#[test]
fn bombs_are_left_after_what_they_promised() {
    let zeros = vec![0; 1 << 24];
    let bomb = [&[ZSTD], &zstd::bulk::compress(&zeros, 1).unwrap()[..]].concat();
    for data in [crafted(KIND_STORED, 1000, &bomb), crafted_jpeg(1000, &zeros, 1000)] {
        let error = unpack(&data, &up_to(u64::MAX)).unwrap_err().to_string();
        assert!(error.ends_with("1001 bytes where 1000 were promised"), "{error}");
    }
    let length = zeros.len() as u64;
    let honest = crafted_jpeg(1000, &zeros, length);
    assert!(unpack(&honest, &up_to(length)).is_ok());
    let refused = unpack(&honest, &up_to(1000));
    let limit = 1000 + carve::RECONSTRUCTION_SURPLUS;
    let expected = Error::LimitExceeded { what: "the reconstruction data's length", value: length, limit };
    assert_eq!(refused, Err(expected));
}

#[test]
fn as_many_pictures_as_the_reconstruction_data_say() {
    let picture = |fingerprint| CodedPicture::Coded { coder: 1, fingerprint, data: vec![] };
    let pack = |pictures| pack_jpeg(b"", &JpegBody { reconstruction: reconstruction(), pictures }, NONE);
    assert!(pack(vec![picture(7); 3]).is_ok());
    for wrong in [vec![picture(7); 2], vec![picture(7); 4], vec![picture(7), picture(8), picture(7)]] {
        assert!(matches!(pack(wrong), Err(Error::InvalidArgument(_))));
    }
    let none = crafted_jpeg(9, &reconstruction(), reconstruction().len() as u64);
    assert!(matches!(unpack(&none, &up_to(9)), Err(Error::Truncated { .. })));
}

#[test]
fn what_is_restored_is_checked() {
    let container = unpack(&store(b"abc", ALL).unwrap(), &up_to(3)).unwrap();
    let error = |restored: &[u8]| container.identity.verify(restored).unwrap_err().to_string();
    assert_eq!(error(b"ab"), "corrupt at byte 0: 2 bytes where 3 were promised");
    assert!(error(b"abd").contains("checksum differs"));
    for (name, wrong) in [
        ("SHA-256", Identity { sha256: Some([7; 32]), ..container.identity }),
        ("SHA-1", Identity { sha1: Some([7; 20]), ..container.identity }),
    ] {
        let error = wrong.verify(b"abc").unwrap_err().to_string();
        assert!(error.contains(&format!("{name} differs")), "{error}");
    }
}

#[test]
fn a_promise_beyond_the_limit_is_refused() {
    let packed = store(&[0; 1000], NONE).unwrap();
    let refused = unpack(&packed, &up_to(999));
    assert!(matches!(refused, Err(Error::LimitExceeded { value: 1000, limit: 999, .. })), "{refused:?}");
}

#[test]
fn unknown_versions_are_named() {
    let mut packed = store(b"abc", NONE).unwrap();
    packed[4] = 9;
    assert_eq!(
        unpack(&packed, &up_to(99)).unwrap_err().to_string(),
        "a .lic file of version 9: this release reads version 1"
    );
}

#[test]
fn the_kind_of_a_file_is_in_its_head() {
    let (_, packed) = sample();
    for (head, expected) in [
        (&packed[..6], Kind::Jpeg),
        (&store(b"", NONE).unwrap(), Kind::Stored),
        (b"\x89LIC\x01\x80", Kind::Stored),
        (b"\x89LIC\x01\xc1", Kind::Jpeg),
        (b"\x89LIC\x01\x02", Kind::Image),
        (b"\x89LIT", Kind::Tensor),
        (b"\xd1", Kind::Symbols),
    ] {
        assert_eq!(kind(head), Ok(expected));
    }
    for head in [&b""[..], b"\x89", b"\x89LIC", b"\x89LIC\x01"] {
        assert!(matches!(kind(head), Err(Error::Truncated { .. })), "{head:?}");
    }
    for head in
        [&b"\x89LIC\x02"[..], b"\x89LIC\x01\x03", b"\x89LIC\x01\x82", b"\x89LIC\x01\x21", b"\xff\xd8\xff"]
    {
        assert!(matches!(kind(head), Err(Error::Unsupported(_))), "{head:?}");
    }
}

#[test]
fn duplicates_are_found() {
    let pictures = [vec![1], vec![2, 3], vec![1], vec![2], vec![1], vec![2, 3]];
    assert_eq!(duplicates(&pictures), [None, None, Some(0), None, Some(0), Some(1)]);
}

#[test]
fn a_duplicate_is_of_an_earlier_picture() {
    let coded = CodedPicture::Coded { coder: 1, fingerprint: 7, data: vec![] };
    for wrong in [1, 2, u16::MAX] {
        let pictures = vec![coded.clone(), CodedPicture::DuplicateOf(wrong), coded.clone()];
        let packed = pack_jpeg(b"", &JpegBody { reconstruction: reconstruction(), pictures }, NONE);
        assert!(matches!(packed, Err(Error::InvalidArgument(_))));
    }
    let pictures = vec![coded.clone(), coded, CodedPicture::DuplicateOf(1)];
    let packed = pack_jpeg(b"", &JpegBody { reconstruction: reconstruction(), pictures }, NONE).unwrap();
    let content = &packed[..packed.len() - CRC_BYTES - 2];
    for wrong in [&[2, 0][..], &[255, 255], &[], &[1], &[1, 0, 0]] {
        let error = unpack(&sealed([content, wrong].concat()), &up_to(99)).unwrap_err();
        assert!(error.to_string().ends_with("a picture repeats none before it"), "{error}");
    }
}

#[test]
fn the_head_of_a_file_is_read_from_the_head_of_its_compressed_file() {
    let original: &[u8] = include_bytes!("../jpeg/tests/data/baseline.jpg");
    let carved = carve::read(original, &crate::Limits::default());
    let coded = CodedPicture::Coded { coder: 3, fingerprint: 0, data: vec![7; 10_000] };
    let body = JpegBody { reconstruction: carved.reconstruction, pictures: vec![coded] };
    let file = pack_jpeg(original, &body, ALL).unwrap();
    let scan = original.windows(2).position(|marker| marker == [0xFF, 0xDA]).unwrap();
    assert!(head(&file[..file.len() - 10_000], 1 << 20).unwrap().starts_with(&original[..scan]));
    for stored in [original, &[1; 3000][..]] {
        assert!(head(&store(stored, NONE).unwrap(), 1 << 20).unwrap() == stored);
        assert_eq!(head(&store(stored, NONE).unwrap(), 100).unwrap(), &stored[..100]);
    }
    for cut in 0..file.len().min(700) {
        let _ = head(&file[..cut], 1 << 20);
    }
    assert!(matches!(head(original, 1 << 20), Err(Error::Unsupported(_))));
}

#[test]
fn hashes_are_those_that_others_compute() {
    let identity = Identity::of(b"abc", ALL).unwrap();
    let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // FIPS 180-4, examples.
    assert_eq!(
        hex(&identity.sha256.unwrap()),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(hex(&identity.sha1.unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!((identity.size, identity.checksum), (3, xxh3_64(b"abc")));
    let long: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let mut hasher = Hasher::new(ALL);
    long.chunks(1013).for_each(|piece| hasher.update(piece).unwrap());
    assert_eq!(hasher.finish(), Identity::of(&long, ALL).unwrap());
    assert_eq!(Identity::of(&long, NONE).unwrap().checksum, xxh3_64(&long));
}

#[test]
fn only_files_have_an_identity() {
    for (data, is_cut) in
        [(&b"\x89LIT\x01\x03"[..], false), (b"\x89LIC\x01\x02", false), (b"\x89LIC\x01", true)]
    {
        let error = identify(data).unwrap_err();
        assert_eq!(matches!(error, Error::Truncated { .. }), is_cut, "{error}");
    }
    let (_, packed) = sample_with(ALL);
    for end in 6..14 + 2 + 32 + 20 {
        assert!(matches!(identify(&packed[..end]), Err(Error::Truncated { .. })), "cut at {end}");
    }
}
