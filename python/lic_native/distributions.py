"""Distributions of integers as values: what `encode` and `decode` are given for each element of a tensor.

Parameters broadcast against the symbols as arrays do in NumPy. They may be torch tensors on any device, NumPy arrays,
DLPack objects or numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from .arrays import ArrayLike, broadcast, in_order, to_numpy

_INDEXES = frozenset(map(np.dtype, ("uint8", "uint16", "int32")))


class Distribution:
    """Independent distributions for the elements of a tensor."""

    #: What the parameters broadcast to; symbols may have more dimensions, or other numbers where this has 1.
    shape: tuple[int, ...]

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        """The native distributions of symbols of this shape."""
        raise NotImplementedError

    def _item(self, i: int, dimensions: int) -> Distribution:
        """Those of item `i` along the first axis of a tensor of so many dimensions."""
        raise NotImplementedError


class Tables:
    """Integer CDFs, checked once: row `i` gives symbol `offsets[i] + j` the slots `cdf[i, j]..cdf[i, j + 1]` of `n`.

    The last of a row's `lengths[i]` boundaries is `n`, the same power of two up to 2^24 for all rows, and its last
    interval is the escape, for every symbol that has none of its own: so CompressAI's `_quantized_cdf`, `_cdf_length`
    and `_offset` are taken as they are. The coder's own precision is `n` = 2^15; other rows are converted with the
    least loss, the same way everywhere.

    Args:
        cdf: `[rows, width]` boundaries, any integer dtype; of row `i` the first `lengths[i]` count.
        lengths: `[rows]`, or None if all rows have `width` boundaries.
        offsets: `[rows]` first symbols, or None for 0.

    Raises:
        ValueError: says which row breaks which rule.

    Example:
        >>> tables = Tables([[0, 16384, 32767, 32768]], offsets=[-1])  # -1 and 0 half each, the rest escapes
        >>> data = encode(np.array([0, -1, 5]), tables[[0, 0, 0]])
        >>> decode(data, tables[[0, 0, 0]]).tolist()
        [0, -1, 5]
    """

    __slots__ = ("_native",)

    def __init__(self, cdf: ArrayLike, lengths: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        boundaries = _int32(cdf, "cdf")
        if boundaries.ndim != 2:
            raise ValueError(f"cdf of shape {boundaries.shape}, not [rows, width]")
        rows, width = boundaries.shape
        self._native = _native.Tables.from_cdf(
            boundaries,
            np.full(rows, width, np.int32) if lengths is None else _int32(lengths, "lengths"),
            np.zeros(rows, np.int32) if offsets is None else _int32(offsets, "offsets"),
        )

    @classmethod
    def _of(cls, native: _native.Tables) -> Tables:
        tables = cls.__new__(cls)
        tables._native = native
        return tables

    @classmethod
    def gaussian(cls, scales: Sequence[float] | NDArray[Any]) -> Tables:
        """A row for each standard deviation: normal distributions with mean 0, integrated over each integer's unit."""
        return cls._of(_native.Tables.gaussian([float(s) for s in scales]))

    @classmethod
    def laplace(cls, scales: Sequence[float] | NDArray[Any]) -> Tables:
        """A row for each scale: distributions with density proportional to exp(-|x| / scale), as `gaussian`."""
        return cls._of(_native.Tables.laplace([float(s) for s in scales]))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._native)

    def fingerprint(self) -> int:
        """A 64-bit hash of all rows, the same on every machine."""
        return self._native.fingerprint()

    def __getitem__(self, indexes: ArrayLike) -> Rows:
        """The distributions of elements that have these rows: integers of any shape."""
        return Rows(self, indexes)


class Rows(Distribution):
    """A row of `tables` for each element, by integer `indexes`; written `tables[indexes]`."""

    __slots__ = ("_indexes", "_native", "shape", "tables")

    def __init__(self, tables: Tables, indexes: ArrayLike) -> None:
        array, _ = to_numpy(indexes)
        if array.dtype not in _INDEXES:
            array = _int32(array, "indexes")
        self._indexes = in_order(array)
        self._native = _native.Model.rows(tables._native, self._indexes)
        self.shape = array.shape
        self.tables = tables

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self.shape == shape:
            return self._native
        return _native.Model.rows(self.tables._native, broadcast(self._indexes, shape, "indexes"))

    def _item(self, i: int, dimensions: int) -> Rows:
        return Rows(self.tables, _item(self._indexes, i, dimensions))


class LogisticPairs(Distribution):
    """Mixtures of two logistic distributions, int16 params `[..., 5]`: docs/format.md, section 4."""

    __slots__ = ("_native", "shape")

    def __init__(self, params: NDArray[np.int16]) -> None:
        self._native = _native.Model.mixtures(params)
        self.shape = params.shape[:-1]

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self.shape != shape:
            raise ValueError(f"params of {self.shape} elements for symbols of shape {shape}")
        return self._native


def _int32(given: ArrayLike, name: str) -> NDArray[np.int32]:
    array, _ = to_numpy(given)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if array.size and not (array.min() >= -(2**31) and array.max() < 2**31):
        raise ValueError(f"{name} must fit 32 bits: they are in {array.min()}..{array.max()}")
    return in_order(array.astype(np.int32, copy=False))


def _item(array: NDArray[Any], i: int, dimensions: int) -> NDArray[Any]:
    """What of a parameter belongs to item `i` along the first axis of a tensor that it broadcasts to."""
    if array.ndim < dimensions:
        return array
    item: NDArray[Any] = array[i if array.shape[0] > 1 else 0]
    return item
