"""The context model that `msp.py` and `mlcc.py` share: the layers that a phase of a grid is coded with.

    planes coded before -- 3x3 --> t -- FiLM --> -- residual blocks --> t -- head --groups--> mixture -> coder
                                   '--> a linear skip to the means ------------'  ^-- groups coded before

A *phase* is one position of the 2x2 squares of a grid (`nn/phases.py`). All its vectors are coded at once, in a few
*groups* of channels; so the number of steps is the same at any size. A trunk sees the phases before, a head the groups
before. FiLM (Perez et al. 2018, arXiv 1709.07871) conditions the trunk on what the whole picture has in common.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.mixture import Mixture
from ..nn.exact import Linear, quantize_linear, quantize_weight, uniform_range
from ..nn.quantizer import Normalize, Quantizer

__all__ = ["Conditioning", "GroupHead", "Groups", "ResidualBlock", "Trunk", "Units"]

#: Begins and ends of groups of channels, in coding order.
Groups = tuple[tuple[int, int], ...]


class Units(NamedTuple):
    """Standard deviations of the symbols of each channel, `[B, 1, 1, C]`, their inverses and natural logarithms."""

    unit: Tensor
    inverse: Tensor
    level: Tensor

    def of(self, channels: slice) -> Units:
        return Units(*(x[..., channels] for x in self))


class Conditioning(NamedTuple):
    """Values that all vectors of a grid share.

    embedding: `[B, n]`, the input of FiLM.
    units: of the symbols.
    """

    embedding: Tensor
    units: Units


class ResidualBlock(nn.Module):
    """x -> x + 1x1(leaky rectifier(1x1(x))), x having been rectified and quantized."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = Quantizer(9)
        self.first = Linear(width, width)
        self.hidden = Quantizer(9)
        self.second = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input.leaky_relu(x)
        result: Tensor = x + self.second(self.hidden.leaky_relu(self.first(x)))
        return result

    def quantize_weights(self) -> None:
        quantize_linear(self.first, self.input)
        quantize_linear(self.second, self.hidden)


class Trunk(nn.Module):
    """The end of a phase's trunk: FiLM, then residual blocks. Subclasses turn what was coded before into t."""

    def __init__(self, width: int, skip: int, conditioning_width: int) -> None:
        super().__init__()
        self.width, self.skip = width, skip
        self.film = Linear(conditioning_width, 2 * width)
        self.blocks = nn.ModuleList([ResidualBlock(width)])
        with torch.no_grad():
            self.film.weight.mul_(0.3)

    def modulated(self, t: Tensor | None, embedding: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return `[B, H, W, width]` of t, or of zeros, after FiLM and the blocks; grid: (H, W)."""
        gain, shift = self.film(embedding)[:, None, None].split(self.width, -1)
        t = shift.repeat(1, *grid, 1) if t is None else t * (1 + gain) + shift
        for block in self.blocks:
            t = block(t)
        return t

    def quantize_tail(self, embedding: Quantizer) -> None:
        quantize_linear(self.film, embedding)
        for block in self.blocks:
            block.quantize_weights()


class GroupHead(nn.Module):
    """Distributions of a phase's symbols, group by group: each sees the trunk's output and the groups before it.

    groups: of channels, in coding order.
    trunk_width: channels of the trunk's output.
    width: hidden channels of each group.
    skip: channels, the first, that the trunk has a linear guess at the means of.
    interleaved: the inputs from coded groups are coarse values and magnitudes in turn, group by group; otherwise all
        coarse values stand before all magnitudes.
    partial: a group may have guesses for some of its channels; otherwise only groups wholly inside of `skip` have any.
    """

    def __init__(
        self, groups: Groups, trunk_width: int, width: int, skip: int, *, interleaved: bool, partial: bool
    ) -> None:
        super().__init__()
        self.groups, self.width, self.skip = groups, width, skip
        self.interleaved, self.partial = interleaved, partial
        #: Of channel 0, for coders that calibrate: what they learn of a channel is for all heads with the same context.
        self.first_context = 0
        sizes = [b - a for a, b in groups]
        before = [sum(sizes[:g]) for g in range(1, len(groups))]
        self.normalize = Normalize()
        self.input = Quantizer(10)
        self.context = Linear(trunk_width, len(groups) * width)
        self.group_context = nn.ModuleList(Linear(2 * count, width, bias=False) for count in before)
        self.group_mean = nn.ModuleList(Linear(n, size, bias=False) for n, size in zip(before, sizes[1:]))
        self.hidden = nn.ModuleList(Quantizer(10) for _ in groups)
        self.output = nn.ModuleList(Linear(width, 5 * size) for size in sizes)
        with torch.no_grad():
            for layer in self.group_mean:
                layer.weight.zero_()
            for layer in self.output:
                layer.weight.mul_(0.3)
                layer.bias.view(-1, 5).copy_(torch.tensor([0.0, 0.0, -1.6, -0.4, 0.0]))

    def code(
        self,
        coder: SymbolCoder,
        t: Tensor,
        skip: Tensor | None,
        units: Units,
        inside: tuple[int, int],
        symbols: Tensor | None,
    ) -> Tensor:
        """Code the rows and columns of a phase that are inside of the picture; the padding around them is zero.

        Args:
            coder: encodes, decodes or measures.
            t: the trunk's output `[B, H, W, trunk_width]`.
            skip: its guesses at the means `[B, H, W, skip]`, or None.
            units: of the symbols.
            inside: rows and columns that are coded.
            symbols: `[B, H, W, C]` or of the size of `inside`, None when decoding.

        Returns:
            Symbols `[B, H, W, C]`, known or decoded.
        """
        grid, area = t.shape[1:3], (slice(None), slice(inside[0]), slice(inside[1]))
        hidden = self.context(self.input(t[area])).split(self.width, -1)
        skip = None if skip is None else skip[area]
        symbols = None if symbols is None else symbols[area]
        coded: list[Tensor] = []
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        for g, (a, b) in enumerate(self.groups):
            own = units.of(slice(a, b))
            raw, mean = self._mixture_params(g, hidden[g], seen, skip)
            mixture = Mixture(raw, mean, own.unit, own.level, self.first_context + a)
            y = coder.code(mixture, None if symbols is None else symbols[..., a:b])
            coded.append(y)
            if g + 1 < len(self.groups):
                seen.append(self.normalize(y, own.inverse))
        result = torch.cat([coded[g] for g in sorted(range(len(coded)), key=self.groups.__getitem__)], -1)
        rows, columns = grid[0] - inside[0], grid[1] - inside[1]
        return F.pad(result, (0, 0, 0, columns, 0, rows)) if rows or columns else result

    def _mixture_params(
        self, g: int, hidden: Tensor, seen: list[tuple[Tensor, Tensor, Tensor]], skip: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the raw mixtures `[..., n, 5]` of group g and the means `[..., n]` that are added, or None."""
        (a, b), mean = self.groups[g], None
        if g:
            fine, coarse, magnitude = zip(*seen)
            inputs = [x for pair in zip(coarse, magnitude) for x in pair] if self.interleaved else coarse + magnitude
            hidden = hidden + self.group_context[g - 1](torch.cat(inputs, -1))
            mean = self.group_mean[g - 1](torch.cat(fine, -1))
        if skip is not None and (a < self.skip if self.partial else b <= self.skip):
            guess = F.pad(skip[..., a:b], (0, max(b - self.skip, 0)))
            mean = guess if mean is None else mean + guess
        return self.output[g](self.hidden[g].leaky_relu(hidden)).unflatten(-1, (b - a, 5)), mean

    def quantize_weights(self) -> None:
        fine, coarse, magnitude = self.normalize.ranges()
        quantize_linear(self.context, self.input)
        sizes = [b - a for a, b in self.groups]
        for g, (context, mean) in enumerate(zip(self.group_context, self.group_mean), 1):
            quantize_weight(mean.weight, None, *uniform_range(sum(sizes[:g]), *fine))
            counts = sizes[:g] if self.interleaved else [sum(sizes[:g])]
            ranges = [uniform_range(count, *range_) for count in counts for range_ in (coarse, magnitude)]
            quantize_weight(context.weight, None, *map(torch.cat, zip(*ranges)))
        for layer, quantizer in zip(self.output, self.hidden):
            quantize_linear(layer, quantizer)
