"""What lic_native raises for data that it can't decode; wrong arguments raise ValueError or TypeError."""

from ._native import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError

__all__ = ["CorruptError", "LicError", "LimitExceededError", "TruncatedError", "UnsupportedError"]
