"""The command `lic-native`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import LicError
from . import batch, console, evaluate, train
from .compress import compress
from .decompress import check_files, decompress
from .look import inspect, list_files

__all__ = ["app", "main"]

_STATUS = (
    "Exit status: 0 if all was done (or was done already), 1 if files failed: each is named in a line, and the rest "
    "is done; the last line says how many of how many. 2 if the command was used wrongly: nothing is done then. "
    "128 and the signal's number, as 130 after Ctrl-C, if it was stopped."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_STATUS,
)


def _version(wanted: bool) -> None:
    if wanted:
        console.out(f"lic-native {__version__}")
        raise typer.Exit


@app.callback()
def lic_native(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Make JPEG files a quarter smaller, and get the same bytes back.

    \b
    lic-native compress photo.jpg        makes photo.jpg.lic
    lic-native decompress photo.jpg.lic  makes photo.jpg again
    lic-native test photos               checks all .lic files of a folder
    """


for command, name in (
    (compress, None),
    (decompress, None),
    (check_files, "test"),
    (list_files, "list"),
    (inspect, None),
):
    app.command(name, epilog=_STATUS if command is not inspect else None)(command)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(train.app, name="train")


def main() -> NoReturn:
    """Run the command, and end the process: what can go wrong with files or arguments is one line."""
    console.take_streams()
    batch.take_signals()
    try:
        status = _status()
    except batch.Stopped as stopped:
        console.complain("stopped")
        batch.end(stopped.number)
    with suppress(AttributeError, OSError):  # It may be closed.
        sys.stderr.flush()
    sys.exit(status)


def _status() -> int:
    """Return the exit status of the command, whose output has been written."""
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
