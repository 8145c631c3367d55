//! The layers that a phase of a grid is coded with: a trunk, which sees the phases before, and a head, which sees the groups
//! before. `lic_native/models/context.py` defines and explains them; the order of roundings is the same here.
//!
//! A trunk works row by row and a head by 64 positions, so that what passes between layers stays in the cache.

use super::coder::SymbolCoder;
use super::layers::{Conv3x3, Linear, Plane};
use super::matrix::{Activation, Rows};
use super::parameters::{Parameters, Ranges};
use super::pointwise::{
    COMPAND_LIMIT, COMPAND_STEP, Grid, MixtureUnits, Normaliser, modulate, multiples, quantize,
};
use crate::ans::{Backend, Contexts};
use crate::tables::PAIR_PARAMS;
use crate::{Result, interrupt};

/// The slope of the leaky rectifier below zero.
pub(super) const SLOPE: f32 = 0.125;
/// Normalised coefficients are clamped to ± this.
const LIMIT: f32 = 6.0;
/// The number of positions that a head works on at a time. A multiple of 64, as [`SymbolCoder::code`] asks.
const CHUNK: usize = 64;
/// The largest side of a picture in blocks or vectors, which bounds memory: that of the format's tiles.
pub const LARGEST_SIDE: usize = 128;
/// The rows and columns of the phases in a square of 2x2, in coding order.
pub(super) const PHASES: [(usize, usize); 4] = [(0, 0), (1, 1), (0, 1), (1, 0)];
/// The number of scale indices in a factor of e.
const E_FOLD: f32 = (8.0 / std::f64::consts::LN_2) as f32;

/// The standard deviations of the symbols of each channel.
#[derive(Debug, Clone)]
pub(super) struct Units {
    /// In integer steps; the reciprocals; the natural logarithms.
    pub(super) unit: Vec<f32>,
    pub(super) inverse: Vec<f32>,
    pub(super) level: Vec<f32>,
}

impl Units {
    fn mixture(&self, (first, end): (usize, usize)) -> MixtureUnits {
        let gain: Vec<f32> = self.unit[first..end].iter().map(|unit| 16.0 * unit).collect();
        let offset: Vec<f32> = self.level[first..end].iter().map(|level| level * E_FOLD + 48.0).collect();
        MixtureUnits::new(&gain, &offset, E_FOLD)
    }
}

/// The grids of normalised symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normalize {
    fine: Grid,
    coarse: Grid,
}

impl Normalize {
    pub(super) fn load(parameters: &mut Parameters, name: &str) -> Result<Self> {
        let [fine, coarse] = ["fine", "coarse"].map(|grid| parameters.grid(&format!("{name}.{grid}")));
        Ok(Self { fine: fine?, coarse: coarse? })
    }

    pub(super) fn normaliser<'a>(&self, inverse: &'a [f32]) -> Normaliser<'a> {
        Normaliser { inverse, limit: LIMIT, fine: self.fine, coarse: self.coarse }
    }

    /// Returns the ranges of fine values.
    pub(super) fn fine_ranges(&self, count: usize) -> Ranges {
        Ranges::default().and(count, self.fine.step, LIMIT)
    }

    /// Returns the ranges of pairs of coarse values and magnitudes (`Normaliser::pairs`).
    pub(super) fn pair_ranges(&self, count: usize) -> Ranges {
        let pair = Ranges::default().and(1, self.coarse.step, LIMIT).and(1, COMPAND_STEP, COMPAND_LIMIT);
        pair.repeated(count)
    }

    /// Returns the ranges of a plane's channels (`Normaliser::features`).
    pub(super) fn feature_ranges(&self, bands: usize, pools: usize, remainders: usize) -> Ranges {
        Ranges::default()
            .and(bands, self.coarse.step, LIMIT)
            .and(bands + pools, COMPAND_STEP, COMPAND_LIMIT)
            .and(1, 1.0, 1.0)
            .and(remainders, self.fine.step, self.coarse.step / 2.0)
    }
}

/// A layer between two quantizers and a sum: t -> second(leaky rectifier(first(t))).
struct Inner<First> {
    input: Grid,
    first: First,
    hidden: Grid,
    second: Linear,
}

/// The number of inner channels, and the layers `hidden` and `second`, of a block.
fn inner<First>(
    parameters: &mut Parameters,
    name: &str,
    width: usize,
    inner: usize,
    first: impl FnOnce(&mut Parameters, &str, Grid) -> Result<First>,
) -> Result<Inner<First>> {
    let input = parameters.grid(&format!("{name}.input"))?;
    let first = first(parameters, &format!("{name}.first"), input)?;
    let hidden = parameters.grid(&format!("{name}.hidden"))?;
    let second = parameters.linear(&format!("{name}.second"), width, true, &Ranges::of(inner, hidden))?;
    Ok(Inner { input, first, hidden, second })
}

impl<First> Inner<First> {
    /// Returns the activation between the layers.
    fn activation(&self) -> Activation {
        Activation { slope: SLOPE, grid: self.hidden }
    }
}

impl Inner<Linear> {
    /// Adds second(leaky rectifier(first(x))) to t.
    fn add_to(&self, backend: Backend, x: &[i16], t: &mut [f32], hidden: &mut Vec<i16>) {
        hidden.resize(t.len() / self.second.outputs() * self.first.outputs(), 0);
        self.first.apply_activated(backend, x, self.activation(), hidden);
        self.second.add_to(backend, &*hidden, t);
    }
}

/// Rounds to a grid, after a leaky rectifier if the slope is not 1.
pub(super) fn quantized(backend: Backend, x: &[f32], slope: f32, grid: Grid, out: &mut Vec<i16>) {
    out.resize(x.len(), 0);
    backend.compiled(
        #[inline(always)]
        || quantize(x, slope, grid, out),
    );
}

/// The end of a vector's length, made at least so long; what it holds has no meaning.
fn room(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    values.resize(len, 0.0);
    values
}

/// The sizes and inputs of a trunk.
#[derive(Debug, Clone)]
pub(super) struct TrunkSizes<'a> {
    pub(super) width: usize,
    pub(super) skip: usize,
    /// Of the vectors of context from chroma; none without.
    pub(super) cross_channel: Ranges,
    /// Of what FiLM sees of the picture.
    pub(super) embedding: Ranges,
    pub(super) context_blocks: &'a [usize],
    pub(super) pointwise_blocks: usize,
}

/// Context of one phase: the planes coded before to vectors t, and linear guesses at the means.
pub(super) struct Trunk {
    width: usize,
    skip: usize,
    /// One for each kind of planes, whose results are added in this order; none in the first phase.
    contexts: Vec<Conv3x3>,
    cross_channel: Option<Linear>,
    film: Linear,
    residual: Inner<Linear>,
    context_blocks: Vec<Inner<Conv3x3>>,
    pointwise_blocks: Vec<Inner<Linear>>,
}

/// What the vectors of a grid share: FiLM's factors and shifts.
struct Film {
    factors: Vec<f32>,
    shifts: Vec<f32>,
}

/// Memory that is used again for each row.
#[derive(Default)]
struct Scratch {
    context: Vec<f32>,
    cross: Vec<f32>,
    x: Vec<i16>,
    hidden: Vec<i16>,
}

/// Vectors of context from chroma, `[rows, columns, channels]`, and the positions that a phase sees of them.
#[derive(Clone, Copy)]
pub(super) struct CrossChannel<'a> {
    pub(super) values: &'a [i16],
    pub(super) columns: usize,
    pub(super) channels: usize,
    /// The distance of neighbouring positions, and the first row and column.
    pub(super) stride: usize,
    pub(super) first: (usize, usize),
}

impl CrossChannel<'_> {
    /// Collects the vectors of row `y` of the phase.
    fn row(&self, y: usize, count: usize, out: &mut Vec<i16>) {
        let row = (y * self.stride + self.first.0) * self.columns;
        out.clear();
        for x in 0..count {
            let position = row + x * self.stride + self.first.1;
            out.extend_from_slice(&self.values[position * self.channels..][..self.channels]);
        }
    }
}

/// What a trunk sees of a picture.
pub(super) struct Seen<'a> {
    pub(super) backend: Backend,
    /// Of each kind the planes of the phases coded before, of the size of the grid.
    pub(super) planes: &'a [&'a [Plane]],
    pub(super) cross_channel: Option<CrossChannel<'a>>,
    /// Of what the whole picture has in common, in steps.
    pub(super) embedding: &'a [i16],
    /// Rows and columns of the phase, with its padding.
    pub(super) grid: (usize, usize),
    /// Rows and columns of the phase that are inside of the picture.
    pub(super) inside: (usize, usize),
}

/// What a head takes of a trunk, for each position inside of the picture.
#[derive(Default)]
pub(super) struct Context {
    /// `[N, width]` in steps of the head's input.
    t: Vec<i16>,
    /// `[N, skip]`; empty without guesses.
    skip: Vec<f32>,
}

impl Trunk {
    /// Takes a trunk's layers. `kinds` names the convolution of each kind of planes, and has the ranges of one plane; of each
    /// kind `planes` were coded before.
    pub(super) fn load(
        parameters: &mut Parameters,
        name: &str,
        sizes: &TrunkSizes,
        kinds: &[(&str, &Ranges)],
        planes: usize,
    ) -> Result<Self> {
        let &TrunkSizes { width, skip, context_blocks, pointwise_blocks, .. } = sizes;
        let kinds = if planes > 0 { kinds } else { &[] };
        let contexts = kinds.iter().map(|&(kind, ranges)| {
            let (outputs, channels) = (width + skip, vec![ranges.len(); planes]);
            parameters.conv3x3(&format!("{name}.{kind}"), outputs, false, &ranges.repeated(planes), &channels)
        });
        let contexts = contexts.collect::<Result<_>>()?;
        let cross_channel = (sizes.cross_channel.len() > 0)
            .then(|| parameters.linear(&format!("{name}.cross_channel"), width, false, &sizes.cross_channel));
        let linear = |parameters: &mut Parameters, name: &str, input| {
            parameters.linear(name, width, true, &Ranges::of(width, input))
        };
        Ok(Self {
            width,
            skip,
            contexts,
            cross_channel: cross_channel.transpose()?,
            film: parameters.linear(&format!("{name}.film"), 2 * width, true, &sizes.embedding)?,
            residual: inner(parameters, &format!("{name}.blocks.0"), width, width, linear)?,
            context_blocks: context_blocks
                .iter()
                .enumerate()
                .map(|(i, &n)| {
                    inner(
                        parameters,
                        &format!("{name}.context_blocks.{i}"),
                        width,
                        n,
                        |parameters, name, input| {
                            parameters.conv3x3(name, n, true, &Ranges::of(width, input), &[width])
                        },
                    )
                })
                .collect::<Result<_>>()?,
            pointwise_blocks: (0..pointwise_blocks)
                .map(|i| inner(parameters, &format!("{name}.pointwise_blocks.{i}"), width, width, linear))
                .collect::<Result<_>>()?,
        })
    }

    /// Computes what a head takes, at the positions of the grid that are inside of the picture, in steps of its `input`.
    pub(super) fn run(&self, seen: &Seen, input: Grid, out: &mut Context) -> Result<()> {
        let &Seen { backend, embedding, grid, inside, .. } = seen;
        out.t.clear();
        out.skip.clear();
        let mut film = vec![0.0; 2 * self.width];
        self.film.apply(backend, embedding, &mut film);
        let (gains, shifts) = film.split_at(self.width);
        let film = Film { factors: gains.iter().map(|gain| 1.0 + gain).collect(), shifts: shifts.to_vec() };
        let scratch = &mut Scratch::default();
        let row = grid.1 * self.width;
        if self.context_blocks.is_empty() {
            let mut t = vec![0.0; row];
            for y in 0..inside.0 {
                interrupt::check()?;
                self.begin(seen, &film, y, &mut t, out, scratch);
                self.end(backend, &mut t[..inside.1 * self.width], input, out, scratch);
            }
            return Ok(());
        }
        // Context blocks see rows after this one, and positions outside.
        let mut t = vec![0.0; grid.0 * row];
        for (y, t) in t.chunks_mut(row).enumerate() {
            interrupt::check()?;
            self.begin(seen, &film, y, t, out, scratch);
        }
        for block in &self.context_blocks {
            let mut plane = Plane::new(grid.0, grid.1, self.width);
            for (y, t) in t.chunks(row).enumerate() {
                quantized(backend, t, 1.0, block.input, &mut scratch.x);
                plane.row_mut(y).copy_from_slice(&scratch.x);
            }
            for (y, t) in t.chunks_mut(row).enumerate() {
                interrupt::check()?;
                scratch.hidden.resize(grid.1 * block.first.outputs(), 0);
                let hidden = &mut scratch.hidden[..];
                block.first.apply_row_activated(backend, &[&plane], y, block.activation(), hidden);
                block.second.add_to(backend, &*hidden, t);
            }
        }
        for t in t.chunks_mut(row).take(inside.0) {
            interrupt::check()?;
            self.end(backend, &mut t[..inside.1 * self.width], input, out, scratch);
        }
        Ok(())
    }

    /// Computes row `y` of t up to the residual block, and appends the row's guesses inside of the picture.
    fn begin(
        &self,
        seen: &Seen,
        film: &Film,
        y: usize,
        t: &mut [f32],
        out: &mut Context,
        scratch: &mut Scratch,
    ) {
        let &Seen { backend, planes, cross_channel, inside, .. } = seen;
        let (width, stride) = (self.width, self.width + self.skip);
        let columns = t.len() / width;
        let context = (!self.contexts.is_empty()).then(|| {
            let context = room(&mut scratch.context, columns * stride);
            for (i, (layer, planes)) in self.contexts.iter().zip(planes).enumerate() {
                let planes: Vec<&Plane> = planes.iter().collect();
                if i == 0 {
                    layer.apply_row(backend, &planes, y, context);
                } else {
                    layer.add_row_to(backend, &planes, y, context);
                }
            }
            if y < inside.0 && self.skip > 0 {
                let guesses = context.chunks_exact(stride).take(inside.1).flat_map(|vector| &vector[width..]);
                out.skip.extend(guesses);
            }
            &*context
        });
        let cross = cross_channel.zip(self.cross_channel.as_ref()).map(|(chroma, layer)| {
            chroma.row(y, columns, &mut scratch.x);
            let cross = room(&mut scratch.cross, columns * width);
            layer.apply(backend, &scratch.x, cross);
            &*cross
        });
        backend.compiled(
            #[inline(always)]
            || modulate(context.map(|context| (context, stride)), cross, &film.factors, &film.shifts, t),
        );
        let block = &self.residual;
        quantized(backend, t, SLOPE, block.input, &mut scratch.x);
        // The block adds to its rectified and rounded input.
        backend.compiled(
            #[inline(always)]
            || multiples(&scratch.x, block.input.step, t),
        );
        block.add_to(backend, &scratch.x, t, &mut scratch.hidden);
    }

    /// Applies the blocks of 1x1 layers to vectors, and appends the result as inputs of a head.
    fn end(&self, backend: Backend, t: &mut [f32], input: Grid, out: &mut Context, scratch: &mut Scratch) {
        for block in &self.pointwise_blocks {
            quantized(backend, t, 1.0, block.input, &mut scratch.x);
            block.add_to(backend, &scratch.x, t, &mut scratch.hidden);
        }
        quantized(backend, t, 1.0, input, &mut scratch.x);
        out.t.extend_from_slice(&scratch.x);
    }
}

/// A further layer of a group's hidden channels: h -> h + linear(leaky rectifier(h)).
struct FurtherLayer {
    input: Grid,
    linear: Linear,
}

/// Distributions of a phase's symbols, group by group: each sees the trunk's output and the groups before it.
pub(super) struct Head {
    pub(super) input: Grid,
    trunk_width: usize,
    width: usize,
    skip: usize,
    guessed: usize,
    first_context: u16,
    /// Of all groups.
    channels: usize,
    normalize: Normalize,
    groups: Vec<Group>,
}

/// The layers of one group.
struct Group {
    channels: (usize, usize),
    context: Linear,
    /// Of what was coded before: the hidden channels and the means; none in the first group.
    before: Option<(Linear, Linear)>,
    further: Vec<FurtherLayer>,
    hidden: Grid,
    output: Linear,
}

/// Vectors of integers at the positions of a grid, `[rows, columns, channels]`: of latents, or the coefficients of blocks in
/// zig-zag order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    /// The number of rows and of columns.
    pub size: (usize, usize),
    /// The integers.
    pub values: Vec<i16>,
}

/// The positions of a phase in a grid: every `stride`-th row and column, from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    pub(super) stride: usize,
    pub(super) first: (usize, usize),
}

impl Lattice {
    /// Returns how many rows and columns of a grid belong to the phase.
    pub(super) fn size(self, (rows, columns): (usize, usize)) -> (usize, usize) {
        let count = |length: usize, first: usize| length.saturating_sub(first).div_ceil(self.stride);
        (count(rows, self.first.0), count(columns, self.first.1))
    }

    /// Returns the position in the grid, whose rows follow each other, of a vector of the phase.
    pub(super) fn at(self, columns: usize, y: usize, x: usize) -> usize {
        (y * self.stride + self.first.0) * columns + x * self.stride + self.first.1
    }
}

/// A phase of a grid: its positions, and its rows and columns with padding.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    pub(super) lattice: Lattice,
    pub(super) grid: (usize, usize),
}

/// The sizes of a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadSizes<'a> {
    /// First and last channels of groups, in coding order.
    pub(super) groups: &'a [(usize, usize)],
    pub(super) trunk_width: usize,
    /// Hidden channels of a group.
    pub(super) width: usize,
    /// Channels, the first, that the trunk has a guess at; and those whose guesses are used.
    pub(super) skip: usize,
    pub(super) guessed: usize,
    /// Whether inputs from coded groups stand group by group in the file: coarse values, magnitudes, and the next group.
    pub(super) interleaved: bool,
    pub(super) further_layers: usize,
    pub(super) first_context: u16,
}

impl Head {
    /// Takes a head's layers.
    pub(super) fn load(parameters: &mut Parameters, name: &str, sizes: HeadSizes) -> Result<Self> {
        let HeadSizes { groups, width, .. } = sizes;
        let normalize = Normalize::load(parameters, &format!("{name}.normalize"))?;
        let input = parameters.grid(&format!("{name}.input"))?;
        let ranges = Ranges::of(sizes.trunk_width, input);
        let contexts = parameters.linears(&format!("{name}.context"), width, groups.len(), &ranges)?;
        let counts: Vec<usize> = groups.iter().map(|&(first, end)| end - first).collect();
        let mut seen = 0;
        let layers = groups.iter().zip(contexts).enumerate().map(|(g, (&channels, context))| {
            let size = counts[g];
            let before = g.checked_sub(1).map(|i| -> Result<_> {
                let parts = if sizes.interleaved { &counts[..g] } else { &[seen] };
                let ranges = normalize.pair_ranges(seen);
                let context =
                    parameters.paired(&format!("{name}.group_context.{i}"), width, parts, &ranges)?;
                let ranges = normalize.fine_ranges(seen);
                Ok((context, parameters.linear(&format!("{name}.group_mean.{i}"), size, false, &ranges)?))
            });
            seen += size;
            let before = before.transpose()?;
            let further = (0..sizes.further_layers).map(|i| {
                let name = format!("{name}.further.{g}.{i}");
                let input = parameters.grid(&format!("{name}.input"))?;
                let linear =
                    parameters.linear(&format!("{name}.linear"), width, true, &Ranges::of(width, input))?;
                Ok(FurtherLayer { input, linear })
            });
            let further = further.collect::<Result<_>>()?;
            let hidden = parameters.grid(&format!("{name}.hidden.{g}"))?;
            let ranges = Ranges::of(width, hidden);
            let output =
                parameters.linear(&format!("{name}.output.{g}"), PAIR_PARAMS * size, true, &ranges)?;
            Ok(Group { channels, context, before, further, hidden, output })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self {
            input,
            trunk_width: sizes.trunk_width,
            width,
            skip: sizes.skip,
            guessed: sizes.guessed,
            first_context: sizes.first_context,
            channels: counts.iter().sum(),
            normalize,
            groups: layers,
        })
    }

    /// Codes the vectors of a phase.
    pub(super) fn code<C: SymbolCoder>(
        &self,
        backend: Backend,
        coder: &mut C,
        context: &Context,
        units: &Units,
        (lattice, picture): (Lattice, &mut Symbols),
        scratch: &mut HeadScratch,
    ) -> Result<()> {
        let inside = lattice.size(picture.size);
        let count = inside.0 * inside.1;
        // Of all groups but the last, in coding order.
        let before =
            self.channels - self.groups.last().map_or(0, |group| group.channels.1 - group.channels.0);
        let HeadScratch { fine, pairs, group: scratch } = scratch;
        fine.resize(count * before, 0);
        pairs.resize(count * before, [0; 2]);
        let mut seen = 0;
        for group in &self.groups {
            let (first, end) = group.channels;
            let size = end - first;
            let contexts: Vec<u16> =
                (self.first_context + first as u16..self.first_context + end as u16).collect();
            let contexts = Contexts::new(&contexts)?;
            let units_of_group = units.mixture(group.channels);
            let normaliser = self.normalize.normaliser(&units.inverse[first..end]);
            // An empty group is a group, too.
            for start in (0..count.max(1)).step_by(CHUNK) {
                interrupt::check()?;
                let n = CHUNK.min(count - start);
                scratch.symbols.resize(n * size, 0);
                if !C::DECODES {
                    for (i, symbols) in (start..).zip(scratch.symbols.chunks_exact_mut(size)) {
                        let at = self.channels * lattice.at(picture.size.1, i / inside.1, i % inside.1);
                        symbols.copy_from_slice(&picture.values[at + first..at + end]);
                    }
                }
                let coded = (seen > 0).then(|| {
                    let rows = |values, stride| Rows { values, stride: Some(stride) };
                    let at = start * before;
                    (rows(pairs[at..].as_flattened(), 2 * before), rows(&fine[at..], before))
                });
                self.params(backend, (group, &units_of_group), context, coded, (start, n), scratch);
                coder.code(scratch.params.as_chunks().0, contexts, &mut scratch.symbols)?;
                if C::DECODES {
                    for (i, symbols) in (start..).zip(scratch.symbols.chunks_exact(size)) {
                        let at = self.channels * lattice.at(picture.size.1, i / inside.1, i % inside.1);
                        picture.values[at + first..at + end].copy_from_slice(symbols);
                    }
                }
                if seen + size <= before {
                    backend.compiled(
                        #[inline(always)]
                        || {
                            for (i, symbols) in (start..).zip(scratch.symbols.chunks_exact(size)) {
                                let at = i * before + seen;
                                normaliser.pairs(symbols, &mut fine[at..][..size], &mut pairs[at..][..size]);
                            }
                        },
                    );
                }
            }
            seen += size;
        }
        Ok(())
    }

    /// Computes the mixtures of a group at `n` positions from `start` on.
    fn params(
        &self,
        backend: Backend,
        (group, units): (&Group, &MixtureUnits),
        context: &Context,
        coded: Option<(Rows, Rows)>,
        (start, n): (usize, usize),
        scratch: &mut GroupScratch,
    ) {
        let (first, end) = group.channels;
        let size = end - first;
        let hidden = room(&mut scratch.hidden, n * self.width);
        group.context.apply(backend, &context.t[start * self.trunk_width..][..n * self.trunk_width], hidden);
        let guesses = first < self.guessed && !context.skip.is_empty();
        let has_mean = guesses || group.before.is_some();
        scratch.mean.clear();
        scratch.mean.resize(if has_mean { n * size } else { 0 }, 0.0);
        if let Some(((group_context, group_mean), (pairs, fine))) = group.before.as_ref().zip(coded) {
            group_context.add_to(backend, pairs, hidden);
            group_mean.apply(backend, fine, &mut scratch.mean);
        }
        if guesses {
            let guesses = context.skip[start * self.skip..].chunks_exact(self.skip);
            for (mean, guesses) in scratch.mean.chunks_exact_mut(size).zip(guesses) {
                mean.iter_mut()
                    .zip(&guesses[first..end.min(self.guessed)])
                    .for_each(|(mean, guess)| *mean += guess);
            }
        }
        for layer in &group.further {
            quantized(backend, hidden, SLOPE, layer.input, &mut scratch.x);
            layer.linear.add_to(backend, &scratch.x, hidden);
        }
        quantized(backend, hidden, SLOPE, group.hidden, &mut scratch.x);
        let raw = room(&mut scratch.raw, n * size * PAIR_PARAMS);
        group.output.apply(backend, &scratch.x, raw);
        scratch.params.resize(raw.len(), 0);
        backend.compiled(
            #[inline(always)]
            || units.params(raw, has_mean.then_some(&scratch.mean[..]), &mut scratch.params),
        );
    }
}

/// Memory that is used again for each phase. What it holds between has no meaning.
#[derive(Default)]
pub(super) struct HeadScratch {
    /// The fine values of the groups coded before, and the pairs of coarse values and magnitudes.
    fine: Vec<i16>,
    pairs: Vec<[i16; 2]>,
    group: GroupScratch,
}

/// Memory that is used again for each chunk of positions of each group.
#[derive(Default)]
struct GroupScratch {
    symbols: Vec<i16>,
    hidden: Vec<f32>,
    mean: Vec<f32>,
    x: Vec<i16>,
    raw: Vec<f32>,
    params: Vec<i16>,
}
