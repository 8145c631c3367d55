"""The images that people have as what the image codec takes: samples, alpha and metadata; and image files."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError, UnsupportedError
from .limits import Limits

if TYPE_CHECKING:
    from PIL import Image

#: Modes of Pillow's by number of channels.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
#: Metadata that is kept, by Pillow's names, in the order that files have it.
METADATA = ("exif", "icc_profile", "xmp")
#: What names of image files end in.
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".jp2", ".ppm", ".pgm"}
#: Of these, what names end in of files that keep every sample.
LOSSLESS_SUFFIXES = {".png", ".tif", ".tiff", ".bmp"}
XMP_TAG = 700
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


def pixels_of(image: Any) -> Pixels:
    """An image of a kind that `lic_native.image.compress` takes. Raises TypeError or ValueError, which say why not."""
    if hasattr(image, "getbands"):
        return _of_pillow(image)
    if hasattr(image, "detach"):
        if image.dim() not in (2, 3):
            raise ValueError(f"a tensor of shape {tuple(image.shape)}, not [H, W] or [channels, H, W]")
        array = image.detach().cpu().numpy()
        return _of_array(array if array.ndim == 2 else array.transpose(1, 2, 0))
    if isinstance(image, np.ndarray):
        return _of_array(image)
    raise TypeError(f"an image must be a Pillow image, a NumPy array or a torch tensor, not {type(image).__name__}")


def _of_array(array: NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8:
        raise TypeError(f"samples must be uint8, not {array.dtype}: scale them to 0..255 first")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in MODES:
        raise ValueError(f"an array of shape {array.shape}, not [H, W] or [H, W, 1 to 4]")
    if not array.size:
        raise ValueError(f"an image of {array.shape[1]}x{array.shape[0]} pixels")
    with_alpha = array.shape[2] in (2, 4)
    return Pixels(array[..., :-1], array[..., -1]) if with_alpha else Pixels(array)


def _of_pillow(image: Image.Image) -> Pixels:
    # The second picture of an MPO is a preview, or the other eye's.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError("an image of several frames: pass a copy() of one")
    # Some files are turned upright only now, and their metadata too.
    image.load()
    metadata = metadata_of(image)
    if image.mode in ("1", "P", "L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    elif image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode not in MODES.values():
        raise ValueError(f"mode {image.mode!r} is none of {', '.join(MODES.values())}, 1 and P: convert() it first")
    if not image.width or not image.height:
        raise ValueError(f"an image of {image.width}x{image.height} pixels")
    alpha = np.asarray(image.getchannel("A")) if image.mode[-1] == "A" else None
    return Pixels(Rectangles(image), alpha, metadata)


def metadata_of(image: Image.Image) -> dict[str, bytes]:
    """Bytes by names of `METADATA`, of a Pillow image that is loaded."""
    found = {name: image.info.get(name) for name in METADATA}
    # TIFF's is not in `info`, and some PNG files have it as text.
    if found["exif"] is None and (hasattr(image, "tag_v2") or "Raw profile type exif" in image.info):
        described = _described(image.getexif().tobytes())
        found["exif"] = described.tobytes() if described else None
    kept = {name: value.encode() if isinstance(value, str) else value for name, value in found.items() if value}
    return {name: bytes(value) for name, value in kept.items()}


def _described(data: bytes) -> Image.Exif:
    """Exif without what tells not of the picture but of how a file stores it."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(data)
    for tag in STORAGE_TAGS & set(exif):
        del exif[tag]
    return exif


def read_file(data: bytes, limits: Limits) -> Image.Image:
    """An image file, as a Pillow image. Raises UnsupportedError, CorruptError or LimitExceededError."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise UnsupportedError("no image file that Pillow reads") from None
    limits.check_pixels(image.width * image.height)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's many decoders raise all kinds.
        raise CorruptError(f"Pillow can't read it: {error}") from error
    return image


def write_file(image: Image.Image, suffix: str) -> bytes:
    """An image file of the format that names with this suffix have, with the metadata that it takes.

    Raises UnsupportedError.
    """
    from PIL import PngImagePlugin

    format = format_of(suffix)
    metadata: dict[str, Any] = {name: image.info[name] for name in METADATA if name in image.info}
    try:
        if "exif" in metadata:
            metadata["exif"] = b"Exif\0\0" + metadata["exif"].removeprefix(b"Exif\0\0")
        if format == "TIFF":
            metadata["exif"] = _described(metadata.get("exif", b""))
            if "xmp" in metadata:
                metadata["exif"][XMP_TAG] = metadata["xmp"]
        elif format == "PNG" and "xmp" in metadata:
            metadata["pnginfo"] = PngImagePlugin.PngInfo()
            metadata["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata["xmp"].decode())
        buffer = io.BytesIO()
        image.save(buffer, format, **metadata)
    except MemoryError:
        raise
    except Exception as error:  # A mode that a format hasn't; metadata of a hostile file, which Pillow takes apart.
        raise UnsupportedError(f"Pillow can't write it as {format}: {error}") from error
    return buffer.getvalue()


def format_of(suffix: str) -> str:
    """Pillow's name of the format that names with this suffix have. Raises UnsupportedError if it writes none."""
    from PIL import Image

    format = Image.registered_extensions().get(suffix.lower())
    if format not in Image.SAVE:
        raise UnsupportedError(f"Pillow writes no {suffix or 'files without a suffix'}")
    return format


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
