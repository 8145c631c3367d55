"""What a file may ask for."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

from .arguments import to_count
from .errors import LimitExceededError

__all__ = ["DEFAULT_LIMITS", "Limits", "to_limit"]


def to_limit(given: int, name: str) -> int:
    """Return a limit, from 0 on; what is beyond all memory as the most that native code can count to.

    Raises:
        TypeError: it is no integer.
        ValueError: it is negative.
    """
    return min(to_count(given, name), sys.maxsize)


@dataclass(frozen=True)
class Limits:
    """What a file may ask for at most. Memory and time are bounded by it: a small file can say that it is large.

    Args:
        max_pixels: of all pictures in a file together. Of JPEG count the blocks of all components: 3 for 64 pixels.
        max_input_bytes: of what is given.
        max_output_bytes: of what is restored.

    Raises:
        TypeError: one of them is no integer.
        ValueError: one of them is negative.
    """

    max_pixels: int = 2**29
    max_input_bytes: int = 2**31
    max_output_bytes: int = 2**31

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, to_limit(getattr(self, field.name), field.name))

    @property
    def max_blocks(self) -> int:
        """Blocks of 64 samples that the pictures of a JPEG file may have."""
        return 3 * self.max_pixels // 64

    def check_input(self, size: int) -> None:
        """Raise LimitExceededError if so many bytes are too many."""
        if size > self.max_input_bytes:
            raise LimitExceededError(f"input of {size} bytes exceeds the limit of {self.max_input_bytes}")

    def check_pixels(self, count: int) -> None:
        """Raise LimitExceededError if so many pixels are too many."""
        if count > self.max_pixels:
            raise LimitExceededError(f"an image of {count} pixels exceeds the limit of {self.max_pixels}")


DEFAULT_LIMITS = Limits()
