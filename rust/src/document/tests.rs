//! Files with pictures in them, put together from those of `jpeg::tests`.

use std::time::{Duration, Instant};

use super::*;

const BASELINE: &[u8] = include_bytes!("../jpeg/tests/data/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../jpeg/tests/data/progressive.jpg");
const CMYK: &[u8] = include_bytes!("../jpeg/tests/data/cmyk.jpg");
const GRAY: &[u8] = include_bytes!("../jpeg/tests/data/gray.jpg");
const LIMITS: Limits = Limits { max_blocks: 1 << 16, max_output_bytes: 1 << 24 };

/// How many components a picture has, and whether it is progressive.
type Kind = (usize, bool);

/// Takes a file apart and checks that it comes out again; its pictures, and how long its skeleton is.
#[track_caller]
fn taken(file: &[u8]) -> (Vec<Kind>, usize) {
    let document = read(file, &LIMITS);
    let frames = layout(&document.skeleton, &LIMITS).unwrap();
    assert!(frames.iter().eq(document.pictures.iter().map(|picture| &picture.frame)));
    assert!(write(&document.skeleton, &planes(&document), &LIMITS).unwrap() == file);
    let kind = |frame: &Frame| (frame.components.len(), frame.progressive);
    (frames.iter().map(kind).collect(), document.skeleton.len())
}

fn planes(document: &Document) -> Vec<Vec<Plane>> {
    document.pictures.iter().map(|picture| picture.planes.clone()).collect()
}

/// `outer` with an APP1 segment that holds `contents`.
fn around(outer: &[u8], contents: &[u8]) -> Vec<u8> {
    let len = u16::try_from(contents.len() + 2).unwrap().to_be_bytes();
    [&outer[..2], &[0xFF, 0xE1], &len, contents, &outer[2..]].concat()
}

#[test]
fn one_picture_is_all_there_is() {
    let jpeg = jpeg::read(BASELINE, &LIMITS).unwrap();
    let document = read(BASELINE, &LIMITS);
    assert_eq!(document.skeleton, [&[1, 0, 0, 0], &jpeg.skeleton[..]].concat());
    assert_eq!(document.pictures, [Picture { frame: jpeg.frame, planes: jpeg.planes }]);
}

#[test]
fn pictures_are_found_wherever_they_are() {
    let (one, two, three) = ((3, false), (4, false), (3, true));
    let garbage = [0xFF, 0xD8, 0xFF, 0, 7];
    for (file, expected) in [
        ([BASELINE, CMYK].concat(), vec![one, two]),
        (
            [&garbage, BASELINE, &garbage, &CMYK[..CMYK.len() - 2], PROGRESSIVE].concat(),
            vec![one, two, three],
        ),
        (around(BASELINE, CMYK), vec![one, two]),
        (
            around(BASELINE, &[&garbage, CMYK, &garbage, PROGRESSIVE, &garbage].concat()),
            vec![one, two, three],
        ),
        ([around(CMYK, &around(PROGRESSIVE, CMYK)), BASELINE.to_vec()].concat(), vec![two, three, two, one]),
        ([&[0xFF, 0xD8, 7, 7], &CMYK[2..]].concat(), vec![two]),
        (garbage.to_vec(), vec![]),
        (GRAY.to_vec(), vec![]),
        (vec![], vec![]),
    ] {
        assert_eq!(taken(&file).0, expected);
    }
}

#[test]
fn pictures_are_inside_one_another_up_to_a_depth() {
    let mut file = CMYK.to_vec();
    for depth in 1..12 {
        assert_eq!(taken(&file).0.len(), depth.min(MAX_DEPTH));
        file = around(CMYK, &file);
    }
}

#[test]
fn a_thumbnail_without_a_scan_is_text() {
    let scan = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let (pictures, skeleton_len) = taken(&around(BASELINE, &CMYK[..scan]));
    assert_eq!(pictures, [(3, false)]);
    assert!(skeleton_len > scan + 500);
}

#[test]
fn what_is_too_small_is_text() {
    // Without its scan, or with little of it.
    let header = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap() + 10;
    for (len, expected) in [(header, 0), (header + 40, 0), (CMYK.len(), 1)] {
        assert_eq!(taken(&CMYK[..len]).0.len(), expected);
    }
}

#[test]
fn the_limit_on_blocks_is_for_all_pictures() {
    let file = [BASELINE, BASELINE, CMYK].concat();
    for (max_blocks, expected) in [(35, 0), (36, 1), (96, 2), (167, 2), (168, 3)] {
        let limits = Limits { max_blocks, ..LIMITS };
        let document = read(&file, &limits);
        assert_eq!(document.pictures.len(), expected);
        assert!(layout(&document.skeleton, &limits).is_ok());
    }
    let skeleton = read(&file, &LIMITS).skeleton;
    let refused = layout(&skeleton, &Limits { max_blocks: 167, ..LIMITS });
    assert!(matches!(refused, Err(Error::LimitExceeded { .. })));
}

#[test]
fn the_limit_on_output_is_for_the_whole_file() {
    let file = [&around(BASELINE, CMYK), CMYK, b"text"].concat();
    let document = read(&file, &LIMITS);
    for less in 0..file.len() as u64 {
        let limits = Limits { max_output_bytes: file.len() as u64 - less, ..LIMITS };
        let result = write(&document.skeleton, &planes(&document), &limits);
        assert_eq!(result.is_ok(), less == 0, "{less}");
    }
}

#[test]
fn other_pictures_than_the_skeletons_are_refused() {
    let document = read(&around(BASELINE, CMYK), &LIMITS);
    let planes = planes(&document);
    let swapped = [planes[1].clone(), planes[0].clone()];
    for wrong in [&planes[..1], &swapped] {
        assert!(matches!(write(&document.skeleton, wrong, &LIMITS), Err(Error::InvalidArgument(_))));
    }
    let mut longer = planes.clone();
    longer[1][0][7] += 99;
    assert!(matches!(write(&document.skeleton, &longer, &LIMITS), Err(Error::Corrupt { .. })));
}

/// An APP segment ends within a picture that lies in it, so that what follows of this one is taken for the outer's.
#[test]
fn frames_that_depend_on_what_lies_in_them_are_refused() {
    let [outer, inner] = [BASELINE, CMYK].map(|file| jpeg::read(file, &LIMITS).unwrap());
    let frame = CMYK.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let segment = [&[0xFF, 0xE0], &(frame as u16 + 2).to_be_bytes()[..]].concat();
    let text = [&outer.skeleton[..3], &segment, &inner.skeleton, &outer.skeleton[3..]].concat();
    let cuts = [
        Cut { range: 0..text.len(), inner_len: 0 },
        Cut { range: 7..7 + inner.skeleton.len(), inner_len: CMYK.len() },
    ];
    let skeleton = [head(&cuts, text.len()), text].concat();
    assert_eq!(layout(&skeleton, &LIMITS), Ok(vec![outer.frame, inner.frame]));
    let written = write(&skeleton, &[outer.planes, inner.planes], &LIMITS);
    assert!(matches!(written, Err(Error::Corrupt { .. })), "{written:?}");
}

#[test]
fn damaged_skeletons_do_not_panic() {
    let document = read(&[&around(BASELINE, CMYK), CMYK, b"text"].concat(), &LIMITS);
    let planes = planes(&document);
    let survives = |skeleton: &[u8]| {
        let frames = layout(skeleton, &LIMITS);
        let written = write(skeleton, &planes, &LIMITS);
        assert!(frames.is_ok() || written.is_err());
    };
    for at in 0..document.skeleton.len() {
        survives(&document.skeleton[..at]);
        let mut damaged = document.skeleton.clone();
        for value in [0, 1, 2, 100, 0x80, 0xFF] {
            damaged[at] = value;
            survives(&damaged);
        }
    }
}

#[test]
fn pictures_without_coefficients_are_text() {
    // A declared size does not make blocks: 40 bytes of header and two of coefficients, over and over.
    let frame = [0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xF8, 1, 1, 0x11, 0];
    let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0, 0, 0xFF, 0xD9];
    for height in [[0xFF, 0xFF], [0, 0]] {
        let mut frame = frame;
        frame[5..7].copy_from_slice(&height);
        let picture = [&SOI[..], &frame, &scan].concat();
        let file = picture.repeat(1000);
        assert_eq!(taken(&file), (vec![], file.len() + 1));
        // As many blocks as bits, of the scans alone.
        let file = [&picture[..], &[0xFF, 0xFE, 0xFF, 0xFF], &[0; 0xFFFD], &picture].concat();
        assert_eq!(taken(&file).0, vec![]);
    }
}

#[test]
fn a_picture_in_a_segment_is_no_longer_than_that() {
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
fn heads_of_skeletons_are_checked() {
    let text = [0; 50];
    let refused = |head: &[u8]| layout(&[head, &text].concat(), &LIMITS).unwrap_err().to_string();
    for (head, what) in [
        (&[0x81, 0x20][..], "too many pictures"),
        (&[1, 50, 0, 0], "no place for a picture"),
        (&[1, 0, 50, 0], "no place for a picture"),
        (&[1, 0, 51, 0], "no place for a picture"),
        (&[1, 0, 0, 9], "pictures overlap"),
        (&[2, 0, 10, 0, 5, 0, 0], "pictures overlap"),
        (&[2, 0, 10, 0, 5, 0, 9], "pictures overlap"),
        (&[2, 0, 10, 0, 5, 20, 0], "pictures overlap"),
        (&[[9].as_slice(), &[0, 0, 0], &[1, 0, 9].repeat(8)].concat(), "pictures overlap"),
    ] {
        assert!(refused(head).ends_with(what), "{head:?}: {}", refused(head));
    }
}

/// What makes the search for pictures look at the same bytes again and again.
#[test]
fn time_is_proportional_to_the_length() {
    let segment = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0, 0];
    let scan = CMYK.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let frame = CMYK.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    // A picture of a megapixel, with a hundred bytes of it.
    let mut large = CMYK[..scan + 100].to_vec();
    large[frame + 5..frame + 9].copy_from_slice(&[4, 0, 4, 0]);
    for piece in [&START[..], &segment, &[0xFF, 0xD8, 0xFF, 0xE0, 0x40, 0], &CMYK[..scan], &large] {
        let file = piece.repeat((1 << 20) / piece.len());
        let start = Instant::now();
        let document = read(&file, &LIMITS);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?} for {piece:?}", start.elapsed());
        // Those at the end might be pictures that have been cut short.
        assert!(document.skeleton.len() > file.len() * 99 / 100);
    }
}
