"""Lossy compression of images: rate, distortion, time and memory."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from ..arguments import Device
from ..errors import UnsupportedError
from ..image.samples import bits_of
from . import bd_rate, plot
from .codecs import image_codecs
from .distortion import decibels, ms_ssim, psnr
from .engine import Codec, measure
from .images import IMAGE_SUFFIXES, files_below, naming
from .report import check_files, check_packages, check_plot, markdown, write_csv

__all__ = ["Mean", "Point", "curves", "evaluate", "find", "means", "measure_image", "plain", "read", "run", "table"]


@dataclass(frozen=True)
class Point:
    """The result of one codec at one setting on one image.

    bytes, bpp: size of the file, and its bits per pixel.
    psnr, ms_ssim: of uint8 RGB (`distortion`).
    encode_peak_bytes, decode_peak_bytes: as in `engine.Call`.
    """

    image: str
    width: int
    height: int
    codec: str
    setting: float
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float
    encode_peak_bytes: int | None
    decode_peak_bytes: int | None


@dataclass(frozen=True)
class Mean:
    """The means over all images of one codec's points at one setting. Each image has the same weight.

    A mean is None if an image lacks the number. ms_ssim_db: decibels of the mean MS-SSIM.
    """

    codec: str
    setting: float
    images: int
    bytes: float
    bpp: float
    psnr: float
    ms_ssim: float | None
    ms_ssim_db: float | None
    encode_seconds: float
    decode_seconds: float
    encode_peak_bytes: float | None
    decode_peak_bytes: float | None


def find(folder: Path) -> list[Path]:
    """Return the images below a folder.

    Raises:
        FileNotFoundError: there are none.
        UnsupportedError: one has alpha, or more than 8 bits, which codecs would treat differently.
    """
    paths = files_below(folder, IMAGE_SUFFIXES)
    for path in paths:
        with naming(path), Image.open(path) as image:
            plain = image.mode in ("1", "L", "P", "RGB") and not image.has_transparency_data and bits_of(image) <= 8
        if not plain:
            raise UnsupportedError(f"{path} is neither RGB nor gray, of 8 bits without alpha")
    return paths


def read(path: Path) -> Image.Image:
    """Return an image as RGB without metadata, so that every codec encodes the same."""
    with naming(path), Image.open(path) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


def measure_image(name: str, image: Image.Image, codec: Codec[Image.Image], setting: float) -> Point:
    """Encode and decode an image once.

    Raises:
        ValueError: the codec fails. Means without this image would be those of another set.
    """
    try:
        measured = measure(codec, image, setting, memory=True)
    except Exception as error:  # peers raise many kinds
        raise ValueError(f"{codec.name} at {setting:g} fails on {name}: {error}") from error
    original, restored = np.asarray(image), np.asarray(measured.decode.result.convert("RGB"))
    if restored.shape != original.shape:
        raise ValueError(f"{codec.name} at {setting:g} restores {name} at another size")
    return Point(
        name,
        image.width,
        image.height,
        codec.name,
        setting,
        measured.bytes,
        8 * measured.bytes / (image.width * image.height),
        psnr(original, restored),
        ms_ssim(original, restored),
        measured.encode.seconds,
        measured.decode.seconds,
        measured.encode.peak_bytes,
        measured.decode.peak_bytes,
    )


def evaluate(folder: Path, codecs: Sequence[Codec[Image.Image]]) -> Iterator[Point]:
    """Yield a point for each image, codec and setting, after a warm-up of each codec on the first image."""
    for number, path in enumerate(find(folder)):
        image, name = read(path), str(path.relative_to(folder))
        for codec in codecs:
            if number == 0:
                measure_image(name, image, codec, codec.settings[0])
            for setting in codec.settings:
                yield measure_image(name, image, codec, setting)


#: Numbers of a `Point` of which a `Mean` holds the mean.
_AVERAGED = {field.name for field in fields(Point)} & {field.name for field in fields(Mean)} - {"codec", "setting"}


def means(points: Sequence[Point]) -> list[Mean]:
    """Return the means, codec by codec in the order of the points, each codec's by rising rate."""
    order = {codec: number for number, codec in enumerate(dict.fromkeys(point.codec for point in points))}
    result = []
    by_setting = sorted(points, key=lambda point: (order[point.codec], point.setting))
    for (codec, setting), group in groupby(by_setting, attrgetter("codec", "setting")):
        images = list(group)
        numbers: dict[str, Any] = {name: _mean(getattr(point, name) for point in images) for name in _AVERAGED}
        similarity = numbers["ms_ssim"]
        decibels_of_mean = None if similarity is None else decibels(similarity)
        result.append(Mean(codec, setting, len(images), ms_ssim_db=decibels_of_mean, **numbers))
    return sorted(result, key=lambda mean: (order[mean.codec], mean.bpp))


def _mean(numbers: Iterable[float | None]) -> float | None:
    """Return the mean, or None if a number is missing."""
    numbers = list(numbers)
    known = [number for number in numbers if number is not None]
    return fmean(known) if len(known) == len(numbers) else None


def table(rows: Sequence[Mean]) -> str:
    """Return the means as a Markdown table."""
    head = ["codec", "setting", "bpp", "PSNR", "MS-SSIM", "in dB", "encode s", "decode s", "encode MB", "decode MB"]
    cells = [
        [
            mean.codec,
            f"{mean.setting:g}",
            _cell(mean.bpp, 4),
            _cell(mean.psnr, 3),
            _cell(mean.ms_ssim, 5),
            _cell(mean.ms_ssim_db, 3),
            _cell(mean.encode_seconds, 4),
            _cell(mean.decode_seconds, 4),
            _cell(mean.encode_peak_bytes, 1, 1e6),
            _cell(mean.decode_peak_bytes, 1, 1e6),
        ]
        for mean in rows
    ]
    return markdown(head, "l".ljust(len(head), "r"), cells)


def _cell(number: float | None, digits: int, unit: float = 1) -> str:
    return "" if number is None else f"{number / unit:.{digits}f}"


def curves(codecs: Sequence[Codec[Image.Image]], averages: Sequence[Mean], *, ours: bool) -> list[bd_rate.Curve]:
    """Return the curves of lic_native's codecs, or those of the peers."""
    wanted = {codec.name for codec in codecs if codec.ours == ours}
    return [
        bd_rate.Curve.of(name, [(mean.bpp, mean.psnr, mean.ms_ssim) for mean in group])
        for name, group in groupby(averages, attrgetter("codec"))
        if name in wanted
    ]


def plain(row: Any) -> dict[str, Any]:
    """Return a row for JSON, which has no infinity: the PSNR of equal images becomes null."""
    return {name: None if value == math.inf else value for name, value in asdict(row).items()}


def run(
    folder: Path,
    *,
    qualities: Sequence[float] = (),
    names: Sequence[str] = (),
    device: Device = None,
    lof: Sequence[int] = (),
    anchors: Path | None = None,
    against: Sequence[str] = (),
    csv_file: Path | None = None,
    json_file: Path | None = None,
    means_file: Path | None = None,
    plot_file: Path | None = None,
) -> None:
    """Measure image by image, print the tables of means and of BD-rates, and write the files.

    All arguments are checked before anything is measured.

    Raises:
        ValueError: there is no such codec or curve, an image or a kind of picture is not supported, or a package is
            missing.
        OSError: there are no images, or a file can't be written.
    """
    check_packages("bjontegaard", "pytorch-msssim", "matplotlib")
    check_files(csv_file, json_file, means_file)
    check_plot(plot_file)
    if against and not anchors:
        raise ValueError("--against names curves of a file: name the file with --anchors")
    published = bd_rate.published(anchors, against) if anchors else []
    codecs = image_codecs(names, qualities, device, lof)

    points: list[Point] = []
    for point in evaluate(folder, codecs):
        if not points or points[-1].image != point.image:
            print(point.image, file=sys.stderr, flush=True)
        points.append(point)
    averages = means(points)
    ours, peers = curves(codecs, averages, ours=True), curves(codecs, averages, ours=False)
    # Without any of ours, the peers are compared.
    rates = bd_rate.bd_rates(ours or peers, [*ours, *peers, *published])

    print(f"Means over {averages[0].images} images:\n\n{table(averages)}\n")
    print("\n".join(f"- {codec.name}: {codec.about}" for codec in codecs))
    if rates:
        print(f"\n{bd_rate.CONVENTION} ({bd_rate.version()})\n\n{bd_rate.table(rates)}")
    if csv_file:
        write_csv(csv_file, [asdict(point) for point in points])
    if means_file:
        write_csv(means_file, [asdict(mean) for mean in averages])
    if json_file:
        content = {
            "codecs": {codec.name: codec.about for codec in codecs},
            "convention": bd_rate.CONVENTION,
            "rows": [plain(point) for point in points],
            "means": [plain(mean) for mean in averages],
            "bd_rates": [plain(rate) for rate in rates],
        }
        json_file.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    if plot_file:
        plot.curves(ours, peers, published).savefig(plot_file, dpi=150)
