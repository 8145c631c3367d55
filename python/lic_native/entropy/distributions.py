"""Distributions of integers, one for each element of a tensor, as arguments of `encode` and `decode`.

Parameters broadcast against the symbols as arrays do in NumPy. They may be torch tensors on any device, NumPy arrays,
DLPack objects or numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from .arrays import ArrayLike, broadcast, in_order, to_int32, to_numpy

__all__ = [
    "Categorical",
    "Distribution",
    "Gaussian",
    "Laplace",
    "Located",
    "Logistic",
    "LogisticPairs",
    "Mixture",
    "Rows",
    "Tables",
    "check_distribution",
]

_INDEXES = frozenset(map(np.dtype, ("uint8", "uint16", "int32", "int64")))


class Distribution:
    """Independent distributions for the elements of a tensor.

    Two are equal if they are of one class and have equal parameters. They can be pickled and copied.
    """

    #: Shape that the parameters broadcast to; symbols may have more dimensions, or other sizes where this has 1.
    shape: tuple[int, ...]

    def _parameters(self) -> dict[str, Any]:
        """Return the arguments that make the same distribution, in their order."""
        raise NotImplementedError

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        """Return the native distributions of symbols of this shape."""
        raise NotImplementedError

    def _item(self, i: int, dimensions: int) -> Distribution:
        """Return the distributions of item `i` along the first axis of a tensor with this number of dimensions."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._parameters().values())

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or _equal(self._parameters(), other._parameters())

    def __hash__(self) -> int:
        # Arrays are not copied, so the numbers in them may change.
        return hash((type(self), self.shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={_shown(v)}' for n, v in self._parameters().items())})"


def check_distribution(given: object) -> None:
    """Raise TypeError, which says what to write, unless it is a distribution."""
    if isinstance(given, Distribution):
        return
    known = "tables[indexes], Gaussian(mean, scale), Laplace, Logistic, Mixture or Categorical"
    advice = f": it is {known}"
    if isinstance(given, Tables):
        advice = ": give each element a row of them, tables[indexes]"
    elif isinstance(given, tuple | list):
        advice = ": write Gaussian(mean, scale), or another of lic_native's families"
    elif isinstance(given, type) and issubclass(given, Distribution):
        raise TypeError(f"distribution must have its parameters: write {given.__name__}(...)")
    raise TypeError(f"distribution must be one of lic_native's, not {type(given).__name__}{advice}")


class Tables:
    """Integer CDFs, checked once: row `i` gives symbol `offsets[i] + j` the slots `cdf[i, j]..cdf[i, j + 1]` of `n`.

    The last of a row's `lengths[i]` boundaries is `n`, the same power of two up to 2^24 for all rows, and its last
    interval is the escape, for every symbol without an interval: so CompressAI's `_quantized_cdf`, `_cdf_length` and
    `_offset` fit unchanged. The coder's own precision is `n` = 2^15; other rows are converted with the
    least loss, the same way everywhere.

    They never change. `tables[indexes]` is the distribution of elements that have these rows, `len(tables)` the number
    of rows, and iterating gives the distribution of each row. Two are equal if they have the same rows, and the same
    scales for `indexes`. They can be pickled; a copy is the same object.

    Args:
        cdf: `[rows, width]` boundaries, any integer dtype; of row `i` the first `lengths[i]` count.
        lengths: `[rows]`, or None if all rows have `width` boundaries.
        offsets: `[rows]` first symbols, or None for 0.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: says which row breaks which rule.

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
        boundaries = _int32(cdf, "cdf")
        if boundaries.ndim != 2:
            raise ValueError(f"cdf of shape {boundaries.shape}, not [rows, width]")
        rows, width = boundaries.shape
        self._native = _native.Tables.from_cdf(
            boundaries, _of_rows(rows, lengths, width, "lengths"), _of_rows(rows, offsets, 0, "offsets")
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
    def gaussian(cls, scales: ArrayLike) -> Tables:
        """Return a row for each standard deviation: normal distributions, mean 0, integrated over each integer's unit.

        Args:
            scales: `[rows]` numbers from 0.01 to 512, at most 65536; in increasing order if `indexes` is to be used.

        Raises:
            TypeError: they are not numbers.
            ValueError: one of them is out of range, or they are not in one dimension.
        """
        scales = _scales(scales)
        return cls._of(_native.Tables.gaussian(scales.tolist()), scales)

    @classmethod
    def logistic(cls, scales: ArrayLike) -> Tables:
        """Return a row for each scale: distributions with the cumulative distribution 1 / (1 + exp(-x / scale)).

        Scales and errors are as for `gaussian`.
        """
        scales = _scales(scales)
        return cls._of(_native.Tables.logistic(scales.tolist()), scales)

    @classmethod
    def laplace(cls, scales: ArrayLike) -> Tables:
        """Return a row for each scale: distributions with density proportional to exp(-|x| / scale).

        Scales and errors are as for `gaussian`.
        """
        scales = _scales(scales)
        return cls._of(_native.Tables.laplace(scales.tolist()), scales)

    @classmethod
    def from_pmf(cls, pmf: ArrayLike, offsets: ArrayLike | None = None) -> Tables:
        """Return rows of probabilities or counts, in any proportion.

        Even a symbol of probability 0 keeps one slot, as does the escape.

        Args:
            pmf: `[rows, n]` floats or integers.
            offsets: `[rows]` integers, the first symbol of each row, or None for 0.

        Raises:
            TypeError: an argument does not hold numbers.
            ValueError: a row has negative numbers, only zeros, or more than 2^15 - 1 numbers.
        """
        (array,) = _floats(pmf=pmf)
        if array.ndim != 2:
            raise ValueError(f"pmf of shape {array.shape}, not [rows, n]")
        firsts = _of_rows(len(array), offsets, 0, "offsets")
        return cls._of(_native.Tables.from_pmf(array.astype(np.float64, copy=False), firsts))

    def __len__(self) -> int:
        return len(self._native)

    def __iter__(self) -> Iterator[Rows]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tables):
            return NotImplemented
        return self.fingerprint() == other.fingerprint() and _equal(self._scales, other._scales)

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
        """Return the row whose scale is nearest, by ratio, for each element: a tensor on the same device, or an array.

        Scales become integers by comparisons with constants only (the float32 next to the geometric mean of
        neighbouring scales), so equal scales give equal rows on every device.

        Args:
            scale: positive finite floats or integers of any shape. Float64 is rounded to float32 first.

        Returns:
            uint8, or int32 if there are more than 256 rows, of the shape of `scale`.

        Raises:
            TypeError: `scale` does not hold numbers.
            ValueError: an element of `scale` is NaN, infinite, 0 or negative (the first is named); or the rows have no
                scales, or not in increasing order: see `gaussian`.

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
                # Float64 may be too small or too large for float32. Both ends in one tensor: a GPU is waited for once.
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
            TypeError: they are not integers.
            IndexError: a single index names no row. (Arrays are checked when they are coded; then it is a ValueError
                that names the first such index.)
        """
        if (isinstance(indexes, int) or getattr(indexes, "shape", None) == ()) and not 0 <= int(indexes) < len(self):
            raise IndexError(f"there is no row {int(indexes)}: the tables have {len(self)} rows, from 0 on")
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

    def _parameters(self) -> dict[str, Any]:
        return {"tables": self.tables, "indexes": self._indexes}


class Located(Distribution):
    """A distribution of one family at a mean and a scale for each element, integrated over each integer's unit.

    Both become integers by exact comparisons and single roundings, so the same floats give the same table on
    every machine. Where floats may differ between encoder and decoder (a network on another device), code by integer
    indexes instead: `tables[indexes]`. The steps are so fine that Gaussians take 0.05 % more bits for scales from
    0.11 to 64, and 0.15 % more for scales up to 1. Scales out of range use the narrowest or the widest table.

    Args:
        mean: floats from -2^30 to 2^30, or integers.
        scale: positive floats.

    Raises:
        ValueError: raised when coding; it names the first element with an invalid parameter.
    """

    __slots__ = ("_mean", "_scale", "shape")
    _family: str

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        self._mean, self._scale = _floats(mean=mean, scale=scale)
        self.shape = _common_shape(mean=self._mean, scale=self._scale)

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        mean, scale = _parameter(self._mean, shape, "mean"), _parameter(self._scale, shape, "scale")
        return _native.Model.located(self._family, math.prod(shape), mean, scale)

    def _component(self, shape: tuple[int, ...], dtype: type[np.floating]) -> tuple[str, Any, Any]:
        """Family, mean and scale for a mixture."""
        mean, scale = self._mean.astype(dtype, copy=False), self._scale.astype(dtype, copy=False)
        return self._family, _parameter(mean, shape, "mean"), _parameter(scale, shape, "scale")

    def _item(self, i: int, dimensions: int) -> Located:
        return type(self)(_item(self._mean, i, dimensions), _item(self._scale, i, dimensions))

    def _parameters(self) -> dict[str, Any]:
        return {"mean": self._mean, "scale": self._scale}


class Gaussian(Located):
    """Discretised normal distributions: each integer has the mass of its unit.

    Args:
        mean: from -2^30 to 2^30: floats of any width (float16 and bfloat16 are cast to float32) or integers, numbers
            or arrays or tensors that broadcast to the symbols' shape.
        scale: the standard deviation, likewise: positive and finite. Scales below 1/16 and above 512
            use the narrowest or the widest distribution.

    Raises:
        TypeError: a parameter does not hold numbers.
        ValueError: the shapes don't fit each other. Raised when coding, it names the first element with an invalid
            parameter.

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
    """Discretised Laplace distributions, density proportional to exp(-|x - mean| / scale).

    Args:
        mean, scale: numbers of the same kinds and ranges as for `Gaussian`.

    Raises:
        TypeError, ValueError: as `Gaussian` does.
    """

    __slots__ = ()
    _family = "laplace"


class Logistic(Located):
    """Discretised logistic distributions, cumulative distribution 1 / (1 + exp(-(x - mean) / scale)).

    Args:
        mean, scale: numbers of the same kinds and ranges as for `Gaussian`.

    Raises:
        TypeError, ValueError: as `Gaussian` does.
    """

    __slots__ = ()
    _family = "logistic"


class Mixture(Distribution):
    """Mixtures of 1 to 8 components, each `Gaussian`, `Laplace` or `Logistic`.

    Distribution functions are computed for each element, in integers; that is far slower than tables. Parameters
    are used as float32, unless that would change a mean beyond 2^24 or lose a scale or weight: then as float64. Scales
    below 1/64 count as 1/64, and above 65536 as 65536.

    Args:
        components: the components, whose parameters broadcast to the symbols' shape.
        weights: one for each component, numbers or arrays that broadcast likewise: not negative, in any proportion.

    Raises:
        TypeError: a component is not one of these distributions, or a weight is not a number.
        ValueError: there are no components or more than 8, or another number of weights, or shapes don't fit each
            other. Raised when coding, it names the first element with an invalid parameter.

    Example:
        >>> mixture = Mixture([Laplace(0, 0.5), Gaussian(0, np.array([4.0, 9.0]))], [0.7, 0.3])
        >>> decode(encode(np.array([0, -12]), mixture), mixture)
        array([  0, -12])
    """

    __slots__ = ("_components", "_dtype", "_weights", "shape")

    def __init__(self, components: Sequence[Located], weights: Sequence[ArrayLike]) -> None:
        for name, given in (("components", components), ("weights", weights)):
            if not hasattr(given, "__len__"):
                raise TypeError(f"{name} must be a list, not {type(given).__name__}")
        for component in components:
            if not isinstance(component, Located):
                raise TypeError(f"components must be Gaussian, Laplace or Logistic, not {type(component).__name__}")
        if not 1 <= len(components) <= 8 or len(components) != len(weights):
            raise ValueError(f"{len(components)} components with {len(weights)} weights: 1 to 8, and a weight for each")
        self._components = tuple(components)
        self._weights = [_floats(weight=weight)[0] for weight in weights]
        parameters = [("weight", weight) for weight in self._weights]
        for component in components:
            parameters += [("mean", component._mean), ("scale", component._scale)]
        self._dtype = np.float64 if any(_loses(array, name) for name, array in parameters) else np.float32
        self.shape = _common_shape(
            **{f"component {i}": component for i, component in enumerate(components)},
            **{f"weight {i}": weight for i, weight in enumerate(self._weights)},
        )

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

    def _parameters(self) -> dict[str, Any]:
        return {"components": list(self._components), "weights": self._weights}


class Categorical(Distribution):
    """Symbols 0 to n - 1 with any probabilities, n up to 4096 (2^15 - 1 if they are the same for all elements).

    Args:
        pmf: `[..., n]` probabilities or counts, not negative, in any proportion: the leading dimensions broadcast to
            the symbols' shape. Floats are used as float32, unless there is just one `[n]`. Even a symbol of
            probability 0 keeps one slot; other symbols are escaped.

    Raises:
        TypeError: `pmf` does not hold numbers.
        ValueError: it has no dimension, or no symbols or too many. Probabilities are negative, NaN, infinite or all 0;
            for more than one `[n]` this is found when something is coded.

    Example:
        >>> coin = Categorical([1, 3])
        >>> decode(encode(np.array([1, 1, 0, 1], np.int8), coin), coin)
        array([1, 1, 0, 1], dtype=int8)
    """

    __slots__ = ("_pmf", "_rows", "shape")

    def __init__(self, pmf: ArrayLike) -> None:
        (array,) = _floats(pmf=pmf)
        if array.ndim == 0 or not array.shape[-1]:
            raise ValueError(f"pmf of shape {array.shape}, not [..., n] with n from 1 on")
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

    def _parameters(self) -> dict[str, Any]:
        return {"pmf": self._pmf}


class LogisticPairs(Distribution):
    """Mixtures of two logistic distributions, int16 params `[..., 5]`: docs/format.md, section 4."""

    __slots__ = ("_native", "_params", "shape")

    def __init__(self, params: NDArray[np.int16]) -> None:
        self._native = _native.Model.mixtures(params)
        self._params = params
        self.shape = params.shape[:-1]

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self.shape != shape:
            raise ValueError(f"params of {self.shape} elements for symbols of shape {shape}")
        return self._native

    def _parameters(self) -> dict[str, Any]:
        return {"params": self._params}


def _common_shape(**parameters: Any) -> tuple[int, ...]:
    """Return the shape that parameters broadcast to. Raises ValueError, which names them, if they don't broadcast."""
    shapes = {name: parameter.shape for name, parameter in parameters.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"these shapes do not broadcast: {listed}") from None


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
    """Return a number, or an array of the shape."""
    return float(array) if array.ndim == 0 else broadcast(array, shape, name)


def _of_rows(rows: int, given: ArrayLike | None, default: int, name: str) -> NDArray[np.int32]:
    """Return an integer for each row."""
    array = np.full(rows, default, np.int32) if given is None else _int32(given, name)
    if array.shape != (rows,):
        raise ValueError(f"{name} of shape {array.shape} for {rows} rows")
    return array


def _scales(given: ArrayLike) -> NDArray[np.float64]:
    """Return the scales of a table's rows."""
    array, _ = to_numpy(list(given) if isinstance(given, Iterator) else given)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"scales must be numbers, not {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"scales of shape {array.shape}, not [rows]")
    return array.astype(np.float64)


def _positive(low: float, high: float) -> bool:
    """Return whether all numbers from `low` to `high` are positive and finite; NaN is not."""
    return low > 0 and high < math.inf


def _refuse_scale(scale: NDArray[Any]) -> None:
    """Raise ValueError that names the first scale that is not positive and finite."""
    first = int(np.argmin((scale > 0) & (scale < math.inf)))
    raise ValueError(f"scale {scale.flat[first]} of element {first} is not positive and finite")


def _equal(one: Any, other: Any) -> bool:
    """Return whether parameters are equal."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _shown(value: Any) -> str:
    """Return a parameter as text for a notebook: a few numbers, or dtype and shape."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    return " ".join(np.array2string(value, separator=", ", formatter={"float_kind": "{:g}".format}).split())


def _int32(given: ArrayLike, name: str) -> NDArray[np.int32]:
    return to_int32(to_numpy(given)[0], name)


def _item(array: NDArray[Any], i: int, dimensions: int) -> NDArray[Any]:
    """Return a parameter's slice for batch item `i`; a parameter without the batch axis is returned unchanged."""
    if array.ndim < dimensions:
        return array
    item: NDArray[Any] = array[i if array.shape[0] > 1 else 0]
    return item
