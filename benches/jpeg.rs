//! Speed of reading and writing the JPEG files of a photograph, and of coding their coefficients without a network, in
//! bytes of the JPEG file per second on one core.
#![allow(missing_docs)] // Criterion's macros generate undocumented items.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lic_native::Limits;
use lic_native::jpeg::{context_model, read, write};

const BASELINE: &[u8] = include_bytes!("../tests/data/grace_hopper.jpg");

/// libjpeg's scans for colour: components, first and last coefficient, lowest bit coded before and after the scan.
const SCRIPT: [(&[u8], u8, u8, u8, u8); 10] = [
    (&[1, 2, 3], 0, 0, 0, 1),
    (&[1], 1, 5, 0, 2),
    (&[3], 1, 63, 0, 1),
    (&[2], 1, 63, 0, 1),
    (&[1], 6, 63, 0, 2),
    (&[1], 1, 63, 2, 1),
    (&[1, 2, 3], 0, 0, 1, 0),
    (&[3], 1, 63, 1, 0),
    (&[2], 1, 63, 1, 0),
    (&[1], 1, 63, 1, 0),
];

/// Returns a progressive file with the coefficients of the baseline file. All its Huffman codes have 8 or 9 bits, so it
/// is larger than libjpeg's.
fn progressive() -> Vec<u8> {
    let baseline = read(BASELINE, &Limits::default()).unwrap();
    let markers = &baseline.reconstruction;
    let position = |marker| markers.windows(2).position(|bytes| bytes == [0xff, marker]).unwrap();
    let mut reconstruction = markers[..position(0xda)].to_vec();
    reconstruction[position(0xc0) + 1] = 0xc2;
    for class in [0, 1] {
        reconstruction.extend([
            0xff,
            0xc4,
            1,
            19,
            class << 4,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            254,
            2,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        reconstruction.extend(0..=255);
    }
    for (components, first, last, before, after) in SCRIPT {
        let count = components.len() as u8;
        reconstruction.extend([0xff, 0xda, 0, 6 + 2 * count, count]);
        components.iter().for_each(|&id| reconstruction.extend([id, 0]));
        reconstruction.extend([first, last, before << 4 | after]);
    }
    reconstruction.extend([0xff, 0xd9]);
    write(&reconstruction, &baseline.planes, &Limits::default()).unwrap()
}

fn jpeg(criterion: &mut Criterion) {
    let limits = Limits::default();
    for (name, file) in [("baseline", BASELINE), ("progressive", &progressive())] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(file.len() as u64)).sample_size(20);
        let photo = read(file, &limits).unwrap();
        assert!(write(&photo.reconstruction, &photo.planes, &limits).unwrap() == file);
        group.bench_function("read", |bencher| bencher.iter(|| read(file, &limits)));
        group.bench_function("write", |bencher| {
            bencher.iter(|| write(&photo.reconstruction, &photo.planes, &limits))
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("context model");
    group.throughput(Throughput::Bytes(BASELINE.len() as u64)).sample_size(20);
    let photo = read(BASELINE, &limits).unwrap();
    let coded = context_model::encode(&photo.frame, &photo.planes, 1).unwrap();
    assert!(context_model::decode(&photo.frame, &coded, 1).unwrap() == photo.planes);
    group.bench_function("encode and compare", |bencher| {
        bencher.iter(|| context_model::encode(&photo.frame, &photo.planes, 1))
    });
    group.bench_function("decode", |bencher| bencher.iter(|| context_model::decode(&photo.frame, &coded, 1)));
    group.finish();
}

criterion_group!(benches, jpeg);
criterion_main!(benches);
