"""The task of training a codec for images."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import check_choice, to_count, to_number
from ..coding.rate import NoisyMeter, RateMeter, RoundingMeter
from ..models import bls2017, msp
from ..models.base import State
from ..models.bls2017 import Bls2017
from ..models.msp import Msp
from ..models.rate_points import LAST, index_of, tradeoff
from ..nn.checkpoint import read_weights
from ..nn.transforms import STRIDE
from .data import Photographs
from .loop import Crops, Task, read_checkpoint
from .widen import contains, widen

__all__ = ["ImageTask", "build", "configuration", "load_initial", "relaxed_loss"]

VALIDATION_QUALITIES = (1.0, 4.0, 8.0)
#: Share of a run after which activations that lead to a probability are rounded as in a file.
QUANTIZED_FROM = 0.5
#: Crops that first weights are computed from, and those that the ranges of an export are measured over.
START_CROPS, COUNTED_CROPS = 192, 8000

Model = Bls2017 | Msp
Config = bls2017.Config | msp.Config


class ImageTask(Task[Model]):
    """Bits per pixel + lambda * mean squared error of crops, each at a random quality.

    Crops are small: more of them teach more in the same time than fewer large ones.

    Raises:
        TypeError, ValueError: there is no such model, quality or noise, or the channels are not the model's.
    """

    crop, crop_multiple, rate = 128, STRIDE, 4e-4
    loss_name, plotted = "loss", ("_psnr", "PSNR of held-out photographs, dB")

    def __init__(self, model: str, channels: tuple[int, int, int] | None, quality: float | None, noise: float) -> None:
        if not 0 <= to_number(noise, "noise") <= 1:
            raise ValueError(f"noise must be from 0 to 1, not {noise:g}")
        self.name, self._noise = model, noise
        self._config = configuration(model, channels)
        self._index = None if quality is None else index_of(quality)
        self._qualities = VALIDATION_QUALITIES if quality is None else (quality,)

    def prepare(self, crops: Crops) -> None:
        self._crops = crops
        self._held_out = list(validation_pictures(crops.photographs))

    def build(self, crops: Crops, start: Path | str | None) -> Model:
        model = build(self._config)
        first = _pixels(crops.draw(START_CROPS, alter=False)).cpu()
        model.init_from_pca(first)
        if start:
            load_initial(model, start, first)
        return model.to(memory_format=torch.channels_last)

    def restore(self, saved: dict[str, Any]) -> tuple[Model, Model]:
        model, average = (build(type(self._config)(**saved["config"])) for _ in range(2))
        for restored, name in ((model, "model"), (average, "average")):
            restored.load_state_dict(saved[name])
            if restored.calibrated:
                restored.enable_quantization()
            restored.to(memory_format=torch.channels_last)
        return model, average

    def optimizer(self, model: Model, rate: float) -> torch.optim.Optimizer:
        groups = [{"params": parameters, "lr": factor * rate} for parameters, factor in model.parameter_groups()]
        # Gradients of norm 1 over millions of parameters: the usual epsilon is not small next to them.
        return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)

    def advance(self, progress: float, models: tuple[Model, Model]) -> bool:
        if progress <= QUANTIZED_FROM or models[0].state is not State.FLOAT or not models[0].quantizers:
            return False
        for model in models:
            model.calibrate(self._counted()).enable_quantization()
        return True

    def _counted(self) -> Iterator[Tensor]:
        """Yield the crops that the ranges of an export are measured over, the same in each run."""
        generator = torch.Generator().manual_seed(0)
        return (_pixels(self._crops.draw(16, generator, alter=False)) for _ in range(COUNTED_CROPS // 16))

    def loss(self, model: Model, crops: Crops, progress: float, bf16: bool) -> tuple[Tensor, float]:
        index = torch.randint(LAST + 1, (crops.batch,), generator=crops.generator)
        index = (index if self._index is None else torch.full_like(index, self._index)).to(model.device)
        meter = NoisyMeter() if progress < self._noise else RoundingMeter()
        loss = relaxed_loss(model, _pixels(crops.draw(alter=False)), index, meter, bf16).mean()
        return loss, float(loss.detach())

    def validate(self, model: Model) -> tuple[float, dict[str, float]]:
        row: dict[str, float] = {}
        losses = []
        for quality in self._qualities:
            bpp, psnr, loss = validate(model, self._held_out, quality)
            row |= {f"q{quality:g}_bpp": round(bpp, 4), f"q{quality:g}_psnr": round(psnr, 3)}
            losses.append(loss)
        mean = sum(losses) / len(losses)
        return mean, {**row, "loss": round(mean, 4)}

    def export(self, model: Model, path: Path) -> None:
        frozen = copy.deepcopy(model)
        if not frozen.calibrated:
            frozen.calibrate(self._counted())
        frozen.freeze().save(path)


def configuration(name: str, channels: tuple[int, int, int] | None = None) -> Config:
    """Return the configuration of a model; `channels` are for bls2017.

    Raises:
        TypeError, ValueError: there is no model of that name, or it has no such channels.
    """
    check_choice(name, ["bls2017", *(f"msp-{profile}" for profile in msp.PROFILES)], "model")
    if channels and name != "bls2017":
        raise ValueError(f"channels {channels} are for bls2017, not for {name}")
    for count in channels or ():
        to_count(count, "channels", 1)
    if name == "bls2017":
        return bls2017.Config(channels) if channels else bls2017.Config()
    return msp.PROFILES[name.removeprefix("msp-")]


def build(config: Config) -> Model:
    """Return a model with random weights."""
    return Bls2017(config) if isinstance(config, bls2017.Config) else Msp(config)


def _pixels(crops: Tensor) -> Tensor:
    """Return uint8 `[B, H, W, 3]` as floats from 0 to 1, `[B, 3, H, W]`."""
    return crops.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def load_initial(model: Model, path: str | Path, pixels: Tensor) -> None:
    """Load exported weights or a checkpoint's average into `model`, as far as they fit; ranges are observed anew.

    An `Msp` of a larger configuration (`widen.contains`) begins as the function that was exported.

    Args:
        model: a model with random weights.
        path: a .weights file or a `checkpoint.pt`.
        pixels: crops from which the densities of bls2017 begin where the file has none.
    """
    path = Path(path)
    if path.suffix == ".weights" and isinstance(model, Msp):
        narrow = Msp.load(path, trainable=True)
        if contains(model.config, narrow.config):
            widen(model, narrow)
        known = narrow.state_dict()
    elif path.suffix == ".weights":
        _, known = read_weights(path)
    else:
        known = read_checkpoint(path, "cpu")["average"]
    state = model.state_dict()
    fitting = {n: v.to(state[n].dtype) for n, v in known.items() if n in state and v.shape == state[n].shape}
    model.load_state_dict(state | {n: v for n, v in fitting.items() if not n.endswith((".limit", ".step"))})
    if isinstance(model, Bls2017) and not any(name.startswith("density") for name in known):
        model.density.init_from(model.g_a(pixels - 0.5))


def relaxed_loss(model: Model, pixels: Tensor, index: Tensor, meter: RateMeter, bf16: bool) -> Tensor:
    """Return `[B]` bits per pixel + lambda * distortion, over the root of lambda: no quality drowns the others."""
    half = partial(torch.autocast, pixels.device.type, torch.bfloat16, enabled=bf16)
    with half():
        y = model.encode(pixels, index)
    coded = model.walk(meter, index, y.shape[2:], y)
    with half():
        decoded = model.decode(coded, index)
    bpp = meter.bits() / pixels[0, 0].numel()
    error = (255 * (decoded - pixels)).square().mean((1, 2, 3))
    weight = tradeoff(index)
    return (bpp + weight * error) / weight.sqrt()


def validation_pictures(photographs: Photographs, count: int = 32) -> Iterator[Tensor]:
    """Yield held-out photographs, `[1, 3, H, W]` from 0 to 1, with sides that are multiples of 16."""
    for image in (photographs.validation or photographs.training)[:count]:
        height, width = (n // STRIDE * STRIDE for n in image.shape[:2])
        yield image[:height, :width].permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def validate(model: Model, pictures: list[Tensor], quality: float) -> tuple[float, float, float]:
    """Return means over pictures of bits per pixel, PSNR in dB, and the loss over the root of lambda, as in a file."""
    index = torch.tensor([index_of(quality)], device=model.device)
    results = []
    for pixels in pictures:
        y = model.encode(pixels, index).round()
        meter = RateMeter()
        model.walk(meter, index, y.shape[2:], y)
        bpp = float(meter.bits()) / pixels[0, 0].numel()
        decoded = (255 * model.decode(y, index)).round().clamp(0, 255)
        error = F.mse_loss(decoded, 255 * pixels)
        weight = tradeoff(float(index))
        loss = (bpp + weight * float(error)) / math.sqrt(weight)
        results.append((bpp, float(10 * torch.log10(255**2 / error)), loss))
    bpps, psnrs, losses = zip(*results)
    n = len(results)
    return sum(bpps) / n, sum(psnrs) / n, sum(losses) / n
