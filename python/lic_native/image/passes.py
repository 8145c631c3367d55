"""Walks of tiles of images on a GPU: of several images at a time (`coding/merging.py`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..coding.coder import StreamDecoder, StreamEncoder, SymbolCoder
from ..coding.device import Walks
from ..coding.merging import Merger
from ..cuda.available import works
from ..cuda.graphs import empty_cache
from ..errors import LicError
from ..models.base import ImageModel
from ..models.context import Units
from ..models.msp import Msp
from ..nn.ambient import known_state
from ..observe import stage
from .coders import Latents

__all__ = ["TilePasses", "device_walks", "forget_passes", "passes_of"]

_log = logging.getLogger(__name__)

#: Bytes on the device for each latent of a tile in a pass, at most: activations of `best`, slots, curves.
PASS_BYTES = 300


class TilePasses:
    """Encodes and decodes the latents of tiles, of which those of one size that several threads bring share a pass.

    walks: of the model, on its device. None: the entropy coder in Rust works after each step.
    """

    def __init__(self, model: ImageModel, walks: Walks | None = None) -> None:
        self._model, self._walks = model, walks
        turns, release = (2, empty_cache) if walks is None else (1, walks.release)
        self._merged: Merger[Any, Any] = Merger(self._pass, self._bytes, release, turns=turns)

    def encode(self, latents: Latents, index: int) -> bytes:
        """Return the stream of latents at a quality as files name it."""
        stream: bytes = self._one("encode", latents.shape[1:], index, torch.from_numpy(latents))
        return stream

    def decode(self, stream: bytes, index: int, size: Sequence[int]) -> Latents:
        """Return the latents of a stream, of `size` (h, w). Raises CorruptError or TruncatedError."""
        return np.ascontiguousarray(self._one("decode", size, index, stream).numpy())

    def _one(self, direction: str, size: Sequence[int], index: int, item: Any) -> Any:
        # Pictures of several qualities may share a pass where the network sees the quality of each.
        key = direction, tuple(size), None if isinstance(self._model, Msp) else index
        with stage("prior"):
            [outcome] = self._merged(key, [(index, item)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _bytes(self, key: tuple[Any, ...]) -> int:
        return PASS_BYTES * self._model.channels * int(key[1][0]) * int(key[1][1])

    def _pass(self, key: tuple[Any, ...], items: Sequence[tuple[int, Any]]) -> Sequence[Any]:
        direction, size, _ = key
        index, given = torch.tensor([i for i, _ in items], device=self._model.device), [item for _, item in items]
        if direction == "encode":
            latents = torch.stack(given)
            if self._walks is not None:
                return self._walks.encode(size, self._inputs(index), [latents])
            encoder = StreamEncoder(len(items), calibrate=True)
            self._walk(encoder, index, size, latents.to(self._model.device).float())
            return encoder.finish()
        if self._walks is None:
            return self._decode_by_rust(index, size, given)
        [latents], good = self._walks.decode(size, self._inputs(index), given)
        decoded: list[Any] = list(latents)
        for i in (i for i, is_good in enumerate(good) if not is_good):
            # What is wrong with a stream is for the coder in Rust to say.
            try:
                [decoded[i]] = self._decode_by_rust(index[i : i + 1], size, given[i : i + 1])
                _log.warning("a stream that the GPU's entropy coder refused is good")
            except LicError as error:
                decoded[i] = error
        return decoded

    def _decode_by_rust(self, index: Tensor, size: tuple[int, int], streams: Sequence[bytes]) -> list[Tensor]:
        decoder = StreamDecoder(streams)
        symbols = self._walk(decoder, index, size)
        decoder.finish()
        return list(symbols.short().cpu())

    def _walk(self, coder: SymbolCoder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        with known_state(), torch.inference_mode():
            return self._model.walk(coder, index, size, symbols)

    def _inputs(self, index: Tensor) -> list[Tensor]:
        """Return what a walk on the device needs: the index, and the units, which are computed on the CPU."""
        model: Any = self._model
        with known_state(), torch.inference_mode():
            return [index, *model.units(index)]


def device_walks(model: Msp) -> Walks:
    """Return the walks of a model whose latents are coded on its device."""

    def walk(coder: SymbolCoder, size: Any, inputs: list[Tensor], symbols: list[Tensor] | None) -> list[Tensor]:
        index, *units = inputs
        return [model.walk(coder, index, size, None if symbols is None else symbols[0], Units(*units))]

    return Walks(walk, model.contexts, model.device)


_passes: WeakKeyDictionary[ImageModel, TilePasses | None] = WeakKeyDictionary()


def passes_of(model: ImageModel) -> TilePasses | None:
    """Return what all callers of a model share, or None on a CPU, where each thread walks for itself."""
    if model not in _passes:
        walks = device_walks(model) if isinstance(model, Msp) and works(model.device) else None
        made = TilePasses(model, walks) if model.device.type == "cuda" else None
        # If another thread was faster, its passes count.
        _passes.setdefault(model, made)
    return _passes[model]


def forget_passes() -> None:
    """Make new ones from now on, for benchmarks that change what passes are made by."""
    _passes.clear()
