"""Start a wide network from a trained narrow one: function-preserving growth, after Net2Net (arXiv 1511.05641)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..models.mlcc import Config, Head, Mlcc, Trunk


@torch.no_grad()
def grown(narrow: Mlcc, config: Config) -> Mlcc:
    """A network of `config` that computes what `narrow` does.

    New units have random weights from what feeds them and none to the units that were there; so has side information
    that `narrow` has not.

    Raises:
        ValueError: a width of `config` is below that of `narrow`.
    """
    if config.hyper < narrow.config.hyper:
        raise ValueError(f"{config.hyper} channels of side information are less than {narrow.config.hyper}")
    wide = Mlcc(narrow.sigma, config)
    for name, new in wide.named_parameters():
        if name.startswith("hyper.") and narrow.hyper is None:
            continue
        old = narrow.get_parameter(name)
        owner, layer, _ = name.rsplit(".", 2)
        parts, old_parts = (outputs(model.get_submodule(owner), layer) for model in (wide, narrow))
        implant(new, old, parts or [len(new)], old_parts or [len(old)])
    for trunk, old_trunk in zip(trunks(wide), trunks(narrow)):
        if trunk.context is not None:
            trunk.context.weight[trunk.width + old_trunk.skip :] = 0
    if wide.hyper is not None and narrow.hyper is None:
        for layer in (*wide.hyper.chroma_trunks, *wide.hyper.luma_trunks):
            layer.weight.zero_()
    return wide


def trunks(model: Mlcc) -> list[Trunk]:
    return [module for module in model.modules() if isinstance(module, Trunk)]


def outputs(module: nn.Module, layer: str) -> list[int] | None:
    """How the outputs of a layer of `module` are divided, where they are more than one thing."""
    if isinstance(module, Trunk):
        return {"context": [module.width, module.skip], "film": [module.width] * 2}.get(layer)
    if isinstance(module, Head) and layer == "state":
        return [module.hidden] * len(module.groups)
    return None


def implant(new: Tensor, old: Tensor, parts: list[int], before: list[int]) -> None:
    """Put the weights (or the bias) of a narrow layer into those of a wide one; their outputs are divided in parts."""
    if any(n < o for n, o in zip(new.shape, old.shape)):
        raise ValueError(f"a layer of {tuple(old.shape)} does not fit in one of {tuple(new.shape)}")
    for target, source in zip(new.split(parts), old.split(before)):
        kept = target[: len(source)]
        kept.zero_()
        kept[tuple(slice(n) for n in source.shape)] = source
