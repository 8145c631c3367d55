"""The coders of `entropy.py`, each on its own."""

import os

import pytest
from peers import CODERS
from peers.coder import installed
from peers.tasks import TASKS, ready


@pytest.fixture(params=TASKS)
def title(request):
    if TASKS[request.param].cores > len(os.sched_getaffinity(0)):
        pytest.skip("too few cores")
    return request.param


@pytest.fixture(params=CODERS)
def name(request):
    if not installed(CODERS[request.param]):
        pytest.skip(f"{CODERS[request.param].package} is not installed")
    return request.param


def note(benchmark, facts: dict) -> None:
    benchmark.extra_info |= facts
    if benchmark.enabled:
        benchmark.extra_info["symbols per second"] = facts["symbols"] / benchmark.stats["median"]


def test_encode(title, name, benchmark):
    benchmark.group = f"entropy encode, {title}"
    with ready(title, name) as (coder, facts):
        benchmark(coder.encode)
    note(benchmark, facts)


def test_decode(title, name, benchmark):
    benchmark.group = f"entropy decode, {title}"
    with ready(title, name) as (coder, facts):
        benchmark(coder.decode, coder.encode())
    note(benchmark, facts)
