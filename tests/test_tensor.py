"""`lic_native.encode` and `decode` without a distribution, and limits."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import lic_native

DTYPES = ["int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "bool"]
SHAPES = [(), (0,), (1,), (3, 0, 2), (7,), (2, 3, 4, 5), (1000,), (64, 33, 17)]


def sample(dtype: str, shape: tuple, scale: float = 5) -> np.ndarray:
    rng = np.random.default_rng(len(shape) + sum(shape))
    values = np.rint(rng.laplace(0, scale, shape))
    if dtype.startswith("u"):
        values = abs(values)
    return np.asarray(values).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_round_trip(dtype, shape):
    array = sample(dtype, shape)
    result = lic_native.decode(lic_native.encode(array))
    assert result.dtype == array.dtype and result.shape == array.shape
    assert np.array_equal(result, array)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool])
def test_tensors_come_back_as_tensors(dtype, shape):
    tensor = torch.from_numpy(np.asarray(sample("int16", shape).clip(0, 100))).to(dtype)
    result = lic_native.decode(lic_native.encode(tensor))
    assert isinstance(result, torch.Tensor)
    assert result.dtype == tensor.dtype and torch.equal(result, tensor)


@pytest.mark.parametrize("dtype", DTYPES[:-1])
def test_extremes_round_trip(dtype):
    info = np.iinfo(dtype)
    array = np.array([info.min, info.max, 0, 1, info.max - 1] * 5, dtype)
    assert np.array_equal(lic_native.decode(lic_native.encode(array)), array)


def test_strided_and_swapped_arrays_round_trip():
    array = np.arange(600, dtype=np.int32).reshape(20, 30)
    unaligned = np.frombuffer(bytearray(2401), np.uint8)[1:].view(np.int32)
    unaligned[:] = array.ravel()
    for view in (array[::2, ::-3], array.T, array.astype(">i4"), array.astype(">i8"), unaligned, unaligned[::2]):
        assert np.array_equal(lic_native.decode(lic_native.encode(view)), view)
    tensor = torch.arange(600).reshape(20, 30)[:, ::2].T
    assert torch.equal(lic_native.decode(lic_native.encode(tensor)), tensor)


def test_latents_are_coded_near_their_entropy():
    array = sample("int32", (16, 100, 100), 2)
    _, counts = np.unique(array, return_counts=True)
    p = counts / counts.sum()
    entropy_bytes = array.size * -(p * np.log2(p)).sum() / 8
    assert len(lic_native.encode(array)) < 1.005 * entropy_bytes + 100


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_hardly_grows(dtype):
    noise = np.random.default_rng(0).bytes(8 * 1001)
    array = np.frombuffer(noise, np.uint8 if dtype == "bool" else dtype)
    array = array > 127 if dtype == "bool" else array
    assert len(lic_native.encode(array)) <= array.nbytes + 40


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (torch.zeros(3), r"tensor.round\(\).to\(torch.int32\)"),
        (torch.zeros(3, dtype=torch.bfloat16), r"tensor.round\(\)"),
        (np.zeros(3, np.float64), r"numpy.rint\(array\).astype\(numpy.int32\)"),
        (np.zeros(3, complex), "complex128"),
        (np.zeros(3, np.uint64), "not uint64$"),
        (np.ma.masked_array([1, 2], [True, False]), "mask"),
        (np.array(["a"]), "integers"),
        ([1, 2, 3], "not list"),
        ("abc", "not str"),
        (b"abc", "not bytes"),
        ({1, 2}, "not set"),
        (range(3), "not range"),
        (None, "not NoneType"),
    ],
    ids=str,
)
def test_other_values_than_integer_tensors_are_refused_with_advice(value, hint):
    with pytest.raises(TypeError, match=hint):
        lic_native.encode(value)


def test_every_truncation_and_bit_flip_is_detected():
    data = lic_native.encode(sample("int16", (30, 7)))
    for end in range(len(data)):
        with pytest.raises(lic_native.LicError):
            lic_native.decode(data[:end])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(lic_native.LicError):
            lic_native.decode(bytes(flipped))


def test_tables_are_fitted_along_an_axis():
    array = np.rint(np.random.default_rng(0).normal(0, np.geomspace(1, 50, 8)[:, None], (3, 8, 400))).astype(np.int16)
    sizes = [len(lic_native.encode(array, axis=axis)) for axis in (0, 1, -1)]
    assert sizes[1] == len(lic_native.encode(array)) < min(sizes[0], sizes[2])
    assert np.array_equal(lic_native.decode(lic_native.encode(array, axis=0)), array)
    for axis in (3, -4, 2**70):
        with pytest.raises(IndexError, match=f"axis {axis} is out of range for the shape"):
            lic_native.encode(array, axis=axis)
    for axis in ("no", 1.0, True, slice(1)):
        with pytest.raises(TypeError, match="axis must be an integer"):
            lic_native.encode(array, axis=axis)


def test_a_larger_result_than_allowed_is_refused():
    data = lic_native.encode(np.zeros(1000, np.int8))
    assert len(data) < 100
    with pytest.raises(lic_native.LimitExceededError):
        lic_native.decode(data, limits=lic_native.Limits(max_output_bytes=999))


@pytest.mark.parametrize("field", ["max_pixels", "max_input_bytes", "max_output_bytes"])
def test_limits_are_integers_from_0_on(field):
    for value in (float("nan"), float("inf"), 2.5, "1M", None, True):
        with pytest.raises(TypeError, match=f"{field} must be an integer"):
            lic_native.Limits(**{field: value})
    with pytest.raises(ValueError, match=f"{field} must be 0 or more, not -1"):
        lic_native.Limits(**{field: -1})
    assert lic_native.Limits(**{field: np.int32(5)}) == lic_native.Limits(**{field: 5})
    endless = lic_native.Limits(**{field: 10**30})
    assert (
        lic_native.jpeg.decompress(lic_native.jpeg.compress(b"no JPEG", limits=endless), limits=endless) == b"no JPEG"
    )


def test_readers_name_the_format_that_they_refuse():
    array = np.arange(9)
    for reader in (lic_native.jpeg.decompress, lic_native.image.decompress):
        with pytest.raises(lic_native.UnsupportedError, match=r"a tensor, which lic_native\.decode restores"):
            reader(lic_native.encode(array))
        for data, what in ((b"\xff\xd8\xff\xe0", "is a JPEG file"), (b"text", "begins otherwise")):
            with pytest.raises(lic_native.UnsupportedError, match=rf"^not a \.lic file: it {what}$"):
                reader(data)
    gaussian = lic_native.Gaussian(0, 3.0)
    with pytest.raises(lic_native.UnsupportedError, match=r"a message, .*decode\(data, distribution\)"):
        lic_native.decode(lic_native.encode(array, gaussian))
    with pytest.raises(lic_native.CorruptError, match="with no distribution"):
        lic_native.decode(lic_native.encode(array), gaussian)


def test_the_package_does_not_import_torch():
    code = (
        "import sys, numpy, lic_native; lic_native.decode(lic_native.encode(numpy.arange(9)));"
        "lic_native.jpeg.decompress(lic_native.jpeg.compress(b'no JPEG')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
