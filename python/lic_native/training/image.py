"""Train an image codec: one loop, resumable, the learning curve kept beside the checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..coder import RateMeter
from ..models.bls2017 import STRIDE, Bls2017, Config, Relaxed, tradeoff
from ..models.quality import QUALITIES
from .photographs import Photographs
from .run import Run, follow, plot

#: Pixels on a side of a crop: small and many teach more in the same time than large and few.
CROP = 128
DEFAULT = Config()
VALIDATION_QUALITIES = (1.0, 4.0, 8.0)
#: Peak learning rates of the densities and of the gains, in those of the transforms: few numbers that far to go.
DENSITY_RATE, GAIN_RATE = 20.0, 6.0
#: Crops that first weights are made of, and those whose latents are counted for the tables.
START_CROPS, COUNTED_CROPS = 192, 8000


def train(
    data: str | Path,
    out: str | Path,
    minutes: float | None = None,
    *,
    steps: int | None = None,
    batch: int = 8,
    rate: float = 4e-4,
    device: str | None = None,
    limit: int | None = None,
    config: Config = DEFAULT,
    quality: float | None = None,
    start: str | Path | None = None,
    bf16: bool | None = None,
    seed: int | None = None,
    report_minutes: float = 5.0,
) -> float:
    """Train until the run in folder `out` has had `minutes` or `steps` in all, then export `out/bls2017.safetensors`.

    A run that was stopped goes on where its last checkpoint was, on the same learning-rate schedule; one that had
    finished is restarted warm when `minutes` or `steps` is raised.

    Args:
        data: folder of .tar shards or images.
        minutes: wall time over all calls; the learning rate falls as a cosine to zero at its end.
        steps: the same in optimiser steps, for runs that are to be compared.
        batch: crops of 128x128 a step, each at a random quality.
        rate: peak learning rate of the transforms (Adam).
        device: "cpu" or "cuda"; the best there is by default.
        limit: read only so many images.
        config: widths of a new run's network.
        quality: train for this one alone, to see what one model for all of them costs.
        start: exported weights, or another run's `checkpoint.pt`, that a new run begins with instead of principal
            components.
        bf16: products in bfloat16; by default on "cuda". On processors that have them it halves the time.
        seed: of first weights and crops; two runs of equal seed see the same crops. By default every run differs.
        report_minutes: time between validations, each of which writes a checkpoint and a row of `out/curve.csv`.

    Returns:
        What is made least, bits per pixel + lambda * mean squared error, over its value for the picture's quality, on
        the held-out photographs.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = device == "cuda" if bf16 is None else bf16
    run = Run(out, minutes, steps, report_minutes, device)
    photographs = Photographs(data, device, limit, CROP)
    generator = torch.Generator().manual_seed(torch.seed() % 2**63 if seed is None else seed)
    if seed is not None:
        torch.manual_seed(seed)

    def crops(count: int) -> Tensor:
        pixels = photographs.crops(count, CROP, generator, alter=False).permute(0, 3, 1, 2)
        return pixels.float().div(255).contiguous(memory_format=torch.channels_last)

    saved = run.saved
    if not saved and start and Path(start).suffix == ".safetensors":
        model = Bls2017.trainable(start, crops(START_CROPS)).to(device)
    else:
        model = Bls2017(Config(**saved["config"]) if saved else config).to(device)
    torch.nn.utils.convert_conv2d_weight_memory_format(model, torch.channels_last)
    if saved:
        model.load_state_dict(saved["model"])
    elif start and Path(start).suffix != ".safetensors":
        model.load_state_dict(torch.load(start, map_location=device, weights_only=True)["average"])
    elif not start:
        model.start(crops(START_CROPS))
    average = copy.deepcopy(model).requires_grad_(False)
    gains = [model.log_gain, model.log_inverse]
    groups = [
        {"params": [*model.analysis.parameters(), *model.synthesis.parameters()], "lr": rate},
        {"params": list(model.density.parameters()), "lr": DENSITY_RATE * rate},
        {"params": gains, "lr": GAIN_RATE * rate},
    ]
    # Gradients of norm 1 over millions of parameters: next to them the usual epsilon is not small.
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)
    peaks = [group["lr"] for group in groups]
    if saved:
        average.load_state_dict(saved["average"])
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
        wanted = 1 + (QUALITIES - 1) * torch.rand(batch, generator=generator)
        wanted = (wanted if quality is None else torch.full_like(wanted, quality)).to(device)
        loss = relaxed_loss(model, crops(batch), wanted, bf16).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss_sum, loss_count = loss_sum + float(loss.detach()), loss_count + 1
        due = run.step(batch * CROP**2)
        follow(average, model, min(0.999, 1 - 1 / (run.clock["steps"] + 1)))
        if due:
            scores = {q: validate(average, held_out, q) for q in qualities}
            row = {"training_loss": round(loss_sum / loss_count, 4)}
            for q, (bpp, psnr, _) in scores.items():
                row |= {f"q{q:g}_bpp": round(bpp, 4), f"q{q:g}_psnr": round(psnr, 3)}
            run.report({**row, "loss": round(mean_loss(scores), 4)})
            loss_sum, loss_count = 0.0, 0
            run.save(
                model=model.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
                config=vars(model.config),
            )
            plot(run.out / "curve.csv", "_psnr", "PSNR of held-out photographs, dB")
            run.resume()
    export(average, photographs, run.out / "bls2017.safetensors")
    return mean_loss(scores or {q: validate(average, held_out, q) for q in qualities})


def mean_loss(scores: dict[float, tuple[float, float, float]]) -> float:
    """Over the qualities."""
    return sum(loss for _, _, loss in scores.values()) / len(scores)


def relaxed_loss(model: Bls2017, pixels: Tensor, quality: Tensor, bf16: bool) -> Tensor:
    """`[B]` of eq. 9, bits per pixel + lambda * distortion, over the root of lambda: no quality drowns the others.

    Noise stands for rounding where rates are measured. What is decoded has been rounded, straight through (Minnen and
    Singh 2020, arXiv 2007.08739): noise instead, as in eq. 9, teaches the decoder to damp what it can trust.
    """
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
        y = model.encode(pixels)
        gain, inverse = model.gains(quality)
        scaled = y * gain
        noisy = scaled + torch.rand_like(scaled) - 0.5
        rounded = scaled + (scaled.round() - scaled).detach()
        decoded = model.decode(rounded * inverse)
    meter = RateMeter()
    model.walk(meter, Relaxed(model.density, gain, y.shape, y.device), noisy)
    bpp = meter.bits() / pixels[0, 0].numel()
    error = (255 * (decoded - pixels)).square().mean((1, 2, 3))
    weight = tradeoff(quality)
    return (bpp + weight * error) / weight.sqrt()


def validation_pictures(photographs: Photographs, count: int = 32) -> Iterator[Tensor]:
    """Held-out photographs, `[1, 3, H, W]` from 0 to 1, sides of multiples of 16."""
    for image in (photographs.validation or photographs.training)[:count]:
        height, width = (n // STRIDE * STRIDE for n in image.shape[:2])
        yield image[:height, :width].permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def validate(model: Bls2017, pictures: list[Tensor], quality: float) -> tuple[float, float, float]:
    """Means over pictures of bits per pixel, of PSNR in dB, and of the loss over the root of lambda; as in a file."""
    at = torch.tensor([quality], device=model.device)
    gain, inverse = model.gains(at)
    results = []
    for pixels in pictures:
        y = (model.encode(pixels) * gain).round()
        meter = RateMeter()
        model.walk(meter, Relaxed(model.density, gain, y.shape, y.device), y)
        bpp = float(meter.bits()) / pixels[0, 0].numel()
        decoded = (255 * model.decode(y * inverse)).round().clamp(0, 255)
        error = F.mse_loss(decoded, 255 * pixels)
        weight = tradeoff(at)
        loss = (bpp + weight * error) / weight.sqrt()
        results.append((bpp, float(10 * torch.log10(255**2 / error)), float(loss)))
    bpps, psnrs, losses = zip(*results)
    n = len(results)
    return sum(bpps) / n, sum(psnrs) / n, sum(losses) / n


@torch.no_grad()
def export(model: Bls2017, photographs: Photographs, path: Path) -> None:
    """The codec that files refer to, its tables counted over crops that are the same in each run."""
    generator = torch.Generator().manual_seed(0)
    latents = []
    for _ in range(COUNTED_CROPS // 16):
        pixels = photographs.crops(16, CROP, generator, alter=False).permute(0, 3, 1, 2).float() / 255
        latents.append(model.encode(pixels).cpu())
    copy.deepcopy(model).cpu().fix(latents).save(path)
