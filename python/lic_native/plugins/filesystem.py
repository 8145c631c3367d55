"""A filesystem for fsspec that shows `.lic` files as the files that they restore.

    fsspec.open("lic::s3://bucket/photo.jpg")      # the bucket has photo.jpg.lic

fsspec finds it by its entry point: nothing of lic_native need be imported.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import fsspec
from fsspec.implementations.chained import ChainedFileSystem

from .. import _native, jpeg
from ..errors import LicError
from ..inspection import kind
from ..limits import DEFAULT_LIMITS, Limits
from ..storage import PRIVATE
from ..suffixes import JPEG_SUFFIXES

__all__ = ["LicFileSystem"]

SUFFIX = ".lic"


class LicFileSystem(ChainedFileSystem):
    """Files of another filesystem, the `.lic` files among them as the files that they restore. It can't be written to.

    `photo.jpg` is read from `photo.jpg.lic`, or from `photo.lic`, or else it is the target's own file of this name, as
    files of other kinds are. Files that hold an image with loss restore no file, and keep their names. A file is
    restored, and its checksum verified, each time it is opened.

    Args:
        fo: ignored; the path of a chained URL.
        target_protocol, target_options: the filesystem of the files, as fsspec passes it for a chained URL.
        fs: the filesystem of the files, in place of its protocol.
        max_pixels, max_input_bytes, max_output_bytes: as in `lic_native.Limits`.
        threads: for each file, as in `lic_native.jpeg.decompress`.

    Raises:
        ValueError: there is no target: the URL must look like lic::s3://bucket/photo.jpg.
    """

    protocol = "lic"

    def __init__(
        self,
        fo: str | None = None,
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        fs: Any = None,
        max_pixels: int = DEFAULT_LIMITS.max_pixels,
        max_input_bytes: int = DEFAULT_LIMITS.max_input_bytes,
        max_output_bytes: int = DEFAULT_LIMITS.max_output_bytes,
        threads: int = 1,
        **storage_options: Any,
    ) -> None:
        super().__init__(**storage_options)
        if fs is None and target_protocol is None:
            raise ValueError("lic:// needs the filesystem of the files: lic::s3://bucket/photo.jpg, lic::/photo.jpg")
        self.fs = fsspec.filesystem(target_protocol, **(target_options or {})) if fs is None else fs
        self._limits, self._threads = Limits(max_pixels, max_input_bytes, max_output_bytes), threads
        #: fsspec calls this method of the class to take a URL apart, and that of an object for its paths.
        self._strip_protocol: Callable[[Any], Any] = self._target_path

    def _target_path(self, path: Any) -> Any:
        """Return a path, or each of a list, as the target has it."""
        if isinstance(path, list):
            return [self._target_path(one) for one in path]
        text = os.fspath(path)
        return self.fs._strip_protocol(text.removeprefix("lic::").removeprefix("lic://"))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return the entries of a folder. Reads the first bytes of each `.lic` file, for the original's length."""
        path = self._strip_protocol(path)
        try:
            listed = self.fs.ls(path, detail=True, **kwargs)
        except (FileNotFoundError, NotADirectoryError):
            entries = [self.info(path)]
        else:
            entries = self._shown(listed)
        return entries if detail else [entry["name"] for entry in entries]

    def _shown(self, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return a listing of the target as the user sees it, by name. A damaged `.lic` file has the size None."""
        listed = [entry for entry in listed if not _last(entry["name"]).startswith(PRIVATE)]
        packed = [entry["name"] for entry in listed if _is_packed(entry)]
        heads = self.fs.cat_ranges(packed, 0, jpeg.HEAD_BYTES, on_error="return") if packed else []
        by_name = dict(zip(packed, heads, strict=True))

        def entry_of(entry: dict[str, Any]) -> dict[str, Any]:
            if (head := by_name.get(entry["name"])) is None:
                return entry
            try:
                if isinstance(head, Exception):
                    raise head
                return _entry(entry, head)
            except (LicError, OSError):
                return {"name": entry["name"].removesuffix(SUFFIX), "size": None, "type": "file", "target": entry}

        # Of equal names the last one counts: the order is that of `_names`, from its end.
        listed.sort(key=lambda entry: (_is_packed(entry), _has_suffix(entry["name"])))
        shown = {entry["name"]: entry for entry in map(entry_of, listed)}
        return [shown[name] for name in sorted(shown)]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Return name, size and type of a file, and what the target says of its `.lic` file as "target".

        The size is that of the restored file, from the first bytes of the `.lic` file.

        Raises:
            FileNotFoundError: there is no such file.
            LicError: the `.lic` file is damaged.
        """
        path = self._strip_protocol(path)
        for found, is_packed in self._found(path, **kwargs):
            if not is_packed:
                return found
            with _named(path):
                entry = _entry(found, self.fs.cat_file(found["name"], start=0, end=jpeg.HEAD_BYTES))
            if entry["name"] == path:
                return entry
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _found(self, path: str, **kwargs: Any) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield what the target has for a path: the `.lic` files that may restore it, then its own."""
        for name in self._names(path):
            try:
                found = self.fs.info(name, **kwargs)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if name == path or found["type"] == "file":
                yield found, name != path

    def _names(self, path: str) -> list[str]:
        """Return the names of the target that may hold a file."""
        stem, suffix = os.path.splitext(path)
        short = [stem + SUFFIX] if suffix.lower() in JPEG_SUFFIXES else []
        return [path + SUFFIX, *short, path]

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Return whether there is a file, also a damaged one, or a folder."""
        try:
            self.info(path, **kwargs)
        except FileNotFoundError:
            return False
        except LicError:
            return True
        return True

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode != "rb":
            self._refuse(path)
        for found, is_packed in self._found(path):
            if not is_packed:
                if found["type"] == "directory":
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
                return self.fs.open(path, "rb", **kwargs)
            with _named(path):
                self._limits.check_input(found["size"])
                packed = self.fs.cat_file(found["name"])
                if _entry(found, packed[: jpeg.HEAD_BYTES])["name"] == path:
                    return io.BytesIO(jpeg.decompress(packed, device="cpu", limits=self._limits, threads=self._threads))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return a file's content, or a part of it: positions below 0 count from its end."""
        with self.open(path, "rb", **kwargs) as file:
            data: bytes = file.read()
        return data[start:end]

    def created(self, path: str) -> Any:
        """Return when the target's file was made."""
        return self.fs.created(self._target_name(path))

    def modified(self, path: str) -> Any:
        """Return when the target's file was last changed."""
        return self.fs.modified(self._target_name(path))

    def _target_name(self, path: str) -> str:
        info = self.info(path)
        return str(info.get("target", info)["name"])

    def _refuse(self, path: Any = "", *arguments: Any, **options: Any) -> NoReturn:
        """Raise OSError: nothing can be written here."""
        message = "is read-only here: lic_native.jpeg.compress and lic-native bulk write .lic files"
        raise OSError(errno.EROFS, message, str(path))

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = touch = _refuse


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_packed(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "file" and entry["name"].endswith(SUFFIX))


def _has_suffix(name: str) -> bool:
    """Return whether a name has a suffix before its `.lic`."""
    return "." in _last(name.removesuffix(SUFFIX))


def _entry(found: dict[str, Any], head: bytes) -> dict[str, Any]:
    """Return the entry of the file that a `.lic` file restores, or its own if it is an image with loss.

    Args:
        found: the target's entry.
        head: the file's first bytes.

    Raises:
        LicError: the head is damaged.
    """
    kind_ = kind(head)
    if kind_ not in ("stored", "jpeg"):
        return found
    name = found["name"].removesuffix(SUFFIX)
    if kind_ == "jpeg" and not _has_suffix(found["name"]):
        name += ".jpg"
    return {"name": name, "size": _native.identify(head)[0], "type": "file", "target": found}


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Put a file's name before the message of a LicError."""
    try:
        yield
    except LicError as error:
        raise type(error)(f"{path}: {error}") from error
