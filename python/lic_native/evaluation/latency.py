"""How long an image takes to encode and decode, stage by stage: lic_native beside CompressAI, in the same run."""

from __future__ import annotations

import csv
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from .. import image
from ..arguments import Device, to_count
from ..models import registry
from .outputs import check_files

registry.need_torch("evaluate latency")
import torch  # noqa: E402

from ..coding.coder import StreamDecoder, StreamEncoder  # noqa: E402

__all__ = ["Codec", "Row", "codecs", "evaluate", "run", "table"]

T = TypeVar("T")
Samples = NDArray[np.uint8]
Size = tuple[int, int]
#: Width and height: a crop whose counts are those of larger images, Kodak's, Full HD, and 2K as DCI has it.
SIZES: tuple[Size, ...] = ((256, 256), (512, 768), (1920, 1080), (2048, 1080))
#: CompressAI's models, by the names of its zoo, and the size that they have at this quality of theirs.
PEERS, PEER_QUALITY = ("mbt2018_mean", "cheng2020_anchor"), 4
#: Speeds are also given as multiples of this one's.
REFERENCE = "cheng2020_anchor"
#: Images are padded to multiples of so many pixels for CompressAI.
PEER_STRIDE = 64
#: Standard deviation of a peer's random latents: about a bit each.
SPREAD = 0.5
CAPTION = f"""Seconds on the wall clock, from 8-bit RGB samples in memory to a file's bytes and back, after a warm-up:
of several repetitions the one of median total, of serial models the only one. Images are noise of a photograph's
spectrum. 2048x1080 is 2K as DCI has it.

- analysis, synthesis: the transforms. prior: the networks that give probabilities; of CompressAI h_a, h_s and, if any,
  entropy_parameters. coder: from their output to bytes and back, with transfers; of cheng2020_anchor its loop over
  positions, masked convolutions included. rest: pixels, padding, checks, container.
- Encoding with lic_native includes decoding the latents again, to verify them; CompressAI does not verify.
- walks: traversals of the latents, each of one tile or batch of tiles. steps: calls of the coder, one after the other.
  calls: forward passes of layers, of all stages.
- CompressAI's models have random weights, scaled so that latents have a spread of {SPREAD:g}: their time is about that
  of trained ones, their rate means nothing. Images are padded to multiples of {PEER_STRIDE} for them.
- "x {REFERENCE}": how many times as fast as that model, at the same size in this run."""


@dataclass(frozen=True)
class Row:
    """What a codec took to encode or decode an image.

    bpp: bits of the file for each pixel.
    analysis, prior, coder, synthesis, rest: seconds of the stages; each moment counts for one of them only.
    walks, steps, calls: how many; what of, tells `CAPTION`, as it does of the stages.
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


STAGES = ("analysis", "prior", "coder", "synthesis", "rest")


@dataclass(frozen=True)
class Probe:
    """A method whose time is a stage's, of an object or of all of a class; counted: what a call of it is."""

    stage: str
    owner: Any
    method: str
    counted: str = ""


class Codec(Protocol):
    """A codec of RGB samples, uint8 `[H, W, 3]`.

    serial: whether it codes position after position, which takes so long that once has to do.
    """

    name: str
    about: str
    model: Any
    probes: list[Probe]
    serial: bool

    def encode(self, samples: Samples) -> Any: ...
    def size(self, coded: Any) -> int:
        """Bytes."""
        ...

    def decode(self, coded: Any) -> Samples: ...
    def verify(self) -> None:
        """Raise ValueError unless what was decoded last are the latents that were encoded last."""
        ...


class Ours:
    """lic_native with one of its profiles for images."""

    serial = False

    def __init__(self, profile: registry.ImageProfile, device: str) -> None:
        self._profile, self._device = profile, device
        self.name, self.about = f"lic_native {profile}", f"model {registry.IMAGE_PROFILES[profile]}"
        # The instance that `image` works with.
        self.model = model = registry.load_image(registry.IMAGE_PROFILES[profile], device)
        self.probes = [
            Probe("analysis", model, "encode"),
            Probe("prior", model, "walk", "walks"),
            Probe("coder", StreamEncoder, "code", "steps"),
            Probe("coder", StreamEncoder, "finish"),
            Probe("coder", StreamDecoder, "code", "steps"),
            Probe("coder", StreamDecoder, "finish"),
            Probe("synthesis", model, "decode"),
        ]

    def encode(self, samples: Samples) -> bytes:
        return image.compress(samples, profile=self._profile, device=self._device)

    def size(self, coded: bytes) -> int:
        return len(coded)

    def decode(self, coded: bytes) -> Samples:
        return np.asarray(image.decompress(coded, device=self._device))

    def verify(self) -> None:
        """`image.compress` and `image.decompress` do."""


class Peer:
    """A model of CompressAI with random weights, e.g. "mbt2018_mean"."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self._device = name, device
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = import_module("compressai.zoo")
        self.about = f"CompressAI {version('compressai')}, quality {PEER_QUALITY}, random weights"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = net = getattr(models, name)(PEER_QUALITY, pretrained=False).eval()
        spread(net)
        net.update(force=True)
        net.to(device)
        self.serial = hasattr(net, "context_prediction")
        bottleneck, conditional = net.entropy_bottleneck, net.gaussian_conditional
        self.probes = [
            Probe("analysis", net.g_a, "forward"),
            Probe("prior", net.h_a, "forward"),
            Probe("prior", net.h_s, "forward"),
            Probe("coder", bottleneck, "compress"),
            Probe("coder", bottleneck, "decompress", "steps"),
            Probe("coder", conditional, "build_indexes", "steps"),
            Probe("synthesis", net.g_s, "forward"),
        ]
        if self.serial:
            self.probes += [
                Probe("prior", net.entropy_parameters, "forward"),
                Probe("coder", net, "_compress_ar", "walks"),
                Probe("coder", net, "_decompress_ar", "walks"),
            ]
        else:
            self.probes += [Probe("coder", conditional, name, "walks") for name in ("compress", "decompress")]
        self._latents: list[torch.Tensor] = []
        net.g_a.register_forward_hook(lambda _, __, y: self._latents.append(y))
        net.g_s.register_forward_pre_hook(lambda _, given: self._latents.append(given[0]))

    @torch.inference_mode()
    def encode(self, samples: Samples) -> Any:
        self._latents.clear()
        height, width, _ = samples.shape
        missing = ((0, -height % PEER_STRIDE), (0, -width % PEER_STRIDE), (0, 0))
        padded: Samples = np.pad(samples, missing, "edge")
        x = torch.from_numpy(padded).to(self._device).permute(2, 0, 1)[None].float() / 255
        return (height, width), self.model.compress(x)

    def size(self, coded: Any) -> int:
        return sum(len(string) for strings in coded[1]["strings"] for string in strings)

    @torch.inference_mode()
    def decode(self, coded: Any) -> Samples:
        (height, width), parts = coded
        x = self.model.decompress(parts["strings"], parts["shape"])["x_hat"][0, :, :height, :width]
        samples: Samples = (255 * x).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return samples

    def verify(self) -> None:
        y, rounded = self._latents
        if y.shape != rounded.shape or (y - rounded).abs().max() > 0.501:
            raise ValueError(f"{self.name}: the latents don't come back as they were coded")


@torch.no_grad()
def spread(net: Any) -> None:
    """Let latents of random weights, and the scales that they are coded with, be about `SPREAD`.

    As first weights are, latents are all zero and their scales the least there is: a bit stream of nothing.
    """
    net.g_a[-1].weight *= SPREAD / net.g_a(torch.from_numpy(picture(256, 256)).permute(2, 0, 1)[None] / 255).std()
    last = getattr(net, "entropy_parameters", net.h_s)[-1]
    # Scales come first, then means.
    last.bias[: last.out_channels // 2] += SPREAD


@dataclass
class Observation:
    """Seconds of each stage, and how often what is counted was called."""

    seconds: dict[str, float]
    counts: Counter[str]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class Stopwatch:
    """Shares out time among stages; that of a stage within another is not the outer's."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._stage, self._since = "rest", self._now()

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def switch(self, stage: str) -> str:
        """Count for another stage from now on; the one before."""
        now, before = self._now(), self._stage
        self._seconds[before] += now - self._since
        self._stage, self._since = stage, now
        return before

    def seconds(self) -> dict[str, float]:
        self.switch("rest")
        return self._seconds


def observe(codec: Codec, work: Callable[[], T]) -> tuple[T, Observation]:
    """What `work` gives with a codec, and what it takes. Whatever is observed is as before afterwards."""
    counts: Counter[str] = Counter()

    def timed(probe: Probe) -> Callable[..., Any]:
        method = getattr(probe.owner, probe.method)

        def call(*args: Any, **options: Any) -> Any:
            counts[probe.counted] += 1
            outer = watch.switch(probe.stage)
            try:
                return method(*args, **options)
            finally:
                watch.switch(outer)

        return call

    def count(*_: Any) -> None:
        counts["calls"] += 1

    with ExitStack() as stack:
        for probe in codec.probes:
            stack.enter_context(patch.object(probe.owner, probe.method, timed(probe)))
        for layer in codec.model.modules():
            if next(layer.children(), None) is None:
                stack.callback(layer.register_forward_pre_hook(count).remove)
        watch = Stopwatch(next(codec.model.parameters()).device)
        result = work()
        return result, Observation(watch.seconds(), counts)


def picture(width: int, height: int, seed: int = 0) -> Samples:
    """Noise of the spectrum of photographs, 1/f, more in luma than in chroma: uint8 `[height, width, 3]`."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency**1.4
    planes = np.fft.irfft2(noise, (height, width))
    planes *= np.array([45, 8, 8])[:, None, None] / planes.std((1, 2), keepdims=True)
    luma, blue, red = planes + 128
    rgb = np.stack([luma + red - 128, luma - (red + blue) / 2 + 128, luma + blue - 128], -1)
    samples: Samples = np.clip(rgb.round(), 0, 255).astype(np.uint8)
    return samples


def measure(codec: Codec, samples: Samples, repetitions: int) -> list[Row]:
    """Two rows: encode and decode.

    Raises:
        ValueError: what is decoded is not what was encoded.
    """
    height, width, _ = samples.shape
    warm = samples[:PEER_STRIDE, :PEER_STRIDE] if codec.serial else samples
    codec.decode(codec.encode(warm))
    observations: dict[str, list[Observation]] = {"encode": [], "decode": []}
    times = 1 if codec.serial else repetitions
    for _ in range(times):
        coded, encoding = observe(codec, partial(codec.encode, samples))
        restored, decoding = observe(codec, partial(codec.decode, coded))
        codec.verify()
        if restored.shape != samples.shape:
            raise ValueError(f"{codec.name} restores {width}x{height} at another size")
        observations["encode"].append(encoding)
        observations["decode"].append(decoding)
    rows = []
    for direction, observed in observations.items():
        middle = sorted(observed, key=lambda each: each.total)[(times - 1) // 2]
        rows.append(
            Row(
                codec=codec.name,
                width=width,
                height=height,
                direction=direction,
                device=str(next(codec.model.parameters()).device),
                threads=torch.get_num_threads(),
                repetitions=times,
                bpp=8 * codec.size(coded) / (width * height),
                **middle.seconds,
                walks=middle.counts["walks"],
                steps=middle.counts["steps"],
                calls=middle.counts["calls"],
            )
        )
    return rows


def codecs(names: Sequence[str] = (), device: Device = None) -> list[Codec]:
    """Those of these names, or lic_native with each of its profiles and CompressAI's models.

    A line on stderr tells of models that are not there.

    Raises:
        ValueError: there is no such codec or device, or none is left.
    """
    device = registry.present_device(device, "a model")
    known: dict[str, Callable[[], Codec]] = {}
    known |= {f"lic_native {profile}": partial(Ours, profile, device) for profile in registry.IMAGE_PROFILES}
    known |= {name: partial(Peer, name, device) for name in PEERS}
    for name in names:
        if name not in known:
            raise ValueError(f"codec {name!r} is none of {', '.join(known)}")
    found = []
    for name, make in known.items():
        if not names or name in names:
            try:
                found.append(make())
            except ImportError as error:
                print(f"{name} is missing: {error}; `make latency` installs what it takes", file=sys.stderr)
    if not found:
        raise ValueError("there is nothing to measure")
    return found


def evaluate(measured: Sequence[Codec], sizes: Sequence[Size], repetitions: int) -> Iterator[Row]:
    """Size by size, two rows for each codec."""
    for width, height in sizes:
        samples = picture(width, height)
        for codec in measured:
            yield from measure(codec, samples, repetitions)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    reference = {(r.width, r.height, r.direction): r.seconds for r in rows if r.codec == REFERENCE}
    heads = ["codec", "size", "", "bpp", *STAGES, "total", "MP/s", f"x {REFERENCE}", "walks", "steps", "calls"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---|---|{'---:|' * (len(heads) - 3)}"]
    for row in rows:
        peer = reference.get((row.width, row.height, row.direction))
        cells = [
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
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def size_of(text: str) -> Size:
    """Of "2048x1080": width, height. Raises ValueError."""
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        raise ValueError(f"{text!r} is no size such as 2048x1080: width x height")
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
        ValueError: no such size, codec or device, or no repetitions or threads.
        OSError: the file can't be written.
    """
    to_count(repetitions, "repetitions", 1)
    if threads is not None:
        to_count(threads, "threads", 1)
    check_files(csv_file)
    wanted = [size_of(size) for size in sizes] or SIZES
    measured = codecs(names, device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    rows: list[Row] = []
    try:
        for row in evaluate(measured, wanted, repetitions):
            print(f"{row.codec}, {row.width}x{row.height}, {row.direction}", file=sys.stderr, flush=True)
            rows.append(row)
    finally:
        torch.set_num_threads(before)
    print(f"{table(rows)}\n\n{CAPTION}")
    print(f"- Device {rows[0].device}, {rows[0].threads} threads of torch {torch.__version__}.")
    print("\n".join(f"- {codec.name}: {codec.about}" for codec in measured))
    if csv_file:
        with csv_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*asdict(rows[0]), "seconds"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) | {"seconds": row.seconds} for row in rows)
