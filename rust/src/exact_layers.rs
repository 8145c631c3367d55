//! What an exact network does to each number between two matrix products, in one pass over memory.
//!
//! Each operation is a single correctly rounded one of IEEE 754, in the order in which the network's definition
//! (docs/format.md, section 4) has them, so the results are the same as those of any other program that does so. Inputs
//! are finite.

/// Rounding to multiples of `step` within ±`bound` steps.
#[derive(Debug, Clone, Copy)]
pub struct Grid {
    /// 1 / `step`, a power of two.
    pub inverse: f32,
    /// A whole number up to [`Grid::LARGEST_BOUND`].
    pub bound: f32,
    /// The distance of neighbours, a power of two.
    pub step: f32,
}

impl Grid {
    /// Up to here [`WHOLE`] rounds.
    pub const LARGEST_BOUND: f32 = (1 << 22) as f32;

    /// The nearest multiple; of two, the even one.
    #[inline]
    fn snap(self, x: f32) -> f32 {
        nearest(x * self.inverse, self.bound) * self.step
    }
}

/// Where floats are whole numbers: adding this rounds. Unlike `round_ties_even` that needs no instruction beyond SSE2.
const WHOLE: f32 = (3 << 22) as f32;

/// The whole number nearest to x within ±bound, bound being at most 2^22; of two, the even one.
#[inline]
fn nearest(x: f32, bound: f32) -> f32 {
    x.clamp(-bound, bound) + WHOLE - WHOLE
}

/// The leaky rectifier, whose slope below zero is given, then the grid, in place.
pub fn activate(x: &mut [f32], slope: f32, grid: Grid) {
    for x in x {
        *x = grid.snap(if *x > 0.0 { *x } else { *x * slope });
    }
}

/// Steps of companded values.
const COMPAND_STEP: f32 = 1.0 / 32.0;
/// Their largest value, in steps.
const COMPAND_LEVELS: i32 = 12 * 32;

/// log2(1 + x) of x >= 0, linear between powers of two.
#[inline]
fn compand(x: f32) -> f32 {
    // Exponent and the mantissa's first five bits, rounded; 127 is the exponent's bias.
    let level = ((((x + 1.0).to_bits() as i32) + (1 << 17)) >> 18) - (127 << 5);
    level.min(COMPAND_LEVELS) as f32 * COMPAND_STEP
}

/// How coefficients become inputs of a network.
#[derive(Debug, Clone, Copy)]
pub struct Normaliser<'a> {
    /// For each frequency, a coefficient's unit as a factor.
    pub inverse: &'a [f32],
    /// Values are within ± this.
    pub limit: f32,
    /// Of linear predictions.
    pub fine: Grid,
    /// Of everything else.
    pub coarse: Grid,
}

impl Normaliser<'_> {
    /// (fine, coarse, companded magnitude) of a coefficient.
    #[inline]
    fn at(&self, x: f32, inverse: f32) -> (f32, f32, f32) {
        let x = x * inverse;
        let fine = self.fine.snap(x.clamp(-self.limit, self.limit));
        (fine, self.coarse.snap(fine), compand(2.0 * x.abs()))
    }

    /// Coefficients `[N, n]` -> their fine and coarse values and their companded magnitudes, all `[N, n]`.
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

    /// Blocks of coefficients `[N, 64]` -> channels of context `[N, 2 bands + P + 1 + remainders]`: of the first `bands`
    /// coefficients the coarse values and the magnitudes, the companded sums of magnitudes over the pools `[P, 64]`, one,
    /// and what the first `remainders` fine values are above the coarse ones.
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

/// Of the coefficients whose factor in `pool` is 1. They are whole numbers, so the order of adding is free: 16 sums at a
/// time suit vectors.
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

/// What a network says of mixtures -> their integer parameters (see [`crate::tables::LogisticMixture`]).
#[derive(Debug, Clone, Copy)]
pub struct MixtureUnits<'a> {
    /// For each frequency, 1/16 steps in a unit of the means.
    pub gain: &'a [f32],
    /// For each frequency, what is added to the index of a scale.
    pub offset: &'a [f32],
    /// Indices of scales in a unit of their natural logarithm.
    pub octave: f32,
}

impl MixtureUnits<'_> {
    /// `raw` `[N, n, 5]` and what is added to both means, `[N, n]` or nothing -> `[N, n, 5]`.
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
                // The integer stands in the sum's last bits, those of `WHOLE` itself being 0.
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
