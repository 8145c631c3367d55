"""The grids of 8x8 blocks that a JPEG picture is made of: their order, their sizes, their phases."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "PHASES",
    "SAMPLINGS",
    "Picture",
    "Shape",
    "depth_to_space",
    "interleave",
    "padded",
    "phase_size",
    "space_to_depth",
    "zigzag",
]

#: Positions of the 2x2 block grid, in coding order.
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
#: Chroma blocks per 2x2 luma blocks, (vertical, horizontal); () is no chroma. 4:4:0 is 4:2:2 on its side.
SAMPLINGS = {"4:2:0": (1, 1), "4:2:2": (2, 1), "4:4:4": (2, 2), "gray": ()}


class Picture(NamedTuple):
    """Quantised DCT coefficients of one picture (or of a batch of equal shape).

    luma: `[B, H, W, 64]` blocks in zig-zag order, as floats that hold integers; H and W are multiples of 4 (`padded`).
    chroma: (Cr, Cb), each `[B, H/2*v, W/2*h, 64]` with (v, h) from `SAMPLINGS`; empty for gray.
    """

    luma: Tensor
    chroma: tuple[Tensor, ...]

    def to(self, device: torch.device | str) -> Picture:
        """The same picture on a device."""
        return Picture(self.luma.to(device), tuple(c.to(device) for c in self.chroma))

    def float(self) -> Picture:
        """The same picture as floats."""
        return Picture(self.luma.float(), tuple(c.float() for c in self.chroma))


class Shape(NamedTuple):
    """What is known of a picture before its coefficients: grid sizes in blocks, without padding.

    luma, chroma: (rows, columns) of blocks. Only these are coded; the padded rest is zero.
    """

    sampling: str
    luma: tuple[int, int]
    chroma: tuple[int, int]


def zigzag() -> list[tuple[int, int]]:
    """(row, column) of each zig-zag index (ITU-T T.81, figure A.6)."""
    order = []
    for s in range(15):
        diagonal = [(i, s - i) for i in range(max(0, s - 7), min(7, s) + 1)]
        order += diagonal if s % 2 else diagonal[::-1]
    return order


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """A grid in blocks -> the whole numbers of 4 that hold it: two splits in phases."""
    return -(-size[0] // 4) * 4, -(-size[1] // 4) * 4


def phase_size(size: tuple[int, int], i: int, j: int) -> tuple[int, int]:
    """How many rows and columns of a grid fall on phase (i, j)."""
    return (size[0] - i + 1) // 2, (size[1] - j + 1) // 2


def interleave(phases: list[Tensor]) -> Tensor:
    """Four phases `[B, H, W, C]`, in the order of `PHASES`, -> `[B, 2H, 2W, C]`."""
    at = dict(zip(PHASES, phases))
    rows = [torch.stack([at[i, 0], at[i, 1]], 3).flatten(2, 3) for i in range(2)]
    return torch.stack(rows, 2).flatten(1, 2)


def space_to_depth(x: Tensor, v: int, h: int) -> Tensor:
    """`[B, H*v, W*h, C]` -> `[B, H, W, v*h*C]`."""
    if v == h == 1:
        return x
    b, height, width, c = x.shape
    x = x.view(b, height // v, v, width // h, h, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height // v, width // h, v * h * c)


def depth_to_space(x: Tensor, v: int, h: int) -> Tensor:
    """`[B, H, W, v*h*C]` -> `[B, H*v, W*h, C]`."""
    if v == h == 1:
        return x
    b, height, width, channels = x.shape
    x = x.view(b, height, width, v, h, channels // (v * h)).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height * v, width * h, channels // (v * h))
