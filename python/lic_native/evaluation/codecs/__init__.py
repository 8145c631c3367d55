"""The programs that are measured, each in a file of its own.

To add a program, write a file with a function that yields its codecs if it is installed, and name the function below.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ...arguments import Device
from ..engine import Codec, select
from . import brunsli, jpegxl, lepton, ours, packjpg, paq8px, pillow

__all__ = ["image_codecs", "image_peers", "jpeg_codecs", "jpeg_peers"]

_JPEG_PEERS = (lepton.jpeg_codecs, jpegxl.jpeg_codecs, brunsli.jpeg_codecs, packjpg.jpeg_codecs, paq8px.jpeg_codecs)
_IMAGE_PEERS = (pillow.image_codecs, jpegxl.image_codecs)


def jpeg_codecs(profiles: Sequence[str] = (), device: Device = None, torch: bool = False) -> list[Codec[bytes]]:
    """Return the programs that make JPEG files smaller without loss: lic_native's profiles, then the peers installed.

    Args:
        profiles: lic_native's profiles; by default all.
        device: where lic_native's networks run.
        torch: add each network as torch runs it, on a CPU next to Rust.

    Raises:
        TypeError, ValueError: there is no such profile or device.
        UnsupportedError: CUDA or a codec needs torch, which can't be loaded.
    """
    return [*ours.jpeg_codecs(profiles, device, torch), *jpeg_peers()]


def jpeg_peers() -> list[Codec[bytes]]:
    return [codec for codecs in _JPEG_PEERS for codec in codecs()]


def image_codecs(
    names: Sequence[str] = (), qualities: Sequence[float] = (), device: Device = None, lof: Sequence[int] = ()
) -> list[Codec[Image.Image]]:
    """Return the programs that encode RGB images with loss: lic_native's profiles, then the peers installed.

    Args:
        names: the codecs that are wanted; by default all.
        qualities: lic_native's settings; by default 1 to 8.
        device: where torch runs lic_native's models.
        lof: numbers of iterations of latent overfitting; each adds a codec for each profile that supports it.

    Raises:
        TypeError, ValueError: there is no such codec, quality, device or number of iterations.
        UnsupportedError: a codec needs torch, which can't be loaded.
    """
    codecs = select([*ours.image_codecs(qualities, device, lof), *image_peers()], names)
    for codec in codecs:
        if codec.ours:
            ours.check_device(device, codec.name)
    return codecs


def image_peers() -> list[Codec[Image.Image]]:
    return [codec for codecs in _IMAGE_PEERS for codec in codecs()]
