"""Rate-distortion curves, and what lies between two of them as one number: the Bjøntegaard delta of the rate."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from .distortion import decibels

__all__ = [
    "CONVENTION",
    "PUBLISHED",
    "BdRate",
    "Curve",
    "Line",
    "bd_rate",
    "bd_rates",
    "describe",
    "published",
    "rising",
    "table",
    "version",
]

#: How the curves are made and compared. One more convention, and the numbers move by a point or two.
CONVENTION = (
    "A measured curve's points are means over the images of each image's own bpp, PSNR and MS-SSIM (in dB: of the "
    "mean); published ones are as published. Points that are no better than a cheaper one are left out. BD-rate is the "
    "mean difference of log rate between two curves, by piecewise cubic interpolation (pchip) of log rate over dB, in "
    "the range of dB that both have; negative where the codec takes fewer bits."
)
#: The published curves that are compared with unless others are named, of those that a file has.
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

#: (bpp, dB), both rising.
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curve:
    """What a codec makes of a set of images. A line has no points where nothing is known."""

    name: str
    psnr: Line
    ms_ssim: Line

    @staticmethod
    def of(name: str, points: Iterable[tuple[float, float | None, float | None]]) -> Curve:
        """From points of bpp, PSNR and MS-SSIM (0 to 1)."""
        points = list(points)
        similar = [(bpp, similarity) for bpp, _, similarity in points if similarity]
        return Curve(
            name,
            rising((bpp, psnr) for bpp, psnr, _ in points if psnr is not None),
            rising((bpp, decibels(similarity)) for bpp, similarity in similar),
        )


def rising(points: Iterable[tuple[float, float]]) -> Line:
    """The finite ones by their rate, less those that are no better than a cheaper one."""
    line: list[tuple[float, float]] = []
    for bpp, quality in sorted(points):
        if math.isfinite(quality) and (not line or quality > line[-1][1]):
            line.append((bpp, quality))
    return line


@dataclass(frozen=True)
class BdRate:
    """Of a codec against another, by one measure.

    percent: None where the two have no dB in common.
    low_db, high_db: the range that they have in common.
    """

    codec: str
    against: str
    measure: str
    percent: float | None
    low_db: float | None = None
    high_db: float | None = None


def bd_rates(curves: Sequence[Curve], others: Sequence[Curve]) -> list[BdRate]:
    """Of each curve against each of the others that is not itself, by the measures that both have."""
    return [
        bd_rate(curve.name, other.name, measure, line, base)
        for curve in curves
        for other in others
        if curve != other
        for measure, line, base in (("PSNR", curve.psnr, other.psnr), ("MS-SSIM", curve.ms_ssim, other.ms_ssim))
        if line and base
    ]


def bd_rate(codec: str, against: str, measure: str, line: Line, base: Line) -> BdRate:
    """Needs bjontegaard."""
    low, high = max(line[0][1], base[0][1]), min(line[-1][1], base[-1][1])
    if low >= high:
        return BdRate(codec, against, measure, None)
    # How much the ranges must overlap is left to the reader, who is told the range.
    percent = import_module("bjontegaard").bd_rate(
        *zip(*base), *zip(*line), method="pchip", require_matching_points=False, min_overlap=0
    )
    return BdRate(codec, against, measure, float(percent), low, high)


def published(file: Path, names: Sequence[str] = ()) -> list[Curve]:
    """The curves of these names from a JSON file, or those of `PUBLISHED`, or if it has none of them all of its curves.

    The file has for each name {"points": [{"bpp": ..., "psnr": ..., "ms_ssim": ...}, ...]}; of psnr and ms_ssim each
    may be missing. Names that begin with _ are no curves.

    Raises:
        ValueError: it is another file, or has no such curve.
    """
    try:
        content = {name: curve["points"] for name, curve in json.loads(file.read_bytes()).items() if name[:1] != "_"}
        there = {
            name: Curve.of(name, [(point["bpp"], point.get("psnr"), point.get("ms_ssim")) for point in points])
            for name, points in content.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no file of rate-distortion curves: {error!r}") from error
    for name in names:
        if name not in there:
            raise ValueError(f"no curve {name!r} in {file}; there is {', '.join(there)}")
    return [there[name] for name in names or [name for name in PUBLISHED if name in there] or there]


def table(rates: Sequence[BdRate]) -> str:
    """Both measures side by side, as a Markdown table."""
    lines = [
        "| codec | against | BD-rate, PSNR | in the range | BD-rate, MS-SSIM | in the range |",
        "|---|---|---:|---|---:|---|",
    ]
    found = {(rate.codec, rate.against, rate.measure): rate for rate in rates}
    for codec, against in dict.fromkeys((rate.codec, rate.against) for rate in rates):
        cells = [cell for measure in ("PSNR", "MS-SSIM") for cell in describe(found.get((codec, against, measure)))]
        lines.append(f"| {codec} | {against} | {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(rate: BdRate | None) -> tuple[str, str]:
    if rate is None:
        return "not known", ""
    if rate.percent is None:
        return "no overlap", ""
    return f"{rate.percent:+.2f} %", f"{rate.low_db:.2f} to {rate.high_db:.2f} dB"


def version() -> str:
    return f"bjontegaard {metadata.version('bjontegaard')}, pytorch-msssim {metadata.version('pytorch-msssim')}"
