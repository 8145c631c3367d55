"""Whatever holds numbers, as NumPy arrays."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

#: A torch tensor on any device, a NumPy array, anything with `__dlpack__`, or numbers and lists of them.
ArrayLike: TypeAlias = "torch.Tensor | NDArray[Any] | Any"

#: What symbols can be. (The name of a dtype takes NumPy longer to tell than coding a few symbols takes.)
INTEGERS = {np.dtype(name): name for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")}
_TOO_WIDE = frozenset(map(np.dtype, ("int64", "uint32")))


def to_numpy(given: ArrayLike) -> tuple[NDArray[Any], bool]:
    """An array of the same values, without a copy where that is possible, and whether it was a tensor of torch."""
    if isinstance(given, np.ndarray):
        if isinstance(given, np.ma.MaskedArray):
            raise TypeError("the mask of a masked array would be lost: pass its .data or .filled()")
        return given, False
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.Tensor):
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
    return np.asarray(given), False


def in_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself, or a copy that is C-contiguous, aligned and in the machine's byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def refuse_lists(given: ArrayLike) -> None:
    """Raise TypeError for Python's own numbers and sequences: they have no dtype to restore, and are slow."""
    if isinstance(given, list | tuple | int | float):
        raise TypeError(f"symbols must be a torch tensor, a NumPy array or a DLPack object, not {type(given).__name__}")


def to_symbols(given: ArrayLike) -> tuple[NDArray[Any], str, bool]:
    """Integers as the coder takes them (up to 32 bits, in order); their dtype; whether they were torch's.

    Raises:
        TypeError: they are not integers.
        ValueError: int64 or uint32 values that 32 bits with a sign can't hold.
    """
    refuse_lists(given)
    array, is_torch = to_numpy(given)
    name = INTEGERS.get(array.dtype.newbyteorder("=") if not array.dtype.isnative else array.dtype)
    if name is None:
        advice = ": round first" if array.dtype.kind == "f" else ""
        raise TypeError(f"symbols must be integers ({', '.join(INTEGERS.values())}), not {array.dtype}{advice}")
    return to_int32(array, f"{name} symbols") if array.dtype in _TOO_WIDE else in_order(array), name, is_torch


def to_int32(array: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Integers as int32 in order: the array itself, or a copy.

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


def like(array: NDArray[Any], is_torch: bool) -> Any:
    """The array, or the tensor of torch that shares its memory."""
    if not is_torch:
        return array
    import torch

    return torch.from_numpy(array)


def broadcast(array: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """The array if it has the shape, else a copy that does."""
    if array.shape == shape:
        return array
    try:
        return np.ascontiguousarray(np.broadcast_to(array, shape))
    except ValueError:
        raise ValueError(f"{name} of shape {array.shape} do not fit symbols of shape {shape}") from None
