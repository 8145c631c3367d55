"""Begin a wide network as the function of a trained narrow one, after Net2Net (Chen et al. 2016, arXiv 1511.05641)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..models import context, mlcc, msp
from ..models.mlcc import Mlcc

__all__ = ["contains", "implant", "outputs", "trunks", "widen", "widened"]


@torch.no_grad()
def widened(narrow: Mlcc, config: mlcc.Config) -> Mlcc:
    """Return a network of `config` that computes the same function as `narrow`.

    New units get random input weights, and zero weights to the units that `narrow` has; so does new side information.

    Raises:
        ValueError: a width of `config` is below that of `narrow`.
    """
    if config.z_channels < narrow.config.z_channels:
        raise ValueError(f"{config.z_channels} channels of side information are less than {narrow.config.z_channels}")
    wide = Mlcc(config, narrow.sigma)
    widen(wide, narrow)
    for trunk, old_trunk in zip(trunks(wide), trunks(narrow)):
        if trunk.context is not None:
            trunk.context.weight[trunk.width + old_trunk.skip :] = 0
    if wide.hyperprior is not None and narrow.hyperprior is None:
        for layer in (*wide.hyperprior.chroma_priors, *wide.hyperprior.luma_priors):
            layer.weight.zero_()
    return wide


@torch.no_grad()
def widen(wide: nn.Module, narrow: nn.Module) -> None:
    """Copy the weights of a network into one that has all its layers, as wide or wider.

    Raises:
        AttributeError: a layer of `narrow` is not in `wide`.
        ValueError: a layer of `narrow` is wider.
    """
    for name, old in narrow.named_parameters():
        owner, _, layer = name.rpartition(".")[0].rpartition(".")
        new = wide.get_parameter(name)
        parts, old_parts = (outputs(model.get_submodule(owner), layer) for model in (wide, narrow))
        implant(new, old, parts or [len(new)], old_parts or [len(old)])


def contains(wide: msp.Config, narrow: msp.Config) -> bool:
    """Return whether `widen` can make a codec of `wide` compute the function of one of `narrow`."""
    equal = "y_channels", "groups", "embedding_width", "skip_channels"
    wider = "transform_width", "g_a_blocks", "g_s_blocks", "trunk_width", "head_width"
    return all(getattr(wide, name) == getattr(narrow, name) for name in equal) and all(
        getattr(wide, name) >= getattr(narrow, name) for name in wider
    )


def trunks(model: Mlcc) -> list[mlcc.Trunk]:
    return [module for module in model.modules() if isinstance(module, mlcc.Trunk)]


def outputs(module: nn.Module, layer: str) -> list[int] | None:
    """Return the sizes of the parts of a layer's outputs, or None if they are one part."""
    if isinstance(module, context.Trunk):
        guessed = [module.width, module.skip]
        return {"context": guessed, "fine_context": guessed, "film": [module.width] * 2}.get(layer)
    if isinstance(module, context.GroupHead) and layer == "context":
        return [module.width] * len(module.groups)
    return None


def implant(new: Tensor, old: Tensor, parts: list[int], before: list[int]) -> None:
    """Copy the weights (or the bias) of a narrow layer into a wide one, part by part of their outputs."""
    if any(n < o for n, o in zip(new.shape, old.shape)):
        raise ValueError(f"a layer of {tuple(old.shape)} does not fit in one of {tuple(new.shape)}")
    for target, source in zip(new.split(parts), old.split(before)):
        kept = target[: len(source)]
        kept.zero_()
        kept[tuple(slice(n) for n in source.shape)] = source
