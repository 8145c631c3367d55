//! Symbols per second of encoding and decoding on one core, with every backend that this processor has.
#![allow(missing_docs)] // Criterion's macros make undocumented functions.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lic_native::ans::{
    self, Backend, Contexts, Decoder, Encoder, LocationScale, LogisticPair, Parameter, TableRows,
};
use lic_native::tables::{Family, ScaleTables, gaussian, scale_table};

const N: usize = 1 << 22;

/// Uniform in 0..1.
fn random() -> impl FnMut() -> f64 {
    let mut state = 1u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn normal(random: &mut impl FnMut() -> f64) -> f64 {
    (-2.0 * (1.0 - random()).ln()).sqrt() * (std::f64::consts::TAU * random()).cos()
}

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tables");
    group.throughput(Throughput::Elements(N as u64)).sample_size(20);
    // The lower scales are what most of an image's latents use.
    for (name, highest) in [("low", 1.0), ("all", 64.0)] {
        let scales = scale_table(0.11, highest, 64).unwrap();
        let tables = gaussian(&scales, 1).unwrap();
        let mut random = random();
        let indexes: Vec<u8> = (0..N).map(|_| (random() * 64.0) as u8).collect();
        let symbol = |index: &u8| (normal(&mut random) * scales[usize::from(*index)]).round() as i32;
        let symbols: Vec<i32> = indexes.iter().map(symbol).collect();
        for backend in Backend::all() {
            let model = TableRows::new(&tables, &indexes);
            let encode = || ans::encode(backend, &symbols, &model, 1).unwrap().to_vec();
            let stream = encode();
            println!("{name}: {:.3} bits per symbol", stream.len() as f64 * 8.0 / N as f64);
            group.bench_function(format!("encode {name} {}", backend.name()), |bencher| bencher.iter(encode));
            let mut out = vec![0i32; N];
            let mut decode = || ans::decode(backend, &stream, &model, None, &mut out, 1).unwrap();
            group.bench_function(format!("decode {name} {}", backend.name()), |bencher| {
                bencher.iter(&mut decode)
            });
            decode();
            assert!(out == symbols);
        }
    }
    group.finish();
}

fn logistic_pair(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mixture");
    group.throughput(Throughput::Elements(N as u64)).sample_size(20);
    // Scale indices: 8 is 1/32 of a symbol step, 32 is 1/4, 48 is 1.
    for (name, lowest, highest) in [("low", 8.0, 40.0), ("high", 32.0, 72.0)] {
        let mut random = random();
        let mut params: Vec<[i16; 5]> = Vec::new();
        let symbols: Vec<i16> = (0..N)
            .map(|_| {
                let mean = (normal(&mut random) * 4.0) as i16;
                let scale = lowest + (highest - lowest) * random();
                params.push([mean, mean + 3, scale as i16, scale as i16 + 8, (random() * 128.0) as i16]);
                let u = random();
                (f64::from(mean) / 16.0 + (u / (1.0 - u)).ln() * ((scale - 46.0) / 8.0).exp2()).round() as i16
            })
            .collect();
        let (model, numbers) = (LogisticPair::new(&params), std::array::from_fn::<u16, 64, _>(|k| k as u16));
        let contexts = Contexts::new(&numbers).unwrap();
        let calibrations = [("", false), (" calibrated", true)];
        for (backend, (how, calibrate)) in Backend::all()
            .into_iter()
            .flat_map(|backend| calibrations.map(|calibration| (backend, calibration)))
        {
            // The lanes of the JPEG profiles' streams.
            let encode = || {
                let encoder = Encoder::new().with_backend(backend).with_max_lanes(8).unwrap();
                let mut encoder = if calibrate { encoder.calibrating() } else { encoder };
                encoder.put_in_contexts(&symbols, &model, contexts).unwrap();
                encoder.finish()
            };
            let (stream, what) = (encode(), format!("{name}{how} {}", backend.name()));
            println!("{what}: {:.3} bits per symbol", stream.len() as f64 * 8.0 / N as f64);
            assert_eq!(stream[0] >> 7 == 1, calibrate);
            group.bench_function(format!("encode {what}"), |bencher| bencher.iter(encode));
            let mut out = vec![0i16; N];
            let mut decode = || {
                let mut decoder = Decoder::new(&stream[..]).unwrap().with_backend(backend);
                decoder.get_in_contexts(&model, contexts, &mut out).unwrap();
                decoder.finish().unwrap();
            };
            group.bench_function(format!("decode {what}"), |bencher| bencher.iter(&mut decode));
            decode();
            assert!(out == symbols);
        }
    }
    group.finish();
}

fn location_scale(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("located");
    group.throughput(Throughput::Elements(N as u64)).sample_size(20);
    let mut random = random();
    let scales: Vec<f32> = (0..N).map(|_| (0.11 * 580f64.powf(random())) as f32).collect();
    let means: Vec<f32> = (0..N).map(|_| (9.0 * normal(&mut random)) as f32).collect();
    let parameters = means.iter().zip(&scales);
    let symbols: Vec<i32> = parameters
        .map(|(mean, scale)| (normal(&mut random) * f64::from(*scale) + f64::from(*mean)).round() as i32)
        .collect();
    let (tables, means) = (ScaleTables::get(Family::Gaussian), Parameter::Each(&means));
    let model = LocationScale::new(tables, N, means, Parameter::Each(&scales)).unwrap();
    for backend in Backend::all() {
        let encode = || ans::encode(backend, &symbols, &model, 1).unwrap().to_vec();
        let stream = encode();
        group.bench_function(format!("encode {}", backend.name()), |bencher| bencher.iter(encode));
        let mut out = vec![0i32; N];
        let mut decode = || ans::decode(backend, &stream, &model, None, &mut out, 1).unwrap();
        group.bench_function(format!("decode {}", backend.name()), |bencher| bencher.iter(&mut decode));
        decode();
        assert!(out == symbols);
    }
    group.finish();
}

criterion_group!(benches, tables, location_scale, logistic_pair);
criterion_main!(benches);
