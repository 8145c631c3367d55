"""The same integers everywhere: what the promise that a file decodes on any machine rests on."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import jpeg_bytes
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lic_native import _native, jpeg
from lic_native.models import mlcc, zoo
from lic_native.nn import exact


@pytest.fixture(scope="module")
def model():
    return zoo.load("mlcc-fast", "cpu")


def streams(model, data: bytes) -> list[bytes]:
    frame, planes, _ = _native.jpeg_read(data)
    return jpeg.encode_planes(model, frame, planes)


@given(st.integers(0, 2**32), st.integers(1, 300), st.floats(-8, 8), st.booleans())
def test_fixed_layers_add_exactly_in_any_order(seed, inputs, log_size, with_bias):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(inputs, 5, bias=with_bias).requires_grad_(False)
    layer.weight.copy_(torch.randn(5, inputs, generator=generator) * 2**log_size)
    before = layer.weight.clone()
    steps = torch.exp2(torch.randint(-12, 1, (inputs,), generator=generator).float())
    limits = steps * 2.0 ** torch.randint(1, 10, (inputs,), generator=generator)
    exact.fix_weight(layer.weight, layer.bias, steps, limits)
    # The error of a weight is below what its smallest inputs could show.
    assert (layer.weight - before).abs().max() <= before.abs().max()
    # The worst case of every partial sum, all inputs at their limits with the weights' signs, is exact: it equals the
    # sum in float64 in another order.
    worst = limits * layer.weight[0].sign()
    bias = 0.0 if layer.bias is None else layer.bias.double()
    order = torch.randperm(inputs, generator=generator)
    for x in (worst, -worst, (torch.rand(inputs, generator=generator) * limits / steps).round() * steps):
        expected = (x.double()[order] * layer.weight.double()[:, order]).sum(1) + bias
        assert torch.equal(layer(x).double(), expected)
        assert torch.equal(F.linear(x[order], layer.weight[:, order], layer.bias), layer(x))


def test_layers_that_cannot_be_exact_are_refused():
    weight = torch.full((1, 2**20), 1.0)
    steps, limits = torch.full((2**20,), 2.0**-8), torch.full((2**20,), 2.0)
    with pytest.raises(ValueError, match="cannot be made exact"):
        exact.fix_weight(weight, None, steps, limits)


def test_every_product_of_the_model_is_exact(model, photo, monkeypatch):
    """Each layer's float32 result over a real photograph equals its float64 one."""
    checked = 0

    def linear(layer, inputs, output):
        nonlocal checked
        x, bias = inputs[0].double(), None if layer.bias is None else layer.bias.double()
        assert torch.equal(output.double(), F.linear(x, layer.weight.double(), bias))
        checked += 1

    def conv3x3(x, weight):
        nonlocal checked
        result = exact.conv3x3(x, weight)
        assert torch.equal(result.double(), exact.conv3x3_as_product(x.double(), weight.double()))
        assert torch.equal(result, exact.conv3x3_as_product(x, weight))
        checked += 1
        return result

    monkeypatch.setattr(mlcc, "conv3x3", conv3x3)
    hooks = [m.register_forward_hook(linear) for m in model.modules() if isinstance(m, nn.Linear)]
    try:
        for data in (photo, jpeg_bytes(quality=98, subsampling=0), jpeg_bytes(quality=40, subsampling=1)):
            streams(model, data)
    finally:
        for hook in hooks:
            hook.remove()
    assert checked > 500


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_bytes_depend_neither_on_threads_nor_on_libraries_nor_on_settings(model, photo):
    expected = streams(model, photo)
    threads = torch.get_num_threads()
    frame, planes, _ = _native.jpeg_read(photo)
    (tile,) = jpeg.Grids(frame, planes).tiles

    def coded() -> bytes:
        (stream,) = jpeg.encode_tiles(model, [tile])
        return stream

    backends = []
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # since torch 2.9
        backends = [torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]

    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert [coded()] == expected
        with torch.backends.mkldnn.flags(enabled=False):
            assert [coded()] == expected
        for backend in backends:
            backend.fp32_precision = "bf16"
        with torch.autocast("cpu", torch.bfloat16):
            assert [coded()] == expected
        assert all(backend.fp32_precision == "bf16" for backend in backends)
    finally:
        for backend in backends:
            backend.fp32_precision = "none"
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "setting",
    [{"ONEDNN_MAX_CPU_ISA": "SSE41"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"MKL_CBWR": "COMPATIBLE"},
     {"ATEN_CPU_CAPABILITY": "default"}, {"ATEN_CPU_CAPABILITY": "avx2"}, {"OMP_NUM_THREADS": "1"}],
    ids=str,
)  # fmt: skip
def test_bytes_do_not_depend_on_the_instruction_set(photo, tmp_path, setting):
    """Another process on kernels for another processor decodes what this one coded, and codes the same."""
    (tmp_path / "small").write_bytes(jpeg.compress(photo))
    (tmp_path / "photo").write_bytes(photo)
    code = (
        "import sys; from lic_native import jpeg; small, photo = (open(p, 'rb').read() for p in sys.argv[1:]);"
        "assert jpeg.decompress(small) == photo; assert jpeg.compress(photo) == small"
    )
    command = [sys.executable, "-c", code, tmp_path / "small", tmp_path / "photo"]
    subprocess.run(command, check=True, env=os.environ | setting)


def test_a_batch_gives_what_its_pictures_give_alone(model):
    """The rate meter sees the same parameters for a picture alone and in a batch."""
    from lic_native.training.photographs import quantised, random_tables

    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), generator=generator, dtype=torch.uint8)
    tables = random_tables(3, generator)
    shape, picture = quantised(pixels, "4:2:0", tables)

    class Recorder:
        def __init__(self):
            self.params = []

        def code(self, mixture, symbols):
            from lic_native.coder import to_params

            self.params.append(to_params(mixture))
            return symbols

    together = Recorder()
    model.run(together, shape, tables, picture)
    for i in range(3):
        alone = Recorder()
        one = mlcc.Picture(picture.luma[i : i + 1], tuple(c[i : i + 1] for c in picture.chroma))
        model.run(alone, shape, tables[i : i + 1], one)
        assert all(torch.equal(a[0], t[i]) for a, t in zip(alone.params, together.params))


@given(st.integers(1, 65535))
def test_log2_is_right_to_a_256th(q):
    import math

    value = float(exact.log2_table(torch.tensor([q])))
    assert value <= math.log2(q) < value + 1 / 256


def test_the_meters_rate_is_the_streams_size(model, photo):
    from lic_native.coder import RateMeter

    frame, planes, _ = _native.jpeg_read(photo)
    (tile,) = jpeg.Grids(frame, planes).tiles
    meter = RateMeter()
    model.run(meter, tile.shape, tile.tables, jpeg._picture([tile]))
    (stream,) = streams(model, photo)
    assert float(meter.bits()) / 8 == pytest.approx(len(stream), rel=0.01)
