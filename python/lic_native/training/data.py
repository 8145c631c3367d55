"""Photographs as training data: decoded once, then cut, subsampled and quantised on the training device.

All that is random comes as numbers drawn before (`Draws`), and no function of a batch reads a value back from the
device or sends one to it. So a training step is a fixed sequence of kernels, which a CUDA graph can hold.
"""

from __future__ import annotations

import hashlib
import io
import math
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import jpeg, threads
from ..errors import CorruptError
from ..inspection import MAGIC
from ..models.sampling import SAMPLINGS, Picture, Shape, zigzag

__all__ = [
    "CROP_DRAWS",
    "SAMPLING_SHARES",
    "SOFT",
    "TABLE_DRAWS",
    "Draws",
    "Photographs",
    "annex_k",
    "blocks",
    "dct_matrix",
    "is_held_out",
    "members",
    "quantise",
    "quantised",
    "random_tables",
    "restored",
    "spread",
]

#: Share of each sampling in training; a batch has one.
SAMPLING_SHARES = {"4:2:0": 0.62, "4:2:2": 0.15, "4:4:4": 0.14, "gray": 0.09}
#: Share of crops that are enlarged, as soft as cameras' pictures at full size are.
SOFT = 0.4
#: Random numbers that a crop and its tables take.
CROP_DRAWS, TABLE_DRAWS = 8, 136
#: Names that images have, plain and packed by `lic_native.jpeg`.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".lic")
# ITU-T T.81 annex K, tables K.1 and K.2, row by row.
LUMA_TABLE = [
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
]  # fmt: skip
CHROMA_TABLE = [
    [17, 18, 24, 47, 99, 99, 99, 99], [18, 21, 26, 66, 99, 99, 99, 99], [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99], *([[99] * 8] * 4),
]  # fmt: skip


class Draws(NamedTuple):
    """The random numbers that a batch is made from.

    uniform: `[B, n]` from 0 to 1; a function of a batch says how many columns it takes.
    normal: `[B, 4, S, S]`, of noise; empty where none is added.
    """

    uniform: Tensor
    normal: Tensor

    @classmethod
    def zeros(cls, count: int, columns: int, noise: int = 0, device: torch.device | str = "cpu") -> Draws:
        """Return numbers that are to be drawn. noise: the side S of the crops that noise is added to."""
        return cls(torch.zeros(count, columns, device=device), torch.zeros(count, 4, noise, noise, device=device))

    def refill(self, generator: torch.Generator) -> Draws:
        """Draw all numbers anew, in place, from a generator on their device."""
        self.uniform.uniform_(generator=generator)
        self.normal.normal_(generator=generator)
        return self

    def to(self, device: torch.device | str) -> Draws:
        return Draws(self.uniform.to(device), self.normal.to(device))


class Constants(NamedTuple):
    """What coefficients are made with, kept on a device: a copy to it would make a step wait.

    tables: `[2, 64]` of annex K. slope: `[64]`, sum of a frequency's row and column, from 0 to 1. dct: `[64, 64]`.
    """

    tables: Tensor
    slope: Tensor
    dct: Tensor


@cache
def constants(device: torch.device) -> Constants:
    order = [8 * r + c for r, c in zigzag()]
    tables = torch.tensor([LUMA_TABLE, CHROMA_TABLE], dtype=torch.float32).flatten(1)[:, order]
    slope = torch.tensor([(r + c) / 14 for r, c in zigzag()])
    return Constants(*(x.to(device) for x in (tables, slope, dct_matrix().T.contiguous())))


def annex_k(quality: Tensor) -> Tensor:
    """Return libjpeg's tables at `quality` `[B]` (1 to 100): `[B, 2, 64]`, in zig-zag order."""
    scale = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality).float()
    return ((constants(quality.device).tables * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def random_tables(draws: Tensor) -> Tensor:
    """Return tables as files have them, `[B, 2, 64]`: quality 75, all qualities from 30, and fine ones of cameras.

    A third of them are bent in level and slope, as cameras' own tables differ from libjpeg's.

    Args:
        draws: `[B, TABLE_DRAWS]` uniform random numbers.
    """
    kind, some, fine, level, tilt, single, bent = draws.split([1, 1, 1, 2, 2, 128, 1], 1)
    quality = torch.where(kind < 0.55, 30 + 68 * some, 86 + 15 * fine).floor()
    tables = annex_k(quality.masked_fill(kind < 0.28, 75)[:, 0])
    level, tilt = (0.8 * level - 0.4)[..., None], (1.2 * tilt - 0.6)[..., None]
    exponent = level + tilt * constants(draws.device).slope + (0.16 * single - 0.08).unflatten(1, (2, 64))
    return torch.where(bent[..., None] < 0.33, (tables * exponent.exp()).round().clamp(1, 255), tables)


def dct_matrix() -> Tensor:
    """Return `[64, 64]`, the 8x8 DCT of T.81 (A.3.3) from raster samples to zig-zag coefficients."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    basis = torch.cos((2 * n + 1) * k * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    order = [8 * r + c for r, c in zigzag()]
    return torch.kron(basis, basis)[order]


def blocks(plane: Tensor) -> Tensor:
    """Return the DCT coefficients `[B, H, W, 64]` of samples `[B, 8H, 8W]`, level-shifted."""
    b, height, width = plane.shape
    x = (plane - 128).view(b, height // 8, 8, width // 8, 8).permute(0, 1, 3, 2, 4).flatten(3)
    return x @ constants(plane.device).dct


def quantised(pixels: Tensor, sampling: str, tables: Tensor) -> tuple[Shape, Picture]:
    """Return the coefficients that libjpeg would store, up to rare roundings.

    Args:
        pixels: uint8 RGB `[B, H, W, 3]`; H and W are multiples of 32.
        sampling: a key of `SAMPLINGS`, or "gray".
        tables: `[B, 2, 64]`.
    """
    r, g, b = pixels.float().unbind(-1)
    y = (0.299 * r + 0.587 * g + 0.114 * b).round()
    luma = quantise(blocks(y), tables[:, 0])
    grid = tuple(luma.shape[1:3])
    if sampling == "gray":
        return Shape(sampling, grid, (0, 0)), Picture(luma, ())
    cb = (-0.168735892 * r - 0.331264108 * g + 0.5 * b + 128).round().clamp(0, 255)
    cr = (0.5 * r - 0.418687589 * g - 0.081312411 * b + 128).round().clamp(0, 255)
    v, h = (2 // n for n in SAMPLINGS[sampling])
    chroma = []
    for plane in (cr, cb):
        plane = torch.nn.functional.avg_pool2d(plane[:, None], (v, h))[:, 0]
        # libjpeg alternates the rounding of halves along a row; half of each is close enough.
        chroma.append(quantise(blocks(plane.round()), tables[:, 1]))
    return Shape(sampling, grid, tuple(chroma[0].shape[1:3])), Picture(luma, tuple(chroma))


def quantise(coefficients: Tensor, table: Tensor) -> Tensor:
    ratio = coefficients / table[:, None, None]
    return ratio.sign() * (ratio.abs() + 0.5).floor()


def spread(start: Tensor, columns: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Return where crops are in a buffer of pictures, row by row: indices `[B, rows, columns]`.

    Args:
        start, columns: `[B]`, of each crop's picture: its first element, and its width.
        top, left: `[B, rows]` and `[B, columns]`, which of the picture's rows and columns the crop takes.
    """
    return (start[:, None] + top * columns[:, None])[:, :, None] + left[:, None]


class Photographs:
    """Images of a folder and its .tar shards, as uint8 `[H, W, 3]`; 5 % by name are held out.

    Images with a side below `smallest` are left out: no crop fits in them.

    training: views of one buffer on the device, from which crops are cut.
    validation: held-out images, on the device too.
    """

    def __init__(
        self, folder: str | Path, device: torch.device | str = "cpu", limit: int | None = None, smallest: int = 256
    ) -> None:
        files = list(members(Path(folder), limit))
        images = threads.share(lambda file: _decoded(*file, folder), files, threads.available())
        kept = [(name, image) for (name, _), image in zip(files, images) if min(image.shape[:2]) >= smallest]
        training = [image for name, image in kept if not is_held_out(name)]
        self.validation = [torch.from_numpy(image).to(device) for name, image in kept if is_held_out(name)]
        if not training:
            raise FileNotFoundError(f"no images of {smallest} pixels a side in the .tar shards or files under {folder}")
        heights, widths = (torch.tensor([image.shape[side] for image in training]) for side in range(2))
        ends = (heights * widths).cumsum(0)
        self._pixels = torch.empty(int(ends[-1]), 3, dtype=torch.uint8, device=device)
        self.training = [part.view(*i.shape) for part, i in zip(self._pixels.tensor_split(ends[:-1]), training)]
        for image, pixels in zip(self.training, training):
            image.copy_(torch.from_numpy(pixels))
        places = torch.stack([ends - heights * widths, heights, widths], 1)
        self._places, self._shares = places.to(device), (ends.double() / ends[-1]).to(device)
        self.device = device

    def crops(self, draws: Draws, size: int, enlarged: int | None = None) -> Tensor:
        """Return random crops, uint8 `[B, size, size, 3]`, half of them mirrored.

        Args:
            draws: of B crops, with `CROP_DRAWS` columns; noise counts if the crops are altered.
            size: of a crop, in pixels.
            enlarged: how many crops, the first ones, are enlarged up to three times, to resemble cameras' pictures at
                full size; some of all get noise or are clipped. None: no crop is altered.
        """
        columns = draws.uniform[:, :CROP_DRAWS].double()
        pick, top, left, flip, factor, grainy, grain, hard = columns.unbind(1)
        image = torch.searchsorted(self._shares, pick.contiguous()).clamp_max(len(self._shares) - 1)
        start, height, width = self._places[image].unbind(1)
        soft = enlarged or 0
        cut = torch.cat([(size * (-math.log(3) * factor[:soft]).exp()).long(), torch.full_like(start[soft:], size)])
        # Beyond a small crop its last row and column repeat; enlargement gives them no weight.
        along = torch.minimum(torch.arange(size, device=cut.device), cut[:, None] - 1)
        rows = along + (top * (height - cut + 1)).long()[:, None]
        along = torch.where(flip[:, None] < 0.5, cut[:, None] - 1 - along, along)
        pixels = self._pixels[spread(start, width, rows, along + (left * (width - cut + 1)).long()[:, None])]
        if enlarged is None:
            return pixels
        x = pixels.permute(0, 3, 1, 2).float()
        x = torch.cat([_enlarged(x[:soft], cut[:soft]), x[soft:]])
        clipped = hard < 0.1
        grain = (0.4 * (math.log(12) * grain).exp()).masked_fill(grainy >= 0.5, 0)
        grain = torch.cat([grain[:soft], grain[soft:] * clipped[soft:]])
        hard, clipped, grain = (v.view(-1, 1, 1, 1) for v in (hard.float(), clipped, grain.float()))
        x = torch.where(clipped, (x - 60 - 1400 * hard) * 1.8 + 128, x)
        # Noise is mostly gray.
        x = x + grain * (draws.normal[:, :1] + 0.4 * draws.normal[:, 1:])
        return x.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8)


def _enlarged(x: Tensor, cut: Tensor) -> Tensor:
    """Enlarge the first `cut` rows and columns of each of `[B, 3, S, S]` to S: torch's bicubic, as matrix products."""
    b, _, size, _ = x.shape
    source = (torch.arange(size, device=x.device) + 0.5) * (cut.float() / size)[:, None] - 0.5
    whole, a = source.floor(), -0.75
    matrix = x.new_zeros(b, size, size)
    for tap in (-1, 0, 1, 2):
        d = (source - whole - tap).abs()
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        at = torch.minimum((whole.long() + tap).clamp_min(0), cut[:, None] - 1)
        matrix.scatter_add_(1, at[:, None], (near if tap in (0, 1) else far)[:, None])
    for _ in range(2):
        x = (x.flatten(1, 2) @ matrix).view(x.shape).transpose(2, 3)
    return x


def is_held_out(name: str) -> bool:
    """Return whether a photograph of that name serves validation alone."""
    return hashlib.sha256(name.encode()).digest()[0] < 256 // 20


def _decoded(name: str, data: bytes, folder: str | Path) -> np.ndarray:
    try:
        return np.array(Image.open(io.BytesIO(restored(data))).convert("RGB"))
    except Exception as error:  # Pillow raises errors of many types
        raise CorruptError(f"{name}, below {folder}, can't be read: {error}") from error


def restored(data: bytes) -> bytes:
    """Return an image file that may have been packed by `lic_native.jpeg`."""
    return jpeg.decompress(data, threads=1) if data.startswith(MAGIC) else data


def members(folder: Path, limit: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every image below `folder`, plain or inside .tar shards, sorted by name.

    A photograph that was packed by `lic_native.jpeg`, NAME.lic, has the name of the file that it restores.
    """
    count = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".tar":
            try:
                with tarfile.open(path) as shard:
                    files = [(m.name, shard.extractfile(m).read()) for m in shard if m.isfile()]
            except tarfile.TarError as error:
                raise CorruptError(f"{path} can't be read: {error}") from error
        elif path.suffix.lower() in SUFFIXES:
            files = [(path.name, path.read_bytes())]
        else:
            continue
        for name, data in files:
            if not name.lower().endswith(SUFFIXES):
                continue
            if limit is not None and count >= limit:
                return
            count += 1
            yield name.removesuffix(".lic"), data
