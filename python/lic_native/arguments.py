"""Checks of arguments, the same for the whole package: an error names the argument and says what to pass."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    import mmap

    import torch

__all__ = [
    "Bytes",
    "Device",
    "check_choice",
    "check_instance",
    "to_bytes",
    "to_count",
    "to_device",
    "to_integer",
    "to_number",
]

#: Objects that hold bytes.
Bytes: TypeAlias = "bytes | bytearray | memoryview | mmap.mmap"
#: Where torch runs a model: "cpu", "cuda", "cuda:1" or a `torch.device`.
Device: TypeAlias = "str | torch.device | None"

T = TypeVar("T")

_DEVICE = re.compile(r"(cpu|cuda)(:\d+)?")


def to_bytes(given: Bytes, name: str = "data") -> bytes:
    """Return the bytes of a bytes-like object: bytes, bytearray, memoryview, mmap, or uint8 `[n]`.

    Raises:
        TypeError: it is anything else. `bytes()` would turn a number into zeros.
    """
    if isinstance(given, bytes):
        return given
    try:
        # A masked array's mask would be lost, and an image's shape.
        view = memoryview(given) if not hasattr(given, "mask") else None
    except (TypeError, ValueError, BufferError):
        view = None
    if view is None or view.ndim != 1 or view.format not in ("B", "b", "c"):
        kind = type(given).__name__
        advice = ""
        if isinstance(given, str | os.PathLike):
            advice = ": read the file first, pathlib.Path(path).read_bytes(), or call a function for files"
        raise TypeError(f"{name} must be a bytes-like object, not {kind}{advice}")
    return bytes(view)


def to_integer(given: int, name: str) -> int:
    """Return an integer. Raises TypeError for anything else, bool included."""
    try:
        integer = operator.index(given)
    except TypeError:
        integer = None
    if integer is None or isinstance(given, bool):
        raise TypeError(f"{name} must be an integer, not {type(given).__name__}")
    return integer


def to_count(given: int, name: str, least: int = 0) -> int:
    """Return an integer of `least` or more.

    Raises:
        TypeError: it is not an integer (bool is refused).
        ValueError: it is below `least`.
    """
    count = to_integer(given, name)
    if count < least:
        raise ValueError(f"{name} must be {least} or more, not {count}")
    return count


def to_number(given: float, name: str) -> float:
    """Return a real number as a float. Raises TypeError for anything else, bool included."""
    if not isinstance(given, Real) or isinstance(given, bool):
        raise TypeError(f"{name} must be a number, not {type(given).__name__}")
    return float(given)


def to_device(given: Device) -> str | None:
    """Return a device's name as torch has it ("cpu", "cuda" or "cuda:1"), or None for the default.

    This does not import torch, so a device that is returned may still be missing.

    Raises:
        TypeError: it is neither a string nor a `torch.device`.
        ValueError: models don't run on such a device.
    """
    if given is None:
        return None
    if not isinstance(given, str) and type(given).__module__ != "torch":
        raise TypeError(f"device must be a string or a torch.device, not {type(given).__name__}")
    name = str(given)
    if not _DEVICE.fullmatch(name):
        raise ValueError(f"unknown device {name!r}; choose from: cpu, cuda, cuda:N")
    return "cpu" if name.startswith("cpu") else name


def check_choice(given: str, choices: Iterable[str], name: str) -> None:
    """Raise TypeError unless it is a string, and ValueError, which lists the choices, unless it is one of them."""
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a string, not {type(given).__name__}")
    choices = list(choices)
    if given not in choices:
        raise ValueError(f"unknown {name} {given!r}; choose from: {', '.join(choices)}")


def check_instance(given: Any, kind: type[T], name: str) -> None:
    """Raise TypeError unless it is an instance of `kind`."""
    if not isinstance(given, kind):
        raise TypeError(f"{name} must be a lic_native.{kind.__name__}, not {type(given).__name__}")
