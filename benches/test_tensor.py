"""`lic_native.encode` and `decode` compared with zlib, on latents of a million elements."""

import zlib

import numpy as np
import pytest

import lic_native

LATENTS = np.rint(np.random.default_rng(0).laplace(0, np.geomspace(0.2, 20, 64)[:, None], (64, 16384))).astype(np.int16)


def zlib_decode(data: bytes) -> np.ndarray:
    return np.frombuffer(zlib.decompress(data), np.int16).reshape(LATENTS.shape)


CODECS = {
    "lic_native": (lic_native.encode, lic_native.decode),
    "zlib": (lambda array: zlib.compress(array.tobytes()), zlib_decode),
}


@pytest.mark.parametrize("name", CODECS)
def test_encode(name, benchmark):
    benchmark.group = "tensor encode"
    encode, decode = CODECS[name]
    coded = benchmark(encode, LATENTS)
    benchmark.extra_info["bytes"] = len(coded)
    assert np.array_equal(decode(coded), LATENTS)


@pytest.mark.parametrize("name", CODECS)
def test_decode(name, benchmark):
    benchmark.group = "tensor decode"
    encode, decode = CODECS[name]
    coded = encode(LATENTS)
    assert np.array_equal(benchmark(decode, coded), LATENTS)
