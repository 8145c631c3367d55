"""What `lic-native evaluate image` prints and writes."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from ..arguments import Device
from . import bd_rate, image, image_plot
from .image_codecs import Codec, codecs
from .outputs import check_files, check_plot

__all__ = ["PACKAGES", "curves", "plain", "require_packages", "run", "write_csv"]

#: The packages that it takes, by the names that they are imported by.
PACKAGES = {"bjontegaard": "bjontegaard", "pytorch_msssim": "pytorch-msssim", "matplotlib": "matplotlib"}


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
    """Measure, image by image; print the table of means and that of BD-rates; write the files.

    Whatever can be refused is refused before anything is measured.

    Raises:
        ValueError: no such codec or curve, an image or a kind of picture that is not taken, or a package is missing.
        OSError: no images there, or a file that can't be written.
    """
    require_packages()
    check_files(csv_file, json_file, means_file, plot_file)
    check_plot(plot_file)
    if against and not anchors:
        raise ValueError("--against names curves of the file that --anchors names")
    published = bd_rate.published(anchors, against) if anchors else []
    measured = codecs(names, qualities, device, lof)

    rows: list[image.Row] = []
    for row in image.evaluate(folder, measured):
        if not rows or rows[-1].image != row.image:
            print(row.image, file=sys.stderr, flush=True)
        rows.append(row)
    averages = image.means(rows)
    ours, peers = curves(measured, averages, ours=True), curves(measured, averages, ours=False)
    # Without any of ours, the peers are judged.
    rates = bd_rate.bd_rates(ours or peers, [*ours, *peers, *published])

    print(f"Means over {averages[0].images} images:\n\n{image.table(averages)}\n")
    print("\n".join(f"- {codec.name}: {codec.about}" for codec in measured))
    if rates:
        print(f"\n{bd_rate.CONVENTION} ({bd_rate.version()})\n\n{bd_rate.table(rates)}")
    if csv_file:
        write_csv(csv_file, rows)
    if means_file:
        write_csv(means_file, averages)
    if json_file:
        about = {codec.name: codec.about for codec in measured}
        tables: dict[str, Sequence[Any]] = {"rows": rows, "means": averages, "bd_rates": rates}
        content = {
            "codecs": about,
            "convention": bd_rate.CONVENTION,
            **{name: list(map(plain, table)) for name, table in tables.items()},
        }
        json_file.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    if plot_file:
        image_plot.draw(ours, peers, published).savefig(plot_file, dpi=150)


def require_packages() -> None:
    if missing := [package for name, package in PACKAGES.items() if not find_spec(name)]:
        raise ValueError(f"this takes {', '.join(missing)}: pip install {' '.join(missing)}")


def curves(measured: Sequence[Codec], averages: Sequence[image.Mean], ours: bool) -> list[bd_rate.Curve]:
    """Those of our codecs, or of the peers."""
    wanted = {codec.name for codec in measured if codec.ours == ours}
    return [
        bd_rate.Curve.of(name, [(each.bpp, each.psnr, each.ms_ssim) for each in same])
        for name, same in groupby(averages, lambda each: each.codec)
        if name in wanted
    ]


def plain(row: Any) -> dict[str, Any]:
    """A row as JSON takes it, which knows no infinity: the PSNR of equal images is null."""
    return {name: None if value == math.inf else value for name, value in asdict(row).items()}


def write_csv(file: Path, rows: Sequence[Any]) -> None:
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))
