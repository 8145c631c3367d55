"""Kill `lic-native bulk run` three times with SIGKILL, resume it, restore everything, and compare.

    python benches/bulk.py PICTURES photos packed again                               # folders
    python benches/bulk.py PICTURES s3://photos s3://packed s3://again --engine ray   # buckets that exist, empty
    python benches/bulk.py PICTURES photos packed again --speed                       # the engine next to a plain loop

The objects are made from the small files of a folder (JPEG and any others): each is one of them, whole or cut short,
and ends in a number of its own, so that no two are equal. JPEG files stay JPEG files with bytes after their end.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from lic_native import bulk, jpeg
from lic_native.storage import Storage, open_storage

#: Bytes of the largest file that objects are made from.
MAX_BYTES = 60_000


def fill(source: Storage, pictures: Path, count: int) -> None:
    """Write the objects."""
    files = sorted(path for path in pictures.rglob("*") if path.is_file() and 0 < path.stat().st_size <= MAX_BYTES)
    rng = random.Random(0)
    for number in range(count):
        path = files[number % len(files)] if number < len(files) else rng.choice(files)
        data = path.read_bytes()
        if number % 10 == 9:
            data = data[: rng.randrange(len(data))]
        source.write(f"{number % 7}/{number:05}{path.suffix or '.bin'}", data + number.to_bytes(8, "big"))


def hashes(storage: Storage, suffix: str = "") -> dict[str, str]:
    """Return the SHA-256 of each object."""
    keys = (entry.key for entry in storage.list() if entry.key.endswith(suffix))
    return {key: hashlib.sha256(storage.read(key)).hexdigest() for key in keys}


def descendants(root: int) -> list[int]:
    """Return a process and all that it has started (on Linux)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lic_native", "bulk", *arguments, "--json"]


def is_worker(pid: int) -> bool:
    """Return whether a process is an actor of Ray Data."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::MapWorker")
    except OSError:
        return False


def killed(arguments: list[str], rows: int, workers_only: bool) -> int:
    """Begin a run, and kill it when it has made so many rows, or its workers alone. Return how many it made."""
    run = subprocess.Popen(command("run", *arguments), stdout=subprocess.PIPE, text=True)
    made = 0
    for _ in run.stdout:
        made += 1
        if made == rows:
            for pid in filter(is_worker, descendants(run.pid)) if workers_only else descendants(run.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
    run.wait()
    assert workers_only or run.returncode == -signal.SIGKILL, f"the run ended by itself, after {made} rows"
    return made


def finished(*arguments: str) -> tuple[dict, list[dict]]:
    """Return the sums and the rows of a command that must end well."""
    done = subprocess.run(command(*arguments), stdout=subprocess.PIPE, text=True)
    *rows, sums = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0, [row for row in rows if row["failure"]] or sums
    return sums, rows


def check(arguments: argparse.Namespace) -> None:
    source, target, again = (open_storage(url) for url in (arguments.source, arguments.target, arguments.again))
    fill(source, arguments.pictures, arguments.objects)
    originals = hashes(source)
    kinds = Counter(Path(key).suffix for key in originals)
    print(f"{len(originals)} objects: {', '.join(f'{number} {kind}' for kind, number in kinds.most_common())}")
    assert len(set(originals.values())) == len(originals) == arguments.objects
    options = [arguments.source, arguments.target, "--include", "*", "--engine", arguments.engine, "-j", "2"]
    made = [killed(options, random.randrange(1, arguments.objects // 3), arguments.workers) for _ in range(3)]
    written = hashes(target, ".lic")
    sums, rows = finished("run", *options)
    repeated = sum("already" in row["reason"] for row in rows)
    print(f"killed after {made} rows; {len(written)} objects were written; then {sums['done']} done in")
    print(f"{sums['seconds']} s, {repeated} of them found written, and {sums['finished_before']} done before")
    table = bulk.Table(target).rows()
    assert Counter(row.status for row in table) == {"done": arguments.objects}
    assert {row.key: row.sha256 for row in table} == originals
    packed = hashes(target, ".lic")
    assert {key.removesuffix(".lic"): digest for key, digest in packed.items()} == {r.key: r.sha256_out for r in table}
    assert {key: packed[key] for key in written} == written, "a finished object was written again, differently"
    assert finished("run", *options)[0]["finished_before"] == arguments.objects
    finished("audit", arguments.source, arguments.target, "-j", "2")
    finished("restore", arguments.target, arguments.again, "-j", "2")
    assert hashes(again) == originals
    print(f"{arguments.engine}: {len(originals)} objects restored, every SHA-256 equal, each once in the table")


def speed(arguments: argparse.Namespace) -> None:
    """Print CPU and wall time of the engine and of a plain loop, in turns."""
    fill(open_storage(arguments.source), arguments.pictures, arguments.objects)
    paths = sorted(path for path in Path(arguments.source).rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in paths)
    times: dict[str, list[tuple[float, float]]] = {"loop": [], "engine": []}
    for _ in range(arguments.rounds):
        for name, took in times.items():
            shutil.rmtree(arguments.target, ignore_errors=True)
            start = time.process_time(), time.monotonic()
            if name == "loop":
                for path in paths:
                    packed = Path(arguments.target, f"{path.relative_to(arguments.source)}.lic")
                    packed.parent.mkdir(parents=True, exist_ok=True)
                    packed.write_bytes(jpeg.compress(path.read_bytes(), threads=1))
            else:
                assert bulk.run(bulk.Job(arguments.source, arguments.target), patterns=["*"], workers=1).is_good
            took.append((time.process_time() - start[0], time.monotonic() - start[1]))
    for name, took in times.items():
        cpu, wall = (min(column) for column in zip(*took))
        print(f"{name:6}: {cpu:.2f} s CPU, {wall:.2f} s, {size / 1e6 / cpu:.2f} MB for each second of CPU")
    ratio = min(engine[0] / loop[0] for loop, engine in zip(times["loop"], times["engine"]))
    print(f"engine / loop, by CPU: {ratio:.3f}; {len(paths)} files of {size / len(paths):,.0f} bytes on average")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("again")
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", action="store_true", help="kill the workers of Ray alone")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    (speed if arguments.speed else check)(arguments)


if __name__ == "__main__":
    main()
