"""Transforms at one resolution: what they begin as, and how far they see."""

import pytest
import torch
from conftest import check_reach, random_msp
from torch import nn

from lic_native.models.msp import Config
from lic_native.models.rate_points import BETWEEN, LAST, MIDDLE
from lic_native.nn.gains import gains_at
from lic_native.nn.transforms import AnalysisTransform, Block, SynthesisTransform, init_from_pca

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole(crops) -> tuple[AnalysisTransform, SynthesisTransform]:
    """As many components as samples."""
    transforms = AnalysisTransform(192, 2, 768), SynthesisTransform(192, 3, 768)
    init_from_pca(*transforms, crops - 0.5, MIDDLE)
    return transforms


def test_first_weights_invert_each_other(whole, crops):
    g_a, g_s = whole
    index = torch.full((len(crops),), LAST)
    with torch.no_grad():
        y = g_a(crops - 0.5, index)
        error = g_s(y, index) - (crops - 0.5)
    assert error.abs().max() < 1e-3
    # Orthonormal but for the scale, most energy first.
    assert float(y.square().sum()) == pytest.approx(MIDDLE**2 * float((crops - 0.5).square().sum()), rel=1e-3)
    energy = y.square().mean((0, 2, 3))
    assert energy[:64].sum() > 0.9 * energy.sum()


def test_few_components_are_those_of_most_energy(crops):
    """No other transform of blocks that is linear and of so few numbers is nearer in the mean than principal ones."""
    errors = []
    index = torch.full((len(crops),), LAST)
    for channels in (8, 32, 128):
        g_a, g_s = AnalysisTransform(96, 1, channels), SynthesisTransform(96, 1, channels)
        init_from_pca(g_a, g_s, crops - 0.5, MIDDLE)
        with torch.no_grad():
            errors.append(float((g_s(g_a(crops - 0.5, index), index) - (crops - 0.5)).square().mean()))
    assert errors[0] > errors[1] > errors[2]
    blocks = nn.functional.pixel_unshuffle(crops - 0.5, 16).permute(0, 2, 3, 1).flatten(0, 2)
    energies = torch.linalg.svdvals(blocks).square()
    for channels, error in zip((8, 32, 128), errors):
        best = float(energies[channels:].sum()) / blocks.numel()
        assert best - 1e-6 < error < 1.5 * best + 1e-4


def test_more_channels_than_components_change_nothing_at_first(crops):
    index, narrow = torch.full((len(crops),), LAST), (AnalysisTransform(192, 1, 128), SynthesisTransform(192, 1, 128))
    wide = AnalysisTransform(208, 1, 128), SynthesisTransform(208, 1, 128)
    for transforms in (narrow, wide):
        init_from_pca(*transforms, crops - 0.5, MIDDLE)
    with torch.no_grad():
        y, of_wide = (g_a(crops - 0.5, index) for g_a, _ in (narrow, wide))
        assert torch.allclose(y, of_wide, atol=1e-3)
        assert torch.allclose(narrow[1](y, index), wide[1](y, index), atol=1e-4)
        # The further channels see the pixels, so that blocks can use them.
        assert wide[0].first.weight[192:].abs().sum() > 0 and wide[1].first.weight[4 * 192 :].abs().sum() > 0


def test_blocks_begin_as_the_identity():
    x = torch.randn(2, 8, 5, 6)
    assert torch.equal(Block(8)(x, torch.tensor([0, 99])), x)


@pytest.mark.parametrize("name", ["g_a", "g_s"])
def test_blocks_depend_on_the_quality(crops, name):
    transform = getattr(random_msp(crops), name).eval()
    shape = (1, 3, 32, 48) if name == "g_a" else (1, 12, 2, 3)
    x = torch.rand(shape)
    with torch.no_grad():
        alone = [transform(x, torch.tensor([index])) for index in (0, BETWEEN, LAST)]
        together = transform(x.expand(3, -1, -1, -1), torch.tensor([0, BETWEEN, LAST]))
    assert not torch.allclose(alone[0], alone[1]) and not torch.allclose(alone[1], alone[2])
    torch.testing.assert_close(together, torch.cat(alone))


def test_gains_are_linear_in_their_logarithms():
    logs = torch.randn(8, 5)
    for index in (0, 1, 63, 64, 100, 447, LAST):
        stop, part = min(index // BETWEEN, 6), index / BETWEEN - min(index // BETWEEN, 6)
        expected = ((1 - part) * logs[stop] + part * logs[stop + 1]).exp()
        torch.testing.assert_close(gains_at(logs, torch.tensor([index]))[0, :, 0, 0], expected)


@pytest.mark.parametrize("blocks", [(0, 1), (1, 2), (2, 3), (4, 0)])
def test_pixels_and_latents_reach_no_further_than_they_say(crops, blocks):
    config = Config(8, 8, *blocks, groups=((0, 8),), embedding_width=4, trunk_width=4, head_width=4, skip_channels=2)
    check_reach(random_msp(crops, config))
