"""The errors that lic_native raises for data that it can't decode. Wrong arguments raise ValueError or TypeError."""

from ._native import (
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

__all__ = [
    "CorruptError",
    "InexactDeviceError",
    "LicError",
    "LimitExceededError",
    "TruncatedError",
    "UnknownModelError",
    "UnsupportedError",
    "VersionError",
    "WeightsMismatchError",
]
