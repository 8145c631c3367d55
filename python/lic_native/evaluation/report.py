"""Tables that are printed, and files that are written."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["PLOT_SUFFIXES", "check_files", "check_packages", "check_plot", "markdown", "write_csv"]

#: Kinds of pictures that every installation of matplotlib can write.
PLOT_SUFFIXES = (".png", ".svg")


def markdown(head: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. `align` has a letter for each column: l for left, r for right."""
    rules = "|".join({"l": "---", "r": "---:"}[letter] for letter in align)
    return "\n".join([f"| {' | '.join(head)} |", f"|{rules}|", *(f"| {' | '.join(row)} |" for row in rows)])


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def check_files(*files: Path | None) -> None:
    """Raise OSError, which names the file, if one of the files can't be written."""
    for file in filter(None, files):
        folder = file.parent
        if not folder.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not os.access(file if file.exists() else folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))


def check_plot(file: Path | None) -> None:
    """Raise an error if a picture can't be written to a file: ValueError for its suffix or for want of matplotlib."""
    check_files(file)
    if file and file.suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(f"{file} must end in one of {', '.join(PLOT_SUFFIXES)}")
    if file:
        check_packages("matplotlib")


def check_packages(*packages: str) -> None:
    """Raise ValueError, which says how to install them, if packages are missing."""
    if missing := [package for package in packages if not find_spec(package.replace("-", "_"))]:
        raise ValueError(f"install what is missing: pip install {' '.join(missing)}")
