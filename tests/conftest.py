"""Synthetic pictures and the JPEG files made of them."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from lic_native import coders, jpeg
from lic_native.models import zoo

#: The profiles that are networks.
NETWORKS = [profile for profile, name in zoo.PROFILES.items() if name != zoo.NATIVE]

# The first example of a property pays for torch's start.
settings.register_profile("lic_native", deadline=None)
settings.load_profile("lic_native")


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 `[height, width, 3]`: smooth shapes, an edge and some grain, different for each seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40.0
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
    picture = 128 + 60 * np.stack(waves, -1) + 40 * (x > y + 1)[..., None]
    return np.clip(picture + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def jpeg_bytes(height: int = 96, width: int = 128, seed: int = 0, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph(height, width, seed)).convert(mode).save(buffer, "JPEG", **{"quality": 75, **options})
    return buffer.getvalue()


def cut(photo: bytes, width: int, height: int, mode: str = "RGB", **options) -> bytes:
    """The middle of a photograph, as a JPEG file of its own."""
    image = Image.open(io.BytesIO(photo))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    buffer = io.BytesIO()
    image.crop((left, top, left + width, top + height)).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@contextmanager
def networks_alone():
    """Pictures are coded by a profile's network even where the native coder would make them smaller."""

    def network(frame, profile, device):
        name = zoo.of_profile(profile, device)
        return [coders.Native() if name == zoo.NATIVE else coders.Network(name, device)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "coders_of", network)
        yield


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A real photograph, 4:2:0."""
    from pathlib import Path

    return (Path(__file__).parent / "data" / "grace_hopper.jpg").read_bytes()
