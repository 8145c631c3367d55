"""JPEG files as cameras wrote them, as training data: coefficients and tables as they are, cut at whole MCUs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import _native
from ..errors import LicError
from ..jpeg.tiles import Grids, Tile
from ..models.sampling import SAMPLINGS, Picture, Shape, zigzag
from .data import Draws, is_held_out, members, restored, spread

__all__ = ["CAMERA_DRAWS", "CameraFiles"]

#: Random numbers that a crop takes.
CAMERA_DRAWS = 4
#: Names like MODEL-0020-1.jpg have the number of the photograph; those of multiples of this are held out.
NUMBERED, HELD_OUT = re.compile(r"-(\d+)-\d+\.\w+$"), 20


class Files(NamedTuple):
    """Pictures of one sampling in buffers on the device.

    planes: of luma and, unless gray, of Cb and Cr, int16 `[n, 64]`: blocks of all pictures, row by row.
    places: `[files, 2, 3]`, of luma and of chroma: the first block, rows and columns.
    tables: float32 `[files, 2 or 3, 64]`.
    """

    planes: list[Tensor]
    places: Tensor
    tables: Tensor

    @classmethod
    def of(cls, tiles: list[Tile], device: torch.device | str) -> Files:
        planes = [np.concatenate([b.reshape(-1, 64) for b in blocks]) for blocks in zip(*(t.blocks for t in tiles))]
        sizes = np.array([[t.sizes[0], t.sizes[-1]] for t in tiles])
        counts = sizes.prod(2, keepdims=True)
        places = np.concatenate([counts.cumsum(0) - counts, sizes], 2)
        tables = torch.from_numpy(np.stack([t.tables for t in tiles])).float()
        buffers = [torch.from_numpy(p).to(device) for p in planes]
        return cls(buffers, torch.from_numpy(places).to(device), tables.to(device))


class CameraFiles:
    """JPEG files of a folder and its .tar shards, as coefficients; a batch has files of one sampling.

    4:4:0 is 4:2:2 on its side, as the product codes it. Pictures with a side below `smallest` pixels are left out of
    training.

    training: by sampling.
    shares: of each sampling's files in all files.
    validation: the held-out files of one tile, and the bytes of each file.

    Raises:
        FileNotFoundError: there is no file to train on.
        LicError: a file can't be read; the message names it.
    """

    def __init__(self, folder: str | Path, device: torch.device | str, smallest: int) -> None:
        training: dict[str, list[Tile]] = {}
        self.validation: list[tuple[Tile, int]] = []
        for name, data in members(Path(folder)):
            try:
                data = restored(data)
                frame, planes, _ = _native.jpeg_read(data)
            except LicError as error:
                raise type(error)(f"{name}, below {folder}, can't be read: {error}") from error
            tiles = Grids(frame, planes).tiles
            numbered = NUMBERED.search(name)
            if not int(numbered[1]) % HELD_OUT if numbered else is_held_out(name):
                self.validation += [(tile, len(data)) for tile in tiles if len(tiles) == 1]
                continue
            for tile in tiles:
                if min(tile.sizes[0]) >= smallest // 8:
                    training.setdefault(tile.sampling, []).append(tile)
        if not training:
            raise FileNotFoundError(
                f"no JPEG files of {smallest} pixels a side in the .tar shards or files in {folder}"
            )
        self.training = {sampling: Files.of(tiles, device) for sampling, tiles in training.items()}
        count = sum(map(len, training.values()))
        self.shares = {sampling: len(tiles) / count for sampling, tiles in training.items()}
        self._odd = torch.tensor([column % 2 == 1 for _, column in zigzag()], device=device)

    def crops(self, sampling: str, draws: Draws, size: int) -> tuple[Shape, Tensor, Picture]:
        """Return what a model takes of random crops of `size` pixels, half of them mirrored.

        draws: of B crops, with `CAMERA_DRAWS` columns.
        """
        files = self.training[sampling]
        pick, top, left, flip = draws.uniform[:, :CAMERA_DRAWS].double().unbind(1)
        file = (pick * len(files.tables)).long()
        places, side = files.places[file], size // 8
        # An MCU has at most two blocks on a side.
        _, rows, columns = places[:, 0].unbind(1)
        top, left = ((share * ((n - side) // 2 + 1)).long() for share, n in ((top, rows), (left, columns)))
        ratios = (2, 2), *[SAMPLINGS[sampling] or (0, 0)] * 2
        planes = []
        for plane, (v, h), place in zip(files.planes, ratios, (0, 1, 1)):
            start, _, columns = places[:, place].unbind(1)
            down, along = (torch.arange(side // 2 * n, device=plane.device).expand(len(file), -1) for n in (v, h))
            along = torch.where(flip[:, None] < 0.5, side // 2 * h - 1 - along, along)
            x = plane[spread(start, columns, down + v * top[:, None], along + h * left[:, None])].float()
            # A mirrored cosine of odd frequency changes its sign.
            planes.append(torch.where((flip < 0.5)[:, None, None, None] & self._odd, -x, x))
        luma, *chroma = planes
        grid = tuple(chroma[0].shape[1:3]) if chroma else (0, 0)
        return Shape(sampling, (side, side), grid), files.tables[file], Picture(luma, tuple(reversed(chroma)))
