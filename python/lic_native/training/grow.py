"""Start a wide network from a narrow one that is trained: growth as in Net2Net (arXiv 1511.05641)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..models.mlcc import Config, Head, Mlcc, Trunk


@torch.no_grad()
def grown(narrow: Mlcc, config: Config) -> Mlcc:
    """A network of `config` that computes what `narrow` does.

    New units have random weights from what feeds them and none to the units that were there.

    Raises:
        ValueError: a width of `config` is below that of `narrow`.
    """
    wide = Mlcc(narrow.sigma, config)
    for name, new in wide.named_parameters():
        old = narrow.get_parameter(name)
        owner, layer, _ = name.rsplit(".", 2)
        parts, old_parts = (outputs(model.get_submodule(owner), layer) for model in (wide, narrow))
        implant(new, old, parts or [len(new)], old_parts or [len(old)])
    for trunk, before in zip(trunks(wide), trunks(narrow)):
        if trunk.context is not None:
            trunk.context.weight[trunk.width + before.skip :] = 0
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
