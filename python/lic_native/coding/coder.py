"""Three coders behind one call: whoever walks a model cannot tell whether it encodes, decodes or measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from .. import _native, threads
from ..entropy.base import Distribution
from ..entropy.distributions import LogisticPair
from ..entropy.stream import Decoder, Encoder
from ..nn.exact import in_one_pass

__all__ = [
    "FLOOR",
    "LANES",
    "OCTAVE",
    "Coder",
    "Mixture",
    "Params",
    "RateMeter",
    "StreamDecoder",
    "StreamEncoder",
    "mixture_costs",
    "to_params",
]


class Params(Protocol):
    """The distributions of a group of symbols: `[B, ...]` integers."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def device(self) -> torch.device: ...
    def distributions(self) -> Iterable[Distribution]:
        """Those of each picture of the batch, as the native coder takes them."""
        ...

    def bits(self, symbols: Tensor) -> Tensor:
        """`[B]` bits that symbols of this shape cost, differentiably if a training can use that."""
        ...


class Mixture(NamedTuple):
    """Two discretised logistic distributions for each of `[..., n]` integers.

    raw: `[..., n, 5]`: mean 1, mean 2, log scale 1, log scale 2, logit of the first's weight; means and scales in
        `unit`.
    mean: `[..., n]` added to both means, or None.
    unit, level: `[..., n]` or broadcast: a unit in integer steps, and its natural logarithm.
    """

    raw: Tensor
    mean: Tensor | None
    unit: Tensor
    level: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape[:-1]

    @property
    def device(self) -> torch.device:
        return self.raw.device

    def distributions(self) -> Iterable[Distribution]:
        # What leaves the device is 16 bits wide.
        return map(LogisticPair, to_params(self).cpu().contiguous().numpy())

    def bits(self, symbols: Tensor) -> Tensor:
        return self.costs(symbols).sum(1)

    def costs(self, symbols: Tensor) -> Tensor:
        """`[B, n]`: the bits of each symbol, in their order; also of numbers between integers."""
        return mixture_costs([(self, symbols)])


class Coder(Protocol):
    """What a walk needs: code integers under a distribution, and get them back."""

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        """symbols `[B, ...]` (None when decoding) -> the integers, as floats of the same shape."""
        ...


#: Scale indices in an e-fold.
OCTAVE = 8 / math.log(2)


def to_params(mixture: Mixture) -> Tensor:
    """A mixture as the native coder takes it: int16 `[..., n, 5]`.

    Means in 1/16 steps; scales as index s for 2^((s - 48) / 8) steps; the weight as index w for sigmoid((w - 64) / 8).
    Single multiplications, additions and roundings only, so exact inputs give the same integers on every device.
    """
    raw, mean, unit, level = mixture
    gain, offset = 16 * unit, level * OCTAVE + 48
    if in_one_pass(raw) and gain.numel() == offset.numel() == gain.shape[-1]:
        given = (raw.contiguous().numpy(), None if mean is None else mean.contiguous().numpy())
        gains, offsets = (x.reshape(-1).expand(raw.shape[-2]).contiguous().numpy() for x in (gain, offset))
        return torch.from_numpy(_native.mixture_params(*given, gains, offsets, OCTAVE))
    means = raw[..., :2] if mean is None else raw[..., :2] + mean[..., None]
    means = (means * gain[..., None]).round().clamp(-32767, 32767)
    scales = (raw[..., 2:4] * OCTAVE + offset[..., None]).round().clamp(0, 127)
    weight = (raw[..., 4:] * 8 + 64).round().clamp(0, 127)
    return torch.cat([means, scales, weight], -1).to(torch.int16)


#: Of a stream of mixtures, which are coded one by one: enough for a processor to overlap their work.
LANES = 8


class StreamEncoder:
    """Puts every group of symbols into rANS streams, one for each picture of the batch."""

    def __init__(self, batch: int = 1) -> None:
        self._encoders = [Encoder(max_lanes=LANES) for _ in range(batch)]

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        assert symbols is not None, "an encoder knows its symbols"
        threads.check()
        integers = symbols.to(torch.int16).cpu().contiguous().numpy()
        for encoder, picture, distribution in zip(self._encoders, integers, params.distributions(), strict=True):
            encoder.put(picture, distribution)
        return symbols

    def finish(self) -> list[bytes]:
        return [encoder.finish() for encoder in self._encoders]


class StreamDecoder:
    """Takes every group of symbols from rANS streams, one for each picture of the batch."""

    def __init__(self, streams: Sequence[bytes]) -> None:
        self._decoders = [Decoder(stream) for stream in streams]

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        assert symbols is None, "a decoder finds its symbols"
        threads.check()
        integers = np.empty(params.shape, np.int16)
        for decoder, picture, distribution in zip(self._decoders, integers, params.distributions(), strict=True):
            decoder.get(distribution, out=picture)
        return torch.from_numpy(integers).to(params.device).float()

    def finish(self) -> None:
        """Raise CorruptError unless the streams end here."""
        for decoder in self._decoders:
            decoder.finish()


class RateMeter:
    """Adds up -log2 p, differentiably. The sum is made once, at the end: a walk takes a hundred small steps."""

    def __init__(self) -> None:
        self._groups: list[tuple[Params, Tensor]] = []

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        assert symbols is not None, "a rate is measured over known symbols"
        threads.check()
        self._groups.append((params, symbols))
        return symbols

    def bits(self) -> Tensor:
        """`[B]` bits of each picture of the batch."""
        costs = [p.bits(x) for p, x in self._groups if not isinstance(p, Mixture)]
        if mixtures := [(p, x) for p, x in self._groups if isinstance(p, Mixture)]:
            costs.append(mixture_costs(mixtures).sum(1))
        return torch.stack(costs).sum(0)


#: The coder's precision is 15 bits, so no symbol costs much more than this.
FLOOR = 2.0**-17


def mixture_costs(groups: Sequence[tuple[Mixture, Tensor]]) -> Tensor:
    """`[B, n]` bits of all symbols of all groups: -log2 of the probability of each."""
    batch = len(groups[0][1])

    def flat(values: Sequence[Tensor | None]) -> Tensor:
        """One for each symbol, `[B, n]`."""
        whole = [x.new_zeros(()) if v is None else v for v, (_, x) in zip(values, groups)]
        return torch.cat([v.expand(x.shape).reshape(batch, -1) for v, (_, x) in zip(whole, groups)], 1).float()

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
