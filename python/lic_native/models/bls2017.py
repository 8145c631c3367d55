"""Ballé, Laparra, Simoncelli: End-to-end optimized image compression, ICLR 2017, arXiv 1611.01704.

    pixels -- conv 9x9/4, GDN, conv 5x5/2, GDN, conv 5x5/2 --> y -- times gain, round --> integers --walk--> bytes
    pixels <-- conv 9x9*4, IGDN, conv 5x5*2, IGDN, conv 5x5*2 -- y <-- times inverse gain -- integers <-------'

y has a vector for every 16x16 pixels. The transforms are ordinary floats: only who has the pixels computes y, and what
is coded are integers. The prior is factorised: each channel of y has one density, whatever the neighbours are. One set
of weights serves all rates: a gain for each channel and quality scales y before it is rounded (Cui et al. 2021,
asymmetric gained variational autoencoder, arXiv 2003.02012), so a quality is a step size for each channel, and the
density of y itself, which no gain changes, gives the probabilities at any step.

In training the rate of rounded values is that of values with uniform noise (section 3), and a density is a mixture of
logistics. `fix` makes the codec that files refer to: per channel the cumulative distribution of y over photographs,
linear between knots, all in integers, as are the gains; so the tables of any quality are the same on every machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ..coding.coder import FLOOR, Coder
from ..entropy.stream import Encoder
from ..entropy.tables import Rows, Tables
from ..nn.ambient import known_state
from ..nn.checkpoint import fingerprint, read_weights
from ..nn.gdn import GDN
from ..nn.transforms import at_index
from .rate_points import BETWEEN, LARGEST, LEVELS, MIDDLE, QUALITIES, first_log_gains, power

__all__ = [
    "DENSITY_RATE",
    "GAIN_RATE",
    "KEPT",
    "LOGISTICS",
    "POINT",
    "PSEUDO",
    "SMALL",
    "TAIL",
    "TOTAL",
    "Bls2017",
    "Config",
    "Density",
    "Prior",
    "Relaxed",
    "Tabled",
    "interpolated",
    "knots",
]

#: y is counted in units of 2^-POINT where it is an integer.
POINT = 16
#: Sum of a cumulative distribution, and what either tail is worth that has no symbols of its own.
TOTAL, TAIL = 2**24, 2**8
#: Tables of so many qualities are kept: half a megabyte each.
KEPT = 16
#: Samples that the training density is worth beside those that are counted.
PSEUDO = 64.0
#: Of random first weights beside the components.
SMALL = 0.02
#: Learning rates of the densities and of the gains beside that of the transforms: few numbers that far to go.
DENSITY_RATE, GAIN_RATE = 20.0, 6.0
#: Of the training mixture.
LOGISTICS = 4


@dataclass(frozen=True)
class Config:
    """channels: after each of the three stages of analysis; the last are those of y."""

    channels: tuple[int, int, int] = (96, 192, 320)

    def metadata(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


class Relaxed(NamedTuple):
    """Latents in training, `[B, C, H, W]`: y times gain, noisy or rounded; the density is a mixture of logistics."""

    density: Density
    gain: Tensor
    shape: tuple[int, ...]
    device: torch.device

    def distributions(self) -> list[Rows]:
        raise TypeError("noise has no tables: fix the codec first")

    def bits(self, symbols: Tensor) -> Tensor:
        return self.costs(symbols).sum(1)

    def costs(self, symbols: Tensor) -> Tensor:
        """`[B, n]`: the bits of each symbol, in their order."""
        return -torch.log2(self.density.mass(symbols, self.gain) + FLOOR).flatten(1)


class Tabled(NamedTuple):
    """Latents in a file, `[B, C, H, W]`: integers, a table for each channel."""

    tables: Tables
    shape: tuple[int, ...]
    device: torch.device

    def distributions(self) -> list[Rows]:
        return [self.tables[np.arange(self.shape[1])[:, None, None]]] * self.shape[0]

    def bits(self, symbols: Tensor) -> Tensor:
        costs = []
        for picture, distribution in zip(symbols.to(torch.int16).cpu().numpy(), self.distributions()):
            encoder = Encoder()
            encoder.put(picture, distribution)
            costs.append(encoder.cost_bits())
        return torch.tensor(costs, dtype=torch.float32)


class Density(nn.Module):
    """A mixture of logistics for each channel of y."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels, LOGISTICS))
        self.log_scale = nn.Parameter(torch.zeros(channels, LOGISTICS))
        self.weight = nn.Parameter(torch.zeros(channels, LOGISTICS))

    def start(self, y: Tensor) -> None:
        """Narrow to wide, as y `[B, C, H, W]` is."""
        with torch.no_grad():
            self.mean.copy_(y.mean((0, 2, 3))[:, None].expand_as(self.mean))
            deviation = y.std((0, 2, 3))[:, None] * math.sqrt(3) / math.pi
            self.log_scale.copy_((deviation * torch.logspace(-1, 0.3, LOGISTICS)).log())

    def mass(self, symbols: Tensor, gain: Tensor) -> Tensor:
        """The probability of y * gain within 1/2 of each symbol. symbols `[B, C, H, W]`, gain `[B, C, 1, 1]`."""
        half, y = 0.5 / gain, symbols / gain
        weight, inverse = self.weight.softmax(1), (-self.log_scale).exp()
        result = torch.zeros_like(symbols)
        for i in range(LOGISTICS):
            mean, rate, share = (x[:, i, None, None] for x in (self.mean, inverse, weight))
            # On the side below the mean, where differences of sigmoids keep their digits.
            distance = (y - mean).abs()
            mass = torch.sigmoid((half - distance) * rate) - torch.sigmoid((-half - distance) * rate)
            result = result + share * mass
        return result

    @torch.no_grad()
    def cumulative(self, y: Tensor) -> Tensor:
        """The cumulative distribution at y `[C, n]`."""
        x = (y[..., None] - self.mean[:, None]) * (-self.log_scale[:, None]).exp()
        return (torch.sigmoid(x) * self.weight.softmax(1)[:, None]).sum(-1)


def knots() -> np.ndarray:
    """Where the stored cumulative distributions have their values, in half steps of the finest quality from the centre.

    All of them near it, then one in eight per cent more.
    """
    positions = list(range(17))
    while positions[-1] < 2**13:
        positions.append(math.ceil(positions[-1] * 1.08))
    return np.array([*(-p for p in positions[:0:-1]), *positions], np.int64)


class Prior(nn.Module):
    """The cumulative distribution of each channel of y, and its gains, in integers.

    levels: `[QUALITIES, C]`, log2 of the gains in 1/LEVELS.
    centre: `[C]`, in units of 2^-POINT of y.
    cumulative: `[C, knots]`, of TOTAL.
    """

    levels: Tensor
    centre: Tensor
    cumulative: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("levels", torch.zeros(QUALITIES, channels, dtype=torch.int32))
        self.register_buffer("centre", torch.zeros(channels, dtype=torch.int32))
        self.register_buffer("cumulative", torch.zeros(channels, len(knots()), dtype=torch.int32))
        self._kept: dict[int, Tables] = {}

    def fit(self, samples: Tensor, density: Density, log_gain: Tensor) -> None:
        """Count.

        samples: `[C, n]` values of y.
        density: what stands for `PSEUDO` more samples, so that nothing is impossible.
        log_gain: `[QUALITIES, C]`, natural logarithms.
        """
        self._kept.clear()
        self.levels.copy_((log_gain / math.log(2) * LEVELS).round())
        self.centre.copy_((samples.median(1).values * 2**POINT).round())
        centre = self.centre.double()[:, None] / 2**POINT
        edges = (centre + torch.from_numpy(self._positions() / 2**POINT)).float()
        counted = torch.searchsorted(samples.sort(1).values, edges, right=True).double()
        share = PSEUDO / (PSEUDO + samples.shape[1])
        whole = (1 - share) * counted / samples.shape[1] + share * density.cumulative(edges).double()
        self.cumulative.copy_((whole * TOTAL).round())

    def _positions(self) -> np.ndarray:
        """`[C, knots]` from the centre."""
        finest = np.array([power(-int(level)) for level in self.levels.cpu().amax(0)], np.int64)
        return knots() * np.maximum(finest // 2, 1)[:, None]

    def level(self, index: int) -> np.ndarray:
        """`[C]` levels at a quality by its index: linear between two that are stored."""
        stop = min(index // BETWEEN, QUALITIES - 2)
        part = index - BETWEEN * stop
        levels = self.levels.cpu().numpy().astype(np.int64)
        level: np.ndarray = ((BETWEEN - part) * levels[stop] + part * levels[stop + 1]) // BETWEEN
        return level

    def tables(self, index: int) -> Tables:
        """The distribution of the integers of each channel at a quality by its index; the last few are kept."""
        tables = self._kept.get(index)
        if tables is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            tables = self._kept[index] = self._tables(index)
        return tables

    def _tables(self, index: int) -> Tables:
        rows, offsets = [], []
        centres, positions = self.centre.cpu().numpy().astype(np.int64), self._positions()
        cumulative = self.cumulative.cpu().numpy().astype(np.int64)
        for level, centre, place, value in zip(self.level(index), centres, positions, cumulative):
            step, where = power(-int(level)), place + centre
            # Integers whose unit is between the tails.
            first, last = np.searchsorted(value, (TAIL, TOTAL - TAIL), "right")
            low = (2 * int(where[max(first - 1, 0)]) // step - 1) // 2
            high = (2 * int(where[min(last, len(where) - 1)]) // step + 2) // 2
            edges = (2 * np.arange(low, high + 2) - 1) * step // 2
            slots = np.diff(interpolated(edges, where, value))
            inside = np.flatnonzero((np.cumsum(slots[::-1])[::-1] > TAIL) & (np.cumsum(slots) > TAIL))
            kept = slots[inside[0] : inside[-1] + 1] if len(inside) else slots
            # A slot for each, and the escape's: what is left.
            shares = kept * (TOTAL - 2 * TAIL - len(kept)) // TOTAL + 1
            rows.append(np.concatenate([[0], np.cumsum(shares), [TOTAL]]))
            offsets.append(low + (int(inside[0]) if len(inside) else 0))
        width = max(map(len, rows))
        cdf = np.array([np.pad(row, (0, width - len(row)), "edge") for row in rows], np.int32)
        return Tables(cdf, [len(row) for row in rows], offsets)


def interpolated(x: np.ndarray, where: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Integers: the value at x, linear between knots, rounded down."""
    right = np.clip(np.searchsorted(where, x, "right"), 1, len(where) - 1)
    (x0, x1), (v0, v1) = (where[right - 1], where[right]), (value[right - 1], value[right])
    result: np.ndarray = v0 + (v1 - v0) * (np.clip(x, where[0], where[-1]) - x0) // (x1 - x0)
    return result


class Bls2017(nn.Module):
    """The codec. `walk` is its only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    STRIDE: pixels on a side of what a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk: 1024 pixels. Part of the format. It bounds memory.
    """

    STRIDE, TILE = 16, 64

    def __init__(self, config: Config = Config()) -> None:
        super().__init__()
        self.config = config
        self._fingerprint: int | None = None
        fine, coarse, m = config.channels
        self.analysis = nn.Sequential(
            nn.Conv2d(3, fine, 9, stride=4, padding=4),
            GDN(fine),
            nn.Conv2d(fine, coarse, 5, stride=2, padding=2),
            GDN(coarse),
            nn.Conv2d(coarse, m, 5, stride=2, padding=2),
        )
        self.synthesis = nn.Sequential(
            nn.ConvTranspose2d(m, coarse, 5, stride=2, padding=2, output_padding=1),
            GDN(coarse, inverse=True),
            nn.ConvTranspose2d(coarse, fine, 5, stride=2, padding=2, output_padding=1),
            GDN(fine, inverse=True),
            nn.ConvTranspose2d(fine, 3, 9, stride=4, padding=4, output_padding=3),
        )
        self.log_gain, self.log_inverse = (
            nn.Parameter(torch.tensor([[sign * gain] * m for gain in first_log_gains()])) for sign in (1, -1)
        )
        self.density: Density | None = Density(m)
        self.prior = Prior(m)

    @property
    def channels(self) -> int:
        return self.config.channels[-1]

    @property
    def reach(self) -> tuple[int, int]:
        """Vectors of latents beyond its own whose pixels one is computed from (28 pixels), and that a pixel is."""
        return 2, 2

    def encode(self, pixels: Tensor, index: Tensor) -> Tensor:
        """Samples from 0 to 1, `[B, 3, 16H, 16W]`, and indices of qualities `[B]` -> latents `[B, C, H, W]`, to be
        rounded."""
        y = self.analysis(pixels - 0.5).float()
        result: Tensor = (y * self.gain(index)).clamp(-LARGEST, LARGEST)
        return result

    def gain(self, index: Tensor) -> Tensor:
        """What y is multiplied with, `[B, C, 1, 1]`."""
        if self.density is not None:
            return at_index(self.log_gain, index)
        levels = np.stack([self.prior.level(i) for i in index.tolist()])
        return torch.from_numpy(np.exp2(levels / LEVELS)).float().to(self.device)[:, :, None, None]

    def decode(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Latents -> samples, those of `encode` up to the loss."""
        pixels: Tensor = self.synthesis(symbols * at_index(self.log_inverse, index))
        return pixels.float() + 0.5

    def walk(self, coder: Coder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        """Code latents `[B, C, H, W]` through `coder`: one step, since no element tells of another.

        index: of the qualities, equal ones of a fixed codec.
        size: (H, W).
        symbols: integers as floats (with noise in training), None when decoding.
        """
        shape = (len(index), self.channels, *size)
        if self.density is not None:
            return coder.code(Relaxed(self.density, self.gain(index), shape, self.device), symbols)
        return coder.code(Tabled(self.prior.tables(int(index[0])), shape, self.device), symbols)

    def learned(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters, and how fast they learn beside the transforms."""
        transforms = [*self.analysis.parameters(), *self.synthesis.parameters()]
        gains = [self.log_gain, self.log_inverse]
        return [(transforms, 1.0), (list(self.density.parameters()), DENSITY_RATE), (gains, GAIN_RATE)]

    @torch.no_grad()
    def start(self, pixels: Tensor) -> None:
        """First weights: a pyramid of principal components, from which training goes on.

        Each analysis stage keeps the components of most energy of the non-overlapping squares of what the one before
        gives, and each synthesis stage is its transpose; what is left of the kernels is small and random. Ten minutes
        from there are worth hours from random weights, which have to find a transform first.

        pixels: as of `encode`, a few dozen crops.
        """
        x = pixels - 0.5
        for i in (0, 2, 4):
            forward, backward = self.analysis[i], self.synthesis[4 - i]
            size = forward.stride[0]
            squares = F.unfold(x, size, stride=size).transpose(1, 2).flatten(0, 1)
            components = torch.linalg.eigh(squares.T @ squares).eigenvectors.flip(1).T[: forward.out_channels]
            kernels = components.reshape(len(components), x.shape[1], size, size)
            # y in steps that suit a middle quality, other stages at unit gain.
            scale = MIDDLE if i == 4 else 1.0
            inside = (slice(len(kernels)), slice(None), *[slice(forward.padding[0], forward.padding[0] + size)] * 2)
            for layer, values in ((forward, kernels * scale), (backward, kernels / scale)):
                layer.weight.mul_(SMALL)
                layer.weight[inside] = values
                layer.bias.zero_()
            x = self.analysis[i + 1](forward(x)) if i < 4 else forward(x)
        self.density.start(x)

    #: Nothing is to be rounded before files are made.
    rounded = True

    def round(self) -> None: ...

    @torch.no_grad()
    def fix(self, pictures: Iterable[Tensor]) -> Bls2017:
        """Make the codec that files refer to, in place. pictures: as of `encode`, whose latents are counted."""
        samples = (self.analysis(pixels - 0.5).float().transpose(0, 1).flatten(1).cpu() for pixels in pictures)
        counted = torch.cat(list(samples), 1)
        self.cpu().prior.fit(counted, self.density, self.log_gain)
        for layer in (*self.analysis, *self.synthesis):
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                layer.weight.copy_(layer.weight.half())
        self._become_fixed()
        return self

    def _become_fixed(self) -> None:
        self.density = None
        self.requires_grad_(False)

    def save(self, path: str | Path) -> None:
        """Write a fixed codec as safetensors, its configuration in the metadata; convolutions in 16 bits."""
        tensors = {
            name: (value.half() if value.dim() == 4 else value).cpu().contiguous()
            for name, value in self.state_dict().items()
        }
        save_file(tensors, path, {"config": self.config.metadata()})

    @classmethod
    @known_state()
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Bls2017:
        """Return a fixed codec as `save` wrote it."""
        config, tensors = read_weights(path)
        with torch.device("meta"):
            model = cls(Config(tuple(json.loads(config)["channels"])))
        model._become_fixed()
        model.load_state_dict(tensors, assign=True)
        return model.to(device)

    def fingerprint(self) -> int:
        """32 bits that change with the configuration and any weight or table of a fixed codec."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.config.metadata(), self.state_dict())
        return self._fingerprint

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.log_gain.device
