"""Which files a run is about, and where their results go."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..errors import LicError
from ..image import formats
from ..image.formats import JPEG_SUFFIXES
from ..inspection import MAGIC as LIC
from ..inspection import kind
from ..limits import DEFAULT_LIMITS
from . import console

__all__ = [
    "JPEG",
    "LIC",
    "SUFFIX",
    "Job",
    "Plan",
    "compressed_name",
    "head",
    "holds_image",
    "is_image",
    "is_jpeg",
    "is_lic",
    "named_paths",
    "plan",
]

#: Suffix of compressed files.
SUFFIX = ".lic"
#: Prefix of the names of files that are being written (`files.Output`).
TEMPORARY = ".lic-"
#: First bytes of files.
JPEG = b"\xff\xd8\xff"
#: Signatures of other images that Pillow reads, with their positions.
_IMAGES = (
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (8, b"WEBP"),
    (4, b"ftypavif"),
    (0, b"\0\0\0\x0cjP  "),
    (0, b"BM"),
)
_HEAD_BYTES = 16


@dataclass(frozen=True)
class Job:
    """A file to be read and one to be written. None stands for stdin and stdout."""

    source: Path | None
    target: Path | None
    #: Bytes of the source, 0 if that is not known.
    size: int = 0
    #: Whether the user named the source, rather than a folder.
    named: bool = True
    #: Whether the user named the target.
    target_named: bool = False
    #: Whether the source was there when the run began.
    existed: bool = True


@dataclass
class Plan:
    """What is to be done.

    problems: for each path that can't be taken, one line.
    passed_over: files of folders that are of another kind.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: int = 0


def head(path: Path) -> bytes:
    """Return how a regular file begins, and nothing of others. Raises OSError if it can't be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def is_jpeg(path: Path) -> bool:
    """Return whether a file of a folder is a JPEG file, by its name or its content."""
    return path.suffix.lower() in JPEG_SUFFIXES or head(path).startswith(JPEG)


def is_image(path: Path) -> bool:
    """Return whether a file of a folder is an image that Pillow reads, by its name or its content."""
    if path.suffix.lower() in formats.SUFFIXES:
        return True
    start = head(path)
    return start.startswith(JPEG) or any(start[at : at + len(magic)] == magic for at, magic in _IMAGES)


def is_lic(path: Path) -> bool:
    """Return whether a file of a folder is a compressed one, by its name or its content."""
    return path.suffix.lower() == SUFFIX or head(path).startswith(LIC)


def holds_image(path: Path) -> bool:
    """Return whether a `.lic` file holds an image with loss, rather than a file; no, if it can't be read."""
    try:
        return kind(head(path)) == "image"
    except (OSError, LicError):
        return False


def compressed_name(source: Path) -> str:
    """Return the name of a file's result."""
    return source.name + SUFFIX


def named_paths(paths: Sequence[str] | None, files_from: str | None) -> list[str]:
    """Return the paths that the user gave, and those in a file, each ended by a NUL byte.

    Raises:
        ValueError: no path is given, or one is empty.
    """
    named = list(paths or [])
    if files_from is not None:
        given = console.read_stdin(DEFAULT_LIMITS) if files_from == "-" else files.read(files_from)
        named += [os.fsdecode(path) for path in given.split(b"\0") if path]
    if not named:
        raise ValueError("no file or folder is named; see --help")
    if "" in named:
        raise ValueError("the name of a file is empty: is a variable not set?")
    return named


def plan(
    paths: Sequence[str],
    output: str | None,
    wanted: Callable[[Path], bool],
    rename: Callable[[Path], str] | None,
    kind: str,
) -> Plan:
    """Return the jobs for all paths; files below a folder keep their relative paths.

    Args:
        paths: files, folders, or "-" for stdin.
        output: a file, a folder, "-" for stdout, or None: the folder of each source.
        wanted: returns whether a file of a folder is taken. A file that is named is always taken.
        rename: returns the name of a file's result; None if no results are written.
        kind: name of the files that are wanted, for messages.

    Raises:
        ValueError: the arguments contradict each other; nothing may be done then.
    """
    paths = list(dict.fromkeys(paths))
    folders = [path for path in paths if path != "-" and os.path.isdir(path)]
    several = len(paths) > 1 or bool(folders)
    if output in ("/dev/stdout", "/dev/fd/1"):
        output = "-"
    if several and ("-" in paths or output == "-"):
        raise ValueError("- stands for one file: it can't be named with others or with a folder")
    as_folder = output is not None and output != "-" and (output.endswith(("/", os.sep)) or os.path.isdir(output))
    if several and output is not None and not as_folder and os.path.lexists(output):
        raise ValueError(f"several files need a folder, but {output} is a file")
    as_folder = as_folder or (several and output is not None)
    result = Plan()
    for path in paths:
        if path in folders:
            _add_folder(result, Path(path), output, wanted, rename, kind)
        elif path == "-":
            target = None if output in (None, "-") else Path(output or "")
            if target is not None and as_folder:
                raise ValueError("what is read from stdin has no name: name the output file")
            result.jobs.append(Job(None, target, target_named=target is not None))
        else:
            source = Path(path)
            size = _size(source)
            target = None
            if rename is not None and output != "-":
                if as_folder:
                    target = Path(output or "") / rename(source)
                else:
                    target = source.with_name(rename(source)) if output is None else Path(output)
            named = target is not None and output is not None and not as_folder
            result.jobs.append(Job(source, target, size or 0, target_named=named, existed=size is not None))
    _drop_meeting(result)
    return result


def _size(path: Path) -> int | None:
    """Return a file's size; 0 of what has none, and None if it is not there or can't be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _add_folder(
    result: Plan,
    folder: Path,
    output: str | None,
    wanted: Callable[[Path], bool],
    rename: Callable[[Path], str] | None,
    kind: str,
) -> None:
    before, problems, results = len(result.jobs), len(result.problems), 0
    for source in _walk(folder, result.problems):
        try:
            taken = wanted(source)
            size = source.stat().st_size if taken else 0
        except OSError as error:
            if source.is_symlink() and isinstance(error, FileNotFoundError):
                result.problems.append(f"{console.shown(source)}: is a link to nothing")
            elif os.path.lexists(source):  # else it has been removed meanwhile
                result.problems.append(console.describe(error, str(source)))
            continue
        if not taken:
            result.passed_over += 1
            results += source.suffix.lower() == SUFFIX
            continue
        place = Path(output or folder) / source.relative_to(folder)
        target = place.with_name(rename(source)) if rename else None
        result.jobs.append(Job(source, target, size, named=False))
    # Where there are results, the sources may have been removed with --rm.
    if len(result.jobs) == before and len(result.problems) == problems and not results:
        others = f" among its {result.passed_over} files" if result.passed_over else ": it is empty"
        result.problems.append(f"{console.shown(folder)}: there is no {kind}{others}")


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Give the files below a folder in order. Links to folders are not followed: they can lead in circles."""

    def failed(error: OSError) -> None:
        problems.append(console.describe(error))

    for place, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # It has been removed meanwhile.
                continue
            except OSError as error:
                problems.append(console.describe(error, str(path)))
                continue
            if not name.startswith(TEMPORARY) and (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                yield path


def _drop_meeting(result: Plan) -> None:
    """Drop jobs that are there twice, and make problems of those whose results would have one name."""
    found: dict[Path, list[Job]] = {}
    jobs = []
    for job in dict.fromkeys(result.jobs):
        if job.target is None:
            jobs.append(job)
        else:
            found.setdefault(Path(os.path.normpath(job.target)), []).append(job)
    for target, meeting in found.items():
        sources = dict.fromkeys(os.path.realpath(job.source or "-") for job in meeting)
        if len(sources) == 1:
            jobs.append(meeting[0])
        else:
            names = " and ".join(console.shown(job.source or "-") for job in meeting)
            result.problems.append(f"{console.shown(target)}: would be written twice, for {names}")
    result.jobs = jobs
