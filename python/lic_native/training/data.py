"""Photographs as training data: decoded once into memory, cut, subsampled and quantised on the training device."""

from __future__ import annotations

import hashlib
import io
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import CorruptError
from ..models.sampling import SAMPLINGS, Picture, Shape, zigzag

__all__ = [
    "CHROMA_TABLE",
    "LUMA_TABLE",
    "SAMPLING_SHARES",
    "Photographs",
    "annex_k",
    "blocks",
    "dct_matrix",
    "members",
    "quantise",
    "quantised",
    "random_tables",
]

#: Share of each sampling in training; a batch has one.
SAMPLING_SHARES = {"4:2:0": 0.62, "4:2:2": 0.15, "4:4:4": 0.14, "gray": 0.09}
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


def annex_k(quality: Tensor) -> Tensor:
    """Return libjpeg's tables at `quality` `[B]` (1 to 100): `[B, 2, 64]`, in zig-zag order."""
    base = torch.tensor([LUMA_TABLE, CHROMA_TABLE], dtype=torch.float32, device=quality.device)
    order = torch.tensor([8 * r + c for r, c in zigzag()], device=quality.device)
    base = base.flatten(1)[:, order]
    scale = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality).float()
    return ((base * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def random_tables(count: int, generator: torch.Generator) -> Tensor:
    """Draw tables as files have them, `[count, 2, 64]`: quality 75, all qualities from 30, and fine ones of cameras.

    A third of them are bent in level and slope, as cameras' own tables differ from libjpeg's.
    """

    def draw(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *size, generator=generator)

    kind = draw(0, 1)
    quality = torch.where(kind < 0.55, draw(30, 98), draw(86, 101)).floor()
    quality = torch.where(kind < 0.28, torch.full_like(quality, 75), quality)
    tables = annex_k(quality)
    level, tilt = draw(-0.4, 0.4, 2, 1), draw(-0.6, 0.6, 2, 1)
    slope = torch.tensor([(r + c) / 14 for r, c in zigzag()])
    bent = (tables * (level + tilt * slope + draw(-0.08, 0.08, 2, 64)).exp()).round().clamp(1, 255)
    return torch.where(draw(0, 1, 1, 1) < 0.33, bent, tables)


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
    return x @ dct_matrix().to(plane.device).T


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


class Photographs:
    """Images of a folder and its .tar shards, in memory as uint8 `[H, W, 3]`; 5 % by name are held out.

    Images with a side below `smallest` are left out: no crop fits in them.
    """

    def __init__(
        self, folder: str | Path, device: torch.device | str = "cpu", limit: int | None = None, smallest: int = 256
    ) -> None:
        self.training: list[Tensor] = []
        self.validation: list[Tensor] = []
        for name, data in members(Path(folder), limit):
            held_out = hashlib.sha256(name.encode()).digest()[0] < 256 // 20
            try:
                pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
            except Exception as error:  # Pillow raises errors of many types
                raise CorruptError(f"{name}, below {folder}, can't be read: {error}") from error
            image = torch.from_numpy(pixels).to(device)
            if min(image.shape[:2]) < smallest:
                continue
            (self.validation if held_out else self.training).append(image)
        if not self.training:
            raise FileNotFoundError(f"no images of {smallest} pixels a side in the .tar shards or files under {folder}")
        sizes = torch.tensor([float(i.shape[0] * i.shape[1]) for i in self.training])
        self._weights = sizes / sizes.sum()
        self.device = device

    def crops(self, count: int, size: int, generator: torch.Generator, alter: bool = True) -> Tensor:
        """Return random crops, uint8 `[count, size, size, 3]`, half of them mirrored.

        alter: change some to resemble cameras' pictures at full size: enlarged, with noise, clipped.
        """
        picks = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        return torch.stack([self._crop(self.training[i], size, generator, alter) for i in picks.tolist()])

    def _crop(self, image: Tensor, size: int, generator: torch.Generator, alter: bool) -> Tensor:
        soft, factor, flip, top, left, grainy, grain, hard = torch.rand(8, generator=generator).tolist()
        if not alter:
            soft = hard = 1.0
        cut = int(size / 3**factor) if soft < 0.4 else size
        height, width = image.shape[:2]
        top, left = int(top * (height - cut + 1)), int(left * (width - cut + 1))
        image = image[top : top + cut, left : left + cut]
        if flip < 0.5:
            image = image.flip(1)
        if soft >= 0.4 and hard >= 0.1:
            return image
        return self._altered(image, size, 0.4 * 12**grain if grainy < 0.5 else 0.0, hard / 0.1, generator)

    def _altered(self, image: Tensor, size: int, grain: float, hard: float, generator: torch.Generator) -> Tensor:
        """Return a crop enlarged to `size`, with noise of `grain` levels, mostly gray, and clipped if hard < 1."""
        x = image.permute(2, 0, 1)[None].float()
        if x.shape[-1] != size:
            x = torch.nn.functional.interpolate(x, (size, size), mode="bicubic", align_corners=False)
        if hard < 1:
            x = (x - 60 - 140 * hard) * 1.8 + 128
        if grain:
            noise = torch.randn(2, 3, size, size, generator=generator).to(x.device)
            x = x + grain * (noise[0, :1] + 0.4 * noise[1])
        return x[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


def members(folder: Path, limit: int | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every image below `folder`, plain or inside .tar shards, sorted by name."""
    count = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".tar":
            try:
                with tarfile.open(path) as shard:
                    files = [(m.name, shard.extractfile(m).read()) for m in shard if m.isfile()]
            except tarfile.TarError as error:
                raise CorruptError(f"{path} can't be read: {error}") from error
        elif path.suffix.lower() in {".png", ".jpg", ".jpeg", ".webp"}:
            files = [(path.name, path.read_bytes())]
        else:
            continue
        for name, data in files:
            if not name.lower().endswith((".png", ".jpg", ".jpeg", ".webp")):
                continue
            if limit is not None and count >= limit:
                return
            count += 1
            yield name, data
