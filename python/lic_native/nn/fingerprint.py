"""What tells the weights of one model from those of another."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .. import _native


def fingerprint(config: str, state: Mapping[str, Tensor]) -> int:
    """32 bits that change with the configuration and any weight or table: the same wherever the model is."""
    tensors = [value.cpu().contiguous().numpy().tobytes() for _, value in sorted(state.items())]
    return _native.fingerprint(b"".join([config.encode(), *tensors])) & 0xFFFFFFFF
