"""Gains of channels at any quality, from gains that are stored for eight: as floats, and as integers for files.

This module imports no torch, because the command line and the file formats need its constants.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BETWEEN", "LAST", "LEVELS", "QUALITIES", "gains_at", "levels_at", "power"]

#: Qualities with gains of their own, and steps from one to the next: an index counts steps from the lowest quality.
QUALITIES, BETWEEN = 8, 64
#: The index of the highest quality.
LAST = (QUALITIES - 1) * BETWEEN
#: A level is a logarithm as an integer: 2^(level / LEVELS).
LEVELS = 256


def gains_at(log_gains: Tensor, index: Tensor) -> Tensor:
    """Return gains `[B, C, 1, 1]` at indices `[B]` of qualities: exp of `[QUALITIES, C]`, linear between two rows."""
    row = (index // BETWEEN).clamp(max=QUALITIES - 2)
    part = (index - BETWEEN * row)[:, None].to(log_gains.dtype) / BETWEEN
    return log_gains[row].lerp(log_gains[row + 1], part).exp()[:, :, None, None]


def levels_at(levels: Tensor, index: Tensor) -> Tensor:
    """Return levels `[B, C]` at indices `[B]` of qualities: int64, linear between two rows of `[QUALITIES, C]`."""
    row = (index // BETWEEN).clamp(max=QUALITIES - 2)
    part = (index - BETWEEN * row)[:, None]
    levels = levels.long()
    return ((BETWEEN - part) * levels[row] + part * levels[row + 1]) // BETWEEN


@lru_cache(2**14)
def power(level: int, point: int = 16) -> int:
    """Return 2^(level / LEVELS) in units of 2^-point, its first 31 bits, rounded down, by integers alone."""
    whole, part = divmod(level, LEVELS)
    # Taking roots one by one and rounding each down gives the root of higher order, rounded down.
    root: int = 2 ** (30 * LEVELS + part)
    for _ in range(int(math.log2(LEVELS))):
        root = math.isqrt(root)
    shift = whole + point - 30
    return root << shift if shift >= 0 else root >> -shift
