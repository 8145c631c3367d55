"""Signals that end the command: within a second, and without half-written files."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import NoReturn

from .. import files, threads

__all__ = ["PATIENCE", "Stopped", "end", "stop_on_signals", "take_signals"]

#: Seconds that a stopped run waits for its threads to end.
PATIENCE = 0.7


class Stopped(BaseException):
    """Raised in the main thread by a signal that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def take_signals() -> None:
    """Make the signals that end a command raise Stopped, except signals that the caller has set to be ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _on_signal)


def _on_signal(number: int, _: object) -> NoReturn:
    """Raise Stopped. A second signal ends the process at once."""
    signal.signal(number, lambda *_: end(number))
    raise Stopped(number)


def end(number: int) -> NoReturn:
    """End the process with the exit status of a signal. Do not wait for threads, and leave no half-written file."""
    files.discard_unfinished()
    os._exit(128 + number)


def stop_on_signals(work: Callable[[], object], stopped: Callable[[], None], stack: ExitStack) -> None:
    """Call `work` such that a signal ends the process within a second.

    The work runs in a second thread, because Python handles signals in the main thread, and long native calls there
    would delay them.

    Args:
        work: function to call. Its exception is raised again.
        stopped: called after a signal, before the process ends.
        stack: contexts to leave before `stopped` is called.
    """
    failure: list[BaseException] = []
    ended = threading.Event()
    group = threads.Group()

    def work_in_group() -> None:
        try:
            with group.joined():
                work()
        except BaseException as error:
            failure.append(error)
        ended.set()

    worker = threading.Thread(target=work_in_group, name="lic_native run")
    try:
        worker.start()
    except RuntimeError:  # The system allows no more threads.
        work_in_group()
    try:
        ended.wait()
    except Stopped as signalled:
        group.stop()
        ended.wait(PATIENCE)
        stack.close()
        stopped()
        end(signalled.number)
    if failure:
        raise failure[0]
