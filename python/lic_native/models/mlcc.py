"""MLCC, the model of JPEG coefficients: Guo et al. 2022 (see `Mlcc`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.rate import RateMeter
from ..nn.ambient import known_state
from ..nn.exact import Linear, conv3x3, in_parts, log2_table, quantize_linear, quantize_weight
from ..nn.phases import PHASES, interleave, phase_size, space_to_depth
from ..nn.quantizer import Normalize, Quantizer
from . import base, context
from .context import Conditioning, GroupHead, Units
from .hyperprior import NO_PRIORS, Hyperprior, PhasePriors
from .sampling import SAMPLINGS, Picture, Shape, padded, zigzag

__all__ = [
    "CHROMA_GROUPS",
    "LUMA_GROUPS",
    "PROFILES",
    "ChromaContext",
    "Config",
    "Features",
    "Mlcc",
    "TableConditioning",
    "Trunk",
    "chroma_pools",
    "luma_pools",
    "repeated",
]

LUMA_GROUPS = ((36, 64), (28, 36), (21, 28), (15, 21), (10, 15), (6, 10), (3, 6), (1, 3), (0, 1))
CHROMA_GROUPS = ((28, 64), (15, 28), (6, 15), (3, 6), (1, 3), (0, 1))


@dataclass(frozen=True)
class Config(base.Config):
    """Widths and depths of the network. The defaults are the profile `fast`: about 5.5 kMAC a luma pixel.

    luma_trunk_width, luma_head_width: channels of a luma phase's context, and hidden ones of each of its groups.
    luma_skip_channels: frequencies, the lowest, whose mean is guessed linearly as well.
    chroma_context_width: channels that coded chroma is seen as by luma.
    conditioning_width: channels that the quantisation tables and the sampling are seen as.
    z_channels: of the hyperprior, which has a vector every 8x8 luma blocks; 0 is none.
    luma_context_blocks, chroma_context_blocks: inner widths of the context blocks of each trunk (`context.py`).
    luma_pointwise_blocks, chroma_pointwise_blocks: number of pointwise blocks after them.
    further_head_layers: of each group.
    """

    luma_trunk_width: int = 96
    luma_head_width: int = 64
    luma_skip_channels: int = 21
    chroma_trunk_width: int = 64
    chroma_head_width: int = 32
    chroma_skip_channels: int = 10
    chroma_context_width: int = 64
    conditioning_width: int = 32
    z_channels: int = 0
    luma_context_blocks: tuple[int, ...] = ()
    chroma_context_blocks: tuple[int, ...] = ()
    luma_pointwise_blocks: int = 0
    chroma_pointwise_blocks: int = 0
    further_head_layers: int = 0


#: What a new training builds, by profile; shipped weights carry their own configuration. `best` takes about 34 kMAC a
#: luma pixel; its shipped weights are still of a shallower network of the same widths, without the last four fields,
#: which takes 20. `quick` is about half as wide as `fast`. `tiny`, half as wide as `fast`, is for comparing designs in
#: short runs and has no weights.
PROFILES = {
    "tiny": Config(
        luma_trunk_width=48,
        luma_head_width=32,
        chroma_trunk_width=32,
        chroma_head_width=16,
        chroma_context_width=32,
    ),
    "quick": Config(
        luma_trunk_width=48,
        luma_head_width=32,
        luma_skip_channels=15,
        chroma_trunk_width=38,
        chroma_head_width=16,
        chroma_context_width=32,
    ),
    "fast": Config(),
    "best": Config(
        luma_trunk_width=256,
        luma_head_width=176,
        luma_skip_channels=28,
        chroma_trunk_width=144,
        chroma_head_width=80,
        chroma_skip_channels=15,
        chroma_context_width=112,
        luma_context_blocks=(128,),
        luma_pointwise_blocks=2,
        chroma_pointwise_blocks=1,
        further_head_layers=1,
    ),
}


class Features(nn.Module):
    """Context features of a coded plane: coefficients `[B, H, W, 64]` to `[B, H, W, channels]`.

    bands: the first frequencies, which are seen one by one.
    pools: `[64, n]`, sums of frequencies that are seen together.
    """

    #: Frequencies whose fine value differs enough from the coarse one to matter in a linear prediction.
    FINE = 6
    #: For `nn.exact.check_exact`.
    MATRICES = ("pools",)

    def __init__(self, bands: int, pools: Tensor) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("pools", pools)
        self.normalize = Normalize()
        self.channels = 2 * bands + pools.shape[1] + 1
        self.frozen = False

    def forward(self, x: Tensor, inverse: Tensor) -> Tensor:
        inverse = inverse[..., : self.bands]
        fine, coarse, magnitude = self.normalize(x[..., : self.bands], inverse)
        with torch.autocast(x.device.type, enabled=False):
            pooled = self.normalize.compand(in_parts(lambda x: x @ self.pools, x.abs(), self.pools.shape[1]))
        parts = [coarse, magnitude, pooled, torch.ones_like(pooled[..., :1])]
        if self.frozen:
            parts.append(fine[..., : self.FINE] - coarse[..., : self.FINE])
        return torch.cat(parts, -1)

    def ranges(self) -> tuple[Tensor, Tensor]:
        """Return (steps, limits) of the channels in a frozen model."""
        n = self.normalize
        rest = self.channels - 1 - self.bands
        steps = [float(n.coarse.step)] * self.bands + [n.compand.step] * rest + [1.0]
        limits = [n.LIMIT] * self.bands + [n.compand.limit] * rest + [1.0]
        steps += [float(n.fine.step)] * self.FINE
        limits += [float(n.coarse.step) / 2] * self.FINE
        return torch.tensor(steps), torch.tensor(limits)

    def add_remainders(self, weight: Tensor, skip: int) -> Tensor:
        """Return weights `[O, k * channels, 3, 3]` with the inputs that a frozen model has in addition.

        The remainders of rounding to the coarse grid take part in the linear predictions, the last `skip` outputs,
        with the weights of the coarse values.
        """
        first = len(weight) - skip
        planes = weight.unflatten(1, (-1, self.channels))
        # Not `torch.cat`, which imports torch's compiler, a second and 150 MB, when a model without storage is loaded.
        result: Tensor = planes.new_zeros(*planes.shape[:2], self.channels + self.FINE, *planes.shape[3:])
        result[:, :, : self.channels] = planes
        result[first:, :, self.channels :] = planes[first:, :, : self.FINE]
        return result.flatten(1, 2)

    def remove_remainders(self, weight: Tensor) -> Tensor:
        """Return the weights before `add_remainders`."""
        planes: Tensor = weight.unflatten(1, (-1, self.channels + self.FINE))
        return planes[:, :, : self.channels].flatten(1, 2)


def luma_pools() -> Tensor:
    """Return sums of high frequencies by orientation and band (6 pools), and of all AC energy (1): `[64, 7]`."""
    pools = torch.zeros(64, 7)
    for k, (row, column) in enumerate(zigzag()):
        if k >= 28:
            orientation = 0 if row > column + 2 else 2 if column > row + 2 else 1
            pools[k, orientation + 3 * (k >= 36)] = 1
        pools[k, 6] = k > 0
    return pools


def chroma_pools() -> Tensor:
    """Return the sum of high frequencies: `[64, 1]`."""
    pools = torch.zeros(64, 1)
    pools[15:] = 1
    return pools


class Trunk(context.Trunk):
    """Context of one phase: planes coded before to `[B, H, W, width]` and linear guesses at the means.

    inputs: channels of all planes coded before.
    cross_channel: channels of the chroma context; 0 is none.
    context_blocks, pointwise_blocks: as of `context.Trunk`.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        skip: int,
        conditioning_width: int,
        cross_channel: int,
        context_blocks: Sequence[int] = (),
        pointwise_blocks: int = 0,
    ) -> None:
        conv = nn.Conv2d(inputs, width + skip, 3, padding=1, bias=False) if inputs else None
        linear = Linear(cross_channel, width, bias=False) if cross_channel else None
        super().__init__(width, skip, conditioning_width, context_blocks, pointwise_blocks)
        self.context, self.cross_channel = conv, linear
        if conv is not None:
            with torch.no_grad():
                conv.weight[width:].mul_(0.05)

    def forward(
        self,
        planes: Sequence[Tensor],
        chroma: Tensor | None,
        prior: Tensor | None,
        embedding: Tensor,
        grid: tuple[int, int],
    ) -> tuple[Tensor, Tensor | None]:
        parts, skip = [], None
        if self.context is not None:
            t, skip = conv3x3(torch.cat(list(planes), -1), self.context.weight).split([self.width, self.skip], -1)
            parts.append(t)
        if self.cross_channel is not None and chroma is not None:
            parts.append(self.cross_channel(chroma))
        if prior is not None:
            parts.append(prior)
        return self.modulated(sum(parts[1:], parts[0]) if parts else None, embedding, grid), skip

    def quantize_weights(self, features: Features, chroma: Quantizer, embedding: Quantizer) -> None:
        if self.context is not None:
            quantize_weight(self.context.weight, None, *repeated(features.ranges(), self.context.weight.shape[1]))
        if self.cross_channel is not None:
            quantize_linear(self.cross_channel, chroma)
        self.quantize_tail(embedding)


class TableConditioning(nn.Module):
    """Quantisation tables and sampling to `[B, width]`, which FiLM turns into gains and shifts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = Quantizer(10, 16.0)
        self.first = Linear(128 + len(SAMPLINGS), 64)
        self.hidden = Quantizer(10)
        self.second = Linear(64, width)
        self.output = Quantizer(10)

    def forward(self, log2_tables: Tensor, sampling: str) -> Tensor:
        log_q = log2_tables * math.log(2)
        # Not a tensor of a list, whose copy from the host no CUDA graph can hold.
        one_hot = log_q.new_zeros(len(log_q), len(SAMPLINGS))
        one_hot[:, list(SAMPLINGS).index(sampling)] = 1
        x = self.input(torch.cat([log_q[:, :2].flatten(1) - 3, one_hot], -1))
        result: Tensor = self.output(self.second(self.hidden.leaky_relu(self.first(x))))
        return result

    def quantize_weights(self) -> None:
        quantize_linear(self.first, self.input)
        quantize_linear(self.second, self.hidden)


class ChromaContext(nn.Module):
    """Context of luma from both chroma planes: their features to `[B, H, W, width]` on the grid of a luma phase."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleDict(
            {
                name: nn.Conv2d(2 * channels * ratio[0] * ratio[1], width, 3, padding=1)
                for name, ratio in SAMPLINGS.items()
                if ratio
            }
        )
        self.output = Quantizer(9)

    def forward(self, sampling: str, features: Tensor) -> Tensor:
        layer = self.convs[sampling]
        planes = space_to_depth(features, *SAMPLINGS[sampling])
        return self.output.leaky_relu(conv3x3(planes, layer.weight) + layer.bias)

    def quantize_weights(self, features: Features) -> None:
        steps, limits = (r[: features.channels] for r in features.ranges())
        for layer in self.convs.values():
            quantize_weight(layer.weight, layer.bias, *repeated((steps, limits), layer.weight.shape[1]))


def repeated(ranges: tuple[Tensor, Tensor], inputs: int) -> tuple[Tensor, Tensor]:
    """Return the ranges of one plane repeated for as many planes as have `inputs` channels together."""
    return ranges[0].repeat(inputs // len(ranges[0])), ranges[1].repeat(inputs // len(ranges[1]))


@dataclass
class PlaneWalk:
    """Codes a plane phase by phase, each with the context of all before.

    grid: rows and columns of a phase, with its padding.
    trunks, heads, priors: of each phase.
    chroma: of each phase, the context from chroma.
    planes: features of phases coded before, of this plane and of others.
    """

    coder: SymbolCoder
    conditioning: Conditioning
    grid: tuple[int, int]
    features: Features
    trunks: Sequence[Any]
    heads: Sequence[Any]
    priors: Sequence[Tensor | None]
    chroma: Sequence[Tensor | None] = (None,) * 4
    planes: list[Tensor] = field(default_factory=list)

    def code_phase(self, p: int, inside: tuple[int, int], x: Tensor | None) -> Tensor:
        """Code phase p, of which `inside` is within the picture; x: its coefficients, None when decoding."""
        embedding, units = self.conditioning
        t, skip = self.trunks[p](self.planes, self.chroma[p], self.priors[p], embedding, self.grid)
        coded: Tensor = self.heads[p].code(self.coder, t, skip, units, inside, x)
        self.see(coded)
        return coded

    def see(self, coded: Tensor) -> None:
        """Make a coded phase part of the context."""
        self.planes.append(self.features(coded, self.conditioning.units.inverse))

    def code(self, size: tuple[int, int], x: Tensor | None, first: PlaneWalk | None = None) -> Tensor:
        """Code all phases of a plane of `size`. first: codes the first phase as a plane of its own."""
        phases = []
        for p, (i, j) in enumerate(PHASES):
            inside, known = phase_size(size, i, j), None if x is None else x[:, i::2, j::2]
            if p == 0 and first is not None:
                phases.append(first.code(inside, known))
                self.see(phases[0])
            else:
                phases.append(self.code_phase(p, inside, known))
        return interleave(phases)


class Mlcc(base.Model):
    """The multi-level cross-channel entropy model of JPEG coefficients.

    Guo et al., "Practical Learned Lossless JPEG Recompression with Multi-Level Cross-Channel Entropy Model in the DCT
    Domain", CVPR 2022, https://arxiv.org/abs/2203.16357.

        Cr --4 phases--> Cb | Cr --4 phases--> Y | Cb, Cr --4 phases, the first in 4 sub-phases-->

        a phase:   coded planes --3x3 conv--> t, linear skip -------+
                   log q        --MLP-------> FiLM(t) -- blocks --> head --9 frequency groups, high to low--> mixture
                   chroma       --1x1-------> +                      ^--- groups of this phase already coded

    A phase is one of the 2x2 positions of the block grid (the paper's four spatial rows); a group is a run of zig-zag
    frequencies (its nine columns: 28, 8, 7, 6, 5, 4, 3, 2 and 1 wide). All coefficients of a phase and group are coded
    in one step, so a 4:2:0 picture takes 24 + 24 + 63 steps whatever its size.

    Departures from the paper: two logistic distributions a coefficient instead of one Laplacian; every input and
    output is relative to the frequency's standard deviation divided by its quantiser, and FiLM from the quantisation
    tables serves all qualities with one set of weights; the first luma phase is split once more, since it has the
    least context. The paper's side information is in `hyperprior.py`; the shipped models send none, since context does
    the work.

    `walk` is the only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    sigma: `[2, 64]` standard deviations of dequantised luma and chroma coefficients over the training set.
    """

    CONFIG = Config
    sigma: Tensor

    def __init__(self, config: Config = Config(), sigma: Tensor | None = None) -> None:
        super().__init__(config)
        c = config
        self.register_buffer("sigma", torch.ones(2, 64) if sigma is None else sigma.float())
        self.luma_features = Features(28, luma_pools())
        self.chroma_features = Features(15, chroma_pools())
        luma, chroma = self.luma_features.channels, self.chroma_features.channels
        self.conditioning = TableConditioning(c.conditioning_width)
        chroma_sizes = c.chroma_trunk_width, c.chroma_skip_channels, c.conditioning_width, 0
        chroma_blocks = c.chroma_context_blocks, c.chroma_pointwise_blocks
        self.chroma_trunks = nn.ModuleList(Trunk(chroma * k, *chroma_sizes, *chroma_blocks) for k in range(8))
        self.chroma_heads = nn.ModuleList(
            self._head(CHROMA_GROUPS, c.chroma_trunk_width, c.chroma_head_width, c.chroma_skip_channels)
            for _ in range(2)
        )
        self.chroma_context = ChromaContext(chroma, c.chroma_context_width)
        luma_sizes = c.luma_trunk_width, c.luma_skip_channels, c.conditioning_width, c.chroma_context_width
        luma_blocks = c.luma_context_blocks, c.luma_pointwise_blocks
        self.luma_trunks = nn.ModuleList(Trunk(luma * k, *luma_sizes, *luma_blocks) for k in (0, 1, 2, 3, 1, 2, 3))
        self.luma_heads = nn.ModuleList(
            self._head(LUMA_GROUPS, c.luma_trunk_width, c.luma_head_width, c.luma_skip_channels) for _ in range(4)
        )
        for i, head in enumerate((*self.chroma_heads, *self.luma_heads)):
            head.first_context = 64 * min(i, 2)
        # Last, so that a seed gives the same weights as without.
        widths = c.luma_trunk_width, c.chroma_trunk_width
        self.hyperprior = Hyperprior(c.z_channels, (luma, chroma), widths) if c.z_channels else None

    def _head(self, groups: context.Groups, trunk_width: int, width: int, skip: int) -> GroupHead:
        layers = self.config.further_head_layers
        return GroupHead(groups, trunk_width, width, skip, interleaved=False, partial=False, further_layers=layers)

    @property
    def contexts(self) -> int:
        z_channels: int = self.config.z_channels
        return max(3 * 64, z_channels)

    def _observe(self, batch: tuple[Shape, Tensor, Picture]) -> None:
        self.walk(RateMeter(), *batch)

    def _quantize_weights(self) -> None:
        self.conditioning.quantize_weights()
        for trunk, features in self._trunks():
            trunk.quantize_weights(features, self.chroma_context.output, self.conditioning.output)
        self.chroma_context.quantize_weights(self.chroma_features)
        for head in (*self.chroma_heads, *self.luma_heads):
            head.quantize_weights()
        if self.hyperprior is not None:
            self.hyperprior.quantize_weights()

    def _trunks(self) -> Iterator[tuple[Any, Features]]:
        for trunks, features in ((self.chroma_trunks, self.chroma_features), (self.luma_trunks, self.luma_features)):
            for trunk in trunks:
                yield trunk, features

    def _to_frozen_form(self) -> None:
        for trunk, features in self._trunks():
            features.frozen = True
            if trunk.context is not None:
                trunk.context.weight = nn.Parameter(features.add_remainders(trunk.context.weight, trunk.skip))

    def _to_float_form(self) -> None:
        for trunk, features in self._trunks():
            features.frozen = False
            if trunk.context is not None:
                trunk.context.weight = nn.Parameter(features.remove_remainders(trunk.context.weight))

    def walk(self, coder: SymbolCoder, shape: Shape, tables: Tensor, picture: Picture | None = None) -> Picture:
        """Code every coefficient of a picture through `coder`.

        Args:
            coder: encodes, decodes or measures.
            shape: the picture's sampling and sizes in blocks.
            tables: `[B, 2 or 3, 64]` quantisation tables of Y and Cb (and Cr, if it differs), zig-zag order; gray
                repeats the one it has.
            picture: the coefficients when they are known (encoding, measuring), None when decoding.

        Returns:
            The coefficients, known or decoded.
        """
        log2_tables, units = self._units(tables)
        embedding = self.conditioning(log2_tables, shape.sampling)
        priors = NO_PRIORS if self.hyperprior is None else self.walk_hyperprior(coder, shape, tables, picture)
        rows, columns = padded(shape.luma)
        chroma: list[Tensor] = []
        luma_context: Tensor | None = None
        if SAMPLINGS[shape.sampling]:
            v, h = SAMPLINGS[shape.sampling]
            grid = rows // 4 * v, columns // 4 * h
            planes: list[Tensor] = []
            for c in range(2):
                conditioning, phases = Conditioning(embedding, units[1 + c]), slice(4 * c, 4 * c + 4)
                features, trunks, head = self.chroma_features, self.chroma_trunks[phases], self.chroma_heads[c]
                walk = PlaneWalk(coder, conditioning, grid, features, trunks, [head] * 4, priors.chroma[phases])
                walk.planes = planes
                chroma.append(walk.code(shape.chroma, picture.chroma[c] if picture else None))
            luma_context = self.chroma_context(shape.sampling, self._features_of_chroma(chroma, units[1:]))
        conditioning = Conditioning(embedding, units[0])
        features, trunks, heads = self.luma_features, self.luma_trunks, self.luma_heads
        quarters = [None if luma_context is None else luma_context[:, i::2, j::2] for i, j in PHASES]
        grid = rows // 4, columns // 4
        first = PlaneWalk(coder, conditioning, grid, features, trunks[:4], [heads[0]] * 4, priors.luma[:4], quarters)
        grid = rows // 2, columns // 2
        walk = PlaneWalk(coder, conditioning, grid, features, trunks[3:], heads, priors.luma[3:], [luma_context] * 4)
        return Picture(walk.code(shape.luma, picture.luma if picture else None, first), tuple(chroma))

    def walk_hyperprior(
        self, coder: SymbolCoder, shape: Shape, tables: Tensor, picture: Picture | None = None
    ) -> PhasePriors:
        """Code the side information of a model that has any: the first part of `walk`."""
        features = None
        if picture is not None:
            _, units = self._units(tables)
            luma = self.luma_features(picture.luma, units[0].inverse)
            chroma = self._features_of_chroma(picture.chroma, units[1:]) if picture.chroma else None
            features = luma[..., : self.luma_features.channels], chroma
        priors: PhasePriors = self.hyperprior.walk(coder, shape, len(tables), features)
        return priors

    def run(self, coder: SymbolCoder, shape: Shape, tables: Tensor, picture: Picture | None = None) -> Picture:
        """Do as `walk` the way an encoder and a decoder must: on the model's device, in a state that is exact.

        Raises:
            ValueError: a quantiser is outside 1 .. 65535.
        """
        if not bool(((tables >= 1) & (tables <= 0xFFFF)).all()):
            raise ValueError("a quantiser is outside 1 .. 65535")
        with known_state(), torch.inference_mode():
            if picture is not None:
                picture = picture.to(self.device).float()
            return self.walk(coder, shape, tables.to(self.device), picture)

    def _features_of_chroma(self, chroma: Iterable[Tensor], units: list[Units]) -> Tensor:
        n = self.chroma_features.channels
        return torch.cat([self.chroma_features(x, unit.inverse)[..., :n] for x, unit in zip(chroma, units)], -1)

    def _units(self, tables: Tensor) -> tuple[Tensor, list[Units]]:
        """Return log2 of the tables, and the units of Y, Cr and Cb."""
        log2_tables = log2_table(tables)
        # log2 of sigma to 1/256 by the same integer arithmetic as of a quantiser: 64 sigma is below 2^16.
        log2_sigma = log2_table((64 * self.sigma).round()) - 6
        units = []
        for kind, component in ((0, 0), (1, -1), (1, 1)):
            sigma, table = self.sigma[kind], tables[:, component, None, None].float()
            level = log2_sigma[kind] - log2_tables[:, component, None, None]
            units.append(Units(sigma / table, table / sigma, level * math.log(2)))
        return log2_tables, units
