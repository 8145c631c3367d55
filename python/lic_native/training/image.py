"""The task of training a codec for images."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import check_choice, to_count, to_number
from ..coding.rate import NoisyMeter, RateMeter, RoundingMeter
from ..models import bls2017, msp, registry
from ..models.base import State
from ..models.bls2017 import Bls2017
from ..models.msp import Msp
from ..models.rate_points import LAST, index_of, tradeoff
from ..nn.transforms import STRIDE, Block
from . import parts
from .data import CROP_DRAWS, Draws, Photographs
from .task import Groups, Task
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

    Args:
        name: of the model, as in files.
        config: of a new run's model.
        quality: the only one that is trained for, or None.
        noise: share of the run with rates of `NoisyMeter`.

    Raises:
        TypeError, ValueError: there is no such quality or noise.
    """

    crop, crop_multiple, rate = 128, STRIDE, 4e-4
    loss_name, plotted = "loss", ("_psnr", "PSNR of held-out photographs, dB")
    # Gradients of norm 1 over millions of parameters: the usual epsilon is not small next to them.
    ADAM: ClassVar[dict[str, Any]] = {"betas": (0.9, 0.99), "eps": 1e-12, "weight_decay": 0.0}
    BLOCKS = (Block,)

    def __init__(self, name: str, config: Config, quality: float | None = None, noise: float = 0.5) -> None:
        if not 0 <= to_number(noise, "noise") <= 1:
            raise ValueError(f"noise must be from 0 to 1, not {noise:g}")
        self.name, self._config, self._noise = name, config, noise
        self._index = None if quality is None else index_of(quality)
        self._qualities = VALIDATION_QUALITIES if quality is None else (quality,)
        self._meter: type[RateMeter] = NoisyMeter

    def prepare(self, photographs: Photographs, batch: int, size: int) -> None:
        super().prepare(photographs, batch, size)
        self._held_out = list(validation_pictures(photographs))

    def build(self, start: Path | str | None, generator: torch.Generator) -> Model:
        model = build(self._config)
        first = self._pixels(self.draws(generator.device, START_CROPS).refill(generator)).cpu()
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

    def groups(self, model: Model) -> Groups:
        return list(model.parameter_groups())

    def advance(self, progress: float, models: tuple[Model, Model]) -> bool:
        meter = NoisyMeter if progress < self._noise else RoundingMeter
        changed, self._meter = meter is not self._meter, meter
        if progress <= QUANTIZED_FROM or models[0].state is not State.FLOAT or not models[0].quantizers:
            return changed
        for model in models:
            model.calibrate(self._counted()).enable_quantization()
        return True

    def _counted(self) -> Iterator[Tensor]:
        """Yield the crops that the ranges of an export are measured over, the same in each run."""
        generator, device = torch.Generator().manual_seed(0), self.photographs.device
        return (self._pixels(self.draws("cpu", 16).refill(generator).to(device)) for _ in range(COUNTED_CROPS // 16))

    def kind(self, choice: torch.Generator) -> type[RateMeter]:
        return self._meter

    def draws(self, device: torch.device | str, count: int | None = None) -> Draws:
        return Draws.zeros(count or self.batch_size, CROP_DRAWS + 1, device=device)

    def _pixels(self, draws: Draws) -> Tensor:
        """Return crops as floats from 0 to 1, `[B, 3, H, W]`."""
        crops = self.photographs.crops(draws, self.size).permute(0, 3, 1, 2)
        return crops.float().div(255).contiguous(memory_format=torch.channels_last)

    def batch(self, kind: Any, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return pixels and the indices of their qualities: one from each of as many ranges as there are crops."""
        at = draws.uniform[:, CROP_DRAWS]
        if self._index is not None:
            return self._pixels(draws), torch.full_like(at, self._index, dtype=torch.long)
        share = (torch.arange(len(at), device=at.device) + at) / len(at)
        return self._pixels(draws), (share * (LAST + 1)).long().clamp(max=LAST)

    def loss(self, model: Model, kind: Any, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        loss = relaxed_loss(model, *batch, self._meter()).mean()
        return loss, loss.detach()

    def validate(self, model: Model) -> tuple[float, dict[str, float]]:
        row: dict[str, float] = {}
        losses = []
        for quality in self._qualities:
            bpp, psnr, loss = validate(model, self._held_out, quality)
            row |= {f"q{quality:g}_bpp": round(bpp, 4), f"q{quality:g}_psnr": round(psnr, 3)}
            losses.append(loss)
        mean = sum(losses) / len(losses)
        return mean, {**row, "loss": round(mean, 4)}

    def exact(self, model: Model) -> Model:
        frozen = copy.deepcopy(model)
        if not frozen.calibrated:
            frozen.calibrate(self._counted())
        return frozen.freeze()


def configuration(profile: str, channels: tuple[int, int, int] | None = None) -> tuple[str, Config]:
    """Return the name and the configuration of the model of a profile; `channels` are for bls2017.

    Raises:
        TypeError, ValueError: there is no such profile, or it has no such channels.
    """
    names: dict[str, str] = {"tiny": "msp-tiny"} | dict(registry.IMAGE_PROFILES.items())
    check_choice(profile, names, "profile")
    if channels and profile != "bls2017":
        raise ValueError(f"channels {channels} are for bls2017, not for {profile}")
    for count in channels or ():
        to_count(count, "channels", 1)
    if profile == "bls2017":
        return names[profile], bls2017.Config(channels) if channels else bls2017.Config()
    return names[profile], msp.PROFILES[profile]


def build(config: Config) -> Model:
    """Return a model with random weights."""
    return Bls2017(config) if isinstance(config, bls2017.Config) else Msp(config)


@torch.no_grad()
def load_initial(model: Model, path: str | Path, pixels: Tensor) -> None:
    """Load exported weights or a run's average into `model`, as far as they fit; ranges are observed anew.

    An `Msp` of a larger configuration (`widen.contains`) begins as the function that was exported.

    Args:
        model: a model with random weights.
        path: exported weights, a `checkpoint.pt`, or a folder of `average-*.pt`.
        pixels: crops from which the densities of bls2017 begin where the file has none.

    Raises:
        ValueError: none of the weights fits.
    """
    path = Path(path)
    if path.suffix == ".pt":
        known = parts.read_checkpoint(path, "cpu")["average"]
    else:
        narrow = parts.load(path)[1] if path.is_dir() else type(model).load(path, trainable=True)
        if isinstance(model, Msp) and isinstance(narrow, Msp) and contains(model.config, narrow.config):
            widen(model, narrow)
        known = narrow.state_dict()
    learned = path.is_dir() or path.suffix == ".pt"
    state = model.state_dict()
    fitting = {n: v.to(state[n].dtype) for n, v in known.items() if n in state and v.shape == state[n].shape}
    if not fitting:
        raise ValueError(f"{path} has no weights that fit a model of {model.config}")
    model.load_state_dict(state | {n: v for n, v in fitting.items() if not n.endswith((".limit", ".step"))})
    # An export of bls2017 has tables in place of the density.
    if isinstance(model, Bls2017) and not learned:
        model.density.init_from(model.g_a(pixels - 0.5))


def relaxed_loss(model: Model, pixels: Tensor, index: Tensor, meter: RateMeter) -> Tensor:
    """Return `[B]` bits per pixel + lambda * distortion, over the root of lambda: no quality drowns the others."""
    y = model.encode(pixels, index)
    coded = model.walk(meter, index, y.shape[2:], y)
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
