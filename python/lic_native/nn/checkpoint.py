"""Weights in files, and what tells those of one model from those of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from .. import _native

__all__ = ["fingerprint", "read_weights"]


def fingerprint(config: str, state: Mapping[str, Tensor]) -> int:
    """32 bits that change with the configuration and any weight or table: the same wherever the model is."""
    tensors = [value.cpu().contiguous().numpy().tobytes() for _, value in sorted(state.items())]
    return _native.fingerprint(b"".join([config.encode(), *tensors])) & 0xFFFFFFFF


def read_weights(path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """Return a model's configuration as JSON, and its tensors, floats as of 32 bits, from a safetensors file."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return file.metadata()["config"], {
            name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
        }
