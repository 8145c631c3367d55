"""The models that files refer to by number, and their weights inside the wheel."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from importlib import import_module
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from .. import _native, threads
from ..arguments import Device, check_choice, to_count, to_device
from ..errors import UnknownModelError, UnsupportedError, WeightsMismatchError
from ..limits import DEFAULT_LIMITS
from ..suffixes import WEIGHTS_SUFFIX

if TYPE_CHECKING:
    from .base import ImageModel
    from .bls2017 import Bls2017
    from .mlcc import Mlcc
    from .msp import Msp

__all__ = [
    "EXACT_PRIORS",
    "IMAGE_PROFILES",
    "NATIVE",
    "NUMBERS",
    "PROFILES",
    "ImageProfile",
    "JpegProfile",
    "check_overfitting",
    "check_profile",
    "check_weights",
    "load",
    "load_engine",
    "load_image",
    "load_image_engine",
    "model_name",
    "need_torch",
    "network_device",
    "of_image_profile",
    "of_profile",
    "present_device",
    "verifying_backend",
]

#: Profiles that a user can choose for JPEG files, and for images.
JpegProfile: TypeAlias = Literal["native", "quick", "fast", "best"]
ImageProfile: TypeAlias = Literal["balanced", "fast", "best", "bls2017"]

#: The context model, which is not a network.
NATIVE = "native"
#: The same model of coefficients divided by their steps: for pictures without their last refinement scans.
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
    "mlcc-quick": 9,
}
#: The model of each profile for JPEG files.
PROFILES: dict[JpegProfile, str] = {
    "native": NATIVE,
    "quick": "mlcc-quick",
    "fast": "mlcc-fast",
    "best": "mlcc-best",
}
#: The model of each profile for images, which are coded from their pixels.
IMAGE_PROFILES: dict[ImageProfile, str] = {
    "balanced": "msp-balanced",
    "fast": "msp-fast",
    "best": "msp-best",
    "bls2017": "bls2017",
}
#: The models for images whose probabilities are an exact network's. Their rates have a gradient, so that latents can be
#: overfitted, and Rust computes them on a CPU.
EXACT_PRIORS = ("msp-balanced", "msp-fast", "msp-best")


def model_name(number: int) -> str:
    """Return the name of a file's model. Raises UnknownModelError if this release has none of that number."""
    for name, known in NUMBERS.items():
        if known == number:
            return name
    raise UnknownModelError(f"model number {number} is not in this release; it has {NUMBERS}")


def check_weights(name: str, installed: int, needed: int) -> None:
    """Raise WeightsMismatchError if the fingerprint of a model's installed weights is not the one that a file needs."""
    if installed != needed:
        raise WeightsMismatchError(f"the file needs weights {needed:08x} of model {name}, not {installed:08x} as here")


def of_profile(profile: str | None, device: Device = None) -> str:
    """Return a profile's model; without a profile that of "best" if `device` asks for CUDA, else of "native".

    Raises:
        TypeError, ValueError: there is no such profile or device.
    """
    check_profile(profile)
    wanted = to_device(device)
    if profile is None:
        profile = "best" if wanted and wanted != "cpu" else NATIVE
    return PROFILES[profile]


def check_profile(profile: str | None) -> None:
    """Raise TypeError or ValueError if it is neither a profile for JPEG files nor None."""
    if profile is not None:
        check_choice(profile, PROFILES, "profile")


def of_image_profile(profile: str | None) -> str:
    """Return the model of a profile for images, by default of the first profile.

    Raises:
        TypeError, ValueError: there is no such profile.
    """
    if profile is None:
        return next(iter(IMAGE_PROFILES.values()))
    if profile in PROFILES and profile not in IMAGE_PROFILES:
        raise ValueError(f"profile {profile!r} is not for images, which have {', '.join(IMAGE_PROFILES)}")
    check_choice(profile, IMAGE_PROFILES, "profile")
    return IMAGE_PROFILES[profile]


def check_overfitting(name: str, iterations: int) -> None:
    """Raise TypeError or ValueError if a model for images can't have that number of iterations of overfitting."""
    if to_count(iterations, "lof") and name not in EXACT_PRIORS:
        raise ValueError(f"model {name} has no latent overfitting; {', '.join(EXACT_PRIORS)} have")


#: Why torch could not be loaded. It is remembered: another try would take as long, and fail in another way.
_failures: list[str] = []


def need_torch(what: str) -> None:
    """Load torch.

    what: needs it, as the error message says, e.g. "model mlcc-fast".

    Raises:
        UnsupportedError: torch is not installed or can't be loaded; the message is one line.
    """
    if not _failures:
        try:
            # An empty folder of that name can be imported, too.
            import_module("torch").__version__  # noqa: B018
        except Exception as error:  # whatever a broken installation raises
            _failures.append(_reason("torch", error))
    if _failures:
        raise UnsupportedError(f"{what} needs {_failures[0]}")


def _reason(package: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        return f"{package}, which is not installed: pip install 'lic-native[torch]'"
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{package}, which is installed but can't be loaded ({why}): install it again"


@cache
def load_engine(name: str) -> _native.Mlcc:
    """Return the network of a model for JPEG files, with its shipped weights, as Rust computes it on a CPU.

    Later calls share it.
    """
    return _native.Mlcc(_weights(name), DEFAULT_LIMITS.max_output_bytes, threads.available())


@cache
def load_image_engine(name: str) -> _native.Msp:
    """Return the probability model of one of `EXACT_PRIORS`, as `load_engine` does."""
    return _native.Msp(_weights(name), DEFAULT_LIMITS.max_output_bytes, threads.available())


def verifying_backend() -> str | None:
    """Return the instruction set, as `LIC_SIMD` names it, that decodes what Rust encoded, to verify it.

    The environment variable `LIC_VERIFY_SIMD` names it; None means that of the encoder, which takes the least time.
    """
    return os.environ.get("LIC_VERIFY_SIMD") or None


def _weights(name: str) -> bytes:
    return (files("lic_native.weights") / (name + WEIGHTS_SUFFIX)).read_bytes()


def load(name: str, device: Device = None) -> Mlcc:
    """Return the same network as torch runs it on `device`, by default "cuda" if there is one. Later calls share it.

    Raises:
        TypeError, ValueError: `device` is neither "cpu" nor "cuda", or the machine does not have it.
        UnsupportedError: torch is not installed, or can't be loaded.
        InexactDeviceError: the device does not compute exactly (`nn.exact.check_exact`).
    """
    where = present_device(device, f"model {name}")
    from .mlcc import Mlcc

    model: Mlcc = _load(Mlcc, name, where)
    return model


def load_image(name: str, device: Device = None) -> ImageModel:
    """Return a codec for images, as `load` does for JPEG files."""
    where = present_device(device, f"model {name}")
    from .bls2017 import Bls2017
    from .msp import Msp

    model: type[Bls2017] | type[Msp] = Bls2017 if name == "bls2017" else Msp
    # On a CPU, Rust codes the latents of these; where torch does, `image.torch_coder.TorchCoder` tries the device.
    by_rust = where == "cpu" and name in EXACT_PRIORS
    loaded: ImageModel = _load(model, name, where, exact=not by_rust)
    return loaded


def network_device(device: Device, name: str) -> str:
    """Return the device that an exact network works on, by default "cuda" if there is one.

    A CPU needs no torch (`load_engine`, `load_image_engine`), and torch is not even imported where there is nothing for
    it to find.

    Raises:
        TypeError, ValueError: `device` is neither "cpu" nor "cuda", or the machine does not have it.
        UnsupportedError: it is "cuda", and torch is not installed or can't be loaded.
    """
    wanted = to_device(device)
    if wanted == "cpu" or (wanted is None and not _may_have_cuda()):
        return "cpu"
    try:
        return present_device(device, f"model {name} on {wanted or 'cuda'}")
    except UnsupportedError:
        if wanted is None:
            return "cpu"
        raise


def _may_have_cuda() -> bool:
    """Return whether it is worth asking torch for a CUDA device, which takes a second unless it is imported already."""
    return "torch" in sys.modules or (_has_cuda_driver() and find_spec("torch") is not None)


@cache
def _has_cuda_driver() -> bool:
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True


def present_device(device: Device, what: str) -> str:
    """Return the name of a device that torch has, by default "cuda" if there is one.

    what: needs torch, as error messages say (`need_torch`).

    Raises:
        TypeError, ValueError: it is not a device, or the machine does not have it.
        UnsupportedError: torch is not installed, or can't be loaded.
    """
    name = to_device(device)
    need_torch(what)
    import torch

    name = name or _default_device()
    if name != "cpu":
        if not torch.cuda.is_available():
            raise ValueError(f"device {name!r} is not there: torch finds no CUDA device; take 'cpu'")
        count = torch.cuda.device_count()
        if int(name.partition(":")[2] or 0) >= count:
            raise ValueError(f"device {name!r} is not there: torch finds {count} CUDA devices, the first is cuda:0")
    return name


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


M = TypeVar("M", "Mlcc", "Bls2017", "Msp")


@cache
def _load(model: type[M], name: str, device: str, exact: bool = True) -> M:
    import torch

    with as_file(files("lic_native.weights") / (name + WEIGHTS_SUFFIX)) as path:
        loaded = model.load(path, device, exact=exact)
    # A mode of torch that this was called in, of fake tensors for example, would go on in all that uses the model.
    if any(type(tensor) is not torch.Tensor for tensor in loaded.state_dict().values()):
        raise RuntimeError(f"model {name} can't be loaded inside a mode of torch that makes other tensors")
    return loaded
