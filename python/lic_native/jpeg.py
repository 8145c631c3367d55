"""Lossless recompression of JPEG files: `.jpg` -> `.lic` -> the same bytes."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from . import _native
from .errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from .models import zoo

if TYPE_CHECKING:
    import torch

    from .models.blocks import Picture, Shape
    from .models.mlcc import Mlcc

#: What names of JPEG files end in.
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif"}
#: Blocks on a side of what is coded in one piece: 1024 pixels. Part of the format. It bounds memory and keeps all cores
#: busy; pieces of this size cost 0.1 % more than pieces twice as large.
TILE = 128
#: In place of a coder's number: the picture has the coefficients of an earlier one, whose index follows.
TWIN = 0
#: Batches of tiles worked on at a time by all calls together.
MAX_THREADS = min(os.cpu_count() or 1, 8)
#: Tiles of a file that share a walk.
CPU_BATCH, CUDA_BATCH = 1, 16

Bytes = bytes | bytearray | memoryview
#: Number and fingerprint of a coder, and what it made of a picture's coefficients.
Coded = tuple[int, int, bytes]
T = TypeVar("T")

_tile_slots = threading.BoundedSemaphore(MAX_THREADS)


@dataclass(frozen=True)
class Limits:
    """What a file may ask for at most. Memory and time are bounded by it: a small file can say that it is large.

    max_pixels: of all JPEG pictures in a file together. What counts is the blocks of all components: 3 for 64 pixels.
    max_input_bytes: of what is given.
    max_output_bytes: of what is restored.
    """

    max_pixels: int = 2**29
    max_input_bytes: int = 2**31
    max_output_bytes: int = 2**31

    @property
    def max_blocks(self) -> int:
        return 3 * self.max_pixels // 64

    def check_input(self, data: bytes) -> None:
        if len(data) > self.max_input_bytes:
            raise LimitExceededError(f"input of {len(data)} bytes exceeds the limit of {self.max_input_bytes}")


DEFAULT_LIMITS = Limits()


class Coefficients(NamedTuple):
    """The quantised DCT coefficients of a JPEG file.

    planes: for each component, int16 `[64, ceil(height / 8), ceil(width / 8)]` of its own (subsampled) height and
        width; frequencies in zig-zag order, DC values absolute (prediction undone), as libjpeg gives them.
    tables: for each component, its quantisation table, uint16 `[64]`, zig-zag order.
    width, height: of the picture, in pixels.
    sampling: for each component, its (horizontal, vertical) sampling factors.
    """

    planes: list[np.ndarray]
    tables: list[np.ndarray]
    width: int
    height: int
    sampling: list[tuple[int, int]]


def read_coefficients(data: Bytes) -> Coefficients:
    """The quantised DCT coefficients of a JPEG file: of the picture that it begins with.

    Raises:
        TruncatedError, CorruptError: the file is cut or broken; the message says where.
        UnsupportedError: the file is no 8-bit Huffman-coded DCT JPEG.
    """
    frame, planes, _ = _native.jpeg_read(bytes(data))
    components = frame.components
    h_max, v_max = max(c.h for c in components), max(c.v for c in components)
    result = []
    for c, plane in zip(components, planes):
        rows, columns = -(-frame.height * c.v // (8 * v_max)), -(-frame.width * c.h // (8 * h_max))
        blocks = plane.reshape(c.blocks_h, c.blocks_w, 64)[:rows, :columns]
        result.append(np.ascontiguousarray(blocks.transpose(2, 0, 1)))
    tables = [np.array(c.quant, np.uint16) for c in components]
    return Coefficients(result, tables, frame.width, frame.height, [(c.h, c.v) for c in components])


def compress(
    data: Bytes, *, profile: str | None = None, device: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> bytes:
    """A JPEG file, or any bytes at all -> a `.lic` file that restores exactly them.

    Every JPEG picture in them is coded, thumbnails and what follows the first picture too. What is no JPEG, or can't be
    rebuilt bit by bit from its coefficients, is kept (with zstd). Nothing is returned before it has been decoded and
    compared with `data`.

    Args:
        data: the file's content.
        profile: "fast", or "best": smaller files by a network that takes twice as long on a CPU. Either file says
            which it is and is restored on any device. Default: "best" on "cuda", "fast" on "cpu".
        device: where torch runs the model, "cpu" or "cuda"; the file is the same. Default: "cuda" if there is one.
        limits: pictures that would exceed `max_pixels` are kept as they are.

    Raises:
        ValueError: there is no such profile or device.
        LimitExceededError: `data` is longer than `limits.max_input_bytes`.
    """
    data = bytes(data)
    limits.check_input(data)
    zoo.check_profile(profile)
    packed = _compressed(data, profile, device, limits)
    if packed is not None and len(packed) < 0.9 * len(data):
        return packed
    stored = _native.store(data)
    return stored if packed is None or len(stored) <= len(packed) else packed


def decompress(data: Bytes, *, device: str | None = None, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The file that `compress` was given.

    Args:
        data: a `.lic` file.
        device: where torch runs the model; any restores any file.
        limits: what the file may ask for.

    Raises:
        TruncatedError, CorruptError: the file is damaged. Its checksums cover the file and what is restored from it.
        UnsupportedError: the file is of a newer version, or needs a model that is not installed.
        LimitExceededError: the file or its pictures exceed `limits`.
    """
    data = bytes(data)
    limits.check_input(data)
    container = _native.unpack(data, limits.max_output_bytes)
    restored = _restore(container, device, limits) if container.stored is None else container.stored
    _native.verify(restored, container.size, container.checksum)
    return restored


@dataclass(frozen=True)
class PictureInfo:
    """A JPEG picture inside a `.lic` file.

    model: "twin" if its coefficients are those of an earlier picture.
    sampling: for each component, its horizontal x vertical sampling factor.
    """

    model: str
    width: int
    height: int
    components: int
    sampling: str
    progressive: bool
    coefficient_bytes: int


@dataclass(frozen=True)
class Info:
    """What is inside a `.lic` file.

    header_bytes: what is not coded coefficients.
    pictures: of a file that is not stored, in the order in which they begin; thumbnails after what they lie in.
    """

    kind: str
    file_bytes: int
    restored_bytes: int
    saving_percent: float
    header_bytes: int | None = None
    coefficient_bytes: int | None = None
    pictures: tuple[PictureInfo, ...] = ()


def inspect(data: Bytes, *, limits: Limits = DEFAULT_LIMITS) -> Info:
    """What is inside a `.lic` file, without decoding its coefficients. Raises as `decompress` does."""
    data = bytes(data)
    limits.check_input(data)
    container = _native.unpack(data, limits.max_output_bytes)
    saving = 100 * (1 - len(data) / container.size) if container.size else 0.0
    common = (container.kind, len(data), container.size, round(saving, 2))
    if container.kind == "stored":
        return Info(*common)
    pictures = tuple(
        PictureInfo(
            model="twin" if number == TWIN else zoo.model_name(number),
            width=frame.width,
            height=frame.height,
            components=len(frame.components),
            sampling=",".join(f"{c.h}x{c.v}" for c in frame.components),
            progressive=frame.progressive,
            coefficient_bytes=len(coded),
        )
        for frame, (number, _, coded) in zip(layout(container.skeleton, container.size, limits), container.pictures)
    )
    coefficients = sum(picture.coefficient_bytes for picture in pictures)
    return Info(*common, len(data) - coefficients, coefficients, pictures)


def _compressed(data: bytes, profile: str | None, device: str | None, limits: Limits) -> bytes | None:
    """A file that has been seen to restore `data` from its pictures' coefficients, or None if there is none."""
    pictures, skeleton = _native.document_read(data, limits.max_blocks)
    if not pictures:
        return None
    try:
        frames = layout(skeleton, len(data), limits)
        coded: list[Coded] = []
        decoded: list[list[np.ndarray]] = []
        for frame, planes, twin in zip(frames, pictures, twins(pictures), strict=True):
            if twin is not None:
                coded.append((TWIN, 0, twin.to_bytes(2, "little")))
                decoded.append(decoded[twin])
                continue
            coder = coder_of(frame, profile, device)
            coefficients, planes = coder.encode(frame, planes)
            coded.append((coder.number, coder.fingerprint(), coefficients))
            decoded.append(planes)
        packed = _native.pack_jpeg(data, skeleton, coded)
        container = _native.unpack(packed, len(data))
        same = container.pictures == coded and _native.document_write(container.skeleton, decoded, len(data)) == data
    except LicError:
        return None
    return packed if same else None


def _restore(container: _native.Container, device: str | None, limits: Limits) -> bytes:
    frames = layout(container.skeleton, container.size, limits)
    pictures: list[list[np.ndarray]] = []
    for frame, (number, fingerprint, coefficients) in zip(frames, container.pictures, strict=True):
        if number == TWIN:
            pictures.append(twin_of(frame, coefficients, pictures))
            continue
        coder = coder_of_number(number, device)
        if coder.fingerprint() != fingerprint:
            raise UnsupportedError(
                f"the file needs weights {fingerprint:08x} of model {coder.name}, not {coder.fingerprint():08x} as here"
            )
        pictures.append(coder.decode(frame, coefficients))
    return _native.document_write(container.skeleton, pictures, container.size)


def twins(pictures: Sequence[list[np.ndarray]]) -> list[int | None]:
    """For each picture, the first before it with the same coefficients: some files hold one thumbnail twice."""
    seen: dict[tuple[int, ...], int] = {}
    first = [seen.setdefault(tuple(hash(p.tobytes()) for p in planes), i) for i, planes in enumerate(pictures)]
    return [j if j < i and all(map(np.array_equal, pictures[i], pictures[j])) else None for i, j in enumerate(first)]


def twin_of(frame: _native.Frame, index: bytes, pictures: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """The coefficients of a picture that repeats an earlier one. Raises CorruptError if that can't be."""
    twin = int.from_bytes(index, "little")
    if len(index) != 2 or twin >= len(pictures):
        raise CorruptError("a picture repeats none before it")
    if [64 * c.blocks_w * c.blocks_h for c in frame.components] != [plane.size for plane in pictures[twin]]:
        raise CorruptError("a picture repeats one of another size")
    return pictures[twin]


def layout(skeleton: bytes, size: int, limits: Limits = DEFAULT_LIMITS) -> list[_native.Frame]:
    """The frames of a file of `size` bytes. A block takes at least a bit of it: this bounds what they may occupy."""
    return _native.document_layout(skeleton, min(8 * size, limits.max_blocks), size)


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

    def encode(self, frame: _native.Frame, planes: list[np.ndarray]) -> tuple[bytes, list[np.ndarray]]:
        """The coefficients as bytes, and what `decode` makes of these."""
        ...

    def decode(self, frame: _native.Frame, data: bytes) -> list[np.ndarray]:
        """Raises CorruptError or TruncatedError if the bytes don't fit the frame."""
        ...


def coder_of(frame: _native.Frame, profile: str | None, device: str | None) -> Coder:
    """What a picture is coded with."""
    return Network(zoo.of_profile(profile, device), device)


def coder_of_number(number: int, device: str | None) -> Coder:
    """What a picture in a file has been coded with. Raises UnsupportedError if there is none of that number."""
    return Network(zoo.model_name(number), device)


class Network:
    """A model, as a coder. Its bytes are the streams of the picture's tiles, behind the lengths of all but the last."""

    def __init__(self, name: str, device: str | None) -> None:
        self.name = name
        self.number = zoo.NUMBERS[name]
        self._model = zoo.load(name, device)

    def fingerprint(self) -> int:
        return self._model.fingerprint()

    def encode(self, frame: _native.Frame, planes: list[np.ndarray]) -> tuple[bytes, list[np.ndarray]]:
        streams, planes = encode_and_decode(self._model, frame, planes)
        return join(streams), planes

    def decode(self, frame: _native.Frame, data: bytes) -> list[np.ndarray]:
        return decode_planes(self._model, frame, split(data, len(Grids(frame).tiles)))


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
    from .models.blocks import Shape

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


def encode_planes(model: Mlcc, frame: _native.Frame, planes: list[np.ndarray]) -> list[bytes]:
    """One rANS stream for each tile of each part."""
    return _in_batches(model, Grids(frame, planes).tiles, lambda batch: encode_tiles(model, batch))


def decode_planes(model: Mlcc, frame: _native.Frame, streams: list[bytes]) -> list[np.ndarray]:
    """The inverse of `encode_planes`. Raises CorruptError or TruncatedError if the streams don't fit the frame."""
    grids = Grids(frame)
    if len(grids.tiles) != len(streams):
        raise CorruptError(f"{len(streams)} coefficient streams for a frame of {len(grids.tiles)} tiles")
    _in_batches(model, grids.tiles, lambda batch, streams: decode_tiles(model, batch, streams), streams)
    return grids.planes()


def encode_and_decode(
    model: Mlcc, frame: _native.Frame, planes: list[np.ndarray]
) -> tuple[list[bytes], list[np.ndarray]]:
    """What `encode_planes` makes of the planes, and `decode_planes` of that; both of a tile before the next."""
    grids = Grids(frame)

    def both(batch: Sequence[TileOfGrids], decoded: Sequence[TileOfGrids]) -> list[bytes]:
        streams = encode_tiles(model, batch)
        decode_tiles(model, decoded, streams)
        return streams

    return _in_batches(model, Grids(frame, planes).tiles, both, grids.tiles), grids.planes()


def encode_tiles(model: Mlcc, batch: Sequence[TileOfGrids]) -> list[bytes]:
    """The rANS streams of tiles of equal shape, in one walk."""
    from .coder import StreamEncoder

    coder = StreamEncoder(len(batch))
    model.run(coder, batch[0].shape, _batch_tables(batch), _picture(batch))
    return coder.finish()


def decode_tiles(model: Mlcc, batch: Sequence[TileOfGrids], streams: Sequence[bytes]) -> list[None]:
    """The inverse: fill in the pieces. Raises CorruptError or TruncatedError."""
    from .coder import StreamDecoder

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
    tables: torch.Tensor


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
    model: Mlcc, tiles: Sequence[TileOfGrids], work: Callable[..., list[T]], *more: Sequence[Any]
) -> list[T]:
    """What `work` makes of all tiles, in order: it gets some of equal shape at a time, and what `more` has for them.

    On the CPU one tile a thread: many small steps gain little from more. On CUDA two batches at a time, so that the
    entropy coder works on one while the device works on the other. Neither changes the bytes.
    """
    import torch

    from .nn.exact import single_threaded

    on_cpu = model.device.type == "cpu"
    batches = _batches(tiles, CPU_BATCH if on_cpu else CUDA_BATCH)
    results: list[Any] = [None] * len(tiles)

    def alone(batch: list[int]) -> None:
        with _tile_slots:
            torch.set_num_threads(1)
            made = work(*([given[i] for i in batch] for given in (tiles, *more)))
        for i, result in zip(batch, made, strict=True):
            results[i] = result

    with single_threaded, ThreadPoolExecutor(max(1, min(len(batches), MAX_THREADS if on_cpu else 2))) as pool:
        list(pool.map(alone, batches))
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
    from .models.blocks import zigzag

    order = zigzag()
    return [order.index((column, row)) for row, column in order]


def _tables(frame: _native.Frame, part: Part) -> torch.Tensor:
    """Quantisation tables of a part as the model takes them, `[1, 2 or 3, 64]`."""
    import torch

    # A quantiser of 0 is forbidden and occurs; no coefficient depends on what stands here.
    tables = np.maximum([frame.components[c].quant for c in part.components], 1)
    if part.transposed:
        tables = tables[:, _transposed_zigzag()]
    return torch.from_numpy(tables if len(tables) > 1 else tables.repeat(2, 0))[None]


def _batch_tables(batch: Sequence[TileOfGrids]) -> torch.Tensor:
    import torch

    return torch.cat([tile.tables for tile in batch])


def _picture(batch: Sequence[TileOfGrids]) -> Picture:
    """Tiles of (Y) or (Y, Cb, Cr) and of equal shape -> the model's picture, padded with zeros."""
    import torch

    from .models.blocks import SAMPLINGS, Picture, padded

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
