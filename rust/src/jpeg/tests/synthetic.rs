//! Random coefficients, frames, scan scripts and departures from the canonical encoding.

use super::process::{ScanHeader, Tables, markers};
use super::{LIMITS, earn, read_exactly};
use crate::Error;
use crate::jpeg::frame::Frame;
use crate::jpeg::frame::KeptRows;
use crate::jpeg::notes::{Padding, ScanNotes};
use crate::jpeg::reconstruction::{self, split};
use crate::jpeg::{layout, write};
use proptest::prelude::*;

fn join(markers: &[u8], notes: &[ScanNotes]) -> Vec<u8> {
    reconstruction::join(markers, KeptRows::All, notes)
}

#[derive(Debug, Clone)]
struct Image {
    frame: Frame,
    planes: Vec<Vec<i16>>,
    markers: Vec<u8>,
    scans: Vec<ScanHeader>,
    tables: Tables,
}

impl Image {
    fn new(shape: Shape, script: &[u8], seed: u64) -> Self {
        let components: Vec<_> = (1..).zip(&shape.sampling).map(|(id, &(h, v))| (id, h, v, 0)).collect();
        let mut frame =
            Frame::new((shape.width, shape.height), shape.precision, shape.progressive, &components);
        frame
            .components
            .iter_mut()
            .for_each(|component| component.quant = std::array::from_fn(|k| k as u16 + 1));
        let scans = if shape.progressive { progressive(&frame, script) } else { sequential(&frame, script) };
        let mut markers = markers(&frame, &shape.sampling, shape.restart_interval, shape.tables, &scans);
        // Some blocks take less than a bit: earn them.
        earn(&mut markers, 100);
        let planes = random_planes(&frame, seed, shape.density, &scans);
        Self { frame, planes, markers, scans, tables: shape.tables }
    }
}

#[derive(Debug, Clone)]
struct Shape {
    width: u16,
    height: u16,
    sampling: Vec<(u8, u8)>,
    precision: u8,
    progressive: bool,
    restart_interval: u16,
    tables: Tables,
    /// Number of nonzero coefficients in 256.
    density: u8,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let conditioning =
        (0u8..=15).prop_flat_map(|upper| (0..=upper).prop_map(move |lower| upper << 4 | lower));
    let tables = prop_oneof![
        Just(Tables::Flat),
        any::<u8>().prop_map(|first| Tables::Skewed { first }),
        (conditioning, 0u8..=63).prop_map(|(dc, ac)| Tables::Arithmetic { dc, ac }),
    ];
    let sampling = prop::collection::vec((1u8..=4, 1u8..=4), 1..=4);
    let density = prop_oneof![Just(0u8), Just(2), Just(20), any::<u8>()];
    let process = (prop_oneof![Just(8u8), Just(12)], any::<bool>());
    (1u16..70, 1u16..50, sampling, process, prop_oneof![Just(0u16), 1u16..6], tables, density).prop_map(
        |(width, height, sampling, (precision, progressive), restart_interval, tables, density)| Shape {
            width,
            height,
            sampling,
            precision,
            progressive,
            restart_interval,
            tables,
            density,
        },
    )
}

fn images() -> impl Strategy<Value = Image> {
    (shapes(), prop::collection::vec(any::<u8>(), 64), any::<u64>())
        .prop_map(|(shape, script, seed)| Image::new(shape, &script, seed))
}

/// Returns one scan for all components, a scan for each, or one for the first and one for the others.
fn sequential(frame: &Frame, script: &[u8]) -> Vec<ScanHeader> {
    let all: Vec<usize> = (0..frame.components.len()).collect();
    let groups: Vec<&[usize]> = match script[0] % 3 {
        0 => vec![&all],
        1 => all.chunks(1).collect(),
        _ => vec![&all[..1], &all[1..]],
    };
    groups.into_iter().filter(|group| !group.is_empty()).map(ScanHeader::sequential).collect()
}

/// Returns scans of random bands, each with up to two refinements, in a random order.
fn progressive(frame: &Frame, script: &[u8]) -> Vec<ScanHeader> {
    let mut choices = script.iter().map(|&byte| usize::from(byte)).cycle();
    let mut choose = |count: usize| choices.next().unwrap_or(0) % count;
    let all: Vec<usize> = (0..frame.components.len()).collect();
    let mut ladders = Vec::new();
    let dc_groups: Vec<&[usize]> = if choose(3) > 0 { vec![&all] } else { all.chunks(1).collect() };
    for group in dc_groups {
        ladders.push(ladder(group, 0, 0, choose(3) as u8));
    }
    for component in all.chunks(1) {
        let split = 1 + choose(63) as u8;
        ladders.push(ladder(component, 1, split, choose(3) as u8));
        if split < 63 {
            ladders.push(ladder(component, split + 1, 63, choose(3) as u8));
        }
    }
    let mut scans = Vec::new();
    while !ladders.is_empty() {
        let next = choose(ladders.len());
        scans.extend(ladders[next].pop());
        ladders.retain(|ladder| !ladder.is_empty());
    }
    scans
}

/// Returns the scans of a band, the last one first.
fn ladder(components: &[usize], ss: u8, se: u8, al: u8) -> Vec<ScanHeader> {
    let refinements = (0..al).map(|al| ScanHeader::progressive(components, ss, se, al + 1, al));
    refinements.chain([ScanHeader::progressive(components, ss, se, 0, al)]).collect()
}

/// Returns random coefficients where some scan codes them, and zeros elsewhere.
fn random_planes(frame: &Frame, seed: u64, density: u8, scans: &[ScanHeader]) -> Vec<Vec<i16>> {
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    };
    let mut planes = Vec::new();
    for (index, component) in frame.components.iter().enumerate() {
        let interleaved = |k: u8| {
            scans
                .iter()
                .any(|s| s.components.len() > 1 && s.components.contains(&index) && s.ss <= k && k <= s.se)
        };
        let (width, height) = frame.unpadded_blocks(component);
        let mut plane = vec![0i16; 64 * component.blocks()];
        for (i, coefficient) in plane.iter_mut().enumerate() {
            let (x, y) = (i / 64 % component.blocks_w, i / 64 / component.blocks_w);
            let coded = x < width && y < height || interleaved((i % 64) as u8);
            if coded && random() & 0xFF < density.into() {
                let size = random() % 15 + 1;
                *coefficient = (random() as i16) >> size;
            }
        }
        planes.push(plane);
    }
    planes
}

proptest! {
    #[test]
    fn coefficients_survive(image in images()) {
        let reconstruction = join(&image.markers, &[]);
        prop_assert_eq!(layout(&reconstruction, &LIMITS), Ok(image.frame.clone()));
        let file = write(&reconstruction, &image.planes, &LIMITS).unwrap();
        let jpeg = read_exactly(&file).unwrap();
        prop_assert_eq!(jpeg.frame, image.frame);
        prop_assert!(jpeg.planes == image.planes);
        prop_assert_eq!(jpeg.reconstruction, reconstruction);
    }

    #[test]
    fn padding_survives(image in images(), bytes in prop::collection::vec(any::<u8>(), 0..300), zeros in any::<bool>()) {
        let padding = || if zeros { Padding::Zeros } else { Padding::Explicit(bytes.clone()) };
        let notes: Vec<_> = image.scans.iter().map(|_| ScanNotes { padding: padding(), ..Default::default() }).collect();
        let file = write(&join(&image.markers, &notes), &image.planes, &LIMITS).unwrap();
        let jpeg = read_exactly(&file).unwrap();
        prop_assert!(jpeg.planes == image.planes);
    }

    #[test]
    fn eob_runs_survive(image in images(), unlimited in any::<bool>(), breaks in prop::collection::btree_set(0usize..200, 0..50)) {
        let notes = || ScanNotes {
            unlimited_corrections: unlimited,
            eob_breaks: breaks.iter().copied().collect(),
            ..Default::default()
        };
        let notes: Vec<_> = image.scans.iter().map(|_| notes()).collect();
        let file = write(&join(&image.markers, &notes), &image.planes, &LIMITS).unwrap();
        let jpeg = read_exactly(&file).unwrap();
        prop_assert!(jpeg.planes == image.planes);
    }

    #[test]
    fn surplus_zero_runs_survive(image in images(), blocks in prop::collection::btree_map(0usize..100, 1usize..3, 0..4)) {
        let notes = || ScanNotes { zero_runs: blocks.clone().into_iter().collect(), ..Default::default() };
        let notes: Vec<_> = image.scans.iter().map(|_| notes()).collect();
        // Refused if the block has fewer zeros.
        if let Ok(file) = write(&join(&image.markers, &notes), &image.planes, &LIMITS) {
            let jpeg = read_exactly(&file).unwrap();
            prop_assert!(jpeg.planes == image.planes);
        }
    }

    #[test]
    fn truncation_survives(image in images(), len in any::<prop::sample::Index>()) {
        let file = write(&join(&image.markers, &[]), &image.planes, &LIMITS).unwrap();
        // Refused only if nothing can be decoded.
        if let Ok(jpeg) = read_exactly(&file[..len.index(file.len())]) {
            prop_assert!(jpeg.frame.blocks() <= image.frame.blocks());
            prop_assert_eq!(layout(&jpeg.reconstruction, &LIMITS), Ok(jpeg.frame));
        }
    }

    #[test]
    fn greater_height_survives(image in images(), surplus in 1u16..5000) {
        let mut file = write(&join(&image.markers, &[]), &image.planes, &LIMITS).unwrap();
        let height = image.frame.height + surplus;
        let sof = file.windows(4).position(|w| matches!(w, [0xFF, 0xC1 | 0xC2 | 0xC9 | 0xCA, 0, _])).unwrap();
        file[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
        if let Ok(jpeg) = read_exactly(&file) {
            prop_assert!(jpeg.frame.blocks() <= 8 * file.len());
            prop_assert_eq!(jpeg.frame.height, height);
            prop_assert_eq!(layout(&jpeg.reconstruction, &LIMITS), Ok(jpeg.frame));
            if let ([_], Tables::Flat) = (&image.scans[..], image.tables) {
                let kept = |(plane, intact): (&Vec<i16>, &Vec<i16>)| plane.starts_with(intact) || intact.starts_with(plane);
                prop_assert!(jpeg.planes.iter().zip(&image.planes).all(kept));
            }
        }
    }

    #[test]
    fn damage_survives(image in images(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
        let mut file = write(&join(&image.markers, &[]), &image.planes, &LIMITS).unwrap();
        for (index, value) in damage {
            *index.get_mut(&mut file) = value;
        }
        let _ = read_exactly(&file);
    }
}

/// Returns a progressive image of one component and two scans: the first, and a refinement of all AC coefficients.
fn refined(width: u16, coefficient: i16) -> Image {
    let mut frame = Frame::new((width, 8), 8, true, &[(1, 1, 1, 0)]);
    frame.components[0].quant = std::array::from_fn(|k| k as u16 + 1);
    let scans = vec![ScanHeader::progressive(&[0], 1, 63, 0, 1), ScanHeader::progressive(&[0], 1, 63, 1, 0)];
    let planes = vec![(0..64 * frame.blocks()).map(|i| if i % 64 == 0 { 0 } else { coefficient }).collect()];
    Image {
        markers: markers(&frame, &[(1, 1)], 0, Tables::Flat, &scans),
        frame,
        planes,
        scans,
        tables: Tables::Flat,
    }
}

#[test]
fn departures_are_noted_exactly() {
    // 0: zeros; 2: coefficients in the first scan, correction bits in the second.
    for (coefficients, surplus) in [(0, 3), (2, 0)] {
        let mut image = refined(8 * 100, coefficients);
        // Each block begins with a coefficient that becomes nonzero in the second scan, or has none.
        image.planes[0].chunks_exact_mut(64).step_by(3).for_each(|block| block[1] = 1);
        image.planes[0].chunks_exact_mut(64).for_each(|block| block[63] = 0);
        let notes = || ScanNotes {
            // Only where no coefficient ends the run.
            eob_breaks: vec![1, 2, 50, 98],
            zero_runs: (0..surplus).map(|i| (30 * i + 4, i + 1)).collect(),
            ..Default::default()
        };
        let reconstruction =
            join(&image.markers, &[if coefficients == 0 { notes() } else { ScanNotes::default() }, notes()]);
        let jpeg = read_exactly(&write(&reconstruction, &image.planes, &LIMITS).unwrap()).unwrap();
        assert!(jpeg.planes == image.planes);
        let notes = |reconstruction: &[u8]| split(reconstruction, &crate::Limits::default()).unwrap().notes;
        assert_eq!(notes(&jpeg.reconstruction), notes(&reconstruction));
    }
}

#[test]
fn longest_eob_runs() {
    // 0x7FFF blocks fit in a run; DC is never coded.
    let blocks = 8191;
    let mut image = refined(8 * blocks, 0);
    let mut frame = Frame::new((8 * blocks, 8 * 5), 8, true, &[(1, 1, 1, 0)]);
    frame.components[0].quant = image.frame.components[0].quant;
    image.markers = markers(&frame, &[(1, 1)], 0, Tables::Flat, &image.scans);
    let planes = vec![vec![0; 64 * frame.blocks()]];
    let reconstruction = join(&image.markers, &[]);
    let file = write(&reconstruction, &planes, &LIMITS).unwrap();
    // Few bytes earn few blocks, whatever follows the image or is in its other segments.
    let comment = [&file[..file.len() - 2], &[0xFF, 0xFE, 0x20, 2], &[0; 0x2000], &file[file.len() - 2..]];
    for file in [&file, &[&file[..], &[0; 8192]].concat(), &comment.concat()] {
        assert!(matches!(read_exactly(file), Err(Error::Truncated { .. })));
    }
    let mut padded = file;
    earn(&mut padded, 8192);
    let jpeg = read_exactly(&padded).unwrap();
    assert!(jpeg.planes == planes);
    assert_eq!(jpeg.reconstruction[0], 0);
}

#[test]
fn eob_runs_end_before_too_many_correction_bits() {
    // 63 correction bits per block: libjpeg ends the run after 15 blocks.
    let image = refined(8 * 100, 3);
    let limited = join(&image.markers, &[]);
    let file = write(&limited, &image.planes, &LIMITS).unwrap();
    assert_eq!(read_exactly(&file).unwrap().reconstruction, limited);
    let notes = ScanNotes { unlimited_corrections: true, ..Default::default() };
    let unlimited = join(&image.markers, &[ScanNotes::default(), notes]);
    let shorter = write(&unlimited, &image.planes, &LIMITS).unwrap();
    assert!(shorter.len() < file.len());
    assert_eq!(read_exactly(&shorter).unwrap().reconstruction, unlimited);
}
