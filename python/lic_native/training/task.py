"""The part of a training that depends on its model."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..models.base import Model
from .data import Draws, Photographs

__all__ = ["Groups", "Task", "say"]

M = TypeVar("M", bound=Model)
#: Parameters, and their learning rates relative to the run's.
Groups = list[tuple[list[nn.Parameter], float]]


def say(**row: Any) -> None:
    """Print what happens in a run, as a line of JSON."""
    print(json.dumps(row), flush=True)


class Task(ABC, Generic[M]):
    """The part of a training that depends on its model. `loop.fit` makes the rest.

    name: stem of the exported file, from which `parts.load` knows the model, too.
    crop, crop_multiple: default side of crops in pixels, and what it must be a multiple of.
    rate: default peak learning rate.
    loss_name: what the number beside the loss is called in the learning curve.
    plotted: suffix of the columns of the learning curve that are drawn, and the label of their axis.
    ADAM: betas, epsilon and weight decay of the optimiser.
    BLOCKS: types of the residual blocks, which may compute in bfloat16 in training.
    """

    name: str
    crop: ClassVar[int]
    crop_multiple: ClassVar[int]
    rate: ClassVar[float]
    loss_name: ClassVar[str]
    plotted: ClassVar[tuple[str, str]]
    ADAM: ClassVar[dict[str, Any]]
    BLOCKS: ClassVar[tuple[type[nn.Module], ...]]

    def prepare(self, photographs: Photographs, batch: int, size: int) -> None:
        """Take a run's photographs, and make the held-out pictures of them and what the export measures."""
        self.photographs, self.batch_size, self.size = photographs, batch, size

    @abstractmethod
    def build(self, start: Path | str | None, generator: torch.Generator) -> M:
        """Return the model that a new run begins with. generator: of numbers on the photographs' device."""

    @abstractmethod
    def restore(self, saved: dict[str, Any]) -> tuple[M, M]:
        """Return the model and its average from a checkpoint, on the CPU."""

    @abstractmethod
    def groups(self, model: M) -> Groups:
        """Return all parameters, in groups that have a learning rate of their own."""

    def lower_precision(self, model: M) -> None:
        """Make the residual blocks of a model that is trained, not its average, compute in bfloat16.

        Only they can: what goes around them would lose 0.2 dB at quality 8, and guesses at means in bfloat16 teach the
        JPEG model a rounding that files don't have.
        """
        # Inside another autocast, as of `known_state`, a cache would keep the first copies of weights for a whole run.
        bf16 = torch.autocast(model.device.type, torch.bfloat16, cache_enabled=False)
        for block in (module for module in model.modules() if isinstance(module, self.BLOCKS)):
            block.forward = bf16(block.forward)

    def advance(self, progress: float, models: tuple[M, M]) -> bool:
        """Change model and average, or the loss, at a certain share of a run; return whether it did."""
        return False

    @abstractmethod
    def kind(self, choice: torch.Generator) -> Any:
        """Return the kind of the next batch, which is hashable: one shape, and one sequence of operations."""

    @abstractmethod
    def draws(self, device: torch.device) -> Draws:
        """Return places for the random numbers of a batch of any kind."""

    @abstractmethod
    def batch(self, kind: Any, draws: Draws) -> Any:
        """Return what `loss` takes of the photographs, without a wait for the device."""

    @abstractmethod
    def loss(self, model: M, kind: Any, batch: Any) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and the number that the learning curve shows, without a wait for the device."""

    @abstractmethod
    def validate(self, model: M) -> tuple[float, dict[str, float]]:
        """Return the score of held-out photographs, and columns for the learning curve."""

    @abstractmethod
    def exact(self, model: M) -> M:
        """Return the exact form of a model, on the CPU, so that it is the same wherever the model was trained."""
