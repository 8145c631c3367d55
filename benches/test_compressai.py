"""CompressAI's models with its own coder and with lic_native's, in the environment that `make compat` sets up."""

import contextlib
import math
import warnings

import pytest
import torch

from lic_native.compat.compressai import use
from lic_native.evaluation.codecs.compressai import spread

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    zoo = pytest.importorskip("compressai.zoo")

torch.set_num_threads(1)

CODERS = {"compressai": lambda model: contextlib.nullcontext(), "lic_native": use}
ROUNDS = {"rounds": 5, "warmup_rounds": 1}


@pytest.fixture(scope="module")
def gaussian():
    """Return (entropy model, latents, indexes, means), with scales from 0.11 to 64, all octaves alike."""
    from compressai.entropy_models import GaussianConditional
    from compressai.models.google import get_scale_table

    torch.manual_seed(0)
    model = GaussianConditional(get_scale_table().tolist())
    model.update()
    shape = (1, 192, 64, 96)
    scales = torch.exp(torch.empty(shape).uniform_(math.log(0.11), math.log(64)))
    means = torch.randn(shape)
    return model, means + scales * torch.randn(shape), model.build_indexes(scales), means


@pytest.mark.parametrize("coder", CODERS)
def test_gaussian_compress(coder, gaussian, benchmark):
    benchmark.group = "GaussianConditional.compress [1, 192, 64, 96]"
    model, latents, indexes, means = gaussian
    with CODERS[coder](model):
        strings = benchmark.pedantic(model.compress, (latents, indexes, means), **ROUNDS)
        benchmark.extra_info["bytes"] = len(strings[0])
        assert torch.equal(model.decompress(strings, indexes, means=means), (latents - means).round() + means)


@pytest.mark.parametrize("coder", CODERS)
def test_gaussian_decompress(coder, gaussian, benchmark):
    benchmark.group = "GaussianConditional.decompress [1, 192, 64, 96]"
    model, latents, indexes, means = gaussian
    with CODERS[coder](model):
        strings = model.compress(latents, indexes, means)
        restored = benchmark.pedantic(model.decompress, (strings, indexes), {"means": means}, **ROUNDS)
    assert torch.equal(restored, (latents - means).round() + means)


@pytest.fixture(scope="module", params=["mbt2018_mean", "cheng2020_anchor"])
def network(request):
    """Return (name, model with random weights, picture, what CompressAI restores). Latents and scales are about 2."""
    torch.manual_seed(0)
    net = getattr(zoo, request.param)(1, pretrained=False).eval()
    picture = torch.rand(1, 3, 512, 768)
    with torch.no_grad():
        spread(net, picture, 2)
        net.update(force=True)
        coded = net.compress(picture)
        return request.param, net, picture, net.decompress(coded["strings"], coded["shape"])["x_hat"]


@pytest.mark.parametrize("coder", CODERS)
@torch.no_grad()
def test_model_compress(coder, network, benchmark):
    name, net, picture, _ = network
    benchmark.group = f"{name}.compress 512x768"
    with CODERS[coder](net):
        coded = benchmark.pedantic(net.compress, (picture,), rounds=3)
    benchmark.extra_info["bytes"] = sum(len(string) for strings in coded["strings"] for string in strings)


@pytest.mark.parametrize("coder", CODERS)
@torch.no_grad()
def test_model_decompress(coder, network, benchmark):
    name, net, picture, expected = network
    benchmark.group = f"{name}.decompress 512x768"
    with CODERS[coder](net):
        coded = net.compress(picture)
        restored = benchmark.pedantic(net.decompress, (coded["strings"], coded["shape"]), rounds=3)
    assert torch.equal(restored["x_hat"], expected)
