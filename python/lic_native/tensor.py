"""Integer tensors and arrays <-> self-describing bytes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native

if TYPE_CHECKING:
    import torch

#: Size of the tensor that `decode` restores unless told otherwise.
MAX_BYTES = 2**31
DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")


def encode(tensor: torch.Tensor | np.ndarray[Any, Any]) -> bytes:
    """Any integer tensor or array -> bytes that hold its values, shape and dtype.

    Tables are fitted to the values, so no model is needed; what doesn't compress is kept as it is, at most 32 bytes
    and the shape larger.

    Args:
        tensor: torch tensor on any device or NumPy array, any shape (also empty or of no dimension), of dtype bool,
            int8, uint8, int16, uint16, int32, uint32 or int64.

    Raises:
        TypeError: the dtype is not one of these. A float tensor has to be rounded first, and an integer one is a
            smaller file: `encode(tensor.round().to(torch.int32))`.
    """
    torch = sys.modules.get("torch")
    is_torch = False
    if torch is not None and isinstance(tensor, torch.Tensor):
        is_torch = True
        _check_dtype(str(tensor.dtype).removeprefix("torch."), "tensor.round().to(torch.int32)")
        array = tensor.detach().cpu().numpy()
    elif isinstance(tensor, np.ma.MaskedArray):
        raise TypeError("encode would lose the mask of a masked array: pass its .data or .filled()")
    elif isinstance(tensor, np.ndarray | np.generic):
        _check_dtype(tensor.dtype.name, "numpy.rint(array).astype(numpy.int32)")
        array = np.asarray(tensor)
    else:
        raise TypeError(f"encode takes a torch tensor or a NumPy array, not {type(tensor).__name__}")
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    return _native.tensor_encode(array, is_torch)


def decode(data: bytes | bytearray | memoryview, *, max_bytes: int = MAX_BYTES) -> Any:
    """What `encode` was given: a torch tensor (on the CPU) or a NumPy array of the same values, shape and dtype.

    Args:
        data: bytes from `encode`.
        max_bytes: size that the result may have.

    Raises:
        TruncatedError, CorruptError: the bytes are damaged; any change to them is noticed.
        UnsupportedError: the bytes are of a newer version.
        LimitExceededError: the result would have more than `max_bytes`.
    """
    array, is_torch = _native.tensor_decode(bytes(data), max_bytes)
    if not is_torch:
        return array
    import torch

    return torch.from_numpy(array)


def _check_dtype(name: str, conversion: str) -> None:
    if name not in DTYPES:
        advice = f": round first, {conversion}" if "float" in name else ""
        raise TypeError(f"encode takes integers ({', '.join(DTYPES)}), not {name}{advice}")
