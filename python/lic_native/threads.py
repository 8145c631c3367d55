"""Threads that share work: their number, and groups that stop together."""

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

    The environment variable `LIC_THREADS` sets it. Otherwise it is the number of processors that the affinity and the
    cgroup's quota allow this process, both of which `os.cpu_count` ignores.

    Raises:
        ValueError: `LIC_THREADS` is not a positive integer.
    """
    value = os.environ.get("LIC_THREADS")
    if not value:
        return _native.available_parallelism()
    if not value.isdecimal() or not int(value):
        raise ValueError(f"LIC_THREADS must be a number from 1 on, not {value!r}")
    return int(value)


def resolve(threads: int) -> int:
    """Return the number of threads that an argument `threads` asks for; 0 means `available()`.

    Raises:
        TypeError: `threads` is not an integer.
        ValueError: `threads` is negative.
    """
    # The bound keeps the number within the 64 bits of native code.
    return min(to_count(threads, "threads"), 1 << 16) or available()


class Group:
    """Calls that are stopped together, with all groups that were created within them.

    A thread belongs to a group while it is within `joined`.
    """

    def __init__(self) -> None:
        self.parent: Group | None = getattr(_current, "group", None)
        self.stopped = False

    def stop(self) -> None:
        """Make `check` raise KeyboardInterrupt in all threads of this group and of groups created within it."""
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

    Long work calls this between its steps, so that one Ctrl-C ends it within a second. Python itself interrupts only
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
    """Return the result of `work` for each item, in the order of items, computed by up to `threads` threads.

    The calling thread does the work if no thread can be started, because of a limit of the system or because Python is
    about to end. The first exception, or Ctrl-C in the calling thread, stops all calls and is raised.

    Args:
        work: function of an item.
        items: arguments of the calls.
        threads: maximum number of threads; 1 means the calling thread.
        within: returns a context in which each thread works.
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
            # Append before stopping, so that the first failure is not a KeyboardInterrupt of `check` elsewhere.
            failures.append(error)
            group.stop()
        ended.put(None)

    started = 0
    useful = min(threads, len(items))
    for _ in range(useful if useful > 1 or apart else 0):
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
