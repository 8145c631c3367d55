"""The `.lic` file of an image: its sections, and the codec that they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _native, threads
from ..arguments import Bytes, check_instance, to_bytes
from ..errors import CorruptError, UnsupportedError
from ..limits import Limits
from ..models import registry
from ..models.rate_points import LAST, STRIDE
from . import coders
from .coders import Engine, Latents
from .grid import TileGrid

if TYPE_CHECKING:
    from .codec import Codec

__all__ = ["decode_latents", "load_codec", "open_file", "unpack"]


def unpack(data: Bytes, limits: Limits) -> _native.Image:
    """Return the sections of a file of an image, still coded. Raises as `lic_native.image.inspect` does."""
    data = to_bytes(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    container = _native.unpack(data, limits.max_output_bytes)
    if container.image is None:
        raise UnsupportedError(f"the file holds no image ({container.kind}): lic_native.jpeg.decompress restores it")
    limits.check_pixels(container.image.width * container.image.height)
    return container.image


def open_file(data: Bytes, device: str | None, limits: Limits) -> tuple[_native.Image, Codec]:
    """Return the sections of a file and the codec that decodes them. Raises as `lic_native.image.decompress` does."""
    body, name = _unpack_image(data, limits)
    codec = load_codec(name, device)
    registry.check_weights(name, codec.model.fingerprint(), body.fingerprint)
    return body, codec


def decode_latents(data: Bytes, device: str | None, limits: Limits) -> Latents:
    """Return the latents of a file's image: on a CPU without torch, but for "bls2017"."""
    body, name = _unpack_image(data, limits)
    if name not in registry.EXACT_PRIORS or registry.network_device(device, name) != "cpu":
        codec = load_codec(name, device)
        registry.check_weights(name, codec.model.fingerprint(), body.fingerprint)
        return codec.decode(body)
    coder = Engine(registry.load_image_engine(name))
    registry.check_weights(name, coder.fingerprint(), body.fingerprint)
    return coders.decode(coder, body, TileGrid(STRIDE, coder.tile, body.height, body.width), threads.available())


def _unpack_image(data: Bytes, limits: Limits) -> tuple[_native.Image, str]:
    """Return the sections of a file and the name of its model."""
    body = unpack(data, limits)
    name = registry.model_name(body.model)
    if name not in registry.IMAGE_PROFILES.values():
        raise UnsupportedError(f"model {name} is not for images")
    if body.quality > LAST:
        raise CorruptError(f"quality {body.quality} of model {name}")
    return body, name


def load_codec(name: str, device: str | None) -> Codec:
    """Return the codec of a model with its shipped weights. Raises as `models.registry.load_image` does."""
    model = registry.load_image(name, device)
    # Only here do the modules for images load torch, which the registry has found to be installed.
    from .codec import Codec

    return Codec(model)
