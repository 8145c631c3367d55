use proptest::prelude::*;

use crate::Error;
use crate::ans::tests::Random;
use crate::nn::pointwise::{Grid, activate};
use crate::nn::{Activation, Backend, Conv3x3, InputRanges, Linear, Plane, Rows};

const EXACT: i64 = 1 << 24;

/// The inputs and weights of a layer, in units, and its biases: sums of each output are at most 2^24 - 1 units.
struct Integers {
    steps: Vec<f32>,
    limits: Vec<i16>,
    /// `[outputs, inputs, taps]`
    weights: Vec<i64>,
    biases: Vec<i64>,
    /// Of each output.
    units: Vec<f32>,
    taps: usize,
}

impl Integers {
    /// `full`: sums of the largest inputs come near to 2^24.
    fn new(random: &mut Random, inputs: usize, outputs: usize, taps: usize, full: bool) -> Self {
        let power = |random: &mut Random| f32::exp2(random.below(24) as f32 - 16.0);
        let steps: Vec<_> = (0..inputs).map(|_| power(random)).collect();
        let limits: Vec<_> = (0..inputs).map(|_| (0x7fff >> random.below(15)) as i16).collect();
        let units: Vec<_> = (0..outputs).map(|_| power(random)).collect();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for _ in 0..outputs {
            let mut left = EXACT - 1;
            let largest = left / limits.iter().map(|&limit| i64::from(limit) * taps as i64).sum::<i64>();
            let bias = i64::from(random.below(1 << 20)) - (1 << 19);
            left -= bias.abs();
            for i in 0..inputs * taps {
                let limit = i64::from(limits[i / taps]);
                let most = (left / limit).min(0x7fff).min(if full { largest.max(1) } else { 0x7fff });
                let sign = 1 - 2 * i64::from(random.below(2));
                let weight = sign * if full { most } else { i64::from(random.below(most as u32 + 1)) };
                weights.push(weight);
                left -= weight.abs() * limit;
            }
            biases.push(bias);
        }
        Self { steps, limits, weights, biases, units, taps }
    }

    fn columns(&self) -> usize {
        self.steps.len() * self.taps
    }

    /// Returns what the file of a network has: weights, biases and limits.
    fn floats(&self) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let weights = self.weights.iter().enumerate().map(|(i, &weight)| {
            let (output, column) = (i / self.columns(), i % self.columns());
            weight as f32 * self.units[output] / self.steps[column / self.taps]
        });
        let biases = self.biases.iter().zip(&self.units).map(|(&bias, unit)| bias as f32 * unit);
        let limits = self.limits.iter().zip(&self.steps).map(|(&limit, step)| f32::from(limit) * step);
        (weights.collect(), biases.collect(), limits.collect())
    }

    /// Returns an output of inputs `[inputs, taps]`, or with the signs of the output's weights the largest one.
    fn output(&self, output: usize, x: impl Fn(usize, usize) -> i16) -> f32 {
        let row = &self.weights[output * self.columns()..][..self.columns()];
        let products = row.iter().enumerate().map(|(i, w)| w * i64::from(x(i / self.taps, i % self.taps)));
        let sum = products.sum::<i64>() + self.biases[output];
        assert!(sum.abs() < EXACT);
        sum as f32 * self.units[output]
    }

    /// Returns a value of an input: any, or its limit with the sign of a weight.
    fn input(&self, random: &mut Random, input: usize, weight: Option<i64>) -> i16 {
        let limit = self.limits[input];
        match weight {
            Some(weight) => limit * weight.signum() as i16,
            None => (random.below(2 * limit as u32 + 1) as i32 - i32::from(limit)) as i16,
        }
    }
}

/// Returns `x` activated by the definition, in units of the grid's step.
fn activated(x: &[f32], activation: Activation) -> Vec<i16> {
    let mut x = x.to_vec();
    activate(&mut x, activation.slope, activation.grid);
    x.iter().map(|x| (x * activation.grid.inverse) as i16).collect()
}

fn activation(random: &mut Random) -> Activation {
    let inverse = f32::exp2(random.below(20) as f32 - 10.0);
    let bound = f32::from([1i16, 512, 1024, 0x7fff][random.below(4) as usize]);
    Activation {
        slope: [0.125, 1.0][random.below(2) as usize],
        grid: Grid { inverse, bound, step: 1.0 / inverse },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn linear_layers_are_exact(
        seed: u64,
        inputs in prop_oneof![1..20usize, 1..300usize],
        outputs in prop_oneof![1..20usize, 1..200usize],
        rows in prop_oneof![0..40usize, 90..110usize],
        gap in prop_oneof![Just(0), 1..9usize],
        full: bool,
        has_bias: bool,
    ) {
        let random = &mut Random::new(seed);
        let mut numbers = Integers::new(random, inputs, outputs, 1, full);
        if !has_bias {
            numbers.biases.fill(0);
        }
        let (weights, biases, limits) = numbers.floats();
        let ranges = InputRanges { steps: &numbers.steps, limits: &limits };
        let layer = Linear::new(&weights, has_bias.then_some(&biases), ranges).unwrap();
        prop_assert_eq!((layer.inputs(), layer.outputs()), (inputs, outputs));

        // Between rows is what no layer may read.
        let stride = inputs + gap;
        let mut x = vec![i16::MIN; (rows * stride).saturating_sub(gap)];
        for row in x.chunks_mut(stride) {
            let output = random.below(2 * outputs as u32) as usize;
            for (i, x) in row[..inputs].iter_mut().enumerate() {
                *x = numbers.input(random, i, numbers.weights.get(output * inputs + i).copied());
            }
        }
        let expected: Vec<f32> = (0..rows * outputs)
            .map(|i| numbers.output(i % outputs, |input, _| x[i / outputs * stride + input]))
            .collect();
        let before: Vec<f32> = (0..rows * outputs).map(|_| random.next() as f32 / 65521.0).collect();
        let sums: Vec<f32> = before.iter().zip(&expected).map(|(a, b)| a + b).collect();
        let activation = activation(random);
        for backend in Backend::all() {
            let rows = Rows { values: &x, stride: Some(stride) };
            let mut out = vec![f32::NAN; expected.len()];
            layer.apply(backend, rows, &mut out);
            prop_assert_eq!(bits(&out), bits(&expected), "{}", backend.name());
            let mut out = before.clone();
            layer.add_to(backend, rows, &mut out);
            prop_assert_eq!(bits(&out), bits(&sums), "{}", backend.name());
            let mut out = vec![i16::MIN; expected.len()];
            layer.apply_activated(backend, rows, activation, &mut out);
            prop_assert_eq!(&out, &activated(&expected, activation), "{}", backend.name());
            if gap == 0 {
                let mut out = vec![f32::NAN; expected.len()];
                layer.apply(backend, &x, &mut out);
                prop_assert_eq!(bits(&out), bits(&expected), "{}", backend.name());
            }
        }
    }

    #[test]
    fn convolutions_are_exact(
        seed: u64,
        channels in prop::collection::vec(1..30usize, 1..4),
        outputs in 1..140usize,
        height in 1..4usize,
        width in prop_oneof![1..4usize, 1..30usize],
        full: bool,
    ) {
        let random = &mut Random::new(seed);
        let inputs = channels.iter().sum();
        let numbers = Integers::new(random, inputs, outputs, 9, full);
        let (weights, biases, limits) = numbers.floats();
        let ranges = InputRanges { steps: &numbers.steps, limits: &limits };
        let layer = Conv3x3::new(&weights, Some(&biases), ranges, &channels).unwrap();

        let mut planes: Vec<_> = channels.iter().map(|&n| Plane::new(height, width, n)).collect();
        let middle = random.below(2) == 0;
        let mut first = 0;
        for (plane, &n) in planes.iter_mut().zip(&channels) {
            for y in 0..height {
                for (i, x) in plane.row_mut(y).iter_mut().enumerate() {
                    let input = first + i % n;
                    // Around the middle, what makes output 0 the largest.
                    let (dy, dx) = ((y + 1).wrapping_sub(height / 2), (i / n + 1).wrapping_sub(width / 2));
                    let weight = (middle && dy < 3 && dx < 3).then(|| numbers.weights[input * 9 + dy * 3 + dx]);
                    *x = numbers.input(random, input, weight);
                }
            }
            first += n;
        }
        let at = |y: usize, x: usize, input: usize, tap: usize| {
            // Of a grid with a border.
            let (y, x) = (y + tap / 3, x + tap % 3);
            if y == 0 || x == 0 || y > height || x > width {
                return 0;
            }
            let (mut plane, mut channel) = (0, input);
            while channel >= channels[plane] {
                channel -= channels[plane];
                plane += 1;
            }
            planes[plane].row(y - 1)[(x - 1) * channels[plane] + channel]
        };
        let activation = activation(random);
        for y in 0..height {
            let expected: Vec<f32> = (0..width * outputs)
                .map(|i| numbers.output(i % outputs, |input, tap| at(y, i / outputs, input, tap)))
                .collect();
            for backend in Backend::all() {
                let planes: Vec<_> = planes.iter().collect();
                let mut out = vec![f32::NAN; expected.len()];
                layer.apply_row(backend, &planes, y, &mut out);
                prop_assert_eq!(bits(&out), bits(&expected), "{}", backend.name());
                let mut out = vec![i16::MIN; expected.len()];
                layer.apply_row_activated(backend, &planes, y, activation, &mut out);
                prop_assert_eq!(&out, &activated(&expected, activation), "{}", backend.name());
            }
        }
    }

    /// Inputs beyond their limits make sums of 32 bits overflow, on all processors alike.
    #[test]
    fn inputs_beyond_their_limits_give_the_same_everywhere(seed: u64, inputs in 1..300usize, outputs in 1..40usize) {
        let random = &mut Random::new(seed);
        let weights: Vec<f32> = (0..inputs * outputs).map(|_| [-32767.0, 32767.0][random.below(2) as usize]).collect();
        let ranges = InputRanges { steps: &vec![1.0; inputs], limits: &vec![1.0; inputs] };
        let layer = Linear::new(&weights, None, ranges).unwrap();
        let x: Vec<i16> = (0..20 * inputs).map(|_| [i16::MIN, i16::MAX][random.below(2) as usize]).collect();
        let run = |backend| {
            let mut out = vec![0.0; 20 * outputs];
            layer.apply(backend, &x, &mut out);
            bits(&out)
        };
        for backend in Backend::all() {
            prop_assert_eq!(run(backend), run(Backend::SCALAR), "{}", backend.name());
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Returns why a layer of two inputs is refused.
fn refusal(weight: &[f32], bias: Option<&[f32]>, steps: &[f32], limits: &[f32]) -> String {
    match Linear::new(weight, bias, InputRanges { steps, limits }) {
        Err(Error::InvalidArgument(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn layers_that_may_not_be_exact_are_refused() {
    let (steps, limits) = ([1.0, 0.5], [256.0, 128.0]);
    let accepted = |weight: &[f32], bias| {
        Linear::new(weight, bias, InputRanges { steps: &steps, limits: &limits }).is_ok()
    };
    // 256 inputs' units each: 2^15 - 1 units of weight are 2^24 - 512 units together.
    assert!(accepted(&[32767.0, 65534.0], None));
    assert!(accepted(&[32767.0, 65534.0, 0.0, 0.0], None));
    assert!(accepted(&[32767.0, 65534.0], Some(&[-511.0])));
    assert!(refusal(&[32767.0, 65534.0], Some(&[-512.0]), &steps, &limits).contains("sums up to 16777216"));
    // The bias is finer than the products.
    assert!(accepted(&[16383.0, 32766.0], Some(&[-0.5])));
    assert!(refusal(&[32767.0, 65534.0], Some(&[0.5]), &steps, &limits).contains("sums"));
    assert!(refusal(&[32768.0, 1.0], None, &steps, &limits).contains("65536 units"));
    assert!(refusal(&[0.0, 0.0, 1.0, 32769.0], None, &steps, &limits).contains("output 1"));
    assert!(accepted(&[32768.0, 4.0], None)); // in units of 2
    assert!(accepted(&[0.0, 0.0], Some(&[0.1])));

    for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(refusal(&[1.0, weight], None, &steps, &limits).contains("not finite"));
        assert!(refusal(&[1.0, 1.0], Some(&[weight]), &steps, &limits).contains("not finite"));
    }
    assert!(refusal(&[f32::MAX, 0.0], None, &steps, &limits).contains("unit"));
    assert!(refusal(&[f32::from_bits(1), 0.0], None, &steps, &limits).contains("unit"));
    for step in [0.0, -1.0, 3.0, f32::NAN, f32::INFINITY, f32::from_bits(1)] {
        assert!(refusal(&[1.0, 1.0], None, &[1.0, step], &limits).contains("input 1"));
    }
    for limit in [-1.0, 16384.0, f32::NAN, f32::INFINITY, f32::MAX] {
        assert!(refusal(&[1.0, 1.0], None, &steps, &[1.0, limit]).contains("input 1"));
    }
}

#[test]
fn layers_of_sizes_that_do_not_fit_are_refused() {
    let ones = [1.0; 18];
    assert!(refusal(&[], None, &ones[..2], &ones[..2]).contains("0 weights"));
    assert!(refusal(&ones[..2], None, &[], &[]).contains("of 0 inputs"));
    assert!(refusal(&ones[..3], None, &ones[..2], &ones[..2]).contains("3 weights"));
    assert!(refusal(&ones[..2], None, &ones[..2], &ones[..1]).contains("1 limits"));
    assert!(refusal(&ones[..2], Some(&ones[..2]), &ones[..2], &ones[..2]).contains("1 outputs"));
    let ranges = InputRanges { steps: &ones[..2], limits: &ones[..2] };
    assert!(Conv3x3::new(&ones, None, ranges, &[1, 1]).is_ok());
    assert!(matches!(Conv3x3::new(&ones[..17], None, ranges, &[1, 1]), Err(Error::InvalidArgument(_))));
    assert!(matches!(Conv3x3::new(&ones, None, ranges, &[1, 2]), Err(Error::InvalidArgument(_))));
}

#[test]
#[should_panic(expected = "too few rows")]
fn a_source_with_too_few_rows_is_an_error() {
    let ranges = InputRanges { steps: &[1.0; 3], limits: &[1.0; 3] };
    let layer = Linear::new(&[1.0; 3], None, ranges).unwrap();
    layer.apply(Backend::default(), &[0i16; 5][..], &mut [0.0; 2]);
}
