"""lic_native: a codec for each profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ... import image, jpeg
from ...arguments import Device, to_count, to_device
from ...jpeg.network import on_torch
from ...models import registry
from ...models.rate_points import index_of
from ...models.registry import JpegProfile
from ..engine import Codec

__all__ = ["QUALITIES", "check_device", "image_codecs", "jpeg_codecs", "latency_codec"]

QUALITIES = (1, 2, 3, 4, 5, 6, 7, 8)

check_device = registry.present_device


def jpeg_codecs(profiles: Sequence[str] = (), device: Device = None, torch: bool = False) -> Iterator[Codec[bytes]]:
    """Yield a codec for each profile. Arguments and errors as for `codecs.jpeg_codecs`."""
    to_device(device)
    for name in profiles:
        registry.check_profile(name)
    for profile in cast("Sequence[JpegProfile]", profiles) or registry.PROFILES:
        if profile != registry.NATIVE:
            registry.network_device(device, registry.of_profile(profile))
        name, encode = f"lic_native {profile}", partial(jpeg.compress, profile=profile, device=device)
        decode = partial(jpeg.decompress, device=device)
        yield Codec(name, encode, decode, ours=True)
        if torch and profile != registry.NATIVE:
            check_device(device, f"{name} on torch")
            yield Codec(f"{name} on torch", partial(_on_torch, encode), partial(_on_torch, decode), ours=True)


def _on_torch(call: Callable[[bytes], Any], data: bytes) -> Any:
    with on_torch():
        return call(data)


def image_codecs(
    qualities: Sequence[float] = (), device: Device = None, lof: Sequence[int] = ()
) -> Iterator[Codec[Image.Image]]:
    """Yield a codec for each profile. Arguments and errors as for `codecs.image_codecs`."""
    name = to_device(device)
    for quality in qualities:
        index_of(quality)
    for iterations in lof:
        to_count(iterations, "lof")
    for profile, model in registry.IMAGE_PROFILES.items():
        for iterations in dict.fromkeys([0, *(lof if model in registry.EXACT_PRIORS else ())]):
            yield Codec(
                f"lic_native {profile}" + (f" LOF {iterations}" if iterations else ""),
                partial(_encode_image, profile=profile, device=name, lof=iterations),
                partial(image.decompress, device=name),
                tuple(dict.fromkeys(qualities or QUALITIES)),
                f"model {model}" + (f", {iterations} iterations of latent overfitting" if iterations else ""),
                ours=True,
            )


def _encode_image(
    picture: Image.Image, quality: float, *, profile: registry.ImageProfile, device: str | None, lof: int
) -> bytes:
    return image.compress(picture, quality=quality, profile=profile, device=device, lof=lof)


def latency_codec(profile: registry.ImageProfile, device: str) -> Codec[NDArray[np.uint8]]:
    """Return a codec of RGB samples, uint8 `[H, W, 3]`. Its files are verified by `image.compress`."""
    return Codec(
        f"lic_native {profile}",
        partial(image.compress, profile=profile, device=device),
        lambda data: np.asarray(image.decompress(data, device=device)),
        about=f"model {registry.IMAGE_PROFILES[profile]}",
        ours=True,
    )
