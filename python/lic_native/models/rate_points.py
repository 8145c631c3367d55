"""The qualities of the models for images, as files name them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeVar

from ..arguments import to_number

__all__ = [
    "BETWEEN",
    "LAMBDAS",
    "LARGEST",
    "LAST",
    "LEVELS",
    "MIDDLE",
    "QUALITIES",
    "first_log_gains",
    "index_of",
    "power",
    "tradeoff",
]

#: Those that have gains of their own: 1, 2, ... 8. Between two of them a file can name 63 more.
QUALITIES, BETWEEN = 8, 64
#: The index of the highest.
LAST = (QUALITIES - 1) * BETWEEN
#: Rate-distortion trade-off of quality 1 and of 8, for distortion as mean squared error of samples from 0 to 255: those
#: of CompressAI's models.
LAMBDAS = 0.0018, 0.18
#: A gain is 2^(level / LEVELS).
LEVELS = 256
#: Scale of latents before their gain: orthonormal coefficients of samples from 0 to 1, in steps of 45/255.
MIDDLE = 255 / 45
#: Latents are within 16 bits.
LARGEST = 2**15 - 1

N = TypeVar("N")


def index_of(quality: float) -> int:
    """Return the nearest quality that a file can name, from 0 on.

    Raises:
        TypeError: it is no number.
        ValueError: it is not from 1 to 8.
    """
    quality = to_number(quality, "quality")
    if not 1 <= quality <= QUALITIES:
        raise ValueError(f"quality {quality} is not from 1 to {QUALITIES}: 1 is the smallest file, 4 is usual")
    return round((quality - 1) * BETWEEN)


def tradeoff(index: N) -> N:
    """Lambda of a quality by its index: a number or a tensor."""
    low, high = LAMBDAS
    return low * (high / low) ** (index / LAST)  # type: ignore[no-any-return]


def first_log_gains() -> list[float]:
    """Of each of the qualities, that training begins with: steps as the root of lambda, their mean MIDDLE's."""
    logs = [math.log(tradeoff(BETWEEN * i)) / 2 for i in range(QUALITIES)]
    return [log - sum(logs) / len(logs) for log in logs]


@lru_cache(2**14)
def power(level: int, point: int = 16) -> int:
    """2^(level / LEVELS) in units of 2^-point, its first 31 bits, rounded down, by integers alone."""
    whole, part = divmod(level, LEVELS)
    # Roots that are rounded down one after the other are the root that is rounded down.
    root: int = 2 ** (30 * LEVELS + part)
    for _ in range(int(math.log2(LEVELS))):
        root = math.isqrt(root)
    shift = whole + point - 30
    return root << shift if shift >= 0 else root >> -shift
