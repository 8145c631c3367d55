"""Peers that are commands: find them on the PATH, and call them through files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

__all__ = ["find_program", "through_files"]


def find_program(*names: str) -> str | None:
    """Return the path of the first of these commands that is on the PATH, or None."""
    found = next(filter(None, map(which, names)), None)
    return found and str(Path(found).absolute())


def through_files(command: list[str], source: str, target: str) -> Callable[[bytes], bytes]:
    """Return a function of bytes that runs a command in a folder of its own.

    command: reads the file `source` and writes the file `target`. Each call starts a process.
    """

    def convert(data: bytes) -> bytes:
        with TemporaryDirectory() as folder:
            Path(folder, source).write_bytes(data)
            subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            return Path(folder, target).read_bytes()

    return convert
