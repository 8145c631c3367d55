"""Messages that are coded where their tensors are: Triton's kernels, one operation after the other on the CPU.

The CPU is taken for a device that codes messages, and all is compared with the coder in Rust.
"""

import pickle
from contextlib import nullcontext
from unittest import mock

import numpy as np
import pytest
import torch

import lic_native
from lic_native import Gaussian, Laplace, Logistic, Mixture, Tables, decode, encode
from lic_native.cuda import available
from lic_native.entropy import arrays
from lic_native.errors import CorruptError, LicError, LimitExceededError, TruncatedError

pytest.importorskip("triton")
interpreter = pytest.importorskip("triton.runtime.interpreter")
from lic_native.cuda import messages  # noqa: E402

CPU = torch.device("cpu")
FAMILIES = Gaussian, Laplace, Logistic


class Calls(list):
    """Names of the functions of `messages` that were called, and whether Rust had to go on."""

    def of(self, name, function):
        def called(*arguments):
            result = function(*arguments)
            self.append(f"{name} on the device" if result is not None else f"{name} by Rust")
            return result

        return called

    def taken(self) -> list[str]:
        result = [*self]
        self.clear()
        return result


@pytest.fixture
def calls(monkeypatch):
    """Code messages of any size on the CPU as if it were a GPU."""
    calls = Calls()
    monkeypatch.setattr(arrays, "DEVICES", frozenset({"cpu"}))
    for name in ("FEWEST_ENCODED", "FEWEST_DECODED"):
        monkeypatch.setattr(messages, name, 0)
    monkeypatch.setattr(available, "works", lambda device, what: what == "messages")
    for name in ("encode", "decode"):
        monkeypatch.setattr(messages, name, calls.of(name, getattr(messages, name)))
    # Without checks of each operation's range, which take most of the time.
    options = interpreter.InterpreterOptions(sanitize_overflow=False)
    monkeypatch.setattr(interpreter.interpreter_builder, "options", options)
    return calls


def parameters(rng, shape, dtype=np.float32):
    """Return means, of which some lie between two rows, and scales, also beyond the levels."""
    mean = rng.normal(0, 200, shape)
    mean.reshape(-1)[::3] = np.round(mean.reshape(-1)[::3] * 128) / 128
    return mean.astype(dtype), np.exp2(rng.uniform(-6, 10, shape)).astype(dtype)


def drawn(rng, mean, scale, shape=None) -> torch.Tensor:
    """Return int32 symbols, of which some are escapes."""
    shape = np.shape(mean) if shape is None else shape
    far = np.where(rng.random(shape) < 0.1, 80, 1)
    return torch.from_numpy(np.rint(mean + rng.normal(0, 1, shape) * scale * far).astype(np.int32))


def raise_full(*_):
    raise torch.cuda.OutOfMemoryError("the device's memory is full")


def by_rust(function, *arguments, **options):
    """Call `encode` or `decode` without any device."""
    with mock.patch.object(arrays, "DEVICES", frozenset()):
        return function(*arguments, **options)


def check(calls, symbols: torch.Tensor, distribution) -> None:
    """Compare with Rust, both ways."""
    data = encode(symbols, distribution)
    assert calls.taken() == ["encode on the device"]
    assert data == by_rust(encode, symbols, distribution)
    back = decode(data, distribution, device="cpu")
    assert calls.taken() == ["decode on the device"]
    assert back.dtype == symbols.dtype and torch.equal(back, symbols)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 65)])
def test_messages_equal_those_of_rust(calls, family, shape):
    rng = np.random.default_rng(len(shape))
    mean, scale = parameters(rng, shape)
    check(calls, drawn(rng, mean, scale), family(torch.from_numpy(mean), torch.from_numpy(scale)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "uint32", "int64"])
def test_symbols_of_any_dtype(calls, dtype):
    symbols = np.array([[0, 1, 127, 100, 3], [7, 7, 7, 7, 7]])
    symbols[0, 2] = min(np.iinfo(dtype).max, 2**31 - 1)
    symbols[0, 3] = max(np.iinfo(dtype).min, -(2**31))
    check(calls, torch.from_numpy(symbols.astype(dtype)), Laplace(torch.tensor([[5.0], [7.0]]), 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_of_any_float(calls, dtype):
    rng = np.random.default_rng(1)
    mean, scale = (torch.from_numpy(array).to(dtype) for array in parameters(rng, 40, np.float64))
    symbols = drawn(rng, mean.double().numpy(), scale.double().numpy())
    check(calls, symbols, Logistic(mean, scale))
    # A number beside them is rounded as it is beside an array: 0.3125 begins a level.
    for number in (0.3125 - 1e-12, torch.tensor(0.3125 - 1e-12, dtype=torch.float64), np.float64(2.0**-140)):
        check(calls, symbols[:5], Gaussian(mean[:5], number))
    check(calls, symbols[:5], Gaussian(2**24 + 1, scale[:5]))


def test_rows_change_where_those_of_rust_do(calls):
    """Scales and means next to where a level or a fraction begins, the largest and the smallest ones."""
    begins = np.outer(2.0 ** np.arange(-5, 10), 1 + np.arange(8) / 8).reshape(-1)
    ends = [1e-45, 1e-38, 3e38]
    scale = np.concatenate([np.nextafter(begins.astype("f4"), np.float32(0)), begins, ends]).astype(np.float32)
    steps = np.array([0, 1, 127, -1, -129, 2**13 + 1, 2**20 - 1, -(2**36)]) / 128
    for dtype in (np.float32, np.float64):
        mean = np.resize(np.concatenate([steps, steps + 2**30 / 128, [2**30, -(2**30), 0.49999997, -0.0]]), len(scale))
        mean = np.nextafter(mean.astype(dtype), dtype(0))
        mean[::2] = np.resize(steps, len(mean[::2]))
        symbols = torch.from_numpy(np.rint(mean)).int()
        distribution = Gaussian(torch.from_numpy(mean), torch.from_numpy(scale.astype(dtype)))
        assert encode(symbols, distribution) == by_rust(encode, symbols, distribution)
        assert calls.taken() == ["encode on the device"]


def test_parameters_broadcast(calls):
    rng = np.random.default_rng(2)
    mean, scale = parameters(rng, (4, 1))
    symbols = drawn(rng, mean, scale, (2, 4, 3))
    column = torch.from_numpy(mean), torch.from_numpy(scale)
    for distribution in (Gaussian(*column), Gaussian(column[0], torch.full((3,), 9.0)), Laplace(0.5, column[1])):
        check(calls, symbols, distribution)
    check(calls, symbols.mT, Gaussian(column[0].squeeze(1), 3))
    check(calls, symbols, Gaussian(-1, 100))
    check(calls, symbols[0, 0, :1], Gaussian(torch.zeros(1), torch.ones(1)))
    check(calls, symbols[0, 0], Gaussian(torch.tensor([5.0]), torch.tensor([1.0, 0, 2, 0, 3])[::2]))
    with pytest.raises(ValueError, match=r"mean of shape \(4, 1\) do not fit symbols of shape \(3,\)"):
        encode(symbols[0, 0], Gaussian(*column))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_tables(calls, dtype):
    rng, pmf = np.random.default_rng(3), np.zeros((3, 300))
    pmf[0, :2], pmf[1], pmf[2, :] = 1, 1, 2.0 ** -(np.arange(300) / 4)
    tables = Tables.from_pmf(pmf, [-5, 100, -(2**30)])
    indexes = torch.from_numpy(rng.integers(0, 3, (4, 6))).to(dtype)
    first = np.array([-5, 100, -(2**30)])[indexes.numpy()]
    symbols = torch.from_numpy((first + rng.integers(-1, 4, first.shape) ** 3).astype(np.int32))
    symbols[0, 0], symbols[1, 1] = 2**31 - 1, -(2**31)
    check(calls, symbols, tables[indexes])
    check(calls, symbols, tables[indexes[:, :1]])
    check(calls, symbols, tables[2])
    # Symbols that are far beyond the first two of their bucket.
    check(calls, torch.arange(290, 300, dtype=torch.int16) - 5, tables[indexes.reshape(-1)[:10] * 0])


def test_sizes_that_rust_codes(calls):
    empty = torch.zeros(0, 3)
    data = encode(empty.int(), Gaussian(empty, 1))
    assert calls.taken() == ["encode by Rust"] and data == by_rust(encode, empty.int(), Gaussian(empty, 1))
    assert decode(data, Gaussian(empty, 1), device="cpu").shape == (0, 3)
    assert calls.taken() == ["decode by Rust"]
    # A tensor of no dimension is a number.
    number = torch.tensor(5)
    assert decode(encode(number, Gaussian(4, 1)), Gaussian(4, 1), device="cpu") == 5
    assert calls.taken() == ["decode on the device"]


def test_many_symbols(calls):
    """Enough for two parts, whose number and lanes follow from a sample; all parts begin and end with whole blocks."""
    tables = Tables.from_pmf(np.ones((1, 32000)))
    symbols = torch.from_numpy(np.random.default_rng(4).integers(0, 32000, 213_001).astype(np.int16))
    indexes = torch.zeros(len(symbols), dtype=torch.uint8)
    data = encode(symbols, tables[indexes])
    assert calls.taken() == ["encode on the device"]
    assert data == by_rust(encode, symbols, tables[indexes])
    assert [len(part[0]) for part in lic_native._native.message_split(data)[0]] == [64, 64]


def test_several_parts(calls, monkeypatch):
    """A message may have as many parts as blocks of 64 elements; Rust reads what the device makes."""
    monkeypatch.setattr(messages, "part_count", lambda n, cost: 4)
    monkeypatch.setattr(messages, "SMALL", 0)
    rng = np.random.default_rng(5)
    mean, scale = parameters(rng, 333)
    symbols, distribution = drawn(rng, mean, scale), Laplace(torch.from_numpy(mean), torch.from_numpy(scale))
    data = encode(symbols, distribution)
    assert len(lic_native._native.message_split(data)[0]) == 4
    assert torch.equal(by_rust(decode, data, distribution), symbols)
    assert torch.equal(decode(data, distribution, device="cpu"), symbols)
    assert calls.taken() == ["encode on the device", "decode on the device"]


def test_parts_and_lanes_follow_the_cost():
    cost = [kib << 39 for kib in (0, 192, 383, 384, 800, 2000)]
    assert [messages.part_count(10**6, c) for c in cost] == [1, 1, 1, 2, 4, 8]
    assert messages.part_count(200, 2000 << 39) == 2
    assert messages.part_starts(333, 4) == [0, 64, 192, 256, 333]
    sizes = [0, 399, 400, 3999, 4000, 8000, 15999, 16000, 127999, 128000, 10**6]
    lanes = [1, 1, 2, 2, 2, 4, 4, 8, 32, 64, 64]
    assert [messages.affordable_lanes(size << 29, 10**6) for size in sizes] == lanes
    assert messages.affordable_lanes(10**6 << 29, 7) == 4


@pytest.mark.parametrize(
    ("mean", "scale"),
    [([0, np.nan], [1, 1]), ([0, 2**30 + 128], [1, 1]), ([1, 1], [1, 0]), ([1, 1], [-2, 1]), ([1, 1], [1, np.inf])],
)
def test_wrong_parameters_are_named_as_ever(calls, mean, scale):
    mean, scale = np.array(mean, np.float32), np.array(scale, np.float32)
    with pytest.raises(ValueError, match="of element") as expected:
        encode(np.ones(2, np.int8), Gaussian(mean, scale))
    wrong = Gaussian(torch.from_numpy(mean), torch.from_numpy(scale))
    with pytest.raises(ValueError, match="of element") as found:
        encode(torch.ones(2, dtype=torch.int8), wrong)
    assert str(found.value) == str(expected.value)
    with pytest.raises(ValueError, match="of element") as found:
        decode(encode(torch.ones(2).int(), Gaussian(1, 1)), wrong, device="cpu")
    assert str(found.value) == str(expected.value)
    assert calls.taken() == ["encode by Rust", "encode on the device", "decode by Rust"]


def test_other_wrong_arguments(calls):
    tables, ones = Tables.gaussian([1, 2]), torch.ones(3, dtype=torch.int32)
    with pytest.raises(ValueError, match="the index of element 1 is outside the 2 rows"):
        encode(ones, tables[torch.tensor([0, 2, -1])])
    with pytest.raises(ValueError, match="symbols must fit 32 bits"):
        encode(ones.long() << 31, Gaussian(torch.ones(3), 1))
    with pytest.raises(ValueError, match="uint32 symbols must fit 32 bits"):
        encode(torch.tensor([2**31, 1, 1], dtype=torch.uint32), Gaussian(torch.ones(3), 1))
    assert calls.taken() == ["encode by Rust"] * 3
    for symbols in (torch.ones(3), torch.ones(3, dtype=torch.bool)):
        with pytest.raises(TypeError, match="symbols must be integers"):
            encode(symbols, Gaussian(torch.ones(3), 1))
    with pytest.raises(TypeError, match="scale must be numbers"):
        Gaussian(torch.ones(3), "1")
    with pytest.raises(TypeError, match="indexes must be integers"):
        tables[torch.ones(3)]
    with pytest.raises(ValueError, match="threads"):
        encode(ones, Gaussian(torch.ones(3), 1), threads=-1)
    data = encode(ones, Gaussian(1, 1), device="cpu")
    with pytest.raises(TypeError, match="leave out device"):
        decode(data, Gaussian(1, 1), out=np.zeros(3, np.int32), device="cpu")
    for wrong in (data.int(), data[None]):
        with pytest.raises(TypeError, match="data must be a bytes-like object"):
            decode(wrong, Gaussian(1, 1), device="cpu")
    with pytest.raises(LimitExceededError, match="size of the tensor"):
        decode(data, Gaussian(torch.ones(3), 1), device="cpu", limits=lic_native.Limits(max_output_bytes=11))


def test_bytes_on_a_device(calls):
    """As a uint8 tensor, which `decode` takes; also of what Rust codes."""
    mean, symbols = torch.tensor([[3.0, 4.0]]), torch.tensor([[3, 5]])
    data = encode(symbols, Gaussian(mean, 1), device="cpu")
    assert data.dtype == torch.uint8 and bytes(data.tolist()) == by_rust(encode, symbols, Gaussian(mean, 1))
    spread = torch.stack([data, data], 1)[:, 0]
    for given in (data, spread, bytes(data.tolist())):
        assert torch.equal(decode(given, Gaussian(mean, 1), device=CPU), symbols)
    assert calls.taken() == ["encode on the device", *["decode on the device"] * 3]
    fitted = encode(np.array([1, 2, 3]), device="cpu")
    assert torch.equal(decode(fitted, device="cpu"), torch.tensor([1, 2, 3]))
    assert np.array_equal(decode(fitted), [1, 2, 3])
    mixed = encode(np.array([[3, 5]]), Gaussian(mean, 1), device="cpu")
    assert isinstance(decode(mixed, Gaussian(mean, 1)), np.ndarray) and not calls.taken()
    # A device was asked for, and its tensors are torch's.
    assert torch.equal(decode(mixed, Gaussian(mean, 1), device="cpu"), symbols)


def test_damage_is_found(calls):
    """By its hash before anything is decoded; what has the right hash, by the device, and Rust says what it is."""
    rng = np.random.default_rng(6)
    mean, scale = parameters(rng, 30)
    symbols, distribution = drawn(rng, mean, scale), Gaussian(torch.from_numpy(mean), torch.from_numpy(scale))
    data = encode(symbols, distribution)
    for wrong in (data[:-1], data[:9] + b"!" + data[10:], data + b"!", b""):
        with pytest.raises(LicError):
            decode(wrong, distribution, device="cpu")
    assert calls.taken() == ["encode on the device"]
    [(states, outside, start, stop)], total = lic_native._native.message_split(data)
    words = np.frombuffer(data[start:stop], "<u2")

    def joined(states=states, outside=outside, words=words, total=total):
        model = lic_native._native.Model.located("gaussian", 0, 0.0, 1.0)
        return lic_native._native.message_join([(states, outside, words)], total, model, "int32", True, (30,))

    assert joined() == data
    huge = outside.copy()
    huge[0] = 2**60
    broken = {
        "wrong sum": joined(total=total + 1),
        "words are left": joined(words=np.append(words, words[:1])),
        "rANS words": joined(words=words[:-1]),
        "escapes are left": joined(outside=np.append(outside, outside[:1])),
        "escape": joined(outside=outside[:-1]),
        "is beyond the symbols": joined(outside=huge),
        "final rANS state": joined(states=[state ^ 1 << 20 for state in states], words=words),
    }
    for what, wrong in broken.items():
        with pytest.raises((CorruptError, TruncatedError)) as expected:
            by_rust(decode, wrong, distribution)
        with pytest.raises((CorruptError, TruncatedError)) as found:
            decode(wrong, distribution, device="cpu")
        assert str(found.value) == str(expected.value), what
        assert calls.taken() == ["decode by Rust"], what
    with pytest.raises(CorruptError, match="distribution is not that of the encoder"):
        decode(data, Laplace(*distribution._tensors), device="cpu")
    with pytest.raises(LicError):
        decode(data, Gaussian(distribution._tensors[0] + 3, distribution._tensors[1] * 2), device="cpu")
    assert calls.taken() == ["decode by Rust"]


def test_symbols_that_do_not_fit_their_dtype_are_damage(calls):
    model = lic_native._native.Model.located("gaussian", 0, 0.0, 1.0)
    data = encode(torch.tensor([300, 2, 1]).int(), Gaussian(torch.full((3,), 299.0), 9))
    [(states, outside, start, stop)], total = lic_native._native.message_split(data)
    part = states, outside, np.frombuffer(data[start:stop], "<u2")
    for dtype in ("uint8", "int8"):
        wrong = lic_native._native.message_join([part], total, model, dtype, True, (3,))
        with pytest.raises(CorruptError, match="symbol 300 is no"):
            decode(wrong, Gaussian(torch.full((3,), 299.0), 9), device="cpu")
    assert calls.taken() == ["encode on the device", *["decode by Rust"] * 2]


def test_what_rust_codes(calls, monkeypatch):
    """Other distributions, calibrated ones, too few symbols, too many steps, too large tables, no Triton, no memory."""
    rng = np.random.default_rng(7)
    mean, scale = (torch.from_numpy(array) for array in parameters(rng, (2, 6)))
    symbols, gaussian = drawn(rng, mean.numpy(), scale.numpy()), Gaussian(mean, scale)

    def both(distribution, **options) -> list[str]:
        data = encode(symbols, distribution, **options)
        assert data == by_rust(encode, symbols, distribution, **options)
        assert torch.equal(decode(data, distribution, device="cpu"), symbols)
        return calls.taken()

    assert both(Mixture([gaussian, Laplace(mean, 1)], [mean.abs(), 1])) == []
    assert both(Gaussian(mean.numpy(), scale)) == both(Gaussian(mean.round().int(), scale)) == []
    assert torch.equal(decode(encode(symbols, gaussian), gaussian), symbols)
    out = np.zeros((2, 6), np.int32)
    assert decode(encode(symbols, gaussian), gaussian, out=out) is out and np.array_equal(out, symbols)
    assert calls.taken() == ["encode on the device"] * 2
    assert both(gaussian) == ["encode on the device", "decode on the device"]
    encode(symbols, gaussian, calibrate=True)
    assert calls.taken() == []
    for name, value in (("MOST_STEPS", 0), ("MOST_BUCKETS", 0)):
        with monkeypatch.context() as changed:
            changed.setattr(messages, name, value)
            messages._layout.cache_clear()
            assert both(gaussian) == ["encode by Rust", "decode by Rust"]
    messages._layout.cache_clear()
    with monkeypatch.context() as changed:
        changed.setattr(available, "works", lambda *_: False)
        assert both(gaussian) == []
    for name, left in (("FEWEST_ENCODED", "decode on the device"), ("FEWEST_DECODED", "encode on the device")):
        with monkeypatch.context() as changed:
            changed.setattr(messages, name, 13)
            assert both(gaussian) == [left]
    with monkeypatch.context() as changed:
        changed.setattr(messages.Located, "find", raise_full)
        assert both(gaussian) == ["encode by Rust", "decode by Rust"]
    strings = lic_native.encode_batch(symbols, gaussian)
    assert strings == [by_rust(encode, symbols[i], Gaussian(mean[i], scale[i])) for i in range(2)]
    assert torch.equal(lic_native.decode_batch(strings, gaussian), symbols)


def test_a_calibrated_message_is_left_to_rust(calls):
    mean, scale = torch.zeros(3000), torch.full((3000,), 9.0)
    symbols = torch.from_numpy(np.random.default_rng(8).normal(3, 2, 3000).round()).int()
    data = encode(symbols, Gaussian(mean, scale), calibrate=True)
    assert data[1] & 64 and torch.equal(decode(data, Gaussian(mean, scale), device="cpu"), symbols)
    assert not calls.taken()


def test_distributions_on_a_device_are_those_of_arrays(calls):
    mean, scale, tables = torch.tensor([1.0, 2.0], dtype=torch.float16), torch.tensor(3.0), Tables.gaussian([1, 2])
    given, host = Gaussian(mean, scale), Gaussian(mean.numpy(), 3.0)
    rows, host_rows = tables[torch.tensor([0, 1])], tables[np.array([0, 1])]
    for one, other in ((given, host), (rows, host_rows)):
        assert one == other and repr(one) == repr(other) and one.shape == other.shape == (2,)
        assert pickle.loads(pickle.dumps(one)) == other
    with pytest.raises(ValueError, match=r"these shapes do not broadcast: mean \(2,\), scale \(3,\)"):
        Gaussian(torch.zeros(2), torch.ones(3))
    # A tensor that is changed later is coded as it is then, as an array is.
    mean += 1
    assert given == Gaussian(np.array([2.0, 3.0], np.float32), 3.0)


def test_a_device_is_tried_first(calls, monkeypatch):
    assert available.try_messages(CPU, 20) is None
    for name, what in (("message_join", "encodes"), ("message_split", "decodes")):
        with monkeypatch.context() as changed:
            function = getattr(messages._native, name)
            wrong = (lambda *a: b"") if name == "message_join" else (lambda data, f=function: (f(data)[0], 1 << 16))
            changed.setattr(messages._native, name, wrong)
            assert available.try_messages(CPU, 20) == f"it {what} something else than Rust"


def test_a_device_that_fails_is_not_used(monkeypatch, caplog):
    device = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(available, "_found", {})
    monkeypatch.setattr(available, "try_mixtures", lambda _: None)
    monkeypatch.setattr(available, "try_messages", lambda _: "it encodes something else than Rust")
    assert not available.works(device, "messages") and not available.works(device, "messages")
    assert len(caplog.records) == 1 and "it encodes something else" in caplog.text
    assert available.works(device)
    monkeypatch.setenv("LIC_TRITON", "0")
    assert not available.works(device, "messages")
