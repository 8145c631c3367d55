"""CompressAI's coder, with lists, and with tensors as in its entropy models."""

import functools
import importlib.util
from pathlib import Path

from .coder import Coder
from .latents import Source


@functools.cache
def compressai_ans():
    """Import the extension only: the whole package needs torchvision and more."""
    folder = Path(importlib.util.find_spec("compressai").origin).parent
    spec = importlib.util.spec_from_file_location("compressai.ans", next(folder.glob("ans.*.so")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def compressai_tables(source: Source) -> list[list]:
    return [array.tolist() for array in source.cdf]


class CompressAi(Coder):
    package = "compressai"

    def __init__(self, latents):
        super().__init__(latents)
        self.ans, self.tables = compressai_ans(), compressai_tables(latents.source)
        self.symbols, self.indexes = latents.symbols.tolist(), latents.indexes.tolist()

    def encode(self):
        return self.ans.RansEncoder().encode_with_indexes(self.symbols, self.indexes, *self.tables)

    def decode(self, coded):
        return self.ans.RansDecoder().decode_with_indexes(coded, self.indexes, *self.tables)


class CompressAiTensors(CompressAi):
    """Its coder as its entropy models call it: with tensors."""

    def __init__(self, latents):
        import torch

        super().__init__(latents)
        self.tensor, self.int32 = torch.tensor, torch.int32
        self.symbols, self.indexes = torch.tensor(latents.symbols), torch.tensor(latents.indexes, dtype=torch.int32)

    def encode(self):
        symbols, indexes = self.symbols.tolist(), self.indexes.tolist()
        return self.ans.RansEncoder().encode_with_indexes(symbols, indexes, *self.tables)

    def decode(self, coded):
        symbols = self.ans.RansDecoder().decode_with_indexes(coded, self.indexes.tolist(), *self.tables)
        return self.tensor(symbols, dtype=self.int32)
