"""torch_ans."""

import functools

import numpy as np

from .coder import Coder
from .latents import Source, concatenated


@functools.cache
def torch_ans_coder(source: Source, states: int, streams: int):
    import torch
    from torch_ans.utils import TorchANSInterface

    coder = TorchANSInterface("rans64", num_interleaves=states, num_parallel_states=streams)
    coder.set_cdfs(*map(torch.from_numpy, source.cdf))
    return coder


class TorchAns(Coder):
    package = "torch_ans"
    states = 8

    def __init__(self, latents, streams=1):
        import torch

        super().__init__(latents)
        self.coder = torch_ans_coder(latents.source, self.states, streams)
        self.symbols = torch.from_numpy(latents.symbols)
        self.indexes = torch.from_numpy(latents.indexes.astype(np.int32))

    def encode(self):
        return self.coder.encode_with_indexes(self.symbols, self.indexes)

    def decode(self, coded):
        return self.coder.decode_with_indexes(coded, self.indexes)

    @classmethod
    def batch(cls, parts):
        """Return a coder of equally long parts in one call, which shares them among torch's threads."""
        return cls(concatenated(parts), streams=len(parts))

    threads = batch


class TorchAns4(TorchAns):
    states = 4
