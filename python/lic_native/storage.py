"""Folders and buckets behind one interface: listing, reading of whole objects and of parts, and atomic writing.

Buckets need `obstore`. It takes credentials from the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import files
from .errors import UnsupportedError
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["PRIVATE", "SCHEMES", "Bucket", "Changed", "Entry", "Folder", "Storage", "open_storage"]

#: Names that begin so are ours: unfinished files, the table of a job, originals that were moved aside.
PRIVATE = ".lic-"
#: Schemes of URLs of buckets.
SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
#: Seconds without a byte after which a request to a bucket fails.
TIMEOUT = 60.0
#: How often a request to a bucket is repeated, if the server answers 5xx or the connection breaks.
RETRIES = 5


class Changed(OSError):
    """Raised for an object that is no longer the one that was listed."""

    def __init__(self, key: str) -> None:
        super().__init__(errno.ESTALE, "has changed since it was listed", key)


@dataclass(frozen=True)
class Entry:
    """An object of a storage.

    key: its name, with `/` between folders.
    size: bytes.
    version: text that changes with the content: a bucket's ETag, or the size and time of a file.
    mtime_ns: time of the last change, in nanoseconds since 1970.
    mode: permissions of a file.
    """

    key: str
    size: int
    version: str
    mtime_ns: int
    mode: int | None = None


class Storage(Protocol):
    """A folder or a bucket. All methods may be called by several threads, and raise OSError.

    A key that could lead out of the storage is a ValueError.
    """

    @property
    def url(self) -> str:
        """Return the text that `open_storage` takes."""
        ...

    def check(self) -> None:
        """Raise FileNotFoundError for a folder that is missing. As a target, it is an empty one."""
        ...

    def list(self, prefix: str = "", problem: Callable[[OSError], None] | None = None) -> Iterator[Entry]:
        """Yield all objects below a folder of keys, without our own private ones unless `prefix` leads to them.

        problem: called for what can't be listed; by default the error is raised.
        """
        ...

    def head(self, key: str) -> Entry | None:
        """Return an object's description, or None if there is no such object."""
        ...

    def read(self, key: str, limits: Limits = DEFAULT_LIMITS, version: str | None = None) -> bytes:
        """Return a whole object.

        Raises:
            Changed: the object is not of this version, or changes while it is read.
            LimitExceededError: it is longer than `limits.max_input_bytes`.
        """
        ...

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start` on; fewer only at the end of the object."""
        ...

    def write(self, key: str, data: bytes, like: Entry | None = None, notes: Mapping[str, str] | None = None) -> None:
        """Write an object completely or not at all, replacing an earlier one.

        like: entry whose time and mode a file gets.
        notes: text that a bucket keeps beside the object; a folder has no place for it.
        """
        ...

    def notes(self, key: str) -> dict[str, str]:
        """Return the notes of an object."""
        ...

    def move(self, key: str, to: str) -> None:
        """Rename an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object."""
        ...


def open_storage(url: str | os.PathLike[str], timeout: float = TIMEOUT) -> Storage:
    """Return the storage of a path or a URL such as `s3://bucket/prefix`.

    Args:
        url: a folder's path, or a bucket's URL.
        timeout: seconds without a byte after which a request to a bucket fails.

    Raises:
        UnsupportedError: obstore, which buckets need, is not installed.
        ValueError: there is no such scheme, or the URL contains a password.
    """
    text = os.fspath(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Folder(text)
    if scheme == "file":
        return Folder(rest)
    if scheme not in SCHEMES:
        raise ValueError(f"no storage has URLs of {scheme}: name a folder, or {', '.join(f'{s}://' for s in SCHEMES)}")
    if "@" in rest.partition("/")[0] and not scheme.startswith("abfs"):
        raise ValueError("a URL must not contain credentials: they come from the environment")
    return Bucket(text, timeout)


class Folder:
    """A local folder. Links are passed over, so that no key leads out of it."""

    def __init__(self, path: str) -> None:
        self.root = Path(path)

    @property
    def url(self) -> str:
        """Return its path."""
        return str(self.root)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise ValueError(f"{key!r} is no name of a file in a folder")
        path = self.root.joinpath(*parts)
        if os.name == "nt" and (path.drive != self.root.drive or any(set(part) & set('\\:*?"<>|') for part in parts)):
            raise ValueError(f"{key!r} is no name of a file in a folder")
        # A link inside the folder may lead elsewhere.
        if path.is_symlink() or not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise ValueError(f"{key!r} is a link, or below one that leads out of the folder")
        return path

    def check(self) -> None:
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "is no folder", str(self.root))

    def list(self, prefix: str = "", problem: Callable[[OSError], None] | None = None) -> Iterator[Entry]:
        def failed(error: OSError) -> None:
            if problem is None:
                raise error
            problem(error)

        top = self._path(prefix) if prefix else self.root
        if not os.path.lexists(top):
            return
        for parent, folders, names in os.walk(top, onerror=failed):
            folders[:] = sorted(name for name in folders if not name.startswith(PRIVATE))
            for name in sorted(names):
                if name.startswith(PRIVATE):
                    continue
                path = Path(parent, name)
                try:
                    status = path.lstat()
                    path.name.encode()
                except FileNotFoundError:  # It has been removed meanwhile.
                    continue
                except UnicodeError:
                    failed(OSError(errno.EILSEQ, "its name is not UTF-8", str(path)))
                    continue
                except OSError as error:
                    failed(error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield _entry(path.relative_to(self.root).as_posix(), status)

    def head(self, key: str) -> Entry | None:
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _entry(key, status) if stat.S_ISREG(status.st_mode) else None

    def read(self, key: str, limits: Limits = DEFAULT_LIMITS, version: str | None = None) -> bytes:
        path = self._path(key)
        before = _entry(key, path.stat())
        if version not in (None, before.version):
            raise Changed(key)
        data = files.read(path, limits)
        if len(data) != before.size or _entry(key, path.stat()) != before:
            raise Changed(key)
        return data

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with self._path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def write(self, key: str, data: bytes, like: Entry | None = None, notes: Mapping[str, str] | None = None) -> None:
        with files.Output(self._path(key), overwrite=True) as output:
            output.commit(data, mtime_ns=like.mtime_ns if like else None, mode=like.mode if like else None)

    def notes(self, key: str) -> dict[str, str]:
        return {}

    def move(self, key: str, to: str) -> None:
        target = self._path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path(key).replace(target)

    def delete(self, key: str) -> None:
        self._path(key).unlink()


def _entry(key: str, status: os.stat_result) -> Entry:
    version = f"{status.st_size}-{status.st_mtime_ns}"
    return Entry(key, status.st_size, version, status.st_mtime_ns, stat.S_IMODE(status.st_mode))


class Bucket:
    """A bucket, or the part of it with a prefix."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        try:
            import obstore.store
        except ImportError as error:
            message = "buckets need obstore: pip install 'lic-native[bulk]'"
            raise UnsupportedError(message) from error
        from datetime import timedelta

        self._url, self._obstore = url, obstore
        allow_http = any(os.environ.get(f"{name}_ALLOW_HTTP", "").lower() in ("1", "true") for name in _CLOUDS)
        with _named(url):
            self._store: Any = obstore.store.from_url(
                url,
                client_options={
                    "allow_http": allow_http,
                    "connect_timeout": timedelta(seconds=min(timeout, 10)),
                    "read_timeout": timedelta(seconds=timeout),
                    "timeout": timedelta(hours=1),
                },
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=3 * timeout)},
            )

    @property
    def url(self) -> str:
        """Return its URL."""
        return self._url

    def check(self) -> None:
        pass  # A listing fails, too.

    def list(self, prefix: str = "", problem: Callable[[OSError], None] | None = None) -> Iterator[Entry]:
        with _named(self._url):
            for batch in self._obstore.list(self._store, prefix or None):
                for meta in batch:
                    rest = meta["path"][len(prefix) :]
                    if not any(part.startswith(PRIVATE) for part in rest.split("/")):
                        yield _described(meta)

    def head(self, key: str) -> Entry | None:
        try:
            with _named(key):
                return _described(self._obstore.head(self._store, key))
        except FileNotFoundError:
            return None

    def read(self, key: str, limits: Limits = DEFAULT_LIMITS, version: str | None = None) -> bytes:
        with _named(key):
            result = self._obstore.get(self._store, key, options={"if_match": version} if version else None)
            size = result.meta["size"]
            limits.check_input(size)
            data = bytes(result.bytes())
        if len(data) != size:
            raise OSError(errno.EIO, f"{len(data)} of {size} bytes arrived", key)
        return data

    def read_range(self, key: str, start: int, length: int) -> bytes:
        with _named(key):
            try:
                return bytes(self._obstore.get_range(self._store, key, start=start, length=length))
            except self._obstore.exceptions.GenericError:
                # The range may begin after the end, which servers refuse.
                if self._obstore.head(self._store, key)["size"] <= start:
                    return b""
                raise

    def write(self, key: str, data: bytes, like: Entry | None = None, notes: Mapping[str, str] | None = None) -> None:
        with _named(key):
            # One request, so that the object is complete or absent, and its ETag is that of the content.
            self._obstore.put(self._store, key, data, attributes=dict(notes or {}), use_multipart=False)

    def notes(self, key: str) -> dict[str, str]:
        with _named(key):
            return dict(self._obstore.get(self._store, key, options={"head": True}).attributes)

    def move(self, key: str, to: str) -> None:
        with _named(key):
            self._obstore.rename(self._store, key, to)

    def delete(self, key: str) -> None:
        with _named(key):
            self._obstore.delete(self._store, key)


#: Beginnings of the environment variables of the clouds.
_CLOUDS = ("AWS", "AZURE", "GOOGLE")


def _described(meta: Any) -> Entry:
    mtime_ns = round(meta["last_modified"].timestamp() * 1e9)
    return Entry(meta["path"], meta["size"], meta["e_tag"] or f"{meta['size']}-{mtime_ns}", mtime_ns)


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Turn an error of obstore into an OSError of one line, which names the key and holds no credentials."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object", key) from None
    except exceptions.PreconditionError:
        raise Changed(key) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError):
        raise PermissionError(errno.EACCES, "the bucket refuses the credentials", key) from None
    except exceptions.BaseError as error:
        raise OSError(errno.EIO, _redacted(str(error)), key) from None


def _redacted(message: str) -> str:
    """Return the first line of a message, without the queries of URLs, which may be signatures."""
    line = (message.strip().splitlines() or ["unknown error"])[0]
    return re.sub(r"\?[^\s\"')]+", "?...", line)[:300]
