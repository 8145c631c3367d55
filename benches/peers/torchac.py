"""torchac."""

import functools

import numpy as np

from .coder import Coder
from .latents import COUNT, Source


@functools.cache
def torchac_tables(source: Source):
    import torch
    from torchac import torchac

    symbols = np.arange(-source.reaches[-1], source.reaches[-1] + 1)
    cdf = np.cumsum([source.masses(symbols, scale) for scale in source.scales], axis=1)
    cdf = torch.nn.functional.pad(torch.tensor(cdf, dtype=torch.float32), (1, 0)).clamp(max=1)
    return torchac._convert_to_int_and_normalize(cdf, needs_normalization=True)


class Torchac(Coder):
    package = "torchac"
    limit = COUNT // 64  # each symbol needs a copy of its table

    def __init__(self, latents):
        import torch
        from torchac import torchac

        super().__init__(latents)
        self.torchac, self.reach = torchac, int(latents.source.reaches[-1])
        self.tables = torchac_tables(latents.source)[latents.indexes.astype(int)]
        self.symbols = torch.tensor(latents.symbols + self.reach, dtype=torch.int16)

    def encode(self):
        return self.torchac.encode_int16_normalized_cdf(self.tables, self.symbols)

    def decode(self, coded):
        return self.torchac.decode_int16_normalized_cdf(self.tables, coded) - self.reach
