"""Generalised divisive normalisation (GDN): Ballé, Laparra, Simoncelli 2016, arXiv 1511.06281 and 1611.01704, eq. 1.

    GDN:   y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)
    IGDN:  y_i = x_i * sqrt(beta_i + sum_j gamma_ij x_j^2)

beta and gamma are never negative. Their roots are learned, each above a bound (the square of a root has no slope at
zero, where a parameter would get stuck); the gradient passes the bound where it leads back inside.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BETA_MIN", "GAMMA_INIT", "GDN", "PEDESTAL", "Bound", "Root", "root_of"]

#: Added below the roots: enough for them to move away from zero.
PEDESTAL = 2.0**-36
BETA_MIN = 1e-6
#: First values of gamma's diagonal; elsewhere it is zero. They are small, so that a pyramid of linear stages is nearly
#: inverted.
GAMMA_INIT = 0.02


class Bound(torch.autograd.Function):
    """max(x, bound); where x is below the bound, a gradient that would raise it passes, too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ((x >= ctx.bound) | (gradient < 0)), None


def root_of(value: float) -> float:
    """Return the root that `Root` stores for a value."""
    return float((value + PEDESTAL) ** 0.5)


class Root(nn.Module):
    """Values of at least `least`, learned as their roots (`root_of`)."""

    def __init__(self, roots: Tensor, least: float = 0.0) -> None:
        super().__init__()
        self.bound = root_of(least)
        self.root = nn.Parameter(roots)

    def forward(self) -> Tensor:
        root: Tensor = Bound.apply(self.root, self.bound)
        return root.square() - PEDESTAL


class GDN(nn.Module):
    """`[B, C, H, W]` -> the same shape.

    inverse: multiply, as on the decoder's side (IGDN), instead of divide.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.beta = Root(torch.full((channels,), root_of(1.0)), BETA_MIN)
        self.gamma = Root(torch.full((channels, channels), root_of(0.0)).fill_diagonal_(root_of(GAMMA_INIT)))
        self.inverse = inverse

    def forward(self, x: Tensor) -> Tensor:
        power = F.conv2d(x.square(), self.gamma()[:, :, None, None], self.beta())
        return x * (power.sqrt() if self.inverse else power.rsqrt())
