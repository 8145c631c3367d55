"""The hyperprior of MLCC: side information with coefficient fusion (CFM) and prior splitting (CPSM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.mixture import Mixture
from ..nn.exact import Linear, conv3x3, quantize_linear, quantize_weight, uniform_range
from ..nn.phases import PHASES, depth_to_space, space_to_depth
from ..nn.quantizer import SLOPE, Quantizer
from .sampling import SAMPLINGS, Shape, padded

__all__ = [
    "CHROMA",
    "HIDDEN",
    "NO_PRIORS",
    "PRIOR",
    "Z_BITS",
    "FactorizedPrior",
    "HyperAnalysis",
    "HyperSynthesis",
    "Hyperprior",
    "PhasePriors",
    "PlanePriors",
]

#: Channels inside of h_a and h_s, and of the prior of a plane.
HIDDEN, PRIOR = 64, 32
#: Bits of the largest magnitude of z_hat.
Z_BITS = 6
CHROMA = {name: ratio for name, ratio in SAMPLINGS.items() if ratio}


class PlanePriors(NamedTuple):
    """Priors of the planes, computed from z_hat: (Cr, Cb) on the grid of a chroma phase, Y on that of a luma phase."""

    chroma: tuple[Tensor, ...]
    luma: Tensor


class PhasePriors(NamedTuple):
    """Priors that are added to the trunk of each phase, in coding order: 8 of chroma (0 for gray), 7 of luma."""

    chroma: Sequence[Tensor | None]
    luma: Sequence[Tensor | None]


NO_PRIORS = PhasePriors((None,) * 8, (None,) * 7)


class HyperAnalysis(nn.Module):
    """h_a: features of the coefficients of all planes to z; its first two layers are the paper's fusion (CFM)."""

    def __init__(self, z_channels: int, luma: int, chroma: int) -> None:
        super().__init__()
        self.fuse_luma = nn.Linear(4 * luma, HIDDEN)
        self.fuse_chroma = nn.ModuleDict(
            {name: nn.Linear(2 * v * h * chroma, HIDDEN, bias=False) for name, (v, h) in CHROMA.items()}
        )
        self.first = nn.Conv2d(HIDDEN, HIDDEN, 5, stride=2, padding=2)
        self.second = nn.Conv2d(HIDDEN, z_channels, 5, stride=2, padding=2)
        with torch.no_grad():
            # Enough for some values of z_hat to be other than zero from the start.
            self.second.weight.mul_(4)

    def forward(self, sampling: str, luma: Tensor, chroma: Tensor | None) -> Tensor:
        """Return z `[B, h, w, z_channels]` of features of luma, and of both chroma planes side by side."""
        x = self.fuse_luma(space_to_depth(luma, 2, 2))
        if chroma is not None:
            x = x + self.fuse_chroma[sampling](space_to_depth(chroma, *CHROMA[sampling]))
        x = F.leaky_relu(self.first(F.leaky_relu(x, SLOPE).permute(0, 3, 1, 2)), SLOPE)
        z: Tensor = self.second(x).permute(0, 2, 3, 1).float()
        return z


class FactorizedPrior(nn.Module):
    """The distribution of z_hat: a mixture for each channel, the same for all pictures."""

    def __init__(self, z_channels: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor([[0.0, 0.0, -1.0, 0.5, 0.0]]).repeat(z_channels, 1))

    def code(self, coder: SymbolCoder, size: tuple[int, int, int], z_hat: Tensor | None) -> Tensor:
        """Code z_hat `[*size, z_channels]`, None when decoding; size: (batch, rows, columns)."""
        one, zero = self.raw.new_ones(1), self.raw.new_zeros(1)
        return coder.code(Mixture(self.raw.expand(*size, *self.raw.shape), None, one, zero), z_hat)


class HyperSynthesis(nn.Module):
    """h_s: z_hat to the priors of the planes; its last layers are the paper's prior splitting (CPSM)."""

    def __init__(self, z_channels: int) -> None:
        super().__init__()
        self.z_hat = Quantizer(Z_BITS, 2.0**Z_BITS)
        self.first = nn.Conv2d(z_channels, HIDDEN, 3, padding=1)
        self.coarse = Quantizer(9)
        self.up = Linear(HIDDEN, 4 * HIDDEN)
        self.fine = Quantizer(9)
        self.second = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.fused = Quantizer(9)
        self.split_luma = Linear(HIDDEN, 4 * PRIOR)
        self.split_chroma = nn.ModuleDict({name: Linear(HIDDEN, 2 * v * h * PRIOR) for name, (v, h) in CHROMA.items()})
        self.priors = Quantizer(9)

    def forward(self, z_hat: Tensor, shape: Shape) -> PlanePriors:
        rows, columns = (n // 4 for n in padded(shape.luma))
        x = self.coarse.leaky_relu(conv3x3(self.z_hat(z_hat), self.first.weight) + self.first.bias)
        x = self.fine.leaky_relu(depth_to_space(self.up(x), 2, 2)[:, :rows, :columns])
        x = self.fused.leaky_relu(conv3x3(x, self.second.weight) + self.second.bias)
        chroma: tuple[Tensor, ...] = ()
        if shape.sampling in CHROMA:
            both = depth_to_space(self.split_chroma[shape.sampling](x), *CHROMA[shape.sampling])
            chroma = self.priors.leaky_relu(both).chunk(2, -1)
        return PlanePriors(chroma, self.priors.leaky_relu(depth_to_space(self.split_luma(x), 2, 2)))

    def quantize_weights(self) -> None:
        for layer, quantizer in ((self.first, self.z_hat), (self.second, self.fine)):
            ranges = uniform_range(layer.in_channels, float(quantizer.step), float(quantizer.limit))
            quantize_weight(layer.weight, layer.bias, *ranges)
        quantize_linear(self.up, self.coarse)
        for split in (self.split_luma, *self.split_chroma.values()):
            quantize_linear(split, self.fused)


class Hyperprior(nn.Module):
    """Side information (Ballé et al. 2018, arXiv 1802.01436; MLCC, section 3), sent before all coefficients.

        encoder only, floats:        Y, Cb, Cr -- CFM --> half the luma grid -- h_a --> z -- round --> z_hat
        both sides, exact integers:  z_hat -- h_s --> quarter grid -- CPSM --> priors of Cr, Cb and Y --> trunks

    z_hat has a vector for every 8x8 luma blocks, each channel under one learned mixture. Only an encoder computes z,
    and what it sends is rounded, so h_a need not be exact. Decoders compute probabilities from z_hat, so h_s is exact
    (`nn/exact.py`). In training z is rounded straight through: the rate and the decoder see the integers that a
    file would hold, the gradient passes as if nothing had been rounded.

    z_channels: of z.
    features: channels of a plane of luma and of chroma, without the inputs that only a frozen network has.
    widths: of the trunks of luma and of chroma.
    """

    def __init__(self, z_channels: int, features: tuple[int, int], widths: tuple[int, int]) -> None:
        super().__init__()
        self.h_a = HyperAnalysis(z_channels, *features)
        self.z_prior = FactorizedPrior(z_channels)
        self.h_s = HyperSynthesis(z_channels)
        luma_width, chroma_width = widths
        self.chroma_priors, self.luma_priors = (
            nn.ModuleList(Linear(PRIOR, width, bias=False) for _ in range(count))
            for count, width in ((8, chroma_width), (7, luma_width))
        )

    def walk(
        self, coder: SymbolCoder, shape: Shape, batch: int, features: tuple[Tensor, Tensor | None] | None
    ) -> PhasePriors:
        """Code z_hat. features: of luma, and of both chroma planes side by side; None when decoding."""
        z_hat = None
        if features is not None:
            z = self.h_a(shape.sampling, *features).clamp(-(2**Z_BITS), 2**Z_BITS)
            z_hat = z.detach().round() + (z - z.detach())
        rows, columns = (-(-n // 8) for n in padded(shape.luma))
        chroma, luma = self.h_s(self.z_prior.code(coder, (batch, rows, columns), z_hat), shape)
        quarters = [luma[:, i::2, j::2] for i, j in PHASES]
        return PhasePriors(
            [layer(chroma[k // 4]) for k, layer in enumerate(self.chroma_priors)] if chroma else [],
            [layer(x) for layer, x in zip(self.luma_priors, [*quarters, luma, luma, luma])],
        )

    def quantize_weights(self) -> None:
        self.h_s.quantize_weights()
        for layer in (*self.chroma_priors, *self.luma_priors):
            quantize_linear(layer, self.h_s.priors)
