//! Files with embedded JPEGs, assembled from those of `jpeg::tests`.

use std::time::{Duration, Instant};

use super::residue::{Embedding, MAX_DEPTH, header};
use super::search::START;
use super::*;
use crate::jpeg::{self, Frame, Plane, SOI};
use crate::{Error, Limits, bytes};

const BASELINE: &[u8] = include_bytes!("../jpeg/tests/data/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../jpeg/tests/data/progressive.jpg");
const CMYK: &[u8] = include_bytes!("../jpeg/tests/data/cmyk.jpg");
const GRAY: &[u8] = include_bytes!("../jpeg/tests/data/gray.jpg");
const LIMITS: Limits = Limits { max_blocks: 1 << 16, max_output_bytes: 1 << 24 };

/// The number of components of a JPEG, and whether it is progressive.
type Kind = (usize, bool);

/// Reads a file and checks that writing restores it; returns its JPEGs, and the length of its reconstruction data.
#[track_caller]
fn carve_exactly(file: &[u8]) -> (Vec<Kind>, usize) {
    let carved = read(file, &LIMITS);
    let frames = layout(&carved.reconstruction, &LIMITS).unwrap();
    assert!(frames.iter().eq(carved.jpegs.iter().map(|jpeg| &jpeg.frame)));
    assert!(write(&carved.reconstruction, &planes(&carved), &LIMITS).unwrap() == file);
    let kind = |frame: &Frame| (frame.components.len(), frame.progressive);
    (frames.iter().map(kind).collect(), carved.reconstruction.len())
}

fn planes(carved: &CarvedFile) -> Vec<Vec<Plane>> {
    carved.jpegs.iter().map(|jpeg| jpeg.planes.clone()).collect()
}

/// Returns `outer` with an APP1 segment that holds `contents`.
fn with_app1(outer: &[u8], contents: &[u8]) -> Vec<u8> {
    let len = u16::try_from(contents.len() + 2).unwrap().to_be_bytes();
    [&outer[..2], &[0xFF, 0xE1], &len, contents, &outer[2..]].concat()
}

#[test]
fn a_single_jpeg_leaves_its_reconstruction_data() {
    let jpeg = jpeg::read(BASELINE, &LIMITS).unwrap();
    let carved = read(BASELINE, &LIMITS);
    assert_eq!(carved.reconstruction, [&[1, 0, 0, 0], &jpeg.reconstruction[..]].concat());
    assert_eq!(carved.jpegs, [EmbeddedJpeg { frame: jpeg.frame, planes: jpeg.planes }]);
}

#[test]
fn jpegs_are_found_anywhere() {
    let (one, two, three) = ((3, false), (4, false), (3, true));
    let garbage = [0xFF, 0xD8, 0xFF, 0, 7];
    for (file, expected) in [
        ([BASELINE, CMYK].concat(), vec![one, two]),
        (
            [&garbage, BASELINE, &garbage, &CMYK[..CMYK.len() - 2], PROGRESSIVE].concat(),
            vec![one, two, three],
        ),
        (with_app1(BASELINE, CMYK), vec![one, two]),
        (
            with_app1(BASELINE, &[&garbage, CMYK, &garbage, PROGRESSIVE, &garbage].concat()),
            vec![one, two, three],
        ),
        (
            [with_app1(CMYK, &with_app1(PROGRESSIVE, CMYK)), BASELINE.to_vec()].concat(),
            vec![two, three, two, one],
        ),
        ([&[0xFF, 0xD8, 7, 7], &CMYK[2..]].concat(), vec![two]),
        (garbage.to_vec(), vec![]),
        (GRAY.to_vec(), vec![]),
        (vec![], vec![]),
    ] {
        assert_eq!(carve_exactly(&file).0, expected);
    }
}

#[test]
fn jpegs_are_nested_up_to_a_depth() {
    let mut file = CMYK.to_vec();
    for depth in 1..12 {
        assert_eq!(carve_exactly(&file).0.len(), depth.min(MAX_DEPTH));
        file = with_app1(CMYK, &file);
    }
}

#[test]
fn a_thumbnail_without_a_scan_stays_in_the_residue() {
    let scan = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let (jpegs, reconstruction_len) = carve_exactly(&with_app1(BASELINE, &CMYK[..scan]));
    assert_eq!(jpegs, [(3, false)]);
    assert!(reconstruction_len > scan + 500);
}

#[test]
fn a_jpeg_that_is_too_small_stays_in_the_residue() {
    // With no scan, with little of it, and with all of it.
    let header = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap() + 10;
    for (len, expected) in [(header, 0), (header + 40, 0), (CMYK.len(), 1)] {
        assert_eq!(carve_exactly(&CMYK[..len]).0.len(), expected);
    }
}

#[test]
fn the_limit_on_blocks_holds_for_all_jpegs_together() {
    let file = [BASELINE, BASELINE, CMYK].concat();
    for (max_blocks, expected) in [(35, 0), (36, 1), (96, 2), (167, 2), (168, 3)] {
        let limits = Limits { max_blocks, ..LIMITS };
        let carved = read(&file, &limits);
        assert_eq!(carved.jpegs.len(), expected);
        assert!(layout(&carved.reconstruction, &limits).is_ok());
    }
    let carved = read(&file, &LIMITS);
    let refused = layout(&carved.reconstruction, &Limits { max_blocks: 167, ..LIMITS });
    assert!(matches!(refused, Err(Error::LimitExceeded { .. })));
    // Writing needs no further memory for blocks: there, the limit holds for each JPEG.
    let written =
        |max_blocks| write(&carved.reconstruction, &planes(&carved), &Limits { max_blocks, ..LIMITS });
    assert!(written(96) == Ok(file));
    assert!(matches!(written(95), Err(Error::LimitExceeded { .. })));
}

#[test]
fn the_limit_on_output_holds_for_the_whole_file() {
    let file = [&with_app1(BASELINE, CMYK), CMYK, b"text"].concat();
    let carved = read(&file, &LIMITS);
    for less in 0..file.len() as u64 {
        let limits = Limits { max_output_bytes: file.len() as u64 - less, ..LIMITS };
        let result = write(&carved.reconstruction, &planes(&carved), &limits);
        assert_eq!(result.is_ok(), less == 0, "{less}");
    }
}

#[test]
fn planes_of_other_jpegs_are_refused() {
    let carved = read(&with_app1(BASELINE, CMYK), &LIMITS);
    let planes = planes(&carved);
    let swapped = [planes[1].clone(), planes[0].clone()];
    for wrong in [&planes[..1], &swapped] {
        assert!(matches!(write(&carved.reconstruction, wrong, &LIMITS), Err(Error::InvalidArgument(_))));
    }
    let mut longer = planes.clone();
    longer[1][0][7] += 99;
    assert!(matches!(write(&carved.reconstruction, &longer, &LIMITS), Err(Error::Corrupt { .. })));
}

/// An APP segment ends within the JPEG nested in it, so that the rest of that one is parsed as part of the outer one.
#[test]
fn frames_that_depend_on_nested_jpegs_are_refused() {
    let [outer, inner] = [BASELINE, CMYK].map(|file| jpeg::read(file, &LIMITS).unwrap());
    let frame = CMYK.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let segment = [&[0xFF, 0xE0], &(frame as u16 + 2).to_be_bytes()[..]].concat();
    let residue =
        [&outer.reconstruction[..3], &segment, &inner.reconstruction, &outer.reconstruction[3..]].concat();
    let embeddings = [
        Embedding { range: 0..residue.len(), nested_len: 0 },
        Embedding { range: 7..7 + inner.reconstruction.len(), nested_len: CMYK.len() },
    ];
    let reconstruction = [header(&embeddings, residue.len()), residue].concat();
    assert_eq!(layout(&reconstruction, &LIMITS), Ok(vec![outer.frame, inner.frame]));
    let written = write(&reconstruction, &[outer.planes, inner.planes], &LIMITS);
    assert!(matches!(written, Err(Error::Corrupt { .. })), "{written:?}");
}

#[test]
fn damaged_reconstruction_data_do_not_panic() {
    let carved = read(&[&with_app1(BASELINE, CMYK), CMYK, b"text"].concat(), &LIMITS);
    let planes = planes(&carved);
    let survives = |reconstruction: &[u8]| {
        let frames = layout(reconstruction, &LIMITS);
        let written = write(reconstruction, &planes, &LIMITS);
        assert!(frames.is_ok() || written.is_err());
    };
    for at in 0..carved.reconstruction.len() {
        survives(&carved.reconstruction[..at]);
        let mut damaged = carved.reconstruction.clone();
        for value in [0, 1, 2, 100, 0x80, 0xFF] {
            damaged[at] = value;
            survives(&damaged);
        }
    }
}

#[test]
fn jpegs_without_coefficients_stay_in_the_residue() {
    // A large declared size earns no blocks: 40 bytes of header and two of coefficients, repeated.
    let frame = [0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xF8, 1, 1, 0x11, 0];
    let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0, 0, 0xFF, 0xD9];
    for height in [[0xFF, 0xFF], [0, 0]] {
        let mut frame = frame;
        frame[5..7].copy_from_slice(&height);
        let jpeg = [&SOI[..], &frame, &scan].concat();
        let file = jpeg.repeat(1000);
        assert_eq!(carve_exactly(&file), (vec![], file.len() + 1));
        // Only the bits of the scans earn blocks.
        let file = [&jpeg[..], &[0xFF, 0xFE, 0xFF, 0xFF], &[0; 0xFFFD], &jpeg].concat();
        assert_eq!(carve_exactly(&file).0, vec![]);
    }
}

#[test]
fn a_nested_jpeg_is_no_longer_than_a_segment() {
    let text = [0; 50];
    for (len, what) in [(0x10000u64, "longer than a segment"), (1 << 40, "longer than a segment"), (9, "SOI")]
    {
        let mut head = vec![2, 0, 0, 0, 1, 1];
        bytes::put_varint(&mut head, len);
        let error = layout(&[&head[..], &text].concat(), &LIMITS).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn headers_of_reconstruction_data_are_checked() {
    let text = [0; 50];
    let refused = |head: &[u8]| layout(&[head, &text].concat(), &LIMITS).unwrap_err().to_string();
    for (head, what) in [
        (&[0x81, 0x20][..], "too many JPEGs"),
        (&[1, 50, 0, 0], "no bytes for an embedded JPEG"),
        (&[1, 0, 50, 0], "no bytes for an embedded JPEG"),
        (&[1, 0, 51, 0], "no bytes for an embedded JPEG"),
        (&[1, 0, 0, 9], "embedded JPEGs overlap"),
        (&[2, 0, 10, 0, 5, 0, 0], "embedded JPEGs overlap"),
        (&[2, 0, 10, 0, 5, 0, 9], "embedded JPEGs overlap"),
        (&[2, 0, 10, 0, 5, 20, 0], "embedded JPEGs overlap"),
        (&[[9].as_slice(), &[0, 0, 0], &[1, 0, 9].repeat(8)].concat(), "embedded JPEGs overlap"),
    ] {
        assert!(refused(head).ends_with(what), "{head:?}: {}", refused(head));
    }
}

/// Files that make the search read the same bytes many times.
#[test]
fn time_is_proportional_to_the_length() {
    let segment = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0, 0];
    let scan = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let frame = CMYK.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    // A JPEG of a megapixel, cut after a hundred bytes of its scan.
    let mut large = CMYK[..scan + 100].to_vec();
    large[frame + 5..frame + 9].copy_from_slice(&[4, 0, 4, 0]);
    for pattern in [&START[..], &segment, &[0xFF, 0xD8, 0xFF, 0xE0, 0x40, 0], &CMYK[..scan], &large] {
        let file = pattern.repeat((1 << 20) / pattern.len());
        let start = Instant::now();
        let carved = read(&file, &LIMITS);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?} for {pattern:?}", start.elapsed());
        // The last few may be truncated JPEGs.
        assert!(carved.reconstruction.len() > file.len() * 99 / 100);
    }
}

#[test]
fn the_head_of_a_file_needs_no_coefficients() {
    let nested = &CMYK[..CMYK.len().min(60000)];
    let file = with_app1(BASELINE, &[&b"before"[..], nested, b"after"].concat());
    let carved = read(&file, &LIMITS);
    assert_eq!(carved.jpegs.len(), 2);
    let scan = file.windows(2).rposition(|marker| marker == [0xFF, 0xDA]).unwrap();
    let mut expected = file[..scan].to_vec();
    let begin = 2 + 2 + 2 + b"before".len();
    expected[begin..begin + nested.len()].fill(0);
    let (reconstruction, length) = (&carved.reconstruction, carved.reconstruction.len());
    let whole = head(reconstruction, length, usize::MAX).unwrap();
    assert!(whole.starts_with(&expected));
    for cut in 0..length {
        match head(&reconstruction[..cut], length, usize::MAX) {
            Ok(part) => assert!(whole.starts_with(&part)),
            Err(error) => assert!(matches!(error, Error::Truncated { .. }), "{cut}: {error}"),
        }
    }
    assert!(head(reconstruction, length, 10).unwrap() == whole[..10]);
    assert_eq!(head(&read(b"no JPEG", &LIMITS).reconstruction, 8, 4).unwrap(), b"no J");
}

#[test]
fn a_nested_jpeg_can_be_written_alone() {
    let inner = with_app1(BASELINE, PROGRESSIVE);
    let file = with_app1(&with_app1(BASELINE, &inner), CMYK);
    let carved = read(&file, &LIMITS);
    assert_eq!(carved.jpegs.len(), 4);
    let (index, alone) = nested_at(&carved.reconstruction, 6).unwrap().unwrap();
    assert_eq!(index, 1);
    assert!(write(&alone, &planes(&carved)[index..=index], &LIMITS).unwrap() == CMYK);
    let second = 6 + CMYK.len() + 4;
    assert!(file[second..].starts_with(&inner));
    // One in which another is nested, that other one, and no beginning of a JPEG.
    for position in [second, second + 6, 5, 7, file.len(), 0] {
        assert_eq!(nested_at(&carved.reconstruction, position).unwrap(), None);
    }
}
