"""The images that people have, as the samples, alpha and metadata that the codec takes; and back."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..entropy import tensor
from ..errors import CorruptError
from ..limits import DEFAULT_LIMITS, Limits
from .metadata import metadata_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from .. import _native

__all__ = [
    "MODES",
    "AnyImage",
    "PillowSamples",
    "Pixels",
    "Samples",
    "Warn",
    "bits_of",
    "check_pillow",
    "encode_alpha",
    "to_pillow",
    "to_pixels",
    "warn_caller",
]

#: Pillow's modes by number of channels.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
BITS_PER_SAMPLE = 258


@dataclass(frozen=True)
class PillowSamples:
    """The samples of a Pillow image, sliced like an array; only the requested slice is copied."""

    image: Image.Image

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, without alpha."""
        return self.image.height, self.image.width, 1 if self.image.mode[0] == "L" else 3

    def __getitem__(self, area: tuple[slice, slice]) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        (top, bottom, _), (left, right, _) = area[0].indices(height), area[1].indices(width)
        array = np.asarray(self.image.crop((left, top, right, bottom)))
        return array.reshape(bottom - top, right - left, -1)[..., :channels]


Samples = NDArray[np.uint8] | PillowSamples


@dataclass(frozen=True)
class Pixels:
    """An image as the codec takes it.

    samples: uint8 `[H, W, 1]` gray or `[H, W, 3]` RGB.
    alpha: uint8 `[H, W]`, or None.
    metadata: bytes by the names in `metadata.METADATA`.
    """

    samples: Samples
    alpha: NDArray[np.uint8] | None = None
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Number of channels, alpha included."""
        return int(self.samples.shape[2]) + (self.alpha is not None)


#: The images that `lic_native.image.compress` takes.
AnyImage: TypeAlias = "Image.Image | NDArray[np.uint8] | Tensor | Pixels"
#: A function that is called with one sentence for each part of an image that is not kept.
Warn = Callable[[str], object]


def warn_caller(text: str) -> None:
    """Warn the program that called `lic_native.image.compress` or Pillow's `save`."""
    warnings.warn(text, stacklevel=5)


def to_pixels(image: AnyImage, limits: Limits = DEFAULT_LIMITS, warn: Warn = warn_caller) -> Pixels:
    """Return the pixels of an image of any kind that `lic_native.image.compress` takes.

    warn: called with what can't be kept of a file of several pictures.

    Raises:
        TypeError, ValueError: the image is of another kind.
        LimitExceededError: it has too many pixels; raised before a file is decoded.
    """
    from PIL import Image

    if isinstance(image, Pixels):
        return image
    if isinstance(image, Image.Image):
        limits.check_pixels(image.width * image.height)
        return _from_pillow(image, warn)
    if isinstance(image, np.ndarray):
        return _from_array(image, f"an array of shape {image.shape}, not [H, W] or [H, W, 1 to 4]")
    # A file object has `detach`, too.
    if hasattr(image, "detach") and hasattr(image, "dtype") and not isinstance(image, type):
        if hasattr(image, "get_mask"):
            raise TypeError("a masked tensor: its mask would be lost, so fill it first")
        if str(image.dtype) != "torch.uint8":
            raise TypeError(f"samples must be uint8, not {str(image.dtype)[6:]}: scale them to 0..255 first")
        array = image.detach().cpu().numpy()
        refusal = f"a tensor of shape {tuple(image.shape)}, not [H, W] or [1 to 4, H, W]"
        return _from_array(array.transpose(1, 2, 0) if array.ndim == 3 else array, refusal)
    raise TypeError(f"an image must be a Pillow image, a NumPy array or a torch tensor, not {type(image).__name__}")


def _from_array(array: NDArray[Any], refusal: str) -> Pixels:
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array: its mask would be lost, so fill it first, array.filled(0)")
    if array.dtype != np.uint8:
        raise TypeError(f"samples must be uint8, not {array.dtype}: scale them to 0..255 first")
    # Subclasses such as np.matrix may slice differently.
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in MODES:
        raise ValueError(refusal)
    if not array.size:
        raise ValueError(f"an image of {array.shape[1]}x{array.shape[0]} pixels")
    with_alpha = array.shape[2] in (2, 4)
    return Pixels(array[..., :-1], array[..., -1]) if with_alpha else Pixels(array)


def _from_pillow(image: Image.Image, warn: Warn) -> Pixels:
    check_pillow(image)
    frames, sizes = getattr(image, "n_frames", 1), image.info.get("sizes", ())
    if frames > 1:
        warn(f"of the {frames} pictures of an MPO file, only number {image.tell() + 1} is kept")
    elif image.format == "JPEG" and "mp" in image.info:
        warn("of the pictures of a JPEG file, only the first is kept: others hold its brightness for HDR, or previews")
    elif image.format in ("ICO", "ICNS") and len(sizes) > 1:
        warn(
            f"of the {len(sizes)} pictures of an {image.format} file, only that of {image.width}x{image.height} is kept"
        )
    # For PNG files of 2 or 4 bits Pillow scales the samples, but not the sample that is transparent.
    rawmodes = [str(arguments) for *_, arguments in getattr(image, "tile", ()) if image.format == "PNG"]
    scale = {"L;2": 85, "L;4": 17}.get("".join(rawmodes), 1)
    # Loading turns some files upright, together with their metadata.
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
    return Pixels(PillowSamples(image), alpha, metadata)


def check_pillow(image: Image.Image) -> None:
    """Raise ValueError for an image that would lose more than the codec's loss: bits, frames, inks."""
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError("an image of several frames: pass a copy() of one")
    if image.mode not in (*MODES.values(), "1", "P", "PA"):
        raise ValueError(f"mode {image.mode!r} is not supported: convert() it to one of {', '.join(MODES.values())}")
    if not image.width or not image.height:
        raise ValueError(f"an image of {image.width}x{image.height} pixels")
    bits = bits_of(image)
    if bits > 8:
        raise ValueError(
            f"a {image.format} file of {bits} bits a sample, of which 8 are kept: convert it to 8 bits first, or pass "
            "a copy() of what Pillow makes of it"
        )


def bits_of(image: Image.Image) -> int:
    """Return the bits of a sample in the file that an image was opened from, as far as Pillow shows them.

    After an image is loaded, only TIFF files still show them.
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
    """Return the bits of each component, from the marker SIZ after the start of the code stream."""
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return []
    count = int.from_bytes(head[start + 40 : start + 42], "big")
    return [(size & 0x7F) + 1 for size in head[start + 42 : start + 42 + 3 * count : 3]]


def _avif_depths(head: bytes) -> list[int]:
    """Return the bits that two flags of each decoder configuration stand for."""
    return [8 + 2 * (flags[0] >> 6 & 1) + 2 * (flags[0] >> 5 & 1) for flags in re.findall(b"av1C\x81.(.)", head, re.S)]


_DEPTHS = {"JPEG2000": _jpeg2000_depths, "AVIF": _avif_depths}


def encode_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Return an alpha channel as a tensor of differences to the left, without loss."""
    return tensor.encode(np.diff(alpha, axis=1, prepend=np.uint8(0)))


def _decode_alpha(body: _native.Image) -> NDArray[np.uint8]:
    """Return the alpha channel of a file. Raises CorruptError, TruncatedError or LimitExceededError."""
    differences = tensor.decode(body.alpha, limits=Limits(max_output_bytes=body.width * body.height))
    if not isinstance(differences, np.ndarray) or differences.dtype != np.uint8:
        raise CorruptError("the alpha channel is not a uint8 array")
    if differences.shape != (body.height, body.width):
        raise CorruptError(f"an alpha channel of shape {differences.shape}")
    return np.cumsum(differences, 1, dtype=np.uint8)


def to_pillow(body: _native.Image, tiles: Iterable[tuple[int, int, NDArray[np.uint8]]]) -> Image.Image:
    """Return a Pillow image of a file's alpha and of tiles: the top, the left and the samples `[h, w, 1 or 3]` of each.

    Raises CorruptError, TruncatedError or LimitExceededError.
    """
    from PIL import Image

    alpha = _decode_alpha(body) if body.alpha else None
    image = Image.new(MODES[body.channels], (body.width, body.height))
    for top, left, samples in tiles:
        if alpha is not None:
            height, width, _ = samples.shape
            samples = np.concatenate([samples, alpha[top : top + height, left : left + width, None]], 2)
        image.paste(Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples), (left, top))
    return image
