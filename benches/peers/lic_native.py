"""lic_native's rANS coder, with tables or with a distribution for each symbol."""

import functools
import math

import numpy as np

from .coder import Coder
from .latents import NORMAL, Source, concatenated


@functools.cache
def our_tables(source: Source):
    from lic_native import Tables

    if source.distribution is NORMAL:
        return Tables.gaussian(source.scales)
    return Tables.laplace(source.scales * math.sqrt(0.5))


class LicNative(Coder):
    package = "lic_native"
    dtype = np.uint8
    cores = 1

    def __init__(self, latents):
        import lic_native

        super().__init__(latents)
        self.library = lic_native
        self.prepare()

    def prepare(self) -> None:
        self.tables, self.indexes = our_tables(self.latents.source), self.latents.indexes.astype(self.dtype)

    def distribution(self):
        return self.tables[self.indexes]

    def encode(self):
        return self.library.encode(self.expected, self.distribution(), threads=self.cores)

    def decode(self, coded):
        return self.library.decode(coded, self.distribution(), threads=self.cores)

    @classmethod
    def threads(cls, parts):
        """Return a coder of one message that shares it among threads by itself."""
        coder = cls(concatenated(parts))
        coder.cores = len(parts)
        return coder


class LicNative32(LicNative):
    dtype = np.int32


class LicNative64(LicNative):
    dtype = np.int64


class LicNativeLocationScale(LicNative):
    """A mean and a scale for each symbol, float32, without tables; the symbols lie around the means."""

    def prepare(self):
        source, count = self.latents.source, len(self.latents.symbols)
        random, scale = np.random.default_rng(1), source.scales[self.latents.indexes]
        self.mean = random.normal(scale=3, size=count).astype(np.float32)
        self.expected = np.rint(source.distribution.sample(random, count) * scale + self.mean).astype(np.int32)
        factor = 1 if source.distribution is NORMAL else math.sqrt(0.5)
        self.family = self.library.Gaussian if source.distribution is NORMAL else self.library.Laplace
        self.scale = (scale * factor).astype(np.float32)

    def distribution(self):
        return self.family(self.mean, self.scale)

    def percent_over_ideal(self, size):
        scale = self.latents.source.scales[self.latents.indexes]
        ideal = -np.log2(self.latents.source.masses(self.expected - self.mean.astype(float), scale)).sum()
        return 100 * (8 * size / ideal - 1)
