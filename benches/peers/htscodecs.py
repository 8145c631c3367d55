"""htscodecs, by Debian's library."""

import ctypes
import math

import numpy as np

from .coder import Coder


class Htscodecs(Coder):
    """A coder with one table for all symbols, computed in the call: 32 lanes, order 0, on bytes of zigzag codes."""

    package = "libhtscodecs.so.2"
    X32 = 4

    def __init__(self, latents):
        super().__init__(latents)
        self.library = ctypes.CDLL(self.package)
        self.zigzag = latents.symbols << 1 ^ latents.symbols >> 31
        self.symbols = self.expected = self.zigzag.astype(np.uint8)

    def encode(self):
        size = ctypes.c_uint(self.library.rans_compress_bound_4x16(len(self.symbols), self.X32))
        out = np.empty(size.value, np.uint8)
        source, target = (ctypes.c_void_p(array.ctypes.data) for array in (self.symbols, out))
        self.library.rans_compress_to_4x16(source, len(self.symbols), target, ctypes.byref(size), self.X32)
        return out[: size.value].tobytes()

    def decode(self, coded):
        out = np.empty_like(self.symbols)
        size, target = ctypes.c_uint(len(out)), ctypes.c_void_p(out.ctypes.data)
        self.library.rans_uncompress_to_4x16(coded, len(coded), target, ctypes.byref(size))
        return out

    def percent_over_ideal(self, size):
        return super().percent_over_ideal(size) if self.zigzag.max() < 256 else math.nan
