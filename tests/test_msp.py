"""MSP: its walk, its integers, its training."""

import csv
import dataclasses
import io
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from conftest import SMALL_MSP, photograph, pixels, random_msp, trained
from PIL import Image

from lic_native.coding.coder import LANES, StreamDecoder, StreamEncoder
from lic_native.coding.mixture import Mixture, to_params
from lic_native.coding.rate import RateMeter
from lic_native.errors import CorruptError, TruncatedError
from lic_native.image.torch_coder import TorchCoder, to_latents
from lic_native.models import msp
from lic_native.models.base import State
from lic_native.models.msp import Config, Msp
from lic_native.models.rate_points import BETWEEN, LARGEST, LAST, LEVELS, QUALITIES
from lic_native.nn.ambient import known_state
from lic_native.training import image as training
from lic_native.training import loop, train_image

pytestmark = pytest.mark.usefixtures("one_thread")

#: Steps of a walk over all phases.
STEPS = 7 * len(SMALL_MSP.groups)


class Watcher:
    """A coder that keeps parameters and symbols of each step."""

    def __init__(self):
        self.steps = []

    def code(self, mixture, symbols):
        self.steps.append((to_params(mixture), symbols))
        return symbols


def walk(model, through, index, size, symbols=None):
    with known_state(), torch.inference_mode():
        return model.walk(through, index, size, symbols)


def some(model, index, size, seed=0):
    """Symbols about as large as those of photographs."""
    generator = torch.Generator().manual_seed(seed)
    unit = model.units(index).unit.permute(0, 3, 1, 2)
    return (torch.randn(len(index), model.channels, *size, generator=generator) * unit).round()


def streams(model, symbols, index):
    encoder = StreamEncoder(len(index))
    walk(model, encoder, index, symbols.shape[2:], symbols)
    return encoder.finish()


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 9), (3, 3), (4, 4), (5, 6), (8, 3), (9, 7)])
def test_three_coders_agree_on_every_picture_alone_and_in_a_batch(small_msp, size):
    index = torch.tensor([0, 100, LAST])
    symbols = some(small_msp, index, size)
    symbols[0, 0, -1, -1], symbols[1, -1, 0, 0] = LARGEST, -LARGEST
    coded = streams(small_msp, symbols, index)
    meter = RateMeter()
    walk(small_msp, meter, index, size, symbols)
    for i, (stream, bits) in enumerate(zip(coded, meter.bits())):
        assert len(stream) == pytest.approx(float(bits) / 8, rel=0.02, abs=4 * LANES + 16)
        alone = slice(i, i + 1)
        assert streams(small_msp, symbols[alone], index[alone]) == [stream]
        decoder = StreamDecoder([stream])
        assert torch.equal(walk(small_msp, decoder, index[alone], size), symbols[alone])
        decoder.finish()
    assert torch.equal(walk(small_msp, StreamDecoder(coded), index, size), symbols)


def test_streams_are_calibrated(small_msp):
    index, size = torch.tensor([100]), (9, 11)
    # The prior expects a third of this.
    symbols = 3 * some(small_msp, index, size)
    encoder = StreamEncoder(calibrate=True)
    walk(small_msp, encoder, index, size, symbols)
    (stream,), (plain,) = encoder.finish(), streams(small_msp, symbols, index)
    # Bit 7 of a stream's first byte says that it is calibrated (docs/format.md, section 5).
    assert (stream[0] >> 7, plain[0] >> 7) == (1, 0) and len(stream) < 0.95 * len(plain)
    coder = TorchCoder(small_msp)
    assert np.array_equal(coder.decode(stream, 100, size), to_latents(symbols))
    for claim in (bytes([stream[0] & 0x7F]) + stream[1:], bytes([plain[0] | 0x80]) + plain[1:]):
        with pytest.raises((CorruptError, TruncatedError)):
            coder.decode(claim, 100, size)


def test_steps_are_as_many_at_any_size(small_msp):
    index = torch.tensor([77])
    for size in ((3, 3), (4, 4), (4, 17), (13, 12)):
        watcher = Watcher()
        walk(small_msp, watcher, index, size, some(small_msp, index, size))
        assert len(watcher.steps) == STEPS
        assert sum(x.numel() for _, x in watcher.steps) == small_msp.channels * math.prod(size)


def test_a_symbol_is_seen_only_after_its_step(small_msp):
    index, size = torch.tensor([200]), (5, 6)
    symbols = some(small_msp, index, size)

    def steps(symbols):
        watcher = Watcher()
        walk(small_msp, watcher, index, size, symbols)
        return watcher.steps

    before, seen = steps(symbols), set()
    for c in (0, 2, 3, 7, 8, 11):
        for row, column in ((0, 0), (2, 2), (0, 2), (4, 4), (1, 1), (2, 3), (3, 5), (4, 5)):
            changed = symbols.clone()
            changed[0, c, row, column] += 9
            after = steps(changed)
            (own,) = (i for i, ((_, x), (_, y)) in enumerate(zip(before, after)) if not torch.equal(x, y))
            same = [torch.equal(p, q) for (p, _), (q, _) in zip(before, after)]
            assert all(same[: own + 1])
            assert own == STEPS - 1 or not all(same)
            seen.add(own)
    assert len(seen) > STEPS / 2


def test_units_are_powers_of_two_by_integers(small_msp):
    """Whatever the library of mathematics: rounded as exact arithmetic says."""
    model = Msp(SMALL_MSP)
    model.prior.gain_levels.copy_(torch.randint(-600, 600, (QUALITIES, 12)))
    model.prior.deviation_levels.copy_(torch.randint(-1500, 2500, (12,)))
    model.state = State.FROZEN
    index = torch.tensor([0, 1, 63, 64, 200, LAST])
    unit, inverse, natural = (x[:, 0, 0] for x in model.units(index))
    with localcontext() as context:
        context.prec = 60
        for b, i in enumerate(index.tolist()):
            stop = min(i // BETWEEN, QUALITIES - 2)
            low, high = (model.prior.gain_levels[s].tolist() for s in (stop, stop + 1))
            for c, deviation in enumerate(model.prior.deviation_levels.tolist()):
                level = (low[c] * (BETWEEN * (stop + 1) - i) + high[c] * (i - BETWEEN * stop)) // BETWEEN + deviation
                whole, part = divmod(level, LEVELS)
                root = int(Decimal(2) ** (30 + Decimal(part) / LEVELS))
                exact = root * 2.0 ** (whole - 30) if whole >= -2 else (root >> -2 - whole) * 2.0**-32
                assert float(unit[b, c]) == np.float32(exact)
                assert float(inverse[b, c]) == np.float32(1 / np.float64(np.float32(exact)))
                assert float(natural[b, c]) == np.float32(float(Decimal(2).ln() * level / LEVELS))


def test_a_frozen_codec_is_what_was_saved(small_msp, tmp_path):
    path = tmp_path / "codec.weights"
    small_msp.save(path)
    again, index = Msp.load(path), torch.tensor([99])
    assert (again.config, again.fingerprint()) == (SMALL_MSP, small_msp.fingerprint())
    x = pixels()
    y = small_msp.encode(x, index)
    assert torch.equal(again.encode(x, index), y)
    assert torch.equal(again.decode(y.round(), index), small_msp.decode(y.round(), index))
    assert streams(again, y.round(), index) == streams(small_msp, y.round(), index)
    again._fingerprint = None
    again.prior.deviation_levels[0] += 1
    assert again.fingerprint() != small_msp.fingerprint()


def test_freezing_changes_little(crops, small_msp):
    """What training made least is what a file costs, up to the bits of weights and activations."""
    model, index = random_msp(crops), torch.linspace(0, LAST, len(crops)).long()
    with torch.no_grad():
        torch.testing.assert_close(small_msp.encode(crops, index), model.encode(crops, index), rtol=0.02, atol=0.02)
        symbols = model.encode(crops, index).round()
        torch.testing.assert_close(small_msp.decode(symbols, index), model.decode(symbols, index), rtol=0.01, atol=0.01)
        costs = []
        for each in (model, small_msp):
            meter = RateMeter()
            each.walk(meter, index, symbols.shape[2:], symbols)
            costs.append(meter.bits())
    torch.testing.assert_close(costs[0], costs[1], rtol=0.01, atol=1)


@pytest.mark.parametrize(("quantized", "meter"), [(False, training.NoisyMeter), (True, training.RoundingMeter)])
def test_every_parameter_learns(crops, quantized, meter):
    model = random_msp(crops)
    if quantized:
        model.calibrate([crops]).enable_quantization()
    assert (model.state is State.QUANTIZED) == model.calibrated == quantized
    index = torch.linspace(0, LAST, len(crops)).long()
    loss = training.relaxed_loss(model, crops, index, meter())
    assert loss.shape == (len(crops),) and loss.isfinite().all()
    loss.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    learned = [parameter for group, _ in model.parameter_groups() for parameter in group]
    assert set(learned) == set(model.parameters()) and len(learned) == len(set(learned))


def test_a_model_is_calibrated_before_it_is_quantized_or_frozen(crops, small_msp, tmp_path):
    model = random_msp(crops)
    for change in (model.enable_quantization, model.freeze):
        with pytest.raises(ValueError, match="calibrate the model first"):
            change()
    small_msp.save(tmp_path / "small.weights")
    again = Msp.load(tmp_path / "small.weights", trainable=True)
    assert (again.state, again.calibrated, small_msp.state) == (State.FLOAT, False, State.FROZEN)
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert not any(parameter.requires_grad for parameter in small_msp.parameters())


def test_coders_refuse_symbols_that_they_cannot_use():
    mixture = Mixture(torch.zeros(1, 2, 5), None, torch.ones(1), torch.zeros(1))
    for coder in (StreamEncoder(), RateMeter(), training.NoisyMeter(), training.RoundingMeter()):
        with pytest.raises(ValueError, match="symbols"):
            coder.code(mixture, None)
    with pytest.raises(ValueError, match="takes no symbols"):
        StreamDecoder([b""]).code(mixture, torch.zeros(1, 2))


def test_configurations_are_kept_as_text():
    for config in msp.PROFILES.values():
        assert Config.from_json(config.to_json()) == config


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for seed in range(6):
        Image.fromarray(photograph(80, 96, seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """A profile and runs of moments, without noise, in whose place a run that goes on would see other."""
    monkeypatch.setitem(msp.PROFILES, "tiny", SMALL_MSP)
    monkeypatch.setattr(training, "START_CROPS", 12)
    monkeypatch.setattr(training, "COUNTED_CROPS", 16)
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 0.25))
    return {"profile": "tiny", "crop": 48, "batch": 2, "device": "cpu", "seed": 5, "report_minutes": 0.0}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(data, tiny, tmp_path, monkeypatch):
    """Its activations are rounded from the middle on, and what is exported codes files."""
    rounded, loss = [], training.relaxed_loss

    def watched(model, *rest):
        rounded.append(model.state is State.QUANTIZED)
        return loss(model, *rest)

    monkeypatch.setattr(training, "relaxed_loss", watched)
    trained(train_image, data, tmp_path / "whole", steps=6, **tiny)
    assert rounded == [False] * 4 + [True] * 2

    class Stopped(Exception):
        pass

    def stop(*_):
        if len(rounded) in (8, 11):
            raise Stopped

    monkeypatch.setattr(loop, "plot", stop)
    for _ in range(2):
        with pytest.raises(Stopped):
            trained(train_image, data, tmp_path / "parts", steps=6, **tiny)
    trained(train_image, data, tmp_path / "parts", steps=6, **tiny)
    assert rounded[6:] == rounded[:6]

    def curve(name):
        rows = csv.DictReader(io.StringIO((tmp_path / name / "curve.csv").read_text()))
        return [{k: v for k, v in row.items() if k != "minutes"} for row in rows]

    assert curve("whole") == curve("parts") and len(curve("whole")) == 6
    models = [Msp.load(tmp_path / name / "msp-tiny.weights") for name in ("whole", "parts")]
    assert models[0].fingerprint() == models[1].fingerprint()

    # A run that had ended, and starts warm.
    trained(train_image, data, tmp_path / "whole", steps=8, **tiny)
    assert rounded[12:] == [True] * 2
    index = torch.tensor([300])
    symbols = models[0].encode(pixels(), index).round()
    (stream,) = streams(models[0], symbols, index)
    assert torch.equal(walk(models[1], StreamDecoder([stream]), index, (4, 6)), symbols)


def test_the_last_rates_of_a_training_are_those_of_files(crops, small_msp):
    """And the first ones are of values with noise; what is decoded has been rounded in both."""
    index = torch.linspace(0, LAST, len(crops)).long()
    with torch.no_grad():
        y = small_msp.encode(crops, index)
        size, rates = y.shape[2:], []
        for meter, symbols in ((RateMeter(), y.round()), (training.RoundingMeter(), y), (training.NoisyMeter(), y)):
            assert torch.equal(small_msp.walk(meter, index, size, symbols), y.round())
            rates.append(meter.bits())
    assert torch.equal(rates[0], rates[1]) and not torch.isclose(rates[0], rates[2], rtol=0.01).all()


def test_rates_of_files_have_the_mean_slope_of_noise():
    """Of a distribution that is given: its parameters follow from what was coded before."""
    raw = torch.randn(1, 40, 5, generator=torch.Generator().manual_seed(3))
    mixture = Mixture(raw, None, torch.ones(1, 1), torch.zeros(1, 1))
    y = (3 * torch.randn(1, 40, generator=torch.Generator().manual_seed(4))).requires_grad_()

    def slope(meter, count=1):
        meters = [meter() for _ in range(count)]
        for each in meters:
            each.code(mixture, y)
        return torch.autograd.grad(sum(each.bits() for each in meters).sum() / count, y)[0]

    torch.manual_seed(0)
    torch.testing.assert_close(slope(training.RoundingMeter), slope(training.NoisyMeter, 4000), rtol=0.05, atol=0.05)
    assert slope(training.RoundingMeter).abs().max() > 1


@pytest.mark.parametrize(("share", "noisy"), [(0, 0), (0.5, 3), (1, 6)])
def test_rates_have_noise_for_a_share_of_a_run(data, tiny, tmp_path, monkeypatch, share, noisy):
    meters, loss = [], training.relaxed_loss
    monkeypatch.setattr(training, "relaxed_loss", lambda *given: meters.append(type(given[3])) or loss(*given))
    trained(train_image, data, tmp_path / "run", steps=6, noise=share, **tiny)
    assert meters == [training.NoisyMeter] * noisy + [training.RoundingMeter] * (6 - noisy)


def test_a_wider_and_deeper_profile_begins_as_the_one_that_it_was_grown_from(crops, small_msp, tmp_path):
    path = tmp_path / "small.weights"
    small_msp.save(path)
    names = "g_a_blocks", "g_s_blocks", "transform_width", "trunk_width", "head_width"
    larger = dataclasses.replace(SMALL_MSP, **{name: 1 + 2 * getattr(SMALL_MSP, name) for name in names})
    before, model = Msp.load(path, trainable=True), training.build(larger)
    model.init_from_pca(crops)
    training.load_initial(model, path, crops)
    index = torch.linspace(0, LAST, len(crops)).long()
    losses = [training.relaxed_loss(m, crops, index, training.RoundingMeter()) for m in (before, model)]
    torch.testing.assert_close(losses[1], losses[0])


def test_a_larger_profile_begins_where_a_smaller_ended(crops, small_msp, tmp_path):
    """Its new blocks are the identity; what does not fit begins anew."""
    path = tmp_path / "small.weights"
    small_msp.save(path)
    wider = {"g_a_blocks": 2, "g_s_blocks": 4, "trunk_width": 24, "groups": ((0, 2), (2, 12))}
    larger = Config(**{**vars(SMALL_MSP), **wider})
    model = training.build(larger)
    model.init_from_pca(crops)
    training.load_initial(model, path, crops)
    index = torch.linspace(0, LAST, len(crops)).long()
    before = Msp.load(path, trainable=True)
    with torch.no_grad():
        y = model.encode(crops, index)
        assert torch.equal(y, before.encode(crops, index))
        assert torch.equal(model.decode(y.round(), index), before.decode(y.round(), index))
    assert torch.equal(model.prior.embedding.linear.weight, before.prior.embedding.linear.weight)
    assert model.state is State.FLOAT and model.prior.conditioning.output.limit == 0
    assert torch.isfinite(training.relaxed_loss(model, crops, index, training.NoisyMeter())).all()


def test_models_are_named():
    with pytest.raises(ValueError, match="unknown profile 'huge'; choose from: tiny, balanced, fast, best, bls2017"):
        training.configuration("huge")
    names, configs = zip(*map(training.configuration, ("fast", "best")))
    assert names == ("msp-fast", "msp-best")
    assert [type(training.build(config)) for config in configs] == [Msp, Msp]
