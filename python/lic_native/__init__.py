"""Learned compression as a library: JPEG files made smaller without loss, integer tensors coded with rANS.

    small = lic_native.jpeg.compress(data)          # bytes of a .jpg -> bytes of a .lic
    data = lic_native.jpeg.decompress(small)        # the same bytes again
    coded = lic_native.encode(tensor)               # any integer tensor or array -> self-describing bytes
    tensor = lic_native.decode(coded)

torch is imported when a model runs, not before.
"""

from . import errors, jpeg
from .errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from .tensor import decode, encode

__version__ = "0.1.0"
__all__ = [
    "CorruptError",
    "LicError",
    "LimitExceededError",
    "TruncatedError",
    "UnsupportedError",
    "decode",
    "encode",
    "errors",
    "jpeg",
]
