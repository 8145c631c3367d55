"""Arguments of the entropy coder: bytes, distributions, counts, arrays of every layout and batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lic_native
from lic_native import Tables
from lic_native.entropy.distributions import LogisticPair

SCALES = np.geomspace(0.11, 64, 64)
TABLES = Tables.gaussian(SCALES)

GAUSSIAN = lic_native.Gaussian(0, 2.0)
SYMBOLS = np.arange(6, dtype=np.int32).reshape(3, 2)
MESSAGE = lic_native.encode(SYMBOLS, GAUSSIAN)


def stream(symbols=SYMBOLS, distribution=GAUSSIAN) -> bytes:
    encoder = lic_native.Encoder()
    encoder.put(symbols, distribution)
    return encoder.finish()


def calibrator() -> lic_native.Encoder:
    return lic_native.Encoder(calibrate=True)


def in_contexts(contexts, axis=None) -> bytes:
    return lic_native.encode(SYMBOLS, GAUSSIAN, calibrate=True, axis=axis, contexts=contexts)


def pairs_in(contexts) -> LogisticPair:
    return LogisticPair(np.ones((3, 2, 5), np.int16), contexts)


READERS = {
    "decode": (MESSAGE, lambda data: lic_native.decode(data, GAUSSIAN)),
    "decode without": (lic_native.encode(SYMBOLS), lic_native.decode),
    "decode_batch": (MESSAGE, lambda data: lic_native.decode_batch([data], GAUSSIAN)[0]),
    "Decoder": (stream(), lambda data: lic_native.Decoder(data).get(GAUSSIAN, SYMBOLS.shape)),
}


@pytest.mark.parametrize("name", READERS)
def test_only_bytes_like_objects_are_decoded(name):
    data, call = READERS[name]
    for value in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert np.array_equal(call(value), SYMBOLS)
    value = Path("x.lic"), "x.lic", 5, True, None, [*data], (*data,), range(3), {1: 2}, iter(data), np.arange(3), 2.5
    for wrong in (*value, torch.tensor([*data]), np.ma.masked_array([*data], dtype=np.uint8)):
        with pytest.raises(TypeError, match=r"(data|strings\[0\]) must be a bytes-like object, not"):
            call(wrong)


@pytest.mark.parametrize("strings", ["ab", b"ab", bytearray(2), {MESSAGE: 1}, 5, None, np.array([b"a"])], ids=repr)
def test_a_batch_to_decode_is_a_list(strings):
    with pytest.raises(TypeError, match="strings must be a list of bytes-like objects, not"):
        lic_native.decode_batch(strings, GAUSSIAN)


WITH_DISTRIBUTION = {
    "encode": lambda distribution: lic_native.encode(SYMBOLS, distribution),
    "decode": lambda distribution: lic_native.decode(MESSAGE, distribution),
    "encode_batch": lambda distribution: lic_native.encode_batch(SYMBOLS, distribution),
    "decode_batch": lambda distribution: lic_native.decode_batch([MESSAGE], distribution),
    "put": lambda distribution: lic_native.Encoder().put(SYMBOLS, distribution),
    "get": lambda distribution: lic_native.Decoder(stream()).get(distribution, SYMBOLS.shape),
}


@pytest.mark.parametrize("name", WITH_DISTRIBUTION)
def test_other_types_than_distributions_are_refused_with_advice(name):
    for value, advice in [
        (TABLES, r"not Tables: give each element a row of them, tables\[indexes\]"),
        ((0.0, 1.0), r"not tuple: write Gaussian\(mean, scale\)"),
        ([0.0, 1.0], r"not list: write Gaussian\(mean, scale\)"),
        (lic_native.Laplace, r"write Laplace\(\.\.\.\)"),
        (torch.distributions.Normal(0, 1), "not Normal; choose from: tables"),
        (5, "not int; choose from"),
        ("gaussian", "not str; choose from"),
        (np.zeros(3), "not ndarray; choose from"),
    ]:
        with pytest.raises(TypeError, match=f"distribution must .*{advice}"):
            WITH_DISTRIBUTION[name](value)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "axis is for fitted tables", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, axis=0)),
        (TypeError, "axis is for fitted tables", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, axis="no")),
        (ValueError, "max_lanes must be 1 or more, not 0", lambda: lic_native.Encoder(max_lanes=0)),
        (ValueError, "max_lanes must be 1 or more, not -1", lambda: lic_native.Encoder(max_lanes=-1)),
        (ValueError, "max_lanes must be 64 or less, not 65", lambda: lic_native.Encoder(max_lanes=65)),
        (ValueError, "max_lanes must be 64 or less", lambda: lic_native.Encoder(max_lanes=2**70)),
        (TypeError, "max_lanes must be an integer, not str", lambda: lic_native.Encoder(max_lanes="4")),
        (
            TypeError,
            "dtype must be int8, .* not 'int64'",
            lambda: lic_native.Decoder(b"").get(GAUSSIAN, (), dtype="int64"),
        ),
        (TypeError, "dtype must be int8, .* not '>i2'", lambda: lic_native.Decoder(b"").get(GAUSSIAN, (), dtype=">i2")),
        (TypeError, "dtype must be int8, .* not 'x'", lambda: lic_native.Decoder(b"").get(GAUSSIAN, (), dtype="x")),
        (TypeError, "shape must be integers, not 'ab'", lambda: lic_native.Decoder(b"").get(GAUSSIAN, "ab")),
        (
            TypeError,
            "leave out .* shape",
            lambda: lic_native.Decoder(b"").get(GAUSSIAN, (0,), out=np.zeros(0, np.int8)),
        ),
        (ValueError, "no contexts", lambda: calibrator().put(SYMBOLS, pairs_in(np.zeros(0, np.uint16)))),
        (ValueError, "4096 is not below", lambda: calibrator().put(SYMBOLS, pairs_in(np.uint16([1, 4096])))),
        (ValueError, "4096 is not below", lambda: lic_native.Decoder(b"\x80").get(pairs_in(np.uint16([4096])))),
        (TypeError, "array", lambda: calibrator().put(SYMBOLS, pairs_in(np.zeros(3, np.int64)))),
        (TypeError, "contexts must be integers, not float64", lambda: in_contexts([0.5])),
        (ValueError, r"contexts must be in 0..4095: they are in -1..2", lambda: in_contexts([[-1], [2], [0]])),
        (ValueError, r"contexts must be in 0..4095: they are in 1..4096", lambda: in_contexts([1, 4096])),
        (ValueError, r"contexts of shape \(3,\) do not fit", lambda: in_contexts([1, 2, 3])),
        (ValueError, r"contexts of shape \(1, 3, 2\) do not fit", lambda: in_contexts([[[1, 2]] * 3])),
        (TypeError, "contexts need calibrate", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, contexts=[1, 2])),
        (TypeError, "replace axis", lambda: in_contexts([1, 2], axis=0)),
        (TypeError, "only a distribution can be calibrated", lambda: lic_native.encode(SYMBOLS, calibrate=True)),
        (TypeError, "only a distribution can be calibrated", lambda: lic_native.encode(SYMBOLS, contexts=[1, 2])),
        (TypeError, "calibrate must be True or False", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, calibrate=1)),
        (TypeError, "axis must be an integer", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, calibrate=True, axis="no")),
        (IndexError, "axis 2 is out of range", lambda: lic_native.encode(SYMBOLS, GAUSSIAN, calibrate=True, axis=2)),
        (
            ValueError,
            "axis 0 has 5000 contexts, more than 4096",
            lambda: lic_native.encode(np.zeros((5000, 2), np.int8), GAUSSIAN, calibrate=True, axis=0),
        ),
        (TypeError, "axis and contexts exclude", lambda: calibrator().put(SYMBOLS, GAUSSIAN, axis=0, contexts=[1, 2])),
        (IndexError, "axis -3 is out of range", lambda: calibrator().put(SYMBOLS, GAUSSIAN, axis=-3)),
        (IndexError, "axis 9 is out of range", lambda: lic_native.Decoder(b"").get(GAUSSIAN, SYMBOLS.shape, axis=9)),
        (TypeError, "out and contexts need a distribution", lambda: lic_native.decode(b"", contexts=[1])),
        (TypeError, "calibrate", lambda: lic_native.Encoder(calibrate=1.5)),
        (ValueError, "0 components", lambda: lic_native.Mixture([], [])),
        (ValueError, "1 components with 2 weights", lambda: lic_native.Mixture([GAUSSIAN], [1, 2])),
        (ValueError, "9 components", lambda: lic_native.Mixture([GAUSSIAN] * 9, [1] * 9)),
        (TypeError, "components must be Gaussian, .* not int", lambda: lic_native.Mixture([5], [1])),
        (TypeError, "components must be Gaussian, .* not Rows", lambda: lic_native.Mixture([TABLES[0]], [1])),
        (TypeError, "components must be a list, not Gaussian", lambda: lic_native.Mixture(GAUSSIAN, [1])),
        (TypeError, "weights must be a list, not int", lambda: lic_native.Mixture([GAUSSIAN], 1)),
        (TypeError, "weight must be numbers", lambda: lic_native.Mixture([GAUSSIAN], ["1"])),
        (TypeError, "scale must be numbers", lambda: lic_native.Gaussian(0, "1")),
        (ValueError, r"pmf of shape \(0,\)", lambda: lic_native.Categorical([])),
        (ValueError, r"pmf of shape \(5, 0\)", lambda: lic_native.Categorical(np.zeros((5, 0)))),
        (TypeError, "pmf must be numbers", lambda: lic_native.Categorical("ab")),
        (TypeError, "scales must be numbers", lambda: Tables.gaussian("12")),
        (TypeError, "scales must be numbers", lambda: Tables.laplace(["1", "2"])),
        (TypeError, "scales must be numbers", lambda: Tables.logistic({1.0, 2.0})),
        (TypeError, "mask", lambda: Tables.gaussian(np.ma.masked_array([1.0, 2.0], [False, True]))),
        (ValueError, r"scales of shape \(\), not \[rows\]", lambda: Tables.gaussian(1.0)),
        (ValueError, "scale 0.0 is outside", lambda: Tables.gaussian([1.0, 0.0])),
        (ValueError, "70000 rows are more", lambda: Tables.gaussian(np.ones(70_000))),
        (ValueError, r"lengths of shape \(\) for 1 rows", lambda: Tables([[0, 32768]], 2)),
        (ValueError, r"offsets of shape \(2,\) for 1 rows", lambda: Tables([[0, 32768]], offsets=[0, 0])),
        (ValueError, r"offsets of shape \(1, 1\) for 1 rows", lambda: Tables.from_pmf([[1]], [[0]])),
        (ValueError, "row 1: all probabilities are 0", lambda: Tables.from_pmf([[1, 2], [0, 0]])),
        (ValueError, "row 0: 0 probabilities", lambda: Tables.from_pmf(np.zeros((2, 0)))),
        (TypeError, "not str", lambda: lic_native.encode("abc", GAUSSIAN)),
        (TypeError, "not bytes", lambda: lic_native.encode(b"abc", GAUSSIAN)),
        (TypeError, "not set", lambda: lic_native.encode({1}, GAUSSIAN)),
        (TypeError, "not range", lambda: lic_native.Encoder().put(range(3), GAUSSIAN)),
        (ValueError, "axis of items", lambda: lic_native.encode_batch(np.int16(5), GAUSSIAN)),
        (ValueError, "strings is empty", lambda: lic_native.decode_batch([], GAUSSIAN)),
    ],
)
def test_wrong_arguments_are_named(error, message, call):
    with pytest.raises(error, match=message):
        call()


COUNTED = {
    "encode": lambda **options: lic_native.encode(SYMBOLS, GAUSSIAN, **options),
    "encode without": lambda **options: lic_native.encode(SYMBOLS, **options),
    "decode": lambda **options: lic_native.decode(MESSAGE, GAUSSIAN, **options),
    "decode without": lambda **options: lic_native.decode(lic_native.encode(SYMBOLS), **options),
    "encode_batch": lambda **options: lic_native.encode_batch(SYMBOLS, GAUSSIAN, **options),
    "decode_batch": lambda **options: lic_native.decode_batch([MESSAGE], GAUSSIAN, **options),
}


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, "threads") for name in COUNTED] + [(name, "max_output_bytes") for name in COUNTED if "decode" in name],
)
def test_counts_are_integers_from_0_on(name, argument):
    def call(value):
        given = {argument: value}
        COUNTED[name](**given if argument == "threads" else {"limits": lic_native.Limits(**given)})

    for wrong in (-1, -(2**70)):
        with pytest.raises(ValueError, match=f"{argument} must be 0 or more"):
            call(wrong)
    for wrong in (float("nan"), 2.0, "5", None, True, [1]):
        with pytest.raises(TypeError, match=f"{argument} must be an integer"):
            call(wrong)
    call(2**70)
    call(np.int64(1000))


def test_limits_are_those_of_the_crate():
    limits = lic_native.Limits()
    assert (limits.max_blocks, limits.max_output_bytes) == lic_native._native.default_limits()


@pytest.mark.parametrize("name", [name for name in COUNTED if "decode" in name])
def test_limits_are_limits(name):
    with pytest.raises(TypeError, match=r"limits must be a lic_native\.Limits, not int"):
        COUNTED[name](limits=1000)
    with pytest.raises(lic_native.LimitExceededError, match="exceeds the limit of 3"):
        COUNTED[name](limits=lic_native.Limits(max_input_bytes=3))


def layouts(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return arrays of equal values that lie differently in memory."""
    backwards = values[::-1].copy()[::-1]
    raw = bytearray(values.nbytes + 1)
    unaligned = np.frombuffer(raw, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    unaligned[...] = values
    every_other = np.repeat(values, 2, -1)[..., ::2]
    read_only = np.frombuffer(values.tobytes(), values.dtype).reshape(values.shape)
    swapped = values.astype(values.dtype.newbyteorder())
    assert not (unaligned.size and values.itemsize > 1 and unaligned.flags.aligned) and not read_only.flags.writeable
    return {
        "in order": values,
        "backwards": backwards,
        "unaligned": unaligned,
        "every other": every_other,
        "read-only": read_only,
        "Fortran": np.asfortranarray(values),
        "swapped": swapped,
        "swapped and backwards": swapped[::-1].copy()[::-1],
        "subclass": values.view(np.memmap),
    }


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_memory_layout_of_symbols_does_not_change_bytes(dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    plain, at_once = lic_native.encode(values), lic_native.encode(values, GAUSSIAN)
    batch, in_steps = lic_native.encode_batch(values, GAUSSIAN), stream(values.astype(np.int32))
    for layout, value in layouts(values).items():
        assert np.array_equal(value, values)
        assert lic_native.encode(value) == plain, layout
        assert lic_native.encode(value, GAUSSIAN) == at_once, layout
        assert lic_native.encode_batch(value, GAUSSIAN) == batch, layout
        assert stream(value) == in_steps, layout
    for value in (
        np.array(7, dtype),
        np.array(7, np.dtype(dtype).newbyteorder()),
        np.broadcast_to(values[0, 0], (5, 4)),
    ):
        for distribution in (None, GAUSSIAN):
            restored = lic_native.decode(lic_native.encode(value, distribution), distribution)
            assert restored.shape == value.shape and restored.dtype == dtype and np.array_equal(restored, value)


def test_memory_layout_of_parameters_does_not_change_bytes():
    symbols = np.zeros((3, 4), np.int32)
    for make, values in [
        *(
            (lambda indexes: TABLES[indexes], np.arange(12).astype(dtype))
            for dtype in ("uint8", "int16", "int32", "int64")
        ),
        *((lambda scale: lic_native.Gaussian(0, scale), np.arange(1, 13).astype(dtype)) for dtype in "efdi"),
        *((lambda mean: lic_native.Laplace(mean, 3.0), np.arange(12).astype(dtype)) for dtype in "efdi"),
        (lambda weight: lic_native.Mixture([GAUSSIAN, GAUSSIAN], [weight, 1]), np.arange(12, dtype=np.float32)),
    ]:
        values = values.reshape(3, 4)
        expected = lic_native.encode(symbols, make(values))
        for layout, value in layouts(values).items():
            assert lic_native.encode(symbols, make(value)) == expected, layout
    for dtype in "fd":
        pmf = np.arange(1, 13).astype(dtype).reshape(3, 2, 2)
        expected = lic_native.encode(symbols[:, :2], lic_native.Categorical(pmf))
        for layout, value in layouts(pmf).items():
            assert lic_native.encode(symbols[:, :2], lic_native.Categorical(value)) == expected, layout
    for layout, value in layouts(np.array([[0, 9, 32768], [0, 99, 32768]], np.int32)).items():
        assert Tables(value).fingerprint() == Tables(value.tolist()).fingerprint(), layout


class Copying:
    """An object whose array is always a copy."""

    def __init__(self):
        self.values = np.zeros(6, np.int32)

    def __array__(self, dtype=None, copy=None):
        return self.values.copy()


class Exporting(Copying):
    """An object whose DLPack capsule is a copy, too."""

    def __dlpack__(self, **options):
        return self.values.copy().__dlpack__()

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.parametrize(
    ("error", "message", "out"),
    [
        (TypeError, "not list", [0] * 6),
        (TypeError, "not list", list(np.zeros(6, np.int32))),
        (TypeError, "not tuple", (0,) * 6),
        (TypeError, "not bytearray", bytearray(24)),
        (TypeError, "not int32", np.int32(0)),
        (TypeError, "not Copying", Copying()),
        (TypeError, "not Exporting", Exporting()),
        (TypeError, "not int64", np.zeros(6, np.int64)),
        (TypeError, "not >i4", np.zeros(6, ">i4")),
        (TypeError, "not float32", torch.zeros(6)),
        (TypeError, "not float32", torch.zeros(6, dtype=torch.bfloat16)),
        (TypeError, "mask", np.ma.zeros(6, np.int32)),
        (TypeError, "can't be written to", np.broadcast_to(np.int32(0), 6)),
        (TypeError, "can't be written to", np.frombuffer(bytes(24), np.int32)),
        (TypeError, "on the CPU, not on meta", torch.zeros(6, dtype=torch.int32, device="meta")),
        (TypeError, "needs no gradient", torch.zeros(6, requires_grad=True)),
        (TypeError, "dense", torch.zeros(6, dtype=torch.int32).to_sparse()),
        (ValueError, "contiguous", np.zeros(12, np.int32)[::2]),
        (ValueError, "contiguous", np.zeros((3, 2), np.int32).T),
        (ValueError, "contiguous", np.zeros(6, np.int32)[::-1]),
        (ValueError, "aligned", np.frombuffer(bytearray(25), np.uint8)[1:].view(np.int32)),
        (ValueError, "contiguous", torch.zeros(12, dtype=torch.int32)[::2]),
    ],
)
def test_out_that_cannot_be_filled_is_refused(error, message, out):
    with pytest.raises(error, match=message):
        lic_native.decode(MESSAGE, GAUSSIAN, out=out)
    with pytest.raises(error, match=message):
        lic_native.Decoder(stream()).get(GAUSSIAN, out=out)


def test_a_batch_has_parameters_for_its_items():
    def distributions(items):
        shape = (items, 2, 4)
        return [
            lic_native.Gaussian(np.zeros(shape), 1.0),
            lic_native.Laplace(0, np.ones((items, 1, 1))),
            lic_native.Categorical(np.ones((*shape, 5))),
            lic_native.Mixture([lic_native.Laplace(np.zeros((items, 1, 4)), 1.0)], [1.0]),
            lic_native.Mixture([lic_native.Laplace(0, 1.0)], [np.ones((items, 1, 1))]),
            TABLES[np.zeros(shape, np.uint8)],
        ]

    symbols = np.ones((3, 2, 4), np.int32)
    for right, more, fewer, one in zip(*map(distributions, (3, 4, 2, 1))):
        strings = lic_native.encode_batch(symbols, right)
        for wrong in (more, fewer):
            with pytest.raises(ValueError, match=rf"parameters of shape \({wrong.shape[0]}, .* do not fit 3 items"):
                lic_native.encode_batch(symbols, wrong)
            with pytest.raises(ValueError, match=rf"parameters of shape \({wrong.shape[0]}, .* do not fit 3 items"):
                lic_native.decode_batch(strings, wrong)
        with pytest.raises(ValueError, match="do not fit 2 items"):
            lic_native.decode_batch(strings[:2], right)
        assert np.array_equal(lic_native.decode_batch(strings, one), symbols)
    with pytest.raises(ValueError, match="do not fit 3 items"):
        lic_native.encode_batch(symbols, lic_native.Gaussian(np.zeros((1, 3, 2, 4)), 1.0))


def test_a_batch_is_of_one_shape_dtype_and_size():
    other = [SYMBOLS.astype(np.int8), SYMBOLS[:2], SYMBOLS[0], SYMBOLS.ravel()]
    for wrong in other:
        with pytest.raises(ValueError, match=rf"strings\[1\] is {wrong.dtype} .* strings\[0\] is int32 \(3, 2\)"):
            lic_native.decode_batch([MESSAGE, lic_native.encode(wrong, GAUSSIAN)], GAUSSIAN)
    size = 2 * SYMBOLS.nbytes
    assert (
        lic_native.decode_batch([MESSAGE] * 2, GAUSSIAN, limits=lic_native.Limits(max_output_bytes=size)).nbytes == size
    )
    with pytest.raises(lic_native.LimitExceededError, match=f"{size} exceeds the limit of {size - 1}"):
        lic_native.decode_batch([MESSAGE] * 2, GAUSSIAN, limits=lic_native.Limits(max_output_bytes=size - 1))
    for damaged in (b"", MESSAGE[:-1], MESSAGE[:1] + b"\x01" + MESSAGE[2:], lic_native.encode(SYMBOLS)):
        for strings in ([damaged, MESSAGE], [MESSAGE, damaged]):
            with pytest.raises(lic_native.LicError):
                lic_native.decode_batch(strings, GAUSSIAN)


@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.0, -0.0, np.inf, -np.inf])
def test_invalid_scales_have_no_row(bad):
    scale = np.ones((20, 5))
    scale[15, 2:] = bad
    for dtype in "efd":
        with pytest.raises(ValueError, match=rf"scale {bad:.1f}.* of element 77 "):
            TABLES.indexes(scale.astype(dtype))
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        with pytest.raises(ValueError, match=r"element 77 is not positive and finite"):
            TABLES.indexes(torch.from_numpy(scale).to(dtype))
    with pytest.raises(ValueError, match="element 1 "):
        TABLES.indexes([1.0, bad])


def test_scales_of_any_dtype_and_shape_have_rows():
    for zero in (np.array([3, 0]), torch.tensor([3, 0])):
        with pytest.raises(ValueError, match="element 1 "):
            TABLES.indexes(zero)
    for wrong in ("1", ["1"], True, None, 1j, np.array([True]), torch.tensor([True]), torch.tensor([1j])):
        with pytest.raises(TypeError, match="scale must be numbers"):
            TABLES.indexes(wrong)
    # Positive and finite, but not as float32.
    assert TABLES.indexes([1e-300, 1e300]).tolist() == [0, 63]
    assert TABLES.indexes(torch.tensor([1e-300, 1e300], dtype=torch.float64)).tolist() == [0, 63]
    for dtype in (torch.uint8, torch.int16, torch.uint16, torch.int64):
        assert TABLES.indexes(torch.tensor([1, 64], dtype=dtype)).tolist() == TABLES.indexes([1, 64]).tolist()
    for shape in ((0,), (3, 0), ()):
        assert TABLES.indexes(np.ones(shape)).shape == shape
        assert TABLES.indexes(torch.ones(shape, requires_grad=True)).shape == shape


@pytest.mark.parametrize("scales", [[1, 4, 2], [2, 1], [1, 1], [1, 2, 2], [4, 2, 1], []])
def test_rows_out_of_order_have_no_indexes(scales):
    with pytest.raises(ValueError, match="no scales in increasing order"):
        Tables.gaussian(scales).indexes(np.array([1.0]))
