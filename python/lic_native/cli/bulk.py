"""The commands `lic-native bulk ...`, on whole folders and buckets."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import arguments, files
from ..limits import DEFAULT_LIMITS, Limits
from ..storage import TIMEOUT, open_storage
from . import console, options
from .batch import DONE, FAILED
from .compress import check_lossless
from .report import sizes
from .signals import stop_on_signals

if TYPE_CHECKING:
    from ..bulk import Job, Outcome, Row

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Compress folders and buckets of JPEG files: resumable, audited, with a table of what was done.",
)

#: Rows of failures that are printed one by one; the table has all.
MAX_FAILURES_SHOWN = 20

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Folder or bucket of the originals.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Folder or bucket of the .lic files and the table.")]
Include = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Take names like this, e.g. '*.tif'; repeat it for several."),
]
Workers = Annotated[
    int, typer.Option("--workers", "-j", metavar="N", show_default=False, help="Files at a time; 0 means all cores.")
]
Memory = Annotated[
    int,
    typer.Option(
        metavar="SIZE", parser=options.size, show_default=False, help="Memory of all workers together. [default: 1G]"
    ),
]
Rate = Annotated[
    int,
    typer.Option(
        metavar="SIZE", parser=options.size, show_default=False, help="Bytes to read in a second at most, e.g. 50M."
    ),
]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="Give a bucket up after so long without a byte.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout: a line for each key, and a line of sums.")]


class _Progress:
    """Shows rows as they are made: a line on a terminal, JSON events, the first failures; and the sums at the end."""

    def __init__(self, verb: str, as_json: bool) -> None:
        self._verb, self._as_json, self._start, self._failures = verb, as_json, time.monotonic(), 0
        self._rows = self._before = self._after = 0
        self._bar: Callable[[], None] = lambda: None
        self._lines = sys.stdout

    def show_bar(self, stack: ExitStack, total: Callable[[], int] | None) -> None:
        """Show files, bytes, saving and the time left, if stderr is a terminal.

        total: returns the bytes to be done. It is called in a thread of its own, because listing takes long.
        """
        if console.quiet or not console.on_terminal():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        line = TextColumn("{task.fields[line]}")
        bar = Progress(
            line, BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        task = bar.add_task("", total=None, line="")

        def show() -> None:
            seconds = max(time.monotonic() - self._start, 1e-3)
            line = f"{self._rows:,} files, {sizes(self._before, self._after)}, {self._before / 1e6 / seconds:.2f} MB/s"
            bar.update(task, completed=self._before, line=line)

        def count() -> None:
            with suppress(OSError):  # The run itself will report it.
                bar.update(task, total=total and total())

        self._bar = show
        threading.Thread(target=count, daemon=True).start()
        stack.enter_context(console.bar_above(bar))

    def __call__(self, row: Row) -> None:
        """Take a row that has just been made."""
        self._rows, self._before, self._after = self._rows + 1, self._before + row.size, self._after + row.bytes_out
        if self._as_json:
            print(json.dumps(asdict(row)), file=self._lines)
        if row.failure:
            self._failures += 1
            if self._failures <= MAX_FAILURES_SHOWN:
                console.complain(console.shown(f"{row.key}: {row.status}: {row.reason}"))
        self._bar()

    def summarise(self, outcome: Outcome) -> int:
        """Print the sums, and return the exit status."""
        seconds = time.monotonic() - self._start
        for problem in outcome.problems:
            console.complain(console.shown(problem))
        if self._as_json:
            console.out(json.dumps({"status": "sum", **asdict(outcome), "seconds": round(seconds, 3)}))
        line = f"{console.file_count(outcome.done)} {self._verb}"
        line += f": {sizes(outcome.before, outcome.after)}, {seconds:.1f} s" if outcome.done else ""
        counts = {
            "done already": outcome.finished_before,
            "deleted before they were done": outcome.gone,
            "of other kinds ignored": outcome.passed_over,
        }
        console.say(line + "".join(f"; {number:,} {what}" for what, number in counts.items() if number))
        if outcome.failed or outcome.quarantined:
            console.complain(f"{outcome.failed:,} failed, {outcome.quarantined:,} quarantined: see the table")
        if outcome.stopped:
            console.complain("stopped by the switch: remove it, and run the same command again to continue")
        return DONE if outcome.is_good else FAILED


def _job(source: str, target: str, **settings: Any) -> Job:
    from ..bulk import Job

    return Job(source, target, **settings)


def _carry_out(
    work: Callable[[_Progress], Outcome], verb: str, as_json: bool, total: Callable[[], int] | None = None
) -> None:
    """Call the work, show its rows, and exit with its status."""
    console.quiet = as_json
    progress, outcomes = _Progress(verb, as_json), list["Outcome"]()

    def stopped() -> None:
        console.complain("stopped; run the same command again to continue")

    with ExitStack() as stack:
        # Ray prints what it has to say on stdout, where a program may be reading rows.
        stack.enter_context(redirect_stdout(sys.stderr))
        progress.show_bar(stack, total)
        stop_on_signals(lambda: outcomes.append(work(progress)), stopped, stack)
    raise typer.Exit(progress.summarise(outcomes[0]))


@app.command("run")
def run(
    source: Source,
    target: Target,
    include: Include = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="native (the default), quick, fast or best.")
    ] = None,
    device: options.Device = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Write nothing; estimate saving and time from a random sample.")
    ] = False,
    sample: Annotated[int, typer.Option(metavar="N", help="Files that --dry-run compresses.")] = 20,
    originals: Annotated[
        str, typer.Option(metavar="WHAT", help="keep, or move: those that are done, to .lic-originals in SOURCE.")
    ] = "keep",
    sha1: Annotated[bool, typer.Option("--sha1", help="Put SHA-1 in the table, too, which phones know.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try quarantined files again.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace targets that hold something else.")] = False,
    inventory: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Read this Parquet file of an S3 inventory in place of listing SOURCE."),
    ] = None,
    workers: Workers = 0,
    memory: Memory = 1 << 30,
    rate: Rate = 0,
    timeout: Timeout = TIMEOUT,
    engine: Annotated[str, typer.Option(metavar="NAME", help="local, or ray for several machines.")] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Ray cluster; without it, Ray runs on this machine.")
    ] = None,
    as_json: Json = False,
    max_pixels: options.MaxPixels = DEFAULT_LIMITS.max_pixels,
    max_input: options.MaxInput = DEFAULT_LIMITS.max_input_bytes,
) -> None:
    """Compress all JPEG files of a folder or bucket that are not done, each into NAME.lic in another.

    Each .lic file has been decoded and compared before it is written. What was done is in a table, TARGET/.lic-bulk:
    with it the same command continues after any interruption. A file that changes is done again. A file that can't be
    done is in the table with the reason; it is tried again by the next run if the storage was at fault, and with
    --retry if the file was. If TARGET/.lic-bulk/STOP exists, nothing more is compressed; reading is not affected.

    \b
    Examples:
      lic-native bulk run photos packed
      lic-native bulk run s3://photos s3://photos-lic --dry-run
      lic-native bulk run s3://photos s3://photos-lic --sha1 --rate 50M
    """
    from .. import bulk

    check_lossless(profile)
    job = _job(
        source, target, profile=profile, device=arguments.to_device(device), limits=Limits(max_pixels, max_input),
        sha1=sha1, max_rate=rate, force=force, timeout=timeout,
    )  # fmt: skip
    chosen: Any = {"patterns": include or bulk.PATTERNS, "retry": retry, "inventory": inventory or ()}
    if dry_run:
        _print_estimate(*bulk.estimate(job, **chosen, sample=sample, workers=workers), as_json)

    def work(watch: _Progress) -> Outcome:
        return bulk.run(
            job, **chosen, originals=originals, workers=workers, memory=memory, engine=engine, address=address,
            watch=watch,
        )  # fmt: skip

    _carry_out(work, "compressed", as_json, lambda: bulk.remaining(job, **chosen)[1])


def _print_estimate(estimate: Any, outcome: Outcome, as_json: bool) -> None:
    if as_json:
        console.out(json.dumps({"status": "estimate", **asdict(estimate), "passed_over": outcome.passed_over}))
    else:
        console.out(
            f"{console.file_count(estimate.files)} of {estimate.size:,} bytes left to do; "
            f"{outcome.finished_before:,} done already, {outcome.passed_over:,} of other kinds ignored"
        )
    if estimate.sampled and not as_json:
        console.out(
            f"by a sample of {estimate.sampled}: {estimate.saving_percent:.1f} % smaller (standard error "
            f"{estimate.saving_error_percent:.1f}), {estimate.seconds:,.0f} s here"
        )
    for problem in outcome.problems:
        console.complain(console.shown(problem))
    raise typer.Exit(FAILED if outcome.problems or outcome.failed else DONE)


@app.command("restore")
def restore(
    target: Target,
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="Folder or bucket for the restored files.")],
    include: Include = None,
    device: options.Device = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that hold something else.")] = False,
    workers: Workers = 0,
    memory: Memory = 1 << 30,
    rate: Rate = 0,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Restore the originals of all .lic files, with their times and modes, and compare SHA-256 with the table.

    What exists and is equal is skipped, so the same command continues after an interruption. If the table is lost, the
    files' own checksums are checked.
    """
    from .. import bulk

    job = _job(target, output, device=arguments.to_device(device), max_rate=rate, force=force, timeout=timeout)
    _carry_out(
        lambda watch: bulk.restore(job, patterns=include or ["*"], workers=workers, memory=memory, watch=watch),
        "restored",
        as_json,
    )


@app.command("verify")
def verify(
    target: Target,
    device: options.Device = None,
    workers: Workers = 0,
    memory: Memory = 1 << 30,
    rate: Rate = 0,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Decode every .lic file of the table, and compare it and its original's SHA-256 with the table. Write nothing."""
    from .. import bulk

    job = _job(target, target, device=arguments.to_device(device), max_rate=rate, timeout=timeout)
    _carry_out(lambda watch: bulk.verify(job, workers=workers, memory=memory, watch=watch), "good", as_json)


def _share(value: str) -> float:
    """Return a share from text such as 1% or 0.01. Raises typer.BadParameter."""
    number = str(value).strip()
    try:
        share = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{value!r} is no share; write for example 1% or 0.01")
    return share


@app.command("audit")
def audit(
    source: Source,
    target: Target,
    sample: Annotated[
        float, typer.Option(metavar="SHARE", parser=_share, show_default=False, help="Take a random share, e.g. 1%.")
    ] = 1.0,
    again: Annotated[bool, typer.Option("--again", help="Also take files that were audited before.")] = False,
    device: options.Device = None,
    workers: Workers = 0,
    memory: Memory = 1 << 30,
    rate: Rate = 0,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Restore originals in memory, compare them with the table and the originals that still exist, and note it.

    A file that fails is marked as damaged in the table: the next run compresses its original again.
    """
    from .. import bulk

    job = _job(source, target, device=arguments.to_device(device), max_rate=rate, timeout=timeout)
    _carry_out(
        lambda watch: bulk.audit(job, share=sample, again=again, workers=workers, memory=memory, watch=watch),
        "audited",
        as_json,
    )


@app.command("delete-originals")
def delete_originals(
    source: Source, target: Target, workers: Workers = 0, timeout: Timeout = TIMEOUT, as_json: Json = False
) -> None:
    """Delete the originals that an audit has restored from their .lic files, and that are unchanged since.

    This frees the space, and can't be undone. Originals that were moved aside are deleted, too.
    """
    from .. import bulk

    job = _job(source, target, timeout=timeout)
    _carry_out(lambda watch: bulk.delete_originals(job, workers=workers, watch=watch), "deleted", as_json)


@app.command("report")
def report(
    target: Target,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page with charts.")] = None,
    timeout: Timeout = TIMEOUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the table says: sums, saving by camera, quality and model, failures by reason."""
    from ..bulk import Table
    from ..bulk.report import page, summarise, text

    summary = summarise(Table(open_storage(target, timeout)).rows())
    if html is not None:
        with files.Output(html, overwrite=True) as output:
            output.commit(page(summary, target).encode())
    if as_json:
        console.out(json.dumps(asdict(summary)))
        return
    for line in text(summary):
        console.out(console.shown(line))
