"""Codecs for Zarr's format 3. Zarr finds them by their entry points: arrays open without an import of lic_native.

    zarr.create_array(store, serializer=lic_native.plugins.zarr.Tensor(), compressors=None, ...)

They are those of `lic_native.plugins.numcodecs`, under the same names.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from zarr.abc.codec import ArrayBytesCodec, BytesBytesCodec

from ..entropy.tensor import DTYPES
from ..errors import CorruptError
from ..image import QUALITY
from ..models.registry import ImageProfile, JpegProfile
from . import numcodecs

__all__ = ["Jpeg", "LossyImage", "Tensor"]


class _Named:
    """A codec with the name of one in `numcodecs`, and its arguments as configuration."""

    is_fixed_size = False
    #: The codec that does the work.
    made_of: type[Any]

    def made(self) -> Any:
        """Return the codec that does the work. Raises TypeError or ValueError for wrong arguments."""
        return self.made_of(**vars(self))

    def __post_init__(self) -> None:
        self.made()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the codec that an array's metadata describe."""
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """Return what an array's metadata say of the codec."""
        return {"name": self.made_of.codec_id, "configuration": dict(vars(self))}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        raise NotImplementedError("the size of a chunk depends on its content")

    # Newer releases of Zarr call the methods without a loop themselves.
    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    def _encode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return chunk_spec.prototype.buffer.from_bytes(self.made().encode(chunk_data.as_numpy_array()))

    def _decode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        raise NotImplementedError


class _ArrayBytes(_Named, ArrayBytesCodec):
    def _decode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        dtype, shape = chunk_spec.dtype.to_native_dtype(), chunk_spec.shape
        array = self._decoded(chunk_data.to_bytes(), math.prod(shape), dtype)
        if array.dtype != dtype.newbyteorder("=") or array.size != math.prod(shape):
            raise CorruptError(f"the chunk is {array.dtype} {array.shape}, but the array's chunks are {dtype} {shape}")
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(array.reshape(shape))

    def _decoded(self, data: bytes, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the samples of a chunk that should have so many of them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tensor(_ArrayBytes):
    """Arrays of integers or bool, without loss, in place of the serializer: see `numcodecs.Tensor`."""

    axis: int | None = None
    made_of = numcodecs.Tensor

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raise TypeError for other dtypes."""
        name = dtype.to_native_dtype().newbyteorder("=").name
        if name not in DTYPES:
            raise TypeError(f"{numcodecs.Tensor.codec_id} takes {', '.join(DTYPES)}, not {name}")

    def _decoded(self, data: bytes, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        return self.made().decode_up_to(data, count * dtype.itemsize)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LossyImage(_ArrayBytes):
    """Images of uint8 samples, **with loss**, in place of the serializer: see `numcodecs.LossyImage`."""

    quality: float = QUALITY
    profile: ImageProfile | None = None
    made_of = numcodecs.LossyImage

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raise TypeError for other dtypes, ValueError for chunks that are no images."""
        if dtype.to_native_dtype() != np.uint8:
            raise TypeError(f"{numcodecs.LossyImage.codec_id} takes uint8 samples, not {dtype.to_native_dtype()}")
        numcodecs.image_shape(getattr(chunk_grid, "chunk_shape", shape))

    def _decoded(self, data: bytes, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        return self.made().decode_up_to(data, count)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Jpeg(_Named, BytesBytesCodec):
    """Bytes that are or contain JPEG files, without loss, as a compressor: see `numcodecs.Jpeg`."""

    profile: JpegProfile = "native"
    made_of = numcodecs.Jpeg

    def _decode_sync(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return chunk_spec.prototype.buffer.from_bytes(self.made().decode(chunk_data.to_bytes()))
