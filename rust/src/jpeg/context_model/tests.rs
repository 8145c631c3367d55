//! All coefficients survive coding; damaged streams are refused or give other coefficients.

use super::bands::bands;
use super::{Statistics, decode, decode_rows, encode};
use crate::ans::Random;
use crate::jpeg::{Frame, Plane, Steps, read};
use crate::{Error, Limits};
use proptest::prelude::*;
use std::path::PathBuf;

const BASELINE: &[u8] = include_bytes!("../tests/data/baseline.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../tests/data/progressive.jpg");
const CMYK: &[u8] = include_bytes!("../tests/data/cmyk.jpg");

/// Returns a frame of these sampling factors whose quantisers rise with the frequency.
fn frame((width, height): (u16, u16), sampling: &[(u8, u8)]) -> Frame {
    let components: Vec<_> = (1..).zip(sampling).map(|(id, &(h, v))| (id, h, v, 0)).collect();
    let mut frame = Frame::new((width, height), 8, false, &components);
    for (index, component) in frame.components.iter_mut().enumerate() {
        component.quant = std::array::from_fn(|k| (k + 3 * index + 1) as u16);
    }
    frame
}

/// Returns random coefficients of which `density` in 256 are nonzero and have at most `bits` bits.
fn random_planes(frame: &Frame, seed: u64, density: u8, bits: u32) -> Vec<Plane> {
    let mut random = Random::new(seed);
    let mut coefficient = || match random.below(256) < density.into() {
        true => random.next() as i16 >> (16 - bits),
        false => 0,
    };
    let planes = frame.components.iter().map(|component| 64 * component.blocks());
    planes.map(|len| (0..len).map(|_| coefficient()).collect()).collect()
}

fn planes_of(frame: &Frame, coefficient: impl Fn(usize) -> i16) -> Vec<Plane> {
    frame
        .components
        .iter()
        .map(|component| (0..64 * component.blocks()).map(&coefficient).collect())
        .collect()
}

/// Encodes, and checks that the bytes decode to the same coefficients with any number of threads.
#[track_caller]
fn coded(frame: &Frame, planes: &[Plane]) -> Vec<u8> {
    let coded = encode(frame, planes, 1).unwrap();
    for threads in [0, 1, 3] {
        assert!(decode(frame, &coded, threads).as_deref() == Ok(planes), "other coefficients");
    }
    coded
}

fn samplings() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let usual = [&[(1, 1)][..], &[(2, 2), (1, 1), (1, 1)], &[(1, 1); 3], &[(1, 1); 4]].map(<[_]>::to_vec);
    prop_oneof![prop::sample::select(usual.to_vec()), prop::collection::vec((1u8..=4, 1u8..=4), 1..=4)]
}

proptest! {
    #[test]
    fn any_coefficients_survive(
        size in (1u16..150, 1u16..100),
        sampling in samplings(),
        seed in any::<u64>(),
        density in prop_oneof![Just(0u8), Just(2), Just(40), any::<u8>()],
        bits in 1u32..=16,
    ) {
        let frame = frame(size, &sampling);
        coded(&frame, &random_planes(&frame, seed, density, bits));
    }

    #[test]
    fn any_bytes_are_coefficients_or_an_error(
        size in (1u16..60, 1u16..60),
        sampling in samplings(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let frame = frame(size, &sampling);
        match decode(&frame, &bytes, 1) {
            Ok(planes) => drop(coded(&frame, &planes)),
            Err(error) => prop_assert!(matches!(error, Error::Truncated { .. } | Error::Corrupt { .. }), "{error}"),
        }
    }
}

#[test]
fn extreme_coefficients() {
    let mut frame = frame((40, 33), &[(2, 1), (1, 1), (1, 1)]);
    for quantiser in [0, 1, 255, u16::MAX] {
        frame.components.iter_mut().for_each(|component| component.quant = [quantiser; 64]);
        for value in [i16::MIN, i16::MIN + 1, -1, 0, 1, i16::MAX] {
            coded(&frame, &planes_of(&frame, |_| value));
            for position in [0, 1, 2, 4, 63] {
                coded(&frame, &planes_of(&frame, |i| if i % 64 == position { value } else { 0 }));
            }
        }
        // From block to block, from coefficient to coefficient.
        for period in [1, 64, 128, 1000] {
            coded(&frame, &planes_of(&frame, |i| if i / period % 2 == 0 { i16::MIN } else { i16::MAX }));
        }
    }
}

#[test]
fn frames_of_all_kinds() {
    let samplings: [&[(u8, u8)]; 8] = [
        &[(1, 1)],
        &[(1, 1), (1, 1)],
        &[(2, 2), (1, 1), (1, 1)],
        &[(1, 2), (1, 1), (1, 1)],
        &[(4, 1), (1, 1), (1, 1)],
        &[(1, 1), (2, 2), (4, 4)],
        &[(3, 1), (1, 2), (2, 3), (1, 1)],
        &[(1, 1), (1, 1), (1, 1), (1, 1)],
    ];
    for sampling in samplings {
        // One block, one row, one column, several of each.
        for size in [(1, 1), (8, 8), (500, 1), (1, 500), (77, 61)] {
            let mut frame = frame(size, sampling);
            coded(&frame, &random_planes(&frame, 1, 30, 6));
            // Truncated, down to no rows.
            for rows in (0..frame.mcus().1).rev() {
                frame.keep_rows(rows);
                coded(&frame, &random_planes(&frame, 1, 30, 6));
            }
            assert_eq!(frame.blocks(), 0);
        }
    }
}

#[test]
fn bands_give_the_same_bytes_with_any_number_of_threads() {
    let frame = frame((2500, 1700), &[(2, 2), (1, 1), (1, 1)]);
    assert_eq!(bands(&frame).len(), 3);
    let planes = random_planes(&frame, 5, 3, 5);
    let coded = coded(&frame, &planes);
    for threads in [0, 2, 3, 16] {
        assert!(encode(&frame, &planes, threads).as_ref() == Ok(&coded));
    }
    // The lengths of the streams must be right.
    for at in 0..8 {
        let mut damaged = coded.clone();
        damaged[at] ^= 0x40;
        assert!(decode(&frame, &damaged, 2).is_err(), "{at}");
    }
    for end in 0..8 {
        assert!(matches!(decode(&frame, &coded[..end], 2), Err(Error::Truncated { .. })));
    }
}

#[test]
fn rows_are_decoded_with_their_bands_alone() {
    let frame = frame((2500, 1700), &[(2, 2), (1, 1), (1, 1)]);
    let planes = random_planes(&frame, 5, 3, 5);
    let coded = encode(&frame, &planes, 2).unwrap();
    let bands = bands(&frame);
    for rows in [0..1, 40..41, 30..40, 0..107, 106..usize::MAX, 500..600] {
        let decoded = decode_rows(&frame, &coded, rows.clone(), 2).unwrap();
        for ((plane, original), component) in decoded.iter().zip(&planes).zip(&frame.components) {
            for band in &bands {
                let blocks = usize::from(component.v) * component.blocks_w * 64;
                let area = band.start * blocks..band.end * blocks;
                let is_touched = rows.start < band.end && rows.end > band.start;
                let expected = if is_touched { original[area.clone()].to_vec() } else { vec![0; area.len()] };
                assert!(plane[area] == expected, "{rows:?} in {band:?}");
            }
        }
    }
}

#[test]
fn bands_cover_all_rows() {
    for (width, height) in [(1, 1), (8, 65535), (65535, 8), (65535, 4000), (3000, 2000)] {
        for sampling in [&[(1, 1)][..], &[(2, 2), (1, 1), (1, 1)], &[(1, 4), (4, 1)]] {
            let frame = frame((width, height), sampling);
            let bands = bands(&frame);
            let (_, rows) = frame.mcus();
            assert_eq!((bands[0].start, bands[bands.len() - 1].end), (0, rows));
            assert!(bands.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(bands.iter().all(|band| !band.is_empty()));
        }
    }
}

#[test]
fn a_photograph_shrinks() {
    let file = include_bytes!("../../../../tests/data/grace_hopper.jpg");
    let jpeg = read(file, &Limits::default()).unwrap();
    let scans = file.len() - jpeg.reconstruction.len();
    assert!(coded(&jpeg.frame, &jpeg.planes).len() < 82 * scans / 100);
}

#[test]
fn unfinished_images_shrink_as_complete_ones_do() {
    let scans: Vec<usize> =
        PROGRESSIVE.windows(2).enumerate().filter(|(_, w)| *w == [0xFF, 0xDA]).map(|(at, _)| at).collect();
    // After a scan, and in the middle of one.
    for end in [scans[5], scans[5] + (scans[6] - scans[5]) / 2, scans[8] + 20] {
        let jpeg = read(&PROGRESSIVE[..end], &Limits::default()).unwrap();
        assert!(jpeg.frame.components.iter().any(|component| !component.steps.is_empty()));
        let by_steps = coded(&jpeg.frame, &jpeg.planes);
        let plain = coded(&jpeg.frame.clone().without_steps(), &jpeg.planes);
        assert!(by_steps.len() < plain.len(), "{} and {} bytes", by_steps.len(), plain.len());
    }
}

#[test]
fn steps_change_in_any_row() {
    let mut frame = frame((2500, 1700), &[(2, 2), (1, 1), (1, 1)]);
    let mut planes = random_planes(&frame, 5, 3, 5);
    planes.iter_mut().flatten().for_each(|value| *value &= !7);
    let steps = |row| Steps { row, shifts: std::array::from_fn(|k| ((k + row) % 4) as u8) };
    for rows in [vec![0], vec![0, 1], vec![0, 35, 36, 70, 106], vec![0, 3, 500]] {
        frame.components[0].steps = rows.iter().map(|&row| steps(row)).collect();
        frame.components[2].steps = rows.iter().map(|&row| steps(row)).rev().take(1).collect();
        coded(&frame, &planes);
    }
    // A coefficient that is not a multiple of its step is refused.
    planes[0][3] += 1;
    frame.components[0].steps = vec![Steps { row: 0, shifts: [1; 64] }];
    assert!(matches!(encode(&frame, &planes, 1), Err(Error::Corrupt { .. })));
}

#[test]
fn nothing_takes_next_to_nothing() {
    let frame = frame((1000, 1000), &[(2, 2), (1, 1), (1, 1)]);
    assert!(coded(&frame, &planes_of(&frame, |_| 0)).len() < frame.blocks() / 100);
}

#[test]
fn truncated_and_flipped_streams() {
    for file in [BASELINE, PROGRESSIVE, CMYK] {
        let jpeg = read(file, &Limits::default()).unwrap();
        let mut stream = coded(&jpeg.frame, &jpeg.planes);
        for end in 0..stream.len() {
            let result = decode(&jpeg.frame, &stream[..end], 1);
            assert!(matches!(result, Err(Error::Truncated { .. } | Error::Corrupt { .. })), "{end}");
        }
        for bit in 0..8 * stream.len() {
            stream[bit / 8] ^= 1 << (bit % 8);
            match decode(&jpeg.frame, &stream, 1) {
                Ok(planes) => assert!(planes != jpeg.planes, "bit {bit}"),
                Err(error) => {
                    assert!(matches!(error, Error::Truncated { .. } | Error::Corrupt { .. }), "{error}")
                }
            }
            stream[bit / 8] ^= 1 << (bit % 8);
        }
        stream.push(0);
        assert!(matches!(decode(&jpeg.frame, &stream, 1), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn planes_that_do_not_fit_are_refused() {
    let frame = frame((40, 40), &[(2, 2), (1, 1), (1, 1)]);
    let planes = planes_of(&frame, |_| 0);
    let mut longer = planes.clone();
    longer[2].push(0);
    for wrong in [&planes[..2], &[], &longer] {
        assert!(matches!(encode(&frame, wrong, 1), Err(Error::InvalidArgument(_))));
    }
}

#[test]
fn statistics_count_what_is_coded() {
    let jpeg = read(BASELINE, &Limits::default()).unwrap();
    assert!(matches!(Statistics::new(&[0; 9]), Err(Error::InvalidArgument(_))));
    let mut statistics = Statistics::new(include_bytes!("prior.bin")).unwrap();
    let total = |statistics: &Statistics| {
        let [luma, chroma] = statistics.counts();
        [luma, chroma].map(|(rows, bits)| {
            rows.as_flattened().iter().chain(bits.as_flattened()).map(|&count| u64::from(count)).sum::<u64>()
        })
    };
    assert_eq!(total(&statistics), [0, 0]);
    statistics.add(&jpeg.frame, &jpeg.planes).unwrap();
    let once = total(&statistics);
    // Each block has an end, in two symbols, and a DC value.
    let blocks: Vec<u64> = jpeg.frame.components.iter().map(|component| component.blocks() as u64).collect();
    assert!(once[0] >= 3 * blocks[0] && once[1] >= 3 * (blocks[1] + blocks[2]));
    statistics.add(&jpeg.frame, &jpeg.planes).unwrap();
    assert_eq!(total(&statistics), once.map(|count| 2 * count));
}

/// The code of a file is part of the format: it changes with the prior and with the order of coding.
#[test]
fn the_bytes_are_those_of_the_format() {
    let jpeg = read(PROGRESSIVE, &Limits::default()).unwrap();
    assert!(coded(&jpeg.frame, &jpeg.planes) == std::fs::read(golden()).unwrap());
}

/// Run `cargo test --profile checked write_golden -- --ignored` when the format changes.
#[test]
#[ignore = "writes the file that the test above reads"]
fn write_golden() {
    let jpeg = read(PROGRESSIVE, &Limits::default()).unwrap();
    std::fs::write(golden(), coded(&jpeg.frame, &jpeg.planes)).unwrap();
}

fn golden() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "rust/src/jpeg/context_model/golden.bin"].iter().collect()
}
