"""Where the time of our own codec goes: the steps of `jpeg.compress` and `jpeg.decompress`, one by one on the clock."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeVar, cast

import numpy as np

from .. import _native, jpeg
from ..arguments import Device
from ..jpeg import coders, network, tiles
from ..limits import DEFAULT_LIMITS
from ..models import registry
from .jpeg import FileSet

__all__ = ["Clock", "StageRow", "Stages", "TimedModel", "TimedStream", "decode", "encode", "measure_stages", "table"]

T = TypeVar("T")


@dataclass(frozen=True)
class Stages:
    """Seconds on the wall clock; a tile's are shared out as its thread spent them.

    parse: the JPEG file (and that its coefficients give it), or the `.lic` file, to what their coding takes.
    network: it, and from its output the integers that are the coder's parameters.
    coder: coefficients to bytes and back.
    write: the file that results.
    verification: that the result gives the file; or the checksum.
    """

    parse: float = 0.0
    network: float = 0.0
    coder: float = 0.0
    write: float = 0.0
    verification: float = 0.0

    def __add__(self, other: Stages) -> Stages:
        return Stages(*(a + b for a, b in zip(astuple(self), astuple(other))))


@dataclass(frozen=True)
class StageRow:
    """Where a codec's time went over the files of a set that it codes and does not store."""

    quality: int | None
    sampling: str | None
    codec: str
    direction: str
    jpeg_bytes: int
    seconds: Stages


def measure_stages(profile: registry.JpegProfile, file_set: FileSet, device: Device = None) -> list[StageRow]:
    """Two rows: encode and decode. No row if every file is stored."""
    total, encoding, decoding = 0, Stages(), Stages()
    for data in file_set.files:
        # Doing it unobserved is a warm-up, says with which model, and gives the bytes that must come out.
        packed = jpeg.compress(data, profile=profile, device=device)
        if _native.unpack(packed, len(data)).stored is None:
            total += len(data)
            encoding += encode(data, packed, device)
            decoding += decode(packed, device)
    if not total:
        return []
    row = (file_set.quality, file_set.sampling, f"lic_native {profile}")
    return [StageRow(*row, "encode", total, encoding), StageRow(*row, "decode", total, decoding)]


def encode(data: bytes, packed: bytes, device: Device) -> Stages:
    """`jpeg.compress`, which makes `packed` of `data`, by stages: of each picture, the coder that it chose.

    The native coder verifies what it makes itself.
    """
    container = _native.unpack(packed, len(data))
    clock = Clock()
    with clock("parse"):
        pictures, skeleton = _native.carve_read(data)
        frames = _native.frames(skeleton, len(data), DEFAULT_LIMITS.max_blocks)
    coded: list[coders.Coded | int] = []
    for frame, planes, picture in zip(frames, pictures, container.pictures, strict=True):
        if isinstance(picture, int):
            coded.append(picture)
            continue
        number, fingerprint, _ = picture
        name = registry.model_name(number)
        if name == registry.NATIVE:
            with clock("coder"):
                result = _native.context_encode(frame, planes, coders.context_threads())
        else:
            result = _native.join_streams(clock.walk(registry.load(name, device), network.encode_planes, frame, planes))
        coded.append((number, fingerprint, result))
    with clock("write"):
        written = _native.pack_jpeg(data, skeleton, coded)
    with clock("verification"):
        same = jpeg.decompress(written, device=device) == data
    if not same or written != packed:
        raise RuntimeError("these stages are no longer those of jpeg.compress")
    return clock.stages()


def decode(packed: bytes, device: Device) -> Stages:
    """`jpeg.decompress` by stages."""
    clock = Clock()
    with clock("parse"):
        container = _native.unpack(packed, DEFAULT_LIMITS.max_output_bytes)
        frames = container.frames(DEFAULT_LIMITS.max_blocks)
    pictures: list[list[np.ndarray]] = []
    for frame, picture in zip(frames, container.pictures, strict=True):
        if isinstance(picture, int):
            pictures.append(pictures[picture])
            continue
        number, _, data = picture
        name = registry.model_name(number)
        if name == registry.NATIVE:
            with clock("coder"):
                pictures.append(_native.context_decode(frame, data, coders.context_threads()))
        else:
            streams = _native.split_streams(data, len(tiles.Grids(frame).tiles))
            pictures.append(clock.walk(registry.load(name, device), network.decode_planes, frame, streams))
    with clock("write"):
        restored = _native.carve_write(container.reconstruction, pictures, container.size)
    with clock("verification"):
        _native.verify(restored, container.size, container.checksum)
    return clock.stages()


class Clock:
    """Adds up the time of stages."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._seconds[stage] += time.perf_counter() - start

    def walk(self, model: Any, work: Callable[..., T], *args: Any) -> T:
        """What `work` makes of a model and `args`; network and coder share the time as they do that of its threads."""
        timed = TimedModel(model)
        start = time.perf_counter()
        result = work(timed, *args)
        seconds = time.perf_counter() - start
        coder = sum(stream.seconds for stream in timed.streams)
        share = coder / (coder + sum(timed.network))
        self._seconds["coder"] += share * seconds
        self._seconds["network"] += (1 - share) * seconds
        return result

    def stages(self) -> Stages:
        return Stages(**self._seconds)


class TimedModel:
    """A model that notes, of every run, how long its coder's rANS stream took and how long all the rest."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.streams: list[TimedStream] = []
        self.network: list[float] = []

    def run(self, coder: Any, *args: Any) -> Any:
        side = "_encoders" if hasattr(coder, "_encoders") else "_decoders"
        streams = [TimedStream(stream) for stream in getattr(coder, side)]
        setattr(coder, side, streams)
        self.streams += streams
        start = time.perf_counter()
        result = self._model.run(coder, *args)
        self.network.append(time.perf_counter() - start - sum(stream.seconds for stream in streams))
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class TimedStream:
    """A `stream.Encoder` or `stream.Decoder` that adds up the time of its calls."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._stream, name)

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = method(*args, **options)
            self.seconds += time.perf_counter() - start
            return result

        return timed


def table(rows: list[StageRow]) -> str:
    """Milliseconds for a megabyte of JPEG, as a Markdown table."""
    names = [field.name for field in fields(Stages)]
    lines = [f"| ms for a MB of JPEG | {' | '.join(names)} | all |", f"|---|{'---:|' * (len(names) + 1)}"]
    for row in rows:
        seconds = cast("tuple[float, ...]", astuple(row.seconds))
        cells = [f"{1e9 * s / row.jpeg_bytes:,.1f}" for s in (*seconds, sum(seconds))]
        lines.append(f"| {row.codec}, {row.direction} | {' | '.join(cells)} |")
    return "\n".join(lines)
