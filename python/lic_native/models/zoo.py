"""The models that files refer to by number, and their weights inside the wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .mlcc import Mlcc

#: Model numbers as they stand in files. A number is never used again for another model.
NUMBERS = {"mlcc-fast": 1}
DEFAULT = "mlcc-fast"


def model_name(number: int) -> str:
    """The name of a file's model; UnsupportedError if this release has none of that number."""
    for name, known in NUMBERS.items():
        if known == number:
            return name
    raise UnsupportedError(f"model number {number} is not in this release; it has {NUMBERS}")


def load(name: str, device: str | None = None) -> Mlcc:
    """A model with its shipped weights on `device` ("cuda" if there is one, by default); kept for the next call.

    Raises:
        ValueError: `device` is neither "cpu" nor "cuda", or there is none.
        RuntimeError: the device does not compute exactly (`nn.exact.check_products`).
    """
    import torch

    has_cuda = torch.cuda.is_available()
    device = device or ("cuda" if has_cuda else "cpu")
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is neither cpu nor cuda")
    if device != "cpu" and not has_cuda:
        raise ValueError("torch finds no CUDA device")
    return _load(name, str(torch.device(device)))


@cache
def _load(name: str, device: str) -> Mlcc:
    from .mlcc import Mlcc

    with as_file(files("lic_native.weights") / f"{name}.safetensors") as path:
        return Mlcc.load(path, device)
