"""Image codec with a multi-scale progressive (MSP) probability model, after Zhang et al. 2022, arXiv 2210.04112.

    pixels -- analysis --> y -- times gain, round --> integers --walk--> bytes
    pixels <-- synthesis -- y <-- times inverse gain -- integers <-------'

    the walk:  lattice of every 4th vector --1 phase--> of every 2nd --3 phases--> of all --3 phases-->
    a phase:   coded planes --embed, 3x3--> FiLM(quality, scale) -- 1x1 --> head --channel groups--> mixture -> coder

The latents are split in scales, the lowest first and without a hyper-latent, whose part it plays. A scale has one
*phase* for each position of the 2x2 lattice that the one below has not coded, and a phase codes its channels in a few
*groups*; all symbols of a phase and group are coded in one step, so the number of steps is the same at any size. A
distribution is a mixture of two logistics, conditioned on all that has been coded before: neighbours by the 3x3
convolution, channels of the same vector by the head. All but the transforms (`nn/patches.py`) is exact (`nn/exact.py`).

What the abstract leaves open is our own: the phases and the head are those of the JPEG model (`mlcc.py`), the two
upper scales share their weights, and one set of weights serves all qualities by gains (as in `bls2017.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ..coding.coder import Coder, Mixture, RateMeter
from ..nn.ambient import known_state
from ..nn.checkpoint import fingerprint, read_weights
from ..nn.exact import (
    Linear,
    Normalise,
    Snap,
    check_exact,
    constant,
    conv3x3,
    fix_linear,
    fix_weight,
)
from ..nn.transforms import STRIDE, Analysis, Synthesis, at_index, start
from .rate_points import BETWEEN, LARGEST, LAST, LEVELS, MIDDLE, QUALITIES, first_log_gains, power
from .sampling import PHASES, interleave, phase_size

__all__ = [
    "BALANCED",
    "GAIN_RATE",
    "PRIOR_RATE",
    "PROFILES",
    "SCALES",
    "TOLD",
    "WATCHED",
    "Config",
    "Head",
    "Msp",
    "Plane",
    "Prior",
    "Trunk",
    "Units",
]


@dataclass(frozen=True)
class Config:
    """Widths and depths. The defaults are the profile `fast`.

    channels: of y; width: of the transforms; analysis, synthesis: their blocks.
    groups: begins and ends of the channel groups of a phase, in coding order.
    embed, trunk, head: channels that a coded plane is seen as, of a phase's context, and of each group's.
    skip: channels, the first, whose mean is guessed linearly as well.
    """

    channels: int = 320
    width: int = 192
    analysis: int = 1
    synthesis: int = 2
    groups: tuple[tuple[int, int], ...] = ((0, 16), (16, 64), (64, 320))
    embed: int = 96
    trunk: int = 128
    head: int = 64
    skip: int = 16

    def metadata(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, metadata: str) -> Config:
        known = json.loads(metadata)
        return cls(**{**known, "groups": tuple(map(tuple, known["groups"]))})


BALANCED = Config(
    analysis=4,
    synthesis=4,
    groups=((0, 8), (8, 24), (24, 64), (64, 128), (128, 320)),
    embed=128,
    trunk=192,
    head=96,
)
#: By profile. All have 7 phases; what a user pays for the better ones is time. `best` can begin as `balanced`.
PROFILES = {
    "fast": Config(),
    "balanced": BALANCED,
    "best": replace(BALANCED, analysis=6, synthesis=6, trunk=384, head=192),
}
#: The lattices that are split in phases: every 2nd vector, and all.
SCALES = 2
#: Batches that ranges of activations are seen over.
WATCHED = 32
#: Learning rates of the prior and of the gains beside that of the transforms.
PRIOR_RATE, GAIN_RATE = 3.0, 6.0
#: Channels of what a trunk is told of quality and scale.
TOLD = 32


class Units(NamedTuple):
    """Standard deviations of the symbols of each channel, `[B, 1, 1, C]`, their inverses and natural logarithms."""

    unit: Tensor
    inverse: Tensor
    level: Tensor

    def of(self, channels: slice) -> Units:
        return Units(*(x[..., channels] for x in self))


class Plane(NamedTuple):
    """What a phase sees of one that has been coded: `[B, H, W, embed]`, and `[B, H, W, skip]` fine values."""

    embedded: Tensor
    fine: Tensor


class Trunk(nn.Module):
    """Context of a phase: planes coded before -> `[B, H, W, trunk]`, and a linear guess at the first means."""

    def __init__(self, planes: int, config: Config) -> None:
        super().__init__()
        c = config
        self.width, self.skip = c.trunk, c.skip
        # Two, because sums of values so differently fine leave too few bits to either's weights.
        self.context, self.fine = (
            nn.Conv2d(planes * n, c.trunk + c.skip, 3, padding=1, bias=False) if planes else None
            for n in (c.embed, c.skip)
        )
        self.film = Linear(TOLD, 2 * c.trunk)
        self.input = Snap(9)
        self.inner = Linear(c.trunk, c.trunk)
        self.middle = Snap(9)
        self.outer = Linear(c.trunk, c.trunk)
        with torch.no_grad():
            self.film.weight.mul_(0.3)
            if self.context is not None:
                self.context.weight[c.trunk :].mul_(0.05)
                self.fine.weight.mul_(0.05)

    def forward(self, planes: list[Plane], told: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        gain, shift = self.film(told)[:, None, None].split(self.width, -1)
        if self.context is None:
            t, skip = shift.repeat(1, *grid, 1), None
        else:
            embedded, fine = (torch.cat(parts, -1) for parts in zip(*planes))
            context = conv3x3(embedded, self.context.weight) + conv3x3(fine, self.fine.weight)
            t, skip = context[..., : self.width] * (1 + gain) + shift, context[..., self.width :]
        t = self.input.rectified(t)
        return t + self.outer(self.middle.rectified(self.inner(t))), skip

    def fix(self, told: Snap, embedded: Snap, fine: tuple[float, float]) -> None:
        if self.context is not None:
            ranges = float(embedded.step), float(embedded.limit)
            fix_weight(self.context.weight, None, *constant(self.context.in_channels, *ranges))
            fix_weight(self.fine.weight, None, *constant(self.fine.in_channels, *fine))
        fix_linear(self.film, told)
        fix_linear(self.inner, self.input)
        fix_linear(self.outer, self.middle)


class Head(nn.Module):
    """The channel groups of a phase: what each may see of a vector is the channels before it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.groups, self.hidden, self.skip = config.groups, config.head, config.skip
        self.normalise = Normalise()
        self.input = Snap(10)
        self.state = Linear(config.trunk, len(self.groups) * self.hidden)
        self.known = nn.ModuleList(Linear(2 * a, self.hidden, bias=False) for a, _ in self.groups[1:])
        self.mean = nn.ModuleList(Linear(a, b - a, bias=False) for a, b in self.groups[1:])
        self.middle = nn.ModuleList(Snap(10) for _ in self.groups)
        self.out = nn.ModuleList(Linear(self.hidden, 5 * (b - a)) for a, b in self.groups)
        with torch.no_grad():
            for layer in self.mean:
                layer.weight.zero_()
            for layer in self.out:
                layer.weight.mul_(0.3)
                layer.bias.view(-1, 5).copy_(torch.tensor([0.0, 0.0, -1.6, -0.4, 0.0]))

    def code(self, coder: Coder, t: Tensor, skip: Tensor | None, units: Units, x: Tensor | None) -> Tensor:
        """t `[B, H, W, trunk]`, skip `[B, H, W, skip]` -> symbols `[B, H, W, C]`, known as x or decoded."""
        states = self.state(self.input(t)).split(self.hidden, -1)
        coded: list[Tensor] = []
        fine: list[Tensor] = []
        rest: list[Tensor] = []
        for g, (a, b) in enumerate(self.groups):
            hidden, mean = states[g], None
            here = units.of(slice(a, b))
            if g:
                hidden = hidden + self.known[g - 1](torch.cat(rest, -1))
                mean = self.mean[g - 1](torch.cat(fine, -1))
            if skip is not None and a < self.skip:
                guess = F.pad(skip[..., a:b], (0, max(b - self.skip, 0)))
                mean = guess if mean is None else mean + guess
            raw = self.out[g](self.middle[g].rectified(hidden)).unflatten(-1, (b - a, 5))
            y = coder.code(Mixture(raw, mean, here.unit, here.level), None if x is None else x[..., a:b])
            coded.append(y)
            if g + 1 < len(self.groups):
                fine_y, coarse_y, magnitude_y = self.normalise(y, here.inverse)
                fine.append(fine_y)
                rest += [coarse_y, magnitude_y]
        return torch.cat(coded, -1)

    def fix(self) -> None:
        fine, coarse, magnitude = self.normalise.ranges()
        fix_linear(self.state, self.input)
        for (a, _), known, mean in zip(self.groups[1:], self.known, self.mean):
            fix_weight(mean.weight, None, *constant(a, *fine))
            before = [d - c for c, d in self.groups if d <= a]
            parts = [constant(n, *r) for n in before for r in (coarse, magnitude)]
            fix_weight(known.weight, None, *(torch.cat(values) for values in zip(*parts)))
        for layer, snap in zip(self.out, self.middle):
            fix_linear(layer, snap)


class Prior(nn.Module):
    """The probability model. `walk` is its only traversal.

    levels: `[QUALITIES, C]` int32, log2 of the gains of y in 1/LEVELS.
    spread: `[C]` int32, log2 of the standard deviations of y in 1/LEVELS.
    """

    levels: Tensor
    spread: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = config
        self.config = c
        self.register_buffer("levels", torch.zeros(QUALITIES, c.channels, dtype=torch.int32))
        self.register_buffer("spread", torch.zeros(c.channels, dtype=torch.int32))
        self.tell = Linear(QUALITIES + SCALES + 1, TOLD)
        self.told = Snap(10)
        self.normalise = Normalise()
        self.embed = Linear(2 * c.channels + 1, c.embed, bias=False)
        self.embedded = Snap(9)
        self.trunks = nn.ModuleList(Trunk(planes, c) for planes in range(4))
        self.head = Head(c)

    def level(self, index: Tensor) -> Tensor:
        """`[B, C]` int64: levels at qualities by their indices, linear between two that are stored."""
        stop = (index // BETWEEN).clamp(max=QUALITIES - 2)
        part = (index - BETWEEN * stop)[:, None]
        levels = self.levels.long()
        return ((BETWEEN - part) * levels[stop] + part * levels[stop + 1]) // BETWEEN

    def units(self, index: Tensor) -> Units:
        """By integers and single operations, so the same everywhere."""
        levels = (self.level(index) + self.spread.long()).cpu()
        units = np.array([power(level, 32) / 2**32 for level in levels.flatten().tolist()], np.float32)
        unit = torch.from_numpy(units).view(len(index), 1, 1, -1).to(index.device)
        level = (levels.double() * (math.log(2) / LEVELS)).float().view(unit.shape).to(index.device)
        return Units(unit, 1 / unit, level)

    def walk(self, coder: Coder, index: Tensor, size: tuple[int, int], y: Tensor | None, units: Units) -> Tensor:
        """Code `[B, H, W, C]` symbols through `coder`, known as y or not; size: (H, W)."""
        return self._scale(coder, index, size, y, units, 0)

    def _scale(
        self, coder: Coder, index: Tensor, size: tuple[int, int], y: Tensor | None, units: Units, depth: int
    ) -> Tensor:
        """A lattice: first that of every 2nd vector, with all below it, then what is between."""
        told = self._tell(index, depth)
        if depth == SCALES:
            return self._phase(coder, self.trunks[0], [], told, size, size, y, units)
        grid = phase_size(size, 0, 0)
        phases: list[Tensor] = []
        planes: list[Plane] = []
        for p, (i, j) in enumerate(PHASES):
            x, inside = None if y is None else y[:, i::2, j::2], phase_size(size, i, j)
            if p == 0:
                phases.append(self._scale(coder, index, inside, x, units, depth + 1))
            else:
                phases.append(self._phase(coder, self.trunks[p], planes, told, grid, inside, x, units))
            if p < 3:
                planes.append(self._plane(phases[-1], units))
        return interleave(phases)[:, : size[0], : size[1]]

    def _phase(
        self,
        coder: Coder,
        trunk: nn.Module,
        planes: list[Plane],
        told: Tensor,
        grid: tuple[int, int],
        inside: tuple[int, int],
        x: Tensor | None,
        units: Units,
    ) -> Tensor:
        """The vectors of a phase that are inside of the grid; what is not is zero."""
        rows, columns = inside
        if not rows * columns:
            return units.unit.new_zeros(len(told), *grid, self.config.channels)
        t, skip = trunk(planes, told, grid)
        skip = None if skip is None else skip[:, :rows, :columns]
        coded = self.head.code(coder, t[:, :rows, :columns], skip, units, x)
        return F.pad(coded, (0, 0, 0, grid[1] - columns, 0, grid[0] - rows)) if inside != grid else coded

    def _tell(self, index: Tensor, depth: int) -> Tensor:
        """What a trunk is told: weights of the stored qualities, which are in 1/BETWEEN, and the scale."""
        stops = torch.arange(QUALITIES, device=index.device)
        quality = (1 - (index[:, None] - BETWEEN * stops).abs().float() / BETWEEN).clamp_min(0)
        scale = quality.new_zeros(len(index), SCALES + 1)
        scale[:, depth] = 1
        return self.told.rectified(self.tell(torch.cat([quality, scale], 1)))

    def _plane(self, symbols: Tensor, units: Units) -> Plane:
        fine, coarse, magnitude = self.normalise(symbols, units.inverse)
        parts = [coarse, magnitude, torch.ones_like(fine[..., :1])]
        return Plane(self.embedded.rectified(self.embed(torch.cat(parts, -1))), fine[..., : self.config.skip])

    def snaps(self) -> list[Snap]:
        return [m for m in self.modules() if isinstance(m, Snap)]

    def fix(self) -> None:
        """Weights on the grids that the ranges of the activations allow."""
        c, (fine, coarse, magnitude) = self.config, self.normalise.ranges()
        fix_weight(self.tell.weight, self.tell.bias, *constant(self.tell.in_features, 1 / BETWEEN, 1.0))
        parts = [
            constant(c.channels, *coarse),
            constant(c.channels, *magnitude),
            constant(1, 1.0, 1.0),
        ]
        fix_weight(self.embed.weight, None, *(torch.cat(values) for values in zip(*parts)))
        for trunk in self.trunks:
            trunk.fix(self.told, self.embedded, fine)
        self.head.fix()


class Msp(nn.Module):
    """The codec. `walk` is its only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    STRIDE: pixels on a side of what a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk: 2048 pixels. Part of the format. It bounds memory.
    """

    STRIDE, TILE = STRIDE, 128

    def __init__(self, config: Config = PROFILES["fast"]) -> None:
        super().__init__()
        self.config = c = config
        self._fingerprint: int | None = None
        self.fixed = False
        self.analysis = Analysis(c.width, c.analysis, c.channels)
        self.synthesis = Synthesis(c.width, c.synthesis, c.channels)
        self.log_gain, self.log_inverse = (
            nn.Parameter(torch.tensor([[sign * gain] * c.channels for gain in first_log_gains()])) for sign in (1, -1)
        )
        self.prior = Prior(c)

    @property
    def channels(self) -> int:
        return self.config.channels

    @property
    def reach(self) -> tuple[int, int]:
        """Vectors of latents beyond its own whose pixels one is computed from, and that a pixel is."""
        return self.analysis.reach, self.synthesis.reach

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.log_gain.device

    def encode(self, pixels: Tensor, index: Tensor) -> Tensor:
        """Samples from 0 to 1, `[B, 3, 16H, 16W]`, and indices of qualities `[B]` -> latents `[B, C, H, W]`, to be
        rounded."""
        y = self.analysis(pixels - 0.5, index).float()
        gain = at_index(self.prior.levels.float() * (math.log(2) / LEVELS) if self.fixed else self.log_gain, index)
        result: Tensor = (y * gain).clamp(-LARGEST, LARGEST)
        return result

    def decode(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Latents -> samples, those of `encode` up to the loss."""
        pixels: Tensor = self.synthesis(symbols * at_index(self.log_inverse, index), index)
        return pixels.float() + 0.5

    def walk(self, coder: Coder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        """Code latents of `size` (H, W) through `coder`: integers as floats `[B, C, H, W]`, None when decoding."""
        y = None if symbols is None else symbols.permute(0, 2, 3, 1)
        coded = self.prior.walk(coder, index, size, y, self.units(index))
        return coded.permute(0, 3, 1, 2)

    def units(self, index: Tensor) -> Units:
        if self.fixed:
            return self.prior.units(index)
        level = at_index(self.log_gain + self.prior.spread * (math.log(2) / LEVELS), index).log().permute(0, 2, 3, 1)
        unit = level.exp()
        return Units(unit, 1 / unit, level)

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters, and how fast they learn beside the transforms."""
        transforms = [*self.analysis.parameters(), *self.synthesis.parameters()]
        return [
            (transforms, 1.0),
            (list(self.prior.parameters()), PRIOR_RATE),
            ([self.log_gain, self.log_inverse], GAIN_RATE),
        ]

    @torch.no_grad()
    def start(self, pixels: Tensor) -> None:
        """First weights: the transforms of principal components, and the spread of their latents.

        pixels: as of `encode`, a few dozen crops.
        """
        start(self.analysis, self.synthesis, pixels - 0.5, MIDDLE)
        y = self.analysis(pixels - 0.5, torch.full((len(pixels),), LAST // 2, device=pixels.device))
        deviation = y.float().std((0, 2, 3)).clamp_min(2.0**-6)
        self.prior.spread.copy_((LEVELS * deviation.log2()).round())

    @torch.no_grad()
    def watch(self, pictures: Iterable[Tensor]) -> None:
        """From now on activations of the prior are rounded as in a file: to their ranges over these pixels."""
        snaps = self.prior.snaps()
        for snap in snaps:
            snap.exact, snap.watching = False, not float(snap.limit)
        for pixels in islice(pictures, WATCHED):
            index = torch.linspace(0, LAST, len(pixels), device=self.device).round().long()
            y = self.encode(pixels, index).round()
            self.walk(RateMeter(), index, y.shape[2:], y)
        for snap in snaps:
            snap.watching = False
            snap.fix()
        self.round()

    def round(self) -> None:
        """Round activations of the prior as in a file, if their ranges are known."""
        snaps = self.prior.snaps()
        if all(float(snap.limit) for snap in snaps):
            for snap in snaps:
                snap.load()

    @property
    def rounded(self) -> bool:
        """Whether activations of the prior are rounded as in a file."""
        return all(snap.exact for snap in self.prior.snaps())

    @torch.no_grad()
    def fix(self, pictures: Iterable[Tensor]) -> Msp:
        """Make the codec that files refer to, in place. pictures: as of `watch`, if they have not been watched.

        Raises:
            ValueError: a layer's partial sums could leave the exact range.
        """
        if not self.rounded:
            self.watch(pictures)
        self.cpu()
        self.prior.levels.copy_((self.log_gain * (LEVELS / math.log(2))).round())
        self.prior.fix()
        for module in (self.analysis, self.synthesis):
            for weight in module.parameters():
                weight.copy_(weight.half())
        self._become_fixed()
        return self

    def _become_fixed(self) -> None:
        self.round()
        self.fixed = True
        self.requires_grad_(False)

    def save(self, path: str | Path) -> None:
        """Write a fixed codec as safetensors, its configuration in the metadata; transforms in 16 bits."""
        tensors = {
            name: (value.half() if name.startswith(("analysis", "synthesis")) else value).cpu().contiguous()
            for name, value in self.state_dict().items()
        }
        save_file(tensors, path, {"config": self.config.metadata()})

    @classmethod
    @known_state()
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Msp:
        """Return a fixed codec as `save` wrote it. Raises InexactDeviceError as `nn.exact.check_exact` does."""
        model = cls.read(path)
        model._become_fixed()
        check_exact(model.prior, torch.device(device))
        return model.to(device)

    @classmethod
    @known_state()
    def read(cls, path: str | Path) -> Msp:
        """Return the codec that a fixed one was made from, up to the bits of its weights: to train on."""
        config, tensors = read_weights(path)
        with torch.device("meta"):
            model = cls(Config.of(config))
        model.load_state_dict(tensors, assign=True)
        return model

    def fingerprint(self) -> int:
        """32 bits that change with the configuration and any weight or table of a fixed codec."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.config.metadata(), self.state_dict())
        return self._fingerprint
