"""Probability models of images that Rust computes in integers: the same bytes as on torch, for any network and size."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL_MSP, jpeg_bytes, photograph, random_msp
from test_engine import MAX_BYTES, a_little_more, backends, shipped, with_changes

from lic_native import _native, image
from lic_native.errors import CorruptError, LicError, TruncatedError, UnsupportedError
from lic_native.image import torch_coder
from lic_native.image.codec import latent_coder
from lic_native.image.coders import Engine, encode_tile
from lic_native.image.torch_coder import TorchCoder
from lic_native.models import base, bls2017, msp, registry
from lic_native.models.rate_points import LAST, STRIDE
from lic_native.nn import transforms

pytestmark = pytest.mark.usefixtures("one_thread")

#: Rows and columns of vectors: from one on, phases without any among them, and more than a head takes at a time.
SIZES = [(1, 1), (1, 2), (2, 1), (1, 7), (3, 5), (4, 4), (9, 13), (33, 18), (18, 40)]


def random_config(seed: int) -> msp.Config:
    """Return small widths of any parity, depths from none to two, and groups of any size, in any order."""
    rng = random.Random(seed)
    channels = rng.randint(2, 60)
    cuts = sorted(rng.sample(range(1, channels), rng.randint(1, min(4, channels - 1))))
    groups = list(zip([0, *cuts], [*cuts, channels]))
    if seed % 2:
        rng.shuffle(groups)
    return replace(
        SMALL_MSP,
        y_channels=channels,
        groups=tuple(groups),
        embedding_width=rng.randint(1, 30),
        trunk_width=rng.randint(1, 40),
        head_width=rng.randint(1, 24),
        skip_channels=rng.randint(1, min(channels, 20)),
        context_blocks=tuple(rng.randint(1, 12) for _ in range(seed % 3)),
        pointwise_blocks=seed // 2 % 3,
        further_head_layers=(seed + 1) // 2 % 3,
    )


@pytest.fixture(scope="module", params=range(8))
def network(request, crops, tmp_path_factory) -> tuple[msp.Msp, bytes]:
    """A random network on torch, and its file."""
    model = random_msp(crops, random_config(request.param)).calibrate([crops]).freeze()
    path = tmp_path_factory.mktemp("weights") / "random.weights"
    model.save(path)
    return model, path.read_bytes()


@pytest.fixture(scope="module")
def weights() -> bytes:
    return shipped("msp-fast")


def random_latents(model: msp.Msp, size: tuple[int, int], index: int, seed: int = 0) -> np.ndarray:
    """Return latents of all magnitudes, most of them as the model expects."""
    rng = np.random.default_rng([seed, *size])
    unit = model.units(torch.tensor([index])).unit.numpy().reshape(-1, 1, 1)
    y = rng.standard_t(3, (model.channels, *size)) * unit * 2.0 ** rng.uniform(-2, 2)
    y = np.clip(y.round(), -(2**15 - 1), 2**15 - 1).astype(np.int16)
    if seed % 2:
        y[::5, 0, 0] = -(2**15 - 1)
    return y


def test_random_networks_code_as_on_torch(network):
    model, data = network
    on_torch = TorchCoder(model)
    engines = [Engine(_native.Msp(data, MAX_BYTES, backend=name)) for name in backends()]
    assert {(e.fingerprint(), e.channels) for e in engines} == {(on_torch.fingerprint(), on_torch.channels)}
    for seed, size in enumerate(SIZES):
        index = (0, LAST, 77, 64, 300)[seed % 5]
        latents = random_latents(model, size, index, seed)
        expected = on_torch.encode(latents, index)
        assert np.array_equal(on_torch.decode(expected, index, size), latents)
        for engine in engines:
            assert engine.encode(latents, index) == expected, size
            assert np.array_equal(engine.decode(expected, index, size), latents)


def test_all_qualities_have_the_same_units_as_on_torch(small_msp):
    """Symbols of few vectors, whose bytes change with any parameter of the mixtures."""
    on_torch, engine = TorchCoder(small_msp), latent_coder(small_msp)
    assert isinstance(engine, Engine)
    for index in range(0, LAST + 1, 3):
        latents = random_latents(small_msp, (2, 3), index, index)
        assert engine.encode(latents, index) == on_torch.encode(latents, index), index


@pytest.mark.parametrize("name", registry.EXACT_PRIORS)
def test_shipped_networks_code_as_on_torch(name):
    model = registry.load_image(name, "cpu")
    on_torch, engines = TorchCoder(model), [latent_coder(model), Engine(registry.load_image_engine(name))]
    for engine in engines:
        assert isinstance(engine, Engine) and engine.fingerprint() == on_torch.fingerprint()
    for index in (0, 192, LAST):
        latents = random_latents(model, (9, 14), index)
        stream = on_torch.encode(latents, index)
        for engine in engines:
            assert engine.encode(latents, index) == stream
            assert np.array_equal(engine.decode(stream, index, (9, 14)), latents)


def test_what_both_sides_know_is_the_same():
    assert Engine.tile == msp.Msp.TILE
    assert msp.Msp.STRIDE == bls2017.Bls2017.STRIDE == transforms.STRIDE == STRIDE


@pytest.mark.parametrize("backend", backends())
def test_another_instruction_set_verifies_what_was_encoded(small_msp, backend, monkeypatch):
    engine, latents = latent_coder(small_msp), random_latents(small_msp, (3, 5), 200)
    expected = encode_tile(engine, latents, 200)
    monkeypatch.setenv("LIC_VERIFY_SIMD", backend)
    assert encode_tile(engine, latents, 200) == expected
    monkeypatch.setenv("LIC_VERIFY_SIMD", "mmx")
    assert np.array_equal(engine.decode(expected, 200, (3, 5)), latents)
    with pytest.raises(ValueError, match="no backend 'mmx'"):
        encode_tile(engine, latents, 200)


def test_the_largest_tile_is_coded(weights):
    engine = Engine(_native.Msp(weights, MAX_BYTES))
    latents = random_latents(registry.load_image("msp-fast", "cpu"), (128, 128), 0)
    assert np.array_equal(engine.decode(engine.encode(latents, 0), 0, (128, 128)), latents)


def test_models_that_rust_does_not_compute_stay_on_torch(small_msp):
    assert isinstance(latent_coder(registry.load_image("bls2017", "cpu")), TorchCoder)
    wide = msp.Msp(small_msp.config)
    wide.load_state_dict(small_msp.state_dict())
    with torch.no_grad():
        wide.prior.head.output[0].weight.flatten()[0] += 1e-3
    assert isinstance(latent_coder(wide), TorchCoder)


def test_threads_share_a_network(weights):
    network, model = _native.Msp(weights, MAX_BYTES), registry.load_image("msp-fast", "cpu")
    given = [random_latents(model, size, 200) for size in SIZES[3:7]]
    expected = [Engine(network).encode(latents, 200) for latents in given]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda latents: Engine(network).encode(latents, 200), 3 * given)) == 3 * expected


def test_latents_need_no_torch(tmp_path):
    samples = photograph(112, 160)
    for profile in ("fast", "balanced", "best"):
        small = image.compress(samples, profile=profile, device="cpu")
        (tmp_path / f"{profile}.lic").write_bytes(small)
        np.save(tmp_path / f"{profile}.npy", image.latents(small, device="cpu"))
    code = """if True:
        import pathlib, sys
        sys.modules["torch"] = None
        import numpy as np
        from lic_native import image
        for small in pathlib.Path(sys.argv[1]).glob("*.lic"):
            assert np.array_equal(image.latents(small.read_bytes()), np.load(small.with_suffix(".npy")))
    """
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)


def test_damaged_streams_raise_errors_or_give_other_latents(weights):
    engine, rng = Engine(_native.Msp(weights, MAX_BYTES)), random.Random(0)
    latents = random_latents(registry.load_image("msp-fast", "cpu"), (4, 5), 100, 1)
    stream = engine.encode(latents, 100)
    errors = 0
    for _ in range(200):
        damaged = bytearray(stream)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            damaged = damaged[: rng.randrange(len(damaged))]
        try:
            engine.decode(bytes(damaged), 100, (4, 5))
        except (CorruptError, TruncatedError):
            errors += 1
    assert errors > 150
    for other in (b"", b"\0", bytes(1000), b"\xff" * 1000, stream + b"\0\0", stream[:-2]):
        with pytest.raises((CorruptError, TruncatedError)):
            engine.decode(other, 100, (4, 5))
    with pytest.raises((CorruptError, TruncatedError)):
        engine.decode(stream, 100, (5, 4))


@pytest.mark.parametrize(
    ("size", "index"),
    [((0, 4), 0), ((4, 0), 0), ((129, 4), 0), ((4, 2**40), 0), ((-1, 4), 0), ((4, 4), LAST + 1), ((4, 4), -1)],
)
def test_latents_that_are_none_are_refused(weights, size, index):
    network = _native.Msp(weights, MAX_BYTES)
    with pytest.raises((ValueError, OverflowError)):
        network.decode(b"\0" * 100, index, size)
    if 0 <= size[0] * size[1] < 1000:
        with pytest.raises((ValueError, OverflowError)):
            network.encode(np.zeros((*size, 320), np.int16), index)


def test_latents_of_another_form_are_refused(weights):
    network = _native.Msp(weights, MAX_BYTES)
    for latents in (np.zeros((4, 4, 319), np.int16), np.zeros((320, 4, 4), np.int16)):
        with pytest.raises(ValueError, match="latents"):
            network.encode(latents, 0)
    for latents in (np.zeros((4, 4, 320), np.int32), np.zeros((4, 320), np.int16), [[[0] * 320]]):
        with pytest.raises(TypeError):
            network.encode(latents, 0)


LEVELS = "prior.deviation_levels"


@pytest.mark.parametrize(
    ("error", "message", "config", "changes"),
    [
        (CorruptError, "prior.trunks.0|array \"trunks.0", {"trunk_width": 129}, {}),
        (CorruptError, "pointwise_blocks|no array", {"pointwise_blocks": 10000}, {}),
        (CorruptError, "depth", {"depth": 1}, {}),
        (CorruptError, "JSON", {"trunk_width": -1}, {}),
        (CorruptError, "width", {"head_width": 0}, {}),
        (CorruptError, "share the channels", {"groups": [[0, 16], [16, 64], [65, 320]]}, {}),
        (CorruptError, "share the channels", {"groups": [[0, 16], [16, 16], [16, 320]]}, {}),
        (CorruptError, "more or fewer", {"groups": [[0, 16], [16, 64]]}, {}),
        (CorruptError, "more or fewer", {"groups": []}, {}),
        (CorruptError, "more or fewer", {"skip_channels": 321}, {}),
        (CorruptError, "pairs", {"groups": [[0, 320, 1]]}, {}),
        (CorruptError, "no array", {}, {LEVELS: lambda _: None}),
        (CorruptError, "int32", {}, {LEVELS: lambda a: a.astype(np.float32)}),
        (CorruptError, "int32", {}, {LEVELS: lambda a: a[:1]}),
        (CorruptError, "octaves", {}, {LEVELS: lambda a: a + 30 * 256}),
        (CorruptError, "octaves", {}, {"prior.gain_levels": lambda a: np.full_like(a, -(2**31))}),
        (CorruptError, "more", {}, {"prior.more": lambda _: np.zeros(3, np.float32)}),
        (CorruptError, "grid", {}, {"prior.head.input.step": lambda a: a * 3}),
        (UnsupportedError, "head.context", {}, {"prior.head.context.weight": a_little_more}),
        (UnsupportedError, "trunks.1.fine_context", {}, {"prior.trunks.1.fine_context.weight": lambda a: a * np.inf}),
        (UnsupportedError, "embedding.linear", {}, {"prior.embedding.linear.weight": a_little_more}),
    ],
)  # fmt: skip
def test_weights_that_are_not_of_an_exact_network_are_refused(weights, error, message, config, changes):
    with np.errstate(invalid="ignore"):
        changed = with_changes(weights, config, **changes)
    with pytest.raises(error, match=message):
        _native.Msp(changed, MAX_BYTES)


def test_other_files_are_no_weights(weights):
    for name in ("mlcc-fast", "bls2017"):
        with pytest.raises(CorruptError):
            _native.Msp(shipped(name), MAX_BYTES)
    for data in (b"", b"weights", weights[:-1], jpeg_bytes(16, 16)):
        with pytest.raises(LicError):
            _native.Msp(data, MAX_BYTES)
    with pytest.raises(TypeError, match="float32 or int32"):
        _native.Msp.from_arrays("{}", [("a", np.zeros(3))])
    with pytest.raises(ValueError, match="no backend 'mmx'"):
        _native.Msp(weights, MAX_BYTES, backend="mmx")


def test_torch_is_tried_only_where_it_codes(monkeypatch):
    """On a CPU, Rust codes the latents of MSP, so that loading takes no time for that."""
    tried = []
    for module in (base, torch_coder):
        monkeypatch.setattr(module, "check_exact", lambda part, device: tried.append((part, device)))
    registry._load.cache_clear()
    model = registry.load_image("msp-fast", "cpu")
    assert isinstance(latent_coder(model), Engine) and not tried
    TorchCoder(model)
    assert tried == [(model.exact_part, model.device)]


def test_loading_imports_no_compiler_of_torch():
    """It takes longer than the weights: torch needs it for some operations on the device "meta"."""
    code = """if True:
        import sys
        from lic_native.models import registry
        for name in registry.EXACT_PRIORS:
            registry.load_image(name, "cpu")
        assert "torch._dynamo" not in sys.modules
        """
    subprocess.run([sys.executable, "-c", code], check=True)
