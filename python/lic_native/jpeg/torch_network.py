"""The networks of `jpeg/network.py` on torch, for tiles on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .. import _native
from ..coding.coder import StreamDecoder, StreamEncoder
from ..models.mlcc import Mlcc
from ..models.sampling import SAMPLINGS, Picture, Shape, padded
from ..nn.ambient import known_state
from ..observe import stage
from .tiles import Tile

__all__ = ["TorchNetwork", "model_input"]


class TorchNetwork:
    """A network that torch runs, on the device of the model; a `TileCoder`.

    Two batches are at work, so that one is in the entropy coder while the other is on the device. Tests compare what it
    makes on a CPU with what Rust makes.
    """

    threads = 2
    apart = True

    def __init__(self, model: Mlcc, batch: int = 16) -> None:
        self.batch = batch
        self._model = model

    def fingerprint(self) -> int:
        return self._model.fingerprint()

    @known_state()
    def encode(self, tiles: Sequence[Tile]) -> list[bytes]:
        combs = [_native.Mlcc.is_comb(tile.blocks) for tile in tiles]
        coder = StreamEncoder(len(tiles), calibrate=True, combs=combs)
        with stage("network"):
            shape, tables, picture = model_input(tiles)
            self._model.run(coder, shape, tables, picture)
            return coder.finish()

    @known_state()
    def decode(self, tiles: Sequence[Tile], streams: Sequence[bytes], verify: bool = False) -> None:
        coder = StreamDecoder(streams)
        with stage("network"):
            luma, chroma = self._model.run(coder, _shape(tiles[0]), _tables(tiles))
            coder.finish()
            # Converting to 16 bits on the device halves what it has to send.
            planes = [plane.short().cpu().numpy() for plane in (luma, *reversed(chroma))]
            for i, tile in enumerate(tiles):
                for blocks, plane in zip(tile.blocks, planes):
                    blocks[:] = plane[i, : blocks.shape[0], : blocks.shape[1]]


def model_input(batch: Sequence[Tile]) -> tuple[Shape, torch.Tensor, Picture]:
    """Return what the model takes of tiles of equal shape: their shape, tables, and coefficients padded with zeros."""
    shape = _shape(batch[0])
    rows, columns = padded(shape.luma)
    v, h = SAMPLINGS[shape.sampling] or (0, 0)
    sizes = [(rows, columns), *[(rows // 2 * v, columns // 2 * h)] * 2]
    planes = []
    for c, (height, width) in enumerate(sizes[: len(batch[0].blocks)]):
        plane = np.zeros((len(batch), height, width, 64), np.int16)
        for i, tile in enumerate(batch):
            blocks = tile.blocks[c]
            plane[i, : blocks.shape[0], : blocks.shape[1]] = blocks
        planes.append(torch.from_numpy(plane))
    return shape, _tables(batch), Picture(planes[0], tuple(reversed(planes[1:])))


def _shape(tile: Tile) -> Shape:
    luma, *chroma = tile.sizes
    return Shape(tile.sampling, luma, chroma[0] if chroma else (0, 0))


def _tables(batch: Sequence[Tile]) -> torch.Tensor:
    return torch.from_numpy(np.stack([tile.tables for tile in batch]))
