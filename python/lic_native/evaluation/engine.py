"""Codecs, and the bytes, time, memory and stages that they take to encode and decode."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..arguments import check_choice
from ..observe import Stages, record
from . import resources

__all__ = ["Call", "Codec", "Measurement", "Saving", "measure", "measure_call", "select"]

T = TypeVar("T")


@dataclass(frozen=True)
class Codec(Generic[T]):
    """A program that encodes and decodes.

    encode: takes the source, and one of `settings` if there are any. Returns bytes, or an object whose `len` is the
        number of bytes. Any exception means that the codec refuses the source.
    decode: takes what `encode` returned.
    settings: for example qualities, for the points of a rate-distortion curve.
    about: the codec's version, and the options that all settings share.
    ours: true for lic_native.
    slow: true if time should be measured once only, after a warm-up on a small source.
    verify: called after each measurement, off the clock. Raises ValueError if what was decoded last is not what was
        encoded last.
    """

    name: str
    encode: Callable[..., Any]
    decode: Callable[[Any], T]
    settings: Sequence[float] = ()
    about: str = ""
    ours: bool = False
    slow: bool = False
    verify: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Saving:
    """The result of one codec on a set of files. Speeds are megabytes of JPEG per second, on the wall clock.

    A file that the codec refuses counts with its own size, and without time.
    """

    quality: int | None
    sampling: str | None
    codec: str
    files: int
    jpeg_bytes: int
    coded_bytes: int
    saving_percent: float
    encode_mb_per_s: float
    decode_mb_per_s: float
    exact: int
    refused: int


@dataclass(frozen=True)
class Call(Generic[T]):
    """The result of a call, and what the call took.

    seconds: wall-clock time.
    stages: seconds of the stages that `observe.stage` marks.
    peak_bytes: the largest memory of the process during the call less its memory before the call, without a GPU's
        memory. None if it was not asked for, or if the system does not report it.
    """

    result: T
    seconds: float
    stages: Stages
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Measurement(Generic[T]):
    """One source, encoded and decoded."""

    encode: Call[Any]
    decode: Call[T]

    @property
    def bytes(self) -> int:
        return len(self.encode.result)


def measure(
    codec: Codec[T], source: T, *setting: float, memory: bool = False, clock: Callable[[], float] = time.perf_counter
) -> Measurement[T]:
    """Encode and decode a source once.

    Args:
        codec: the codec.
        source: what is encoded.
        *setting: one of the codec's settings, if it has any.
        memory: measure the peak of memory too.
        clock: returns seconds.
    """
    encode = measure_call(lambda: codec.encode(source, *setting), memory=memory, clock=clock)
    return Measurement(encode, measure_call(lambda: codec.decode(encode.result), memory=memory, clock=clock))


def measure_call(
    work: Callable[[], T], *, memory: bool = False, clock: Callable[[], float] = time.perf_counter
) -> Call[T]:
    """Call a function. Arguments as for `measure`."""
    before = resources.start_peak() if memory else None
    with record(clock) as stages:
        start = clock()
        result = work()
        seconds = clock() - start
    return Call(result, seconds, stages, None if before is None else max(0, resources.peak() - before))


def select(codecs: Sequence[Codec[T]], names: Sequence[str]) -> list[Codec[T]]:
    """Return the codecs of these names, or all if there are no names. Raises ValueError for an unknown name."""
    for name in names:
        check_choice(name, [codec.name for codec in codecs], "codec")
    return [codec for codec in codecs if not names or codec.name in names]
