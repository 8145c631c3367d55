"""One door to all data that lic_native writes: their kind, and a description without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from . import _native, image, jpeg
from .arguments import Bytes, check_instance, to_bytes
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["HEAD_BYTES", "MAGIC", "Kind", "TensorInfo", "inspect", "kind"]

#: The first bytes of every `.lic` file.
MAGIC = b"\x89LIC"
#: Bytes that tell the kind of data.
HEAD_BYTES = 6
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
    """Return the kind of data that begin with `head`; `HEAD_BYTES` are enough.

    Raises:
        TypeError: `head` is not a bytes-like object.
        TruncatedError: `head` is too short to tell.
        UnsupportedError: lic_native has not written the data, or a newer version has.
    """
    return cast(Kind, _native.kind(to_bytes(head, "head")[:HEAD_BYTES]))


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
    head = _native.message_head if kind_ == "symbols" else _native.tensor_head
    dtype, is_torch, shape = head(data)[:3]
    return TensorInfo(kind_, len(data), dtype, shape, "torch" if is_torch else "numpy")
