"""Options that several commands have."""

from __future__ import annotations

import re
from typing import Annotated

import typer

__all__ = [
    "Device",
    "DryRun",
    "FilesFrom",
    "Force",
    "Json",
    "Output",
    "Paths",
    "Quiet",
    "Remove",
    "Stdout",
    "Threads",
    "Verbose",
    "size",
    "size_option",
    "size_text",
]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size(given: str | int) -> int:
    """Return a number of bytes, or of pixels, as people write it: 1000, 64K, 64M, 64MiB, 2G; MB are millions."""
    text = str(given)  # a default comes as a number
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B?)", text.strip(), re.IGNORECASE)
    if not found:
        raise typer.BadParameter(f"{text!r} is no size; write for example 1000, 64K, 64M or 2G")
    number, unit, suffix = found[1], found[2].upper(), found[3].lower()
    factor = 10 ** (3 * " KMGT".index(unit)) if unit and suffix == "b" else _UNITS[unit]
    return int(float(number) * factor) if "." in number else int(number) * factor


def size_text(count: int) -> str:
    """Return a number of bytes or pixels as `size` takes it."""
    for unit in "TGMK":
        if count and count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)


def size_option(what: str, default: int) -> typer.models.OptionInfo:
    """Return the option of a limit."""
    option: typer.models.OptionInfo = typer.Option(
        metavar="SIZE", parser=size, show_default=False, help=f"{what} [default: {size_text(default)}]"
    )
    return option


Paths = Annotated[
    list[str] | None, typer.Argument(metavar="PATH", show_default=False, help="Files or folders; - is stdin.")
]
FilesFrom = Annotated[
    str | None,
    typer.Option("--files0-from", metavar="FILE", help="Also take the paths in this file, each ended by a NUL byte."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file, or a folder: for several files, or ended by a slash. - is stdout.",
    ),
]
Stdout = Annotated[bool, typer.Option("--stdout", "-c", help="Write to stdout, as -o - does.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do again what is done, and replace files that are there.")]
Remove = Annotated[
    bool,
    typer.Option(
        "--rm/--keep",
        " /-k",
        show_default=False,
        help="Remove each source once its result was read back; or keep it, as by default.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be done, and do nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but what failed.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print a line for each file, also of many, and tracebacks.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout: a line for each file, and one of sums.")]
Threads = Annotated[
    int,
    typer.Option(
        "--threads", "-j", metavar="N", show_default=False, help="Threads; 0, the default, is all that there are."
    ),
]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="Where networks run: cpu or cuda [default: cuda if there is one].")
]
