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
from .entropy.base import Distribution
from .entropy.distributions import Categorical, Gaussian, Laplace, Logistic, Mixture
from .entropy.stream import Decoder, Encoder
from .entropy.tables import Tables
from .entropy.tensor import decode, decode_batch, encode, encode_batch
from .errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from .limits import Limits

__version__ = "0.1.0"
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
