"""The command `lic-native`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import LicError
from . import batch, bulk, console, evaluate, signals, train
from .compress import compress
from .decompress import check_files, decompress
from .look import inspect, list_files
from .serve import serve
from .thumbnail import thumbnail

__all__ = ["app", "main"]

_STATUS = (
    "Exit status: 0 if everything was done, now or before; 1 if files failed: a line names each, the last line counts "
    "them, and the other files were done; 2 if the command was used wrongly, and nothing was done; 128 plus the "
    "signal's number, such as 130 for Ctrl-C, if it was stopped."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_STATUS,
)


def _print_version(requested: bool) -> None:
    if requested:
        console.out(f"lic-native {__version__}")
        raise typer.Exit


@app.callback()
def lic_native(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version, and exit."),
    ] = False,
) -> None:
    """Make JPEG files a quarter smaller, and get the same bytes back.

    \b
    lic-native compress photo.jpg        makes photo.jpg.lic
    lic-native decompress photo.jpg.lic  makes photo.jpg again
    lic-native test photos               checks all .lic files of a folder
    """


app.command(epilog=_STATUS)(compress)
app.command(epilog=_STATUS)(decompress)
app.command("test", epilog=_STATUS)(check_files)
app.command("list", epilog=_STATUS)(list_files)
app.command()(inspect)
app.command()(thumbnail)
app.command()(serve)
app.add_typer(bulk.app, name="bulk")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(train.app, name="train")


def main() -> NoReturn:
    """Run the command, print an error as one line, and end the process."""
    console.take_streams()
    signals.take_signals()
    try:
        status = _status()
    except signals.Stopped as stopped:
        console.complain("stopped")
        signals.end(stopped.number)
    with suppress(AttributeError, OSError):  # stderr may be closed.
        sys.stderr.flush()
    sys.exit(status)


def _status() -> int:
    """Run the command, write its output, and return its exit status."""
    try:
        try:
            app()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        else:
            status = batch.DONE
        sys.stdout.flush()
        return status
    except (LicError, MemoryError, OSError) as error:
        console.complain(console.describe(error))
        return batch.FAILED
    except (TypeError, ValueError) as error:
        console.complain(console.describe(error))
        return batch.USAGE
