"""The gallery in a real browser, Chromium without a window. Skipped where it is not installed.

`python tests/test_gallery.py` writes the screenshot of docs/serving.md.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg_bytes
from PIL import Image

import lic_native
from lic_native import jpeg

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
#: Colours of pictures that a screenshot is searched for.
COLOURS = [(200, 30, 30), (30, 160, 60), (40, 60, 210)]


@contextmanager
def served(folder: Path):
    """Serve a folder with its gallery by the command, and yield the URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(Path(lic_native.__file__).parents[1])}
    command = [sys.executable, "-m", "lic_native", "serve", str(folder), "--gallery", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}/"
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{url}healthz") as answer:
                    assert answer.read() == b"ok\n"
                break
            except OSError:
                assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.communicate()


def screenshot(url: str, width: int, height: int) -> Image.Image:
    """Return what Chromium shows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.png")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        # Root, as in a container, has no sandbox. The time is the browser's own, which waits for the network.
        options += [f"--user-data-dir={folder}", f"--window-size={width},{height}", "--virtual-time-budget=20000"]
        done = subprocess.run([CHROMIUM, *options, f"--screenshot={path}", url], capture_output=True, text=True)
        assert path.exists(), done.stderr
        return Image.open(io.BytesIO(path.read_bytes())).convert("RGB")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_the_pictures(tmp_path):
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    (tmp_path / "a b").mkdir()
    for index, colour in enumerate(COLOURS):
        buffer = io.BytesIO()
        Image.new("RGB", (160, 120), colour).save(buffer, "JPEG", quality=95)
        (tmp_path / f"a b/ä&{index}.jpg.lic").write_bytes(jpeg.compress(buffer.getvalue()))
    (tmp_path / "page.html.lic").write_bytes(jpeg.compress(b"<script>document.title='run'</script>"))
    with served(tmp_path) as url:
        shown = np.asarray(screenshot(url, 1000, 600)).astype(int)
    for colour in COLOURS:
        assert (np.abs(shown - colour).max(-1) < 8).sum() > 10_000, colour
    assert (np.abs(shown - 0x11).max(-1) < 8).sum() > 10_000  # The background.


def write_screenshot(target: Path) -> None:
    """Write the gallery of synthetic pictures, and of a portrait in the public domain (tests/data)."""
    with tempfile.TemporaryDirectory() as folder:
        shapes = [(300, 400), (300, 450), (280, 400), (300, 300), (400, 320)]
        pictures = [jpeg_bytes(*shape, seed=seed, quality=85) for seed, shape in enumerate(shapes)]
        for index, data in enumerate([(ROOT / "tests/data/grace_hopper.jpg").read_bytes(), *pictures]):
            Path(folder, f"{index}.jpg.lic").write_bytes(jpeg.compress(data))
        with served(Path(folder)) as url:
            screenshot(url, 960, 495).save(target, quality=75)


if __name__ == "__main__":
    write_screenshot(ROOT / "docs/gallery.jpg")
