"""Codecs for numcodecs, and so for Zarr's format 2. `numcodecs.get_codec` finds them by their entry points.

zarr.create_array(store, zarr_format=2, compressors=lic_native.plugins.numcodecs.Tensor(), ...)
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from numpy.typing import NDArray

from .. import image, jpeg
from ..entropy import tensor
from ..image import QUALITY
from ..limits import DEFAULT_LIMITS
from ..models import registry
from ..models.rate_points import index_of
from ..models.registry import ImageProfile, JpegProfile

__all__ = ["Jpeg", "LossyImage", "Tensor"]


class Tensor(Codec):
    """Arrays of integers or bool, without loss, as `lic_native.encode` codes them.

    Args:
        axis: the axis along which each index gets a table of its own; None tries the likely axes.
    """

    codec_id = "lic_native.tensor"

    def __init__(self, axis: int | None = None) -> None:
        if axis is not None and type(axis) is not int:
            raise TypeError(f"axis must be an integer or None, not {type(axis).__name__}")
        self.axis = axis

    def encode(self, buf: Any) -> bytes:
        """Return a chunk as bytes. Raises TypeError if its dtype is not one that `lic_native.encode` takes."""
        return tensor.encode(np.asarray(buf), axis=self.axis, threads=1)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return a chunk. Raises LicError if the bytes are damaged."""
        size = DEFAULT_LIMITS.max_output_bytes if out is None else np.asarray(out).nbytes
        return ndarray_copy(self.decode_up_to(buf, size), out)

    def decode_up_to(self, buf: Any, size: int) -> NDArray[Any]:
        """Return a chunk of at most `size` bytes. Raises LicError."""
        limits = replace(DEFAULT_LIMITS, max_output_bytes=size)
        return np.asarray(tensor.decode(_bytes(buf), limits=limits, threads=1))


class Jpeg(Codec):
    """Bytes that are JPEG files or contain them, as they are, without loss: the same bytes come back.

    So an array's chunks may be encoded JPEG tiles, of a microscope for example, or may hold many of them.

    Args:
        profile: as in `lic_native.jpeg.compress`.
    """

    codec_id = "lic_native.jpeg"

    def __init__(self, profile: JpegProfile = "native") -> None:
        registry.check_profile(profile)
        self.profile: JpegProfile = profile

    def encode(self, buf: Any) -> bytes:
        """Return bytes that restore `buf`."""
        return jpeg.compress(_bytes(buf), profile=self.profile, device="cpu", threads=1)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the bytes that were encoded. Raises LicError if they are damaged."""
        return ndarray_copy(jpeg.decompress(_bytes(buf), device="cpu", threads=1), out)


class LossyImage(Codec):
    """Images of uint8 samples, **with loss**, as `lic_native.image.compress` codes them. It needs torch.

    A chunk is one image `[H, W]` or `[H, W, 1 to 4]`: gray, gray and alpha, RGB, RGB and alpha. Axes of length 1 may
    precede these. Alpha is kept without loss.

    Args:
        quality, profile: as in `lic_native.image.compress`.
    """

    codec_id = "lic_native.lossy_image"

    def __init__(self, quality: float = QUALITY, profile: ImageProfile | None = None) -> None:
        index_of(quality)
        registry.of_image_profile(profile)
        self.quality, self.profile = quality, profile

    def encode(self, buf: Any) -> bytes:
        """Return a chunk as bytes. Raises ValueError for other shapes, TypeError for other dtypes."""
        array = np.asarray(buf)
        if array.dtype != np.uint8:
            raise TypeError(f"{self.codec_id} takes uint8 samples, not {array.dtype}; lic_native.tensor takes integers")
        return image.compress(
            array.reshape(image_shape(array.shape)), quality=self.quality, profile=self.profile, device="cpu"
        )

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a chunk, `[H, W]` or `[H, W, C]`. Raises LicError if the bytes are damaged."""
        return ndarray_copy(self.decode_up_to(buf, DEFAULT_LIMITS.max_pixels), out)

    def decode_up_to(self, buf: Any, pixels: int) -> NDArray[np.uint8]:
        """Return the samples of a chunk of at most so many pixels. Raises LicError."""
        limits = replace(DEFAULT_LIMITS, max_pixels=pixels)
        return np.asarray(image.decompress(_bytes(buf), device="cpu", limits=limits))


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the image that a chunk is, without the axes of length 1 before it.

    Raises ValueError if a chunk of this shape is no image.
    """
    *before, height, width, channels = shape if len(shape) > 2 and shape[-1] <= 4 else (1, 1, *shape, 1)
    if len(shape) < 2 or math.prod(before) != 1 or not height or not width:
        raise ValueError(
            f"a chunk of shape {shape} is no image [H, W] or [H, W, 1 to 4]: choose other chunks, or transpose before"
        )
    return (height, width) if channels == 1 else (height, width, channels)


def _bytes(buf: Any) -> bytes:
    return ensure_contiguous_ndarray(buf).tobytes()  # type: ignore[no-any-return]
