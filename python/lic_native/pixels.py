"""The images that people have as what the image codec takes: samples, alpha and metadata; and back."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorruptError

if TYPE_CHECKING:
    from PIL import Image

#: Modes of Pillow's by number of channels.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
#: Metadata that is kept, by Pillow's names, in the order that files have it.
METADATA = ("exif", "icc_profile", "xmp")


@dataclass(frozen=True)
class Pixels:
    """An image.

    samples: uint8 `[H, W, 1]` gray or `[H, W, 3]` RGB.
    alpha: uint8 `[H, W]`, or None.
    metadata: bytes by names of `METADATA`.
    """

    samples: NDArray[np.uint8]
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
    metadata = _metadata(image)
    if image.mode in ("P", "L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode not in MODES.values():
        raise ValueError(f"mode {image.mode!r} is none of {', '.join(MODES.values())}, 1 and P: convert() it first")
    pixels = _of_array(np.asarray(image))
    return Pixels(pixels.samples, pixels.alpha, metadata)


def _metadata(image: Image.Image) -> dict[str, bytes]:
    found = {name: image.info.get(name) for name in METADATA}
    # TIFF's is not in `info`.
    if not found["exif"] and (exif := image.getexif()):
        found["exif"] = exif.tobytes()
    kept = {name: value.encode() if isinstance(value, str) else value for name, value in found.items() if value}
    return {name: bytes(value) for name, value in kept.items()}


def to_pillow(pixels: Pixels) -> Image.Image:
    """A Pillow image, with what metadata there is in its `info`."""
    from PIL import Image

    planes = [pixels.samples] if pixels.alpha is None else [pixels.samples, pixels.alpha[..., None]]
    array = np.concatenate(planes, 2) if len(planes) > 1 else pixels.samples
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    image.info.update(pixels.metadata)
    return image


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
