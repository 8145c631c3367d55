"""The analysis transform of an image, for one part of the grid of latents at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..models.base import ImageModel
from ..observe import stage
from .grid import Area, TileGrid
from .samples import Samples

__all__ = ["Analysis"]


@dataclass(frozen=True)
class Analysis:
    """An image at one quality, as latents and as the planes that they are computed from.

    model: the codec, with fixed weights.
    samples: uint8 `[H, W, 1 or 3]`.
    index: the quality as files name it (`models/rate_points.py`).
    """

    model: ImageModel
    samples: Samples
    index: int

    @property
    def grid(self) -> TileGrid:
        """The grid of the image's latents."""
        return TileGrid(self.model.STRIDE, self.model.TILE, *self.samples.shape[:2])

    def latents(self, tile: Area) -> Tensor:
        """Return the latents of a tile before rounding, `[1, C, h, w]`.

        The transform sees all pixels that they depend on, so tiles leave no seams.
        """
        area = self.grid.padded(tile, self.model.reach[0])
        planes, index = self.planes(area), torch.tensor([self.index], device=self.model.device)
        with stage("analysis"):
            y = self.model.encode(planes, index)
        return y[..., *tile.within(area)]

    def planes(self, area: Area) -> Tensor:
        """Return the samples under an area of latents, `[1, 3, 16h, 16w]` from 0 to 1 on the model's device.

        Beyond the image its last row and column are repeated.
        """
        pixels = area.scaled(self.model.STRIDE)
        part = self.samples[pixels]
        missing = [(0, full - present) for full, present in zip(pixels.size, part.shape)]
        part = np.pad(part, (*missing, (0, 0)), "edge") if any(end for _, end in missing) else part
        # A copy in any case: torch warns of read-only arrays.
        planes = torch.from_numpy(np.array(part.transpose(2, 0, 1), order="C"))[None]
        return (planes.expand(-1, 3, -1, -1).float() / 255).to(self.model.device)
