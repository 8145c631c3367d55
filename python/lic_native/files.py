"""Reading of files within a limit, and writing of files that are complete or absent."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

from . import _native
from .arguments import check_flag
from .limits import DEFAULT_LIMITS, Limits

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Busy",
    "Content",
    "File",
    "Output",
    "discard_unfinished",
    "head",
    "held",
    "holds",
    "read",
    "size",
    "take",
    "temporary",
    "transform",
    "whole",
    "write_content",
]

#: A path, or a file object that is open for bytes.
File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"

#: The content of a file: bytes, or a temporary file for content that does not fit the memory.
Content: TypeAlias = "bytes | IO[bytes]"

#: Bytes to read at a time if the size of a file is unknown.
CHUNK = 1 << 20
#: Bytes of a content that are kept in memory, if it may be a temporary file.
IN_MEMORY = 1 << 26

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
    chunks = list(_pieces(source, limits, at_once=True))
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def take(source: File, limits: Limits = DEFAULT_LIMITS) -> Content:
    """Return a file's content: as a temporary file if it is longer than `IN_MEMORY`. Raises as `read` does."""
    pieces, chunks, length = _pieces(source, limits), list[bytes](), 0
    for piece in pieces:
        chunks.append(piece)
        length += len(piece)
        if length > IN_MEMORY:
            break
    else:
        return b"".join(chunks)

    def fill(spool: IO[bytes]) -> None:
        while chunks:
            spool.write(chunks.pop(0))
        for piece in pieces:
            spool.write(piece)

    return temporary(fill)


def temporary(fill: Callable[[IO[bytes]], object]) -> IO[bytes]:
    """Return a new file without a name, which `fill` has written. It is gone when it is closed."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(prefix=".lic-"))
        fill(file)
        file.seek(0)
        stack.pop_all()
    return file


@contextmanager
def held(content: Content) -> Iterator[Content]:
    """Close a content that is a file at the end of the block."""
    try:
        yield content
    finally:
        if not isinstance(content, bytes):
            content.close()


def head(content: Content, count: int) -> bytes:
    """Return the first bytes of a content."""
    if isinstance(content, bytes):
        return content[:count]
    content.seek(0)
    first = content.read(count)
    content.seek(0)
    return first


def size(content: Content) -> int:
    """Return the number of bytes of a content."""
    if isinstance(content, bytes):
        return len(content)
    return os.fstat(content.fileno()).st_size


def whole(content: Content) -> bytes:
    """Return all bytes of a content."""
    if isinstance(content, bytes):
        return content
    content.seek(0)
    return content.read()


def holds(path: str | os.PathLike[str], content: Content) -> bool:
    """Return whether a file has this content."""
    expected = io.BytesIO(content) if isinstance(content, bytes) else content
    expected.seek(0)
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            if piece != expected.read(len(piece)):
                return False
    return not expected.read(1)


def _pieces(source: File, limits: Limits, at_once: bool = False) -> Iterator[bytes]:
    """Yield the content of a file. at_once: ask for all of a file whose size is known."""
    if not isinstance(source, str | os.PathLike):
        yield from _pieces_of(source, CHUNK, limits)
        return
    with open(source, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            limits.check_input(status.st_size)
        chunk = max(status.st_size + 1, CHUNK) if at_once else CHUNK
        pieces = _pieces_of(file, chunk, limits)
        while True:
            try:
                piece = next(pieces, None)
            except OSError as error:
                raise _named(error, source) from error
            if piece is None:
                return
            yield piece


def _pieces_of(file: IO[bytes], chunk: int, limits: Limits) -> Iterator[bytes]:
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
        left -= len(part)
        yield part
    limits.check_input(limits.max_input_bytes + 1 - left)


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
        data: Content,
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
                    write_content(device, data)
                return
            with open(self._descriptor, "wb", buffering=0, closefd=False) as file:
                write_content(file, data)
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


def write_content(file: IO[bytes], content: Content) -> None:
    """Write a whole content, as `write_all` does."""
    if isinstance(content, bytes):
        write_all(file, content)
        return
    content.seek(0)
    while piece := content.read(CHUNK):
        write_all(file, piece)


def transform(
    work: Callable[[Any], Content],
    source: File,
    target: File,
    *,
    overwrite: bool = False,
    limits: Limits,
    spooled: bool = False,
) -> None:
    """Read a source, and write the result of `work` on its content to a target.

    A target path is written completely or not at all, and gets the times and the mode of a source path.

    Args:
        work: takes bytes, or any content if `spooled`.

    Raises:
        FileExistsError: the target exists, and `overwrite` is false; or the target is the source.
        LimitExceededError, OSError, TypeError: the source can't be read, as for `read`.
        Exception: any exception of `work`.
    """
    check_flag(overwrite, "overwrite")
    get = take if spooled else read
    for name, file, method in (("source", source, "read"), ("target", target, "write")):
        if not isinstance(file, str | os.PathLike) and not hasattr(file, method):
            raise TypeError(f"{name} must be a path or a binary file object, not {type(file).__name__}")
    path = source if isinstance(source, str | os.PathLike) else None
    if not isinstance(target, str | os.PathLike):
        stream: Any = target
        with held(get(source, limits)) as content, held(work(content)) as result:
            write_content(stream, result)
        if hasattr(stream, "flush"):
            stream.flush()
        return
    if path is not None and os.path.exists(target) and os.path.samefile(path, target):
        raise FileExistsError(errno.EEXIST, "is the source itself", os.fspath(target))
    # Read first, so that an unreadable source leaves no folder for the target.
    with held(get(source, limits)) as content, Output(target, overwrite) as output, held(work(content)) as result:
        output.commit(result, like=path)
