"""Lossy compression of images: pixels -> `.lic` -> nearly the same pixels.

All functions may be called from several threads at once. Start processes by multiprocessing's "spawn" or "forkserver":
in a process that was forked after torch was used here, torch works in one thread, since its other threads exist only in
the parent, and CUDA can't be used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _native, files
from ..arguments import Bytes, Device, check_instance, to_bytes, to_count, to_device
from ..errors import LicError
from ..files import File
from ..limits import DEFAULT_LIMITS, Limits
from ..many import FILES_ON_CUDA, in_order
from ..models import registry
from ..models.rate_points import BETWEEN, index_of
from ..threads import available
from . import container, formats, metadata, samples
from .progress import OverfitProgress, Score
from .samples import MODES, AnyImage

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "QUALITY",
    "ImageInfo",
    "OverfitProgress",
    "Score",
    "compress",
    "compress_file",
    "compress_many",
    "decompress",
    "decompress_file",
    "decompress_many",
    "inspect",
    "latents",
]

#: Default quality.
QUALITY = 4.0
#: Bytes of memory for an image in work, for each of its pixels, and for each pixel of a tile.
IMAGE_BYTES, SAMPLE_BYTES, ACTIVATION_BYTES = 16 << 20, 16, 200
#: Pixels of the largest tile.
LARGEST_TILE = 1 << 22


def compress(
    image: AnyImage,
    *,
    quality: float = QUALITY,
    profile: registry.ImageProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    lof: int = 0,
    on_lof: Callable[[OverfitProgress], None] | None = None,
) -> bytes:
    """Return a `.lic` file that shows nearly the same as an image.

    Kept without loss are an alpha channel, that of a palette too, and the Exif, XMP and colour profile of a Pillow
    image; Exif is that of `getexif()` if it was changed. A resolution is kept inside Exif (see `lic_native.pillow`).
    Samples of other kinds (16 bits, floats, CMYK), masked arrays and images of several frames are refused. Of an MPO
    file one picture is kept, with a warning. A PNG file of 16 bits is refused before Pillow loads it; afterwards its
    samples have 8 bits, and nothing shows that they had more.

    The file is returned after its latents have been decoded and compared.

    Args:
        image: a Pillow image (modes L, LA, RGB, RGBA, 1, P and PA), a uint8 NumPy array `[H, W]` or `[H, W, 1 to 4]`,
            or a uint8 torch tensor `[H, W]` or `[1 to 4, H, W]`: gray, gray and alpha, RGB, RGB and alpha. Any size
            from 1x1 on.
        quality: any number from 1 to 8, rounded to 1/64. The rate grows with it, from about 0.1 to 1.5 bits per pixel
            of a photograph.
        profile: a model for images, one of `models.registry.IMAGE_PROFILES`. Default: "balanced" (`models/msp.py`).
        device: where torch runs the model, "cpu" or "cuda"; any device decodes any file. Default: "cuda" if available.
        limits: the most pixels that the image may have.
        lof: iterations of latent overfitting (Zhang et al. 2022, `overfitting.py`), for fewer bits or errors. Each
            takes about as long as encoding without it. The profile "bls2017" does not have it.
        on_lof: called after each iteration, and at the end.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the image is of another kind, or there is no such quality, profile, device or number of iterations.
        LimitExceededError: the image has more than `limits.max_pixels`.
    """
    index, device = index_of(quality), to_device(device)
    check_instance(limits, Limits, "limits")
    if on_lof is not None and not callable(on_lof):
        raise TypeError(f"on_lof must be a function, not {type(on_lof).__name__}")
    name = registry.of_image_profile(profile)
    registry.check_overfitting(name, lof)
    pixels = samples.to_pixels(image, limits)
    height, width, _ = pixels.samples.shape
    limits.check_pixels(width * height)
    codec = container.load_codec(name, device)
    streams, checksum = codec.encode(pixels.samples, index, lof, on_lof)
    return _native.pack_image(
        width=width,
        height=height,
        channels=pixels.channels,
        model=registry.NUMBERS[name],
        fingerprint=codec.model.fingerprint(),
        quality=index,
        checksum=checksum,
        metadata=pixels.metadata,
        alpha=b"" if pixels.alpha is None else samples.encode_alpha(pixels.alpha),
        latents=_native.join_streams(streams),
    )


def decompress(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Return the image of a file that `compress` made, as a Pillow image with its metadata in `info`.

    `info` has "dpi", too, if Exif has a resolution.

    The latents are exactly those of the encoder, on any machine. The transform from them to pixels is in floats, and a
    sample may differ by one between devices.

    Args:
        data: the bytes of a `.lic` file.
        device: where torch runs the model.
        limits: the most that the file may ask for.

    Raises:
        TypeError, ValueError: an argument is of another type, or there is no such device.
        TruncatedError, CorruptError: the file is damaged.
        UnsupportedError: the file is of a newer version, needs a model that is not installed, or holds a file instead
            of an image, which `lic_native.jpeg.decompress` restores.
        LimitExceededError: the file or its image exceed `limits`.
    """
    body, codec = container.open_file(data, to_device(device), limits)
    tiles = codec.synthesise(body, codec.decode(body))
    image = samples.to_pillow(body, tiles)
    image.info.update(metadata.info_of(body.metadata))
    return image


def compress_many(
    images: Iterable[AnyImage],
    *,
    quality: float = QUALITY,
    profile: registry.ImageProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    lof: int = 0,
    threads: int = 0,
    memory: int | None = None,
) -> Iterator[bytes | LicError]:
    """Yield for each image what `compress` returns for it, in their order, with several in work at a time.

    On CUDA, tiles of many images share the passes of the network. An image that fails does not keep the others from
    being done: the LicError that `compress` raises for it is yielded in place of its result.

    Args:
        images: as for `compress`. They are taken as they are needed, so they may come from a generator that opens them.
        quality, profile, device, limits, lof: as in `compress`.
        threads: number of images in work at a time. 0 means 64 on CUDA, and on a CPU as many as leave each of them
            the threads that torch uses.
        memory: bytes that images in work, with their results, may take in all, about; and as many of a GPU's memory,
            for the tiles of a pass. None: 4 GiB, and half of the GPU's memory.

    Raises:
        TypeError, ValueError: an argument or an image is of another kind.
    """
    index_of(quality)
    check_instance(limits, Limits, "limits")
    name = registry.of_image_profile(profile)
    registry.check_overfitting(name, lof)
    options: dict[str, Any] = {"quality": quality, "profile": profile, "device": device, "limits": limits, "lof": lof}

    def weight(image: AnyImage) -> int:
        size = getattr(image, "size", 0)
        return _weight(math.prod(size) if isinstance(size, tuple) else getattr(image, "nbytes", 0))

    count = _at_once(name, device, threads)
    return in_order(lambda image: compress(image, **options), images, count, memory, weight)


def decompress_many(
    files: Iterable[Bytes],
    *,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    memory: int | None = None,
) -> Iterator[Image.Image | LicError]:
    """Yield for each `.lic` file what `decompress` returns for it, or the LicError that it raises.

    Args:
        files: contents of files, as bytes-like objects, taken as they are needed.
        device, limits: as in `decompress`.
        threads, memory: as in `compress_many`.

    Raises:
        TypeError, ValueError: an argument or a file has the wrong type, or the device does not exist.
    """
    check_instance(limits, Limits, "limits")

    def weight(data: bytes) -> int:
        try:
            body = container.unpack(data, limits)
        except LicError:  # which the work raises once more
            return 0
        return len(data) + _weight(body.width * body.height)

    checked = (to_bytes(data, f"files[{i}]") for i, data in enumerate(files))
    count = _at_once(registry.of_image_profile(None), device, threads)
    return in_order(lambda data: decompress(data, device=device, limits=limits), checked, count, memory, weight)


def _at_once(name: str, device: Device, wanted: int) -> int:
    """Return the number of images in work at a time."""
    where = registry.present_device(device, f"model {name}")
    if to_count(wanted, "threads"):
        return min(wanted, 1 << 16)
    if where != "cpu":
        return FILES_ON_CUDA
    import torch

    return max(1, available() // torch.get_num_threads())


def _weight(pixels: int) -> int:
    """Return about how many bytes an image in work takes: its samples, and the activations of one tile."""
    return IMAGE_BYTES + SAMPLE_BYTES * pixels + ACTIVATION_BYTES * min(pixels, LARGEST_TILE)


def latents(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.int16]:
    """Return the latents of a file's image, `[C, ceil(H / 16), ceil(W / 16)]`.

    On a CPU this needs no torch, except for the profile "bls2017". Raises as `decompress` does.
    """
    return container.decode_latents(data, to_device(device), limits)


def compress_file(
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    quality: float = QUALITY,
    profile: registry.ImageProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    lof: int = 0,
    on_lof: Callable[[OverfitProgress], None] | None = None,
) -> None:
    """Write a `.lic` file that shows nearly the same as an image file of any format that Pillow reads.

    Args:
        source: a path, or a file object that is open for bytes.
        target: the same. A path gets its name when the file is complete and on the disk, with the times and the mode of
            the source; missing folders are made.
        overwrite: replace an existing target.
        quality, profile, device, limits, lof, on_lof: as in `compress`.

    Raises:
        FileExistsError: the target exists, and `overwrite` is false; or it is the source.
        OSError: a file can't be read or written.
        LicError: the source is damaged, or of a format that is not read.
        TypeError, ValueError: as `compress` does.
    """
    check_instance(limits, Limits, "limits")
    options: dict[str, Any] = {"quality": quality, "profile": profile, "device": device, "lof": lof, "on_lof": on_lof}

    def work(data: bytes) -> bytes:
        return compress(formats.read_file(data, limits), limits=limits, **options)

    files.transform(work, source, target, overwrite=overwrite, limits=limits)


def decompress_file(
    source: File,
    target: File,
    *,
    format: str | None = None,
    overwrite: bool = False,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Write the image of a `.lic` file as an image file.

    Args:
        source, target, overwrite: as in `compress_file`.
        format: the suffix of a format that Pillow writes, for example ".png". Default: the suffix of the target.
        device, limits: as in `decompress`.

    Raises:
        FileExistsError, OSError: as `compress_file` does.
        LicError: as `decompress`; or the format can't hold the image.
        TypeError, ValueError: as `decompress`; or neither the target nor `format` names a format.
    """
    check_instance(limits, Limits, "limits")
    if format is None:
        if not isinstance(target, str | os.PathLike):
            raise ValueError('a file object has no suffix: pass a format, for example format=".png"')
        format = os.path.splitext(os.fspath(target))[1]
    elif not isinstance(format, str):
        raise TypeError(f"format must be a string, not {type(format).__name__}")
    formats.format_of(format)

    def work(data: bytes) -> bytes:
        return formats.write_file(decompress(data, device=device, limits=limits), format)

    files.transform(work, source, target, overwrite=overwrite, limits=limits)


@dataclass(frozen=True)
class ImageInfo:
    """The content of a `.lic` file of an image.

    width, height: in pixels.
    mode: of the Pillow image that `decompress` returns.
    bpp: bits of the file per pixel.
    metadata: names as in `info` of the Pillow image.
    """

    kind: str
    file_bytes: int
    width: int
    height: int
    mode: str
    model: str
    quality: float
    bpp: float
    latent_bytes: int
    alpha_bytes: int
    metadata: tuple[str, ...]


def inspect(data: Bytes, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Return the content of a file without decoding it. Raises as `decompress` does."""
    data = to_bytes(data)
    body = container.unpack(data, limits)
    return ImageInfo(
        kind="image",
        file_bytes=len(data),
        width=body.width,
        height=body.height,
        mode=MODES[body.channels],
        model=registry.model_name(body.model),
        quality=1 + body.quality / BETWEEN,
        bpp=round(8 * len(data) / (body.width * body.height), 4),
        latent_bytes=len(body.latents),
        alpha_bytes=len(body.alpha),
        metadata=tuple(body.metadata),
    )
