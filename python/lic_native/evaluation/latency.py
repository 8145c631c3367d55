"""How long an image takes to encode and decode, stage by stage: lic_native and CompressAI, in the same run."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import observe
from ..arguments import Device, check_choice, to_count
from ..models import registry
from .codecs import ours
from .engine import Call, Codec, measure
from .images import noise
from .report import check_files, markdown, write_csv

registry.need_torch("evaluate latency")
import torch  # noqa: E402
from torch.nn.modules.module import register_module_forward_pre_hook  # noqa: E402

from .codecs import compressai  # noqa: E402

__all__ = ["REFERENCE", "SIZES", "STAGES", "Timing", "codecs", "run", "table", "time_codec"]

Samples = NDArray[np.uint8]

#: Width and height: a crop, whose counts are those of larger images; Kodak's; Full HD; and 2K as DCI defines it.
SIZES = ((256, 256), (512, 768), (1920, 1080), (2048, 1080))
#: The codec whose speed is 1 in the table.
REFERENCE = "cheng2020_anchor"
STAGES = ("analysis", "prior", "coder", "synthesis", "rest")
CAPTION = f"""Seconds on the wall clock, from 8-bit RGB samples in memory to a file's bytes and back, after a warm-up:
of several repetitions the one of median total, of serial models the only one. Images are noise of a photograph's
spectrum. 2048x1080 is 2K as DCI has it.

- analysis, synthesis: the transforms. prior: the networks that give probabilities; of CompressAI h_a, h_s and, if any,
  entropy_parameters. coder: from their output to bytes and back, with transfers; of cheng2020_anchor its loop over
  positions, masked convolutions included. rest: pixels, padding, checks, container.
- Encoding with lic_native includes decoding the latents again, to verify them; CompressAI does not verify.
- walks: traversals of the latents, each of one tile or batch of tiles. steps: calls of the coder, one after the other;
  none where Rust does a whole walk, as it does for lic_native on a CPU, and all of its time is that of the prior.
  calls: forward passes of layers, of all stages.
- CompressAI's models have random weights, scaled so that latents have a spread of {compressai.SPREAD:g}: their time is
  about that of trained ones, their rate means nothing. Images are padded to multiples of {compressai.STRIDE} for them.
- "x {REFERENCE}": how many times as fast as that model, at the same size in this run."""


@dataclass(frozen=True)
class Timing:
    """The time that a codec took to encode or decode an image. `CAPTION` explains stages and counts.

    bpp: bits of the file per pixel.
    analysis, prior, coder, synthesis, rest: seconds of each stage; together, all of the time.
    walks, steps, calls: counts.
    """

    codec: str
    width: int
    height: int
    direction: str
    device: str
    threads: int
    repetitions: int
    bpp: float
    analysis: float
    prior: float
    coder: float
    synthesis: float
    rest: float
    walks: int
    steps: int
    calls: int

    @property
    def seconds(self) -> float:
        return self.analysis + self.prior + self.coder + self.synthesis + self.rest


def time_codec(codec: Codec[Samples], samples: Samples, device: torch.device, repetitions: int) -> list[Timing]:
    """Return two rows, encode and decode, for an image `[H, W, 3]`.

    Raises:
        ValueError: the decoded image differs in size, or its latents differ from those that were encoded.
    """
    height, width, _ = samples.shape
    measure(codec, samples[: compressai.STRIDE, : compressai.STRIDE] if codec.slow else samples)
    repetitions = 1 if codec.slow else repetitions
    measurements = []
    for _ in range(repetitions):
        with _counting_layers():
            measurements.append(measured := measure(codec, samples, clock=partial(_clock, device)))
        codec.verify()
        if measured.decode.result.shape != samples.shape:
            raise ValueError(f"{codec.name} restores {width}x{height} at another size")
    rows = []
    for direction in ("encode", "decode"):
        calls: list[Call[Any]] = sorted((getattr(m, direction) for m in measurements), key=lambda call: call.seconds)
        median = calls[(repetitions - 1) // 2]
        seconds = {stage: median.stages.get(stage, 0.0) for stage in STAGES[:-1]}
        counts = median.stages.calls
        # lic_native enters the stage "prior" once for each walk, and on torch its coder once more at the end of each.
        walks = counts["walk"] or counts["prior"]
        rows.append(
            Timing(
                codec=codec.name,
                width=width,
                height=height,
                direction=direction,
                device=str(device),
                threads=torch.get_num_threads(),
                repetitions=repetitions,
                bpp=8 * measured.bytes / (width * height),
                **seconds,
                rest=median.seconds - sum(seconds.values()),
                walks=walks,
                steps=counts["step"] or max(counts["coder"] - walks, 0),
                calls=counts["layer"],
            )
        )
    return rows


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def _counting_layers() -> Iterator[None]:
    """Count the forward passes of layers inside the block as calls of "layer"."""

    def count(module: torch.nn.Module, _: Any) -> None:
        if next(module.children(), None) is None:
            observe.count("layer")

    hook = register_module_forward_pre_hook(count)
    try:
        yield
    finally:
        hook.remove()


def codecs(names: Sequence[str] = (), device: Device = None) -> tuple[list[Codec[Samples]], torch.device]:
    """Return lic_native's profiles and CompressAI's models, and the device that they are on.

    A line on stderr names each model that is not installed.

    Args:
        names: the codecs that are wanted; by default all.
        device: by default "cuda" if there is one.

    Raises:
        ValueError: there is no such codec or device, or no codec is left.
    """
    where = ours.check_device(device, "a model")
    makers: dict[str, Callable[[], Codec[Samples]]] = {
        **{f"lic_native {profile}": partial(ours.latency_codec, profile, where) for profile in registry.IMAGE_PROFILES},
        **{name: partial(compressai.latency_codec, name, where) for name in compressai.MODELS},
    }
    for name in names:
        check_choice(name, makers, "codec")
    found = []
    for name, make in makers.items():
        if not names or name in names:
            try:
                found.append(make())
            except ImportError as error:
                print(f"{name} is missing: {error}; `make latency` installs what it needs", file=sys.stderr)
    if not found:
        raise ValueError("there is nothing to measure")
    return found, torch.empty(0, device=where).device


def table(rows: Sequence[Timing]) -> str:
    reference = {(row.width, row.height, row.direction): row.seconds for row in rows if row.codec == REFERENCE}
    head = ["codec", "size", "", "bpp", *STAGES, "total", "MP/s", f"x {REFERENCE}", "walks", "steps", "calls"]
    lines = []
    for row in rows:
        peer = reference.get((row.width, row.height, row.direction))
        lines.append(
            [
                row.codec,
                f"{row.width}x{row.height}",
                row.direction,
                f"{row.bpp:.2f}",
                *(f"{getattr(row, stage):.4f}" for stage in STAGES),
                f"{row.seconds:.4f}",
                f"{row.width * row.height / 1e6 / row.seconds:.3f}",
                "" if peer is None else f"{peer / row.seconds:.2f}",
                *map(str, (row.walks, row.steps, row.calls)),
            ]
        )
    return markdown(head, "lll".ljust(len(head), "r"), lines)


def _size(text: str) -> tuple[int, int]:
    """Return width and height from "2048x1080". Raises ValueError."""
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        raise ValueError(f"{text!r} is not a size; write width x height, for example 2048x1080")
    width, height = map(int, text.split("x"))
    return width, height


def run(
    *,
    sizes: Sequence[str] = (),
    names: Sequence[str] = (),
    device: Device = None,
    threads: int | None = None,
    repetitions: int = 5,
    csv_file: Path | None = None,
) -> None:
    """Measure, print the table, and write the rows.

    Raises:
        ValueError: there is no such size, codec or device, or a number of repetitions or threads is not positive.
        OSError: the file can't be written.
    """
    to_count(repetitions, "repetitions", 1)
    if threads is not None:
        to_count(threads, "threads", 1)
    check_files(csv_file)
    wanted = [_size(size) for size in sizes] or SIZES
    measured, where = codecs(names, device)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    rows: list[Timing] = []
    try:
        for width, height in wanted:
            samples = noise(width, height)
            for codec in measured:
                rows += time_codec(codec, samples, where, repetitions)
                print(f"{codec.name}, {width}x{height}", file=sys.stderr, flush=True)
    finally:
        torch.set_num_threads(threads_before)
    print(f"{table(rows)}\n\n{CAPTION}")
    print(f"- Device {rows[0].device}, {rows[0].threads} threads of torch {torch.__version__}.")
    print("\n".join(f"- {codec.name}: {codec.about}" for codec in measured))
    if csv_file:
        write_csv(csv_file, [asdict(row) | {"seconds": row.seconds} for row in rows])
