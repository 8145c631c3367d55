"""The training loop: schedule, guard, average, report, checkpoint, resuming and export, for every task and device."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..errors import CorruptError
from ..models import registry
from ..models.base import Model
from ..nn.ambient import known_state
from ..suffixes import WEIGHTS_SUFFIX
from . import parts
from .data import Photographs
from .options import Options
from .step import Guard, Step
from .task import Task, say

__all__ = ["Run", "export", "fit", "plot"]

#: Share of a run in which the learning rate rises.
WARM_UP = 0.05
#: The average's decay, in the end and after `step` steps: a window of the last tenth of them, at first.
DECAY = 0.999
#: Seconds that a run of `seconds` keeps for its last steps and for the end of the process.
SPARE = 2.0
#: Steps between looks at the loss on CUDA, each of which waits for the device. A CPU has nothing to wait for.
LOOK = 16

M = TypeVar("M", bound=Model)
T = TypeVar("T")


@known_state(grad=True)
def fit(task: Task[M], options: Options) -> float:
    """Train until the run has had its time or steps, export the weights' average, and return its score.

    A run of `seconds` leaves the average in parts (`parts.save`) and no export, which `export` makes elsewhere.

    Raises:
        TypeError, ValueError, OSError: a run can't have such options; raised before anything is done.
        CorruptError: a photograph or the checkpoint can't be read.
    """
    options.check()
    size = options.checked_crop(task.crop, task.crop_multiple)
    device = torch.device(registry.present_device(options.device, "training"))
    on_cuda = device.type == "cuda"
    run = Run(options, str(device))
    seed = torch.seed() % 2**63 if options.seed is None else options.seed
    if options.seed is not None:
        torch.manual_seed(options.seed + run.clock["steps"])
    # Kinds of batches are chosen on the host, all other numbers are drawn on the device.
    choice, numbers = (torch.Generator(where).manual_seed(seed) for where in ("cpu", device))
    # Graphs are captured on a stream of their own, and all work on it needs no waiting for others.
    with torch.cuda.stream(torch.cuda.Stream(device)) if on_cuda else nullcontext():
        task.prepare(Photographs(options.data, device, options.limit, size), options.batch, size)
        if run.saved:
            model, average = (restored.to(device) for restored in run.restored(task.restore))
        else:
            model = task.build(options.start, numbers).to(device)
            average = copy.deepcopy(model)
        average.requires_grad_(False)
        bf16 = on_cuda if options.bf16 is None else options.bf16
        if bf16:
            task.lower_precision(model)
        step = Step(task, model, average, numbers, task.rate if options.rate is None else options.rate)
        guard = Guard()
        if run.saved:
            run.restored(lambda saved: step.load(saved["optimizer"]))
            guard.factor = run.saved["factor"]
            if options.seed is not None:
                for generator, state in zip((choice, numbers), run.saved["generators"]):
                    generator.set_state(state.cpu())

        score: float | None = None

        def report() -> float:
            # First what must not be lost if the machine is gone before it has validated.
            parts.save(run.out, task.name, average, steps=run.clock["steps"], crop=size)
            score, columns = task.validate(average)
            run.report({f"training_{task.loss_name}": step.shown(), **columns})
            return score

        if options.seconds is not None:
            # What the run begins with; it also shows how long the last report will take.
            run.tick()
            score = report()
        run.resume()
        while not run.over:
            if task.advance(run.progress, (model, average)):
                step.release()
                guard.reset()
                run.resume()
            count = run.clock["steps"]
            step(task.kind(choice), guard.factor * run.schedule(), min(DECAY, 1 - 10 / (count + 10)))
            due = run.step(options.batch * size**2)
            if (due or not on_cuda or not count % LOOK) and guard.risen(step.look()):
                step.back()
                say(back_to_the_average=run.clock["steps"], factor=guard.factor)
            if due:
                score = report()
                run.save(
                    model=model.state_dict(),
                    average=average.state_dict(),
                    optimizer=step.optimizer.state_dict(),
                    factor=guard.factor,
                    generators=[choice.get_state(), numbers.get_state()],
                    config=vars(model.config),
                )
                plot(run.curve, *task.plotted)
                run.resume()
        if on_cuda:
            say(gibibytes=round(torch.cuda.max_memory_allocated(device) / 2**30, 1))
        if options.seconds is None:
            return export(task, average, run.out, score)
        return score or 0.0


@known_state()
def export(task: Task[M], model: M, out: Path, score: float | None = None) -> float:
    """Write the exact form of a trained model into the folder `out`, print what both score, and return the first.

    score: of the model as it is, where it is known.
    """
    if score is None:
        score = task.validate(model)[0]
    exact = task.exact(model)
    path = out / (task.name + WEIGHTS_SUFFIX)
    exact.save(path)
    loaded = type(exact).load(path, task.photographs.device)
    exactly, columns = task.validate(loaded)
    say(file=str(path), floats=round(score, 4), exact=round(exactly, 4), **columns)
    return score


class Run:
    """A run in the folder `out`, which ends after `minutes` or `steps` over all calls, or after `seconds` of one.

    saved: contents of the last checkpoint; None for a new run.
    clock: elapsed seconds and steps so far, where on them the schedule starts and ends, megapixels seen.
    curve: path of the learning curve.
    """

    def __init__(self, options: Options, device: str) -> None:
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.curve = self.out / "curve.csv"
        self._checkpoint = self.out / "checkpoint.pt"
        self._seconds, self._began = options.seconds, options.began
        fresh = self._seconds is not None or not self._checkpoint.exists()
        self.saved = None if fresh else parts.read_checkpoint(self._checkpoint, device)
        # The schedule starts and ends at numbers of this unit.
        self._unit, end = (
            ("elapsed", 60.0 * (options.minutes or 0)) if options.steps is None else ("steps", options.steps)
        )
        self.clock: dict[str, Any] = {"elapsed": 0.0, "start": 0.0, "end": end, "steps": 0, "megapixels": 0.0}
        if self.saved:
            self.clock = self.saved["clock"]
            # A finished run, or one in the other unit, is restarted warm.
            if self.saved.get("unit") != self._unit or self.clock[self._unit] >= self.clock["end"]:
                self.clock["start"] = self.clock[self._unit]
            self.clock["end"] = end
        self._report_seconds = options.report_minutes * 60
        self._next_report = self._slowest_report = 0.0
        self._last = self._began if self._seconds is not None else time.monotonic()

    def restored(self, restore: Callable[[dict[str, Any]], T]) -> T:
        """Return the result of `restore` for the last checkpoint.

        Raises:
            CorruptError: the checkpoint is of another model, or of a release with other names.
        """
        try:
            return restore(self.saved or {})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
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
        self.tick()
        return self.over or bool(self.clock["elapsed"] >= self._next_report)

    def tick(self) -> float:
        """Move the clock on, and return by how many seconds."""
        passed = time.monotonic() - self._last
        self.clock["elapsed"] += passed
        self._last += passed
        return passed

    def resume(self) -> None:
        """Go on after a report, whose time counts in a run of `seconds` alone; there the end is kept for another."""
        if self._seconds is None:
            self._last = time.monotonic()
        else:
            self._slowest_report = max(self._slowest_report, self.tick())
            self.clock["end"] = self._seconds - 1.5 * self._slowest_report - SPARE
            if not self.clock["steps"]:
                self.clock["start"] = self.clock["elapsed"]
        self._next_report = self.clock["elapsed"] + self._report_seconds

    def save(self, **state: Any) -> None:
        """Write the checkpoint, whole or not at all; a run of `seconds`, which nothing resumes, has none."""
        if self._seconds is not None:
            return
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save({**state, "clock": self.clock, "unit": self._unit}, temporary)
        temporary.replace(self._checkpoint)

    def report(self, measured: dict[str, float | None]) -> None:
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
        say(**row)


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
    names = [name for name in rows[0] if name.endswith(suffix)]
    if not names:
        return
    for name in names:
        points = [(int(row["steps"]), float(row[name])) for row in rows if row[name]]
        axes.plot(*zip(*points), marker=".", label="quality " + name[1:].partition("_")[0])
    axes.set(xlabel="steps", ylabel=ylabel)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(curve.with_suffix(".png"), dpi=120)
