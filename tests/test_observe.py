"""Stages of compression and decompression on the clock."""

import time
from itertools import count

import pytest
from conftest import jpeg_bytes, networks_alone

from lic_native import jpeg, observe, threads
from lic_native.models.registry import JpegProfile


def test_time_counts_for_the_innermost_stage() -> None:
    ticks = count()
    with observe.record(lambda: float(next(ticks))) as stages:
        with observe.stage("outer"), observe.stage("inner"):
            pass
        with observe.stage("whole", whole=True), observe.stage("inner"):
            pass
    assert dict(stages) == {"inner": 1.0, "outer": 2.0, "whole": 1.0}
    assert stages.calls == {"inner": 1, "outer": 1, "whole": 1}


def test_nothing_is_measured_without_a_record() -> None:
    with observe.record() as stages:
        pass
    with observe.stage("late"), observe.on_wall_clock():
        pass
    assert not stages and observe.stage("a") is observe.stage("b")


def test_an_exception_ends_a_stage() -> None:
    with observe.record() as stages:
        with pytest.raises(KeyError), observe.stage("broken"):
            raise KeyError
        with observe.stage("next"):
            pass
    assert set(stages) == {"broken", "next"}


def test_stages_of_threads_add_up_to_the_wall_clock() -> None:
    def work(_: int) -> None:
        with observe.stage("network"), observe.stage("coder"):
            pass

    ticks = count()
    with observe.record(lambda: float(next(ticks))) as stages, observe.stage("all"), observe.on_wall_clock():
        threads.share(work, range(8), 3)
    assert stages.calls == {"network": 8, "coder": 8, "all": 1}
    assert sum(stages.values()) == pytest.approx(3 + 4 * 8) and stages["all"] == 2


@pytest.mark.parametrize("profile", ["native", "fast"])
def test_stages_of_jpeg_files(profile: JpegProfile) -> None:
    data = jpeg_bytes()
    expected = {"parse", "coder" if profile == "native" else "network", "write", "verification"}
    with networks_alone():
        start = time.perf_counter()
        with observe.record() as encoding:
            small = jpeg.compress(data, profile=profile, device="cpu")
        with observe.record() as decoding:
            assert jpeg.decompress(small, device="cpu") == data
        seconds = time.perf_counter() - start
    assert set(encoding) == set(decoding) == expected
    assert 0 < sum(encoding.values()) + sum(decoding.values()) <= seconds
