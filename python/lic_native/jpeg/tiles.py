"""The rectangles of blocks in which a network codes the components of a JPEG picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from .. import _native
from ..models.sampling import zigzag

__all__ = ["TILE", "Area", "Grids", "Part", "Tile", "block_count", "parts", "tiles"]

#: Largest side of a tile in blocks: 1024 pixels. Part of the format. It bounds memory and keeps all cores busy. Tiles
#: of this size cost 0.1 % more bytes than tiles twice as large.
TILE = 128


def block_count(frame: _native.Frame) -> int:
    """Return the number of blocks in all components of a frame."""
    return sum(c.blocks_w * c.blocks_h for c in frame.components)


class Area(NamedTuple):
    """A rectangle of MCUs: rows `top` to `bottom` and columns `left` to `right`, without the ends."""

    top: int
    bottom: int
    left: int
    right: int

    def meets(self, other: Area) -> bool:
        """Return whether two areas have an MCU in common."""
        return (
            max(self.top, other.top) < min(self.bottom, other.bottom)
            and max(self.left, other.left) < min(self.right, other.right)
        )  # fmt: skip


class Part(NamedTuple):
    """Components that are coded together.

    sampling: the model's name for how they are sampled, a key of `models.sampling.SAMPLINGS`.
    transposed: whether the model sees the picture with rows and columns exchanged.
    """

    sampling: str
    components: tuple[int, ...]
    transposed: bool = False


#: Parts of three components by the ratio of luma's sampling factors to chroma's, (horizontal, vertical).
_COLOUR_PARTS = {
    (2, 2): Part("4:2:0", (0, 1, 2)),
    (2, 1): Part("4:2:2", (0, 1, 2)),
    (1, 2): Part("4:2:2", (0, 1, 2), transposed=True),
    (1, 1): Part("4:4:4", (0, 1, 2)),
}


def parts(frame: _native.Frame) -> list[Part]:
    """Return the parts of a frame: one if its components are sampled like YCbCr, else one for each component."""
    factors = [(c.h, c.v) for c in frame.components]
    if len(factors) == 3 and factors[1] == factors[2]:
        (h, v), (chroma_h, chroma_v) = factors[:2]
        for (x, y), part in _COLOUR_PARTS.items():
            if (h, v) == (x * chroma_h, y * chroma_v):
                return [part]
    return [Part("gray", (c,)) for c in range(len(factors))]


def tiles(sizes: list[tuple[int, int]]) -> Iterator[list[tuple[slice, slice]]]:
    """Yield tiles in raster order: the (rows, columns) of blocks that each has in every component of a part.

    sizes: (rows, columns) of blocks of each component. Tiles are cut in the first and take their share of the others.
    """
    rows, columns = sizes[0]
    for top, bottom in _native.cuts(rows, TILE, 4):
        for left, right in _native.cuts(columns, TILE, 4):
            yield [
                (
                    slice(top * height // rows, bottom * height // rows),
                    slice(left * width // columns, right * width // columns),
                )
                for height, width in sizes
            ]


class Tile(NamedTuple):
    """A tile of a part.

    blocks: int16 `[rows, columns, 64]` of each component, views of the picture's coefficients.
    tables: quantisation tables as the model takes them, `[2 or 3, 64]`.
    area: the MCUs that it touches.
    """

    sampling: str
    blocks: list[np.ndarray]
    tables: np.ndarray
    area: Area

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of blocks of each component."""
        return tuple((blocks.shape[0], blocks.shape[1]) for blocks in self.blocks)


class Grids:
    """The coefficients of a frame, oriented as the model sees them: those of `planes`, or zeros to be filled in.

    tiles: tiles of all parts, in the order of their streams.
    """

    def __init__(self, frame: _native.Frame, planes: list[np.ndarray] | None = None) -> None:
        self.tiles: list[Tile] = []
        self._grids: dict[int, tuple[np.ndarray, Part]] = {}
        for part in parts(frame):
            grids = []
            for c in part.components:
                height, width = frame.components[c].blocks_h, frame.components[c].blocks_w
                if planes is not None:
                    grid = _oriented(planes[c].reshape(height, width, 64), part)
                else:
                    grid = np.zeros((width, height, 64) if part.transposed else (height, width, 64), np.int16)
                self._grids[c] = (grid, part)
                grids.append(grid)
            tables = _tables(frame, part)
            for areas in tiles([(len(grid), len(grid[0])) for grid in grids]):
                blocks = [grid[area] for grid, area in zip(grids, areas)]
                area = _area(frame, part, areas[0])
                self.tiles.append(Tile(part.sampling, blocks, tables, area))

    def planes(self) -> list[np.ndarray]:
        """Return the flat coefficients of each component in the frame's order."""
        grids = (_oriented(*self._grids[c]) for c in range(len(self._grids)))
        return [np.ascontiguousarray(grid).reshape(-1) for grid in grids]


def _area(frame: _native.Frame, part: Part, blocks: tuple[slice, slice]) -> Area:
    """Return the MCUs of a tile, given its rows and columns of blocks in the part's first component."""
    component = frame.components[part.components[0]]
    rows, columns = reversed(blocks) if part.transposed else blocks
    return Area(
        rows.start // component.v, -(-rows.stop // component.v),
        columns.start // component.h, -(-columns.stop // component.h),
    )  # fmt: skip


def _oriented(blocks: np.ndarray, part: Part) -> np.ndarray:
    """Transpose the picture of blocks `[rows, columns, 64]` if the part asks for it. This is its own inverse."""
    return blocks.transpose(1, 0, 2)[..., _transposed_zigzag()] if part.transposed else blocks


@cache
def _transposed_zigzag() -> list[int]:
    """Return, for each zig-zag index, that of the transposed frequency."""
    order = zigzag()
    return [order.index((column, row)) for row, column in order]


def _tables(frame: _native.Frame, part: Part) -> np.ndarray:
    # A quantiser of 0 is forbidden but occurs. The coefficients do not depend on the value that replaces it.
    tables = np.maximum([frame.components[c].quant for c in part.components], 1)
    if part.transposed:
        tables = tables[:, _transposed_zigzag()]
    return tables if len(tables) > 1 else tables.repeat(2, 0)
