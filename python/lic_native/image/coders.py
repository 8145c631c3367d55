"""Coders of latents: integers `[C, h, w]` of a tile to a rANS stream and back, in the same bytes on every machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _native, threads
from ..errors import CorruptError
from ..models import registry
from ..observe import on_wall_clock, stage
from .grid import TileGrid

__all__ = ["Engine", "LatentCoder", "Latents", "decode", "encode", "encode_tile"]

#: int16 `[C, h, w]`.
Latents: TypeAlias = NDArray[np.int16]


class LatentCoder(Protocol):
    """The probability model of a codec for images, as what codes the latents of its tiles.

    threads: the largest number of tiles at a time.
    """

    threads: int

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        ...

    def fingerprint(self) -> int:
        """Return the 32 bits by which files refer to the weights."""
        ...

    def encode(self, latents: Latents, index: int) -> bytes:
        """Return the stream of a tile's latents at a quality as files name it."""
        ...

    def decode(self, stream: bytes, index: int, size: tuple[int, int], verify: bool = False) -> Latents:
        """Return the latents of a stream, of `size` (h, w). Raises CorruptError or TruncatedError.

        verify: this coder made the stream, and is to be verified (`registry.verifying_backend`).
        """
        ...


class Engine:
    """A probability model that Rust computes in integers (`rust/src/nn`): it needs no torch.

    tile: vectors on a side of a tile at most.
    """

    threads = 8
    tile = _native.Msp.LARGEST_SIDE

    def __init__(self, network: _native.Msp) -> None:
        self._network = network

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self._network.channels

    def fingerprint(self) -> int:
        return self._network.fingerprint

    def encode(self, latents: Latents, index: int) -> bytes:
        with stage("prior"):
            return self._network.encode(latents.transpose(1, 2, 0), index)

    def decode(self, stream: bytes, index: int, size: tuple[int, int], verify: bool = False) -> Latents:
        backend = registry.verifying_backend() if verify else None
        with stage("prior"):
            return np.ascontiguousarray(self._network.decode(stream, index, size, backend).transpose(2, 0, 1))


def encode(coder: LatentCoder, tiles: Sequence[Latents], index: int, thread_count: int) -> tuple[list[bytes], int]:
    """Return a stream for each tile, and the checksum of all latents. Raises as `encode_tile`."""
    with on_wall_clock():
        streams = threads.share(
            lambda latents: encode_tile(coder, latents, index), tiles, min(thread_count, coder.threads)
        )
    checksum = _native.LatentsChecksum()
    for latents in tiles:
        checksum.update(latents)
    return streams, checksum.value()


def encode_tile(coder: LatentCoder, latents: Latents, index: int) -> bytes:
    """Return the stream of a tile's latents, which has been decoded and compared.

    Raises CorruptError if the decoded latents are not the encoded ones.
    """
    threads.check()
    stream = coder.encode(latents, index)
    size = latents.shape[1], latents.shape[2]
    if not np.array_equal(coder.decode(stream, index, size, verify=True), latents):
        raise CorruptError("the decoded latents differ from the encoded ones")
    return stream


def decode(coder: LatentCoder, body: _native.Image, grid: TileGrid, thread_count: int) -> Latents:
    """Return the latents of a file, `[C, ceil(H / 16), ceil(W / 16)]`. Raises CorruptError or TruncatedError."""
    streams = _native.split_streams(body.latents, grid.count)
    sizes = [tile.size for tile in grid.tiles]

    def work(i: int) -> Latents:
        threads.check()
        return coder.decode(streams[i], body.quality, sizes[i])

    # All are decoded before memory is taken for the whole: a file can't ask for more than its bytes decode to.
    with on_wall_clock():
        tiles = deque(threads.share(work, range(len(streams)), min(thread_count, coder.threads)))
    checksum = _native.LatentsChecksum()
    for latents in tiles:
        checksum.update(latents)
    checksum.verify(body.checksum)
    result = np.empty((coder.channels, *grid.size), np.int16)
    for tile in grid.tiles:
        result[:, *tile] = tiles.popleft()
    return result
