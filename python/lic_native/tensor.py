"""Integer tensors and arrays <-> bytes, with a distribution or without."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import _native
from .arrays import ArrayLike, in_order, like, refuse_lists, to_numpy, to_symbols
from .distributions import Distribution

T = TypeVar("T")

#: Size of the tensor that `decode` restores unless told otherwise.
MAX_BYTES = 2**31
DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")


def encode(
    tensor: ArrayLike, distribution: Distribution | None = None, *, axis: int | None = None, threads: int = 0
) -> bytes:
    """Integers -> bytes.

    With a distribution the bytes take what the symbols cost under it, and about ten more (docs/format.md, section 7);
    who decodes them brings the same distribution. Without one, tables are fitted to the values and stored, so that no
    model is needed; what doesn't compress is kept as it is, at most 32 bytes and the shape larger.

    Args:
        tensor: torch tensor on any device, NumPy array or DLPack object of any shape (also empty or of no dimension),
            of dtype int8, uint8, int16, uint16, int32, uint32 or int64; bool too if there is no distribution. With
            one, values must fit 32 bits with a sign. Contiguous arrays of up to 32 bits are not copied.
        distribution: one for each element: `tables[indexes]`, `Gaussian(mean, scale)` and so on, whose parameters
            broadcast to the tensor's shape.
        axis: each of whose indexes gets a table of its own where tables are fitted; None tries the likely ones.
        threads: that work on a large tensor; 0 means all cores. The bytes don't depend on it.

    Raises:
        IndexError: there is no such axis.
        TypeError: the dtype is not one of these. A float tensor has to be rounded first, and an integer one is a
            smaller file: `encode(tensor.round().to(torch.int32))`.
        ValueError: the distribution's parameters don't fit the tensor, or are none.

    Example:
        >>> scales = np.array([0.5, 2.0, 8.0])
        >>> tables, indexes = Tables.gaussian(scales), np.array([0, 0, 1, 2])
        >>> data = encode(np.array([0, 1, -3, 12], np.int16), tables[indexes])
        >>> decode(data, tables[indexes])
        array([ 0,  1, -3, 12], dtype=int16)
    """
    if distribution is not None:
        symbols, dtype, is_torch = to_symbols(tensor)
        return _native.message_encode(symbols, distribution._model(symbols.shape), dtype, is_torch, threads)
    refuse_lists(tensor)
    array, is_torch = to_numpy(tensor)
    _check_dtype(array.dtype, "tensor.round().to(torch.int32)" if is_torch else "numpy.rint(array).astype(numpy.int32)")
    if axis is not None:
        axis = range(array.ndim)[axis]
    return _native.tensor_encode(in_order(array), is_torch, axis)


def decode(
    data: bytes | bytearray | memoryview,
    distribution: Distribution | None = None,
    *,
    out: ArrayLike | None = None,
    max_bytes: int = MAX_BYTES,
    threads: int = 0,
) -> Any:
    """What `encode` was given: a torch tensor (on the CPU) or a NumPy array of the same values, shape and dtype.

    Args:
        data: bytes from `encode`.
        distribution: the one that `encode` was given.
        out: array or CPU tensor of the same number of elements to decode into and return, if there is a distribution;
            contiguous, int8, uint8, int16, uint16 or int32, and wide enough for the symbols.
        max_bytes: size that the result may have.
        threads: that work on a large tensor; 0 means all cores.

    Raises:
        TruncatedError, CorruptError: the bytes are damaged, or the distribution is another. Without a distribution any
            change is noticed, with one all but one in 65,000, for the checksums are short.
        UnsupportedError: the bytes are of a newer version.
        LimitExceededError: the result would have more than `max_bytes`.
        ValueError: the distribution's parameters don't fit the shape in the bytes.
    """
    data = bytes(data)
    if distribution is None:
        if out is not None:
            raise TypeError("out needs a distribution")
        array, is_torch = _native.tensor_decode(data, max_bytes)
        return like(array, is_torch)
    # Nothing is done for a shape before the bytes are known to be whole.
    model = distribution._model(distribution.shape)
    dtype, is_torch, shape = _native.message_head(data, model)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > max_bytes:
        raise _native.LimitExceededError(f"size of the tensor of {size} exceeds the limit of {max_bytes}")
    if shape != distribution.shape:
        model = distribution._model(shape)
    if out is not None:
        _native.message_decode(data, model, to_numpy(out)[0], threads)
        return out
    array = np.empty(shape, np.int32 if dtype in ("int64", "uint32") else dtype)
    _native.message_decode(data, model, array, threads)
    return like(array.astype(dtype, copy=False), is_torch)


def encode_batch(tensor: ArrayLike, distribution: Distribution, *, threads: int = 0) -> list[bytes]:
    """`encode` of each item along the first axis `[B, ...]`, on all cores: B strings that decode by themselves.

    Parameters of the distribution that have the first axis are divided among the items, others hold for each.
    """
    symbols, dtype, is_torch = to_symbols(tensor)

    def code(i: int) -> bytes:
        model = distribution._item(i, symbols.ndim)._model(symbols.shape[1:])
        return _native.message_encode(symbols[i, ...], model, dtype, is_torch, 1)

    return _each(code, len(symbols), threads)


def decode_batch(strings: list[bytes], distribution: Distribution, *, threads: int = 0) -> Any:
    """What `encode_batch` was given: a tensor `[B, ...]`, if all items have the same shape and dtype."""
    if not strings:
        raise ValueError("no strings to decode")
    _, is_torch, shape = _native.message_head(strings[0])

    def restore(i: int) -> NDArray[Any]:
        return np.asarray(decode(strings[i], distribution._item(i, len(shape) + 1), threads=1))

    return like(np.stack(_each(restore, len(strings), threads)), is_torch)


def _each(work: Callable[[int], T], count: int, threads: int) -> list[T]:
    threads = min(threads or os.cpu_count() or 1, count)
    if threads <= 1:
        return list(map(work, range(count)))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def _check_dtype(dtype: np.dtype[Any], conversion: str) -> None:
    if dtype.name not in DTYPES:
        advice = f": round first, {conversion}" if dtype.kind == "f" else ""
        raise TypeError(f"encode takes integers ({', '.join(DTYPES)}), not {dtype.name}{advice}")
