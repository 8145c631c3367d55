"""The picture that a JPEG file begins with, plain or in a `.lic` file: a region of it, or an eighth of its size."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from .. import _native
from ..arguments import Bytes, Device, check_instance, to_bytes, to_count, to_device, to_integer
from ..errors import CorruptError, UnsupportedError
from ..limits import DEFAULT_LIMITS, Limits
from ..models.sampling import zigzag
from . import coders
from .head import MAX_HEAD, is_packed, kept_segments
from .tiles import Area

__all__ = ["Reduced", "Region", "decompress_region", "reduce", "to_jpeg"]

#: Quantiser of all frequencies of a reduced picture that is written as a JPEG file.
QUANTISER = 4


class _Picture:
    """The first picture of a file.

    frame: its frame. segments: the segments of its head that say how its samples are to be shown.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        check_instance(limits, Limits, "limits")
        limits.check_input(len(data))
        self._coded: coders.Coded | None = None
        if is_packed(data):
            container = _native.unpack(data, limits.max_output_bytes)
            if container.image is not None:
                raise UnsupportedError("the file holds no file but an image: lic_native.image.decompress shows it")
            if container.begins_with_picture:
                self.frame, coded = container.frames(limits.max_blocks)[0], container.pictures[0]
                if isinstance(coded, int):
                    raise CorruptError("the first picture repeats another")
                self._coded = coded
                self.segments = kept_segments(_native.head(data, MAX_HEAD))
                return
            if container.stored is None:
                raise UnsupportedError("the .lic file does not restore a file that begins with a JPEG picture")
            container.verify(container.stored)
            data = container.stored
        self.frame, self._planes, _ = _native.jpeg_read(data, limits.max_blocks)
        self.segments = kept_segments(data)

    def coefficients(self, area: Area | None, device: Device, threads: int) -> list[np.ndarray]:
        """Return the coefficients of each component, int16 `[rows, columns, 64]`: those of an area at least."""
        if self._coded is not None:
            planes = coders.decode(self.frame, self._coded, device, threads, area)
        else:
            planes = self._planes
        components = self.frame.components
        return [plane.reshape(c.blocks_h, c.blocks_w, 64) for c, plane in zip(components, planes)]


class Region(NamedTuple):
    """A part of a picture.

    data: a JPEG file, whose coefficients are those of the original.
    box: (left, top, right, bottom) of the part in the original, in pixels: what was asked for, enlarged to whole MCUs.
    """

    data: bytes
    box: tuple[int, int, int, int]


def decompress_region(
    data: Bytes,
    box: tuple[int, int, int, int],
    *,
    device: Device = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> Region:
    """Return a part of the picture that a JPEG file begins with, as a JPEG file, without loss.

    The part is enlarged to whole MCUs (8 to 32 pixels), as by `jpegtran -crop`. Of a `.lic` file, only what the part
    meets is decoded: tiles of a network, at most 1024 pixels wide and high, or bands of the profile `native`, which are
    as wide as the picture. The file has one sequential scan and the original's colour profile, but not its Exif. It is
    not covered by the checksum of the restored file, but by that of the `.lic` file.

    Args:
        data: a `.lic` file, or the JPEG file itself.
        box: (left, top, right, bottom) in pixels, before the orientation is applied; `right` and `bottom` are the
            first column and row behind it.
        device, limits, threads: as in `lic_native.jpeg.decompress`.

    Raises:
        TypeError, ValueError: `box` is not of four integers, or not inside the picture; or as `decompress` does.
        UnsupportedError: it does not begin with a JPEG picture, or this has more than 8 bits.
        TruncatedError, CorruptError, LimitExceededError: as `decompress` does.
    """
    left, top, right, bottom = _sides(box)
    device = to_device(device)
    to_count(threads, "threads")
    picture = _Picture(to_bytes(data), limits)
    frame = picture.frame
    if not (0 <= left < right <= frame.width and 0 <= top < bottom <= frame.height):
        raise ValueError(f"box {tuple(box)} is not inside the picture of {frame.width}x{frame.height} pixels")
    if frame.precision != 8:
        raise UnsupportedError(f"regions are cut out of pictures of 8 bits only, not of {frame.precision}")
    mcu_width, mcu_height = 8 * max(c.h for c in frame.components), 8 * max(c.v for c in frame.components)
    area = Area(top // mcu_height, -(-bottom // mcu_height), left // mcu_width, -(-right // mcu_width))
    left, top = area.left * mcu_width, area.top * mcu_height
    right, bottom = min(area.right * mcu_width, frame.width), min(area.bottom * mcu_height, frame.height)
    planes = []
    for c, blocks in zip(frame.components, picture.coefficients(area, device, threads)):
        part = blocks[area.top * c.v : area.bottom * c.v, area.left * c.h : area.right * c.h]
        # A file that is cut short has fewer rows than its head says.
        missing = (area.bottom - area.top) * c.v - len(part)
        planes.append(np.pad(part, ((0, missing), (0, 0), (0, 0))).reshape(-1))
    components = [(c.id, c.h, c.v, c.quant) for c in frame.components]
    try:
        file = _native.jpeg_create((right - left, bottom - top), components, planes, picture.segments)
    except CorruptError as error:
        raise UnsupportedError("the region has coefficients that need a JPEG file of another kind") from error
    return Region(file, (left, top, right, bottom))


def _sides(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if not isinstance(box, tuple | list) or len(box) != 4:
        raise TypeError("box must be (left, top, right, bottom)")
    left, top, right, bottom = (to_integer(side, "a side of box") for side in box)
    return left, top, right, bottom


class Reduced(NamedTuple):
    """A picture at an eighth of its size.

    planes: uint8 `[height, width]` of each component. ids: their identifiers.
    segments: those of the file's head that say how samples are to be shown.
    """

    planes: list[np.ndarray]
    ids: list[int]
    segments: bytes


def reduce(data: Bytes, *, device: Device = None, limits: Limits = DEFAULT_LIMITS, threads: int = 0) -> Reduced:
    """Return the picture that a JPEG file begins with, plain or in a `.lic` file, at an eighth of its size.

    A sample of a component without subsampling is the mean of a block, which DC gives; a subsampled component needs its
    lowest frequencies, too. A `.lic` file codes these after the others, on which they depend. So all coefficients are
    decoded, but no JPEG file is written, and few of them are turned into samples.

    Raises as `decompress_region` does.
    """
    device = to_device(device)
    to_count(threads, "threads")
    picture = _Picture(to_bytes(data), limits)
    frame = picture.frame
    width, height = -(-frame.width // 8), -(-frame.height // 8)
    h_max, v_max = max(c.h for c in frame.components), max(c.v for c in frame.components)
    planes = []
    for c, blocks in zip(frame.components, picture.coefficients(None, device, threads)):
        plane = _samples(blocks, c.quant, v_max // c.v, h_max // c.h, frame.precision)
        # Ratios such as 3:2 repeat samples, and a file that is cut short lacks rows.
        rows = np.arange(height) * (c.v * (v_max // c.v)) // v_max
        columns = np.arange(width) * (c.h * (h_max // c.h)) // h_max
        missing = max(0, rows[-1] + 1 - len(plane))
        planes.append(np.pad(plane, ((0, missing), (0, 0)), constant_values=128)[np.ix_(rows, columns)])
    return Reduced(planes, [c.id for c in frame.components], picture.segments)


def _samples(blocks: np.ndarray, quant: list[int], rows: int, columns: int, precision: int) -> np.ndarray:
    """Return so many rows and columns of samples for each of `[height, width, 64]` blocks, as one uint8 plane.

    An inverse DCT of that size takes the lowest frequencies. Samples of 12 bits become such of 8.
    """
    order = zigzag()
    indices = [[order.index((row, column)) for column in range(columns)] for row in range(rows)]
    frequencies = blocks[..., indices].astype(np.float32) * np.asarray(quant, np.float32)[indices]
    scale = (rows * columns) ** 0.5 / 8 / 2 ** (precision - 8)
    samples = _dct(rows).T @ frequencies @ _dct(columns) * scale + 128
    plane = samples.transpose(0, 2, 1, 3).reshape(rows * blocks.shape[0], columns * blocks.shape[1])
    rounded: np.ndarray = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded


def to_jpeg(picture: Reduced) -> bytes:
    """Return a reduced picture as a JPEG file without subsampling."""
    height, width = picture.planes[0].shape
    rows, columns = -(-height // 8), -(-width // 8)
    order = [8 * row + column for row, column in zigzag()]
    planes = []
    for plane in picture.planes:
        padded = np.pad(plane, ((0, 8 * rows - height), (0, 8 * columns - width)), "edge")
        blocks = padded.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3).astype(np.float32) - 128
        frequencies = (_dct(8) @ blocks @ _dct(8).T).reshape(-1, 64)[:, order]
        planes.append(np.rint(frequencies / QUANTISER).astype(np.int16).reshape(-1))
    components = [(id, 1, 1, [QUANTISER] * 64) for id in picture.ids]
    return _native.jpeg_create((width, height), components, planes, picture.segments)


@cache
def _dct(size: int) -> np.ndarray:
    """Return the orthonormal matrix of the DCT, float32 `[size, size]` (of eight samples: T.81, A.3.3)."""
    k, x = np.mgrid[:size, :size]
    matrix: np.ndarray = np.cos((2 * x + 1) * k * np.pi / (2 * size)) * (2 / size) ** 0.5
    matrix[0] /= 2**0.5
    return matrix.astype(np.float32)
