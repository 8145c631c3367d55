//! Damaged files come back exactly or are refused; damaged skeletons are refused or give some other file.

use super::files::{ALL, BASELINE, PROGRESSIVE, RESTART};
use super::{read_exactly, LIMITS};
use crate::jpeg::{layout, read, write};

#[test]
fn truncated_files() {
    for file in ALL {
        let mut restored = false;
        for len in 0..file.len() {
            // Once there is enough to begin with, more is not worse.
            assert!(read_exactly(&file[..len]).is_ok() || !restored, "refused {len} of {} bytes", file.len());
            restored |= read_exactly(&file[..len]).is_ok();
        }
        assert!(restored);
    }
}

#[test]
fn flipped_bits_in_files() {
    for file in ALL {
        let mut file = file.to_vec();
        for bit in 0..8 * file.len() {
            file[bit / 8] ^= 1 << (bit % 8);
            let _ = read_exactly(&file);
            file[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn bytes_removed_doubled_or_replaced() {
    for file in [BASELINE, RESTART, PROGRESSIVE] {
        for at in 2..file.len() {
            let (head, tail) = file.split_at(at);
            let _ = read_exactly(&[head, &tail[1..]].concat());
            let _ = read_exactly(&[head, &tail[..1], tail].concat());
            for marker in [[0xFF, 0xD0], [0xFF, 0xD9], [0xFF, 0xFF], [0xFF, 0x00], [0x00, 0x00]] {
                let _ = read_exactly(&[head, &marker, tail].concat());
                let _ = read_exactly(&[head, &marker, tail.get(2..).unwrap_or_default()].concat());
            }
        }
    }
}

#[test]
fn damaged_skeletons() {
    // With notes of all kinds that damage to the files brings about.
    let mut damaged = RESTART.to_vec();
    damaged[RESTART.len() - 100] ^= 0x10;
    damaged.extend_from_slice(b"tail");
    for file in ALL.into_iter().chain([&damaged[..]]) {
        let jpeg = read(file, &LIMITS).unwrap();
        let survives = |skeleton: &[u8]| {
            let layout = layout(skeleton, &LIMITS);
            let written = write(skeleton, &jpeg.planes, &LIMITS);
            assert!(layout.is_ok() || written.is_err());
        };
        let mut skeleton = jpeg.skeleton.clone();
        for bit in 0..8 * skeleton.len() {
            skeleton[bit / 8] ^= 1 << (bit % 8);
            survives(&skeleton);
            skeleton[bit / 8] ^= 1 << (bit % 8);
        }
        (0..skeleton.len()).for_each(|len| survives(&skeleton[..len]));
    }
}

#[test]
fn stray_bytes_between_segments_and_after_the_end() {
    let dqt = BASELINE.windows(2).position(|w| w == [0xFF, 0xDB]).unwrap();
    let eoi = BASELINE.len() - 2;
    let file = [
        &BASELINE[..dqt],
        &[0xFF; 5],
        &BASELINE[dqt..dqt + 69],
        b"stray \xFF\x00 bytes",
        &BASELINE[dqt + 69..eoi],
        &[0xFF; 3],
        &BASELINE[eoi..],
        BASELINE,
        b"tail",
    ];
    let jpeg = read_exactly(&file.concat()).unwrap();
    assert_eq!(jpeg.planes, read(BASELINE, &LIMITS).unwrap().planes);
    assert_eq!(jpeg.skeleton[0], 0);
    let without_eoi = read_exactly(&BASELINE[..eoi]).unwrap();
    assert_eq!(without_eoi.skeleton[0], 0);
}

#[test]
fn damage_costs_only_the_interval() {
    let intact = read_exactly(RESTART).unwrap();
    let marker = |n: u8| RESTART.windows(2).position(|w| w == [0xFF, 0xD0 + n]).unwrap();
    let mut file = RESTART.to_vec();
    file.splice(marker(0)..marker(0) + 2, [0xFF, 0xD3]);
    file[marker(1) + 1] = 0x55;
    let jpeg = read_exactly(&file).unwrap();
    assert!(jpeg.skeleton.len() < intact.skeleton.len() + 200);
    assert_eq!(jpeg.planes[0][..256], intact.planes[0][..256]);
}

#[test]
fn unearned_size_is_refused() {
    let mut file = BASELINE.to_vec();
    let sof = file.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    file[sof + 5..sof + 9].copy_from_slice(&[0x08, 0, 0x08, 0]);
    let limits = crate::jpeg::Limits::default();
    assert!(matches!(read(&file, &limits), Err(crate::Error::Truncated { .. })));
}
