"""The plan of a run: its source files, and the names of their results."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..errors import LicError
from ..inspection import MAGIC as LIC
from ..inspection import kind
from ..limits import DEFAULT_LIMITS
from ..suffixes import JPEG_SUFFIXES
from ..suffixes import SUFFIXES as IMAGE_SUFFIXES
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
    """A file to read and a file to write. None stands for stdin and stdout."""

    source: Path | None
    target: Path | None
    #: Bytes of the source, 0 if unknown.
    size: int = 0
    #: Whether the user named the source, rather than a folder.
    named: bool = True
    #: Whether the user named the target.
    target_named: bool = False
    #: Whether the source existed when the run began.
    existed: bool = True


@dataclass
class Plan:
    """The work of a run.

    problems: a line for each path that can't be worked on.
    passed_over: number of files in folders that are of another kind.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: int = 0


def head(path: Path) -> bytes:
    """Return the first bytes of a regular file, or b"" for other kinds. Raises OSError if it can't be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def is_jpeg(path: Path) -> bool:
    """Return whether a file of a folder is a JPEG file, by its name or its content."""
    return path.suffix.lower() in JPEG_SUFFIXES or head(path).startswith(JPEG)


def is_image(path: Path) -> bool:
    """Return whether a file of a folder is an image that Pillow reads, by its name or its content."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    start = head(path)
    return start.startswith(JPEG) or any(start[at : at + len(magic)] == magic for at, magic in _IMAGES)


def is_lic(path: Path) -> bool:
    """Return whether a file of a folder is a compressed one, by its name or its content."""
    return path.suffix.lower() == SUFFIX or head(path).startswith(LIC)


def holds_image(path: Path) -> bool:
    """Return whether a file can be read and is a `.lic` file of an image with loss."""
    try:
        return kind(head(path)) == "image"
    except (OSError, LicError):
        return False


def compressed_name(source: Path) -> str:
    """Return the default name of a file's `.lic` file."""
    return source.name + SUFFIX


def named_paths(paths: Sequence[str] | None, files_from: str | None) -> list[str]:
    """Return the paths of the command line, then the paths in the file `files_from`, each ended by a NUL byte.

    Raises:
        ValueError: there are no paths, or one is empty.
    """
    named = list(paths or [])
    if files_from is not None:
        listed = console.read_stdin(DEFAULT_LIMITS) if files_from == "-" else files.read(files_from)
        named += [os.fsdecode(path) for path in listed.split(b"\0") if path]
    if not named:
        raise ValueError("name a file or a folder; see --help")
    if "" in named:
        raise ValueError("a file name is empty: is a variable not set?")
    return named


def plan(
    paths: Sequence[str],
    output: str | None,
    is_source: Callable[[Path], bool],
    rename: Callable[[Path], str] | None,
    kind: str,
) -> Plan:
    """Return the jobs for all paths; files below a folder keep their relative paths.

    Args:
        paths: files, folders, or "-" for stdin.
        output: a file, a folder, "-" for stdout, or None: the folder of each source.
        is_source: returns whether a file in a folder is part of the run. A named file always is.
        rename: returns the name of a file's result; None if no results are written.
        kind: name of the source files in messages.

    Raises:
        ValueError: the arguments contradict each other.
    """
    paths = list(dict.fromkeys(paths))
    folders = [path for path in paths if path != "-" and os.path.isdir(path)]
    several = len(paths) > 1 or bool(folders)
    if output in ("/dev/stdout", "/dev/fd/1"):
        output = "-"
    if several and ("-" in paths or output == "-"):
        raise ValueError("- stands for one file: it can't be combined with other files or a folder")
    as_folder = output is not None and output != "-" and (output.endswith(("/", os.sep)) or os.path.isdir(output))
    if several and output is not None and not as_folder and os.path.lexists(output):
        raise ValueError(f"several results need a folder, but --output {output} is a file")
    as_folder = as_folder or (several and output is not None)
    result = Plan()
    for path in paths:
        if path in folders:
            _add_folder(result, Path(path), output, is_source, rename, kind)
        elif path == "-":
            target = None if output in (None, "-") else Path(output or "")
            if target is not None and as_folder:
                raise ValueError("stdin has no name for its result: name the output file, not a folder")
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
    _drop_duplicates(result)
    return result


def _size(path: Path) -> int | None:
    """Return a file's size: 0 if it is not a regular file, None if it does not exist or its status can't be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _add_folder(
    result: Plan,
    folder: Path,
    output: str | None,
    is_source: Callable[[Path], bool],
    rename: Callable[[Path], str] | None,
    kind: str,
) -> None:
    job_count, problem_count, results = len(result.jobs), len(result.problems), 0
    for source in _walk(folder, result.problems):
        try:
            included = is_source(source)
            size = source.stat().st_size if included else 0
        except OSError as error:
            if source.is_symlink() and isinstance(error, FileNotFoundError):
                result.problems.append(f"{console.shown(source)}: is a link to a missing file")
            elif os.path.lexists(source):  # Otherwise it has been removed meanwhile.
                result.problems.append(console.describe(error, str(source)))
            continue
        if not included:
            result.passed_over += 1
            results += source.suffix.lower() == SUFFIX
            continue
        path = Path(output or folder) / source.relative_to(folder)
        target = path.with_name(rename(source)) if rename else None
        result.jobs.append(Job(source, target, size, named=False))
    # If the folder has results, an earlier run may have removed the sources with --rm.
    if len(result.jobs) == job_count and len(result.problems) == problem_count and not results:
        where = f" among {console.file_count(ignored)}" if (ignored := result.passed_over) else ": the folder is empty"
        result.problems.append(f"{console.shown(folder)}: there is no {kind}{where}")


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Yield the files below a folder in order. Do not follow links to folders, which can form circles."""

    def failed(error: OSError) -> None:
        problems.append(console.describe(error))

    for parent, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # It has been removed meanwhile.
                continue
            except OSError as error:
                problems.append(console.describe(error, str(path)))
                continue
            if not name.startswith(TEMPORARY) and (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                yield path


def _drop_duplicates(result: Plan) -> None:
    """Keep one of several equal jobs, and replace jobs of different sources and one target by a problem."""
    by_target: dict[Path, list[Job]] = {}
    jobs = []
    for job in dict.fromkeys(result.jobs):
        if job.target is None:
            jobs.append(job)
        else:
            by_target.setdefault(Path(os.path.normpath(job.target)), []).append(job)
    for target, rivals in by_target.items():
        sources = dict.fromkeys(os.path.realpath(job.source or "-") for job in rivals)
        if len(sources) == 1:
            jobs.append(rivals[0])
        else:
            names = " and ".join(console.shown(job.source or "-") for job in rivals)
            result.problems.append(f"{console.shown(target)}: would be written twice, for {names}")
    result.jobs = jobs
