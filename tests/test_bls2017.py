"""Ballé 2017: its normalisation, its prior in integers, its one walk."""

import copy
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import check_reach, pixels

from lic_native.coding.coder import StreamDecoder, StreamEncoder
from lic_native.coding.rate import RateMeter
from lic_native.models.bls2017 import Bls2017, Config, Relaxed, Tabled
from lic_native.models.rate_points import LAST, LEVELS, index_of, power
from lic_native.nn.gdn import GDN, Root, root_of

SMALL = Config((8, 12, 16))


@pytest.fixture(scope="module")
def codec(crops):
    """Small, untrained but for the pyramid that training begins with, and frozen."""
    torch.manual_seed(0)
    model = Bls2017(SMALL)
    model.init_from_pca(crops)
    return model.calibrate([crops]).freeze()


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_what_the_paper_says(inverse):
    generator = torch.Generator().manual_seed(1)
    layer = GDN(5, inverse)
    beta, gamma = torch.rand(5, generator=generator) + 0.1, torch.rand(5, 5, generator=generator)
    with torch.no_grad():
        layer.beta.root.copy_(beta.sqrt())
        layer.gamma.root.copy_(gamma.sqrt())
    x = torch.randn(2, 5, 3, 4, generator=generator)
    expected = np.empty(x.shape)
    for index in np.ndindex(2, 3, 4):
        b, h, w = index
        column = x[b, :, h, w].double().numpy()
        norm = np.sqrt(beta.numpy() + gamma.double().numpy() @ column**2)
        expected[b, :, h, w] = column * norm if inverse else column / norm
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-5)


def test_bounds_hold_and_let_gradients_back_in():
    root = Root(torch.tensor([root_of(0.0), root_of(0.25)]), 0.01)
    with torch.no_grad():
        root.root.copy_(torch.tensor([-3.0, 0.5]))
    values = root()
    torch.testing.assert_close(values.detach(), torch.tensor([0.01, 0.25]))
    (-values).sum().backward()
    assert root.root.grad[0] < 0, "a descent that raises the value passes"
    root.root.grad = None
    root().sum().backward()
    assert root.root.grad[0] == 0, "one that lowers it does not"


def test_powers_of_two_are_exact_floors():
    for point, level in itertools.product((16, 32), range(-12 * LEVELS, 12 * LEVELS, 37)):
        # x = floor(2^(level / LEVELS + point)) just if x^LEVELS <= 2^(level + LEVELS point) < (x + 1)^LEVELS. Beyond 30
        # bits the rest are zero.
        x = power(level, point)
        wanted = Fraction(2) ** (level + LEVELS * point)
        assert x**LEVELS <= wanted < (x + max(1, x >> 30)) ** LEVELS


def test_the_prior_is_the_distribution_it_was_fitted_to():
    """Laplace, with another scale in each channel: what it costs is the entropy, at any quality."""
    rng = np.random.default_rng(0)
    scales, means = np.array([0.05, 0.7, 40.0]), np.array([0.0, 1.3, -20.0])
    y = torch.from_numpy(rng.laplace(means[:, None], scales[:, None], (3, 200_000))).float()
    model = Bls2017(Config((4, 4, 3)))
    model.prior.fit(y, model.density, model.log_gain)
    fresh = torch.from_numpy(rng.laplace(means[:, None], scales[:, None], (3, 200_000))).float()
    for index in (0, 77, 200, LAST):
        gain = np.exp2(model.prior.levels(index) / LEVELS)
        symbols = (fresh * torch.from_numpy(gain).float()[:, None]).round()[None, :, None]
        cost = float(Tabled(model.prior.tables(index), symbols.shape, model.device).bits(symbols))
        _, counts = zip(*(np.unique(row, return_counts=True) for row in symbols[0, :, 0].numpy()))
        entropy = sum(-(n * np.log2(n / n.sum())).sum() for n in counts)
        assert entropy < cost < 1.01 * entropy + 300


def test_stored_gains_are_the_trained_ones():
    torch.manual_seed(2)
    model = Bls2017(SMALL)
    with torch.no_grad():
        model.log_gain.add_(torch.randn_like(model.log_gain))
    stored = copy.deepcopy(model)
    stored.prior.gain_levels.copy_((model.log_gain / math.log(2) * LEVELS).round())
    stored.density = None
    latents = torch.randn(1, SMALL.channels[-1], 2, 2)
    for quality in (1.0, 1.5, 3.3, 7.9, 8.0):
        index = torch.tensor([index_of(quality)])
        torch.testing.assert_close(stored.gain(index), model.gain(index).detach(), rtol=0.005, atol=0)
        assert torch.equal(stored.decode(latents, index), model.decode(latents, index))


@pytest.mark.parametrize("quality", [1.0, 4.5, 8.0])
def test_three_coders_agree(codec, quality):
    index = torch.full((2,), index_of(quality))
    symbols = codec.encode(torch.cat([pixels(128, 160, 3), pixels(128, 160, 4)]), index).round()
    meter, encoder = RateMeter(), StreamEncoder(2)
    codec.walk(meter, index, (8, 10), symbols)
    codec.walk(encoder, index, (8, 10), symbols)
    streams = encoder.finish()
    decoder = StreamDecoder(streams)
    assert torch.equal(codec.walk(decoder, index, (8, 10)), symbols)
    decoder.finish()
    for stream, bits in zip(streams, meter.bits()):
        assert float(bits) / 8 <= len(stream) < 1.005 * float(bits) / 8 + 24


def test_what_no_table_has_is_escaped(codec):
    symbols = torch.zeros(1, SMALL.channels[-1], 2, 2)
    symbols[0, :, 0, 0], symbols[0, :, 1, 1] = 32767, -32767
    encoder, index = StreamEncoder(), torch.tensor([64])
    codec.walk(encoder, index, (2, 2), symbols)
    assert torch.equal(codec.walk(StreamDecoder(encoder.finish()), index, (2, 2)), symbols)


def test_the_relaxed_rate_is_about_that_of_a_file(crops):
    """The density in training and the tables that are counted say the same of the same photographs."""
    torch.manual_seed(0)
    model = Bls2017(SMALL)
    model.init_from_pca(crops)
    density, index = model.density, torch.full((len(crops),), index_of(4))
    # As wide as it can be fitted in a moment.
    optimizer = torch.optim.Adam(density.parameters(), 0.05)
    y = model.encode(crops, index).detach()
    noisy = y + torch.rand_like(y) - 0.5
    for _ in range(150):
        optimizer.zero_grad()
        loss = Relaxed(density, model.gain(index).detach(), y.shape, y.device).bits(noisy).mean()
        loss.backward()
        optimizer.step()
    symbols = model.calibrate([crops]).freeze().encode(crops, index).round()
    meter = RateMeter()
    model.walk(meter, index, (4, 6), symbols)
    assert float(loss.detach()) == pytest.approx(float(meter.bits().mean()), rel=0.1)


def test_training_begins_near_a_transform_that_inverts_itself(crops):
    torch.manual_seed(0)
    model = Bls2017(Config((48, 96, 96)))
    index = torch.full((len(crops),), LAST)
    with torch.no_grad():
        untrained = (model.decode(model.encode(crops, index), index) - crops).square().mean()
        model.init_from_pca(crops)
        started = (model.decode(model.encode(crops, index), index) - crops).square().mean()
    assert started < untrained / 8
    assert started < 0.5 * crops.var()


def test_every_parameter_learns_once_and_roots_fastest_of_the_transforms():
    model = Bls2017(Config((4, 6, 8)))
    groups = model.parameter_groups()
    learned = [parameter for group, _ in groups for parameter in group]
    assert set(learned) == set(model.parameters()) and len(learned) == len(set(learned))
    rates = {parameter: rate for group, rate in groups for parameter in group}
    roots = {parameter for module in model.modules() if isinstance(module, Root) for parameter in module.parameters()}
    assert len(roots) == 8 and {rates[root] for root in roots} == {Bls2017.GDN_RATE}
    assert {rates[layer.weight] for layer in model.g_a if isinstance(layer, torch.nn.Conv2d)} == {1.0}


def test_a_frozen_codec_is_what_was_saved(codec, tmp_path):
    codec.save(tmp_path / "codec.weights")
    again = Bls2017.load(tmp_path / "codec.weights")
    assert again.config == SMALL
    assert again.fingerprint() == codec.fingerprint()
    assert again.prior.tables(99).fingerprint() == codec.prior.tables(99).fingerprint()
    assert torch.equal(again.encode(pixels(), torch.tensor([99])), codec.encode(pixels(), torch.tensor([99])))
    again.prior.cdf[0, 5] += 1
    again._fingerprint = None
    assert again.fingerprint() != codec.fingerprint()


def test_a_copy_has_its_own_tables():
    model = Bls2017(SMALL)
    another = copy.deepcopy(model)
    for codec, scale in ((model, 1.0), (another, 9.0)):
        codec.calibrate([scale * torch.randn(4, 3, 320, 320, generator=torch.Generator().manual_seed(7))]).freeze()
    again = Bls2017(SMALL)
    again.load_state_dict(again.state_dict() | another.state_dict())
    assert another.prior.tables(9).fingerprint() == again.prior.tables(9).fingerprint()
    assert another.prior.tables(9).fingerprint() != model.prior.tables(9).fingerprint()


def test_noise_has_no_tables():
    model = Bls2017(SMALL)
    with pytest.raises(TypeError, match="freeze the codec first"):
        model.walk(StreamEncoder(), torch.tensor([0]), (2, 2), torch.zeros(1, 16, 2, 2))


def test_pixels_and_latents_reach_no_further_than_they_say():
    torch.manual_seed(0)
    check_reach(Bls2017(SMALL))
