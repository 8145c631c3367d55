"""`lic_native._native` called directly: what the Python layer relies on."""

import pickle

import numpy as np
import pytest

import lic_native
from lic_native import _native

SCALES = [0.2, 1.0, 5.0]


@pytest.fixture(scope="module")
def tables():
    return _native.Tables.gaussian(SCALES, 4)


def latents(count: int = 5000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(symbols, indexes) for `tables`: a row for each scale and quarter of a mean."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, 4 * len(SCALES), count)
    symbols = np.rint(rng.normal(indexes % 4 / 4, np.array(SCALES)[indexes // 4]))
    symbols[::500] *= 1000  # some escape
    return symbols.astype(np.int32), indexes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_groups_come_back_in_order(tables, dtype):
    groups = [latents(n, n) for n in (1, 0, 700, 64, 3)]
    encoder = _native.Encoder()
    for symbols, indexes in groups:
        encoder.put(symbols, _native.Model.rows(tables, indexes.astype(dtype)))
    bits = encoder.cost_bits()
    stream = encoder.finish()
    assert abs(len(stream) - bits / 8) < 20
    decoder = _native.Decoder(stream)
    for symbols, indexes in groups:
        out = np.empty_like(symbols)
        decoder.get(_native.Model.rows(tables, indexes.astype(dtype)), out)
        assert np.array_equal(out, symbols)
    decoder.finish()


def test_tables_of_ones_own(tables):
    cdf = np.array([[0, 16384, 32767, 32768, 0], [0, 10, 20, 30000, 32768]], np.int32)
    own = _native.Tables.from_cdf(cdf, np.array([4, 5], np.int32), np.array([-1, 0], np.int32))
    symbols, indexes = np.array([-1, 0, 2, 1, 0, 9], np.int32), np.array([0, 0, 1, 1, 1, 0], np.int32)
    encoder = _native.Encoder()
    encoder.put(symbols, _native.Model.rows(own, indexes))
    out = np.empty_like(symbols)
    _native.Decoder(encoder.finish()).get(_native.Model.rows(own, indexes), out)
    assert np.array_equal(out, symbols)
    assert own.fingerprint() != tables.fingerprint()
    for bad in ([[0, 16384, 16384, 32768]], [[0, 5, 3, 32768]], [[1, 5, 9, 32768]], [[0, 5, 9, 32767]]):
        with pytest.raises(ValueError, match=r"(?i)row|slot|table|cdf"):
            _native.Tables.from_cdf(np.array(bad, np.int32), np.array([4], np.int32), np.array([0], np.int32))


def test_tables_are_pickled_as_their_rows(tables):
    for given in (tables, _native.Tables.from_pmf(np.ones((3, 7)), np.array([-9, 0, 9], np.int32))):
        again = pickle.loads(pickle.dumps(given))
        assert (again.fingerprint(), len(again)) == (given.fingerprint(), len(given))
    cdf, lengths, offsets = tables.__reduce__()[1]
    for bad in (
        (cdf[:-1].copy(), lengths, offsets),
        (cdf, lengths[:-1].copy(), offsets),
        (cdf[::-1].copy(), lengths, offsets),
    ):
        with pytest.raises(ValueError, match=r"row|boundaries|lengths"):
            _native.Tables(*bad)
    for made in (_native.Encoder(), _native.Decoder(b""), _native.Model.rows(tables, np.zeros(3, np.uint8))):
        with pytest.raises(TypeError, match=type(made).__name__):
            pickle.dumps(made)


def test_mixtures_come_back():
    rng = np.random.default_rng(0)
    high = [32767, 32767, 127, 127, 127]
    params = rng.integers([-h if i < 2 else 0 for i, h in enumerate(high)], high, (3000, 5)).astype(np.int16)
    symbols = rng.integers(-32768, 32767, 3000).astype(np.int16)
    encoder = _native.Encoder()
    encoder.put(symbols, _native.Model.mixtures(params))
    out = np.empty_like(symbols)
    decoder = _native.Decoder(encoder.finish())
    decoder.get(_native.Model.mixtures(params), out)
    decoder.finish()
    assert np.array_equal(out, symbols)


def test_wrong_arguments_are_refused(tables):
    symbols, indexes = latents(10)
    indexes = indexes.astype(np.int32)
    encoder = _native.Encoder()
    rows = _native.Model.rows
    with pytest.raises(ValueError, match="10"):
        encoder.put(symbols, rows(tables, indexes[:9].copy()))
    with pytest.raises(ValueError, match="12"):
        encoder.put(symbols, rows(tables, np.full(10, 12, np.int32)))
    with pytest.raises(ValueError, match="contiguous"):
        encoder.put(symbols[::2], rows(tables, indexes[::2].copy()))
    with pytest.raises(ValueError, match="contiguous"):
        encoder.put(symbols[::2].copy(), rows(tables, indexes[::2]))
    with pytest.raises(ValueError, match="contiguous"):
        encoder.put(
            np.zeros((4, 6), np.int16), _native.Model.mixtures(np.asfortranarray(np.zeros((4, 6, 5), np.int16)))
        )
    with pytest.raises(ValueError, match="5"):
        _native.Model.mixtures(np.zeros((4, 6), np.int16))
    with pytest.raises(TypeError, match="int32"):
        encoder.put(symbols.astype(np.float32), rows(tables, indexes))
    with pytest.raises(TypeError, match="uint8, uint16, int32 or int64"):
        rows(tables, indexes.astype(np.uint32))
    encoder.finish()
    with pytest.raises(ValueError, match="finished"):
        encoder.finish()


def test_damaged_streams_never_crash(tables):
    symbols, indexes = latents(300)
    indexes = indexes.astype(np.uint8)
    encoder = _native.Encoder()
    encoder.put(symbols, _native.Model.rows(tables, indexes))
    stream = encoder.finish()
    out = np.empty_like(symbols)

    def decode(data: bytes) -> None:
        decoder = _native.Decoder(data)
        decoder.get(_native.Model.rows(tables, indexes), out)
        decoder.finish()

    for end in range(len(stream)):
        with pytest.raises(lic_native.LicError):
            decode(stream[:end])
    for bit in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            decode(bytes(flipped))
        except lic_native.LicError:
            continue
        assert not np.array_equal(out, symbols)


def test_bools_are_what_numpy_says_they_are():
    odd = np.array([0, 1, 2, 255], np.uint8).view(bool)
    assert np.array_equal(lic_native.decode(lic_native.encode(odd)), odd)


def test_crafted_files_with_a_right_checksum_are_refused_or_harmless():
    import zlib

    from conftest import jpeg_bytes

    data = jpeg_bytes(24, 24)
    small = lic_native.jpeg.compress(data)
    assert lic_native.jpeg.inspect(small).kind == "jpeg"
    for position in range(4, len(small) - 4):
        for value in (0, 0x7F, 0xFF):
            crafted = small[:position] + bytes([value]) + small[position + 1 : -4]
            crafted += zlib.crc32(crafted).to_bytes(4, "little")
            try:
                restored = lic_native.jpeg.decompress(crafted)
            except lic_native.LicError:
                continue
            assert restored == data


FINE, COARSE = (4096.0, 32768.0, 1 / 4096), (32.0, 256.0, 1 / 32)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


#: Calls of the one-pass functions whose arrays fit: name, arrays, numbers.
ONE_PASS = {
    "activate": ([zeros(3, 4)], [0.125, FINE]),
    "normalise": ([zeros(3, 9), zeros(9)], [6.0, FINE, COARSE]),
    "mixture_params": ([zeros(3, 4, 5), zeros(3, 4), zeros(4), zeros(4)], [11.5]),
}


@pytest.mark.parametrize(
    ("name", "at"), [(name, at) for name, (arrays, _) in ONE_PASS.items() for at in range(len(arrays))]
)
def test_one_pass_functions_take_only_contiguous_float32(name, at):
    arrays, numbers = ONE_PASS[name]

    def refuses(error, array):
        with pytest.raises(error):
            getattr(_native, name)(*arrays[:at], array, *arrays[at + 1 :], *numbers)

    given = arrays[at]
    for dtype in (np.float64, np.float16, np.int32, np.int16, ">f4"):
        refuses(TypeError, given.astype(dtype))
    for other in (given.tolist(), 1.0, "x"):
        refuses(TypeError, other)
    refuses(ValueError, np.repeat(given, 2, -1)[..., ::2])
    refuses(ValueError, np.frombuffer(bytearray(given.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(given.shape))
    if given.ndim > 1:
        refuses(ValueError, np.asfortranarray(given))


def test_nothing_is_written_where_nothing_may_be():
    array = zeros(4)
    array.flags.writeable = False
    with pytest.raises(TypeError, match="writeable"):
        _native.activate(array, 0.125, FINE)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("normalise", [(3, 9), (8,)]),
        ("normalise", [(9, 3), (9,)]),
        ("normalise", [(), (9,)]),
        ("mixture_params", [(3, 5, 4), (3, 4), (4,), (4,)]),
        ("mixture_params", [(3, 4, 5), (4,), (4,), (4,)]),
        ("mixture_params", [(3, 4, 5), (3, 5), (4,), (4,)]),
        ("mixture_params", [(3, 4, 5), (3, 4), (5,), (4,)]),
        ("mixture_params", [(3, 4, 5), (3, 4), (4,), (5,)]),
        ("mixture_params", [(5,), (1,), (1,), (1,)]),
        ("mixture_params", [(), (), (1,), (1,)]),
    ],
)
def test_one_pass_functions_refuse_shapes_that_do_not_fit(name, shapes):
    with pytest.raises(ValueError, match=r"\[.*n\]|64"):
        getattr(_native, name)(*(zeros(*shape) for shape in shapes), *ONE_PASS[name][1])


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        (name, [*numbers[:at], (4096.0, bound, 1 / 4096), *numbers[at + 1 :]])
        for name, (_, numbers) in ONE_PASS.items()
        for at in range(len(numbers))
        for bound in (-1.0, 2.0**22 + 1, np.nan, np.inf)
        if isinstance(numbers[at], tuple)
    ]
    + [("normalise", [limit, *ONE_PASS["normalise"][1][1:]]) for limit in (-1.0, np.nan)],
)
def test_one_pass_functions_refuse_bounds_that_nothing_could_be_rounded_within(name, numbers):
    with pytest.raises(ValueError, match=r"bound|limit"):
        getattr(_native, name)(*ONE_PASS[name][0], *numbers)


@pytest.mark.parametrize(
    ("name", "shapes"), [("normalise", [(3, 0), (0,)]), ("mixture_params", [(3, 0, 5), (3, 0), (0,), (0,)])]
)
def test_one_pass_functions_refuse_blocks_of_nothing(name, shapes):
    with pytest.raises(ValueError, match="n is 0"):
        getattr(_native, name)(*(zeros(*shape) for shape in shapes), *ONE_PASS[name][1])


def test_one_pass_functions_take_no_elements():
    _native.activate(zeros(0, 4), 0.125, FINE)
    assert [a.shape for a in _native.normalise(zeros(0, 9), zeros(9), 6.0, FINE, COARSE)] == [(0, 9)] * 3
    assert _native.mixture_params(zeros(0, 4, 5), zeros(0, 4), zeros(4), zeros(4), 11.5).shape == (0, 4, 5)
