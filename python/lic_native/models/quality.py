"""The qualities of the models for images, as files name them."""

from __future__ import annotations

#: Those that have gains of their own: 1, 2, ... 8. Between two of them a file can name 63 more.
QUALITIES, BETWEEN = 8, 64
#: The index of the highest.
LAST = (QUALITIES - 1) * BETWEEN


def index_of(quality: float) -> int:
    """The nearest quality that a file can name, from 0 on. Raises ValueError if it is not from 1 to 8."""
    if not 1 <= quality <= QUALITIES:
        raise ValueError(f"quality {quality} is not from 1 to {QUALITIES}")
    return round((quality - 1) * BETWEEN)
