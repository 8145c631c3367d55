"""The formats that Pillow was built with: JPEG, JPEG 2000, WebP and AVIF.

The settings of each reach from about 0.1 to 2 bits per pixel of a photograph.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, features

from ..engine import Codec

__all__ = ["image_codecs"]


def image_codecs() -> Iterator[Codec[Image.Image]]:
    if features.check("jpg"):
        yield Codec(
            "JPEG",
            _encoder("JPEG", subsampling="4:2:0", optimize=True, progressive=True),
            _decode,
            (3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90),
            f"libjpeg-turbo {features.version('libjpeg_turbo') or 'none'} by Pillow, quality, 4:2:0, optimised, "
            "progressive",
        )
    if features.check("jpg_2000"):
        yield Codec(
            "JPEG 2000",
            lambda image, rate: _save(
                image, "JPEG2000", quality_mode="rates", quality_layers=[rate], irreversible=True, mct=1
            ),
            _decode,
            (240, 160, 120, 96, 70, 48, 34, 24, 16, 12),
            f"OpenJPEG {features.version('jpg_2000')} by Pillow, rate (24 / bpp), 9/7 wavelet, MCT",
        )
    if features.check("webp"):
        yield Codec(
            "WebP",
            _encoder("WEBP", method=6),
            _decode,
            (0, 1, 5, 10, 20, 35, 50, 65, 75, 85, 92),
            f"libwebp {features.version('webp')} by Pillow, quality, method 6",
        )
    if features.check("avif"):
        about = f"libavif {features.version('avif')} by Pillow, quality, 4:4:4, speed 6"
        options: dict[str, Any] = {"subsampling": "4:4:4", "speed": 6}
        yield Codec(
            "AVIF tune=psnr",
            _encoder("AVIF", **options, advanced={"tune": "psnr"}),
            _decode,
            (10, 20, 30, 40, 50, 60, 75, 82),
            about,
        )
        yield Codec(
            "AVIF default tune", _encoder("AVIF", **options), _decode, (10, 20, 30, 40, 50, 60, 70, 80, 88), about
        )


def _encoder(format: str, **options: Any) -> Callable[[Image.Image, float], bytes]:
    return lambda image, quality: _save(image, format, quality=quality, **options)


def _save(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
