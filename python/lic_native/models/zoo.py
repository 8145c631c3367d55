"""The models that files refer to by number, and their weights inside the wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .bls2017 import Bls2017
    from .mlcc import Mlcc

#: The model that is no network, and needs no torch.
NATIVE = "native"
#: Model numbers as they stand in files. A number is never used again for another model.
NUMBERS = {"mlcc-fast": 1, "mlcc-best": 2, NATIVE: 3, "bls2017": 4}
#: The profiles that a user picks from for JPEG files, and their models.
PROFILES = {"native": NATIVE, "fast": "mlcc-fast", "best": "mlcc-best"}
#: Those for images, coded from their pixels.
IMAGE_PROFILES = {"bls2017": "bls2017"}


def model_name(number: int) -> str:
    """The name of a file's model; UnsupportedError if this release has none of that number."""
    for name, known in NUMBERS.items():
        if known == number:
            return name
    raise UnsupportedError(f"model number {number} is not in this release; it has {NUMBERS}")


def of_profile(profile: str | None, device: str | None = None) -> str:
    """The name of a profile's model. Without one: "best" where CUDA runs it, "native" without torch, "fast" elsewhere.

    Raises:
        ValueError: there is no such profile.
    """
    check_profile(profile)
    if profile is None and find_spec("torch") is None:
        profile = "native"
    return PROFILES[profile or ("fast" if (device or _default_device()) == "cpu" else "best")]


def check_profile(profile: str | None) -> None:
    """Raise ValueError if there is no such profile. This does not take torch."""
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is none of {', '.join(PROFILES)}")


def of_image_profile(profile: str | None) -> str:
    """The name of an image profile's model. Raises ValueError if there is no such profile."""
    profile = profile or next(iter(IMAGE_PROFILES))
    if profile not in IMAGE_PROFILES:
        raise ValueError(f"profile {profile!r} is not for images, which have {', '.join(IMAGE_PROFILES)}")
    return IMAGE_PROFILES[profile]


def load(name: str, device: str | None = None) -> Mlcc:
    """A model with its shipped weights on `device` ("cuda" if there is one, by default); kept for the next call.

    Raises:
        ValueError: `device` is neither "cpu" nor "cuda", or there is none.
        RuntimeError: the device does not compute exactly (`nn.exact.check_products`).
    """
    from .mlcc import Mlcc

    model: Mlcc = _load(Mlcc, name, _device(device))
    return model


def load_image(name: str, device: str | None = None) -> Bls2017:
    """A codec for images, as `load`. Raises ValueError."""
    from .bls2017 import Bls2017

    model: Bls2017 = _load(Bls2017, name, _device(device))
    return model


def _device(device: str | None) -> str:
    import torch

    device = device or _default_device()
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is neither cpu nor cuda")
    if device != "cpu" and not torch.cuda.is_available():
        raise ValueError("torch finds no CUDA device")
    return str(torch.device(device))


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


M = TypeVar("M", "Mlcc", "Bls2017")


@cache
def _load(model: type[M], name: str, device: str) -> M:
    import torch

    # Whatever the program around has made torch's default device.
    with torch.device("cpu"), as_file(files("lic_native.weights") / f"{name}.safetensors") as path:
        return model.load(path, device)
