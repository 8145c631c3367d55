"""Fixtures: synthetic photographs, JPEG files of them, and a small model."""

import io
import os
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

import lic_native
from lic_native.jpeg import coders, network
from lic_native.models import msp, registry

TREE = Path(__file__).parents[1] / "python" / "lic_native"
if Path(lic_native.__file__).parent != TREE:
    pytest.exit(f"these are the tests of {TREE}, but {lic_native.__file__} is imported: pip install --editable .", 4)

# Triton's kernels run on the CPU, one operation after the other. Triton reads this when it is imported, which is later.
os.environ["TRITON_INTERPRET"] = "1"

#: Configuration of a small, fast model whose groups skip guesses entirely, partly and not at all.
SMALL_MSP = msp.Config(
    y_channels=12,
    transform_width=16,
    groups=((0, 3), (3, 8), (8, 12)),
    embedding_width=8,
    trunk_width=16,
    head_width=8,
    skip_channels=6,
)
#: Profiles that are networks.
NETWORKS = [profile for profile, name in registry.PROFILES.items() if name != registry.NATIVE]

# The first example of a property includes the start of torch, so there is no deadline.
settings.register_profile("lic_native", deadline=None)
settings.load_profile("lic_native")


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return uint8 `[height, width, 3]`: smooth shapes, an edge and some grain, which depend on the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40.0
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-2, 2, (3, 3))]
    picture = 128 + 60 * np.stack(waves, -1) + 40 * (x > y + 1)[..., None]
    return np.clip(picture + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def pixels(height: int = 64, width: int = 96, seed: int = 0) -> torch.Tensor:
    """Return a photograph as float32 `[1, 3, height, width]` in 0 to 1, the input of image models."""
    return torch.from_numpy(photograph(height, width, seed)).permute(2, 0, 1)[None].float() / 255


def jpeg_bytes(height: int = 96, width: int = 128, seed: int = 0, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph(height, width, seed)).convert(mode).save(buffer, "JPEG", **{"quality": 75, **options})
    return buffer.getvalue()


def jpeg_twice() -> bytes:
    """Return a picture that was JPEG at quality 60 before it was at 92: its histograms are combs."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(jpeg_bytes(200, 240, quality=60))).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def cut(photo: bytes, width: int, height: int, mode: str = "RGB", **options) -> bytes:
    """Return the middle of a photograph as a JPEG file."""
    image = Image.open(io.BytesIO(photo))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    buffer = io.BytesIO()
    image.crop((left, top, left + width, top + height)).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@contextmanager
def networks_alone(on_torch: bool = False):
    """Code pictures with a profile's network, even if the native coder would make them smaller.

    on_torch: let torch run it on a CPU, too.
    """

    def alone(frame, profile, device):
        name = registry.of_profile(profile, device)
        return [coders.ContextCoder() if name == registry.NATIVE else network.NetworkCoder(name, device)]

    with pytest.MonkeyPatch.context() as patch, network.on_torch() if on_torch else nullcontext():
        patch.setattr(coders, "coders_for", alone)
        yield


@pytest.fixture(scope="session")
def photo() -> bytes:
    """Return a real photograph with 4:2:0 sampling as a JPEG file."""
    return (Path(__file__).parent / "data" / "grace_hopper.jpg").read_bytes()


@pytest.fixture(scope="session")
def crops() -> torch.Tensor:
    """Return crops `[12, 3, 64, 96]` from which a model is initialised."""
    return torch.cat([pixels(seed=seed) for seed in range(12)])


def random_msp(crops: torch.Tensor, config: msp.Config = SMALL_MSP) -> msp.Msp:
    """Return an initialised model whose zero parameters are random instead."""
    torch.manual_seed(0)
    model = msp.Msp(config)
    model.init_from_pca(crops)
    for parameter in (p for p in model.parameters() if not p.any()):
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture(scope="session")
def small_msp(crops) -> msp.Msp:
    return random_msp(crops).calibrate([crops]).freeze()


@pytest.fixture(scope="module")
def one_thread():
    """Use one thread of torch, because threads that wait for each other are slow on a shared machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def check_reach(model) -> None:
    """Assert that latents and pixels depend on each other within the model's `reach`, which sets the halos of tiles."""
    side, middle, index = 13, 6, torch.tensor([100])
    for transform, shape, stride, reach in (
        (model.encode, (1, 3, model.STRIDE * side, model.STRIDE * side), (model.STRIDE, 1), model.reach[0]),
        (model.decode, (1, model.channels, side, side), (1, model.STRIDE), model.reach[1]),
    ):
        x = torch.rand(shape, requires_grad=True)
        out = slice(stride[1] * middle, stride[1] * (middle + 1))
        transform(x, index)[0, :, out, out].sum().backward()
        seen = x.grad[0].abs().sum(0)
        for along in range(2):
            lines = torch.nonzero(seen.sum(along)) // stride[0]
            assert (lines - middle).abs().max() == reach


def trained(train, data, out, minutes=None, **options):
    """Call a training, and pass options of any run as `Options`."""
    from lic_native.training import Options

    run = {field.name: options.pop(field.name) for field in fields(Options) if field.name in options}
    return train(Options(data, out, minutes, **run), **options)
