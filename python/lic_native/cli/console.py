"""Output of the command: results on stdout, and messages on stderr."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from .. import files
from ..limits import Limits

__all__ = [
    "bar_above",
    "complain",
    "describe",
    "file_count",
    "on_terminal",
    "out",
    "quiet",
    "read_stdin",
    "say",
    "shown",
    "take_stdin",
    "take_streams",
    "write_stdout",
]

#: The progress bar that is shown, if there is one. Lines are printed above it.
_bar: Any = None
#: Whether only failures are reported.
quiet = False


class _Stdout(io.TextIOBase):
    """Text on stdout. Every byte is written, or an error is raised, even if stdout is closed or does not block.

    The errors have no errno, because typer ends silently after EPIPE.
    """

    encoding = "utf-8"

    def __init__(self, closed: bool, terminal: bool) -> None:
        self._is_closed, self._terminal, self._line = closed, terminal, ""

    def write(self, text: str) -> int:
        self._line += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        line, self._line = self._line, ""
        if line:
            self.write_content(line.encode("utf-8", "backslashreplace"))

    def write_content(self, content: files.Content) -> None:
        if self._is_closed:
            raise OSError("stdout: closed")
        try:
            with open(1, "wb", buffering=0, closefd=False) as file:
                files.write_content(file, content)
        except OSError as error:
            raise OSError(f"stdout: {error.strerror}") from error

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        return 1


def take_streams() -> None:
    """Make stdin, stdout and stderr safe to use. A file that is opened must not get the descriptor of a closed one."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _Stdout(sys.stdout is None, sys.stdout is not None and sys.stdout.isatty())


def read_stdin(limits: Limits) -> bytes:
    """Return all of stdin. Raises OSError or LimitExceededError."""
    with _stdin() as file:
        return files.read(file, limits)


def take_stdin(limits: Limits) -> files.Content:
    """Return all of stdin, as `files.take` does. Raises OSError or LimitExceededError."""
    with _stdin() as file:
        return files.take(file, limits)


def _stdin() -> IO[bytes]:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "closed", "stdin")
    return open(0, "rb", buffering=0, closefd=False)


def write_stdout(content: files.Content) -> None:
    """Write all bytes to stdout, or raise an OSError that names it."""
    if isinstance(sys.stdout, _Stdout):
        sys.stdout.write_content(content)
    else:  # A program called the command.
        files.write_content(sys.stdout.buffer, content)
        sys.stdout.flush()


def out(line: str) -> None:
    """Print a line of results. Raises OSError if it can't be written."""
    print(line)


def shown(name: object) -> str:
    """Return a file's name in one line, with unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(name))


def say(line: str) -> None:
    """Print a message on stderr, unless `quiet`."""
    if not quiet:
        _print(line)


def complain(message: str) -> None:
    """Print an error message on stderr."""
    _print(f"lic-native: {message}")


def _print(line: str) -> None:
    # A message that can't be shown must not end the work.
    with suppress(OSError, ValueError, AttributeError):
        if _bar is not None:
            _bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def bar_above(bar: Any) -> Iterator[None]:
    """Show a progress bar of rich, and print messages above it."""
    global _bar
    with bar:
        _bar = bar
        try:
            yield
        finally:
            _bar = None


def describe(error: BaseException, name: str | None = None) -> str:
    """Return an error as one line that begins with the name of its file, or with `name`."""
    if isinstance(error, OSError) and error.strerror:
        file = error.filename if error.filename is not None else name
        text = error.strerror
    else:
        file, lines = name, (str(error) or type(error).__name__).splitlines()
        text = lines[0] if lines else type(error).__name__
    return shown(text if file is None else f"{os.fsdecode(file)}: {text}")


def file_count(number: int) -> str:
    """Return a number of files as text: "1 file", "2 files"."""
    return f"{number} file" if number == 1 else f"{number} files"
