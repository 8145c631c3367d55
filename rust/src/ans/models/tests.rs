use std::fmt::Debug;

use proptest::prelude::*;

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use super::location_scale::locate;
use super::{Categorical, LocationScale, LogisticPair, Mixture, MixtureComponent, Parameter, TableRows};
use crate::Error;
use crate::ans::calibration::{Age, BlockCurves, Curve, RANGES};
use crate::ans::constants::BLOCK;
use crate::ans::simd::BlockRows;
use crate::ans::{self, Backend, Contexts, Decoder, Encoder, Random, Symbol};
use crate::tables::{
    CdfRow, Family, Float, PairCdf, PairConstants, Region, ScaleTables, Slots, TOTAL, Tables,
};

/// Symbols come back from every backend by whichever door, calibrated or not, and their bytes are the same.
fn check_round_trip<S: Symbol + Debug + PartialEq, M: Calibrated>(symbols: &[S], model: &M) {
    check_calibrated(symbols, model);
    let encode = |backend, lanes| {
        let mut encoder = Encoder::new().with_backend(backend);
        encoder.put(symbols, model).unwrap();
        encoder.stream_with(lanes).to_vec()
    };
    let parts = |backend, threads| {
        let parts = ans::encode(backend, symbols, model, threads).unwrap();
        let mut bytes = vec![0; parts.len()];
        parts.write(&mut bytes);
        bytes
    };
    let mut out = vec![S::default(); symbols.len()];
    for lanes in [1, 2, 4, 8, 16, 32, 64] {
        let bytes = encode(Backend::SCALAR, lanes);
        for backend in Backend::all() {
            assert_eq!(encode(backend, lanes), bytes, "{}", backend.name());
            out.fill(S::default());
            let mut decoder = Decoder::new(&bytes[..]).unwrap().with_backend(backend);
            decoder.get(model, &mut out).unwrap();
            decoder.finish().unwrap();
            assert_eq!(out, symbols, "{}", backend.name());
        }
    }
    let bytes = parts(Backend::SCALAR, 1);
    for backend in Backend::all() {
        assert_eq!(parts(backend, 2), bytes, "{}", backend.name());
        out.fill(S::default());
        ans::decode(backend, &bytes, model, None, &mut out, 2).unwrap();
        assert_eq!(out, symbols, "{}", backend.name());
    }
}

fn check_calibrated<S: Symbol + Debug + PartialEq, M: Calibrated>(symbols: &[S], model: &M) {
    let contexts = Contexts::new(&[0, 4095, 7]).unwrap().in_runs(5);
    let encode = |backend, lanes| {
        let mut encoder = Encoder::new().with_backend(backend).calibrating();
        // The second group profits from the first.
        (0..2).for_each(|_| encoder.put_in_contexts(symbols, model, contexts).unwrap());
        encoder.stream_with(lanes).to_vec()
    };
    let mut out = vec![S::default(); symbols.len()];
    for lanes in [1, 16, 64] {
        let bytes = encode(Backend::SCALAR, lanes);
        for backend in Backend::all() {
            assert_eq!(encode(backend, lanes), bytes, "{}", backend.name());
            let mut decoder = Decoder::new(&bytes[..]).unwrap().with_backend(backend);
            for _ in 0..2 {
                out.fill(S::default());
                decoder.get_in_contexts(model, contexts, &mut out).unwrap();
                assert_eq!(out, symbols, "{}", backend.name());
            }
            decoder.finish().unwrap();
        }
    }
    let plain = ans::encode(Backend::SCALAR, symbols, model, 1).unwrap();
    let parts = |backend, threads| {
        ans::encode_in_contexts(backend, symbols, model, contexts, &plain, threads).unwrap().to_vec()
    };
    let bytes = parts(Backend::SCALAR, 1);
    for backend in Backend::all() {
        assert_eq!(parts(backend, 2), bytes, "{}", backend.name());
        out.fill(S::default());
        ans::decode(backend, &bytes, model, Some(contexts), &mut out, 2).unwrap();
        assert_eq!(out, symbols, "{}", backend.name());
    }
}

/// Where symbols lie says their slots; and owners of slots are found by all backends.
fn check_intervals<M: Calibrated>(model: &M, j: usize, symbols: &[i32], curve: &Curve) {
    let mut params = M::Params::default();
    model.load(0, model.len(), &mut params).unwrap();
    assert!(model.range(&params, j) < RANGES);
    for &symbol in symbols {
        let (interval, outside) = model.interval(&params, j, symbol);
        assert_eq!((interval.slots(), outside), model.slots(&params, j, symbol), "{symbol}");
    }
    for backend in Backend::all() {
        model.prepare(&mut params, 0, backend);
        check_owners(model, &params, j, curve);
    }
}

/// By a curve each slot has one owner, which lies where it is found.
fn check_owners<M: Calibrated>(model: &M, params: &M::Params, j: usize, curve: &Curve) {
    let mut next = 0;
    while next < TOTAL {
        let (region, interval) = model.find_by(params, j, next, curve);
        let slots = interval.slots();
        assert_eq!(slots.start(), next, "{region:?}");
        next += slots.freq();
        assert_eq!(model.find_by(params, j, next - 1, curve), (region, interval));
        if let Region::Inside(symbol) = region {
            let own = model.interval(params, j, symbol);
            assert_eq!((own.0.by(|bound| curve.at(bound)), own.1), (interval, None));
        }
    }
    assert_eq!(next, TOTAL);
}

/// A curve that has seen these parts of the distribution function, in 2^16ths.
fn curve() -> impl Strategy<Value = Curve> {
    let seen = prop::collection::vec((0..1u32 << 16, 0..9u32, 1..1500), 0..4);
    seen.prop_map(|seen| {
        let (mut curve, mut age) = (Curve::UNIFORM, Age::default());
        for (low, width, times) in seen {
            for _ in 0..times {
                let [low, high] = [low, (low + (1 << (2 * width))).min(1 << 16)].map(|v| curve.at(v));
                curve.count(low, high, Curve::unit(low, high));
                age.grow();
                if age.is_due() {
                    curve.renew(&mut age);
                }
            }
        }
        curve
    })
}

/// For mixtures with these parameters, each backend knows the slots of likely symbols, and finds the owners of others.
fn check_likely(params: &[[i16; 5]], curve: &Curve, random: &mut Random) {
    let model = LogisticPair::new(params);
    for (backend, calibrated) in
        Backend::all().into_iter().flat_map(|backend| [(backend, false), (backend, true)])
    {
        let mut batch = <LogisticPair as BatchModel>::Params::default();
        model.load(0, params.len(), &mut batch).unwrap();
        let at = |bound| if calibrated { curve.at(bound) } else { bound };
        for b in 0..params.len().div_ceil(BLOCK) {
            model.prepare(&mut batch, b, backend);
            let (mut ranges, numbers) = ([0; BLOCK], [0; BLOCK]);
            model.block_ranges(&batch, b, backend, &mut ranges, BLOCK);
            let curves = BlockCurves::of(backend, std::slice::from_ref(curve), &numbers);
            model.expect(&mut batch, backend, calibrated.then_some(&curves));
            let (likely, bounds) = (model.likely(&batch).unwrap(), model.likely_bounds(&batch).unwrap());
            for (j, params) in (b * BLOCK..params.len()).zip(&params[b * BLOCK..]).take(BLOCK) {
                let (i, cdf) = (j % BLOCK, PairCdf::new(PairConstants::get(), params));
                assert_eq!(usize::from(ranges[i]), model.range(&batch, j));
                let own = cdf.interval(likely.symbols[i]).0.by(at);
                assert_eq!(likely.find(i, own.slots().start()), Some((likely.symbols[i], own.slots())));
                assert_eq!([bounds[0][i], bounds[1][i]], own.bounds);
                for _ in 0..20 {
                    let near = (own.slots().start() + random.below(200)).saturating_sub(100).min(TOTAL - 1);
                    let slot = if random.below(2) == 0 { near } else { random.below(TOTAL) };
                    let expected = cdf.find(slot, slot, at);
                    let found = match calibrated {
                        true => model.find_by(&batch, j, slot, curve),
                        false => {
                            let (region, slots) = model.find(&batch, j, slot);
                            assert_eq!(slots, expected.1.slots());
                            (region, expected.1)
                        }
                    };
                    assert_eq!(found, expected, "{params:?} at {slot} by {}", backend.name());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn likely_symbols_are_those_of_the_distributions(
        curve in curve(),
        params in prop::collection::vec(any::<[i16; 5]>(), 1..150),
        narrow in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let narrow = |params: [i16; 5]| if narrow { params.map(|param| param & 127) } else { params };
        let params: Vec<_> = params.into_iter().map(narrow).collect();
        check_likely(&params, &curve, &mut Random::new(seed));
    }

    #[test]
    fn a_curve_divides_all_slots(
        curve in curve(),
        symbols in prop::collection::vec(symbol(), 1..9),
        (mean, scale) in (mean(), scale()),
        family in prop::sample::select(&Family::ALL[..]),
        counts in prop_oneof![
            prop::collection::vec(0..5u32, 1..99),
            prop::collection::vec(0..900u32, 1..4000),
            Just(vec![1; 1 << 15]),
        ],
    ) {
        use Parameter::Constant;
        let located = LocationScale::new(ScaleTables::get(family), 2, Constant(mean % 1.0), Constant(scale)).unwrap();
        check_intervals(&located, 1, &symbols, &curve);
        let component = |family, mean, scale| MixtureComponent {
            family, weights: Constant(1.0), means: Constant(mean), scales: Constant(scale),
        };
        let components = [component(family, mean, scale), component(Family::Laplace, 3.0, 2.0)];
        check_intervals(&Mixture::new(2, &components).unwrap(), 1, &symbols, &curve);
        let tables = Tables::from_rows(&[CdfRow::from_counts(&counts, -7).unwrap()]).unwrap();
        check_intervals(&TableRows::new(&tables, &[0u8, 0]), 1, &symbols, &curve);
        let pmf: Vec<f32> = counts.iter().take(4096).map(|&count| count as f32 + 1e-3).collect();
        check_intervals(&Categorical::new(&pmf, pmf.len()).unwrap(), 0, &symbols, &curve);
        let params = [[(mean * 16.0) as i16, 40, (scale * 10.0) as i16, 70, 50]];
        check_intervals(&LogisticPair::new(&params), 0, &symbols, &curve);
    }
}

/// The error that both doors give when they load these elements.
fn load_error<M: EntropyModel>(model: &M) -> String {
    let symbols = vec![0; model.len()];
    let error = ans::encode(Backend::default(), &symbols, model, 1).unwrap_err();
    assert_eq!(Encoder::new().put(&symbols, model), Err(error.clone()));
    match error {
        Error::InvalidArgument(what) => what,
        other => panic!("{other}"),
    }
}

fn symbol() -> impl Strategy<Value = i32> {
    prop_oneof![20 => -3..4, 5 => -200..200, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(i32::MAX)]
}

fn mean() -> impl Strategy<Value = f32> {
    prop_oneof![8 => -3f32..3.0, 2 => -300f32..300.0, 1 => -1e9f32..1e9, 1 => Just(0.0)]
}

fn scale() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 0.01f32..3.0, 4 => 1f32..600.0, 1 => Just(f32::MAX), 1 => Just(f32::MIN_POSITIVE)]
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn located_round_trips(
        elements in prop::collection::vec((symbol(), mean(), scale()), 0..400),
        family in prop::sample::select(&Family::ALL[..]),
        (mean, scale) in (mean(), scale()),
    ) {
        let tables = ScaleTables::get(family);
        let (means, scales): (Vec<f32>, Vec<f32>) = elements.iter().map(|element| (element.1, element.2)).unzip();
        let symbols: Vec<i32> =
            elements.iter().map(|&(symbol, mean, _)| symbol.wrapping_add(mean as i32)).collect();
        let n = symbols.len();
        let model = LocationScale::new(tables, n, Parameter::Each(&means), Parameter::Each(&scales)).unwrap();
        check_round_trip(&symbols, &model);
        let constant = LocationScale::new(tables, n, Parameter::Constant(mean), Parameter::Constant(scale)).unwrap();
        check_round_trip(&symbols, &constant);
        // The same numbers as f64 make the same bytes.
        let (wide_means, wide_scales) = (wide(&means), wide(&scales));
        let wide = LocationScale::new(tables, n, Parameter::Each(&wide_means), Parameter::Each(&wide_scales)).unwrap();
        check_round_trip(&symbols, &wide);
        let bytes = |encoder: &mut Encoder| std::mem::take(encoder).finish();
        let mut encoder = Encoder::new();
        encoder.put(&symbols, &model).unwrap();
        let narrow_bytes = bytes(&mut encoder);
        encoder.put(&symbols, &wide).unwrap();
        prop_assert_eq!(bytes(&mut encoder), narrow_bytes);
    }
}

/// Whatever the floats: small and huge, at thresholds and halfway between integers.
fn any_mean() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => mean().prop_map(f64::from),
        4 => (-1000..1000i32).prop_map(|k| f64::from(k) / 128.0),
        1 => Just(32768.0),
        1 => Just(-32767.996),
        1 => -1.1e9..1.1e9,
        1 => Just(5e-324),
    ]
}

fn any_scale() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => scale().prop_map(f64::from),
        4 => (0..120i32).prop_map(|k| 2f64.powi(k / 8 - 5) * f64::from(8 + k % 8) / 8.0),
        1 => Just(1e-40),
        1 => Just(f64::from(f32::MAX)),
    ]
}

proptest! {
    #[test]
    fn every_backend_locates_alike(
        elements in prop::collection::vec((any_mean(), any_scale()), BLOCK),
        wild in prop::option::of((0..BLOCK, prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, 0.0]))),
    ) {
        fn check<T: Float>(elements: &[(f64, f64)], float: impl Fn(f64) -> T) -> std::result::Result<(), TestCaseError> {
            let means: [T; BLOCK] = std::array::from_fn(|j| float(elements[j].0));
            let scales: [T; BLOCK] = std::array::from_fn(|j| float(elements[j].1));
            let locate = |backend: Backend| {
                let (mut shifts, mut places) = ([0; BLOCK], [0; BLOCK]);
                locate(backend, &means, &scales, &mut shifts, &mut places).then_some((shifts, places))
            };
            let scalar = locate(Backend::SCALAR);
            let valid = |(mean, scale): (&T, &T)| mean.valid_mean() && scale.valid_scale();
            prop_assert_eq!(scalar.is_some(), means.iter().zip(&scales).all(valid));
            for backend in Backend::all() {
                prop_assert!(locate(backend) == scalar, "{}", backend.name());
            }
            Ok(())
        }
        let mut elements = elements;
        check(&elements, |float| float as f32)?;
        check(&elements, |float| float)?;
        if let Some((j, scale)) = wild {
            elements[j].1 = scale;
        }
        elements.iter_mut().for_each(|element| element.0 = element.0.clamp(-300.0, 300.0));
        check(&elements, |float| float as f32)?;
        check(&elements, |float| float)?;
    }

    #[test]
    fn every_backend_takes_noise_for_the_same_located(
        noise in prop::collection::vec(any::<u8>(), 300..900),
        lanes in 4..7u8,
        elements in prop::collection::vec((mean(), scale()), 1..300),
        family in prop::sample::select(&Family::ALL[..]),
    ) {
        // As many lanes as vectors take, whole states, no escapes.
        let bytes = [&[0x40 | lanes][..], &noise].concat();
        let (means, scales): (Vec<f32>, Vec<f32>) = elements.into_iter().unzip();
        let [each_mean, each_scale] = [&means, &scales].map(|values| Parameter::Each(&values[..]));
        let model = LocationScale::new(ScaleTables::get(family), means.len(), each_mean, each_scale).unwrap();
        let decode = |backend| {
            let mut decoder = Decoder::new(&bytes[..])?.with_backend(backend);
            let mut out = vec![0; means.len()];
            decoder.get(&model, &mut out)?;
            Ok((out, decoder.finish()))
        };
        let scalar: crate::Result<_> = decode(Backend::SCALAR);
        for backend in Backend::all() {
            prop_assert_eq!(&decode(backend), &scalar, "{}", backend.name());
        }
    }
}

/// Every row of all scale tables, with symbols in and around its support.
#[test]
fn every_backend_finds_the_slots_of_every_row() {
    for family in Family::ALL {
        let (tables, mut random) = (ScaleTables::get(family), Random::new(15));
        for level in 0..tables.scales().len() {
            for k in 0..tables.fractions(level) {
                let mean = f64::from(k) / f64::from(tables.fractions(level));
                let (mut shifts, mut places) = ([0; BLOCK], [0; BLOCK]);
                let scales = [tables.scales()[level]; BLOCK];
                assert!(locate(Backend::default(), &[mean; BLOCK], &scales, &mut shifts, &mut places));
                let row = usize::from(ScaleTables::row(places[0]));
                let support = tables.tables().support(row);
                let symbols: [i32; BLOCK] = std::array::from_fn(|j| match j {
                    0 => i32::MIN,
                    1 => i32::MAX,
                    2 => support.start - 1,
                    3 => support.end,
                    _ => support.start + random.below(support.len() as u32) as i32,
                });
                for backend in Backend::all() {
                    let mut slots = [Slots::default(); BLOCK];
                    let missing = backend.slots(BlockRows::Scale(tables, &places), &symbols, &mut slots);
                    for (j, &symbol) in symbols.iter().enumerate() {
                        let (want, outside) = tables.tables().slots(row, symbol);
                        let found = missing >> j & 1 == 0;
                        assert!(!found || outside.is_none() && slots[j] == want, "{symbol} of row {row}");
                        let near = symbol.unsigned_abs() < 2 << (level / 8);
                        assert!(found || outside.is_some() || !near, "{symbol} of row {row}");
                    }
                }
            }
        }
    }
}

#[test]
fn large_groups_of_located_round_trip() {
    let mut random = Random::new(5);
    let mut uniform = || f64::from(random.next()) / 2f64.powi(32);
    let n = 500_000;
    let means: Vec<f32> = (0..n).map(|_| (uniform() * 40.0 - 20.0) as f32).collect();
    let scales: Vec<f32> = (0..n).map(|_| (0.05 * 2f64.powf(uniform() * 13.0)) as f32).collect();
    let logistic = |u: f64| (u / (1.0 - u)).ln();
    let symbols: Vec<i16> = means
        .iter()
        .zip(&scales)
        .map(|(mean, scale)| (f64::from(*mean) + f64::from(*scale) * logistic(uniform())).round() as i16)
        .collect();
    let tables = ScaleTables::get(Family::Logistic);
    check_round_trip(
        &symbols,
        &LocationScale::new(tables, n, Parameter::Each(&means), Parameter::Each(&scales)).unwrap(),
    );
}

#[test]
fn wrong_located_parameters_are_errors() {
    fn check<T: Float + From<f32>>() {
        let tables = ScaleTables::get(Family::Gaussian);
        let good = [1.0f32; 200].map(T::from);
        for position in [0, 63, 130, 199] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = good;
                values[position] = bad.into();
                for (means, scales) in [(&good, &values), (&values, &good)] {
                    let (means, scales) = (Parameter::Each(&means[..]), Parameter::Each(&scales[..]));
                    let what = load_error(&LocationScale::new(tables, 200, means, scales).unwrap());
                    assert!(what.contains(&format!("element {position} ")), "{what}");
                }
            }
            for bad in [0.0, -1.0] {
                let mut scales = good;
                scales[position] = bad.into();
                let scales = Parameter::Each(&scales[..]);
                let what = load_error(
                    &LocationScale::new(tables, 200, Parameter::Constant(good[0]), scales).unwrap(),
                );
                assert!(what.contains(&format!("element {position} ")), "{what}");
            }
        }
        let constant = Parameter::Constant(good[0]);
        assert!(LocationScale::new(tables, 199, Parameter::Each(&good[..]), constant).is_err());
        assert!(LocationScale::new(tables, 201, constant, Parameter::Each(&good[..])).is_err());
        let nan = Parameter::Constant(T::from(f32::NAN));
        load_error(&LocationScale::new(tables, 3, constant, nan).unwrap());
        assert_eq!(
            Encoder::new().put::<i32, _>(&[], &LocationScale::new(tables, 0, constant, nan).unwrap()),
            Ok(())
        );
    }
    check::<f32>();
    check::<f64>();
    // So far that its shift, which nobody uses, overflows.
    let [mean, scale] = [9.071241630357883e21, 1.0].map(Parameter::Constant);
    load_error(&LocationScale::new(ScaleTables::get(Family::Gaussian), 3, mean, scale).unwrap());
}

/// 1 to 8 components of `n` elements, `[family, weights, means, scales]`.
type Components = Vec<(Family, Vec<f32>, Vec<f32>, Vec<f32>)>;

fn components(n: usize) -> impl Strategy<Value = Components> {
    let weight = prop_oneof![4 => 0f32..1.0, 1 => Just(0.0), 1 => Just(f32::MAX), 1 => Just(1e-30)];
    let parameters = |strategy: BoxedStrategy<f32>| prop::collection::vec(strategy, n);
    let component = (
        prop::sample::select(&Family::ALL[..]),
        parameters(weight.boxed()),
        parameters(mean().boxed()),
        parameters(scale().boxed()),
    );
    prop::collection::vec(component, 1..=8).prop_map(|mut components| {
        components[0].1.iter_mut().for_each(|weight| *weight += 0.01);
        components
    })
}

fn mixture_of(components: &Components, n: usize) -> Mixture<'_, f32> {
    let mut parts = Vec::new();
    for (family, weights, means, scales) in components {
        let [weights, means, scales] = [weights, means, scales].map(|values| Parameter::Each(&values[..]));
        parts.push(MixtureComponent { family: *family, weights, means, scales });
    }
    Mixture::new(n, &parts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mixtures_of_anything_round_trip(
        (symbols, components) in prop::collection::vec(symbol(), 0..300)
            .prop_flat_map(|symbols| { let n = symbols.len(); (Just(symbols), components(n)) }),
    ) {
        let model = mixture_of(&components, symbols.len());
        check_round_trip(&symbols, &model);
    }

    #[test]
    fn categoricals_round_trip(
        symbols in 1..300usize,
        elements in prop::collection::vec((any::<u32>(), symbol()), 0..200),
        seed in any::<u64>(),
    ) {
        let mut random = Random::new(seed);
        let mut probability = || match random.below(8) {
            0 => 0.0,
            1 => 1.0,
            2 => 1e-9,
            _ => random.below(1000) as f32 / 1000.0,
        };
        let mut probabilities: Vec<f32> = (0..symbols * elements.len()).map(|_| probability()).collect();
        probabilities.chunks_exact_mut(symbols).for_each(|element| element[symbols / 2] += 1e-6);
        let values: Vec<i32> = elements
            .iter()
            .map(|&(inside, any)| if inside % 8 == 0 { any } else { (inside as usize % symbols) as i32 })
            .collect();
        check_round_trip(&values, &Categorical::new(&probabilities, symbols).unwrap());
        let wide = wide(&probabilities);
        let bytes = |encoder: &mut Encoder| std::mem::take(encoder).finish();
        let mut encoder = Encoder::new();
        encoder.put(&values, &Categorical::new(&probabilities, symbols).unwrap()).unwrap();
        let narrow_bytes = bytes(&mut encoder);
        encoder.put(&values, &Categorical::new(&wide, symbols).unwrap()).unwrap();
        prop_assert_eq!(bytes(&mut encoder), narrow_bytes);
    }
}

#[test]
fn constant_and_wide_parameters_make_the_same_mixtures() {
    fn bytes<T: Float>(components: &[MixtureComponent<T>]) -> Vec<u8> {
        let symbols: Vec<i32> = (0..300).map(|i| i * i % 17 - 8).collect();
        let mut encoder = Encoder::new();
        encoder.put(&symbols, &Mixture::new(300, components).unwrap()).unwrap();
        encoder.finish()
    }
    let values = [[0.25f32, 1.3, 0.7], [0.6, -3.77, 2.9]];
    let constant = values.map(|element| element.map(Parameter::Constant));
    let each = values.map(|element| element.map(|value| vec![value; 300]));
    let wide = values.map(|element| element.map(|value| Parameter::Constant(f64::from(value))));
    let families = [Family::Laplace, Family::Gaussian];
    fn components<'a, T: Copy>(
        families: [Family; 2],
        values: [[Parameter<'a, T>; 3]; 2],
    ) -> [MixtureComponent<'a, T>; 2] {
        std::array::from_fn(|k| {
            let [weights, means, scales] = values[k];
            MixtureComponent { family: families[k], weights, means, scales }
        })
    }
    let each =
        std::array::from_fn(|k: usize| std::array::from_fn(|i: usize| Parameter::Each(&each[k][i][..])));
    let want = bytes(&components(families, constant));
    assert_eq!(bytes(&components(families, each)), want);
    assert_eq!(bytes(&components(families, wide)), want);
}

#[test]
fn wrong_mixtures_are_errors() {
    let constant = Parameter::Constant;
    let good = MixtureComponent {
        family: Family::Gaussian,
        weights: constant(1.0f32),
        means: constant(0.0),
        scales: constant(1.0),
    };
    assert!(Mixture::new(1, &[good; 0]).is_err());
    assert!(Mixture::new(1, &[good; 9]).is_err());
    assert!(
        Mixture::new(2, &[good, MixtureComponent { means: Parameter::Each(&[0.0; 3]), ..good }]).is_err()
    );
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        let mut values = [1.0; 100];
        values[77] = bad;
        let each = Parameter::Each(&values[..]);
        let weights = MixtureComponent { weights: each, ..good };
        let scales = MixtureComponent { scales: each, ..good };
        for component in [weights, scales] {
            let what = load_error(&Mixture::new(100, &[good, component]).unwrap());
            assert!(what.contains("component 1 of element 77 "), "{what}");
        }
    }
    let nothing = MixtureComponent { weights: constant(0.0), ..good };
    assert!(load_error(&Mixture::new(5, &[nothing, nothing]).unwrap()).contains("all weights of element 0"));
    check_round_trip(&[3, -2, 5], &Mixture::new(3, &[nothing, good]).unwrap());
}

#[test]
fn wrong_categoricals_are_errors() {
    assert!(Categorical::new(&[1.0f32], 0).is_err());
    assert!(Categorical::new(&[1.0f32; 4097], 4097).is_err());
    assert!(Categorical::new(&[1.0f32; 7], 3).is_err());
    for bad in [f64::NAN, f64::INFINITY, -1e-9, 1e300] {
        let mut values = [0.5; 700];
        values[600] = bad;
        let what = load_error(&Categorical::new(&values, 7).unwrap());
        assert!(what.contains("element 85"), "{what}");
    }
    let mut values = [0.5; 700];
    values[21..28].fill(0.0);
    assert!(load_error(&Categorical::new(&values, 7).unwrap()).contains("element 3"));
    check_round_trip(
        &[0, 4095, 17, 4096, -1],
        &Categorical::new(&[-0.0f32, 1.0].repeat(5 * 2048), 4096).unwrap(),
    );
    check_round_trip(&[0, 0, 1, i32::MIN, i32::MAX], &Categorical::new(&[f32::MAX; 5], 1).unwrap());
}

/// Every slot belongs to the symbol whose slots it is found with, and none to two.
#[test]
fn categorical_slots_partition_the_total() {
    let mut random = Random::new(9);
    for symbols in [1, 2, 3, 100, 4096] {
        let probabilities: Vec<f32> = (0..symbols).map(|_| random.below(1 << 20) as f32).collect();
        let model = Categorical::new(&probabilities, symbols).unwrap();
        let mut params = Default::default();
        model.load(0, 1, &mut params).unwrap();
        let mut next = 0;
        for symbol in 0..=symbols as i32 {
            let (slots, outside) = model.slots(&params, 0, symbol);
            let escape = symbol == symbols as i32;
            assert_eq!((slots.start(), outside), (next, escape.then_some(0)));
            next += slots.freq();
            let region = if escape { Region::Above } else { Region::Inside(symbol) };
            for slot in [slots.start(), next - 1] {
                assert_eq!(model.find(&params, 0, slot), (region, slots));
            }
        }
        assert_eq!(next, 1 << 15);
    }
}

/// Expected bits of categorical distributions, over their entropy.
#[test]
fn categoricals_cost_little_more_than_their_entropy() {
    let mut random = Random::new(13);
    for (symbols, limit) in [(2, 1.001), (16, 1.001), (256, 1.01)] {
        let (mut actual, mut ideal) = (0.0, 0.0);
        for _ in 0..50 {
            // Logits of which some are much larger than others.
            let logit = |_| (f64::from(random.next()) / 2f64.powi(32) * 6.0).exp();
            let weights: Vec<f64> = (0..symbols).map(logit).collect();
            let total: f64 = weights.iter().sum();
            let probabilities: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let model = Categorical::new(&probabilities, symbols).unwrap();
            let mut params = Default::default();
            model.load(0, 1, &mut params).unwrap();
            for (symbol, p) in (0..).zip(&probabilities) {
                actual += p * (15.0 - f64::from(model.slots(&params, 0, symbol).0.freq()).log2());
                ideal -= p * p.log2();
            }
        }
        println!("{symbols} symbols: {:.4} % over {:.4} bits", (actual / ideal - 1.0) * 100.0, ideal / 50.0);
        assert!(actual / ideal < limit);
    }
}

#[test]
fn categorical_slots_are_the_same_everywhere() {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for symbols in [1usize, 5, 60, 999] {
        let probabilities: Vec<f32> = (0..symbols).map(|i| (i * i % 31) as f32 / 7.3 + 1e-4).collect();
        let model = Categorical::new(&probabilities, symbols).unwrap();
        let mut params = Default::default();
        model.load(0, 1, &mut params).unwrap();
        for symbol in 0..symbols {
            hash.update(&model.slots(&params, 0, symbol as i32).0.start().to_le_bytes());
        }
    }
    assert_eq!(hash.digest(), 16675628743689566915);
}

#[test]
fn categorical_escapes_beyond_all_integers() {
    let probabilities = [0.5f32; 3];
    let model = Categorical::new(&probabilities, 3).unwrap();
    for distance in [u64::MAX, u64::MAX - 1, 1 << 33] {
        assert_eq!(model.symbol_outside(&Default::default(), 0, Region::Above, distance), None);
    }
}
