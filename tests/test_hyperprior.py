"""Side information: it comes first, decodes exactly, is learned through its rounding and grows on a trained model."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from conftest import jpeg_bytes, photograph
from torch import nn

from lic_native import _native
from lic_native.coding.coder import StreamDecoder, StreamEncoder
from lic_native.coding.rate import RateMeter
from lic_native.jpeg import network, tiles
from lic_native.jpeg.torch_network import TorchNetwork, model_input
from lic_native.models import hyperprior, mlcc
from lic_native.models.mlcc import Config, Mlcc
from lic_native.models.sampling import SAMPLINGS, Picture, Shape
from lic_native.nn import exact
from lic_native.training.data import annex_k, quantised
from lic_native.training.widen import widened

CONFIG = dataclasses.replace(mlcc.PROFILES["tiny"], z_channels=6)
#: Rows and columns of pixels: one block; more than one vector of z each way, neither whole; one row of blocks.
SIZES = ((1, 1), (75, 139), (8, 200))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def synthetic(sampling: str, quality: int = 75, seed: int = 0) -> tuple[Shape, torch.Tensor, Picture]:
    tables = annex_k(torch.full((2,), float(quality)))
    pixels = torch.stack([torch.from_numpy(photograph(64, 96, 2 * seed + i)) for i in range(2)])
    shape, picture = quantised(pixels, sampling, tables)
    return shape, tables, picture


def coded(model: Mlcc, shape: Shape, tables: torch.Tensor, picture: Picture) -> bytes:
    coder = StreamEncoder()
    model.run(coder, shape, tables, picture)
    (stream,) = coder.finish()
    return stream


def measured(walk, *arguments) -> torch.Tensor:
    meter = RateMeter()
    walk(meter, *arguments)
    return meter.bits()


@pytest.fixture(scope="module")
def trained() -> Mlcc:
    """A network that has seen a few pictures: its scales fit, and z says something."""
    torch.manual_seed(0)
    model = Mlcc(CONFIG, torch.linspace(40, 2, 64).expand(2, 64))
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for step, sampling in zip(range(16), itertools.cycle(SAMPLINGS)):
        shape, tables, picture = synthetic(sampling, 60 + 2 * step, step)
        optimizer.zero_grad()
        measured(model.walk, shape, tables, picture).mean().backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def frozen(trained, tmp_path_factory) -> Mlcc:
    """Its exact form, as it is read from a file."""
    path = tmp_path_factory.mktemp("weights") / "hyper.weights"
    model = Mlcc(CONFIG, trained.sigma)
    model.load_state_dict(trained.state_dict())
    model.calibrate(synthetic(sampling, quality) for sampling in SAMPLINGS for quality in (50, 95))
    model.freeze().save(path)
    return Mlcc.load(path)


def pictures(data: bytes):
    """(shape, tables, coefficients) of the parts of a JPEG file, each of which is one tile."""
    frame, planes, _ = _native.jpeg_read(data)
    for tile in tiles.Grids(frame, planes).tiles:
        shape, tables, picture = model_input([tile])
        yield shape, tables, picture.float()


FILES = [
    *({"height": h, "width": w, "subsampling": s} for (h, w), s in itertools.product(SIZES, (0, 1, 2))),
    *({"height": h, "width": w, "mode": "L"} for h, w in SIZES),
]


@pytest.mark.parametrize("options", FILES, ids=str)
def test_files_of_all_samplings_and_sizes_decode_with_one_thread_and_two(frozen, options):
    data = jpeg_bytes(**options)
    for shape, tables, picture in pictures(data):
        stream = coded(frozen, shape, tables, picture)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            try:
                assert coded(frozen, shape, tables, picture) == stream
                coder = StreamDecoder([stream])
                result = frozen.run(coder, shape, tables)
                coder.finish()
            finally:
                torch.set_num_threads(1)
            rows, columns = shape.luma
            assert torch.equal(result.luma[:, :rows, :columns], picture.luma[:, :rows, :columns])
            rows, columns = shape.chroma
            for ours, theirs in zip(result.chroma, picture.chroma):
                assert torch.equal(ours[:, :rows, :columns], theirs[:, :rows, :columns])


def test_a_file_is_restored_byte_for_byte(frozen):
    data = jpeg_bytes(75, 139, subsampling=1, progressive=True)
    frame, planes, reconstruction = _native.jpeg_read(data)
    streams = network.encode_planes(TorchNetwork(frozen), frame, planes)
    assert _native.jpeg_write(reconstruction, network.decode_planes(TorchNetwork(frozen), frame, streams)) == data


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_meters_rate_is_the_streams_size(frozen, subsampling):
    for shape, tables, picture in pictures(jpeg_bytes(200, 264, seed=99, subsampling=subsampling)):
        bits = measured(frozen.run, shape, tables, picture)
        assert float(bits) / 8 == pytest.approx(len(coded(frozen, shape, tables, picture)), rel=0.01)


def test_side_information_comes_first_and_is_part_of_the_rate(frozen):
    shape, tables, picture = next(pictures(jpeg_bytes(130, 70)))
    groups = []

    class Recorder:
        def code(self, mixture, symbols):
            groups.append(symbols)
            return symbols

    frozen.run(Recorder(), shape, tables, picture)
    z = groups[0]
    assert z.shape == (1, 3, 2, CONFIG.z_channels)
    assert torch.equal(z, z.round()) and z.unique().numel() > 1
    side = measured(frozen.walk_hyperprior, shape, tables, picture)
    assert 0 < float(side) < float(measured(frozen.run, shape, tables, picture))


def test_every_product_that_a_decoder_makes_is_exact(frozen, photo, monkeypatch):
    """Each layer's float32 result over a real photograph equals its float64 one; z at its limits too."""
    checked = set()

    def linear(layer, inputs, output):
        x, bias = inputs[0].double(), None if layer.bias is None else layer.bias.double()
        assert torch.equal(output.double(), F.linear(x, layer.weight.double(), bias))
        checked.add(layer)

    def conv3x3(x, weight):
        result = exact.conv3x3(x, weight)
        assert torch.equal(result.double(), exact.conv3x3_as_product(x.double(), weight.double()))
        assert torch.equal(result, exact.conv3x3_as_product(x, weight))
        checked.add(weight)
        return result

    for module in (mlcc, hyperprior):
        monkeypatch.setattr(module, "conv3x3", conv3x3)
    encoder_only = set(frozen.hyperprior.h_a.modules())
    layers = {m for m in frozen.modules() if isinstance(m, nn.Linear)} - encoder_only
    hooks = [layer.register_forward_hook(linear) for layer in layers]
    try:
        for data in (photo, *(jpeg_bytes(quality=98, subsampling=s) for s in (0, 1)), jpeg_bytes(mode="L")):
            for shape, tables, picture in pictures(data):
                frozen.run(StreamEncoder(), shape, tables, picture)
        generator = torch.Generator().manual_seed(0)
        shape = Shape("4:4:4", (32, 32), (32, 32))
        z = torch.randint(0, 2, (1, 4, 4, CONFIG.z_channels), generator=generator) * 128.0 - 64
        with torch.inference_mode():
            frozen.hyperprior.h_s(z, shape)
    finally:
        for hook in hooks:
            hook.remove()
    h_s = frozen.hyperprior.h_s
    assert layers | {h_s.first.weight, h_s.second.weight} <= checked


def test_what_only_a_damaged_stream_can_hold_is_clamped(frozen):
    shape = Shape("4:2:0", (16, 16), (8, 8))
    largest = torch.full((1, 2, 2, CONFIG.z_channels), 2.0**hyperprior.Z_BITS)
    for sign in (1, -1):
        expected = frozen.hyperprior.h_s(sign * largest, shape)
        found = frozen.hyperprior.h_s(sign * 32767 * torch.ones_like(largest), shape)
        assert torch.equal(found.luma, expected.luma)
        assert all(torch.equal(a, b) for a, b in zip(found.chroma, expected.chroma))


def test_both_the_rate_of_z_and_what_it_saves_are_learned_from(trained):
    """The gradient passes the rounding either way."""
    arguments = synthetic("4:2:0")
    weight = trained.hyperprior.h_a.second.weight
    (of_side,) = torch.autograd.grad(measured(trained.walk_hyperprior, *arguments).mean(), weight)
    (of_all,) = torch.autograd.grad(measured(trained.walk, *arguments).mean(), weight)
    assert of_side.abs().max() > 0
    assert (of_all - of_side).abs().max() > 0
    assert trained.hyperprior.z_prior.raw.requires_grad


def test_a_model_without_is_what_it_was():
    """Neither parameters nor a word in the configuration, on which fingerprints rest; older files' load."""
    plain = dataclasses.replace(CONFIG, z_channels=0)
    assert "z_channels" not in plain.to_json()
    assert Config.from_json(plain.to_json()) == plain
    assert Config.from_json(CONFIG.to_json()) == CONFIG
    model = Mlcc(plain)
    assert not [name for name in model.state_dict() if "hyperprior" in name]


def test_a_seed_gives_the_rest_of_the_network_the_same_weights():
    def built(z_channels):
        torch.manual_seed(0)
        return Mlcc(dataclasses.replace(CONFIG, z_channels=z_channels)).state_dict()

    without, with_side = built(0), built(6)
    assert all(torch.equal(tensor, with_side[name]) for name, tensor in without.items())


def test_side_information_grown_on_a_trained_model_changes_nothing_but_its_own_bits(trained):
    """And then is trained like any; growing it away is refused."""
    plain = Mlcc(dataclasses.replace(CONFIG, z_channels=0), trained.sigma)
    plain.load_state_dict({k: v for k, v in trained.state_dict().items() if not k.startswith("hyperprior.")})
    wide = widened(plain, CONFIG)
    for sampling in SAMPLINGS:
        arguments = synthetic(sampling)
        before, after, side = (measured(walk, *arguments) for walk in (plain.walk, wide.walk, wide.walk_hyperprior))
        assert torch.allclose(after - side, before, rtol=1e-5)
    measured(wide.walk, *arguments).mean().backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in wide.hyperprior.luma_priors)

    with pytest.raises(ValueError, match="z_channels 0 is smaller than 6"):
        widened(trained, dataclasses.replace(CONFIG, z_channels=0))


def test_a_network_with_side_information_grows_with_it(trained):
    wide = widened(trained, dataclasses.replace(mlcc.PROFILES["fast"], z_channels=9))
    arguments = synthetic("4:2:0")
    before, after = (measured(m.walk, *arguments) - measured(m.walk_hyperprior, *arguments) for m in (trained, wide))
    assert torch.allclose(after, before, rtol=1e-4)


def test_exported_side_information_can_be_trained_on(trained, frozen, tmp_path):
    frozen.save(tmp_path / "hyper.weights")
    model = Mlcc.load(tmp_path / "hyper.weights", trainable=True)
    arguments = synthetic("4:2:2")
    assert torch.allclose(measured(model.walk, *arguments), measured(trained.walk, *arguments), rtol=0.01)
    assert all(parameter.requires_grad for parameter in model.parameters())
