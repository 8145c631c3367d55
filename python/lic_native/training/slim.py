"""Begin a small network with the most important units of a trained larger one: structured pruning by magnitude."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..models.mlcc import Config, Mlcc
from .widen import copy_common, obstacle

__all__ = ["slimmed", "sort_units"]


class Units(NamedTuple):
    """Units of a hidden layer, which may be put in any order.

    inputs, outputs: views of all weights that lead to a unit, and of all that begin at one, `[units, ...]`.
    """

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]

    def sort(self) -> None:
        """Put the units in the order of their importance: the norm of their inputs times that of their outputs."""
        reach, effect = (sum(view.flatten(1).square().sum(1) for view in views) for views in self)
        order = torch.argsort(reach * effect, descending=True, stable=True)
        for view in (*self.inputs, *self.outputs):
            view.copy_(view[order])


#: Fields of a configuration that slimming does not change.
EQUAL = "conditioning_width", "luma_pointwise_blocks", "chroma_pointwise_blocks", "further_head_layers", "z_channels"


def slimmed(wide: Mlcc, config: Config) -> Mlcc:
    """Return a network of `config`, narrower than `wide` and as deep, with the most important units of `wide`.

    It computes something else than `wide`, but learns faster than from random weights (docs/training.md, "A small
    network from a larger one").

    Raises:
        ValueError: a field of `config` is above that of `wide`, or the depths differ, or there is side information;
            the message names the field.
    """
    if found := obstacle(wide.config, config):
        raise ValueError(f"the network can't become one of this configuration: {found}")
    for name in (*EQUAL, "luma_context_blocks", "chroma_context_blocks"):
        new, old = (getattr(c, name) for c in (config, wide.config))
        if new != old if name in EQUAL else len(new) != len(old):
            raise ValueError(f"{name} {new} must be as in the larger network, {old}")
    if config.z_channels:
        raise ValueError("z_channels must be 0: a network with side information can't be slimmed")
    small, ordered = Mlcc(config), copy.deepcopy(wide)
    sort_units(ordered)
    copy_common(small, ordered)
    return small


@torch.no_grad()
def sort_units(model: Mlcc) -> None:
    """Put the units of all hidden layers in the order of their importance, which keeps the function."""
    convs: Any = model.chroma_context.convs.values()
    luma: list[Any] = list(model.luma_trunks)
    chroma: list[Any] = list(model.chroma_trunks)
    inputs = [view for conv in convs for view in (conv.weight, conv.bias[:, None])]
    Units(inputs, [trunk.cross_channel.weight.T for trunk in luma]).sort()
    # Trunks that share a head have one order of units.
    sharing = [luma[:4], *([trunk] for trunk in luma[4:]), chroma[:4], chroma[4:]]
    for head, trunks in zip((*model.luma_heads, *model.chroma_heads), sharing, strict=True):
        for units in (*(units for trunk in trunks for units in _inside(trunk)), *_hidden(head), _between(trunks, head)):
            units.sort()


def _inside(trunk: Any) -> Iterator[Units]:
    """Yield the hidden layer of each block of a trunk."""
    for block in (*trunk.blocks, *trunk.context_blocks, *trunk.pointwise_blocks):
        yield Units([block.first.weight, block.first.bias[:, None]], [block.second.weight.T])


def _hidden(head: Any) -> Iterator[Units]:
    """Yield the hidden layer of each group of a head."""
    for g, (weight, bias) in enumerate(zip(head.context.weight.split(head.width), head.context.bias.split(head.width))):
        inputs, outputs = [weight, bias[:, None]], [head.output[g].weight.T]
        if g:
            inputs.append(head.group_context[g - 1].weight)
        for further in head.further[g]:
            inputs += [further.linear.weight, further.linear.bias[:, None]]
            outputs.append(further.linear.weight.T)
        yield Units(inputs, outputs)


def _between(trunks: Sequence[Any], head: Any) -> Units:
    """Return the channels that trunks hand to the head that they share."""
    inputs, outputs = [], [head.context.weight.T]
    for trunk in trunks:
        if trunk.context is not None:
            inputs.append(trunk.context.weight[: trunk.width])
        if trunk.cross_channel is not None:
            inputs.append(trunk.cross_channel.weight)
        inputs += [*trunk.film.weight.split(trunk.width), *trunk.film.bias[:, None].split(trunk.width)]
        for block in (*trunk.blocks, *trunk.context_blocks, *trunk.pointwise_blocks):
            inputs += [block.second.weight, block.second.bias[:, None]]
            outputs.append(block.first.weight.transpose(0, 1))
    return Units(inputs, outputs)
