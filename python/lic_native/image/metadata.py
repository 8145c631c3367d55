"""Metadata of images: Exif, XMP and colour profile, as bytes and as Pillow has them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["METADATA", "XMP_TAG", "as_bytes", "dpi_of", "info_of", "metadata_of", "with_dpi", "without_storage_tags"]

#: Names of the metadata that is kept, as Pillow's `info` has them, in the order of files.
METADATA = ("exif", "icc_profile", "xmp")
XMP_TAG = 700
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
#: How many of Exif's units of length an inch has, by their numbers; 1 stands for no unit.
UNITS = {2: 1, 3: 2.54}
#: What Pillow reports for JPEG and TIFF files without a resolution.
NO_DPI = ((72, 72), (1, 1))
#: Tags that say how a TIFF file stores its samples, and those of XMP and colour profile, which are kept by themselves.
STORAGE_TAGS = {
    *(*range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, *range(288, 294), 301, *range(317, 326)),
    *(330, *range(332, 348), *range(512, 522), *range(529, 533), XMP_TAG, 34675),
}


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """Return the metadata of a loaded Pillow image: bytes by the names in `METADATA`.

    Exif is that of `getexif()` if it has been changed. An image without Exif whose `info["dpi"]` has a resolution gets
    an Exif with it.
    """
    values = {name: image.info.get(name) for name in METADATA} | {"exif": _exif_of(image)}
    metadata = {name: as_bytes(name, value) for name, value in values.items()}
    dpi: Any = image.info.get("dpi")
    if not metadata["exif"] and _is_dpi(dpi) and tuple(dpi) not in NO_DPI:
        metadata["exif"] = with_dpi(b"", dpi)
    return {name: value for name, value in metadata.items() if value}


def as_bytes(name: str, value: Any) -> bytes:
    """Return as bytes what users pass as metadata: bytes, `Image.Exif`, text for XMP, None for nothing.

    Raises TypeError or ValueError.
    """
    if hasattr(value, "tobytes") and hasattr(value, "get_ifd"):
        try:
            return bytes(value.tobytes()) if len(value) or any(value._ifds.values()) else b""
        except Exception as error:
            raise ValueError(f"Pillow can't write this image's Exif: {error}") from error
    if isinstance(value, str) and name == "xmp":
        return value.encode()
    if value is not None and not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{name} must be bytes or None, not {type(value).__name__}")
    return bytes(value or b"")


def _exif_of(image: Image.Image) -> Any:
    """Return an image's Exif: the bytes of its file, an edited `Image.Exif`, or None."""
    from PIL import Image

    raw = image.info.get("exif")
    # Exif of TIFF files is not in `info`, and some PNG files have it as text.
    if raw is None and (hasattr(image, "tag_v2") or "Raw profile type exif" in image.info):
        try:
            described = without_storage_tags(image.getexif().tobytes())
        except Exception as error:  # Pillow's parser raises all kinds.
            raise ValueError(f"Pillow can't read the Exif of this {image.format} file: {error}") from error
        return described if len(described) else None
    exif = image._exif
    # If `info` has been changed since `getexif()` read it, `info` counts.
    if exif is None or not exif._loaded or exif._loaded_exif != raw:
        return raw
    untouched = Image.Image()
    untouched.info = image.info
    with suppress(Exception):  # Damaged Exif ends both reads at the same place.
        untouched.getexif()
    return raw if _view(exif, exif._ifds) == _view(untouched._exif, exif._ifds) else exif


def _view(exif: Any, ifds: dict[int, Any]) -> dict[Any, str]:
    """Return the values of Exif and of these of its parts, for comparison."""
    calls: list[tuple[Any, Callable[[int], Any], int]] = [(tag, exif.__getitem__, tag) for tag in exif]
    view = {}
    for key, read, tag in calls + [((tag,), exif.get_ifd, tag) for tag in list(ifds)]:
        try:
            view[key] = repr(read(tag))
        except Exception:  # A damaged value can't have been edited.
            view[key] = ""
    return view


def info_of(metadata: dict[str, bytes]) -> dict[str, Any]:
    """Return metadata as `info` of a Pillow image has it: with "dpi" if Exif has a resolution."""
    dpi = dpi_of(metadata.get("exif", b""))
    return {**metadata, "dpi": dpi} if dpi else dict(metadata)


def dpi_of(exif: bytes) -> tuple[float, float] | None:
    """Return the dots per inch that Exif has, None without any. Unlike Pillow, this never warns of damaged Exif."""
    data = exif.removeprefix(b"Exif\0\0")
    order = "<" if data.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        entries = [struct.unpack_from(order + "HHI4s", data, start + 2 + 12 * i) for i in range(count)]
        values = {tag: value for tag, _, _, value in entries}
        (unit,) = struct.unpack_from(order + "H", values.get(RESOLUTION_UNIT, struct.pack(order + "H", 2)))
        offsets = [struct.unpack(order + "I", values[tag])[0] for tag in (X_RESOLUTION, Y_RESOLUTION)]
        fractions = [struct.unpack_from(order + "II", data, offset) for offset in offsets]
        x, y = (numerator / denominator * UNITS[unit] for numerator, denominator in fractions)
    except (struct.error, KeyError, ZeroDivisionError):
        return None
    return (x, y) if _is_dpi((x, y)) else None


def _is_dpi(dpi: Any) -> bool:
    """Return whether `dpi` is a pair of numbers that Exif can hold."""
    try:
        return len(dpi) == 2 and all(0.01 <= float(number) < 2**24 for number in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return False


def with_dpi(exif: bytes, dpi: Any) -> bytes:
    """Return Exif with this resolution. Raises ValueError for other than two numbers, and for unreadable Exif."""
    from PIL import Image

    if not _is_dpi(dpi):
        raise ValueError(f"dpi must be two numbers from 0.01 on, not {dpi!r}")
    changed = Image.Exif()
    try:
        changed.load(exif)
        changed[X_RESOLUTION], changed[Y_RESOLUTION] = (float(number) for number in dpi)
        changed[RESOLUTION_UNIT] = 2
        return changed.tobytes()
    except Exception as error:  # Pillow's parser raises all kinds.
        raise ValueError(f"the image's Exif can't be read, to keep dpi inside it: {error}") from error


def without_storage_tags(data: bytes) -> Image.Exif:
    """Return Exif without the tags that describe how a file stores the picture."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(data)
    for tag in STORAGE_TAGS & set(exif):
        del exif[tag]
    return exif
