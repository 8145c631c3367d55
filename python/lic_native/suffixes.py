"""Suffixes of files, and the formats that those of images stand for."""

from __future__ import annotations

import io
import os
from typing import IO

from .errors import UnsupportedError

__all__ = [
    "FORMATS",
    "JPEG_SUFFIXES",
    "LOSSLESS_SUFFIXES",
    "SUFFIXES",
    "WEIGHTS_SUFFIX",
    "check_suffix",
    "readable_formats",
]

#: Suffixes of JPEG files.
JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif"}
#: Suffixes of image files that keep every sample.
LOSSLESS_SUFFIXES = {".png", ".tif", ".tiff", ".bmp"}
#: Suffixes of image files.
SUFFIXES = JPEG_SUFFIXES | LOSSLESS_SUFFIXES | {".webp", ".avif", ".jp2", ".ppm", ".pgm"}
#: Of files of weights.
WEIGHTS_SUFFIX = ".weights"
#: Pillow's formats that are read: pictures that consist of samples. EPS, for one, would run Ghostscript.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL"),
    *("PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)


def readable_formats() -> list[str]:
    """Return the entries of FORMATS that this Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def check_suffix(data: bytes | IO[bytes], path: str | os.PathLike[str]) -> None:
    """Raise UnsupportedError if a path names an image file of one format, and `data`, or a file, is one of another."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    # Pillow takes longer to import than a photograph takes to decode, and has no other format that begins so.
    if suffix not in SUFFIXES or (suffix in JPEG_SUFFIXES and _begins_as_jpeg(data)):
        return
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=readable_formats()) as picture:
            found = picture.format
    except Exception:  # It is not an image.
        return
    expected = Image.registered_extensions()[suffix]
    if found != expected and (found, expected) != ("MPO", "JPEG"):
        name = os.path.basename(os.fspath(path))
        raise UnsupportedError(f"it restores a {found} file, byte for byte, but {name} would be {expected}: rename it")


def _begins_as_jpeg(data: bytes | IO[bytes]) -> bool:
    if not isinstance(data, bytes):
        data.seek(0)
        data = data.read(3)
    return data.startswith(b"\xff\xd8\xff")
