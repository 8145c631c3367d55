//! Mixtures, whose intervals are computed when they are needed.

use super::super::{Backend, BLOCK};
use super::located::{flaw, not_finite};
use super::{Model, Parameter};
use crate::tables::{
    Curve, Family, Float, LogisticMixture, Mixture, MixtureComponent, MixtureConstants, Outline, Place,
    Slots, MAX_COMPONENTS, MIXTURE_PARAMS,
};
use crate::{Error, Result};

/// Each element has the [`LogisticMixture`] of its five parameters.
#[derive(Debug, Clone, Copy)]
pub struct Mixtures<'a> {
    constants: &'static MixtureConstants,
    params: &'a [[i16; MIXTURE_PARAMS]],
}

impl<'a> Mixtures<'a> {
    /// Five parameters for each element.
    pub fn new(params: &'a [[i16; MIXTURE_PARAMS]]) -> Self {
        Self { constants: MixtureConstants::get(), params }
    }
}

impl Model for Mixtures<'_> {
    type Params = Centres;

    fn len(&self) -> usize {
        self.params.len()
    }

    fn load(&self, first: usize, count: usize, params: &mut Centres) -> Result<()> {
        params.mixtures.clear();
        params.mixtures.extend_from_slice(&self.params[first..first + count]);
        params.mixtures.resize(count.next_multiple_of(BLOCK), [0; MIXTURE_PARAMS]);
        params.symbols.resize(params.mixtures.len(), 0);
        params.slots.resize(params.mixtures.len(), Slots::default());
        let out = params.symbols.as_chunks_mut().0.iter_mut().zip(params.slots.as_chunks_mut().0);
        for (mixtures, (symbols, slots)) in params.mixtures.as_chunks().0.iter().zip(out) {
            Backend::default().centres(self.constants, mixtures, symbols, slots);
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &Centres, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        if symbol == params.symbols[j] {
            return (params.slots[j], None);
        }
        LogisticMixture::new(self.constants, &params.mixtures[j]).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &Centres, j: usize, slot: u32) -> (Place, Slots) {
        let slots = params.slots[j];
        if slot.wrapping_sub(slots.start()) < slots.freq() {
            return (Place::Inside(params.symbols[j]), slots);
        }
        LogisticMixture::new(self.constants, &params.mixtures[j]).find(slot)
    }

    fn symbol_outside(&self, params: &Centres, j: usize, place: Place, distance: u64) -> Option<i32> {
        LogisticMixture::new(self.constants, &params.mixtures[j]).symbol_outside(place, distance)
    }
}

/// The mixtures of a batch, and of each the likeliest symbol or a near one, with its slots: these are worked out for a
/// whole block at once, and are what is asked for most of the time.
#[derive(Debug, Default)]
pub struct Centres {
    mixtures: Vec<[i16; MIXTURE_PARAMS]>,
    symbols: Vec<i32>,
    slots: Vec<Slots>,
}

/// One component of a mixture for each element.
#[derive(Debug, Clone, Copy)]
pub struct Component<'a, T> {
    /// What it is.
    pub family: Family,
    /// How much there is of it: relative to the element's other components.
    pub weights: Parameter<'a, T>,
    /// Where it is.
    pub means: Parameter<'a, T>,
    /// How wide it is.
    pub scales: Parameter<'a, T>,
}

/// Element `i` has the mixture of 1 to 8 components with its parameters.
///
/// Means lie in −2^30..=2^30; scales are positive and finite; weights are finite and not negative, and one of each
/// element is at least 2^−100.
#[derive(Debug, Clone)]
pub struct MixtureOf<'a, T> {
    count: usize,
    components: Vec<Component<'a, T>>,
    curves: Vec<&'static Curve>,
}

impl<'a, T: Float> MixtureOf<'a, T> {
    /// Components for `count` elements; their parameters are checked as they are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there are 1 to 8 components, with as many parameters as elements.
    pub fn new(count: usize, components: &[Component<'a, T>]) -> Result<Self> {
        if !(1..=MAX_COMPONENTS).contains(&components.len()) {
            let what = format!("{} components are not 1 to {MAX_COMPONENTS}", components.len());
            return Err(Error::InvalidArgument(what));
        }
        for component in components {
            component.weights.check(count, "weights")?;
            component.means.check(count, "means")?;
            component.scales.check(count, "scales")?;
        }
        let curves = components.iter().map(|component| Curve::get(component.family)).collect();
        Ok(Self { count, components: components.to_vec(), curves })
    }

    /// Loads the parameters of element `i`.
    fn load_element(&self, i: usize, components: &mut [MixtureComponent]) -> Result<Outline> {
        let mut elements = [[0.0; 3]; MAX_COMPONENTS];
        let elements = &mut elements[..self.components.len()];
        let mut highest = 0.0f64;
        for (k, (component, element)) in self.components.iter().zip(&mut *elements).enumerate() {
            let [weight, mean, scale] =
                [component.weights, component.means, component.scales].map(|p| p.at(i));
            *element = [weight, mean, scale].map(T::into);
            let flaw = flaw(mean, scale).or_else(|| {
                let rule = not_finite(weight).or((element[0] < 0.0).then_some("is negative"))?;
                Some((format!("weight {weight:?}"), rule))
            });
            if let Some((what, rule)) = flaw {
                let what = format!("{what} of component {k} of element {i} {rule}");
                return Err(Error::InvalidArgument(what));
            }
            highest = highest.max(element[0]);
        }
        if highest < MIN_HIGHEST {
            return Err(Error::InvalidArgument(format!("all weights of element {i} are below 2^-100")));
        }
        Ok(Outline::new(&self.curves, elements, components))
    }
}

/// The highest of an element's weights is at least this, for the smallest floats are 0 to some processors.
const MIN_HIGHEST: f64 = 1.0 / (1u128 << 100) as f64;

impl<T: Float> Model for MixtureOf<'_, T> {
    type Params = MixtureParams;

    fn len(&self) -> usize {
        self.count
    }

    fn load(&self, first: usize, count: usize, params: &mut MixtureParams) -> Result<()> {
        params.components.resize(count * self.components.len(), MixtureComponent::default());
        params.outlines.resize(count, Outline::default());
        let components = params.components.chunks_exact_mut(self.components.len());
        for ((j, outline), components) in params.outlines.iter_mut().enumerate().zip(components) {
            *outline = self.load_element(first + j, components)?;
        }
        Ok(())
    }

    #[inline]
    fn slots(&self, params: &MixtureParams, j: usize, symbol: i32) -> (Slots, Option<u64>) {
        params.mixture(&self.curves, j).slots(symbol)
    }

    #[inline]
    fn find(&self, params: &MixtureParams, j: usize, slot: u32) -> (Place, Slots) {
        params.mixture(&self.curves, j).find(slot)
    }

    fn symbol_outside(&self, params: &MixtureParams, j: usize, place: Place, distance: u64) -> Option<i32> {
        params.mixture(&self.curves, j).symbol_outside(place, distance)
    }
}

/// The mixtures of a batch.
#[derive(Debug, Default)]
pub struct MixtureParams {
    outlines: Vec<Outline>,
    /// Those of the first element, then those of the next one.
    components: Vec<MixtureComponent>,
}

impl MixtureParams {
    #[inline]
    fn mixture<'a>(&'a self, curves: &'a [&'static Curve], j: usize) -> Mixture<'a> {
        let components = &self.components[j * curves.len()..][..curves.len()];
        Mixture { curves, components, outline: &self.outlines[j] }
    }
}
