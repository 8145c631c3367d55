"""Threads that share work: how many there may be, and how they are stopped."""

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
    """Return how many threads share work unless a caller says otherwise.

    That is the environment variable `LIC_THREADS`, or else the number of processors that this process may use: its
    affinity and its cgroup's quota count, which `os.cpu_count` ignores.

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
    """Return a number of threads from an argument `threads`, of which 0 means `available()`.

    Raises:
        TypeError, ValueError: it is no integer, or negative.
    """
    # No machine runs more at once, and native code could not count to every number.
    return min(to_count(threads, "threads"), 1 << 16) or available()


class Group:
    """Calls that are stopped together, with all groups that were begun within them.

    A thread belongs to a group while it is within `joined`.
    """

    def __init__(self) -> None:
        self.parent: Group | None = getattr(_current, "group", None)
        self.stopped = False

    def stop(self) -> None:
        """Have `check` raise KeyboardInterrupt in all threads of this group, and of groups begun within it."""
        self.stopped = True

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Have the calling thread belong to this group for a while."""
        before, _current.group = getattr(_current, "group", None), self
        try:
            yield
        finally:
            _current.group = before


_current = threading.local()


def check() -> None:
    """Raise KeyboardInterrupt if the work that this thread does is no longer wanted.

    Long work calls this between its steps, so that one Ctrl-C ends it within a second: Python interrupts the main
    thread alone.
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
    """Return what `work` makes of each item, in their order, made by up to so many threads.

    Where no other thread can be started (a limit of the system, or Python is about to end) the calling thread does the
    work. The first exception stops the rest and is raised; so does Ctrl-C in the calling thread.

    Args:
        work: called with an item.
        items: what there is to do.
        threads: 1 means the calling thread.
        within: makes a context that each of the threads works in.
        apart: let the calling thread only wait, also for one thread.
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
            # In this order, so that the first is no other's KeyboardInterrupt of `check`.
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
