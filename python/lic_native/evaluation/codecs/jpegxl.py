"""JPEG XL, by the package imagecodecs: of JPEG files without loss, and of images."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from ..engine import Codec

__all__ = ["image_codecs", "jpeg_codecs"]


def _library() -> Any:
    """Return the package imagecodecs, or None if it is not installed or lacks JPEG XL."""
    library = import_module("imagecodecs") if find_spec("imagecodecs") else None
    return library if library and library.JPEGXL.available else None


def jpeg_codecs() -> Iterator[Codec[bytes]]:
    if library := _library():
        version = library.jpegxl_version().split()[-1]
        yield Codec(f"JPEG XL {version}", library.jpegxl_encode_jpeg, library.jpegxl_decode_jpeg)


def image_codecs() -> Iterator[Codec[Image.Image]]:
    if library := _library():
        yield Codec(
            "JPEG XL",
            lambda image, distance: bytes(
                library.jpegxl_encode(np.asarray(image), lossless=False, distance=distance, effort=7)
            ),
            lambda data: Image.fromarray(library.jpegxl_decode(data)),
            (25, 20, 15, 12, 9, 7, 5.5, 4.6, 3.7, 2.35, 1.5, 1),
            f"{library.jpegxl_version()} by imagecodecs, distance, effort 7",
        )
