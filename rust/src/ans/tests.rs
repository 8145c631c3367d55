use proptest::prelude::*;

use super::calibration::{Age, Calibration, Curve};
use super::constants::{BLOCK, HAS_COMBS, HAS_ESCAPES, IS_CALIBRATED, LOWER_BOUND, MAX_LANES};
use super::encoder::encode as encode_block;
use super::{Backend, Contexts, Decoder, Encoder, Index, LogisticPair, TableRows};
use crate::Error;
use crate::tables::{
    CdfRow, PRECISION, PairCdf, PairConstants, Region, Slots, Tables, gaussian, laplace, scale_table,
};

/// Small, reproducible pseudorandom numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }
}

fn gaussians() -> Tables {
    gaussian(&scale_table(0.11, 64.0, 64).unwrap(), 1).unwrap()
}

/// Symbols with exactly the distribution of their rows: each is what owns a random slot.
fn sample(tables: &Tables, n: usize, random: &mut Random) -> (Vec<i32>, Vec<u8>) {
    let indexes: Vec<u8> = (0..n).map(|_| random.below(tables.len() as u32) as u8).collect();
    let symbol = |row: &u8| loop {
        if let (Some(symbol), _) = tables.find((*row).into(), random.below(1 << PRECISION)) {
            return symbol;
        }
    };
    (indexes.iter().map(symbol).collect(), indexes)
}

#[derive(Debug, Clone, PartialEq)]
enum Group {
    Tables(Vec<(i32, u8)>),
    Mixture(Vec<(i16, [i16; 5])>),
    /// Mixtures in these contexts, which are repeated.
    InContexts(Vec<u16>, Vec<(i16, [i16; 5])>),
}

fn symbol() -> impl Strategy<Value = i32> {
    prop_oneof![20 => -3..4, 5 => -200..200, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => Just(i32::MAX)]
}

fn group() -> impl Strategy<Value = Group> {
    let narrow = (-9i16..9, [-99i16..99, -99..99, 0..64, 0..64, 0..128]);
    let wild = (any::<i16>(), any::<[i16; 5]>());
    let context = prop_oneof![4 => 0..3u16, 1 => 0..4096u16];
    let element = prop_oneof![40 => (-9i16..9, [-99i16..99, -99..99, 0..64, 0..64, 0..128]), 1 => wild];
    let in_contexts = (prop::collection::vec(context, 1..9), prop::collection::vec(element, 0..900));
    prop_oneof![
        in_contexts.prop_map(|(contexts, elements)| Group::InContexts(contexts, elements)),
        prop::collection::vec((symbol(), 0..64u8), 0..300).prop_map(Group::Tables),
        prop::collection::vec((-1..2i32, 0..64u8), 0..1000).prop_map(Group::Tables),
        prop::collection::vec(prop_oneof![8 => narrow, 1 => wild], 0..300).prop_map(Group::Mixture),
    ]
}

/// Rows of all kinds: certain and flat, narrow and wide, everywhere.
fn any_tables() -> impl Strategy<Value = Tables> {
    let count = prop_oneof![4 => 0..3u32, 2 => 0..1000u32, 1 => any::<u32>()];
    let counts = prop_oneof![
        4 => prop::collection::vec(count.clone(), 1..40),
        2 => prop::collection::vec(count, 1..3000),
        1 => Just(vec![1; 1 << 15]),
    ];
    let offset = prop_oneof![4 => -100..100i32, 1 => -(1 << 30)..=1 << 30];
    let row = (counts, offset).prop_map(|(counts, offset)| CdfRow::from_counts(&counts, offset).unwrap());
    prop::collection::vec(row, 1..9).prop_map(|rows| Tables::from_rows(&rows).unwrap())
}

fn encode(groups: &[Group], tables: &Tables, lanes: Option<usize>) -> Vec<u8> {
    encode_with(Backend::default(), groups, tables, lanes)
}

fn encode_with(backend: Backend, groups: &[Group], tables: &Tables, lanes: Option<usize>) -> Vec<u8> {
    encode_by(Encoder::new().with_backend(backend).calibrating(), groups, tables, lanes)
}

fn encode_by(encoder: Encoder, groups: &[Group], tables: &Tables, lanes: Option<usize>) -> Vec<u8> {
    let encoder = filled(encoder, groups, tables);
    match lanes {
        Some(lanes) => encoder.stream_with(lanes).to_vec(),
        None => encoder.finish(),
    }
}

/// Gives an encoder the symbols of groups.
fn filled(mut encoder: Encoder, groups: &[Group], tables: &Tables) -> Encoder {
    for group in groups {
        match group {
            Group::Tables(elements) => {
                let (symbols, indexes): (Vec<_>, Vec<_>) = elements.iter().copied().unzip();
                encoder.put(&symbols, &TableRows::new(tables, &indexes)).unwrap();
            }
            Group::Mixture(elements) => {
                let (symbols, params): (Vec<_>, Vec<_>) = elements.iter().copied().unzip();
                encoder.put(&symbols, &LogisticPair::new(&params)).unwrap();
            }
            Group::InContexts(contexts, elements) => {
                let (symbols, params): (Vec<_>, Vec<_>) = elements.iter().copied().unzip();
                let contexts = Contexts::new(contexts).unwrap();
                encoder.put_in_contexts(&symbols, &LogisticPair::new(&params), contexts).unwrap();
            }
        }
    }
    encoder
}

/// Whether the bytes decode to just these groups; they need not.
fn decode(bytes: &[u8], groups: &[Group], tables: &Tables) -> crate::Result<bool> {
    Ok(decode_with(Backend::default(), bytes, groups, tables)? == groups)
}

/// Decodes groups of the lengths and distributions of these.
fn decode_with(
    backend: Backend,
    bytes: &[u8],
    groups: &[Group],
    tables: &Tables,
) -> crate::Result<Vec<Group>> {
    let mut decoder = Decoder::new(bytes)?.with_backend(backend);
    let decoded =
        groups.iter().map(|group| decode_group(&mut decoder, group, tables)).collect::<crate::Result<_>>()?;
    decoder.finish()?;
    Ok(decoded)
}

/// Decodes a group of the length and the distributions of this one.
fn decode_group(decoder: &mut Decoder<&[u8]>, group: &Group, tables: &Tables) -> crate::Result<Group> {
    match group {
        Group::Tables(elements) => {
            let indexes: Vec<_> = elements.iter().map(|element| element.1).collect();
            let mut out = vec![0; indexes.len()];
            decoder.get(&TableRows::new(tables, &indexes), &mut out)?;
            Ok(Group::Tables(out.into_iter().zip(indexes).collect()))
        }
        Group::Mixture(elements) => {
            let params: Vec<_> = elements.iter().map(|element| element.1).collect();
            let mut out = vec![0; params.len()];
            decoder.get(&LogisticPair::new(&params), &mut out)?;
            Ok(Group::Mixture(out.into_iter().zip(params).collect()))
        }
        Group::InContexts(contexts, elements) => {
            let params: Vec<_> = elements.iter().map(|element| element.1).collect();
            let mut out = vec![0; params.len()];
            let numbers = Contexts::new(contexts).unwrap();
            decoder.get_in_contexts(&LogisticPair::new(&params), numbers, &mut out)?;
            Ok(Group::InContexts(contexts.clone(), out.into_iter().zip(params).collect()))
        }
    }
}

/// The tests below run every backend that there is; `LIC_REQUIRE_SIMD` lists those that must be, as in
/// `LIC_REQUIRE_SIMD=avx512,avx2`.
#[test]
fn required_backends_ran() {
    let names: Vec<_> = Backend::all().into_iter().map(Backend::name).collect();
    println!("backends: {}", names.join(", "));
    for name in std::env::var("LIC_REQUIRE_SIMD").unwrap_or_default().split(',').filter(|s| !s.is_empty()) {
        assert!(names.contains(&name), "{name} is required, but this processor does not have it");
    }
}

/// Encodes groups with every backend to the same bytes, and decodes them with each.
fn code_alike(groups: &[Group], tables: &Tables, lanes: usize) -> Result<(), TestCaseError> {
    let bytes = encode_with(Backend::SCALAR, groups, tables, Some(lanes));
    for backend in Backend::all() {
        prop_assert_eq!(&encode_with(backend, groups, tables, Some(lanes)), &bytes, "{}", backend.name());
        let decoded = decode_with(backend, &bytes, groups, tables);
        prop_assert_eq!(decoded.as_deref(), Ok(groups), "{}", backend.name());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trips(groups in prop::collection::vec(group(), 0..5)) {
        let tables = gaussians();
        prop_assert_eq!(decode(&encode(&groups, &tables, None), &groups, &tables), Ok(true));
        for lanes in [1, 2, 4, 8, 16, 32, 64] {
            prop_assert_eq!(decode(&encode(&groups, &tables, Some(lanes)), &groups, &tables), Ok(true));
        }
    }

    #[test]
    fn every_backend_makes_and_reads_the_same_bytes(
        tables in any_tables(),
        elements in prop::collection::vec((symbol(), any::<u8>()), 0..400),
        lanes in (0..7).prop_map(|log2| 1usize << log2),
    ) {
        let rows = tables.len();
        let elements = elements.into_iter().map(|(symbol, index)| {
            let row = usize::from(index) % rows;
            (tables.support(row).start.wrapping_add(symbol), row as u8)
        });
        code_alike(&[Group::Tables(elements.collect())], &tables, lanes)?;
    }

    #[test]
    fn every_backend_takes_noise_for_the_same(
        mut bytes in prop::collection::vec(any::<u8>(), 0..1000),
        header in (0..7u8, any::<bool>(), 0..5u8, any::<bool>()),
        groups in prop::collection::vec(group(), 1..4),
    ) {
        if let (Some(first), (lanes, escapes, state_bytes, calibrated)) = (bytes.first_mut(), header) {
            *first = lanes | u8::from(escapes) << 3 | state_bytes << 4 | u8::from(calibrated) << 7;
        }
        let tables = gaussians();
        let decode = |backend| {
            let mut decoder = Decoder::new(&bytes[..])?.with_backend(backend);
            let mut decoded = Vec::new();
            for group in &groups {
                decoded.push(decode_group(&mut decoder, group, &tables)?);
            }
            Ok((decoded, decoder.finish()))
        };
        let scalar: crate::Result<_> = decode(Backend::SCALAR);
        for backend in Backend::all() {
            prop_assert_eq!(&decode(backend), &scalar, "{}", backend.name());
        }
    }

    #[test]
    fn noise_never_panics(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        calibrated in any::<bool>(),
        groups in prop::collection::vec(group(), 1..4),
    ) {
        if let (Some(first), true) = (bytes.first_mut(), calibrated) {
            *first = *first & 0x3e | IS_CALIBRATED;
        }
        let _ = decode(&bytes, &groups, &gaussians());
    }

    #[test]
    fn every_backend_calibrates_alike(
        groups in prop::collection::vec(group(), 1..5),
        lanes in (0..7).prop_map(|log2| 1usize << log2),
    ) {
        code_alike(&groups, &gaussians(), lanes)?;
    }

    #[test]
    fn every_backend_combs_alike(
        groups in prop::collection::vec(group(), 1..5),
        lanes in (0..7).prop_map(|log2| 1usize << log2),
        step in 1..5i16,
    ) {
        let rounded = |group: &Group| match group {
            Group::InContexts(contexts, elements) => {
                let rounded = |&(symbol, params): &(i16, _)| (symbol / step * step, params);
                Group::InContexts(contexts.clone(), elements.iter().map(rounded).collect())
            }
            other => other.clone(),
        };
        let groups: Vec<Group> = groups.iter().map(rounded).collect();
        let tables = gaussians();
        let encode = |backend, lanes| {
            encode_by(Encoder::new().with_backend(backend).with_combs(), &groups, &tables, lanes)
        };
        for lanes in [None, Some(lanes)] {
            let bytes = encode(Backend::SCALAR, lanes);
            for backend in Backend::all() {
                prop_assert_eq!(&encode(backend, lanes), &bytes, "{}", backend.name());
                let decoded = decode_with(backend, &bytes, &groups, &tables);
                prop_assert_eq!(decoded.as_ref(), Ok(&groups), "{}", backend.name());
            }
        }
        // Bytes would also count the rounding of each lane's state.
        let cost = |encoder| filled(encoder, &groups, &tables).cost_bits();
        prop_assert!(cost(Encoder::new().with_combs()) <= cost(Encoder::new().calibrating()));
    }

    #[test]
    fn curves_rise_from_0_to_1_whatever_they_count(
        symbols in prop::collection::vec((0..=1u32 << 16, 0..=1u32 << 16, 1..2000usize), 0..9),
    ) {
        let (mut curve, mut age) = (Curve::UNIFORM, Age::default());
        for (one, other, times) in symbols {
            for _ in 0..times {
                let [low, high] = [curve.at(one.min(other)), curve.at(one.max(other))];
                curve.count(low, high, Curve::unit(low, high));
                age.grow();
                if age.is_due() {
                    curve.renew(&mut age);
                }
            }
        }
        let values: Vec<u32> = (0..=1 << 16).map(|v| curve.at(v)).collect();
        prop_assert_eq!((values[0], values[1 << 16]), (0, 1 << 16));
        prop_assert!(values.is_sorted());
        for value in 0..1 << 16 {
            let guess = curve.guess(value) as usize;
            prop_assert!(values[guess] <= value && guess < 1 << 16, "{guess} for {value}");
        }
    }
}

/// Every frequency, with states just where the quotient grows, and where a word becomes due.
#[test]
fn every_backend_divides_exactly() {
    let mut random = Random::new(3);
    for freq in 1..=1u32 << PRECISION {
        let start = random.below((1 << PRECISION) - freq + 1);
        let slots = [Slots::new(start, start + freq); BLOCK];
        let states: [u32; MAX_LANES] = std::array::from_fn(|i| {
            let quotient = if i < 8 { (1 << 17) - i as u32 / 4 } else { 2 + random.below(1 << 17) };
            let state = match i % 4 {
                3 => u64::from(freq) << 17,
                near => u64::from(quotient) * u64::from(freq) + 1 - near as u64,
            };
            state.clamp(LOWER_BOUND.into(), u32::MAX.into()) as u32
        });
        let encode = |backend| {
            let (mut states, mut words) = (states, [0; BLOCK]);
            let count = encode_block(backend, &slots, MAX_LANES, &mut states, &mut words);
            (states, words[BLOCK - count..].to_vec())
        };
        let scalar = encode(Backend::SCALAR);
        for backend in Backend::all() {
            assert_eq!(encode(backend), scalar, "{} at {freq}", backend.name());
        }
    }
}

fn some_groups() -> Vec<Group> {
    let mut random = Random::new(7);
    let (symbols, indexes) = sample(&gaussians(), 150, &mut random);
    let mut elements: Vec<_> = symbols.into_iter().zip(indexes).collect();
    elements[3].0 = 100_000;
    elements[70].0 = -2000;
    let mixtures = (0..90).map(|i| {
        let params = [i, -2 * i, 30 + i / 3, 50, 64 + i % 7];
        (if i == 20 { -32768 } else { i % 5 - 2 }, params)
    });
    vec![Group::Tables(elements), Group::Mixture(mixtures.collect()), Group::Tables(vec![(0, 63)])]
}

#[test]
fn golden_stream() {
    let (groups, tables) = (some_groups(), gaussians());
    for backend in Backend::all() {
        let bytes = |lanes| encode_with(backend, &groups, &tables, Some(lanes));
        let hash = |lanes| xxhash_rust::xxh3::xxh3_64(&bytes(lanes));
        assert_eq!(
            [1, 2, 16, 64].map(hash),
            [1210584492554906969, 15771122100837668643, 901691864347583529, 16887775078331193062]
        );
    }
    let small = [
        Group::Tables(vec![(0, 0), (5, 20), (-77, 20), (1, 10)]),
        Group::Mixture(vec![(3, [0, 16, 40, 50, 60])]),
    ];
    assert_eq!(encode(&small, &tables, None), [56, 3, 0, 145, 1, 142, 128, 70, 255, 255, 20, 122]);
}

/// Mixtures that are twice as wide as the symbols' distribution, and have their mean at the side.
fn wrong_mixtures(count: i32) -> Group {
    let mut random = Random::new(21);
    let symbol = |_| ((0..4).map(|_| random.below(4)).sum::<u32>() as i16 - 6, [16, -8, 60, 52, 70]);
    Group::InContexts(vec![0, 300, 7], (0..count).map(symbol).collect())
}

#[test]
fn golden_calibrated_stream() {
    let groups = [some_groups(), vec![wrong_mixtures(5000)]].concat();
    for backend in Backend::all() {
        let bytes = |lanes| encode_with(backend, &groups, &gaussians(), Some(lanes));
        let hash = |lanes| xxhash_rust::xxh3::xxh3_64(&bytes(lanes));
        assert_eq!([1, 8, 64].map(hash), [15588883381172682824, 6486755258598997298, 12880795414597929040]);
    }
}

#[test]
fn calibration_learns_what_is_wrong_with_a_model() {
    let Group::InContexts(contexts, elements) = wrong_mixtures(30_000) else { unreachable!() };
    let (symbols, params): (Vec<_>, Vec<_>) = elements.into_iter().unzip();
    let bits = |encoder: Encoder, length: usize| {
        let mut encoder = encoder;
        let model = LogisticPair::new(&params[..length]);
        encoder.put_in_contexts(&symbols[..length], &model, Contexts::new(&contexts).unwrap()).unwrap();
        (encoder.cost_bits() / length as f64, encoder.finish())
    };
    let (plain, calibrated) = (bits(Encoder::new(), 30_000).0, bits(Encoder::new().calibrating(), 30_000).0);
    let mut counts = [0u32; 13];
    symbols.iter().for_each(|symbol| counts[(symbol + 6) as usize] += 1);
    let share = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / 30_000.0);
    let entropy: f64 = share.map(|p| -p * p.log2()).sum();
    println!("{plain:.3} bits, calibrated {calibrated:.3}, entropy {entropy:.3}");
    assert!(plain > entropy + 0.3 && calibrated - entropy < (plain - entropy) / 5.0);
    // The first symbols are coded alike, so the stream is not said to be calibrated.
    assert_eq!(bits(Encoder::new().calibrating(), 60).1, bits(Encoder::new(), 60).1);
}

/// Symbols that own random slots of their mixtures, most of which are narrow, and a few escapes.
fn right_mixtures(count: usize, random: &mut Random) -> Group {
    let element = |i: usize| {
        let widest = [16, 40, 70, 110][i / 100 % 4];
        let [mean, other] = [0, 1].map(|_| random.below(160) as i16 - 80);
        let [scale1, scale2] = [0, 1].map(|_| random.below(widest) as i16);
        let params = [mean, other, scale1, scale2, random.below(128) as i16];
        let slot = random.below(1 << PRECISION);
        match PairCdf::new(PairConstants::get(), &params).find(slot, slot, |bound| bound).0 {
            Region::Inside(symbol) => (symbol as i16, params),
            Region::Below => (-3000, params),
            Region::Above => (i16::MAX, params),
        }
    };
    Group::InContexts(vec![5, 0, 9], (0..count).map(element).collect())
}

/// Groups shorter than a block, of whole blocks, and between; symbols at the centre, beside it, and far from it.
#[test]
fn every_backend_codes_probable_symbols_alike() {
    let mut random = Random::new(11);
    for lanes in [1, 4, 8, 16, 64] {
        let lengths = [1, 63, 64, 65, 0, 500, 1024, 1100];
        let mut groups: Vec<Group> = lengths.map(|count| right_mixtures(count, &mut random)).into();
        for i in [2, 5] {
            let Group::InContexts(_, elements) = groups[i].clone() else { unreachable!() };
            groups.push(Group::Mixture(elements));
        }
        code_alike(&groups, &gaussians(), lanes).unwrap();
    }
}

/// Symbols that are multiples of 3, while the mixtures know nothing of that.
fn combed(count: u32) -> Group {
    let mut random = Random::new(8);
    let symbol = |_| (3 * ((0..4).map(|_| random.below(4)).sum::<u32>() as i16 - 6), [8, -8, 64, 60, 70]);
    Group::InContexts(vec![0, 300, 7], (0..count).map(symbol).collect())
}

fn encode_combed(groups: &[Group]) -> Vec<u8> {
    encode_by(Encoder::new().with_combs(), groups, &gaussians(), None)
}

#[test]
fn combs_leave_out_what_never_occurs() {
    let bits = |count| {
        let groups = [combed(count)];
        let (calibrated, combed) = (encode(&groups, &gaussians(), None), encode_combed(&groups));
        assert_eq!(decode(&combed, &groups, &gaussians()), Ok(true));
        [calibrated, combed].map(|bytes| 8.0 * bytes.len() as f64 / f64::from(count))
    };
    let [calibrated, combed] = bits(30_000);
    println!("{calibrated:.3} bits, with combs {combed:.3}");
    // One of three values occurs.
    assert!(combed < calibrated - 0.9 * f64::log2(3.0));
    let header = encode_combed(&[self::combed(30_000)])[0];
    assert_eq!((header & HAS_COMBS, header & IS_CALIBRATED), (HAS_COMBS, IS_CALIBRATED));
    // A few symbols do not pay for them.
    let few = [self::combed(12)];
    assert_eq!(encode_combed(&few), encode(&few, &gaussians(), None));
}

#[test]
fn golden_combed_stream() {
    let groups = [some_groups(), vec![combed(5000)]].concat();
    for backend in Backend::all() {
        let encoder = Encoder::new().with_backend(backend).with_combs();
        let bytes = encode_by(encoder, &groups, &gaussians(), None);
        assert_eq!(xxhash_rust::xxh3::xxh3_64(&bytes), 13689369812229649031);
    }
}

#[test]
fn damaged_combed_streams() {
    let (groups, tables) = (vec![combed(600)], gaussians());
    let mut bytes = encode_combed(&groups);
    assert_eq!(bytes[0] & HAS_COMBS, HAS_COMBS);
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length], &groups, &tables).is_err(), "{length} of {}", bytes.len());
    }
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Bytes 2 to 9 name contexts: there may be others, which no symbol has.
        let is_same = matches!(decode(&bytes, &groups, &tables), Ok(true));
        assert!(!is_same || (2..10).contains(&(bit / 8)), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn names_of_combs_are_checked() {
    let header = IS_CALIBRATED | HAS_COMBS;
    for (names, what) in [
        (&[7, 1, 0, 0][..], "header"),
        (&[0, 0], "0 runs"),
        (&[0, 0x81, 0x10], "2049 runs"),
        (&[0, 1, 0, 0x80, 0x20], "not below 4096"),
        (&[0, 1, 0xff, 0x1f, 1], "not below 4096"),
        (&[0, 2, 3, 4, 0, 0], "are one"),
    ] {
        let bytes = [&[header][..], names, &[0; 8]].concat();
        let error = Decoder::new(&bytes[..]).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { what: why, .. } if why.contains(what)), "{error}");
    }
    assert!(matches!(Decoder::new([header, 0, 3, 0, 0, 1]), Err(Error::Truncated { .. })));
    assert!(Decoder::new([header, 0, 2, 0, 0xff, 0x1d, 1, 0]).is_ok());
    // Without calibration there are no combs.
    assert!(matches!(Decoder::new([HAS_COMBS, 0, 1, 0, 0]), Err(Error::Corrupt { .. })));
}

/// All values by each backend are those of [`Curve::at`], and so are the curves after they counted the same symbols.
#[test]
fn every_backend_applies_and_teaches_curves_alike() {
    let mut random = Random::new(3);
    let mut numbers = [0; BLOCK];
    let mut bounds = [[0; BLOCK]; 2];
    let mut calibrations: Vec<_> =
        Backend::all().into_iter().map(|backend| (backend, Calibration::default())).collect();
    let contexts = [0, 1, 2];
    calibrations.iter_mut().for_each(|(_, learnt)| learnt.reserve(Contexts::new(&contexts).unwrap()));
    for round in 0..300 {
        numbers = numbers.map(|_: u16| (random.below(24) * random.below(2)) as u16);
        let [lows, highs] = &mut bounds;
        for (low, high) in lows.iter_mut().zip(highs) {
            let [one, other] = [0, 1].map(|_| random.below((1 << 16) + 1) >> random.below(17));
            [*low, *high] = [one.min(other), one.max(other)];
            if random.below(2) == 0 {
                [*low, *high] = [*high, *low].map(|bound| (1 << 16) - bound);
            }
        }
        let count = if round % 3 == 0 { random.below(65) as usize } else { BLOCK };
        let values = calibrations.iter_mut().map(|(backend, learnt)| {
            let mut values = bounds;
            values.iter_mut().for_each(|values| learnt.block(*backend, &numbers).apply(values));
            learnt.learn(*backend, &numbers, &values, count);
            values
        });
        let values: Vec<_> = values.collect();
        assert!(values.iter().all(|of_backend| *of_backend == values[0]));
    }
    for v in 0..=1 << 16 {
        numbers[0] = (v % 24) as u16;
        let values = calibrations.iter().map(|(backend, learnt)| {
            let (curves, mut values) = (learnt.block(*backend, &numbers), [v; BLOCK]);
            curves.apply(&mut values);
            assert_eq!(values[0], curves.get(0).at(v), "{}", backend.name());
            values
        });
        let values: Vec<_> = values.collect();
        assert!(values.iter().all(|of_backend| *of_backend == values[0]));
    }
}

#[test]
fn contexts_are_repeated_from_any_element() {
    for (period, run) in
        [(1, 1), (3, 1), (64, 1), (100, 1), (5000, 1), (1, 7), (3, 50), (100, 3), (5, 1 << 40)]
    {
        let numbers: Vec<u16> = (0..period).map(|i| (i % 4096) as u16).collect();
        let mut contexts = Contexts::new(&numbers).unwrap().in_runs(run).blocks();
        for first in (0..300).chain([period - 1, (4 * period * run).saturating_sub(5)]) {
            let expected: [u16; BLOCK] = std::array::from_fn(|j| numbers[(first + j) / run % period]);
            assert_eq!(contexts.block(first), &expected);
        }
    }
}

#[test]
fn contexts_are_checked() {
    let invalid = |contexts: &[u16]| matches!(Contexts::new(contexts), Err(Error::InvalidArgument(_)));
    assert!(invalid(&[]) && invalid(&[0, 4096]) && !invalid(&[4095]));
    // A stream cannot be calibrated if no group of it has contexts.
    let bytes = [IS_CALIBRATED];
    let mut decoder = Decoder::new(bytes).unwrap();
    assert!(matches!(decoder.finish(), Err(Error::Corrupt { .. })));
    let (model, contexts) = (LogisticPair::new(&[]), Contexts::new(&[3]).unwrap());
    decoder.get_in_contexts(&model, contexts, &mut [0i16; 0]).unwrap();
    assert_eq!(decoder.finish(), Ok(()));
    assert!(Encoder::new().calibrating().put_in_contexts(&[0], &model, contexts).is_err());
}

#[test]
fn truncated_at_every_byte() {
    let (groups, tables) = ([some_groups(), vec![wrong_mixtures(300)]].concat(), gaussians());
    for lanes in [1, 8, 16, 64] {
        let bytes = encode(&groups, &tables, Some(lanes));
        for length in 0..bytes.len() {
            let scalar = decode_with(Backend::SCALAR, &bytes[..length], &groups, &tables);
            assert!(scalar.is_err(), "{length} of {}", bytes.len());
            for backend in Backend::all() {
                assert_eq!(decode_with(backend, &bytes[..length], &groups, &tables), scalar);
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode(&longer, &groups, &tables), Err(Error::Corrupt { .. })));
    }
}

#[test]
fn flipped_at_every_bit() {
    let (groups, tables) = ([some_groups(), vec![wrong_mixtures(300)]].concat(), gaussians());
    let mut bytes = encode(&groups, &tables, Some(4));
    let mut undetected = 0;
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        undetected += usize::from(decode(&bytes, &groups, &tables).is_ok());
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(undetected <= 64, "{undetected} flips went unnoticed"); // those in the 8 bytes of escapes
}

#[test]
fn few_symbols_take_few_bytes() {
    let tables = gaussians();
    let size = |group: &[(i32, u8)]| encode(&[Group::Tables(group.to_vec())], &tables, None).len();
    assert_eq!(size(&[]), 0);
    assert_eq!(size(&[(0, 0)]), 2);
    assert_eq!(size(&[(0, 0); 50]), 2);
    assert!(size(&[(3, 63)]) <= 4);
}

#[test]
fn certain_symbols_are_free() {
    // All 2^15 slots to the escape: only the escapes' bytes are left.
    let tables = Tables::new(&[0, 1 << 15], &[2], &[0]).unwrap();
    let group = [Group::Tables(vec![(1, 0), (-1, 0), (63, 0)])];
    let bytes = encode(&group, &tables, None);
    assert_eq!(bytes, [HAS_ESCAPES, 3, 2, 1, 126]);
    assert_eq!(decode(&bytes, &group, &tables), Ok(true));
}

#[test]
fn probable_symbols_at_full_precision() {
    let tables = Tables::from_rows(&[CdfRow::from_counts(&[u32::MAX, 0], 9).unwrap()]).unwrap();
    for lanes in [1, 64] {
        let mut elements = vec![(9, 0); 100_000];
        elements[77_777].0 = 10;
        let group = [Group::Tables(elements)];
        let bytes = encode(&group, &tables, Some(lanes));
        assert!(bytes.len() <= 5 * lanes + 10);
        assert_eq!(decode(&bytes, &group, &tables), Ok(true));
    }
}

#[test]
fn rate_is_the_entropy() {
    for (tables, n) in
        [(gaussians(), 1_000_000), (laplace(&scale_table(0.1, 32.0, 32).unwrap(), 4).unwrap(), 200_000)]
    {
        let (symbols, indexes) = sample(&tables, n, &mut Random::new(1));
        let mut encoder = Encoder::new();
        encoder.put(&symbols, &TableRows::new(&tables, &indexes)).unwrap();
        let ideal = encoder.cost_bits();
        let bits = 8.0 * encoder.finish().len() as f64;
        println!("{bits} bits, {:.4} % over {ideal:.0}", (bits / ideal - 1.0) * 100.0);
        assert!(bits / ideal < 1.002);
    }
}

#[test]
fn wrong_arguments_are_errors() {
    let (tables, mut encoder) = (gaussians(), Encoder::new());
    let invalid = |result| matches!(result, Err(Error::InvalidArgument(_)));
    assert!(invalid(encoder.put(&[0, 0], &TableRows::new(&tables, &[0u8]))));
    assert!(invalid(
        encoder.put(&[0; 99], &TableRows::new(&tables, &[[0u16; 98].as_slice(), &[64]].concat()))
    ));
    assert!(invalid(encoder.put(&[0], &TableRows::new(&tables, &[-1i32]))));
    assert!(invalid(encoder.put(&[0], &TableRows::new(&tables, &[-1i64]))));
    assert!(invalid(encoder.put(&[0], &TableRows::new(&tables, &[1i64 << 32]))));
    assert!(invalid(encoder.put(&[0], &LogisticPair::new(&[]))));
    assert!(encoder.clone().finish().is_empty());
    let mut decoder = Decoder::new(encoder.finish()).unwrap();
    assert!(invalid(decoder.get(&TableRows::new(&tables, &[64u8]), &mut [0])));
    assert!(invalid(decoder.get(&LogisticPair::new(&[[0; 5]; 2]), &mut [0])));
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn indexes_of_every_type() {
    fn check<I: Index>(index: impl Fn(u8) -> I) {
        let (tables, (symbols, rows)) = (gaussians(), sample(&gaussians(), 999, &mut Random::new(2)));
        let indexes: Vec<I> = rows.iter().map(|&row| index(row)).collect();
        for backend in Backend::all() {
            let mut encoder = Encoder::new().with_backend(backend);
            encoder.put(&symbols, &TableRows::new(&tables, &indexes)).unwrap();
            let mut decoder = Decoder::new(encoder.stream_with(32).to_vec()).unwrap().with_backend(backend);
            let mut out = vec![0; symbols.len()];
            decoder.get(&TableRows::new(&tables, &indexes), &mut out).unwrap();
            assert_eq!(out, symbols);
        }
    }
    check(|row| row);
    check(u16::from);
    check(i16::from);
    check(i32::from);
    check(i64::from);
}

#[test]
fn headers_are_checked() {
    for header in [0x07, 0x50, 0xd0, 0x58] {
        assert!(
            matches!(Decoder::new([header, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Corrupt { .. })),
            "{header:#x}"
        );
    }
    assert!(matches!(Decoder::new([0x40, 0, 0, 0xff, 0xff]), Err(Error::Corrupt { .. })));
    assert!(matches!(Decoder::new([0x40, 0, 0, 0xff]), Err(Error::Truncated { .. })));
    assert!(matches!(Decoder::new([HAS_ESCAPES, 2, 1]), Err(Error::Truncated { .. })));
}

#[test]
fn joined_groups_are_read_in_any_pieces() {
    let (tables, mut random) = (gaussians(), Random::new(3));
    let (symbols, indexes) = sample(&tables, 5000, &mut random);
    for lanes in [1, 8, 64] {
        let mut encoder = Encoder::new();
        for (symbols, indexes) in symbols.chunks(777).zip(indexes.chunks(777)) {
            encoder.put(symbols, &TableRows::new(&tables, indexes)).unwrap();
        }
        encoder.join_groups();
        let mut decoder = Decoder::new(encoder.stream_with(lanes).to_vec()).unwrap();
        let mut decoded = vec![0; symbols.len()];
        let mut start = 0;
        while start < decoded.len() {
            let end = decoded.len().min(start + random.below(200) as usize);
            decoder.get(&TableRows::new(&tables, &indexes[start..end]), &mut decoded[start..end]).unwrap();
            decoder.continue_group(end - start);
            start = end;
        }
        decoder.finish().unwrap();
        assert_eq!(decoded, symbols);
    }
}
