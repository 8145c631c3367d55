"""What `lic_native.image` and the trainings need of a model for images."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..coding.coder import Coder

__all__ = ["ImageModel"]


class ImageModel(Protocol):
    """A lossy codec. `index` is `[B]` int64, qualities as files name them (`models/quality.py`).

    STRIDE: pixels on a side of what a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk. Part of the format. It bounds memory.
    """

    STRIDE: int
    TILE: int

    @property
    def channels(self) -> int:
        """Of the latents."""
        ...

    @property
    def reach(self) -> tuple[int, int]:
        """Vectors of latents beyond its own whose pixels one is computed from, and that a pixel is."""
        ...

    @property
    def device(self) -> torch.device: ...

    def fingerprint(self) -> int:
        """32 bits that change with the configuration and any weight or table."""
        ...

    def encode(self, pixels: Tensor, index: Tensor) -> Tensor:
        """Samples from 0 to 1, `[B, 3, 16H, 16W]` -> latents `[B, C, H, W]`, to be rounded."""
        ...

    def decode(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Latents -> samples, those of `encode` up to the loss."""
        ...

    def walk(self, coder: Coder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        """Code latents of `size` (H, W) through `coder`: integers as floats `[B, C, H, W]`, None when decoding."""
        ...
