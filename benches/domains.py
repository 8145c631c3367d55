"""Write images unlike photographs into folders: medical, screen, cartoon. `make domains` measures them.

Medical images are samples of scikit-image. The others are drawn here, or show this project's charts and licenses.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
SIZE = (512, 384)
INK = (20, 20, 20)


def medical() -> dict[str, Image.Image]:
    from skimage import data

    samples = {"histology": data.immunohistochemistry(), "retina": data.retina()[450:962, 450:962], "cell": data.cell()}
    return {name: Image.fromarray(pixels).convert("RGB") for name, pixels in samples.items()}


def screen() -> dict[str, Image.Image]:
    images = {}
    for name in ("kodak.png", "mlcc-best.png"):
        with Image.open(next((ROOT / "docs").rglob(name))) as chart:
            images[name.removesuffix(".png")] = chart.convert("RGB").crop((0, 0, 512, 448))
    for name, ink, paper in (("LICENSE-APACHE", INK, "white"), ("LICENSE-MIT", (200, 220, 200), (30, 30, 40))):
        page = Image.new("RGB", SIZE, paper)
        text = "\n".join((ROOT / name).read_text().splitlines()[:26])
        ImageDraw.Draw(page).multiline_text((8, 8), text, ink, ImageFont.load_default(12))
        images[name] = page
    return images


def cartoon() -> dict[str, Image.Image]:
    """Draw outlined shapes, each of one colour."""
    images = {}
    for number in range(4):
        rng = np.random.default_rng(number)
        large = Image.new("RGB", tuple(2 * n for n in SIZE), tuple(rng.integers(120, 255, 3).tolist()))
        draw = ImageDraw.Draw(large)
        for _ in range(40):
            (x, y), radius = rng.integers(0, large.size), int(rng.integers(20, 200))
            colour = tuple(rng.integers(0, 255, 3).tolist())
            angles = np.sort(rng.uniform(0, 2 * np.pi, 5))
            corners = [(float(x + radius * np.cos(a)), float(y + radius * np.sin(a))) for a in angles]
            box = (int(x), int(y), int(x) + radius, int(y) + radius)
            kind = rng.integers(3)
            if kind == 0:
                draw.ellipse(box, colour, INK, 6)
            elif kind == 1:
                draw.rounded_rectangle(box, radius // 4, colour, INK, 6)
            else:
                draw.polygon(corners, colour, INK, 6)
        images[f"shapes-{number}"] = large.resize(SIZE, Image.Resampling.LANCZOS)
    return images


if __name__ == "__main__":
    for make in (medical, screen, cartoon):
        folder = Path(sys.argv[1]) / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, image in make().items():
            image.save(folder / f"{name}.png")
