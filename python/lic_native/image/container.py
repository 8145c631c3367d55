"""The `.lic` file of an image: its sections, and the codec that they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _native
from ..arguments import Bytes, check_instance, to_bytes
from ..errors import CorruptError, UnsupportedError
from ..limits import Limits
from ..models import registry
from ..models.rate_points import LAST

if TYPE_CHECKING:
    from .codec import Codec

__all__ = ["load_codec", "open_file", "unpack"]


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
    body = unpack(data, limits)
    name = registry.model_name(body.model)
    if name not in registry.IMAGE_PROFILES.values():
        raise UnsupportedError(f"model {name} is not for images")
    codec = load_codec(name, device)
    registry.check_weights(name, codec.model.fingerprint(), body.fingerprint)
    if body.quality > LAST:
        raise CorruptError(f"quality {body.quality} of model {name}")
    return body, codec


def load_codec(name: str, device: str | None) -> Codec:
    """Return the codec of a model with its shipped weights. Raises as `models.registry.load_image` does."""
    model = registry.load_image(name, device)
    # Only here do the modules for images load torch, which the registry has found to be installed.
    from .codec import Codec

    return Codec(model)
