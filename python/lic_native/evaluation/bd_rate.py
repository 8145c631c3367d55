"""Rate-distortion curves, and their difference as one number: the Bjøntegaard delta of the rate."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from ..arguments import check_choice
from .distortion import decibels
from .report import markdown

__all__ = [
    "CONVENTION",
    "PUBLISHED",
    "BdRate",
    "Curve",
    "Line",
    "bd_rate",
    "bd_rates",
    "published",
    "rising",
    "table",
    "version",
]

#: How curves are made and compared, printed with the results: other conventions differ by a percent or two.
CONVENTION = (
    "A measured curve's points are means over the images of each image's own bpp, PSNR and MS-SSIM (in dB: of the "
    "mean); published ones are as published. Points that are no better than a cheaper one are left out. BD-rate is the "
    "mean difference of log rate between two curves, by piecewise cubic interpolation (pchip) of log rate over dB, in "
    "the range of dB that both have; negative where the codec takes fewer bits."
)
#: Published curves to compare with, unless others are named.
PUBLISHED = (
    "vtm",
    "VTM-18.0",
    "bpg_444_x265_ycbcr",
    "paper-elic2022_mse",
    "cai:cheng2020-anchor_mse",
    "cai:mbt2018-mean_mse",
    "cai:bmshj2018-hyperprior_mse",
    "cai:bmshj2018-factorized_mse",
    "tfc:balle-2017-iclr-opt-mse",
)

#: Points (bpp, dB), both rising.
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """The rate-distortion curve of a codec on a set of images. A line without points is not known."""

    name: str
    psnr: Line
    ms_ssim: Line

    @staticmethod
    def of(name: str, points: Iterable[tuple[float, float | None, float | None]]) -> Curve:
        """Return the curve through points (bpp, PSNR, MS-SSIM from 0 to 1)."""
        points = list(points)
        similar = [(bpp, similarity) for bpp, _, similarity in points if similarity]
        return Curve(
            name,
            rising((bpp, psnr) for bpp, psnr, _ in points if psnr is not None),
            rising((bpp, decibels(similarity)) for bpp, similarity in similar),
        )


def rising(points: Iterable[tuple[float, float]]) -> Line:
    """Return the finite points by their rate, without those that are no better than a cheaper one."""
    line: list[tuple[float, float]] = []
    for bpp, quality in sorted(points):
        if math.isfinite(quality) and (not line or quality > line[-1][1]):
            line.append((bpp, quality))
    return line


@dataclass(frozen=True)
class BdRate:
    """The rate that a codec needs compared with another one, by one measure of quality.

    percent: more rate, at equal quality; None if the curves have no range of dB in common.
    low_db, high_db: the range in common.
    """

    codec: str
    against: str
    measure: str
    percent: float | None
    low_db: float | None = None
    high_db: float | None = None


def bd_rates(curves: Sequence[Curve], others: Sequence[Curve]) -> list[BdRate]:
    """Compare each curve with each of the others but itself, by the measures that both have."""
    return [
        bd_rate(curve.name, other.name, measure, line, base)
        for curve in curves
        for other in others
        if curve != other
        for measure, line, base in (("PSNR", curve.psnr, other.psnr), ("MS-SSIM", curve.ms_ssim, other.ms_ssim))
        if line and base
    ]


def bd_rate(codec: str, against: str, measure: str, line: Line, base: Line) -> BdRate:
    """Compare two lines. Needs the package bjontegaard."""
    low, high = max(line[0][1], base[0][1]), min(line[-1][1], base[-1][1])
    if low >= high:
        return BdRate(codec, against, measure, None)
    # Any overlap will do: the table shows the range.
    percent = import_module("bjontegaard").bd_rate(
        *zip(*base), *zip(*line), method="pchip", require_matching_points=False, min_overlap=0
    )
    return BdRate(codec, against, measure, float(percent), low, high)


def published(file: Path, names: Sequence[str] = ()) -> list[Curve]:
    """Read curves from a JSON file: of these names, or else those of `PUBLISHED`, or else all.

    The file maps names to {"points": [{"bpp": ..., "psnr": ..., "ms_ssim": ...}, ...]}. A point may lack psnr or
    ms_ssim. Names that begin with _ are ignored.

    Raises:
        ValueError: the file has another format, or lacks a curve.
    """
    try:
        content = {name: curve["points"] for name, curve in json.loads(file.read_bytes()).items() if name[:1] != "_"}
        curves = {
            name: Curve.of(name, [(point["bpp"], point.get("psnr"), point.get("ms_ssim")) for point in points])
            for name, points in content.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} does not hold rate-distortion curves: {error!r}") from error
    for name in names:
        check_choice(name, curves, "curve")
    return [curves[name] for name in names or [name for name in PUBLISHED if name in curves] or curves]


def table(rates: Sequence[BdRate]) -> str:
    """Return both measures side by side as a Markdown table."""
    head = ["codec", "against", "BD-rate, PSNR", "in the range", "BD-rate, MS-SSIM", "in the range"]
    known = {(rate.codec, rate.against, rate.measure): rate for rate in rates}
    rows = [
        [codec, against, *_cells(known.get((codec, against, "PSNR"))), *_cells(known.get((codec, against, "MS-SSIM")))]
        for codec, against in dict.fromkeys((rate.codec, rate.against) for rate in rates)
    ]
    return markdown(head, "llrlrl", rows)


def _cells(rate: BdRate | None) -> tuple[str, str]:
    if rate is None:
        return "not known", ""
    if rate.percent is None:
        return "no overlap", ""
    return f"{rate.percent:+.2f} %", f"{rate.low_db:.2f} to {rate.high_db:.2f} dB"


def version() -> str:
    return f"bjontegaard {metadata.version('bjontegaard')}, pytorch-msssim {metadata.version('pytorch-msssim')}"
