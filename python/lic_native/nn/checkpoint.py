"""Weights in files, and the fingerprint that distinguishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .. import _native, threads
from ..limits import DEFAULT_LIMITS

__all__ = ["fingerprint", "read_weights", "write_weights"]


def fingerprint(config: str, state: Mapping[str, Tensor]) -> int:
    """Return 32 bits that change with the configuration and with any weight or table.

    They are the same on every device. The bytes of tensors are hashed in the order of their names, which are therefore
    part of the file format.
    """
    tensors = [value.cpu().contiguous().numpy().data for _, value in sorted(state.items())]
    return _native.fingerprint(b"".join([config.encode(), *tensors])) & 0xFFFFFFFF


def read_weights(path: str | Path) -> tuple[str, dict[str, Tensor]]:
    """Return a model's configuration as JSON, and its float32 and int32 tensors, from a file of `write_weights`.

    Raises:
        OSError: the file can't be read.
        TruncatedError, CorruptError: it is not a whole file of weights.
        UnsupportedError: it is of another version, or a safetensors file of an earlier release.
        LimitExceededError: the tensors take more than `limits.DEFAULT_LIMITS`.
    """
    data = Path(path).read_bytes()
    config, arrays = _native.weights_decode(data, DEFAULT_LIMITS.max_output_bytes, threads.available())
    return config, {name: torch.from_numpy(array) for name, array in arrays}


def write_weights(path: str | Path, config: str, state: Mapping[str, Tensor]) -> None:
    """Write a file that `read_weights` reads: float32 and int32 tensors to the bit (`rust/src/tensor/weights.rs`)."""
    arrays = [(name, value.detach().cpu().contiguous().numpy()) for name, value in sorted(state.items())]
    Path(path).write_bytes(_native.weights_encode(config, arrays))
