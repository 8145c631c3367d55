"""Options that several commands share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ..limits import DEFAULT_LIMITS

__all__ = [
    "Device",
    "DryRun",
    "FilesFrom",
    "Force",
    "Json",
    "MaxInput",
    "MaxOutput",
    "MaxPixels",
    "Output",
    "Paths",
    "Quiet",
    "Remove",
    "Stdout",
    "Threads",
    "Verbose",
    "size",
    "size_text",
]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def size(value: str | int) -> int:
    """Return a number of bytes or pixels from text such as 1000, 64K, 64M, 64MiB or 2G; MB means millions.

    Raises:
        typer.BadParameter: the text is not a size.
    """
    text = str(value)  # typer passes a default as a number.
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B?)", text.strip(), re.IGNORECASE)
    if not match:
        raise typer.BadParameter(f"{text!r} is not a size; write for example 1000, 64K, 64M or 2G")
    number, unit, suffix = match[1], match[2].upper(), match[3].lower()
    factor = 10 ** (3 * " KMGT".index(unit)) if unit and suffix == "b" else _UNITS[unit]
    return int(float(number) * factor) if "." in number else int(number) * factor


def size_text(count: int) -> str:
    """Return the shortest text that `size` reads as this number."""
    for unit in "TGMK":
        if count and count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)


def _size_option(text: str, default: int) -> typer.models.OptionInfo:
    """Return an option for a limit, with this help text."""
    option: typer.models.OptionInfo = typer.Option(
        metavar="SIZE", parser=size, show_default=False, help=f"{text} [default: {size_text(default)}]"
    )
    return option


Paths = Annotated[
    list[str] | None, typer.Argument(metavar="PATH", show_default=False, help="Files or folders; - is stdin.")
]
FilesFrom = Annotated[
    str | None,
    typer.Option("--files0-from", metavar="FILE", help="Read more paths from this file; a NUL byte ends each."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="File, or folder for several files or with a final /; - is stdout."
    ),
]
Stdout = Annotated[bool, typer.Option("--stdout", "-c", help="Write to stdout, like -o -.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Repeat finished work, and replace existing files.")]
Remove = Annotated[
    bool,
    typer.Option(
        "--rm/--keep", " /-k", show_default=False, help="Remove sources after verification; --keep is the default."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Print the files that would be written, and do nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print failures only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for every file, and tracebacks.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout: a line for each file, and a line of sums.")]
Threads = Annotated[
    int,
    typer.Option("--threads", "-j", metavar="N", show_default=False, help="Threads; 0, the default, means all cores."),
]
Device = Annotated[
    str | None, typer.Option(metavar="DEVICE", help="Where networks run: cpu or cuda [default: cuda if there is one].")
]
MaxPixels = Annotated[int, _size_option("Pixels that a file's pictures may have.", DEFAULT_LIMITS.max_pixels)]
MaxInput = Annotated[int, _size_option("Bytes that an input file may have.", DEFAULT_LIMITS.max_input_bytes)]
MaxOutput = Annotated[int, _size_option("Bytes that a restored file may have.", DEFAULT_LIMITS.max_output_bytes)]
