"""The interface of all coders that are compared."""

import ctypes
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np

from .latents import COUNT, Latents


class Coder(ABC):
    """A way to encode and decode given latents. The constructor is not timed.

    package: the coder takes part if this is installed.
    limit: number of symbols for a coder that is slow or takes much memory.
    expected: the symbols that decoding returns.
    """

    package = ""
    limit = COUNT

    def __init__(self, latents: Latents):
        self.latents = latents
        self.expected = latents.symbols

    @abstractmethod
    def encode(self) -> bytes: ...

    @abstractmethod
    def decode(self, coded: bytes) -> np.ndarray: ...

    def verify(self) -> int:
        """Check that the symbols come back, and return the number of bytes that they take."""
        coded = self.encode()
        assert np.array_equal(self.decode(coded), self.expected)
        return memoryview(coded).nbytes

    def percent_over_ideal(self, size: int) -> float:
        return 100 * (8 * size / self.latents.ideal_bits() - 1)

    @classmethod
    def batch(cls, parts: list[Latents]) -> "Coder":
        """Return a coder of each part as a message."""
        return Many([cls(part) for part in parts], map)

    @classmethod
    def threads(cls, parts: list[Latents]) -> "Coder":
        """Return a coder of each part as a message, in a thread of its own."""
        return Many([cls(part) for part in parts], ThreadPoolExecutor(len(parts)).map)


class Many(Coder):
    """Several coders, each with a message of its own."""

    def __init__(self, coders: list[Coder], run: Callable):
        self.coders, self.run = coders, run

    def encode(self):
        return list(self.run(type(self.coders[0]).encode, self.coders))

    def decode(self, coded):
        return list(self.run(type(self.coders[0]).decode, self.coders, coded))

    def verify(self):
        messages = self.encode()
        for coder, symbols in zip(self.coders, self.decode(messages), strict=True):
            assert np.array_equal(symbols, coder.expected)
        return sum(memoryview(message).nbytes for message in messages)

    def percent_over_ideal(self, size):
        return math.nan


def installed(coder: type[Coder]) -> bool:
    if ".so" not in coder.package:
        return find_spec(coder.package) is not None
    try:
        return bool(ctypes.CDLL(coder.package))
    except OSError:
        return False
