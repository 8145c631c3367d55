"""Begin a large network as the function of a trained small one, after Net2Net (Chen et al. 2016, arXiv 1511.05641)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import ge
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..models import base, context, msp
from ..models.mlcc import Mlcc
from ..models.msp import Msp

__all__ = ["contains", "copy_common", "obstacle", "widen", "widened"]

M = TypeVar("M", Mlcc, Msp)

#: Fields of a configuration that growth does not change: what a file holds, and its order.
EQUAL = "y_channels", "groups"


def widened(narrow: M, config: base.Config) -> M:
    """Return a network of `config`, wider or deeper, that computes the same function as `narrow`.

    Raises:
        ValueError: a field of `config` is below that of `narrow`; the message names it.
    """
    wide = type(narrow)(config)
    widen(wide, narrow)
    return wide


@torch.no_grad()
def widen(wide: M, narrow: M) -> None:
    """Make a network with random weights compute the function of a smaller one.

    New units keep random input weights, and get zero weights to the units that `narrow` has; so does new side
    information. New blocks and layers are the identity.

    Raises:
        ValueError: a field of the configuration of `wide` is below that of `narrow`; the message names it.
    """
    if found := obstacle(wide.config, narrow.config):
        raise ValueError(f"the network can't grow to this configuration: {found}")
    copy_common(wide, narrow)
    for (trunk, head), (_, old_head) in zip(_trunks(wide), _trunks(narrow)):
        for conv in (trunk.context, getattr(trunk, "fine_context", None)):
            if conv is not None:
                # Guesses that the smaller network did not have or, for part of a group only, did not use.
                conv.weight[trunk.width + old_head.guessed : trunk.width + head.guessed] = 0
    hyperprior: Any = getattr(wide, "hyperprior", None)
    if hyperprior is not None and narrow.hyperprior is None:
        for linear in (*hyperprior.chroma_priors, *hyperprior.luma_priors):
            linear.weight.zero_()


@torch.no_grad()
def copy_common(model: nn.Module, other: nn.Module) -> None:
    """Copy what two networks of different widths have in common; the other inputs of these units get zero weights.

    Ranges of activations are not copied: they are to be observed anew.
    """
    for name, old in other.named_parameters():
        _implant(model.get_parameter(name), old, _parts(model, name), _parts(other, name))
    for name, buffer in other.named_buffers():
        if not name.endswith((".limit", ".step")):
            model.get_buffer(name).copy_(buffer)


def contains(wide: base.Config, narrow: base.Config) -> bool:
    """Return whether `widen` can make a network of `wide` compute the function of one of `narrow`."""
    return obstacle(wide, narrow) is None


def obstacle(wide: base.Config, narrow: base.Config) -> str | None:
    """Return the field of `wide` that keeps `widen` from growing a network of `narrow` to it, None if there is none."""
    for name in (field.name for field in fields(narrow)):
        new, old = getattr(wide, name), getattr(narrow, name)
        if name in EQUAL:
            if new != old:
                return f"{name} {new} must be {old}, as in the smaller network"
        elif not (len(new) >= len(old) and all(map(ge, new, old)) if isinstance(old, tuple) else new >= old):
            return f"{name} {new} is smaller than {old}"
    return None


def _trunks(model: Mlcc | Msp) -> Iterator[tuple[Any, context.GroupHead]]:
    """Yield each trunk, and a head that follows it."""
    planes: Any = (
        [(model.prior.trunks, model.prior.head)]
        if isinstance(model, Msp)
        else [
            (model.chroma_trunks, model.chroma_heads[0]),
            (model.luma_trunks, model.luma_heads[0]),
        ]
    )
    return ((trunk, head) for trunks, head in planes for trunk in trunks)


def _parts(model: nn.Module, name: str) -> tuple[list[int], list[int]]:
    """Return the sizes of the parts of a parameter's outputs and of its inputs; each part grows at its end."""
    owner, _, layer = name.rpartition(".")[0].rpartition(".")
    module, weight = model.get_submodule(owner), model.get_parameter(name)
    outputs, inputs = [len(weight)], list(weight.shape[1:2])
    if isinstance(module, context.GroupHead) and layer == "context":
        outputs = [module.width] * len(module.groups)
    elif isinstance(module, context.Trunk) and layer == "film":
        outputs = [module.width] * 2
    elif isinstance(module, context.Trunk) and layer in ("context", "fine_context"):
        outputs = [module.width, module.skip]
        if isinstance(module, msp.Trunk):
            inputs = [inputs[0] // module.planes] * module.planes
    return outputs, inputs


def _implant(
    new: Tensor, old: Tensor, parts: tuple[list[int], list[int]], old_parts: tuple[list[int], list[int]]
) -> None:
    """Copy the weights (or the bias) of a layer into one of another width, part by part."""

    def columns(x: Tensor, inputs: list[int]) -> Sequence[Tensor]:
        return x.split(inputs, 1) if inputs else (x,)

    for target, source in zip(new.split(parts[0]), old.split(old_parts[0])):
        kept = target[: len(source)]
        kept.zero_()
        for part, old_part in zip(columns(kept, parts[1]), columns(source, old_parts[1])):
            common = tuple(slice(min(sizes)) for sizes in zip(part.shape, old_part.shape))
            part[common] = old_part[common]
