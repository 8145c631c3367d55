"""Lossy compression of images: pixels -> `.lic` -> nearly the same pixels."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _native, tensor
from .coders import join, split
from .errors import CorruptError, UnsupportedError
from .limits import DEFAULT_LIMITS, Limits
from .models import zoo
from .models.quality import BETWEEN, LAST, index_of
from .pixels import MODES, Samples, pack_metadata, pixels_of, unpack_metadata

if TYPE_CHECKING:
    from PIL import Image

    from .models.bls2017 import Bls2017

#: Vectors of latents on a side of what is coded in one piece: 1024 pixels. Part of the format. It bounds memory.
TILE = 64
#: What files begin with: magic number, version and kind.
HEAD = b"\x89LIC\1\2"
#: Unless another is asked for.
QUALITY = 4.0
Bytes = bytes | bytearray | memoryview


def compress(
    image: Any,
    *,
    quality: float = QUALITY,
    profile: str | None = None,
    device: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """An image -> a `.lic` file that shows nearly the same.

    An alpha channel is kept without loss, as are Exif, XMP and the colour profile of a Pillow image. Samples of other
    kinds (16 bits, floats, CMYK) are refused.

    Nothing is returned before its latents have been decoded and compared.

    Args:
        image: a Pillow image (modes L, LA, RGB, RGBA, 1 and P), a uint8 NumPy array `[H, W]` or `[H, W, 1 to 4]`, or a
            uint8 torch tensor `[H, W]` or `[1 to 4, H, W]`: gray, gray and alpha, RGB, RGB and alpha. Any size from
            1x1 on.
        quality: from 1 to 8, any number between; rate grows with it, from about 0.1 to 1.5 bits a pixel of a
            photograph. It is rounded to 1/64.
        profile: a model for images, of `models.zoo.IMAGE_PROFILES`. Default: "bls2017" (`models/bls2017.py`).
        device: where torch runs the model, "cpu" or "cuda"; any restores any file. Default: "cuda" if there is one.
        limits: what the image may have of pixels.

    Raises:
        TypeError, ValueError: the image is of none of these kinds, or there is no such quality, profile or device.
        LimitExceededError: the image has more than `limits.max_pixels`.
    """
    index, name = index_of(quality), zoo.of_image_profile(profile)
    pixels = pixels_of(image)
    height, width, _ = pixels.samples.shape
    limits.check_pixels(width * height)
    model = zoo.load_image(name, device)
    streams, checksum = _encode(model, pixels.samples, index)
    return _native.pack_image(
        width=width,
        height=height,
        channels=pixels.channels,
        model=zoo.NUMBERS[name],
        fingerprint=model.fingerprint(),
        quality=index,
        checksum=checksum,
        metadata=pack_metadata(pixels.metadata),
        alpha=b"" if pixels.alpha is None else _encode_alpha(pixels.alpha),
        latents=join(streams),
    )


def decompress(data: Bytes, *, device: str | None = None, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The image of a file that `compress` made, as a Pillow image with its metadata in `info`.

    The latents are exactly those of the encoder, on any machine. The transform from them to pixels is in floats, and a
    sample may differ by one between devices.

    Args:
        data: a `.lic` file.
        device: where torch runs the model.
        limits: what the file may ask for.

    Raises:
        TruncatedError, CorruptError: the file is damaged.
        UnsupportedError: the file is of a newer version, needs a model that is not installed, or holds no image but a
            file, which `lic_native.jpeg.decompress` restores.
        LimitExceededError: the file or its image exceed `limits`.
    """
    from PIL import Image

    body = unpacked(data, limits)
    model = _model(body, device)
    metadata = unpack_metadata(body.metadata)
    coded = _latents(model, body)
    alpha = _decode_alpha(body) if body.alpha else None
    image = Image.new(MODES[body.channels], (body.width, body.height))
    for top, left, samples in _synthesise(model, coded, body):
        if alpha is not None:
            height, width, _ = samples.shape
            samples = np.concatenate([samples, alpha[top : top + height, left : left + width, None]], 2)
        image.paste(Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples), (left, top))
    image.info.update(metadata)
    return image


def is_image(head: Bytes) -> bool:
    """Whether a `.lic` file that begins so holds an image, which is decompressed here, or else a file."""
    return bytes(head[: len(HEAD)]) == HEAD


def latents(data: Bytes, *, device: str | None = None, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.int16]:
    """What a file's image is computed from, `[C, ceil(H / 16), ceil(W / 16)]`. Raises as `decompress` does."""
    body = unpacked(data, limits)
    return _latents(_model(body, device), body)


@dataclass(frozen=True)
class Info:
    """What is inside a `.lic` file of an image.

    bpp: bits of the file for each pixel.
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


def inspect(data: Bytes, *, limits: Limits = DEFAULT_LIMITS) -> Info:
    """What is inside a file, without decoding it. Raises as `decompress` does."""
    body = unpacked(data, limits)
    return Info(
        kind="image",
        file_bytes=len(data),
        width=body.width,
        height=body.height,
        mode=MODES[body.channels],
        model=zoo.model_name(body.model),
        quality=1 + body.quality / BETWEEN,
        bpp=round(8 * len(data) / (body.width * body.height), 4),
        latent_bytes=len(body.latents),
        alpha_bytes=len(body.alpha),
        metadata=tuple(unpack_metadata(body.metadata)),
    )


def unpacked(data: Bytes, limits: Limits) -> _native.Image:
    """The parts of a file, as they are stored. Raises as `decompress` does."""
    data = bytes(data)
    limits.check_input(len(data))
    container = _native.unpack(data, limits.max_output_bytes)
    if container.image is None:
        raise UnsupportedError(f"the file holds no image ({container.kind}): lic_native.jpeg.decompress restores it")
    limits.check_pixels(container.image.width * container.image.height)
    return container.image


def _model(body: _native.Image, device: str | None) -> Bls2017:
    name = zoo.model_name(body.model)
    if name not in zoo.IMAGE_PROFILES.values():
        raise UnsupportedError(f"model {name} is not for images")
    model = zoo.load_image(name, device)
    if model.fingerprint() != body.fingerprint:
        raise UnsupportedError(
            f"the file needs weights {body.fingerprint:08x} of model {name}, not {model.fingerprint():08x} as here"
        )
    if body.quality > LAST:
        raise CorruptError(f"quality {body.quality} of model {name}")
    return model


def _tiles(rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """The pieces of a grid of latents, in raster order: the fewest of at most `TILE` a side, about equal."""
    for y in _cuts(rows):
        for x in _cuts(columns):
            yield y, x


def _cuts(size: int) -> list[slice]:
    count = -(-size // TILE)
    return [slice(a, b) for a, b in pairwise(size * i // count for i in range(count + 1))]


def _grown(piece: slice, by: int, size: int) -> slice:
    """With so many more on either side, as far as there are any."""
    return slice(max(piece.start - by, 0), min(piece.stop + by, size))


def _grid(height: int, width: int) -> tuple[int, int]:
    from .models.bls2017 import STRIDE

    return -(-height // STRIDE), -(-width // STRIDE)


def _encode(model: Bls2017, samples: Samples, index: int) -> tuple[list[bytes], int]:
    """One rANS stream for each tile, and the checksum of all latents.

    What lies beyond a tile as far as its latents see is analysed with it, so that tiles leave no seams.
    """
    import torch

    from .coder import StreamDecoder, StreamEncoder
    from .models.bls2017 import REACH, STRIDE

    rows, columns = _grid(*samples.shape[:2])
    halo = -(-REACH // STRIDE)
    streams, checksums = [], []
    with torch.inference_mode():
        for tile in _tiles(rows, columns):
            seen = [_grown(piece, halo, size) for piece, size in zip(tile, (rows, columns))]
            y = model.encode(_planes(samples, seen).to(model.device))
            top, left = (slice(t.start - s.start, t.stop - s.start) for t, s in zip(tile, seen))
            symbols = model.quantise(y[..., top, left], index).contiguous()
            params = model.tabled(index, (1, *symbols.shape[2:]))
            coder = StreamEncoder()
            model.walk(coder, params, symbols)
            (stream,) = coder.finish()
            decoder = StreamDecoder([stream])
            if not torch.equal(model.walk(decoder, params), symbols):
                raise CorruptError("the latents don't come back as they were coded")
            decoder.finish()
            streams.append(stream)
            checksums.append(_checksum(symbols[0].short().cpu().numpy()))
    return streams, _combined(checksums)


def _planes(samples: Samples, seen: list[slice]) -> Any:
    """`[1, 3, 16h, 16w]` from 0 to 1: the samples under a part of the grid of latents, the last repeated beyond."""
    import torch

    from .models.bls2017 import STRIDE

    y, x = (slice(STRIDE * piece.start, STRIDE * piece.stop) for piece in seen)
    part = samples[y, x]
    missing = [(0, piece.stop - piece.start - size) for piece, size in zip((y, x), part.shape)]
    part = np.pad(part, (*missing, (0, 0)), "edge") if any(end for _, end in missing) else part
    # A copy, whatever it is a view of: torch warns of arrays that are read-only.
    planes = torch.from_numpy(np.array(part.transpose(2, 0, 1), order="C"))[None]
    return planes.expand(-1, 3, -1, -1).float() / 255


def _latents(model: Bls2017, body: _native.Image) -> NDArray[np.int16]:
    """All latents of a file. Raises CorruptError or TruncatedError."""
    from .coder import StreamDecoder

    rows, columns = _grid(body.height, body.width)
    streams = split(body.latents, math.prod(-(-size // TILE) for size in (rows, columns)))
    # One after the other, each as it has been paid for: a file can't ask for more than its bytes decode to.
    pieces, checksums = [], []
    for (y, x), stream in zip(_tiles(rows, columns), streams):
        coder = StreamDecoder([stream])
        size = (1, y.stop - y.start, x.stop - x.start)
        pieces.append(model.walk(coder, model.tabled(body.quality, size))[0].short().cpu().numpy())
        coder.finish()
        checksums.append(_checksum(pieces[-1]))
    if _combined(checksums) != body.checksum:
        raise CorruptError("the latents' checksum differs from the one stored")
    whole = np.empty((model.config.channels[-1], rows, columns), np.int16)
    pieces.reverse()
    for y, x in _tiles(rows, columns):
        whole[:, y, x] = pieces.pop()
    return whole


def _synthesise(
    model: Bls2017, coded: NDArray[np.int16], body: _native.Image
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Top, left and samples `[h, w, 1 or 3]` of each tile, with the latents around it that its pixels depend on."""
    import torch

    from .models.bls2017 import LATENT_REACH, STRIDE

    for tile in _tiles(*coded.shape[1:]):
        seen = [_grown(piece, LATENT_REACH, size) for piece, size in zip(tile, coded.shape[1:])]
        part = torch.from_numpy(np.ascontiguousarray(coded[:, *seen]))[None].to(model.device).float()
        with torch.inference_mode():
            _, inverse = model.fixed_gains(body.quality)
            decoded = model.decode(part * inverse)[0]
            y, x = (slice(STRIDE * (t.start - s.start), STRIDE * (t.stop - s.start)) for t, s in zip(tile, seen))
            decoded = decoded[:, y, x].mean(0, keepdim=True) if body.channels < 3 else decoded[:, y, x]
            samples = (255 * decoded).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        top, left = (STRIDE * piece.start for piece in tile)
        yield top, left, samples[: body.height - top, : body.width - left]


def _checksum(symbols: NDArray[np.int16]) -> int:
    return _native.fingerprint(np.ascontiguousarray(symbols).astype("<i2", copy=False).tobytes())


def _combined(checksums: list[int]) -> int:
    """32 bits of the checksums of all tiles."""
    return _native.fingerprint(struct.pack(f"<{len(checksums)}Q", *checksums)) & 0xFFFFFFFF


def _encode_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Without loss: differences to the left, as a tensor."""
    return tensor.encode(np.diff(alpha, axis=1, prepend=np.uint8(0)))


def _decode_alpha(body: _native.Image) -> NDArray[np.uint8]:
    """Raises CorruptError, TruncatedError or LimitExceededError."""
    differences = tensor.decode(body.alpha, max_bytes=body.width * body.height)
    if not isinstance(differences, np.ndarray) or differences.dtype != np.uint8:
        raise CorruptError("an alpha channel that is none")
    if differences.shape != (body.height, body.width):
        raise CorruptError(f"an alpha channel of shape {differences.shape}")
    return np.cumsum(differences, 1, dtype=np.uint8)
