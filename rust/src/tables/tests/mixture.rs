use proptest::prelude::*;

use super::expected_bits;
use crate::tables::mixture::set_weights;
use crate::tables::support::Region;
use crate::tables::{
    CdfCurve, Family, MAX_COMPONENTS, MixtureBounds, MixtureCdf, MixtureComponent, Slots, TOTAL,
};

fn check<R>(families: &[Family], elements: &[[f64; 3]], check: impl FnOnce(MixtureCdf) -> R) -> R {
    let curves: Vec<&'static CdfCurve> = families.iter().map(|&family| CdfCurve::get(family)).collect();
    let mut components = vec![MixtureComponent::default(); elements.len()];
    let bounds = MixtureBounds::new(&curves, elements, &mut components);
    check(MixtureCdf { curves: &curves, components: &components, bounds: &bounds })
}

fn element() -> impl Strategy<Value = (Family, [f64; 3])> {
    let weight = prop_oneof![4 => 0.0..1.0, 1 => Just(1e300), 1 => Just(1e-30), 1 => Just(0.0)];
    let mean = prop_oneof![8 => -30.0..30.0, 2 => -3000.0..3000.0, 1 => -1e9..1e9];
    let scale = prop_oneof![8 => 0.01..20.0, 2 => 0.0001..3000.0, 1 => Just(1e300), 1 => Just(1e-300)];
    (prop::sample::select(&Family::ALL[..]), (weight, mean, scale).prop_map(|(w, m, s)| [w, m, s]))
}

fn elements() -> impl Strategy<Value = (Vec<Family>, Vec<[f64; 3]>)> {
    prop::collection::vec(element(), 1..=MAX_COMPONENTS).prop_map(|mut elements| {
        elements[0].1[0] += 1e-20; // one is positive
        elements.into_iter().unzip()
    })
}

fn find(mixture: MixtureCdf, slot: u32) -> (Region, Slots) {
    let (region, interval) = mixture.find(slot, slot, |bound| bound);
    (region, interval.slots())
}

proptest! {
    #[test]
    fn slots_partition_the_total((families, elements) in elements()) {
        check(&families, &elements, |mixture| {
            let shares: u32 = mixture.components.iter().map(|component| component.weight).sum();
            prop_assert_eq!(shares, TOTAL);
            let support = mixture.bounds.support.range();
            prop_assert!(!support.is_empty() && support.len() <= 4095);
            let mut next = mixture.start(0);
            prop_assert!(next >= 1);
            for slot in [0, next - 1] {
                prop_assert_eq!(find(mixture, slot), (Region::Below, Slots::new(0, next)));
            }
            for symbol in support {
                let (slots, outside) = mixture.slots(symbol);
                prop_assert_eq!(outside, None);
                prop_assert_eq!(slots.start(), next);
                next += slots.freq();
                for slot in [slots.start(), next - 1] {
                    prop_assert_eq!(find(mixture, slot), (Region::Inside(symbol), slots));
                }
            }
            prop_assert!(next < TOTAL);
            for slot in [next, TOTAL - 1] {
                prop_assert_eq!(find(mixture, slot), (Region::Above, Slots::new(next, TOTAL)));
            }
            Ok(())
        })?;
    }

    #[test]
    fn every_symbol_is_found((families, elements) in elements(), symbol in any::<i32>()) {
        check(&families, &elements, |mixture| {
            let (slots, outside) = mixture.slots(symbol);
            let (region, found) = find(mixture, slots.start() + slots.freq() / 2);
            prop_assert_eq!(slots, found);
            prop_assert_eq!(mixture.symbol_outside(region, outside.unwrap_or(0)), Some(symbol));
            Ok(())
        })?;
    }
}

#[test]
fn shares_are_nearest_and_complete() {
    let shares = |weights: &[f64]| {
        let mut components = vec![MixtureComponent::default(); weights.len()];
        let elements: Vec<[f64; 3]> = weights.iter().map(|&weight| [weight, 0.0, 1.0]).collect();
        set_weights(&elements, &mut components);
        components.iter().map(|component| component.weight).collect::<Vec<_>>()
    };
    assert_eq!(shares(&[0.25]), [32768]);
    assert_eq!(shares(&[3.0, 1.0]), [24576, 8192]);
    assert_eq!(shares(&[1.0; 3]), [10923, 10922, 10923]);
    assert_eq!(shares(&[0.0, 1e300, 0.0, 1e300]), [0, 16384, 0, 16384]);
    assert_eq!(shares(&[f64::MAX; 8]), [4096; 8]);
    assert_eq!(shares(&[1e-9, 1.0]), [0, 32768]);
}

#[test]
fn mixtures_are_the_same_everywhere() {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for i in 0..200 {
        let x = f64::from(i);
        let elements =
            [[x, x / 7.0, 0.01 + x / 33.0], [100.0, -x / 11.0, 0.2 + x * x / 999.0], [3.0, 2.5, 1.1]];
        check(&Family::ALL, &elements, |mixture| {
            for symbol in mixture.bounds.support.range() {
                hash.update(&mixture.slots(symbol).0.start().to_le_bytes());
            }
        });
    }
    assert_eq!(hash.digest(), 16999497377900415322);
}

/// Returns the expected bits with the integer distribution, and the entropy of the real one.
fn bits_of(families: &[Family], elements: &[[f64; 3]]) -> (f64, f64) {
    let total: f64 = elements.iter().map(|element| element[0]).sum();
    let mass = |symbol: i32| {
        families.iter().zip(elements).map(move |(family, &[weight, mean, scale])| {
            let (cdf, distance) = (family.cdf(), (f64::from(symbol) - mean).abs());
            weight / total * (cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale))
        })
    };
    check(families, elements, |mixture| {
        expected_bits(-3000..3000, |symbol| mass(symbol).sum(), |symbol| mixture.slots(symbol))
    })
}

#[test]
fn costs_little_more_than_the_real_mixture() {
    let (mut actual, mut ideal, mut random) = (0.0, 0.0, crate::ans::Random::new(11));
    let mut uniform = || f64::from(random.next()) / 2f64.powi(32);
    for i in 0..64 {
        let base = 0.11 * (64f64 / 0.11).powf((f64::from(i) + 0.5) / 64.0);
        let (mut one, mut other) = (0.0, 0.0);
        for _ in 0..8 {
            let families: Vec<Family> = (0..3).map(|_| Family::ALL[(uniform() * 3.0) as usize]).collect();
            let element = |_: &Family| {
                let scale = base * 4f64.powf(uniform() - 0.5);
                [uniform(), base * (4.0 * uniform() - 2.0) + uniform(), scale]
            };
            let elements: Vec<[f64; 3]> = families.iter().map(element).collect();
            let (a, b) = bits_of(&families, &elements);
            (one, other) = (one + a, other + b);
        }
        if i % 8 == 0 {
            println!("scale {base:.3}: {one:.5} over {other:.5}: {:.4} %", (one / other - 1.0) * 100.0);
        }
        (actual, ideal) = (actual + one, ideal + other);
    }
    println!("overhead {:.4} %", (actual / ideal - 1.0) * 100.0);
    assert!(actual / ideal < 1.001);
}
