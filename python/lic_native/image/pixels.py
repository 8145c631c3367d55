"""The images that people have as what the image codec takes: samples, alpha and metadata; and image files."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptError, LimitExceededError, UnsupportedError
from ..limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = [
    "LOSSLESS_SUFFIXES",
    "METADATA",
    "MODES",
    "SUFFIXES",
    "Pixels",
    "as_bytes",
    "bits_of",
    "check_suffix",
    "format_of",
    "info_of",
    "keeps",
    "metadata_of",
    "pack_metadata",
    "pixels_of",
    "read_file",
    "unpack_metadata",
    "with_dpi",
    "write_file",
]

#: Modes of Pillow's by number of channels.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
#: Metadata that is kept, by Pillow's names, in the order that files have it.
METADATA = ("exif", "icc_profile", "xmp")
#: What messages call it.
TITLES = {"exif": "Exif", "icc_profile": "colour profile", "xmp": "XMP"}
#: What names of image files end in.
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".jp2", ".ppm", ".pgm"}
#: Of these, what names end in of files that keep every sample.
LOSSLESS_SUFFIXES = {".png", ".tif", ".tiff", ".bmp"}
#: Pillow's formats that are read: pictures made of samples. Of others, EPS runs Ghostscript on what a file says.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL"),
    *("PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)
XMP_TAG = 700
#: How XMP begins that is not UTF-8.
ENCODINGS = {
    **dict.fromkeys((b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "utf-32"),
    **{b"<\0\0\0": "utf-32-le", b"\0\0\0<": "utf-32-be"},
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "utf-16"),
    **{b"<\0": "utf-16-le", b"\0<": "utf-16-be"},
}
BITS_PER_SAMPLE, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 258, 282, 283, 296
#: What a resolution is told in, in inches; 1 is no unit.
UNITS = {2: 1, 3: 2.54}
#: What Pillow says where a file says nothing: of JPEG and of TIFF.
NO_DPI = ((72, 72), (1, 1))
#: Tags that say how a TIFF file stores its samples, and those of XMP and colour profile, which are kept by themselves.
STORAGE_TAGS = {
    *(*range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, *range(288, 294), 301, *range(317, 326)),
    *(330, *range(332, 348), *range(512, 522), *range(529, 533), XMP_TAG, 34675),
}


@dataclass(frozen=True)
class Rectangles:
    """The samples of a Pillow image, sliced like an array: only what is asked for is copied."""

    image: Image.Image

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.image.height, self.image.width, 1 if self.image.mode[0] == "L" else 3

    def __getitem__(self, area: tuple[slice, slice]) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        (top, bottom, _), (left, right, _) = area[0].indices(height), area[1].indices(width)
        array = np.asarray(self.image.crop((left, top, right, bottom)))
        return array.reshape(bottom - top, right - left, -1)[..., :channels]


Samples = NDArray[np.uint8] | Rectangles


@dataclass(frozen=True)
class Pixels:
    """An image.

    samples: uint8 `[H, W, 1]` gray or `[H, W, 3]` RGB.
    alpha: uint8 `[H, W]`, or None.
    metadata: bytes by names of `METADATA`.
    """

    samples: Samples
    alpha: NDArray[np.uint8] | None = None
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        return int(self.samples.shape[2]) + (self.alpha is not None)


#: What `lic_native.image.compress` takes.
Picture: TypeAlias = "Image.Image | NDArray[np.uint8] | Tensor | Pixels"
#: What is told of an image that is not kept whole.
Tell = Callable[[str], object]


def _warn(text: str) -> None:
    """Warn whoever called `lic_native.image.compress` or Pillow's `save`."""
    warnings.warn(text, stacklevel=5)


def pixels_of(image: Picture, limits: Limits = DEFAULT_LIMITS, tell: Tell = _warn) -> Pixels:
    """Return an image of a kind that `lic_native.image.compress` takes. `tell` is called with what of it is left out.

    Raises TypeError or ValueError, which say why not, and LimitExceededError before a file is decoded.
    """
    from PIL import Image

    if isinstance(image, Pixels):
        return image
    if isinstance(image, Image.Image):
        limits.check_pixels(image.width * image.height)
        return _of_pillow(image, tell)
    if isinstance(image, np.ndarray):
        return _of_array(image, f"an array of shape {image.shape}, not [H, W] or [H, W, 1 to 4]")
    # A file has `detach` as well.
    if hasattr(image, "detach") and hasattr(image, "dtype") and not isinstance(image, type):
        if hasattr(image, "get_mask"):
            raise TypeError("a masked tensor: its mask would be lost, so fill it first")
        if str(image.dtype) != "torch.uint8":
            raise TypeError(f"samples must be uint8, not {str(image.dtype)[6:]}: scale them to 0..255 first")
        array = image.detach().cpu().numpy()
        refusal = f"a tensor of shape {tuple(image.shape)}, not [H, W] or [1 to 4, H, W]"
        return _of_array(array.transpose(1, 2, 0) if array.ndim == 3 else array, refusal)
    raise TypeError(f"an image must be a Pillow image, a NumPy array or a torch tensor, not {type(image).__name__}")


def _of_array(array: NDArray[Any], refusal: str) -> Pixels:
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array: its mask would be lost, so fill it first, array.filled(0)")
    if array.dtype != np.uint8:
        raise TypeError(f"samples must be uint8, not {array.dtype}: scale them to 0..255 first")
    # A subclass may slice in another way, as a matrix does.
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in MODES:
        raise ValueError(refusal)
    if not array.size:
        raise ValueError(f"an image of {array.shape[1]}x{array.shape[0]} pixels")
    with_alpha = array.shape[2] in (2, 4)
    return Pixels(array[..., :-1], array[..., -1]) if with_alpha else Pixels(array)


def _of_pillow(image: Image.Image, tell: Tell) -> Pixels:
    _check(image)
    frames, sizes = getattr(image, "n_frames", 1), image.info.get("sizes", ())
    if frames > 1:
        tell(f"of the {frames} pictures of an MPO file, only number {image.tell() + 1} is kept")
    elif image.format == "JPEG" and "mp" in image.info:
        tell("of the pictures of a JPEG file, only the first is kept: others hold its brightness for HDR, or previews")
    elif image.format in ("ICO", "ICNS") and len(sizes) > 1:
        tell(
            f"of the {len(sizes)} pictures of an {image.format} file, only that of {image.width}x{image.height} is kept"
        )
    # Of a PNG file of 2 or 4 bits, Pillow scales the samples, but not which of them is transparent.
    rawmodes = [str(arguments) for *_, arguments in getattr(image, "tile", ()) if image.format == "PNG"]
    scale = {"L;2": 85, "L;4": 17}.get("".join(rawmodes), 1)
    # Some files are turned upright only now, and their metadata too.
    image.load()
    metadata = metadata_of(image)
    if image.mode in ("1", "P", "PA", "L", "RGB") and image.has_transparency_data:
        try:
            if scale > 1:
                image = image.copy()
                image.info["transparency"] *= scale
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        except (TypeError, ValueError) as error:
            raise ValueError(f"info['transparency'] does not fit mode {image.mode}: {error}") from error
    elif image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    alpha = np.asarray(image.getchannel("A")) if image.mode[-1] == "A" else None
    return Pixels(Rectangles(image), alpha, metadata)


def _check(image: Image.Image) -> None:
    """Raise ValueError if more of an image would be lost than the codec loses."""
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError("an image of several frames: pass a copy() of one")
    if image.mode not in (*MODES.values(), "1", "P", "PA"):
        raise ValueError(f"mode {image.mode!r} is none of {', '.join(MODES.values())}, 1, P and PA: convert() it first")
    if not image.width or not image.height:
        raise ValueError(f"an image of {image.width}x{image.height} pixels")
    bits = bits_of(image)
    if bits > 8:
        raise ValueError(
            f"a {image.format} file of {bits} bits a sample, of which 8 are kept: convert it to 8 bits first, or pass "
            "a copy() of what Pillow makes of it"
        )


def bits_of(image: Image.Image) -> int:
    """Return how many bits a sample has in the file that an image was opened from, as far as that can be known.

    Once an image is loaded, only TIFF tells.
    """
    bits = [8, image.info.get("bit_depth")]  # of pillow_heif
    if hasattr(image, "tag_v2"):
        bits += np.atleast_1d(image.tag_v2.get(BITS_PER_SAMPLE, 8)).tolist()
    tiles = getattr(image, "tile", ())
    for decoder, _, _, arguments in tiles:
        if decoder == "SGI16" or re.search(";16[BLN]", str(arguments)):
            bits.append(16)
        elif decoder in ("ppm", "ppm_plain"):
            bits.append(int(arguments[-1]).bit_length())
    file = getattr(image, "fp", None)
    if tiles and file and image.format in _DEPTHS:
        position = file.tell()
        file.seek(0)
        bits += _DEPTHS[image.format](file.read(2**20))
        file.seek(position)
    return max(count for count in bits if isinstance(count, int))


def _jpeg2000_depths(head: bytes) -> list[int]:
    """Bits of each component, of the marker SIZ behind the start of the code stream."""
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return []
    count = int.from_bytes(head[start + 40 : start + 42], "big")
    return [(size & 0x7F) + 1 for size in head[start + 42 : start + 42 + 3 * count : 3]]


def _avif_depths(head: bytes) -> list[int]:
    """Bits by the two flags of the decoder's configuration."""
    return [8 + 2 * (flags[0] >> 6 & 1) + 2 * (flags[0] >> 5 & 1) for flags in re.findall(b"av1C\x81.(.)", head, re.S)]


_DEPTHS = {"JPEG2000": _jpeg2000_depths, "AVIF": _avif_depths}


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """Return bytes by names of `METADATA`, of a Pillow image that is loaded.

    Exif is what `getexif()` says if that has been changed. A resolution in `info["dpi"]` is told by Exif, if there is
    none that could say another.
    """
    found = {name: image.info.get(name) for name in METADATA} | {"exif": _exif_of(image)}
    kept = {name: as_bytes(name, value) for name, value in found.items()}
    dpi: Any = image.info.get("dpi")
    if not kept["exif"] and _is_dpi(dpi) and tuple(dpi) not in NO_DPI:
        kept["exif"] = with_dpi(b"", dpi)
    return {name: value for name, value in kept.items() if value}


def as_bytes(name: str, value: Any) -> bytes:
    """Return metadata as bytes, of whatever users have: `Image.Exif` and None too. Raises TypeError or ValueError."""
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
    """What there is of Exif: bytes as they were read, `Image.Exif` that was edited, or None."""
    from PIL import Image

    raw = image.info.get("exif")
    # TIFF's is not in `info`, and some PNG files have it as text.
    if raw is None and (hasattr(image, "tag_v2") or "Raw profile type exif" in image.info):
        try:
            described = _described(image.getexif().tobytes())
        except Exception as error:  # Pillow takes it apart.
            raise ValueError(f"Pillow can't read the Exif of this {image.format} file: {error}") from error
        return described if len(described) else None
    seen = image._exif
    # Where `info` has been changed since `getexif()` has read it, `info` counts.
    if seen is None or not seen._loaded or seen._loaded_exif != raw:
        return raw
    untouched = Image.Image()
    untouched.info = image.info
    with suppress(Exception):  # What can't be read leaves what it has left of the other.
        untouched.getexif()
    return raw if _view(seen, seen._ifds) == _view(untouched._exif, seen._ifds) else seen


def _view(exif: Any, ifds: dict[int, Any]) -> dict[Any, str]:
    """What can be seen of Exif, among it parts that were looked at, to be compared."""
    calls: list[tuple[Any, Callable[[int], Any], int]] = [(tag, exif.__getitem__, tag) for tag in exif]
    view = {}
    for key, read, tag in calls + [((tag,), exif.get_ifd, tag) for tag in list(ifds)]:
        try:
            view[key] = repr(read(tag))
        except Exception:  # What is damaged can't have been edited.
            view[key] = ""
    return view


def info_of(metadata: dict[str, bytes]) -> dict[str, Any]:
    """Return what `info` of a Pillow image says of metadata: the same, and "dpi" if Exif has a resolution."""
    dpi = _dpi_of(metadata.get("exif", b""))
    return {**metadata, "dpi": dpi} if dpi else dict(metadata)


def _dpi_of(exif: bytes) -> tuple[float, float] | None:
    """Dots per inch that Exif tells. Pillow, which reads all of it, warns of what is damaged."""
    data = exif.removeprefix(b"Exif\0\0")
    order = "<" if data.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        entries = [struct.unpack_from(order + "HHI4s", data, start + 2 + 12 * i) for i in range(count)]
        found = {tag: value for tag, _, _, value in entries}
        (unit,) = struct.unpack_from(order + "H", found.get(RESOLUTION_UNIT, struct.pack(order + "H", 2)))
        places = [struct.unpack(order + "I", found[tag])[0] for tag in (X_RESOLUTION, Y_RESOLUTION)]
        fractions = [struct.unpack_from(order + "II", data, place) for place in places]
        x, y = (numerator / denominator * UNITS[unit] for numerator, denominator in fractions)
    except (struct.error, KeyError, ZeroDivisionError):
        return None
    return (x, y) if _is_dpi((x, y)) else None


def _is_dpi(dpi: Any) -> bool:
    """Whether it is two numbers that Exif can hold."""
    try:
        return len(dpi) == 2 and all(0.01 <= float(number) < 2**24 for number in dpi)
    except (TypeError, ValueError, ArithmeticError):
        return False


def with_dpi(exif: bytes, dpi: Any) -> bytes:
    """Return Exif with this resolution. Raises ValueError if it is none, or if the Exif can't be read."""
    from PIL import Image

    if not _is_dpi(dpi):
        raise ValueError(f"dpi must be two numbers from 0.01 on, not {dpi!r}")
    changed = Image.Exif()
    try:
        changed.load(exif)
        changed[X_RESOLUTION], changed[Y_RESOLUTION] = (float(number) for number in dpi)
        changed[RESOLUTION_UNIT] = 2
        return changed.tobytes()
    except Exception as error:  # Pillow takes it apart.
        raise ValueError(f"the image's Exif can't be read, to keep dpi inside it: {error}") from error


def _described(data: bytes) -> Image.Exif:
    """Exif without what tells not of the picture but of how a file stores it."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(data)
    for tag in STORAGE_TAGS & set(exif):
        del exif[tag]
    return exif


def _formats() -> list[str]:
    """Return those of FORMATS that this Pillow has."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def read_file(data: bytes, limits: Limits) -> Image.Image:
    """Return an image file as a Pillow image that `pixels_of` takes.

    Raises:
        UnsupportedError: it is no image file, or more of it would be lost than the codec loses: bits, frames, inks.
        CorruptError: Pillow can't read it.
        LimitExceededError: it has too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
        limits.check_pixels(image.width * image.height)
        try:
            _check(image)
        except ValueError as error:
            raise UnsupportedError(str(error)) from error
        image.load()
    except (MemoryError, UnsupportedError, LimitExceededError):
        raise
    except UnidentifiedImageError:
        raise UnsupportedError(
            f"no image file of a kind that is read here ({', '.join(_formats())}), or damaged where it begins"
        ) from None
    except Image.DecompressionBombError as error:
        raise LimitExceededError(str(error)) from error
    except Exception as error:  # Pillow's many decoders raise all kinds.
        raise CorruptError(f"Pillow can't read it: {str(error) or type(error).__name__}") from error
    return image


def write_file(image: Image.Image, suffix: str, tell: Tell = _warn) -> bytes:
    """Return an image file of the format that names with this suffix have, with the metadata that it takes.

    `tell` is called with what metadata is left out. Raises UnsupportedError, among others if alpha would be lost.
    """
    from PIL import Image, PngImagePlugin

    format = format_of(suffix)
    alpha = np.asarray(image.getchannel("A")) if image.mode[-1] == "A" else None
    if suffix.lower() in (".pgm", ".pbm") and image.mode[0] != "L":
        raise UnsupportedError(f"{suffix} is for gray, and this image has colours: take .ppm")
    given = {name: value for name in METADATA if (value := as_bytes(name, image.info.get(name)))}
    options: dict[str, Any] = dict(given)
    dpi = _dpi_of(given.get("exif", b""))
    if dpi:
        options["dpi"] = dpi
    try:
        if "exif" in options:
            options["exif"] = b"Exif\0\0" + options["exif"].removeprefix(b"Exif\0\0")
        if format == "TIFF":
            options["exif"] = _described(options.get("exif", b""))
            if "xmp" in options:
                options["exif"][XMP_TAG] = options["xmp"]
        elif format == "PNG" and "xmp" in options:
            text = _text_of(options.pop("xmp"))
            if text:
                options["pnginfo"] = PngImagePlugin.PngInfo()
                options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        # What it has kept is read, not believed.
        again: Image.Image | None = None
        if format in FORMATS and (given or alpha is not None):
            # Not by `Image.open`, which refuses what is large.
            again = Image.OPEN[format][0](io.BytesIO(buffer.getvalue()), "")
            again.load()
    except MemoryError:
        raise
    except Exception as error:  # A mode that a format hasn't; metadata of a hostile file, which Pillow takes apart.
        what = "an image with alpha (take .png or .tif)" if alpha is not None and image.mode in str(error) else "it"
        raise UnsupportedError(f"Pillow can't write {what} as {format}: {error}") from error
    if alpha is not None and not (again and np.array_equal(np.asarray(again.convert("RGBA"))[..., 3], alpha)):
        raise UnsupportedError(f"{format} does not keep the alpha channel of this image: take .png or .tif")
    kept = set(again.info) if again else set()
    # TIFF's Exif is in its tags.
    left_out = [TITLES[name] for name in given if name not in kept and (name, format) != ("exif", "TIFF")]
    if left_out:
        tell(f"{format} does not take all metadata of this image; left out: {', '.join(left_out)}")
    return buffer.getvalue()


def _text_of(xmp: bytes) -> str | None:
    """XMP as text; None if it is in none of the encodings that its standard allows."""
    encoding = next((name for start, name in ENCODINGS.items() if xmp.startswith(start)), "utf-8")
    try:
        return xmp.decode(encoding)
    except UnicodeDecodeError:
        return None


def keeps(suffix: str, mode: str, metadata: Collection[str] = ()) -> bool:
    """Return whether files with this suffix keep every sample of an image of this mode, and this metadata.

    It is what a restored image is called by itself; `lic_native.image.inspect` tells mode and metadata.
    """
    suffix = suffix.lower()
    return suffix in LOSSLESS_SUFFIXES and (suffix != ".bmp" or (mode[-1] != "A" and not metadata))


def format_of(suffix: str) -> str:
    """Pillow's name of the format that names with this suffix have. Raises UnsupportedError if it writes none."""
    from PIL import Image

    format = Image.registered_extensions().get(suffix.lower())
    if format not in Image.SAVE:
        raise UnsupportedError(f"Pillow writes no {suffix or 'files without a suffix'}")
    return format


def check_suffix(data: bytes, path: str | os.PathLike[str]) -> None:
    """Raise UnsupportedError if a path names an image file of one format, and `data` is one of another."""
    from PIL import Image

    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        return
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as picture:
            found = picture.format
    except Exception:  # It is no image.
        return
    expected = Image.registered_extensions()[suffix]
    if found != expected and (found, expected) != ("MPO", "JPEG"):
        name = os.path.basename(os.fspath(path))
        raise UnsupportedError(f"it restores a {found} file, byte for byte, but {name} would be {expected}: rename it")


def pack_metadata(metadata: dict[str, bytes]) -> bytes:
    """Nothing, or each of `METADATA` behind its length."""
    if not any(metadata.values()):
        return b""
    sections = [metadata.get(name, b"") for name in METADATA]
    return b"".join(struct.pack("<I", len(section)) + section for section in sections)


def unpack_metadata(data: bytes) -> dict[str, bytes]:
    """The inverse. Raises CorruptError."""
    metadata, position = {}, 0
    for name in METADATA if data else ():
        start = position + 4
        if start > len(data):
            raise CorruptError(f"{len(data)} bytes of metadata end before {name}")
        position = start + struct.unpack_from("<I", data, start - 4)[0]
        if position > len(data):
            raise CorruptError(f"{len(data)} bytes of metadata where {name} ends at {position}")
        if position > start:
            metadata[name] = data[start:position]
    if position != len(data):
        raise CorruptError(f"{len(data) - position} bytes behind the metadata")
    return metadata
