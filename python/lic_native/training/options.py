"""Options of a training, written once for functions and commands; without torch."""

from __future__ import annotations

import errno
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from ..arguments import Device, to_count, to_number

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Options that every training takes; each is described by its annotation.

    A run lives in the folder `out`, and calls on the same folder continue it from its last checkpoint. The learning
    rate falls as a cosine to zero at the run's end; raising `minutes` or `steps` of a finished run restarts it warm.
    Runs of equal `seed` and `steps` see the same crops and end with the same weights. A run of `seconds` is one call,
    for a machine that is there for so long: all that it does is within them, and it leaves `average-*.pt`, from which
    `export_run` makes the exported weights.

    began: when the seconds began, as `time.monotonic` has it.
    """

    data: Annotated[Path | str, "Folder of photographs, plain or in .tar shards."]
    out: Annotated[Path | str, "Folder of the run: checkpoint, learning curve, weights."]
    minutes: Annotated[float | None, "Training time of the run, over all calls."] = None
    steps: Annotated[int | None, "Length of the run in steps instead, for fair comparisons."] = None
    seconds: Annotated[float | None, "Seconds for all of a single call instead, loading and validations included."] = (
        None
    )
    batch: Annotated[int, "Crops in a step."] = 8
    crop: Annotated[int | None, "Pixels on a crop's sides; by default 256 for jpeg, 128 for image."] = None
    rate: Annotated[float | None, "Peak learning rate; by default 2e-3 for jpeg, 4e-4 for image."] = None
    device: Annotated[Device, "Where torch runs: cpu or cuda; by default cuda if there is one."] = None
    limit: Annotated[int | None, "Read at most this many images."] = None
    start: Annotated[Path | str | None, "Exported weights, or another run's folder, that a new run begins with."] = None
    bf16: Annotated[bool | None, "Residual blocks in bfloat16; by default on cuda."] = None
    seed: Annotated[int | None, "Runs of equal seed see the same crops."] = None
    report_minutes: Annotated[float, "Minutes between validations, each of which writes a checkpoint."] = 5.0
    began: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def check(self) -> None:
        """Raise TypeError, ValueError or FileNotFoundError for options that no training can begin with."""
        if not Path(self.data).is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder of photographs", str(self.data))
        if self.start is not None and not Path(self.start).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.start))
        if [self.minutes, self.steps, self.seconds].count(None) != 2:
            raise ValueError("a run ends after minutes, after steps or after seconds: give one of them")
        for name in ("minutes", "seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < to_number(value, name) < math.inf:
                raise ValueError(f"{name} must be more than 0, not {value:g}")
        for name in ("steps", "batch", "limit"):
            if getattr(self, name) is not None:
                to_count(getattr(self, name), name, 1)
        if self.rate is not None and not 0 <= to_number(self.rate, "rate") < math.inf:
            raise ValueError(f"rate must be 0 or more, not {self.rate:g}")
        if not to_number(self.report_minutes, "report_minutes") >= 0:
            raise ValueError(f"report_minutes must be 0 or more, not {self.report_minutes:g}")

    def checked_crop(self, default: int, multiple: int) -> int:
        """Return the crop's side in pixels. Raises TypeError or ValueError unless it is a multiple of `multiple`."""
        crop = default if self.crop is None else to_count(self.crop, "crop", multiple)
        if crop % multiple:
            raise ValueError(f"crop must be a multiple of {multiple} pixels, not {crop}")
        return crop
