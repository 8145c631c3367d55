"""The interface between a command and a run over many files: `Task`, `Result`, `Skip` and `Settings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import Content
from ..limits import Limits
from .sources import Job

__all__ = ["Result", "Settings", "Skip", "Task"]


@dataclass(frozen=True)
class Result:
    """The result of one file.

    data: the content to be written.
    notes: remarks for the user, e.g. "with loss".
    details: further fields for `--json`.
    """

    data: Content
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


class Skip(Exception):
    """Raised for a file that needs no work.

    Args:
        reason: the reason, for this file.
        kind: the reason in a summary, after a number of files.
    """

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Task:
    """The work of a command on each file.

    work: returns the result for a content. Any exception is that file's failure.
    verb: past participle for messages, e.g. "compressed".
    is_done: returns whether an existing target (by path) is the result for a source; None means it never is. It may
        raise Skip, or an exception that says why the target can't be replaced.
    check: raises an exception unless two contents, of a source and of an earlier result, belong together. `--rm` calls
        it before it removes the source of a result that existed before.
    accept: raises an exception unless the work takes a content with this beginning; also called in a dry run.
    writes: whether results are written to files.
    spooled: whether the work takes any `files.Content`, not only bytes.
    """

    work: Callable[[Any, Job], Result]
    verb: str
    is_done: Callable[[Path, Path], bool] | None = None
    check: Callable[[bytes, bytes], None] | None = None
    accept: Callable[[bytes, Job], None] = lambda _, __: None
    writes: bool = True
    spooled: bool = False


@dataclass(frozen=True)
class Settings:
    """Options that all commands on many files have in common.

    on_cuda: whether a network on CUDA does the work, whose passes the tiles of many files share.
    """

    limits: Limits
    force: bool = False
    remove: bool = False
    dry_run: bool = False
    as_json: bool = False
    verbose: bool = False
    threads: int = 0
    on_cuda: bool = False
