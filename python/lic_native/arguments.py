"""Checks of arguments for the whole package. An error names the argument and says what to pass."""

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
    "check_flag",
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


def to_bytes(value: Bytes, name: str = "data") -> bytes:
    """Return the bytes of a bytes-like object: bytes, bytearray, memoryview, mmap, or uint8 `[n]`.

    Raises:
        TypeError: `value` is another object. (`bytes()` would turn a number into zeros.)
    """
    if isinstance(value, bytes):
        return value
    try:
        # The mask of a masked array would be lost.
        view = memoryview(value) if not hasattr(value, "mask") else None
    except (TypeError, ValueError, BufferError):
        view = None
    if view is None or view.ndim != 1 or view.format not in ("B", "b", "c"):
        advice = ""
        if isinstance(value, str | os.PathLike):
            advice = ": read the file first, pathlib.Path(path).read_bytes(), or call a function for files"
        raise TypeError(f"{name} must be a bytes-like object, not {type(value).__name__}{advice}")
    return bytes(view)


def to_integer(value: int, name: str) -> int:
    """Return an integer. Raises TypeError for anything else, bool included."""
    try:
        integer = operator.index(value)
    except TypeError:
        integer = None
    if integer is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    return integer


def to_count(value: int, name: str, least: int = 0) -> int:
    """Return an integer of `least` or more.

    Raises:
        TypeError: `value` is not an integer, or is a bool.
        ValueError: `value` is below `least`.
    """
    count = to_integer(value, name)
    if count < least:
        raise ValueError(f"{name} must be {least} or more, not {count}")
    return count


def to_number(value: float, name: str) -> float:
    """Return a real number as a float. Raises TypeError for anything else, bool included."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return float(value)


def to_device(device: Device) -> str | None:
    """Return the name that torch uses for a device ("cpu", "cuda" or "cuda:1"), or None for the default.

    This does not import torch, so it does not check that the machine has the device.

    Raises:
        TypeError: `device` is neither a string nor a `torch.device`.
        ValueError: models do not run on this kind of device.
    """
    if device is None:
        return None
    if not isinstance(device, str) and type(device).__module__ != "torch":
        raise TypeError(f"device must be a string or a torch.device, not {type(device).__name__}")
    name = str(device)
    if not _DEVICE.fullmatch(name):
        raise ValueError(f"unknown device {name!r}; choose from: cpu, cuda, cuda:N")
    return "cpu" if name.startswith("cpu") else name


def check_choice(value: str, choices: Iterable[str], name: str) -> None:
    """Raise TypeError unless `value` is a string, and ValueError, which lists the choices, unless it is a choice."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from: {', '.join(choices)}")


def check_flag(value: bool, name: str) -> bool:
    """Return True or False. Raises TypeError for anything else."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {type(value).__name__}")
    return value


def check_instance(value: Any, kind: type[T], name: str) -> None:
    """Raise TypeError unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a lic_native.{kind.__name__}, not {type(value).__name__}")
