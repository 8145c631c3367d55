"""The task of training the JPEG coefficient model (MLCC)."""

from __future__ import annotations

import copy
import errno
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..arguments import check_choice, to_count, to_number
from ..coding.rate import RateMeter
from ..jpeg.torch_network import model_input
from ..models.context import AddedBlock, ResidualBlock
from ..models.mlcc import PROFILES, Config, Mlcc
from ..models.sampling import Picture, Shape
from . import parts
from .camera import CameraFiles
from .data import CROP_DRAWS, SAMPLING_SHARES, SOFT, TABLE_DRAWS, Draws, Photographs, annex_k, quantised, random_tables
from .slim import slimmed
from .task import Groups, Task
from .widen import contains, widened

__all__ = ["JpegTask", "configuration", "validate", "validation_examples"]

VALIDATION_QUALITIES = (75, 95)
#: Pictures of equal shape that a validation measures together.
VALIDATION_BATCH = 8

#: Whether a batch is of cameras' files, and its sampling.
Kind = tuple[bool, str]
#: A batch as the model takes it: its shape, tables `[B, 2 or 3, 64]` and coefficients.
Batch = tuple[Shape, Tensor, Picture]


def configuration(profile: str, hyper: int) -> Config:
    """Return the configuration of a new run's network. Raises TypeError or ValueError if there is none such."""
    check_choice(profile, PROFILES, "profile")
    return replace(PROFILES[profile], z_channels=to_count(hyper, "hyper"))


class JpegTask(Task[Mlcc]):
    """Bits of coefficients: of crops that are quantised as JPEG files are, and of crops of files that cameras wrote.

    A batch has one sampling, which changes from step to step.

    Args:
        config: of a new run's network.
        camera: folder of files that cameras wrote, or None.
        share: of the batches that are of such files.

    Raises:
        TypeError, ValueError: the share is not from 0 to 1.
        FileNotFoundError: there is no such folder.
    """

    name, crop, crop_multiple, rate = "mlcc", 256, 32, 2e-3
    loss_name, plotted = "bpp", ("_saving_percent", "saving on held-out photographs, percent")
    ADAM: ClassVar[dict[str, Any]] = {"betas": (0.9, 0.98), "weight_decay": 1e-4}
    BLOCKS = (AddedBlock, ResidualBlock)

    def __init__(self, config: Config, camera: Path | str | None = None, share: float = 0.25) -> None:
        if not 0 <= to_number(share, "camera_share") <= 1:
            raise ValueError(f"camera_share must be from 0 to 1, not {share:g}")
        if camera is not None and not Path(camera).is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such folder of JPEG files", str(camera))
        self._config, self._folder, self._share = config, camera, share

    def prepare(self, photographs: Photographs, batch: int, size: int) -> None:
        super().prepare(photographs, batch, size)
        self._camera = None if self._folder is None else CameraFiles(self._folder, photographs.device, size)
        self._examples = {f"q{q}": validation_examples(photographs, q) for q in VALIDATION_QUALITIES}
        if self._camera is not None and self._camera.validation:
            self._examples["camera"] = camera_examples(self._camera)

    def build(self, start: Path | str | None, generator: torch.Generator) -> Mlcc:
        if start is None:
            return Mlcc(self._config, self._sigma(generator))
        other = parts.load(start)[1] if Path(start).is_dir() else Mlcc.load(start, trainable=True)
        grows = contains(self._config, other.config) or not contains(other.config, self._config)
        return (widened if grows else slimmed)(other, self._config)

    def _sigma(self, generator: torch.Generator) -> Tensor:
        """Return the RMS of the dequantised coefficients of luma and of 4:2:0 chroma, `[2, 64]`."""
        draws = self.draws(generator.device, 64).refill(generator)
        tables = annex_k(torch.full((64,), 90.0, device=generator.device))
        _, picture = quantised(self._crops(draws), "4:2:0", tables)
        luma = (picture.luma * tables[:, 0, None, None]).square().mean((0, 1, 2))
        chroma = torch.stack(picture.chroma) * tables[None, :, 1, None, None]
        return torch.stack([luma, chroma.square().mean((0, 1, 2, 3))]).sqrt().clamp_min(0.5)

    def restore(self, saved: dict[str, Any]) -> tuple[Mlcc, Mlcc]:
        model, average = (Mlcc(Config(**saved["config"]), saved["model"]["sigma"]) for _ in range(2))
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        return model, average

    def groups(self, model: Mlcc) -> Groups:
        return [(list(model.parameters()), 1.0)]

    def kind(self, choice: torch.Generator) -> Kind:
        camera = self._camera is not None and float(torch.rand(1, generator=choice)) < self._share
        shares = self._camera.shares if camera else SAMPLING_SHARES
        pick = int(torch.multinomial(torch.tensor(list(shares.values())), 1, generator=choice))
        return camera, list(shares)[pick]

    def draws(self, device: torch.device | str, count: int | None = None) -> Draws:
        return Draws.zeros(count or self.batch_size, CROP_DRAWS + TABLE_DRAWS, self.size, device)

    def _crops(self, draws: Draws) -> Tensor:
        return self.photographs.crops(draws, self.size, round(SOFT * len(draws.uniform)))

    def batch(self, kind: Kind, draws: Draws) -> Batch:
        camera, sampling = kind
        if camera:
            return self._camera.crops(sampling, draws, self.size)
        tables = random_tables(draws.uniform[:, CROP_DRAWS:])
        shape, picture = quantised(self._crops(draws), sampling, tables)
        return shape, tables, picture

    def loss(self, model: Mlcc, kind: Kind, batch: Batch) -> tuple[Tensor, Tensor]:
        meter = RateMeter()
        model.walk(meter, *batch)
        bpp = meter.bits() / self.size**2
        # Between bits and relative bits: fine tables cost ten times coarse ones, and a file of either is a file.
        return (bpp / (bpp.detach() + 0.2).sqrt()).mean(), bpp.detach().mean()

    def validate(self, model: Mlcc) -> tuple[float, dict[str, float]]:
        row: dict[str, float] = {}
        for name, examples in self._examples.items():
            bpp, saving, side_bpp = validate(model, examples)
            row |= {f"{name}_bpp": round(bpp, 4), f"{name}_saving_percent": round(saving, 3)}
            if side_bpp:
                row[f"{name}_side_bpp"] = round(side_bpp, 5)
        return row["q75_saving_percent"], row

    def exact(self, model: Mlcc) -> Mlcc:
        return copy.deepcopy(model).calibrate(self.calibration_batches()).freeze()

    @torch.no_grad()
    def calibration_batches(self) -> Iterator[Batch]:
        """Yield 64 crops of each kind that show the ranges of a network's activations, the same in each run."""
        generator, device = torch.Generator().manual_seed(0), self.photographs.device
        kinds = [(False, sampling) for sampling in SAMPLING_SHARES]
        kinds += [(True, sampling) for sampling in (self._camera.training if self._camera else ())]
        for kind in kinds:
            for _ in range(4):
                yield self.batch(kind, self.draws("cpu", 16).refill(generator).to(device))


class Example(NamedTuple):
    """A held-out picture as the coefficients of a JPEG file, and that file's size."""

    shape: Shape
    tables: Tensor
    picture: Picture
    jpeg_bytes: int
    pixels: int


def validation_examples(photographs: Photographs, quality: int, count: int = 64) -> list[Example]:
    """Return held-out photographs as 4:2:0 files of a quality."""
    examples = []
    tables = annex_k(torch.full((1,), float(quality), device=photographs.device))
    for image in (photographs.validation or photographs.training)[:count]:
        height, width = (n // 32 * 32 for n in image.shape[:2])
        image = image[:height, :width]
        buffer = io.BytesIO()
        Image.fromarray(image.cpu().numpy()).save(buffer, "JPEG", quality=quality)
        shape, picture = quantised(image[None], "4:2:0", tables)
        examples.append(Example(shape, tables, picture, buffer.tell(), height * width))
    return examples


def camera_examples(camera: CameraFiles) -> list[Example]:
    """Return the held-out files of cameras."""
    examples = []
    for tile, size in camera.validation:
        shape, tables, picture = model_input([tile])
        pixels = 64 * shape.luma[0] * shape.luma[1]
        examples.append(Example(shape, tables, picture.float(), size, pixels))
    return examples


class Score(NamedTuple):
    """The rate of held-out pictures.

    bpp: bits per pixel of all that is coded.
    saving: percent of the JPEG files' bytes, with 100 bytes a file for everything that is not coefficients.
    side_bpp: part of `bpp` that is side information.
    """

    bpp: float
    saving: float
    side_bpp: float


@torch.no_grad()
def validate(model: Mlcc, examples: list[Example]) -> Score:
    """Measure the rate of held-out pictures, those of equal shape together."""
    alike: dict[Any, list[Example]] = {}
    for example in examples:
        alike.setdefault((example.shape, example.tables.shape), []).append(example)
    bits = side_bits = 0.0
    for (shape, _), same in alike.items():
        for i in range(0, len(same), VALIDATION_BATCH):
            _, tables, pictures, *_ = zip(*same[i : i + VALIDATION_BATCH])
            planes = [torch.cat(planes).to(model.device) for planes in zip(*((p.luma, *p.chroma) for p in pictures))]
            batch = shape, torch.cat(tables).to(model.device), Picture(planes[0], tuple(planes[1:]))
            meter, side = RateMeter(), RateMeter()
            model.walk(meter, *batch)
            bits += float(meter.bits().sum())
            if model.hyperprior is not None:
                model.walk_hyperprior(side, *batch)
                side_bits += float(side.bits().sum())
    jpeg_bytes, pixels = sum(e.jpeg_bytes for e in examples), sum(e.pixels for e in examples)
    saving = 100 * (1 - (bits / 8 + 100 * len(examples)) / jpeg_bytes)
    return Score(bits / pixels, saving, side_bits / pixels)
