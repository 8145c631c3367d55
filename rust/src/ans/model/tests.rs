use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::ans::{self, Backend, Decoder, Encoder, Random, Symbol};
use crate::tables::{Family, Float, Ladder};
use crate::Error;

/// Symbols come back from every backend by whichever door, and their bytes are the same.
fn check_round_trip<S: Symbol + Debug + PartialEq, M: Model>(symbols: &[S], model: &M) {
    let encode = |backend, lanes| {
        let mut encoder = Encoder::new().with_backend(backend);
        encoder.put(symbols, model).unwrap();
        encoder.stream_with(lanes).to_vec()
    };
    let chunks = |backend, threads| {
        let chunks = ans::encode(backend, symbols, model, threads).unwrap();
        let mut bytes = vec![0; chunks.len()];
        chunks.write(&mut bytes);
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
    let bytes = chunks(Backend::SCALAR, 1);
    for backend in Backend::all() {
        assert_eq!(chunks(backend, 2), bytes, "{}", backend.name());
        out.fill(S::default());
        ans::decode(backend, &bytes, model, &mut out, 2).unwrap();
        assert_eq!(out, symbols, "{}", backend.name());
    }
}

/// The error that both doors give when they load these elements.
fn load_error<M: Model>(model: &M) -> String {
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
        let ladder = Ladder::get(family);
        let (means, scales): (Vec<f32>, Vec<f32>) = elements.iter().map(|element| (element.1, element.2)).unzip();
        let symbols: Vec<i32> =
            elements.iter().map(|&(symbol, mean, _)| symbol.wrapping_add(mean as i32)).collect();
        let n = symbols.len();
        let model = Located::new(ladder, n, Parameter::Each(&means), Parameter::Each(&scales)).unwrap();
        check_round_trip(&symbols, &model);
        let constant = Located::new(ladder, n, Parameter::Constant(mean), Parameter::Constant(scale)).unwrap();
        check_round_trip(&symbols, &constant);
        // The same numbers as f64 make the same bytes.
        let (wide_means, wide_scales) = (wide(&means), wide(&scales));
        let wide = Located::new(ladder, n, Parameter::Each(&wide_means), Parameter::Each(&wide_scales)).unwrap();
        check_round_trip(&symbols, &wide);
        let bytes = |encoder: &mut Encoder| std::mem::take(encoder).finish();
        let mut encoder = Encoder::new();
        encoder.put(&symbols, &model).unwrap();
        let narrow_bytes = bytes(&mut encoder);
        encoder.put(&symbols, &wide).unwrap();
        prop_assert_eq!(bytes(&mut encoder), narrow_bytes);
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
    let ladder = Ladder::get(Family::Logistic);
    check_round_trip(
        &symbols,
        &Located::new(ladder, n, Parameter::Each(&means), Parameter::Each(&scales)).unwrap(),
    );
}

#[test]
fn wrong_located_parameters_are_errors() {
    fn check<T: Float + From<f32>>() {
        let ladder = Ladder::get(Family::Gaussian);
        let good = [1.0f32; 200].map(T::from);
        for position in [0, 63, 130, 199] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = good;
                values[position] = bad.into();
                for (means, scales) in [(&good, &values), (&values, &good)] {
                    let (means, scales) = (Parameter::Each(&means[..]), Parameter::Each(&scales[..]));
                    let what = load_error(&Located::new(ladder, 200, means, scales).unwrap());
                    assert!(what.contains(&format!("element {position} ")), "{what}");
                }
            }
            for bad in [0.0, -1.0] {
                let mut scales = good;
                scales[position] = bad.into();
                let scales = Parameter::Each(&scales[..]);
                let what =
                    load_error(&Located::new(ladder, 200, Parameter::Constant(good[0]), scales).unwrap());
                assert!(what.contains(&format!("element {position} ")), "{what}");
            }
        }
        let constant = Parameter::Constant(good[0]);
        assert!(Located::new(ladder, 199, Parameter::Each(&good[..]), constant).is_err());
        assert!(Located::new(ladder, 201, constant, Parameter::Each(&good[..])).is_err());
        let nan = Parameter::Constant(T::from(f32::NAN));
        load_error(&Located::new(ladder, 3, constant, nan).unwrap());
        assert_eq!(
            Encoder::new().put::<i32, _>(&[], &Located::new(ladder, 0, constant, nan).unwrap()),
            Ok(())
        );
    }
    check::<f32>();
    check::<f64>();
}
