"""Threads that share work: their number, and how they are stopped."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from typing import Any, TypeVar

from . import _native
from .arguments import to_count

__all__ = ["Group", "available", "check", "resolve", "share"]

T = TypeVar("T")
R = TypeVar("R")


def available() -> int:
    """Return the default number of threads.

    The environment variable `LIC_THREADS` sets it. Without it, it is the number of processors that this process may
    use by its affinity and its cgroup's quota, both of which `os.cpu_count` ignores.

    Raises:
        ValueError: `LIC_THREADS` is not a number from 1 on.
    """
    given = os.environ.get("LIC_THREADS")
    if not given:
        return _native.available_parallelism()
    if not given.isdecimal() or not int(given):
        raise ValueError(f"LIC_THREADS must be a number from 1 on, not {given!r}")
    return int(given)


def resolve(threads: int) -> int:
    """Return the number of threads that an argument `threads` asks for; 0 means `available()`.

    Raises:
        TypeError: it is not an integer.
        ValueError: it is negative.
    """
    # No machine runs more at once, and native code has no larger integers than 64 bits.
    return min(to_count(threads, "threads"), 1 << 16) or available()


class Group:
    """Calls that are stopped together, with all groups that were begun within them.

    A thread belongs to a group while it is within `joined`.
    """

    def __init__(self) -> None:
        self.parent: Group | None = getattr(_current, "group", None)
        self.stopped = False

    def stop(self) -> None:
        """Make `check` raise KeyboardInterrupt in all threads of this group, and of groups begun within it."""
        self.stopped = True

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Make the calling thread belong to this group inside a `with` block."""
        before, _current.group = getattr(_current, "group", None), self
        try:
            yield
        finally:
            _current.group = before


_current = threading.local()


def check() -> None:
    """Raise KeyboardInterrupt if the group of this thread was stopped.

    Long work calls this between its steps, so that one Ctrl-C ends it within a second: Python itself interrupts only
    the main thread.
    """
    group: Group | None = getattr(_current, "group", None)
    while group is not None:
        if group.stopped:
            raise KeyboardInterrupt
        group = group.parent


def share(
    work: Callable[[T], R],
    items: Sequence[T],
    threads: int,
    within: Callable[[], AbstractContextManager[Any]] = nullcontext,
    apart: bool = False,
) -> list[R]:
    """Return the result of `work` for each item, in their order, computed by up to `threads` threads.

    Where no other thread can be started (a limit of the system, or Python is about to end) the calling thread does the
    work. The first exception stops the rest and is raised; so does Ctrl-C in the calling thread.

    Args:
        work: called with an item.
        items: arguments of the calls.
        threads: 1 means the calling thread.
        within: returns a context that each of the threads works in.
        apart: let the calling thread only wait, even for a single thread.
    """
    results: list[Any] = [None] * len(items)
    failures: list[BaseException] = []
    group, numbers, ended = Group(), itertools.count(), queue.SimpleQueue[None]()

    def run() -> None:
        try:
            with group.joined(), within():
                while not group.stopped and (i := next(numbers)) < len(items):
                    results[i] = work(items[i])
        except BaseException as error:
            # In this order, so that the first failure is not a KeyboardInterrupt of `check` in another thread.
            failures.append(error)
            group.stop()
        ended.put(None)

    started = 0
    wanted = min(threads, len(items))
    for _ in range(wanted if wanted > 1 or apart else 0):
        try:
            threading.Thread(target=copy_context().run, args=(run,), name="lic_native").start()
        except RuntimeError:
            break
        started += 1
    if not started:
        run()
    try:
        for _ in range(started):
            ended.get()
    except BaseException:
        group.stop()
        raise
    if failures:
        raise failures[0]
    return results
