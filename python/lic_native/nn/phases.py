"""Phases of a grid: the four positions of its 2x2 squares, each a grid of half the size."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PHASES", "depth_to_space", "interleave", "phase_size", "space_to_depth"]

#: (row, column) of the positions in a 2x2 square, in coding order.
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))


def phase_size(size: tuple[int, int], i: int, j: int) -> tuple[int, int]:
    """Return how many rows and columns of a grid belong to phase (i, j)."""
    return (size[0] - i + 1) // 2, (size[1] - j + 1) // 2


def interleave(phases: list[Tensor]) -> Tensor:
    """Put four phases `[B, H, W, C]`, in the order of `PHASES`, together to a grid `[B, 2H, 2W, C]`."""
    at = dict(zip(PHASES, phases))
    rows = [torch.stack([at[i, 0], at[i, 1]], 3).flatten(2, 3) for i in range(2)]
    return torch.stack(rows, 2).flatten(1, 2)


def space_to_depth(x: Tensor, v: int, h: int) -> Tensor:
    """Turn `[B, H*v, W*h, C]` into `[B, H, W, v*h*C]`."""
    if v == h == 1:
        return x
    b, height, width, c = x.shape
    x = x.view(b, height // v, v, width // h, h, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height // v, width // h, v * h * c)


def depth_to_space(x: Tensor, v: int, h: int) -> Tensor:
    """Turn `[B, H, W, v*h*C]` into `[B, H*v, W*h, C]`: the inverse of `space_to_depth`."""
    if v == h == 1:
        return x
    b, height, width, channels = x.shape
    x = x.view(b, height, width, v, h, channels // (v * h)).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height * v, width * h, channels // (v * h))
