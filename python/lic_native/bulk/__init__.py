"""Compression of whole folders and buckets, which can be stopped, resumed and audited.

    lic_native.bulk.run("s3://photos", "s3://photos-lic")        # continues where an earlier run was stopped
    lic_native.bulk.audit("s3://photos", "s3://photos-lic")      # in another process
    lic_native.bulk.restore("s3://photos-lic", "s3://photos-again")

What happened to each key is in a table below the target, in Parquet files (`Table`). Buckets need obstore, and the
table needs pyarrow: both come with `pip install 'lic-native[bulk]'`.
"""

from __future__ import annotations

import fnmatch
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .. import threads
from .._native import __version__ as release
from ..models import registry
from ..storage import Entry
from ..suffixes import JPEG_SUFFIXES
from . import engines
from .inventory import entries
from .table import Row, Table
from .work import SUFFIX, Auditor, Compressor, Deleter, Job, Mover, Restorer, Task, Work, explain

__all__ = [
    "Estimate",
    "Job",
    "Outcome",
    "Row",
    "Table",
    "audit",
    "delete_originals",
    "estimate",
    "remaining",
    "restore",
    "run",
    "verify",
]

#: Patterns of the keys that are compressed by default.
PATTERNS = tuple(f"*{suffix}" for suffix in sorted(JPEG_SUFFIXES))
#: Bytes of memory that the works of all threads may need together.
MEMORY = 1 << 30
#: So many failures one after the other end a run: the storage is at fault, not the files.
MAX_FAILURES_IN_A_ROW = 100
#: Files that an estimate compresses.
SAMPLE = 20


@dataclass
class Outcome:
    """What a run did, by numbers of keys.

    done: keys that were worked on with success. finished_before: keys with nothing to do. quarantined: keys that an
        earlier run, or this one, gave up. gone: originals that were deleted before they were done, which is no
        failure. passed_over: keys that no pattern matches.
    before, after: bytes of the done ones before and after.
    stopped: whether the stop switch ended the run.
    """

    done: int = 0
    finished_before: int = 0
    failed: int = 0
    quarantined: int = 0
    gone: int = 0
    passed_over: int = 0
    before: int = 0
    after: int = 0
    stopped: bool = False
    problems: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count a row that has just been made."""
        if row.status in ("failed", "damaged"):
            self.failed += 1
        elif row.status == "quarantined":
            self.quarantined += 1
        elif row.status == "gone":
            self.gone += 1
        elif row.status == "skipped":
            self.finished_before += 1
        else:
            self.done += 1
            self.before, self.after = self.before + row.size, self.after + row.bytes_out

    def note(self, error: OSError) -> None:
        """Note an error of listing."""
        self.problems.append(f"{error.filename}: {error.strerror}")

    @property
    def is_good(self) -> bool:
        """Return whether everything was done."""
        return not (self.failed or self.quarantined or self.stopped or self.problems)


#: Called with each row as it is made.
Watch = Callable[[Row], None]


def _ignore(_: Row) -> None:
    pass


class _Sink:
    """Takes the rows of a run: counts, records and shows them."""

    def __init__(self, outcome: Outcome, table: Table | None, watch: Watch) -> None:
        self._outcome, self._table, self._watch = outcome, table, watch
        self._failures = 0

    def __call__(self, row: Row) -> None:
        if self._table is not None:
            self._table.append(row)
        self._outcome.add(row)
        self._watch(row)
        self._failures = self._failures + 1 if row.status == "failed" else 0
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            raise OSError(f"stopped after {self._failures} failures one after the other; the last: {row.reason}")


def matches(key: str, patterns: Sequence[str]) -> bool:
    """Return whether a key's last part matches one of the patterns, in any case, and is no `.lic` file."""
    name = key.rpartition("/")[2].lower()
    return not name.endswith(SUFFIX) and any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in patterns)


def _tasks(
    work: Work, table: Table, patterns: Sequence[str], retry: bool, inventory: Sequence[str], outcome: Outcome
) -> Iterator[Task]:
    """Yield what is left to be done: the source without what table and target say is done."""
    states = table.states()
    present = {entry.key for entry in work.target.list()}
    listed = entries(inventory, work.source.url) if inventory else work.source.list(problem=outcome.note)
    lost = {key for key, state in states.items() if state.status in ("failed", "quarantined")}
    for entry in listed:
        lost.discard(entry.key)
        if not matches(entry.key, patterns):
            outcome.passed_over += 1
            continue
        state, is_present = states.get(entry.key), entry.key + SUFFIX in present
        if state is not None and state.version == entry.version:
            if state.status == "done" and is_present:
                outcome.finished_before += 1
                continue
            if state.status == "quarantined" and state.release == release and not retry:
                outcome.quarantined += 1
                continue
        yield Task(entry, state, present=is_present)
    # Trying once more what failed and is not listed any more notes that it is gone.
    for key in sorted(lost):
        yield Task(Entry(key, 0, states[key].version, 0), states[key], present=key + SUFFIX in present)


def run(
    job: Job,
    *,
    patterns: Sequence[str] = PATTERNS,
    originals: str = "keep",
    retry: bool = False,
    inventory: Sequence[str] = (),
    workers: int = 0,
    memory: int = MEMORY,
    engine: str = "local",
    address: str | None = None,
    watch: Watch = _ignore,
) -> Outcome:
    """Compress all objects of a source that are not done, into objects named `KEY.lic` of a target.

    A run that was stopped, or killed at any point, is continued by the next one: it repeats what was in flight at most.
    Each `.lic` file has been decoded and compared before it is written.

    Args:
        job: source, target and settings.
        patterns: patterns of shells for the last part of a key; others are passed over.
        originals: "keep", or "move" to move those that are done aside, to `.lic-originals` in the source.
        retry: whether quarantined keys are tried again.
        inventory: Parquet files of an inventory report of S3, which are read in place of listing the source.
        workers: number of objects worked on at a time; 0 means `lic_native.threads.available()`.
        memory: bytes that they may need together, with engine "local".
        engine: "local" for threads of this process, or "ray".
        address: of a Ray cluster; None starts one on this machine.
        watch: called with each row as it is made.

    Raises:
        OSError: a storage can't be listed, the table can't be read or written, or nothing works any more.
        UnsupportedError: pyarrow, obstore, Ray or torch is missing.
        ValueError: an argument is unknown.
    """
    if originals not in ("keep", "move"):
        raise ValueError(f"originals must be 'keep' or 'move', not {originals!r}")
    if engine not in ("local", "ray"):
        raise ValueError(f"engine must be 'local' or 'ray', not {engine!r}")
    if (name := registry.of_profile(job.profile, job.device)) != registry.NATIVE:
        registry.load(name, job.device)  # An error of a model or a device concerns all files.
    work = Compressor(job)
    table, outcome = Table(work.target), Outcome()
    sink, count = _Sink(outcome, table, watch), threads.resolve(workers)
    tasks = _tasks(work, table, patterns, retry, inventory, outcome)
    try:
        if work.stopped():
            outcome.stopped = True
        elif engine == "ray":
            shared = replace(job, max_rate=-(-job.max_rate // count))
            outcome.stopped = not engines.on_ray(shared, tasks, sink, count, address)
        else:
            outcome.stopped = not engines.local(work, tasks, sink, count, memory)
    finally:
        table.flush()
    if originals == "move" and not outcome.stopped:
        _move(job, table, outcome, count, memory, watch)
    table.compact()
    return outcome


def _move(job: Job, table: Table, outcome: Outcome, workers: int, memory: int, watch: Watch) -> None:
    def sink(row: Row) -> None:
        table.append(row)
        watch(row)
        if row.failure:
            outcome.problems.append(f"{row.key}: {row.reason}")

    _work_on_rows(Mover(job), table, lambda row: row.status == "done" and row.original == "kept", sink, workers, memory)


def _work_on_rows(
    work: Work,
    table: Table,
    is_wanted: Callable[[Row], bool],
    sink: Callable[[Row], None],
    workers: int,
    memory: int = MEMORY,
) -> None:
    """Call the work on the rows of a table, in their order, and write what the sink has appended."""
    wanted = (row for row in table.rows() if is_wanted(row))
    tasks = (Task(Entry(row.key, row.size, row.version, row.mtime_ns, row.mode), row=row) for row in wanted)
    try:
        engines.local(work, tasks, sink, threads.resolve(workers), memory)
    finally:
        table.flush()


def remaining(
    job: Job, *, patterns: Sequence[str] = PATTERNS, retry: bool = False, inventory: Sequence[str] = ()
) -> tuple[int, int]:
    """Return the number of objects that `run` would compress, and their bytes. Raises as `run` does."""
    work = Compressor(job)
    tasks = _tasks(work, Table(work.target), patterns, retry, inventory, Outcome())
    sizes = [task.entry.size for task in tasks]
    return len(sizes), sum(sizes)


@dataclass(frozen=True)
class Estimate:
    """What a run would do, judged by a sample.

    files, size: of what is left to be done. sampled: files that were compressed for the estimate.
    saving_percent: of the sample, by bytes. saving_error_percent: its standard error.
    seconds: that the run would take here, with the given number of workers.
    """

    files: int
    size: int
    sampled: int
    saving_percent: float
    saving_error_percent: float
    seconds: float


class _Trial(Compressor):
    """Compresses without writing."""

    def do(self, task: Task, row: Row) -> None:
        data = self.source.read(task.entry.key, self.job.limits, task.entry.version)
        row.size = len(data)
        explain(row, *self.compress(data), data, sha1=False)
        row.status = "done"


def estimate(
    job: Job,
    *,
    patterns: Sequence[str] = PATTERNS,
    retry: bool = False,
    inventory: Sequence[str] = (),
    sample: int = SAMPLE,
    workers: int = 0,
) -> tuple[Estimate, Outcome]:
    """Return what `run` would do, without writing anything: it lists everything, and compresses a random sample.

    Raises as `run` does.
    """
    trial, outcome, chosen = _Trial(job), Outcome(), list[Task]()
    files = size = 0
    for task in _tasks(trial, Table(trial.target), patterns, retry, inventory, outcome):
        files, size = files + 1, size + task.entry.size
        if len(chosen) < sample:
            chosen.append(task)
        elif (place := random.randrange(files)) < sample:
            chosen[place] = task
    rows: list[Row] = []

    def sink(row: Row) -> None:
        outcome.add(row)
        if row.status == "done":
            rows.append(row)

    count = threads.resolve(workers)
    engines.local(trial, iter(chosen), sink, count, MEMORY)
    before, after = sum(row.size for row in rows), sum(row.bytes_out for row in rows)
    if not rows or not before:
        return Estimate(files, size, 0, 0.0, 0.0, 0.0), outcome
    ratio = after / before
    # Of a ratio of sums: the spread of what each file is above or below it.
    spread = math.sqrt(sum((row.bytes_out - ratio * row.size) ** 2 for row in rows))
    error = 100 * spread / before * math.sqrt(max(0.0, 1 - len(rows) / files))
    seconds = sum(row.seconds for row in rows) / before * size / min(count, len(rows))
    return Estimate(files, size, len(rows), round(100 * (1 - ratio), 2), round(error, 2), round(seconds, 1)), outcome


def restore(
    job: Job, *, patterns: Sequence[str] = ("*",), workers: int = 0, memory: int = MEMORY, watch: Watch = _ignore
) -> Outcome:
    """Restore the originals of all `.lic` objects of `job.source` into `job.target`, with their times and modes.

    What exists there and is equal is skipped. Each file is compared with the SHA-256 in the table, or, if the table is
    lost, with that which a bucket keeps beside the object; the checksum in the `.lic` file is checked in any case.

    Args:
        job: source, target and settings.
        patterns: patterns of shells for the last part of an original's key.
        workers, memory, watch: as in `run`.

    Raises:
        OSError: a storage can't be listed, or nothing works any more.
        UnsupportedError: obstore is missing, or the table can't be read because pyarrow is.
    """
    work, outcome = Restorer(job), Outcome()
    rows = {row.key: row for row in Table(work.source).rows()}

    def tasks() -> Iterator[Task]:
        for entry in work.source.list(problem=outcome.note):
            key = entry.key.removesuffix(SUFFIX)
            if key == entry.key or not any(fnmatch.fnmatchcase(key.rpartition("/")[2], p) for p in patterns):
                outcome.passed_over += 1
            else:
                yield Task(entry, row=rows.get(key))

    engines.local(work, tasks(), _Sink(outcome, None, watch), threads.resolve(workers), memory)
    return outcome


def verify(job: Job, *, workers: int = 0, memory: int = MEMORY, watch: Watch = _ignore) -> Outcome:
    """Decode every `.lic` object in the table of `job.target`, and compare it and the result with the table.

    Nothing is written, and no original is read. Objects that the table does not know are counted as `passed_over`.

    Raises as `restore` does.
    """
    work, outcome = Auditor(job, verify=True), Outcome()
    table = Table(work.target)
    known = {key + SUFFIX for key in table.states()}
    outcome.passed_over = sum(entry.key.endswith(SUFFIX) and entry.key not in known for entry in work.target.list())
    _work_on_rows(work, table, _is_written, _Sink(outcome, None, watch), workers, memory)
    return outcome


def _is_written(row: Row) -> bool:
    return row.status in ("done", "damaged")


def audit(
    job: Job,
    *,
    share: float = 1.0,
    again: bool = False,
    workers: int = 0,
    memory: int = MEMORY,
    watch: Watch = _ignore,
) -> Outcome:
    """Restore originals in memory, in another process than the one that compressed them, and note it in the table.

    Each is compared with the hashes in the table, and with the original if that still exists. A `.lic` file that is
    missing, or does not restore its original, becomes "damaged" in the table, and the next run compresses it again.

    Args:
        job: the source and target of the run.
        share: which part of those that were not audited yet to take, chosen at random.
        again: also take those that were.
        workers, memory, watch: as in `run`.

    Raises:
        ValueError: `share` is not between 0 and 1.
        OSError, UnsupportedError: as `run` does.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    work, outcome = Auditor(job), Outcome()
    table = Table(work.target)
    counted = _Sink(outcome, None, watch)

    def sink(row: Row) -> None:
        if row.status != "failed":  # An unreachable server says nothing about the file.
            table.append(row)
        counted(row)

    def is_wanted(row: Row) -> bool:
        return _is_written(row) and (again or not row.audited) and random.random() < share

    _work_on_rows(work, table, is_wanted, sink, workers, memory)
    table.compact()
    return outcome


def delete_originals(job: Job, *, workers: int = 0, watch: Watch = _ignore) -> Outcome:
    """Delete the originals, kept or moved aside, whose `.lic` files an audit has restored in another process.

    An original that has changed since it was compressed stays, and so does one whose `.lic` file is not the one that
    was audited.

    Raises as `run` does.
    """
    work, outcome = Deleter(job), Outcome()
    table = Table(work.target)

    def sink(row: Row) -> None:
        table.append(row)
        watch(row)
        if row.failure:
            outcome.problems.append(f"{row.key}: {row.reason}")
        else:
            outcome.add(row)

    _work_on_rows(
        work, table, lambda row: row.status == "done" and row.audited > 0 and row.original != "deleted", sink, workers
    )
    table.compact()
    return outcome
