"""Limits on what a file may ask for."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

from .arguments import to_count
from .errors import LimitExceededError

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """The most that data may ask for. Limits bound memory and time: a small file can claim to be large.

    Args:
        max_pixels: pixels of all pictures in a file together. A JPEG counts the blocks of its components: 3 for 64
            pixels.
        max_input_bytes: bytes of the input.
        max_output_bytes: bytes of the restored file, image or tensor.

    Raises:
        TypeError: a limit is not an integer.
        ValueError: a limit is negative.
    """

    max_pixels: int = 2**29
    max_input_bytes: int = 2**31
    max_output_bytes: int = 2**31

    def __post_init__(self) -> None:
        # Native code cannot count further than `sys.maxsize`.
        for field in fields(self):
            limit = min(to_count(getattr(self, field.name), field.name), sys.maxsize)
            object.__setattr__(self, field.name, limit)

    @property
    def max_blocks(self) -> int:
        """Return the number of blocks of 64 samples that the pictures of a JPEG file may have."""
        return 3 * self.max_pixels // 64

    def check_input(self, size: int) -> None:
        """Raise LimitExceededError if the input of `size` bytes is too long."""
        if size > self.max_input_bytes:
            raise LimitExceededError(f"input of {size} bytes exceeds the limit of {self.max_input_bytes}")

    def check_pixels(self, count: int) -> None:
        """Raise LimitExceededError if an image of `count` pixels is too large."""
        if count > self.max_pixels:
            raise LimitExceededError(f"an image of {count} pixels exceeds the limit of {self.max_pixels}")


DEFAULT_LIMITS = Limits()
