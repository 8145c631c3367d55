"""The rANS coder beside its peers: from arrays to bytes and back, with a table, or a mean and a scale, for each symbol.

`make peers` installs the peers and prints the whole comparison; under pytest those that are installed take part.
Every coder gets tables and inputs ready-made, in the form it is fastest with, and makes new outputs in each call.
"""

import argparse
import ctypes
import dataclasses
import functools
import importlib.util
import math
import multiprocessing
import os
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

COUNT = 1 << 22
TAIL = 1e-9  # what CompressAI's tables leave to the escape


# The data


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Real numbers around 0 of standard deviation 1."""

    sample: Callable[[np.random.Generator, int], np.ndarray]
    above: Callable[[np.ndarray], np.ndarray]  # the probability of more than this, from 0 on
    reach: float  # all but TAIL lies within


NORMAL = Distribution(
    lambda random, count: random.normal(size=count),
    lambda x: np.vectorize(math.erfc, otypes=[float])(x / math.sqrt(2)) / 2,
    -statistics.NormalDist().inv_cdf(TAIL / 2),
)
LAPLACE = Distribution(
    lambda random, count: random.laplace(scale=math.sqrt(0.5), size=count),
    lambda x: np.exp(-math.sqrt(2) * x) / 2,
    -math.log(TAIL) * math.sqrt(0.5),
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A distribution at 64 scales, whose numbers are rounded."""

    distribution: Distribution
    largest: float

    @functools.cached_property
    def scales(self) -> np.ndarray:
        return np.geomspace(0.11, self.largest, 64)

    @functools.cached_property
    def reaches(self) -> np.ndarray:
        """How far from 0 the symbols go that have a place in the tables of each scale."""
        return np.ceil(self.scales * self.distribution.reach).astype(np.int32)

    def masses(self, distances: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
        """The probabilities of symbols at these distances from the mean, exact far into the tails."""
        distance, above = np.abs(distances), self.distribution.above
        inner, outer = above(np.abs(distance - 0.5) / scale), above((distance + 0.5) / scale)
        return np.where(distance < 0.5, 1 - inner, inner) - outer

    @functools.cached_property
    def cdf(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """CompressAI's `_quantized_cdf`, `_cdf_length` and `_offset`, of 16 bits."""
        cdf = np.zeros((len(self.scales), 2 * self.reaches[-1] + 3), np.int32)
        for row, scale, reach in zip(cdf, self.scales, self.reaches):
            masses = self.masses(np.arange(-reach, reach + 1), scale)
            row[1 : 2 * reach + 3] = frequencies(np.append(masses, TAIL), 1 << 16).cumsum()
        return cdf, 2 * self.reaches + 3, -self.reaches


def frequencies(weights: np.ndarray, total: int) -> np.ndarray:
    """Integers of this sum, in proportion but for those that would be 0."""

    def scaled(factor: float) -> np.ndarray:
        return np.maximum(1, (factor * weights).astype(int))

    low, high = 0.0, total / weights.sum()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if scaled(middle).sum() <= total else (low, middle)
    freqs = scaled(low)
    freqs[freqs.argmax()] += total - freqs.sum()
    return freqs


SOURCES = {"high": Source(NORMAL, 64), "low": Source(NORMAL, 1), "laplace": Source(LAPLACE, 64)}


@dataclasses.dataclass(frozen=True)
class Latents:
    """Symbols, and for each the index of its scale."""

    source: Source
    symbols: np.ndarray
    indexes: np.ndarray

    def __getitem__(self, part: slice) -> "Latents":
        return Latents(self.source, self.symbols[part].copy(), self.indexes[part].copy())

    def ideal_bits(self) -> float:
        """The sum of -log2 p, with the distributions that the symbols were drawn from."""
        bits = 0.0
        for index, scale in enumerate(self.source.scales):
            symbols, counts = np.unique(self.symbols[self.indexes == index], return_counts=True)
            bits -= counts @ np.log2(self.source.masses(symbols, scale))
        return bits


@functools.cache
def latents(name: str) -> Latents:
    random, source = np.random.default_rng(0), SOURCES[name]
    indexes = random.integers(0, 64, COUNT, np.uint8)
    symbols = np.rint(source.distribution.sample(random, COUNT) * source.scales[indexes])
    return Latents(source, symbols.astype(np.int32), indexes)


# The coders


class Coder(ABC):
    """One way to code given latents. What its constructor does is not timed."""

    package = ""  # without it there is no such coder
    limit = COUNT  # a coder that is slow, or takes much memory, gets this many symbols

    def __init__(self, latents: Latents):
        self.latents = latents
        self.expected = latents.symbols  # what decoding is to give

    @abstractmethod
    def encode(self) -> bytes: ...

    @abstractmethod
    def decode(self, coded: bytes) -> np.ndarray: ...

    def verify(self) -> int:
        """The number of bytes that hold the symbols."""
        coded = self.encode()
        assert np.array_equal(self.decode(coded), self.expected)
        return memoryview(coded).nbytes

    def percent_over_ideal(self, size: int) -> float:
        return 100 * (8 * size / self.latents.ideal_bits() - 1)

    @classmethod
    def batch(cls, parts: list[Latents]) -> "Coder":
        """Codes each part as a message."""
        return Many([cls(part) for part in parts], map)

    @classmethod
    def threads(cls, parts: list[Latents]) -> "Coder":
        """Codes each part as a message, in a thread of its own."""
        return Many([cls(part) for part in parts], ThreadPoolExecutor(len(parts)).map)


class Many(Coder):
    """A message by each of several coders."""

    def __init__(self, coders: list[Coder], run: Callable):
        self.coders, self.run = coders, run

    def encode(self):
        return list(self.run(type(self.coders[0]).encode, self.coders))

    def decode(self, coded):
        return list(self.run(type(self.coders[0]).decode, self.coders, coded))

    def verify(self):
        messages = self.encode()
        for coder, symbols in zip(self.coders, self.decode(messages), strict=True):
            assert np.array_equal(symbols, coder.expected)
        return sum(memoryview(message).nbytes for message in messages)

    def percent_over_ideal(self, size):
        return math.nan


@functools.cache
def our_tables(source: Source):
    from lic_native import Tables

    if source.distribution is NORMAL:
        return Tables.gaussian(source.scales)
    return Tables.laplace(source.scales * math.sqrt(0.5))


class LicNative(Coder):
    package = "lic_native"
    dtype = np.uint8
    cores = 1

    def __init__(self, latents):
        import lic_native

        super().__init__(latents)
        self.library = lic_native
        self.prepare()

    def prepare(self) -> None:
        self.tables, self.indexes = our_tables(self.latents.source), self.latents.indexes.astype(self.dtype)

    def distribution(self):
        return self.tables[self.indexes]

    def encode(self):
        return self.library.encode(self.expected, self.distribution(), threads=self.cores)

    def decode(self, coded):
        return self.library.decode(coded, self.distribution(), threads=self.cores)

    @classmethod
    def threads(cls, parts):
        """It shares one large message among threads by itself."""
        symbols, indexes = (np.concatenate([getattr(p, name) for p in parts]) for name in ("symbols", "indexes"))
        coder = cls(Latents(parts[0].source, symbols, indexes))
        coder.cores = len(parts)
        return coder


class LicNative32(LicNative):
    dtype = np.int32


class LicNative64(LicNative):
    dtype = np.int64


class LicNativeLocated(LicNative):
    """A mean and a scale for each symbol, float32, and symbols around these means: no tables to make or to choose."""

    def prepare(self):
        source, count = self.latents.source, len(self.latents.symbols)
        random, scale = np.random.default_rng(1), source.scales[self.latents.indexes]
        self.mean = random.normal(scale=3, size=count).astype(np.float32)
        self.expected = np.rint(source.distribution.sample(random, count) * scale + self.mean).astype(np.int32)
        factor = 1 if source.distribution is NORMAL else math.sqrt(0.5)
        self.family = self.library.Gaussian if source.distribution is NORMAL else self.library.Laplace
        self.scale = (scale * factor).astype(np.float32)

    def distribution(self):
        return self.family(self.mean, self.scale)

    def percent_over_ideal(self, size):
        scale = self.latents.source.scales[self.latents.indexes]
        ideal = -np.log2(self.latents.source.masses(self.expected - self.mean.astype(float), scale)).sum()
        return 100 * (8 * size / ideal - 1)


@functools.cache
def torch_ans_coder(source: Source, states: int, streams: int):
    import torch
    from torch_ans.utils import TorchANSInterface

    coder = TorchANSInterface("rans64", num_interleaves=states, num_parallel_states=streams)
    coder.set_cdfs(*map(torch.from_numpy, source.cdf))
    return coder


class TorchAns(Coder):
    package = "torch_ans"
    states = 8

    def __init__(self, latents, streams=1):
        import torch

        super().__init__(latents)
        self.coder = torch_ans_coder(latents.source, self.states, streams)
        self.symbols = torch.from_numpy(latents.symbols)
        self.indexes = torch.from_numpy(latents.indexes.astype(np.int32))

    def encode(self):
        return self.coder.encode_with_indexes(self.symbols, self.indexes)

    def decode(self, coded):
        return self.coder.decode_with_indexes(coded, self.indexes)

    @classmethod
    def batch(cls, parts):
        """It codes equally long parts in one call, and shares them among torch's threads."""
        symbols, indexes = (np.concatenate([getattr(p, name) for p in parts]) for name in ("symbols", "indexes"))
        return cls(Latents(parts[0].source, symbols, indexes), streams=len(parts))

    threads = batch


class TorchAns4(TorchAns):
    states = 4


@functools.cache
def compressai_ans():
    """Only the extension: the whole package needs torchvision and more."""
    folder = Path(importlib.util.find_spec("compressai").origin).parent
    spec = importlib.util.spec_from_file_location("compressai.ans", next(folder.glob("ans.*.so")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def compressai_tables(source: Source) -> list[list]:
    return [array.tolist() for array in source.cdf]


class CompressAi(Coder):
    package = "compressai"

    def __init__(self, latents):
        super().__init__(latents)
        self.ans, self.tables = compressai_ans(), compressai_tables(latents.source)
        self.symbols, self.indexes = latents.symbols.tolist(), latents.indexes.tolist()

    def encode(self):
        return self.ans.RansEncoder().encode_with_indexes(self.symbols, self.indexes, *self.tables)

    def decode(self, coded):
        return self.ans.RansDecoder().decode_with_indexes(coded, self.indexes, *self.tables)


class CompressAiTensors(CompressAi):
    """As its entropy models do."""

    def __init__(self, latents):
        import torch

        super().__init__(latents)
        self.tensor, self.int32 = torch.tensor, torch.int32
        self.symbols, self.indexes = torch.tensor(latents.symbols), torch.tensor(latents.indexes, dtype=torch.int32)

    def encode(self):
        symbols, indexes = self.symbols.tolist(), self.indexes.tolist()
        return self.ans.RansEncoder().encode_with_indexes(symbols, indexes, *self.tables)

    def decode(self, coded):
        symbols = self.ans.RansDecoder().decode_with_indexes(coded, self.indexes.tolist(), *self.tables)
        return self.tensor(symbols, dtype=self.int32)


class Constriction(Coder):
    package = "constriction"
    limit = COUNT // 8

    def __init__(self, latents):
        from constriction import stream

        super().__init__(latents)
        source, reach = latents.source, latents.source.reaches[-1]
        normal = source.distribution is NORMAL
        self.coder = stream.stack.AnsCoder
        self.model = getattr(stream.model, "QuantizedGaussian" if normal else "QuantizedLaplace")(-reach, reach)
        self.scales = source.scales[latents.indexes] * (1 if normal else math.sqrt(0.5))
        self.means = np.zeros_like(self.scales)

    def encode(self):
        coder = self.coder()
        coder.encode_reverse(self.latents.symbols, self.model, self.means, self.scales)
        return coder.get_compressed().tobytes()

    def decode(self, coded):
        return self.coder(np.frombuffer(coded, np.uint32)).decode(self.model, self.means, self.scales)


@functools.cache
def torchac_tables(source: Source):
    import torch
    from torchac import torchac

    symbols = np.arange(-source.reaches[-1], source.reaches[-1] + 1)
    cdf = np.cumsum([source.masses(symbols, scale) for scale in source.scales], axis=1)
    cdf = torch.nn.functional.pad(torch.tensor(cdf, dtype=torch.float32), (1, 0)).clamp(max=1)
    return torchac._convert_to_int_and_normalize(cdf, needs_normalization=True)


class Torchac(Coder):
    package = "torchac"
    limit = COUNT // 64  # each symbol takes a copy of its table

    def __init__(self, latents):
        import torch
        from torchac import torchac

        super().__init__(latents)
        self.torchac, self.reach = torchac, int(latents.source.reaches[-1])
        self.tables = torchac_tables(latents.source)[latents.indexes.astype(int)]
        self.symbols = torch.tensor(latents.symbols + self.reach, dtype=torch.int16)

    def encode(self):
        return self.torchac.encode_int16_normalized_cdf(self.tables, self.symbols)

    def decode(self, coded):
        return self.torchac.decode_int16_normalized_cdf(self.tables, coded) - self.reach


class Htscodecs(Coder):
    """One table for all, computed in the call: 32 lanes, order 0, on the low bytes of 0, -1, 1, -2, ..."""

    package = "libhtscodecs.so.2"
    X32 = 4

    def __init__(self, latents):
        super().__init__(latents)
        self.library = ctypes.CDLL(self.package)
        self.zigzag = latents.symbols << 1 ^ latents.symbols >> 31
        self.symbols = self.expected = self.zigzag.astype(np.uint8)

    def encode(self):
        size = ctypes.c_uint(self.library.rans_compress_bound_4x16(len(self.symbols), self.X32))
        out = np.empty(size.value, np.uint8)
        source, target = (ctypes.c_void_p(array.ctypes.data) for array in (self.symbols, out))
        self.library.rans_compress_to_4x16(source, len(self.symbols), target, ctypes.byref(size), self.X32)
        return out[: size.value].tobytes()

    def decode(self, coded):
        out = np.empty_like(self.symbols)
        size, target = ctypes.c_uint(len(out)), ctypes.c_void_p(out.ctypes.data)
        self.library.rans_uncompress_to_4x16(coded, len(coded), target, ctypes.byref(size))
        return out

    def percent_over_ideal(self, size):
        return super().percent_over_ideal(size) if self.zigzag.max() < 256 else math.nan


class Copy(Coder):
    """What memory allows."""

    package = "numpy"

    def encode(self):
        return self.latents.symbols.copy()

    def decode(self, coded):
        return coded.copy()

    def percent_over_ideal(self, size):
        return math.nan


CODERS = {
    "lic_native tables[uint8]": LicNative,
    "lic_native tables[int32]": LicNative32,
    "lic_native tables[int64]": LicNative64,
    "lic_native Gaussian(mean, scale)": LicNativeLocated,
    "torch_ans (8 states)": TorchAns,
    "torch_ans (4 states)": TorchAns4,
    "CompressAI (lists)": CompressAi,
    "CompressAI (tensors)": CompressAiTensors,
    "constriction": Constriction,
    "torchac": Torchac,
    "htscodecs (order 0)": Htscodecs,
    "copy": Copy,
}
RIVALS = ["torch_ans (8 states)", "torch_ans (4 states)"]  # the faster of these is 1 in the table


def installed(coder: type[Coder]) -> bool:
    if ".so" not in coder.package:
        return importlib.util.find_spec(coder.package) is not None
    try:
        return bool(ctypes.CDLL(coder.package))
    except OSError:
        return False


# What they are to do


@dataclasses.dataclass(frozen=True)
class Task:
    """A coder and the symbols it gets, with so many cores; as many messages, whose time is shown for one."""

    make: Callable[[type[Coder]], Coder]
    symbols: int = COUNT
    cores: int = 1
    messages: int = 1


def whole(name: str) -> Task:
    return Task(lambda coder: coder(latents(name)[: coder.limit]))


def parts(length: int, count: int) -> list[Latents]:
    return [latents("high")[i * length : (i + 1) * length] for i in range(count)]


def short(length: int, count: int) -> Task:
    # Each is another, or the processor would learn it by heart.
    return Task(lambda coder: Many([coder(part) for part in parts(length, count)], map), length * count, 1, count)


TASKS = {
    "high": whole("high"),
    "low": whole("low"),
    "laplace": whole("laplace"),
    "16 symbols": short(16, 256),
    "1024 symbols": short(1024, 64),
    "64 x 1024 symbols at once": Task(lambda coder: coder.batch(parts(1024, 64)), 1024 * 64),
    "two threads": Task(lambda coder: coder.threads(parts(coder.limit // 2, 2)), cores=2),
}


@contextmanager
def cores(count: int) -> Iterator[None]:
    """This process on so many cores, and torch with as many threads."""
    import torch

    all_cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, sorted(all_cores)[-count:])
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        torch.set_num_threads(threads)


# One by one, under pytest


@contextmanager
def ready(title: str, name: str) -> Iterator[tuple[Coder, dict]]:
    """A coder for a task, on as many cores as it takes, and what is to be known of its bytes."""
    task, kind = TASKS[title], CODERS[name]
    with cores(task.cores):
        coder = task.make(kind)
        size = coder.verify()
        facts = {
            "symbols": min(task.symbols, kind.limit),
            "bytes": size,
            "percent over ideal": coder.percent_over_ideal(size),
        }
        yield coder, facts


@pytest.fixture(params=TASKS)
def title(request):
    if TASKS[request.param].cores > len(os.sched_getaffinity(0)):
        pytest.skip("too few cores")
    return request.param


@pytest.fixture(params=CODERS)
def name(request):
    if not installed(CODERS[request.param]):
        pytest.skip(f"{CODERS[request.param].package} is not installed")
    return request.param


def note(benchmark, facts: dict) -> None:
    benchmark.extra_info |= facts
    if benchmark.enabled:
        benchmark.extra_info["symbols per second"] = facts["symbols"] / benchmark.stats["median"]


def test_encode(title, name, benchmark):
    benchmark.group = f"entropy encode, {title}"
    with ready(title, name) as (coder, facts):
        benchmark(coder.encode)
    note(benchmark, facts)


def test_decode(title, name, benchmark):
    benchmark.group = f"entropy decode, {title}"
    with ready(title, name) as (coder, facts):
        benchmark(coder.decode, coder.encode())
    note(benchmark, facts)


# All in turn, as a program

CPU, WALL = 0, 1
BACKENDS = {"avx512": "avx512_vbmi2", "avx2": "avx2", "neon": "asimd", "scalar": ""}  # the flag that tells


class Worker:
    """A coder in a process of its own: backends are chosen when one starts, and no peer disturbs another."""

    def __init__(self, title: str, name: str, backend: str):
        self.name, self.label = name, f"{name} {backend}".strip()
        self.seconds: dict[str, list[tuple[float, float]]] = {"encode": [], "decode": []}
        self.pipe, theirs = multiprocessing.Pipe()
        os.environ["LIC_SIMD"] = backend
        self.process = multiprocessing.Process(target=serve, args=(theirs, title, name), daemon=True)
        self.process.start()
        theirs.close()
        self.facts = self.pipe.recv()

    def measure(self, warm: float) -> None:
        for direction, seconds in self.seconds.items():
            self.pipe.send((direction, warm))
            seconds.append(self.pipe.recv())

    def stop(self) -> None:
        self.pipe.send(None)
        self.process.join()

    def median(self, direction: str, clock: int) -> float:
        """Seconds for all messages."""
        return statistics.median(seconds[clock] for seconds in self.seconds[direction])

    def speed(self, direction: str, clock: int) -> float:
        """Million symbols per second."""
        return self.facts["symbols"] / self.median(direction, clock) / 1e6


def serve(pipe, title: str, name: str) -> None:
    os.dup2(2, 1)  # what peers print is no part of the table
    with ready(title, name) as (coder, facts):
        coded = coder.encode()
        actions = {"encode": coder.encode, "decode": lambda: coder.decode(coded)}
        pipe.send(facts)
        for direction, warm in iter(pipe.recv, None):
            begin = time.perf_counter()
            while time.perf_counter() - begin < warm:
                actions[direction]()
            cpu, wall = time.process_time(), time.perf_counter()
            actions[direction]()
            pipe.send((time.process_time() - cpu, time.perf_counter() - wall))


def backends() -> list[str]:
    """Ours that this processor has; for another we would time `scalar` under its name."""
    processor = Path("/proc/cpuinfo").read_text()
    return [name for name, flag in BACKENDS.items() if flag in processor]


def compare(titles: list[str], rounds: int, ours: list[str], warm: float = 0) -> list[Worker]:
    """Times every coder with every task, one after another, so many times, after so many seconds of the same."""
    names = [name for name, kind in CODERS.items() if installed(kind)]
    workers = [
        Worker(title, name, backend)
        for name in names
        for backend in (ours if issubclass(CODERS[name], LicNative) else [""])
        for title in titles
    ]
    for _ in range(rounds):
        for worker in workers:
            worker.measure(warm)
    for worker in workers:
        worker.stop()
    return workers


def show(heading: str, columns: list[str], rows: list[list[str]]) -> None:
    print(f"\n{heading}\n")
    for row in [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]:
        print(f"| {' | '.join('' if cell == 'nan' else cell for cell in row)} |", flush=True)


def show_long(title: str, workers: list[Worker]) -> None:
    rivals = [worker for worker in workers if worker.name in RIVALS]

    def speeds(worker: Worker, direction: str) -> list[str]:
        cpu = worker.speed(direction, CPU)
        ratio = cpu / max((rival.speed(direction, CPU) for rival in rivals), default=math.nan)
        return [f"{cpu:.1f}", f"{ratio:.2f}", f"{worker.speed(direction, WALL):.1f}"]

    columns = ["", *[f"{way}{what}" for way in ("encode", "decode") for what in (", CPU", ", ratio", ", wall")]]
    rows = [
        [
            worker.label,
            *speeds(worker, "encode"),
            *speeds(worker, "decode"),
            str(worker.facts["symbols"]),
            f"{8 * worker.facts['bytes'] / worker.facts['symbols']:.4f}",
            f"{worker.facts['percent over ideal']:.3f}",
        ]
        for worker in workers
    ]
    heading = f"**{title}**: million symbols per second on one core; ratios to the faster torch_ans of this run"
    show(heading, [*columns, "symbols", "bits per symbol", "% over ideal"], rows)


def show_short(title: str, workers: list[Worker]) -> None:
    messages = TASKS[title].messages
    rows = [
        [
            worker.label,
            *[f"{1e6 * worker.median(way, clock) / messages:.1f}" for way in worker.seconds for clock in (CPU, WALL)],
            f"{worker.facts['bytes'] / messages:.1f}",
        ]
        for worker in workers
    ]
    columns = ["", "encode, CPU", "encode, wall", "decode, CPU", "decode, wall", "bytes"]
    show(f"**{title}** of the set high: microseconds on one core", columns, rows)


def show_threads(workers: list[Worker]) -> None:
    rows = []
    for one, two in zip(workers[::2], workers[1::2]):
        row = [one.label]
        for way in one.seconds:
            speeds = one.speed(way, WALL), two.speed(way, WALL)
            row += [*(f"{speed:.1f}" for speed in speeds), f"{speeds[1] / speeds[0]:.2f}"]
        rows.append(row)
    columns = [f"{way}, {what}" for way in ("encode", "decode") for what in ("one", "two", "ratio")]
    show("**one thread and two**, set high: million symbols per second, wall time", ["", *columns], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="medians are of so many")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--backends", nargs="+", default=backends(), help="those of lic_native")
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    for title in options.tasks:
        if title == "two threads":
            # On a virtual machine, a core that slept may not take part for longer than all the work lasts.
            show_threads(compare(["high", title], options.rounds, options.backends[:1], warm=0.3))
        else:
            workers = compare([title], options.rounds, options.backends)
            (show_long if title in SOURCES else show_short)(title, workers)


if __name__ == "__main__":
    main()
