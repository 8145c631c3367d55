"""Rates of symbols that are known: all groups at once as one by one, derivatives, and nothing that waits for a GPU."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from test_depth import DEEP, SMALL, jpeg_picture, made
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lic_native.coding.mixture import FLOOR, LOG_SCALES, Mixture, to_params
from lic_native.coding.rate import NoisyMeter, RateMeter, RoundingMeter
from lic_native.models.mlcc import Mlcc
from lic_native.models.msp import Msp
from lic_native.models.rate_points import LAST
from lic_native.models.sampling import Picture, Shape
from lic_native.training.image import relaxed_loss

pytestmark = pytest.mark.usefixtures("one_thread")

METERS = [RateMeter, NoisyMeter, RoundingMeter]


class InOrder:
    """Passes on what a walk codes, group by group: it is not a meter, of which a walk knows that order is no matter."""

    def __init__(self, meter):
        self.meter, self.groups = meter, 0

    def code(self, params, symbols):
        self.groups += 1
        return self.meter.code(params, symbols)


class Counted:
    """Counts the calls of `measure` of a meter."""

    def __init__(self, meter):
        self.groups, measure = 0, meter.measure

        def counted(*arguments):
            self.groups += 1
            measure(*arguments)

        meter.measure = counted


@pytest.fixture
def noise(monkeypatch):
    """Noise that depends on the symbol alone, whatever the order in which it is drawn."""
    monkeypatch.setattr(torch, "rand_like", lambda x: (7.3 * x.detach()).sin().abs())


@pytest.fixture(scope="module", params=["float", "frozen"])
def models(request, crops):
    """Deep models of both kinds: floats, or exact networks, whose activations are rounded; they have gradients, too."""
    result = [made(kind, replace(SMALL[kind], **DEEP[kind]), crops) for kind in SMALL]
    if request.param == "frozen":
        for model in result:
            pictures = [jpeg_picture(sampling) for sampling in ("4:2:0", "4:2:2", "4:4:4", "gray")]
            model.calibrate(pictures if isinstance(model, Mlcc) else [crops]).freeze().requires_grad_(True)
    return dict(zip(SMALL, result))


def leaves(symbols):
    """Symbols, and those tensors of them that have gradients."""
    if isinstance(symbols, Picture):
        planes = [x.clone().requires_grad_() for x in (symbols.luma, *symbols.chroma)]
        return Picture(planes[0], tuple(planes[1:])), planes
    leaf = symbols.clone().requires_grad_()
    return leaf, [leaf]


def odd_picture(sampling, rows, columns):
    """Coefficients of a picture that does not fill its grid."""
    _, tables, picture = jpeg_picture(sampling)
    luma, chroma = (rows, columns), (-(-rows // 2), -(-columns // 2)) if sampling == "4:2:0" else (rows, columns)
    planes = [picture.luma, *picture.chroma]
    for plane, (height, width) in zip(planes, (luma, chroma, chroma)):
        plane[:, height:] = 0
        plane[:, :, width:] = 0
    return Shape(sampling, luma, chroma), tables, picture


def known(model, size):
    """Arguments of `walk`; latents are not yet rounded, coefficients are integers."""
    if isinstance(model, Mlcc):
        return odd_picture("4:2:0" if size[0] % 2 else "4:4:4", *size)
    index, unit = torch.tensor([0, 200, LAST]), model.units(torch.tensor([0, 200, LAST])).unit.detach()
    generator = torch.Generator().manual_seed(2)
    return index, size, torch.randn(3, model.channels, *size, generator=generator) * unit.permute(0, 3, 1, 2)


def slopes_of(model, coder, meter, given, symbols):
    model.zero_grad()
    symbols, inputs = leaves(symbols)
    coded = model.walk(coder, *given, symbols)
    bits = meter.bits()
    weights = torch.linspace(0.5, 1.5, len(bits))
    coded = [coded.luma, *coded.chroma] if isinstance(coded, Picture) else [coded]
    ((bits * weights).sum() + sum((x * x.detach().cos()).sum() for x in coded)).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    gradients |= {f"symbols {i}": leaf.grad for i, leaf in enumerate(inputs)}
    return bits.detach(), coded, {name: gradient.clone() for name, gradient in gradients.items()}


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (1, 2), (6, 3)], ids=str)
@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("meter", METERS)
def test_all_groups_at_once_give_what_one_by_one_gives(models, kind, meter, size, noise):
    """Bits, what is decoded, and the gradients of all weights and symbols."""
    model = models[kind]
    *given, symbols = known(model, size)
    at_once, one_by_one = meter(), meter()
    counted, in_order = Counted(at_once), InOrder(one_by_one)
    bits, coded, slopes = slopes_of(model, at_once, at_once, given, symbols)
    expected_bits, expected_coded, expected = slopes_of(model, in_order, one_by_one, given, symbols)
    assert counted.groups < in_order.groups
    torch.testing.assert_close(bits, expected_bits, rtol=1e-5, atol=1e-3)
    assert all(torch.equal(x, y) for x, y in zip(coded, expected_coded))
    assert slopes.keys() == expected.keys()
    for name, slope in slopes.items():
        assert (slope - expected[name]).norm() <= 2e-4 * expected[name].norm() + 1e-6, name


def test_a_single_group_has_no_groups_before():
    model = Msp(replace(SMALL[Msp], groups=((0, SMALL[Msp].y_channels),)))
    *given, symbols = known(model, (4, 6))
    at_once, one_by_one = RateMeter(), RateMeter()
    model.walk(at_once, *given, symbols)
    model.walk(InOrder(one_by_one), *given, symbols)
    torch.testing.assert_close(at_once.bits(), one_by_one.bits())


@pytest.mark.parametrize("models", ["frozen"], indirect=True)
@pytest.mark.parametrize("kind", SMALL)
def test_parameters_of_an_exact_network_are_the_same_at_once(models, kind):
    """To the bit: what is measured is what a file is coded with."""
    *given, symbols = known(models[kind], (5, 7))
    symbols = symbols.round() if kind is Msp else symbols
    found = []
    for order in (lambda meter: meter, InOrder):
        meter, params = RateMeter(), []
        meter.measure = lambda mixture, _, params=params: params.append(to_params(mixture))
        with torch.no_grad():
            models[kind].walk(order(meter), *given, symbols)
        found.append(params)
    at_once, groups = found[0], iter(found[1])
    for whole in at_once:
        parts = [next(groups)]
        while sum(part.shape[-2] for part in parts) < whole.shape[-2]:
            parts.append(next(groups))
        assert torch.equal(torch.cat(parts, -2), whole)
    assert next(groups, None) is None


def reference_bits(x, raw, mean, unit, level):
    """The formula as autograd takes it."""
    m1, m2, s1, s2, w = raw.unbind(-1)
    w = torch.sigmoid(w)

    def mass(m, s):
        inverse = (-(level + s).clamp(*LOG_SCALES)).exp()
        distance = (x - (m + (0 if mean is None else mean)) * unit).abs()
        return torch.sigmoid((0.5 - distance) * inverse) - torch.sigmoid((-0.5 - distance) * inverse)

    return -torch.log2(w * mass(m1, s1) + (1 - w) * mass(m2, s2) + FLOOR)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("with_mean", [False, True])
def test_derivatives_of_costs_are_those_of_autograd(with_mean, batched):
    """In float64, where both agree to many digits, also where a scale is at its bounds; units are shared or not."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape, scale=1.0):
        return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).requires_grad_()

    shape = (3, 5, 7, 11)
    raw, x, level = drawn(*shape, 5, scale=3.0), drawn(*shape, scale=4.0), drawn(3 if batched else 1, 1, 1, 11)
    unit, mean = level.detach().exp().requires_grad_(), drawn(*shape) if with_mean else None
    inputs = [each for each in (x, raw, mean, unit, level) if each is not None]
    weights = torch.randn(3, math.prod(shape[1:]), generator=generator, dtype=torch.float64)
    ours, theirs = Mixture(raw, mean, unit, level).costs(x), reference_bits(x, raw, mean, unit, level).flatten(1)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    log_scales = raw[..., 2:4] + level[..., None]
    assert (log_scales < LOG_SCALES[0]).any() and (log_scales > LOG_SCALES[1]).any()
    gradients = [torch.autograd.grad((each * weights).sum(), inputs) for each in (ours, theirs)]
    for mine, other in zip(*gradients):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


def test_costs_of_bfloat16_are_computed_in_float32():
    raw = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    x, one = torch.arange(30.0).expand(2, 30) / 8, torch.ones(1)
    ours = Mixture(raw, None, one, 0 * one).costs(x)
    torch.testing.assert_close(ours, reference_bits(x, raw.float(), None, one, 0 * one))
    (gradient,) = torch.autograd.grad(ours.sum(), raw)
    assert gradient.dtype == torch.bfloat16 and gradient.any()


#: Operations that wait for a device, copy from the host, or have a shape that depends on values.
FORBIDDEN = (
    "_local_scalar_dense",
    "lift_fresh",
    "nonzero",
    "is_nonzero",
    "item",
    "unique",
    "masked_select",
    "bincount",
    "equal",
)


class Operations(TorchDispatchMode):
    """Counts operations by their name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def loss(model, meter, given):
    if isinstance(model, Mlcc):
        model.walk(meter, *given)
        return meter.bits().sum()
    return relaxed_loss(model, *given, meter).sum()


def a_batch(model, crops):
    return odd_picture("4:2:0", 5, 7) if isinstance(model, Mlcc) else (crops[:2], torch.tensor([3, LAST]))


@pytest.fixture(params=[False, True], ids=["floats", "rounded"])
def trained(request, crops):
    """Models as in training: activations are floats, or rounded as in a file."""
    result = {kind: made(kind, replace(SMALL[kind], **DEEP[kind]), crops) for kind in SMALL}
    if request.param:
        result[Mlcc].calibrate([jpeg_picture("4:2:0")]).enable_quantization()
        result[Msp].calibrate([crops]).enable_quantization()
    return result


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("meter", METERS)
def test_a_training_step_never_waits_for_its_device(trained, kind, meter, crops):
    """So that a CUDA graph can hold it: forward and backward."""
    given = a_batch(trained[kind], crops)
    with Operations() as operations:
        loss(trained[kind], meter(), given).backward()
    assert operations.counts["mm"] and not operations.counts.keys() & set(FORBIDDEN)
    for waits in (lambda x: bool(x.sum() > 0), lambda x: x.new_tensor([1.0]), torch.nonzero):
        with Operations() as operations:
            waits(crops)
        assert operations.counts.keys() & set(FORBIDDEN)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("meter", METERS)
def test_a_training_step_takes_tensors_of_a_pretended_gpu(trained, kind, meter, crops):
    """One on the CPU among them, or a value that is asked for, raises."""
    model, mode = trained[kind], FakeTensorMode()

    def pretended(x):
        fake = mode.from_tensor(x.detach())
        with mode:
            return fake.to("cuda")

    for module in model.modules():
        for name, p in module._parameters.items():
            module._parameters[name] = None if p is None else nn.Parameter(pretended(p))
        for name, b in module._buffers.items():
            module._buffers[name] = pretended(b)
    if kind is Mlcc:
        shape, tables, picture = a_batch(model, crops)
        given = shape, pretended(tables), Picture(pretended(picture.luma), tuple(map(pretended, picture.chroma)))
    else:
        given = tuple(map(pretended, a_batch(model, crops)))
    with mode:
        result = loss(model, meter(), given)
        assert result.device.type == "cuda" and result.requires_grad
        with pytest.raises(DataDependentOutputException):
            bool(result > 0)


@pytest.mark.parametrize("quantiser", [0, 2**16])
def test_a_quantiser_outside_of_its_range_is_refused_before_the_walk(quantiser):
    """The walk itself never looks at values, so that it never waits for a device."""
    shape, tables, picture = jpeg_picture("gray")
    tables[0, 1, 5] = quantiser
    with pytest.raises(ValueError, match=r"a quantiser is outside 1 \.\. 65535"):
        Mlcc(SMALL[Mlcc]).run(RateMeter(), shape, tables, picture)
