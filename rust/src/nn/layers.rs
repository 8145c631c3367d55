//! Layers of an exact network, from the floats that their weights are stored as.

use super::matrix::{Activation, Matrix, Out, Rows};
use crate::simd::Backend;
use crate::{Error, Result};

/// Integers below this are exact in 32-bit floats.
const EXACT: f64 = (1 << 24) as f64;

/// The grid and the largest magnitude of each input.
#[derive(Debug, Clone, Copy)]
pub struct InputRanges<'a> {
    /// Powers of two, of which the inputs are multiples.
    pub steps: &'a [f32],
    /// As many, below 2^15 steps.
    pub limits: &'a [f32],
}

/// A layer's weights in units of each output, `[outputs, inputs * taps]`; the units and biases, `[outputs]`.
struct Integers {
    weights: Vec<i16>,
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl Integers {
    /// Converts weights `[outputs, inputs, taps]`, after proving that sums of products are exact in any order.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if they are not, or if the sizes don't fit.
    fn new(weight: &[f32], bias: Option<&[f32]>, ranges: InputRanges, taps: usize) -> Result<Self> {
        let inputs = ranges.steps.len();
        let columns = inputs * taps;
        if columns == 0
            || weight.is_empty()
            || !weight.len().is_multiple_of(columns)
            || ranges.limits.len() != inputs
        {
            let (n, limits) = (weight.len(), ranges.limits.len());
            return Err(invalid(format!(
                "{n} weights of {inputs} inputs with {limits} limits, {taps} weights each"
            )));
        }
        let outputs = weight.len() / columns;
        if bias.is_some_and(|bias| bias.len() != outputs) {
            return Err(invalid(format!("biases that are not as many as its {outputs} outputs")));
        }
        for (i, (&step, &limit)) in ranges.steps.iter().zip(ranges.limits).enumerate() {
            let steps = limit / step;
            if !is_power_of_two(step) || !(0.0..=f32::from(i16::MAX)).contains(&steps) {
                return Err(invalid(format!("input {i} in steps of {step} up to {limit}")));
            }
        }
        let mut this = Self {
            weights: Vec::with_capacity(weight.len()),
            scales: Vec::with_capacity(outputs),
            biases: bias.map_or(vec![0.0; outputs], <[f32]>::to_vec),
        };
        for (output, row) in weight.chunks_exact(columns).enumerate() {
            this.push(row, this.biases[output], ranges, taps)
                .map_err(|what| invalid(format!("output {output} with {what}")))?;
        }
        Ok(this)
    }

    /// Converts the weights of an output, or says what is wrong with them.
    fn push(
        &mut self,
        row: &[f32],
        bias: f32,
        ranges: InputRanges,
        taps: usize,
    ) -> std::result::Result<(), String> {
        // In double precision, products with powers of two are exact.
        let steps = ranges.steps.iter().flat_map(|&step| std::iter::repeat_n(f64::from(step), taps));
        let limits = ranges.limits.iter().zip(ranges.steps).map(|(&limit, &step)| f64::from(limit / step));
        let limits = limits.flat_map(|limit| std::iter::repeat_n(limit, taps));
        let products =
            row.iter().map(|&weight| f64::from(weight)).zip(steps).map(|(weight, step)| weight * step);
        if !bias.is_finite() || row.iter().any(|weight| !weight.is_finite()) {
            return Err("a weight that is not finite".into());
        }
        // The unit of the sum is the last bit of all products; the bias may be finer.
        let bias = f64::from(bias);
        let unit = products.clone().filter_map(last_bit).reduce(f64::min).or(last_bit(bias)).unwrap_or(1.0);
        if !(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX) / EXACT).contains(&unit) {
            return Err(format!("a unit of {unit}"));
        }
        let mut largest = 0.0;
        for (product, limit) in products.zip(limits) {
            let weight = product / unit;
            if weight.abs() > f64::from(i16::MAX) {
                return Err(format!("a weight of {weight} units"));
            }
            largest += weight.abs() * limit;
            self.weights.push(weight as i16);
        }
        let finest = last_bit(bias).map_or(unit, |bit| bit.min(unit));
        let largest = (largest * unit + bias.abs()) / finest;
        if largest >= EXACT {
            return Err(format!("sums up to {largest} units"));
        }
        self.scales.push(unit as f32);
        Ok(())
    }
}

fn invalid(what: String) -> Error {
    Error::InvalidArgument(format!("a layer that 16-bit integers don't compute exactly: {what}"))
}

fn is_power_of_two(x: f32) -> bool {
    x.is_normal() && x > 0.0 && x.to_bits() << 9 == 0
}

/// Returns the largest power of two that divides a number of single precision times a power of two, none for zero.
fn last_bit(x: f64) -> Option<f64> {
    // Such a product is no subnormal number of double precision.
    let mantissa = x.to_bits() & ((1 << 52) - 1) | 1 << 52;
    let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 1075 + mantissa.trailing_zeros() as i32;
    (x != 0.0).then(|| f64::from_bits(((exponent + 1023) as u64) << 52))
}

/// A product with weights `[outputs, inputs]`, exact on inputs within their ranges.
///
/// Inputs are integers in units of their steps.
#[derive(Debug)]
pub struct Linear {
    matrix: Matrix,
    inputs: usize,
}

impl Linear {
    /// Converts weights `[outputs, inputs]` and biases `[outputs]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if sums may not be exact, or if the sizes don't fit.
    pub fn new(weight: &[f32], bias: Option<&[f32]>, ranges: InputRanges) -> Result<Self> {
        let Integers { weights, scales, biases } = Integers::new(weight, bias, ranges, 1)?;
        let inputs = ranges.steps.len();
        let matrix = Matrix::new(vec![inputs], scales, biases, |output, _, i| weights[output * inputs + i]);
        Ok(Self { matrix, inputs })
    }

    /// Returns the number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.matrix.outputs
    }

    /// Computes products `[n, outputs]` of vectors `[n, inputs]`, with the biases.
    ///
    /// # Panics
    /// If `out` has no whole rows, or `x` fewer rows than `out`.
    pub fn apply<'a>(&self, backend: Backend, x: impl Into<Rows<'a>>, out: &mut [f32]) {
        self.matrix.multiply(backend, [x.into()], Out::Set(out));
    }

    /// Adds what [`Linear::apply`] computes to `out`: one addition for each element.
    ///
    /// # Panics
    /// As [`Linear::apply`].
    pub fn add_to<'a>(&self, backend: Backend, x: impl Into<Rows<'a>>, out: &mut [f32]) {
        self.matrix.multiply(backend, [x.into()], Out::Add(out));
    }

    /// Computes the activation of what [`Linear::apply`] computes, in units of its grid's step.
    ///
    /// # Panics
    /// As [`Linear::apply`], or if the grid has more than 16 bits.
    pub fn apply_activated<'a>(
        &self,
        backend: Backend,
        x: impl Into<Rows<'a>>,
        activation: Activation,
        out: &mut [i16],
    ) {
        self.matrix.multiply(backend, [x.into()], Out::Activated(activation, out));
    }
}

/// Vectors of integers at the positions of a grid, `[height, width, channels]`, all zero at first.
///
/// Around them is a border of zeros, so that a 3x3 kernel needs no checks.
#[derive(Debug, Clone)]
pub struct Plane {
    /// `[height + 2, width + 2, channels]`
    values: Vec<i16>,
    width: usize,
    channels: usize,
}

impl Plane {
    /// Allocates a plane.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { values: vec![0; (height + 2) * (width + 2) * channels], width, channels }
    }

    /// Returns the vectors of a row, `[width, channels]`.
    pub fn row(&self, y: usize) -> &[i16] {
        &self.bordered(y + 1)[self.channels..][..self.width * self.channels]
    }

    /// Returns the vectors of a row, `[width, channels]`.
    pub fn row_mut(&mut self, y: usize) -> &mut [i16] {
        let row = (self.width + 2) * self.channels;
        let last = self.values.len() - row;
        &mut self.values[..last][(y + 1) * row..][self.channels..][..self.width * self.channels]
    }

    /// Returns a row with its border; row 0 is the border above.
    fn bordered(&self, y: usize) -> &[i16] {
        let row = (self.width + 2) * self.channels;
        &self.values[y * row..][..row]
    }
}

/// A 3x3 convolution of planes side by side in channels, exact on inputs within their ranges.
///
/// Inputs are integers in units of their steps.
#[derive(Debug)]
pub struct Conv3x3 {
    matrix: Matrix,
    channels: Vec<usize>,
}

impl Conv3x3 {
    /// Converts weights `[outputs, channels of all planes, 3, 3]` and biases `[outputs]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if sums may not be exact, or if the sizes don't fit.
    pub fn new(
        weight: &[f32],
        bias: Option<&[f32]>,
        ranges: InputRanges,
        channels_of_planes: &[usize],
    ) -> Result<Self> {
        let inputs: usize = channels_of_planes.iter().sum();
        if inputs != ranges.steps.len() {
            return Err(invalid(format!("planes of {inputs} channels for {} inputs", ranges.steps.len())));
        }
        let Integers { weights, scales, biases } = Integers::new(weight, bias, ranges, 9)?;
        // Three neighbours in a row are one segment, since their vectors lie side by side.
        let starts = channels_of_planes.iter().scan(0, |next, &channels| {
            *next += channels;
            Some(*next - channels)
        });
        let segments: Vec<_> = (0..3)
            .flat_map(|row| starts.clone().zip(channels_of_planes).map(move |(start, &n)| (row, start, n)))
            .collect();
        let lengths = segments.iter().map(|&(_, _, channels)| 3 * channels).collect();
        let matrix = Matrix::new(lengths, scales, biases, |output, segment, i| {
            let (row, start, channels) = segments[segment];
            weights[(output * inputs + start + i % channels) * 9 + row * 3 + i / channels]
        });
        Ok(Self { matrix, channels: channels_of_planes.to_vec() })
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.matrix.outputs
    }

    /// Computes row y of the result, `[width, outputs]`, of planes of one size.
    ///
    /// # Panics
    /// If the planes are not those of the layer, or not of the width of `out`, or if they have no row y.
    pub fn apply_row(&self, backend: Backend, planes: &[&Plane], y: usize, out: &mut [f32]) {
        self.multiply(backend, planes, y, Out::Set(out));
    }

    /// Adds what [`Conv3x3::apply_row`] computes to `out`: one addition for each element.
    ///
    /// # Panics
    /// As [`Conv3x3::apply_row`].
    pub fn add_row_to(&self, backend: Backend, planes: &[&Plane], y: usize, out: &mut [f32]) {
        self.multiply(backend, planes, y, Out::Add(out));
    }

    /// Computes the activation of what [`Conv3x3::apply_row`] computes, in units of its grid's step.
    ///
    /// # Panics
    /// As [`Conv3x3::apply_row`], or if the grid has more than 16 bits.
    pub fn apply_row_activated(
        &self,
        backend: Backend,
        planes: &[&Plane],
        y: usize,
        activation: Activation,
        out: &mut [i16],
    ) {
        self.multiply(backend, planes, y, Out::Activated(activation, out));
    }

    fn multiply(&self, backend: Backend, planes: &[&Plane], y: usize, out: Out) {
        assert!(
            planes.iter().map(|plane| plane.channels).eq(self.channels.iter().copied()),
            "planes of other channels than the layer's"
        );
        for plane in planes {
            assert_eq!(plane.width * self.outputs(), out.len(), "a row of another width");
        }
        let rows = (0..3).flat_map(|row| {
            planes
                .iter()
                .map(move |plane| Rows { values: plane.bordered(y + row), stride: Some(plane.channels) })
        });
        self.matrix.multiply(backend, rows, out);
    }
}
