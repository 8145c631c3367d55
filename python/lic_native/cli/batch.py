"""A run over many files: finished files are skipped, and a file that fails does not keep the others from being done."""

from __future__ import annotations

import errno
import os
import time
import traceback
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from .. import files, threads
from ..jpeg import TILES_AT_ONCE
from ..many import FILES_ON_CUDA, Crowd
from ..models import registry
from . import console
from .report import Report
from .signals import stop_on_signals
from .sources import Job, Plan, head
from .task import Result, Settings, Skip, Task

__all__ = ["DONE", "FAILED", "MAX_FILES", "USAGE", "files_at_a_time", "run", "threads_each"]

#: Maximum number of files worked on at a time, to bound the memory; on CUDA `many.FILES_ON_CUDA`.
MAX_FILES = 4

#: Exit statuses.
DONE, FAILED, USAGE = 0, 1, 2


def files_at_a_time(plan: Plan, settings: Settings) -> int:
    """Return the number of files to work on at a time."""
    most = FILES_ON_CUDA if settings.on_cuda else min(threads.resolve(settings.threads), MAX_FILES)
    return max(1, min(len(plan.jobs), most))


def for_device(settings: Settings, plan: Plan, device: str | None, name: str) -> Settings:
    """Return the settings for a run whose files need a model on a device.

    Raises:
        ValueError, UnsupportedError: as `registry.network_device`.
    """
    # One file alone decides for itself, and may need no network.
    if len(plan.jobs) < 2 or name == registry.NATIVE:
        return settings
    return replace(settings, on_cuda=registry.network_device(device, name) != "cpu")


def threads_each(plan: Plan, settings: Settings) -> int:
    """Return the number of threads for each of the files that are worked on."""
    if settings.on_cuda:
        return TILES_AT_ONCE
    return max(1, threads.resolve(settings.threads) // files_at_a_time(plan, settings))


def run(plan: Plan, task: Task, settings: Settings) -> int:
    """Do all jobs of a plan, several at a time, report on them, and return the exit status.

    Raises:
        OSError: a JSON event could not be printed.
    """
    start = time.monotonic()
    report = Report(plan, task, settings)
    for problem in plan.problems:
        report.failed(None, problem)
    work = _Run(task, settings, report).do
    with ExitStack() as stack:
        report.show_bar(stack)
        stop_on_signals(lambda: threads.share(work, plan.jobs, files_at_a_time(plan, settings)), report.stopped, stack)
    report.summarise(time.monotonic() - start)
    if report.output_error is not None:
        raise report.output_error
    return FAILED if report.sums.failed else DONE


class _Run:
    def __init__(self, task: Task, settings: Settings, report: Report) -> None:
        self.task, self.settings, self.report = task, settings, report
        self._together = Crowd()

    def do(self, job: Job) -> None:
        """Do one job, and report on it."""
        threads.check()
        start = time.monotonic()
        with self._together.at_work(), ExitStack() as held:
            self._do(job, start, held)

    def _do(self, job: Job, start: float, held: ExitStack) -> None:
        try:
            result, size = self._process(job, held)
        except Skip as skip:
            self.report.skipped(job, str(skip), skip.kind)
        except files.Busy as busy:
            self.report.skipped(job, str(busy), "being written by another run")
        except Exception as error:
            if isinstance(error, OSError) and self._is_done_by_another_run(job):
                reason = f"another run has written {job.target} and removed the source"
                self.report.skipped(job, reason, "done by another run")
                return
            if self.settings.verbose:
                console.say(traceback.format_exc().rstrip())
            if isinstance(error, FileExistsError) and error.errno == errno.EEXIST:
                reason = "exists, and holds something else; --force replaces it"
                error = FileExistsError(error.errno, reason, error.filename)
            self.report.failed(job, console.describe(error, str(job.source or "stdin")))
        else:
            if result is None:
                self.report.would_do(job)
            else:
                self.report.done(job, result, size, time.monotonic() - start)

    def _process(self, job: Job, held: ExitStack) -> tuple[Result | None, int]:
        """Read, work and write. Return the result, or None in a dry run, and the number of bytes read.

        held: gets the contents that are to be closed.
        """
        target = job.target if self.task.writes else None
        before = None
        if target is not None:
            before = _source_status(job.source, target)
            self._skip_if_done(job)
        if self.settings.dry_run:
            if job.source is not None:
                self.task.accept(head(job.source), job)
            if target is not None:
                files.Output(target, self.settings.force).check()
            return None, 0
        if target is None:
            data, result = self._work(job, held)
            if self.task.writes:
                console.write_stdout(result.data)
            return result, files.size(data)
        try:
            with files.Output(target, self.settings.force) as output:
                data, result = self._work(job, held)
                output.commit(result.data, like=job.source)
        except FileExistsError:
            self._skip_if_done(job)  # Another run may have written it meanwhile.
            raise
        if self.settings.remove and job.source is not None and before is not None:
            if output.special:
                raise ValueError(f"not removed, because {target} can't be read back")
            self._remove(job.source, target, result.data, before)
        return result, files.size(data)

    def _work(self, job: Job, held: ExitStack) -> tuple[files.Content, Result]:
        data = held.enter_context(files.held(self._read(job)))
        result = self.task.work(data, job)
        held.enter_context(files.held(result.data))
        return data, result

    def _read(self, job: Job) -> files.Content:
        limits, spooled = self.settings.limits, self.task.spooled
        if job.source is None:
            return console.take_stdin(limits) if spooled else console.read_stdin(limits)
        return files.take(job.source, limits) if spooled else files.read(job.source, limits)

    def _skip_if_done(self, job: Job) -> None:
        """Raise Skip if the target exists and is the result of the work. With `--rm`, remove the source first.

        Raises:
            FileExistsError: the target exists, and the task says why it can't be replaced.
        """
        source, target = job.source, job.target
        if self.settings.force or target is None or not target.is_file():
            return
        if source is None or self.task.is_done is None or not self.task.is_done(source, target):
            return  # `files.Output` will refuse to replace the target.
        if self.settings.remove and self.task.check is not None:
            before = os.stat(source)
            self.task.check(files.read(source, self.settings.limits), files.read(target, self.settings.limits))
            self._remove(source, target, None, before)
        raise Skip(f"{target} exists already", "done already")

    def _is_done_by_another_run(self, job: Job) -> bool:
        """Return whether another run with `--rm` has removed the source since this one began, and left a target."""
        if not self.settings.remove or not job.existed or job.source is None or job.target is None:
            return False
        return not os.path.lexists(job.source) and os.path.isfile(job.target)

    def _remove(self, source: Path, target: Path, data: files.Content | None, before: os.stat_result) -> None:
        """Remove a source whose target holds `data`; None means that the target is checked already.

        Raises:
            ValueError: the target holds other bytes, or the source's status is not the one from before the work.
        """
        if data is not None and not files.holds(target, data):
            raise ValueError(f"not removed, because {target} holds other bytes than were written")
        try:
            after = os.stat(source)
        except FileNotFoundError:  # Another run has removed it, for the same result.
            return
        if (after.st_mtime_ns, after.st_size, after.st_ino) != (before.st_mtime_ns, before.st_size, before.st_ino):
            raise ValueError("not removed, because it has changed during the run")
        source.unlink(missing_ok=True)


def _source_status(source: Path | None, target: Path) -> os.stat_result | None:
    """Return a source's status, or None for stdin. Raises ValueError if the target is the same file."""
    if source is None:
        return None
    status = os.stat(source)
    if os.path.exists(target) and target.samefile(source):
        raise ValueError("the output is the source itself: name another output file")
    return status
