"""Work on many files at a time, within an amount of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

from . import threads
from .arguments import to_count
from .errors import LicError

__all__ = ["FILES_ON_CUDA", "MEMORY", "in_order", "memory", "within_memory"]

T = TypeVar("T")
R = TypeVar("R")

#: Bytes of memory for work on many files, unless a caller says otherwise: of the machine, and as many of a GPU.
MEMORY = 4 << 30
#: Files in work at a time for a network on a GPU: their tiles share passes, while others are parsed or written.
FILES_ON_CUDA = 32

_memory: ContextVar[int] = ContextVar("bytes of memory", default=MEMORY)


@contextmanager
def within_memory(size: int) -> Iterator[None]:
    """Let work that begins in this block, also in threads that it starts, take about `size` bytes of a GPU."""
    token = _memory.set(size)
    try:
        yield
    finally:
        _memory.reset(token)


def memory() -> int:
    """Return the bytes of a GPU that work may take here."""
    return _memory.get()


def in_order(
    work: Callable[[T], R],
    items: Iterable[T],
    count: int,
    size: int,
    weight: Callable[[T], int],
) -> Iterator[R | LicError]:
    """Yield the result of `work` for each item, in the order of items, or the LicError that it raised.

    Items are taken from their iterator by the calling thread, as far ahead as threads and memory allow. When the
    generator is closed or interrupted, the work that has begun is stopped.

    Args:
        work: function of an item.
        items: iterated once.
        count: number of items in work at a time, each in a thread of its own.
        size: bytes that all items and results which are not yielded yet may take; a larger one is alone.
        weight: returns about how many bytes an item takes, its work and its result included.

    Raises:
        Exception: what `items` and `weight` raise, and whatever `work` raises but LicErrors.
    """
    to_count(size, "memory")
    group, waiting, held = threads.Group(), deque[tuple[Future[R | LicError], int]](), 0

    def run(item: T) -> R | LicError:
        with group.joined():
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
            while waiting and (held + taken > size or len(waiting) >= 2 * count):
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
