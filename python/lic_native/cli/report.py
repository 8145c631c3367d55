"""The report of a run: a line for each file, JSON events, a progress bar, and a summary."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .. import files
from . import console
from .sources import Job, Plan
from .task import Result, Settings, Task

__all__ = ["MAX_LINES", "Report", "Sums", "sizes"]

#: Maximum number of files of a run that are reported one by one; more files are reported as a summary.
MAX_LINES = 20


@dataclass
class Sums:
    """Numbers of files that were done, skipped or failed, and their bytes before and after."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    before: int = 0
    after: int = 0


class Report:
    """Counts and prints what happens to the files of a run. Its methods may be called by several threads."""

    def __init__(self, plan: Plan, task: Task, settings: Settings) -> None:
        self.sums = Sums()
        #: Error of an event that could not be printed. It must not end the work, but is a failure of the run.
        self.output_error: OSError | None = None
        self._plan, self._task, self._settings = plan, task, settings
        self._notes: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._advance: Callable[[int], None] = lambda _: None
        self._is_single = len(plan.jobs) == 1 and not plan.problems and plan.jobs[0].named
        self._has_lines = settings.verbose or len(plan.jobs) <= MAX_LINES
        #: Lines of finished files that are printed only if the run is stopped.
        self._held_lines: list[str] = []

    def show_bar(self, stack: ExitStack) -> None:
        """Show a progress bar until the stack is closed, if stderr is a terminal."""
        if self._is_single or console.quiet or self._settings.dry_run or not console.on_terminal():
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        count = TextColumn("{task.fields[count]}")
        columns = (count, BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        total = len(self._plan.jobs)
        row = bar.add_task("", total=sum(job.size for job in self._plan.jobs), count=f"0/{total} files")

        def advance(size: int) -> None:
            ended = self.sums.done + self.sums.skipped + self.sums.failed - len(self._plan.problems)
            bar.update(row, advance=size, count=f"{ended}/{total} files")

        self._advance = advance
        stack.enter_context(console.bar_above(bar))

    def would_do(self, job: Job) -> None:
        """Report a file of a dry run."""
        with self._lock:
            self.sums.done += 1
            console.say(f"{console.shown(job.source or '-')} -> {console.shown(job.target or '-')}")
            self._event(job, {"status": "would be done"})

    def done(self, job: Job, result: Result, size: int, seconds: float) -> None:
        """Report a finished file, whose source has `size` bytes."""
        after, writes = files.size(result.data), self._task.writes
        line = console.shown(job.source or "-")
        line += f" -> {console.shown(job.target or '-')}: {sizes(size, after)}" if writes else f": {self._task.verb}"
        line += "".join(f"; {note}" for note in result.notes)
        event: dict[str, Any] = {"status": "done", "bytes_in": size, "seconds": round(seconds, 3)}
        event |= {"bytes_out": after} if writes else {}
        with self._lock:
            sums = self.sums
            sums.done, sums.before, sums.after = sums.done + 1, sums.before + size, sums.after + after
            self._notes.update(result.notes)
            if self._has_lines:
                console.say(line)
            else:
                self._held_lines.append(line)
            self._event(job, {**event, "notes": list(result.notes), **result.details})
            self._advance(job.size)

    def skipped(self, job: Job, reason: str, kind: str) -> None:
        with self._lock:
            self.sums.skipped += 1
            self._skipped[kind] += 1
            if self._has_lines:
                console.say(f"{console.shown(job.source or '-')}: skipped: {console.shown(reason)}")
            self._event(job, {"status": "skipped", "reason": reason})
            self._advance(job.size)

    def failed(self, job: Job | None, message: str) -> None:
        """Report a failure; `job` is None for a path that is not in the plan."""
        with self._lock:
            self.sums.failed += 1
            console.complain(message)
            self._event(job, {"status": "failed", "reason": message})
            self._advance(job.size if job else 0)

    def stopped(self) -> None:
        """Report that a signal has stopped the run."""
        for line in self._held_lines:
            console.say(line)
        left = console.file_count(len(self._plan.jobs) - self.sums.done - self.sums.skipped)
        console.complain(f"stopped with {left} left; run the same command again to continue")

    def summarise(self, seconds: float) -> None:
        """Report the sums of a run that took this time."""
        sums, count = self.sums, len(self._plan.jobs) + len(self._plan.problems)
        dry_run = self._settings.dry_run
        if self._settings.as_json:
            event = {"status": "sum", "files": count, **vars(sums), "passed_over": self._plan.passed_over}
            self._print({**event, "seconds": round(seconds, 3)})
        if self._is_single or (not sums.done and not sums.skipped and count == 1):
            return
        line = console.file_count(sums.done)
        if sums.done:
            if dry_run or not self._task.writes:
                parts = [f"would be {self._task.verb}" if dry_run else self._task.verb]
            else:
                parts = [sizes(sums.before, sums.after)]
            parts += [] if dry_run else [f"{seconds:.1f} s"]
            line += f": {', '.join(parts + [f'{number} {note}' for note, number in self._notes.items()])}"
        for kind, number in self._skipped.items():
            line += f"; {number} {kind}"
        if self._plan.passed_over:
            line += f"; {self._plan.passed_over} of other kinds ignored"
        console.say(line)
        if sums.failed:
            console.complain(f"{'all' if sums.failed == count else f'{sums.failed} of'} {count} files failed")

    def _event(self, job: Job | None, event: dict[str, Any]) -> None:
        if self._settings.as_json:
            names = {"source": str(job.source or "-")} if job else {}
            if job and self._task.writes:
                names["target"] = str(job.target or "-")
            self._print({**names, **event})

    def _print(self, event: dict[str, Any]) -> None:
        try:
            console.out(json.dumps(event))
        except OSError as error:
            self.output_error = error


def sizes(before: int, after: int) -> str:
    """Return text for a number of bytes that became another number."""
    saving = f", {100 * (1 - after / before):.2f} % saved" if after < before else ""
    return f"{before:,} -> {after:,} bytes{saving}"
