"""Train the JPEG coefficient model: one loop, resumable, the learning curve kept beside the checkpoint."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..arguments import Device, check_choice, to_count
from ..coding.rate import RateMeter
from ..models import registry
from ..models.mlcc import PROFILES, Config, Mlcc
from ..models.sampling import Picture, Shape
from ..nn.ambient import known_state
from .data import Photographs, annex_k, quantised, random_tables
from .loop import Run, check_common, follow, plot
from .widen import grown

__all__ = ["train"]

#: How often each sampling is trained on; a batch has one.
SAMPLING_SHARES = {"4:2:0": 0.62, "4:2:2": 0.15, "4:4:4": 0.14, "gray": 0.09}
CROP = 256
VALIDATION_QUALITIES = (75, 95)


@known_state(grad=True)
def train(
    data: str | Path,
    out: str | Path,
    minutes: float | None = None,
    *,
    steps: int | None = None,
    batch: int = 8,
    rate: float = 2e-3,
    device: Device = None,
    limit: int | None = None,
    profile: str = "fast",
    hyper: int = 0,
    start: str | Path | None = None,
    bf16: bool | None = None,
    seed: int | None = None,
    report_minutes: float = 5.0,
) -> float:
    """Train until the run in folder `out` has had `minutes` or `steps` in all, then export `out/mlcc.safetensors`.

    A run that was stopped goes on where its last checkpoint was, on the same learning-rate schedule; one that had
    finished is restarted warm when `minutes` or `steps` is raised.

    Args:
        data: folder of .tar shards or images.
        minutes: wall time over all calls; the learning rate falls as a cosine to zero at its end.
        steps: the same in optimiser steps, for runs that are to be compared.
        batch: crops of 256x256 a step.
        rate: peak learning rate (AdamW).
        device: "cpu", "cuda" or a `torch.device`; the best there is by default.
        limit: read only so many images.
        profile: widths of a new run's network, a key of `models.mlcc.PROFILES`.
        hyper: channels of side information of a new run's network (`models/hyperprior.py`).
        start: exported weights of that profile or a narrower one, with which a new run begins instead of random ones.
        bf16: matrix products in bfloat16; by default on "cuda". On processors that have them (AVX-512 BF16) it saves a
            fifth to a half of the time.
        seed: of first weights and crops; two runs of equal seed see the same crops. By default every run differs.
        report_minutes: time between validations, each of which writes a checkpoint and a row of `out/curve.csv`.

    Raises:
        TypeError, ValueError, OSError: an argument that no run can have; before anything is done.

    Returns:
        The saving in percent on the held-out photographs, 4:2:0 at quality 75.
    """
    check_common(data, batch=batch, rate=rate, limit=limit, start=start)
    check_choice(profile, PROFILES, "profile")
    to_count(hyper, "hyper")
    device = registry.present_device(device, "training")
    kind = torch.device(device).type
    bf16 = kind == "cuda" if bf16 is None else bf16
    run = Run(out, minutes, steps, report_minutes, device)
    photographs = Photographs(data, device, limit, CROP)
    generator = torch.Generator().manual_seed(torch.seed() % 2**63 if seed is None else seed)
    if seed is not None:
        torch.manual_seed(seed)
    saved = run.saved
    if saved:
        model = Mlcc(Config(**saved["config"]), saved["model"]["sigma"])
    elif start:
        model = grown(Mlcc.load(start, trainable=True), replace(PROFILES[profile], z_channels=hyper))
    else:
        model = Mlcc(replace(PROFILES[profile], z_channels=hyper), measure_sigma(photographs, generator))
    model = model.to(device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)
    if saved:
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        if seed is not None and "generator" in saved:
            generator.set_state(saved["generator"].cpu())

    examples = {quality: validation_examples(photographs, quality) for quality in VALIDATION_QUALITIES}
    calibration = calibration_pictures(photographs)
    names, shares = list(SAMPLING_SHARES), torch.tensor(list(SAMPLING_SHARES.values()))
    scores: dict[int, Score] = {}
    loss_sum, loss_count = 0.0, 0
    run.resume()
    while not run.over:
        for group in optimizer.param_groups:
            group["lr"] = rate * run.schedule()
        sampling = names[int(torch.multinomial(shares, 1, generator=generator))]
        tables = random_tables(batch, generator).to(device)
        with torch.no_grad():
            shape, picture = quantised(photographs.crops(batch, CROP, generator), sampling, tables)
        meter = RateMeter()
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            model.walk(meter, shape, tables, picture)
        bpp = meter.bits() / CROP**2
        # Between bits and relative bits: fine tables cost ten times coarse ones, and a file of either is a file.
        loss = (bpp / (bpp.detach() + 0.2).sqrt()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        due = run.step(batch * CROP**2)
        follow(average, model, min(0.999, 1 - 1 / (run.clock["steps"] + 1)))
        loss_sum, loss_count = loss_sum + float(bpp.detach().mean()), loss_count + 1
        if due:
            scores = {quality: validate(average, some) for quality, some in examples.items()}
            run.report({"training_bpp": round(loss_sum / loss_count, 4), **columns(scores)})
            plot(run.out / "curve.csv", "_saving_percent", "saving on held-out photographs, percent")
            loss_sum, loss_count = 0.0, 0
            run.save(
                model=model.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                generator=generator.get_state(),
                config=asdict(model.config),
            )
            export(average, calibration, run.out / "mlcc.safetensors")
            run.resume()
    scores = scores or {quality: validate(average, some) for quality, some in examples.items()}
    exact = Mlcc.load(run.out / "mlcc.safetensors", device)
    pairs = {q: [round(s.saving, 3), round(validate(exact, examples[q]).saving, 3)] for q, s in scores.items()}
    print(json.dumps({"saving_percent_of_floats_and_of_the_exact_network": pairs}), flush=True)
    return scores[75].saving


def measure_sigma(photographs: Photographs, generator: torch.Generator) -> Tensor:
    """`[2, 64]` RMS of the dequantised coefficients of luma and of 4:2:0 chroma."""
    tables = annex_k(torch.full((64,), 90.0)).to(photographs.device)
    _, picture = quantised(photographs.crops(64, CROP, generator), "4:2:0", tables)
    luma = (picture.luma * tables[:, 0, None, None]).square().mean((0, 1, 2))
    chroma = torch.stack(picture.chroma) * tables[None, :, 1, None, None]
    return torch.stack([luma, chroma.square().mean((0, 1, 2, 3))]).sqrt().clamp_min(0.5)


def calibration_pictures(photographs: Photographs) -> list[tuple[Shape, Tensor, Picture]]:
    """Pictures of every sampling that show the ranges of a network's activations; the same in each run."""
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for sampling in SAMPLING_SHARES:
        for _ in range(4):
            tables = random_tables(16, generator).to(photographs.device)
            with torch.no_grad():
                shape, picture = quantised(photographs.crops(16, CROP, generator), sampling, tables)
            pictures.append((shape, tables, picture))
    return pictures


class Example(NamedTuple):
    """A held-out photograph as the coefficients of a JPEG file, and that file's size."""

    shape: Shape
    tables: Tensor
    picture: Picture
    jpeg_bytes: int
    pixels: int


def validation_examples(photographs: Photographs, quality: int, count: int = 64) -> list[Example]:
    """Held-out photographs in 4:2:0 at a quality."""
    examples = []
    tables = annex_k(torch.full((1,), float(quality))).to(photographs.device)
    for image in (photographs.validation or photographs.training)[:count]:
        height, width = (n // 32 * 32 for n in image.shape[:2])
        image = image[:height, :width]
        buffer = io.BytesIO()
        Image.fromarray(image.cpu().numpy()).save(buffer, "JPEG", quality=quality)
        shape, picture = quantised(image[None], "4:2:0", tables)
        examples.append(Example(shape, tables, picture, buffer.tell(), height * width))
    return examples


class Score(NamedTuple):
    """Bits per pixel of all that is coded, the saving in percent with 100 bytes a file for all the rest, and the share
    of side information in those bits per pixel."""

    bpp: float
    saving: float
    side_bpp: float


@torch.no_grad()
def validate(model: Mlcc, examples: list[Example]) -> Score:
    bits = side_bits = 0.0
    for example in examples:
        meter, side = RateMeter(), RateMeter()
        model.walk(meter, example.shape, example.tables, example.picture)
        bits += float(meter.bits())
        if model.hyperprior is not None:
            model.walk_hyperprior(side, example.shape, example.tables, example.picture)
            side_bits += float(side.bits())
    jpeg_bytes, pixels = sum(e.jpeg_bytes for e in examples), sum(e.pixels for e in examples)
    saving = 100 * (1 - (bits / 8 + 100 * len(examples)) / jpeg_bytes)
    return Score(bits / pixels, saving, side_bits / pixels)


def columns(scores: dict[int, Score]) -> dict[str, float]:
    """Of the learning curve, by quality."""
    row: dict[str, float] = {}
    for quality, (bpp, saving, side_bpp) in scores.items():
        row |= {f"q{quality}_bpp": round(bpp, 4), f"q{quality}_saving_percent": round(saving, 3)}
        if side_bpp:
            row[f"q{quality}_side_bpp"] = round(side_bpp, 5)
    return row


def export(model: Mlcc, calibration: list[tuple[Shape, Tensor, Picture]], path: Path) -> None:
    """The exact form of a model, on the CPU so that its fingerprint is the same wherever it was trained."""
    exact = copy.deepcopy(model).cpu()
    exact.calibrate((shape, tables.cpu(), picture.to("cpu")) for shape, tables, picture in calibration)
    exact.freeze().save(path)
