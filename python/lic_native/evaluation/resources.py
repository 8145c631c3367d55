"""What a call takes: time and memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["PROCESS", "Call", "observe", "start_peak", "status"]

T = TypeVar("T")
PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Call(Generic[T]):
    """What a call gave and took.

    seconds: on the wall clock.
    peak_bytes: the most memory that the process had at any time of the call, less what it had before; without a GPU's.
        None where the system doesn't tell.
    """

    result: T
    seconds: float
    peak_bytes: int | None


def observe(work: Callable[[], T]) -> Call[T]:
    before = start_peak()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    return Call(result, seconds, None if before is None else max(0, status("VmHWM") - before))


def start_peak() -> int | None:
    """Let the system note peaks from now on; the memory of the process now."""
    # Freed memory that the C library still holds would be used again unseen. Only glibc has a way to give it back.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text("5")
        return status("VmRSS")
    except (OSError, LookupError):
        return None


def status(name: str) -> int:
    """An amount of memory from Linux's account of this process, in bytes."""
    fields = dict(line.split(":", 1) for line in (PROCESS / "status").read_text().splitlines())
    return int(fields[name].split()[0]) * 1024
