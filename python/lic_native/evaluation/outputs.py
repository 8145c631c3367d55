"""The files that an evaluation writes: what can't be written is refused before anything is measured."""

from __future__ import annotations

import errno
import os
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PLOT_SUFFIXES", "check_files", "check_plot"]

#: Of pictures that matplotlib writes everywhere.
PLOT_SUFFIXES = (".png", ".svg")


def check_files(*files: Path | None) -> None:
    """Raise OSError, which names the file, if one of them can't be written. None is no file."""
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
    """Raise ValueError if matplotlib is not there to draw a picture, or it is of another kind. None is no picture."""
    if file and file.suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(f"{file} is none of {', '.join(PLOT_SUFFIXES)}")
    if file and not find_spec("matplotlib"):
        raise ValueError("--plot needs matplotlib: pip install matplotlib")
