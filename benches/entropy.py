"""Compare rANS coders: from arrays to bytes and back, with a table, or a mean and a scale, for each symbol.

`make peers` installs the coders and prints the whole comparison. Every coder gets tables and inputs in the form that it
is fastest with, and makes new outputs in each call. `test_entropy.py` measures each coder on its own.
"""

import argparse
import math
import multiprocessing
import os
import statistics
import time
from pathlib import Path

from peers import CODERS, RIVALS
from peers.coder import installed
from peers.latents import SOURCES
from peers.lic_native import LicNative
from peers.tasks import TASKS, ready

CPU, WALL = 0, 1
#: Backends of lic_native, and the processor's flag that each needs.
BACKENDS = {"avx512": "avx512_vbmi2", "avx2": "avx2", "neon": "asimd", "scalar": ""}


class Worker:
    """A coder in a process of its own: a backend is chosen when a process starts, and coders do not disturb others."""

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
        """Return the median seconds for all messages."""
        return statistics.median(seconds[clock] for seconds in self.seconds[direction])

    def speed(self, direction: str, clock: int) -> float:
        """Return million symbols per second."""
        return self.facts["symbols"] / self.median(direction, clock) / 1e6


def serve(pipe, title: str, name: str) -> None:
    os.dup2(2, 1)  # peers print lines that are not part of the table
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
    """Return the backends that this processor has. Others would fall back to `scalar`."""
    processor = Path("/proc/cpuinfo").read_text()
    return [name for name, flag in BACKENDS.items() if flag in processor]


def compare(titles: list[str], rounds: int, ours: list[str], warm: float = 0) -> list[Worker]:
    """Measure every coder with every task in turn, `rounds` times, each after `warm` seconds of the same work."""
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
    from lic_native.evaluation.report import markdown  # not at the top: workers would import lic_native for peers too

    cells = [["" if cell == "nan" else cell for cell in row] for row in rows]
    print(f"\n{heading}\n\n{markdown(columns, 'l'.ljust(len(columns), 'r'), cells)}", flush=True)


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
    parser.add_argument("--rounds", type=int, default=15, help="number of measurements, of which the median counts")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--backends", nargs="+", default=backends(), help="backends of lic_native")
    options = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    for title in options.tasks:
        if title == "two threads":
            # On a virtual machine, a core may take longer to wake up than all the work takes.
            show_threads(compare(["high", title], options.rounds, options.backends[:1], warm=0.3))
        else:
            workers = compare([title], options.rounds, options.backends)
            (show_long if title in SOURCES else show_short)(title, workers)


if __name__ == "__main__":
    main()
