"""Integer tensors and arrays <-> bytes, with a distribution or without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..arguments import Bytes, check_instance, to_bytes, to_count, to_integer
from ..errors import LimitExceededError
from ..limits import DEFAULT_LIMITS, Limits
from ..threads import resolve, share
from .arrays import ArrayLike, in_order, like, refuse_lists, to_numpy, to_out, to_symbols
from .distributions import Distribution, check_distribution

__all__ = ["DTYPES", "decode", "decode_batch", "encode", "encode_batch"]

DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
#: One thread codes so many symbols before another has begun.
_FEW = 1 << 14


def encode(
    tensor: ArrayLike, distribution: Distribution | None = None, *, axis: int | None = None, threads: int = 0
) -> bytes:
    """Return integers as bytes.

    With a distribution the bytes take what the symbols cost under it, and about ten more (docs/format.md, section 7);
    who decodes them brings the same distribution. Without one, tables are fitted to the values and stored, so that no
    model is needed; what doesn't compress is kept as it is, at most 32 bytes and the shape larger.

    Args:
        tensor: torch tensor on any device, NumPy array or DLPack object of any shape (also empty or of no dimension),
            of dtype int8, uint8, int16, uint16, int32, uint32 or int64; bool too if there is no distribution. With
            one, values must fit 32 bits with a sign. Contiguous arrays of up to 32 bits are not copied.
        distribution: one for each element: `tables[indexes]`, `Gaussian(mean, scale)` and so on, whose parameters
            broadcast to the tensor's shape.
        axis: each of whose indexes gets a table of its own where tables are fitted; None tries the likely ones. There
            is none beside a distribution.
        threads: that work on a large tensor that has a distribution; 0 means all cores. The bytes don't depend on it.

    Raises:
        IndexError: there is no such axis.
        TypeError: the dtype is not one of these (a float tensor has to be rounded first, and an integer one is a
            smaller file: `encode(tensor.round().to(torch.int32))`), or an argument has another type.
        ValueError: the distribution's parameters don't fit the tensor, or are none; threads are negative.

    Example:
        >>> scales = np.array([0.5, 2.0, 8.0])
        >>> tables, indexes = Tables.gaussian(scales), np.array([0, 0, 1, 2])
        >>> data = encode(np.array([0, 1, -3, 12], np.int16), tables[indexes])
        >>> decode(data, tables[indexes])
        array([ 0,  1, -3, 12], dtype=int16)
    """
    if distribution is not None:
        check_distribution(distribution)
        if axis is not None:
            raise TypeError("axis is for tables that encode fits: leave it out beside a distribution")
        symbols, dtype, is_torch = to_symbols(tensor)
        model = distribution._model(symbols.shape)
        return _native.message_encode(symbols, model, dtype, is_torch, _threads(threads, symbols.size))
    to_count(threads, "threads")
    refuse_lists(tensor)
    array, is_torch = to_numpy(tensor)
    _check_dtype(array.dtype, "tensor.round().to(torch.int32)" if is_torch else "numpy.rint(array).astype(numpy.int32)")
    if axis is not None:
        axis = to_integer(axis, "axis")
        if not -array.ndim <= axis < array.ndim:
            raise IndexError(f"there is no axis {axis} in the shape {array.shape}")
        axis %= array.ndim
    return _native.tensor_encode(in_order(array), is_torch, axis)


def decode(
    data: Bytes,
    distribution: Distribution | None = None,
    *,
    out: ArrayLike | None = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> Any:
    """Return what `encode` was given: a CPU tensor of torch or a NumPy array of the same values, shape and dtype.

    Args:
        data: bytes from `encode`.
        distribution: the one that `encode` was given.
        out: array or CPU tensor of the same number of elements to decode into and return, if there is a distribution;
            contiguous, int8, uint8, int16, uint16 or int32, and wide enough for the symbols. If an error is raised,
            its values are meaningless.
        limits: the most that the bytes and the result may take.
        threads: that work on a large tensor that has a distribution; 0 means all cores.

    Raises:
        TruncatedError, CorruptError: the bytes are damaged, or the distribution is another. Without a distribution any
            change is noticed, with one all but one in 65,000, for the checksums are short.
        UnsupportedError: the bytes are of a newer version, or were encoded with a distribution and none is given.
        LimitExceededError: the bytes or the result exceed `limits`.
        TypeError: `data` is no bytes-like object, `out` is nothing that could be filled, or an argument has another
            type.
        ValueError: the distribution's parameters don't fit the shape in the bytes, or are none; `out` has another
            number of elements or is not contiguous; `threads` is negative.
    """
    data = to_bytes(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    if distribution is None:
        to_count(threads, "threads")
        if out is not None:
            raise TypeError("out needs a distribution")
        array, is_torch = _native.tensor_decode(data, limits.max_output_bytes)
        return like(array, is_torch)
    check_distribution(distribution)
    target = None if out is None else to_out(out)
    # Nothing is done for a shape before the bytes are known to be whole.
    model = distribution._model(distribution.shape)
    dtype, is_torch, shape = _native.message_head(data, model)
    _check_size(shape, dtype, limits)
    if shape != distribution.shape:
        model = distribution._model(shape)
    threads = _threads(threads, math.prod(shape))
    if target is not None:
        _native.message_decode(data, model, target, threads)
        return out
    array = np.empty(shape, np.int32 if dtype in ("int64", "uint32") else dtype)
    _native.message_decode(data, model, array, threads)
    return like(array.astype(dtype, copy=False), is_torch)


def encode_batch(tensor: ArrayLike, distribution: Distribution, *, threads: int = 0) -> list[bytes]:
    """Return `encode` of each item along the first axis, made on all cores: B strings that decode by themselves.

    Args:
        tensor: `[B, ...]`, as `encode` takes it beside a distribution.
        distribution: parameters that have the first axis are divided among the items, others hold for each.
        threads: that share the items; 0 means all cores. The bytes don't depend on it.

    Raises:
        TypeError: as `encode` does.
        ValueError: as `encode` does; or the tensor has no axis, or the parameters are for another number of items.
    """
    check_distribution(distribution)
    symbols, dtype, is_torch = to_symbols(tensor)
    threads = resolve(threads)
    if not symbols.ndim:
        raise ValueError("a batch needs an axis of items [B, ...]: encode takes a single number")
    _check_items(distribution, symbols.shape)

    def code(i: int) -> bytes:
        model = distribution._item(i, symbols.ndim)._model(symbols.shape[1:])
        return _native.message_encode(symbols[i, ...], model, dtype, is_torch, 1)

    return share(code, range(len(symbols)), threads)


def decode_batch(
    strings: Sequence[Bytes], distribution: Distribution, *, limits: Limits = DEFAULT_LIMITS, threads: int = 0
) -> Any:
    """Return what `encode_batch` was given: a tensor `[B, ...]`.

    Args:
        strings: B results of `encode` for items of one shape and dtype.
        distribution: the one that `encode_batch` was given.
        limits: the most that the bytes and the result may take.
        threads: that share the items; 0 means all cores.

    Raises:
        TruncatedError, CorruptError, UnsupportedError, LimitExceededError: as `decode` does.
        TypeError: `strings` is no list of bytes-like objects, or an argument has another type.
        ValueError: there are no strings, they hold tensors of different shapes or dtypes, or the parameters are for
            another number of items.
    """
    check_distribution(distribution)
    if isinstance(strings, str | bytes | bytearray | memoryview) or not isinstance(strings, Sequence):
        raise TypeError(f"strings must be a list of bytes-like objects, not {type(strings).__name__}")
    items = [to_bytes(string, f"strings[{i}]") for i, string in enumerate(strings)]
    check_instance(limits, Limits, "limits")
    limits.check_input(sum(map(len, items)))
    threads = resolve(threads)
    if not items:
        raise ValueError("no strings to decode")
    dtype, is_torch, shape = _native.message_head(items[0], distribution._model(distribution.shape))
    _check_items(distribution, (len(items), *shape))
    _check_size((len(items), *shape), dtype, limits)
    item_limits = replace(limits, max_output_bytes=limits.max_output_bytes // len(items))

    def restore(i: int) -> NDArray[Any]:
        item = np.asarray(decode(items[i], distribution._item(i, len(shape) + 1), limits=item_limits, threads=1))
        if (item.dtype, item.shape) != (np.dtype(dtype), shape):
            raise ValueError(f"strings[{i}] is {item.dtype} {item.shape}, but strings[0] is {dtype} {shape}")
        return item

    return like(np.stack(share(restore, range(len(items)), threads)), is_torch)


def _check_items(distribution: Distribution, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a distribution's parameters are not for a batch of this shape."""
    of_batch = distribution.shape[: max(len(distribution.shape) - len(shape) + 1, 0)]
    if len(of_batch) > 1 or (shape[0] and of_batch not in ((), (1,), shape[:1])):
        raise ValueError(f"parameters of shape {distribution.shape} for {shape[0]} items, a batch of shape {shape}")


def _check_size(shape: tuple[int, ...], dtype: str, limits: Limits) -> None:
    """Raise LimitExceededError if a tensor is larger than `limits` allow."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > limits.max_output_bytes:
        raise LimitExceededError(f"size of the tensor of {size} exceeds the limit of {limits.max_output_bytes}")


def _threads(given: int, symbols: int) -> int:
    """Return how many threads there are for so many symbols: to count processors takes longer than to code few."""
    to_count(given, "threads")
    return resolve(given) if symbols > _FEW else 1


def _check_dtype(dtype: np.dtype[Any], conversion: str) -> None:
    if dtype.name not in DTYPES:
        advice = f": round first, {conversion}" if dtype.kind == "f" else ""
        raise TypeError(f"encode takes integers ({', '.join(DTYPES)}), not {dtype.name}{advice}")
