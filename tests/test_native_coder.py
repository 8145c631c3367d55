"""The native coder: `lic_native.jpeg` with the profile "native", and the native functions that it uses."""

import hashlib
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import jpeg_bytes
from PIL import Image

import lic_native
from lic_native import _native, jpeg

#: The process uses four cores, because each core needs memory. `getrusage` would include the parent's peak memory.
RUN = """
import hashlib, os, re, sys
from pathlib import Path
if sys.platform == "linux":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:4])
from lic_native import jpeg
data = open(sys.argv[1], "rb").read()
small = jpeg.compress(data, profile="native")
same = jpeg.decompress(small) == data
status = Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) // 1024 if status.exists() else 0
print(hashlib.sha256(small).hexdigest(), same, "torch" in sys.modules, peak)
"""


def run(path, **environment: str) -> tuple[str, bool, bool, int]:
    """Compress a file in another process. Return its hash, whether it is restored, whether torch is used, and MiB."""
    command = [sys.executable, "-c", RUN, path]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    digest, same, torch, peak = done.stdout.split()
    return digest, same == "True", torch == "True", int(peak)


def test_every_instruction_set_gives_the_same_bytes_without_torch(tmp_path, photo):
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo + jpeg_bytes(mode="CMYK", progressive=True))
    expected = hashlib.sha256(jpeg.compress(path.read_bytes(), profile="native")).hexdigest()
    for name in ("scalar", "avx2", "avx512", "neon"):
        assert run(path, LIC_SIMD=name)[:3] == (expected, True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_33_megapixels_take_256_megabytes(tmp_path, photo):
    path = tmp_path / "large.jpg"
    Image.open(io.BytesIO(photo)).resize((6720, 4928)).save(path, quality=90)
    _, same, _, peak = run(path)
    assert same
    assert peak < 256


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_coefficients_of_any_size_come_back(mode):
    frame, planes, _ = _native.jpeg_read(jpeg_bytes(70, 90, mode=mode))
    rng = np.random.default_rng(0)
    low, high = np.iinfo(np.int16).min, np.iinfo(np.int16).max
    for make in (
        lambda size: np.zeros(size, np.int16),
        lambda size: rng.integers(low, high, size, np.int16, endpoint=True),
        lambda size: rng.choice([low, high], size).astype(np.int16),
        lambda size: rng.geometric(0.9, size).astype(np.int16) - 1,
    ):
        planes = [make(plane.size) for plane in planes]
        coded = _native.context_encode(frame, planes, 1)
        for threads in (0, 1, 3):
            assert all(map(np.array_equal, _native.context_decode(frame, coded, threads), planes))


def test_planes_that_do_not_fit_the_frame_are_refused():
    frame, planes, _ = _native.jpeg_read(jpeg_bytes())
    coded = _native.context_encode(frame, planes, 1)
    for wrong in (planes[:2], [*planes, planes[0]], [plane[:-1] for plane in planes]):
        with pytest.raises(ValueError, match="do not fit"):
            _native.context_encode(frame, wrong, 1)
    with pytest.raises(TypeError):
        _native.context_encode(frame, [plane.astype(np.int32) for plane in planes], 1)
    other, _, _ = _native.jpeg_read(jpeg_bytes(104, 128))
    with pytest.raises(lic_native.LicError):
        _native.context_decode(other, coded, 1)
