"""`lic_native.compat.compressai`: its classes, and CompressAI's models if it is installed (`make compat`)."""

import copy
import pathlib
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lic_native
from lic_native.compat.compressai import BufferedRansEncoder, RansDecoder, RansEncoder, tables, use

#: A narrow, a wide and a lopsided row of 16 bits, as CompressAI makes them.
CDFS = [
    [0, 9, 65527, 65535, 65536],
    [0, *np.cumsum([1] * 30 + [2180] * 30 + [1] * 30).tolist(), 65536],
    [0, 1, 3, 65536],
]
SIZES = [len(row) for row in CDFS]
OFFSETS = [-1, -45, 7]
TABLES = (CDFS, SIZES, OFFSETS)
PADDED = np.array([row + [0] * (max(SIZES) - len(row)) for row in CDFS], np.int32)


def latents(count: int, seed: int = 0) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, 3, count)
    symbols = np.rint(rng.normal(0, 1, count) * np.array([0.3, 9, 2])[indexes]) + np.array([0, 0, 7])[indexes]
    symbols[::97] *= 100_000  # escapes that exceed int16
    return symbols.astype(int).tolist(), indexes.tolist()


def round_trip(symbols, indexes, cdfs=TABLES):
    stream = RansEncoder().encode_with_indexes(symbols, indexes, *cdfs)
    return RansDecoder().decode_with_indexes(stream, indexes, *cdfs)


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 20_000])
def test_lists_come_back_as_a_list(count):
    symbols, indexes = latents(count)
    assert round_trip(symbols, indexes) == symbols


@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2)), max_size=200))
def test_every_integer_of_32_bits_comes_back(elements):
    symbols, indexes = [s for s, _ in elements], [i for _, i in elements]
    assert round_trip(symbols, indexes) == symbols


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint8"])
@pytest.mark.parametrize("library", [np, torch])
def test_arrays_and_tensors_give_the_bytes_of_lists(library, dtype):
    def make(values, dtype):
        return library.asarray(values, dtype=getattr(library, dtype))

    symbols, indexes = (np.array(values).reshape(2, 3, 50) for values in latents(300))
    symbols = symbols.clip(0, 200)
    cdfs = [make(values, "int32") for values in (PADDED, SIZES, OFFSETS)]
    as_lists = RansEncoder().encode_with_indexes(symbols.ravel().tolist(), indexes.ravel().tolist(), *TABLES)
    # The transpose is not contiguous.
    stream = RansEncoder().encode_with_indexes(make(symbols, dtype), make(indexes, dtype).swapaxes(0, 1), *cdfs)
    assert stream != as_lists
    stream = RansEncoder().encode_with_indexes(make(symbols, dtype), make(indexes, dtype), *cdfs)
    assert stream == as_lists
    decoded = RansDecoder().decode_with_indexes(stream, make(indexes, dtype), *cdfs)
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, symbols)


def test_streams_are_read_in_pieces_of_any_size():
    symbols, indexes = latents(64_000)
    encoder = BufferedRansEncoder()
    for start, end in ((0, 10), (10, 10), (10, 40_001), (40_001, 64_000)):
        encoder.encode_with_indexes(symbols[start:end], np.array(indexes[start:end]), *TABLES)
    stream = encoder.flush()
    assert stream == RansEncoder().encode_with_indexes(symbols, indexes, *TABLES)
    assert encoder.flush() == b""
    decoder = RansDecoder()
    decoder.set_stream(stream)
    decoded = []
    while len(decoded) < len(symbols):
        decoded += decoder.decode_stream(indexes[len(decoded) :][: len(decoded) % 500 + 1], *TABLES)
    assert decoded == symbols


def test_one_stream_of_several_tables():
    symbols, indexes = latents(30_001)
    others = ([[0, 5, 60_000, 65_536]], [4], [0])
    encoder, decoder = BufferedRansEncoder(), RansDecoder()
    encoder.encode_with_indexes(symbols, indexes, *TABLES)
    encoder.encode_with_indexes([0, 1, 5], [0, 0, 0], *others)
    encoder.encode_with_indexes(symbols, indexes, *TABLES)
    decoder.set_stream(encoder.flush())
    assert decoder.decode_stream(indexes, *TABLES) == symbols
    assert decoder.decode_stream([0, 0, 0], *others) == [0, 1, 5]
    assert decoder.decode_stream(indexes, *TABLES) == symbols


@pytest.mark.parametrize("bits", [1, 2, 8, 12, 15, 16, 20, 24])
def test_any_precision(bits):
    end = 1 << bits
    cdf = sorted({0, end // 3, end // 2, end - end // 7, end})
    symbols = [0, 1, 2, 3, -1, 4, 1000]
    assert round_trip(symbols, [0] * 7, ([cdf], [len(cdf)], [0])) == symbols


def test_wrong_arguments_are_named():
    encode = RansEncoder().encode_with_indexes
    for error, message, arguments in (
        (ValueError, "1 symbols for 2 distributions", ([0], [0, 0], *TABLES)),
        (ValueError, "3 rows", ([0], [3], *TABLES)),
        (ValueError, "3 rows", ([0], [-1], *TABLES)),
        (ValueError, "32 bits", ([2**31], [0], *TABLES)),
        (TypeError, "symbols must be integers, not float64", ([0.5], [0], *TABLES)),
        (ValueError, "row 1 does not run from 0 to 2\\^16", ([0], [0], [CDFS[0], [0, 5, 6]], [5, 3], [0, 0])),
        (ValueError, "row 0 .*position 1: .* 9 and 5", ([0], [0], [[0, 9, 5, 65536]], [4], [0])),
        (ValueError, "row 0 .*position 0: .* 0 and 0", ([0], [0], [[0, 0, 32768]], [3], [0])),
        (ValueError, "row 0 is longer", ([0], [0], [[0, 65536]], [3], [0])),
        (ValueError, "two dimensions", ([0], [0], np.array(CDFS[0]), SIZES, OFFSETS)),
        (TypeError, "mask", (np.ma.masked_array([0], [True]), [0], *TABLES)),
        (TypeError, "mask", ([0], np.ma.masked_array([0], [True]), *TABLES)),
        (TypeError, "mask", ([0], [0], np.ma.masked_array(PADDED, PADDED == 0), SIZES, OFFSETS)),
        (TypeError, "mask", ([0], [0], CDFS, SIZES, np.ma.masked_array(OFFSETS, [True, False, False]))),
        (TypeError, "symbols must be a list, .* not int", (0, [0], *TABLES)),
        (TypeError, "symbols must be a list, .* not bytes", (b"\0", [0], *TABLES)),
        (TypeError, "indexes must be a list, .* not str", ([0], "0", *TABLES)),
        (TypeError, "indexes must be a list, .* not set", ([0], {0}, *TABLES)),
        (TypeError, "cdfs must be a list, .* not dict", ([0], [0], {0: CDFS[0]}, SIZES, OFFSETS)),
        (TypeError, "sizes must be integers", ([0], [0], CDFS, ["5"] * 3, OFFSETS)),
    ):
        with pytest.raises(error, match=message):
            encode(*arguments)
    with pytest.raises(ValueError, match="set_stream"):
        RansDecoder().decode_stream([0], *TABLES)


@pytest.mark.parametrize(
    "encoded", [pathlib.Path("x"), "x", 5, True, None, [1, 2], iter(b"x")], ids=lambda given: type(given).__name__
)
def test_only_bytes_like_objects_are_decoded(encoded):
    for call in (RansDecoder().set_stream, lambda encoded: RansDecoder().decode_with_indexes(encoded, [0], *TABLES)):
        with pytest.raises(TypeError, match="encoded must be a bytes-like object, not"):
            call(encoded)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_coders_say_that_they_cannot_be_copied(again):
    for coder in (BufferedRansEncoder(), RansDecoder()):
        with pytest.raises(TypeError, match=f"{type(coder).__name__} can be neither pickled nor copied"):
            again(coder)
    again(RansEncoder())


def test_memory_layout_of_arrays_does_not_change_bytes():
    symbols, indexes = latents(300)
    stream = RansEncoder().encode_with_indexes(symbols, indexes, *TABLES)
    for kind in (">i4", ">i8", "<i8"):
        for step in (1, -1):
            arrays = [np.array(values[::step], kind)[::step] for values in (symbols, indexes, SIZES, OFFSETS)]
            cdfs = np.asfortranarray(PADDED).astype(kind)
            assert RansEncoder().encode_with_indexes(*arrays[:2], cdfs, *arrays[2:]) == stream
            assert RansDecoder().decode_with_indexes(stream, arrays[1], cdfs, *arrays[2:]).tolist() == symbols


def test_symbols_without_slots_are_escaped():
    cdfs = [[0, 0, 30_000, 30_000, 65_535, 65_536]]
    assert round_trip([0, 1, 2, 3, 4], [0] * 5, (cdfs, [6], [0])) == [0, 1, 2, 3, 4]


@settings(max_examples=300)
@given(st.data())
def test_damage_is_an_error_or_other_symbols(data):
    symbols, indexes = latents(300)
    stream = bytearray(RansEncoder().encode_with_indexes(symbols, indexes, *TABLES))
    if data.draw(st.booleans()):
        del stream[data.draw(st.integers(0, len(stream) - 1)) :]
    else:
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = RansDecoder().decode_with_indexes(stream, indexes, *TABLES)
    except lic_native.LicError:
        return
    assert decoded != symbols


def test_tables_are_built_once_and_again_when_written_to(monkeypatch):
    built = []
    build = tables._build
    monkeypatch.setattr(tables, "_build", lambda *cdfs: built.append(cdfs) or build(*cdfs))
    cdfs = [[0, 60_000, 65_000, 65_536]]
    narrow = RansEncoder().encode_with_indexes([0] * 99, [0] * 99, cdfs, [4], [0])
    for same in (cdfs, copy.deepcopy(cdfs)):
        assert RansEncoder().encode_with_indexes([0] * 99, [0] * 99, same, [4], [0]) == narrow
    assert len(built) == 1
    cdfs[0][1] = 5
    assert len(RansEncoder().encode_with_indexes([0] * 99, [0] * 99, cdfs, [4], [0])) > len(narrow)
    array = np.array(cdfs)
    wide = RansEncoder().encode_with_indexes([0] * 99, [0] * 99, array, [4], [0])
    array[0, 1] = 60_000
    assert RansEncoder().encode_with_indexes([0] * 99, [0] * 99, array, [4], [0]) == narrow != wide
    for other in range(1, 2 * tables.REMEMBERED):
        RansEncoder().encode_with_indexes([0], [0], [[0, other, 65_536]], [3], [0])
    assert len(tables._known) == tables.REMEMBERED


@pytest.fixture(scope="module")
def compressai():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("compressai.zoo")


def network(compressai, name):
    """Return a model of random weights whose latents and scales are around 4, and a batch of pictures."""
    torch.manual_seed(1)
    net, pictures = getattr(compressai, name)(1, pretrained=False).eval(), torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        net.g_a[-1].weight *= 4 / net.g_a(pictures).std()
        if name != "bmshj2018_factorized":
            layers = getattr(net, "entropy_parameters", net.h_s)
            # The last biases are those of the scales, then those of the means if there are any.
            parameters = [layer.bias for layer in layers if hasattr(layer, "bias")][-1]
            parameters[: net.g_a[-1].out_channels] += 4
    net.update(force=True)
    return net, pictures


@torch.no_grad()
def coded(net, x):
    out = net.compress(x)
    return out["strings"], net.decompress(out["strings"], out["shape"])["x_hat"]


MODELS = ["bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean", "mbt2018", "cheng2020_anchor"]


@pytest.mark.parametrize("name", MODELS)
def test_models_decode_to_the_same_picture(compressai, name):
    net, x = network(compressai, name)
    with torch.no_grad():
        assert net.g_a(x).round().unique().numel() > 10
    theirs, picture = coded(net, x)
    with use(net):
        ours, restored = coded(net, x)
    assert torch.equal(restored, picture)
    assert [len(strings) for strings in ours] == [len(strings) for strings in theirs]
    assert ours != theirs
    sizes = [sum(len(s) for strings in both for s in strings) for both in (ours, theirs)]
    assert sizes[0] < 1.002 * sizes[1]
    assert coded(net, x)[0] == theirs


def test_undo_restores_the_classes(compressai):
    (net, x), (other, _) = network(compressai, "mbt2018"), network(compressai, "mbt2018")
    before = [type(module) for module in net.modules()]
    handle = use(net)
    assert [type(module) for module in net.modules()] != before
    assert all(isinstance(module, cls) for module, cls in zip(net.modules(), before))
    assert net.state_dict().keys() == other.state_dict().keys()
    strings = coded(net, x)[0]
    assert strings != coded(other, x)[0]
    assert coded(copy.deepcopy(net), x)[0] == strings
    with pytest.raises(ValueError, match="in use already"):
        use(net)
    handle.undo()
    assert [type(module) for module in net.modules()] == before
    with pytest.raises(ValueError, match="nothing in Linear"):
        use(torch.nn.Linear(1, 1))


def test_means_shapes_and_dtypes_are_honoured(compressai):
    from compressai.entropy_models import EntropyBottleneck, GaussianConditional

    torch.manual_seed(0)
    gaussian = GaussianConditional([0.11, 0.5, 2.0, 40.0])
    gaussian.update()
    scales = torch.rand(3, 6, 5, 4).pow(4) * 30
    means = torch.randn(3, 6, 1, 1)
    y, indexes = means + torch.randn_like(scales) * scales, gaussian.build_indexes(scales)
    bottleneck = EntropyBottleneck(6)
    bottleneck.update(force=True)
    theirs = gaussian.decompress(gaussian.compress(y, indexes, means), indexes, means=means)
    with use(gaussian), use(bottleneck):
        strings = gaussian.compress(y, indexes, means)
        assert torch.equal(gaussian.decompress(strings, indexes, means=means), theirs)
        half = gaussian.decompress(gaussian.compress(y, indexes), indexes, torch.float16)
        assert half.dtype == torch.float16 and torch.equal(half, y.round().half())
        latent = torch.randn(2, 6, 3, 7) * 40
        medians = bottleneck.quantiles[:, 0, 1].reshape(6, 1, 1)
        restored = bottleneck.decompress(bottleneck.compress(latent), (3, 7))
        assert torch.equal(restored, (latent - medians).round() + medians)
        assert gaussian.decompress([], indexes[:0]).shape == (0, 6, 5, 4)
        for wrong in (lambda: gaussian.compress(y, indexes[:2]), lambda: gaussian.decompress(strings[:2], indexes)):
            with pytest.raises(ValueError):
                wrong()
        with pytest.raises(lic_native.LicError):
            gaussian.decompress([string[:-2] for string in strings], indexes)


def test_decorated_methods_and_uses_of_the_module_are_replaced(compressai):
    from compressai import ans
    from compressai.models import FactorizedPrior

    class Own(FactorizedPrior):
        @torch.no_grad()
        def compress(self, x):
            encoder = ans.BufferedRansEncoder()
            encoder.encode_with_indexes([3] * 99, [0] * 99, *TABLES)
            return encoder.flush()

    net = Own(8, 8)
    theirs = ans.RansEncoder().encode_with_indexes([3] * 99, [0] * 99, *TABLES)
    assert net.compress(None) == theirs
    with use(net):
        assert net.compress(None) == RansEncoder().encode_with_indexes([3] * 99, [0] * 99, *TABLES)
    assert net.compress(None) == theirs
