"""Mixtures of two logistic distributions, which the exact networks give for each symbol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import _native
from ..entropy.base import Distribution
from ..entropy.distributions import LogisticPair
from ..nn.quantizer import in_one_pass

__all__ = ["E_FOLD", "FLOOR", "Mixture", "mixture_costs", "to_params"]

#: Scale indices in a factor of e.
E_FOLD = 8 / math.log(2)
#: The coder's precision is 15 bits, so no symbol costs much more than one of this probability.
FLOOR = 2.0**-17


class Mixture(NamedTuple):
    """Two discretised logistic distributions for each of `[..., n]` integers.

    raw: `[..., n, 5]`: mean 1, mean 2, log scale 1, log scale 2, logit of the first's weight; means and scales in
        `unit`.
    mean: `[..., n]` added to both means, or None.
    unit, level: `[..., n]` or broadcast: a unit in integer steps, and its natural logarithm.
    first_context: the contexts of the n channels count from here (`entropy.Encoder`, calibrate); None is no contexts.
    """

    raw: Tensor
    mean: Tensor | None
    unit: Tensor
    level: Tensor
    first_context: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape[:-1]

    @property
    def device(self) -> torch.device:
        return self.raw.device

    def distributions(self) -> Iterable[Distribution]:
        # Converted before it leaves the device: 16 bits instead of 32.
        params = to_params(self).cpu().contiguous().numpy()
        first, contexts = self.first_context, None
        if first is not None:
            contexts = np.arange(first, first + params.shape[-2], dtype=np.uint16)
        return (LogisticPair(picture, contexts) for picture in params)

    def bits(self, symbols: Tensor) -> Tensor:
        return self.costs(symbols).sum(1)

    def costs(self, symbols: Tensor) -> Tensor:
        """Return `[B, n]` bits of each symbol, in their order; numbers between integers have a cost, too."""
        return mixture_costs([(self, symbols)])


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


def mixture_costs(groups: Sequence[tuple[Mixture, Tensor]]) -> Tensor:
    """Return `[B, n]` bits of all symbols of all groups: -log2 of the probability of each."""
    batch = len(groups[0][1])

    def flat(values: Sequence[Tensor | None]) -> Tensor:
        """Return one value for each symbol, `[B, n]`."""
        tensors = [x.new_zeros(()) if v is None else v for v, (_, x) in zip(values, groups)]
        return torch.cat([v.expand(x.shape).reshape(batch, -1) for v, (_, x) in zip(tensors, groups)], 1).float()

    raw = torch.cat([m.raw.reshape(batch, -1, 5) for m, _ in groups], 1).float()
    mean, unit, level = (flat(values) for values in zip(*((m.mean, m.unit, m.level) for m, _ in groups)))
    x = flat([x for _, x in groups])
    m1, m2, s1, s2, w = raw.unbind(-1)
    w = torch.sigmoid(w)

    def mass(m: Tensor, s: Tensor) -> Tensor:
        inverse = (-(level + s).clamp(-4.1, 6.8)).exp()
        distance = (x - (m + mean) * unit).abs()
        return torch.sigmoid((0.5 - distance) * inverse) - torch.sigmoid((-0.5 - distance) * inverse)

    p = w * mass(m1, s1) + (1 - w) * mass(m2, s2)
    return -torch.log2(p + FLOOR)
