"""Transforms of an image at one low resolution: 8x8 pixels are a patch, and all that happens to it is 3x3 and 1x1.

    analysis:   pixels -- unshuffle 8, 1x1 --> patches -- blocks --> -- unshuffle 2, 1x1 --> y, a vector of 16x16 pixels
    synthesis:  y -- 1x1, shuffle 2 --> patches -- blocks --> -- 1x1, shuffle 8 --> pixels
    a block:    x -> x + 1x1(gain of the quality * leaky rectifier(3x3(x)))

Few calls at a low resolution take less time than the same multiplications at many (Jia et al. 2025, DCVC-RT, arXiv
2502.20762, section 3). Without their blocks, which begin as nothing, the two are linear: principal components.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import threads
from ..models.rate_points import BETWEEN, QUALITIES
from .exact import SLOPE

__all__ = ["PAIR", "PATCH", "STRIDE", "Analysis", "Block", "Synthesis", "at_index", "components", "start"]

#: Pixels on a side of a patch, and patches on a side of what a vector of y stands for.
PATCH, PAIR = 8, 2
STRIDE = PATCH * PAIR
#: Of components that hold little, so that none is multiplied by more than a thousand.
LEAST_DEVIATION = 1e-3


def at_index(logs: Tensor, index: Tensor) -> Tensor:
    """Gains at qualities by their indices `[B]`: exp of logs `[QUALITIES, C]`, linear between two -> `[B, C, 1, 1]`."""
    stop = (index // BETWEEN).clamp(max=QUALITIES - 2)
    part = (index - BETWEEN * stop)[:, None].to(logs.dtype) / BETWEEN
    return torch.lerp(logs[stop], logs[stop + 1], part).exp()[:, :, None, None]


class Block(nn.Module):
    """`[B, C, H, W]` and indices of qualities `[B]` -> the same shape; at first the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = nn.Conv2d(channels, channels, 3, padding=1)
        self.log_gain = nn.Parameter(torch.zeros(QUALITIES, channels))
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        # Of a large image a block takes a while, and so does its way back.
        threads.check()
        if x.requires_grad:
            x.register_hook(lambda _: threads.check())
        hidden = F.leaky_relu(self.context(x), SLOPE)
        result: Tensor = x + self.out(hidden * at_index(self.log_gain, index).to(hidden.dtype))
        return result


class Analysis(nn.Module):
    """Samples around 0, `[B, 3, 16H, 16W]` -> y `[B, channels, H, W]`."""

    def __init__(self, width: int, blocks: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * PATCH**2, width, 1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Conv2d(PAIR**2 * width, channels, 1)

    def forward(self, pixels: Tensor, index: Tensor) -> Tensor:
        x = self.first(F.pixel_unshuffle(pixels, PATCH))
        for block in self.blocks:
            x = block(x, index)
        result: Tensor = self.last(F.pixel_unshuffle(x, PAIR))
        return result

    @property
    def reach(self) -> int:
        """Vectors of y beyond its own whose pixels one depends on."""
        return -(-len(self.blocks) // PAIR)


class Synthesis(nn.Module):
    """The way back."""

    def __init__(self, width: int, blocks: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, PAIR**2 * width, 1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, 3 * PATCH**2, 1)

    def forward(self, y: Tensor, index: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.first(y), PAIR)
        for block in self.blocks:
            x = block(x, index)
        return F.pixel_shuffle(self.last(x), PATCH)

    @property
    def reach(self) -> int:
        """Vectors of y beyond its own that a pixel depends on."""
        return -(-len(self.blocks) // PAIR)


@torch.no_grad()
def start(analysis: Analysis, synthesis: Synthesis, pixels: Tensor, scale: float) -> None:
    """First weights: the principal components of patches, and of their 2x2 squares; synthesis is the transpose.

    Patches are in components divided by the root of their deviation, so that blocks see faint ones beside strong ones;
    y is orthonormal but for `scale`. pixels: as of `Analysis`, a few dozen crops.
    """
    patches = F.pixel_unshuffle(pixels, PATCH)
    first = components(patches)[: analysis.first.out_channels]
    patches = F.conv2d(patches, first[:, :, None, None])
    weight = patches.std((0, 2, 3)).clamp_min(LEAST_DEVIATION).rsqrt()
    squares = F.pixel_unshuffle(patches, PAIR)
    last = components(squares)[: analysis.last.out_channels] * scale
    weights = weight.repeat_interleave(PAIR**2)
    for layer, values in (
        (analysis.first, first * weight[:, None]),
        (analysis.last, last / weights),
        (synthesis.first, (last / scale**2 * weights).T),
        (synthesis.last, (first / weight[:, None]).T),
    ):
        layer.weight.copy_(values[:, :, None, None])
        layer.bias.zero_()


def components(x: Tensor) -> Tensor:
    """Directions of most energy of vectors `[B, C, H, W]`, those of most first: `[C, C]`."""
    flat = x.permute(0, 2, 3, 1).flatten(0, 2)
    result: Tensor = torch.linalg.eigh(flat.T @ flat).eigenvectors.flip(1).T
    return result
