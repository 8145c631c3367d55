"""What every training shares: a folder with checkpoint and learning curve, a clock, the learning rate's schedule."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..arguments import to_count, to_number
from ..errors import CorruptError

__all__ = ["Run", "check_common", "follow", "loaded", "plot"]

#: The share of a run in which the learning rate rises.
WARM_UP = 0.01


class Run:
    """A run in the folder `out`, which ends after `minutes` or `steps` over all calls.

    saved: what the last checkpoint holds, None of a new run.
    clock: elapsed seconds and steps so far, where on them the schedule starts and ends, megapixels seen.

    Raises:
        TypeError, ValueError: neither or both of minutes and steps, or they are 0; a checkpoint that can't be read.
    """

    def __init__(
        self, out: str | Path, minutes: float | None, steps: int | None, report_minutes: float, device: str
    ) -> None:
        if (minutes is None) == (steps is None):
            raise ValueError("a run ends after minutes or after steps: say one of them")
        if minutes is not None and not 0 < to_number(minutes, "minutes") < math.inf:
            raise ValueError(f"minutes must be more than 0, not {minutes:g}")
        if steps is not None:
            to_count(steps, "steps", 1)
        if not to_number(report_minutes, "report_minutes") >= 0:
            raise ValueError(f"report_minutes must be 0 or more, not {report_minutes:g}")
        self.out = Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self._checkpoint = self.out / "checkpoint.pt"
        self.saved = loaded(self._checkpoint, device) if self._checkpoint.exists() else None
        # What a run's length is counted in, and where on it the learning rate's schedule starts and ends.
        self._unit, end = ("elapsed", minutes * 60) if minutes is not None else ("steps", steps)
        self.clock: dict[str, Any] = {"elapsed": 0.0, "start": 0.0, "end": end, "steps": 0, "megapixels": 0.0}
        if self.saved:
            self.clock = self.saved["clock"]
            # A finished run, or one that was counted otherwise, is warmly restarted.
            if self.saved.get("unit", "elapsed") != self._unit or self.clock[self._unit] >= self.clock["end"]:
                self.clock["start"] = self.clock[self._unit]
            self.clock["end"] = end
        self._report_seconds = report_minutes * 60
        self._next_report = self._last = 0.0
        self.resume()

    @property
    def over(self) -> bool:
        return bool(self.clock[self._unit] >= self.clock["end"])

    @property
    def progress(self) -> float:
        """What part of the schedule is done."""
        start, end = self.clock["start"], self.clock["end"]
        return float(min(1.0, (self.clock[self._unit] - start) / (end - start)))

    def schedule(self) -> float:
        """The learning rate as a share of its peak: a short rise, then a cosine to zero."""
        progress = self.progress
        return min(1, progress / WARM_UP + 1e-3) * (1 + math.cos(math.pi * progress)) / 2

    def step(self, pixels: int) -> bool:
        """Count a step; whether it is time for a report."""
        self.clock["steps"] += 1
        self.clock["megapixels"] += pixels / 1e6
        now = time.monotonic()
        self.clock["elapsed"] += now - self._last
        self._last = now
        return self.over or bool(self.clock["elapsed"] >= self._next_report)

    def resume(self) -> None:
        """Go on counting time, which reports don't take from a run."""
        self._next_report = self.clock["elapsed"] + self._report_seconds
        self._last = time.monotonic()

    def save(self, **state: Any) -> None:
        """Write the checkpoint: a run that is stopped goes on from there."""
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save({**state, "clock": self.clock, "unit": self._unit}, temporary)
        temporary.replace(self._checkpoint)

    def report(self, measured: dict[str, float]) -> None:
        """Add a row to the learning curve."""
        row = {
            "minutes": round(self.clock["elapsed"] / 60, 2),
            "steps": self.clock["steps"],
            "megapixels": round(self.clock["megapixels"], 1),
            **measured,
        }
        curve = self.out / "curve.csv"
        fresh = not curve.exists()
        with curve.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(json.dumps(row), flush=True)


def loaded(checkpoint: Path, device: str) -> dict[str, Any]:
    """Return what a checkpoint holds. Raises ValueError, which names it, if it can't be read."""
    try:
        saved: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    except Exception as error:  # whatever torch makes of a damaged file
        raise CorruptError(f"{checkpoint} can't be read: {str(error).splitlines()[0]}") from error
    return saved


def check_common(
    data: str | Path, *, batch: int, rate: float, limit: int | None, start: str | Path | None = None
) -> None:
    """Raise TypeError, ValueError or FileNotFoundError for what no training can begin with, before any has begun."""
    if not Path(data).is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder of photographs", str(data))
    if start is not None and not Path(start).is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(start))
    to_count(batch, "batch", 1)
    if limit is not None:
        to_count(limit, "limit", 1)
    if not 0 <= to_number(rate, "rate") < math.inf:
        raise ValueError(f"rate must be 0 or more, not {rate:g}")


def follow(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Exponential moving average of the parameters."""
    with torch.no_grad():
        pairs = zip(average.parameters(), model.parameters())
        for mean, value in pairs:
            mean.lerp_(value, 1 - decay)


def plot(curve: Path, suffix: str, ylabel: str) -> None:
    """The columns of a learning curve that end in `suffix`, over its steps, as a picture beside it.

    Nothing without matplotlib.
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
