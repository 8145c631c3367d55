"""Lossy compression of images: pixels -> `.lic` -> nearly the same pixels.

All functions may be called from several threads at once. Processes are best started by multiprocessing's "spawn" or
"forkserver". In a process forked after torch has been used here, torch works in one thread, since its others exist in
the parent alone, and CUDA can't be used.
"""

from __future__ import annotations

import math
import operator
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _native, files, threads
from ..arguments import Bytes, Device, check_instance, to_bytes, to_device
from ..entropy import tensor
from ..errors import CorruptError, UnsupportedError
from ..files import File
from ..jpeg.coders import join, split
from ..limits import DEFAULT_LIMITS, Limits
from ..models import registry
from ..models.rate_points import BETWEEN, LAST, index_of
from . import pixels
from .pixels import MODES, Picture, Samples, info_of, pack_metadata, pixels_of, unpack_metadata

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ..coding.coder import SymbolCoder
    from ..models.base import ImageModel
    from .overfitting import Score

__all__ = [
    "QUALITY",
    "Info",
    "Overfitting",
    "compress",
    "compress_file",
    "decompress",
    "decompress_file",
    "inspect",
    "is_image",
    "latents",
]

#: What files begin with: magic number, version and kind.
HEAD = b"\x89LIC\1\2"
#: Unless another is asked for.
QUALITY = 4.0


def compress(
    image: Picture,
    *,
    quality: float = QUALITY,
    profile: registry.ImageProfile | None = None,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    lof: int = 0,
    on_lof: Callable[[Overfitting], None] | None = None,
) -> bytes:
    """Return a `.lic` file that shows nearly the same as an image.

    An alpha channel is kept without loss, of a palette too, as are Exif (as `getexif()` has it, if that was changed),
    XMP and the colour profile of a Pillow image. A resolution is kept inside Exif (`lic_native.pillow` says when).
    Samples of other kinds (16 bits, floats, CMYK), masked arrays and images of several frames are refused; of the
    pictures of an MPO file one is kept, with a warning. Pillow makes 8 bits of a PNG file's 16 when it loads it, which
    is refused before, but can't be known afterwards.

    Nothing is returned before its latents have been decoded and compared.

    Args:
        image: a Pillow image (modes L, LA, RGB, RGBA, 1, P and PA), a uint8 NumPy array `[H, W]` or `[H, W, 1 to 4]`,
            or a uint8 torch tensor `[H, W]` or `[1 to 4, H, W]`: gray, gray and alpha, RGB, RGB and alpha. Any size
            from 1x1 on.
        quality: from 1 to 8, any number between; rate grows with it, from about 0.1 to 1.5 bits a pixel of a
            photograph. It is rounded to 1/64.
        profile: a model for images, of `models.registry.IMAGE_PROFILES`. Default: "balanced" (`models/msp.py`).
        device: where torch runs the model, "cpu" or "cuda"; any restores any file. Default: "cuda" if there is one.
        limits: what the image may have of pixels.
        lof: iterations of latent overfitting (Zhang et al. 2022, `overfitting.py`) for fewer bits or errors.
            Each takes about as long as encoding without it. Not of the profile "bls2017".
        on_lof: called after each iteration, and at the end.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the image is of none of these kinds, or there is no such quality, profile, device or number of
            iterations.
        LimitExceededError: the image has more than `limits.max_pixels`.
    """
    index, device = index_of(quality), to_device(device)
    check_instance(limits, Limits, "limits")
    if on_lof is not None and not callable(on_lof):
        raise TypeError(f"on_lof must be a function, not {type(on_lof).__name__}")
    name = registry.of_image_profile(profile)
    registry.check_overfitting(name, lof)
    pixels = pixels_of(image, limits)
    height, width, _ = pixels.samples.shape
    limits.check_pixels(width * height)
    model = registry.load_image(name, device)
    streams, checksum = _encode(model, pixels.samples, index, lof, on_lof)
    return _native.pack_image(
        width=width,
        height=height,
        channels=pixels.channels,
        model=registry.NUMBERS[name],
        fingerprint=model.fingerprint(),
        quality=index,
        checksum=checksum,
        metadata=pack_metadata(pixels.metadata),
        alpha=b"" if pixels.alpha is None else _encode_alpha(pixels.alpha),
        latents=join(streams),
    )


@dataclass(frozen=True)
class Overfitting:
    """How far latent overfitting is.

    done, total: iterations, of all tiles.
    before, after: bits per pixel of the latents, mean squared error, and what is made least, bits per pixel + lambda *
        error, over the tiles that are done. None before there is one.
    """

    done: int
    total: int
    before: Score | None = None
    after: Score | None = None


def decompress(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Return the image of a file that `compress` made, as a Pillow image with its metadata in `info`.

    `info` has "dpi" too, if Exif tells a resolution.

    The latents are exactly those of the encoder, on any machine. The transform from them to pixels is in floats, and a
    sample may differ by one between devices.

    Args:
        data: the bytes of a `.lic` file.
        device: where torch runs the model.
        limits: what the file may ask for.

    Raises:
        TypeError, ValueError: an argument is of another type, or there is no such device.
        TruncatedError, CorruptError: the file is damaged.
        UnsupportedError: the file is of a newer version, needs a model that is not installed, or holds no image but a
            file, which `lic_native.jpeg.decompress` restores.
        LimitExceededError: the file or its image exceed `limits`.
    """
    from PIL import Image

    device = to_device(device)
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
    image.info.update(info_of(metadata))
    return image


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
    on_lof: Callable[[Overfitting], None] | None = None,
) -> None:
    """Write a `.lic` file that shows nearly the same as an image file of any format that Pillow reads.

    Args:
        source: a path, or a file object that is open for bytes.
        target: the same. A path gets its name when the file is complete and on the disk, and the source's times and
            mode; folders above it are made.
        overwrite: whether a target that is there is replaced.
        quality, profile, device, limits, lof, on_lof: as of `compress`.

    Raises:
        FileExistsError: there is such a target, and `overwrite` is false; or it is the source.
        OSError: a file can't be read or written.
        LicError: the source is damaged, or of no format that is read.
        TypeError, ValueError: as `compress` does.
    """
    check_instance(limits, Limits, "limits")
    options: dict[str, Any] = {"quality": quality, "profile": profile, "device": device, "lof": lof, "on_lof": on_lof}

    def work(data: bytes) -> bytes:
        return compress(pixels.read_file(data, limits), limits=limits, **options)

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
    """Write an image file of what a `.lic` file shows.

    Args:
        source, target, overwrite: as of `compress_file`.
        format: the suffix of files of a format that Pillow writes, for example ".png". Default: that of the target's
            name.
        device, limits: as of `decompress`.

    Raises:
        FileExistsError, OSError: as `compress_file` does.
        LicError: as `decompress`; or the format can't hold the image.
        TypeError, ValueError: as `decompress`; or neither the target nor `format` tells a format.
    """
    check_instance(limits, Limits, "limits")
    if format is None:
        if not isinstance(target, str | os.PathLike):
            raise ValueError('a file object has no suffix: pass a format, for example format=".png"')
        format = os.path.splitext(os.fspath(target))[1]
    elif not isinstance(format, str):
        raise TypeError(f"format must be a string, not {type(format).__name__}")
    pixels.format_of(format)

    def work(data: bytes) -> bytes:
        return pixels.write_file(decompress(data, device=device, limits=limits), format)

    files.transform(work, source, target, overwrite=overwrite, limits=limits)


def is_image(head: Bytes) -> bool:
    """Return whether a `.lic` file that begins so holds an image, which is decompressed here, or else a file."""
    return to_bytes(head, "head").startswith(HEAD)


def latents(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.int16]:
    """Return what a file's image is computed from, int16 `[C, ceil(H / 16), ceil(W / 16)]`. Raises as `decompress`."""
    device = to_device(device)
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
    """Return what is inside a file, without decoding it. Raises as `decompress` does."""
    data = to_bytes(data)
    body = unpacked(data, limits)
    return Info(
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
        metadata=tuple(unpack_metadata(body.metadata)),
    )


def unpacked(data: Bytes, limits: Limits) -> _native.Image:
    """Return the parts of a file, as they are stored. Raises as `decompress` does."""
    data = to_bytes(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    container = _native.unpack(data, limits.max_output_bytes)
    if container.image is None:
        raise UnsupportedError(f"the file holds no image ({container.kind}): lic_native.jpeg.decompress restores it")
    limits.check_pixels(container.image.width * container.image.height)
    return container.image


def _model(body: _native.Image, device: str | None) -> ImageModel:
    name = registry.model_name(body.model)
    if name not in registry.IMAGE_PROFILES.values():
        raise UnsupportedError(f"model {name} is not for images")
    model = registry.load_image(name, device)
    if model.fingerprint() != body.fingerprint:
        raise UnsupportedError(
            f"the file needs weights {body.fingerprint:08x} of model {name}, not {model.fingerprint():08x} as here"
        )
    if body.quality > LAST:
        raise CorruptError(f"quality {body.quality} of model {name}")
    return model


def _tiles(model: ImageModel, rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """The pieces of a grid of latents, in raster order: the fewest of at most `TILE` a side, about equal."""
    for y in _cuts(rows, model.TILE):
        for x in _cuts(columns, model.TILE):
            yield y, x


def _cuts(size: int, most: int) -> list[slice]:
    count = -(-size // most)
    return [slice(a, b) for a, b in pairwise(size * i // count for i in range(count + 1))]


def _grown(piece: slice, by: int, size: int) -> slice:
    """With so many more on either side, as far as there are any."""
    return slice(max(piece.start - by, 0), min(piece.stop + by, size))


def _grid(model: ImageModel, height: int, width: int) -> tuple[int, int]:
    return -(-height // model.STRIDE), -(-width // model.STRIDE)


def _encode(
    model: ImageModel, samples: Samples, quality: int, lof: int, on_lof: Callable[[Overfitting], None] | None
) -> tuple[list[bytes], int]:
    """One rANS stream for each tile, and the checksum of all latents."""
    import torch

    from ..nn.ambient import known_state

    grid = _grid(model, *samples.shape[:2])
    search = _Search(model, samples, quality, lof, on_lof) if lof else None
    streams, checksums = [], []
    for tile in _tiles(model, *grid):
        threads.check()
        with known_state(), torch.inference_mode():
            symbols = search(tile) if search else _analyse(model, samples, tile, quality).round().contiguous()
            streams.append(_coded(model, symbols, quality))
            checksums.append(_checksum(symbols[0].short().cpu().numpy()))
    return streams, _combined(checksums)


class _Search:
    """Latent overfitting of an image, tile by tile, each with what has been chosen of its neighbours."""

    def __init__(
        self,
        model: ImageModel,
        samples: Samples,
        quality: int,
        iterations: int,
        watch: Callable[[Overfitting], None] | None,
    ) -> None:
        self._model, self._samples, self._quality, self._iterations = model, samples, quality, iterations
        self._watch = watch or (lambda _: None)
        self._grid = _grid(model, *samples.shape[:2])
        self._total = iterations * sum(1 for _ in _tiles(model, *self._grid))
        self._found: list[tuple[tuple[slice, slice], Tensor]] = []
        self._scores: list[tuple[int, Score, Score]] = []

    def __call__(self, tile: tuple[slice, slice]) -> Tensor:
        from .overfitting import overfit

        # What the pixels depend on that its latents have a part in.
        seen = [_grown(piece, 2 * self._model.reach[1], size) for piece, size in zip(tile, self._grid)]
        y = _analyse(self._model, self._samples, (seen[0], seen[1]), self._quality).clone()
        for other, symbols in self._found:
            both = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(other, seen)]
            if all(piece.start < piece.stop for piece in both):
                (top, left), (rows, columns) = _within(both, seen), _within(both, other)
                y[..., top, left] = symbols[..., rows, columns]
        result = overfit(
            self._model,
            _planes(self._model, self._samples, seen).to(self._model.device),
            self._quality,
            self._iterations,
            symbols=y,
            tile=_within(tile, seen),
            on_step=lambda done, _: self._tell(done),
        )
        self._found.append((tile, result.symbols))
        self._scores.append((result.symbols[0, 0].numel(), result.before, result.after))
        self._tell(0)
        return result.symbols

    def _tell(self, done: int) -> None:
        from .overfitting import Score

        before = after = None
        if self._scores:
            weights, *scores = zip(*self._scores)
            before, after = (
                Score(*(sum(map(operator.mul, weights, values)) / sum(weights) for values in zip(*each)))
                for each in scores
            )
        self._watch(Overfitting(done + self._iterations * len(self._found), self._total, before, after))


def _within(piece: Sequence[slice], whole: Sequence[slice]) -> tuple[slice, slice]:
    """A piece of a grid as one of a larger piece."""
    rows, columns = (slice(p.start - w.start, p.stop - w.start) for p, w in zip(piece, whole))
    return rows, columns


def _analyse(model: ImageModel, samples: Samples, tile: tuple[slice, slice], quality: int) -> Tensor:
    """The latents of a tile, `[1, C, H, W]`, to be rounded.

    What lies beyond the tile as far as its latents see is analysed with it, so that tiles leave no seams.
    """
    import torch

    seen = [_grown(piece, model.reach[0], size) for piece, size in zip(tile, _grid(model, *samples.shape[:2]))]
    pixels = _planes(model, samples, seen).to(model.device)
    rows, columns = _within(tile, seen)
    y: Tensor = model.encode(pixels, torch.tensor([quality], device=model.device))
    return y[..., rows, columns]


def _coded(model: ImageModel, symbols: Tensor, quality: int) -> bytes:
    """Latents as a stream, which has been decoded and compared."""
    import torch

    from ..coding.coder import StreamEncoder

    coder = StreamEncoder()
    _walk(model, coder, quality, symbols.shape[2:], symbols)
    (stream,) = coder.finish()
    if not torch.equal(_decoded(model, stream, quality, symbols.shape[2:]), symbols):
        raise CorruptError("the latents don't come back as they were coded")
    return stream


def _decoded(model: ImageModel, stream: bytes, quality: int, size: Sequence[int]) -> Tensor:
    """The inverse of `_coded`. Raises CorruptError or TruncatedError."""
    from ..coding.coder import StreamDecoder

    coder = StreamDecoder([stream])
    symbols = _walk(model, coder, quality, size)
    coder.finish()
    return symbols


def _walk(
    model: ImageModel, coder: SymbolCoder, quality: int, size: Sequence[int], symbols: Tensor | None = None
) -> Tensor:
    """`model.walk` as an encoder and a decoder must: nothing that would make it inexact."""
    import torch

    from ..nn.ambient import known_state

    with known_state(), torch.inference_mode():
        return model.walk(coder, torch.tensor([quality], device=model.device), (size[0], size[1]), symbols)


def _planes(model: ImageModel, samples: Samples, seen: list[slice]) -> Tensor:
    """`[1, 3, 16h, 16w]` from 0 to 1: the samples under a part of the grid of latents, the last repeated beyond."""
    import torch

    y, x = (slice(model.STRIDE * piece.start, model.STRIDE * piece.stop) for piece in seen)
    part = samples[y, x]
    missing = [(0, piece.stop - piece.start - size) for piece, size in zip((y, x), part.shape)]
    part = np.pad(part, (*missing, (0, 0)), "edge") if any(end for _, end in missing) else part
    # A copy, whatever it is a view of: torch warns of arrays that are read-only.
    planes = torch.from_numpy(np.array(part.transpose(2, 0, 1), order="C"))[None]
    return planes.expand(-1, 3, -1, -1).float() / 255


def _latents(model: ImageModel, body: _native.Image) -> NDArray[np.int16]:
    """All latents of a file. Raises CorruptError or TruncatedError."""
    rows, columns = _grid(model, body.height, body.width)
    streams = split(body.latents, math.prod(-(-size // model.TILE) for size in (rows, columns)))
    # One after the other, each as it has been paid for: a file can't ask for more than its bytes decode to.
    pieces, checksums = [], []
    for (y, x), stream in zip(_tiles(model, rows, columns), streams):
        symbols = _decoded(model, stream, body.quality, (y.stop - y.start, x.stop - x.start))
        pieces.append(np.ascontiguousarray(symbols[0].short().cpu().numpy()))
        checksums.append(_checksum(pieces[-1]))
    if _combined(checksums) != body.checksum:
        raise CorruptError("the latents' checksum differs from the one stored")
    whole = np.empty((model.channels, rows, columns), np.int16)
    pieces.reverse()
    for y, x in _tiles(model, rows, columns):
        whole[:, y, x] = pieces.pop()
    return whole


def _synthesise(
    model: ImageModel, coded: NDArray[np.int16], body: _native.Image
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Top, left and samples `[h, w, 1 or 3]` of each tile, with the latents around it that its pixels depend on."""
    import torch

    from ..nn.ambient import known_state

    stride = model.STRIDE
    for tile in _tiles(model, *coded.shape[1:]):
        threads.check()
        seen = [_grown(piece, model.reach[1], size) for piece, size in zip(tile, coded.shape[1:])]
        # Not around what the caller does with a tile.
        with known_state(), torch.inference_mode():
            part = torch.from_numpy(np.ascontiguousarray(coded[:, *seen]))[None].to(model.device).float()
            decoded = model.decode(part, torch.tensor([body.quality], device=model.device))[0]
            y, x = (slice(stride * piece.start, stride * piece.stop) for piece in _within(tile, seen))
            decoded = decoded[:, y, x].mean(0, keepdim=True) if body.channels < 3 else decoded[:, y, x]
            samples = (255 * decoded).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        top, left = (stride * piece.start for piece in tile)
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
