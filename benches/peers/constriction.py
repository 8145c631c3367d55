"""constriction."""

import math

import numpy as np

from .coder import Coder
from .latents import COUNT, NORMAL


class Constriction(Coder):
    package = "constriction"
    limit = COUNT // 8

    def __init__(self, latents):
        from constriction import stream

        super().__init__(latents)
        source, reach = latents.source, latents.source.reaches[-1]
        normal = source.distribution is NORMAL
        self.coder = stream.stack.AnsCoder
        self.model = getattr(stream.model, "QuantizedGaussian" if normal else "QuantizedLaplace")(-reach, reach)
        self.scales = source.scales[latents.indexes] * (1 if normal else math.sqrt(0.5))
        self.means = np.zeros_like(self.scales)

    def encode(self):
        coder = self.coder()
        coder.encode_reverse(self.latents.symbols, self.model, self.means, self.scales)
        return coder.get_compressed().tobytes()

    def decode(self, coded):
        return self.coder(np.frombuffer(coded, np.uint32)).decode(self.model, self.means, self.scales)
