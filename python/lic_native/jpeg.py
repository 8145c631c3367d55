"""Lossless recompression of JPEG files: `.jpg` -> `.lic` -> the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import _native
from .coders import Coder, block_count, coder_of_number, coders_of
from .errors import CorruptError, LicError, UnsupportedError
from .limits import DEFAULT_LIMITS, Limits
from .models import zoo

#: What names of JPEG files end in.
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif"}
#: In place of a coder's number: the picture has the coefficients of an earlier one, whose index follows.
TWIN = 0
Bytes = bytes | bytearray | memoryview
#: Bits of a block, in a file and in what the native coder makes of a picture: what has fewer is left to that coder, as
#: a network takes as long for a blank block as for any other.
LEAST_BITS, LEAST_NATIVE_BITS = 5, 2
#: Number and fingerprint of a coder, and what it made of a picture's coefficients.
Coded = tuple[int, int, bytes]


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
        TruncatedError, CorruptError: the file is cut or broken, so that coefficients are missing; the message says
            where. (A progressive file that ends with EOI before its last refinement scans is not.)
        UnsupportedError: the file is no DCT JPEG of 1 to 4 components (a lossless one, for example).
        LimitExceededError: the picture is larger than 512 megapixels.
    """
    frame, planes, _ = _native.jpeg_read(bytes(data), whole=True)
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
        profile: "native": without torch, ten times as fast as a network. "fast", or "best": smaller files by a network,
            "best" by one that takes twice as long on a CPU. Any file is restored on any device. Default: "best" on
            "cuda", "fast" on "cpu", and "native" where torch is not installed.
        device: where torch runs the model, "cpu" or "cuda"; the file is the same. Default: "cuda" if there is one.
        limits: pictures that would exceed `max_pixels` are kept as they are.

    Raises:
        ValueError: there is no such profile or device.
        LimitExceededError: `data` is longer than `limits.max_input_bytes`.
    """
    data = bytes(data)
    limits.check_input(len(data))
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
    container = _unpacked(data, limits)
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
    container = _unpacked(data, limits)
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


def _unpacked(data: bytes, limits: Limits) -> _native.Container:
    limits.check_input(len(data))
    container = _native.unpack(data, limits.max_output_bytes)
    if container.image is not None:
        raise UnsupportedError("the file holds no file but an image: lic_native.image.decompress shows it")
    return container


def _compressed(data: bytes, profile: str | None, device: str | None, limits: Limits) -> bytes | None:
    """A file that has been seen to restore `data` from its pictures' coefficients, or None if there is none."""
    pictures, skeleton = _native.document_read(data, limits.max_blocks)
    if not pictures:
        return None
    try:
        frames = layout(skeleton, len(data), limits)
        if LEAST_BITS * sum(map(block_count, frames)) > 8 * len(data):
            profile = "native"
        coded: list[Coded] = []
        decoded: list[list[np.ndarray]] = []
        for frame, planes, twin in zip(frames, pictures, twins(pictures), strict=True):
            if twin is not None:
                coded.append((TWIN, 0, twin.to_bytes(2, "little")))
                decoded.append(decoded[twin])
                continue
            best, planes = _shortest(coders_of(frame, profile, device), frame, planes)
            coded.append(best)
            decoded.append(planes)
        packed = _native.pack_jpeg(data, skeleton, coded)
        container = _native.unpack(packed, len(data))
        same = container.pictures == coded and _native.document_write(container.skeleton, decoded, len(data)) == data
    except LicError:
        return None
    return packed if same else None


def _shortest(
    coders: Sequence[Coder], frame: _native.Frame, planes: list[np.ndarray]
) -> tuple[Coded, list[np.ndarray]]:
    """The shortest that coders make of coefficients, and what is decoded from that. One that fails is passed over."""
    results: list[tuple[Coded, list[np.ndarray]]] = []
    for coder in coders:
        if results and 8 * len(results[0][0][2]) < LEAST_NATIVE_BITS * block_count(frame):
            break
        try:
            data, decoded = coder.encode(frame, planes)
        except LicError:
            continue
        if decoded is planes or all(map(np.array_equal, decoded, planes)):
            results.append(((coder.number, coder.fingerprint(), data), decoded))
    if not results:
        raise CorruptError("no coder gives the coefficients back")
    return min(results, key=lambda result: len(result[0][2]))


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
    first = [seen.setdefault(tuple(zlib.crc32(plane.data) for plane in planes), i) for i, planes in enumerate(pictures)]
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
