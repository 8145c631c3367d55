"""Work on many files at a time, within an amount of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from . import threads
from .arguments import to_count
from .errors import LicError

__all__ = ["FILES_ON_CUDA", "MEMORY", "Crowd", "crowd", "in_order", "memory", "within_memory"]

T = TypeVar("T")
R = TypeVar("R")

#: Bytes of the machine's memory for work on many files, unless a caller says otherwise.
MEMORY = 4 << 30
#: Files in work at a time for a network on a GPU: their tiles share passes, while others are parsed or written.
FILES_ON_CUDA = 64


class Crowd:
    """Threads that work on files at the same time, of which some wait for a pass of a network on a GPU."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts = {"at work": 0, "waiting": 0}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count this thread among those at work, and let `crowd` find this one."""
        token = _crowd.set(self)
        try:
            with self._counted("at work"):
                yield
        finally:
            _crowd.reset(token)

    def waiting(self) -> AbstractContextManager[None]:
        """Count this thread among those that wait."""
        return self._counted("waiting")

    def gather(self, seconds: float) -> None:
        """Return as soon as half of the threads at work wait, but not later than in some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: 2 * self._counts["waiting"] >= self._counts["at work"], seconds)

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        self._add(what, 1)
        try:
            yield
        finally:
            self._add(what, -1)

    def _add(self, what: str, number: int) -> None:
        with self._changed:
            self._counts[what] += number
            self._changed.notify_all()


_crowd: ContextVar[Crowd | None] = ContextVar("threads at work", default=None)
_memory: ContextVar[int | None] = ContextVar("bytes of memory", default=None)


def crowd() -> Crowd:
    """Return the threads that this one works together with; an empty crowd if it works alone."""
    return _crowd.get() or Crowd()


@contextmanager
def within_memory(size: int | None) -> Iterator[None]:
    """Let work that begins in this block, also in threads that it starts, take about `size` bytes of a GPU."""
    token = _memory.set(size)
    try:
        yield
    finally:
        _memory.reset(token)


def memory() -> int | None:
    """Return the bytes of a GPU that work may take here, None if nobody has said."""
    return _memory.get()


def in_order(
    work: Callable[[T], R],
    items: Iterable[T],
    count: int,
    size: int | None,
    weight: Callable[[T], int],
) -> Iterator[R | LicError]:
    """Yield the result of `work` for each item, in the order of items, or the LicError that it raised.

    Items are taken from their iterator by the calling thread, as far ahead as threads and memory allow. When the
    generator is closed or interrupted, the work that has begun is stopped.

    Args:
        work: function of an item.
        items: iterated once.
        count: number of items in work at a time, each in a thread of its own.
        size: bytes that all items and results which are not yielded yet may take, and as many of a GPU; a larger one is
            alone. None: `MEMORY`, and what `coding/merging.py` takes of a GPU.
        weight: returns about how many bytes an item takes, its work and its result included.

    Raises:
        Exception: what `items` and `weight` raise, and whatever `work` raises but LicErrors.
    """
    most = MEMORY if size is None else to_count(size, "memory")
    group, waiting, held = threads.Group(), deque[tuple[Future[R | LicError], int]](), 0
    together = Crowd()

    def run(item: T) -> R | LicError:
        with group.joined(), together.at_work():
            threads.check()
            try:
                return work(item)
            except LicError as error:
                return error

    with within_memory(size):
        context = copy_context()
    pool = ThreadPoolExecutor(count, "lic_native")
    try:
        for item in items:
            taken = weight(item)
            while waiting and (held + taken > most or len(waiting) >= 2 * count):
                future, given = waiting.popleft()
                yield future.result()
                held -= given
            waiting.append((pool.submit(context.copy().run, run, item), taken))
            held += taken
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        group.stop()
        pool.shutdown(cancel_futures=True)
