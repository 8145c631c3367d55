"""Encode samples to the streams of an image's latents, and decode them: tile by tile, so that memory is bounded.

samples -- analysis --> y -- round --> latents -- encode_tile --> a rANS stream for each tile
samples <------- synthesis ----------- latents <-- decode_tile -------------'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import _native, threads
from ..coding.coder import StreamDecoder, StreamEncoder, SymbolCoder
from ..errors import CorruptError
from ..models.base import ImageModel
from ..nn.ambient import known_state
from ..observe import stage
from .analysis import Analysis
from .grid import TileGrid
from .overfitting import TileSearch
from .passes import passes_of
from .progress import OverfitProgress
from .samples import Samples

__all__ = ["Codec", "decode_tile", "encode_tile", "gains_by_half", "pixels_of", "walk"]


@dataclass(frozen=True)
class Codec:
    """Encoder and decoder of images.

    model: with fixed weights.
    """

    model: ImageModel

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
        streams, checksum = [], _native.LatentsChecksum()
        for tile in analysis.grid.tiles:
            threads.check()
            with known_state(), torch.inference_mode():
                symbols = search(tile) if search else analysis.latents(tile).round().contiguous()
                streams.append(encode_tile(self.model, symbols, index))
                checksum.update(_to_array(symbols))
        return streams, checksum.value()

    def decode(self, body: _native.Image) -> NDArray[np.int16]:
        """Return the latents of a file, `[C, ceil(H / 16), ceil(W / 16)]`.

        Raises CorruptError or TruncatedError.
        """
        grid = self._grid(body)
        streams = _native.split_streams(body.latents, grid.count)
        # All are decoded before memory is taken for the whole: a file can't ask for more than its bytes decode to.
        tiles, checksum = deque[NDArray[np.int16]](), _native.LatentsChecksum()
        for tile, stream in zip(grid.tiles, streams):
            tiles.append(_to_array(decode_tile(self.model, stream, body.quality, tile.size)))
            checksum.update(tiles[-1])
        checksum.verify(body.checksum)
        latents = np.empty((self.model.channels, *grid.size), np.int16)
        for tile in grid.tiles:
            latents[:, *tile] = tiles.popleft()
        return latents

    def synthesise(
        self, body: _native.Image, latents: NDArray[np.int16]
    ) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
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


def encode_tile(model: ImageModel, symbols: Tensor, index: int) -> bytes:
    """Return the stream of a tile's latents, which has been decoded and compared.

    Raises CorruptError if the decoded latents are not the encoded ones.
    """
    if passes := passes_of(model):
        stream = passes.encode(symbols, index)
    else:
        coder = StreamEncoder(calibrate=True)
        walk(model, coder, index, symbols.shape[2:], symbols)
        (stream,) = coder.finish()
    if not torch.equal(decode_tile(model, stream, index, symbols.shape[2:]), symbols):
        raise CorruptError("the decoded latents differ from the encoded ones")
    return stream


def decode_tile(model: ImageModel, stream: bytes, index: int, size: Sequence[int]) -> Tensor:
    """Return the latents of a stream, integers as floats `[1, C, h, w]`. Raises CorruptError or TruncatedError."""
    if passes := passes_of(model):
        return passes.decode(stream, index, size)
    coder = StreamDecoder([stream])
    symbols = walk(model, coder, index, size)
    coder.finish()
    return symbols


def walk(
    model: ImageModel, coder: SymbolCoder, index: int, size: Sequence[int], symbols: Tensor | None = None
) -> Tensor:
    """Call `model.walk` in the state of torch that makes encoder and decoder compute exactly the same."""
    with known_state(), torch.inference_mode():
        at = torch.tensor([index], device=model.device)
        with stage("prior"):
            return model.walk(coder, at, (size[0], size[1]), symbols)


def _to_array(symbols: Tensor) -> NDArray[np.int16]:
    return np.ascontiguousarray(symbols[0].short().cpu().numpy())
