"""The context model that `msp.py` and `mlcc.py` share: the layers that a phase of a grid is coded with.

    planes coded before -- 3x3 --> t -- FiLM --> -- blocks --> t -- head --groups--> mixture -> coder
                                   '--> a linear skip to the means ---'  ^-- groups coded before

    blocks:   t -- residual block --> -- context blocks: t + 1x1(3x3(t)) --> -- pointwise blocks: t + 1x1(1x1(t)) --> t
    a group:  1x1(t) + 1x1(groups before) --> h -- further layers: h + 1x1(h) --> -- 1x1 --> mixture

A *phase* is one position of the 2x2 squares of a grid (`nn/phases.py`). All its vectors are coded at once, in a few
*groups* of channels; so the number of steps is the same at any size. A trunk sees the phases before, a head the groups
before. FiLM (Perez et al. 2018, arXiv 1709.07871) conditions the trunk on what the whole picture has in common.

Every trunk has one residual block. Its further blocks and the further layers of a head are optional: they make a
network deeper, and begin as the identity, so that a grown network first computes what the smaller one did
(`training/widen.py`). A context block sees the neighbours of neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..coding.mixture import Mixture
from ..coding.rate import RateMeter
from ..nn.exact import Linear, conv3x3, quantize_linear, quantize_weight, uniform_range
from ..nn.quantizer import SLOPE, Normalize, Quantizer

__all__ = [
    "AddedBlock",
    "Conditioning",
    "FurtherLayer",
    "GroupHead",
    "Groups",
    "ResidualBlock",
    "Trunk",
    "Units",
]

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


class AddedBlock(nn.Module):
    """t -> t + 1x1(leaky rectifier(first(t))), t having been quantized for the inner layer only; at first the identity.

    first: `nn.Conv2d` of 3x3 for a context block, `Linear` for a pointwise one.
    """

    def __init__(self, first: Linear | nn.Conv2d) -> None:
        super().__init__()
        inner, width = first.weight.shape[:2]
        self.input = Quantizer(9)
        self.first = first
        self.hidden = Quantizer(9)
        self.second = Linear(inner, width)
        with torch.no_grad():
            # The scale of what is added is that of t, once `second` has learned. Not normal numbers: torch would import
            # its compiler for them, a second, when a model without storage is loaded.
            nn.init.kaiming_uniform_(first.weight, SLOPE)
            for parameter in (first.bias, self.second.weight, self.second.bias):
                parameter.zero_()

    def forward(self, t: Tensor) -> Tensor:
        x, first = self.input(t), self.first
        x = conv3x3(x, first.weight) + first.bias if isinstance(first, nn.Conv2d) else first(x)
        result: Tensor = t + self.second(self.hidden.leaky_relu(x))
        return result

    def quantize_weights(self) -> None:
        ranges = uniform_range(self.first.weight.shape[1], float(self.input.step), float(self.input.limit))
        quantize_weight(self.first.weight, self.first.bias, *ranges)
        quantize_linear(self.second, self.hidden)


class FurtherLayer(nn.Module):
    """h -> h + 1x1(leaky rectifier(h)), of a group's hidden channels; at first the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = Quantizer(10)
        self.linear = Linear(width, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor) -> Tensor:
        # Not `leaky_relu` of the quantizer, which may overwrite h.
        result: Tensor = h + self.linear(self.input(F.leaky_relu(h, SLOPE)))
        return result

    def quantize_weights(self) -> None:
        quantize_linear(self.linear, self.input)


class Trunk(nn.Module):
    """The end of a phase's trunk: FiLM, then blocks. Subclasses turn what was coded before into t.

    width, skip: channels of t, and of the linear guesses.
    conditioning_width: channels of the embedding.
    context_blocks: the inner width of each context block.
    pointwise_blocks: the number of further blocks, of 1x1 layers.
    """

    def __init__(
        self,
        width: int,
        skip: int,
        conditioning_width: int,
        context_blocks: Sequence[int] = (),
        pointwise_blocks: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.skip = width, skip
        self.film = Linear(conditioning_width, 2 * width)
        self.blocks = nn.ModuleList([ResidualBlock(width)])
        self.context_blocks = nn.ModuleList(AddedBlock(nn.Conv2d(width, n, 3, padding=1)) for n in context_blocks)
        self.pointwise_blocks = nn.ModuleList(AddedBlock(Linear(width, width)) for _ in range(pointwise_blocks))
        with torch.no_grad():
            self.film.weight.mul_(0.3)

    def modulated(self, t: Tensor | None, embedding: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return `[B, H, W, width]` of t, or of zeros, after FiLM and the blocks; grid: (H, W)."""
        gain, shift = self.film(embedding)[:, None, None].split(self.width, -1)
        t = shift.repeat(1, *grid, 1) if t is None else t * (1 + gain) + shift
        for block in self._all_blocks():
            t = block(t)
        return t

    def _all_blocks(self) -> list[nn.Module]:
        return [*self.blocks, *self.context_blocks, *self.pointwise_blocks]

    def quantize_tail(self, embedding: Quantizer) -> None:
        quantize_linear(self.film, embedding)
        for block in self._all_blocks():
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
    guessed: channels, the first, whose guesses are used.
    further_layers: of each group.
    """

    def __init__(
        self,
        groups: Groups,
        trunk_width: int,
        width: int,
        skip: int,
        *,
        interleaved: bool,
        partial: bool,
        further_layers: int = 0,
    ) -> None:
        super().__init__()
        self.groups, self.width = groups, width
        self.interleaved = interleaved
        self.guessed = skip if partial else max((b for _, b in groups if b <= skip), default=0)
        #: Of channel 0, for coders that calibrate: what they learn of a channel is for all heads with the same context.
        self.first_context = 0
        sizes = [b - a for a, b in groups]
        before = [sum(sizes[:g]) for g in range(1, len(groups))]
        self.normalize = Normalize()
        self.input = Quantizer(10)
        self.context = Linear(trunk_width, len(groups) * width)
        self.group_context = nn.ModuleList(Linear(2 * count, width, bias=False) for count in before)
        self.group_mean = nn.ModuleList(Linear(n, size, bias=False) for n, size in zip(before, sizes[1:]))
        self.further = nn.ModuleList(
            nn.Sequential(*(FurtherLayer(width) for _ in range(further_layers))) for _ in groups
        )
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
        hidden = self.context(self.input(t[area]))
        skip = None if skip is None else skip[area]
        symbols = None if symbols is None else symbols[area]
        if isinstance(coder, RateMeter) and symbols is not None:
            result = self._measure(coder, hidden, skip, units, symbols)
        else:
            result = self._code_in_order(coder, hidden.split(self.width, -1), skip, units, symbols)
        rows, columns = grid[0] - inside[0], grid[1] - inside[1]
        return F.pad(result, (0, 0, 0, columns, 0, rows)) if rows or columns else result

    def _code_in_order(
        self, coder: SymbolCoder, hidden: Sequence[Tensor], skip: Tensor | None, units: Units, symbols: Tensor | None
    ) -> Tensor:
        """Code group by group; hidden: what each sees of the trunk, `[B, H, W, width]`."""
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
        return torch.cat([coded[g] for g in sorted(range(len(coded)), key=self.groups.__getitem__)], -1)

    def _measure(self, meter: RateMeter, hidden: Tensor, skip: Tensor | None, units: Units, symbols: Tensor) -> Tensor:
        """Do as `_code_in_order` with all groups at once: known symbols need no order. Channels are in coding order."""
        result, last = meter.seen(symbols), self.groups[-1]
        symbols, units = self._ordered(symbols), Units(*map(self._ordered, units))
        before = symbols.shape[-1] - (last[1] - last[0])
        fine, coarse, magnitude = self.normalize(self._ordered(result)[..., :before], units.inverse[..., :before])
        group_context, group_mean = self._triangles()
        sizes = [b - a for a, b in self.groups[:-1]] if self.interleaved else [before]
        pairs = zip(coarse.split(sizes, -1), magnitude.split(sizes, -1))
        if known := [x for pair in pairs for x in pair]:
            hidden = hidden + F.linear(torch.cat(known, -1), group_context)
        mean = F.linear(fine, group_mean)
        if skip is not None:
            mean = mean + self._ordered(F.pad(skip[..., : self.guessed], (0, symbols.shape[-1] - self.guessed)))
        raws = [self._output(g, x) for g, x in enumerate(hidden.split(self.width, -1))]
        raw = torch.cat(raws, -1).unflatten(-1, (-1, 5))
        meter.measure(Mixture(raw, mean, units.unit, units.level), symbols)
        return result

    def _ordered(self, x: Tensor) -> Tensor:
        """Return x with its channels in coding order."""
        return x if self.groups == tuple(sorted(self.groups)) else torch.cat([x[..., a:b] for a, b in self.groups], -1)

    def _triangles(self) -> tuple[Tensor, Tensor]:
        """Return weights of `group_context` and of `group_mean` of all groups, zero for what a group does not see."""
        before = self.group_mean[-1].in_features if self.group_mean else 0
        zero = self.context.weight.new_zeros(max(self.width, *(b - a for a, b in self.groups)), 2, before)
        contexts, means = [zero[: self.width].flatten(1)], [zero[: self.groups[0][1] - self.groups[0][0], 0]]
        context: Any
        mean: Any
        for context, mean in zip(self.group_context, self.group_mean):
            # What a group sees comes first in coding order: in all, or in coarse values and in magnitudes.
            later, rows = before - mean.in_features, mean.out_features
            if self.interleaved:
                contexts.append(torch.cat([context.weight, zero[: self.width, :, :later].flatten(1)], 1))
            else:
                parts = [context.weight.unflatten(1, (2, -1)), zero[: self.width, :, :later]]
                contexts.append(torch.cat(parts, 2).flatten(1))
            means.append(torch.cat([mean.weight, zero[:rows, 0, :later]], 1))
        return torch.cat(contexts), torch.cat(means)

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
        if skip is not None and a < self.guessed:
            guess = F.pad(skip[..., a:b], (0, max(b - self.guessed, 0)))
            mean = guess if mean is None else mean + guess
        return self._output(g, hidden).unflatten(-1, (b - a, 5)), mean

    def _output(self, g: int, hidden: Tensor) -> Tensor:
        result: Tensor = self.output[g](self.hidden[g].leaky_relu(self.further[g](hidden)))
        return result

    def quantize_weights(self) -> None:
        fine, coarse, magnitude = self.normalize.ranges()
        quantize_linear(self.context, self.input)
        sizes = [b - a for a, b in self.groups]
        for g, (context, mean) in enumerate(zip(self.group_context, self.group_mean), 1):
            quantize_weight(mean.weight, None, *uniform_range(sum(sizes[:g]), *fine))
            counts = sizes[:g] if self.interleaved else [sum(sizes[:g])]
            ranges = [uniform_range(count, *range_) for count in counts for range_ in (coarse, magnitude)]
            quantize_weight(context.weight, None, *map(torch.cat, zip(*ranges)))
        for further in self.further.modules():
            if isinstance(further, FurtherLayer):
                further.quantize_weights()
        for layer, quantizer in zip(self.output, self.hidden):
            quantize_linear(layer, quantizer)
