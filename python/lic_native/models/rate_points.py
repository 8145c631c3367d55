"""The qualities of image models as files name them, and the trade-off of rate and distortion that each stands for."""

from __future__ import annotations

import math
from typing import TypeVar

from ..arguments import to_number
from ..nn.gains import BETWEEN, LAST, LEVELS, QUALITIES, power

__all__ = [
    "BETWEEN",
    "LAMBDAS",
    "LARGEST",
    "LAST",
    "LEVELS",
    "MIDDLE",
    "QUALITIES",
    "STRIDE",
    "index_of",
    "initial_log_gains",
    "power",
    "tradeoff",
]

#: Lambda of quality 1 and of quality 8, for a distortion that is the mean squared error of samples from 0 to 255: the
#: range of CompressAI's models.
LAMBDAS = 0.0018, 0.18
#: Scale of latents before their gain: orthonormal coefficients of samples from 0 to 1, in steps of 45/255.
MIDDLE = 255 / 45
#: Latents fit 16 bits.
LARGEST = 2**15 - 1
#: Pixels on a side of the square that a vector of latents stands for.
STRIDE = 16

N = TypeVar("N")


def index_of(quality: float) -> int:
    """Return the index, from 0 to LAST, of the nearest quality that a file can name.

    Raises:
        TypeError: `quality` is not a number.
        ValueError: `quality` is not from 1 to 8.
    """
    quality = to_number(quality, "quality")
    if not 1 <= quality <= QUALITIES:
        raise ValueError(f"quality {quality} is not from 1 to {QUALITIES}: 1 is the smallest file, 4 is usual")
    return round((quality - 1) * BETWEEN)


def tradeoff(index: N) -> N:
    """Return lambda at the index of a quality, a number or a tensor."""
    low, high = LAMBDAS
    return low * (high / low) ** (index / LAST)  # type: ignore[no-any-return]


def initial_log_gains() -> list[float]:
    """Return the log gain of each quality that training begins with: steps fall as the root of lambda grows."""
    logs = [math.log(tradeoff(BETWEEN * i)) / 2 for i in range(QUALITIES)]
    return [log - sum(logs) / len(logs) for log in logs]
