"""The training loop: schedule, clipping, average, report, checkpoint, resuming and export, for every task."""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import CorruptError
from ..models import registry
from ..nn.ambient import known_state
from .data import Photographs
from .options import Options

__all__ = ["Crops", "Run", "Task", "fit", "plot", "read_checkpoint"]

#: Share of a run in which the learning rate rises.
WARM_UP = 0.01

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")


@dataclass(frozen=True)
class Crops:
    """Random crops of the photographs, and the generator that everything random of a step is drawn from."""

    photographs: Photographs
    batch: int
    size: int
    generator: torch.Generator

    def draw(self, count: int | None = None, generator: torch.Generator | None = None, alter: bool = True) -> Tensor:
        """Return crops, uint8 `[count, size, size, 3]`; by default a batch of the run's own sequence."""
        return self.photographs.crops(count or self.batch, self.size, generator or self.generator, alter)


class Task(ABC, Generic[M]):
    """The part of a training that depends on its model. `fit` makes the rest.

    name: stem of the exported file.
    crop, crop_multiple: default side of crops in pixels, and what it must be a multiple of.
    rate: default peak learning rate.
    loss_name: what `loss` reports is called in the learning curve.
    plotted: suffix of the columns of the learning curve that are drawn, and the label of their axis.
    """

    name: str
    crop: ClassVar[int]
    crop_multiple: ClassVar[int]
    rate: ClassVar[float]
    loss_name: ClassVar[str]
    plotted: ClassVar[tuple[str, str]]

    @abstractmethod
    def prepare(self, crops: Crops) -> None:
        """Make the held-out pictures, and what the export measures, of a run's photographs."""

    @abstractmethod
    def build(self, crops: Crops, start: Path | str | None) -> M:
        """Return the model that a new run begins with."""

    @abstractmethod
    def restore(self, saved: dict[str, Any]) -> tuple[M, M]:
        """Return the model and its average from a checkpoint, on the CPU."""

    @abstractmethod
    def optimizer(self, model: M, rate: float) -> torch.optim.Optimizer:
        """Return an optimiser whose groups have their peak learning rates."""

    def advance(self, progress: float, models: tuple[M, M]) -> bool:
        """Change model and average at a certain share of a run; return whether it did."""
        return False

    @abstractmethod
    def loss(self, model: M, crops: Crops, progress: float, bf16: bool) -> tuple[Tensor, float]:
        """Return the loss of a batch and the number that the learning curve shows."""

    @abstractmethod
    def validate(self, model: M) -> tuple[float, dict[str, float]]:
        """Return the score of held-out photographs, and columns for the learning curve."""

    @abstractmethod
    def export(self, model: M, path: Path) -> None:
        """Write the exact form of a model; `model` does not change."""

    def finish(self, path: Path) -> None:
        """Print a last line about the exported file, after `validate`."""


@known_state(grad=True)
def fit(task: Task[M], options: Options) -> float:
    """Train until the run has had its minutes or steps, export the weights' average, and return its score.

    Raises:
        TypeError, ValueError, OSError: a run can't have such options; raised before anything is done.
        CorruptError: a photograph or the checkpoint can't be read.
    """
    options.check()
    size = options.checked_crop(task.crop, task.crop_multiple)
    rate = task.rate if options.rate is None else options.rate
    device = registry.present_device(options.device, "training")
    bf16 = torch.device(device).type == "cuda" if options.bf16 is None else options.bf16
    run = Run(options, device)
    generator = torch.Generator().manual_seed(torch.seed() % 2**63 if options.seed is None else options.seed)
    if options.seed is not None:
        torch.manual_seed(options.seed + run.clock["steps"])
    crops = Crops(Photographs(options.data, device, options.limit, size), options.batch, size, generator)
    if run.saved:
        model, average = (restored.to(device) for restored in run.restored(task.restore))
    else:
        model = task.build(crops, options.start).to(device)
        average = copy.deepcopy(model)
    average.requires_grad_(False)
    optimizer = task.optimizer(model, rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    if run.saved:
        optimizer.load_state_dict(run.saved["optimizer"])
        if options.seed is not None:
            generator.set_state(run.saved["generator"].cpu())
    task.prepare(crops)

    score: float | None = None
    losses: list[float] = []
    run.resume()
    while not run.over:
        for group, peak in zip(optimizer.param_groups, peaks):
            group["lr"] = peak * run.schedule()
        if task.advance(run.progress, (model, average)):
            run.resume()
        loss, shown = task.loss(model, crops, run.progress, bf16)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(shown)
        due = run.step(options.batch * size**2)
        update_ema(average, model, min(0.999, 1 - 1 / (run.clock["steps"] + 1)))
        if due:
            score, columns = task.validate(average)
            run.report({f"training_{task.loss_name}": round(sum(losses) / len(losses), 4), **columns})
            losses = []
            run.save(
                model=model.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
                config=vars(model.config),
            )
            plot(run.curve, *task.plotted)
            run.resume()
    if score is None:
        score = task.validate(average)[0]
    exported = run.out / f"{task.name}.weights"
    task.export(average, exported)
    task.finish(exported)
    return score


class Run:
    """A run in the folder `out`, which ends after `minutes` or `steps` over all calls.

    saved: contents of the last checkpoint; None for a new run.
    clock: elapsed seconds and steps so far, where on them the schedule starts and ends, megapixels seen.
    curve: path of the learning curve.
    """

    def __init__(self, options: Options, device: str) -> None:
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.curve = self.out / "curve.csv"
        self._checkpoint = self.out / "checkpoint.pt"
        self.saved = read_checkpoint(self._checkpoint, device) if self._checkpoint.exists() else None
        # The schedule starts and ends at numbers of this unit.
        self._unit, end = ("steps", options.steps) if options.minutes is None else ("elapsed", options.minutes * 60)
        self.clock: dict[str, Any] = {"elapsed": 0.0, "start": 0.0, "end": end, "steps": 0, "megapixels": 0.0}
        if self.saved:
            self.clock = self.saved["clock"]
            # A finished run, or one in the other unit, is restarted warm.
            if self.saved.get("unit") != self._unit or self.clock[self._unit] >= self.clock["end"]:
                self.clock["start"] = self.clock[self._unit]
            self.clock["end"] = end
        self._report_seconds = options.report_minutes * 60
        self._next_report = self._last = 0.0
        self.resume()

    def restored(self, restore: Callable[[dict[str, Any]], T]) -> T:
        """Return the result of `restore` for the last checkpoint.

        Raises:
            CorruptError: the checkpoint is of another model, or of a release with other names.
        """
        try:
            return restore(self.saved or {})
        except (KeyError, TypeError, RuntimeError) as error:
            text = f"{self._checkpoint} is of another model or an earlier release: start a new run in another folder"
            raise CorruptError(text) from error

    @property
    def over(self) -> bool:
        return bool(self.clock[self._unit] >= self.clock["end"])

    @property
    def progress(self) -> float:
        """Share of the schedule that is done."""
        start, end = self.clock["start"], self.clock["end"]
        return float(min(1.0, (self.clock[self._unit] - start) / (end - start)))

    def schedule(self) -> float:
        """Return the learning rate as a share of its peak: a short rise, then a cosine to zero."""
        progress = self.progress
        return min(1, progress / WARM_UP + 1e-3) * (1 + math.cos(math.pi * progress)) / 2

    def step(self, pixels: int) -> bool:
        """Count a step; return whether a report is due."""
        self.clock["steps"] += 1
        self.clock["megapixels"] += pixels / 1e6
        now = time.monotonic()
        self.clock["elapsed"] += now - self._last
        self._last = now
        return self.over or bool(self.clock["elapsed"] >= self._next_report)

    def resume(self) -> None:
        """Restart the clock: the time of reports does not count."""
        self._next_report = self.clock["elapsed"] + self._report_seconds
        self._last = time.monotonic()

    def save(self, **state: Any) -> None:
        """Write the checkpoint, whole or not at all."""
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save({**state, "clock": self.clock, "unit": self._unit}, temporary)
        temporary.replace(self._checkpoint)

    def report(self, measured: dict[str, float]) -> None:
        """Add a row to the learning curve, and print it."""
        row = {
            "minutes": round(self.clock["elapsed"] / 60, 2),
            "steps": self.clock["steps"],
            "megapixels": round(self.clock["megapixels"], 1),
            **measured,
        }
        fresh = not self.curve.exists()
        with self.curve.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(json.dumps(row), flush=True)


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """Return the contents of a checkpoint. Raises CorruptError, which names it, if it can't be read."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever torch raises for a damaged file
        raise CorruptError(f"{path} can't be read: {str(error).splitlines()[0]}") from error
    return saved


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Update the exponential moving average of the parameters."""
    for mean, value in zip(average.parameters(), model.parameters()):
        mean.lerp_(value, 1 - decay)


def plot(curve: Path, suffix: str, ylabel: str) -> None:
    """Draw the columns of a learning curve that end in `suffix` over its steps, as a PNG file next to it.

    Draws nothing without matplotlib.
    """
    try:
        figure = import_module("matplotlib.figure").Figure((7, 4), layout="constrained")
    except ImportError:
        return
    with curve.open(newline="") as file:
        rows = list(csv.DictReader(file))
    axes = figure.subplots()
    for name in (name for name in rows[0] if name.endswith(suffix)):
        points = [(int(row["steps"]), float(row[name])) for row in rows if row[name]]
        axes.plot(*zip(*points), marker=".", label="quality " + name[1:].partition("_")[0])
    axes.set(xlabel="steps", ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(curve.with_suffix(".png"), dpi=120)
