"""Pictures of the results. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .bd_rate import Curve
from .engine import Saving

__all__ = ["LINE_STYLES", "curves", "savings"]

#: Styles of lines, by the sampling of the files.
LINE_STYLES = {"4:2:0": "-", "4:2:2": "--", "4:4:4": ":", "gray": "-."}


def savings(rows: Sequence[Saving]) -> Any:
    """Return a matplotlib figure: saving by quality if there are files of known quality, and saving by speed."""
    known = [row for row in rows if row.quality is not None]
    colours = {codec: f"C{i}" for i, codec in enumerate(dict.fromkeys(row.codec for row in rows))}
    figure = import_module("matplotlib.figure").Figure((12 if known else 6, 4.5), layout="constrained")
    *left, right = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    for axes in left:
        _by_quality(axes, known, colours)
    _by_speed(right, rows, colours)
    for axes in (*left, right):
        axes.set_ylabel("saving, %")
        axes.grid(alpha=0.3)
    return figure


def _by_quality(axes: Any, rows: Sequence[Saving], colours: dict[str, str]) -> None:
    """Draw a line for each codec and sampling."""
    for sampling in dict.fromkeys(row.sampling for row in rows):
        style = LINE_STYLES[str(sampling)]
        for codec, colour in colours.items():
            line = sorted(
                (row.quality or 0, row.saving_percent) for row in rows if (row.codec, row.sampling) == (codec, sampling)
            )
            axes.plot(*zip(*line), style, color=colour, marker=".")
        axes.plot([], style, color="black", label=sampling)
    axes.set_xlabel("quality")
    axes.legend(fontsize="small")


def _by_speed(axes: Any, rows: Sequence[Saving], colours: dict[str, str]) -> None:
    """Draw two dots for each codec and set: full for encoding, empty for decoding."""
    for codec, colour in colours.items():
        dots = [row for row in rows if row.codec == codec and row.refused < row.files]
        percents = [row.saving_percent for row in dots]
        axes.plot([row.encode_mb_per_s for row in dots], percents, "o", color=colour, label=codec)
        axes.plot([row.decode_mb_per_s for row in dots], percents, "o", color=colour, fillstyle="none")
    axes.set(xscale="log", xlabel="MB/s of JPEG, encode (full) and decode (empty)")
    axes.legend(fontsize="small")


def curves(ours: Sequence[Curve], peers: Sequence[Curve], published: Sequence[Curve]) -> Any:
    """Return a matplotlib figure: PSNR and MS-SSIM by rate. Our curves are thick, published ones are dashed."""
    figure = import_module("matplotlib.figure").Figure((13, 5.5), layout="constrained")
    styles: list[tuple[Sequence[Curve], dict[str, Any]]] = [
        (ours, {"linewidth": 2.5, "marker": "o"}),
        (peers, {"linewidth": 1, "marker": "."}),
        (published, {"linewidth": 1, "linestyle": "--"}),
    ]
    styled = [(curve, style) for group, style in styles for curve in group]
    colours = import_module("matplotlib").colormaps["tab20"].colors
    measures = [
        ("PSNR, dB", [curve.psnr for curve, _ in styled]),
        ("MS-SSIM, dB", [curve.ms_ssim for curve, _ in styled]),
    ]
    for axes, (label, lines) in zip(figure.subplots(1, 2), measures):
        # Published curves end where nothing was measured.
        end = max((bpp for line in lines[: len(ours) + len(peers)] for bpp, _ in line), default=0)
        for number, ((curve, style), line) in enumerate(zip(styled, lines)):
            if within := [point for point in line if point[0] <= end]:
                axes.plot(*zip(*within), label=curve.name, color=colours[number % len(colours)], **style)
        axes.set(xlabel="bits per pixel", ylabel=label)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    return figure
