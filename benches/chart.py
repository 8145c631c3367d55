"""Draw the chart of the README, `docs/results/jpeg.svg`, from the figures in `docs/results/jpeg.csv`."""

import csv
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs/results"
WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 48, 560, 44, 316
QUALITIES, SAVINGS = (50, 98), (10, 35)
#: Least distance between two labels, in pixels.
LINE = 16

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #57606a } .title { font-weight: 600; fill: #1f2328 }
.grid { stroke: #d0d7de } polyline { fill: none; stroke: #8c959f; stroke-width: 1.5 }
.ours { stroke: #0969da; stroke-width: 3 } text.ours { stroke: none; fill: #0969da; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #8d96a0 } .title { fill: #e6edf3 } .grid { stroke: #30363d }
  .ours { stroke: #4493f8 } text.ours { fill: #4493f8 }
}"""


def curves() -> dict[str, list[tuple[float, float]]]:
    """Return (quality, saving in percent) of each codec on Kodak's images in 4:2:0."""
    points: dict[str, list[tuple[float, float]]] = {}
    with (RESULTS / "jpeg.csv").open() as file:
        for row in csv.DictReader(file):
            if (row["set"], row["sampling"]) == ("Kodak", "4:2:0"):
                points.setdefault(row["codec"], []).append((float(row["quality"]), float(row["saving_percent"])))
    return points


def x_of(quality: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * (quality - QUALITIES[0]) / (QUALITIES[1] - QUALITIES[0]), 1)


def y_of(saving: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * (saving - SAVINGS[0]) / (SAVINGS[1] - SAVINGS[0]), 1)


def draw() -> str:
    """Return the chart: a line for each codec, labelled at its end."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Saving by JPEG quality">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="20">How much smaller a JPEG file becomes, without loss</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 8}">quality of the JPEG file (Kodak, 24 images, 4:2:0)</text>',
    ]
    for saving in range(SAVINGS[0], SAVINGS[1] + 1, 5):
        y = y_of(saving)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{saving} %</text>')
    for quality in range(QUALITIES[0], QUALITIES[1] + 1, 10):
        parts.append(f'<text x="{x_of(quality)}" y="{BOTTOM + 18}" text-anchor="middle">{quality}</text>')
    lowest = 0.0
    for codec, points in sorted(curves().items(), key=lambda curve: -curve[1][-1][1]):
        kind = ' class="ours"' if codec.startswith("lic_native") else ""
        line = " ".join(f"{x_of(quality)},{y_of(saving)}" for quality, saving in points)
        lowest = max(y_of(points[-1][1]) + 4, lowest + LINE)
        parts.append(f'<polyline{kind} points="{line}"/>')
        parts.append(f'<text{kind} x="{x_of(points[-1][0]) + 8}" y="{lowest:.1f}">{codec}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    (RESULTS / "jpeg.svg").write_text(draw())
