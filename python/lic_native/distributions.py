"""Distributions of integers as values: what `encode` and `decode` are given for each element of a tensor.

Parameters broadcast against the symbols as arrays do in NumPy. They may be torch tensors on any device, NumPy arrays,
DLPack objects or numbers.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from .arrays import ArrayLike, broadcast, in_order, to_int32, to_numpy

_INDEXES = frozenset(map(np.dtype, ("uint8", "uint16", "int32", "int64")))


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

    __slots__ = ("_native", "_thresholds")
    _thresholds: NDArray[np.float32] | None

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
        self._thresholds = None

    @classmethod
    def _of(cls, native: _native.Tables, scales: list[float] | None = None) -> Tables:
        tables = cls.__new__(cls)
        tables._native = native
        middles = [math.sqrt(low * high) for low, high in itertools.pairwise(scales or [])]
        tables._thresholds = None if scales is None else np.array(middles, np.float32)
        return tables

    @classmethod
    def gaussian(cls, scales: Sequence[float] | NDArray[Any]) -> Tables:
        """A row for each standard deviation: normal distributions with mean 0, integrated over each integer's unit."""
        scales = [float(s) for s in scales]
        return cls._of(_native.Tables.gaussian(scales), scales)

    @classmethod
    def logistic(cls, scales: Sequence[float] | NDArray[Any]) -> Tables:
        """A row for each scale: distributions with the cumulative distribution 1 / (1 + exp(-x / scale))."""
        scales = [float(s) for s in scales]
        return cls._of(_native.Tables.logistic(scales), scales)

    @classmethod
    def laplace(cls, scales: Sequence[float] | NDArray[Any]) -> Tables:
        """A row for each scale: distributions with density proportional to exp(-|x| / scale), as `gaussian`."""
        scales = [float(s) for s in scales]
        return cls._of(_native.Tables.laplace(scales), scales)

    @classmethod
    def from_pmf(cls, pmf: ArrayLike, offsets: ArrayLike | None = None) -> Tables:
        """Rows of probabilities or counts `[rows, n]`, in any proportion; row `i` begins with symbol `offsets[i]` or 0.

        Even a symbol with none keeps the least slot, as does the escape.

        Raises:
            ValueError: a row has negative numbers, or none above 0, or more than 2^15 - 1 of them.
        """
        (array,) = _floats(pmf=pmf)
        if array.ndim != 2:
            raise ValueError(f"pmf of shape {array.shape}, not [rows, n]")
        firsts = np.zeros(len(array), np.int32) if offsets is None else _int32(offsets, "offsets")
        if len(firsts) != len(array):
            raise ValueError(f"{len(firsts)} offsets for {len(array)} rows")
        return cls._of(_native.Tables.from_pmf(array.tolist(), firsts.tolist()))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._native)

    def fingerprint(self) -> int:
        """A 64-bit hash of all rows, the same on every machine."""
        return self._native.fingerprint()

    def indexes(self, scale: ArrayLike) -> Any:
        """The row whose scale is nearest, by ratio, for each element: a tensor on the same device, or an array.

        The step from a model's scales to integers: comparisons with constants only (the float32 next to the geometric
        mean of neighbouring scales), so that equal scales give equal rows on every device.

        Args:
            scale: positive floats or integers of any shape. Float64 is rounded to float32 first.

        Raises:
            ValueError: the rows are not in increasing order of scale, or have none: see `gaussian`.

        Example:
            >>> Tables.gaussian([0.5, 1, 2]).indexes(np.array([0.01, 0.8, 1.3, 1.5, 99.0]))
            array([0, 1, 1, 2, 2], dtype=uint8)
        """
        if self._thresholds is None or (np.diff(self._thresholds) <= 0).any():
            raise ValueError("the rows of these tables have no scales in increasing order")
        dtype = "uint8" if len(self) <= 256 else "int32"
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(scale, torch.Tensor):
            thresholds = torch.from_numpy(self._thresholds).to(scale.device)
            return torch.bucketize(scale.detach().float(), thresholds, right=True).to(getattr(torch, dtype))
        return np.searchsorted(self._thresholds, to_numpy(scale)[0].astype(np.float32), "right").astype(dtype)

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


class Located(Distribution):
    """A distribution of one family at a mean and a scale for each element, integrated over each integer's unit.

    Both are turned to integers by exact comparisons and single roundings, so the same floats give the same table on
    every machine. Where floats may differ between encoder and decoder (a network on another device), code by integer
    indexes instead: `tables[indexes]`. Scales and means are told apart finely enough to cost less than 0.1 %. Out of
    range, the narrowest and the widest table stand in.

    Args:
        mean: floats from -2^30 to 2^30, or integers.
        scale: positive floats.

    Raises:
        ValueError: when coding, names the first element with a parameter that is none.
    """

    __slots__ = ("_mean", "_scale", "shape")
    _family: str

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        self._mean, self._scale = _floats(mean=mean, scale=scale)
        self.shape = np.broadcast_shapes(self._mean.shape, self._scale.shape)

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        mean, scale = _parameter(self._mean, shape, "mean"), _parameter(self._scale, shape, "scale")
        return _native.Model.located(self._family, math.prod(shape), mean, scale)

    def _component(self, shape: tuple[int, ...], dtype: type[np.floating]) -> tuple[str, Any, Any]:
        """Family, mean and scale for a mixture."""
        mean, scale = self._mean.astype(dtype, copy=False), self._scale.astype(dtype, copy=False)
        return self._family, _parameter(mean, shape, "mean"), _parameter(scale, shape, "scale")

    def _item(self, i: int, dimensions: int) -> Located:
        return type(self)(_item(self._mean, i, dimensions), _item(self._scale, i, dimensions))


class Gaussian(Located):
    """Discretised normal distributions; `scale` is the standard deviation.

    Example:
        >>> latents = np.array([[-1, 0], [7, 2]])
        >>> gaussian = Gaussian(np.array([[-0.6, 0.1], [5.0, 2.0]], np.float32), 1.5)
        >>> decode(encode(latents, gaussian), gaussian)
        array([[-1,  0],
               [ 7,  2]])
    """

    __slots__ = ()
    _family = "gaussian"


class Laplace(Located):
    """Discretised Laplace distributions, density proportional to exp(-|x - mean| / scale)."""

    __slots__ = ()
    _family = "laplace"


class Logistic(Located):
    """Discretised logistic distributions, cumulative distribution 1 / (1 + exp(-(x - mean) / scale))."""

    __slots__ = ()
    _family = "logistic"


class Mixture(Distribution):
    """Mixtures of 1 to 8 components, each `Gaussian`, `Laplace` or `Logistic`.

    Distribution functions are computed for each element, in integers; that is slower than tables, by far. Parameters
    are used as float32, unless that would change a mean beyond 2^24 or lose a scale or weight: then as float64. Scales
    below 1/64 count as 1/64, those above 65536 as that.

    Args:
        components: the components, whose parameters broadcast to the symbols' shape.
        weights: one for each component, numbers or arrays that broadcast likewise: not negative, in any proportion.

    Example:
        >>> mixture = Mixture([Laplace(0, 0.5), Gaussian(0, np.array([4.0, 9.0]))], [0.7, 0.3])
        >>> decode(encode(np.array([0, -12]), mixture), mixture)
        array([  0, -12])
    """

    __slots__ = ("_components", "_dtype", "_weights", "shape")

    def __init__(self, components: Sequence[Located], weights: Sequence[ArrayLike]) -> None:
        if len(components) != len(weights) or not all(isinstance(c, Located) for c in components):
            raise ValueError(f"{len(components)} components with {len(weights)} weights")
        self._components = tuple(components)
        self._weights = [_floats(weight=weight)[0] for weight in weights]
        parameters = [("weight", weight) for weight in self._weights]
        for component in components:
            parameters += [("mean", component._mean), ("scale", component._scale)]
        self._dtype = np.float64 if any(_loses(array, name) for name, array in parameters) else np.float32
        self.shape = np.broadcast_shapes(*(c.shape for c in components), *(w.shape for w in self._weights))

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        components = []
        for component, weight in zip(self._components, self._weights):
            family, mean, scale = component._component(shape, self._dtype)
            weight = _parameter(weight.astype(self._dtype, copy=False), shape, "weights")
            components.append((family, [weight, mean, scale]))
        return _native.Model.mixture_of(math.prod(shape), components)

    def _item(self, i: int, dimensions: int) -> Mixture:
        components = [component._item(i, dimensions) for component in self._components]
        return Mixture(components, [_item(weight, i, dimensions) for weight in self._weights])


class Categorical(Distribution):
    """Symbols 0 to n - 1 with any probabilities, n up to 4096 (2^15 - 1 if they are the same for all elements).

    Args:
        pmf: `[..., n]` probabilities or counts, not negative, in any proportion: the leading dimensions broadcast to
            the symbols' shape. Floats are used as float32, unless there is just one `[n]`. Even a symbol with none
            keeps the least slot, and one outside is escaped.

    Example:
        >>> coin = Categorical([1, 3])
        >>> decode(encode(np.array([1, 1, 0, 1], np.int8), coin), coin)
        array([1, 1, 0, 1], dtype=int8)
    """

    __slots__ = ("_pmf", "_rows", "shape")

    def __init__(self, pmf: ArrayLike) -> None:
        (array,) = _floats(pmf=pmf)
        if array.ndim == 0:
            raise ValueError("pmf needs a dimension [..., n]")
        self.shape = array.shape[:-1]
        self._pmf = array
        # One distribution for all elements is a table, which is faster.
        self._rows = Tables.from_pmf(array[None])[0] if array.ndim == 1 else None

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self._rows is not None:
            return self._rows._model(shape)
        pmf = self._pmf.astype(np.float32, copy=False)
        return _native.Model.categoricals(broadcast(in_order(pmf), (*shape, pmf.shape[-1]), "pmf"))

    def _item(self, i: int, dimensions: int) -> Categorical:
        return self if self._rows is not None else Categorical(_item(self._pmf, i, dimensions + 1))


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


def _floats(**given: ArrayLike) -> list[NDArray[Any]]:
    """Return parameters as arrays: all float64 if any array is that, or float32 would lose something, else float32."""
    arrays = {name: to_numpy(value)[0] for name, value in given.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name} must be numbers, not {array.dtype}")
    double = any(array.dtype.kind == "f" and array.itemsize > 4 and array.ndim > 0 for array in arrays.values())
    double = double or any(_loses(array, name) for name, array in arrays.items())
    with np.errstate(all="ignore"):
        dtype = np.float64 if double else np.float32
        return [in_order(array.astype(dtype, copy=False)) for array in arrays.values()]


def _loses(array: NDArray[Any], name: str) -> bool:
    """Return whether float32 would change a mean beyond 2^24, make a scale 0 or infinite, or a weight infinite."""
    if array.itemsize <= 2 or (array.dtype.kind == "f" and array.itemsize <= 4):
        return False
    with np.errstate(all="ignore"):
        single = array.astype(np.float32)
    size, lost = np.abs(single), np.isinf(single)
    if name == "mean":
        lost |= size >= 2**24
    elif name == "scale":
        lost |= size < np.finfo(np.float32).tiny
    return bool((lost & (single != array) & np.isfinite(array)).any())


def _parameter(array: NDArray[Any], shape: tuple[int, ...], name: str) -> Any:
    """A number, or an array of the shape."""
    return float(array) if array.ndim == 0 else broadcast(array, shape, name)


def _int32(given: ArrayLike, name: str) -> NDArray[np.int32]:
    return to_int32(to_numpy(given)[0], name)


def _item(array: NDArray[Any], i: int, dimensions: int) -> NDArray[Any]:
    """What of a parameter belongs to item `i` along the first axis of a tensor that it broadcasts to."""
    if array.ndim < dimensions:
        return array
    item: NDArray[Any] = array[i if array.shape[0] > 1 else 0]
    return item
