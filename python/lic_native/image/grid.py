"""The grid of an image's latents, and the tiles that it is coded in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .. import _native

__all__ = ["Area", "TileGrid"]


class Area(NamedTuple):
    """Rows and columns of a grid: slices with a start and a stop."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def within(self, outer: Area) -> Area:
        """Return this area as a part of `outer`, whose first row and column count as 0."""
        return Area(*(slice(a.start - o.start, a.stop - o.start) for a, o in zip(self, outer)))

    def overlap(self, other: Area) -> Area | None:
        """Return what two areas share, None if that is nothing."""
        shared = Area(*(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self, other)))
        return shared if min(shared.size) > 0 else None

    def scaled(self, factor: int) -> Area:
        """Return the area in a grid that is `factor` times as fine: the pixels of latents."""
        return Area(*(slice(factor * part.start, factor * part.stop) for part in self))


@dataclass(frozen=True)
class TileGrid:
    """The latents of an image, one vector for each `stride` x `stride` pixels, in tiles (`docs/format.md`, section 10).

    stride: pixels on a side that one vector stands for.
    tile: maximum of vectors on a side of a tile.
    height, width: size of the image in pixels.
    """

    stride: int
    tile: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of vectors."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return math.prod(-(-side // self.tile) for side in self.size)

    @property
    def tiles(self) -> Iterator[Area]:
        """The tiles in raster order: as few as possible, and of about equal size."""
        rows, columns = self.size
        for top, bottom in _native.cuts(rows, self.tile):
            for left, right in _native.cuts(columns, self.tile):
                yield Area(slice(top, bottom), slice(left, right))

    def padded(self, tile: Area, by: int) -> Area:
        """Return a tile widened by `by` vectors on all sides, clipped to the grid."""
        return Area(*(slice(max(p.start - by, 0), min(p.stop + by, side)) for p, side in zip(tile, self.size)))
