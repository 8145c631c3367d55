"""The memory that this process takes, as Linux reports it."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

__all__ = ["PROCESS", "peak", "start_peak"]

PROCESS = Path("/proc/self")


def start_peak() -> int | None:
    """Make the system forget earlier peaks. Return the current memory in bytes, or None if that is not possible."""
    # The C library may reuse freed memory that it still holds, which would not show. Only glibc can give it back.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROCESS / "clear_refs").write_text("5")
        return _status("VmRSS")
    except (OSError, LookupError):
        return None


def peak() -> int:
    """Return the largest memory since `start_peak`, in bytes."""
    return _status("VmHWM")


def _status(name: str) -> int:
    fields = dict(line.split(":", 1) for line in (PROCESS / "status").read_text().splitlines())
    return int(fields[name].split()[0]) * 1024
