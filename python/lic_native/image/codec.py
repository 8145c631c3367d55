"""Encode samples to the streams of an image's latents, and decode them: tile by tile, so that memory is bounded.

samples -- analysis --> y -- round --> latents -- LatentCoder.encode --> a rANS stream for each tile
samples <------- synthesis ----------- latents <-- LatentCoder.decode ----------'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import _native, threads
from ..errors import UnsupportedError
from ..models.base import ImageModel
from ..models.msp import Msp
from ..nn.ambient import known_state
from ..observe import stage
from . import coders
from .analysis import Analysis
from .coders import Engine, LatentCoder, Latents
from .grid import TileGrid
from .overfitting import TileSearch
from .progress import OverfitProgress
from .samples import Samples
from .torch_coder import TorchCoder, to_latents

__all__ = ["Codec", "gains_by_half", "latent_coder", "pixels_of"]


@dataclass(frozen=True)
class Codec:
    """Encoder and decoder of images.

    model: with fixed weights.
    """

    model: ImageModel

    @cached_property
    def coder(self) -> LatentCoder:
        """What codes the latents."""
        return latent_coder(self.model)

    def encode(
        self,
        samples: Samples,
        index: int,
        lof: int = 0,
        on_lof: Callable[[OverfitProgress], None] | None = None,
    ) -> tuple[list[bytes], int]:
        """Return a stream for each tile of an image, and the checksum of all latents.

        Args:
            samples: uint8 `[H, W, 1 or 3]`.
            index: the quality as files name it (`models/rate_points.py`).
            lof, on_lof: as in `lic_native.image.compress`.

        Raises:
            CorruptError: the decoded latents are not the encoded ones.
            KeyboardInterrupt: the work is no longer wanted (`threads.check`).
        """
        analysis = Analysis(self.model, samples, index)
        search = TileSearch(analysis, lof, on_lof) if lof else None
        tiles = []
        for tile in analysis.grid.tiles:
            threads.check()
            with known_state(), torch.inference_mode():
                tiles.append(to_latents(search(tile) if search else analysis.latents(tile).round()))
        return coders.encode(self.coder, tiles, index, torch.get_num_threads())

    def decode(self, body: _native.Image) -> Latents:
        """Return the latents of a file. Raises as `coders.decode`."""
        return coders.decode(self.coder, body, self._grid(body), torch.get_num_threads())

    def synthesise(self, body: _native.Image, latents: Latents) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield the top, the left and the samples `[h, w, 1 or 3]` of each tile."""
        grid = self._grid(body)
        for tile in grid.tiles:
            threads.check()
            area = grid.padded(tile, self.model.reach[1])
            # The state of torch is changed only until the caller gets the tile.
            with known_state(), torch.inference_mode():
                symbols = torch.from_numpy(np.ascontiguousarray(latents[:, *area]))[None].to(self.model.device).float()
                index = torch.tensor([body.quality], device=self.model.device)
                with stage("synthesis"):
                    planes = pixels_of(self.model, symbols, index)[0]
                planes = planes[:, *tile.within(area).scaled(self.model.STRIDE)]
                planes = planes.mean(0, keepdim=True) if body.channels < 3 else planes
                samples = (255 * planes).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
            top, left = (part.start for part in tile.scaled(self.model.STRIDE))
            yield top, left, samples[: body.height - top, : body.width - left]

    def _grid(self, body: _native.Image) -> TileGrid:
        return TileGrid(self.model.STRIDE, self.model.TILE, body.height, body.width)


def gains_by_half(device: torch.device) -> bool:
    """Return whether a device convolves in float16 so much faster that pixels are worth it."""
    return device.type == "cuda"


def pixels_of(model: ImageModel, symbols: Tensor, index: Tensor) -> Tensor:
    """Return the pixels that latents stand for, `[B, 3, 16H, 16W]`, which are floats in any case.

    On a device that gains by it, the layers work in float16: a sample then differs by one at most. No probability
    depends on it. Latents that float16 can't hold, which no encoder makes, are taken in float32.
    """
    if model.HALF and gains_by_half(symbols.device):
        with torch.autocast(symbols.device.type, torch.float16):
            planes = model.decode(symbols.contiguous(memory_format=torch.channels_last), index)
        if bool(planes.isfinite().all()):
            return planes
    return model.decode(symbols, index)


#: Of each model that Rust computes.
_engines: WeakKeyDictionary[ImageModel, Engine] = WeakKeyDictionary()


def latent_coder(model: ImageModel) -> LatentCoder:
    """Return what codes the latents of a model with fixed weights: Rust for MSP on a CPU, otherwise torch."""
    if model.device.type != "cpu" or not isinstance(model, Msp):
        return TorchCoder(model)
    if model not in _engines:
        arrays = [(name, value.numpy()) for name, value in sorted(model.state_dict().items())]
        try:
            _engines[model] = Engine(_native.Msp.from_arrays(model.config.to_json(), arrays))
        except UnsupportedError:
            # A layer takes more bits than the engine's products have; the shipped models have none.
            return TorchCoder(model)
    return _engines[model]
