"""Transforms of an image at one low resolution: 8x8 pixels are a patch, and all that happens to it is 3x3 and 1x1.

    g_a:      pixels -- unshuffle 8, 1x1 --> patches -- blocks --> -- unshuffle 2, 1x1 --> y, a vector of 16x16 pixels
    g_s:      y_hat -- 1x1, shuffle 2 --> patches -- blocks --> -- 1x1, shuffle 8 --> pixels
    a block:  x -> x + 1x1(gain of the quality * leaky rectifier(3x3(x)))

A few operations at a low resolution take less time than the same multiplications in many (Jia et al. 2025, DCVC-RT,
arXiv 2502.20762, section 3). Without their blocks, which begin as the identity, the two are linear: principal
components.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import threads
from .exact import round_weight
from .gains import QUALITIES, gains_at
from .quantizer import SLOPE

__all__ = [
    "BLOCK_BITS",
    "OUTER_BITS",
    "PAIR",
    "PATCH",
    "STRIDE",
    "AnalysisTransform",
    "Block",
    "SynthesisTransform",
    "Transform",
    "init_from_pca",
    "principal_components",
]

#: Pixels on a side of a patch, and patches on a side of what a vector of y stands for.
PATCH, PAIR = 8, 2
STRIDE = PATCH * PAIR
#: Precision of the weights in a file (`exact.round_weight`): of blocks, and of the layers around them, which need more
#: because all of the picture passes through them.
BLOCK_BITS, OUTER_BITS = 5, 9
#: Smallest deviation that a component is scaled by, so that no weight exceeds a thousand.
LEAST_DEVIATION = 1e-3


class Block(nn.Module):
    """Residual block `[B, C, H, W]` with a gain for each channel and quality; it begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.log_gain = nn.Parameter(torch.zeros(QUALITIES, channels))
        self.conv1x1 = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.conv1x1.weight)
        nn.init.zeros_(self.conv1x1.bias)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """Return x and what the block adds to it, at indices `[B]` of qualities."""
        # A block of a large image takes a while, and so does its backward pass: both can be interrupted.
        threads.check()
        if x.requires_grad:
            x.register_hook(lambda _: threads.check())
        hidden = F.leaky_relu(self.conv3x3(x), SLOPE)
        result: Tensor = x + self.conv1x1(hidden * gains_at(self.log_gain, index).to(hidden.dtype))
        return result


class Transform(nn.Module):
    """Residual blocks at the resolution of patches, between two 1x1 convolutions: of (inputs, outputs) channels."""

    def __init__(self, first: tuple[int, int], width: int, blocks: int, last: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(*first, 1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.last = nn.Conv2d(*last, 1)

    def quantize_weights(self) -> None:
        """Put weights on the coarse grids that a file has, and gains and biases in 16 bits."""
        for name, weight in self.named_parameters():
            if weight.dim() == 4:
                round_weight(weight, BLOCK_BITS if name.startswith("blocks.") else OUTER_BITS)
            else:
                weight.copy_(weight.half() + 0.0)

    def through_blocks(self, x: Tensor, index: Tensor) -> Tensor:
        if x.is_cuda:
            # As its convolutions take them; (un)shuffled pixels lie otherwise, and each block would convert them.
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, index)
        return x

    @property
    def reach(self) -> int:
        """How many vectors of y away the pixels are that a vector depends on, and the vectors that a pixel does."""
        return -(-len(self.blocks) // PAIR)


class AnalysisTransform(Transform):
    """g_a: samples around 0, `[B, 3, 16H, 16W]`, to y `[B, channels, H, W]`."""

    def __init__(self, width: int, blocks: int, channels: int) -> None:
        super().__init__((3 * PATCH**2, width), width, blocks, (PAIR**2 * width, channels))

    def forward(self, pixels: Tensor, index: Tensor) -> Tensor:
        patches = self.through_blocks(self.first(F.pixel_unshuffle(pixels, PATCH)), index)
        y: Tensor = self.last(F.pixel_unshuffle(patches, PAIR))
        return y


class SynthesisTransform(Transform):
    """g_s: y_hat `[B, channels, H, W]` to samples around 0, `[B, 3, 16H, 16W]`."""

    def __init__(self, width: int, blocks: int, channels: int) -> None:
        super().__init__((channels, PAIR**2 * width), width, blocks, (width, 3 * PATCH**2))

    def forward(self, y_hat: Tensor, index: Tensor) -> Tensor:
        patches = self.through_blocks(F.pixel_shuffle(self.first(y_hat), PAIR), index)
        return F.pixel_shuffle(self.last(patches), PATCH)


@torch.no_grad()
def init_from_pca(g_a: AnalysisTransform, g_s: SynthesisTransform, pixels: Tensor, scale: float) -> None:
    """Set the first weights: principal components of patches, then of their 2x2 squares; g_s is the transpose.

    Components of patches are divided by the root of their deviation, so that blocks see faint ones next to strong ones;
    y is orthonormal except for the factor `scale`. Channels of patches beyond their 192 components begin with random
    input weights and lead to nothing.

    Args:
        g_a, g_s: of one width and number of channels.
        pixels: a few dozen crops, as g_a takes them.
        scale: of y.
    """
    patches = F.pixel_unshuffle(pixels, PATCH)
    first = principal_components(patches)[: g_a.first.out_channels]
    patches = F.conv2d(patches, first[:, :, None, None])
    weight = patches.std((0, 2, 3)).clamp_min(LEAST_DEVIATION).rsqrt()
    squares = F.pixel_unshuffle(patches, PAIR)
    last = principal_components(squares)[: g_a.last.out_channels] * scale
    weights = weight.repeat_interleave(PAIR**2)
    for layer, values in (
        (g_a.first, first * weight[:, None]),
        (g_a.last, last / weights),
        (g_s.first, (last / scale**2 * weights).T),
        (g_s.last, (first / weight[:, None]).T),
    ):
        rows, columns = values.shape
        layer.weight[:rows].zero_()
        layer.weight[:rows, :columns] = values[:, :, None, None]
        layer.bias.zero_()


def principal_components(x: Tensor) -> Tensor:
    """Return the directions `[C, C]` of most energy of vectors `[B, C, H, W]`, the strongest first."""
    flat = x.permute(0, 2, 3, 1).flatten(0, 2)
    result: Tensor = torch.linalg.eigh(flat.T @ flat).eigenvectors.flip(1).T
    return result
