"""A picture of rate-distortion curves. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .bd_rate import Curve

__all__ = ["draw"]


def draw(ours: Sequence[Curve], peers: Sequence[Curve], published: Sequence[Curve]) -> Any:
    """A matplotlib figure: PSNR and MS-SSIM by rate; ours thick, published curves dashed."""
    figure = import_module("matplotlib.figure").Figure((13, 5.5), layout="constrained")
    kinds = [
        (ours, {"linewidth": 2.5, "marker": "o"}),
        (peers, {"linewidth": 1, "marker": "."}),
        (published, {"linewidth": 1, "linestyle": "--"}),
    ]
    styled = [(curve, style) for curves, style in kinds for curve in curves]
    colours = import_module("matplotlib").colormaps["tab20"].colors
    lines = [[curve.psnr for curve, _ in styled], [curve.ms_ssim for curve, _ in styled]]
    for axes, label, values in zip(figure.subplots(1, 2), ("PSNR, dB", "MS-SSIM, dB"), lines):
        # Published curves may go on where nothing was measured.
        end = max((bpp for line in values[: len(ours) + len(peers)] for bpp, _ in line), default=0)
        for number, ((curve, style), line) in enumerate(zip(styled, values)):
            if within := [point for point in line if point[0] <= end]:
                axes.plot(*zip(*within), label=curve.name, color=colours[number % len(colours)], **style)
        axes.set(xlabel="bits per pixel", ylabel=label)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    return figure
