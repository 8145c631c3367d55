"""Train an image codec: one loop, resumable, the learning curve kept beside the checkpoint."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import Device, check_choice, to_count, to_number
from ..coding.rate import NoisyMeter, RateMeter, RoundingMeter
from ..models import bls2017, msp, registry
from ..models.base import State
from ..models.bls2017 import Bls2017
from ..models.msp import Msp
from ..models.rate_points import LAST, index_of, tradeoff
from ..nn.ambient import known_state
from ..nn.checkpoint import read_weights
from ..nn.transforms import STRIDE
from .data import Photographs
from .loop import Run, check_common, follow, loaded, plot
from .widen import contains, grow

__all__ = ["MODELS", "train"]

#: Pixels on a side of a crop: small and many teach more in the same time than large and few.
CROP = 128
VALIDATION_QUALITIES = (1.0, 4.0, 8.0)
#: From this share of a run on, activations that lead to a probability are rounded as in a file.
QUANTIZED_FROM = 0.5
#: The share of a run whose rates are measured with noise; after it they are those of integers.
NOISE = 0.5
#: Crops that first weights are made of, and those that what a file depends on is measured over.
START_CROPS, COUNTED_CROPS = 192, 8000

Model = Bls2017 | Msp
MODELS = ("bls2017", *(f"msp-{profile}" for profile in msp.PROFILES))


@known_state(grad=True)
def train(
    data: str | Path,
    out: str | Path,
    minutes: float | None = None,
    *,
    model: str = "msp-balanced",
    steps: int | None = None,
    batch: int = 8,
    crop: int = CROP,
    rate: float = 4e-4,
    device: Device = None,
    limit: int | None = None,
    channels: tuple[int, int, int] | None = None,
    quality: float | None = None,
    noise: float = NOISE,
    start: str | Path | None = None,
    bf16: bool | None = None,
    seed: int | None = None,
    report_minutes: float = 5.0,
) -> float:
    """Train until the run in folder `out` has had `minutes` or `steps` in all, then export `out/MODEL.safetensors`.

    A run that was stopped goes on where its last checkpoint was, on the same learning-rate schedule; one that had
    finished is restarted warm when `minutes` or `steps` is raised.

    Args:
        data: folder of .tar shards or images.
        minutes: wall time over all calls; the learning rate falls as a cosine to zero at its end.
        model: one of `MODELS`.
        steps: the length in optimiser steps instead, for runs that are to be compared.
        batch: crops a step, each at a random quality.
        crop: pixels on their sides, a multiple of 16. It may change when a run goes on.
        rate: peak learning rate of the transforms (Adam).
        device: "cpu", "cuda" or a `torch.device`; the best there is by default.
        limit: read only so many images.
        channels: of bls2017, `models.bls2017.Config`.
        quality: train for this one alone, to see what one model for all of them costs.
        noise: share of the run whose rates are measured with uniform noise (`NoisyMeter`), which shows a transform what
            a larger latent would cost; then they are those of a file (`RoundingMeter`). 0 goes on from trained weights.
        start: exported weights, or another run's `checkpoint.pt`, that a new run begins with instead of principal
            components; of another configuration, those that fit.
        bf16: transforms in bfloat16; by default on "cuda". It halves the time on processors that have it
            (`avx512_bf16`), and takes twenty times as long on others.
        seed: of first weights and crops; two runs of equal seed see the same crops. By default every run differs.
        report_minutes: time between validations, each of which writes a checkpoint and a row of `out/curve.csv`.

    Raises:
        TypeError, ValueError, OSError: an argument that no run can have; before anything is done.

    Returns:
        What is made least, bits per pixel + lambda * mean squared error, over the root of lambda of the picture's
        quality, on the held-out photographs.
    """
    check_common(data, batch=batch, rate=rate, limit=limit, start=start)
    check_model(model, channels)
    if to_count(crop, "crop", STRIDE) % STRIDE:
        raise ValueError(f"crop must be a multiple of {STRIDE} pixels, not {crop}")
    if quality is not None:
        index_of(quality)
    if not 0 <= to_number(noise, "noise") <= 1:
        raise ValueError(f"noise must be from 0 to 1, not {noise:g}")
    device = registry.present_device(device, "training")
    bf16 = torch.device(device).type == "cuda" if bf16 is None else bf16
    run = Run(out, minutes, steps, report_minutes, device)
    photographs = Photographs(data, device, limit, crop)
    generator = torch.Generator().manual_seed(torch.seed() % 2**63 if seed is None else seed)
    if seed is not None:
        torch.manual_seed(seed + run.clock["steps"])

    def crops(count: int, source: torch.Generator = generator) -> Tensor:
        pixels = photographs.crops(count, crop, source, alter=False).permute(0, 3, 1, 2)
        return pixels.float().div(255).contiguous(memory_format=torch.channels_last)

    def counted() -> Iterator[Tensor]:
        """The crops that what a file depends on is measured over, the same in each run."""
        source = torch.Generator().manual_seed(0)
        return (crops(16, source) for _ in range(COUNTED_CROPS // 16))

    saved = run.saved
    network = made(model, channels)
    if not saved:
        first = crops(START_CROPS).cpu()
        network.init_from_pca(first)
        if start:
            take(network, start, first)
    network = network.to(device)
    torch.nn.utils.convert_conv2d_weight_memory_format(network, torch.channels_last)
    if saved:
        network.load_state_dict(saved["model"])
    average = copy.deepcopy(network).requires_grad_(False)
    groups = [{"params": parameters, "lr": factor * rate} for parameters, factor in network.parameter_groups()]
    # Gradients of norm 1 over millions of parameters: next to them the usual epsilon is not small.
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)
    peaks = [group["lr"] for group in groups]
    if saved:
        average.load_state_dict(saved["average"])
        for each in (network, average):
            if each.calibrated:
                each.enable_quantization()
        optimizer.load_state_dict(saved["optimizer"])
        if seed is not None:
            generator.set_state(saved["generator"].cpu())
    held_out = list(validation_pictures(photographs))
    qualities = VALIDATION_QUALITIES if quality is None else (quality,)

    scores: dict[float, tuple[float, float, float]] = {}
    loss_sum, loss_count = 0.0, 0
    run.resume()
    while not run.over:
        for group, peak in zip(optimizer.param_groups, peaks):
            group["lr"] = peak * run.schedule()
        if run.progress > QUANTIZED_FROM and network.quantizers and network.state is State.FLOAT:
            for each in (network, average):
                each.calibrate(counted()).enable_quantization()
            run.resume()
        index = torch.randint(LAST + 1, (batch,), generator=generator)
        index = (index if quality is None else torch.full_like(index, index_of(quality))).to(device)
        meter = NoisyMeter() if run.progress < noise else RoundingMeter()
        loss = relaxed_loss(network, crops(batch), index, meter, bf16).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss_sum, loss_count = loss_sum + float(loss.detach()), loss_count + 1
        due = run.step(batch * crop**2)
        follow(average, network, min(0.999, 1 - 1 / (run.clock["steps"] + 1)))
        if due:
            scores = {q: validate(average, held_out, q) for q in qualities}
            row = {"training_loss": round(loss_sum / loss_count, 4)}
            for q, (bpp, psnr, _) in scores.items():
                row |= {f"q{q:g}_bpp": round(bpp, 4), f"q{q:g}_psnr": round(psnr, 3)}
            run.report({**row, "loss": round(mean_loss(scores), 4)})
            loss_sum, loss_count = 0.0, 0
            run.save(
                model=network.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
            )
            plot(run.out / "curve.csv", "_psnr", "PSNR of held-out photographs, dB")
            run.resume()
    frozen = copy.deepcopy(average)
    if not frozen.calibrated:
        frozen.calibrate(counted())
    frozen.freeze().save(run.out / f"{model}.safetensors")
    return mean_loss(scores or {q: validate(average, held_out, q) for q in qualities})


def made(name: str, channels: tuple[int, int, int] | None = None) -> Model:
    """Return a model with random weights. Raises as `check_model` does."""
    check_model(name, channels)
    if name == "bls2017":
        return Bls2017(bls2017.Config(channels) if channels else bls2017.Config())
    return Msp(msp.PROFILES[name.removeprefix("msp-")])


def check_model(name: str, channels: tuple[int, int, int] | None = None) -> None:
    """Raise TypeError or ValueError if there is no model of that name, or channels are not its own."""
    check_choice(name, ["bls2017", *(f"msp-{profile}" for profile in msp.PROFILES)], "model")
    if channels and name != "bls2017":
        raise ValueError(f"channels {channels} are for bls2017, not for {name}")
    for count in channels or ():
        to_count(count, "channels", 1)


@torch.no_grad()
def take(model: Model, path: str | Path, pixels: Tensor) -> None:
    """Exported weights or those of a checkpoint, as far as they fit; ranges of activations are seen anew.

    An `Msp` that is larger in what `widen.contains` looks at begins as the one that was exported.

    pixels: crops that the densities of bls2017 begin with where they are not known.
    """
    path = Path(path)
    if path.suffix == ".safetensors" and isinstance(model, Msp):
        narrow = Msp.load(path, trainable=True)
        if contains(model.config, narrow.config):
            grow(model, narrow)
        known = narrow.state_dict()
    elif path.suffix == ".safetensors":
        _, known = read_weights(path)
    else:
        known = loaded(path, "cpu")["average"]
    state = model.state_dict()
    fitting = {n: v.to(state[n].dtype) for n, v in known.items() if n in state and v.shape == state[n].shape}
    model.load_state_dict(state | {n: v for n, v in fitting.items() if not n.endswith((".limit", ".step"))})
    if isinstance(model, Bls2017) and not any(name.startswith("density") for name in known):
        model.density.init_from(model.g_a(pixels - 0.5))


def mean_loss(scores: dict[float, tuple[float, float, float]]) -> float:
    """Over the qualities."""
    return sum(loss for _, _, loss in scores.values()) / len(scores)


def relaxed_loss(model: Model, pixels: Tensor, index: Tensor, meter: RateMeter, bf16: bool) -> Tensor:
    """`[B]` of bits per pixel + lambda * distortion, over the root of lambda: no quality drowns the others."""
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
    """Held-out photographs, `[1, 3, H, W]` from 0 to 1, sides of multiples of 16."""
    for image in (photographs.validation or photographs.training)[:count]:
        height, width = (n // STRIDE * STRIDE for n in image.shape[:2])
        yield image[:height, :width].permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def validate(model: Model, pictures: list[Tensor], quality: float) -> tuple[float, float, float]:
    """Means over pictures of bits per pixel, of PSNR in dB, and of the loss over the root of lambda; as in a file."""
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
