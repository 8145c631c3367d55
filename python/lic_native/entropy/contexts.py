"""Contexts of symbols: elements of one context share what calibration learns (docs/calibration.md)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arguments import to_integer
from .arrays import ArrayLike, broadcast, to_int32, to_numpy

__all__ = ["MAX_CONTEXTS", "ONE", "Contexts", "along", "given", "to_axis"]

#: Contexts are below this.
MAX_CONTEXTS = 1 << 12


class Contexts(NamedTuple):
    """Element i of a group has the context `numbers[i // run % len(numbers)]`.

    numbers: uint16 `[n]` below `MAX_CONTEXTS`.
    """

    numbers: NDArray[np.uint16]
    run: int = 1


#: One context for all elements.
ONE = Contexts(np.zeros(1, np.uint16))


def to_axis(axis: int, shape: tuple[int, ...]) -> int:
    """Return an axis as a number from 0 on.

    Raises:
        TypeError: it is not an integer.
        IndexError: the shape does not have it.
    """
    axis = to_integer(axis, "axis")
    if not -len(shape) <= axis < len(shape):
        raise IndexError(f"axis {axis} is out of range for the shape {shape}")
    return axis % len(shape)


def along(axis: int, shape: tuple[int, ...]) -> Contexts:
    """Return the indices along an axis from 0 on as contexts. Raises ValueError if there are too many."""
    if shape[axis] > MAX_CONTEXTS:
        raise ValueError(f"axis {axis} has {shape[axis]} contexts, more than {MAX_CONTEXTS}: pass contexts")
    return Contexts(np.arange(max(shape[axis], 1), dtype=np.uint16), math.prod(shape[axis + 1 :]))


def given(contexts: ArrayLike, shape: tuple[int, ...]) -> Contexts:
    """Return contexts that the caller gives to symbols of this shape.

    Raises:
        TypeError: they are not integers.
        ValueError: one is below 0 or too large, or they do not broadcast to the shape.
    """
    array: NDArray[Any] = to_int32(to_numpy(contexts)[0], "contexts")
    if array.size and (array.min() < 0 or array.max() >= MAX_CONTEXTS):
        raise ValueError(f"contexts must be in 0..{MAX_CONTEXTS - 1}: they are in {array.min()}..{array.max()}")
    # They are repeated along the leading axes that they do not have.
    array = broadcast(array, shape[max(len(shape) - array.ndim, 0) :], "contexts").astype(np.uint16)
    return Contexts(array.reshape(-1)) if array.size else ONE
