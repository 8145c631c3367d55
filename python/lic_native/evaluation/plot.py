"""A picture of the table. Needs matplotlib."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .jpeg import Row

__all__ = ["STYLES", "by_quality", "by_speed", "draw"]

#: How lines are drawn by the files' sampling.
STYLES = {"4:2:0": "-", "4:2:2": "--", "4:4:4": ":", "gray": "-."}


def draw(rows: list[Row]) -> Any:
    """A matplotlib figure: saving by quality if there are files of known quality, and saving by speed."""
    made = [r for r in rows if r.quality is not None]
    colours = {codec: f"C{i}" for i, codec in enumerate(dict.fromkeys(r.codec for r in rows))}
    figure = import_module("matplotlib.figure").Figure((12 if made else 6, 4.5), layout="constrained")
    *left, right = figure.subplots(1, 2 if made else 1, squeeze=False)[0]
    for axes in left:
        by_quality(axes, made, colours)
    by_speed(right, rows, colours)
    for axes in (*left, right):
        axes.set_ylabel("saving, %")
        axes.grid(alpha=0.3)
    return figure


def by_quality(axes: Any, rows: list[Row], colours: dict[str, str]) -> None:
    """A line for each codec and sampling."""
    for sampling in dict.fromkeys(r.sampling for r in rows):
        style = STYLES[str(sampling)]
        for codec, colour in colours.items():
            line = sorted(
                (r.quality or 0, r.saving_percent) for r in rows if (r.codec, r.sampling) == (codec, sampling)
            )
            axes.plot(*zip(*line), style, color=colour, marker=".")
        axes.plot([], style, color="black", label=sampling)
    axes.set_xlabel("quality")
    axes.legend(fontsize="small")


def by_speed(axes: Any, rows: list[Row], colours: dict[str, str]) -> None:
    """Two dots for each codec and set: full for encoding, empty for decoding."""
    for codec, colour in colours.items():
        dots = [r for r in rows if r.codec == codec and r.refused < r.files]
        savings = [r.saving_percent for r in dots]
        axes.plot([r.encode_mb_per_s for r in dots], savings, "o", color=colour, label=codec)
        axes.plot([r.decode_mb_per_s for r in dots], savings, "o", color=colour, fillstyle="none")
    axes.set(xscale="log", xlabel="MB/s of JPEG, encode (full) and decode (empty)")
    axes.legend(fontsize="small")
