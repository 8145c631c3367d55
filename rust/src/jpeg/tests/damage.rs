//! Damaged files are restored exactly or refused; damaged reconstruction data are refused or give another file.

use super::files::{ALL, ARITHMETIC, BASELINE, PROGRESSIVE, RESTART};
use super::{LIMITS, earn, read_exactly};
use crate::jpeg::frame::KeptRows;
use crate::jpeg::{layout, read, read_whole, reconstruction, write};
use crate::{Error, Limits};

#[test]
fn truncated_files() {
    for file in ALL {
        let mut restored = false;
        for len in 0..file.len() {
            // Once a part of the file can be read, every longer part can.
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
fn damaged_reconstruction_data() {
    // With all kinds of notes that damage to files causes.
    let mut damaged = RESTART.to_vec();
    damaged[RESTART.len() - 100] ^= 0x10;
    damaged.extend_from_slice(b"tail");
    let cut = resized(41, 500);
    for file in ALL.into_iter().chain([&damaged[..], &cut]) {
        let jpeg = read(file, &LIMITS).unwrap();
        let survives = |reconstruction: &[u8]| {
            let layout = layout(reconstruction, &LIMITS);
            let written = write(reconstruction, &jpeg.planes, &LIMITS);
            assert!(layout.is_ok() || written.is_err());
        };
        let mut reconstruction = jpeg.reconstruction.clone();
        for bit in 0..8 * reconstruction.len() {
            reconstruction[bit / 8] ^= 1 << (bit % 8);
            survives(&reconstruction);
            reconstruction[bit / 8] ^= 1 << (bit % 8);
        }
        (0..reconstruction.len()).for_each(|len| survives(&reconstruction[..len]));
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
    assert_eq!(jpeg.reconstruction[0], 0);
    let without_eoi = read_exactly(&BASELINE[..eoi]).unwrap();
    assert_eq!(without_eoi.reconstruction[0], 0);
}

#[test]
fn damage_costs_only_the_interval() {
    let intact = read_exactly(RESTART).unwrap();
    let marker = |n: u8| RESTART.windows(2).position(|w| w == [0xFF, 0xD0 + n]).unwrap();
    let mut file = RESTART.to_vec();
    file.splice(marker(0)..marker(0) + 2, [0xFF, 0xD3]);
    file[marker(1) + 1] = 0x55;
    let jpeg = read_exactly(&file).unwrap();
    assert!(jpeg.reconstruction.len() < intact.reconstruction.len() + 200);
    assert_eq!(jpeg.planes[0][..256], intact.planes[0][..256]);
}

/// Returns `BASELINE` with another size in SOF.
fn resized(width: u16, height: u16) -> Vec<u8> {
    let mut file = BASELINE.to_vec();
    let sof = position(&file, 0xC0);
    file[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
    file[sof + 7..sof + 9].copy_from_slice(&width.to_be_bytes());
    file
}

fn position(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|w| w == [0xFF, marker]).unwrap()
}

#[test]
fn only_rows_that_a_scan_reaches_are_kept() {
    let intact = read_exactly(BASELINE).unwrap();
    let rows =
        |jpeg: &crate::jpeg::Jpeg| jpeg.frame.components.iter().map(|c| c.blocks_h).collect::<Vec<_>>();
    assert_eq!(rows(&intact), [4, 2, 2]);
    // The entropy-coded segment ends after two rows of MCUs, and the scan goes on in a third.
    for height in [33, 500, u16::MAX] {
        let jpeg = read_exactly(&resized(41, height)).unwrap();
        assert_eq!((jpeg.frame.height, rows(&jpeg)), (height, vec![6, 3, 3]));
        for (plane, intact) in jpeg.planes.iter().zip(&intact.planes) {
            assert_eq!(plane[..intact.len()], *intact);
            assert!(plane[intact.len()..].iter().all(|&coefficient| coefficient == 0));
        }
    }
    let sos = position(BASELINE, 0xDA);
    let cut = read_exactly(&BASELINE[..sos + 14 + 100]).unwrap();
    assert_eq!(rows(&cut), [2, 1, 1]);
    assert_eq!(cut.planes[0][..64], intact.planes[0][..64]);
}

#[test]
fn size_is_earned() {
    // A row of these MCUs has more blocks than the file has bits.
    let truncated = |file: &[u8]| matches!(read(file, &Limits::default()), Err(Error::Truncated { .. }));
    assert!(truncated(&resized(u16::MAX, u16::MAX)));
    // Only the bytes of the image's scans count, not comments, trailing bytes or another image.
    let file = resized(u16::MAX, u16::MAX);
    let (image, eoi) = file.split_at(file.len() - 2);
    let comment = [image, &[0xFF, 0xFE, 0x20, 2], &[0; 0x2000], eoi].concat();
    for file in [comment, [&file[..], &[0; 5000]].concat(), file.repeat(20)] {
        assert!(truncated(&file));
    }
    let mut file = file;
    earn(&mut file, 5000);
    let jpeg = read_exactly(&file).unwrap();
    assert!(jpeg.frame.blocks() <= 8 * file.len());
    let needed = jpeg.frame.blocks() as u64;
    let limits = Limits { max_blocks: needed - 1, ..LIMITS };
    let limited = |error| matches!(error, Error::LimitExceeded { .. });
    assert!(limited(read(&file, &limits).unwrap_err()));
    assert!(limited(layout(&jpeg.reconstruction, &limits).unwrap_err()));
    assert!(limited(write(&jpeg.reconstruction, &jpeg.planes, &limits).unwrap_err()));
}

/// The blocks of a file are bounded by the bytes of its scans, so memory grows with the size of the file.
#[test]
fn blocks_grow_with_the_bytes_of_scans() {
    let blocks = |bytes: usize| {
        let mut file = resized(8 * 41, u16::MAX);
        earn(&mut file, bytes);
        read_exactly(&file).unwrap().frame.blocks()
    };
    let once = blocks(0);
    for bytes in [100, 1000, 5000] {
        assert!(blocks(bytes) <= once + 8 * bytes);
    }
}

#[test]
fn scans_that_take_no_bytes_are_counted() {
    // An image of 1024 blocks, and after its DC values one blank scan of two bytes for each AC coefficient.
    let blank = |scans: u8| {
        let mut file = vec![0xFF, 0xD8, 0xFF, 0xC2, 0, 11, 8, 0, 8, 0x20, 0, 1, 1, 0x11, 0];
        // One code of one bit: for DC no difference, for AC a run of 1024 blocks.
        for (class, symbol) in [(0, 0), (0x10, 0xA0)] {
            file.extend([&[0xFF, 0xC4, 0, 20, class, 1], &[0; 15][..], &[symbol]].concat());
        }
        file.extend([&[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0], &[0; 128][..]].concat());
        for k in 1..=scans {
            file.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, k, k, 0, 0, 0x1F]);
        }
        file.extend([0xFF, 0xD9]);
        file
    };
    let visits = |scans: u8| 1024 * (u64::from(scans) + 1);
    let limit = |scans: u8| (1 << 14) + 64 * (128 + 2 * u64::from(scans));
    assert!(visits(20) < limit(20) && visits(40) > limit(40));
    assert!(read_exactly(&blank(20)).is_ok());
    assert!(matches!(read(&blank(40), &LIMITS), Err(Error::LimitExceeded { .. })));
}

#[test]
fn coefficients_of_unfinished_images_are_multiples_of_their_steps() {
    for file in ALL {
        let whole = read_exactly(file).unwrap();
        assert!(whole.frame.components.iter().all(|component| component.steps.is_empty()));
    }
    let scans: Vec<usize> = PROGRESSIVE
        .windows(2)
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == [0xFF, 0xDA]).then_some(at))
        .collect();
    let shifts = |file: &[u8]| -> Vec<Vec<(usize, [u8; 2])>> {
        let dc_and_last = |steps: &crate::jpeg::Steps| (steps.row, [steps.shifts[0], steps.shifts[63]]);
        let frame = read_exactly(file).unwrap().frame;
        frame.components.iter().map(|c| c.steps.iter().map(dc_and_last).collect()).collect()
    };
    // libjpeg's script: DC, luma 1 to 5, chroma, luma 6 to 63; luma from 2 to 1; DC; chroma; luma.
    let [y, c] = [vec![(0, [1, 2])], vec![(0, [1, 1])]];
    assert_eq!(shifts(&PROGRESSIVE[..scans[5]]), [y, c.clone(), c.clone()]);
    // Cut in the middle of a scan: above, what it has refined, and below, what it has not.
    let refinement = scans[5] + 10 + (scans[6] - scans[5]) / 3;
    let cut = shifts(&PROGRESSIVE[..refinement]);
    assert_eq!((&cut[0][0], cut[0].len()), (&(0, [1, 1]), 2));
    assert_eq!((cut[0][1].1, &cut[1]), ([1, 2], &c));
    // All but the last scan.
    let last = scans[scans.len() - 1];
    assert_eq!(shifts(&PROGRESSIVE[..last]), [vec![(0, [0, 1])], vec![], vec![]]);
}

#[test]
fn complete_files_are_distinguished_from_others() {
    let whole = |file: &[u8]| read_whole(file, &LIMITS);
    for file in ALL {
        assert_eq!(whole(file), read(file, &LIMITS));
        let tail = [file, b"tail"].concat();
        assert_eq!(whole(&tail), read(&tail, &LIMITS));
        for len in 0..file.len() {
            match whole(&file[..len]) {
                Err(Error::Truncated { .. }) => {}
                // SOI itself is missing, or nothing but EOI is.
                Err(Error::Corrupt { .. }) => assert!(len < 2),
                other => assert!(other.is_ok() && len >= file.len() - 2, "{len}"),
            }
        }
    }
    // Not refined to the last bit, yet complete.
    let last = PROGRESSIVE.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    assert!(whole(&[&PROGRESSIVE[..last], &[0xFF, 0xD9]].concat()).is_ok());
    // With EOI in the middle of a scan, without rows, without quantisation tables, or without chroma.
    let middle = [&BASELINE[..BASELINE.len() - 100], &[0xFF, 0xD9]].concat();
    let mut no_table = BASELINE.to_vec();
    for _ in 0..2 {
        let dqt = position(&no_table, 0xDB);
        no_table[dqt + 1] = 0xEF;
    }
    let dc_of_luma = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0, 0xFF, 0xD9];
    let first = position(PROGRESSIVE, 0xDA);
    let no_chroma = [&PROGRESSIVE[..first], &dc_of_luma].concat();
    for file in [middle, resized(41, 500), no_table, no_chroma] {
        assert!(matches!(whole(&file), Err(Error::Corrupt { .. } | Error::Truncated { .. })));
    }
}

#[test]
fn reconstruction_data_with_impossible_rows() {
    let file = resized(41, u16::MAX);
    let jpeg = read(&file, &LIMITS).unwrap();
    let parts = reconstruction::split(&jpeg.reconstruction, &LIMITS).unwrap();
    assert!(matches!(parts.rows, KeptRows::First(3)));
    let markers = &parts.markers[parts.start..];
    let refusal = |rows| {
        let reconstruction = reconstruction::join(markers, rows, &[]);
        let error = layout(&reconstruction, &LIMITS).unwrap_err();
        assert_eq!(write(&reconstruction, &jpeg.planes, &LIMITS), Err(error.clone()));
        error
    };
    // 4096 rows of 18 blocks are declared.
    assert!(matches!(refusal(KeptRows::All), Error::LimitExceeded { value: 73728, .. }));
    assert!(matches!(refusal(KeptRows::First(4095)), Error::LimitExceeded { value: 73710, .. }));
    for rows in [4096, 4097, usize::MAX] {
        assert!(matches!(refusal(KeptRows::First(rows)), Error::Corrupt { .. }));
    }
}

#[test]
fn height_after_the_first_scan() {
    let intact = read_exactly(BASELINE).unwrap();
    let file = resized(41, 0);
    let (scan, eoi) = file.split_at(file.len() - 2);
    for filling in [&[][..], &[0xFF; 3]] {
        let jpeg = read_exactly(&[scan, filling, &[0xFF, 0xDC, 0, 4, 0, 27], eoi].concat()).unwrap();
        assert_eq!((&jpeg.frame, &jpeg.planes), (&intact.frame, &intact.planes));
        assert_eq!(jpeg.reconstruction[0], 0);
    }
    // Missing, zero or truncated: the height is unknown.
    for dnl in [&[][..], &[0xFF, 0xDC, 0, 4, 0, 0], &[0xFF, 0xDC, 0, 4, 0]] {
        let jpeg = read_exactly(&[scan, dnl].concat()).unwrap();
        assert_eq!((jpeg.frame.height, jpeg.frame.components[1].blocks_h), (u16::MAX, 3));
    }
}

#[test]
fn segments_that_cannot_be_parsed_are_passed_over() {
    let intact = read_exactly(PROGRESSIVE).unwrap();
    let last = PROGRESSIVE.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let (head, tail) = PROGRESSIVE.split_at(last);
    let repeated_scan = &PROGRESSIVE[position(PROGRESSIVE, 0xDA)..][..20];
    let broken_table = [0xFF, 0xC4, 0, 20, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let second_frame = &PROGRESSIVE[position(PROGRESSIVE, 0xC2)..][..19];
    let short_segment = [0xFF, 0xE0, 0, 1];
    for stray in [repeated_scan, &broken_table, second_frame, &short_segment] {
        let jpeg = read_exactly(&[head, stray, tail].concat()).unwrap();
        assert_eq!((&jpeg.frame, &jpeg.planes), (&intact.frame, &intact.planes));
        assert_eq!(jpeg.reconstruction.len(), intact.reconstruction.len() + stray.len());
    }
    // Before the first scan too. If no scan follows, the first of them is the error.
    let soi = &PROGRESSIVE[..2];
    let jpeg = read_exactly(&[soi, &short_segment, &PROGRESSIVE[2..]].concat()).unwrap();
    assert_eq!(jpeg.planes, intact.planes);
    let error = read(&[soi, &short_segment, &[0xFF, 0xDD, 0]].concat(), &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "corrupt at byte 4: segment length below 2");
}

#[test]
fn zeros_after_an_arithmetic_coded_segment_do_not_code_a_large_image() {
    // The segment makes ones probable, so that zeros after it would code ones without end.
    let mut image = read_exactly(ARITHMETIC).unwrap();
    image.planes.iter_mut().for_each(|plane| plane.fill(1));
    let mut file = write(&image.reconstruction, &image.planes, &LIMITS).unwrap();
    let sof = position(&file, 0xC9);
    file[sof + 5..sof + 9].copy_from_slice(&[0x7F, 0xFF, 0x7F, 0xFF]);
    earn(&mut file, 1 << 20);
    let jpeg = read(&file, &Limits::default()).unwrap();
    assert!(write(&jpeg.reconstruction, &jpeg.planes, &Limits::default()).unwrap() == file);
    assert!(jpeg.frame.blocks() < 1 << 20);
}
