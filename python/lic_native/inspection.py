"""One door to all data that lic_native writes: their kind, and a description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from . import _native, image, jpeg
from .arguments import Bytes, check_instance, to_bytes
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["Kind", "TensorInfo", "inspect", "kind"]

#: Kinds of data: `.lic` files that store a file, code its JPEG pictures, or hold an image with loss; tensors from
#: `encode` without a distribution, and with one.
Kind: TypeAlias = Literal["stored", "jpeg", "image", "tensor", "symbols"]


@dataclass(frozen=True)
class TensorInfo:
    """A tensor from `encode`.

    kind: "tensor" if its tables are inside, "symbols" if decoding needs the distribution.
    library: "numpy" or "torch".
    """

    kind: str
    file_bytes: int
    dtype: str
    shape: tuple[int, ...]
    library: str


def kind(head: Bytes) -> Kind:
    """Return the kind of data that begin with `head`; six bytes are enough.

    Raises:
        TypeError: `head` is not a bytes-like object.
        TruncatedError: `head` is too short to tell.
        UnsupportedError: lic_native has not written the data, or a newer version has.
    """
    return cast(Kind, _native.kind(to_bytes(head, "head")[:6]))


def inspect(
    data: Bytes, *, limits: Limits = DEFAULT_LIMITS
) -> jpeg.StoredInfo | jpeg.JpegInfo | image.ImageInfo | TensorInfo:
    """Describe a `.lic` file or a tensor.

    Raises:
        TypeError: an argument has the wrong type.
        TruncatedError, CorruptError: the data are damaged.
        UnsupportedError: the data are of a newer version, or lic_native has not written them.
        LimitExceededError: the data exceed `limits`.
    """
    data = to_bytes(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    kind_ = kind(data)
    if kind_ == "image":
        return image.inspect(data, limits=limits)
    if kind_ in ("stored", "jpeg"):
        return jpeg.inspect(data, limits=limits)
    if kind_ == "symbols":
        dtype, is_torch, shape = _native.message_head(data)
    else:
        array, is_torch = _native.tensor_decode(data, limits.max_output_bytes)
        dtype, shape = array.dtype.name, array.shape
    return TensorInfo(kind_, len(data), dtype, shape, "torch" if is_torch else "numpy")
