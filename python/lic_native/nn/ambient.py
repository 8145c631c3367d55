"""The state of torch and NumPy that models are loaded and run in, whatever the program around has set."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

__all__ = ["Shared", "known_state"]


class Shared:
    """A change of torch's global state that lasts while any thread is inside.

    switch: makes the change, and yields functions that undo it.
    """

    def __init__(self, switch: Callable[[], Iterable[Callable[[], None]]]) -> None:
        self._switch = switch
        self._lock = threading.Lock()
        self._inside = 0
        self._undo: list[Callable[[], None]] = []
        # In a forked child the thread that holds the lock does not exist, so nothing would open it.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: setattr(self, "_lock", threading.Lock()))

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._undo = list(self._switch())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for undo in self._undo:
                    undo()


def _full_precision() -> Iterator[Callable[[], None]]:
    """Turn off TF32 and bfloat16, which trade precision for speed. By default cuDNN convolves in TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if not hasattr(matmul, "fp32_precision"):  # before torch 2.9
        if torch.get_float32_matmul_precision() != "highest":
            yield partial(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
        if cudnn.allow_tf32:
            yield partial(setattr, cudnn, "allow_tf32", True)
            cudnn.allow_tf32 = False
        return
    backends = [matmul, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]  # type: ignore[attr-defined]
    # While this differs from the older `cudnn.allow_tf32`, torch refuses to tell that: not in programs without CUDA.
    if torch.cuda.is_initialized():
        backends.append(cudnn.conv)  # type: ignore[attr-defined]
    for backend in backends:
        if backend.fp32_precision not in ("none", "ieee"):
            yield partial(_set_precision, backend, backend.fp32_precision)
            backend.fp32_precision = "ieee"


def _set_precision(backend: Any, precision: str) -> None:
    """Set a backend's precision; it goes on following `torch.backends.fp32_precision` if that says the same."""
    backend.fp32_precision = "none"
    if backend.fp32_precision != precision:
        backend.fp32_precision = precision


_precision = Shared(_full_precision)


@contextmanager
def known_state(grad: bool = False) -> Iterator[None]:
    """Make torch and NumPy compute in this thread as they do in a new program, and leave them as they were.

    Inside, these settings of the program do not count: autocast, inference mode, recording of gradients, a default
    device, precision below float32, flushing of denormal numbers, and errors that NumPy raises. The default dtype and
    the number of threads stay as the program has them, since other threads would see a change: code that runs inside
    names its dtypes, and computes the same on any number of threads. Random generators are not used.

    grad: record gradients.
    """
    _spare_a_fork()
    flushed = _flushes_denormals()
    with ExitStack() as stack:
        stack.enter_context(_precision)
        for context in (
            torch.inference_mode(False),
            torch.enable_grad() if grad else torch.no_grad(),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            np.errstate(all="ignore"),
        ):
            stack.enter_context(context)
        # Calls of torch take longer inside this context, so it is entered only where it matters.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if flushed:
            torch.set_flush_denormal(False)
            stack.callback(torch.set_flush_denormal, True)
        yield


def _flushes_denormals() -> bool:
    """Return whether this thread flushes denormal numbers to zero: torch can set that, but not report it."""
    return sys.float_info.min / 2 == 0.0


#: In a forked child, the thread that forked: the threads that torch used for it exist in the parent alone.
_forked: int | None = None


def _note_fork() -> None:
    global _forked
    _forked = threading.get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def _spare_a_fork() -> None:
    """Make torch work without the threads that a forked child has lost; it would wait for them endlessly."""
    if _forked == threading.get_ident() and torch.get_num_threads() > 1:
        torch.set_num_threads(1)
