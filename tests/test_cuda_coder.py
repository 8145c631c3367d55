"""The entropy coder of GPUs: Triton's kernels, one operation after the other on the CPU, against the coder in Rust."""

import os
import random
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from lic_native import _native, jpeg
from lic_native.coding.device import DeviceDecoder, DeviceEncoder, Walks
from lic_native.coding.mixture import Mixture
from lic_native.cuda import available
from lic_native.errors import CorruptError, LicError, TruncatedError
from lic_native.image import passes
from lic_native.image.torch_coder import TorchCoder
from lic_native.jpeg import network, torch_network
from lic_native.jpeg.tiles import Area, Tile
from lic_native.jpeg.torch_network import TorchNetwork, device_walks
from lic_native.models import registry

pytest.importorskip("triton")
interpreter = pytest.importorskip("triton.runtime.interpreter")
from lic_native.cuda import mixtures  # noqa: E402
from lic_native.cuda.mixtures import MixtureDecoder, MixtureEncoder  # noqa: E402

CPU = torch.device("cpu")
CONTEXTS = 16


@pytest.fixture
def quick(monkeypatch):
    """Do without checks of each operation's range, which take most of the time."""
    options = interpreter.InterpreterOptions(sanitize_overflow=False)
    monkeypatch.setattr(interpreter.interpreter_builder, "options", options)


def mixtures_of(rng, shape, widest: int) -> np.ndarray:
    """Return int16 `[*shape, 5]`: parameters of any kind, also outside of their ranges."""
    params = np.empty((*shape, 5), np.int16)
    params[..., 0] = rng.integers(-300, 300, shape)
    params[..., 1] = params[..., 0] + rng.integers(-60, 60, shape)
    params[..., 2:4], params[..., 4] = rng.integers(-5, widest, (*shape, 2)), rng.integers(-3, 131, shape)
    return params


def symbols_of(rng, params: np.ndarray, far: float) -> np.ndarray:
    """Return int16 symbols of mixtures, of which a part `far` are mostly escapes."""
    spread = 2.0 ** ((params[..., 2].clip(0, 127) - 48) / 8) * rng.choice([1, 40], params.shape[:-1], p=[1 - far, far])
    symbols = params[..., 0] / 16 + rng.logistic(0, 1, params.shape[:-1]) * spread
    return symbols.round().clip(-32768, 32767).astype(np.int16)


def groups_of(rng, batch: int, sizes, widest: int, far: float = 0.05):
    """Return (params, symbols) of groups of (elements, channels)."""
    params = [mixtures_of(rng, (batch, n, channels), widest) for n, channels in sizes]
    return [(p, symbols_of(rng, p, far)) for p in params]


def by_rust(groups, picture: int, first_context: int, max_lanes: int = 8) -> bytes:
    encoder = _native.Encoder(max_lanes, True)
    for params, symbols in groups:
        contexts = np.arange(first_context, first_context + params.shape[2], dtype=np.uint16)
        encoder.put(symbols[picture], _native.Model.mixtures(params[picture]), (contexts, 1))
    return encoder.finish()


def encoded(groups, first_context: int, max_lanes: int = 8) -> list[bytes]:
    encoder = MixtureEncoder(len(groups[0][1]), CONTEXTS, CPU)
    encoder.start()
    for params, symbols in groups:
        encoder.put(torch.from_numpy(params), torch.from_numpy(symbols), params.shape[2], first_context)
    return encoder.finish(max_lanes).streams()


def decoded(streams, groups, first_context: int) -> tuple[list[torch.Tensor], list[bool]]:
    room, lanes = MixtureDecoder.needs(streams)
    decoder = MixtureDecoder(len(streams), room, CONTEXTS, lanes, CPU)
    decoder.load(streams)
    decoder.start()
    got = [decoder.get(torch.from_numpy(p)[: len(streams)], p.shape[2], first_context) for p, _ in groups]
    return got, decoder.good().tolist()


@pytest.mark.parametrize(
    ("sizes", "widest", "far"),
    [
        ([(1, 1)], 40, 0),
        ([(3, 3), (1, 2), (66, 1)], 60, 0.1),
        ([(8, 2), (4, 3)], 128, 0.1),
    ],
)
def test_streams_equal_those_of_rust(sizes, widest, far):
    """With a check of each operation's range: nothing overflows."""
    groups = groups_of(np.random.default_rng(len(sizes)), 2, sizes, widest, far)
    streams = [by_rust(groups, picture, 2) for picture in range(2)]
    assert encoded(groups, 2) == streams
    got, good = decoded(streams, groups, 2)
    assert good == [True, True]
    assert all(np.array_equal(x.short().numpy(), symbols) for x, (_, symbols) in zip(got, groups))


def test_several_lanes(quick):
    """As many as a stream pays for; a group of two elements leaves lanes idle, and a group may end within a step."""
    rng, wide = np.random.default_rng(0), np.zeros((1, 400, 16, 5), np.int16)
    wide[..., 2:4] = 127
    groups = [*groups_of(rng, 1, [(1, 2)], 60), (wide, rng.logistic(0, 900, wide.shape[:-1]).round().astype(np.int16))]
    stream = by_rust(groups, 0, 0, 64)
    assert stream[0] & 7 == 2
    assert encoded(groups, 0, 64) == [stream]
    begin = [groups[0], (wide[:, :5], groups[1][1][:, :5])]
    got, good = decoded([stream], begin, 0)
    assert good == [False]
    assert all(np.array_equal(x.short().numpy(), symbols) for x, (_, symbols) in zip(got, begin))


def test_sixty_four_lanes(quick):
    """Against docs/format.md, section 5, in Python."""
    rng = np.random.default_rng(1)
    starts, freqs = rng.integers(0, 16384, 200), rng.integers(1, 16384, 200)
    slots = torch.from_numpy(np.tile(starts | (freqs - 1) << 16, (2, 1, 1)).astype(np.int32))
    costs, ends = torch.tensor([[128_000 << 29]] * 2), torch.tensor([70, 200], dtype=torch.int32)
    [stream] = mixtures.encode(slots, torch.full_like(slots[0], -1), costs, ends, 64).streams()
    head = mixtures.read_head(stream)
    words, states, lanes = iter(np.frombuffer(stream[head.words :], "<u2").tolist()), head.states, head.lanes
    assert lanes == 64
    for i, (start, freq) in enumerate(zip(starts.tolist(), freqs.tolist())):
        lane = (i if i < 70 else i - 70) % lanes
        slot = states[lane] % 2**15
        assert start <= slot < start + freq
        states[lane] = freq * (states[lane] >> 15) + slot - start
        if states[lane] < 2**16:
            states[lane] = states[lane] << 16 | next(words)
    assert states == [2**16] * lanes and next(words, None) is None


def test_lanes_follow_the_cost():
    sizes = [0, 399, 400, 3999, 4000, 8000, 15999, 16000, 127999, 128000, 10**6]
    lanes = mixtures.affordable_lanes(torch.tensor(sizes) << 29, 64).tolist()
    assert lanes == [1, 1, 2, 2, 2, 4, 4, 8, 32, 64, 64]
    assert mixtures.affordable_lanes(torch.tensor(sizes) << 29, 7).tolist() == [1, 1, 2, 2, 2, 4, 4, 4, 4, 4, 4]


def test_long_streams_and_curves_that_forget(quick):
    """More symbols of one context than a curve remembers, and symbols that the model is wrong about."""
    rng = np.random.default_rng(7)
    params = np.zeros((1, 1100, 1, 5), np.int16)
    params[..., 2:4], params[..., 4] = 50, 64
    symbols = rng.integers(0, 2, (1, 1100, 1)).astype(np.int16)
    groups = [(params, symbols)]
    stream = by_rust(groups, 0, 15)
    assert stream[0] & 128
    assert encoded(groups, 15) == [stream]
    got, good = decoded([stream], groups, 15)
    assert good == [True] and np.array_equal(got[0].short().numpy(), symbols)


def test_streams_without_information(quick):
    params = np.zeros((1, 3, 2, 5), np.int16)
    for groups in ([(params, np.zeros((1, 3, 2), np.int16))], [(params[:, :0], np.zeros((1, 0, 2), np.int16))]):
        stream = by_rust(groups, 0, 0)
        assert encoded(groups, 0) == [stream]
        assert decoded([stream], groups, 0)[1] == [True]


def test_damaged_streams_are_told(quick):
    """Whatever the kernel takes for good is what Rust decodes; nothing is read beyond the end of the data."""
    rng, draw = np.random.default_rng(3), random.Random(3)
    groups = groups_of(rng, 1, [(6, 3), (10, 2)], 70, 0.2)
    stream, seen = by_rust(groups, 0, 1), set()
    batch = [stream[: len(stream) // 2], stream[:1], stream + b"\0\0", b"", bytes([0x57]) + stream[1:], b"\xff" * 9]
    for _ in range(6):
        broken = bytearray(stream)
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        batch.append(bytes(broken))
    for broken in batch:
        decoder, expected = None, None
        try:
            decoder = _native.Decoder(broken)
            expected = []
            for params, symbols in groups:
                out = np.empty_like(symbols[0])
                contexts = np.arange(1, 1 + params.shape[2], dtype=np.uint16)
                decoder.get(_native.Model.mixtures(params[0]), out, (contexts, 1))
                expected.append(out)
            decoder.finish()
        except LicError as error:
            expected = None
            seen.add(type(error))
        got, [good] = decoded([broken], groups, 1)
        assert good == (expected is not None), broken
        if expected is not None:
            assert all(np.array_equal(x[0].short().numpy(), out) for x, out in zip(got, expected))
    assert {CorruptError, TruncatedError} <= seen


@pytest.mark.parametrize("damage", ["", "02", "ff", "0a", "0affffffff7f", "8a0180", "f8", "0f00"])
def test_heads(damage):
    """A head is good for both or for neither."""
    stream = bytes.fromhex(damage)
    head = mixtures.read_head(stream)
    try:
        _native.Decoder(stream)
    except LicError:
        assert head is None
    else:
        assert head is not None and head.words <= len(stream)


def test_contexts_without_curves_are_refused():
    coder = MixtureEncoder(1, CONTEXTS, CPU)
    coder.start()
    for channels, first in ((17, 0), (1, 16), (1, -1), (0, 0)):
        with pytest.raises(ValueError, match="contexts"):
            coder.put(torch.zeros(1, 2, max(channels, 1), 5, dtype=torch.int16), torch.zeros(1, 2, 1), channels, first)


def test_coders_of_walks_refuse_what_they_cannot_do():
    encoder, decoder = DeviceEncoder(MixtureEncoder(1, 1, CPU)), DeviceDecoder(MixtureDecoder(1, 8, 1, 8, CPU))
    one = torch.ones(1)
    mixture = Mixture(torch.zeros(1, 1, 5), None, one, one)
    with pytest.raises(ValueError, match="needs symbols"):
        encoder.code(mixture, None)
    with pytest.raises(ValueError, match="takes no symbols"):
        decoder.code(mixture, one)
    with pytest.raises(TypeError, match="takes mixtures"):
        decoder.code(object(), None)


def small_jpeg() -> bytes:
    from conftest import jpeg_bytes

    return jpeg_bytes(16, 32, mode="L")


def test_whole_walks_of_jpeg_files(quick, monkeypatch):
    """A golden file's network, in both directions, and a damaged stream among good ones."""
    model = registry.load("mlcc-quick", "cpu")
    coder, plain = TorchNetwork(model, walks=device_walks(model)), network.Engine(registry.load_engine("mlcc-quick"))
    frame, planes, _ = _native.jpeg_read(small_jpeg())
    streams = network.encode_planes(coder, frame, planes)
    assert streams == network.encode_planes(plain, frame, planes)
    tile = network.Grids(frame).tiles[0]
    pairs = [(tile, streams[0]), (tile, streams[0][:-2])]
    [good, bad] = coder._passes(("decode", tile.sampling, tile.sizes, 2, False), pairs)
    assert np.array_equal(good[0][: tile.sizes[0][0], : tile.sizes[0][1]].reshape(-1), planes[0])
    assert isinstance(bad, TruncatedError)


def test_streams_with_combs_are_left_to_rust(monkeypatch):
    """A tile whose coefficients were quantised twice, between two others of its shape."""
    model, engine = registry.load("mlcc-quick", "cpu"), network.Engine(registry.load_engine("mlcc-quick"))
    coder, on_device = TorchNetwork(model, walks=device_walks(model)), []
    once = np.random.default_rng(5).normal(0, 40 / (1 + np.arange(64)), (24, 24, 64)).round().astype(np.int16)
    tables, area = np.full((2, 64), 3), Area(0, 24, 0, 24)
    tiles = [Tile("gray", [blocks], tables, area) for blocks in (once, 3 * (once // 3), once[::-1].copy())]
    assert [_native.Mlcc.is_comb(tile.blocks) for tile in tiles] == [False, True, False]

    # Stand-ins for the device, which would take long for so many coefficients.
    def encode(self, kind, inputs, symbols):
        on_device.extend(np.array_equal(plane.numpy(), t.blocks[0]) for plane, t in zip(symbols[0], tiles[::2]))
        return engine.encode(tiles[::2])

    def decode(self, kind, inputs, streams):
        on_device.extend(map(mixtures.has_combs, streams))
        return [torch.from_numpy(np.stack([tile.blocks[0] for tile in tiles[::2]]))], [True] * len(streams)

    monkeypatch.setattr(Walks, "encode", encode)
    monkeypatch.setattr(Walks, "decode", decode)
    streams = coder.encode(tiles)
    assert streams == engine.encode(tiles)
    assert [mixtures.has_combs(stream) for stream in streams] == [False, True, False]
    blank = [tile._replace(blocks=[np.zeros_like(once)]) for tile in tiles]
    coder.decode(blank, streams)
    assert all(np.array_equal(a.blocks[0], b.blocks[0]) for a, b in zip(blank, tiles))
    assert on_device == [True, True, False, False]
    for damaged in (streams[1][:-2], bytes([streams[0][0] | 0x87]) + streams[0][1:]):
        with pytest.raises((CorruptError, TruncatedError)):
            coder.decode(blank[1:2], [damaged])


def test_the_coder_of_a_device_refuses_combs():
    """It must not take 7 for the logarithm of a number of lanes, should such a stream ever get there."""
    stream = b"\x87\x00\x01\x00\x00"
    _native.Decoder(stream)
    assert mixtures.has_combs(stream) and mixtures.read_head(stream) is None
    room, lanes = MixtureDecoder.needs([stream])
    decoder = MixtureDecoder(1, room, CONTEXTS, lanes, CPU)
    decoder.load([stream])
    assert decoder.good().tolist() == [False]
    assert not any(map(mixtures.has_combs, (b"", b"\x07", b"\x83", b"\xf6")))


def test_a_golden_image(quick, monkeypatch):
    from restore_golden import FOLDER

    from lic_native.image import container

    data = (FOLDER / "v1_image_fast_alpha.lic").read_bytes()
    body, codec = container.open_file(data, "cpu", jpeg.DEFAULT_LIMITS)
    expected = codec.decode(body)
    monkeypatch.setitem(passes._passes, codec.model, passes.TilePasses(codec.model, passes.device_walks(codec.model)))
    coder = TorchCoder(codec.model)
    [stream] = _native.split_streams(body.latents, 1)
    assert np.array_equal(coder.decode(stream, body.quality, expected.shape[1:]), expected)
    assert coder.encode(expected, body.quality) == stream


def test_a_refused_stream_that_is_good_is_decoded_all_the_same(quick, monkeypatch, caplog):
    model = registry.load("mlcc-quick", "cpu")
    coder = TorchNetwork(model, walks=device_walks(model))
    frame, planes, _ = _native.jpeg_read(small_jpeg())
    streams = network.encode_planes(TorchNetwork(model), frame, planes)
    decode = Walks.decode
    monkeypatch.setattr(
        Walks, "decode", lambda self, kind, inputs, streams: ([torch.zeros(1, 4, 4, 64, dtype=torch.int16)], [False])
    )
    assert np.array_equal(network.decode_planes(coder, frame, streams)[0], planes[0])
    assert "is good" in caplog.text and decode is not None


def test_what_is_tried_before_a_device_is_used(quick, monkeypatch, caplog):
    assert available.try_mixtures(CPU, (1, 3)) is None
    assert not available.works(CPU)
    device = torch.device("cuda", 7)
    for failure, said in ((lambda _: "it encodes something else", "something else"), (None, "ImportError: no Triton")):

        def fail(_):
            raise ImportError("no Triton")

        monkeypatch.setattr(available, "_found", {})
        monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
        monkeypatch.setattr(available, "try_mixtures", failure or fail)
        caplog.clear()
        assert not available.works(device) and not available.works(device)
        assert caplog.text.count(said) == 1
    monkeypatch.setattr(available, "_found", {})
    monkeypatch.setattr(available, "try_mixtures", lambda _: None)
    assert available.works(device)
    monkeypatch.setenv("LIC_TRITON", "0")
    assert not available.works(device)


@pytest.mark.parametrize("wrong", ["encode", "decode"])
def test_a_device_that_computes_something_else_is_found(quick, monkeypatch, wrong):
    if wrong == "encode":
        monkeypatch.setattr(mixtures, "stream_of", lambda *_: b"?")
    else:
        monkeypatch.setattr(MixtureDecoder, "good", lambda self: torch.tensor([True, False]))
    assert f"it {wrong}s something else" in available.try_mixtures(CPU, (1, 3))


def test_kernels_launch_and_compile_for_a_gpu(tmp_path):
    """In a process that does not interpret them: for a pretended H100, all but the run itself."""
    code = """if True:
        from triton.backends.compiler import GPUTarget
        from triton.runtime import driver
        from triton.runtime.jit import JITFunction, MockTensor

        from lic_native.cuda import kernels

        class Pretended:
            get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))
            get_current_device = staticmethod(lambda: 0)
            get_current_stream = staticmethod(lambda device: 0)

        driver.set_active(Pretended())
        types = dict.fromkeys(("cursors", "states", "costs", "chosen", "firsts"), "torch.int64")
        types |= dict.fromkeys(("out", "symbols"), "torch.float32") | {"data": "torch.uint8"}
        types |= dict.fromkeys(("mixtures", "words"), "torch.int16")
        numbers = {"n", "channels", "first_context", "curve_count", "batch", "groups", "total"}
        names = [name for name, kernel in vars(kernels).items() if isinstance(kernel, JITFunction)]
        assert len(names) > 5
        for name in (name for name in names if not name.startswith("_")):
            kernel = getattr(kernels, name)
            arguments = {x: 7 if x in numbers else MockTensor(types.get(x, "torch.int32")) for x in kernel.arg_names}
            constants = {"V": 8} if "V" in arguments else {}
            compiled = kernel.warmup(*(arguments[x] for x in arguments if x != "V"), grid=(1,), **constants)
            assert compiled.asm["cubin"], name
        """
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if "No such file" in finished.stderr and "ptxas" in finished.stderr:
        pytest.skip("this installation of Triton has no assembler")
    assert not finished.returncode, finished.stderr


def test_networks_of_a_device_are_shared(monkeypatch):
    monkeypatch.setattr(registry, "network_device", lambda device, name: "cpu:0")
    monkeypatch.setattr(registry, "load", lambda name, device, load=registry.load: load(name, "cpu"))
    try:
        coder = network.tile_coder("mlcc-quick", "cuda")
        assert isinstance(coder, TorchNetwork) and network.tile_coder("mlcc-quick", "cuda") is coder
        torch_network.forget_networks()
        assert network.tile_coder("mlcc-quick", "cuda") is not coder
    finally:
        torch_network.forget_networks()
