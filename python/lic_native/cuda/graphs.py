"""Work on a GPU that is repeated: captured as a CUDA graph, so that a thousand launches become one.

A *program* is a function of tensors in fixed places. Its first call runs as it is, which lets libraries choose and load
their kernels; the second is captured, and it and all later ones replay the graph. Where there is no CUDA, or capture
fails, or `LIC_CUDA_GRAPHS=0` is in the environment, every call runs as it is.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["Graph", "Program", "Programs", "empty_cache", "fetch", "graph_maker"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = TypeVar("P")

#: Programs that are kept, at most.
MOST_PROGRAMS = 32
#: The part of a device's memory that programs may take.
SHARE = 4


_capturing = threading.Lock()


class Graph(Protocol):
    """A captured program."""

    def capture(self, work: Callable[[], T]) -> T:
        """Record what `work` launches, without running it, and return its result, which a replay fills in."""
        ...

    def replay(self) -> None:
        """Run what was recorded."""
        ...


class CudaGraph:
    """A CUDA graph. Graphs that are never replayed at the same time share the memory between their inputs and results.

    pool: of that memory.
    """

    def __init__(self, pool: Any) -> None:
        self._graph, self._pool = torch.cuda.CUDAGraph(), pool

    def capture(self, work: Callable[[], T]) -> T:
        # Torch captures on one stream alone.
        with _capturing:
            generator: Any = torch.cuda.default_generators[torch.cuda.current_device()]
            before = generator.get_state()
            try:
                # Other threads may go on allocating and copying meanwhile.
                with torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
                    return work()
            except Exception:
                # The program's generator would wait for the end of the capture from now on.
                fresh: Any = torch.Generator(generator.device)
                fresh.set_state(before)
                generator.graphsafe_set_state(fresh.graphsafe_get_state())
                raise

    def replay(self) -> None:
        self._graph.replay()


def graph_maker(device: torch.device) -> Callable[[], Graph] | None:
    """Return what makes graphs of a device, which share memory, or None where calls are to run as they are."""
    if device.type != "cuda" or os.environ.get("LIC_CUDA_GRAPHS") == "0":
        return None
    pool = torch.cuda.graph_pool_handle()
    return lambda: CudaGraph(pool)


def empty_cache() -> None:
    """Give the memory that torch keeps for later back to the device; what graphs had nothing else could use."""
    # Torch refuses to do this while any thread captures.
    with _capturing:
        torch.cuda.empty_cache()


def fetch(tensors: Sequence[Tensor]) -> tuple[list[Tensor], Callable[[], None]]:
    """Return copies on the CPU, and what waits for them to be there; the device may go on meanwhile."""
    if not tensors[0].is_cuda:
        return [x.clone() for x in tensors], lambda: None
    copies = [torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True) for x in tensors]
    arrived: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return copies, arrived.synchronize


class Program(Generic[P, T]):
    """A function of tensors in fixed places.

    places: what its caller fills in before a call.
    work: the function. What it returns is valid until it is called again, or any program of the same `Programs` is.
    """

    def __init__(self, places: P, work: Callable[[], T]) -> None:
        self.places, self._work = places, work
        self._graph: Graph | None = None
        self._result: Any = None
        self.calls, self.capturable, self.bytes = 0, True, 0

    @property
    def captured(self) -> bool:
        """Whether calls replay a graph."""
        return self._graph is not None

    def __call__(self, new_graph: Callable[[], Graph] | None) -> T:
        """Run it. new_graph: makes graphs, if there are any."""
        self.calls += 1
        if self._graph is None and self.calls > 1 and self.capturable and new_graph is not None:
            try:
                graph = new_graph()
                self._result, self._graph = graph.capture(self._work), graph
            except Exception as error:  # whatever a driver raises, plain calls may work
                self.capturable = False
                _log.warning("work is not captured as a CUDA graph, and takes longer: %s", error)
        if self._graph is None:
            return self._work()
        self._graph.replay()
        result: T = self._result
        return result


class Programs:
    """Programs by their keys. The least recently used go when there are too many, or they take too much memory.

    lock: is held from before a program's places are filled in until its result has been taken.

    most_bytes: that programs may take. Default: a quarter of the device's memory.
    new_graph: makes graphs; by default CUDA graphs on CUDA and none elsewhere.
    taken: returns the bytes that are taken on the device.
    """

    def __init__(
        self,
        device: torch.device,
        most_bytes: int | None = None,
        new_graph: Callable[[], Graph] | None = None,
        taken: Callable[[], int] | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Program[Any, Any]] = OrderedDict()
        self._new_graph = new_graph or graph_maker(device)
        self._taken, self._most_bytes = taken or (lambda: 0), most_bytes or 1 << 62
        if device.type == "cuda":
            self._taken = taken or (lambda: torch.cuda.memory_reserved(device))
            self._most_bytes = most_bytes or torch.cuda.mem_get_info(device)[1] // SHARE

    def __len__(self) -> int:
        return len(self._kept)

    def run(self, key: Hashable, make: Callable[[], Program[P, T]], fill: Callable[[P], None]) -> T:
        """Fill in the places of a program, and call it. make: makes it, if it is not kept. Needs the lock."""
        before = self._taken()
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        program: Program[P, T] = self._kept[key]
        fill(program.places)
        result = program(self._new_graph)
        program.bytes += max(0, self._taken() - before)
        while len(self._kept) > 1 and (len(self._kept) > MOST_PROGRAMS or self._sum() > self._most_bytes):
            self._kept.popitem(last=False)
        return result

    def clear(self) -> None:
        """Forget all programs. Needs the lock."""
        self._kept.clear()

    def _sum(self) -> int:
        return sum(program.bytes for program in self._kept.values())
