"""What the command prints: results on stdout, and all that it says on stderr."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .. import files

__all__ = [
    "bar_above",
    "complain",
    "describe",
    "flush_stdout",
    "on_terminal",
    "out",
    "quiet",
    "read_stdin",
    "say",
    "shown",
    "take_streams",
    "write_stdout",
]

#: The progress bar that is shown, if there is one: lines go above it.
_bar: Any = None
#: Whether nothing but failures is said.
quiet = False


class _Closed:
    """Stands for a stdout that was closed before the process began, so that nothing printed seems to have arrived."""

    encoding = "utf-8"

    def write(self, _: str) -> int:
        raise OSError(errno.EBADF, "it is closed", "stdout")

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def take_streams() -> None:
    """Make stdin, stdout and stderr safe to use: the numbers of closed ones must not go to files that are opened."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _Closed()
    elif hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files are not always text


def read_stdin(limits: Any) -> bytes:
    """Return all of stdin. Raises OSError or LimitExceededError."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed", "stdin")
    return files.read(sys.stdin.buffer, limits)


def write_stdout(data: bytes) -> None:
    """Write all bytes to stdout, or raise an OSError that names it."""
    if isinstance(sys.stdout, _Closed):
        sys.stdout.write("")
    try:
        with open(1, "wb", buffering=0, closefd=False) as file:
            files.write_all(file, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def flush_stdout() -> None:
    """Write what has been printed, or raise an OSError that names stdout."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would be tried again, and complained of, when Python ends.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise OSError(error.errno, error.strerror, "stdout") from error


def out(line: str) -> None:
    """Print a line of a result."""
    try:
        print(line)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def shown(name: object) -> str:
    """Return a file's name as it can be printed in one line, whatever characters it has."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(name))


def say(line: str) -> None:
    """Tell the user something, unless --quiet."""
    if not quiet:
        _print(line)


def complain(message: str) -> None:
    """Tell the user what went wrong."""
    _print(f"lic-native: {message}")


def _print(line: str) -> None:
    # A message that can't be shown must not end the work, and never goes to stdout.
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
    """Show a progress bar of rich, with what is said above it."""
    global _bar
    with bar:
        _bar = bar
        try:
            yield
        finally:
            _bar = None


def describe(error: BaseException, name: str | None = None) -> str:
    """Return an error as one line, which begins with the name of the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        where = error.filename if error.filename is not None else name
        text = error.strerror
        if isinstance(error, FileExistsError) and error.errno == errno.EEXIST and text == os.strerror(errno.EEXIST):
            text = "exists, and holds something else; --force replaces it"
    else:
        where, lines = name, (str(error) or type(error).__name__).splitlines()
        text = lines[0] if lines else type(error).__name__
    return shown(text if where is None else f"{os.fsdecode(where)}: {text}")
