"""Threads that share work: order, failures, stopping and number."""

import threading
import time

import pytest

from lic_native import threads


def test_results_are_in_order():
    assert threads.share(lambda i: i * i, range(20), 3) == [i * i for i in range(20)]
    assert threads.share(lambda i: i, [], 3) == []
    caller = threading.get_ident()
    assert set(threads.share(lambda _: threading.get_ident(), range(3), 1)) == {caller}


def test_the_first_failure_stops_the_rest_and_is_raised():
    begun = []

    def work(i):
        begun.append(i)
        if i == 1:
            raise ValueError("the first")
        while True:
            threads.check()
            time.sleep(0.001)

    with pytest.raises(ValueError, match="the first"):
        threads.share(work, range(100), 3)
    assert len(begun) <= 4


def test_groups_within_a_stopped_group_stop():
    def inner(_):
        while True:
            threads.check()
            time.sleep(0.001)

    group = threads.Group()

    def outer():
        with group.joined(), pytest.raises(KeyboardInterrupt):
            threads.share(inner, range(2), 2)
        threads.check()  # The thread has left the group.

    thread = threading.Thread(target=outer)
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    group.stop()
    thread.join(10)
    assert not thread.is_alive()
    threads.check()


def test_the_caller_works_if_no_thread_can_be_started(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert threads.share(lambda i: i, range(5), 4) == list(range(5))


def test_numbers_of_threads(monkeypatch):
    assert threads.resolve(3) == 3
    monkeypatch.setenv("LIC_THREADS", "7")
    assert threads.available() == threads.resolve(0) == 7
    for wrong in ("0", "-1", "x", "1.5"):
        monkeypatch.setenv("LIC_THREADS", wrong)
        with pytest.raises(ValueError, match="LIC_THREADS must be a number from 1 on"):
            threads.available()
    for given, error in ((-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="threads"):
            threads.resolve(given)
    monkeypatch.delenv("LIC_THREADS")
    assert threads.available() >= 1
