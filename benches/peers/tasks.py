"""What the coders are given: sets of symbols, short and long, one message or many, one core or two."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from . import CODERS
from .coder import Coder, Many
from .latents import COUNT, Latents, latents


@dataclass(frozen=True)
class Task:
    """Symbols for a coder.

    make: makes a coder of the symbols.
    symbols, messages: how many there are.
    cores: how many the coder may use.
    """

    make: Callable[[type[Coder]], Coder]
    symbols: int = COUNT
    cores: int = 1
    messages: int = 1


def whole(name: str) -> Task:
    return Task(lambda coder: coder(latents(name)[: coder.limit]))


def parts(length: int, count: int) -> list[Latents]:
    return [latents("high")[i * length : (i + 1) * length] for i in range(count)]


def short(length: int, count: int) -> Task:
    # The messages differ, or the processor would predict their branches.
    return Task(lambda coder: Many([coder(part) for part in parts(length, count)], map), length * count, 1, count)


TASKS = {
    "high": whole("high"),
    "low": whole("low"),
    "laplace": whole("laplace"),
    "16 symbols": short(16, 256),
    "1024 symbols": short(1024, 64),
    "64 x 1024 symbols at once": Task(lambda coder: coder.batch(parts(1024, 64)), 1024 * 64),
    "two threads": Task(lambda coder: coder.threads(parts(coder.limit // 2, 2)), cores=2),
}


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Limit this process to a number of cores, and torch to as many threads."""
    import torch

    all_cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, sorted(all_cores)[-count:])
    torch.set_num_threads(count)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        torch.set_num_threads(threads)


@contextmanager
def ready(title: str, name: str) -> Iterator[tuple[Coder, dict]]:
    """Prepare a coder for a task, on its number of cores; yield the coder and facts about its bytes."""
    task, kind = TASKS[title], CODERS[name]
    with cores(task.cores):
        coder = task.make(kind)
        size = coder.verify()
        facts = {
            "symbols": min(task.symbols, kind.limit),
            "bytes": size,
            "percent over ideal": coder.percent_over_ideal(size),
        }
        yield coder, facts
