"""The picture coder of all profiles but `native`: a network predicts the coefficients, tile by tile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import numpy as np

from .. import _native, threads
from ..arguments import Device
from ..errors import CorruptError
from ..models import registry
from ..observe import on_wall_clock, stage
from .tiles import Area, Grids, Tile

__all__ = [
    "Engine",
    "NetworkCoder",
    "TileCoder",
    "decode_planes",
    "encode_and_decode",
    "encode_planes",
    "on_torch",
    "tile_coder",
]

#: Threads that work on tiles, in one call unless the caller asks for fewer, and in all calls together.
MAX_THREADS = 8

T = TypeVar("T")


class TileCoder(Protocol):
    """A network, as what codes the tiles of pictures. Each makes the same bytes of the same weights.

    batch: the number of tiles of equal shape that share a pass.
    threads: the largest number of passes at a time.
    apart: whether passes need threads of their own, since Ctrl-C can't end one in the calling thread.
    merges: whether it makes passes of the tiles of several calls, which then must not wait for each other.
    """

    batch: int
    threads: int
    apart: bool
    merges: bool

    def fingerprint(self) -> int:
        """Return the 32 bits by which files refer to the weights."""
        ...

    def encode(self, tiles: Sequence[Tile]) -> list[bytes]:
        """Return the rANS stream of each of a batch of tiles of equal shape."""
        ...

    def decode(self, tiles: Sequence[Tile], streams: Sequence[bytes], verify: bool = False) -> None:
        """Fill in the tiles' blocks. Raises CorruptError or TruncatedError if the streams do not fit them.

        verify: this coder made the streams, and is to be verified (`registry.verifying_backend`).
        """
        ...


class Engine:
    """A network that Rust computes in integers (`rust/src/nn`): it needs no torch."""

    batch = 1
    threads = MAX_THREADS
    apart = False
    merges = False

    def __init__(self, network: _native.Mlcc) -> None:
        self._network = network

    def fingerprint(self) -> int:
        return self._network.fingerprint

    def encode(self, tiles: Sequence[Tile]) -> list[bytes]:
        with stage("network"):
            return [self._network.encode(t.sampling, t.tables.tolist(), t.blocks) for t in tiles]

    def decode(self, tiles: Sequence[Tile], streams: Sequence[bytes], verify: bool = False) -> None:
        backend = registry.verifying_backend() if verify else None
        with stage("network"):
            for tile, stream in zip(tiles, streams):
                planes = self._network.decode(tile.sampling, tile.tables.tolist(), tile.sizes, stream, backend)
                for blocks, plane in zip(tile.blocks, planes):
                    blocks[:] = plane


class NetworkCoder:
    """A network as a picture coder. Its bytes are the joined streams of the picture's tiles."""

    def __init__(self, name: str, device: Device) -> None:
        self.name = name
        self.number = registry.NUMBERS[name]
        self._tiles = tile_coder(name, device)
        self.on_gpu = self._tiles.merges

    def fingerprint(self) -> int:
        """Return the fingerprint of the network's weights."""
        return self._tiles.fingerprint()

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        """Return the coefficients as bytes, and the coefficients decoded from them."""
        streams, planes = encode_and_decode(self._tiles, frame, planes, threads)
        return _native.join_streams(streams), planes

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0, area: Area | None = None) -> list[np.ndarray]:
        """Return the coefficients, as `coders.PictureCoder` does."""
        return decode_planes(self._tiles, frame, _native.split_streams(data, len(Grids(frame).tiles)), threads, area)


#: Whether torch runs networks on a CPU, too.
_on_torch = ContextVar("networks on torch", default=False)


@contextmanager
def on_torch() -> Iterator[None]:
    """Let torch run networks on a CPU as on CUDA inside the block, for comparisons with Rust."""
    token = _on_torch.set(True)
    try:
        yield
    finally:
        _on_torch.reset(token)


def tile_coder(name: str, device: Device) -> TileCoder:
    """Return what codes tiles by a network: Rust on a CPU, torch on CUDA. Raises as `registry.network_device`."""
    where = registry.network_device(device, name)
    if where == "cpu" and not _on_torch.get():
        return Engine(registry.load_engine(name))
    from .torch_network import shared_network

    return shared_network(name, where)


def encode_planes(coder: TileCoder, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0) -> list[bytes]:
    """Return one rANS stream for each tile of each part."""
    return _in_batches(coder, threads, coder.encode, Grids(frame, planes).tiles)


def decode_planes(
    coder: TileCoder, frame: _native.Frame, streams: list[bytes], threads: int = 0, area: Area | None = None
) -> list[np.ndarray]:
    """Invert `encode_planes`. With an area, decode only tiles that meet it; the other coefficients are 0.

    Raises CorruptError or TruncatedError if the streams do not fit the frame.
    """
    grids = Grids(frame)
    if len(grids.tiles) != len(streams):
        raise CorruptError(f"{len(streams)} coefficient streams for a frame of {len(grids.tiles)} tiles")

    def decode(batch: Sequence[Tile], streams: Sequence[bytes]) -> Sequence[bytes]:
        coder.decode(batch, streams)
        return streams

    wanted = [i for i, tile in enumerate(grids.tiles) if area is None or tile.area.meets(area)]
    _in_batches(coder, threads, decode, [grids.tiles[i] for i in wanted], [streams[i] for i in wanted])
    return grids.planes()


def encode_and_decode(
    coder: TileCoder, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
) -> tuple[list[bytes], list[np.ndarray]]:
    """Return the streams of `encode_planes`, and the coefficients that `decode_planes` gets from them.

    Each tile is encoded and decoded before the next, so that few are in memory.
    """
    grids = Grids(frame)

    def encode_and_decode_tiles(batch: Sequence[Tile], decoded: Sequence[Tile]) -> list[bytes]:
        streams = coder.encode(batch)
        with stage("verification", whole=True):
            coder.decode(decoded, streams, verify=True)
        return streams

    return _in_batches(coder, threads, encode_and_decode_tiles, Grids(frame, planes).tiles, grids.tiles), grids.planes()


def _in_batches(
    coder: TileCoder, wanted: int, work: Callable[..., Sequence[T]], tiles: Sequence[Tile], *more: Sequence[Any]
) -> list[T]:
    """Return the results of `work` for all tiles, in order.

    It gets a batch of tiles, and as many of each sequence of `more`.
    """
    batches = _batches(tiles, coder.batch)
    usual = min(threads.available(), MAX_THREADS)
    count = min(wanted or usual, coder.threads)
    results: list[Any] = [None] * len(tiles)

    def work_on(batch: list[int]) -> None:
        threads.check()
        with nullcontext() if coder.merges else _slots.one_of(max(usual, count)):
            made = work(*([sequence[i] for i in batch] for sequence in (tiles, *more)))
        for i, result in zip(batch, made, strict=True):
            results[i] = result

    with on_wall_clock():
        threads.share(work_on, batches, count, apart=coder.apart)
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
