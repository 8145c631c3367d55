//! Multiplications per second of exact layers on one core, with every backend that this processor has and by a plain loop
//! over floats. The sizes are those of the shipped networks of JPEG files.
#![allow(missing_docs)] // Criterion's macros make undocumented functions.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use lic_native::nn::pointwise::Grid;
use lic_native::nn::{Activation, Backend, Conv3x3, InputRanges, Linear, Plane};

/// Positions that are multiplied at once: a row of a large tile.
const N: usize = 64;

/// Pseudorandom numbers within ± `bound`.
fn random(n: usize, bound: i16) -> Vec<i16> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % (2 * bound as u64 + 1)) as i16 - bound
    };
    (0..n).map(|_| next()).collect()
}

fn floats(x: &[i16]) -> Vec<f32> {
    x.iter().map(|&x| f32::from(x)).collect()
}

/// Adds products of vectors `[N, inputs]`, whose rows have this stride, and of weights `[inputs, outputs]`.
fn add_naively(x: &[f32], stride: usize, weight: &[f32], outputs: usize, out: &mut [f32]) {
    for (i, out) in out.chunks_exact_mut(outputs).enumerate() {
        for (x, weight) in x[i * stride..].iter().zip(weight.chunks_exact(outputs)) {
            out.iter_mut().zip(weight).for_each(|(out, weight)| *out += x * weight);
        }
    }
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, products: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(products as u64)).sample_size(20);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn linear(criterion: &mut Criterion) {
    // Profile `fast`: a block, all groups' context, a group's context and output, and its means; then profile `best`.
    let sizes =
        [(96, 96), (96, 576), (126, 64), (64, 140), (61, 2), (256, 256), (256, 1584), (126, 176), (176, 140)];
    for (inputs, outputs) in sizes {
        let weight = floats(&random(inputs * outputs, 100));
        let ranges = InputRanges { steps: &vec![1.0; inputs], limits: &vec![512.0; inputs] };
        let layer = Linear::new(&weight, None, ranges).unwrap();
        let x = random(N * inputs, 512);
        let mut out = vec![0.0; N * outputs];
        let mut group = group(criterion, &format!("linear {inputs} to {outputs}"), N * inputs * outputs);
        for backend in Backend::all() {
            group.bench_function(backend.name(), |bencher| {
                bencher.iter(|| layer.apply(backend, black_box(&x), &mut out));
            });
        }
        let activation =
            Activation { slope: 0.125, grid: Grid { inverse: 1.0 / 128.0, bound: 512.0, step: 128.0 } };
        let mut activated = vec![0; N * outputs];
        group.bench_function(format!("{} and activation", Backend::default().name()), |bencher| {
            bencher.iter(|| {
                layer.apply_activated(Backend::default(), black_box(&x), activation, &mut activated)
            });
        });
        let x = floats(&x);
        let transposed: Vec<_> =
            (0..inputs * outputs).map(|i| weight[i % outputs * inputs + i / outputs]).collect();
        let mut naive = vec![0.0; N * outputs];
        group.bench_function("plain loop", |bencher| {
            bencher.iter(|| {
                naive.fill(0.0);
                add_naively(black_box(&x), inputs, &transposed, outputs, &mut naive);
            });
        });
        layer.apply(Backend::default(), &random(N * inputs, 512), &mut out);
        assert!(out == naive);
        group.finish();
    }
}

fn convolution(criterion: &mut Criterion) {
    // Contexts of the last phases of luma and of chroma, and of chroma seen by luma; then luma of profile `best`.
    for (channels, planes, outputs) in [(70, 3, 117), (38, 7, 74), (64, 1, 64), (70, 3, 284)] {
        let inputs = channels * planes;
        let weight = floats(&random(9 * inputs * outputs, 8));
        let ranges = InputRanges { steps: &vec![1.0; inputs], limits: &vec![512.0; inputs] };
        let layer = Conv3x3::new(&weight, None, ranges, &vec![channels; planes]).unwrap();
        let filled = || {
            let mut plane = Plane::new(3, N, channels);
            (0..3).for_each(|y| plane.row_mut(y).copy_from_slice(&random(N * channels, 512)));
            plane
        };
        let planes: Vec<_> = (0..planes).map(|_| filled()).collect();
        let planes: Vec<_> = planes.iter().collect();
        let mut out = vec![0.0; N * outputs];
        let name = format!("3x3 {inputs} to {outputs}");
        let mut group = group(criterion, &name, N * 9 * inputs * outputs);
        for backend in Backend::all() {
            group.bench_function(backend.name(), |bencher| {
                bencher.iter(|| layer.apply_row(backend, black_box(&planes), 1, &mut out));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, linear, convolution);
criterion_main!(benches);
