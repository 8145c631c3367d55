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
    /// A whole number up to 2^22.
    pub bound: f32,
    /// The distance of neighbours, a power of two.
    pub step: f32,
}

impl Grid {
    /// The nearest multiple; of two, the even one.
    #[inline]
    fn snap(self, x: f32) -> f32 {
        nearest(x * self.inverse, self.bound) * self.step
    }
}

/// The whole number nearest to x within ±bound, bound being at most 2^22; of two, the even one.
#[inline]
fn nearest(x: f32, bound: f32) -> f32 {
    // Where floats are whole numbers, adding rounds. Unlike `round_ties_even` this needs no instruction beyond SSE2.
    const WHOLE: f32 = (3 << 22) as f32;
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
    /// coefficients the coarse values and the magnitudes, the companded sums over the pools `[64, P]`, one, and what the
    /// first `remainders` fine values are above the coarse ones.
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
            pooled.fill(0.0);
            for (x, pools) in x.iter().zip(pools.chunks_exact(pool_count)) {
                pooled.iter_mut().zip(pools).for_each(|(sum, &pool)| *sum += x.abs() * pool);
            }
            pooled.iter_mut().for_each(|sum| *sum = compand(*sum));
            one.fill(1.0);
            let both = fine.iter().zip(&*coarse);
            remainder.iter_mut().zip(both).for_each(|(out, (fine, coarse))| *out = fine - coarse);
        }
    }
}

/// Coefficients of a block.
const BLOCK: usize = 64;

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
    pub fn params(&self, raw: &[[f32; 5]], mean: Option<&[f32]>, out: &mut [[i16; 5]]) {
        let n = self.gain.len();
        for (i, (raw, out)) in raw.chunks_exact(n).zip(out.chunks_exact_mut(n)).enumerate() {
            let mean = mean.map(|mean| &mean[i * n..][..n]);
            for (k, (raw, out)) in raw.iter().zip(out).enumerate() {
                let mean = mean.map_or(0.0, |mean| mean[k]);
                let position = |x: f32| nearest((x + mean) * self.gain[k], 32767.0) as i16;
                let index = |x: f32| nearest(x.max(-1.0), 128.0).clamp(0.0, 127.0) as i16;
                let scale = |x: f32| index(x * self.octave + self.offset[k]);
                *out = [
                    position(raw[0]),
                    position(raw[1]),
                    scale(raw[2]),
                    scale(raw[3]),
                    index(raw[4] * 8.0 + 64.0),
                ];
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
            assert!((compand(x) - expected + 0.043).abs() < 0.043 + 0.017, "{x}");
        }
        assert_eq!(compand(0.0), 0.0);
        assert_eq!(compand(f32::MAX), 12.0);
    }
}
