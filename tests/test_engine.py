"""Networks that Rust computes in integers: the same bytes as on torch, for any network, picture and processor."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, jpeg_twice
from test_depth import jpeg_picture, made

from lic_native import _native
from lic_native.coding.coder import StreamEncoder
from lic_native.errors import CorruptError, LicError, TruncatedError, UnsupportedError
from lic_native.jpeg.network import Engine, decode_planes, encode_and_decode, tile_coder
from lic_native.jpeg.tiles import Area, Grids, Tile
from lic_native.jpeg.torch_network import TorchNetwork, model_input
from lic_native.models import registry
from lic_native.models.mlcc import Config, Mlcc
from lic_native.models.sampling import SAMPLINGS
from lic_native.suffixes import WEIGHTS_SUFFIX

MAX_BYTES = 1 << 30
#: Rows and columns of luma blocks: from one block on, with odd tails, and more positions than a head takes at a time.
SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (6, 2), (9, 13), (16, 20), (33, 18)]


def backends() -> list[str]:
    """Return the instruction sets that this processor has."""
    found = []
    for name in ("scalar", "avx2", "avx512", "neon"):
        try:
            _native.Mlcc(b"", MAX_BYTES, backend=name)
        except TruncatedError:
            found.append(name)
        except ValueError:
            pass
    return found


def random_config(seed: int) -> Config:
    """Return small widths of any parity, and depths from none to two."""
    draw = random.Random(seed).randint
    return Config(
        luma_trunk_width=draw(1, 40),
        luma_head_width=draw(1, 24),
        luma_skip_channels=draw(0, 64),
        chroma_trunk_width=draw(1, 24),
        chroma_head_width=draw(1, 16),
        chroma_skip_channels=draw(0, 64),
        chroma_context_width=draw(1, 20),
        conditioning_width=draw(1, 12),
        luma_context_blocks=tuple(draw(1, 12) for _ in range(seed % 3)),
        chroma_context_blocks=tuple(draw(1, 12) for _ in range(seed // 2 % 3)),
        luma_pointwise_blocks=seed % 2,
        chroma_pointwise_blocks=seed // 3 % 3,
        further_head_layers=(seed + 1) // 2 % 3,
    )


@pytest.fixture(scope="module", params=range(6))
def network(request, tmp_path_factory) -> tuple[TorchNetwork, bytes]:
    """A random network on torch, and its file."""
    model = made(Mlcc, random_config(request.param), None)
    model.calibrate([jpeg_picture(sampling) for sampling in SAMPLINGS]).freeze()
    path = tmp_path_factory.mktemp("weights") / "random.weights"
    model.save(path)
    return TorchNetwork(model), path.read_bytes()


@pytest.fixture(scope="module")
def weights() -> bytes:
    return shipped("mlcc-fast")


def shipped(name: str) -> bytes:
    return (registry.files("lic_native.weights") / (name + WEIGHTS_SUFFIX)).read_bytes()


def random_tile(sampling: str, size: tuple[int, int], seed: int = 0) -> Tile:
    """Return a tile with coefficients of all magnitudes, and chroma that may be smaller than luma asks for."""
    rng = np.random.default_rng([seed, *size])
    sizes = [size]
    if SAMPLINGS[sampling]:
        chroma = tuple(-(-n * ratio // 2) for n, ratio in zip(size, SAMPLINGS[sampling]))
        sizes += [tuple(max(1, n - rng.integers(0, 3)) for n in chroma)] * 2
    scale = 2.0 ** rng.uniform(-3, 6) / (1 + np.arange(64))
    blocks = [np.clip(rng.laplace(0, scale, (*s, 64)).round(), -2048, 2047).astype(np.int16) for s in sizes]
    if seed % 2:
        blocks[-1][0, 0, ::9] = -(2**15)
    tables = rng.integers(1, 2 ** rng.integers(1, 17), (2 + seed % 2, 64))
    return Tile(sampling, blocks, tables, Area(0, 1, 0, 1))


def blank(tile: Tile) -> Tile:
    return tile._replace(blocks=[np.zeros_like(blocks) for blocks in tile.blocks])


def decoded(coder, tile: Tile, stream: bytes) -> list[np.ndarray]:
    result = blank(tile)
    coder.decode([result], [stream])
    return result.blocks


def same(these, those) -> bool:
    return all(map(np.array_equal, these, those)) and len(these) == len(those)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_random_networks_code_as_on_torch(network, sampling):
    on_torch, data = network
    engines = [Engine(_native.Mlcc(data, MAX_BYTES, backend=name)) for name in backends()]
    assert {engine.fingerprint() for engine in engines} == {on_torch.fingerprint()}
    for seed, size in enumerate(SIZES):
        tile = random_tile(sampling, size, seed)
        [expected] = on_torch.encode([tile])
        for engine in engines:
            assert engine.encode([tile]) == [expected], size
            assert same(decoded(engine, tile, expected), tile.blocks)
        assert same(decoded(on_torch, tile, expected), tile.blocks)


@pytest.mark.parametrize("name", ["mlcc-quick", "mlcc-fast", "mlcc-best"])
def test_combs_are_coded_as_on_torch(name):
    on_torch, network = TorchNetwork(registry.load(name, "cpu")), registry.load_engine(name)
    frame, planes, _ = _native.jpeg_read(jpeg_twice())
    [tile] = Grids(frame, planes).tiles
    once = Grids(*_native.jpeg_read(jpeg_bytes(200, 240))[:2]).tiles
    assert _native.Mlcc.is_comb(tile.blocks) and not _native.Mlcc.is_comb(once[0].blocks)
    streams = on_torch.encode([tile])
    # The first byte says that there are combs; they save more than a tenth.
    assert streams[0][0] & 0x87 == 0x87
    model = registry.load(name, "cpu")
    smooth = StreamEncoder(calibrate=True)
    model.run(smooth, *model_input([tile]))
    assert len(streams[0]) < 0.9 * len(smooth.finish()[0])
    assert Engine(network).encode([tile]) == streams
    for coder in (Engine(network), on_torch):
        assert same(decoded(coder, tile, *streams), tile.blocks)


@pytest.mark.parametrize("name", ["mlcc-fast", "mlcc-best"])
@pytest.mark.parametrize("options", [{"subsampling": s} for s in range(3)] + [{"mode": "L"}], ids=str)
def test_shipped_networks_code_as_on_torch(name, options):
    on_torch, engine = TorchNetwork(registry.load(name, "cpu")), Engine(registry.load_engine(name))
    assert engine.fingerprint() == on_torch.fingerprint()
    for quality in (10, 75, 98):
        frame, planes, _ = _native.jpeg_read(jpeg_bytes(75, 139, quality=quality, **options))
        for tile in Grids(frame, planes).tiles:
            streams = on_torch.encode([tile])
            assert engine.encode([tile]) == streams
            assert same(decoded(engine, tile, *streams), tile.blocks)


@pytest.mark.parametrize("backend", backends())
def test_another_instruction_set_verifies_what_was_encoded(backend, monkeypatch):
    """The network that decodes is asked for it, and for its own if the variable is not set."""
    seen = []

    class Network:
        def __init__(self, network):
            self.encode, self._network = network.encode, network

        def decode(self, *given):
            seen.append(given[-1])
            return self._network.decode(*given)

    data = jpeg_bytes(40, 56)
    monkeypatch.setattr(registry, "load_engine", lambda name, load=registry.load_engine: Network(load(name)))
    frame, planes, _ = _native.jpeg_read(data)
    coder = tile_coder("mlcc-quick", "cpu")
    expected = encode_and_decode(coder, frame, planes)
    monkeypatch.setenv("LIC_VERIFY_SIMD", backend)
    streams, decoded_planes = encode_and_decode(coder, frame, planes)
    assert streams == expected[0] and same(decoded_planes, planes)
    decode_planes(coder, frame, streams)
    assert seen == [None, backend, None]
    monkeypatch.setenv("LIC_VERIFY_SIMD", "mmx")
    with pytest.raises(ValueError, match="no backend 'mmx'"):
        encode_and_decode(coder, frame, planes)


def test_the_largest_tile_is_coded(weights):
    engine = Engine(_native.Mlcc(weights, MAX_BYTES))
    tile = random_tile("4:4:4", (128, 128))
    [stream] = engine.encode([tile])
    assert same(decoded(engine, tile, stream), tile.blocks)


def test_threads_share_a_network(weights):
    network = _native.Mlcc(weights, MAX_BYTES)
    tiles = [random_tile(sampling, size) for sampling in SAMPLINGS for size in SIZES[3:7]]
    expected = [Engine(network).encode([tile]) for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda tile: Engine(network).encode([tile]), 3 * tiles)) == 3 * expected


def test_damaged_streams_raise_errors_or_give_other_coefficients(weights):
    engine, rng = Engine(_native.Mlcc(weights, MAX_BYTES)), random.Random(0)
    tile = random_tile("4:2:0", (6, 7), 1)
    [stream] = engine.encode([tile])
    errors = 0
    for _ in range(200):
        damaged = bytearray(stream)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            damaged = damaged[: rng.randrange(len(damaged))]
        try:
            decoded(engine, tile, bytes(damaged))
        except (CorruptError, TruncatedError):
            errors += 1
    assert errors > 150
    for other in (b"", b"\0", bytes(1000), b"\xff" * 1000, stream + b"\0\0", stream[:-2]):
        with pytest.raises((CorruptError, TruncatedError)):
            decoded(engine, tile, other)


TABLES = [[16] * 64] * 2


@pytest.mark.parametrize(
    ("sampling", "tables", "sizes"),
    [
        ("4:1:1", TABLES, [(4, 4), (4, 1), (4, 1)]),
        ("4:2:0", TABLES, [(4, 4)]),
        ("4:2:0", TABLES, [(4, 4), (2, 2)]),
        ("4:2:0", TABLES, [(4, 4), (2, 2), (2, 1)]),
        ("4:2:0", TABLES, [(4, 4), (3, 2), (3, 2)]),
        ("4:2:2", TABLES, [(4, 4), (4, 3), (4, 3)]),
        ("gray", TABLES, [(4, 4), (2, 2), (2, 2)]),
        ("gray", TABLES, []),
        ("gray", TABLES, [(0, 4)]),
        ("gray", TABLES, [(129, 4)]),
        ("gray", TABLES, [(4, 2**40)]),
        ("gray", TABLES[:1], [(4, 4)]),
        ("gray", 2 * TABLES, [(4, 4)]),
        ("gray", [[16] * 64, [16] * 63 + [0]], [(4, 4)]),
        ("gray", [[16] * 64, [16] * 63], [(4, 4)]),
        ("gray", [[16] * 64, [16] * 63 + [2**16]], [(4, 4)]),
        ("gray", TABLES, [(-1, 4)]),
    ],
)
def test_pictures_that_are_none_are_refused(weights, sampling, tables, sizes):
    network = _native.Mlcc(weights, MAX_BYTES)
    with pytest.raises((ValueError, OverflowError)):
        network.decode(sampling, tables, sizes, b"\0" * 100)
    if all(0 <= rows * columns < 1000 for rows, columns in sizes):
        with pytest.raises((ValueError, OverflowError)):
            network.encode(sampling, tables, [np.zeros((*size, 64), np.int16) for size in sizes])


def test_blocks_of_another_form_are_refused(weights):
    network = _native.Mlcc(weights, MAX_BYTES)
    for blocks in (np.zeros((4, 4, 63), np.int16), np.zeros((0, 0, 64), np.int16)):
        with pytest.raises(ValueError, match="blocks"):
            network.encode("gray", TABLES, [blocks])
    for blocks in (np.zeros((4, 4, 64), np.int32), np.zeros((4, 64), np.int16), [[[0] * 64]]):
        with pytest.raises(TypeError):
            network.encode("gray", TABLES, [blocks])


def with_changes(weights: bytes, config=None, **changes) -> bytes:
    """Return a file whose configuration and arrays are changed by functions; arrays that become None are left out."""
    text, arrays = _native.weights_decode(weights, MAX_BYTES, 1)
    arrays = dict(arrays)
    for name, change in changes.items():
        arrays[name] = change(arrays[name].copy() if name in arrays else None)
    kept = sorted((name, np.array(array, order="C")) for name, array in arrays.items() if array is not None)
    return _native.weights_encode(json.dumps(json.loads(text) | (config or {}), sort_keys=True), kept)


def a_little_more(array: np.ndarray) -> np.ndarray:
    array.flat[0] += 1e-3
    return array


@pytest.mark.parametrize(
    ("error", "message", "config", "changes"),
    [
        (UnsupportedError, "hyperprior, which needs torch", {"z_channels": 24}, {}),
        (CorruptError, "luma_trunks.0", {"luma_trunk_width": 97}, {}),
        (CorruptError, "luma_pointwise_blocks|no array", {"luma_pointwise_blocks": 10000}, {}),
        (CorruptError, "depth", {"depth": 1}, {}),
        (CorruptError, "JSON", {"luma_trunk_width": -1}, {}),
        (CorruptError, "width", {"luma_head_width": 0}, {}),
        (CorruptError, "no array 'sigma'|no array \"sigma\"", {}, {"sigma": lambda _: None}),
        (CorruptError, "standard deviation", {}, {"sigma": np.zeros_like}),
        (CorruptError, "standard deviation", {}, {"sigma": lambda a: a * np.float32(np.nan)}),
        (CorruptError, "sigma", {}, {"sigma": lambda a: a[:1]}),
        (CorruptError, "sigma", {}, {"sigma": lambda a: a.astype(np.int32)}),
        (CorruptError, "pools", {}, {"luma_features.pools": lambda a: a * 2}),
        (CorruptError, "more", {}, {"more": lambda _: np.zeros(3, np.float32)}),
        (CorruptError, "grid", {}, {"luma_heads.0.input.step": lambda a: a * 3}),
        (CorruptError, "grid", {}, {"luma_heads.0.input.limit": lambda a: a * 2**20}),
        (UnsupportedError, "luma_heads.0.context", {}, {"luma_heads.0.context.weight": a_little_more}),
        (UnsupportedError, "luma_trunks.1.context", {}, {"luma_trunks.1.context.weight": lambda a: a * np.inf}),
        (UnsupportedError, "chroma_heads.1.output.2", {}, {"chroma_heads.1.output.2.bias": a_little_more}),
    ],
)  # fmt: skip
def test_weights_that_are_not_of_an_exact_network_are_refused(weights, error, message, config, changes):
    assert _native.Mlcc(with_changes(weights), MAX_BYTES).fingerprint == _native.Mlcc(weights, MAX_BYTES).fingerprint
    with np.errstate(invalid="ignore"):
        changed = with_changes(weights, config, **changes)
    with pytest.raises(error, match=message):
        _native.Mlcc(changed, MAX_BYTES)


def test_other_files_are_no_weights(weights):
    for name in ("msp-fast", "bls2017"):
        with pytest.raises(CorruptError):
            _native.Mlcc(shipped(name), MAX_BYTES)
    for data in (b"", b"weights", weights[:-1], weights[:1000], jpeg_bytes(16, 16)):
        with pytest.raises(LicError):
            _native.Mlcc(data, MAX_BYTES)
    with pytest.raises(LicError, match="limit"):
        _native.Mlcc(weights, 1000)
    with pytest.raises(ValueError, match="no backend 'mmx'"):
        _native.Mlcc(weights, MAX_BYTES, backend="mmx")


def test_a_network_that_flushes_denormals_around_it_codes_the_same(weights):
    """A thread may have been told to, and threads that it starts inherit that."""
    engine, tile = Engine(_native.Mlcc(weights, MAX_BYTES)), random_tile("4:2:0", (9, 13))
    expected = engine.encode([tile])
    torch.set_flush_denormal(True)
    try:
        assert engine.encode([tile]) == expected
    finally:
        torch.set_flush_denormal(False)
