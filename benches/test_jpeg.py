"""lic_native and its peers on one JPEG file. `make table` measures whole folders."""

from pathlib import Path

import pytest

from lic_native.evaluation.codecs import jpeg_codecs

PHOTO = (Path(__file__).parents[1] / "tests" / "data" / "grace_hopper.jpg").read_bytes()


@pytest.mark.parametrize("codec", jpeg_codecs(), ids=lambda codec: codec.name)
def test_encode(codec, benchmark):
    benchmark.group = "jpeg encode"
    coded = benchmark(codec.encode, PHOTO)
    assert bytes(codec.decode(coded)) == PHOTO


@pytest.mark.parametrize("codec", jpeg_codecs(), ids=lambda codec: codec.name)
def test_decode(codec, benchmark):
    benchmark.group = "jpeg decode"
    coded = codec.encode(PHOTO)
    assert bytes(benchmark(codec.decode, coded)) == PHOTO
