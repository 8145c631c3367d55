"""Coders that code nothing and measure a rate, for training and for latent overfitting."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import threads
from ..nn.quantizer import straight_through
from .coder import Params
from .mixture import Mixture, mixture_costs

__all__ = ["NoisyMeter", "RateMeter", "RoundingMeter"]


def _known(symbols: Tensor | None) -> Tensor:
    if symbols is None:
        raise ValueError("a rate is measured of symbols that are known")
    return symbols


class RateMeter:
    """Adds up -log2 p, differentiably. The sum is made once, at the end: a walk takes a hundred small steps."""

    def __init__(self) -> None:
        self._groups: list[tuple[Params, Tensor]] = []

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        threads.check()
        self._groups.append((params, symbols := _known(symbols)))
        return symbols

    def bits(self) -> Tensor:
        """Return `[B]` bits of each picture of the batch."""
        costs = [p.bits(x) for p, x in self._groups if not isinstance(p, Mixture)]
        if mixtures := [(p, x) for p, x in self._groups if isinstance(p, Mixture)]:
            costs.append(mixture_costs(mixtures).sum(1))
        return torch.stack(costs).sum(0)


class NoisyMeter(RateMeter):
    """The rate of symbols with uniform noise in place of rounding; what comes back has been rounded, straight through.

    The mixed quantisation of Minnen and Singh 2020, arXiv 2007.08739: noise for the decoder, too, as in eq. 9 of Ballé
    2017, would teach it to damp what it can trust.
    """

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        symbols = _known(symbols)
        super().code(params, symbols + torch.rand_like(symbols) - 0.5)
        return straight_through(symbols, symbols.detach().round())


class RoundingMeter(RateMeter):
    """The rate of rounded symbols, and for its slope how much more one half up costs than one half down.

    That slope is the mean of those that noise gives, without its variance (as Agustsson and Theis 2020, arXiv
    2006.09952, integrate noise out). Distributions learn integers; those that have learned noise are too wide, by more
    the less a latent varies. Straight through, a zero would have no slope at all, and rates would creep up.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slopes: list[Tensor] = []

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        symbols = _known(symbols)
        costs = getattr(params, "costs", None)
        if costs is None:
            raise TypeError(f"a rate of {type(params).__name__} has no slope: it has no costs of single symbols")
        with torch.no_grad():
            slope = costs(symbols + 0.5) - costs(symbols - 0.5)
        self._slopes.append((slope * (symbols - symbols.detach()).flatten(1)).sum(1))
        rounded = symbols.detach().round()
        super().code(params, rounded)
        return straight_through(symbols, rounded)

    def bits(self) -> Tensor:
        return super().bits() + torch.stack(self._slopes).sum(0)
