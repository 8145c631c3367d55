//! The probability model of MSP, of the latents of images, as `lic_native/models/msp.py` defines it.

use super::coder::{self, SymbolCoder};
use super::config::Config;
use super::context::{
    Context, Head, HeadScratch, HeadSizes, LARGEST_SIDE, Lattice, Normalize, PHASES, Phase, SLOPE, Seen,
    Symbols, Trunk, TrunkSizes, Units,
};
use super::layers::{Linear, Plane};
use super::matrix::Activation;
use super::parameters::{Parameters, Ranges, wrong};
use crate::ans::Backend;
use crate::tensor::weights::{self, Weights};
use crate::{Error, Limits, Result, interrupt};

/// The lattices that are split in phases: every 2nd vector, and all.
const SCALES: usize = 2;
/// Qualities with gains of their own, and steps from one to the next.
const QUALITIES: usize = 8;
const BETWEEN: usize = 64;
/// The index of the highest quality.
const LAST: usize = (QUALITIES - 1) * BETWEEN;
/// A level is a logarithm as an integer: 2^(level / LEVELS).
const LEVELS: i64 = 256;
/// Of deviations, which are normal numbers of single precision within ±.
const LARGEST_LEVEL: i64 = 30 * LEVELS;
/// Channels of the embedding of quality and scale.
const CONDITIONING: usize = 32;

/// Widths and depths; `lic_native/models/msp.py` describes them. Depths that a configuration lacks are zero.
struct Sizes {
    y_channels: usize,
    groups: Vec<(usize, usize)>,
    embedding_width: usize,
    trunk_width: usize,
    head_width: usize,
    skip_channels: usize,
    context_blocks: Vec<usize>,
    pointwise_blocks: usize,
    further_head_layers: usize,
}

impl Sizes {
    fn from_json(text: &str) -> Result<Self> {
        let mut config = Config::from_json(text)?;
        let sizes = Self {
            y_channels: config.width("y_channels")?,
            groups: config.pairs("groups")?,
            embedding_width: config.width("embedding_width")?,
            trunk_width: config.width("trunk_width")?,
            head_width: config.width("head_width")?,
            skip_channels: config.width("skip_channels")?,
            context_blocks: config.widths("context_blocks")?,
            pointwise_blocks: config.size("pointwise_blocks")?,
            further_head_layers: config.size("further_head_layers")?,
        };
        // Of the transforms.
        for name in ["transform_width", "g_a_blocks", "g_s_blocks"] {
            config.size(name)?;
        }
        config.finish()?;
        let mut groups = sizes.groups.clone();
        groups.sort_unstable();
        let mut next = 0;
        for (first, end) in groups {
            if first != next || end <= first {
                return Err(wrong("groups that don't share the channels between them".into()));
            }
            next = end;
        }
        if next != sizes.y_channels || sizes.skip_channels > next {
            return Err(wrong("groups or guesses of more or fewer channels than there are".into()));
        }
        Ok(sizes)
    }
}

/// Quality and scale to the input of FiLM.
struct Conditioning {
    linear: Linear,
    output: Activation,
}

impl Conditioning {
    fn load(parameters: &mut Parameters) -> Result<Self> {
        let ranges = Ranges::default().and(QUALITIES + SCALES + 1, 1.0 / BETWEEN as f32, 1.0);
        let linear = parameters.linear("conditioning.linear", CONDITIONING, true, &ranges)?;
        let grid = parameters.grid("conditioning.output")?;
        Ok(Self { linear, output: Activation { slope: SLOPE, grid } })
    }

    /// Returns the embedding, in steps of `output`: of weights of the stored qualities, and of the scale.
    fn embedding(&self, backend: Backend, index: usize, scale: usize) -> Vec<i16> {
        let near = |row: usize| BETWEEN.saturating_sub(index.abs_diff(row * BETWEEN)) as i16;
        let one = |other| if other == scale { BETWEEN as i16 } else { 0 };
        let x: Vec<i16> = (0..QUALITIES).map(near).chain((0..=SCALES).map(one)).collect();
        let mut embedding = vec![0; CONDITIONING];
        self.linear.apply_activated(backend, &x, self.output, &mut embedding);
        embedding
    }
}

/// Symbols of a coded phase to the planes that later phases see.
struct Embedding {
    skip: usize,
    normalize: Normalize,
    linear: Linear,
    output: Activation,
}

/// Of each coded phase, what the convolutions of a trunk see: the embedded vectors, and the first fine values.
#[derive(Default)]
struct Coded {
    embedded: Vec<Plane>,
    fine: Vec<Plane>,
}

impl Embedding {
    fn load(parameters: &mut Parameters, sizes: &Sizes) -> Result<Self> {
        let (channels, skip) = (sizes.y_channels, sizes.skip_channels);
        let normalize = Normalize::load(parameters, "embedding.normalize")?;
        let ranges = normalize.pair_ranges(channels).and(1, 1.0, 1.0);
        let linear = parameters.paired("embedding.linear", sizes.embedding_width, &[channels], &ranges)?;
        let grid = parameters.grid("embedding.output")?;
        Ok(Self { skip, normalize, linear, output: Activation { slope: SLOPE, grid } })
    }
}

/// The probability model with its weights.
pub struct Msp {
    fingerprint: u32,
    channels: usize,
    /// For each quality and channel, log2 of the deviation of symbols in 1/LEVELS.
    levels: Vec<i64>,
    conditioning: Conditioning,
    embedding: Embedding,
    /// Of each phase of a lattice. The first is for the lowest lattice, of every 4th vector.
    trunks: Vec<Trunk>,
    head: Head,
}

impl Msp {
    /// Takes a file of weights of the whole codec, of which the transforms are left out.
    ///
    /// # Errors
    /// As [`weights::decode`]; [`Error::Corrupt`] if the file is not of this model, [`Error::Unsupported`] if it has a
    /// layer that integers cannot compute exactly.
    pub fn from_bytes(bytes: &[u8], limits: &Limits, threads: usize) -> Result<Self> {
        Self::new(weights::decode(bytes, limits, threads)?)
    }

    /// Takes weights; errors are as of [`Msp::from_bytes`].
    pub fn new(weights: Weights) -> Result<Self> {
        let fingerprint = weights.fingerprint();
        let mut parameters = Parameters::new(weights.arrays).within("prior.");
        let this = Self::load(&weights.config, fingerprint, &mut parameters)?;
        parameters.finish()?;
        Ok(this)
    }

    pub(super) fn load(config: &str, fingerprint: u32, parameters: &mut Parameters) -> Result<Self> {
        let sizes = Sizes::from_json(config)?;
        let levels = levels(parameters, sizes.y_channels)?;
        let conditioning = Conditioning::load(parameters)?;
        let embedding = Embedding::load(parameters, &sizes)?;
        let kinds = [
            ("context", &Ranges::of(sizes.embedding_width, embedding.output.grid)),
            ("fine_context", &embedding.normalize.fine_ranges(sizes.skip_channels)),
        ];
        let mut trunk = TrunkSizes {
            width: sizes.trunk_width,
            skip: sizes.skip_channels,
            cross_channel: Ranges::default(),
            embedding: Ranges::of(CONDITIONING, conditioning.output.grid),
            context_blocks: &[],
            pointwise_blocks: sizes.pointwise_blocks,
        };
        let trunks = (0..4).map(|p| {
            if p > 0 {
                trunk.context_blocks = &sizes.context_blocks;
            }
            Trunk::load(parameters, &format!("trunks.{p}"), &trunk, &kinds, p)
        });
        let trunks = trunks.collect::<Result<_>>()?;
        let head = HeadSizes {
            groups: &sizes.groups,
            trunk_width: sizes.trunk_width,
            width: sizes.head_width,
            skip: sizes.skip_channels,
            guessed: sizes.skip_channels,
            interleaved: true,
            further_layers: sizes.further_head_layers,
            first_context: 0,
        };
        let head = Head::load(parameters, "head", head)?;
        let channels = sizes.y_channels;
        Ok(Self { fingerprint, channels, levels, conditioning, embedding, trunks, head })
    }

    /// Returns 32 bits that change with the configuration and with any weight of the codec.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Returns the number of channels of latents.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Encodes latents at a quality by its index, with the instructions of a backend, which makes no difference to the
    /// bytes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if sizes or numbers are not those of such latents; [`Error::Interrupted`].
    pub fn encode(&self, backend: Backend, index: usize, mut latents: Symbols) -> Result<Vec<u8>> {
        coder::encode(backend, false, |coder| self.walk(backend, coder, index, &mut latents))
    }

    /// Decodes latents of so many rows and columns: inverts [`Msp::encode`].
    ///
    /// # Errors
    /// As [`Msp::encode`], and [`Error::Truncated`] or [`Error::Corrupt`] if the stream is not of such latents.
    pub fn decode(
        &self,
        backend: Backend,
        index: usize,
        size: (usize, usize),
        stream: &[u8],
    ) -> Result<Symbols> {
        check_size(size)?;
        let mut latents = Symbols { size, values: vec![0; size.0 * size.1 * self.channels] };
        coder::decode(backend, stream, |coder| self.walk(backend, coder, index, &mut latents))?;
        Ok(latents)
    }

    /// Codes all latents: encoder and decoder differ only in the coder.
    fn walk(
        &self,
        backend: Backend,
        coder: &mut impl SymbolCoder,
        index: usize,
        latents: &mut Symbols,
    ) -> Result<()> {
        let size = latents.size;
        check_size(size)?;
        if latents.values.len() != size.0 * size.1 * self.channels || index > LAST {
            let what = format!("latents of another size than {size:?}, or quality {index} of {LAST}");
            return Err(Error::InvalidArgument(what));
        }
        let units = self.units(index);
        let mut walk = LatticeWalk {
            backend,
            model: self,
            units,
            latents,
            embedding: Vec::new(),
            coded: Coded::default(),
            scratch: HeadScratch::default(),
        };
        // The lattice of every 4th vector, then the rest of that of every 2nd, then the rest of all.
        for scale in (0..=SCALES).rev() {
            walk.embedding = self.conditioning.embedding(backend, index, scale);
            let (step, stride) = (1 << scale, 2 << scale);
            if scale == SCALES {
                let lattice = Lattice { stride: step, first: (0, 0) };
                walk.code(coder, 0, Phase { lattice, grid: lattice.size(size) })?;
                continue;
            }
            walk.coded = Coded::default();
            let grid = Lattice { stride, first: (0, 0) }.size(size);
            for (p, (i, j)) in PHASES.into_iter().enumerate() {
                let phase = Phase { lattice: Lattice { stride, first: (i * step, j * step) }, grid };
                // The first phase is the lattice before.
                if p > 0 {
                    walk.code(coder, p, phase)?;
                }
                if p < 3 {
                    walk.see(phase)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the deviations of symbols at a quality.
    fn units(&self, index: usize) -> Units {
        let row = (index / BETWEEN).min(QUALITIES - 2);
        let part = (index - BETWEEN * row) as i64;
        let (below, above) = self.levels[row * self.channels..].split_at(self.channels);
        let level = |(&below, &above): (&i64, &i64)| {
            ((BETWEEN as i64 - part) * below + part * above).div_euclid(BETWEEN as i64)
        };
        let levels: Vec<i64> = below.iter().zip(above).map(level).collect();
        let unit: Vec<f32> = levels.iter().map(|&level| power(level)).collect();
        let logarithm = |&level: &i64| (level as f64 * (std::f64::consts::LN_2 / LEVELS as f64)) as f32;
        Units {
            inverse: unit.iter().map(|unit| 1.0 / unit).collect(),
            unit,
            level: levels.iter().map(logarithm).collect(),
        }
    }
}

/// Codes the phases of a lattice, each with the context of all before.
struct LatticeWalk<'a> {
    backend: Backend,
    model: &'a Msp,
    units: Units,
    latents: &'a mut Symbols,
    /// Of quality and scale.
    embedding: Vec<i16>,
    coded: Coded,
    scratch: HeadScratch,
}

impl LatticeWalk<'_> {
    /// Codes phase `p` of the lattice.
    fn code(&mut self, coder: &mut impl SymbolCoder, p: usize, Phase { lattice, grid }: Phase) -> Result<()> {
        let (backend, Msp { trunks, head, .. }) = (self.backend, self.model);
        let inside = lattice.size(self.latents.size);
        if inside.0 == 0 || inside.1 == 0 {
            return Ok(());
        }
        let planes = &[&self.coded.embedded[..], &self.coded.fine[..]];
        let mut context = Context::default();
        let seen = Seen { backend, planes, cross_channel: None, embedding: &self.embedding, grid, inside };
        trunks[p].run(&seen, head.input, &mut context)?;
        head.code(backend, coder, &context, &self.units, (lattice, self.latents), &mut self.scratch)
    }

    /// Makes a coded phase part of the context. Symbols of its padding are zero.
    fn see(&mut self, Phase { lattice, grid }: Phase) -> Result<()> {
        let (backend, &Msp { channels: n, ref embedding, .. }) = (self.backend, self.model);
        let mut embedded = Plane::new(grid.0, grid.1, embedding.linear.outputs());
        let mut fine = Plane::new(grid.0, grid.1, embedding.skip);
        let normaliser = embedding.normalize.normaliser(&self.units.inverse);
        let inside = lattice.size(self.latents.size);
        let mut all_fine = vec![0; n];
        // Of each position, pairs of coarse values and magnitudes, and the constant 1.
        let mut x = vec![0; grid.1 * (2 * n + 1)];
        for y in 0..grid.0 {
            interrupt::check()?;
            x.fill(0);
            x.chunks_exact_mut(2 * n + 1).for_each(|x| x[2 * n] = 1);
            let columns = if y < inside.0 { inside.1 } else { 0 };
            let out = x.chunks_exact_mut(2 * n + 1).zip(fine.row_mut(y).chunks_exact_mut(embedding.skip));
            backend.compiled(
                #[inline(always)]
                || {
                    for (i, (x, fine)) in out.take(columns).enumerate() {
                        let at = n * lattice.at(self.latents.size.1, y, i);
                        let pairs = x.as_chunks_mut().0;
                        normaliser.pairs(&self.latents.values[at..][..n], &mut all_fine, pairs);
                        fine.copy_from_slice(&all_fine[..embedding.skip]);
                    }
                },
            );
            embedding.linear.apply_activated(backend, &x, embedding.output, embedded.row_mut(y));
        }
        self.coded.embedded.push(embedded);
        self.coded.fine.push(fine);
        Ok(())
    }
}

fn check_size((rows, columns): (usize, usize)) -> Result<()> {
    if (1..=LARGEST_SIDE).contains(&rows) && (1..=LARGEST_SIDE).contains(&columns) {
        return Ok(());
    }
    let what = format!("latents of {rows} x {columns} vectors are not 1 to {LARGEST_SIDE} on a side");
    Err(Error::InvalidArgument(what))
}

/// Takes the levels of the deviations of symbols, for each quality and channel.
fn levels(parameters: &mut Parameters, channels: usize) -> Result<Vec<i64>> {
    let gains = parameters.take_integers("gain_levels", &[QUALITIES, channels])?;
    let deviations = parameters.take_integers("deviation_levels", &[channels])?;
    let sum = |(i, &gain): (usize, &i32)| i64::from(gain) + i64::from(deviations[i % channels]);
    let levels: Vec<i64> = gains.iter().enumerate().map(sum).collect();
    if levels.iter().any(|level| level.abs() > LARGEST_LEVEL) {
        return Err(wrong("a level of a deviation is not within 30 octaves".into()));
    }
    Ok(levels)
}

/// Returns 2^(level / LEVELS) within the 32 octaves around 1: its first 31 bits, in single precision.
fn power(level: i64) -> f32 {
    let (whole, part) = (level.div_euclid(LEVELS), level.rem_euclid(LEVELS));
    let (mantissa, shift) = ((octave(part) >> 32) as u64, whole + 2);
    let value = if shift < 0 { mantissa >> -shift } else { mantissa << shift };
    (value as f64 / (1u64 << 32) as f64) as f32
}

/// Returns 2^(part / LEVELS), of one octave, with 62 bits after the point. It is less than 2^6 units too small.
fn octave(part: i64) -> u128 {
    let (mut root, mut product) = (2u128 << 62, 1u128 << 62);
    for bit in (0..LEVELS.ilog2()).rev() {
        root = (root << 62).isqrt();
        if part >> bit & 1 == 1 {
            product = (product * root) >> 62;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So the bits that [`power`] takes are those of the number itself.
    #[test]
    fn octaves_are_exact_in_the_bits_that_count() {
        for part in 0..LEVELS {
            let (value, expected) = (octave(part), f64::exp2(part as f64 / LEVELS as f64));
            assert_eq!(value >> 32, (value + 64) >> 32, "{part}");
            assert!((value as f64 / (1u64 << 62) as f64 - expected).abs() < 1e-15, "{part}");
        }
    }

    #[test]
    fn powers_are_normal_numbers() {
        for level in -LARGEST_LEVEL..=LARGEST_LEVEL {
            let (value, expected) = (power(level), f64::exp2(level as f64 / LEVELS as f64));
            assert!(value.is_normal() && (1.0 / value).is_normal());
            assert!((f64::from(value) / expected - 1.0).abs() < 0.25, "{level}");
        }
    }
}
