"""What turns the coefficients of a picture into bytes and back: the native coder, and networks tile by tile."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from .. import _native, threads
from ..arguments import Device
from ..errors import CorruptError, TruncatedError, UnsupportedError
from ..models import registry

if TYPE_CHECKING:
    import torch

    from ..models.mlcc import Mlcc
    from ..models.sampling import Picture, Shape

__all__ = ["Coder", "Native", "Network", "coder_of_number", "coders_of", "join", "split"]

#: Blocks on a side of what is coded in one piece: 1024 pixels. Part of the format. It bounds memory and keeps all cores
#: busy; pieces of this size cost 0.1 % more than pieces twice as large.
TILE = 128
#: Blocks of a picture that is not worth a network.
ICON = 64
#: Batches of tiles that a call works on at a time unless it is told how many, and all such calls together: each takes
#: up to 100 MB.
MAX_THREADS = 8
#: Threads of the native coder on one picture. Each takes some 14 MB: with four, 33 megapixels of 4:2:0 fit 200 MB.
NATIVE_THREADS = 4
#: Tiles of a file that share a walk.
CPU_BATCH, CUDA_BATCH = 1, 16

T = TypeVar("T")


class _Slots:
    """Leave to work on a batch of tiles: few have it at a time, of all calls together."""

    def __init__(self) -> None:
        self._free, self._taken = threading.Condition(), 0
        # The threads that have leave are not there in a forked child.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._free, self._taken = threading.Condition(), 0

    @contextmanager
    def one_of(self, most: int) -> Iterator[None]:
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


class Coder(Protocol):
    """What turns the coefficients of a picture into bytes and back.

    name, number: as registered in `docs/format.md`; files refer to the number.
    """

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    def fingerprint(self) -> int:
        """Of all that a decoder must have in common with the encoder, 32 bits."""
        ...

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        """Return the coefficients as bytes, and what `decode` makes of these.

        threads: that share the work; 0 means as many as the process may use, up to a limit of memory.
        """
        ...

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0) -> list[np.ndarray]:
        """Return the coefficients. Raises CorruptError or TruncatedError if the bytes don't fit the frame."""
        ...


def coders_of(frame: _native.Frame, profile: str | None, device: Device) -> list[Coder]:
    """Those whose shortest result a picture is to have.

    The native coder takes a tenth of a network's time, and beats it on some pictures. Alone it is for what no network
    has been trained with (CMYK, odd samplings, other precisions), and for pictures as small as an icon.
    """
    coders: list[Coder] = [NativeSteps() if any(c.steps for c in frame.components) else Native()]
    name = registry.of_profile(profile, device)
    if name != registry.NATIVE and block_count(frame) > ICON and frame.precision == 8 and len(parts(frame)) == 1:
        coders.append(Network(name, device))
    return coders


def block_count(frame: _native.Frame) -> int:
    """Return how many blocks the components of a frame have together."""
    return sum(c.blocks_w * c.blocks_h for c in frame.components)


def coder_of_number(number: int, device: Device) -> Coder:
    """What a picture in a file has been coded with. Raises UnsupportedError if no model for JPEG has that number."""
    name = registry.model_name(number)
    if name == registry.NATIVE_STEPS:
        return NativeSteps()
    if name not in registry.PROFILES.values():
        raise UnsupportedError(f"model {name} is not for JPEG files")
    return Native() if name == registry.NATIVE else Network(name, device)


class Native:
    """The adaptive context model in Rust (`rust/src/jpeg/native`), as a coder."""

    name = registry.NATIVE
    number = registry.NUMBERS[registry.NATIVE]
    steps = False

    def fingerprint(self) -> int:
        return _native.native_fingerprint()

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        # It has decoded and compared them.
        return _native.native_encode(frame, planes, native_threads(threads), self.steps), planes

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0) -> list[np.ndarray]:
        return _native.native_decode(frame, data, native_threads(threads), self.steps)


def native_threads(wanted: int = 0) -> int:
    """Return how many threads the native coder is given on one picture. 0 means as many as the process may use."""
    return min(threads.resolve(wanted), NATIVE_THREADS)


class NativeSteps(Native):
    """The same, of coefficients divided by what they are multiples of where a picture's last scans are missing."""

    name = registry.NATIVE_STEPS
    number = registry.NUMBERS[registry.NATIVE_STEPS]
    steps = True


class Network:
    """A model, as a coder. Its bytes are the streams of the picture's tiles, behind the lengths of all but the last."""

    def __init__(self, name: str, device: Device) -> None:
        self.name = name
        self.number = registry.NUMBERS[name]
        self._model = registry.load(name, device)

    def fingerprint(self) -> int:
        return self._model.fingerprint()

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        streams, planes = encode_and_decode(self._model, frame, planes, threads)
        return join(streams), planes

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0) -> list[np.ndarray]:
        return decode_planes(self._model, frame, split(data, len(Grids(frame).tiles)), threads)


def join(streams: list[bytes]) -> bytes:
    """Streams as one, behind the lengths of all but the last, 32 bits each."""
    return struct.pack(f"<{len(streams) - 1}I", *map(len, streams[:-1])) + b"".join(streams)


def split(data: bytes, count: int) -> list[bytes]:
    """The inverse of `join` for `count` streams. Raises TruncatedError."""
    position = 4 * (count - 1)
    if len(data) < position:
        raise TruncatedError(f"{len(data)} bytes of coefficients for {count} tiles")
    edges = list(accumulate(struct.unpack_from(f"<{count - 1}I", data), initial=position))
    if edges[-1] > len(data):
        raise TruncatedError(f"{len(data)} bytes of coefficients where tiles take {edges[-1]}")
    return [data[start:end] for start, end in pairwise([*edges, len(data)])]


class Part(NamedTuple):
    """Components that are coded together, as one of the model's samplings."""

    sampling: str
    components: tuple[int, ...]
    transposed: bool = False


def parts(frame: _native.Frame) -> list[Part]:
    """How the components of a frame are coded: as one YCbCr picture if they are sampled like one, else one by one."""
    factors = [(c.h, c.v) for c in frame.components]
    if len(factors) == 3 and factors[1] == factors[2]:
        (h, v), (ch, cv) = factors[:2]
        for (x, y), part in {
            (2, 2): Part("4:2:0", (0, 1, 2)),
            (2, 1): Part("4:2:2", (0, 1, 2)),
            (1, 2): Part("4:2:2", (0, 1, 2), transposed=True),
            (1, 1): Part("4:4:4", (0, 1, 2)),
        }.items():
            if (h, v) == (x * ch, y * cv):
                return [part]
    return [Part("gray", (c,)) for c in range(len(factors))]


class Tile(NamedTuple):
    """A rectangle of a part: its shape, and for each of its components the (rows, columns) of blocks it covers."""

    shape: Shape
    areas: list[tuple[slice, slice]]


def tiles(part: Part, sizes: list[tuple[int, int]]) -> Iterator[Tile]:
    """Cut a part, whose components have `sizes` (rows, columns) in blocks, into tiles in raster order."""
    from ..models.sampling import Shape

    rows, columns = sizes[0]
    for top, bottom in cuts(rows):
        for left, right in cuts(columns):
            areas = []
            for height, width in sizes:
                y0, y1 = (n * height // rows for n in (top, bottom))
                x0, x1 = (n * width // columns for n in (left, right))
                areas.append((slice(y0, y1), slice(x0, x1)))
            extents = [(a.stop - a.start, b.stop - b.start) for a, b in areas]
            yield Tile(Shape(part.sampling, extents[0], extents[1] if len(extents) > 1 else (0, 0)), areas)


def cuts(blocks: int) -> list[tuple[int, int]]:
    """Begins and ends of the fewest pieces of at most `TILE` blocks of a side, as equal as multiples of 4 allow."""
    quads = -(-blocks // 4)
    count = -(-4 * quads // TILE)
    edges = [min(4 * (quads * i // count), blocks) for i in range(count + 1)]
    return list(pairwise(edges))


def encode_planes(model: Mlcc, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0) -> list[bytes]:
    """One rANS stream for each tile of each part."""
    return _in_batches(model, threads, lambda batch: encode_tiles(model, batch), Grids(frame, planes).tiles)


def decode_planes(model: Mlcc, frame: _native.Frame, streams: list[bytes], threads: int = 0) -> list[np.ndarray]:
    """The inverse of `encode_planes`. Raises CorruptError or TruncatedError if the streams don't fit the frame."""
    grids = Grids(frame)
    if len(grids.tiles) != len(streams):
        raise CorruptError(f"{len(streams)} coefficient streams for a frame of {len(grids.tiles)} tiles")
    _in_batches(model, threads, lambda batch, streams: decode_tiles(model, batch, streams), grids.tiles, streams)
    return grids.planes()


def encode_and_decode(
    model: Mlcc, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
) -> tuple[list[bytes], list[np.ndarray]]:
    """What `encode_planes` makes of the planes, and `decode_planes` of that; both of a tile before the next."""
    grids = Grids(frame)

    def both(batch: Sequence[TileOfGrids], decoded: Sequence[TileOfGrids]) -> list[bytes]:
        streams = encode_tiles(model, batch)
        decode_tiles(model, decoded, streams)
        return streams

    return _in_batches(model, threads, both, Grids(frame, planes).tiles, grids.tiles), grids.planes()


def encode_tiles(model: Mlcc, batch: Sequence[TileOfGrids]) -> list[bytes]:
    """The rANS streams of tiles of equal shape, in one walk."""
    from ..coding.coder import StreamEncoder

    coder = StreamEncoder(len(batch))
    model.run(coder, batch[0].shape, _batch_tables(batch), _picture(batch))
    return coder.finish()


def decode_tiles(model: Mlcc, batch: Sequence[TileOfGrids], streams: Sequence[bytes]) -> list[None]:
    """The inverse: fill in the pieces. Raises CorruptError or TruncatedError."""
    from ..coding.coder import StreamDecoder

    coder = StreamDecoder(streams)
    luma, chroma = model.run(coder, batch[0].shape, _batch_tables(batch))
    coder.finish()
    # 16 bits wide before they leave the device.
    planes = [plane.short().cpu().numpy() for plane in (luma, *reversed(chroma))]
    for i, tile in enumerate(batch):
        for piece, plane in zip(tile.pieces, planes):
            piece[:] = plane[i, : piece.shape[0], : piece.shape[1]]
    return [None] * len(batch)


class TileOfGrids(NamedTuple):
    """A tile's blocks `[rows, columns, 64]` of each component, as views of the picture's, its shape, and its tables."""

    pieces: list[np.ndarray]
    shape: Shape
    tables: np.ndarray


class Grids:
    """The coefficients of a frame, part by part as the model sees them: those of `planes`, or zeros to be filled in.

    tiles: all, in the order of their streams.
    """

    def __init__(self, frame: _native.Frame, planes: list[np.ndarray] | None = None) -> None:
        self.tiles: list[TileOfGrids] = []
        self._grids: dict[int, tuple[np.ndarray, Part]] = {}
        for part in parts(frame):
            grids = []
            for c in part.components:
                h, w = frame.components[c].blocks_h, frame.components[c].blocks_w
                if planes is not None:
                    grid = oriented(planes[c].reshape(h, w, 64), part)
                else:
                    grid = np.zeros((w, h, 64) if part.transposed else (h, w, 64), np.int16)
                self._grids[c] = (grid, part)
                grids.append(grid)
            tables = _tables(frame, part)
            for tile in tiles(part, [grid.shape[:2] for grid in grids]):
                pieces = [grid[area] for grid, area in zip(grids, tile.areas)]
                self.tiles.append(TileOfGrids(pieces, tile.shape, tables))

    def planes(self) -> list[np.ndarray]:
        """Of each component in the frame's order, flat."""
        grids = (oriented(*self._grids[c]) for c in range(len(self._grids)))
        return [np.ascontiguousarray(grid).reshape(-1) for grid in grids]


def _in_batches(
    model: Mlcc, wanted: int, work: Callable[..., list[T]], tiles: Sequence[TileOfGrids], *more: Sequence[Any]
) -> list[T]:
    """What `work` makes of all tiles, in order: it gets some of equal shape at a time, and what `more` has for them.

    On the CPU one tile a thread: many small steps gain little from more. On CUDA two batches at a time, so that the
    entropy coder works on one while the device works on the other. Neither changes the bytes.
    """
    from ..nn.ambient import known_state, single_thread

    on_cpu = model.device.type == "cpu"
    batches = _batches(tiles, CPU_BATCH if on_cpu else CUDA_BATCH)
    usual = min(threads.available(), MAX_THREADS)
    count = min(wanted or usual, MAX_THREADS if on_cpu else 2)
    results: list[Any] = [None] * len(tiles)
    caller = threading.get_ident()

    def alone(batch: list[int]) -> None:
        threads.check()
        with _slots.one_of(max(usual, count)):
            made = work(*([given[i] for i in batch] for given in (tiles, *more)))
        for i, result in zip(batch, made, strict=True):
            results[i] = result

    def state() -> AbstractContextManager[Any]:
        with ExitStack() as stack:
            # The caller's number of threads is its own.
            if threading.get_ident() != caller:
                stack.enter_context(single_thread())
            stack.enter_context(known_state())
            return stack.pop_all()

    threads.share(alone, batches, count, within=state, apart=on_cpu)
    return results


def _batches(tiles: Sequence[TileOfGrids], most: int) -> list[list[int]]:
    """Indices of tiles, those of equal shape together, `most` at a time."""
    alike: dict[Shape, list[int]] = {}
    for i, tile in enumerate(tiles):
        alike.setdefault(tile.shape, []).append(i)
    return [some[i : i + most] for some in alike.values() for i in range(0, len(some), most)]


def oriented(blocks: np.ndarray, part: Part) -> np.ndarray:
    """Blocks `[rows, columns, 64]` as the model sees them, and back: the picture is transposed if the part says so."""
    return blocks.transpose(1, 0, 2)[..., _transposed_zigzag()] if part.transposed else blocks


@cache
def _transposed_zigzag() -> list[int]:
    """For each zig-zag index, that of the transposed frequency."""
    from ..models.sampling import zigzag

    order = zigzag()
    return [order.index((column, row)) for row, column in order]


def _tables(frame: _native.Frame, part: Part) -> np.ndarray:
    """Quantisation tables of a part as the model takes them, `[2 or 3, 64]`."""
    # A quantiser of 0 is forbidden and occurs; no coefficient depends on what stands here.
    tables = np.maximum([frame.components[c].quant for c in part.components], 1)
    if part.transposed:
        tables = tables[:, _transposed_zigzag()]
    return tables if len(tables) > 1 else tables.repeat(2, 0)


def _batch_tables(batch: Sequence[TileOfGrids]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.stack([tile.tables for tile in batch]))


def _picture(batch: Sequence[TileOfGrids]) -> Picture:
    """Tiles of (Y) or (Y, Cb, Cr) and of equal shape -> the model's picture, padded with zeros."""
    import torch

    from ..models.sampling import SAMPLINGS, Picture, padded

    shape = batch[0].shape
    rows, columns = padded(shape.luma)
    v, h = SAMPLINGS[shape.sampling] or (0, 0)
    extents = [(rows, columns), *[(rows // 2 * v, columns // 2 * h)] * 2]
    planes = []
    for c, (height, width) in enumerate(extents[: len(batch[0].pieces)]):
        plane = np.zeros((len(batch), height, width, 64), np.int16)
        for i, tile in enumerate(batch):
            piece = tile.pieces[c]
            plane[i, : piece.shape[0], : piece.shape[1]] = piece
        planes.append(torch.from_numpy(plane))
    return Picture(planes[0], tuple(reversed(planes[1:])))
