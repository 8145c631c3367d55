//! The named arrays of a network, which its layers take one by one.

use std::collections::HashMap;

use super::layers::{Conv3x3, InputRanges, Linear};
use super::pointwise::Grid;
use crate::tensor::weights::{Array, Values};
use crate::{Error, Result};

/// The arrays that no layer has taken yet.
pub(super) struct Parameters {
    arrays: HashMap<String, Array>,
    /// Makes arrays that are missing, for networks of tests.
    #[cfg(test)]
    pub(super) make: Option<Make>,
}

#[cfg(test)]
pub(super) type Make = Box<dyn FnMut(&str, &[usize]) -> Values>;

/// For each input of a layer, the step of its grid and its largest magnitude.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges {
    steps: Vec<f32>,
    limits: Vec<f32>,
}

impl Ranges {
    /// Appends `count` inputs of the same range.
    pub(super) fn and(mut self, count: usize, step: f32, limit: f32) -> Self {
        self.steps.resize(self.steps.len() + count, step);
        self.limits.resize(self.limits.len() + count, limit);
        self
    }

    /// Returns the ranges of `count` inputs that are on a grid.
    pub(super) fn of(count: usize, grid: Grid) -> Self {
        Self::default().and(count, grid.step, grid.bound * grid.step)
    }

    /// Returns the ranges of so many times these inputs.
    pub(super) fn repeated(&self, times: usize) -> Self {
        Self { steps: self.steps.repeat(times), limits: self.limits.repeat(times) }
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    fn view(&self) -> InputRanges<'_> {
        InputRanges { steps: &self.steps, limits: &self.limits }
    }
}

impl Parameters {
    pub(super) fn new(arrays: Vec<Array>) -> Self {
        Self {
            arrays: arrays.into_iter().map(|array| (array.name.clone(), array)).collect(),
            #[cfg(test)]
            make: None,
        }
    }

    /// Returns those whose names begin with this, without it.
    pub(super) fn within(mut self, prefix: &str) -> Self {
        let named = |(name, array): (String, Array)| Some((name.strip_prefix(prefix)?.to_string(), array));
        self.arrays = self.arrays.into_iter().filter_map(named).collect();
        self
    }

    /// Takes an array of floats of this shape.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match self.remove(name, shape)? {
            Some(Values::F32(values)) => Ok(values),
            _ => Err(wrong(format!("array {name:?} is not float32 {shape:?}"))),
        }
    }

    /// Takes an array of integers of this shape.
    pub(super) fn take_integers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i32>> {
        match self.remove(name, shape)? {
            Some(Values::I32(values)) => Ok(values),
            _ => Err(wrong(format!("array {name:?} is not int32 {shape:?}"))),
        }
    }

    /// Takes an array; none if it has another shape.
    fn remove(&mut self, name: &str, shape: &[usize]) -> Result<Option<Values>> {
        #[cfg(test)]
        if let Some(make) = &mut self.make {
            return Ok(Some(make(name, shape)));
        }
        let array = self.arrays.remove(name).ok_or_else(|| wrong(format!("they have no array {name:?}")))?;
        let is_right = array.shape.iter().copied().eq(shape.iter().map(|&n| n as u64));
        Ok(is_right.then_some(array.values))
    }

    /// Takes the grid of a quantizer, whose multiples fit 16 bits.
    pub(super) fn grid(&mut self, name: &str) -> Result<Grid> {
        let (limit, step) =
            (self.take(&format!("{name}.limit"), &[])?[0], self.take(&format!("{name}.step"), &[])?[0]);
        let is_power = step.is_normal() && step > 0.0 && step.to_bits() << 9 == 0 && (1.0 / step).is_normal();
        let bound = limit / step;
        if !is_power || !(1.0..=32768.0).contains(&bound) || bound.fract() != 0.0 {
            return Err(wrong(format!("quantizer {name:?} is no grid of 16 bits")));
        }
        Ok(Grid { inverse: 1.0 / step, bound, step })
    }

    /// Takes a matrix `[outputs, inputs]` and its bias.
    pub(super) fn linear(
        &mut self,
        name: &str,
        outputs: usize,
        bias: bool,
        ranges: &Ranges,
    ) -> Result<Linear> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, ranges.len()])?;
        let bias = if bias { Some(self.take(&format!("{name}.bias"), &[outputs])?) } else { None };
        Linear::new(&weight, bias.as_deref(), ranges.view()).map_err(|error| named(name, error))
    }

    /// Takes a matrix and its bias as matrices of some of its outputs each.
    pub(super) fn linears(
        &mut self,
        name: &str,
        each: usize,
        count: usize,
        ranges: &Ranges,
    ) -> Result<Vec<Linear>> {
        let weight = self.take(&format!("{name}.weight"), &[each * count, ranges.len()])?;
        let bias = self.take(&format!("{name}.bias"), &[each * count])?;
        let parts = weight.chunks(each * ranges.len()).zip(bias.chunks(each));
        parts
            .map(|(weight, bias)| {
                Linear::new(weight, Some(bias), ranges.view()).map_err(|error| named(name, error))
            })
            .collect()
    }

    /// Takes a matrix whose first inputs stand in pairs here, where in the file the second ones of each part stand after all
    /// its first ones. `parts` are numbers of pairs.
    pub(super) fn paired(
        &mut self,
        name: &str,
        outputs: usize,
        parts: &[usize],
        ranges: &Ranges,
    ) -> Result<Linear> {
        let mut weight = self.take(&format!("{name}.weight"), &[outputs, ranges.len()])?;
        for row in weight.chunks_exact_mut(ranges.len()) {
            let mut rest = row;
            for &count in parts {
                let (part, others) = rest.split_at_mut(2 * count);
                let pairs: Vec<[f32; 2]> = (0..count).map(|i| [part[i], part[count + i]]).collect();
                part.copy_from_slice(pairs.as_flattened());
                rest = others;
            }
        }
        Linear::new(&weight, None, ranges.view()).map_err(|error| named(name, error))
    }

    /// Takes the weights `[outputs, inputs, 3, 3]` of a convolution over planes of so many channels, and its bias.
    pub(super) fn conv3x3(
        &mut self,
        name: &str,
        outputs: usize,
        bias: bool,
        ranges: &Ranges,
        channels: &[usize],
    ) -> Result<Conv3x3> {
        let weight = self.take(&format!("{name}.weight"), &[outputs, ranges.len(), 3, 3])?;
        let bias = if bias { Some(self.take(&format!("{name}.bias"), &[outputs])?) } else { None };
        Conv3x3::new(&weight, bias.as_deref(), ranges.view(), channels).map_err(|error| named(name, error))
    }

    /// Checks that all arrays are taken.
    pub(super) fn finish(self) -> Result<()> {
        match self.arrays.into_keys().min() {
            None => Ok(()),
            Some(name) => Err(wrong(format!("they have an array {name:?} that the network does not have"))),
        }
    }
}

/// Returns the error for weights that are not those of this network.
pub(super) fn wrong(what: String) -> Error {
    Error::Corrupt { what: format!("weights of a network: {what}"), offset: 0 }
}

fn named(name: &str, error: Error) -> Error {
    match error {
        Error::InvalidArgument(what) => Error::Unsupported(format!("layer {name}: {what}").into()),
        other => other,
    }
}
