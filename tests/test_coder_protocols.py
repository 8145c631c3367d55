"""Python's protocols for tables, distributions and coders: iteration, copies, equality, repr and threads."""

import copy
import importlib
import io
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time

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


def test_tables_are_a_collection_of_rows():
    tables = Tables.gaussian([0.5, 1.0, 2.0])
    rows = list(tables)
    assert len(rows) == len(tables) == 3 and rows == [tables[0], tables[1], tables[2]]
    assert list(reversed(tables)) == rows[::-1] and [row for _, row in zip("abcdef", tables)] == rows
    assert tables[1] in tables and TABLES[1] not in tables and 5 not in tables and list(Tables.gaussian([])) == []
    for row in (3, -1, 2**40, -(2**40), np.int64(3), np.array(3), torch.tensor(-1)):
        with pytest.raises(IndexError, match="the tables have 3 rows"):
            tables[row]
    for wrong in (1.5, True, None, "a", slice(2), np.float64(1), [0.5]):
        with pytest.raises(TypeError, match="indexes must be integers"):
            tables[wrong]


def examples() -> dict[str, lic_native.Distribution | Tables | lic_native.Limits]:
    """Return an object of each class; the objects of two calls are equal."""
    arrays = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    own = Tables([[0, 20000, 30000, 32768], [0, 100, 32768, 0]], [4, 3], [0, -1])
    return {
        "Tables.gaussian": Tables.gaussian([0.5, 1.0, 2.0]),
        "Tables.laplace of no order": Tables.laplace([4.0, 1.0]),
        "Tables": own,
        "Tables.from_pmf": Tables.from_pmf([[1, 2, 3]]),
        "no Tables": Tables.gaussian([]),
        "Rows": own[np.array([0, 1, 1])],
        "Gaussian": lic_native.Gaussian(arrays, 1.5),
        "Gaussian of one": lic_native.Gaussian(0.5, 1.5),
        "Laplace": lic_native.Laplace(arrays.astype(float), arrays),
        "Logistic": lic_native.Logistic(0, torch.from_numpy(arrays)),
        "Mixture": lic_native.Mixture([lic_native.Laplace(0, arrays), lic_native.Gaussian(1, 2)], [1, arrays[0]]),
        "Categorical": lic_native.Categorical([1, 2, 3]),
        "Categorical of many": lic_native.Categorical(arrays),
        "LogisticPair": LogisticPair(np.ones((3, 5), np.int16)),
        "LogisticPair in contexts": LogisticPair(np.ones((3, 5), np.int16), np.arange(3, dtype=np.uint16)),
        "Limits": lic_native.Limits(5, max_output_bytes=7),
    }


def saved(value):
    buffer = io.BytesIO()
    torch.save({"x": value}, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)["x"]


@pytest.mark.parametrize(
    "again",
    [*(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in range(2, 6)), copy.copy, copy.deepcopy, saved],
    ids=["2", "3", "4", "5", "copy", "deepcopy", "torch.save"],
)
def test_copies_are_equal_and_code_the_same(again):
    for name, value in examples().items():
        other = again(value)
        assert other == value and hash(other) == hash(value) and repr(other) == repr(value), name
        if isinstance(value, Tables):
            assert other.fingerprint() == value.fingerprint()
            if name == "Tables.gaussian":
                assert other.indexes(np.array([0.8])).tolist() == [1]
        elif isinstance(value, lic_native.Distribution):
            symbols = np.zeros(value.shape, np.int32)
            assert lic_native.encode(symbols, other) == lic_native.encode(symbols, value), name


def test_objects_are_equal_only_if_their_arguments_are():
    first, second = examples(), examples()
    for name, value in first.items():
        assert value == second[name] and hash(value) == hash(second[name]), name
        assert [other for other in second if second[other] == value] == [name]
        assert value != 5 and value != name
    assert len({lic_native.Gaussian(0, 1), lic_native.Gaussian(0.0, np.float32(1)), lic_native.Laplace(0, 1)}) == 2
    assert lic_native.Gaussian([0, 0], 1) != lic_native.Gaussian(0, [1, 1]) != lic_native.Gaussian(0, [1, 2])
    assert lic_native.Mixture([GAUSSIAN], [1]) != lic_native.Mixture([GAUSSIAN] * 2, [1, 1])
    assert Tables.gaussian([1.0]) != Tables([[0, 1, 32768]]) and Tables.gaussian([1.0]) != Tables.laplace([1.0])


def test_repr():
    tables = Tables.gaussian(SCALES)
    for shown, value in {
        "Gaussian(mean=[2, 3], scale=1.5)": lic_native.Gaussian(np.array([2.0, 3.0], np.float32), 1.5),
        "Laplace(mean=0, scale=[[1, 0.1], [2, 3]])": lic_native.Laplace(0, [[1, 0.1], [2, 3]]),
        "Logistic(mean=float32[2, 3, 4], scale=1)": lic_native.Logistic(np.zeros((2, 3, 4), np.float32), 1),
        "Mixture(components=[Laplace(mean=0, scale=0.5), Gaussian(mean=0, scale=4)], weights=[0.7, 0.3])": (
            lic_native.Mixture([lic_native.Laplace(0, 0.5), lic_native.Gaussian(0, 4.0)], [0.7, 0.3])
        ),
        "Categorical(pmf=[1, 3])": lic_native.Categorical([1, 3]),
        "Tables(64 rows, scales 0.11 to 64)": tables,
        "Tables(1 row, scale 2)": Tables.gaussian([2.0]),
        "Tables(2 rows)": Tables([[0, 32768], [0, 32768]]),
        "Tables(0 rows)": Tables.gaussian([]),
        "Rows(tables=Tables(64 rows, scales 0.11 to 64), indexes=[0, 1])": tables[[0, 1]],
        "Rows(tables=Tables(64 rows, scales 0.11 to 64), indexes=uint8[3, 5])": tables[np.zeros((3, 5), np.uint8)],
    }.items():
        assert repr(value) == shown
    encoder = lic_native.Encoder()
    encoder.put(SYMBOLS, GAUSSIAN)
    assert repr(encoder) == "Encoder(groups=1, symbols=6, finished=False)"
    data = encoder.finish()
    assert repr(encoder) == "Encoder(groups=1, symbols=6, finished=True)"
    decoder = lic_native.Decoder(data)
    decoder.get(GAUSSIAN, (3, 2))
    assert repr(decoder) == f"Decoder(bytes={len(data)}, groups=1, symbols=6)"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_coders_say_that_they_cannot_be_copied(again):
    for value in (lic_native.Encoder(), lic_native.Decoder(b"")):
        with pytest.raises(TypeError, match=f"{type(value).__name__} can be neither pickled nor copied"):
            again(value)
        with pytest.raises(TypeError, match=f"_native.{type(value).__name__}"):
            again(value._native)


def test_distributions_can_be_sent_to_other_processes():
    rows = TABLES[[3, 60, 63]]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(lic_native.encode, (np.arange(3), rows)) == lic_native.encode(np.arange(3), rows)


def longest_wait(work) -> tuple[float, float]:
    """Return the longest time, in seconds, that `work` blocked another thread, and its duration."""
    waits, done, begun = [], threading.Event(), threading.Event()

    def watch():
        before = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            begun.set()
            now = time.perf_counter()
            waits.append(now - before)
            before = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun.wait()
    start = time.perf_counter()
    work()
    whole = time.perf_counter() - start
    done.set()
    watcher.join()
    return max(waits), whole


SPREAD = np.geomspace(0.01, 512, 2000)
LONG_ROW = np.arange(1025, dtype=np.int32)
BUILDERS = {
    "gaussian": (Tables.gaussian, SPREAD),
    "laplace": (Tables.laplace, SPREAD),
    "logistic": (Tables.logistic, SPREAD),
    "from_pmf": (Tables.from_pmf, np.ones((5000, 1000))),
    "from_cdf": (Tables, np.tile(LONG_ROW * 64, (8000, 1))),
    "pickle": (pickle.loads, pickle.dumps(Tables(np.tile(LONG_ROW * 32, (8000, 1))))),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_other_threads_run_while_tables_are_built(name):
    build, argument = BUILDERS[name]
    # On a busy machine the watcher may pause for another reason.
    waits = [longest_wait(lambda: build(argument)) for _ in range(3)]
    assert any(wait < 0.5 * whole for wait, whole in waits), waits


def test_batches_need_no_other_thread(monkeypatch):
    strings = lic_native.encode_batch(SYMBOLS, GAUSSIAN, threads=1)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert lic_native.encode_batch(SYMBOLS, GAUSSIAN, threads=3) == strings
    assert np.array_equal(lic_native.decode_batch(strings, GAUSSIAN, threads=3), SYMBOLS)


@pytest.mark.parametrize(("allowed", "started"), [("1", 0), ("2", 2)])
def test_batches_start_no_more_threads_than_allowed(monkeypatch, allowed, started):
    count, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: count.append(thread) or start(thread))
    monkeypatch.setenv("LIC_THREADS", allowed)
    strings = lic_native.encode_batch(np.tile(SYMBOLS, (3, 1, 1)), GAUSSIAN)
    assert len(count) == started
    lic_native.decode_batch(strings, GAUSSIAN)
    assert len(count) == 2 * started


@pytest.mark.parametrize("when", ["threading.Thread(target=later).start()", "atexit.register(work)"])
def test_batches_are_coded_when_python_is_about_to_end(when):
    code = f"""
import atexit, threading, time, numpy, lic_native
symbols, gaussian = numpy.zeros((8, 100), numpy.int32), lic_native.Gaussian(0.0, 1.0)
def work():
    strings = lic_native.encode_batch(symbols, gaussian, threads=2)
    print(lic_native.decode_batch(strings, gaussian, threads=2).shape)
def later():
    threading.main_thread().join()
    work()
{when}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(8, 100)\n", "")


@pytest.mark.parametrize(
    "module",
    [
        "arguments",
        "entropy.arrays",
        "entropy.base",
        "entropy.distributions",
        "entropy.stream",
        "entropy.tables",
        "entropy.tensor",
        "limits",
        "threads",
    ],
)
def test_public_names_are_in_all(module):
    module = importlib.import_module(f"lic_native.{module}")
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    assert {name for name in own if name[0] != "_"} - {"T", "R"} <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
