"""Bls2017, a codec of images with a factorised prior: Ballé et al. 2017 (see `Bls2017`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.mixture import FLOOR
from ..entropy.stream import Encoder
from ..entropy.tables import Rows, Tables
from ..nn.exact import round_weight
from ..nn.gains import gains_at, levels_at
from ..nn.gdn import GDN
from ..nn.transforms import principal_components
from . import base
from .rate_points import LEVELS, MIDDLE, QUALITIES, STRIDE, power

__all__ = [
    "KEPT",
    "LOGISTICS",
    "POINT",
    "PSEUDO",
    "SMALL",
    "TAIL",
    "TOTAL",
    "WEIGHT_BITS",
    "Bls2017",
    "Config",
    "Density",
    "FactorizedPrior",
    "Relaxed",
    "Stages",
    "Tabled",
    "interpolated",
    "knots",
]

#: y is counted in units of 2^-POINT where it is an integer.
POINT = 16
#: Sum of a cumulative distribution, and what either tail is worth that has no symbols of its own.
TOTAL, TAIL = 2**24, 2**8
#: Qualities whose tables are kept in memory: half a megabyte each.
KEPT = 16
#: Samples that the training density is worth next to those that are counted.
PSEUDO = 64.0
#: Scale of random first weights around the principal components.
SMALL = 0.02
#: Precision of the transforms' weights in a file (`nn.exact.round_weight`).
WEIGHT_BITS = 7
#: Components of the training mixture.
LOGISTICS = 4


@dataclass(frozen=True)
class Config(base.Config):
    """channels: after each of the three stages of g_a; the last are the channels of y."""

    channels: tuple[int, int, int] = (96, 192, 320)


class Relaxed(NamedTuple):
    """Latents in training, `[B, C, H, W]`: y times gain, noisy or rounded; the density is a mixture of logistics."""

    density: Density
    gain: Tensor
    shape: tuple[int, ...]
    device: torch.device

    def distributions(self) -> list[Rows]:
        raise TypeError("noise has no tables: freeze the codec first")

    def bits(self, symbols: Tensor) -> Tensor:
        return self.costs(symbols).sum(1)

    def costs(self, symbols: Tensor) -> Tensor:
        """Return `[B, n]` bits of each symbol, in their order."""
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
        self.logits = nn.Parameter(torch.zeros(channels, LOGISTICS))

    @torch.no_grad()
    def init_from(self, y: Tensor) -> None:
        """Set the first mixtures: from narrow to wide, around what y `[B, C, H, W]` is."""
        self.mean.copy_(y.mean((0, 2, 3))[:, None].expand_as(self.mean))
        deviation = y.std((0, 2, 3))[:, None] * math.sqrt(3) / math.pi
        self.log_scale.copy_((deviation * torch.logspace(-1, 0.3, LOGISTICS)).log())

    def mass(self, symbols: Tensor, gain: Tensor) -> Tensor:
        """Return the probability of y * gain within 1/2 of symbols `[B, C, H, W]`; gain: `[B, C, 1, 1]`."""
        half, y = 0.5 / gain, symbols / gain
        weight, inverse = self.logits.softmax(1), (-self.log_scale).exp()
        result = torch.zeros_like(symbols)
        for i in range(LOGISTICS):
            mean, rate, share = (x[:, i, None, None] for x in (self.mean, inverse, weight))
            # On the side below the mean, where differences of sigmoids keep their digits.
            distance = (y - mean).abs()
            mass = torch.sigmoid((half - distance) * rate) - torch.sigmoid((-half - distance) * rate)
            result = result + share * mass
        return result

    @torch.no_grad()
    def cdf(self, y: Tensor) -> Tensor:
        """Return the cumulative distribution at y `[C, n]`."""
        x = (y[..., None] - self.mean[:, None]) * (-self.log_scale[:, None]).exp()
        return (torch.sigmoid(x) * self.logits.softmax(1)[:, None]).sum(-1)


def knots() -> np.ndarray:
    """Return the positions of the stored cumulative distributions, in half steps of the finest quality from the median.

    Near the median there is one at each half step, further away each is eight per cent further than the one before.
    """
    positions = list(range(17))
    while positions[-1] < 2**13:
        positions.append(math.ceil(positions[-1] * 1.08))
    return np.array([*(-p for p in positions[:0:-1]), *positions], np.int64)


class FactorizedPrior(nn.Module):
    """The cumulative distribution of each channel of y, and its gains, in integers.

    gain_levels: `[QUALITIES, C]`, log2 of the gains in 1/LEVELS.
    median: `[C]`, in units of 2^-POINT of y.
    cdf: `[C, knots]`, of TOTAL.
    """

    gain_levels: Tensor
    median: Tensor
    cdf: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("gain_levels", torch.zeros(QUALITIES, channels, dtype=torch.int32))
        self.register_buffer("median", torch.zeros(channels, dtype=torch.int32))
        self.register_buffer("cdf", torch.zeros(channels, len(knots()), dtype=torch.int32))
        self._kept: dict[int, Tables] = {}

    def fit(self, samples: Tensor, density: Density, log_gain: Tensor) -> None:
        """Count samples of y.

        Args:
            samples: `[C, n]` values of y.
            density: stands for `PSEUDO` more samples, so that nothing is impossible.
            log_gain: `[QUALITIES, C]`, natural logarithms.
        """
        self._kept.clear()
        self.gain_levels.copy_((log_gain / math.log(2) * LEVELS).round())
        self.median.copy_((samples.median(1).values * 2**POINT).round())
        median = self.median.double()[:, None] / 2**POINT
        edges = (median + torch.from_numpy(self._positions() / 2**POINT)).float()
        counted = torch.searchsorted(samples.sort(1).values, edges, right=True).double()
        share = PSEUDO / (PSEUDO + samples.shape[1])
        cdf = (1 - share) * counted / samples.shape[1] + share * density.cdf(edges).double()
        self.cdf.copy_((cdf * TOTAL).round())

    def _positions(self) -> np.ndarray:
        """Return the knots `[C, knots]`, counted from the median."""
        finest = np.array([power(-int(level)) for level in self.gain_levels.cpu().amax(0)], np.int64)
        return knots() * np.maximum(finest // 2, 1)[:, None]

    def levels(self, index: int) -> np.ndarray:
        """Return `[C]` levels of the gains at a quality by its index."""
        result: np.ndarray = levels_at(self.gain_levels.cpu(), torch.tensor([index]))[0].numpy()
        return result

    def tables(self, index: int) -> Tables:
        """Return the tables of the integers of each channel at a quality by its index, from a small cache."""
        tables = self._kept.get(index)
        if tables is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            tables = self._kept[index] = self._tables(index)
        return tables

    def _tables(self, index: int) -> Tables:
        rows, offsets = [], []
        medians, positions = self.median.cpu().numpy().astype(np.int64), self._positions()
        cdfs = self.cdf.cpu().numpy().astype(np.int64)
        for level, median, position, value in zip(self.levels(index), medians, positions, cdfs):
            step, where = power(-int(level)), position + median
            # Integers whose unit is between the tails.
            first, last = np.searchsorted(value, (TAIL, TOTAL - TAIL), "right")
            low = (2 * int(where[max(first - 1, 0)]) // step - 1) // 2
            high = (2 * int(where[min(last, len(where) - 1)]) // step + 2) // 2
            edges = (2 * np.arange(low, high + 2) - 1) * step // 2
            slots = np.diff(interpolated(edges, where, value))
            inside = np.flatnonzero((np.cumsum(slots[::-1])[::-1] > TAIL) & (np.cumsum(slots) > TAIL))
            slots = slots[inside[0] : inside[-1] + 1] if len(inside) else slots
            # At least one slot for each symbol; the escape has what is left.
            shares = slots * (TOTAL - 2 * TAIL - len(slots)) // TOTAL + 1
            rows.append(np.concatenate([[0], np.cumsum(shares), [TOTAL]]))
            offsets.append(low + (int(inside[0]) if len(inside) else 0))
        width = max(map(len, rows))
        cdf = np.array([np.pad(row, (0, width - len(row)), "edge") for row in rows], np.int32)
        return Tables(cdf, [len(row) for row in rows], offsets)


def interpolated(x: np.ndarray, where: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return integers: the value at x, linear between knots, rounded down."""
    right = np.clip(np.searchsorted(where, x, "right"), 1, len(where) - 1)
    (x0, x1), (v0, v1) = (where[right - 1], where[right]), (value[right - 1], value[right])
    result: np.ndarray = v0 + (v1 - v0) * (np.clip(x, where[0], where[-1]) - x0) // (x1 - x0)
    return result


class Stages(nn.Sequential):
    """A transform that is the same for all qualities."""

    #: Vectors of latents that a transform sees beyond its own: its kernels reach 28 pixels.
    reach = 2

    def forward(self, input: Tensor, index: Tensor | None = None) -> Tensor:
        result: Tensor = super().forward(input)
        return result


class Bls2017(base.ImageModel):
    """A codec of images with a factorised prior.

    Ballé, Laparra, Simoncelli, "End-to-end Optimized Image Compression", ICLR 2017, https://arxiv.org/abs/1611.01704.

        x -- conv 9x9/4, GDN, conv 5x5/2, GDN, conv 5x5/2 --> y -- times gain, round --> y_hat --walk--> bytes
        |--------------------- g_a ---------------------|
        x_hat <-- conv 9x9*4, IGDN, conv 5x5*2, IGDN, conv 5x5*2 -- times inverse gain -- y_hat <--walk-- bytes
                  |--------------------- g_s ---------------------|

    y has a vector for every 16x16 pixels. The transforms are ordinary floats: only an encoder computes y, and what it
    codes are integers. The prior is factorised: each channel of y has one density, whatever the neighbours are.

    Departures from the paper: one set of weights serves all rates, since a gain for each channel and quality scales y
    before it is rounded (Cui et al. 2021, asymmetric gained variational autoencoder, arXiv 2003.02012). So a quality is
    a step size for each channel, and the density of y itself, which no gain changes, gives the probabilities at any
    step. In training the rate is that of values with uniform noise (section 3, equation 9), under a density that is a
    mixture of logistics. `calibrate` replaces it by the cumulative distribution of y over photographs, linear between
    knots, all in integers, as are the gains; so the tables of any quality are the same on every machine.

    `walk` is the only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    STRIDE: pixels on a side of the square that a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk: 1024 pixels. Part of the format. It bounds memory.
    GDN_RATE: learning rate of GDN's roots, relative to the kernels'.
    """

    CONFIG = Config
    STRIDE, TILE = STRIDE, 64
    PRIOR_RATE = 20.0
    # Samples from 0 to 1 have faint components, which GDN divides by little until gamma is far above its first value.
    GDN_RATE = 10.0

    def __init__(self, config: Config = Config()) -> None:
        fine, coarse, m = config.channels
        g_a = Stages(
            nn.Conv2d(3, fine, 9, stride=4, padding=4),
            GDN(fine),
            nn.Conv2d(fine, coarse, 5, stride=2, padding=2),
            GDN(coarse),
            nn.Conv2d(coarse, m, 5, stride=2, padding=2),
        )
        g_s = Stages(
            nn.ConvTranspose2d(m, coarse, 5, stride=2, padding=2, output_padding=1),
            GDN(coarse, inverse=True),
            nn.ConvTranspose2d(coarse, fine, 5, stride=2, padding=2, output_padding=1),
            GDN(fine, inverse=True),
            nn.ConvTranspose2d(fine, 3, 9, stride=4, padding=4, output_padding=3),
        )
        super().__init__(config, g_a, g_s, m)
        self.density: Density | None = Density(m)
        self.prior = FactorizedPrior(m)

    @property
    def trained_prior(self) -> Any:
        return self.density

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        (_, rate), *others = super().parameter_groups()
        named = [*self.g_a.named_parameters(), *self.g_s.named_parameters()]
        roots, kernels = ([p for name, p in named if name.endswith(".root") is root] for root in (True, False))
        return [(kernels, rate), *others, (roots, rate * self.GDN_RATE)]

    def gain(self, index: Tensor) -> Tensor:
        if self.density is not None:
            return gains_at(self.log_gain, index)
        levels = levels_at(self.prior.gain_levels.cpu(), index.cpu()).numpy()
        return torch.from_numpy(np.exp2(levels / LEVELS)).float().to(self.device)[:, :, None, None]

    def walk(self, coder: SymbolCoder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        """Code latents `[B, C, H, W]` through `coder` in one step, since no element says anything of another.

        Args:
            coder: encodes, decodes or measures.
            index: `[B]` of the qualities, equal ones if the codec is frozen.
            size: (H, W).
            symbols: integers as floats (in training also other numbers), None when decoding.
        """
        shape = (len(index), self.channels, *size)
        if self.density is not None:
            return coder.code(Relaxed(self.density, self.gain(index), shape, self.device), symbols)
        return coder.code(Tabled(self.prior.tables(int(index[0])), shape, self.device), symbols)

    @torch.no_grad()
    def init_from_pca(self, pixels: Tensor) -> None:
        """Set the first weights: a pyramid of principal components, from which training goes on.

        Each stage of g_a keeps the components of most energy of the non-overlapping squares of its input, and each
        stage of g_s is its transpose; the rest of the kernels is small and random. Ten minutes from there are worth
        hours from random weights, which have to find a transform first.
        """
        x = pixels - 0.5
        for i in (0, 2, 4):
            forward, backward = self.g_a[i], self.g_s[4 - i]
            size = forward.stride[0]
            squares = F.unfold(x, size, stride=size)
            components = principal_components(squares[..., None])[: forward.out_channels]
            kernels = components.reshape(len(components), x.shape[1], size, size)
            # y in steps that suit a middle quality, other stages at unit gain.
            scale = MIDDLE if i == 4 else 1.0
            inside = (slice(len(kernels)), slice(None), *[slice(forward.padding[0], forward.padding[0] + size)] * 2)
            for layer, values in ((forward, kernels * scale), (backward, kernels / scale)):
                layer.weight.mul_(SMALL)
                layer.weight[inside] = values
                layer.bias.zero_()
            x = self.g_a[i + 1](forward(x)) if i < 4 else forward(x)
        self.density.init_from(x)

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> Bls2017:
        """Count the latents of batches of pixels: the prior that files refer to, for the weights as they are now."""
        latents = (self.g_a(pixels - 0.5).float() for pixels in batches)
        samples = torch.cat([y.transpose(0, 1).flatten(1).cpu() for y in latents], 1)
        self.cpu().prior.fit(samples, self.density, self.log_gain)
        return self

    def _quantize_weights(self) -> None:
        for weight in (*self.g_a.parameters(), *self.g_s.parameters()):
            if weight.dim() > 1:
                round_weight(weight, WEIGHT_BITS)

    def _to_frozen_form(self) -> None:
        self.density = None

    def _to_float_form(self) -> None:
        self.density = Density(self.channels)
