"""Side information beside the context: MLCC's hyperprior with coefficient fusion (CFM) and prior split (CPSM).

    encoder only, ordinary floats:  Y, Cb, Cr --fuse--> half the luma grid --2 convolutions, stride 2--> round --> z
    both sides, exact integers:     z --convolve, up--> quarter grid --split--> priors of Cr, of Cb and of Y --> trunks

z has a vector for every 8x8 luma blocks. It is coded before all coefficients, each channel under one learned mixture.
Only who knows the coefficients computes it, and what is coded is its rounded value, so nothing rests on that part being
the same elsewhere; what a decoder computes from z feeds probabilities and is exact (`nn/exact.py`).

In training z is rounded straight through: the rate and the decoder see the integers that a file would hold, the
gradient passes as if nothing had been rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coding.coder import Coder, Mixture
from ..nn.exact import SLOPE, Linear, Snap, constant, conv3x3, fix_linear, fix_weight
from .sampling import SAMPLINGS, Shape, depth_to_space, padded, space_to_depth

__all__ = ["CHROMA", "HIDDEN", "PRIOR", "Z_BITS", "Analysis", "Bottleneck", "Hyperprior", "Priors", "Synthesis"]

#: Channels inside the hyper-encoder and hyper-decoder, and of the prior of a plane.
HIDDEN, PRIOR = 64, 32
#: Bits of the largest magnitude of z.
Z_BITS = 6
CHROMA = {name: ratio for name, ratio in SAMPLINGS.items() if ratio}


class Priors(NamedTuple):
    """What z says of the coefficients: (Cr, Cb) on the grid of a chroma phase, Y on that of a luma phase."""

    chroma: tuple[Tensor, ...]
    luma: Tensor


class Analysis(nn.Module):
    """Features of the coefficients of all planes -> z before it is rounded."""

    def __init__(self, channels: int, luma: int, chroma: int) -> None:
        super().__init__()
        self.luma = nn.Linear(4 * luma, HIDDEN)
        self.chroma = nn.ModuleDict(
            {name: nn.Linear(2 * v * h * chroma, HIDDEN, bias=False) for name, (v, h) in CHROMA.items()}
        )
        self.inner = nn.Conv2d(HIDDEN, HIDDEN, 5, stride=2, padding=2)
        self.outer = nn.Conv2d(HIDDEN, channels, 5, stride=2, padding=2)
        with torch.no_grad():
            # Enough for some values of z to be other than zero from the start.
            self.outer.weight.mul_(4)

    def forward(self, sampling: str, luma: Tensor, chroma: Tensor | None) -> Tensor:
        x = self.luma(space_to_depth(luma, 2, 2))
        if chroma is not None:
            x = x + self.chroma[sampling](space_to_depth(chroma, *CHROMA[sampling]))
        x = F.leaky_relu(self.inner(F.leaky_relu(x, SLOPE).permute(0, 3, 1, 2)), SLOPE)
        result: Tensor = self.outer(x).permute(0, 2, 3, 1).float()
        return result


class Bottleneck(nn.Module):
    """The distribution of z: a mixture for each channel, the same for all pictures."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor([[0.0, 0.0, -1.0, 0.5, 0.0]]).repeat(channels, 1))

    def code(self, coder: Coder, size: tuple[int, int, int], z: Tensor | None) -> Tensor:
        """size: (batch, rows, columns); z `[*size, channels]`, None when decoding."""
        one, zero = self.raw.new_ones(1), self.raw.new_zeros(1)
        return coder.code(Mixture(self.raw.expand(*size, *self.raw.shape), None, one, zero), z)


class Synthesis(nn.Module):
    """z -> the priors of the planes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.z = Snap(Z_BITS, 2.0**Z_BITS)
        self.first = nn.Conv2d(channels, HIDDEN, 3, padding=1)
        self.coarse = Snap(9)
        self.up = Linear(HIDDEN, 4 * HIDDEN)
        self.fine = Snap(9)
        self.second = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
        self.fused = Snap(9)
        self.luma = Linear(HIDDEN, 4 * PRIOR)
        self.chroma = nn.ModuleDict({name: Linear(HIDDEN, 2 * v * h * PRIOR) for name, (v, h) in CHROMA.items()})
        self.priors = Snap(9)

    def forward(self, z: Tensor, shape: Shape) -> Priors:
        rows, columns = (n // 4 for n in padded(shape.luma))
        x = self.coarse.rectified(conv3x3(self.z(z), self.first.weight) + self.first.bias)
        x = self.fine.rectified(depth_to_space(self.up(x), 2, 2)[:, :rows, :columns])
        x = self.fused.rectified(conv3x3(x, self.second.weight) + self.second.bias)
        chroma: tuple[Tensor, ...] = ()
        if shape.sampling in CHROMA:
            both = depth_to_space(self.chroma[shape.sampling](x), *CHROMA[shape.sampling])
            chroma = self.priors.rectified(both).chunk(2, -1)
        return Priors(chroma, self.priors.rectified(depth_to_space(self.luma(x), 2, 2)))

    def fix(self) -> None:
        for layer, snap in ((self.first, self.z), (self.second, self.fine)):
            ranges = constant(layer.in_channels, float(snap.step), float(snap.limit))
            fix_weight(layer.weight, layer.bias, *ranges)
        fix_linear(self.up, self.coarse)
        for split in (self.luma, *self.chroma.values()):
            fix_linear(split, self.fused)


class Hyperprior(nn.Module):
    """Codes z, and gives every trunk what z says to it.

    channels: of z.
    features: of luma and chroma, channels of a plane, without those that only an exact network has.
    widths: of the trunks of luma and of chroma.
    """

    def __init__(self, channels: int, features: tuple[int, int], widths: tuple[int, int]) -> None:
        super().__init__()
        self.analysis = Analysis(channels, *features)
        self.bottleneck = Bottleneck(channels)
        self.synthesis = Synthesis(channels)
        luma_width, chroma_width = widths
        self.chroma_trunks, self.luma_trunks = (
            nn.ModuleList(Linear(PRIOR, width, bias=False) for _ in range(count))
            for count, width in ((8, chroma_width), (7, luma_width))
        )

    def walk(self, coder: Coder, shape: Shape, batch: int, features: tuple[Tensor, Tensor | None] | None) -> Priors:
        """Code z through `coder`. features: of luma, and of both chroma planes side by side; None when decoding."""
        z = None
        if features is not None:
            y = self.analysis(shape.sampling, *features).clamp(-(2**Z_BITS), 2**Z_BITS)
            z = y.detach().round() + (y - y.detach())
        rows, columns = (-(-n // 8) for n in padded(shape.luma))
        priors: Priors = self.synthesis(self.bottleneck.code(coder, (batch, rows, columns), z), shape)
        return priors

    def fix(self) -> None:
        self.synthesis.fix()
        for layer in (*self.chroma_trunks, *self.luma_trunks):
            fix_linear(layer, self.synthesis.priors)
