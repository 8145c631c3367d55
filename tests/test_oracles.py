"""Coefficients and tables equal those of torchjpeg (libjpeg) and Pillow (libjpeg-turbo)."""

import io

import numpy as np
import pytest
from conftest import jpeg_bytes
from PIL import Image

from lic_native import jpeg
from lic_native.models.sampling import zigzag

RASTER = [8 * row + column for row, column in zigzag()]

FILES = {
    "photograph": None,
    "4:2:0": jpeg_bytes(90, 120),
    "4:4:4": jpeg_bytes(90, 120, subsampling=0, quality=92),
    "4:2:2": jpeg_bytes(33, 50, subsampling=1),
    "gray": jpeg_bytes(64, 64, mode="L"),
    "progressive": jpeg_bytes(90, 120, progressive=True),
}


@pytest.fixture(params=FILES)
def data(request, photo):
    return FILES[request.param] or photo


def test_coefficients_equal_torchjpegs(data, tmp_path):
    codec = pytest.importorskip("torchjpeg.codec", reason="torchjpeg is built by `make test`")
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    _, tables, luma, chroma = codec.read_coefficients(str(path))
    theirs = [luma[0]] if chroma is None else [luma[0], *chroma]
    ours = jpeg.read_coefficients(data)
    assert len(theirs) == len(ours.planes)
    for c, (plane, expected) in enumerate(zip(ours.planes, theirs)):
        flat = expected.numpy().reshape(*expected.shape[:2], 64)[..., RASTER]
        rows, columns = plane.shape[1:]
        assert np.array_equal(plane, flat.transpose(2, 0, 1)[:, :rows, :columns])
        assert np.array_equal(ours.tables[c], tables[c].numpy().reshape(64)[RASTER])


def test_tables_equal_pillows(data):
    image = Image.open(io.BytesIO(data))
    ours = jpeg.read_coefficients(data)
    used = sorted(image.quantization)
    for c, table in enumerate(ours.tables):
        expected = np.array(image.quantization[used[min(c, len(used) - 1)]])
        assert np.array_equal(table, expected[RASTER])
