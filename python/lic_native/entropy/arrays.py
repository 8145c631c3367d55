"""Conversion of arrays, tensors and numbers to NumPy arrays, and back."""

from __future__ import annotations

import sys
from array import array as buffer
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = [
    "INTEGERS",
    "OUT",
    "ArrayLike",
    "batch_item",
    "broadcast",
    "device_floats",
    "in_order",
    "like",
    "loses",
    "on_device",
    "refuse_lists",
    "to_floats",
    "to_int32",
    "to_numpy",
    "to_out",
    "to_symbols",
]

#: A torch tensor on any device, a NumPy array, anything with `__dlpack__`, or numbers and lists of them.
ArrayLike: TypeAlias = "torch.Tensor | NDArray[Any] | Any"

#: Names of the dtypes that symbols can have. (NumPy takes longer to name a dtype than to code a few symbols.)
INTEGERS = {np.dtype(name): name for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")}
_TOO_WIDE = frozenset(map(np.dtype, ("int64", "uint32")))
#: Dtypes that symbols can be decoded into.
OUT = frozenset(map(np.dtype, ("int8", "uint8", "int16", "uint16", "int32")))
#: Kinds of devices on which messages are coded, if all that belongs to one is there.
DEVICES = frozenset({"cuda"})


def to_numpy(value: ArrayLike) -> tuple[NDArray[Any], bool]:
    """Return an array of the same values, without a copy where possible, and whether `value` is a torch tensor.

    Raises:
        TypeError: `value` is a masked array, or a tensor that has no values or is not strided.
        ValueError: `value` is nested lists of different lengths.
    """
    if isinstance(value, np.ndarray):
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError("the mask of a masked array would be lost: pass its .data or .filled()")
        return value, False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.is_meta or value.is_nested or value.layout != torch.strided:
            kind = "on the meta device, without values" if value.is_meta else "nested or sparse"
            raise TypeError(f"a tensor must be strided and have values; this one is {kind}")
        if not value.is_cpu or value.requires_grad:
            value = value.detach().cpu()
        if value.dtype == torch.bfloat16:  # NumPy has no bfloat16; float32 holds its values exactly.
            value = value.float()
        return value.numpy(), True
    if hasattr(value, "__dlpack__") and not isinstance(value, np.generic):
        if value.__dlpack_device__()[0] == 1:
            return np.from_dlpack(value), False
        from torch.utils.dlpack import from_dlpack

        return from_dlpack(value).cpu().numpy(), False
    try:
        return np.asarray(value), False
    except ValueError as error:
        raise ValueError(f"{type(value).__name__} is not an array: its rows have different lengths") from error


def on_device(value: ArrayLike) -> torch.Tensor | None:
    """Return a tensor without its graph if it has dimensions and is on a device that codes messages; else None."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor) or value.device.type not in DEVICES:
        return None
    return value.detach() if value.ndim and value.layout == torch.strided and not value.is_nested else None


def device_floats(**parameters: ArrayLike) -> list[torch.Tensor] | None:
    """Return floats on one device as they are, and numbers beside them as tensors there, as `to_floats` rounds them.

    The result is None if no parameter is on a device that codes messages, or another one is neither there nor a number.
    """
    tensors = {name: on_device(value) for name, value in parameters.items()}
    given = [tensor for tensor in tensors.values() if tensor is not None]
    if not given or any(not x.is_floating_point() or x.itemsize < 2 or x.device != given[0].device for x in given):
        return None
    numbers = {name: to_numpy(parameters[name])[0] for name, tensor in tensors.items() if tensor is None}
    if any(array.ndim or array.dtype.kind not in "fiu" for array in numbers.values()):
        return None
    double = any(tensor.itemsize == 8 for tensor in given) or any(loses(array, name) for name, array in numbers.items())
    dtype = np.float64 if double else np.float32
    with np.errstate(all="ignore"):
        rounded = {name: like(array.astype(dtype), True) for name, array in numbers.items()}
    return [rounded[name].to(given[0].device) if tensor is None else tensor for name, tensor in tensors.items()]


def in_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself, or a copy that is C-contiguous, aligned and in the machine's byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def refuse_lists(symbols: ArrayLike) -> None:
    """Raise TypeError for numbers, sequences and strings of Python, which have no dtype that could be restored."""
    is_array = isinstance(symbols, np.ndarray | memoryview | buffer)
    if not is_array and not any(hasattr(symbols, name) for name in ("__array__", "__dlpack__", "__array_interface__")):
        raise TypeError(
            f"symbols must be a torch tensor, a NumPy array or a DLPack object, not {type(symbols).__name__}"
        )


def to_symbols(symbols: ArrayLike) -> tuple[NDArray[Any], str, bool]:
    """Return symbols in the form that the coder takes, the name of their dtype, and whether they were a torch tensor.

    The coder takes C-contiguous integers of up to 32 bits in native byte order, so int64 and uint32 become int32.

    Raises:
        TypeError: the symbols are not integers.
        ValueError: a symbol does not fit int32.
    """
    refuse_lists(symbols)
    array, is_torch = to_numpy(symbols)
    dtype = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    name = INTEGERS.get(dtype)
    if name is None:
        advice = ": round first" if array.dtype.kind == "f" else ""
        raise TypeError(f"symbols must be integers ({', '.join(INTEGERS.values())}), not {array.dtype}{advice}")
    return to_int32(array, f"{name} symbols") if dtype in _TOO_WIDE else in_order(array), name, is_torch


def to_int32(array: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Return integers as a C-contiguous int32 array: the array itself, or a copy.

    Raises:
        TypeError: the array does not hold integers; the message begins with `name`.
        ValueError: a value does not fit int32.
    """
    if array.dtype != np.int32 and array.size:
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} must be integers, not {array.dtype}")
        low, high = int(array.min()), int(array.max())
        if low < -(2**31) or high >= 2**31:
            raise ValueError(f"{name} must fit 32 bits: they are in {low}..{high}")
    return in_order(array.astype(np.int32, copy=False))


def to_out(out: ArrayLike) -> NDArray[Any]:
    """Return the memory of an array or of a CPU tensor, to decode symbols into.

    Raises:
        TypeError: `out` is neither, is read-only, or has a dtype outside `OUT`.
        ValueError: `out` is not contiguous.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor):
        if not out.is_cpu:
            raise TypeError(f"out must be on the CPU, not on {out.device}: decode, then copy the result there")
        if out.requires_grad or out.layout != torch.strided:
            raise TypeError("out must be a dense tensor that needs no gradient")
        array = to_numpy(out)[0]
    elif isinstance(out, np.ndarray):
        array = to_numpy(out)[0]
    else:
        # The array of another object may be a copy, so the object would not be filled.
        raise TypeError(f"out must be a NumPy array or a torch tensor on the CPU, not {type(out).__name__}")
    if array.dtype not in OUT:
        raise TypeError(f"out must be int8, uint8, int16, uint16 or int32, not {array.dtype}")
    if not array.flags.writeable:
        raise TypeError("out can't be written to")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError("out must be C-contiguous and aligned: decode, then copy the result into it")
    return array


def like(array: NDArray[Any], is_torch: bool) -> Any:
    """Return the array, or a torch tensor that shares its memory."""
    if not is_torch:
        return array
    import torch

    return torch.from_numpy(array)


def broadcast(array: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return the array in this shape, copied if its own differs. Raises ValueError if it does not broadcast."""
    if array.shape == shape:
        return array
    try:
        return np.ascontiguousarray(np.broadcast_to(array, shape))
    except ValueError:
        raise ValueError(f"{name} of shape {array.shape} do not fit symbols of shape {shape}") from None


def to_floats(**parameters: ArrayLike) -> list[NDArray[Any]]:
    """Return parameters as arrays of one dtype: float64 if any array has it or float32 `loses` a value, else float32.

    Raises:
        TypeError: a parameter does not hold numbers; the message has its keyword.
    """
    arrays = {name: to_numpy(value)[0] for name, value in parameters.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name} must be numbers, not {array.dtype}")
    double = any(array.dtype.kind == "f" and array.itemsize > 4 and array.ndim > 0 for array in arrays.values())
    double = double or any(loses(array, name) for name, array in arrays.items())
    with np.errstate(all="ignore"):
        dtype = np.float64 if double else np.float32
        return [in_order(array.astype(dtype, copy=False)) for array in arrays.values()]


def loses(array: NDArray[Any], name: str) -> bool:
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


def batch_item(array: NDArray[Any], i: int, dimensions: int) -> NDArray[Any]:
    """Return a parameter's slice for item `i` of a batch with this number of dimensions.

    A parameter without the batch axis is returned unchanged.
    """
    if array.ndim < dimensions:
        return array
    item: NDArray[Any] = array[i if array.shape[0] > 1 else 0]
    return item
