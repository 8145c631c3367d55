"""Engines, which call the work on many keys: a pool of threads, or Ray on several machines."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .. import threads
from ..errors import UnsupportedError
from .table import Row
from .work import Compressor, Job, Task, Work

__all__ = ["local", "on_ray"]

#: Keys that a worker of Ray gets at a time. Their rows come back together.
RAY_BATCH = 16


class Memory:
    """An amount of memory that works share."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()

    def take(self, size: int) -> int:
        """Wait until so much is free, or all of it is if that is less, and take it. Return what was taken."""
        size = min(size, self._size)
        with self._changed:
            while self._free < size:
                self._changed.wait(0.2)
                threads.check()
            self._free -= size
        return size

    def give_back(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()


def local(work: Work, tasks: Iterator[Task], sink: Callable[[Row], None], workers: int, memory: int) -> bool:
    """Call the work on all tasks in threads, and the sink with each row, one at a time.

    Args:
        work: function of a task.
        tasks: iterated while the work goes on, never by two threads at once.
        sink: takes the rows in the order in which they are done.
        workers: number of threads.
        memory: bytes that the works of all threads may need together; a larger one is done alone.

    Returns:
        False if the work ended early, because it gave no row.

    Raises:
        Exception: what `tasks` or `sink` raise ends the work.
    """
    pulling, sinking, room, stopped = threading.Lock(), threading.Lock(), Memory(memory), threading.Event()

    def run(_: int) -> None:
        while not stopped.is_set():
            threads.check()
            # Memory is taken in the order of tasks: a large one is not kept waiting by small ones.
            with pulling:
                task = next(tasks, None)
                taken = 0 if task is None else room.take(work.job.memory(task.entry.size))
            if task is None:
                return
            try:
                row = work(task)
            finally:
                room.give_back(taken)
            if row is None:
                stopped.set()
                return
            with sinking:
                sink(row)

    threads.share(run, range(workers), workers)
    return not stopped.is_set()


class _RayWorker:
    """The work in a process of Ray, on a batch of pickled tasks."""

    def __init__(self, job: Job) -> None:
        self._work = Compressor(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"row": [pickle.dumps(self._work(pickle.loads(task))) for task in batch["task"]]}


def on_ray(
    job: Job, tasks: Iterator[Task], sink: Callable[[Row], None], workers: int, address: str | None = None
) -> bool:
    """Compress all tasks by actors of Ray Data, and call the sink with each row.

    Args:
        job: what the actors do; its storages must be reachable from all machines.
        tasks: listed completely before the work begins.
        sink: called in this process.
        workers: number of actors; each takes a processor.
        address: of a Ray cluster, or None for one on this machine that ends with the run.

    Returns:
        False if the stop switch ended the work.

    Raises:
        UnsupportedError: Ray is not installed.
        OSError: Ray does not start, or fails.
    """
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise UnsupportedError("this engine needs Ray: pip install 'lic-native[ray]'") from error
    items = [{"task": pickle.dumps(task)} for task in tasks]
    if not items:
        return True
    alone: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **alone)
    except Exception as error:  # Of many kinds: a timeout, another version, a missing cluster.
        raise OSError(f"Ray does not start: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        blocks = max(workers, -(-len(items) // RAY_BATCH))
        rows = ray.data.from_items(items, override_num_blocks=min(blocks, len(items))).map_batches(
            _RayWorker,
            fn_constructor_args=(job,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            batch_size=RAY_BATCH,
            num_cpus=1,
        )
        finished = True
        for item in rows.iter_rows():
            row = pickle.loads(item["row"])
            if row is None:
                finished = False
            else:
                sink(row)
        return finished
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray has failed: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()
