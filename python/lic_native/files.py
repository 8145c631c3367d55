"""Reading of whole files within a limit, and writing of files that are complete or absent."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

from . import _native
from .limits import DEFAULT_LIMITS, Limits

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Busy", "File", "Output", "discard_unfinished", "read", "transform"]

#: A path, or a file object that is open for bytes.
File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"

#: Bytes to read at a time if the size of a file is unknown.
CHUNK = 1 << 20

#: Files that are being written, under their temporary names.
_unfinished: set[Path] = set()
_lock = threading.Lock()


class Busy(Exception):
    """Raised for a file that another process or thread is writing."""


def read(source: File, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return a file's content.

    At most one byte more than the limit is read, so that a pipe or a device can't fill the memory.

    Raises:
        LimitExceededError: the file is longer than `limits.max_input_bytes`.
        OSError: the file can't be read.
        TypeError: a file object is open for text.
    """
    if not isinstance(source, str | os.PathLike):
        return _read(source, CHUNK, limits)
    with open(source, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            limits.check_input(status.st_size)
        try:
            return _read(file, max(status.st_size + 1, CHUNK), limits)
        except OSError as error:
            raise _named(error, source) from error


def _read(file: IO[bytes], chunk: int, limits: Limits) -> bytes:
    chunks: list[bytes] = []
    left = limits.max_input_bytes + 1
    while left > 0:
        part = file.read(min(chunk, left))
        if part is None:
            _wait_for(file, write=False)
            continue
        if not isinstance(part, bytes):
            raise TypeError(f"source must be open for bytes, not for {type(part).__name__}: mode 'rb'")
        if not part:
            break
        chunks.append(part)
        left -= len(part)
    limits.check_input(limits.max_input_bytes + 1 - left)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _wait_for(file: IO[bytes], write: bool) -> None:
    """Wait until a non-blocking file has bytes, or takes some. Raises BlockingIOError if it has no descriptor."""
    try:
        descriptor = file.fileno()
    except (AttributeError, OSError):
        raise BlockingIOError(errno.EAGAIN, "does not block, and has no descriptor to wait for") from None
    select.select([] if write else [descriptor], [descriptor] if write else [], [])


class Output:
    """A file that is written completely or not at all: a context, in which `commit` writes the file.

    A new file gets its name when it is complete and on the disk. Links are followed; devices and FIFOs are written
    into. Only one output of a path can be open at a time, in all processes.

    Args:
        path: path of the file. Missing folders above it are created.
        overwrite: whether an existing file may be replaced.

    Raises:
        Busy: another output of this path is open.
        FileExistsError: the file exists, and `overwrite` is false.
        OSError: the file can't be written.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path, self._overwrite = Path(path), overwrite
        self._is_folder = os.fspath(path).endswith(("/", os.sep))
        self._stream = _stream_number(os.fspath(path))
        self._real, self._part, self._descriptor = self.path, Path(), -1
        #: Whether the file is a device or a FIFO, which has no content that could be replaced.
        self.special = False

    def __enter__(self) -> Output:
        try:
            self._open()
        except OSError as error:
            raise _named(error, self.path) from error
        return self

    def check(self) -> None:
        """Raise the errors of entering the context that can be found without creating anything."""
        try:
            self._check()
        except OSError as error:
            raise _named(error, self.path) from error

    def _open(self) -> None:
        self._check()
        if not self.special:
            if self.path.is_symlink():
                self._real = Path(os.path.realpath(self.path))
            self._real.parent.mkdir(parents=True, exist_ok=True)
            self._claim()

    def _check(self) -> None:
        if self._stream is not None:
            self.special = True
            return
        if self._is_folder:
            raise IsADirectoryError(errno.EISDIR, "names a folder: name a file")
        try:
            mode = os.stat(self.path).st_mode
        except FileNotFoundError:
            mode = 0
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        self.special = bool(mode) and not stat.S_ISREG(mode)
        # A block device counts as existing: writing would destroy its content.
        has_content = os.path.lexists(self.path) and not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode))
        if has_content and not self._overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _claim(self) -> None:
        """Create and lock the temporary file. Its name depends on the file's name alone, so runs share the lock."""
        name = _native.fingerprint(os.fsencode(self._real.name))
        self._part = self._real.with_name(f".lic-{name:016x}")
        while True:
            try:
                descriptor, made = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
            except FileExistsError:
                # Another run is writing it, or was killed and left it.
                try:
                    descriptor, made = os.open(self._part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)), False
                except FileNotFoundError:
                    continue
            locked = _try_lock(descriptor)
            if locked is None:
                # Without locks two runs may do the work twice, so each needs a temporary file of its own.
                if made:
                    self._part.unlink()
                os.close(descriptor)
                self._part = self._real.with_name(f".lic-{os.getpid()}-{threading.get_ident()}")
                descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
                break
            if not locked:
                os.close(descriptor)
                raise Busy(f"{self.path}: another run is writing it")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self._part)):
                    if made:
                        break
                    self._part.unlink()
            os.close(descriptor)
        self._descriptor = descriptor
        with _lock:
            _unfinished.add(self._part)

    def commit(
        self,
        data: bytes,
        like: str | os.PathLike[str] | None = None,
        mtime_ns: int | None = None,
        mode: int | None = None,
    ) -> None:
        """Write all bytes, and give the file its name.

        The bytes are on the disk when this returns, so the original can be deleted.

        Args:
            data: the file's content.
            like: file whose times, mode and, if permitted, owner the new file gets.
            mtime_ns, mode: the time, in nanoseconds since 1970, and the permissions that the new file gets.

        Raises:
            FileExistsError: the file was created by another process meanwhile, and may not be replaced.
            OSError: the file can't be written; its name is in the error.
        """
        try:
            if self.special:
                descriptor = os.open(self.path, os.O_WRONLY) if self._stream is None else os.dup(self._stream)
                with open(descriptor, "wb", buffering=0) as device:
                    write_all(device, data)
                return
            with open(self._descriptor, "wb", buffering=0, closefd=False) as file:
                write_all(file, data)
            os.fsync(self._descriptor)
            if like is not None and os.path.isfile(like):
                _copy_status(like, self._part)
            if mtime_ns is not None:
                os.utime(self._part, ns=(mtime_ns, mtime_ns))
            if mode is not None:
                os.chmod(self._part, mode & 0o777)
            self._publish()
        except OSError as error:
            raise _named(error, self.path) from error

    def _publish(self) -> None:
        if self._overwrite:
            self._part.replace(self._real)
        else:
            try:
                # Unlike a rename, a link never replaces a file that was created meanwhile.
                os.link(self._part, self._real)
            except FileExistsError:
                raise
            except OSError:  # The file system has no links.
                if os.path.lexists(self._real):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
                self._part.replace(self._real)
        with suppress(OSError):  # Not every system can open folders.
            folder = os.open(self._real.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            self._part.unlink(missing_ok=True)
            os.close(self._descriptor)
            with _lock:
                _unfinished.discard(self._part)


def _stream_number(path: str | bytes) -> int | None:
    """Return the descriptor of this process that a path names, or None.

    Opening such a path again would write from the start of the file.
    """
    path = os.fsdecode(path)
    if path in ("/dev/stdout", "/dev/stderr"):
        return 1 if path == "/dev/stdout" else 2
    match = re.fullmatch(r"(?:/dev/fd|/proc/self/fd)/(\d+)", path)
    return int(match[1]) if match else None


def _try_lock(descriptor: int) -> bool | None:
    """Return whether the lock of a file was free and is now held, or None if the system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _copy_status(source: str | os.PathLike[str], target: Path) -> None:
    status = os.stat(source)
    if hasattr(os, "chown"):
        with suppress(OSError):  # Only root may change the owner.
            os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def _named(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """Return an error that names the caller's path, not a temporary file."""
    if error.errno is None:
        return error
    return OSError(error.errno, error.strerror, os.fspath(path))


def discard_unfinished() -> None:
    """Remove the temporary files of all outputs. Call this before a process ends without unwinding its threads."""
    with _lock:
        for part in _unfinished:
            with suppress(OSError):
                part.unlink()


def write_all(file: IO[bytes], data: bytes) -> None:
    """Write all bytes, also to an unbuffered file, which may take only some at a time, or none until later."""
    view = memoryview(data)
    while len(view):
        try:
            written = file.write(view)
        except BlockingIOError as error:  # The buffer of a buffered file is full.
            written = error.characters_written
            _wait_for(file, write=True)
        else:
            if written is None and isinstance(file, io.RawIOBase):
                _wait_for(file, write=True)
                continue
            if written is None:  # Other objects that return no number have taken all bytes.
                return
            if not written:
                raise OSError(errno.EIO, "takes no more bytes")
        view = view[written:]


def transform(
    work: Callable[[bytes], bytes], source: File, target: File, *, overwrite: bool = False, limits: Limits
) -> None:
    """Read a source, and write the result of `work` on its content to a target.

    A target path is written completely or not at all, and gets the times and the mode of a source path.

    Raises:
        FileExistsError: the target exists, and `overwrite` is false; or the target is the source.
        LimitExceededError, OSError, TypeError: the source can't be read, as for `read`.
        Exception: any exception of `work`.
    """
    if not isinstance(overwrite, bool):
        raise TypeError(f"overwrite must be True or False, not {type(overwrite).__name__}")
    for name, file, method in (("source", source, "read"), ("target", target, "write")):
        if not isinstance(file, str | os.PathLike) and not hasattr(file, method):
            raise TypeError(f"{name} must be a path or a binary file object, not {type(file).__name__}")
    path = source if isinstance(source, str | os.PathLike) else None
    if not isinstance(target, str | os.PathLike):
        stream: Any = target
        write_all(stream, work(read(source, limits)))
        if hasattr(stream, "flush"):
            stream.flush()
        return
    if path is not None and os.path.exists(target) and os.path.samefile(path, target):
        raise FileExistsError(errno.EEXIST, "is the source itself", os.fspath(target))
    # Read first, so that an unreadable source leaves no folder for the target.
    data = read(source, limits)
    with Output(target, overwrite) as output:
        output.commit(work(data), like=path)
