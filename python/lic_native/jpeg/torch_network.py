"""The networks of `jpeg/network.py` on torch, for tiles on a GPU."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .. import _native
from ..coding.coder import StreamDecoder, StreamEncoder, SymbolCoder
from ..coding.device import Walks
from ..coding.merging import MOST, Merger
from ..cuda.available import works
from ..cuda.graphs import empty_cache
from ..cuda.mixtures import has_combs
from ..errors import LicError
from ..models import registry
from ..models.mlcc import Mlcc
from ..models.sampling import SAMPLINGS, Picture, Shape, padded
from ..observe import stage
from .tiles import Tile

__all__ = ["TorchNetwork", "device_walks", "forget_networks", "model_input", "shared_network"]

_log = logging.getLogger(__name__)

#: Bytes on the device for each coefficient of a tile in a pass, at most: activations of `best`, slots, curves.
PASS_BYTES = 150


class TorchNetwork:
    """A network that torch runs, on the device of the model; a `TileCoder`.

    Tiles of one shape that several threads bring at a time share a pass (`coding/merging.py`). Where the entropy coder
    works on the device, nothing leaves that during a pass; elsewhere it is the one in Rust, after each step. Tests
    compare what it makes on a CPU with what Rust makes.

    batch: tiles of a pass, at most.
    walks: of the model, on the device. None: where `cuda.available.works` allows it.
    """

    threads = 4
    apart = True
    merges = True

    def __init__(self, model: Mlcc, batch: int = MOST, walks: Walks | None = None) -> None:
        self.batch = batch
        self._model = model
        if walks is None and works(model.device):
            walks = device_walks(model)
        self._walks = walks
        # While one pass is in the entropy coder in Rust, another one is on the device.
        turns, release = (2, empty_cache) if walks is None else (1, walks.release)
        self._passes: Merger[Any, Any] = Merger(self._pass, self._bytes, release, batch, turns)

    def fingerprint(self) -> int:
        return self._model.fingerprint()

    def encode(self, tiles: Sequence[Tile]) -> list[bytes]:
        with stage("network"):
            combs = [_native.Mlcc.is_comb(tile.blocks) for tile in tiles]
            streams: list[bytes] = self._coded("encode", _kind(tiles[0]), tiles, combs)
        return streams

    def decode(self, tiles: Sequence[Tile], streams: Sequence[bytes], verify: bool = False) -> None:
        with stage("network"):
            pairs, combs = list(zip(tiles, streams, strict=True)), [has_combs(stream) for stream in streams]
            for tile, planes in zip(tiles, self._coded("decode", _kind(tiles[0]), pairs, combs)):
                for blocks, plane in zip(tile.blocks, planes):
                    blocks[:] = plane[: blocks.shape[0], : blocks.shape[1]]

    def _coded(self, direction: str, kind: tuple[Any, ...], items: Sequence[Any], combs: Sequence[bool]) -> list[Any]:
        """Return the results of items, or raise the first error. Those with combs have passes of their own."""
        results: list[Any] = [None] * len(items)
        for has_them in (False, True):
            chosen = [i for i, of_item in enumerate(combs) if of_item == has_them]
            outcomes = self._passes((direction, *kind, has_them), [items[i] for i in chosen]) if chosen else []
            for i, outcome in zip(chosen, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    raise outcome
                results[i] = outcome
        return results

    def _bytes(self, key: tuple[Any, ...]) -> int:
        sizes: tuple[tuple[int, int], ...] = key[2]
        return PASS_BYTES * sum(64 * rows * columns for rows, columns in sizes)

    def _pass(self, key: tuple[Any, ...], items: Sequence[Any]) -> Sequence[Any]:
        direction, *_, combs = key
        # The entropy coder on the device knows no combs.
        walks = None if combs else self._walks
        if direction == "encode":
            shape, tables, picture = model_input(items)
            if walks is not None:
                return walks.encode(shape, [tables], [picture.luma, *picture.chroma])
            encoder = StreamEncoder(len(items), calibrate=True, combs=[combs] * len(items))
            self._model.run(encoder, shape, tables, picture)
            return encoder.finish()
        tiles, streams = zip(*items)
        if walks is None:
            return self._decode_by_rust(tiles, streams)
        planes, good = walks.decode(_shape(tiles[0]), [_tables(tiles)], streams)
        decoded: list[Any] = _planes(planes)
        for i in (i for i, is_good in enumerate(good) if not is_good):
            # What is wrong with a stream is for the coder in Rust to say.
            try:
                [decoded[i]] = self._decode_by_rust(tiles[i : i + 1], streams[i : i + 1])
                _log.warning("a stream that the GPU's entropy coder refused is good")
            except LicError as error:
                decoded[i] = error
        return decoded

    def _decode_by_rust(self, tiles: Sequence[Tile], streams: Sequence[bytes]) -> list[list[np.ndarray]]:
        decoder = StreamDecoder(streams)
        luma, chroma = self._model.run(decoder, _shape(tiles[0]), _tables(tiles))
        decoder.finish()
        return _planes([plane.short().cpu() for plane in (luma, *chroma)])


_shared: dict[tuple[str, str], TorchNetwork] = {}
_sharing = threading.Lock()


def shared_network(name: str, device: str) -> TorchNetwork:
    """Return what all callers of a model on a device share: its passes, and its walks that are kept as graphs."""
    with _sharing:
        if (name, device) not in _shared:
            _shared[name, device] = TorchNetwork(registry.load(name, device))
        return _shared[name, device]


def forget_networks() -> None:
    """Make new ones from now on, for benchmarks that change what networks are made by."""
    with _sharing:
        _shared.clear()


def device_walks(model: Mlcc) -> Walks:
    """Return the walks of a model whose symbols are coded on its device."""

    def walk(coder: SymbolCoder, shape: Shape, inputs: list[torch.Tensor], symbols: Any) -> list[torch.Tensor]:
        picture = None if symbols is None else Picture(symbols[0], tuple(symbols[1:]))
        luma, chroma = model.walk(coder, shape, inputs[0], picture)
        return [luma, *chroma]

    return Walks(walk, model.contexts, model.device)


def _kind(tile: Tile) -> tuple[str, tuple[tuple[int, int], ...], int]:
    """Return what tiles of a pass have in common: sampling, sizes, number of tables."""
    return tile.sampling, tile.sizes, len(tile.tables)


def _planes(planes: Sequence[torch.Tensor]) -> list[list[np.ndarray]]:
    """Return for each picture its planes in the order of the frame: luma, Cb, Cr. planes: luma, Cr, Cb of all."""
    arrays = [planes[0].numpy(), *(plane.numpy() for plane in reversed(planes[1:]))]
    return [[array[i] for array in arrays] for i in range(len(arrays[0]))]


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
