"""`encode` and `decode` with a distribution, in batches and in steps."""

import doctest
import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lic_native
from lic_native import Tables

SCALES = np.geomspace(0.11, 64, 64)
TABLES = Tables.gaussian(SCALES)


def latents(shape=(2, 3, 40, 50), seed=0):
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, 64, shape).astype(np.uint8)
    symbols = np.rint(rng.normal(0, SCALES[indexes])).astype(np.int32)
    symbols.flat[::777] *= 100
    return symbols, indexes


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_values_dtype_shape_and_library_come_back(dtype, library):
    symbols, indexes = latents((5, 7))
    symbols = np.abs(symbols % 100).astype(dtype)
    tensor = torch.from_numpy(symbols) if library == "torch" else symbols
    rows = TABLES[torch.from_numpy(indexes) if library == "torch" else indexes]
    restored = lic_native.decode(lic_native.encode(tensor, rows), rows)
    assert type(restored) is type(tensor) and restored.dtype == tensor.dtype and restored.shape == tensor.shape
    assert np.array_equal(np.asarray(restored), symbols)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1000,), (64, 64), (1, 2, 3, 4, 5)])
def test_any_shape(shape):
    symbols, indexes = latents(shape)
    assert np.array_equal(lic_native.decode(lic_native.encode(symbols, TABLES[indexes]), TABLES[indexes]), symbols)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.uint64])
def test_indexes_of_any_dtype_make_the_same_bytes(dtype):
    symbols, indexes = latents((300,))
    data = lic_native.encode(symbols, TABLES[indexes])
    assert lic_native.encode(symbols, TABLES[indexes.astype(dtype)]) == data
    assert lic_native.encode(symbols, TABLES[indexes.tolist()]) == data


def test_strided_and_foreign_memory():
    symbols, indexes = latents((60, 50))
    data = lic_native.encode(symbols.T.copy(), TABLES[indexes.T.copy()])
    assert lic_native.encode(symbols.T, TABLES[indexes.T]) == data
    assert lic_native.encode(symbols.astype(">i4").T, TABLES[indexes.T]) == data

    class Exporter:  # It has no other interface than DLPack.
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    assert lic_native.encode(Exporter(symbols.T.copy()), TABLES[Exporter(indexes.T.copy())]) == data


def test_parameters_broadcast():
    symbols, _ = latents((4, 3, 20))
    channel = np.array([5, 30, 63], np.uint8)
    whole = np.broadcast_to(channel[:, None], symbols.shape).copy()
    data = lic_native.encode(symbols, TABLES[channel[:, None]])
    assert data == lic_native.encode(symbols, TABLES[whole])
    assert np.array_equal(lic_native.decode(data, TABLES[channel[:, None]]), symbols)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        lic_native.encode(symbols, TABLES[channel])


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_decode_into_out(dtype):
    symbols, indexes = latents((100,))
    symbols %= 100
    data = lic_native.encode(symbols, TABLES[indexes])
    out = np.full(100, 77, dtype)
    assert lic_native.decode(data, TABLES[indexes], out=out) is out
    assert np.array_equal(out, symbols)
    tensor = torch.zeros(100, dtype=getattr(torch, dtype))
    assert lic_native.decode(data, TABLES[indexes], out=tensor) is tensor
    assert np.array_equal(tensor.numpy(), symbols)
    with pytest.raises(ValueError, match="100"):
        lic_native.decode(data, TABLES[indexes], out=out[:99])
    with pytest.raises(ValueError, match="contiguous"):
        lic_native.decode(data, TABLES[indexes], out=np.zeros(200, dtype)[::2])


def test_symbols_too_wide_for_out_are_an_error():
    data = lic_native.encode(np.array([300]), TABLES[[63]])
    with pytest.raises(lic_native.CorruptError, match="300 is no int8"):
        lic_native.decode(data, TABLES[[63]], out=np.zeros(1, np.int8))


def test_invalid_arguments_are_refused():
    with pytest.raises(TypeError, match="round first"):
        lic_native.encode(np.zeros(3), TABLES[[0, 0, 0]])
    with pytest.raises(TypeError, match="integers"):
        lic_native.encode(np.zeros(3, np.complex64), TABLES[[0, 0, 0]])
    with pytest.raises(ValueError, match="32 bits"):
        lic_native.encode(np.array([2**40]), TABLES[[0]])
    with pytest.raises(TypeError, match="indexes must be integers"):
        TABLES[np.zeros(3)]
    with pytest.raises(ValueError, match="64 rows"):
        lic_native.encode(np.zeros(3, int), TABLES[[0, 64, 0]])
    with pytest.raises(ValueError, match="64 rows"):
        lic_native.encode(np.zeros(3, int), TABLES[[0, -1, 0]])
    with pytest.raises(TypeError, match="not list"):
        lic_native.encode([1, 2], TABLES[[0, 0]])
    with pytest.raises(TypeError, match="mask"):
        lic_native.encode(np.ma.masked_array([1], [True]), TABLES[[0]])


def test_another_distribution_is_detected():
    symbols, indexes = latents((500,))
    data = lic_native.encode(symbols, TABLES[indexes])
    with pytest.raises(lic_native.CorruptError, match="distribution"):
        lic_native.decode(data, Tables.gaussian(SCALES * 1.01)[indexes])
    other = indexes.copy()
    other[250] = 63 - other[250]
    with pytest.raises(lic_native.LicError):
        lic_native.decode(data, TABLES[other])
    with pytest.raises(ValueError, match="shape"):
        lic_native.decode(data, TABLES[indexes[1:]])
    with pytest.raises(lic_native.UnsupportedError, match=r"decode\(data, distribution\)"):
        lic_native.decode(data)
    with pytest.raises(lic_native.CorruptError, match="not a message"):
        lic_native.decode(lic_native.encode(symbols), TABLES[indexes])


def test_damaged_bytes_are_typed_errors():
    symbols, indexes = latents((200,))
    data = lic_native.encode(symbols, TABLES[indexes])
    for end in range(len(data)):
        with pytest.raises((lic_native.LicError, ValueError)):
            lic_native.decode(data[:end], TABLES[indexes])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((lic_native.LicError, ValueError)):
            lic_native.decode(flipped, TABLES[indexes])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_noise_is_a_typed_error(data):
    for noise in (data, b"\xd1" + data):
        with pytest.raises((lic_native.LicError, ValueError)):
            lic_native.decode(noise, TABLES[[1, 2, 3]])


def test_a_large_shape_in_damaged_bytes_is_not_allocated():
    import tracemalloc

    # A head with 2^28 int8: the hash is checked before parameters are copied for each element.
    head = bytes([0xD1, 1, 1, 0x80, 0x80, 0x80, 0x80, 1])
    for distribution in (TABLES[[1]], lic_native.Gaussian([0.0], 1), lic_native.Categorical([[1, 1]])):
        tracemalloc.start()
        with pytest.raises(lic_native.CorruptError, match="damaged"):
            lic_native.decode(head + bytes(20), distribution)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
    data = lic_native.encode(np.zeros(1000, np.int32), TABLES[np.zeros(1000, int)])
    with pytest.raises(lic_native.LimitExceededError, match="4000"):
        lic_native.decode(data, TABLES[[0]], limits=lic_native.Limits(max_output_bytes=3999))


def test_tables_from_probabilities():
    tables = Tables.from_pmf([[1, 1, 2], [0.5, 0, 0]], [-1, 7])
    symbols = np.array([-1, 0, 1, 1, 7, 7, 8, 99])
    rows = tables[[0, 0, 0, 0, 1, 1, 1, 1]]
    assert np.array_equal(lic_native.decode(lic_native.encode(symbols, rows), rows), symbols)
    for bad in ([[1, -1]], [[0, 0]], [[np.nan]], [1, 2]):
        with pytest.raises(ValueError):
            Tables.from_pmf(bad)


def test_threads_make_no_difference():
    symbols, indexes = latents((1_500_000,))
    data = lic_native.encode(symbols, TABLES[indexes], threads=1)
    for threads in (0, 2, 5):
        assert lic_native.encode(symbols, TABLES[indexes], threads=threads) == data
        assert np.array_equal(lic_native.decode(data, TABLES[indexes], threads=threads), symbols)


def test_batches():
    symbols, indexes = latents((3, 4, 50))
    rows = TABLES[indexes]
    strings = lic_native.encode_batch(symbols, rows)
    assert strings == [lic_native.encode(x, TABLES[i]) for x, i in zip(symbols, indexes)]
    assert np.array_equal(lic_native.decode_batch(strings, rows), symbols)
    for shared in (TABLES[indexes[:1]], TABLES[indexes[0]], TABLES[indexes[0, :, :1]]):
        strings = lic_native.encode_batch(torch.from_numpy(symbols), shared)
        restored = lic_native.decode_batch(strings, shared)
        assert isinstance(restored, torch.Tensor) and np.array_equal(restored.numpy(), symbols)
    assert lic_native.encode_batch(symbols[:0], rows) == []
    wide = lic_native.decode_batch(lic_native.encode_batch(symbols.astype(np.int64), rows), rows)
    assert wide.dtype == np.int64 and np.array_equal(wide, symbols)


def test_groups_in_steps():
    groups = [latents(shape, len(shape)) for shape in [(3, 4), (), (0,), (1000,), (64,)]]
    encoder = lic_native.Encoder()
    for symbols, indexes in groups:
        encoder.put(symbols, TABLES[indexes])
    bits = encoder.cost_bits()
    data = encoder.finish()
    assert abs(8 * len(data) - bits) < 100
    with pytest.raises(ValueError, match="finished"):
        encoder.put(np.array([1]), TABLES[[0]])
    decoder = lic_native.Decoder(data)
    for symbols, indexes in groups:
        assert np.array_equal(decoder.get(TABLES[indexes]), symbols)
    decoder.finish()


def test_size_is_near_the_entropy():
    symbols, indexes = latents((1_000_000,), 3)
    symbols.flat[::777] //= 100
    scale = SCALES[indexes].astype(float)
    phi = torch.distributions.Normal(0, 1).cdf
    x = torch.from_numpy(np.abs(symbols) / scale)
    half = torch.from_numpy(0.5 / scale)
    ideal = -(phi(half - x) - phi(-half - x)).log2().sum().item() / 8
    size = len(lic_native.encode(symbols, TABLES[indexes]))
    assert ideal < size < 1.002 * ideal
    ideal = -(phi(half - x) - phi(-half - x))[:1000].log2().sum().item() / 8
    size = len(lic_native.encode(symbols[:1000], TABLES[indexes[:1000]]))
    assert size < 1.01 * ideal + 16


FAMILIES = [lic_native.Gaussian, lic_native.Laplace, lic_native.Logistic]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_location_scale_families_round_trip(family, dtype):
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 10, (4, 3, 200)).astype(dtype)
    scale = np.exp(rng.uniform(-3, 5, (3, 1))).astype(dtype)
    symbols = np.rint(rng.normal(mean, scale)).astype(np.int32)
    for parameters in [(mean, scale), (torch.from_numpy(mean), torch.from_numpy(scale)), (0, scale), (mean, 2.5)]:
        distribution = family(*parameters)
        data = lic_native.encode(symbols, distribution)
        assert np.array_equal(lic_native.decode(data, distribution), symbols)
    assert len(lic_native.encode(symbols, family(mean, scale))) < len(lic_native.encode(symbols, family(0, 10)))


@pytest.mark.parametrize("family", FAMILIES)
def test_floats_of_any_width_and_layout_mean_the_same(family):
    rng = np.random.default_rng(1)
    mean = rng.normal(0, 10, (30, 20)).astype(np.float32)
    scale = np.exp(rng.uniform(-3, 5, (30, 20))).astype(np.float32)
    symbols = np.rint(mean).astype(np.int32)
    data = lic_native.encode(symbols, family(mean, scale))
    assert lic_native.encode(symbols, family(mean.astype(np.float64), scale.astype(np.float64))) == data
    assert lic_native.encode(symbols, family(mean, scale.astype(np.float64))) == data
    assert lic_native.encode(symbols.T, family(mean.T, scale.T)) == lic_native.encode(
        symbols.T.copy(), family(mean.T.copy(), scale.T.copy())
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_invalid_parameters_are_named(family, bad):
    scale = np.ones(100, np.float32)
    scale[77] = bad
    with pytest.raises(ValueError, match="element 77"):
        lic_native.encode(np.zeros(100, int), family(0, scale))
    with pytest.raises(ValueError, match="element 77"):
        lic_native.Encoder().put(np.zeros(100, int), lic_native.Mixture([family(0, scale), family(0, 1)], [1, 1]))


def bytes_of(symbols, distribution):
    data = lic_native.encode(symbols, distribution)
    assert np.array_equal(lic_native.decode(data, distribution), symbols)
    return data


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-46, 1e-39, 1e-38, 1e39, 1e300, 2.0**127])
def test_scales_at_the_ends_of_floats(family, scale):
    symbols, nearest = np.arange(4) - 2, 1e-3 if scale < 1 else 1e5
    number, expected = bytes_of(symbols, family(0.3, scale)), bytes_of(symbols, family(0.3, nearest))
    assert number == expected
    for array in (np.full(4, scale), np.full((), scale), torch.full((4,), scale, dtype=torch.float64)):
        assert len(bytes_of(symbols, family(0.3, array))) == len(number)
    mixed = bytes_of(symbols, lic_native.Mixture([family(0.3, scale)], [2.0]))
    assert mixed == bytes_of(symbols, lic_native.Mixture([family(0.3, np.full(4, scale))], [2.0]))
    # Other scales become 0 or infinity in float32 and are accepted; 0 and infinity are not.
    for bad in (0.0, -scale, np.inf):
        for values in (bad, np.full(4, bad)):
            for distribution in (family(0, values), lic_native.Mixture([family(0, values)], [1])):
                with pytest.raises(ValueError, match=r"scale \S+ of .*element 0 is not (positive|finite)$"):
                    lic_native.encode(symbols, distribution)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("base", [2**24 + 1, -(2**24) - 1, 2**26 + 1, -(2**29) - 3, 2**30 - 49])
def test_means_that_are_large_integers_are_exact(family, base):
    means = base + np.arange(1000) % 50
    expected = bytes_of(means, family(means.astype(np.float64), 0.2))
    for dtype in (np.int64, np.int32, ">i4", ">f8"):
        assert bytes_of(means, family(means.astype(dtype), 0.2)) == expected
    same = np.full(1000, base)
    for mean in (base, float(base), np.int64(base), np.float64(base)):
        assert bytes_of(same, family(mean, 0.2)) == bytes_of(same, family(same.astype(np.float64), 0.2))
    mixture = lic_native.Mixture([family(means, 0.2), family(base, 0.3)], [0.9, 0.1])
    assert len(bytes_of(means, mixture)) < 2 * len(bytes_of(means - base, family(means - base, 0.2))) + 100


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mean", [2.0**30 + 32, -(2.0**30) - 32, 2**31, -(2**62), 1e39, -1e300])
def test_means_beyond_the_range_are_refused_however_they_come(mean):
    for values in (mean, np.full(4, mean), torch.full((4,), mean, dtype=torch.float64)):
        gaussian = lic_native.Gaussian(values, 1.0)
        for distribution in (gaussian, lic_native.Mixture([gaussian, gaussian], [1, 1])):
            with pytest.raises(ValueError, match=r"mean \S+ of .*element 0 is beyond 2\^30$"):
                lic_native.encode(np.zeros(4, np.int32), distribution)


def test_weights_beyond_float32_keep_their_proportion():
    symbols, components = np.arange(9) - 4, [lic_native.Gaussian(0, 0.5), lic_native.Laplace(0, 3.0)]
    large = bytes_of(symbols, lic_native.Mixture(components, [3e300, 1e300]))
    assert large == bytes_of(symbols, lic_native.Mixture(components, [3, 1]))


def test_messages_have_short_floats_and_name_one_fault():
    symbols = np.zeros(3, np.int32)
    cases = [
        (lambda: lic_native.Gaussian(np.array([0, 1e300, 0]), 1.0), "mean 1e300 of element 1 is beyond 2^30"),
        (lambda: lic_native.Laplace(0, np.array([1, 1, -1e-300])), "scale -1e-300 of element 2 is not positive"),
        (lambda: lic_native.Logistic(0, np.float32(np.nan)), "scale NaN of element 0 is not a number"),
        (lambda: lic_native.Logistic(-np.inf, 1), "mean -inf of element 0 is not finite"),
        (
            lambda: lic_native.Mixture([lic_native.Gaussian(0, 1)], [np.array([1, -1e-30, 1])]),
            "weight -1e-30 of component 0 of element 1 is negative",
        ),
        (lambda: Tables.gaussian([1e-300]), "scale 1e-300 is outside 0.01..=512"),
        (lambda: Tables.logistic([1, 1e300]), "scale 1e300 is outside 0.01..=512"),
        (lambda: lic_native.Categorical([1, -1e300]), "probability -1e300 of symbol 1"),
    ]
    for make, message in cases:
        with pytest.raises(ValueError) as info:
            lic_native.encode(symbols, make())
        assert message in str(info.value) and len(str(info.value)) < 120


@pytest.mark.parametrize("order", ["<", ">"])
def test_parameters_of_any_alignment_and_byte_order(order):
    def foreign(values):
        values = values.astype(values.dtype.newbyteorder(order))
        array = np.frombuffer(b"\0" + values.tobytes(), np.uint8)[1:].view(values.dtype)
        assert not array.flags.aligned or array.itemsize == 1
        return array

    symbols, tables = np.arange(5), Tables.gaussian([0.5, 2.0])
    for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
        indexes = np.array([0, 1, 1, 0, 1], dtype)
        assert bytes_of(symbols, tables[foreign(indexes)]) == bytes_of(symbols, tables[indexes])
    for dtype in ("f2", "f4", "f8", "i2", "i4", "i8"):
        values = np.arange(1, 6).astype(dtype)
        for make in (
            lambda values: lic_native.Gaussian(values, 1.5),
            lambda values: lic_native.Gaussian(1.5, values),
            lambda values: lic_native.Mixture([lic_native.Laplace(values, values)], [values]),
        ):
            assert bytes_of(symbols, make(foreign(values))) == bytes_of(symbols, make(values))


@pytest.mark.parametrize("bad", [-1, 2, 256, -(2**31)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_indexes_outside_the_rows_are_refused(bad, dtype):
    indexes = np.zeros(200, dtype)
    indexes[77] = bad
    with pytest.raises(ValueError, match="index of element 77"):
        lic_native.encode(np.zeros(200, np.int32), Tables.gaussian([0.5, 2.0])[indexes])


def test_wide_indexes_are_not_truncated():
    for bad in (2**32, 2**16, -(2**32), 2**63 - 1):
        with pytest.raises(ValueError, match="index of element 0"):
            lic_native.encode(np.zeros(3, np.int32), Tables.gaussian([0.5, 2.0])[np.full(3, bad, np.int64)])


def test_a_gaussian_costs_its_entropy():
    rng = np.random.default_rng(2)
    mean, scale = rng.normal(0, 9, 400_000), np.exp(rng.uniform(np.log(0.11), np.log(64), 400_000))
    symbols = np.rint(rng.normal(mean, scale))
    phi = torch.distributions.Normal(0, 1).cdf
    distance, half = torch.from_numpy(np.abs(symbols - mean) / scale), torch.from_numpy(0.5 / scale)
    ideal = -(phi(half - distance) - phi(-half - distance)).clamp(min=2.0**-40).log2().sum().item() / 8
    size = len(lic_native.encode(symbols.astype(np.int32), lic_native.Gaussian(mean, scale)))
    assert ideal < size < 1.003 * ideal


def test_scales_become_rows_by_exact_comparisons():
    middles = np.sqrt(SCALES[1:] * SCALES[:-1]).astype(np.float32)
    assert np.array_equal(TABLES.indexes(SCALES), np.arange(64))
    for scale, rows in [(middles, np.arange(1, 64)), (np.nextafter(middles, np.float32(0)), np.arange(63))]:
        assert np.array_equal(TABLES.indexes(scale), rows)
        assert np.array_equal(TABLES.indexes(torch.from_numpy(scale)), rows)
        assert np.array_equal(TABLES.indexes(scale.astype(np.float64)), rows)
    assert TABLES.indexes(torch.tensor([1e-9, 5, 1e9], dtype=torch.bfloat16)).tolist() == [0, TABLES.indexes(5.0), 63]
    assert Tables.laplace(np.geomspace(0.1, 9, 300)).indexes(9.0) == 299
    with pytest.raises(ValueError, match="scales"):
        Tables([[0, 5, 32768]]).indexes(1.0)


def test_mixtures():
    rng = np.random.default_rng(3)
    mean, scale = rng.normal(0, 20, (2, 500)), np.exp(rng.uniform(-2, 3, (2, 500)))
    which = rng.random((2, 500)) < 0.3
    symbols = np.rint(rng.normal(np.where(which, mean, -mean), scale)).astype(np.int16)
    mixture = lic_native.Mixture([lic_native.Gaussian(mean, scale), lic_native.Logistic(-mean, scale)], [0.3, 0.7])
    data = lic_native.encode(symbols, mixture)
    assert np.array_equal(lic_native.decode(data, mixture), symbols)
    assert len(data) < len(lic_native.encode(symbols, lic_native.Gaussian(mean, scale)))
    weights = torch.rand(500)
    mixture = lic_native.Mixture([lic_native.Laplace(mean, 3)] * 3, [weights, 1 - weights, 0])
    strings = lic_native.encode_batch(torch.from_numpy(symbols), mixture)
    assert np.array_equal(lic_native.decode_batch(strings, mixture).numpy(), symbols)
    with pytest.raises(ValueError, match="components"):
        lic_native.Mixture([lic_native.Laplace(0, 1)], [1, 2])
    with pytest.raises(ValueError, match="components"):
        lic_native.encode(symbols, lic_native.Mixture([lic_native.Laplace(0, 1)] * 9, [1] * 9))


def test_categorical():
    rng = np.random.default_rng(4)
    pmf = rng.dirichlet(np.ones(7), (40, 50))
    symbols = np.array([[rng.choice(7, p=p) for p in row] for row in pmf], np.uint8)
    ideal = -np.log2(np.take_along_axis(pmf, symbols[..., None].astype(int), -1)).sum() / 8
    elementwise = lic_native.Categorical(pmf)
    assert ideal < len(lic_native.encode(symbols, elementwise)) < 1.005 * ideal + 16
    symbols[3, 3] = 200  # an escape
    shared = lic_native.Categorical(pmf.sum((0, 1)))
    elementwise = lic_native.Categorical(torch.from_numpy(pmf))
    sizes = []
    for distribution in (shared, elementwise, lic_native.Categorical(pmf[:, :1])):
        data = lic_native.encode(symbols, distribution)
        sizes.append(len(data))
        assert np.array_equal(lic_native.decode(data, distribution), symbols)
    assert sizes[1] < sizes[0]
    strings = lic_native.encode_batch(symbols, elementwise)
    assert np.array_equal(lic_native.decode_batch(strings, elementwise), symbols)
    for bad in ([1, -1], [np.nan, 1], [0.0, 0.0]):
        with pytest.raises(ValueError):
            lic_native.encode(symbols, lic_native.Categorical(np.tile(bad, (40, 50, 1))))


def test_scalars_and_escaped_symbols():
    assert lic_native.decode(lic_native.encode(np.int16(5), lic_native.Gaussian(5, 1)), lic_native.Gaussian(5, 1)) == 5
    wide = np.array([2**31 - 1, -(2**31)])
    for distribution in [*(family(0, 1) for family in FAMILIES), lic_native.Categorical([1, 1]), TABLES[0]]:
        assert np.array_equal(lic_native.decode(lic_native.encode(wide, distribution), distribution), wide)


@pytest.mark.parametrize("module", ["distributions", "stream", "tables", "tensor"])
def test_examples(module):
    module = importlib.import_module(f"lic_native.entropy.{module}")
    names = {name: getattr(lic_native, name) for name in lic_native.__all__} | {"np": np, "torch": torch}
    result = doctest.testmod(module, extraglobs=names)
    assert result.attempted > 0 and result.failed == 0
