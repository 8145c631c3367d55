"""The coders of `image/coders.py` on torch: on a GPU, and of models that Rust does not compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..coding.coder import StreamDecoder, StreamEncoder, SymbolCoder
from ..models.base import ImageModel
from ..nn.ambient import known_state
from ..nn.exact import check_exact
from ..observe import stage
from .coders import Latents
from .passes import passes_of

__all__ = ["TorchCoder", "to_latents", "walk"]


class TorchCoder:
    """A probability model that torch runs, on the device of the model; a `LatentCoder`.

    On a GPU, tiles of several images share passes (`passes_of`).

    Raises:
        InexactDeviceError: the device does not compute exactly (`nn.exact.check_exact`).
    """

    threads = 1

    def __init__(self, model: ImageModel) -> None:
        check_exact(model.exact_part, model.device)
        self._model = model

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self._model.channels

    def fingerprint(self) -> int:
        return self._model.fingerprint()

    def encode(self, latents: Latents, index: int) -> bytes:
        if passes := passes_of(self._model):
            return passes.encode(latents, index)
        coder = StreamEncoder(calibrate=True)
        symbols = torch.from_numpy(latents)[None].to(self._model.device).float()
        walk(self._model, coder, index, latents.shape[1:], symbols)
        (stream,) = coder.finish()
        return stream

    def decode(self, stream: bytes, index: int, size: tuple[int, int], verify: bool = False) -> Latents:
        if passes := passes_of(self._model):
            return passes.decode(stream, index, size)
        coder = StreamDecoder([stream])
        symbols = walk(self._model, coder, index, size)
        coder.finish()
        return to_latents(symbols)


def walk(
    model: ImageModel, coder: SymbolCoder, index: int, size: Sequence[int], symbols: Tensor | None = None
) -> Tensor:
    """Call `model.walk` in the state of torch that makes encoder and decoder compute exactly the same."""
    with known_state(), torch.inference_mode():
        at = torch.tensor([index], device=model.device)
        with stage("prior"):
            return model.walk(coder, at, (size[0], size[1]), symbols)


def to_latents(symbols: Tensor) -> Latents:
    """Return integers as floats `[1, C, h, w]` as an array."""
    return np.ascontiguousarray(symbols[0].short().cpu().numpy())
