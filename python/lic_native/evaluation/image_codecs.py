"""Programs that make small files of images with loss: ours, a codec for each profile, and the peers installed here."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image, features

from ..arguments import Device, to_count, to_device
from ..models import registry
from ..models.rate_points import index_of

__all__ = ["QUALITIES", "Codec", "codecs", "encode", "ours", "peers", "pillow_decode", "pillow_encode"]

#: Ours.
QUALITIES = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Codec:
    """A program that makes files of RGB images.

    about: its version, and the options that are the same at all settings.
    settings: what `encode` takes beside an image, e.g. qualities; together from about 0.1 to 2 bits a pixel.
    """

    name: str
    about: str
    settings: Sequence[float]
    encode: Callable[[Image.Image, float], bytes]
    decode: Callable[[bytes], Image.Image]
    ours: bool = False


def codecs(
    names: Sequence[str] = (),
    qualities: Sequence[float] = (),
    device: Device = None,
    lof: Sequence[int] = (),
) -> list[Codec]:
    """Those of these names, or lic_native with each of its profiles and every peer that is installed.

    lof: numbers of iterations of latent overfitting, each of which makes a codec of each profile that has it.

    Raises:
        TypeError, ValueError: there is no such codec, quality or device, or no such number of iterations.
        UnsupportedError: a codec of ours needs torch, which is not there.
    """
    where = to_device(device)
    for quality in qualities:
        index_of(quality)
    for iterations in lof:
        to_count(iterations, "lof")
    there = [*ours(qualities or QUALITIES, where, lof), *peers()]
    known = [codec.name for codec in there]
    for name in names:
        if name not in known:
            raise ValueError(f"no codec {name!r} here; there is {', '.join(known)}")
    wanted = [codec for codec in there if not names or codec.name in names]
    for codec in wanted:
        if codec.ours:
            registry.present_device(device, codec.name)
    return wanted


def ours(qualities: Sequence[float], device: str | None = None, lof: Sequence[int] = ()) -> Iterator[Codec]:
    from .. import image

    for profile, model in registry.IMAGE_PROFILES.items():
        for iterations in dict.fromkeys([0, *(lof if model in registry.OVERFITTED else ())]):
            yield Codec(
                f"lic_native {profile}" + (f" LOF {iterations}" if iterations else ""),
                f"model {model}" + (f", {iterations} iterations of latent overfitting" if iterations else ""),
                tuple(dict.fromkeys(qualities)),
                partial(encode, profile, iterations, device),
                partial(image.decompress, device=device),
                ours=True,
            )


def encode(profile: registry.ImageProfile, lof: int, device: str | None, picture: Image.Image, quality: float) -> bytes:
    from .. import image

    return image.compress(picture, quality=quality, profile=profile, device=device, lof=lof)


def peers() -> Iterator[Codec]:
    """Those that are there: what Pillow was built with, and JPEG XL of imagecodecs."""
    if features.check("jpg"):
        yield Codec(
            "JPEG",
            f"libjpeg-turbo {features.version('libjpeg_turbo') or 'none'} by Pillow, quality, 4:2:0, optimised, "
            "progressive",
            (3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90),
            lambda image, quality: pillow_encode(
                image, "JPEG", quality=quality, subsampling="4:2:0", optimize=True, progressive=True
            ),
            pillow_decode,
        )
    if features.check("jpg_2000"):
        yield Codec(
            "JPEG 2000",
            f"OpenJPEG {features.version('jpg_2000')} by Pillow, rate (24 / bpp), 9/7 wavelet, MCT",
            (240, 160, 120, 96, 70, 48, 34, 24, 16, 12),
            lambda image, rate: pillow_encode(
                image, "JPEG2000", quality_mode="rates", quality_layers=[rate], irreversible=True, mct=1
            ),
            pillow_decode,
        )
    if features.check("webp"):
        yield Codec(
            "WebP",
            f"libwebp {features.version('webp')} by Pillow, quality, method 6",
            (0, 1, 5, 10, 20, 35, 50, 65, 75, 85, 92),
            lambda image, quality: pillow_encode(image, "WEBP", quality=quality, method=6),
            pillow_decode,
        )
    if features.check("avif"):
        about = f"libavif {features.version('avif')} by Pillow, quality, 4:4:4, speed 6"
        fixed: dict[str, Any] = {"subsampling": "4:4:4", "speed": 6}
        yield Codec(
            "AVIF tune=psnr",
            about,
            (10, 20, 30, 40, 50, 60, 75, 82),
            lambda image, quality: pillow_encode(image, "AVIF", quality=quality, **fixed, advanced={"tune": "psnr"}),
            pillow_decode,
        )
        yield Codec(
            "AVIF default tune",
            about,
            (10, 20, 30, 40, 50, 60, 70, 80, 88),
            lambda image, quality: pillow_encode(image, "AVIF", quality=quality, **fixed),
            pillow_decode,
        )
    if find_spec("imagecodecs") and (imagecodecs := import_module("imagecodecs")).JPEGXL.available:
        yield Codec(
            "JPEG XL",
            f"{imagecodecs.jpegxl_version()} by imagecodecs, distance, effort 7",
            (25, 20, 15, 12, 9, 7, 5.5, 4.6, 3.7, 2.35, 1.5, 1),
            lambda image, distance: bytes(
                imagecodecs.jpegxl_encode(np.asarray(image), lossless=False, distance=distance, effort=7)
            ),
            lambda data: Image.fromarray(imagecodecs.jpegxl_decode(data)),
        )


def pillow_encode(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pillow_decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
