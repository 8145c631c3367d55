"""Deeper networks: they begin as the smaller ones that they are grown from, and code exactly."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import SMALL_MSP, photograph, random_msp

from lic_native.coding.coder import StreamDecoder, StreamEncoder
from lic_native.coding.rate import RateMeter
from lic_native.models import mlcc, msp
from lic_native.models.base import State
from lic_native.models.mlcc import Mlcc
from lic_native.models.msp import Msp
from lic_native.models.rate_points import LAST
from lic_native.nn.ambient import known_state
from lic_native.training.data import annex_k, quantised
from lic_native.training.slim import slimmed, sort_units
from lic_native.training.widen import contains, widened

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL_MLCC = replace(
    mlcc.PROFILES["tiny"],
    luma_trunk_width=24,
    luma_head_width=12,
    chroma_trunk_width=16,
    chroma_head_width=8,
    chroma_context_width=12,
    conditioning_width=8,
)
#: What makes a network deeper, by model.
DEEP = {
    Mlcc: {
        "luma_context_blocks": (8, 6),
        "chroma_context_blocks": (4,),
        "luma_pointwise_blocks": 2,
        "chroma_pointwise_blocks": 1,
        "further_head_layers": 1,
    },
    Msp: {"context_blocks": (8, 6), "pointwise_blocks": 1, "further_head_layers": 2},
}
SMALL = {Mlcc: SMALL_MLCC, Msp: SMALL_MSP}


def made(kind, config, crops):
    """A model with random weights, none of them zero."""
    if kind is Msp:
        return random_msp(crops, config)
    torch.manual_seed(0)
    model = Mlcc(config, torch.linspace(40, 2, 64).expand(2, 64))
    for parameter in (p for p in model.parameters() if not p.any()):
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def jpeg_picture(sampling, quality=75):
    pixels = torch.stack([torch.from_numpy(photograph(64, 96, i)) for i in range(2)])
    tables = annex_k(torch.full((2,), float(quality)))
    shape, picture = quantised(pixels, sampling, tables)
    return shape, tables, picture


def arguments(model):
    """Arguments of `walk` whose symbols are known: of a few pictures."""
    if isinstance(model, Mlcc):
        return [jpeg_picture(sampling) for sampling in ("4:2:0", "4:4:4", "gray")]
    index = torch.tensor([0, 200, LAST])
    unit = model.units(index).unit.permute(0, 3, 1, 2).detach()
    sizes = ((8, 8), (5, 6), (1, 3))
    return [(index, size, (torch.randn(3, model.channels, *size) * unit).round()) for size in sizes]


def rates(model):
    torch.manual_seed(1)
    meters = []
    for given in arguments(model):
        meters.append(RateMeter())
        with torch.no_grad():
            model.walk(meters[-1], *given)
    return torch.cat([meter.bits() for meter in meters])


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("change", ["deeper", "wider", "both", "deeper twice", "equal"])
def test_a_grown_network_computes_what_the_smaller_did(kind, change, crops):
    begin = DEEP[kind] if change == "deeper twice" else {}
    small = made(kind, replace(SMALL[kind], **begin), crops)
    larger = {}
    if change in ("deeper", "both"):
        larger = dict(DEEP[kind])
    if change == "deeper twice":
        larger = {n: (*(w + 2 for w in v), 5) if isinstance(v, tuple) else v + 1 for n, v in begin.items()}
    if change in ("wider", "both"):
        widths = (n for n, v in vars(SMALL[kind]).items() if isinstance(v, int) and v and n != "y_channels")
        larger |= {name: getattr(SMALL[kind], name) + 5 for name in widths}
    config = replace(small.config, **larger)
    grown = widened(small, config)
    assert grown.config == config and grown.state is State.FLOAT
    torch.testing.assert_close(rates(grown), rates(small), rtol=1e-4, atol=1e-2)
    if kind is Msp:
        index = torch.linspace(0, LAST, len(crops)).long()
        with torch.no_grad():
            y = small.encode(crops, index)
            torch.testing.assert_close(grown.encode(crops, index), y, rtol=1e-4, atol=1e-3)
            torch.testing.assert_close(grown.decode(y, index), small.decode(y, index), rtol=1e-4, atol=1e-3)
    # What was added learns: all but the first layers of blocks, whose last ones are still zero.
    meter = RateMeter()
    grown.walk(meter, *arguments(grown)[0])
    meter.bits().sum().backward()
    for name, parameter in grown.named_parameters():
        if any(part in name for part in ("_blocks.", "further.")) and name.endswith(("second.weight", "linear.weight")):
            assert parameter.grad is None or parameter.grad.any(), name


def test_the_order_of_units_does_not_matter(crops):
    model = made(Mlcc, replace(SMALL_MLCC, **DEEP[Mlcc]), crops)
    before, weights = rates(model), [p.detach().clone() for p in model.parameters()]
    sort_units(model)
    assert any(not torch.equal(p, w) for p, w in zip(model.parameters(), weights))
    torch.testing.assert_close(rates(model), before, rtol=1e-4, atol=1e-2)


def test_a_slimmed_network_keeps_what_matters(crops):
    """Of a grown network, whose new units do nothing, slimming leaves the smaller one."""
    small = made(Mlcc, replace(SMALL_MLCC, luma_context_blocks=(6,), further_head_layers=1), crops)
    widths = (name for name, value in vars(SMALL_MLCC).items() if name.endswith("width") and value)
    larger = {name: getattr(SMALL_MLCC, name) + 5 for name in widths if name != "conditioning_width"}
    grown = widened(small, replace(small.config, luma_context_blocks=(9,), **larger))
    slim = slimmed(grown, small.config)
    assert slim.config == small.config
    torch.testing.assert_close(rates(slim), rates(small), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"luma_trunk_width": 99}, "luma_trunk_width"),
        ({"further_head_layers": 0}, "further_head_layers"),
        ({"luma_context_blocks": ()}, "luma_context_blocks"),
        ({"conditioning_width": 4}, "conditioning_width"),
    ],
)
def test_what_slimming_cannot_change_is_named(change, name, crops):
    model = made(Mlcc, replace(SMALL_MLCC, luma_context_blocks=(6,), further_head_layers=1), crops)
    with pytest.raises(ValueError, match=rf"\b{name} "):
        slimmed(model, replace(model.config, **change))


@pytest.mark.parametrize("kind", SMALL)
def test_a_smaller_field_is_named(kind, crops):
    deep = replace(SMALL[kind], **DEEP[kind])
    model = made(kind, deep, crops)
    for name, value in vars(deep).items():
        smaller = [value - 1] if isinstance(value, int) and value else []
        if isinstance(value, tuple) and value and isinstance(value[0], int):
            smaller = [value[:-1], (*value[:-1], value[-1] - 1)]
        for each in smaller:
            config = replace(deep, **{name: each})
            assert not contains(config, deep) and contains(deep, deep)
            with pytest.raises(ValueError, match=rf"\b{name} "):
                widened(model, config)
    if kind is Msp:
        with pytest.raises(ValueError, match=r"groups .* as in the smaller network"):
            widened(model, replace(deep, groups=((0, 8), (8, 12))))


@pytest.mark.parametrize("kind", SMALL)
def test_a_frozen_deep_network_saves_loads_and_codes(kind, crops, tmp_path):
    model = made(kind, replace(SMALL[kind], **DEEP[kind]), crops)
    before = rates(model)
    seen = [jpeg_picture(s, q) for s in ("4:2:0", "4:2:2", "4:4:4", "gray") for q in (50, 95)]
    model.calibrate([crops] if kind is Msp else seen).freeze()
    torch.testing.assert_close(rates(model), before, rtol=0.02, atol=1)
    model.save(tmp_path / "deep.weights")
    again = kind.load(tmp_path / "deep.weights")
    assert (again.config, again.fingerprint()) == (model.config, model.fingerprint())
    assert torch.equal(rates(again), rates(model))
    for *given, symbols in arguments(model):
        encoder = StreamEncoder(len(given[0]) if kind is Msp else len(given[1]))
        with known_state(), torch.inference_mode():
            model.walk(encoder, *given, symbols)
            decoder = StreamDecoder(encoder.finish())
            decoded = again.walk(decoder, *given)
            decoder.finish()
        planes = ((decoded, symbols),) if kind is Msp else zip(*((p.luma, *p.chroma) for p in (decoded, symbols)))
        assert all(torch.equal(*pair) for pair in planes)
    trainable = kind.load(tmp_path / "deep.weights", trainable=True)
    torch.testing.assert_close(rates(trainable), before, rtol=0.02, atol=1)


@pytest.mark.parametrize("kind", SMALL)
def test_a_part_that_a_network_does_not_have_is_not_in_its_configuration(kind):
    written = json.loads(SMALL[kind].to_json())
    assert not written.keys() & DEEP[kind].keys()
    deep = replace(SMALL[kind], **DEEP[kind])
    assert json.loads(deep.to_json()).keys() - written.keys() == DEEP[kind].keys()
    assert kind.CONFIG.from_json(deep.to_json()) == deep


def test_blocks_of_the_best_profiles_can_be_made_exact():
    """At full width, with inputs as large as those of shipped networks, little of a weight is lost."""
    c = mlcc.PROFILES["best"]
    luma = mlcc.Trunk(8, c.luma_trunk_width, 2, 3, 0, c.luma_context_blocks, c.luma_pointwise_blocks)
    blocks = *msp.Trunk(3, msp.PROFILES["best"]).context_blocks, *luma.context_blocks, *luma.pointwise_blocks
    assert len(blocks) == 5
    with torch.no_grad():
        for block in blocks:
            for quantizer in (block.input, block.hidden):
                quantizer.limit.fill_(8.0)
                quantizer.step.fill_(8.0 / 2**quantizer.bits)
            before = block.first.weight.clone()
            block.quantize_weights()
            assert (block.first.weight - before).norm() < 0.05 * before.norm()
