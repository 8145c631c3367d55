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
from .entropy.base import Distribution
from .entropy.distributions import Categorical, Gaussian, Laplace, Logistic, Mixture
from .entropy.stream import Decoder, Encoder
from .entropy.tables import Tables
from .entropy.tensor import decode, decode_batch, encode, encode_batch
from .errors import (
    CorruptError,
    InexactDeviceError,
    LicError,
    LimitExceededError,
    TruncatedError,
    UnknownModelError,
    UnsupportedError,
    VersionError,
    WeightsMismatchError,
)
from .inspection import inspect, kind
from .limits import Limits

__all__ = [
    "Categorical",
    "CorruptError",
    "Decoder",
    "Distribution",
    "Encoder",
    "Gaussian",
    "InexactDeviceError",
    "Laplace",
    "LicError",
    "LimitExceededError",
    "Limits",
    "Logistic",
    "Mixture",
    "Tables",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "VersionError",
    "WeightsMismatchError",
    "decode",
    "decode_batch",
    "encode",
    "encode_batch",
    "errors",
    "image",
    "inspect",
    "jpeg",
    "kind",
]
