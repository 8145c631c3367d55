"""paq8px, by its command."""

from __future__ import annotations

from collections.abc import Iterator

from ..engine import Codec
from .programs import find_program, through_files

__all__ = ["jpeg_codecs"]


def jpeg_codecs() -> Iterator[Codec[bytes]]:
    if program := find_program("paq8px"):
        yield Codec(
            "paq8px -8",
            through_files([program, "-8", "x.jpg", "x.paq"], "x.jpg", "x.paq"),
            through_files([program, "-d", "x.paq", "x.jpg"], "x.paq", "x.jpg"),
        )
