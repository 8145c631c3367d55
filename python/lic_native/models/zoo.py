"""The models that files refer to by number, and their weights inside the wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .bls2017 import Bls2017
    from .codec import ImageModel
    from .mlcc import Mlcc
    from .msp import Msp

#: The model that is no network, and needs no torch.
NATIVE = "native"
#: The same, of coefficients that are divided by their steps: for pictures without their last refinement scans.
NATIVE_STEPS = "native-steps"
#: Model numbers as they stand in files. A number is never used again for another model.
NUMBERS = {
    "mlcc-fast": 1,
    "mlcc-best": 2,
    NATIVE: 3,
    "bls2017": 4,
    "msp-fast": 5,
    "msp-balanced": 6,
    "msp-best": 7,
    NATIVE_STEPS: 8,
}
#: The profiles that a user picks from for JPEG files, and their models.
PROFILES = {"native": NATIVE, "fast": "mlcc-fast", "best": "mlcc-best"}
#: Those for images, coded from their pixels.
IMAGE_PROFILES = {"balanced": "msp-balanced", "fast": "msp-fast", "best": "msp-best", "bls2017": "bls2017"}
#: Their models that latents can be overfitted with: rates of theirs have a gradient.
OVERFITTED = ("msp-balanced", "msp-fast", "msp-best")


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


def check_overfitting(name: str, iterations: int) -> None:
    """Raise ValueError if an image model cannot have so many iterations of latent overfitting."""
    if iterations < 0:
        raise ValueError(f"{iterations} iterations of latent overfitting")
    if iterations and name not in OVERFITTED:
        raise ValueError(f"model {name} has no latent overfitting; {', '.join(OVERFITTED)} have")


def load(name: str, device: str | None = None) -> Mlcc:
    """A model with its shipped weights on `device` ("cuda" if there is one, by default); kept for the next call.

    Raises:
        ValueError: `device` is neither "cpu" nor "cuda", or there is none.
        RuntimeError: the device does not compute exactly (`nn.exact.check_products`).
    """
    from .mlcc import Mlcc

    model: Mlcc = _load(Mlcc, name, _device(device))
    return model


def load_image(name: str, device: str | None = None) -> ImageModel:
    """A codec for images, as `load`."""
    from .bls2017 import Bls2017
    from .msp import Msp

    model: type[Bls2017] | type[Msp] = Bls2017 if name == "bls2017" else Msp
    loaded: ImageModel = _load(model, name, _device(device))
    return loaded


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


M = TypeVar("M", "Mlcc", "Bls2017", "Msp")


@cache
def _load(model: type[M], name: str, device: str) -> M:
    import torch

    # Whatever the program around has made torch's default device.
    with torch.device("cpu"), as_file(files("lic_native.weights") / f"{name}.safetensors") as path:
        return model.load(path, device)
