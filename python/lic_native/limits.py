"""What a file may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LimitExceededError


@dataclass(frozen=True)
class Limits:
    """What a file may ask for at most. Memory and time are bounded by it: a small file can say that it is large.

    max_pixels: of all pictures in a file together. Of JPEG count the blocks of all components: 3 for 64 pixels.
    max_input_bytes: of what is given.
    max_output_bytes: of what is restored.
    """

    max_pixels: int = 2**29
    max_input_bytes: int = 2**31
    max_output_bytes: int = 2**31

    @property
    def max_blocks(self) -> int:
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
