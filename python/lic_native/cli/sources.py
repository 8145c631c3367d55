"""Which files a run is about, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import files, pixels
from ..image import HEAD as IMAGE_HEAD
from ..jpeg import SUFFIXES as JPEG_SUFFIXES
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

#: What names of compressed files end in.
SUFFIX = ".lic"
#: What files begin with.
LIC, JPEG = b"\x89LIC", b"\xff\xd8\xff"
#: The same of other images that Pillow reads, at their place.
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
    """Return how a file begins; nothing if it can't be read (that is reported when it is its turn)."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def is_jpeg(path: Path) -> bool:
    """Return whether a file of a folder is a JPEG file, by its name or its content."""
    return path.suffix.lower() in JPEG_SUFFIXES or head(path).startswith(JPEG)


def is_image(path: Path) -> bool:
    """Return whether a file of a folder is an image that Pillow reads, by its name or its content."""
    start = head(path)
    by_content = start.startswith(JPEG) or any(start[at : at + len(magic)] == magic for at, magic in _IMAGES)
    return path.suffix.lower() in pixels.SUFFIXES or by_content


def is_lic(path: Path) -> bool:
    """Return whether a file of a folder is a compressed one, by its name or its content."""
    return path.suffix.lower() == SUFFIX or head(path).startswith(LIC)


def holds_image(path: Path) -> bool:
    """Return whether a `.lic` file holds an image with loss, rather than a file."""
    return head(path).startswith(IMAGE_HEAD)


def compressed_name(source: Path) -> str:
    """Return what a file's result is called."""
    return source.name + SUFFIX


def named_paths(paths: Sequence[str] | None, files_from: str | None) -> list[str]:
    """Return the paths that the user gave, and those in a file, each ended by a NUL byte.

    Raises:
        ValueError: there are none, or one is empty.
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
    """Return what is to be done about everything named; files below a folder keep their place in it.

    Args:
        paths: files, folders, or "-" for stdin.
        output: a file, a folder, "-" for stdout, or None: beside each source.
        wanted: tells which files of a folder are taken. A file that is named is always taken.
        rename: gives the name of a file's result; None if there are none to be written.
        kind: what the files that are wanted are called.

    Raises:
        ValueError: the arguments contradict each other; nothing must be done then.
    """
    folders = [path for path in paths if path != "-" and os.path.isdir(path)]
    several = len(paths) > 1 or bool(folders)
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
            size = source.stat().st_size if source.is_file() else 0
            if output == "-" or rename is None:
                result.jobs.append(Job(source, None, size))
            elif as_folder:
                result.jobs.append(Job(source, Path(output or "") / rename(source), size))
            else:
                target = source.with_name(rename(source)) if output is None else Path(output)
                result.jobs.append(Job(source, target, size, target_named=output is not None))
    _check_targets(result.jobs)
    return result


def _add_folder(
    result: Plan,
    folder: Path,
    output: str | None,
    wanted: Callable[[Path], bool],
    rename: Callable[[Path], str] | None,
    kind: str,
) -> None:
    before, problems = len(result.jobs), len(result.problems)
    for source in _walk(folder, result.problems):
        if not wanted(source):
            result.passed_over += 1
        elif not source.exists():
            result.problems.append(f"{source}: is a link to nothing")
        else:
            place = Path(output or folder) / source.relative_to(folder)
            target = place.with_name(rename(source)) if rename else None
            result.jobs.append(Job(source, target, source.stat().st_size, named=False))
    if len(result.jobs) == before and len(result.problems) == problems:
        others = f" among its {result.passed_over} files" if result.passed_over else ": it is empty"
        result.problems.append(f"{folder}: there is no {kind}{others}")


def _walk(folder: Path, problems: list[str]) -> Iterator[Path]:
    """Give the files below a folder in order. Links to folders are not followed: they can lead in circles."""

    def failed(error: OSError) -> None:
        problems.append(console.describe(error))

    for place, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(".lic-") and (path.is_file() or path.is_symlink()):
                yield path


def _check_targets(jobs: Sequence[Job]) -> None:
    targets: set[Path] = set()
    for job in jobs:
        if job.target is None:
            continue
        if job.target in targets:
            raise ValueError(f"{job.target} would be written twice: name a folder for each")
        targets.add(job.target)
