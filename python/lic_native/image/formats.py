"""Image files of the formats that Pillow reads and writes."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CorruptError, LimitExceededError, UnsupportedError
from ..limits import Limits
from ..suffixes import FORMATS, LOSSLESS_SUFFIXES, readable_formats
from .metadata import METADATA, XMP_TAG, as_bytes, dpi_of, without_storage_tags
from .samples import Warn, check_pillow, warn_caller

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "format_of",
    "keeps",
    "read_file",
    "write_file",
]

#: Names of metadata in messages.
TITLES = {"exif": "Exif", "icc_profile": "colour profile", "xmp": "XMP"}
#: First bytes of XMP in encodings other than UTF-8.
ENCODINGS = {
    **dict.fromkeys((b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "utf-32"),
    **{b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be"},
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "utf-16"),
    **{b"<\0": "utf-16-le", b"\0<": "utf-16-be"},
}


def read_file(data: bytes, limits: Limits) -> Image.Image:
    """Return an image file as a Pillow image that `samples.to_pixels` takes.

    Raises:
        UnsupportedError: it is no image file, or would lose more than the codec's loss: bits, frames, inks.
        CorruptError: Pillow can't read it.
        LimitExceededError: it has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=readable_formats())
        limits.check_pixels(image.width * image.height)
        try:
            check_pillow(image)
        except ValueError as error:
            raise UnsupportedError(str(error)) from error
        image.load()
    except (MemoryError, UnsupportedError, LimitExceededError):
        raise
    except UnidentifiedImageError:
        raise UnsupportedError(
            f"no image file of a kind that is read here ({', '.join(readable_formats())}), or damaged where it begins"
        ) from None
    except Image.DecompressionBombError as error:
        raise LimitExceededError(str(error)) from error
    except Exception as error:  # Pillow's many decoders raise all kinds.
        raise CorruptError(f"Pillow can't read it: {str(error) or type(error).__name__}") from error
    return image


def write_file(image: Image.Image, suffix: str, warn: Warn = warn_caller) -> bytes:
    """Return an image file in the format of a suffix, with the metadata that the format takes.

    warn: called with the metadata that is left out, if any.

    Raises:
        UnsupportedError: Pillow can't write the image in this format, or its alpha channel would be lost.
    """
    from PIL import Image

    format = format_of(suffix)
    alpha = np.asarray(image.getchannel("A")) if image.mode[-1] == "A" else None
    if suffix.lower() in (".pgm", ".pbm") and image.mode[0] != "L":
        raise UnsupportedError(f"{suffix} is for gray, and this image has colours: take .ppm")
    metadata = {name: value for name in METADATA if (value := as_bytes(name, image.info.get(name)))}
    try:
        buffer = io.BytesIO()
        image.save(buffer, format, **_save_options(format, metadata))
        # The file is read back, to see what it has kept.
        again: Image.Image | None = None
        if format in FORMATS and (metadata or alpha is not None):
            # `Image.open` would refuse large images.
            again = Image.OPEN[format][0](io.BytesIO(buffer.getvalue()), "")
            again.load()
    except MemoryError:
        raise
    except Exception as error:  # A mode that the format does not have, or metadata that Pillow can't parse.
        what = "an image with alpha (take .png or .tif)" if alpha is not None and image.mode in str(error) else "it"
        raise UnsupportedError(f"Pillow can't write {what} as {format}: {error}") from error
    if alpha is not None and not (again and np.array_equal(np.asarray(again.convert("RGBA"))[..., 3], alpha)):
        raise UnsupportedError(f"{format} does not keep the alpha channel of this image: take .png or .tif")
    kept = set(again.info) if again else set()
    # TIFF files keep Exif as their own tags.
    left_out = [TITLES[name] for name in metadata if name not in kept and (name, format) != ("exif", "TIFF")]
    if left_out:
        warn(f"{format} does not take all metadata of this image; left out: {', '.join(left_out)}")
    return buffer.getvalue()


def _save_options(format: str, metadata: dict[str, bytes]) -> dict[str, Any]:
    """Return the options of Pillow's `save` that make it write metadata. Raises as its parser of Exif does."""
    from PIL import PngImagePlugin

    options: dict[str, Any] = dict(metadata)
    if dpi := dpi_of(metadata.get("exif", b"")):
        options["dpi"] = dpi
    if "exif" in options:
        options["exif"] = b"Exif\0\0" + options["exif"].removeprefix(b"Exif\0\0")
    if format == "TIFF":
        options["exif"] = without_storage_tags(options.get("exif", b""))
        if "xmp" in options:
            options["exif"][XMP_TAG] = options["xmp"]
    elif format == "PNG" and "xmp" in options and (text := _text_of(options.pop("xmp"))):
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
    return options


def _text_of(xmp: bytes) -> str | None:
    """Return XMP as text, or None if it has no encoding that its standard allows."""
    encoding = next((name for start, name in ENCODINGS.items() if xmp.startswith(start)), "utf-8")
    try:
        return xmp.decode(encoding)
    except UnicodeDecodeError:
        return None


def keeps(suffix: str, mode: str, metadata: Collection[str] = ()) -> bool:
    """Return whether files with this suffix keep every sample of an image of this mode, and this metadata.

    `lic_native.image.inspect` returns both.
    """
    suffix = suffix.lower()
    return suffix in LOSSLESS_SUFFIXES and (suffix != ".bmp" or (mode[-1] != "A" and not metadata))


def format_of(suffix: str) -> str:
    """Return Pillow's name for the format of a suffix. Raises UnsupportedError if it writes no such files."""
    from PIL import Image

    format = Image.registered_extensions().get(suffix.lower())
    if format not in Image.SAVE:
        raise UnsupportedError(f"Pillow writes no {suffix or 'files without a suffix'}")
    return format
