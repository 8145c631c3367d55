"""Mixtures of two logistic distributions, which the exact networks give for each symbol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import _native
from ..entropy.base import Distribution
from ..entropy.distributions import LogisticPair
from ..nn.quantizer import in_one_pass

__all__ = ["E_FOLD", "FLOOR", "LOG_SCALES", "Mixture", "joined", "to_params"]

#: Scale indices in a factor of e.
E_FOLD = 8 / math.log(2)
#: The coder's precision is 15 bits, so no symbol costs much more than one of this probability.
FLOOR = 2.0**-17
#: Bounds of the natural logarithm of a scale in integer steps: about those of the coder's indices.
LOG_SCALES = -4.1, 6.8


class Mixture(NamedTuple):
    """Two discretised logistic distributions for each of `[..., n]` integers.

    raw: `[..., n, 5]`: mean 1, mean 2, log scale 1, log scale 2, logit of the first's weight; means and scales in
        `unit`.
    mean: `[..., n]` added to both means, or None.
    unit, level: `[..., n]` or broadcast: a unit in integer steps, and its natural logarithm.
    first_context: the contexts of the n channels count from here (`entropy.Encoder`, calibrate).
    """

    raw: Tensor
    mean: Tensor | None
    unit: Tensor
    level: Tensor
    first_context: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape[:-1]

    @property
    def device(self) -> torch.device:
        return self.raw.device

    def distributions(self) -> Iterable[Distribution]:
        # Converted before it leaves the device: 16 bits instead of 32.
        params = to_params(self).cpu().contiguous().numpy()
        contexts = np.arange(self.first_context, self.first_context + params.shape[-2], dtype=np.uint16)
        return (LogisticPair(picture, contexts) for picture in params)

    def bits(self, symbols: Tensor) -> Tensor:
        return self.costs(symbols).sum(1)

    def costs(self, symbols: Tensor) -> Tensor:
        """Return `[B, n]` bits of each symbol, in their order; numbers between integers have a cost, too."""
        costs: Tensor = _Costs.apply(symbols, *self[:4], torch.is_grad_enabled())
        return costs.flatten(1)


def to_params(mixture: Mixture) -> Tensor:
    """Return a mixture as the native coder takes it: int16 `[..., n, 5]`.

    Means in 1/16 steps; scales as index s for 2^((s - 48) / 8) steps; the weight as index w for sigmoid((w - 64) / 8).
    Single multiplications, additions and roundings only, so exact inputs give the same integers on every device.
    """
    raw, mean, unit, level, _ = mixture
    gain, offset = 16 * unit, level * E_FOLD + 48
    if in_one_pass(raw) and gain.numel() == offset.numel() == gain.shape[-1]:
        arrays = (raw.contiguous().numpy(), None if mean is None else mean.contiguous().numpy())
        gains, offsets = (x.reshape(-1).expand(raw.shape[-2]).contiguous().numpy() for x in (gain, offset))
        return torch.from_numpy(_native.mixture_params(*arrays, gains, offsets, E_FOLD))
    means = raw[..., :2] if mean is None else raw[..., :2] + mean[..., None]
    means = (means * gain[..., None]).round().clamp(-32767, 32767)
    scales = (raw[..., 2:4] * E_FOLD + offset[..., None]).round().clamp(0, 127)
    weight = (raw[..., 4:] * 8 + 64).round().clamp(0, 127)
    return torch.cat([means, scales, weight], -1).to(torch.int16)


def joined(groups: Sequence[tuple[Mixture, Tensor]]) -> tuple[Mixture, Tensor]:
    """Return the mixtures and the symbols of all groups as one, `[B, n]`."""
    batch = len(groups[0][1])

    def flat(values: Sequence[Tensor | None]) -> Tensor:
        """Return one value for each symbol, `[B, n]`."""
        tensors = [x.new_zeros(()) if v is None else v for v, (_, x) in zip(values, groups)]
        return torch.cat([v.expand(x.shape).reshape(batch, -1) for v, (_, x) in zip(tensors, groups)], 1)

    raw = torch.cat([mixture.raw.reshape(batch, -1, 5) for mixture, _ in groups], 1)
    mean, unit, level = (flat(values) for values in zip(*((m.mean, m.unit, m.level) for m, _ in groups)))
    return Mixture(raw, mean, unit, level), flat([x for _, x in groups])


class _Costs(torch.autograd.Function):
    """Bits `[..., n]` of symbols under mixtures, with derivatives that are written out.

    The forward pass computes both, and only the derivatives are kept: six or seven numbers for each symbol, where
    autograd would keep forty.
    """

    @staticmethod
    def forward(
        ctx: Any, symbols: Tensor, raw: Tensor, mean: Tensor | None, unit: Tensor, level: Tensor, slopes: bool
    ) -> Tensor:
        numbers = raw.to(torch.promote_types(raw.dtype, torch.float32))
        w = torch.sigmoid(numbers[..., 4])
        first, second = (_Logistic.of(symbols, numbers, mean, unit, level, k) for k in range(2))
        mass = w * first.mass + (1 - w) * second.mass + FLOOR
        if slopes and any(ctx.needs_input_grad):
            by_mass = -1 / math.log(2) / mass
            by_weight = by_mass * w * (1 - w) * (first.mass - second.mass)
            by_middle, by_scale = zip(*(x.slopes(by_mass * share) for x, share in ((first, w), (second, 1 - w))))
            by_unit = by_middle[0] * first.mean + by_middle[1] * second.mean if ctx.needs_input_grad[3] else None
            by_raw = torch.stack([*(by * unit for by in by_middle), *by_scale, by_weight], -1)
            ctx.save_for_backward(by_raw, by_middle[0] + by_middle[1], by_unit, unit)
            ctx.shapes, ctx.dtypes = (unit.shape, level.shape), (raw.dtype, None if mean is None else mean.dtype)
        return -torch.log2(mass)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        by_raw, by_middle, by_unit, unit = ctx.saved_tensors
        symbols, _, mean, _, level, _ = ctx.needs_input_grad
        by_middle = by_middle * gradient
        return (
            -by_middle if symbols else None,
            (by_raw * gradient[..., None]).to(ctx.dtypes[0]),
            (by_middle * unit).to(ctx.dtypes[1]) if mean else None,
            None if by_unit is None else (by_unit * gradient).sum_to_size(ctx.shapes[0]),
            ((by_raw[..., 2] + by_raw[..., 3]) * gradient).sum_to_size(ctx.shapes[1]) if level else None,
            None,
        )


class _Logistic(NamedTuple):
    """One of the two distributions at each symbol.

    mean: in units. offset: of the symbol from the mean, in integer steps. inverse: of the scale, in integer steps.
    inside: whether the scale has a slope, that is, is within its bounds.
    above, below: sigmoids of the ends of the symbol's interval, as if it were on the side of the mean where differences
        of sigmoids keep their digits.
    """

    mean: Tensor
    offset: Tensor
    inverse: Tensor
    inside: Tensor
    above: Tensor
    below: Tensor

    @classmethod
    def of(cls, symbols: Tensor, raw: Tensor, mean: Tensor | None, unit: Tensor, level: Tensor, k: int) -> _Logistic:
        own = raw[..., k] if mean is None else raw[..., k] + mean
        log_scale = raw[..., 2 + k] + level
        inside = (log_scale >= LOG_SCALES[0]) & (log_scale <= LOG_SCALES[1])
        inverse = (-log_scale.clamp(*LOG_SCALES)).exp()
        offset = symbols - own * unit
        distance = offset.abs()
        ends = (torch.sigmoid((half - distance) * inverse) for half in (0.5, -0.5))
        return cls(own, offset, inverse, inside, *ends)

    @property
    def mass(self) -> Tensor:
        return self.above - self.below

    def slopes(self, by_mass: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives by the mean in integer steps and by the logarithm of the scale."""
        above, below = self.above * (1 - self.above), self.below * (1 - self.below)
        distance, by_mass = self.offset.abs(), by_mass * self.inverse
        by_middle = by_mass * (above - below) * self.offset.sign()
        by_scale = by_mass * ((distance - 0.5) * above - (distance + 0.5) * below) * self.inside
        return by_middle, by_scale
