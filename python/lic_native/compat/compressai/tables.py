"""Conversion of arguments: CDFs that a caller passes with every call become native tables, built once."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _native
from ...entropy.arrays import to_int32, to_numpy

__all__ = ["REMEMBERED", "int32", "native_tables"]

#: Sets of CDFs that are remembered: enough for a few models.
REMEMBERED = 8


def int32(name: str, values: Any) -> NDArray[np.int32]:
    """Return integers, a sequence, an array or a torch tensor on any device, as a C-contiguous array of their shape.

    Raises:
        TypeError: the values are not integers.
        ValueError: some values do not fit 32 bits.
    """
    return to_int32(np.asarray(_plain(name, values)), name)


def native_tables(cdfs: Any, sizes: Any, offsets: Any) -> _native.Tables:
    """Return CDFs in CompressAI's layout as native tables, built only if they are new.

    Values are compared, not identities, so a caller may write to its lists. That takes 20 to 80 µs for 200,000
    boundaries in an array, or in a list that was passed before; building takes a hundred times as long.

    Args:
        cdfs: integers `[rows, stride]`, or a list of rows of any length.
        sizes: number of boundaries of each row.
        offsets: the first symbol of each row.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: a row breaks a rule; the message names both.
    """
    values = [_plain("cdfs", cdfs), _plain("sizes", sizes), _plain("offsets", offsets)]
    with _lock:
        for index, known in enumerate(_known):
            if all(map(_equal, known.values, values)):
                _known.insert(0, _known.pop(index))
                if isinstance(cdfs, list) and known.source is not cdfs:
                    known.remember(cdfs, values)
                return known.tables
    known = _Known(_build(*values))
    known.remember(cdfs, values)
    with _lock:
        _known.insert(0, known)
        del _known[REMEMBERED:]
    return known.tables


class _Known:
    """Tables and the values they were built from.

    Equal lists compare quickly only if they hold the same integer objects, so the latest list is copied.
    """

    values: list[Any]
    source: Any

    def __init__(self, tables: _native.Tables) -> None:
        self.tables = tables

    def remember(self, source: Any, values: list[Any]) -> None:
        self.values = [[copy(row) for row in v] if isinstance(v, list) else np.array(v) for v in values]
        self.source = source if isinstance(source, list) else None


_known: list[_Known] = []
_lock = Lock()


def _plain(name: str, values: Any) -> Any:
    """Return an array for an array or tensor, and for any other sequence a list of plain elements."""
    if hasattr(values, "__array__"):
        return to_numpy(values)[0]
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a list, an array or a tensor of integers, not {type(values).__name__}")
    return [item.tolist() if hasattr(item, "tolist") else item for item in values]


def _equal(known: Any, values: Any) -> bool:
    if isinstance(known, list) or isinstance(values, list):
        return type(known) is type(values) and bool(known == values)
    return np.array_equal(known, values)


def _build(cdfs: Any, sizes: Any, offsets: Any) -> _native.Tables:
    if isinstance(cdfs, list):
        rows = [int32("cdfs", row) for row in cdfs]
        padded = np.zeros((len(rows), max(map(len, rows), default=0)), np.int32)
        for target, row in zip(padded, rows):
            target[: len(row)] = row
    else:
        padded = int32("cdfs", cdfs)
    if padded.ndim != 2:
        raise ValueError(f"cdfs must have two dimensions, not {padded.ndim}")
    return _native.Tables.from_cdf(padded, int32("sizes", sizes).reshape(-1), int32("offsets", offsets).reshape(-1))
