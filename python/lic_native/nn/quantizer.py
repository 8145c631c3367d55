"""Activations of exact networks: quantizers with their ranges, and integers as inputs of a network.

A quantizer goes through the states that PyTorch's quantization has: it observes the range of its input (calibration),
then it rounds to a grid over that range.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import _native

__all__ = ["SLOPE", "Compand", "Normalize", "Quantizer", "in_one_pass", "straight_through"]

#: Slope of the leaky rectifier below zero: a power of two, so that it is exact.
SLOPE = 0.125


def in_one_pass(x: Tensor) -> bool:
    """Return whether the native functions, which do in one pass what takes torch many, can take x."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """Return `value`, with the gradient of x."""
    return x + (value - x).detach()


class Quantizer(nn.Module):
    """Round to multiples of `step` within +-`limit`, once enabled; until then pass the input through.

    bits: `step` is `limit` / 2^bits.
    limit: largest magnitude, a power of two. None: the smallest that covers what has been observed.
    """

    def __init__(self, bits: int, limit: float | None = None) -> None:
        super().__init__()
        self.bits = bits
        self.initial = limit or 0.0
        self.register_buffer("limit", torch.tensor(self.initial, dtype=torch.float32))
        self.register_buffer("step", torch.tensor(self.initial / 2**bits, dtype=torch.float32))
        self.observing = False
        self.enabled = False
        #: 1 / step, limit / step, step
        self.scale = (0.0, 0.0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.enabled:
            inverse, bound, step = self.scale
            if x.requires_grad:
                value = (x.detach() * inverse).round_().clamp_(-bound, bound).mul_(step)
                return straight_through(x.clamp(-bound * step, bound * step), value)
            return (x * inverse).round_().clamp_(-bound, bound).mul_(step)
        if self.observing:
            self.limit.copy_(torch.maximum(self.limit, x.detach().abs().amax()))
        return x

    def leaky_relu(self, x: Tensor) -> Tensor:
        """Quantize the leaky rectifier of x, which may be overwritten."""
        if self.enabled and in_one_pass(x):
            x = x.contiguous()
            _native.activate(x.numpy(), SLOPE, self.scale)
            return x
        return self.forward(F.leaky_relu(x, SLOPE))

    @property
    def calibrated(self) -> bool:
        """True if the range is known."""
        return float(self.limit) > 0

    def observe(self) -> None:
        """Begin to observe the range, unless it is known; `set_range` ends that."""
        self.enabled, self.observing = False, not self.calibrated

    def set_range(self) -> None:
        """Make the range a power of two that covers what has been observed."""
        self.observing = False
        limit = 2.0 ** math.ceil(math.log2(max(float(self.limit), 2.0**-20)))
        self.limit.fill_(limit)
        self.step.fill_(limit / 2**self.bits)

    def enable(self) -> None:
        """Quantize from now on, over the range that `limit` and `step` hold. Raises ValueError if it is unknown."""
        if not self.calibrated:
            raise ValueError("a quantizer has not observed its range: calibrate the model first")
        step = float(self.step)
        self.scale = (1 / step, float(self.limit) / step, step)
        self.enabled = True

    def reset(self) -> None:
        """Forget a range that has been observed."""
        self.enabled = self.observing = False
        self.limit.fill_(self.initial)
        self.step.fill_(self.initial / 2**self.bits)


class Compand(nn.Module):
    """log2(1 + x) of x >= 0, linear between powers of two, on a grid of 1/32: the leading bits of a float32."""

    step = 1 / 32
    limit = 12.0

    def forward(self, x: Tensor) -> Tensor:
        bits = (x.detach().float() + 1).view(torch.int32)
        # Exponent and the mantissa's first five bits, rounded; 127 is the exponent's bias.
        level = ((bits + (1 << 17)) >> 18) - (127 << 5)
        value = level.clamp_(max=int(self.limit / self.step)).to(torch.float32).mul_(self.step)
        return straight_through(torch.log2(1 + x.float()), value) if x.requires_grad else value


class Normalize(nn.Module):
    """Integers in units of their standard deviation: fine values, coarse values, and companded magnitudes.

    Linear predictions of a mean need the fine values; for all else the coarse ones are as good, and leave more bits to
    the weights.
    """

    LIMIT = 6.0

    def __init__(self) -> None:
        super().__init__()
        self.fine = Quantizer(15, 8.0)
        self.coarse = Quantizer(8, 8.0)
        self.compand = Compand()

    def forward(self, x: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return three tensors `[..., n]` for integers x `[..., n]` and inverse units `[..., n]` or broadcast."""
        if self.in_one_pass(x, inverse):
            arrays = _native.normalise(x.contiguous().numpy(), inverse.reshape(-1).numpy(), *self.grids())
            fine, coarse, magnitude = map(torch.from_numpy, arrays)
            return fine, coarse, magnitude
        x = x * inverse
        fine = self.fine(x.clamp(-self.LIMIT, self.LIMIT))
        return fine, self.coarse(fine), self.compand(2 * x.abs())

    def in_one_pass(self, x: Tensor, inverse: Tensor) -> bool:
        """Return whether the native functions can take x: one picture on the CPU, in an exact network."""
        return self.fine.enabled and in_one_pass(x) and inverse.numel() == inverse.shape[-1]

    def ranges(self) -> list[tuple[float, float]]:
        """Return (step, limit) of the three results in an exact network."""
        steps = float(self.fine.step), float(self.coarse.step)
        return [*((step, self.LIMIT) for step in steps), (self.compand.step, self.compand.limit)]

    def grids(self) -> tuple[float, tuple[float, float, float], tuple[float, float, float]]:
        return self.LIMIT, self.fine.scale, self.coarse.scale
