"""Encoding of integer tensors and arrays as bytes, and decoding, with a distribution or without."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .. import _native
from ..arguments import Bytes, check_instance, to_bytes, to_count
from ..errors import LimitExceededError
from ..limits import DEFAULT_LIMITS, Limits
from ..threads import resolve, share
from .arrays import INTEGERS, ArrayLike, in_order, like, on_device, refuse_lists, to_numpy, to_out, to_symbols
from .base import Distribution
from .contexts import Contexts, along, given, to_axis
from .distributions import check_distribution

if TYPE_CHECKING:
    import torch

    from ..cuda.messages import Located, Rows

__all__ = ["DTYPES", "decode", "decode_batch", "encode", "encode_batch"]

DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
#: Where the contexts of a message come from: the distribution, the caller, or axis a by the number `_AXIS` + a.
_DISTRIBUTION, _CALLER, _AXIS = range(3)
#: Number of symbols that one thread codes before a second one has started.
_FEW = 1 << 14


@overload
def encode(
    tensor: ArrayLike,
    distribution: Distribution | None = None,
    *,
    axis: int | None = None,
    calibrate: bool = False,
    contexts: ArrayLike | None = None,
    threads: int = 0,
    device: None = None,
) -> bytes: ...


@overload
def encode(
    tensor: ArrayLike,
    distribution: Distribution | None = None,
    *,
    axis: int | None = None,
    calibrate: bool = False,
    contexts: ArrayLike | None = None,
    threads: int = 0,
    device: torch.device | str,
) -> torch.Tensor: ...


def encode(
    tensor: ArrayLike,
    distribution: Distribution | None = None,
    *,
    axis: int | None = None,
    calibrate: bool = False,
    contexts: ArrayLike | None = None,
    threads: int = 0,
    device: torch.device | str | None = None,
) -> bytes | torch.Tensor:
    """Return integers as bytes.

    With a distribution, the size is the cost of the symbols under it and about ten bytes (docs/format.md, section 7),
    and `decode` needs the same distribution. Without one, tables are fitted to the values and stored. Values that don't
    compress are stored raw, with at most 32 bytes of overhead and the shape.

    A CUDA tensor is coded on its device if the distribution is `tables[indexes]`, `Gaussian`, `Laplace` or `Logistic`
    with numbers or tensors there, and it has a million elements or more (docs/gpu.md). The bytes are the same.

    Args:
        tensor: torch tensor on any device, NumPy array or DLPack object of any shape (also empty or of no dimension),
            of dtype int8, uint8, int16, uint16, int32, uint32 or int64; without a distribution also bool. With a
            distribution, values must fit int32. Contiguous arrays of up to 32 bits are not copied.
        distribution: `tables[indexes]`, `Gaussian(mean, scale)` or another distribution, whose parameters broadcast to
            the tensor's shape.
        axis: without a distribution, the axis along which each index gets a fitted table of its own; None tries the
            likely axes. With `calibrate`, the axis along which each index, up to 4095, is a context: that of the
            channels, mostly.
        calibrate: correct the distribution by the symbols coded before, unless that makes the message longer
            (docs/calibration.md). It takes some twenty times as long as tables do without. `decode` needs no such
            argument.
        contexts: with `calibrate`, integers from 0 to 4095 that broadcast to the tensor's shape: elements of the same
            context learn from each other. `decode` needs them, too. Without axis and contexts, each row of `tables` is
            a context, and all elements of other distributions share one.
        threads: number of threads for a large tensor with a distribution; 0 means all cores. The bytes don't depend on
            it.
        device: None, or where the bytes are to be as a uint8 tensor `[n]` in place of `bytes`: a torch device.

    Raises:
        IndexError: the tensor does not have this axis.
        TypeError: the dtype is not one of these (round a float tensor first: `encode(tensor.round().to(torch.int32))`),
            or an argument has another type.
        ValueError: the distribution's parameters or the contexts do not broadcast to the tensor's shape, or are
            invalid; `threads` is negative.

    Example:
        >>> scales = np.array([0.5, 2.0, 8.0])
        >>> tables, indexes = Tables.gaussian(scales), np.array([0, 0, 1, 2])
        >>> data = encode(np.array([0, 1, -3, 12], np.int16), tables[indexes])
        >>> decode(data, tables[indexes])
        array([ 0,  1, -3, 12], dtype=int16)
    """
    data = _encode(tensor, distribution, axis, calibrate, contexts, threads)
    if device is None:
        return data
    result: torch.Tensor = like(np.frombuffer(data, np.uint8).copy(), True).to(device)
    return result


def _encode(
    tensor: ArrayLike,
    distribution: Distribution | None,
    axis: int | None,
    calibrate: bool,
    contexts: ArrayLike | None,
    threads: int,
) -> bytes:
    if not isinstance(calibrate, bool):
        raise TypeError(f"calibrate must be True or False, not {type(calibrate).__name__}")
    if distribution is not None:
        check_distribution(distribution)
        if axis is not None and not calibrate:
            raise TypeError("axis is for fitted tables: leave it out if you pass a distribution, or calibrate")
        if contexts is not None and (axis is not None or not calibrate):
            raise TypeError("contexts need calibrate=True, and replace axis")
        there = None if calibrate else on_device(tensor)
        if there is not None and (data := _encode_on_device(there, distribution, threads)) is not None:
            return data
        symbols, dtype, is_torch = to_symbols(tensor)
        model, threads = distribution._model(symbols.shape), _threads(threads, symbols.size)
        if not calibrate:
            return _native.message_encode(symbols, model, dtype, is_torch, threads)
        source = _DISTRIBUTION
        if contexts is not None:
            source = _CALLER
        elif axis is not None:
            source = _AXIS + to_axis(axis, symbols.shape)
        chosen = _contexts(source, distribution, symbols.shape, contexts)
        return _native.message_encode(symbols, model, dtype, is_torch, threads, chosen, source)
    if calibrate or contexts is not None:
        raise TypeError("only a distribution can be calibrated: pass one")
    to_count(threads, "threads")
    refuse_lists(tensor)
    array, is_torch = to_numpy(tensor)
    _check_dtype(array.dtype, "tensor.round().to(torch.int32)" if is_torch else "numpy.rint(array).astype(numpy.int32)")
    if axis is not None:
        axis = to_axis(axis, array.shape)
    return _native.tensor_encode(in_order(array), is_torch, axis)


def _encode_on_device(symbols: torch.Tensor, distribution: Distribution, threads: int) -> bytes | None:
    """Return the message of symbols on their device, or None if Rust must make it or say what is wrong."""
    to_count(threads, "threads")
    if str(symbols.dtype).removeprefix("torch.") not in INTEGERS.values():
        return None
    model = distribution._device_model(tuple(symbols.shape), symbols.device)
    from ..cuda import messages

    if model is None or symbols.numel() < messages.FEWEST_ENCODED or not _works(symbols.device):
        return None
    return messages.encode(symbols, model)


def _works(device: torch.device) -> bool:
    """Return whether a device codes messages."""
    from ..cuda import available

    return available.works(device, "messages")


def decode(
    data: Bytes | torch.Tensor,
    distribution: Distribution | None = None,
    *,
    contexts: ArrayLike | None = None,
    out: ArrayLike | None = None,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    device: torch.device | str | None = None,
) -> Any:
    """Return the tensor that `encode` received, as a torch tensor on the CPU or a NumPy array; or on a device.

    Args:
        data: bytes from `encode`, or a uint8 tensor `[n]` of them on any device.
        distribution: the distribution that `encode` received.
        contexts: the contexts that `encode` received, if it did.
        out: with a distribution, an array or CPU tensor of the same number of elements to decode into and return:
            contiguous, of dtype int8, uint8, int16, uint16 or int32, and wide enough for the symbols. After an error
            its values are meaningless.
        limits: maximum sizes of the bytes and of the result.
        threads: number of threads for a large tensor with a distribution; 0 means all cores.
        device: None, or the torch device on which the result is to be as a tensor, of whatever library it was. It is
            decoded there under the conditions of `encode`, from 16 million elements on.

    Raises:
        TruncatedError, CorruptError: the bytes are damaged, or the distribution differs. Without a distribution every
            change of the bytes is detected; with one, whose checksum is shorter, all but one in 65,000.
        UnsupportedError: the bytes are of a newer version, or were encoded with a distribution and none is passed.
        LimitExceededError: the bytes or the result exceed `limits`.
        TypeError: `data` is not a bytes-like object, `out` can't be filled, or an argument has another type.
        ValueError: the distribution's parameters or the contexts don't broadcast to the stored shape, or are invalid;
            contexts are missing; `out` has another number of elements or is not contiguous; `threads` is negative.
    """
    if device is not None and out is not None:
        raise TypeError("out is where the result is to be: leave out device")
    own = on_device(data)
    data = _bytes_of(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    if distribution is None:
        to_count(threads, "threads")
        if out is not None or contexts is not None:
            raise TypeError("out and contexts need a distribution")
        array, is_torch = _native.tensor_decode(data, limits.max_output_bytes)
        return _placed(array, is_torch, device)
    check_distribution(distribution)
    target = None if out is None else to_out(out)
    place = None if device is None else _place(device)
    there = None if place is None else distribution._device_model(distribution.shape, place)
    # A damaged shape must not cost memory, so the head is checked first.
    model = distribution._model(distribution.shape) if there is None else there.model()
    dtype, is_torch, shape, source = _native.message_head(data, model)
    _check_size(shape, dtype, limits)
    chosen = None if source is None else _contexts(source, distribution, shape, contexts)
    if there is not None and source is None:
        to_count(threads, "threads")
        if shape != distribution.shape:
            there = distribution._device_model(shape, there.device())
        result = None if there is None else _decode_on_device(data, own, there, dtype, shape)
        if result is not None:
            return result
    if shape != distribution.shape or len(model) != math.prod(shape):
        model = distribution._model(shape)
    threads = _threads(threads, math.prod(shape))
    if target is not None:
        _native.message_decode(data, model, target, threads, chosen)
        return out
    array = np.empty(shape, np.int32 if dtype in ("int64", "uint32") else dtype)
    _native.message_decode(data, model, array, threads, chosen)
    return _placed(array.astype(dtype, copy=False), is_torch, device)


def _decode_on_device(
    data: bytes, own: torch.Tensor | None, model: Located | Rows, dtype: str, shape: tuple[int, ...]
) -> torch.Tensor | None:
    """Return the symbols of a message on the model's device, or None if Rust must decode it or say what is wrong."""
    from ..cuda import messages

    if math.prod(shape) < messages.FEWEST_DECODED or not _works(model.device()):
        return None
    if own is not None:
        own = own.contiguous() if own.device == model.device() else None
    symbols = messages.decode(data, own, model, dtype, math.prod(shape))
    return None if symbols is None else symbols.reshape(shape)


def _bytes_of(data: Bytes | torch.Tensor) -> bytes:
    """Return bytes-like data, or a uint8 tensor, as bytes. Raises TypeError if it is neither."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor) and data.dtype == torch.uint8 and data.ndim == 1:
        return to_numpy(data)[0].tobytes()
    return to_bytes(data)  # type: ignore[arg-type]  # which refuses other tensors


def _place(device: torch.device | str) -> torch.device:
    """Return a device with its number."""
    import torch

    return torch.empty(0, device=device).device


def _placed(array: NDArray[Any], is_torch: bool, device: torch.device | str | None) -> Any:
    """Return an array as what it is to be: on a device a tensor, else an array or a tensor."""
    return like(array, is_torch) if device is None else like(array, True).to(device)


def encode_batch(tensor: ArrayLike, distribution: Distribution, *, threads: int = 0) -> list[bytes]:
    """Encode each item along the first axis, and return B independent strings.

    Args:
        tensor: `[B, ...]` symbols, as for `encode` with a distribution.
        distribution: parameters that have the batch axis are divided among the items; others apply to every item.
        threads: number of threads that share the items; 0 means all cores. The bytes don't depend on it.

    Raises:
        TypeError: an argument is invalid, as for `encode`.
        ValueError: an argument is invalid, as for `encode`; the tensor has no axis, or the parameters have another
            number of items.
    """
    check_distribution(distribution)
    distribution = distribution._on_host()
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
    """Return the tensor `[B, ...]` that `encode_batch` received.

    Args:
        strings: B results of `encode` for items of one shape and dtype.
        distribution: the distribution that `encode_batch` received.
        limits: maximum sizes of the bytes and of the result.
        threads: number of threads that share the items; 0 means all cores.

    Raises:
        TruncatedError, CorruptError, UnsupportedError, LimitExceededError: a string is invalid, as for `decode`.
        TypeError: `strings` is not a list of bytes-like objects, or an argument has another type.
        ValueError: there are no strings, the strings hold tensors of different shapes or dtypes, or the parameters
            have another number of items.
    """
    check_distribution(distribution)
    distribution = distribution._on_host()
    if isinstance(strings, str | bytes | bytearray | memoryview) or not isinstance(strings, Sequence):
        raise TypeError(f"strings must be a list of bytes-like objects, not {type(strings).__name__}")
    items = [to_bytes(string, f"strings[{i}]") for i, string in enumerate(strings)]
    check_instance(limits, Limits, "limits")
    limits.check_input(sum(map(len, items)))
    threads = resolve(threads)
    if not items:
        raise ValueError("strings is empty: pass one or more results of encode")
    dtype, is_torch, shape, _ = _native.message_head(items[0], distribution._model(distribution.shape))
    _check_items(distribution, (len(items), *shape))
    _check_size((len(items), *shape), dtype, limits)
    item_limits = replace(limits, max_output_bytes=limits.max_output_bytes // len(items))

    def restore(i: int) -> NDArray[Any]:
        item = np.asarray(decode(items[i], distribution._item(i, len(shape) + 1), limits=item_limits, threads=1))
        if (item.dtype, item.shape) != (np.dtype(dtype), shape):
            raise ValueError(f"strings[{i}] is {item.dtype} {item.shape}, but strings[0] is {dtype} {shape}")
        return item

    return like(np.stack(share(restore, range(len(items)), threads)), is_torch)


def _contexts(source: int, distribution: Distribution, shape: tuple[int, ...], contexts: ArrayLike | None) -> Contexts:
    """Return the contexts of a message of this shape. Raises ValueError if the caller must pass them and did not."""
    if source == _DISTRIBUTION:
        return distribution._contexts(shape)
    if source != _CALLER:
        return along(source - _AXIS, shape)
    if contexts is None:
        raise ValueError("the message was encoded with contexts: pass them, contexts=")
    return given(contexts, shape)


def _check_items(distribution: Distribution, shape: tuple[int, ...]) -> None:
    """Raise ValueError if a distribution's parameters do not fit a batch of this shape."""
    batch_axes = distribution.shape[: max(len(distribution.shape) - len(shape) + 1, 0)]
    if len(batch_axes) > 1 or (shape[0] and batch_axes not in ((), (1,), shape[:1])):
        raise ValueError(f"parameters of shape {distribution.shape} do not fit {shape[0]} items, a batch of {shape}")


def _check_size(shape: tuple[int, ...], dtype: str, limits: Limits) -> None:
    """Raise LimitExceededError if a tensor is larger than `limits` allow."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > limits.max_output_bytes:
        raise LimitExceededError(f"size of the tensor of {size} exceeds the limit of {limits.max_output_bytes}")


def _threads(threads: int, symbols: int) -> int:
    """Return the number of threads for a tensor; 1 for few symbols, which take less time than counting processors."""
    to_count(threads, "threads")
    return resolve(threads) if symbols > _FEW else 1


def _check_dtype(dtype: np.dtype[Any], conversion: str) -> None:
    if dtype.name not in DTYPES:
        advice = f": round first, {conversion}" if dtype.kind == "f" else ""
        raise TypeError(f"encode takes integers ({', '.join(DTYPES)}), not {dtype.name}{advice}")
