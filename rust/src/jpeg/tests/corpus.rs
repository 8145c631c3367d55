//! Files of a corpus, which `LIC_CORPUS` names.

use super::{LIMITS, read_exactly};
use crate::Limits;
use crate::jpeg::{layout, read, reconstruction, write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Round-trips all files below the folder in `LIC_CORPUS`, and reports refused files and the speed of the others.
#[test]
#[ignore = "needs LIC_CORPUS"]
fn corpus_round_trip() {
    let paths = corpus();
    let mut tallies = [Tally::default(), Tally::default()];
    for path in &paths {
        let data = std::fs::read(path).unwrap();
        let name = path.display();
        match timed(|| read(&data, &Limits::default())) {
            (Err(error), _) => println!("refused {name}: {error}"),
            (Ok(jpeg), reading) => {
                let (written, writing) =
                    timed(|| write(&jpeg.reconstruction, &jpeg.planes, &Limits::default()));
                assert!(written.as_ref() == Ok(&data), "{name}: {:?}", written.err());
                assert_eq!(
                    layout(&jpeg.reconstruction, &Limits::default()).as_ref(),
                    Ok(&jpeg.frame),
                    "{name}"
                );
                let notes = jpeg.reconstruction.len()
                    - reconstruction::split(&jpeg.reconstruction, &Limits::default()).unwrap().markers.len();
                if notes > 0 {
                    println!("exact with {notes} bytes of notes on {} {name}", data.len());
                }
                let tally = &mut tallies[usize::from(jpeg.frame.progressive)];
                *tally = Tally {
                    files: tally.files + 1,
                    bytes: tally.bytes + data.len(),
                    reading: tally.reading + reading,
                    writing: tally.writing + writing,
                };
            }
        }
    }
    for (kind, Tally { files, bytes, reading, writing }) in ["sequential", "progressive"].iter().zip(tallies)
    {
        let speed = |seconds: f64| bytes as f64 / 1e6 / seconds;
        println!("{files} {kind} exact; read {:.1} MB/s, write {:.1} MB/s", speed(reading), speed(writing));
    }
}

/// Damages the small files below the folder in `LIC_CORPUS` at random, and their reconstruction data too.
#[test]
#[ignore = "needs LIC_CORPUS"]
fn corpus_damage() {
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut damage = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes[at] = [0x00, 0xFF, 0xD0, 0xD9, 0xDA, 0xC4, 0x7F, 0x80][random(8)],
                2 => drop(bytes.drain(at.max(1)..(at + random(20)).clamp(at.max(1), bytes.len()))),
                _ => bytes.extend_from_within(at..(at + random(20)).min(bytes.len())),
            }
        }
        bytes
    };
    for path in corpus() {
        let data = std::fs::read(&path).unwrap();
        for _ in 0..if (1..20_000).contains(&data.len()) { 300 } else { 0 } {
            let Ok(jpeg) = read_exactly(&damage(&data)) else { continue };
            let _ = write(&damage(&jpeg.reconstruction), &jpeg.planes, &LIMITS);
        }
    }
}

/// Returns all files below the folder in `LIC_CORPUS`.
fn corpus() -> Vec<PathBuf> {
    let root = std::env::var("LIC_CORPUS").expect("LIC_CORPUS names a folder");
    let mut paths = Vec::new();
    find_files(root.as_ref(), &mut paths);
    paths.sort();
    paths
}

#[derive(Default)]
struct Tally {
    files: usize,
    bytes: usize,
    reading: f64,
    writing: f64,
}

/// Returns the result, and the shortest time of three runs in seconds.
fn timed<T>(mut job: impl FnMut() -> T) -> (T, f64) {
    let mut run = || {
        let start = Instant::now();
        let result = job();
        (result, start.elapsed().as_secs_f64())
    };
    let (_, first) = run();
    let (_, second) = run();
    let (result, third) = run();
    (result, first.min(second).min(third))
}

fn find_files(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => find_files(&path, found),
            false => found.push(path),
        }
    }
}
