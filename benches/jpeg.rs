//! Taking a photograph's JPEG files apart and making them again, and coding their coefficients without a network: one
//! core, bytes of JPEG per second.
#![allow(missing_docs)] // of what Criterion's macros make

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use lic_native::jpeg::{native, read, write};
use lic_native::Limits;

const BASELINE: &[u8] = include_bytes!("../tests/data/grace_hopper.jpg");

/// libjpeg's scans for colour: components, first and last coefficient, bits left to later scans before and after.
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

/// The baseline file's coefficients as a progressive one. All its Huffman codes have 8 or 9 bits, so it is larger
/// than libjpeg's.
fn progressive() -> Vec<u8> {
    let baseline = read(BASELINE, &Limits::default()).unwrap();
    let position = |marker| baseline.skeleton.windows(2).position(|bytes| bytes == [0xff, marker]).unwrap();
    let mut skeleton = baseline.skeleton[..position(0xda)].to_vec();
    skeleton[position(0xc0) + 1] = 0xc2;
    for class in [0, 1] {
        skeleton.extend([0xff, 0xc4, 1, 19, class << 4, 0, 0, 0, 0, 0, 0, 0, 254, 2, 0, 0, 0, 0, 0, 0, 0]);
        skeleton.extend(0..=255);
    }
    for (components, first, last, before, after) in SCRIPT {
        let count = components.len() as u8;
        skeleton.extend([0xff, 0xda, 0, 6 + 2 * count, count]);
        components.iter().for_each(|&id| skeleton.extend([id, 0]));
        skeleton.extend([first, last, before << 4 | after]);
    }
    skeleton.extend([0xff, 0xd9]);
    write(&skeleton, &baseline.planes, &Limits::default()).unwrap()
}

fn jpeg(criterion: &mut Criterion) {
    let limits = Limits::default();
    for (name, file) in [("baseline", BASELINE), ("progressive", &progressive())] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(file.len() as u64)).sample_size(20);
        let taken = read(file, &limits).unwrap();
        assert!(write(&taken.skeleton, &taken.planes, &limits).unwrap() == file);
        group.bench_function("read", |bencher| bencher.iter(|| read(file, &limits)));
        group.bench_function("write", |bencher| {
            bencher.iter(|| write(&taken.skeleton, &taken.planes, &limits))
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("native");
    group.throughput(Throughput::Bytes(BASELINE.len() as u64)).sample_size(20);
    let taken = read(BASELINE, &limits).unwrap();
    let coded = native::encode(&taken.frame, &taken.planes, 1).unwrap();
    assert!(native::decode(&taken.frame, &coded, 1).unwrap() == taken.planes);
    group.bench_function("encode and compare", |bencher| {
        bencher.iter(|| native::encode(&taken.frame, &taken.planes, 1))
    });
    group.bench_function("decode", |bencher| bencher.iter(|| native::decode(&taken.frame, &coded, 1)));
    group.finish();
}

criterion_group!(benches, jpeg);
criterion_main!(benches);
