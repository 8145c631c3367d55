"""Pictures of a JPEG file as a model sees them: grids of 8x8 blocks, their chroma samplings and their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["SAMPLINGS", "Picture", "Shape", "padded", "zigzag"]

#: Chroma blocks per 2x2 luma blocks, (vertical, horizontal); () is no chroma. 4:4:0 is coded as 4:2:2 on its side.
SAMPLINGS = {"4:2:0": (1, 1), "4:2:2": (2, 1), "4:4:4": (2, 2), "gray": ()}


class Picture(NamedTuple):
    """Quantised DCT coefficients of one picture, or of a batch of pictures of equal shape.

    luma: `[B, H, W, 64]` blocks in zig-zag order, as floats that hold integers; H and W are multiples of 4 (`padded`).
    chroma: (Cr, Cb), each `[B, H/2*v, W/2*h, 64]` with (v, h) from `SAMPLINGS`; empty for gray.
    """

    luma: Tensor
    chroma: tuple[Tensor, ...]

    def to(self, device: torch.device | str) -> Picture:
        """Return the same picture on a device."""
        return Picture(self.luma.to(device), tuple(c.to(device) for c in self.chroma))

    def float(self) -> Picture:
        """Return the same picture as floats."""
        return Picture(self.luma.float(), tuple(c.float() for c in self.chroma))


class Shape(NamedTuple):
    """Sampling and sizes of a picture, which a decoder knows before the coefficients.

    luma, chroma: (rows, columns) of blocks without padding. Only these are coded; the padding around them is zero.
    """

    sampling: str
    luma: tuple[int, int]
    chroma: tuple[int, int]


def zigzag() -> list[tuple[int, int]]:
    """Return (row, column) of each zig-zag index (ITU-T T.81, figure A.6)."""
    order = []
    for s in range(15):
        diagonal = [(i, s - i) for i in range(max(0, s - 7), min(7, s) + 1)]
        order += diagonal if s % 2 else diagonal[::-1]
    return order


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """Return the multiples of 4 that hold a grid of blocks: it is split in phases twice."""
    return -(-size[0] // 4) * 4, -(-size[1] // 4) * 4
