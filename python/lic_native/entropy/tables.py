"""Tables of integer CDFs, and distributions that take a row of a table for each element."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from .arrays import ArrayLike, batch_item, broadcast, in_order, like, on_device, to_floats, to_int32, to_numpy
from .base import Distribution, equal
from .contexts import MAX_CONTEXTS, ONE, Contexts

if TYPE_CHECKING:
    import torch

    from ..cuda import messages

__all__ = ["Rows", "Tables"]

_INDEXES = frozenset(map(np.dtype, ("uint8", "uint16", "int32", "int64")))
#: Dtypes of indexes on a device.
_ON_DEVICE = frozenset(("int8", "uint8", "int16", "int32", "int64"))


class Tables:
    """Integer CDFs, checked once: row `i` gives symbol `offsets[i] + j` the slots `cdf[i, j]..cdf[i, j + 1]` of `n`.

    The last boundary of each row is `n`, a power of two up to 2^24 that all rows share. The last interval of a row is
    the escape, which codes every symbol without an interval of its own. CompressAI's `_quantized_cdf`, `_cdf_length`
    and `_offset` have this layout. The coder's precision is `n` = 2^15; rows of another precision are converted with
    the least loss, in the same way on every machine.

    Tables never change. `tables[indexes]` is the distribution of elements that have these rows, `len(tables)` is the
    number of rows, and iteration yields the distribution of each row. Two tables are equal if they have the same rows
    and the same scales for `indexes`. Tables can be pickled; a copy is the same object.

    Args:
        cdf: `[rows, width]` boundaries, any integer dtype. Row `i` uses its first `lengths[i]` values.
        lengths: `[rows]` numbers of boundaries, or None if all rows have `width` boundaries.
        offsets: `[rows]` first symbols, or None for 0.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: a row breaks a rule; the message names both.

    Example:
        >>> tables = Tables([[0, 16384, 32767, 32768]], offsets=[-1])  # -1 and 0 half each, the rest escapes
        >>> data = encode(np.array([0, -1, 5]), tables[[0, 0, 0]])
        >>> decode(data, tables[[0, 0, 0]]).tolist()
        [0, -1, 5]
    """

    __slots__ = ("_native", "_scales", "_thresholds")
    _scales: NDArray[np.float64] | None
    _thresholds: NDArray[np.float32] | None

    def __init__(self, cdf: ArrayLike, lengths: ArrayLike | None = None, offsets: ArrayLike | None = None) -> None:
        boundaries = to_int32(to_numpy(cdf)[0], "cdf")
        if boundaries.ndim != 2:
            raise ValueError(f"cdf of shape {boundaries.shape}, not [rows, width]")
        rows, width = boundaries.shape
        self._native = _native.Tables.from_cdf(
            boundaries, _row_integers(rows, lengths, width, "lengths"), _row_integers(rows, offsets, 0, "offsets")
        )
        self._scales = self._thresholds = None

    @classmethod
    def _of(cls, native: _native.Tables, scales: NDArray[np.float64] | None = None) -> Tables:
        tables = cls.__new__(cls)
        tables._native, tables._scales, tables._thresholds = native, scales, None
        if scales is not None and (np.diff(scales) > 0).all():
            tables._thresholds = np.sqrt(scales[:-1] * scales[1:]).astype(np.float32)
        return tables

    @classmethod
    def _of_scales(cls, build: Callable[[list[float]], _native.Tables], scales: ArrayLike) -> Tables:
        """Return tables with a row for each of `[rows]` scales."""
        array, _ = to_numpy(list(scales) if isinstance(scales, Iterator) else scales)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"scales must be numbers, not {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"scales of shape {array.shape}, not [rows]")
        array = array.astype(np.float64)
        return cls._of(build(array.tolist()), array)

    @classmethod
    def gaussian(cls, scales: ArrayLike) -> Tables:
        """Return a row for each standard deviation: a normal distribution of mean 0, integrated over each integer.

        Args:
            scales: `[rows]` numbers from 0.01 to 512, at most 65536 rows. `indexes` needs them in increasing order.

        Raises:
            TypeError: the scales are not numbers.
            ValueError: a scale is out of range, or the scales do not have one dimension.
        """
        return cls._of_scales(_native.Tables.gaussian, scales)

    @classmethod
    def logistic(cls, scales: ArrayLike) -> Tables:
        """Return a row for each scale: distributions with the cumulative distribution 1 / (1 + exp(-x / scale)).

        Scales and errors are as for `gaussian`.
        """
        return cls._of_scales(_native.Tables.logistic, scales)

    @classmethod
    def laplace(cls, scales: ArrayLike) -> Tables:
        """Return a row for each scale: distributions with density proportional to exp(-|x| / scale).

        Scales and errors are as for `gaussian`.
        """
        return cls._of_scales(_native.Tables.laplace, scales)

    @classmethod
    def from_pmf(cls, pmf: ArrayLike, offsets: ArrayLike | None = None) -> Tables:
        """Return a row for each list of probabilities.

        The escape and every symbol, even one of probability 0, keep one slot.

        Args:
            pmf: `[rows, n]` probabilities or counts. A row need not sum to 1.
            offsets: `[rows]` integers, the first symbol of each row, or None for 0.

        Raises:
            TypeError: an argument does not hold numbers.
            ValueError: a row has negative numbers, only zeros, or more than 2^15 - 1 numbers.
        """
        (array,) = to_floats(pmf=pmf)
        if array.ndim != 2:
            raise ValueError(f"pmf of shape {array.shape}, not [rows, n]")
        firsts = _row_integers(len(array), offsets, 0, "offsets")
        return cls._of(_native.Tables.from_pmf(array.astype(np.float64, copy=False), firsts))

    def __len__(self) -> int:
        return len(self._native)

    def __iter__(self) -> Iterator[Rows]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tables):
            return NotImplemented
        return self.fingerprint() == other.fingerprint() and equal(self._scales, other._scales)

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    def __repr__(self) -> str:
        rows = "1 row" if len(self) == 1 else f"{len(self)} rows"
        if self._scales is None or not len(self):
            return f"Tables({rows})"
        low, high = self._scales.min(), self._scales.max()
        return f"Tables({rows}, scale{'' if low == high else 's'} {low:g}{'' if low == high else f' to {high:g}'})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._of, (self._native, self._scales)

    def __copy__(self) -> Tables:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tables:
        return self

    def fingerprint(self) -> int:
        """Return a 64-bit hash of all rows, the same on every machine."""
        return self._native.fingerprint()

    def indexes(self, scale: ArrayLike) -> Any:
        """Return for each element the row whose scale is nearest by ratio.

        Scales are only compared with constants (geometric means of neighbouring scales, rounded to float32), so equal
        scales give equal rows on every device.

        Args:
            scale: positive finite floats or integers of any shape. Float64 is rounded to float32 first.

        Returns:
            An array, or a tensor on the device of `scale`, of its shape: uint8, or int32 for more than 256 rows.

        Raises:
            TypeError: `scale` does not hold numbers.
            ValueError: an element of `scale` is NaN, infinite, 0 or negative (the message names the first), or the
                tables have no scales in increasing order: see `gaussian`.

        Example:
            >>> Tables.gaussian([0.5, 1, 2]).indexes(np.array([0.01, 0.8, 1.3, 1.5, 99.0]))
            array([0, 1, 1, 2, 2], dtype=uint8)
        """
        if self._thresholds is None or not len(self):
            raise ValueError("the rows of these tables have no scales in increasing order")
        dtype = "uint8" if len(self) <= 256 else "int32"
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(scale, torch.Tensor):
            scale = scale.detach()
            if scale.dtype == torch.bool or scale.is_complex():
                raise TypeError(f"scale must be numbers, not {scale.dtype}")
            single = scale.float()
            if scale.numel():
                # Float64 values may become 0 or infinite in float32. One tensor of both ends needs one GPU transfer.
                ends = torch.aminmax(scale if scale.dtype == torch.float64 else single)
                if not _positive(*torch.stack(ends).tolist()):
                    _refuse_scale(scale.cpu().double().numpy())
            thresholds = torch.from_numpy(self._thresholds).to(scale.device)
            return torch.bucketize(single, thresholds, right=True).to(getattr(torch, dtype))
        array = to_numpy(scale)[0]
        if array.dtype.kind not in "fiu":
            raise TypeError(f"scale must be numbers, not {array.dtype}")
        if array.size and not _positive(array.min(), array.max()):
            _refuse_scale(array)
        with np.errstate(over="ignore"):
            return np.searchsorted(self._thresholds, array.astype(np.float32), "right").astype(dtype)

    def __getitem__(self, indexes: ArrayLike) -> Rows:
        """Return the distributions of elements that have these rows.

        Args:
            indexes: integers of any shape, from 0 on; uint8 is fastest.

        Raises:
            TypeError: the indexes are not integers.
            IndexError: there is no row of a single index. (Arrays are checked when they are coded. A ValueError then
                names the first index without a row.)
        """
        if (isinstance(indexes, int) or getattr(indexes, "shape", None) == ()) and not 0 <= int(indexes) < len(self):
            raise IndexError(f"there is no row {int(indexes)}: the tables have {len(self)} rows, from 0 on")
        return Rows(self, indexes)


class Rows(Distribution):
    """The distributions `tables[indexes]`: a row of `tables` for each element."""

    __slots__ = ("_host", "_native", "_tensor", "shape", "tables")

    def __init__(self, tables: Tables, indexes: ArrayLike) -> None:
        self.tables = tables
        # What is on a device stays there until it is needed elsewhere.
        self._tensor = on_device(indexes)
        if self._tensor is not None and str(self._tensor.dtype).removeprefix("torch.") not in _ON_DEVICE:
            self._tensor = None
        self._host = _to_indexes(indexes) if self._tensor is None else None
        self._native = None if self._host is None else _native.Model.rows(tables._native, self._host)
        self.shape = tuple((indexes if self._host is None else self._host).shape)

    @property
    def _indexes(self) -> NDArray[Any]:
        return _to_indexes(self._tensor) if self._host is None else self._host

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self.shape == shape and self._native is not None:
            return self._native
        return _native.Model.rows(self.tables._native, broadcast(self._indexes, shape, "indexes"))

    def _device_model(self, shape: tuple[int, ...], device: torch.device) -> messages.Rows | None:
        tensor = self._tensor
        if self._host is not None and not self._host.ndim:
            tensor = like(self._host.astype(np.int64), True).to(device)
        if tensor is None or tensor.device != device:
            return None
        from ..cuda import messages

        flat = messages.flat(tensor, shape)
        # Shapes that do not broadcast are reported where arrays are.
        return None if flat is None else messages.Rows(self.tables._native, flat)

    def _on_host(self) -> Rows:
        return self if self._tensor is None else Rows(self.tables, self._indexes)

    def _contexts(self, shape: tuple[int, ...]) -> Contexts:
        """Return the rows as contexts; neighbouring ones share a context where there are too many."""
        rows = broadcast(self._indexes, shape, "indexes").reshape(-1)
        if len(self.tables) > MAX_CONTEXTS:
            rows = rows.astype(np.int64) * MAX_CONTEXTS // len(self.tables)
        if rows.dtype != np.uint8:
            # What is no row is reported when it is coded.
            rows = rows.clip(0, MAX_CONTEXTS - 1)
        return Contexts(rows.astype(np.uint16)) if rows.size else ONE

    def _item(self, i: int, dimensions: int) -> Rows:
        return Rows(self.tables, batch_item(self._indexes, i, dimensions))

    def _parameters(self) -> dict[str, Any]:
        return {"tables": self.tables, "indexes": self._indexes}


def _to_indexes(indexes: ArrayLike) -> NDArray[Any]:
    """Return indexes in the form that the coder takes. Raises TypeError if they are not integers."""
    array, _ = to_numpy(indexes)
    return in_order(array if array.dtype in _INDEXES else to_int32(array, "indexes"))


def _row_integers(rows: int, values: ArrayLike | None, default: int, name: str) -> NDArray[np.int32]:
    """Return an integer for each row: its value, or the default if there are no values."""
    array = np.full(rows, default, np.int32) if values is None else to_int32(to_numpy(values)[0], name)
    if array.shape != (rows,):
        raise ValueError(f"{name} of shape {array.shape} for {rows} rows")
    return array


def _positive(low: float, high: float) -> bool:
    """Return whether all numbers from `low` to `high` are positive and finite; false for NaN."""
    return low > 0 and high < math.inf


def _refuse_scale(scale: NDArray[Any]) -> None:
    """Raise ValueError that names the first scale that is not positive and finite."""
    first = int(np.argmin((scale > 0) & (scale < math.inf)))
    raise ValueError(f"scale {scale.flat[first]} of element {first} is not positive and finite")
