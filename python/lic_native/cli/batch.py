"""A run over many files: what is done already is passed over, what fails is named, and the rest is done."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading as system_threads
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from .. import files, threads
from ..limits import Limits
from . import console
from .sources import Job, Plan, head

__all__ = [
    "DONE",
    "FAILED",
    "MAX_FILES",
    "MAX_LINES",
    "PATIENCE",
    "USAGE",
    "Result",
    "Settings",
    "Skip",
    "Stopped",
    "Sums",
    "Task",
    "end",
    "files_at_a_time",
    "on_signal",
    "run",
    "sizes",
    "stop_on_signals",
    "take_signals",
    "threads_each",
]

#: Files worked on at a time: each takes memory.
MAX_FILES = 4
#: Most files of a run that are reported one by one; more are reported as a sum.
MAX_LINES = 20
#: Seconds that threads have to come to their end when the run is stopped.
PATIENCE = 0.7

#: Exit statuses.
DONE, FAILED, USAGE = 0, 1, 2


@dataclass(frozen=True)
class Result:
    """The result of one file.

    data: bytes to be written.
    notes: remarks for the user, e.g. "with loss".
    details: further fields for `--json`.
    """

    data: bytes
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


class Skip(Exception):
    """Raised where there is nothing to do for a file.

    Args:
        reason: says why, for this file.
        kind: the same in the sum of a run.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Task:
    """The work of a command on each file.

    work: returns the result for a content. Any exception is that file's failure.
    accept: raises an exception unless the work takes a content with this beginning; also called in a dry run.
    is_done: returns whether an existing target (by path) is the result for a source; None: never. It may raise Skip,
        or an exception that says why the target can't be replaced.
    verb: e.g. "compressed".
    check: raises an exception unless two contents, of a source and of an earlier result, belong together. `--rm` calls
        it before it removes the source of a result that existed before.
    writes: whether results are written to files.
    """

    work: Callable[[bytes, Job], Result]
    verb: str
    is_done: Callable[[Path, Path], bool] | None = None
    check: Callable[[bytes, bytes], None] | None = None
    accept: Callable[[bytes, Job], None] = lambda _, __: None
    writes: bool = True


@dataclass(frozen=True)
class Settings:
    """What all commands that write files have in common."""

    limits: Limits
    force: bool = False
    remove: bool = False
    dry_run: bool = False
    as_json: bool = False
    verbose: bool = False
    threads: int = 0


@dataclass
class Sums:
    """What became of the files of a run."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    before: int = 0
    after: int = 0


def files_at_a_time(plan: Plan, settings: Settings) -> int:
    """Return how many files are worked on at a time."""
    return max(1, min(len(plan.jobs), threads.resolve(settings.threads), MAX_FILES))


def threads_each(plan: Plan, settings: Settings) -> int:
    """Return how many threads each of the files that are worked on may have."""
    return max(1, threads.resolve(settings.threads) // files_at_a_time(plan, settings))


def run(plan: Plan, task: Task, settings: Settings) -> int:
    """Do every job, several at a time, and say what became of them; return the exit status.

    A file that fails is named in one line and does not keep the others from being done.
    """
    return _Run(plan, task, settings).run()


class _Run:
    def __init__(self, plan: Plan, task: Task, settings: Settings) -> None:
        self.plan, self.task, self.settings = plan, task, settings
        self.sums = Sums()
        #: How often each note, and each kind of skipping, occurred.
        self.notes: dict[str, int] = {}
        self.kinds: dict[str, int] = {}
        self._lock = system_threads.Lock()
        self._finished: list[str] = []
        self._advance: Callable[[int], None] = lambda _: None
        #: Why an event could not be printed.
        self._lost: OSError | None = None
        self._one = len(plan.jobs) == 1 and not plan.problems and plan.jobs[0].named
        self._lines = settings.verbose or len(plan.jobs) <= MAX_LINES

    def run(self) -> int:
        start = time.monotonic()
        for problem in self.plan.problems:
            self._failed(None, problem)
        at_a_time = files_at_a_time(self.plan, self.settings)
        with ExitStack() as stack:
            self._show_bar(stack)
            stop_on_signals(
                lambda: threads.share(self._do, self.plan.jobs, at_a_time), stopped=self._stopped, stack=stack
            )
        self._say_sum(time.monotonic() - start)
        if self._lost is not None:
            raise self._lost
        return FAILED if self.sums.failed else DONE

    def _show_bar(self, stack: ExitStack) -> None:
        if self._one or console.quiet or self.settings.dry_run or not console.on_terminal():
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        columns = (
            TextColumn("{task.fields[count]}"),
            BarColumn(),
            DownloadColumn(),
            SpeedColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        total = len(self.plan.jobs)
        row = bar.add_task("", total=sum(job.size for job in self.plan.jobs), count=f"0/{total} files")

        def advance(size: int) -> None:
            ended = self.sums.done + self.sums.skipped + self.sums.failed - len(self.plan.problems)
            bar.update(row, advance=size, count=f"{ended}/{total} files")

        self._advance = advance
        stack.enter_context(console.bar_above(bar))

    def _do(self, job: Job) -> None:
        threads.check()
        start = time.monotonic()
        try:
            result, size = self._made(job)
        except Skip as skip:
            self._skipped(job, str(skip), skip.kind)
        except files.Busy as busy:
            self._skipped(job, str(busy), "in work by another run")
        except Exception as error:
            if isinstance(error, OSError) and self._done_by_another(job):
                self._skipped(job, f"{job.target} is there, and it was removed meanwhile", "done by another run")
                return
            if self.settings.verbose:
                console.say(traceback.format_exc().rstrip())
            if isinstance(error, FileExistsError) and error.errno == errno.EEXIST:
                error = FileExistsError(
                    error.errno, "exists, and holds something else; --force replaces it", error.filename
                )
            self._failed(job, console.describe(error, str(job.source or "stdin")))
        else:
            if result is not None:
                self._done(job, result, size, time.monotonic() - start)

    def _made(self, job: Job) -> tuple[Result | None, int]:
        """Read, work and write; the result, unless this is a dry run, and the bytes read."""
        settings = self.settings
        if not self.task.writes or job.target is None:
            if settings.dry_run:
                return self._would(job)
            data = self._read(job)
            result = self.task.work(data, job)
            if self.task.writes:
                console.write_stdout(result.data)
            return result, len(data)
        before = self._looked_at(job)
        self._pass_over_done(job)
        if settings.dry_run:
            return self._would(job)
        try:
            with files.Output(job.target, settings.force) as output:
                data = self._read(job)
                result = self.task.work(data, job)
                output.commit(result.data, like=job.source)
        except FileExistsError:
            # Another run may have made it meanwhile.
            self._pass_over_done(job)
            raise
        if settings.remove and before is not None:
            self._remove(job, result.data, before, output.special)
        return result, len(data)

    def _looked_at(self, job: Job) -> os.stat_result | None:
        """Return the source's status."""
        if job.source is None or job.target is None:
            return None
        status = os.stat(job.source)
        if os.path.exists(job.target) and job.target.samefile(job.source):
            raise ValueError(f"{job.target} is the file to be read")
        return status

    def _done_by_another(self, job: Job) -> bool:
        """Return whether another run with `--rm` has done a job and removed its source, since this one began."""
        if not self.settings.remove or not job.existed or job.source is None or job.target is None:
            return False
        return not os.path.lexists(job.source) and os.path.isfile(job.target)

    def _would(self, job: Job) -> tuple[None, int]:
        """Say what would be done, or raise what would keep it from being done, as far as that is known before."""
        if job.source is not None:
            self.task.accept(head(job.source), job)
        if job.target is not None:
            files.Output(job.target, self.settings.force).check()
        with self._lock:
            self.sums.done += 1
            console.say(f"{console.shown(job.source or '-')} -> {console.shown(job.target or '-')}")
            self._event(job, {"status": "would be done"})
        return None, 0

    def _read(self, job: Job) -> bytes:
        if job.source is None:
            return console.read_stdin(self.settings.limits)
        return files.read(job.source, self.settings.limits)

    def _pass_over_done(self, job: Job) -> None:
        """Raise Skip if the target is there and is what the work would make, and FileExistsError if it is another."""
        source, target = job.source, job.target
        if self.settings.force or target is None or not target.is_file():
            return
        if source is None or self.task.is_done is None or not self.task.is_done(source, target):
            return  # The output refuses it by name.
        if self.settings.remove and self.task.check is not None:
            before = os.stat(source)
            self.task.check(files.read(source, self.settings.limits), files.read(target, self.settings.limits))
            self._remove(job, None, before, special=False)
        raise Skip(f"{target} is there already", "done already")

    def _remove(self, job: Job, data: bytes | None, before: os.stat_result, special: bool) -> None:
        """Remove a source whose result is on the disk: written as `data`, or checked before."""
        source, target = job.source, job.target
        assert source is not None
        assert target is not None
        if special or (data is not None and files.read(target, self.settings.limits) != data):
            raise ValueError(f"kept, since {target} could not be read back")
        try:
            after = os.stat(source)
        except FileNotFoundError:  # Another run has removed it, for the same result.
            return
        if (after.st_mtime_ns, after.st_size, after.st_ino) != (before.st_mtime_ns, before.st_size, before.st_ino):
            raise ValueError("kept, since it has changed meanwhile")
        source.unlink(missing_ok=True)

    def _done(self, job: Job, result: Result, size: int, seconds: float) -> None:
        after = len(result.data)
        line = console.shown(job.source or "-")
        line += (
            f" -> {console.shown(job.target or '-')}: {sizes(size, after)}"
            if self.task.writes
            else f": {self.task.verb}"
        )
        line += "".join(f"; {note}" for note in result.notes)
        with self._lock:
            sums = self.sums
            sums.done, sums.before, sums.after = sums.done + 1, sums.before + size, sums.after + after
            for note in result.notes:
                self.notes[note] = self.notes.get(note, 0) + 1
            if self._lines:
                console.say(line)
            else:
                self._finished.append(line)
            event: dict[str, Any] = {"status": "done", "bytes_in": size, "seconds": round(seconds, 3)}
            event |= {"bytes_out": after} if self.task.writes else {}
            self._event(job, {**event, "notes": list(result.notes), **result.details})
            self._advance(job.size)

    def _skipped(self, job: Job, reason: str, kind: str) -> None:
        with self._lock:
            self.sums.skipped += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if self._lines:
                console.say(f"{console.shown(job.source or '-')}: skipped: {console.shown(reason)}")
            self._event(job, {"status": "skipped", "reason": reason})
            self._advance(job.size)

    def _failed(self, job: Job | None, message: str) -> None:
        with self._lock:
            self.sums.failed += 1
            console.complain(message)
            self._event(job, {"status": "failed", "reason": message})
            self._advance(job.size if job else 0)

    def _event(self, job: Job | None, event: dict[str, Any]) -> None:
        if self.settings.as_json:
            names = {"source": str(job.source or "-")} if job else {}
            if job and self.task.writes:
                names["target"] = str(job.target or "-")
            self._print({**names, **event})

    def _print(self, event: dict[str, Any]) -> None:
        """Print JSON; that it can't be printed must not end the work, but is a failure in the end."""
        try:
            console.out(json.dumps(event))
        except OSError as error:
            self._lost = error

    def _say_sum(self, seconds: float) -> None:
        sums, count = self.sums, len(self.plan.jobs) + len(self.plan.problems)
        if self.settings.as_json:
            rows = {"status": "sum", "files": count, **vars(sums), "passed_over": self.plan.passed_over}
            self._print({**rows, "seconds": round(seconds, 3)})
        if self._one or (not sums.done and not sums.skipped and count == 1):
            return
        if self.settings.dry_run or not self.task.writes:
            parts = [f"would be {self.task.verb}" if self.settings.dry_run else self.task.verb]
        else:
            parts = [sizes(sums.before, sums.after)]
        parts += [f"{seconds:.1f} s"] if not self.settings.dry_run else []
        parts += [f"{number} {note}" for note, number in self.notes.items()]
        line = f"{sums.done} files: {', '.join(parts)}" if sums.done else "0 files"
        for kind, number in self.kinds.items():
            line += f"; {number} {kind}"
        if self.plan.passed_over:
            line += f"; {self.plan.passed_over} of other kinds left alone"
        console.say(line)
        if sums.failed:
            console.complain(f"{'all' if sums.failed == count else f'{sums.failed} of'} {count} files failed")

    def _stopped(self) -> None:
        with suppress(AttributeError):
            for line in self._finished:
                console.say(line)
        left = len(self.plan.jobs) - self.sums.done - self.sums.skipped
        console.complain(f"stopped with {left} files left; the same command goes on there")


def sizes(before: int, after: int) -> str:
    """Return how many bytes became how many."""
    saving = f", {100 * (1 - after / before):.2f} % saved" if after < before else ""
    return f"{before:,} -> {after:,} bytes{saving}"


class Stopped(BaseException):
    """Raised in the main thread by a signal that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def on_signal(number: int, _: object) -> NoReturn:
    """Raise Stopped; the second time, end at once."""
    signal.signal(number, lambda *_: end(number))
    raise Stopped(number)


def end(number: int) -> NoReturn:
    """End the process as signals do, without waiting for its threads, and leave no half-written file."""
    files.discard_unfinished()
    os._exit(128 + number)


def take_signals() -> None:
    """Have the signals that end a command raise Stopped, unless the caller has them ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, on_signal)


def stop_on_signals(work: Callable[[], object], stopped: Callable[[], None], stack: ExitStack) -> None:
    """Call `work` so that a signal ends it within a second, whatever it does at that moment.

    The work runs in another thread than the main one, where long native calls would delay a signal.
    """
    failure: list[BaseException] = []
    ended = system_threads.Event()
    group = threads.Group()

    def apart() -> None:
        try:
            with group.joined():
                work()
        except BaseException as error:
            failure.append(error)
        ended.set()

    worker = system_threads.Thread(target=apart, name="lic_native run")
    try:
        worker.start()
    except RuntimeError:  # no more threads
        apart()
    try:
        ended.wait()
    except Stopped as signalled:
        group.stop()
        ended.wait(PATIENCE)
        stack.close()
        stopped()
        end(signalled.number)
    if failure:
        raise failure[0]
