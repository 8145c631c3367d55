"""A switch that makes CompressAI's models code with lic_native."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Use", "use"]


class Use:
    """The changes that `use` made; `undo`, or the end of a `with` block, takes them back."""

    def __init__(self, changes: list[tuple[torch.nn.Module, type]]) -> None:
        self._undone = [(module, module.__class__) for module, _ in changes]
        for module, ours in changes:
            module.__class__ = ours

    def undo(self) -> None:
        while self._undone:
            module, theirs = self._undone.pop()
            module.__class__ = theirs

    def __enter__(self) -> Use:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def use(model: torch.nn.Module) -> Use:
    """Make a CompressAI model code with lic_native until `undo`, or in a `with` block.

    Subclasses replace the classes of the model's modules; other models are not affected:

    - entropy models (`EntropyBottleneck`, `GaussianConditional` and their like) pass whole tensors to the coder;
    - methods that name a class of `compressai.ans`, as in autoregressive models, find ours instead (functions outside
      a class do not).

    Undo before pickling the model as a whole (a state dict does not change). `GaussianMixtureConditional`, which makes
    a CDF for every element, and the bottlenecks of `entropy_models_vbr` keep CompressAI's coder.

    Raises:
        ValueError: nothing in the model codes with CompressAI, or it is in use already.
        ImportError: compressai is not installed.
    """
    from .modules import coding_class

    changes = []
    for module in model.modules():
        theirs: Any = type(module)
        if (ours := coding_class(theirs)) is not theirs:
            changes.append((module, ours))
    if not changes:
        raise ValueError(f"nothing in {type(model).__name__} codes with CompressAI, or it is in use already")
    return Use(changes)
