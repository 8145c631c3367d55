"""Passes of a network that several threads share.

A GPU takes nearly as long for one tile as for sixteen. While it works on some, threads bring others: of many files, all
tiles of equal kind that have come together go through the next pass together. So nothing waits for a batch to be full;
only where several files are in work, a pass waits a moment for others of them (`many.Crowd`).
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import torch

from .. import threads
from ..cuda.graphs import empty_cache
from ..many import MEMORY, crowd, memory

__all__ = ["MOST", "Merger", "room"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

#: Items of a pass, at most. A pass of so many tiles takes hardly longer in the entropy coder than one of a single tile.
MOST = 256
#: Part of a GPU's memory that a pass may take, unless `many.memory` says otherwise.
SHARE = 2
#: Seconds that a pass waits, at most, for tiles of other files in work.
PATIENCE = 0.03


def room() -> int:
    """Return the bytes of the device that a pass may take."""
    given = memory()
    if given is None:
        given = torch.cuda.mem_get_info()[1] // SHARE if torch.cuda.is_available() else MEMORY
    return given


class _Request(Generic[T, R]):
    """An item that waits for a pass, and what became of it."""

    def __init__(self, item: T, most: int) -> None:
        self.item, self.most = item, most
        self.outcome: R | BaseException | None = None
        self.done = False


class Merger(Generic[T, R]):
    """Calls a function of many items for threads that each bring a few.

    work: takes a key and items of that key, and returns for each its result, or the exception that it ended with.
    size: returns about how many bytes an item of a key takes on the device; a pass takes at most `room`.
    release: gives back memory on the device that could be done without.
    most: items of a call.
    turns: calls that run at a time.
    """

    def __init__(
        self,
        work: Callable[[Any, Sequence[T]], Sequence[R | Exception]],
        size: Callable[[Any], int],
        release: Callable[[], None] = empty_cache,
        most: int = MOST,
        turns: int = 1,
    ) -> None:
        self._work, self._size, self._release = work, size, release
        self._most, self._turn, self._lock = most, threading.Semaphore(turns), threading.Lock()
        self._waiting: defaultdict[Hashable, deque[_Request[T, R]]] = defaultdict(deque)
        #: Items of a key that the device had room for, where it was less than expected.
        self._fits: dict[Hashable, int] = {}

    def __call__(self, key: Hashable, items: Sequence[T]) -> list[R | Exception]:
        """Return what became of each item, whose passes may be shared with items of other threads.

        Raises:
            KeyboardInterrupt: the calling thread's work is not wanted any more (`threads.check`).
        """
        most = min(self._most, max(1, room() // max(1, self._size(key))))
        own: list[_Request[T, R]] = [_Request(item, most) for item in items]
        with self._lock:
            self._waiting[key].extend(own)
        try:
            with crowd().waiting():
                self._work_on(key, own)
        finally:
            with self._lock:
                rest = [request for request in self._waiting[key] if request not in own]
                self._waiting[key] = deque(rest)
                if not rest:
                    del self._waiting[key]
        return [request.outcome for request in own]  # type: ignore[misc]

    def _work_on(self, key: Hashable, own: Sequence[_Request[T, R]]) -> None:
        """Run passes, or let other threads do it, until these requests are done."""
        while not all(request.done for request in own):
            threads.check()
            if not self._turn.acquire(timeout=0.2):
                continue
            try:
                if not all(request.done for request in own):
                    crowd().gather(PATIENCE)
                    if taken := self._take(key):
                        self._run(key, taken)
            finally:
                self._turn.release()

    def _take(self, key: Hashable) -> list[_Request[T, R]]:
        """Take the requests that have waited longest: a power of two of them, so that there are few kinds of passes."""
        with self._lock:
            waiting = self._waiting[key]
            most = min((request.most for request in waiting), default=0)
            most = min(most, len(waiting), self._fits.get(key, MOST))
            return [waiting.popleft() for _ in range(1 << most.bit_length() - 1 if most else 0)]

    def _run(self, key: Hashable, requests: list[_Request[T, R]]) -> None:
        """Do the work of these requests. What was begun for others goes back if this thread is interrupted."""
        try:
            self._pass(key, requests)
        except BaseException:
            with self._lock:
                self._waiting[key].extendleft(reversed([request for request in requests if not request.done]))
            raise

    def _pass(self, key: Hashable, requests: list[_Request[T, R]]) -> None:
        try:
            outcomes: Sequence[R | Exception] = self._work(key, [request.item for request in requests])
        except torch.cuda.OutOfMemoryError as error:
            self._release()
            if len(requests) > 1:
                half = len(requests) // 2
                self._fits[key] = min(half, self._fits.get(key, MOST))
                _log.info("passes of %d items do not fit the device: now of %d", len(requests), half)
                self._pass(key, requests[:half])
                self._pass(key, requests[half:])
                return
            outcomes = [MemoryError(f"the device has too little memory for one tile ({error}); take device='cpu'")]
        except Exception as error:
            if len(requests) > 1:
                # One of them may be to blame, and the others are not.
                for request in requests:
                    self._pass(key, [request])
                return
            outcomes = [error]
        for request, outcome in zip(requests, outcomes, strict=True):
            request.outcome, request.done = outcome, True
