//! MLCC, the model of JPEG coefficients, as `lic_native/models/mlcc.py` defines it.

use super::coder::{self, SymbolCoder, corrupt};
use super::config::Config;
use super::context::{
    Context, CrossChannel, Head, HeadScratch, HeadSizes, LARGEST_SIDE, Lattice, Normalize, PHASES, Phase,
    SLOPE, Seen, Symbols, Trunk, TrunkSizes, Units, quantized,
};
use super::histogram::is_comb;
use super::layers::{Conv3x3, Linear, Plane};
use super::matrix::Activation;
use super::parameters::{Parameters, Ranges, wrong};
use super::pointwise::{BLOCK, Grid};
use crate::ans::Backend;
use crate::tensor::weights::{self, Weights};
use crate::{Error, Limits, Result, Unsupported, interrupt};

const LUMA_GROUPS: &[(usize, usize)] =
    &[(36, 64), (28, 36), (21, 28), (15, 21), (10, 15), (6, 10), (3, 6), (1, 3), (0, 1)];
const CHROMA_GROUPS: &[(usize, usize)] = &[(28, 64), (15, 28), (6, 15), (3, 6), (1, 3), (0, 1)];
/// Frequencies whose remainders of coarse rounding are channels of a plane.
const FINE: usize = 6;
/// Hidden channels of the conditioning.
const TABLE_WIDTH: usize = 64;

/// How chroma is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Chroma of half the rows and columns.
    Yuv420,
    /// Chroma of half the columns.
    Yuv422,
    /// Chroma of all rows and columns.
    Yuv444,
    /// No chroma.
    Gray,
}

impl Sampling {
    const ALL: [Self; 4] = [Self::Yuv420, Self::Yuv422, Self::Yuv444, Self::Gray];

    /// Returns the sampling of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sampling| sampling.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Yuv420 => "4:2:0",
            Self::Yuv422 => "4:2:2",
            Self::Yuv444 => "4:4:4",
            Self::Gray => "gray",
        }
    }

    /// Returns the rows and columns of chroma blocks in 2x2 luma blocks.
    fn ratio(self) -> Option<(usize, usize)> {
        match self {
            Self::Yuv420 => Some((1, 1)),
            Self::Yuv422 => Some((2, 1)),
            Self::Yuv444 => Some((2, 2)),
            Self::Gray => None,
        }
    }
}

/// The features of a coded plane.
struct Features {
    bands: usize,
    /// Sums of magnitudes that are seen together: the bits of a frequency are all set if it is in the sum.
    pools: Vec<[u16; BLOCK]>,
    normalize: Normalize,
}

impl Features {
    fn load(parameters: &mut Parameters, name: &str, bands: usize, count: usize) -> Result<Self> {
        let values = parameters.take(&format!("{name}.pools"), &[BLOCK, count])?;
        if values.iter().any(|&value| value != 0.0 && value != 1.0) {
            return Err(wrong(format!("{name}.pools are not 0 and 1")));
        }
        let pool = |i| std::array::from_fn(|k| if values[k * count + i] == 1.0 { u16::MAX } else { 0 });
        let normalize = Normalize::load(parameters, &format!("{name}.normalize"))?;
        Ok(Self { bands, pools: (0..count).map(pool).collect(), normalize })
    }

    /// Returns the ranges of a plane's channels, with so many remainders.
    fn ranges(&self, remainders: usize) -> Ranges {
        self.normalize.feature_ranges(self.bands, self.pools.len(), remainders)
    }

    /// Returns the number of channels without remainders.
    fn channels(&self) -> usize {
        2 * self.bands + self.pools.len() + 1
    }
}

/// Widths and depths; `lic_native/models/mlcc.py` describes them. Depths that a configuration lacks are zero.
struct Sizes {
    luma_trunk_width: usize,
    luma_head_width: usize,
    luma_skip_channels: usize,
    chroma_trunk_width: usize,
    chroma_head_width: usize,
    chroma_skip_channels: usize,
    chroma_context_width: usize,
    conditioning_width: usize,
    luma_context_blocks: Vec<usize>,
    chroma_context_blocks: Vec<usize>,
    luma_pointwise_blocks: usize,
    chroma_pointwise_blocks: usize,
    further_head_layers: usize,
}

impl Sizes {
    fn from_json(text: &str) -> Result<Self> {
        let mut config = Config::from_json(text)?;
        let sizes = Self {
            luma_trunk_width: config.width("luma_trunk_width")?,
            luma_head_width: config.width("luma_head_width")?,
            luma_skip_channels: config.size("luma_skip_channels")?,
            chroma_trunk_width: config.width("chroma_trunk_width")?,
            chroma_head_width: config.width("chroma_head_width")?,
            chroma_skip_channels: config.size("chroma_skip_channels")?,
            chroma_context_width: config.width("chroma_context_width")?,
            conditioning_width: config.width("conditioning_width")?,
            luma_context_blocks: config.widths("luma_context_blocks")?,
            chroma_context_blocks: config.widths("chroma_context_blocks")?,
            luma_pointwise_blocks: config.size("luma_pointwise_blocks")?,
            chroma_pointwise_blocks: config.size("chroma_pointwise_blocks")?,
            further_head_layers: config.size("further_head_layers")?,
        };
        if config.size("z_channels")? > 0 {
            return Err(Unsupported::from("a network with a hyperprior, which needs torch").into());
        }
        config.finish()?;
        Ok(sizes)
    }
}

/// Quantisation tables and sampling to the input of FiLM.
struct Conditioning {
    input: Grid,
    first: Linear,
    hidden: Grid,
    second: Linear,
    output: Grid,
}

impl Conditioning {
    fn load(parameters: &mut Parameters, width: usize) -> Result<Self> {
        let [input, hidden, output] =
            ["input", "hidden", "output"].map(|name| parameters.grid(&format!("conditioning.{name}")));
        let (input, hidden) = (input?, hidden?);
        let inputs = 2 * BLOCK + Sampling::ALL.len();
        Ok(Self {
            input,
            first: parameters.linear("conditioning.first", TABLE_WIDTH, true, &Ranges::of(inputs, input))?,
            hidden,
            second: parameters.linear(
                "conditioning.second",
                width,
                true,
                &Ranges::of(TABLE_WIDTH, hidden),
            )?,
            output: output?,
        })
    }

    /// Returns the embedding, in steps of `output`.
    fn embedding(&self, backend: Backend, log2_tables: &[[f32; BLOCK]], sampling: Sampling) -> Vec<i16> {
        let tables = log2_tables[..2].as_flattened().iter();
        let mut values: Vec<f32> = tables.map(|log2| log2 * std::f32::consts::LN_2 - 3.0).collect();
        values.extend(Sampling::ALL.map(|other| f32::from(u8::from(other == sampling))));
        let mut x = Vec::new();
        quantized(backend, &values, 1.0, self.input, &mut x);
        let mut hidden = vec![0; self.first.outputs()];
        self.first.apply_activated(backend, &x, Activation { slope: SLOPE, grid: self.hidden }, &mut hidden);
        let mut embedding = vec![0; self.second.outputs()];
        self.second.apply_activated(
            backend,
            &hidden,
            Activation { slope: 1.0, grid: self.output },
            &mut embedding,
        );
        embedding
    }
}

/// The network with its weights.
pub struct Mlcc {
    fingerprint: u32,
    sigma: [[f32; BLOCK]; 2],
    conditioning: Conditioning,
    luma_features: Features,
    chroma_features: Features,
    chroma_trunks: Vec<Trunk>,
    chroma_heads: Vec<Head>,
    /// The context of luma from chroma, for each sampling that has any.
    chroma_contexts: Vec<Conv3x3>,
    chroma_output: Grid,
    chroma_width: usize,
    luma_trunks: Vec<Trunk>,
    luma_heads: Vec<Head>,
}

impl Mlcc {
    /// Takes a file of weights.
    ///
    /// # Errors
    /// As [`weights::decode`]; [`Error::Corrupt`] if the file is not of this network, [`Error::Unsupported`] if the network
    /// has a hyperprior, or a layer that integers cannot compute exactly.
    pub fn from_bytes(bytes: &[u8], limits: &Limits, threads: usize) -> Result<Self> {
        Self::new(weights::decode(bytes, limits, threads)?)
    }

    /// Takes weights; errors are as of [`Mlcc::from_bytes`].
    pub fn new(weights: Weights) -> Result<Self> {
        let fingerprint = weights.fingerprint();
        let mut parameters = Parameters::new(weights.arrays);
        let this = Self::load(&weights.config, fingerprint, &mut parameters)?;
        parameters.finish()?;
        Ok(this)
    }

    pub(super) fn load(config: &str, fingerprint: u32, parameters: &mut Parameters) -> Result<Self> {
        let config = Sizes::from_json(config)?;
        let sigma = sigma(&parameters.take("sigma", &[2, BLOCK])?)?;
        let luma_features = Features::load(parameters, "luma_features", 28, 7)?;
        let chroma_features = Features::load(parameters, "chroma_features", 15, 1)?;
        let conditioning = Conditioning::load(parameters, config.conditioning_width)?;
        let embedding = Ranges::of(config.conditioning_width, conditioning.output);
        let chroma_output = parameters.grid("chroma_context.output")?;

        let sizes = TrunkSizes {
            width: config.chroma_trunk_width,
            skip: config.chroma_skip_channels,
            cross_channel: Ranges::default(),
            embedding: embedding.clone(),
            context_blocks: &config.chroma_context_blocks,
            pointwise_blocks: config.chroma_pointwise_blocks,
        };
        let ranges = chroma_features.ranges(FINE);
        let chroma_trunks = (0..8).map(|k| {
            let name = format!("chroma_trunks.{k}");
            Trunk::load(parameters, &name, &sizes, &[("context", &ranges)], k)
        });
        let chroma_trunks = chroma_trunks.collect::<Result<_>>()?;
        let mut head = HeadSizes {
            groups: CHROMA_GROUPS,
            trunk_width: sizes.width,
            width: config.chroma_head_width,
            skip: sizes.skip,
            guessed: guessed(CHROMA_GROUPS, sizes.skip),
            interleaved: false,
            further_layers: config.further_head_layers,
            first_context: 0,
        };
        let chroma_heads = (0..2).map(|i| {
            head.first_context = 64 * i;
            Head::load(parameters, &format!("chroma_heads.{i}"), head)
        });
        let chroma_heads = chroma_heads.collect::<Result<_>>()?;

        let channels = 2 * chroma_features.channels();
        let chroma_contexts = Sampling::ALL.iter().filter_map(|sampling| {
            let (v, h) = sampling.ratio()?;
            let name = format!("chroma_context.convs.{}", sampling.name());
            let ranges = chroma_features.ranges(0).repeated(2 * v * h);
            Some(parameters.conv3x3(
                &name,
                config.chroma_context_width,
                true,
                &ranges,
                &vec![channels; v * h],
            ))
        });
        let chroma_contexts = chroma_contexts.collect::<Result<_>>()?;

        let sizes = TrunkSizes {
            width: config.luma_trunk_width,
            skip: config.luma_skip_channels,
            cross_channel: Ranges::of(config.chroma_context_width, chroma_output),
            embedding,
            context_blocks: &config.luma_context_blocks,
            pointwise_blocks: config.luma_pointwise_blocks,
        };
        let ranges = luma_features.ranges(FINE);
        let luma_trunks = [0, 1, 2, 3, 1, 2, 3].into_iter().enumerate().map(|(i, k)| {
            let name = format!("luma_trunks.{i}");
            Trunk::load(parameters, &name, &sizes, &[("context", &ranges)], k)
        });
        let luma_trunks = luma_trunks.collect::<Result<_>>()?;
        let head = HeadSizes {
            groups: LUMA_GROUPS,
            trunk_width: sizes.width,
            width: config.luma_head_width,
            skip: sizes.skip,
            guessed: guessed(LUMA_GROUPS, sizes.skip),
            first_context: 128,
            ..head
        };
        let luma_heads = (0..4).map(|i| Head::load(parameters, &format!("luma_heads.{i}"), head));
        let luma_heads = luma_heads.collect::<Result<_>>()?;
        Ok(Self {
            fingerprint,
            sigma,
            conditioning,
            luma_features,
            chroma_features,
            chroma_trunks,
            chroma_heads,
            chroma_contexts,
            chroma_output,
            chroma_width: config.chroma_context_width,
            luma_trunks,
            luma_heads,
        })
    }

    /// Returns 32 bits that change with the configuration and with any weight.
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Encodes a picture with the instructions of a backend, which makes no difference to the bytes.
    ///
    /// tables: quantisation tables in zig-zag order, of luma and Cb, and of Cr if it has another one; gray repeats the one
    /// it has. planes: the coefficients of Y, Cb and Cr, or of Y.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if sizes or numbers are not those of such a picture; [`Error::Interrupted`].
    pub fn encode(
        &self,
        backend: Backend,
        sampling: Sampling,
        tables: &[[u16; BLOCK]],
        mut planes: Vec<Symbols>,
    ) -> Result<Vec<u8>> {
        let combs = is_comb(planes.iter().map(|plane| &plane.values[..]));
        coder::encode(backend, combs, |coder| self.walk(backend, coder, sampling, tables, &mut planes))
    }

    /// Decodes a picture whose planes have these sizes: inverts [`Mlcc::encode`].
    ///
    /// # Errors
    /// As [`Mlcc::encode`], and [`Error::Truncated`] or [`Error::Corrupt`] if the stream is not of such a picture.
    pub fn decode(
        &self,
        backend: Backend,
        sampling: Sampling,
        tables: &[[u16; BLOCK]],
        sizes: &[(usize, usize)],
        stream: &[u8],
    ) -> Result<Vec<Symbols>> {
        check_sizes(sampling, sizes)?;
        let plane = |&size: &(usize, usize)| Symbols { size, values: vec![0; size.0 * size.1 * BLOCK] };
        let mut planes = sizes.iter().map(plane).collect::<Vec<_>>();
        coder::decode(backend, stream, |coder| self.walk(backend, coder, sampling, tables, &mut planes))?;
        Ok(planes)
    }

    /// Codes every coefficient of a picture: encoder and decoder differ only in the coder.
    fn walk(
        &self,
        backend: Backend,
        coder: &mut impl SymbolCoder,
        sampling: Sampling,
        tables: &[[u16; BLOCK]],
        planes: &mut [Symbols],
    ) -> Result<()> {
        let sizes: Vec<_> = planes.iter().map(|plane| plane.size).collect();
        check_sizes(sampling, &sizes)?;
        if planes.iter().any(|plane| plane.values.len() != plane.size.0 * plane.size.1 * BLOCK) {
            return Err(Error::InvalidArgument("coefficients of another size than a plane".into()));
        }
        if !(2..=3).contains(&tables.len()) || tables.as_flattened().contains(&0) {
            let what = "tables are not two or three with quantisers from 1 to 65535";
            return Err(Error::InvalidArgument(what.into()));
        }
        let log2_tables: Vec<[f32; BLOCK]> = tables.iter().map(|table| table.map(log2)).collect();
        let units =
            |kind: usize, component: usize| self.units(kind, &tables[component], &log2_tables[component]);
        let embedding = &self.conditioning.embedding(backend, &log2_tables, sampling)[..];
        let [luma, chroma @ ..] = planes else { return Ok(()) };
        let quarter = (luma.size.0.div_ceil(4), luma.size.1.div_ceil(4));
        let half = (2 * quarter.0, 2 * quarter.1);
        let mut chroma_context = None;
        let scratch = &mut HeadScratch::default();
        if let Some((v, h)) = sampling.ratio() {
            let grid = (quarter.0 * v, quarter.1 * h);
            let mut coded = Vec::new();
            // Cr comes first.
            for (c, (blocks, component)) in chroma.iter_mut().rev().zip([tables.len() - 1, 1]).enumerate() {
                let (features, units) = (&self.chroma_features, units(1, component));
                let coded = &mut coded;
                let mut walk = PlaneWalk { backend, embedding, features, units, blocks, coded, scratch };
                for (p, first) in PHASES.into_iter().enumerate() {
                    let phase = Phase { lattice: Lattice { stride: 2, first }, grid };
                    walk.code(coder, &self.chroma_trunks[4 * c + p], &self.chroma_heads[c], phase, None)?;
                    walk.see(phase)?;
                }
            }
            chroma_context = Some(self.chroma_context(backend, sampling, (v, h), half, &coded)?);
        }
        let cross = |stride, first| {
            let values = chroma_context.as_deref()?;
            Some(CrossChannel { values, columns: half.1, channels: self.chroma_width, stride, first })
        };
        let (features, units, coded) = (&self.luma_features, units(0, 0), &mut Vec::new());
        let mut walk = PlaneWalk { backend, embedding, features, units, blocks: luma, coded, scratch };
        // The first phase is coded as a plane of its own.
        for (p, (i, j)) in PHASES.into_iter().enumerate() {
            let phase = Phase { lattice: Lattice { stride: 4, first: (2 * i, 2 * j) }, grid: quarter };
            walk.code(coder, &self.luma_trunks[p], &self.luma_heads[0], phase, cross(2, (i, j)))?;
            if p < 3 {
                walk.see(phase)?;
            }
        }
        walk.coded.clear();
        for (p, first) in PHASES.into_iter().enumerate() {
            let phase = Phase { lattice: Lattice { stride: 2, first }, grid: half };
            if p > 0 {
                walk.code(coder, &self.luma_trunks[3 + p], &self.luma_heads[p], phase, cross(1, (0, 0)))?;
            }
            if p < 3 {
                walk.see(phase)?;
            }
        }
        Ok(())
    }

    /// Returns the context of luma from the features of the chroma phases: `[rows, columns, width]` of a luma phase, in
    /// steps.
    fn chroma_context(
        &self,
        backend: Backend,
        sampling: Sampling,
        (v, h): (usize, usize),
        size: (usize, usize),
        phases: &[Plane],
    ) -> Result<Vec<i16>> {
        let channels = self.chroma_features.channels();
        let stride = channels + FINE;
        // A plane for each position of chroma in a position of luma, with the channels of Cr and of Cb.
        let mut planes = Vec::new();
        for (i, j) in (0..v).flat_map(|i| (0..h).map(move |j| (i, j))) {
            let mut plane = Plane::new(size.0, size.1, 2 * channels);
            for y in 0..size.0 {
                for (x, out) in plane.row_mut(y).chunks_exact_mut(2 * channels).enumerate() {
                    let (row, column) = (y * v + i, x * h + j);
                    let phase = PHASES.iter().position(|&phase| phase == (row % 2, column % 2)).unwrap_or(0);
                    for (phases, out) in phases.chunks_exact(4).zip(out.chunks_exact_mut(channels)) {
                        out.copy_from_slice(&phases[phase].row(row / 2)[column / 2 * stride..][..channels]);
                    }
                }
            }
            planes.push(plane);
        }
        let planes: Vec<&Plane> = planes.iter().collect();
        let layer = &self.chroma_contexts[sampling as usize];
        let activation = Activation { slope: SLOPE, grid: self.chroma_output };
        let mut result = vec![0; size.0 * size.1 * self.chroma_width];
        for (y, row) in result.chunks_exact_mut(size.1 * self.chroma_width).enumerate() {
            interrupt::check()?;
            layer.apply_row_activated(backend, &planes, y, activation, row);
        }
        Ok(result)
    }

    /// Returns the units of luma (kind 0) or chroma (kind 1) with a quantisation table.
    fn units(&self, kind: usize, table: &[u16; BLOCK], log2_table: &[f32; BLOCK]) -> Units {
        let sigma = &self.sigma[kind];
        // Log2 of sigma to 1/256 by the same integer arithmetic as of a quantiser.
        let level = |k: usize| (log2_sigma(sigma[k]) - log2_table[k]) * std::f32::consts::LN_2;
        Units {
            unit: (0..BLOCK).map(|k| sigma[k] / f32::from(table[k])).collect(),
            inverse: (0..BLOCK).map(|k| f32::from(table[k]) / sigma[k]).collect(),
            level: (0..BLOCK).map(level).collect(),
        }
    }
}

/// Codes a plane phase by phase, each with the context of all before.
struct PlaneWalk<'a> {
    backend: Backend,
    embedding: &'a [i16],
    features: &'a Features,
    units: Units,
    blocks: &'a mut Symbols,
    /// Features of phases coded before, of this plane and of others.
    coded: &'a mut Vec<Plane>,
    scratch: &'a mut HeadScratch,
}

impl PlaneWalk<'_> {
    /// Codes a phase.
    fn code(
        &mut self,
        coder: &mut impl SymbolCoder,
        trunk: &Trunk,
        head: &Head,
        Phase { lattice, grid }: Phase,
        cross_channel: Option<CrossChannel>,
    ) -> Result<()> {
        let &mut Self { backend, embedding, .. } = self;
        let (planes, inside) = (&[&self.coded[..]], lattice.size(self.blocks.size));
        let mut context = Context::default();
        let seen = Seen { backend, planes, cross_channel, embedding, grid, inside };
        trunk.run(&seen, head.input, &mut context)?;
        head.code(backend, coder, &context, &self.units, (lattice, self.blocks), self.scratch)
    }

    /// Makes a coded phase part of the context. Of its padding, only the constant channel is other than zero.
    fn see(&mut self, Phase { lattice, grid }: Phase) -> Result<()> {
        let features = self.features;
        let channels = features.channels() + FINE;
        let mut plane = Plane::new(grid.0, grid.1, channels);
        let normaliser = features.normalize.normaliser(&self.units.inverse[..features.bands]);
        let inside = lattice.size(self.blocks.size);
        for y in 0..grid.0 {
            interrupt::check()?;
            let row = plane.row_mut(y);
            row.chunks_exact_mut(channels).for_each(|channel| channel[channels - FINE - 1] = 1);
            if y >= inside.0 {
                continue;
            }
            self.backend.compiled(
                #[inline(always)]
                || {
                    for (x, out) in row.chunks_exact_mut(channels).take(inside.1).enumerate() {
                        let at = BLOCK * lattice.at(self.blocks.size.1, y, x);
                        if let Some(block) = self.blocks.values[at..].first_chunk() {
                            normaliser.features(block, &features.pools, FINE, out);
                        }
                    }
                },
            );
        }
        self.coded.push(plane);
        Ok(())
    }
}

/// Returns the channels, the first, whose guesses are used: of groups that have a guess for each of their channels.
fn guessed(groups: &[(usize, usize)], skip: usize) -> usize {
    groups.iter().map(|&(_, end)| end).filter(|&end| end <= skip).max().unwrap_or(0)
}

fn check_sizes(sampling: Sampling, sizes: &[(usize, usize)]) -> Result<()> {
    let wrong = |what: String| Err(Error::InvalidArgument(what));
    let [luma, chroma @ ..] = sizes else { return wrong("no planes".into()) };
    let count = if sampling.ratio().is_some() { 2 } else { 0 };
    if chroma.len() != count || chroma.iter().any(|size| *size != chroma[0]) {
        return wrong(format!("planes of {sizes:?} blocks are not those of {}", sampling.name()));
    }
    if !(1..=LARGEST_SIDE).contains(&luma.0) || !(1..=LARGEST_SIDE).contains(&luma.1) {
        return wrong(format!("luma of {luma:?} blocks is not 1 to {LARGEST_SIDE} on a side"));
    }
    let (v, h) = sampling.ratio().unwrap_or_default();
    let most = (luma.0.div_ceil(4) * 2 * v, luma.1.div_ceil(4) * 2 * h);
    match chroma.first() {
        Some(size) if size.0 > most.0 || size.1 > most.1 => {
            wrong(format!("chroma of {size:?} blocks for luma of {luma:?} as {}", sampling.name()))
        }
        _ => Ok(()),
    }
}

/// Returns floor(256 log2 q) / 256 of q from 1 on.
fn log2(q: u16) -> f32 {
    let whole = u64::from(q.max(1).ilog2());
    let mut mantissa = u64::from(q) << (30 - whole);
    let mut result = whole;
    for _ in 0..8 {
        mantissa = (mantissa * mantissa) >> 30;
        let carry = u64::from(mantissa >= 1 << 31);
        mantissa >>= carry;
        result = 2 * result + carry;
    }
    result as f32 / 256.0
}

fn log2_sigma(sigma: f32) -> f32 {
    log2((64.0 * sigma).round_ties_even() as u16) - 6.0
}

fn sigma(values: &[f32]) -> Result<[[f32; BLOCK]; 2]> {
    // 64 sigma has a logarithm as a quantiser does.
    if values.iter().any(|sigma| !(1.0..=65535.0).contains(&(64.0 * sigma).round_ties_even())) {
        return Err(wrong("a standard deviation is not from 1/64 to 1023".into()));
    }
    let mut rows = values.as_chunks().0.iter().copied();
    rows.next().zip(rows.next()).map(<[_; 2]>::from).ok_or_else(|| corrupt("sigma"))
}
