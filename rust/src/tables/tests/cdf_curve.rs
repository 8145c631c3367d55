use crate::tables::cdf_curve::{ARGUMENT_BITS, CdfCurve};
use crate::tables::levels::{LEVELS, begin};
use crate::tables::support::Support;
use crate::tables::{Family, TOTAL};

#[test]
fn curves_are_the_same_everywhere() {
    let hash = |family| {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        let curve = CdfCurve::get(family);
        curve.knots().iter().for_each(|value| hash.update(&value.to_le_bytes()));
        (0..LEVELS).map(|level| curve.radius(level)).for_each(|value| hash.update(&value.to_le_bytes()));
        hash.digest()
    };
    assert_eq!(Family::ALL.map(hash), [4552358800330559292, 10818642335770154138, 17882859916174944465]);
}

#[test]
fn curves_are_accurate_and_monotone() {
    for family in Family::ALL {
        let (curve, cdf) = (CdfCurve::get(family), family.cdf());
        let mut last = 0;
        for u in ((-13 << 16)..(13 << 16)).step_by(3) {
            let value = curve.at(u);
            assert!(value >= last);
            last = value;
            let want = 65536.0 * cdf(u as f64 / 65536.0);
            assert!((f64::from(value) - want).abs() < 2.1, "{family:?} {u}: {value} is not {want}");
        }
        assert_eq!(last, 65535);
    }
}

/// Within the last bit of a guess, which is 4 slots where a curve is steepest.
#[test]
fn guesses_are_near() {
    for family in Family::ALL {
        let curve = CdfCurve::get(family);
        for slot in (16..TOTAL).step_by(32) {
            let u = i64::from(curve.guess(slot)) << (ARGUMENT_BITS - CdfCurve::GUESS_BITS);
            assert!((curve.at(u) / 2).abs_diff(slot) <= 4, "{family:?} {slot}: {}", curve.at(u) / 2);
        }
    }
}

#[test]
fn radii_are_where_a_slot_is_too_much() {
    for family in Family::ALL {
        let curve = CdfCurve::get(family);
        for level in 0..LEVELS {
            let (radius, scale) = (curve.radius(level), begin(level + 1));
            let mass = |distance: i32| {
                let cdf = family.cdf();
                let distance = f64::from(distance);
                (cdf((0.5 - distance) / scale) - cdf((-0.5 - distance) / scale)) * f64::from(TOTAL)
            };
            assert!(mass(radius) < 1.0 || radius == Support::MAX_RADIUS);
            assert!(radius == 1 || mass(radius - 1) >= 1.0);
        }
    }
}
