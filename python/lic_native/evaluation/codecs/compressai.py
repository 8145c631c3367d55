"""CompressAI's models with random weights, for their time alone: their rate means nothing. Needs torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...observe import count, stage
from ..engine import Codec
from ..images import noise

__all__ = ["MODELS", "SPREAD", "STRIDE", "Coded", "RandomModel", "latency_codec", "spread"]

#: Names of models in CompressAI's zoo, and the quality that sets their size.
MODELS, QUALITY = ("mbt2018_mean", "cheng2020_anchor"), 4
#: Images are padded to multiples of this number of pixels.
STRIDE = 64
#: Standard deviation of the latents, which then take about one bit each.
SPREAD = 0.5


def latency_codec(name: str, device: str) -> Codec[NDArray[np.uint8]]:
    """Return a model as a codec of RGB samples, uint8 `[H, W, 3]`. Raises ImportError if CompressAI is missing."""
    model = RandomModel(name, device)
    return Codec(
        name,
        model.encode,
        model.decode,
        about=f"CompressAI {version('compressai')}, quality {QUALITY}, random weights",
        slow=model.serial,
        verify=model.verify,
    )


@dataclass(frozen=True)
class Coded:
    """An encoded image.

    height, width: of the image, in pixels.
    strings, shape: as returned by the model's `compress`.
    """

    height: int
    width: int
    strings: list[list[bytes]]
    shape: Any

    def __len__(self) -> int:
        return sum(len(string) for strings in self.strings for string in strings)


class RandomModel:
    """A model whose methods are marked as stages.

    The stages "walk" and "step" only count traversals of the latents, and calls of the entropy coder.

    serial: true if the model codes position after position.
    latents: of the last call of `encode`, and those that came back in the last call of `decode`.
    """

    def __init__(self, name: str, device: str) -> None:
        self.name, self._device = name, device
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zoo = import_module("compressai.zoo")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self._model = net = getattr(zoo, name)(QUALITY, pretrained=False).eval()
        samples = torch.from_numpy(noise(256, 256)).permute(2, 0, 1)[None] / 255
        spread(net, samples, SPREAD)
        net.update(force=True)
        net.to(device)
        self.serial = hasattr(net, "context_prediction")
        self.latents: list[Tensor] = []
        net.g_a.register_forward_hook(lambda _, __, y: self.latents.append(y))
        net.g_s.register_forward_pre_hook(lambda _, inputs: self.latents.append(inputs[0]))
        bottleneck, conditional = net.entropy_bottleneck, net.gaussian_conditional
        _mark(net.g_a, "forward", "analysis")
        _mark(net.h_a, "forward", "prior")
        _mark(net.h_s, "forward", "prior")
        _mark(bottleneck, "compress", "coder")
        _mark(bottleneck, "decompress", "coder", "step")
        _mark(conditional, "build_indexes", "coder", "step")
        _mark(net.g_s, "forward", "synthesis")
        if self.serial:
            _mark(net.entropy_parameters, "forward", "prior")
        for direction in ("compress", "decompress"):
            owner, method = (net, f"_{direction}_ar") if self.serial else (conditional, direction)
            _mark(owner, method, "coder", "walk")

    @torch.inference_mode()
    def encode(self, samples: NDArray[np.uint8]) -> Coded:
        self.latents.clear()
        height, width, _ = samples.shape
        missing = ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0))
        padded: NDArray[np.uint8] = np.pad(samples, missing, "edge")
        x = torch.from_numpy(padded).to(self._device).permute(2, 0, 1)[None].float() / 255
        coded = self._model.compress(x)
        return Coded(height, width, coded["strings"], coded["shape"])

    @torch.inference_mode()
    def decode(self, coded: Coded) -> NDArray[np.uint8]:
        x = self._model.decompress(coded.strings, coded.shape)["x_hat"][0, :, : coded.height, : coded.width]
        samples: NDArray[np.uint8] = (255 * x).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return samples

    def verify(self) -> None:
        """Raise ValueError unless the latents that were decoded last are those that were encoded last."""
        y, y_hat = self.latents
        if y.shape != y_hat.shape or (y - y_hat).abs().max() > 0.501:
            raise ValueError(f"{self.name}: the latents don't come back as they were encoded")


def _mark(owner: Any, method: str, name: str, counted: str | None = None) -> None:
    """Mark the method of an object as a stage, and count its calls as those of another one."""
    work = getattr(owner, method)

    def marked(*args: Any, **options: Any) -> Any:
        with stage(name):
            if counted:
                count(counted)
            return work(*args, **options)

    setattr(owner, method, marked)


@torch.no_grad()
def spread(net: Any, pixels: Tensor, size: float) -> None:
    """Change random weights so that latents, and the scales of their distributions, are about this size.

    With weights as initialised, all latents are zero and all scales as small as possible: the bit stream is empty.
    """
    net.g_a[-1].weight *= size / net.g_a(pixels).std()
    last = getattr(net, "entropy_parameters", net.h_s)[-1]
    # Scales come before means.
    last.bias[: last.out_channels // 2] += size
