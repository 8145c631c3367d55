"""Lossless recompression of JPEG files: `.jpg` -> `.lic` -> the same bytes.

All functions may be called from several threads at once. Processes are best started by multiprocessing's "spawn" or
"forkserver". In a process forked after torch has been used here, torch works in one thread, since its others exist in
the parent alone, and CUDA can't be used.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _native, files, threads
from ..arguments import Bytes, Device, check_instance, to_bytes, to_count, to_device
from ..errors import CorruptError, LicError, UnsupportedError
from ..files import File
from ..image import formats
from ..limits import DEFAULT_LIMITS, Limits
from ..models import registry
from ..models.registry import JpegProfile
from .coders import Coder, block_count, coder_of_number, coders_of

__all__ = [
    "SUFFIXES",
    "Coefficients",
    "Info",
    "JpegProfile",
    "PictureInfo",
    "compress",
    "compress_file",
    "decompress",
    "decompress_file",
    "inspect",
    "read_coefficients",
]

#: What names of JPEG files end in.
SUFFIXES = formats.JPEG_SUFFIXES
#: In place of a coder's number: the picture has the coefficients of an earlier one, whose index follows.
TWIN = 0
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
    frame, planes, _ = _native.jpeg_read(to_bytes(data), whole=True)
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
    data: Bytes,
    *,
    profile: JpegProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> bytes:
    """Return a `.lic` file that restores exactly `data`: a JPEG file, or any bytes at all.

    Every JPEG picture in them is coded, thumbnails and what follows the first picture too. What is no JPEG, or can't be
    rebuilt bit by bit from its coefficients, is kept (with zstd). Nothing is returned before it has been decoded and
    compared with `data`.

    Args:
        data: the file's content, as a bytes-like object.
        profile: "native": without torch, ten times as fast as a network. "fast", or "best": smaller files by a network,
            "best" by one that takes twice as long on a CPU. Any file is restored on any device. Default: "native",
            or "best" if `device` asks for CUDA.
        device: where torch runs the model, "cpu", "cuda", "cuda:1" or a `torch.device`; the file is the same. Default:
            "cuda" if there is one.
        limits: pictures that would exceed `max_pixels` are kept as they are.
        threads: how many share the work, up to 8; each takes up to 100 MB with a network. The file is the same. 0 means
            the environment variable `LIC_THREADS`, or else the processors that this process may use.

    Raises:
        TypeError, ValueError: an argument is of another type, or there is no such profile or device.
        LimitExceededError: `data` is longer than `limits.max_input_bytes`.
        UnsupportedError: the profile needs torch, which is not installed or can't be loaded.
        RuntimeError: the device does not compute exactly, so that a network's files would not decode elsewhere.
    """
    return compress_explained(data, profile=profile, device=device, limits=limits, threads=threads)[0]


def compress_explained(
    data: Bytes,
    *,
    profile: JpegProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> tuple[bytes, str | None]:
    """Return what `compress` does, and of a file that is kept as it is, why."""
    data, device = to_bytes(data), to_device(device)
    check_instance(limits, Limits, "limits")
    to_count(threads, "threads")
    limits.check_input(len(data))
    registry.check_profile(profile)
    if profile is not None:
        # Whatever the data are.
        _check_device(registry.of_profile(profile), device)
    packed, reason = _compressed(data, profile, device, limits, threads)
    if packed is not None and len(packed) < 0.9 * len(data):
        return packed, None
    stored = _native.store(data)
    if packed is None:
        return stored, reason
    return (stored, "its coefficients get no smaller") if len(stored) <= len(packed) else (packed, None)


def _check_device(name: str, device: Device) -> None:
    if name != registry.NATIVE:
        registry.present_device(device, f"model {name}")


def decompress(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS, threads: int = 0) -> bytes:
    """Return the file that `compress` was given.

    Args:
        data: a `.lic` file, as a bytes-like object.
        device: where torch runs the model; any restores any file.
        limits: what the file may ask for.
        threads: as of `compress`.

    Raises:
        TypeError, ValueError: an argument is of another type, or there is no such device.
        TruncatedError, CorruptError: the file is damaged. Its checksums cover the file and what is restored from it.
        UnsupportedError: the file is of a newer version, or needs a model or torch, which is not installed.
        LimitExceededError: the file or its pictures exceed `limits`.
        RuntimeError: the file needs a network, and the device does not compute exactly.
    """
    data, device = to_bytes(data), to_device(device)
    to_count(threads, "threads")
    container = _unpacked(data, limits)
    restored = container.stored
    if restored is None:
        restored = _restore(container, device, limits, threads)
    _native.verify(restored, container.size, container.checksum)
    return restored


def compress_file(
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    profile: JpegProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> None:
    """Write a `.lic` file that restores exactly the source.

    Args:
        source: a path, or a file object that is open for bytes.
        target: the same. A path gets its name when the file is complete and on the disk, and the source's times and
            mode; folders above it are made.
        overwrite: whether a target that is there is replaced.
        profile, device, limits, threads: as of `compress`.

    Raises:
        FileExistsError: there is such a target, and `overwrite` is false; or it is the source.
        OSError: a file can't be read or written.
        TypeError, ValueError, LimitExceededError, UnsupportedError, RuntimeError: as `compress` does.
    """
    check_instance(limits, Limits, "limits")
    options: dict[str, Any] = {"profile": profile, "device": device, "limits": limits, "threads": threads}
    files.transform(lambda data: compress(data, **options), source, target, overwrite=overwrite, limits=limits)


def decompress_file(
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> None:
    """Write the file that `compress` or `compress_file` was given.

    Args:
        source, target, overwrite: as of `compress_file`.
        device, limits, threads: as of `decompress`.

    Raises:
        FileExistsError, OSError: as `compress_file` does.
        UnsupportedError: the target's name is that of an image file of another format.
        LicError, TypeError, ValueError, RuntimeError: as `decompress` does.
    """
    check_instance(limits, Limits, "limits")
    options: dict[str, Any] = {"device": device, "limits": limits, "threads": threads}

    def work(data: bytes) -> bytes:
        restored = decompress(data, **options)
        if isinstance(target, str | os.PathLike):
            formats.check_suffix(restored, target)
        return restored

    files.transform(work, source, target, overwrite=overwrite, limits=limits)


@dataclass(frozen=True)
class PictureInfo:
    """A JPEG picture inside a `.lic` file.

    model: "twin" if its coefficients are those of an earlier picture.
    sampling: "4:2:0" and so on, "gray", or for each component its horizontal x vertical sampling factor.
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

    saving_percent: 0 of a file that is no smaller than what it restores.
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
    """Return what is inside a `.lic` file, without decoding its coefficients. Raises as `decompress` does."""
    data = to_bytes(data)
    container = _unpacked(data, limits)
    saving = 100 * max(0.0, 1 - len(data) / container.size) if container.size else 0.0
    common = (container.kind, len(data), container.size, round(saving, 2))
    if container.kind == "stored":
        return Info(*common)
    pictures = tuple(
        PictureInfo(
            model="twin" if number == TWIN else registry.model_name(number),
            width=frame.width,
            height=frame.height,
            components=len(frame.components),
            sampling=sampling_name([(c.h, c.v) for c in frame.components]),
            progressive=frame.progressive,
            coefficient_bytes=len(coded),
        )
        for frame, (number, _, coded) in zip(layout(container.skeleton, container.size, limits), container.pictures)
    )
    coefficients = sum(picture.coefficient_bytes for picture in pictures)
    return Info(*common, len(data) - coefficients, coefficients, pictures)


#: Names of samplings, by how many times finer the first component is than the two others, across and down.
SAMPLINGS = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (1, 2): "4:4:0",
    (2, 2): "4:2:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}


def sampling_name(factors: Sequence[tuple[int, int]]) -> str:
    """Return a name for the (horizontal, vertical) sampling factors of components: "4:2:0", "gray", "1x1,2x1"."""
    if len(factors) == 1:
        return "gray"
    if len(factors) == 3 and factors[1] == factors[2]:
        (h, v), (ch, cv) = factors[:2]
        name = SAMPLINGS.get((h // ch, v // cv))
        if name and not h % ch and not v % cv:
            return name
    return ",".join(f"{h}x{v}" for h, v in factors)


def _unpacked(data: bytes, limits: Limits) -> _native.Container:
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    container = _native.unpack(data, limits.max_output_bytes)
    if container.image is not None:
        raise UnsupportedError("the file holds no file but an image: lic_native.image.decompress shows it")
    return container


def _compressed(
    data: bytes, profile: str | None, device: Device, limits: Limits, wanted: int
) -> tuple[bytes | None, str | None]:
    """A file that has been seen to restore `data` from its pictures' coefficients, or None and why there is none."""
    pictures, skeleton = _native.document_read(data, limits.max_blocks)
    if not pictures:
        return None, _why_no_pictures(data, limits)
    name = registry.of_profile(profile, device)
    _check_device(name, device)
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
            threads.check()
            best, planes = _shortest(coders_of(frame, profile, device), frame, planes, wanted)
            coded.append(best)
            decoded.append(planes)
        packed = _native.pack_jpeg(data, skeleton, coded)
        container = _native.unpack(packed, len(data))
        same = container.pictures == coded and _native.document_write(container.skeleton, decoded, len(data)) == data
    except LicError:
        return None, NOT_REBUILT
    return (packed, None) if same else (None, NOT_REBUILT)


#: Why a file is kept as it is.
NOT_REBUILT = "a JPEG file that can't be rebuilt exactly from its coefficients"


def _why_no_pictures(data: bytes, limits: Limits) -> str:
    if b"\xff\xd8\xff" not in data:
        return "not a JPEG file"
    if _declared_pixels(data) > limits.max_pixels:
        return f"over the limit of {limits.max_pixels:,} pixels"
    return "no JPEG picture in it that can be rebuilt exactly"


#: More segments than these stand before no picture.
SEGMENTS = 1000


def _declared_pixels(data: bytes) -> int:
    """The size that the first picture in the data says it has, or 0."""
    at = data.find(b"\xff\xd8\xff") + 2
    for _ in range(SEGMENTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker[:1] != b"\xff" or length < 2:
            break
        # The frame headers of T.81, table B.1: among their numbers are those of DHT, JPG and DAC.
        if 0xC0 <= marker[-1] <= 0xCF and marker[-1] not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big") * int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 + length
    return 0


def _shortest(
    coders: Sequence[Coder], frame: _native.Frame, planes: list[np.ndarray], wanted: int
) -> tuple[Coded, list[np.ndarray]]:
    """The shortest that coders make of coefficients, and what is decoded from that. One that fails is passed over."""
    results: list[tuple[Coded, list[np.ndarray]]] = []
    for coder in coders:
        if results and 8 * len(results[0][0][2]) < LEAST_NATIVE_BITS * block_count(frame):
            break
        try:
            data, decoded = coder.encode(frame, planes, wanted)
        except LicError:
            continue
        if decoded is planes or all(map(np.array_equal, decoded, planes)):
            results.append(((coder.number, coder.fingerprint(), data), decoded))
    if not results:
        raise CorruptError("no coder gives the coefficients back")
    return min(results, key=lambda result: len(result[0][2]))


def _restore(container: _native.Container, device: Device, limits: Limits, wanted: int) -> bytes:
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
        threads.check()
        pictures.append(coder.decode(frame, coefficients, wanted))
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
