"""packJPG, by its command."""

from __future__ import annotations

from collections.abc import Iterator

from ..engine import Codec
from .programs import find_program, through_files

__all__ = ["jpeg_codecs"]


def jpeg_codecs() -> Iterator[Codec[bytes]]:
    if program := find_program("packJPG", "packjpg"):
        # It chooses the direction by the content, and names the result after the source. -np: do not wait for a key.
        yield Codec(
            "packJPG",
            through_files([program, "-np", "x.jpg"], "x.jpg", "x.pjg"),
            through_files([program, "-np", "x.pjg"], "x.pjg", "x.jpg"),
        )
