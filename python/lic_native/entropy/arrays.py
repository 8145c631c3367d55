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
    "broadcast",
    "in_order",
    "like",
    "refuse_lists",
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


def to_numpy(given: ArrayLike) -> tuple[NDArray[Any], bool]:
    """Return an array of the same values, without a copy where possible, and whether it was a torch tensor.

    Raises:
        TypeError: it is a masked array, or a tensor without values or without an ordinary layout.
        ValueError: it is lists of different lengths.
    """
    if isinstance(given, np.ndarray):
        if isinstance(given, np.ma.MaskedArray):
            raise TypeError("the mask of a masked array would be lost: pass its .data or .filled()")
        return given, False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.Tensor):
        if given.is_meta or given.is_nested or given.layout != torch.strided:
            kind = "on the meta device, without values" if given.is_meta else "nested or sparse"
            raise TypeError(f"a tensor must be strided and have values; this one is {kind}")
        if not given.is_cpu or given.requires_grad:
            given = given.detach().cpu()
        if given.dtype == torch.bfloat16:  # which NumPy doesn't have; float32 holds it exactly
            given = given.float()
        return given.numpy(), True
    if hasattr(given, "__dlpack__") and not isinstance(given, np.generic):
        if given.__dlpack_device__()[0] == 1:
            return np.from_dlpack(given), False
        from torch.utils.dlpack import from_dlpack

        return from_dlpack(given).cpu().numpy(), False
    try:
        return np.asarray(given), False
    except ValueError as error:
        raise ValueError(f"{type(given).__name__} is not an array: its rows have different lengths") from error


def in_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself, or a copy that is C-contiguous, aligned and in the machine's byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def refuse_lists(given: ArrayLike) -> None:
    """Raise TypeError for Python's own numbers, sequences and texts: they have no dtype to restore, and are slow."""
    is_array = isinstance(given, np.ndarray | memoryview | buffer)
    if not is_array and not any(hasattr(given, name) for name in ("__array__", "__dlpack__", "__array_interface__")):
        raise TypeError(f"symbols must be a torch tensor, a NumPy array or a DLPack object, not {type(given).__name__}")


def to_symbols(given: ArrayLike) -> tuple[NDArray[Any], str, bool]:
    """Return integers as the coder takes them (up to 32 bits, in order), their dtype, and whether they were torch's.

    Raises:
        TypeError: they are not integers.
        ValueError: int64 or uint32 values that 32 bits with a sign can't hold.
    """
    refuse_lists(given)
    array, is_torch = to_numpy(given)
    dtype = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    name = INTEGERS.get(dtype)
    if name is None:
        advice = ": round first" if array.dtype.kind == "f" else ""
        raise TypeError(f"symbols must be integers ({', '.join(INTEGERS.values())}), not {array.dtype}{advice}")
    return to_int32(array, f"{name} symbols") if dtype in _TOO_WIDE else in_order(array), name, is_torch


def to_int32(array: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Return integers as int32 in order: the array itself, or a copy.

    Raises:
        TypeError: they are not integers.
        ValueError: some do not fit.
    """
    if array.dtype != np.int32 and array.size:
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} must be integers, not {array.dtype}")
        low, high = int(array.min()), int(array.max())
        if low < -(2**31) or high >= 2**31:
            raise ValueError(f"{name} must fit 32 bits: they are in {low}..{high}")
    return in_order(array.astype(np.int32, copy=False))


def to_out(given: ArrayLike) -> NDArray[Any]:
    """Return the memory of an array or of a CPU tensor, to decode symbols into.

    Raises:
        TypeError: it is neither, or can't be written to, or has another dtype than the five that symbols can have.
        ValueError: it is not contiguous.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.Tensor):
        if not given.is_cpu:
            raise TypeError(f"out must be on the CPU, not on {given.device}: decode, then copy the result there")
        if given.requires_grad or given.layout != torch.strided:
            raise TypeError("out must be a dense tensor that needs no gradient")
        array = to_numpy(given)[0]
    elif isinstance(given, np.ndarray):
        array = to_numpy(given)[0]
    else:
        # For other objects the array may be a copy, and the object itself would not be filled.
        raise TypeError(f"out must be a NumPy array or a torch tensor on the CPU, not {type(given).__name__}")
    if array.dtype not in OUT:
        raise TypeError(f"out must be int8, uint8, int16, uint16 or int32, not {array.dtype}")
    if not array.flags.writeable:
        raise TypeError("out can't be written to")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError("out must be C-contiguous and aligned: decode, then copy the result into it")
    return array


def like(array: NDArray[Any], is_torch: bool) -> Any:
    """Return the array, or the tensor of torch that shares its memory."""
    if not is_torch:
        return array
    import torch

    return torch.from_numpy(array)


def broadcast(array: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return the array if it has the shape, else a copy that does. Raise ValueError if it does not broadcast to it."""
    if array.shape == shape:
        return array
    try:
        return np.ascontiguousarray(np.broadcast_to(array, shape))
    except ValueError:
        raise ValueError(f"{name} of shape {array.shape} do not fit symbols of shape {shape}") from None
