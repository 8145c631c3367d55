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

    /// Returns the nearest multiple, the even one of two.
    #[inline]
    fn snap(self, x: f32) -> f32 {
        nearest(x * self.inverse, self.bound) * self.step
    }

    /// Returns the nearest multiple in units of the step; `bound` must be below 2^15.
    #[inline]
    pub(crate) fn index(self, x: f32) -> i16 {
        // The integer is in the last bits of the sum, since those of `WHOLE` are 0.
        let x = x * self.inverse;
        let x = if x > -self.bound { x } else { -self.bound };
        let x = if x < self.bound { x } else { self.bound };
        (x + WHOLE).to_bits() as i16
    }
}

/// Floats of this size are whole numbers, so adding this rounds. Unlike `round_ties_even`, that needs only SSE2.
const WHOLE: f32 = (3 << 22) as f32;

/// Returns the whole number within ±`bound` that is nearest to `x`, the even one of two. `bound` is at most 2^22.
#[inline]
fn nearest(x: f32, bound: f32) -> f32 {
    x.clamp(-bound, bound) + WHOLE - WHOLE
}

/// Applies a leaky rectifier with this slope below zero, then the grid, in place.
pub fn activate(x: &mut [f32], slope: f32, grid: Grid) {
    for x in x {
        *x = grid.snap(if *x > 0.0 { *x } else { *x * slope });
    }
}

/// The step of companded values.
const COMPAND_STEP: f32 = 1.0 / 32.0;
/// The largest companded value, in steps.
const COMPAND_LEVELS: i32 = 12 * 32;

/// Returns log2(1 + x) of x >= 0, linear between powers of two.
#[inline]
fn compand(x: f32) -> f32 {
    // The exponent and the first five bits of the mantissa, rounded; 127 is the exponent's bias.
    let level = ((((x + 1.0).to_bits() as i32) + (1 << 17)) >> 18) - (127 << 5);
    level.min(COMPAND_LEVELS) as f32 * COMPAND_STEP
}

/// The conversion of coefficients to inputs of a network.
#[derive(Debug, Clone, Copy)]
pub struct Normaliser<'a> {
    /// For each frequency, the reciprocal of a coefficient's unit.
    pub inverse: &'a [f32],
    /// Values are clamped to ± this.
    pub limit: f32,
    /// The grid of linear predictions.
    pub fine: Grid,
    /// The grid of all other inputs.
    pub coarse: Grid,
}

impl Normaliser<'_> {
    /// Returns `(fine, coarse, companded magnitude)` of a coefficient.
    #[inline]
    fn at(&self, x: f32, inverse: f32) -> (f32, f32, f32) {
        let x = x * inverse;
        let fine = self.fine.snap(x.clamp(-self.limit, self.limit));
        (fine, self.coarse.snap(fine), compand(2.0 * x.abs()))
    }

    /// Computes the fine and coarse values and the companded magnitudes, all `[N, n]`, of coefficients `[N, n]`.
    pub fn normalise(&self, x: &[f32], fine: &mut [f32], coarse: &mut [f32], magnitude: &mut [f32]) {
        let n = self.inverse.len();
        let out = fine.chunks_exact_mut(n).zip(coarse.chunks_exact_mut(n)).zip(magnitude.chunks_exact_mut(n));
        for (x, ((fine, coarse), magnitude)) in x.chunks_exact(n).zip(out) {
            let out = fine.iter_mut().zip(coarse).zip(magnitude);
            for ((&x, &inverse), ((fine, coarse), magnitude)) in x.iter().zip(self.inverse).zip(out) {
                (*fine, *coarse, *magnitude) = self.at(x, inverse);
            }
        }
    }

    /// Computes channels of context `[N, 2 bands + P + 1 + remainders]` of blocks of coefficients `[N, 64]`.
    ///
    /// The channels are: the coarse values and the magnitudes of the first `bands` coefficients, the companded sums of
    /// magnitudes over the pools `[P, 64]`, the constant 1, and the differences of the first `remainders` fine values and
    /// coarse values.
    pub fn features(&self, x: &[f32], pools: &[f32], remainders: usize, out: &mut [f32]) {
        let bands = self.inverse.len();
        let pool_count = pools.len() / BLOCK;
        let channels = 2 * bands + pool_count + 1 + remainders;
        for (x, out) in x.chunks_exact(BLOCK).zip(out.chunks_exact_mut(channels)) {
            let (coarse, out) = out.split_at_mut(bands);
            let (magnitude, out) = out.split_at_mut(bands);
            let (pooled, out) = out.split_at_mut(pool_count);
            let (one, remainder) = out.split_at_mut(1);
            let mut fine = [0.0; BLOCK];
            let values = fine.iter_mut().zip(coarse.iter_mut()).zip(magnitude);
            for ((&x, &inverse), ((fine, coarse), magnitude)) in x.iter().zip(self.inverse).zip(values) {
                (*fine, *coarse, *magnitude) = self.at(x, inverse);
            }
            let sums = pools.as_chunks().0.iter().map(|pool| sum_of_magnitudes(x, pool));
            pooled.iter_mut().zip(sums).for_each(|(out, sum)| *out = compand(sum));
            one.fill(1.0);
            let both = fine.iter().zip(&*coarse);
            remainder.iter_mut().zip(both).for_each(|(out, (fine, coarse))| *out = fine - coarse);
        }
    }
}

/// Coefficients of a block.
const BLOCK: usize = 64;

/// Returns the sum of the magnitudes of the coefficients whose factor in `pool` is 1. They are whole numbers, so the order
/// of additions does not matter: 16 sums at a time suit vectors.
#[inline]
fn sum_of_magnitudes(x: &[f32], pool: &[f32; BLOCK]) -> f32 {
    let mut sums = [0.0; 16];
    for (x, pool) in x.as_chunks::<16>().0.iter().zip(pool.as_chunks::<16>().0) {
        for i in 0..16 {
            sums[i] += x[i].abs() * pool[i];
        }
    }
    sums.iter().sum()
}

/// The conversion of a network's outputs to integer parameters of [`LogisticPair`](crate::ans::LogisticPair).
#[derive(Debug, Clone, Copy)]
pub struct MixtureUnits<'a> {
    /// For each frequency, the unit of the means in 1/16 steps.
    pub gain: &'a [f32],
    /// For each frequency, a constant that is added to the index of a scale.
    pub offset: &'a [f32],
    /// The number of scale indices in one unit of the natural logarithm.
    pub octave: f32,
}

impl MixtureUnits<'_> {
    /// Computes the parameters `[N, n, 5]` of outputs `raw` `[N, n, 5]`. If `mean` `[N, n]` is given, it is added to both
    /// means of an element.
    pub fn params(&self, raw: &[f32], mean: Option<&[f32]>, out: &mut [i16]) {
        // All five are (raw + shift) * gain + offset, rounded and clamped: one loop over them suits vectors.
        let gains = self.fives(|k| [self.gain[k], self.gain[k], self.octave, self.octave, 8.0]);
        let offsets = self.fives(|k| [0.0, 0.0, self.offset[k], self.offset[k], 64.0]);
        let bounds = self.fives(|_| [32767.0, 32767.0, 127.0, 127.0, 127.0]);
        let floors = self.fives(|_| [-32767.0, -32767.0, 0.0, 0.0, 0.0]);
        let mut shifts = vec![0.0; gains.len()];
        let rows = raw.chunks_exact(gains.len()).zip(out.chunks_exact_mut(gains.len()));
        for (i, (raw, out)) in rows.enumerate() {
            if let Some(mean) = mean {
                let means = mean[i * self.gain.len()..].iter();
                for (shifts, &mean) in shifts.as_chunks_mut::<5>().0.iter_mut().zip(means) {
                    (shifts[0], shifts[1]) = (mean, mean);
                }
            }
            let n = gains.len();
            let (shifts, gains, offsets) = (&shifts[..n], &gains[..n], &offsets[..n]);
            let (floors, bounds) = (&floors[..n], &bounds[..n]);
            let (raw, out) = (&raw[..n], &mut out[..n]);
            for i in 0..n {
                let value = (raw[i] + shifts[i]) * gains[i] + offsets[i];
                let value = if value > floors[i] { value } else { floors[i] };
                let value = if value < bounds[i] { value } else { bounds[i] };
                // The integer is in the last bits of the sum, since those of `WHOLE` are 0.
                out[i] = (value + WHOLE).to_bits() as i16;
            }
        }
    }

    fn fives(&self, of: impl Fn(usize) -> [f32; 5]) -> Vec<f32> {
        (0..self.gain.len()).flat_map(of).collect()
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
            assert!((compand(x) - expected + 0.043).abs() < 0.043 + 0.017, "{x}");
        }
        assert_eq!(compand(0.0), 0.0);
        assert_eq!(compand(f32::MAX), 12.0);
    }
}
