"""Weights in files, and the fingerprint that distinguishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import _native

__all__ = ["fingerprint", "read_weights", "write_weights"]


def fingerprint(config: str, state: Mapping[str, Tensor]) -> int:
    """Return 32 bits that change with the configuration and with any weight or table.

    They are the same on every device. The bytes of tensors are hashed in the order of their names, which are therefore
    part of the file format.
    """
    tensors = [value.cpu().contiguous().numpy().tobytes() for _, value in sorted(state.items())]
    return _native.fingerprint(b"".join([config.encode(), *tensors])) & 0xFFFFFFFF


def read_weights(path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """Return a model's configuration as JSON, and its tensors, floats in 32 bits, from a safetensors file."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return file.metadata()["config"], {
            name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
        }


def write_weights(path: str | Path, config: str, state: Mapping[str, Tensor]) -> None:
    """Write a safetensors file that `read_weights` reads: floats in 16 bits where these hold all values of a tensor."""
    save_file({name: _shortened(value.detach().cpu()) for name, value in state.items()}, path, {"config": config})


def _shortened(tensor: Tensor) -> Tensor:
    half = tensor.half() if tensor.is_floating_point() else tensor
    return (half if torch.equal(half.to(tensor.dtype), tensor) else tensor).contiguous()
