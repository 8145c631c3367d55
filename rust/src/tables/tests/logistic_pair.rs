use proptest::prelude::*;

use super::expected_bits;
use crate::tables::support::Region;
use crate::tables::{Intervals, PairBlock, PairCdf, PairConstants, Slots, TOTAL};

fn mixture(params: [i16; 5]) -> PairCdf<'static> {
    PairCdf::new(PairConstants::get(), &params)
}

fn find(mixture: &PairCdf, slot: u32) -> (Region, Slots) {
    let (region, interval) = mixture.find(slot, slot, |bound| bound);
    (region, interval.slots())
}

#[test]
fn constants_are_the_same_everywhere() {
    assert_eq!(PairConstants::get().fingerprint(), 2454806567363430442);
}

proptest! {
    #[test]
    fn slots_partition_the_total(params in any::<[i16; 5]>(), narrow in any::<bool>()) {
        let params = if narrow { params.map(|p| p & 127) } else { params };
        let mixture = mixture(params);
        let support = mixture.support.range();
        prop_assert!(support.len() <= 4095);
        let mut next = mixture.interval_of(Region::Below).slots().freq();
        prop_assert!(next >= 1);
        for symbol in support {
            let (slots, outside) = mixture.slots(symbol);
            prop_assert_eq!(outside, None);
            prop_assert_eq!(slots.start(), next);
            next += slots.freq();
            for slot in [slots.start(), next - 1] {
                prop_assert_eq!(find(&mixture, slot), (Region::Inside(symbol), slots));
            }
        }
        prop_assert!(next < TOTAL);
        for slot in [next, TOTAL - 1] {
            prop_assert_eq!(find(&mixture, slot).0, Region::Above);
        }
        for slot in [0, mixture.interval_of(Region::Below).slots().freq() - 1] {
            prop_assert_eq!(find(&mixture, slot).0, Region::Below);
        }
    }

    #[test]
    fn every_symbol_is_found(params in any::<[i16; 5]>(), symbol in any::<i32>()) {
        let mixture = mixture(params);
        let (slots, outside) = mixture.slots(symbol);
        let (region, found) = find(&mixture, slots.start() + slots.freq() / 2);
        prop_assert_eq!(slots, found);
        prop_assert_eq!(mixture.symbol_outside(region, outside.unwrap_or(0)), Some(symbol));
    }
}

proptest! {
    #[test]
    fn blocks_are_their_elements(
        params in prop::array::uniform16(any::<[i16; 5]>()),
        symbols in prop::array::uniform16(prop_oneof![-3000..3000, any::<i32>()]),
        narrow in any::<bool>(),
    ) {
        let params = if narrow { params.map(|params| params.map(|p| p & 127)) } else { params };
        let (constants, mut block) = (PairConstants::get(), PairBlock::EMPTY);
        block.load(constants, &params);
        let (mut intervals, mut slots) = (Intervals::EMPTY, [Slots::default(); 16]);
        let outside = block.intervals(constants, &symbols, &mut intervals);
        intervals.slots(&mut slots);
        for (j, params) in params.into_iter().enumerate() {
            let mixture = mixture(params);
            let (interval, distance) = mixture.interval(symbols[j]);
            prop_assert_eq!(outside >> j & 1 == 1, distance.is_some());
            if distance.is_none() {
                prop_assert_eq!((intervals.get(j), slots[j]), (interval, interval.slots()));
            }
            let slot = slots[j].start();
            prop_assert_eq!(find(&block.cdf(constants, j), slot), find(&mixture, slot));
        }
    }
}

/// Returns the expected bits with the integer distribution, and the entropy of the real one.
fn bits_of(params: [i16; 5]) -> (f64, f64) {
    let mixture = mixture(params);
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let weight = logistic((f64::from(params[4]) - 64.0) / 8.0);
    let parts = [(params[0], params[2], weight), (params[1], params[3], 1.0 - weight)];
    let mass = |symbol: i32| {
        parts.iter().map(move |&(mean, scale, weight)| {
            let distance = (f64::from(symbol) - f64::from(mean) / 16.0).abs();
            let scale = ((f64::from(scale) - 48.0) / 8.0).exp2();
            // By symmetry from the lower tail, where differences are exact.
            weight * (logistic((0.5 - distance) / scale) - logistic((-0.5 - distance) / scale))
        })
    };
    expected_bits(-4000..4000, |symbol| mass(symbol).sum(), |symbol| mixture.slots(symbol))
}

#[test]
fn costs_little_more_than_the_real_mixture() {
    let (mut actual, mut ideal, mut random) = (0.0, 0.0, 1u64);
    let mut next = |bound: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((random >> 33) % bound) as i16
    };
    for s in 14..=96 {
        let (mut one, mut other) = (0.0, 0.0);
        for _ in 0..20 {
            let mean = next(128) - 64;
            let params = [mean, mean + next(32) - 16, s, (s + next(25) - 12).clamp(14, 96), next(128)];
            let (a, i) = bits_of(params);
            one += a;
            other += i;
        }
        if s % 6 == 2 {
            println!("scale {s}: {one:.5} over {other:.5}: {:.4} %", (one / other - 1.0) * 100.0);
        }
        actual += one;
        ideal += other;
    }
    println!("overhead {:.4} %", (actual / ideal - 1.0) * 100.0);
    assert!(actual / ideal < 1.001);
}
