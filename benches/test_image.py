"""lic_native and its peers on one photograph, each at a middle setting. `make rd` measures whole folders."""

from pathlib import Path

import pytest
from PIL import Image

from lic_native.evaluation.codecs import image_codecs

with Image.open(Path(__file__).parents[1] / "tests" / "data" / "grace_hopper.jpg") as opened:
    PHOTO = opened.convert("RGB")


def coded(codec):
    return codec.encode(PHOTO, codec.settings[len(codec.settings) // 2])


@pytest.mark.parametrize("codec", image_codecs(), ids=lambda codec: codec.name)
def test_encode(codec, benchmark):
    benchmark.group = "image encode"
    assert codec.decode(benchmark(coded, codec)).size == PHOTO.size


@pytest.mark.parametrize("codec", image_codecs(), ids=lambda codec: codec.name)
def test_decode(codec, benchmark):
    benchmark.group = "image decode"
    assert benchmark(codec.decode, coded(codec)).size == PHOTO.size
