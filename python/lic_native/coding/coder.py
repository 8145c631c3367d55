"""Coders of streams, and the interface by which a model encodes, decodes or measures a rate without a difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .. import threads
from ..entropy.base import Distribution
from ..entropy.stream import Decoder, Encoder
from ..observe import stage

__all__ = ["LANES", "Params", "StreamDecoder", "StreamEncoder", "SymbolCoder"]


class Params(Protocol):
    """The distributions of a group of symbols: `[B, ...]` integers."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def device(self) -> torch.device: ...
    def distributions(self) -> Iterable[Distribution]:
        """Return the distribution of each picture of the batch, as the native coder takes it."""
        ...

    def bits(self, symbols: Tensor) -> Tensor:
        """Return `[B]` bits that symbols of this shape cost, differentiable where training needs it."""
        ...


class SymbolCoder(Protocol):
    """The coder that `walk` of a model needs: it encodes integers under a distribution, or decodes them."""

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        """Return the integers `[B, ...]` as floats: `symbols`, or decoded ones if that is None."""
        ...


#: Lanes of a stream of mixtures. Mixtures decode one symbol at a time; eight independent states keep a processor busy.
LANES = 8


class StreamEncoder:
    """Puts every group of symbols into rANS streams, one for each picture of the batch.

    calibrate: whether what was coded before corrects the distributions (`entropy.Encoder`).
    combs: for each picture, whether it corrects the frequencies of single values as well. Default: for none.
    """

    def __init__(self, batch: int = 1, calibrate: bool = False, combs: Sequence[bool] = ()) -> None:
        options = combs or [False] * batch
        self._encoders = [Encoder(max_lanes=LANES, calibrate=calibrate, combs=option) for option in options]

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        if symbols is None:
            raise ValueError("an encoder needs symbols; a StreamDecoder finds them")
        threads.check()
        with stage("coder"):
            integers = symbols.to(torch.int16).cpu().contiguous().numpy()
            for encoder, picture, distribution in zip(self._encoders, integers, params.distributions(), strict=True):
                encoder.put(picture, distribution)
        return symbols

    def finish(self) -> list[bytes]:
        with stage("coder"):
            return [encoder.finish() for encoder in self._encoders]


class StreamDecoder:
    """Takes every group of symbols from rANS streams, one for each picture of the batch."""

    def __init__(self, streams: Sequence[bytes]) -> None:
        self._decoders = [Decoder(stream) for stream in streams]

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        if symbols is not None:
            raise ValueError("a decoder takes no symbols; it finds them in its streams")
        threads.check()
        with stage("coder"):
            integers = np.empty(params.shape, np.int16)
            for decoder, picture, distribution in zip(self._decoders, integers, params.distributions(), strict=True):
                decoder.get(distribution, out=picture)
            return torch.from_numpy(integers).to(params.device).float()

    def finish(self) -> None:
        """Raise CorruptError unless the streams end here."""
        with stage("coder"):
            for decoder in self._decoders:
                decoder.finish()
