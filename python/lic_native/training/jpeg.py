"""The task of training the JPEG coefficient model (MLCC)."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..arguments import check_choice, to_count
from ..coding.rate import RateMeter
from ..models.mlcc import PROFILES, Config, Mlcc
from ..models.sampling import Picture, Shape
from .data import SAMPLING_SHARES, Photographs, annex_k, quantised, random_tables
from .loop import Crops, Task
from .widen import widened

__all__ = ["JpegTask", "validate", "validation_examples"]

VALIDATION_QUALITIES = (75, 95)


class JpegTask(Task[Mlcc]):
    """Bits of the coefficients of crops that are quantised as JPEG files are; the sampling changes from step to step.

    Raises:
        TypeError, ValueError: there is no such profile, or `hyper` is negative.
    """

    name, crop, crop_multiple, rate = "mlcc", 256, 32, 2e-3
    loss_name, plotted = "bpp", ("_saving_percent", "saving on held-out photographs, percent")

    def __init__(self, profile: str, hyper: int) -> None:
        check_choice(profile, PROFILES, "profile")
        self._config = replace(PROFILES[profile], z_channels=to_count(hyper, "hyper"))

    def prepare(self, crops: Crops) -> None:
        self._examples = {quality: validation_examples(crops.photographs, quality) for quality in VALIDATION_QUALITIES}
        self._calibration = calibration_pictures(crops)

    def build(self, crops: Crops, start: Path | str | None) -> Mlcc:
        return (
            widened(Mlcc.load(start, trainable=True), self._config)
            if start
            else Mlcc(self._config, measure_sigma(crops))
        )

    def restore(self, saved: dict[str, Any]) -> tuple[Mlcc, Mlcc]:
        model, average = (Mlcc(Config(**saved["config"]), saved["model"]["sigma"]) for _ in range(2))
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        return model, average

    def optimizer(self, model: Mlcc, rate: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)

    def loss(self, model: Mlcc, crops: Crops, progress: float, bf16: bool) -> tuple[Tensor, float]:
        shares = torch.tensor(list(SAMPLING_SHARES.values()))
        sampling = list(SAMPLING_SHARES)[int(torch.multinomial(shares, 1, generator=crops.generator))]
        tables = random_tables(crops.batch, crops.generator).to(crops.photographs.device)
        with torch.no_grad():
            shape, picture = quantised(crops.draw(), sampling, tables)
        meter = RateMeter()
        with torch.autocast(tables.device.type, torch.bfloat16, enabled=bf16):
            model.walk(meter, shape, tables, picture)
        bpp = meter.bits() / crops.size**2
        # Between bits and relative bits: fine tables cost ten times coarse ones, and a file of either is a file.
        return (bpp / (bpp.detach() + 0.2).sqrt()).mean(), float(bpp.detach().mean())

    def validate(self, model: Mlcc) -> tuple[float, dict[str, float]]:
        row: dict[str, float] = {}
        self._savings = {}
        for quality, examples in self._examples.items():
            bpp, saving, side_bpp = validate(model, examples)
            self._savings[quality] = saving
            row |= {f"q{quality}_bpp": round(bpp, 4), f"q{quality}_saving_percent": round(saving, 3)}
            if side_bpp:
                row[f"q{quality}_side_bpp"] = round(side_bpp, 5)
        return self._savings[75], row

    def export(self, model: Mlcc, path: Path) -> None:
        # On the CPU, so that the fingerprint is the same wherever the model was trained.
        exact = copy.deepcopy(model).cpu()
        exact.calibrate((shape, tables.cpu(), picture.to("cpu")) for shape, tables, picture in self._calibration)
        exact.freeze().save(path)

    def finish(self, path: Path) -> None:
        exact = Mlcc.load(path, self._calibration[0][1].device)
        pairs = {
            quality: [round(saving, 3), round(validate(exact, self._examples[quality]).saving, 3)]
            for quality, saving in self._savings.items()
        }
        print(json.dumps({"saving_percent_of_floats_and_of_the_exact_network": pairs}), flush=True)


def measure_sigma(crops: Crops) -> Tensor:
    """Return the RMS of the dequantised coefficients of luma and of 4:2:0 chroma, `[2, 64]`."""
    tables = annex_k(torch.full((64,), 90.0)).to(crops.photographs.device)
    _, picture = quantised(crops.draw(64), "4:2:0", tables)
    luma = (picture.luma * tables[:, 0, None, None]).square().mean((0, 1, 2))
    chroma = torch.stack(picture.chroma) * tables[None, :, 1, None, None]
    return torch.stack([luma, chroma.square().mean((0, 1, 2, 3))]).sqrt().clamp_min(0.5)


def calibration_pictures(crops: Crops) -> list[tuple[Shape, Tensor, Picture]]:
    """Return pictures of every sampling that show the ranges of a network's activations; the same in each run."""
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for sampling in SAMPLING_SHARES:
        for _ in range(4):
            tables = random_tables(16, generator).to(crops.photographs.device)
            with torch.no_grad():
                shape, picture = quantised(crops.draw(16, generator), sampling, tables)
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
    """Return held-out photographs as 4:2:0 files of a quality."""
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
    """The rate of held-out photographs.

    bpp: bits per pixel of all that is coded.
    saving: percent of the JPEG files' bytes, with 100 bytes a file for everything that is not coefficients.
    side_bpp: part of `bpp` that is side information.
    """

    bpp: float
    saving: float
    side_bpp: float


@torch.no_grad()
def validate(model: Mlcc, examples: list[Example]) -> Score:
    """Measure the rate of held-out photographs."""
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
