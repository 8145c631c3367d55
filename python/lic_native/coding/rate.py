"""Coders that code nothing and measure a rate, for training and for latent overfitting."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import threads
from ..nn.quantizer import straight_through
from .coder import Params
from .mixture import Mixture, joined

__all__ = ["NoisyMeter", "RateMeter", "RoundingMeter"]


def _known(symbols: Tensor | None) -> Tensor:
    if symbols is None:
        raise ValueError("a rate is measured of symbols that are known")
    return symbols


class RateMeter:
    """Adds up -log2 p, differentiably. The sum is made once, at the end: a walk takes many small steps.

    A meter knows all symbols, so a model may `measure` them in any order, and ask for what is `seen` of them before.
    """

    def __init__(self) -> None:
        self._measured: list[tuple[Params, Tensor]] = []

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        self.measure(params, symbols := _known(symbols))
        return self.seen(symbols)

    def measure(self, params: Params, symbols: Tensor) -> None:
        """Count symbols `[B, ...]`."""
        threads.check()
        self._measured.append((params, symbols))

    def seen(self, symbols: Tensor) -> Tensor:
        """Return what is seen of symbols after they have been coded."""
        return symbols

    def bits(self) -> Tensor:
        """Return `[B]` bits of each picture of the batch."""
        groups = [(p, x) for p, x in self._measured if not isinstance(p, Mixture)]
        if mixtures := [(p, x) for p, x in self._measured if isinstance(p, Mixture)]:
            groups.append(joined(mixtures))
        return torch.stack([self._bits(params, symbols) for params, symbols in groups]).sum(0)

    def _bits(self, params: Params, symbols: Tensor) -> Tensor:
        return params.bits(symbols)


class NoisyMeter(RateMeter):
    """The rate of symbols with uniform noise in place of rounding; what comes back has been rounded, straight through.

    The mixed quantisation of Minnen and Singh 2020, arXiv 2007.08739: noise for the decoder, too, as in eq. 9 of Ballé
    2017, would teach it to damp what it can trust.
    """

    def measure(self, params: Params, symbols: Tensor) -> None:
        super().measure(params, symbols + torch.rand_like(symbols) - 0.5)

    def seen(self, symbols: Tensor) -> Tensor:
        return straight_through(symbols, symbols.detach().round())


class RoundingMeter(RateMeter):
    """The rate of rounded symbols, and for its slope how much more one half up costs than one half down.

    That slope is the mean of those that noise gives, without its variance (as Agustsson and Theis 2020, arXiv
    2006.09952, integrate noise out). Distributions learn integers; those that have learned noise are too wide, by more
    the less a latent varies. Straight through, a zero would have no slope at all, and rates would creep up.
    """

    def measure(self, params: Params, symbols: Tensor) -> None:
        if not hasattr(params, "costs"):
            raise TypeError(f"a rate of {type(params).__name__} has no slope: it has no costs of single symbols")
        super().measure(params, symbols)

    def seen(self, symbols: Tensor) -> Tensor:
        return straight_through(symbols, symbols.detach().round())

    def _bits(self, params: Any, symbols: Tensor) -> Tensor:
        with torch.no_grad():
            slope: Tensor = params.costs(symbols + 0.5) - params.costs(symbols - 0.5)
        bits: Tensor = params.bits(symbols.detach().round())
        return bits + (slope * (symbols - symbols.detach()).flatten(1)).sum(1)
