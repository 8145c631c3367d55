"""Three coders behind one call: whoever walks a model cannot tell whether it encodes, decodes or measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from . import _native
from .distributions import LogisticPairs
from .nn.exact import in_one_pass
from .stream import Decoder, Encoder


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


class Coder(Protocol):
    """What a walk needs: code integers under a distribution, and get them back."""

    def code(self, mixture: Mixture, symbols: Tensor | None) -> Tensor:
        """symbols `[..., n]` (None when decoding) -> the integers, as floats of the same shape."""
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

    def code(self, mixture: Mixture, symbols: Tensor | None) -> Tensor:
        assert symbols is not None, "an encoder knows its symbols"
        # What leaves the device is 16 bits wide.
        params = to_params(mixture).cpu().contiguous().numpy()
        integers = symbols.to(torch.int16).cpu().contiguous().numpy()
        for encoder, picture, own in zip(self._encoders, integers, params, strict=True):
            encoder.put(picture, LogisticPairs(own))
        return symbols

    def finish(self) -> list[bytes]:
        return [encoder.finish() for encoder in self._encoders]


class StreamDecoder:
    """Takes every group of symbols from rANS streams, one for each picture of the batch."""

    def __init__(self, streams: Sequence[bytes]) -> None:
        self._decoders = [Decoder(stream) for stream in streams]

    def code(self, mixture: Mixture, symbols: Tensor | None) -> Tensor:
        assert symbols is None, "a decoder finds its symbols"
        params = to_params(mixture)
        integers = np.empty(params.shape[:-1], np.int16)
        for decoder, picture, own in zip(self._decoders, integers, params.cpu().contiguous().numpy(), strict=True):
            decoder.get(LogisticPairs(own), out=picture)
        return torch.from_numpy(integers).to(params.device).float()

    def finish(self) -> None:
        """Raise CorruptError unless the streams end here."""
        for decoder in self._decoders:
            decoder.finish()


class RateMeter:
    """Adds up -log2 p, differentiably. The sum is made once, at the end: a walk takes a hundred small steps."""

    def __init__(self) -> None:
        self._groups: list[tuple[Mixture, Tensor]] = []

    def code(self, mixture: Mixture, symbols: Tensor | None) -> Tensor:
        assert symbols is not None, "a rate is measured over known symbols"
        self._groups.append((mixture, symbols))
        return symbols

    def bits(self) -> Tensor:
        """`[B]` bits of each picture of the batch."""
        batch = len(self._groups[0][1])
        raw = torch.cat([m.raw.reshape(batch, -1, 5) for m, _ in self._groups], 1).float()
        zeros = [m.raw.new_zeros(()) if m.mean is None else m.mean for m, _ in self._groups]
        symbols = torch.cat([x.reshape(batch, -1) for _, x in self._groups], 1)
        mean = torch.cat([z.expand(x.shape).reshape(batch, -1) for z, (_, x) in zip(zeros, self._groups)], 1).float()
        unit = torch.cat([m.unit.expand(x.shape).reshape(batch, -1) for m, x in self._groups], 1)
        level = torch.cat([m.level.expand(x.shape).reshape(batch, -1) for m, x in self._groups], 1)
        return mixture_bits(raw, mean, unit, level, symbols).sum(1)


#: The coder's precision is 15 bits, so no symbol costs much more than this.
FLOOR = 2.0**-17


def mixture_bits(raw: Tensor, mean: Tensor, unit: Tensor, level: Tensor, x: Tensor) -> Tensor:
    """-log2 of the probability of each integer x `[B, n]`; raw `[B, n, 5]`, the others `[B, n]`."""
    m1, m2, s1, s2, w = raw.unbind(-1)
    w = torch.sigmoid(w)

    def mass(m: Tensor, s: Tensor) -> Tensor:
        inverse = (-(level + s).clamp(-4.1, 6.8)).exp()
        distance = (x - (m + mean) * unit).abs()
        return torch.sigmoid((0.5 - distance) * inverse) - torch.sigmoid((-0.5 - distance) * inverse)

    p = w * mass(m1, s1) + (1 - w) * mass(m2, s2)
    return -torch.log2(p + FLOOR)
