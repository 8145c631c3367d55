//! The layers of an exact network between two matrix products, each in one pass over memory.
//!
//! Each step is one correctly rounded operation of IEEE 754, in the order of the network's definition (docs/format.md,
//! section 4). So any other program that follows the definition computes the same results. Inputs must be finite.

/// Rounding to multiples of `step` within ±`bound` steps.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// 1 / `step`, a power of two.
    pub inverse: f32,
    /// A whole number, at most [`Grid::LARGEST_BOUND`].
    pub bound: f32,
    /// The distance of neighbouring multiples, a power of two.
    pub step: f32,
}

impl Grid {
    /// The largest bound for which [`nearest`] rounds correctly.
    pub const LARGEST_BOUND: f32 = (1 << 22) as f32;

    /// Returns the nearest multiple in steps, the even one of two.
    #[inline(always)]
    fn steps_of(self, x: f32) -> f32 {
        nearest(x * self.inverse, self.bound)
    }

    /// Returns the nearest multiple in steps; `bound` is below 2^15.
    #[inline(always)]
    pub(super) fn index(self, x: f32) -> i16 {
        // As comparisons that also put what is not a number within the bounds.
        let x = x * self.inverse;
        let x = if x > -self.bound { x } else { -self.bound };
        let x = if x < self.bound { x } else { self.bound };
        whole(x)
    }

    /// Returns the nearest multiple.
    #[inline(always)]
    fn snap(self, x: f32) -> f32 {
        self.steps_of(x) * self.step
    }
}

/// Floats of this size are whole numbers, so adding this rounds. Unlike `round_ties_even`, that needs only SSE2.
const WHOLE: f32 = (3 << 22) as f32;

/// Returns the whole number within ±`bound` that is nearest to `x`, the even one of two. `bound` is at most 2^22.
#[inline(always)]
fn nearest(x: f32, bound: f32) -> f32 {
    x.clamp(-bound, bound) + WHOLE - WHOLE
}

/// Returns the low 16 bits of a whole number.
#[inline(always)]
fn whole(x: f32) -> i16 {
    // They are the last bits of the sum, since those of `WHOLE` are 0.
    (x + WHOLE).to_bits() as i16
}

#[inline(always)]
fn leaky(x: f32, slope: f32) -> f32 {
    if x > 0.0 { x } else { x * slope }
}

/// Applies a leaky rectifier with this slope below zero, then the grid, in place.
pub fn activate(x: &mut [f32], slope: f32, grid: Grid) {
    for x in x {
        *x = grid.snap(leaky(*x, slope));
    }
}

/// Rounds to the grid, in steps, after a leaky rectifier; a slope of 1 is none. `bound` is below 2^15.
#[inline(always)]
pub(super) fn quantize(x: &[f32], slope: f32, grid: Grid, out: &mut [i16]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = grid.index(leaky(x, slope));
    }
}

/// Computes vectors t: the sum of a context and of another one, as far as they are there, times factors, plus shifts.
///
/// The context has vectors of some stride, at least that of t, whose first channels count.
#[inline(always)]
pub(super) fn modulate(
    context: Option<(&[f32], usize)>,
    cross: Option<&[f32]>,
    factors: &[f32],
    shifts: &[f32],
    t: &mut [f32],
) {
    let width = factors.len();
    for (i, t) in t.chunks_exact_mut(width).enumerate() {
        match (
            context.map(|(context, stride)| &context[i * stride..][..width]),
            cross.map(|cross| &cross[i * width..][..width]),
        ) {
            (Some(context), Some(cross)) => {
                t.iter_mut().zip(context.iter().zip(cross)).for_each(|(t, (a, b))| *t = a + b);
            }
            (Some(one), None) | (None, Some(one)) => t.copy_from_slice(one),
            (None, None) => {
                t.copy_from_slice(shifts);
                continue;
            }
        }
        for (t, (factor, shift)) in t.iter_mut().zip(factors.iter().zip(shifts)) {
            *t = *t * factor + shift;
        }
    }
}

/// Sets t to multiples of a step.
#[inline(always)]
pub(super) fn multiples(x: &[i16], step: f32, t: &mut [f32]) {
    t.iter_mut().zip(x).for_each(|(t, &x)| *t = f32::from(x) * step);
}

/// The step of companded values.
pub(super) const COMPAND_STEP: f32 = 1.0 / 32.0;
/// The largest companded value, in steps.
const COMPAND_LEVELS: i32 = 12 * 32;
/// The largest companded value.
pub(super) const COMPAND_LIMIT: f32 = COMPAND_LEVELS as f32 * COMPAND_STEP;

/// Returns log2(1 + x) of x >= 0, linear between powers of two, in steps.
#[inline(always)]
fn compand(x: f32) -> i32 {
    // The exponent and the first five bits of the mantissa, rounded; 127 is the exponent's bias.
    let level = ((((x + 1.0).to_bits() as i32) + (1 << 17)) >> 18) - (127 << 5);
    level.min(COMPAND_LEVELS)
}

/// The conversion of symbols, which are coefficients or latents, to inputs of a network.
#[derive(Debug, Clone, Copy)]
pub struct Normaliser<'a> {
    /// For each channel, the reciprocal of a symbol's unit.
    pub inverse: &'a [f32],
    /// Values are clamped to ± this.
    pub limit: f32,
    /// The grid of linear predictions.
    pub fine: Grid,
    /// The grid of all other inputs.
    pub coarse: Grid,
}

/// Coefficients of a block.
pub(super) const BLOCK: usize = 64;

impl Normaliser<'_> {
    /// Returns `(fine, coarse, companded magnitude)` of a symbol, each in steps.
    #[inline(always)]
    fn levels(&self, x: f32, inverse: f32) -> (f32, f32, i32) {
        let x = x * inverse;
        let fine = self.fine.steps_of(x.clamp(-self.limit, self.limit));
        (fine, self.coarse.steps_of(fine * self.fine.step), compand(2.0 * x.abs()))
    }

    /// Computes the fine and coarse values and the companded magnitudes, all `[N, n]`, of symbols `[N, n]`.
    pub fn normalise(&self, x: &[f32], fine: &mut [f32], coarse: &mut [f32], magnitude: &mut [f32]) {
        let n = self.inverse.len();
        let out = fine.chunks_exact_mut(n).zip(coarse.chunks_exact_mut(n)).zip(magnitude.chunks_exact_mut(n));
        for (x, ((fine, coarse), magnitude)) in x.chunks_exact(n).zip(out) {
            let out = fine.iter_mut().zip(coarse).zip(magnitude);
            for ((&x, &inverse), ((fine, coarse), magnitude)) in x.iter().zip(self.inverse).zip(out) {
                let levels = self.levels(x, inverse);
                *fine = levels.0 * self.fine.step;
                *coarse = levels.1 * self.coarse.step;
                *magnitude = levels.2 as f32 * COMPAND_STEP;
            }
        }
    }

    /// Computes the fine values `[n]` of symbols, and the pairs `[n, 2]` of coarse values and companded magnitudes, all
    /// in steps.
    #[inline(always)]
    pub(super) fn pairs(&self, x: &[i16], fine: &mut [i16], pairs: &mut [[i16; 2]]) {
        let out = fine.iter_mut().zip(pairs);
        for ((&x, &inverse), (fine, pair)) in x.iter().zip(self.inverse).zip(out) {
            let levels = self.levels(x.into(), inverse);
            *fine = whole(levels.0);
            *pair = [whole(levels.1), levels.2 as i16];
        }
    }

    /// Computes channels of context `[2 bands + P + 1 + remainders]` of a block, in steps.
    ///
    /// The channels are: the coarse values and the magnitudes of the first `bands` coefficients, the companded sums of
    /// magnitudes over the pools `[P, 64]`, whose bits are all set or all clear, the constant 1, and the differences of
    /// the first `remainders` fine and coarse values, in steps of the fine grid.
    #[inline(always)]
    pub(super) fn features(
        &self,
        x: &[i16; BLOCK],
        pools: &[[u16; BLOCK]],
        remainders: usize,
        out: &mut [i16],
    ) {
        let bands = self.inverse.len();
        let (coarse, out) = out.split_at_mut(bands);
        let (magnitude, out) = out.split_at_mut(bands);
        let (pooled, out) = out.split_at_mut(pools.len());
        let (one, remainder) = out.split_at_mut(1);
        let mut rest = [0; BLOCK];
        let fine_steps = self.coarse.step * self.fine.inverse;
        let values = rest.iter_mut().zip(coarse).zip(magnitude);
        for ((&x, &inverse), ((rest, coarse), magnitude)) in x.iter().zip(self.inverse).zip(values) {
            let levels = self.levels(x.into(), inverse);
            *rest = whole(levels.0 - levels.1 * fine_steps);
            *coarse = whole(levels.1);
            *magnitude = levels.2 as i16;
        }
        let magnitudes = x.map(i16::unsigned_abs);
        for (out, pool) in pooled.iter_mut().zip(pools) {
            let sum: u32 = magnitudes.iter().zip(pool).map(|(x, bits)| u32::from(x & bits)).sum();
            *out = compand(sum as f32) as i16;
        }
        one.fill(1);
        remainder.copy_from_slice(&rest[..remainders]);
    }
}

/// The conversion of a network's outputs to integer parameters of [`LogisticPair`](crate::ans::LogisticPair).
///
/// Each of the five parameters is `(raw + shift) * gain + offset`, rounded and clamped: one loop over all suits vectors.
#[derive(Debug, Clone)]
pub struct MixtureUnits {
    gains: Vec<f32>,
    offsets: Vec<f32>,
    floors: Vec<f32>,
    bounds: Vec<f32>,
}

impl MixtureUnits {
    /// Takes for each frequency the unit of the means in 1/16 steps and what is added to the index of a scale, and the
    /// number of scale indices in one unit of the natural logarithm.
    pub fn new(gain: &[f32], offset: &[f32], octave: f32) -> Self {
        let fives = |of: &dyn Fn(usize) -> [f32; 5]| (0..gain.len()).flat_map(of).collect();
        Self {
            gains: fives(&|k| [gain[k], gain[k], octave, octave, 8.0]),
            offsets: fives(&|k| [0.0, 0.0, offset[k], offset[k], 64.0]),
            floors: fives(&|_| [-32767.0, -32767.0, 0.0, 0.0, 0.0]),
            bounds: fives(&|_| [32767.0, 32767.0, 127.0, 127.0, 127.0]),
        }
    }

    /// Computes the parameters `[N, n, 5]` of outputs `raw` `[N, n, 5]`. If `mean` `[N, n]` is given, it is added to both
    /// means of an element.
    #[inline(always)]
    pub fn params(&self, raw: &[f32], mean: Option<&[f32]>, out: &mut [i16]) {
        let n = self.gains.len();
        let (gains, offsets) = (&self.gains[..n], &self.offsets[..n]);
        let (floors, bounds) = (&self.floors[..n], &self.bounds[..n]);
        let mut shifts = vec![0.0; n];
        for (i, (raw, out)) in raw.chunks_exact(n).zip(out.chunks_exact_mut(n)).enumerate() {
            if let Some(mean) = mean {
                let means = mean[i * (n / 5)..].iter();
                for (shifts, &mean) in shifts.as_chunks_mut::<5>().0.iter_mut().zip(means) {
                    (shifts[0], shifts[1]) = (mean, mean);
                }
            }
            let (raw, shifts, out) = (&raw[..n], &shifts[..n], &mut out[..n]);
            for i in 0..n {
                let value = (raw[i] + shifts[i]) * gains[i] + offsets[i];
                let value = if value > floors[i] { value } else { floors[i] };
                let value = if value < bounds[i] { value } else { bounds[i] };
                out[i] = whole(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_is_rounding_to_even_within_bounds() {
        for bound in [1.0, 127.0, 32767.0, 4_194_304.0] {
            for i in -2000..2000 {
                let x = f32::from(i as i16) * 0.25 * bound / 400.0;
                assert_eq!(nearest(x, bound), x.round_ties_even().clamp(-bound, bound), "{x} within {bound}");
            }
            assert_eq!(nearest(f32::MAX, bound), bound);
        }
    }

    #[test]
    fn compand_is_a_logarithm_to_a_tenth() {
        for i in 0..100_000 {
            let x = i as f32 * 0.043;
            let expected = (1.0 + x).log2().min(12.0);
            // Linear between powers of two is at most 0.0861 too low; half a step more for rounding.
            let value = compand(x) as f32 * COMPAND_STEP;
            assert!((value - expected + 0.043).abs() < 0.043 + 0.017, "{x}");
        }
        assert_eq!(compand(0.0), 0);
        assert_eq!(compand(f32::MAX) as f32 * COMPAND_STEP, COMPAND_LIMIT);
    }
}
