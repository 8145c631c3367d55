"""MSP, a codec of images with a multi-scale progressive probability model: Zhang et al. 2022 (see `Msp`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.rate import RateMeter
from ..nn.exact import Linear, conv3x3, quantize_weight, uniform_range
from ..nn.gains import gains_at, levels_at
from ..nn.phases import PHASES, interleave, phase_size
from ..nn.quantizer import Normalize, Quantizer
from ..nn.transforms import AnalysisTransform, SynthesisTransform, init_from_pca
from . import base, context
from .base import State
from .context import Conditioning, GroupHead, Units
from .rate_points import BETWEEN, LAST, LEVELS, MIDDLE, QUALITIES, STRIDE, power

__all__ = [
    "BALANCED",
    "CALIBRATION_BATCHES",
    "CONDITIONING",
    "PROFILES",
    "SCALES",
    "Config",
    "Msp",
    "Plane",
    "PlaneEmbedding",
    "Prior",
    "QualityConditioning",
    "Trunk",
]


@dataclass(frozen=True)
class Config(base.Config):
    """Widths and depths. The defaults are the profile `fast`.

    y_channels: of y. transform_width: of g_a and g_s. g_a_blocks, g_s_blocks: their residual blocks.
    groups: begins and ends of the channel groups of a phase, in coding order.
    embedding_width, trunk_width, head_width: channels that a coded plane is seen as, of a phase's context, and hidden
        ones of each group.
    skip_channels: channels, the first, whose mean is guessed linearly as well.
    context_blocks: inner widths of the context blocks of each trunk but that of the first phase (`context.py`).
    pointwise_blocks: number of pointwise blocks after them.
    further_head_layers: of each group.
    """

    y_channels: int = 320
    transform_width: int = 192
    g_a_blocks: int = 1
    g_s_blocks: int = 2
    groups: context.Groups = ((0, 16), (16, 64), (64, 320))
    embedding_width: int = 96
    trunk_width: int = 128
    head_width: int = 64
    skip_channels: int = 16
    context_blocks: tuple[int, ...] = ()
    pointwise_blocks: int = 0
    further_head_layers: int = 0


BALANCED = Config(
    g_a_blocks=4,
    g_s_blocks=4,
    groups=((0, 8), (8, 24), (24, 64), (64, 128), (128, 320)),
    embedding_width=128,
    trunk_width=192,
    head_width=96,
)
#: What a new training builds, by profile; shipped weights carry their own configuration. All have 7 phases; what a user
#: pays for the better ones is time. `best` takes about 170 kMAC a pixel; its shipped weights are still of a shallower
#: network, with transforms of 192 channels and 6 blocks each, and without context blocks. It can begin as that or as
#: `balanced`. `tiny` is for comparing designs in short runs and has no weights.
PROFILES = {
    "fast": Config(),
    "balanced": BALANCED,
    "best": replace(
        BALANCED,
        transform_width=256,
        g_a_blocks=6,
        g_s_blocks=9,
        trunk_width=384,
        head_width=192,
        context_blocks=(128, 128),
    ),
    "tiny": Config(
        y_channels=96,
        transform_width=64,
        groups=((0, 16), (16, 48), (48, 96)),
        embedding_width=32,
        trunk_width=48,
        head_width=24,
        context_blocks=(16,),
    ),
}
#: The lattices that are split in phases: every 2nd vector, and all.
SCALES = 2
#: Batches that ranges of activations are observed over.
CALIBRATION_BATCHES = 32
#: Channels of the embedding of quality and scale.
CONDITIONING = 32


class Plane(NamedTuple):
    """A coded phase as later ones see it: `[B, H, W, embedding_width]`, and `[B, H, W, skip]` fine values."""

    embedded: Tensor
    fine: Tensor


class Trunk(context.Trunk):
    """Context of a phase: planes coded before to `[B, H, W, trunk_width]`, and linear guesses at the first means."""

    def __init__(self, planes: int, config: Config) -> None:
        c = config
        # Two, because sums of values so differently fine leave too few bits to either's weights.
        coarse, fine = (
            nn.Conv2d(planes * n, c.trunk_width + c.skip_channels, 3, padding=1, bias=False) if planes else None
            for n in (c.embedding_width, c.skip_channels)
        )
        super().__init__(
            c.trunk_width, c.skip_channels, CONDITIONING, c.context_blocks if planes else (), c.pointwise_blocks
        )
        self.planes, self.context, self.fine_context = planes, coarse, fine
        if coarse is not None and fine is not None:
            with torch.no_grad():
                coarse.weight[c.trunk_width :].mul_(0.05)
                fine.weight.mul_(0.05)

    def forward(self, planes: list[Plane], embedding: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        t = skip = None
        if self.context is not None:
            embedded, fine = (torch.cat(parts, -1) for parts in zip(*planes))
            both = conv3x3(embedded, self.context.weight) + conv3x3(fine, self.fine_context.weight)
            t, skip = both.split([self.width, self.skip], -1)
        return self.modulated(t, embedding, grid), skip

    def quantize_weights(self, conditioning: Quantizer, embedded: Quantizer, fine: tuple[float, float]) -> None:
        if self.context is not None:
            ranges = float(embedded.step), float(embedded.limit)
            quantize_weight(self.context.weight, None, *uniform_range(self.context.in_channels, *ranges))
            quantize_weight(self.fine_context.weight, None, *uniform_range(self.fine_context.in_channels, *fine))
        self.quantize_tail(conditioning)


class QualityConditioning(nn.Module):
    """Quality and scale to `[B, CONDITIONING]`, which FiLM turns into gains and shifts."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(QUALITIES + SCALES + 1, CONDITIONING)
        self.output = Quantizer(10)

    def forward(self, index: Tensor, scale: int) -> Tensor:
        """Embed interpolation weights of the stored qualities, then a one-hot vector of the scale."""
        rows = torch.arange(QUALITIES, device=index.device)
        quality = (1 - (index[:, None] - BETWEEN * rows).abs().float() / BETWEEN).clamp_min(0)
        one_hot = quality.new_zeros(len(index), SCALES + 1)
        one_hot[:, scale] = 1
        return self.output.leaky_relu(self.linear(torch.cat([quality, one_hot], 1)))

    def quantize_weights(self) -> None:
        ranges = uniform_range(self.linear.in_features, 1 / BETWEEN, 1.0)
        quantize_weight(self.linear.weight, self.linear.bias, *ranges)


class PlaneEmbedding(nn.Module):
    """Symbols of a coded phase to the plane that later phases see."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.channels, self.skip = config.y_channels, config.skip_channels
        self.normalize = Normalize()
        self.linear = Linear(2 * self.channels + 1, config.embedding_width, bias=False)
        self.output = Quantizer(9)

    def forward(self, symbols: Tensor, units: Units) -> Plane:
        fine, coarse, magnitude = self.normalize(symbols, units.inverse)
        x = torch.cat([coarse, magnitude, torch.ones_like(fine[..., :1])], -1)
        return Plane(self.output.leaky_relu(self.linear(x)), fine[..., : self.skip])

    def quantize_weights(self) -> None:
        _, coarse, magnitude = self.normalize.ranges()
        parts = [uniform_range(self.channels, *coarse), uniform_range(self.channels, *magnitude)]
        parts.append(uniform_range(1, 1.0, 1.0))
        quantize_weight(self.linear.weight, None, *map(torch.cat, zip(*parts)))


class Prior(nn.Module):
    """The probability model. `walk` is its only traversal.

    gain_levels: `[QUALITIES, C]` int32, log2 of the gains of y in 1/LEVELS.
    deviation_levels: `[C]` int32, log2 of the standard deviations of y in 1/LEVELS.
    """

    gain_levels: Tensor
    deviation_levels: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config
        self.channels = c.y_channels
        self.register_buffer("gain_levels", torch.zeros(QUALITIES, c.y_channels, dtype=torch.int32))
        self.register_buffer("deviation_levels", torch.zeros(c.y_channels, dtype=torch.int32))
        self.conditioning = QualityConditioning()
        self.embedding = PlaneEmbedding(c)
        self.trunks = nn.ModuleList(Trunk(planes, c) for planes in range(4))
        self.head = GroupHead(
            c.groups,
            c.trunk_width,
            c.head_width,
            c.skip_channels,
            interleaved=True,
            partial=True,
            further_layers=c.further_head_layers,
        )

    def units(self, index: Tensor) -> Units:
        """Return the units of the symbols by integers and single operations, so that they are the same everywhere."""
        levels = (levels_at(self.gain_levels, index) + self.deviation_levels.long()).cpu()
        units = np.array([power(level, 32) / 2**32 for level in levels.flatten().tolist()], np.float32)
        unit = torch.from_numpy(units).view(len(index), 1, 1, -1).to(index.device)
        level = (levels.double() * (math.log(2) / LEVELS)).float().view(unit.shape).to(index.device)
        return Units(unit, 1 / unit, level)

    def walk(self, coder: SymbolCoder, index: Tensor, size: tuple[int, int], y: Tensor | None, units: Units) -> Tensor:
        """Code `[B, H, W, C]` symbols through `coder`, known as y or not; size: (H, W)."""
        scales = [Conditioning(self.conditioning(index, scale), units) for scale in range(SCALES + 1)]
        return self._walk_scale(coder, scales, size, y)

    def _walk_scale(
        self, coder: SymbolCoder, scales: list[Conditioning], size: tuple[int, int], y: Tensor | None
    ) -> Tensor:
        """Code a lattice: first that of every 2nd vector, then the rest. scales: of it and of all below it."""
        conditioning, *below = scales
        if not below:
            return self._code_phase(coder, 0, [], conditioning, size, size, y)
        grid = phase_size(size, 0, 0)
        phases: list[Tensor] = []
        planes: list[Plane] = []
        for p, (i, j) in enumerate(PHASES):
            x, inside = None if y is None else y[:, i::2, j::2], phase_size(size, i, j)
            if p == 0:
                phases.append(self._walk_scale(coder, below, inside, x))
            else:
                phases.append(self._code_phase(coder, p, planes, conditioning, grid, inside, x))
            if p < 3:
                planes.append(self.embedding(phases[-1], conditioning.units))
        return interleave(phases)[:, : size[0], : size[1]]

    def _code_phase(
        self,
        coder: SymbolCoder,
        p: int,
        planes: list[Plane],
        conditioning: Conditioning,
        grid: tuple[int, int],
        inside: tuple[int, int],
        x: Tensor | None,
    ) -> Tensor:
        """Code the vectors of phase p that are inside of the grid; the others are zero."""
        embedding, units = conditioning
        if 0 in inside:
            return units.unit.new_zeros(len(embedding), *grid, self.channels)
        t, skip = self.trunks[p](planes, embedding, grid)
        return self.head.code(coder, t, skip, units, inside, x)

    def quantize_weights(self) -> None:
        """Put weights on the grids that the ranges of the activations allow."""
        fine, _, _ = self.embedding.normalize.ranges()
        for part in (self.conditioning, self.embedding, self.head):
            part.quantize_weights()
        for trunk in self.trunks:
            trunk.quantize_weights(self.conditioning.output, self.embedding.output, fine)


class Msp(base.ImageModel):
    """A codec of images with a multi-scale progressive (MSP) probability model.

    Zhang, Cricri, Rezazadegan Tavakoli, Aksu, Hannuksela, "Leveraging progressive model and overfitting for efficient
    learned image compression", 2022, https://arxiv.org/abs/2210.04112.

        x -- g_a --> y -- times gain, round --> y_hat --walk--> bytes
        x_hat <-- g_s -- times inverse gain -- y_hat <--walk-- bytes

        the walk:  lattice of every 4th vector --1 phase--> of every 2nd --3 phases--> of all --3 phases-->
        a phase:   coded planes --embed, 3x3--> FiLM(quality, scale) -- blocks --> head --channel groups--> mixture

    The latents are split in scales, the lowest first and without a hyper-latent, whose part it plays. A scale has one
    phase for each position of the 2x2 lattice that the one below has not coded, and a phase codes its channels in a few
    groups. A distribution is a mixture of two logistics, conditioned on all that has been coded before: neighbours by
    the 3x3 convolution, channels of the same vector by the head (`context.py`). All but the transforms
    (`nn/transforms.py`) is exact (`nn/exact.py`).

    The paper's abstract leaves much open. Here the phases and the head are those of the JPEG model (`mlcc.py`), the
    two upper scales share their weights, and one set of weights serves all qualities by gains (as in
    `bls2017.py`). Latent overfitting, the paper's LOF, is in `lic_native.image`.

    `walk` is the only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    STRIDE: pixels on a side of the square that a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk: 2048 pixels. Part of the format. It bounds memory.
    """

    CONFIG = Config
    STRIDE, TILE = STRIDE, 128
    HALF = True
    PRIOR_RATE = 3.0

    def __init__(self, config: Config = PROFILES["fast"]) -> None:
        c = config
        g_a = AnalysisTransform(c.transform_width, c.g_a_blocks, c.y_channels)
        super().__init__(c, g_a, SynthesisTransform(c.transform_width, c.g_s_blocks, c.y_channels), c.y_channels)
        self.prior = Prior(c)

    @property
    def exact_part(self) -> nn.Module:
        """The probability model."""
        return self.prior

    @property
    def trained_prior(self) -> nn.Module:
        return self.prior

    def gain(self, index: Tensor) -> Tensor:
        frozen = self.state is State.FROZEN
        return gains_at(self.prior.gain_levels.float() * (math.log(2) / LEVELS) if frozen else self.log_gain, index)

    @property
    def contexts(self) -> int:
        return self.prior.channels

    def walk(
        self,
        coder: SymbolCoder,
        index: Tensor,
        size: tuple[int, int],
        symbols: Tensor | None = None,
        units: Units | None = None,
    ) -> Tensor:
        """Code latents of `size` (H, W) through `coder`: integers as floats `[B, C, H, W]`, None when decoding.

        units: of the symbols at the index, where they are known already.
        """
        y = None if symbols is None else symbols.permute(0, 2, 3, 1)
        coded = self.prior.walk(coder, index, size, y, self.units(index) if units is None else units)
        return coded.permute(0, 3, 1, 2)

    def units(self, index: Tensor) -> Units:
        """Return the units of the symbols at indices `[B]` of qualities."""
        if self.state is State.FROZEN:
            return self.prior.units(index)
        deviation = self.prior.deviation_levels * (math.log(2) / LEVELS)
        level = gains_at(self.log_gain + deviation, index).log().permute(0, 2, 3, 1)
        unit = level.exp()
        return Units(unit, 1 / unit, level)

    @torch.no_grad()
    def init_from_pca(self, pixels: Tensor) -> None:
        """Set the first weights: transforms of principal components, and the deviations of their latents."""
        init_from_pca(self.g_a, self.g_s, pixels - 0.5, MIDDLE)
        y = self.g_a(pixels - 0.5, torch.full((len(pixels),), LAST // 2, device=pixels.device))
        deviation = y.float().std((0, 2, 3)).clamp_min(2.0**-6)
        self.prior.deviation_levels.copy_((LEVELS * deviation.log2()).round())

    def calibrate(self, batches: Iterable[Tensor]) -> Msp:
        """Observe the ranges of activations over the first batches of pixels."""
        return super().calibrate(islice(batches, CALIBRATION_BATCHES))

    def _observe(self, batch: Tensor) -> None:
        index = torch.linspace(0, LAST, len(batch), device=self.device).round().long()
        y = self.encode(batch, index).round()
        self.walk(RateMeter(), index, y.shape[2:], y)

    def _quantize_weights(self) -> None:
        self.prior.gain_levels.copy_((self.log_gain * (LEVELS / math.log(2))).round())
        self.prior.quantize_weights()
        for transform in (self.g_a, self.g_s):
            transform.quantize_weights()
