"""Latent overfitting, with models of a few lines."""

import gc
import weakref
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from conftest import photograph
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lic_native.image import overfitting
from lic_native.image.overfitting import annealed, overfit
from lic_native.models import registry
from lic_native.models.rate_points import LAST


class Cost:
    """A differentiable rate: a symbol x costs 1 + 3 |x| bits."""

    def __init__(self, size):
        self.shape, self.device = (1, 3, *size), torch.device("cpu")

    def distributions(self):
        raise AssertionError("nothing is coded here")

    def bits(self, symbols):
        return (1 + 3 * symbols.abs()).flatten(1).sum(1)


class Toy:
    """A model whose latents are mean colours of 16x16 pixels, and whose synthesis mixes neighbours."""

    STRIDE, TILE, channels, reach, device = 16, 64, 3, (0, 1), torch.device("cpu")

    def fingerprint(self):
        return 0

    def encode(self, pixels, index):
        return 40 * (F.avg_pool2d(pixels, 16) - 0.5)

    def decode(self, symbols, index):
        near = F.avg_pool2d(F.pad(symbols, (1, 1, 1, 1)), 3, 1)
        return F.interpolate(1.4 * symbols - 0.4 * near, scale_factor=16) / 40 + 0.5

    def walk(self, coder, index, size, symbols=None):
        return coder.code(Cost(size), symbols)


def pixels(height=96, width=128, seed=0):
    return torch.from_numpy(photograph(height, width, seed)).permute(2, 0, 1)[None].float() / 255


def score(symbols, picture, index):
    """Compute the loss from its definition."""
    from lic_native.models.rate_points import tradeoff

    model, at = Toy(), torch.tensor([index])
    bits = Cost(symbols.shape[2:]).bits(symbols)
    decoded = model.decode(symbols, at).clamp(0, 1)
    bpp = float(bits) / picture[0, 0].numel()
    mse = 255**2 * float(F.mse_loss(decoded, picture))
    return bpp, mse, bpp + tradeoff(index) * mse


@pytest.mark.parametrize("index", [0, 200, LAST])
def test_loss_falls_and_is_measured_with_integers(index):
    picture = pixels()
    result = overfit(Toy(), picture, index, 60)
    assert torch.equal(result.symbols, result.symbols.round())
    plain = Toy().encode(picture, None).round()
    assert result.before == pytest.approx(score(plain, picture, index), rel=1e-4)
    assert result.after == pytest.approx(score(result.symbols, picture, index), rel=1e-4)
    assert result.after.loss < result.before.loss


def test_what_is_found_is_near_the_best():
    """No change of a single symbol improves the loss by much more."""
    picture, index = pixels(32, 32), 300
    found = overfit(Toy(), picture, index, 200)
    best = found.after.loss
    for i in range(found.symbols.numel()):
        for change in (-1, 1):
            other = found.symbols.clone()
            other.view(-1)[i] += change
            best = min(best, score(other, picture, index)[2])
    assert found.before.loss - found.after.loss > 0.5 * (found.before.loss - best)


def test_never_worse_than_rounding():
    """With a misleading gradient, the result is that of rounding."""

    class Astray(Toy):
        def decode(self, symbols, index):
            return super().decode(symbols, index) + 0.3 * symbols.requires_grad

    picture = pixels()
    result = overfit(Astray(), picture, LAST, 300)
    assert torch.equal(result.symbols, Toy().encode(picture, None).round())
    assert result.after == result.before


def test_none_is_rounding():
    picture = pixels()
    result = overfit(Toy(), picture, 100, 0)
    assert torch.equal(result.symbols, Toy().encode(picture, None).round())
    assert result.after == result.before


def test_twice_the_same_and_torch_as_it_was():
    picture = pixels()
    torch.manual_seed(1)
    with torch.inference_mode():
        first = overfit(Toy(), picture, 200, 20)
    drawn = torch.rand(4)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(4), drawn)
    second = overfit(Toy(), picture, 200, 20)
    assert torch.equal(first.symbols, second.symbols) and first.after == second.after


def test_every_step_is_told():
    told = []
    overfit(Toy(), pixels(32, 32), 200, 5, on_step=lambda done, loss: told.append((done, loss)))
    assert [done for done, _ in told] == [1, 2, 3, 4, 5]
    assert all(loss > 0 for _, loss in told)


def test_tile_by_tile_makes_the_whole_better():
    """A tile is fitted with its surroundings; what its loss gains is what the whole gains."""
    model, picture, index = Toy(), pixels(96, 160), 200
    reach = model.reach[1]
    y = model.encode(picture, None)
    chosen = y.round()
    before = score(chosen, picture, index)[2]
    for left, right in ((0, 4), (4, 10)):
        first, last = max(left - 2 * reach, 0), min(right + 2 * reach, 10)
        latents = chosen[..., first:last].clone()
        latents[..., left - first : right - first] = y[..., left:right]
        result = overfit(
            model,
            picture[..., 16 * first : 16 * last],
            index,
            100,
            symbols=latents,
            tile=(slice(0, 6), slice(left - first, right - first)),
        )
        assert result.symbols.shape == (1, 3, 6, right - left)
        chosen[..., left:right] = result.symbols
        # What is lost and won here is lost and won in the whole.
        after = score(chosen, picture, index)[2]
        won = (result.before.loss - result.after.loss) * (right - left) / 10
        assert before - after == pytest.approx(won, rel=1e-3) and won > 0
        before = after


def test_latents_of_the_surroundings_are_rounded_and_stay():
    """Synthesis sees the surroundings as a decoder will; they are not fitted."""
    seen = []

    class Watched(Toy):
        def decode(self, symbols, index):
            seen.append(symbols.detach())
            return super().decode(symbols, index)

    y = Toy().encode(pixels(), None)
    overfit(Watched(), pixels(), 300, 5, symbols=y, tile=(slice(2, 4), slice(0, 3)))
    for symbols in seen:
        outside = torch.ones_like(y, dtype=torch.bool)
        outside[..., 2:4, 0:3] = False
        assert torch.equal(symbols[outside], y.round()[outside])


@pytest.mark.parametrize(
    "wrong",
    [
        {"pixels": pixels()[0]},
        {"pixels": pixels()[:, :, :90]},
        {"pixels": torch.cat([pixels()] * 2)},
        {"index": -1},
        {"index": LAST + 1},
        {"iterations": -1},
        {"symbols": torch.zeros(1, 3, 6, 9)},
        {"tile": (slice(0, 7), slice(0, 8))},
        {"tile": (slice(0, 6), slice(3, 3))},
        {"tile": (slice(-1, 6), slice(0, 8))},
        {"tile": (slice(0, 6, 2), slice(0, 8))},
    ],
)
def test_nonsense_is_refused(wrong):
    arguments = {"pixels": pixels(), "index": 100, "iterations": 1} | wrong
    with pytest.raises(ValueError):
        overfit(Toy(), **arguments)


def test_rounding_is_random_between_neighbours_and_hardens():
    y = torch.linspace(-3, 3, 997)
    below, above = y.floor(), y.floor() + 1

    def drawn(temperature):
        return annealed(y, temperature, 0.5, torch.rand(y.shape, generator=torch.Generator().manual_seed(0)))

    for temperature in (0.5, 0.05, 0.001):
        z = drawn(temperature)
        assert bool(((z >= below) & (z <= above)).all())
    undecided = [float((z - z.round()).abs().mean()) for z in map(drawn, (0.5, 0.05, 0.001))]
    assert undecided == sorted(undecided, reverse=True) and undecided[-1] < 0.01
    # The nearer more often, but not always.
    nearest = drawn(0.001).round() == y.round()
    assert 0.5 < float(nearest.float().mean()) < 1
    far = (y - y.round()).abs() < 0.25
    assert nearest[far].float().mean() > nearest[~far].float().mean()


class Unread(TorchFunctionMode):
    """Refuses what reads a tensor, or makes one of numbers in Python: a graph can hold neither."""

    readers = (getattr(torch.Tensor, name) for name in ("cpu", "numpy", "tolist", "item", "__bool__", "__float__"))
    refused = (*readers, torch.tensor, torch.as_tensor, torch.from_numpy)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in self.refused, function
        return function(*args, **kwargs or {})


class RecordedGraph(TorchDispatchMode):
    """A stand-in for a CUDA graph: replays do the recorded operations again in the same tensors, without Python."""

    made: ClassVar[list[weakref.ref]] = []
    replays = 0

    def __init__(self):
        super().__init__()
        self.made.append(weakref.ref(self))
        self.operations, self.before = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.lift_fresh.default)
        schema, kwargs = function._schema, kwargs or {}
        for argument, value in [*zip(schema.arguments, args), *((a, kwargs.get(a.name)) for a in schema.arguments)]:
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.before += [(x, x.clone()) for x in tree_leaves(value) if x is not None]
        outputs = function(*args, **kwargs)
        given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        fresh = [
            isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() not in given for x in tree_leaves(outputs)
        ]
        if schema.is_mutable or any(fresh):
            self.operations.append((function, args, kwargs, fresh, tree_leaves(outputs)))
        return outputs

    def capture(self, work):
        with Unread(), self:
            result = work()
        # A capture runs nothing.
        with torch.no_grad():
            for tensor, before in reversed(self.before):
                tensor.copy_(before)
        return result

    @torch.no_grad()
    def replay(self):
        type(self).replays += 1
        for function, args, kwargs, fresh, outputs in self.operations:
            for is_fresh, old, new in zip(fresh, outputs, tree_leaves(function(*args, **kwargs))):
                if is_fresh:
                    old.copy_(new)


def fused_adam(y):
    """Return what CUDA has."""
    rate = torch.zeros((), dtype=torch.float32)
    return torch.optim.Adam([y], rate, betas=(0.9, 0.99), eps=1e-12, fused=True, capturable=True)


@pytest.mark.parametrize("tile", [None, (slice(1, 4), slice(0, 3))])
@pytest.mark.parametrize("profile", ["fast", "best"])
def test_a_graph_gives_what_plain_iterations_do(profile, tile, monkeypatch):
    """Nothing that changes from one iteration to the next stays in Python, and nothing is read back from the device."""
    model, told = registry.load_image(registry.IMAGE_PROFILES[profile], "cpu"), []
    monkeypatch.setattr(overfitting, "adam", fused_adam)

    def search():
        return overfit(model, pixels(64, 80), 200, 6, tile=tile, on_step=lambda *step: told.append(step))

    plain = search()
    monkeypatch.setattr(overfitting, "graph_maker", lambda device: RecordedGraph)
    monkeypatch.setattr(RecordedGraph, "replays", 0)
    replayed = search()
    assert RecordedGraph.replays == 5
    assert torch.equal(plain.symbols, replayed.symbols) and plain.after == replayed.after
    assert told[:6] == told[6:] and [done for done, _ in told] == 2 * [1, 2, 3, 4, 5, 6]
    gc.collect()
    assert all(graph() is None for graph in RecordedGraph.made)


def test_a_capture_that_fails_leaves_plain_iterations(monkeypatch, caplog):
    class Broken(RecordedGraph):
        def capture(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    plain = overfit(Toy(), pixels(), 200, 5)
    monkeypatch.setattr(overfitting, "graph_maker", lambda device: Broken)
    assert torch.equal(overfit(Toy(), pixels(), 200, 5).symbols, plain.symbols)
    assert caplog.text.count("not captured") == 1
