//! Mixtures of components of any family.

use super::entropy_model::{BatchModel, Calibrated, EntropyModel};
use super::location_scale::{flaw, not_finite};
use super::parameter::Parameter;
use crate::ans::calibration::{Curve, RANGES};
use crate::tables::{
    CdfCurve, Family, Float, Interval, MAX_COMPONENTS, MixtureBounds, MixtureCdf,
    MixtureComponent as Component, Region, Slots,
};
use crate::{Error, Result};

/// One component of the mixtures of all elements.
#[derive(Debug, Clone, Copy)]
pub struct MixtureComponent<'a, T> {
    /// The family of its distributions.
    pub family: Family,
    /// Its weights relative to the other components.
    pub weights: Parameter<'a, T>,
    /// Its means.
    pub means: Parameter<'a, T>,
    /// Its scales.
    pub scales: Parameter<'a, T>,
}

/// Gives element `i` a mixture of 1 to 8 components.
///
/// Means must be within ± 2^30, scales positive and finite, weights finite and not negative. One weight of each element
/// must be at least 2^−100.
#[derive(Debug, Clone)]
pub struct Mixture<'a, T> {
    count: usize,
    components: Vec<MixtureComponent<'a, T>>,
    curves: Vec<&'static CdfCurve>,
}

impl<'a, T: Float> Mixture<'a, T> {
    /// Takes components for `count` elements. Their parameters are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 8 components with as many parameters as elements.
    pub fn new(count: usize, components: &[MixtureComponent<'a, T>]) -> Result<Self> {
        if !(1..=MAX_COMPONENTS).contains(&components.len()) {
            let what = format!("{} components are not 1 to {MAX_COMPONENTS}", components.len());
            return Err(Error::InvalidArgument(what));
        }
        for component in components {
            component.weights.check(count, "weights")?;
            component.means.check(count, "means")?;
            component.scales.check(count, "scales")?;
        }
        let curves = components.iter().map(|component| CdfCurve::get(component.family)).collect();
        Ok(Self { count, components: components.to_vec(), curves })
    }

    /// Loads the parameters of element `i`.
    fn load_element(&self, i: usize, components: &mut [Component]) -> Result<MixtureBounds> {
        let mut parameters = [[0.0; 3]; MAX_COMPONENTS];
        let parameters = &mut parameters[..self.components.len()];
        let mut highest = 0.0f64;
        for (k, (component, parameters)) in self.components.iter().zip(&mut *parameters).enumerate() {
            let [weight, mean, scale] =
                [component.weights, component.means, component.scales].map(|p| p.at(i));
            *parameters = [weight, mean, scale].map(T::into);
            let flaw = flaw(mean, scale).or_else(|| {
                let rule = not_finite(weight).or((parameters[0] < 0.0).then_some("is negative"))?;
                Some((format!("weight {weight:?}"), rule))
            });
            if let Some((parameter, rule)) = flaw {
                let what = format!("{parameter} of component {k} of element {i} {rule}");
                return Err(Error::InvalidArgument(what));
            }
            highest = highest.max(parameters[0]);
        }
        if highest < MIN_HIGHEST {
            return Err(Error::InvalidArgument(format!("all weights of element {i} are below 2^-100")));
        }
        Ok(MixtureBounds::new(&self.curves, parameters, components))
    }
}

/// The highest weight of an element must be at least this, since some processors take the smallest floats for 0.
const MIN_HIGHEST: f64 = 1.0 / (1u128 << 100) as f64;

impl<T: Float> EntropyModel for Mixture<'_, T> {
    fn len(&self) -> usize {
        self.count
    }
}

impl<T: Float> BatchModel for Mixture<'_, T> {
    type Params = MixtureBatch;

    fn load(&self, first: usize, count: usize, params: &mut MixtureBatch) -> Result<()> {
        params.components.resize(count * self.components.len(), Component::default());
        params.bounds.resize(count, MixtureBounds::default());
        let components = params.components.chunks_exact_mut(self.components.len());
        for ((j, bounds), components) in params.bounds.iter_mut().enumerate().zip(components) {
            *bounds = self.load_element(first + j, components)?;
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &MixtureBatch, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        params.mixture(&self.curves, j).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &MixtureBatch, j: usize, slot: u32) -> (Region, Slots) {
        let (region, interval) = params.mixture(&self.curves, j).find(slot, slot, |bound| bound);
        (region, interval.slots())
    }

    fn symbol_outside(&self, params: &MixtureBatch, j: usize, region: Region, distance: u64) -> Option<i32> {
        params.mixture(&self.curves, j).symbol_outside(region, distance)
    }
}

impl<T: Float> Calibrated for Mixture<'_, T> {
    /// The ranges are octaves of the scale of the heaviest component, as those of [`LogisticPair`](super::LogisticPair).
    #[inline]
    fn range(&self, params: &MixtureBatch, j: usize) -> usize {
        (params.mixture(&self.curves, j).octave() + 3).clamp(0, RANGES as i32 - 1) as usize
    }

    #[inline]
    fn interval(&self, params: &MixtureBatch, j: usize, symbol: i32) -> (Interval, Option<u64>) {
        params.mixture(&self.curves, j).interval(symbol)
    }

    #[inline]
    fn find_by(&self, params: &MixtureBatch, j: usize, slot: u32, curve: &Curve) -> (Region, Interval) {
        params.mixture(&self.curves, j).find(slot, curve.guess(2 * slot) / 2, |bound| curve.at(bound))
    }
}

/// The mixtures of a batch.
#[derive(Debug, Default)]
pub struct MixtureBatch {
    bounds: Vec<MixtureBounds>,
    /// The components of the first element, then those of the next one, and so on.
    components: Vec<Component>,
}

impl MixtureBatch {
    #[inline]
    fn mixture<'a>(&'a self, curves: &'a [&'static CdfCurve], j: usize) -> MixtureCdf<'a> {
        let components = &self.components[j * curves.len()..][..curves.len()];
        MixtureCdf { curves, components, bounds: &self.bounds[j] }
    }
}
