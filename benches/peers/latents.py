"""Symbols to code, drawn from Gaussian and Laplace distributions of 64 scales."""

import functools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COUNT = 1 << 22
#: Probability that CompressAI's tables leave to the escape.
TAIL = 1e-9


@dataclass(frozen=True)
class Distribution:
    """A distribution with mean 0 and standard deviation 1.

    sample: draws numbers.
    above: returns the probability of a larger number, for numbers from 0 on.
    reach: all but `TAIL` of the numbers lies within.
    """

    sample: Callable[[np.random.Generator, int], np.ndarray]
    above: Callable[[np.ndarray], np.ndarray]
    reach: float


NORMAL = Distribution(
    lambda random, count: random.normal(size=count),
    lambda x: np.vectorize(math.erfc, otypes=[float])(x / math.sqrt(2)) / 2,
    -statistics.NormalDist().inv_cdf(TAIL / 2),
)
LAPLACE = Distribution(
    lambda random, count: random.laplace(scale=math.sqrt(0.5), size=count),
    lambda x: np.exp(-math.sqrt(2) * x) / 2,
    -math.log(TAIL) * math.sqrt(0.5),
)


@dataclass(frozen=True)
class Source:
    """A distribution at 64 scales, from 0.11 to `largest`, whose numbers are rounded."""

    distribution: Distribution
    largest: float

    @functools.cached_property
    def scales(self) -> np.ndarray:
        return np.geomspace(0.11, self.largest, 64)

    @functools.cached_property
    def reaches(self) -> np.ndarray:
        """For each scale, the largest symbol in its table."""
        return np.ceil(self.scales * self.distribution.reach).astype(np.int32)

    def masses(self, distances: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
        """Return the probabilities of symbols at these distances from the mean, exact far into the tails."""
        distance, above = np.abs(distances), self.distribution.above
        inner, outer = above(np.abs(distance - 0.5) / scale), above((distance + 0.5) / scale)
        return np.where(distance < 0.5, 1 - inner, inner) - outer

    @functools.cached_property
    def cdf(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tables as CompressAI's `_quantized_cdf`, `_cdf_length` and `_offset`, of 16 bits."""
        cdf = np.zeros((len(self.scales), 2 * self.reaches[-1] + 3), np.int32)
        for row, scale, reach in zip(cdf, self.scales, self.reaches):
            masses = self.masses(np.arange(-reach, reach + 1), scale)
            row[1 : 2 * reach + 3] = frequencies(np.append(masses, TAIL), 1 << 16).cumsum()
        return cdf, 2 * self.reaches + 3, -self.reaches


def frequencies(weights: np.ndarray, total: int) -> np.ndarray:
    """Return positive integers with this sum, in proportion to the weights except where these would give 0."""

    def scaled(factor: float) -> np.ndarray:
        return np.maximum(1, (factor * weights).astype(int))

    low, high = 0.0, total / weights.sum()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if scaled(middle).sum() <= total else (low, middle)
    freqs = scaled(low)
    freqs[freqs.argmax()] += total - freqs.sum()
    return freqs


SOURCES = {"high": Source(NORMAL, 64), "low": Source(NORMAL, 1), "laplace": Source(LAPLACE, 64)}


@dataclass(frozen=True)
class Latents:
    """Symbols, and the index of the scale of each."""

    source: Source
    symbols: np.ndarray
    indexes: np.ndarray

    def __getitem__(self, part: slice) -> "Latents":
        return Latents(self.source, self.symbols[part].copy(), self.indexes[part].copy())

    def ideal_bits(self) -> float:
        """Return the sum of -log2 p, with the distributions that the symbols were drawn from."""
        bits = 0.0
        for index, scale in enumerate(self.source.scales):
            symbols, counts = np.unique(self.symbols[self.indexes == index], return_counts=True)
            bits -= counts @ np.log2(self.source.masses(symbols, scale))
        return bits


def concatenated(parts: list[Latents]) -> Latents:
    return Latents(
        parts[0].source, np.concatenate([p.symbols for p in parts]), np.concatenate([p.indexes for p in parts])
    )


@functools.cache
def latents(name: str) -> Latents:
    random, source = np.random.default_rng(0), SOURCES[name]
    indexes = random.integers(0, 64, COUNT, np.uint8)
    symbols = np.rint(source.distribution.sample(random, COUNT) * source.scales[indexes])
    return Latents(source, symbols.astype(np.int32), indexes)
