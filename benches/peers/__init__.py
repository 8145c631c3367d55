"""Coders of symbols that are compared, a file for each package.

To add one, write a subclass of `Coder`, and give it a name in `CODERS`.
"""

import math

from .coder import Coder
from .compressai import CompressAi, CompressAiTensors
from .constriction import Constriction
from .htscodecs import Htscodecs
from .lic_native import LicNative, LicNative32, LicNative64, LicNativeLocationScale
from .torch_ans import TorchAns, TorchAns4
from .torchac import Torchac


class Copy(Coder):
    """A copy of the symbols: the bound that memory sets."""

    package = "numpy"

    def encode(self):
        return self.latents.symbols.copy()

    def decode(self, coded):
        return coded.copy()

    def percent_over_ideal(self, size):
        return math.nan


CODERS = {
    "lic_native tables[uint8]": LicNative,
    "lic_native tables[int32]": LicNative32,
    "lic_native tables[int64]": LicNative64,
    "lic_native Gaussian(mean, scale)": LicNativeLocationScale,
    "torch_ans (8 states)": TorchAns,
    "torch_ans (4 states)": TorchAns4,
    "CompressAI (lists)": CompressAi,
    "CompressAI (tensors)": CompressAiTensors,
    "constriction": Constriction,
    "torchac": Torchac,
    "htscodecs (order 0)": Htscodecs,
    "copy": Copy,
}
#: The faster of these is 1 in the tables.
RIVALS = ["torch_ans (8 states)", "torch_ans (4 states)"]
