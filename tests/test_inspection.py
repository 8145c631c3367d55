"""One door to all data that lic_native writes."""

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, photograph

import lic_native
from lic_native import image, jpeg

GAUSSIAN = lic_native.Gaussian(0.0, 2.0)
SYMBOLS = np.arange(6, dtype=np.int16).reshape(2, 3)
DATA = {
    "stored": lambda: jpeg.compress(b"a text"),
    "jpeg": lambda: jpeg.compress(jpeg_bytes(), profile="native"),
    "image": lambda: image.compress(photograph(32, 48), profile="fast", device="cpu"),
    "tensor": lambda: lic_native.encode(SYMBOLS),
    "symbols": lambda: lic_native.encode(torch.from_numpy(SYMBOLS), GAUSSIAN),
}


@pytest.mark.parametrize("kind", DATA)
def test_every_kind_is_told_and_described(kind):
    data = DATA[kind]()
    assert lic_native.kind(data) == lic_native.kind(memoryview(data)[:6]) == kind
    info = lic_native.inspect(data)
    assert (info.kind, info.file_bytes) == (kind, len(data))
    if kind in ("tensor", "symbols"):
        library = "torch" if kind == "symbols" else "numpy"
        assert (info.dtype, info.shape, info.library) == ("int16", (2, 3), library)
    else:
        assert info == (image if kind == "image" else jpeg).inspect(data)
    with pytest.raises(lic_native.LimitExceededError):
        lic_native.inspect(data, limits=lic_native.Limits(max_input_bytes=5))


@pytest.mark.parametrize("data", [b"", b"\x89LI", b"\x89LIC\x01"])
def test_too_short_a_head_tells_nothing(data):
    with pytest.raises(lic_native.TruncatedError):
        lic_native.kind(data)


@pytest.mark.parametrize("data", [jpeg_bytes(), b"a text", b"\x89LIC\x02\0", b"\x89LIC\x01\x09", bytes(9)])
def test_other_data_are_refused(data):
    for tell in (lic_native.kind, lic_native.inspect):
        with pytest.raises(lic_native.UnsupportedError):
            tell(data)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="head must be a bytes-like object, not str"):
        lic_native.kind("file.lic")
    with pytest.raises(TypeError, match=r"limits must be a lic_native\.Limits"):
        lic_native.inspect(b"", limits=5)
