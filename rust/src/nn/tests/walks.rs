use std::fmt::Debug;

use crate::Result;
use crate::ans::tests::Random;
use crate::nn::parameters::Parameters;
use crate::nn::{Backend, Mlcc, Msp, Sampling, Symbols};
use crate::tensor::weights::Values;

const SAMPLINGS: [&str; 4] = ["4:2:0", "4:2:2", "4:4:4", "gray"];

/// Returns values of an array, which make layers of up to 48 random weights for each output.
fn values(random: &mut Random, name: &str, shape: &[usize]) -> Values {
    let n: usize = shape.iter().product();
    let row: usize = shape.iter().skip(1).product();
    let mut within = |bound: u32| (random.below(2 * bound + 1) as i32 - bound as i32) as f32;
    let floats = |value: &mut dyn FnMut() -> f32| Values::F32((0..n).map(|_| value()).collect());
    match name.rsplit('.').next() {
        Some("limit") => floats(&mut || 8.0),
        Some("step") if name.ends_with("fine.step") => floats(&mut || 1.0 / 256.0),
        Some("step") => floats(&mut || 1.0 / 32.0),
        Some("pools") => floats(&mut || f32::from(within(1) > 0.0)),
        Some("sigma") => floats(&mut || 64.0 + within(60)),
        Some("bias") => floats(&mut || within(128) / 64.0),
        Some(name) if name.ends_with("_levels") => {
            Values::I32((0..n).map(|_| random.below(1000) as i32).collect())
        }
        _ => floats(&mut || {
            let is_zero = random.below(row.max(48) as u32) >= 48;
            if is_zero { 0.0 } else { (random.below(7) as f32 - 3.0) / 16.0 }
        }),
    }
}

/// Returns a network of random weights.
fn network<N>(seed: u64, config: &str, load: impl Fn(&str, u32, &mut Parameters) -> Result<N>) -> N {
    let (mut parameters, mut random) = (Parameters::new(Vec::new()), Random::new(seed));
    parameters.make = Some(Box::new(move |name, shape| values(&mut random, name, shape)));
    load(config, 0, &mut parameters).unwrap()
}

fn mlcc(seed: u64) -> Mlcc {
    let random = &mut Random::new(seed);
    let mut width = |most| 1 + random.below(most);
    let config = format!(
        r#"{{"luma_trunk_width": {}, "luma_head_width": {}, "luma_skip_channels": {}, "chroma_trunk_width": {},
            "chroma_head_width": {}, "chroma_skip_channels": {}, "chroma_context_width": {},
            "conditioning_width": {}, "luma_context_blocks": [{}, {}], "chroma_context_blocks": [],
            "luma_pointwise_blocks": 1, "chroma_pointwise_blocks": 2, "further_head_layers": {}}}"#,
        width(20),
        width(20),
        width(64) - 1,
        width(20),
        width(20),
        width(64) - 1,
        width(20),
        width(20),
        width(9),
        width(9),
        width(3) - 1,
    );
    network(seed, &config, Mlcc::load)
}

fn msp(seed: u64) -> Msp {
    let random = &mut Random::new(seed);
    let mut width = |most| 1 + random.below(most);
    let (first, second, third) = (width(9), width(30), width(30));
    let (a, b, c) = (first, first + second, first + second + third);
    let config = format!(
        r#"{{"y_channels": {c}, "groups": [[0, {a}], [{b}, {c}], [{a}, {b}]], "embedding_width": {},
            "trunk_width": {}, "head_width": {}, "skip_channels": {}, "context_blocks": [{}],
            "pointwise_blocks": 1, "further_head_layers": {}, "transform_width": 64}}"#,
        width(20),
        width(20),
        width(20),
        width(c),
        width(9),
        width(3) - 1,
    );
    network(seed, &config, Msp::load)
}

/// Returns integers of all magnitudes, small ones most often.
fn symbols(random: &mut Random, size: (usize, usize), channels: usize) -> Symbols {
    let mut symbol = || {
        let magnitude = 0x7fff >> random.below(16).max(random.below(16));
        (random.below(2 * magnitude + 1) as i32 - magnitude as i32) as i16
    };
    Symbols { size, values: (0..size.0 * size.1 * channels).map(|_| symbol()).collect() }
}

/// Checks that all backends make the same stream of `symbols`, and restore them.
fn check<N, S: Clone + Debug + PartialEq>(
    network: &N,
    symbols: &S,
    encode: impl Fn(&N, Backend, S) -> Result<Vec<u8>>,
    decode: impl Fn(&N, Backend, &[u8]) -> Result<S>,
) -> Vec<u8> {
    let mut stream = None;
    for backend in Backend::all() {
        let own = encode(network, backend, symbols.clone()).unwrap();
        assert_eq!(&own, stream.get_or_insert_with(|| own.clone()), "{}", backend.name());
        assert_eq!(&decode(network, backend, &own).unwrap(), symbols, "{}", backend.name());
    }
    stream.unwrap()
}

#[test]
fn coefficients_are_restored() {
    for seed in 0..12 {
        let random = &mut Random::new(seed);
        let sampling = Sampling::named(SAMPLINGS[seed as usize % 4]).unwrap();
        let size = (1 + random.below(12) as usize, 1 + random.below(12) as usize);
        let mut sizes = vec![size];
        if let (v @ 1.., h) = [(1, 1), (2, 1), (2, 2), (0, 0)][seed as usize % 4] {
            sizes.extend([((size.0 * v).div_ceil(2), (size.1 * h).div_ceil(2)); 2]);
        }
        let table = |random: &mut Random| std::array::from_fn(|_| 1 + random.below(200) as u16);
        let tables: Vec<[u16; 64]> = (0..2 + seed % 2).map(|_| table(random)).collect();
        let planes: Vec<Symbols> = sizes.iter().map(|&size| symbols(random, size, 64)).collect();
        let (network, default) = (mlcc(seed), Backend::default());
        let stream = check(
            &network,
            &planes,
            |network, backend, planes| network.encode(backend, sampling, &tables, planes),
            |network, backend, stream| network.decode(backend, sampling, &tables, &sizes, stream),
        );
        // The network sees the tables, and its weights count.
        let other = vec![table(random); 2];
        assert_ne!(network.decode(default, sampling, &other, &sizes, &stream).ok().as_ref(), Some(&planes));
        assert_ne!(mlcc(seed + 100).encode(default, sampling, &tables, planes).unwrap(), stream);
    }
}

#[test]
fn latents_are_restored() {
    for seed in 0..12 {
        let random = &mut Random::new(seed);
        let size = (1 + random.below(12) as usize, 1 + random.below(12) as usize);
        let (network, index) = (msp(seed), random.below(449) as usize);
        let latents = symbols(random, size, network.channels());
        let stream = check(
            &network,
            &latents,
            |network, backend, latents| network.encode(backend, index, latents),
            |network, backend, stream| network.decode(backend, index, size, stream),
        );
        assert_ne!(
            network.decode(Backend::default(), (index + 100) % 449, size, &stream).ok().as_ref(),
            Some(&latents)
        );
    }
}
