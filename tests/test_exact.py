"""The same integers everywhere: what the promise that a file decodes on any machine rests on."""

import io
import math
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import NETWORKS, cut, jpeg_bytes, photograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lic_native import _native, image, jpeg
from lic_native.coding import coder
from lic_native.coding.mixture import Mixture, to_params
from lic_native.coding.rate import RateMeter
from lic_native.errors import InexactDeviceError
from lic_native.image import torch_coder
from lic_native.jpeg import network, tiles
from lic_native.jpeg.torch_network import TorchNetwork, model_input
from lic_native.models import mlcc, msp, registry
from lic_native.models.rate_points import LAST
from lic_native.models.sampling import Picture, Shape
from lic_native.nn import exact, quantizer

#: The modules whose layers convolve in exact networks.
CONVOLVING = mlcc, msp
#: A picture, coded through a coder as in a file.
Walk = Callable[[coder.SymbolCoder], object]


class Subject(NamedTuple):
    """A model and pictures of its kind, the first the largest."""

    model: nn.Module
    walks: list[Walk]


@pytest.fixture(scope="module", params=NETWORKS)
def profile(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(profile):
    return registry.load(registry.PROFILES[profile], "cpu")


@pytest.fixture(scope="module")
def data(profile, photo) -> bytes:
    return large(profile, photo)


def large(profile: str, photo: bytes) -> bytes:
    """A photograph, 4:2:0: of a size that each profile takes a second for."""
    return photo if profile == "fast" else cut(photo, 240, 200)


#: 4:4:4, 4:2:2, 4:2:0 and gray.
SAMPLINGS = [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"mode": "L"}]
#: The models for images that are exact networks.
IMAGE_NETWORKS = [name for name in registry.IMAGE_PROFILES.values() if name != "bls2017"]


@pytest.fixture(scope="module", params=[*NETWORKS, *IMAGE_NETWORKS, "small"])
def subject(request, photo, small_msp) -> Subject:
    name = request.param
    if name in NETWORKS:
        model = registry.load(registry.PROFILES[name], "cpu")
        files = [cut(photo, 136, 104, quality=q, **o) for o in SAMPLINGS for q in (30, 50, 75, 90, 98)]
        pictures = map(whole, (large(name, photo), *files))
        return Subject(model, [lambda coder, picture=picture: model.run(coder, *picture) for picture in pictures])
    model = small_msp if name == "small" else registry.load_image(name, "cpu")
    samples = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
    pixels = torch.from_numpy(samples[100:324, 100:356].copy()).permute(2, 0, 1)[None].float() / 255
    walks = []
    for quality, (height, width) in ((230, (224, 256)), (0, (112, 144)), (77, (16, 48)), (LAST, (112, 144))):
        with torch.inference_mode():
            symbols = model.encode(pixels[..., :height, :width], torch.tensor([quality])).round()
        walks.append(partial(torch_coder.walk, model, index=quality, size=symbols.shape[2:], symbols=symbols))
    return Subject(model, walks)


def coded(walk: Walk, calibrate=False) -> list[bytes]:
    encoder = coder.StreamEncoder(calibrate=calibrate)
    walk(encoder)
    return encoder.finish()


def parameters(walk: Walk) -> list[torch.Tensor]:
    """Those of all mixtures, group by group."""
    recorder = Recorder()
    walk(recorder)
    return recorder.params


def streams(model, data: bytes) -> list[bytes]:
    frame, planes, _ = _native.jpeg_read(data)
    return network.encode_planes(TorchNetwork(model), frame, planes)


def whole(data: bytes) -> tuple[Shape, torch.Tensor, Picture]:
    """What the model takes of a JPEG file that is one tile."""
    (tile,) = tiles.Grids(*_native.jpeg_read(data)[:2]).tiles
    return model_input([tile])


class Recorder:
    """A coder that keeps what a stream would be made with."""

    def __init__(self):
        self.params = []

    def code(self, mixture, symbols):
        self.params.append(to_params(mixture))
        return symbols


@given(st.integers(0, 2**32), st.integers(1, 300), st.floats(-8, 8), st.booleans())
def test_quantized_layers_add_exactly_in_any_order(seed, inputs, log_size, with_bias):
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(inputs, 5, bias=with_bias).requires_grad_(False)
    layer.weight.copy_(torch.randn(5, inputs, generator=generator) * 2**log_size)
    before = layer.weight.clone()
    steps = torch.exp2(torch.randint(-12, 1, (inputs,), generator=generator).float())
    limits = steps * 2.0 ** torch.randint(1, 10, (inputs,), generator=generator)
    exact.quantize_weight(layer.weight, layer.bias, steps, limits)
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
        exact.quantize_weight(weight, None, steps, limits)


def test_every_product_of_the_model_is_exact(subject, monkeypatch):
    """Each layer's float32 result over real photographs equals its float64 one."""
    checked, convolutions = set(), 0

    def linear(layer, inputs, output):
        x, bias = inputs[0].double(), None if layer.bias is None else layer.bias.double()
        assert torch.equal(output.double(), F.linear(x, layer.weight.double(), bias))
        checked.add(layer)

    def conv3x3(x, weight):
        nonlocal convolutions
        result = exact.conv3x3(x, weight)
        assert torch.equal(result.double(), exact.conv3x3_as_product(x.double(), weight.double()))
        assert torch.equal(result, exact.conv3x3_as_product(x, weight))
        convolutions += 1
        return result

    for module in CONVOLVING:
        monkeypatch.setattr(module, "conv3x3", conv3x3)
    layers = [m for m in subject.model.modules() if isinstance(m, nn.Linear)]
    with hooked(layers, linear):
        for walk in subject.walks[:: max(1, len(subject.walks) // 4)]:
            walk(Recorder())
    assert checked == set(layers) and convolutions > 9


@contextmanager
def hooked(layers, hook) -> Iterator[None]:
    hooks = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


#: What does on the CPU in one pass what several of torch's operations do elsewhere.
ONE_PASS = {"activate", "normalise", "mixture_params"}


def test_one_pass_gives_what_torch_gives(subject, monkeypatch):
    """The parameters of all symbols of real pictures at all qualities, by the native functions and by torch's."""
    called = Counter()

    def counted(name):
        function = getattr(_native, name)

        def call(*arguments):
            called[name] += 1
            return function(*arguments)

        return call

    for name in ONE_PASS:
        monkeypatch.setattr(_native, name, counted(name))
    in_one_pass = [parameters(walk) for walk in subject.walks[1:]]
    assert called.keys() == ONE_PASS
    called.clear()
    for module in [m for n, m in sys.modules.items() if n.startswith("lic_native") and hasattr(m, "in_one_pass")]:
        monkeypatch.setattr(module, "in_one_pass", lambda x: False)
    for walk, expected in zip(subject.walks[1:], in_one_pass):
        assert all(map(torch.equal, parameters(walk), expected))
    assert not called


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
#: Halves of a step: ties of rounding.
HALVES = st.integers(-(2**17), 2**17).map(lambda n: n / 2)
COEFFICIENTS = st.integers(-(2**15), 2**15).map(float)


@st.composite
def units(draw, count: int) -> torch.Tensor:
    """Standard deviations over quantisers, `[1, 1, 1, count]`: any that the format allows, some a power of two."""
    deviation = st.integers(1, 65535).map(lambda n: n / 64) | st.integers(-6, 9).map(lambda n: 2.0**n)
    table = st.sampled_from([1, 65535]) | st.integers(1, 65535) | st.integers(0, 15).map(lambda n: 2**n)
    quotient = st.tuples(deviation, table).map(lambda pair: pair[0] / pair[1])
    few = draw(st.lists(quotient, min_size=1, max_size=count))
    return torch.tensor((few * count)[:count]).view(1, 1, 1, count)


def blocks(count: int) -> st.SearchStrategy[torch.Tensor]:
    """Up to 6 blocks of coefficients, `[1, rows, 2, count]`."""
    few = st.lists(COEFFICIENTS | st.integers(-2, 2).map(float), min_size=1, max_size=count)
    blocks = st.lists(few.map(lambda values: (values * count)[:count]), max_size=3)
    return blocks.map(lambda rows: torch.tensor([rows, rows[::-1]]).view(1, len(rows), 2, count))


def both_ways(function) -> tuple:
    """What a function gives in one pass, and by torch's operations, which remember how to differentiate."""
    with torch.no_grad():
        in_one_pass = function()
    with torch.enable_grad():
        return in_one_pass, function()


@pytest.fixture(scope="module")
def normalize() -> quantizer.Normalize:
    """Return a module of an exact network."""
    module = quantizer.Normalize()
    module.fine.enable()
    module.coarse.enable()
    return module


@given(st.lists(FLOATS | HALVES, max_size=40), st.integers(1, 22), st.integers(-20, 30))
def test_activations_in_one_pass(values, bits, log_limit):
    rounding = quantizer.Quantizer(bits, 2.0**log_limit)
    rounding.enable()
    step = float(rounding.step)
    x = torch.tensor(values)
    for y in (x, x * step, x * step / quantizer.SLOPE):
        y = y.clamp(-torch.finfo().max, torch.finfo().max)
        assert torch.equal(*both_ways(lambda y=y: rounding.leaky_relu(y.clone())))


@given(blocks(9), units(9))
def test_normalisation_in_one_pass(normalize, x, unit):
    for one, many in zip(*both_ways(lambda: normalize(x, 1 / unit))):
        assert torch.equal(one, many)


@given(st.data(), units(3), st.booleans())
def test_mixtures_in_one_pass(data, unit, with_mean):
    floats = FLOATS | HALVES | HALVES.map(lambda x: x / 16) | st.floats(-8, 8, width=32)
    rows = data.draw(st.lists(st.lists(floats, min_size=18, max_size=18), max_size=4))
    values = torch.tensor(rows).view(1, len(rows), 1, 3, 6)
    mean = values[..., 5] if with_mean else None
    level = unit.log2().mul(256).round() / 256 * math.log(2)
    for each in (
        Mixture(values[..., :5], mean, unit, level),
        Mixture(values[..., :5], mean, unit[..., :1].view(1), level[..., :1].view(1)),
    ):
        assert torch.equal(*both_ways(lambda each=each: to_params(each)))


def test_onednn_and_torch_agree(subject):
    """Every matrix product over a real photograph, by either library."""
    if not exact._has_onednn():
        pytest.skip("torch was built without oneDNN")
    checked = set()

    def linear(layer, inputs, output):
        assert torch.equal(output, exact._onednn_linear(inputs[0], layer.weight, layer.bias))
        assert torch.equal(output, F.linear(inputs[0], layer.weight, layer.bias))
        checked.add(layer)

    layers = [m for m in subject.model.modules() if isinstance(m, exact.Linear)]
    with hooked(layers, linear):
        subject.walks[0](Recorder())
    assert checked == set(layers)


def test_bytes_do_not_depend_on_what_onednn_can_do(subject, monkeypatch):
    expected = coded(subject.walks[0])
    monkeypatch.setattr(exact, "_onednn_is_exact", lambda inputs, outputs, bias: False)
    assert coded(subject.walks[0]) == expected
    monkeypatch.setattr(exact, "_convolution_is_exact", lambda inputs, outputs: False)
    assert coded(subject.walks[0]) == expected


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_what_convolves_without_onednn_has_not_been_tried(monkeypatch):
    x, weight = torch.rand(1, 5, 6, 8), torch.rand(16, 8, 3, 3)
    expected = exact.conv3x3_as_product(x, weight)
    monkeypatch.setattr(exact, "_direct_convolution", None)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(exact.conv3x3(x, weight), expected)


@pytest.fixture
def probes():
    """What has been found of other shapes is forgotten, before and after."""
    found = exact._product_is_exact, exact._onednn_is_exact, exact._convolution_is_exact
    for probe in found:
        probe.cache_clear()
    yield found
    for probe in found:
        probe.cache_clear()


def to_bits(x, bits):
    """Round to a mantissa of so many bits, the hidden one included: 8 of bfloat16, 11 of TF32."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp((mantissa * 2**bits).round(), exponent - bits)


def rounded(product, of_inputs=8, of_weights=8):
    """A product as TF32 or bfloat16 make it."""
    return lambda x, weight, *more: product(to_bits(x, of_inputs), to_bits(weight, of_weights), *more)


def in_pieces(product):
    """A product of numbers in two pieces of bfloat16, without the product of the lower pieces ("bf16x3")."""

    def call(x, weight, bias=None):
        (high, low), (weight_high, weight_low) = (
            (t.bfloat16().float(), (t - t.bfloat16()).float()) for t in (x, weight)
        )
        low, weight_low = low.bfloat16().float(), weight_low.bfloat16().float()
        sums = product(high, weight_high, bias), product(high, weight_low, None), product(low, weight_high, None)
        return sum(sums[1:], sums[0])

    return call


def with_short_sums(product, bits):
    """A product whose sums over each half of the inputs are kept in fewer bits, as when a kernel splits them."""

    def call(x, weight, bias=None):
        half = -(-x.shape[-1] // 2)
        sums = [
            to_bits(product(x[..., part], weight[:, part], None), bits) for part in (slice(half), slice(half, None))
        ]
        return sums[0] + sums[1] + (0 if bias is None else bias)

    return call


def without_last_bit(product):
    """A product whose result has 23 bits."""
    return lambda *arguments: to_bits(product(*arguments), 23)


def with_half_bias(product):
    """A product whose bias is added in half precision."""
    return lambda x, weight, bias=None: product(x, weight, None if bias is None else bias.half().float())


#: What libraries do to products, or could.
LOSSES = {
    "bfloat16": rounded(F.linear),
    "TF32": rounded(F.linear, 11, 11),
    "TF32 of the inputs": rounded(F.linear, 11, 24),
    "TF32 of the weights": rounded(F.linear, 24, 11),
    "inputs without their last bits": rounded(F.linear, 20, 24),
    "weights without their last bits": rounded(F.linear, 24, 21),
    "in pieces of bfloat16": in_pieces(F.linear),
    "sums of half the inputs in bfloat16": with_short_sums(F.linear, 8),
    "sums of half the inputs without a bit": with_short_sums(F.linear, 22),
    "without the last bit": without_last_bit(F.linear),
}
#: Inputs and outputs: the smallest, odd and large ones.
SHAPES = [(11, 32), (16, 48), (64, 1), (64, 7), (132, 64), (321, 96), (3456, 400)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_tried_find_every_loss(shape):
    cpu = torch.device("cpu")
    assert exact._is_exact(F.linear, *shape, True, cpu) and exact._is_exact(F.linear, *shape, False, cpu)
    missed = {name for name, product in LOSSES.items() if exact._is_exact(product, *shape, False, cpu)}
    assert not missed
    assert not exact._is_exact(with_half_bias(F.linear), *shape, True, cpu)


@given(st.integers(1, 400), st.integers(1, 40), st.sampled_from([1, 9]))
def test_numbers_tried_are_exact_and_fill_24_bits(inputs, outputs, taps):
    (dense, dense_weight, bias), (sparse, sparse_weight, _) = exact._numbers(inputs, outputs, taps)
    for numbers in (dense, dense_weight, sparse, sparse_weight, bias):
        assert torch.equal(numbers, numbers.round()) and numbers.abs().max() > 0
    magnitudes = [
        (dense.abs().double().repeat_interleave(taps, 1), dense_weight.abs().double()),
        (sparse.abs().double(), sparse_weight.abs().double().unflatten(1, (inputs, taps)).amax(2)),
    ]
    for x, weight in magnitudes:
        sums = x @ weight.T + bias.abs()
        assert sums.max() < exact.EXACT
    # Weights are from a half to the whole of what the bias leaves.
    assert (magnitudes[0][0][0] @ magnitudes[0][1].T).min() > (exact.EXACT - 1 - exact.BIAS) / 2
    assert (magnitudes[1][0] @ magnitudes[1][1].T).amax(1).min() > exact.EXACT / 4


@pytest.mark.parametrize("rows", exact.CUDA_ROWS)
def test_a_loss_for_some_number_of_vectors_is_found(monkeypatch, rows):
    """As for the shapes that a library splits, or multiplies in tiles."""
    monkeypatch.setattr(exact, "CPU_ROWS", exact.CUDA_ROWS)

    def product(x, weight, bias):
        y = F.linear(x, weight, bias)
        return without_last_bit(lambda: y)() if x[..., 0].numel() == rows else y

    assert not exact._is_exact(product, 16, 48, True, torch.device("cpu"))


@pytest.mark.parametrize("most", [48 * 4096, 48 * 4096 - 1, 47])
def test_no_more_vectors_than_were_tried_at_a_time(monkeypatch, most):
    """Of each product that an exact network has on a GPU, whose place the device without memory takes."""
    monkeypatch.setattr(exact, "MOST_NUMBERS", most)
    tried = max(rows for rows in exact.CUDA_ROWS if rows == 1 or 48 * rows <= most)
    assert exact._rows_tried(16, 48)[-1] == exact._rows_tried(48, 16)[-1] == tried
    seen = []

    def product(x):
        seen.append(x.shape[:-1].numel())
        return x.new_empty(*x.shape[:-1], 48)

    with torch.device("meta"):
        for shape in ((1, 1, 1), (2, 37, 150)):
            seen.clear()
            rows = torch.Size(shape).numel()
            assert exact.in_parts(product, torch.empty(*shape, 16), 48).shape == (*shape, 48)
            assert sum(seen) == rows and max(seen) == min(rows, tried)
        parts = []
        monkeypatch.setattr(exact, "in_parts", lambda product, x, outputs: parts.append(outputs) or product(x))
        monkeypatch.setattr(mlcc, "in_parts", exact.in_parts)
        with torch.no_grad():
            exact.Linear(16, 5)(torch.empty(3, 16))
            exact.conv3x3(torch.empty(1, 4, 4, 2), torch.empty(6, 2, 3, 3))
    mlcc.Features(8, torch.ones(64, 7))(torch.ones(1, 2, 2, 64), torch.ones(1, 1, 1, 64))
    assert parts == [5, 6, 7]


def transformed(x, weight):
    """A convolution by a Fourier transform, as libraries choose one for some shapes."""
    x, weight = x.permute(0, 3, 1, 2), weight
    size = [n + 2 for n in x.shape[2:]]
    product = torch.fft.rfft2(x, s=size)[:, None] * torch.fft.rfft2(weight.flip(2, 3), s=size)[None]
    return torch.fft.irfft2(product.sum(2), s=size)[..., 1:-1, 1:-1].permute(0, 2, 3, 1)


def winograd(x, weight):
    """A convolution by Winograd's F(4x4, 3x3), in float32 (Lavin and Gray 2015, arXiv 1509.09308)."""
    data = torch.tensor(
        [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
         [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], dtype=torch.float32)  # fmt: skip
    kernel = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
    result = torch.tensor([[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
    height, width = x.shape[1:3]
    rows, columns = -(-height // 4), -(-width // 4)
    padded = F.pad(x.permute(0, 3, 1, 2), (1, 4 * columns - width + 1, 1, 4 * rows - height + 1))
    tiles = padded.unfold(2, 6, 4).unfold(3, 6, 4)
    product = torch.einsum("ocij,bcyxij->boyxij", kernel @ weight @ kernel.T, data @ tiles @ data.T)
    return (result @ product @ result.T).permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)[:, :height, :width]


def convolution_losses():
    direct = exact._direct_convolution
    return {
        "bfloat16": rounded(direct),
        "TF32": rounded(direct, 11, 11),
        "TF32 of the inputs": rounded(direct, 11, 24),
        "TF32 of the weights": rounded(direct, 24, 11),
        "without the last bit": without_last_bit(direct),
        "Fourier": transformed,
        "Winograd": winograd,
    }


@pytest.mark.parametrize("loss", convolution_losses())
@pytest.mark.parametrize("shape", [(8, 16), (32, 32), (45, 74), (384, 400)], ids=str)
def test_numbers_tried_find_every_loss_of_a_convolution(probes, monkeypatch, shape, loss):
    assert exact._convolution_is_exact(*shape)
    exact._convolution_is_exact.cache_clear()
    convolve = convolution_losses()[loss]
    x, weight = torch.rand(1, 9, 14, shape[0]), torch.rand(shape[1], shape[0], 3, 3)
    torch.testing.assert_close(convolve(x, weight), exact._direct_convolution(x, weight), rtol=0.02, atol=0.1)
    monkeypatch.setattr(exact, "_direct_convolution", convolve)
    assert not exact._convolution_is_exact(*shape)


class Products(TorchDispatchMode):
    """Keeps the inputs and outputs of all matrix products and convolutions inside."""

    def __init__(self):
        super().__init__()
        self.shapes = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        # In inference mode products come whole, else in parts.
        assert not any(part in name for part in ("bmm", "baddbmm", "mv", "conv", "einsum", "::dot")), name
        if name in ("aten::linear", "aten::matmul", "aten::mm", "aten::addmm"):
            matrix = args[2 if name == "aten::addmm" else 1]
            self.shapes.add(tuple(matrix.T.shape if name == "aten::linear" else matrix.shape))
        return function(*args, **(kwargs or {}))


def test_every_product_of_a_walk_has_been_tried(probes, subject, monkeypatch):
    """Also those outside of layers. Elsewhere than on the CPU, all are products."""
    tried = set()
    with monkeypatch.context() as patch:
        patch.setattr(exact, "_product_is_exact", lambda inputs, outputs, *_: not tried.add((inputs, outputs)))
        exact.check_exact(subject.model.exact_part, torch.device("cuda"))
    monkeypatch.setattr(exact, "_onednn_is_exact", lambda *_: False)
    monkeypatch.setattr(exact, "_convolution_is_exact", lambda *_: False)
    for module in [m for n, m in sys.modules.items() if n.startswith("lic_native") and hasattr(m, "in_one_pass")]:
        monkeypatch.setattr(module, "in_one_pass", lambda x: False)
    with Products() as products:
        for walk in subject.walks[1:]:
            walk(Recorder())
    assert len(products.shapes) > 5
    assert products.shapes <= tried


def test_every_shape_that_a_model_has_is_tried(probes, subject):
    """Of its exact part: in other layers floats may be rounded as a library likes."""
    model = subject.model.exact_part
    exact.check_exact(model, torch.device("cpu"))
    before = [probe.cache_info().misses for probe in probes]
    linear = {
        (m.in_features, m.out_features, m.bias is not None) for m in model.modules() if isinstance(m, exact.Linear)
    }
    convolved = set()
    walk_convolutions(subject, lambda x, weight: convolved.add((weight.shape[1], weight.shape[0])))
    assert exact._convolution_is_exact.cache_info().currsize >= len(convolved) > 0
    assert all(map(exact._convolution_is_exact, *zip(*convolved)))
    if exact._has_onednn():
        assert exact._onednn_is_exact.cache_info().currsize == len(linear)
    # All that a walk takes had been tried already.
    for walk in subject.walks[1:]:
        walk(Recorder())
    assert [probe.cache_info().misses for probe in probes] == before


def walk_convolutions(subject, see):
    with pytest.MonkeyPatch.context() as patch:
        for module in CONVOLVING:
            patch.setattr(module, "conv3x3", lambda x, weight: (see(x, weight), exact.conv3x3(x, weight))[1])
        subject.walks[0](Recorder())


@pytest.mark.parametrize("convolve", [rounded(exact._direct_convolution), winograd], ids=["rounded", "Winograd"])
def test_where_one_convolution_is_inexact_a_product_is_taken(probes, model, monkeypatch, caplog, convolve):
    """Of the shapes that it is inexact for; and files stay the same."""
    data = jpeg_bytes(70, 120)
    expected = streams(model, data)
    direct, shapes = exact._direct_convolution, Counter()

    def sometimes(x, weight):
        shapes[tuple(weight.shape[:2])] += 1
        wrong = weight.shape == model.chroma_trunks[2].context.weight.shape
        return convolve(x, weight) if wrong else direct(x, weight)

    monkeypatch.setattr(exact, "_direct_convolution", sometimes)
    exact._convolution_is_exact.cache_clear()
    with caplog.at_level("DEBUG", "lic_native"):
        exact.check_exact(model, torch.device("cpu"))
    *slower, summary = [record.getMessage() for record in caplog.records]
    assert slower and all("context" in line and "not exact here" in line for line in slower)
    assert re.fullmatch(r"\d+ shapes of products and convolutions on cpu are exact", summary)
    assert len(shapes) > 5 > len(slower)
    assert streams(model, data) == expected


@pytest.mark.parametrize("rows", [1, 61])
def test_where_one_product_is_inexact_the_other_is_taken(probes, model, monkeypatch, caplog, rows):
    """For the layers of that shape only, also if it is inexact for one number of vectors; and files stay the same."""
    data = jpeg_bytes(70, 120)
    expected = streams(model, data)
    fast, wrong = exact._onednn_linear, model.luma_trunks[1].film.weight.shape
    taken = Counter()

    def sometimes(x, weight, bias):
        taken[tuple(weight.shape)] += 1
        y = fast(x, weight, bias)
        return without_last_bit(lambda: y)() if weight.shape == wrong and x[..., 0].numel() == rows else y

    monkeypatch.setattr(exact, "_onednn_linear", sometimes)
    exact._onednn_is_exact.cache_clear()
    with caplog.at_level("DEBUG", "lic_native"):
        exact.check_exact(model, torch.device("cpu"))
    slower = [line for line in (record.getMessage() for record in caplog.records) if "not exact here" in line]
    assert slower and all("film" in line for line in slower)
    taken.clear()
    assert streams(model, data) == expected
    assert len(taken) > 10 and tuple(wrong) not in taken


def test_where_products_are_inexact_the_layer_is_named(probes, model, monkeypatch):
    monkeypatch.setattr(exact, "_onednn_linear", rounded(exact._onednn_linear))
    before = exact.F.linear
    exact.check_exact(model, torch.device("cpu"))
    monkeypatch.setattr(exact.F, "linear", rounded(before))
    exact._product_is_exact.cache_clear()
    with pytest.raises(
        InexactDeviceError,
        match=r"products on cpu are not exact here, of layer conditioning.first from 132 to 64 channels",
    ):
        exact.check_exact(model, torch.device("cpu"))


def test_a_model_is_refused_for_one_product_that_is_inexact(model, monkeypatch):
    """On a device without faster ways: a convolution as a product, and a matrix that is no layer."""
    inputs = model.luma_trunks[6].context.weight.shape[1]
    for wrong, name in (9 * inputs, "luma_trunks.3.context"), (64, "luma_features"):
        monkeypatch.setattr(
            exact, "_product_is_exact", lambda *shape, wrong=wrong: (shape[0], shape[2]) != (wrong, None)
        )
        with pytest.raises(InexactDeviceError, match=rf"on cuda are not exact here, of layer {name} from {wrong} to"):
            exact.check_exact(model, torch.device("cuda"))


@contextmanager
def reduced_precision() -> Iterator[Callable[[], set[str]]]:
    """Torch is told to trade precision for speed. Yields what says how it is told at present."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # before torch 2.9
        torch.set_float32_matmul_precision("medium")
        try:
            yield lambda: {torch.get_float32_matmul_precision()}
        finally:
            torch.set_float32_matmul_precision("highest")
        return
    backends = [torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]
    for backend in backends:
        backend.fp32_precision = "bf16"
    try:
        yield lambda: {backend.fp32_precision for backend in backends}
    finally:
        for backend in backends:
            backend.fp32_precision = "none"


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_precision_is_full_while_a_model_runs(subject):
    """Few processors would show it in the bytes if it were not."""
    seen = []

    class Watcher(Recorder):
        def code(self, mixture, symbols):
            seen.append((torch.is_autocast_enabled("cpu"), *told()))
            return symbols

    with reduced_precision() as told, torch.autocast("cpu", torch.bfloat16):
        before = told()
        subject.walks[-1](Watcher())
        assert told() == before and torch.is_autocast_enabled("cpu")
    assert set(seen) <= {(False, "ieee"), (False, "highest")} and seen


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
def test_bytes_depend_neither_on_threads_nor_on_libraries_nor_on_settings(subject):
    walk = subject.walks[0]
    expected = coded(walk)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert coded(walk) == expected
        torch.set_num_threads(1)
        with torch.backends.mkldnn.flags(enabled=False):
            assert coded(walk) == expected
        with reduced_precision(), torch.autocast("cpu", torch.bfloat16):
            assert coded(walk) == expected
        torch.set_flush_denormal(True)
        torch.set_default_dtype(torch.float64)
        assert coded(walk) == expected
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def test_tiles_give_the_same_streams_on_any_number_of_threads_and_in_batches(model, monkeypatch):
    """Each walk waits for one on every other thread, so that as many are at work."""
    frame, planes, _ = _native.jpeg_read(jpeg_bytes(70, 120))
    monkeypatch.setattr(tiles, "TILE", 8)
    walk = type(model).walk
    coded = []
    for threads, batch in ((1, 1), (2, 1), (1, 2), (2, 2)):
        together = threading.Barrier(threads)
        pictures = []

        def beside_others(model, coder, shape, tables, picture=None, together=together, pictures=pictures):
            pictures.append(len(tables))
            together.wait(60)
            return walk(model, coder, shape, tables, picture)

        monkeypatch.setattr(type(model), "walk", beside_others)
        coder = TorchNetwork(model, batch)
        coded.append(network.encode_planes(coder, frame, planes, threads))
        assert pictures == [batch] * (4 // batch)
        for streams in coded:
            assert all(map(np.array_equal, network.decode_planes(coder, frame, streams, threads), planes))
    assert all(streams == coded[0] for streams in coded)


@pytest.mark.parametrize(
    "setting",
    [{"ONEDNN_MAX_CPU_ISA": "SSE41"}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"MKL_CBWR": "COMPATIBLE"},
     {"ATEN_CPU_CAPABILITY": "default"}, {"ATEN_CPU_CAPABILITY": "avx2"}, {"OMP_NUM_THREADS": "1"},
     {"LIC_SIMD": "scalar"}, {"LIC_SIMD": "avx2"},
     {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1", "NVIDIA_TF32_OVERRIDE": "1"}],
    ids=str,
)  # fmt: skip
def test_bytes_do_not_depend_on_the_instruction_set_or_the_environment(photo, tmp_path, setting):
    """Another process on kernels for another processor decodes what this one coded, and codes the same."""
    pictures = {"native": photo, "fast": photo, "best": cut(photo, 240, 200)}
    for profile, data in pictures.items():
        (tmp_path / f"{profile}.jpg").write_bytes(data)
        small = jpeg.compress(data, profile=profile)
        assert jpeg.inspect(small).pictures[0].model == registry.PROFILES[profile]
        (tmp_path / f"{profile}.lic").write_bytes(small)
    for profile in registry.IMAGE_PROFILES:
        small = image.compress(photograph(112, 160), profile=profile, device="cpu")
        np.save(tmp_path / f"{profile}.npy", image.latents(small, device="cpu"))
        (tmp_path / f"{profile}.image").write_bytes(small)
    code = """if True:
        import pathlib, sys
        import numpy as np
        from lic_native import image, jpeg
        from lic_native.image import container
        from lic_native.image.torch_coder import TorchCoder
        for small in pathlib.Path(sys.argv[1]).glob("*.lic"):
            data = small.with_suffix(".jpg").read_bytes()
            assert jpeg.decompress(small.read_bytes()) == data
            assert jpeg.compress(data, profile=small.stem) == small.read_bytes()
        for small in pathlib.Path(sys.argv[1]).glob("*.image"):
            latents = image.latents(small.read_bytes(), device="cpu")
            assert np.array_equal(latents, np.load(small.with_suffix(".npy")))
            body, codec = container.open_file(small.read_bytes(), "cpu", image.DEFAULT_LIMITS)
            for coder in (codec.coder, TorchCoder(codec.model)):
                assert coder.encode(latents, body.quality) == body.latents
                assert np.array_equal(coder.decode(body.latents, body.quality, latents.shape[1:]), latents)
    """
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=os.environ | setting)


def test_a_batch_gives_what_its_pictures_give_alone(model):
    """The rate meter sees the same parameters for a picture alone and in a batch."""
    from lic_native.training.data import TABLE_DRAWS, quantised, random_tables

    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), generator=generator, dtype=torch.uint8)
    tables = random_tables(torch.rand(3, TABLE_DRAWS, generator=generator))
    shape, picture = quantised(pixels, "4:2:0", tables)
    together = parameters(lambda coder: model.run(coder, shape, tables, picture))
    for i in range(3):
        one = Picture(picture.luma[i : i + 1], tuple(c[i : i + 1] for c in picture.chroma))
        alone = parameters(lambda coder, one=one, i=i: model.run(coder, shape, tables[i : i + 1], one))
        assert all(torch.equal(a[0], t[i]) for a, t in zip(alone, together))


@given(st.integers(1, 65535))
def test_log2_is_right_to_a_256th(q):
    value = float(exact.log2_table(torch.tensor([q])))
    assert value <= math.log2(q) < value + 1 / 256


def test_the_meters_rate_is_the_streams_size(subject, small_msp):
    meter = RateMeter()
    subject.walks[0](meter)
    (stream,) = coded(subject.walks[0])
    # The states of its lanes are more than a hundredth of what the small model makes.
    fixed = 4 * coder.LANES + 16 if subject.model is small_msp else 0
    assert float(meter.bits()) / 8 == pytest.approx(len(stream), rel=0.01, abs=fixed)


def test_a_file_holds_what_a_walk_gives(model, data):
    assert streams(model, data) == coded(lambda coder: model.run(coder, *whole(data)), calibrate=True)


def test_defaults_of_the_program_do_no_harm(photo):
    small, samples = jpeg.compress(photo, profile="fast"), photograph(40, 56)
    images = {profile: image.compress(samples, profile=profile, device="cpu") for profile in registry.IMAGE_PROFILES}
    registry._load.cache_clear()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"):
            assert jpeg.compress(photo, profile="fast") == small
            assert jpeg.decompress(small) == photo
            for profile, data in images.items():
                assert image.compress(samples, profile=profile, device="cpu") == data
                assert image.decompress(data, device="cpu").size == (56, 40)
    finally:
        torch.set_default_dtype(torch.float32)
