"""How far latent overfitting is, for programs that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["OverfitProgress", "Score"]


class Score(NamedTuple):
    """Rate and distortion of latents.

    bpp: bits per pixel.
    mse: mean squared error of samples from 0 to 255.
    loss: bpp + lambda * mse, which overfitting minimises.
    """

    bpp: float
    mse: float
    loss: float


@dataclass(frozen=True)
class OverfitProgress:
    """How far latent overfitting of an image is.

    done, total: iterations of all tiles together.
    before, after: scores of the rounded and of the overfitted latents, as means over the finished tiles; None until
        the first tile is finished.
    """

    done: int
    total: int
    before: Score | None = None
    after: Score | None = None
