"""Calibrated messages and streams of tensors, under any distribution."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lic_native
from lic_native import CorruptError, LicError, Tables
from lic_native.entropy.distributions import LogisticPair

TABLES = Tables.gaussian(np.geomspace(0.2, 40, 20))
SHAPE = 6, 30, 40


def distributions(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, lic_native.Distribution]:
    """Return distributions of all kinds whose means are 0 or small, and whose scales are near 1.5."""
    mean, scale = rng.normal(0, 0.1, shape).astype(np.float32), np.float32(1.5)
    params = np.broadcast_to(np.array([0, 4, 50, 55, 70], np.int16), (*shape, 5))
    return {
        "rows": TABLES[rng.integers(6, 10, shape, np.uint8)],
        "rows of many": Tables.gaussian(np.full(4100, 1.5))[rng.integers(0, 4100, shape)],
        "Gaussian": lic_native.Gaussian(mean, scale),
        "Laplace": lic_native.Laplace(mean.astype(float), 1.5),
        "Logistic": lic_native.Logistic(0, np.full(shape, 0.8)),
        "Mixture": lic_native.Mixture([lic_native.Gaussian(mean, 1), lic_native.Laplace(0, 3.0)], [1, 1]),
        "Categorical": lic_native.Categorical([1, 4, 2, 1]),
        "Categorical of each": lic_native.Categorical(rng.random((*shape, 5)) + 0.1),
        "LogisticPair": LogisticPair(np.ascontiguousarray(params)),
    }


NAMES = list(distributions(np.random.default_rng(0), ()))


def biased(rng: np.random.Generator) -> np.ndarray:
    """Return symbols `SHAPE` that are wider and further from 0 in later channels."""
    return np.rint(rng.normal(0.8, np.linspace(0.4, 5, SHAPE[0])[:, None, None], SHAPE)).astype(np.int16)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_distribution_is_corrected(name):
    rng = np.random.default_rng(1)
    symbols, distribution = biased(rng), distributions(rng, SHAPE)[name]
    channels = np.arange(SHAPE[0])[:, None, None]
    plain = lic_native.encode(symbols, distribution)
    for options in ({}, {"axis": 0}, {"contexts": channels}):
        data = lic_native.encode(symbols, distribution, calibrate=True, **options)
        # Each of 4100 rows has but two symbols to learn from.
        assert len(data) < 0.995 * len(plain) or (name == "rows of many" and not options)
        contexts = options.get("contexts")
        assert np.array_equal(lic_native.decode(data, distribution, contexts=contexts), symbols)
    # `axis` and the same contexts are coded alike, but for what the reader must know.
    along = lic_native.encode(symbols, distribution, calibrate=True, axis=-3)
    assert len(along) == len(data) and along[10:-2] == data[10:-2]


@pytest.mark.parametrize("name", NAMES)
def test_groups_of_a_stream_learn_from_each_other(name):
    rng = np.random.default_rng(2)
    symbols, distribution = biased(rng), distributions(rng, SHAPE)[name]
    encoder = lic_native.Encoder(calibrate=True)
    costs = []
    for _ in range(2):
        encoder.put(symbols, distribution, axis=0)
        costs.append(encoder.cost_bits())
    assert costs[1] < 2 * costs[0]
    decoder = lic_native.Decoder(encoder.finish())
    for options in ({"axis": 0}, {"contexts": np.arange(SHAPE[0])[:, None, None]}):
        assert np.array_equal(decoder.get(distribution, SHAPE, dtype="int16", **options), symbols)
    decoder.finish()


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    seed=st.integers(0, 99),
    spread=st.sampled_from([0.0, 1.0, 30.0, 1e8]),
    data=st.data(),
)
def test_any_symbols_come_back(name, shape, seed, spread, data):
    rng = np.random.default_rng(seed)
    symbols = np.rint(rng.normal(0, spread, shape)).astype(np.int64)
    distribution = distributions(rng, shape)[name]
    options = {}
    if shape and data.draw(st.booleans()):
        options["axis"] = data.draw(st.integers(-len(shape), len(shape) - 1))
    elif data.draw(st.booleans()):
        options["contexts"] = rng.integers(0, 4096, shape[data.draw(st.integers(0, len(shape))) :])
    message = lic_native.encode(symbols, distribution, calibrate=True, **options)
    assert len(message) <= len(lic_native.encode(symbols, distribution))
    decoded = lic_native.decode(message, distribution, contexts=options.get("contexts"))
    assert decoded.dtype == symbols.dtype and np.array_equal(decoded, symbols)
    encoder = lic_native.Encoder(calibrate=True)
    for _ in range(2):
        encoder.put(symbols, distribution, **options)
    decoder = lic_native.Decoder(encoder.finish())
    for _ in range(2):
        assert np.array_equal(decoder.get(distribution, shape, **options), symbols)
    decoder.finish()


def test_a_right_distribution_costs_nothing_more():
    rng = np.random.default_rng(3)
    gaussian = lic_native.Gaussian(0, 1.5)
    symbols = np.rint(rng.normal(0, 1.5, 40)).astype(np.int16)
    assert lic_native.encode(symbols, gaussian, calibrate=True) == lic_native.encode(symbols, gaussian)


def test_parts_begin_anew_and_bytes_do_not_depend_on_threads():
    rng = np.random.default_rng(4)
    symbols = np.rint(rng.normal(3, 90, (4, 250, 1000))).astype(np.int32)
    gaussian = lic_native.Gaussian(0, 60.0)
    plain = lic_native.encode(symbols, gaussian)
    data = lic_native.encode(symbols, gaussian, calibrate=True, axis=0, threads=1)
    # Before the number of parts: version, type, dimensions, and the axis.
    assert (plain[8], data[8], data[9]) == (3, 2, 3) and len(data) < 0.99 * len(plain)
    assert lic_native.encode(symbols, gaussian, calibrate=True, axis=0, threads=3) == data
    for threads in (1, 3):
        assert np.array_equal(lic_native.decode(data, gaussian, threads=threads), symbols)


def test_tensors_and_out():
    symbols = torch.from_numpy(biased(np.random.default_rng(5)))
    gaussian = lic_native.Gaussian(0, torch.ones(SHAPE))
    data = lic_native.encode(symbols, gaussian, calibrate=True, contexts=torch.arange(6)[:, None, None])
    with pytest.raises(ValueError, match="encoded with contexts: pass them"):
        lic_native.decode(data, gaussian)
    out = torch.empty(SHAPE, dtype=torch.int32)
    assert lic_native.decode(data, gaussian, contexts=torch.arange(6)[:, None, None], out=out) is out
    assert torch.equal(out, symbols.int())
    assert lic_native.inspect(data).shape == SHAPE
    with pytest.raises(CorruptError):
        lic_native.decode(data, gaussian, contexts=[1])


def test_wrong_rows_are_named():
    indexes = np.array([3, 25, -1])
    for axis in (None, 0):
        with pytest.raises(ValueError, match="index of element 1 is outside"):
            lic_native.encode(np.zeros(3, np.int8), TABLES[indexes], calibrate=True, axis=axis)


def test_broken_messages_are_errors():
    symbols = biased(np.random.default_rng(6))[:, :4, :9]
    gaussian = lic_native.Gaussian(0, 1.0)
    data = lic_native.encode(symbols, gaussian, calibrate=True, axis=0)
    assert data[1] & 64
    for length in range(len(data)):
        with pytest.raises(LicError):
            lic_native.decode(data[:length], gaussian)
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises((LicError, ValueError)):
            lic_native.decode(broken, gaussian)
