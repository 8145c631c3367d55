"""Lossless recompression of JPEG files: `.jpg` -> `.lic` -> the same bytes.

All functions may be called from several threads at once. In a process forked after torch has been used here, CUDA can't
be used: processes for it are best started by multiprocessing's "spawn" or "forkserver".
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np

from .. import _native, files, threads
from ..arguments import Bytes, Device, check_flag, check_instance, to_bytes, to_count, to_device
from ..errors import InexactDeviceError, LicError, LimitExceededError, UnsupportedError
from ..files import Content, File
from ..limits import DEFAULT_LIMITS, Limits
from ..many import FILES_ON_CUDA, in_order
from ..models import registry
from ..models.registry import JpegProfile
from ..observe import stage
from ..suffixes import JPEG_SUFFIXES, check_suffix
from . import coders
from .coders import Coded
from .metadata import Metadata, metadata, thumbnail
from .network import tile_coder
from .picture import Region, decompress_region
from .tiles import block_count

__all__ = [
    "SUFFIXES",
    "Coefficients",
    "JpegInfo",
    "JpegProfile",
    "Metadata",
    "PictureInfo",
    "Region",
    "StoredInfo",
    "compress",
    "compress_file",
    "compress_many",
    "decompress",
    "decompress_file",
    "decompress_many",
    "decompress_region",
    "inspect",
    "metadata",
    "read_coefficients",
    "thumbnail",
]

#: Suffixes of JPEG files.
SUFFIXES = JPEG_SUFFIXES
#: Bits of a file per block below which its pictures are nearly blank, and are left to the context coder.
BLANK_FILE_BITS = 5
#: Bytes of a `.lic` file up to its body, at most.
HEAD_BYTES = 76
#: Bytes of memory for a file in work, for each of its bytes, and for a network on a CPU (measured).
FILE_BYTES, BYTES_PER_BYTE, NETWORK_BYTES = 16 << 20, 40, 100 << 20
#: Threads of a file whose tiles are coded on a GPU.
TILES_AT_ONCE = 4
#: Bytes of the index that stands for a duplicate's coefficients.
DUPLICATE_BYTES = 2
#: Reasons why a file is stored as it is.
NO_JPEG = "not a JPEG file"
NOT_REBUILT = "a JPEG file that can't be rebuilt exactly from its coefficients"


class Coefficients(NamedTuple):
    """The quantised DCT coefficients of a JPEG file.

    planes: for each component, int16 `[64, ceil(height / 8), ceil(width / 8)]` with its own (subsampled) height and
        width; frequencies in zig-zag order, DC values absolute (prediction undone), as libjpeg gives them.
    tables: for each component, its quantisation table, uint16 `[64]`, in zig-zag order.
    width, height: size of the picture in pixels.
    sampling: for each component, its (horizontal, vertical) sampling factors.
    """

    planes: list[np.ndarray]
    tables: list[np.ndarray]
    width: int
    height: int
    sampling: list[tuple[int, int]]


def read_coefficients(data: Bytes) -> Coefficients:
    """Return the quantised DCT coefficients of the picture that a JPEG file begins with.

    Raises:
        TruncatedError, CorruptError: coefficients are missing because the file is cut or broken; the message says
            where. (A progressive file that ends with EOI before its last refinement scans is accepted.)
        UnsupportedError: the file is not a DCT JPEG of 1 to 4 components (but a lossless one, for example).
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
    sha256: bool = True,
    sha1: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> bytes:
    """Return a `.lic` file that restores exactly `data`: a JPEG file, or any bytes at all.

    Every JPEG picture inside `data` is coded, thumbnails and further pictures too. Other bytes, and pictures that can't
    be rebuilt bit by bit from their coefficients, are stored (with zstd). The result has been decoded and compared with
    `data` before it is returned.

    Args:
        data: the file's content, as a bytes-like object.
        profile: "native" is the fastest. "quick", "fast" and "best" give smaller files with a network; that of "best"
            takes twice as long as the others on a CPU. Any device restores any file. Default: "native", or "best" if
            `device` asks for CUDA.
        device: where the network runs, "cpu", "cuda", "cuda:1" or a `torch.device`; the file is the same. CUDA needs
            torch. Default: "cuda" if torch finds it.
        sha256, sha1: whether the file holds this hash of `data`, in 32 or 20 bytes. Restoring checks it, and `inspect`
            shows it without decoding.
        limits: pictures that would exceed `max_pixels` are stored.
        threads: number of threads that share the work, up to 8; each takes up to 50 MB with a network. The file is the
            same. 0 means the environment variable `LIC_THREADS`, or else the processors that this process may use.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or the profile or device does not exist.
        LimitExceededError: `data` is longer than `limits.max_input_bytes`.
        UnsupportedError: CUDA needs torch, which is not installed or can't be loaded.
        InexactDeviceError: the device does not compute exactly, so that a network's files would not decode elsewhere.
    """
    return compress_explained(
        data, profile=profile, device=device, sha256=sha256, sha1=sha1, limits=limits, threads=threads
    )[0]


def compress_explained(
    data: Bytes,
    *,
    profile: JpegProfile | None = None,
    device: Device = None,
    sha256: bool = True,
    sha1: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> tuple[bytes, str | None]:
    """Return the file of `compress`, and the reason if it stores `data` without coding a picture."""
    data, device = to_bytes(data), to_device(device)
    check_options(profile, device, sha256, sha1, limits, threads)
    limits.check_input(len(data))
    hashes = sha256, sha1
    packed, reason = _compressed(data, profile, device, hashes, limits, threads)
    if packed is not None and len(packed) < 0.9 * len(data):
        return packed, None
    stored = _native.store(data, *hashes)
    if packed is None:
        return stored, reason
    return (stored, "its coefficients get no smaller") if len(stored) <= len(packed) else (packed, None)


def check_options(
    profile: JpegProfile | None, device: str | None, sha256: bool, sha1: bool, limits: Limits, threads: int
) -> None:
    """Raise the errors of `compress` that do not depend on the data."""
    check_instance(limits, Limits, "limits")
    check_flag(sha256, "sha256")
    check_flag(sha1, "sha1")
    to_count(threads, "threads")
    registry.check_profile(profile)
    if profile is not None:
        # A profile that can't work is an error even if the data hold no picture.
        _check_device(registry.of_profile(profile), device)


def compress_content(
    content: Content,
    *,
    profile: JpegProfile | None = None,
    device: Device = None,
    sha256: bool = True,
    sha1: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> tuple[Content, str | None]:
    """Return what `compress_explained` does, for any content. A file without JPEGs takes constant memory."""
    if not isinstance(content, bytes):
        check_options(profile, to_device(device), sha256, sha1, limits, threads)
        intake = _native.Intake(sha256, sha1)
        content.seek(0)
        while piece := content.read(files.CHUNK):
            intake.update(piece)
        if not intake.holds_jpeg():
            return _stored(intake, content), NO_JPEG
        content = files.whole(content)
    return compress_explained(
        content, profile=profile, device=device, sha256=sha256, sha1=sha1, limits=limits, threads=threads
    )


def _stored(intake: _native.Intake, content: IO[bytes]) -> IO[bytes]:
    def fill(stored: IO[bytes]) -> None:
        for compressed in (True, False):
            content.seek(0)
            stored.seek(0)
            stored.truncate()
            if intake.store(content.read, stored.write, compressed) < files.size(content):
                break

    return files.temporary(fill)


def _check_device(name: str, device: Device) -> None:
    if name != registry.NATIVE:
        registry.network_device(device, name)


def decompress(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS, threads: int = 0) -> bytes:
    """Return the bytes that `compress` received.

    Args:
        data: a `.lic` file, as a bytes-like object.
        device: as in `compress`; any device restores any file.
        limits: the most that the file may ask for.
        threads: as in `compress`.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or the device does not exist.
        TruncatedError, CorruptError: the file is damaged. Checksums cover the file and the restored bytes, and the
            hashes that it holds are compared, too.
        UnsupportedError: this release can't read the file: VersionError, UnknownModelError or WeightsMismatchError; or
            CUDA needs torch, which is not installed.
        LimitExceededError: the file or its pictures exceed `limits`.
        InexactDeviceError: the file needs a network, and the device does not compute exactly.
    """
    data, device = to_bytes(data), to_device(device)
    to_count(threads, "threads")
    with stage("parse"):
        container = _unpacked(data, limits)
    restored = container.stored
    if restored is None:
        restored = _restored(container, device, limits, threads)
    with stage("verification"):
        container.verify(restored)
    return restored


def decompress_content(
    content: Content, *, device: Device = None, limits: Limits = DEFAULT_LIMITS, threads: int = 0
) -> Content:
    """Return what `decompress` does for any content: a large stored file as a temporary file, in constant memory."""
    check_instance(limits, Limits, "limits")
    start = files.head(content, HEAD_BYTES)
    if _native.kind(start) == "stored" and max(files.size(content), _native.identify(start)[0]) > files.IN_MEMORY:
        to_device(device)
        to_count(threads, "threads")
        limits.check_input(files.size(content))
        reader = io.BytesIO(content) if isinstance(content, bytes) else content
        return files.temporary(
            lambda restored: _native.restore_stream(reader.read, restored.write, limits.max_output_bytes)
        )
    return decompress(files.whole(content), device=device, limits=limits, threads=threads)


def compress_many(
    files: Iterable[Bytes],
    *,
    profile: JpegProfile | None = None,
    device: Device = None,
    sha256: bool = True,
    sha1: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    memory: int | None = None,
) -> Iterator[bytes | LicError]:
    """Yield for each file what `compress` returns for it, in their order, with several in work at a time.

    On CUDA, tiles of many files share the passes of the network, which is many times as fast as one file after the
    other. A file that fails does not keep the others from being done: the LicError that `compress` raises for it is
    yielded in place of its result.

    Args:
        files: contents of files. They are taken as they are needed, so they may come from a generator that reads them.
        profile, device, sha256, sha1, limits: as in `compress`.
        threads: number of files in work at a time. 0 means as many as the processors that this process may use, and 64
            for a network on CUDA.
        memory: bytes that files in work, with their results, may take in all, about; and as many of a GPU's memory,
            for the tiles of a pass. None: 4 GiB, and half of the GPU's memory.

    Raises:
        TypeError, ValueError: an argument or a file has the wrong type, or the profile or device does not exist.
        UnsupportedError, InexactDeviceError: as `compress`, for all files.

    Example:
        for path, result in zip(paths, compress_many(map(Path.read_bytes, paths), device="cuda")):
            if isinstance(result, LicError):
                print(path, result)
    """
    device = to_device(device)
    check_options(profile, device, sha256, sha1, limits, threads)
    name = registry.of_profile(profile, device)
    if name != registry.NATIVE:
        tile_coder(name, device)  # An error of a model or a device concerns all files.
    count, each = _shares(name, device, threads)
    options: dict[str, Any] = {"sha256": sha256, "sha1": sha1, "limits": limits, "threads": each}

    def work(data: bytes) -> bytes:
        return compress(data, profile=profile, device=device, **options)

    return in_order(work, _checked(files), count, memory, _weight(name))


def decompress_many(
    files: Iterable[Bytes],
    *,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    memory: int | None = None,
) -> Iterator[bytes | LicError]:
    """Yield for each `.lic` file what `decompress` returns for it, or the LicError that it raises.

    Args:
        files, threads, memory: as in `compress_many`.
        device, limits: as in `decompress`.

    Raises:
        TypeError, ValueError: an argument or a file has the wrong type, or the device does not exist.
    """
    device = to_device(device)
    check_instance(limits, Limits, "limits")
    # Any of the files may need a network.
    name = registry.PROFILES["best"]
    count, each = _shares(name, device, threads)
    options: dict[str, Any] = {"device": device, "limits": limits, "threads": each}
    return in_order(lambda data: decompress(data, **options), _checked(files), count, memory, _weight(name))


def _shares(name: str, device: Device, wanted: int) -> tuple[int, int]:
    """Return the number of files in work at a time for a model, and of threads for each."""
    count = threads.resolve(wanted)
    if name == registry.NATIVE or registry.network_device(device, name) == "cpu":
        return count, 1
    # The tiles of a file wait for passes together, while its threads do nothing.
    return (count if wanted else max(count, FILES_ON_CUDA)), TILES_AT_ONCE


def _checked(files: Iterable[Bytes]) -> Iterator[bytes]:
    for i, data in enumerate(files):
        yield to_bytes(data, f"files[{i}]")


def _weight(name: str) -> Callable[[bytes], int]:
    """Return a function that says about how many bytes a file in work takes."""
    own = FILE_BYTES + (0 if name == registry.NATIVE else NETWORK_BYTES)
    return lambda data: own + BYTES_PER_BYTE * len(data)


def compress_file(
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    profile: JpegProfile | None = None,
    device: Device = None,
    sha256: bool = True,
    sha1: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> None:
    """Write a `.lic` file that restores exactly the source.

    A source of more than 64 MiB in which no JPEG begins passes through temporary files, so that it takes little memory.

    Args:
        source: a path, or a file object that is open for bytes; it need not be seekable.
        target: a path, or a file object that is open for writing bytes; it need not be seekable. A file gets its name
            when it is complete and on the disk, and has the source's times and mode; missing folders are made.
        overwrite: whether to replace a target that exists.
        profile, device, sha256, sha1, limits, threads: as in `compress`.

    Raises:
        FileExistsError: the target exists and `overwrite` is false, or it is the source.
        OSError: a file can't be read or written.
        TypeError, ValueError, LicError: as `compress` does.
    """
    check_options(profile, to_device(device), sha256, sha1, limits, threads)

    def work(content: Content) -> Content:
        return compress_content(
            content, profile=profile, device=device, sha256=sha256, sha1=sha1, limits=limits, threads=threads
        )[0]

    files.transform(work, source, target, overwrite=overwrite, limits=limits, spooled=True)


def decompress_file(
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> None:
    """Write the file that `compress` or `compress_file` received.

    Nothing is written before it is verified: a stored file of more than 64 MiB is first restored in a temporary file.

    Args:
        source, target, overwrite: as in `compress_file`.
        device, limits, threads: as in `decompress`.

    Raises:
        FileExistsError, OSError: as `compress_file` does.
        UnsupportedError: the target's suffix is that of another image format.
        LicError, TypeError, ValueError: as `decompress` does.
    """
    check_instance(limits, Limits, "limits")
    options: dict[str, Any] = {"device": device, "limits": limits, "threads": threads}

    def work(content: Content) -> Content:
        restored = decompress_content(content, **options)
        if isinstance(target, str | os.PathLike):
            try:
                check_suffix(restored, target)
            except UnsupportedError:
                with files.held(restored):
                    raise
        return restored

    files.transform(work, source, target, overwrite=overwrite, limits=limits, spooled=True)


@dataclass(frozen=True)
class PictureInfo:
    """A JPEG picture inside a `.lic` file.

    model: "duplicate" if its coefficients are those of an earlier picture.
    sampling: "4:2:0" and so on, "gray", or each component's horizontal x vertical sampling factors.
    """

    model: str
    width: int
    height: int
    components: int
    sampling: str
    progressive: bool
    coefficient_bytes: int


@dataclass(frozen=True)
class StoredInfo:
    """A `.lic` file that stores the restored file.

    saving_percent: 0 if the `.lic` file is not smaller than the restored file.
    restored_xxh3: the checksum of the restored file that is in the `.lic` file: XXH3-64 in hexadecimal.
    sha256, sha1: hashes of the restored file in hexadecimal; None if the `.lic` file does not hold them.
    """

    kind: str
    file_bytes: int
    restored_bytes: int
    saving_percent: float
    restored_xxh3: str
    sha256: str | None
    sha1: str | None


@dataclass(frozen=True)
class JpegInfo(StoredInfo):
    """A `.lic` file that codes JPEG pictures.

    header_bytes: bytes of the `.lic` file that are not coded coefficients.
    pictures: the pictures in the order in which they begin; a thumbnail follows the picture that contains it.
    """

    header_bytes: int
    coefficient_bytes: int
    pictures: tuple[PictureInfo, ...]


def inspect(data: Bytes, *, limits: Limits = DEFAULT_LIMITS) -> StoredInfo | JpegInfo:
    """Describe a `.lic` file without decoding its coefficients. Raises as `decompress` does."""
    data = to_bytes(data)
    container = _unpacked(data, limits)
    saving = 100 * max(0.0, 1 - len(data) / container.size) if container.size else 0.0
    sha256, sha1 = (hash.hex() if hash else None for hash in (container.sha256, container.sha1))
    checksum = f"{container.checksum:016x}"
    common = (container.kind, len(data), container.size, round(saving, 2), checksum, sha256, sha1)
    if container.kind == "stored":
        return StoredInfo(*common)
    pictures = tuple(map(_picture_info, container.frames(limits.max_blocks), container.pictures))
    coefficients = sum(picture.coefficient_bytes for picture in pictures)
    return JpegInfo(*common, len(data) - coefficients, coefficients, pictures)


def _picture_info(frame: _native.Frame, coded: Coded | int) -> PictureInfo:
    return PictureInfo(
        model="duplicate" if isinstance(coded, int) else registry.model_name(coded[0]),
        width=frame.width,
        height=frame.height,
        components=len(frame.components),
        sampling=sampling_name([(c.h, c.v) for c in frame.components]),
        progressive=frame.progressive,
        coefficient_bytes=DUPLICATE_BYTES if isinstance(coded, int) else len(coded[2]),
    )


#: Names of samplings by the ratio of the first component's sampling factors to the others', (horizontal, vertical).
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
    data: bytes, profile: str | None, device: Device, hashes: tuple[bool, bool], limits: Limits, wanted: int
) -> tuple[bytes | None, str | None]:
    """Return a file that codes the pictures inside `data` and is verified to restore it, or None and the reason."""
    with stage("parse"):
        pictures, reconstruction = _native.carve_read(data, limits.max_blocks)
    if not pictures:
        return None, _why_no_pictures(data, limits)
    _check_device(registry.of_profile(profile, device), device)
    try:
        with stage("parse"):
            frames = _native.frames(reconstruction, len(data), limits.max_blocks)
            duplicates = _native.duplicates(pictures)
        if BLANK_FILE_BITS * sum(map(block_count, frames)) > 8 * len(data):
            profile = "native"
        coded: list[Coded | int] = []
        decoded: list[list[np.ndarray]] = []
        for frame, planes, duplicate in zip(frames, pictures, duplicates, strict=True):
            if duplicate is not None:
                coded.append(duplicate)
                decoded.append(decoded[duplicate])
                continue
            threads.check()
            shortest, planes = coders.encode_shortest(frame, planes, profile, device, wanted)
            coded.append(shortest)
            decoded.append(planes)
        with stage("write"):
            packed = _native.pack_jpeg(data, reconstruction, coded, *hashes)
        with stage("verification"):
            container = _native.unpack(packed, len(data))
            same = container.pictures == coded
            same = same and _native.carve_write(container.reconstruction, decoded, len(data)) == data
    except InexactDeviceError:
        raise
    except LicError:
        return None, NOT_REBUILT
    return (packed, None) if same else (None, NOT_REBUILT)


def _why_no_pictures(data: bytes, limits: Limits) -> str:
    start = data.find(b"\xff\xd8\xff")
    if start < 0:
        return NO_JPEG
    try:
        _native.jpeg_read(data[start:], limits.max_blocks)
    except LimitExceededError:
        return f"over the limit of {limits.max_pixels:,} pixels"
    except LicError:
        pass
    return "no JPEG picture in it that can be rebuilt exactly"


def _restored(container: _native.Container, device: Device, limits: Limits, wanted: int) -> bytes:
    with stage("parse"):
        frames = container.frames(limits.max_blocks)
    pictures: list[list[np.ndarray]] = []
    for frame, coded in zip(frames, container.pictures, strict=True):
        threads.check()
        if isinstance(coded, int):
            pictures.append(pictures[coded])
        else:
            pictures.append(coders.decode(frame, coded, device, wanted))
    with stage("write"):
        return _native.carve_write(container.reconstruction, pictures, container.size)
