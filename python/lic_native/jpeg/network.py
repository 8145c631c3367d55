"""The picture coder of the profiles `fast` and `best`: a network predicts the coefficients, tile by tile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from .. import _native, threads
from ..arguments import Device
from ..coding.coder import StreamDecoder, StreamEncoder
from ..errors import CorruptError
from ..models import registry
from ..models.mlcc import Mlcc
from ..models.sampling import SAMPLINGS, Picture, Shape, padded
from ..nn.ambient import known_state, single_thread
from ..observe import on_wall_clock, stage
from .tiles import Grids, Tile

__all__ = ["NetworkCoder", "decode_planes", "encode_and_decode", "encode_planes", "model_input"]

#: Batches of tiles at work at a time, in one call unless the caller asks for fewer, and in all calls together. Each
#: takes up to 100 MB.
MAX_THREADS = 8
#: Tiles of a file that share a pass through the network.
CPU_BATCH, CUDA_BATCH = 1, 16

T = TypeVar("T")


class NetworkCoder:
    """A network as a picture coder. Its bytes are the joined streams of the picture's tiles."""

    def __init__(self, name: str, device: Device) -> None:
        self.name = name
        self.number = registry.NUMBERS[name]
        self._model = registry.load(name, device)

    def fingerprint(self) -> int:
        """Return the fingerprint of the network's weights."""
        return self._model.fingerprint()

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        """Return the coefficients as bytes, and the coefficients decoded from them."""
        streams, planes = encode_and_decode(self._model, frame, planes, threads)
        return _native.join_streams(streams), planes

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0) -> list[np.ndarray]:
        """Return the coefficients. Raises CorruptError or TruncatedError if the bytes do not fit the frame."""
        return decode_planes(self._model, frame, _native.split_streams(data, len(Grids(frame).tiles)), threads)


def encode_planes(model: Mlcc, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0) -> list[bytes]:
    """Return one rANS stream for each tile of each part."""
    return _in_batches(model, threads, lambda batch: encode_tiles(model, batch), Grids(frame, planes).tiles)


def decode_planes(model: Mlcc, frame: _native.Frame, streams: list[bytes], threads: int = 0) -> list[np.ndarray]:
    """Invert `encode_planes`. Raises CorruptError or TruncatedError if the streams do not fit the frame."""
    grids = Grids(frame)
    if len(grids.tiles) != len(streams):
        raise CorruptError(f"{len(streams)} coefficient streams for a frame of {len(grids.tiles)} tiles")
    _in_batches(model, threads, lambda batch, streams: decode_tiles(model, batch, streams), grids.tiles, streams)
    return grids.planes()


def encode_and_decode(
    model: Mlcc, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
) -> tuple[list[bytes], list[np.ndarray]]:
    """Return the streams of `encode_planes`, and the coefficients that `decode_planes` gets from them.

    Each tile is encoded and decoded before the next, so that few are in memory.
    """
    grids = Grids(frame)

    def encode_and_decode_tiles(batch: Sequence[Tile], decoded: Sequence[Tile]) -> list[bytes]:
        streams = encode_tiles(model, batch)
        with stage("verification", whole=True):
            decode_tiles(model, decoded, streams)
        return streams

    return _in_batches(model, threads, encode_and_decode_tiles, Grids(frame, planes).tiles, grids.tiles), grids.planes()


def encode_tiles(model: Mlcc, batch: Sequence[Tile]) -> list[bytes]:
    """Return the rANS streams of tiles of equal shape, made in one pass through the network."""
    coder = StreamEncoder(len(batch), calibrate=True)
    with stage("network"):
        shape, tables, picture = model_input(batch)
        model.run(coder, shape, tables, picture)
        return coder.finish()


def decode_tiles(model: Mlcc, batch: Sequence[Tile], streams: Sequence[bytes]) -> list[None]:
    """Invert `encode_tiles`: fill in the tiles' blocks. Raises CorruptError or TruncatedError."""
    coder = StreamDecoder(streams)
    with stage("network"):
        luma, chroma = model.run(coder, _shape(batch[0]), _tables(batch))
        coder.finish()
        # Converting to 16 bits on the device halves what it has to send.
        planes = [plane.short().cpu().numpy() for plane in (luma, *reversed(chroma))]
        for i, tile in enumerate(batch):
            for blocks, plane in zip(tile.blocks, planes):
                blocks[:] = plane[i, : blocks.shape[0], : blocks.shape[1]]
    return [None] * len(batch)


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


def _in_batches(
    model: Mlcc, wanted: int, work: Callable[..., list[T]], tiles: Sequence[Tile], *more: Sequence[Any]
) -> list[T]:
    """Return the results of `work` for all tiles, in order. It gets a batch of tiles, and of each sequence of `more`.

    On the CPU each thread takes one tile, as the network's many small steps gain little from more. On CUDA two batches
    are at work, so that one is in the entropy coder while the other is on the device. Neither changes the bytes.
    """
    on_cpu = model.device.type == "cpu"
    batches = _batches(tiles, CPU_BATCH if on_cpu else CUDA_BATCH)
    usual = min(threads.available(), MAX_THREADS)
    count = min(wanted or usual, MAX_THREADS if on_cpu else 2)
    results: list[Any] = [None] * len(tiles)
    caller = threading.get_ident()

    def work_on(batch: list[int]) -> None:
        threads.check()
        with _slots.one_of(max(usual, count)):
            made = work(*([sequence[i] for i in batch] for sequence in (tiles, *more)))
        for i, result in zip(batch, made, strict=True):
            results[i] = result

    def state() -> AbstractContextManager[Any]:
        with ExitStack() as stack:
            # The calling thread keeps its own number of torch threads.
            if threading.get_ident() != caller:
                stack.enter_context(single_thread())
            stack.enter_context(known_state())
            return stack.pop_all()

    with on_wall_clock():
        threads.share(work_on, batches, count, within=state, apart=on_cpu)
    return results


def _batches(tiles: Sequence[Tile], most: int) -> list[list[int]]:
    """Return indices of tiles in batches of equal shape, of at most `most` tiles."""
    alike: dict[Any, list[int]] = {}
    for i, tile in enumerate(tiles):
        alike.setdefault((tile.sampling, tile.sizes), []).append(i)
    return [indices[i : i + most] for indices in alike.values() for i in range(0, len(indices), most)]


class _Slots:
    """Permissions to work on a batch of tiles, which all calls share."""

    def __init__(self) -> None:
        self._reset()
        # A forked child has none of the threads that hold a slot.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._free, self._taken = threading.Condition(), 0

    @contextmanager
    def one_of(self, most: int) -> Iterator[None]:
        """Hold a slot inside the block, once fewer than `most` are held."""
        with self._free:
            while self._taken >= most:
                threads.check()
                self._free.wait(0.2)
            self._taken += 1
        try:
            yield
        finally:
            with self._free:
                self._taken -= 1
                self._free.notify()


_slots = _Slots()
