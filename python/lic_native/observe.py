"""Seconds and calls of the stages of compression and decompression, for those who measure.

    with observe.record() as stages:
        lic_native.jpeg.compress(data)
    stages["coder"], stages.calls["coder"]

Nothing is measured, at no cost, unless a `record` block is open in the calling thread. Threads started by
`threads.share` belong to the block that they were started in.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Stages", "count", "on_wall_clock", "record", "stage"]


class Stages(dict[str, float]):
    """Seconds of each stage, by its name.

    calls: number of times that each stage was entered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str, seconds: float, calls: int = 1) -> None:
        """Add the time of a stage that has ended."""
        with self._lock:
            self[name] = self.get(name, 0.0) + seconds
            self.calls[name] += calls


@dataclass
class _Block:
    """An open stage, or an open `record` or `on_wall_clock` block, of one thread.

    nested: seconds of the stages inside it, which are not counted for itself.
    """

    stages: Stages
    clock: Callable[[], float]
    nested: float = 0.0


_open: ContextVar[_Block | None] = ContextVar("open block", default=None)
_UNOBSERVED: AbstractContextManager[None] = nullcontext()


@contextmanager
def record(clock: Callable[[], float] = time.perf_counter) -> Iterator[Stages]:
    """Measure the stages inside the block.

    clock: returns seconds. For CUDA, pass one that synchronises the device first.
    """
    stages = Stages()
    token = _open.set(_Block(stages, clock))
    try:
        yield stages
    finally:
        _open.reset(token)


def stage(name: str, *, whole: bool = False) -> AbstractContextManager[None]:
    """Return a context manager that counts the time inside it for a stage, without that of the stages inside it.

    whole: count the time of the stages inside it for this stage instead.
    """
    outer = _open.get()
    return _UNOBSERVED if outer is None else _timed(outer, name, whole)


def count(name: str) -> None:
    """Count a call of a stage, without its time."""
    if outer := _open.get():
        outer.stages.add(name, 0.0)


@contextmanager
def _timed(outer: _Block, name: str, whole: bool) -> Iterator[None]:
    block = _Block(outer.stages, outer.clock)
    start = outer.clock()
    token = _open.set(None if whole else block)
    try:
        yield
    finally:
        _open.reset(token)
        seconds = outer.clock() - start
        outer.nested += seconds
        outer.stages.add(name, seconds - block.nested)


def on_wall_clock() -> AbstractContextManager[None]:
    """Return a context manager for work that threads share: it scales their stages to the seconds on the wall clock.

    All time inside the block goes to the stages inside it, in proportion to the time that the threads spent in them.
    """
    outer = _open.get()
    return _UNOBSERVED if outer is None else _scaled(outer)


@contextmanager
def _scaled(outer: _Block) -> Iterator[None]:
    shared = Stages()
    start = outer.clock()
    token = _open.set(_Block(shared, outer.clock))
    try:
        yield
    finally:
        _open.reset(token)
        seconds = outer.clock() - start
        outer.nested += seconds
        total = sum(shared.values())
        for name, part in shared.items():
            outer.stages.add(name, seconds * part / total if total else 0.0, shared.calls[name])
