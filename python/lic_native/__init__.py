"""Learned compression as a library: JPEG files made smaller without loss, integer tensors coded with rANS.

    small = lic_native.jpeg.compress(data)          # bytes of a .jpg -> bytes of a .lic
    data = lic_native.jpeg.decompress(small)        # the same bytes again
    coded = lic_native.encode(tensor)               # any integer tensor or array -> self-describing bytes
    tensor = lic_native.decode(coded)
    coded = lic_native.encode(latents, lic_native.Gaussian(mean, scale))  # as few bytes as the distribution says
    latents = lic_native.decode(coded, lic_native.Gaussian(mean, scale))

torch is imported when a model runs, not before.
"""

from . import errors, image, jpeg
from ._native import __version__ as __version__
from .distributions import Categorical, Distribution, Gaussian, Laplace, Logistic, Mixture, Tables
from .errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from .limits import Limits
from .stream import Decoder, Encoder
from .tensor import decode, decode_batch, encode, encode_batch

__all__ = [
    "Categorical",
    "CorruptError",
    "Decoder",
    "Distribution",
    "Encoder",
    "Gaussian",
    "Laplace",
    "LicError",
    "LimitExceededError",
    "Limits",
    "Logistic",
    "Mixture",
    "Tables",
    "TruncatedError",
    "UnsupportedError",
    "decode",
    "decode_batch",
    "encode",
    "encode_batch",
    "errors",
    "image",
    "jpeg",
]
