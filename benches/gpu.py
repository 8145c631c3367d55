"""Try a GPU: are its files right, and how long does it take? One command, a table and a JSON file, in two minutes.

    python benches/gpu.py --json gpu.json                  # on a machine with CUDA
    python benches/gpu.py --device cpu --small             # what this prints, in seconds

It needs the package with torch, and this tree for the golden files, but no network. It ends with status 1 if a file is
wrong, or if none was compared. The other side of the comparisons is the CPU of the same machine. `make gpu` runs it.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

import lic_native
from lic_native import _native, image, jpeg, threads
from lic_native.coding.coder import LANES
from lic_native.cuda import mixtures
from lic_native.cuda.available import works
from lic_native.evaluation.codecs import ours
from lic_native.evaluation.engine import Call, Codec, measure_call
from lic_native.evaluation.report import markdown
from lic_native.image import container, passes
from lic_native.image.coders import encode_tile
from lic_native.image.grid import TileGrid
from lic_native.jpeg import coders, torch_network
from lic_native.models import base, registry
from lic_native.nn.exact import check_exact

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "benches"))
import restore_golden  # noqa: E402
from peers.latents import SOURCES  # noqa: E402

#: Widths and heights that are timed: Kodak's, Full HD, and 12 megapixels.
KODAK, FULL_HD, LARGE = (768, 512), (1920, 1080), (4000, 3000)
#: Widths and heights of files that one side writes and the other reads: one tile, odd sides, several tiles of a JPEG
#: file, several tiles of an image.
CROSSED = ((131, 97), KODAK, (1031, 1543), (2100, 600))
#: The same of JPEG files alone: a batch of twelve tiles.
CROSSED_JPEG = (*CROSSED, LARGE)
#: Calls at the same time, from as many threads; the files of a folder are coded so.
AT_ONCE = 4
REPETITIONS = 5
#: Files of a batch.
BATCH = 64
#: Iterations of latent overfitting.
LOF = 20
#: Coders of tensors, at most, and the states in which torch_ans codes at the same time.
TENSORS, TORCH_ANS_STATES = 5, 2048
#: What batches are coded with: environment variables that leave out a part.
MODES: dict[str, dict[str, str]] = {
    "graphs and Triton": {},
    "without graphs": {"LIC_CUDA_GRAPHS": "0"},
    "coder in Rust": {"LIC_TRITON": "0"},
}
#: Parts of kernels' names, and what such kernels do.
KERNELS = {"mixtures": "entropy coder", "encode_slots": "entropy coder", "gemm": "products", "conv": "products"}
#: Golden files that are enough for a look.
SMALL = ("_440.lic", "_alpha.lic", ".lit")


@dataclass
class Check:
    """Files that must be right. worst: largest difference between samples, where floats are allowed to differ."""

    what: str
    files: int = 0
    wrong: list[str] = field(default_factory=list)
    worst: int | None = None
    differing: float | None = None

    def add(self, name: str, right: bool) -> None:
        self.files += 1
        if not right:
            self.wrong.append(name)

    def compare(self, name: str, samples: np.ndarray, others: np.ndarray) -> None:
        """Add a decoded image: samples may differ by one. Keep how many of a million do, of all images the most."""
        difference = np.abs(samples.astype(np.int16) - others.astype(np.int16))
        self.worst = max(self.worst or 0, int(difference.max()))
        self.differing = max(self.differing or 0, round(1e6 * float((difference > 0).mean()), 1))
        self.add(name, int(difference.max()) <= 1)


@dataclass(frozen=True)
class Time:
    """Seconds of one call, or of `at_once` calls together: the median of `repetitions` after a warm-up.

    units: millions of what `unit` says, of all calls together, in a second.
    memory: the most that the process took during a call in addition to what it had, in bytes.
    device_memory: the most that torch had on the device, weights included, in bytes.
    """

    codec: str
    size: str
    direction: str
    at_once: int
    seconds: float
    units: float
    unit: str
    coded_bytes: int
    repetitions: int
    memory: int | None
    device_memory: int | None
    stages: dict[str, float]


class Budget:
    """Seconds that may pass, and what was left out because of them."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter() + seconds
        self.left_out: list[str] = []

    def allows(self, what: str, seconds: float = 0.0) -> bool:
        """Return whether work that takes about so long fits; note it if not."""
        fits = self.left() > seconds
        if not fits:
            self.left_out.append(what)
        return fits

    def left(self) -> float:
        return self.end - time.perf_counter()


def photograph(width: int, height: int) -> np.ndarray:
    """Return the photograph of the tests, mirrored to fill `[height, width, 3]`."""
    with Image.open(ROOT / "tests/data/grace_hopper.jpg") as opened:
        photo = np.asarray(opened.convert("RGB"))
    right, below = (max(0, n - side) for n, side in zip((width, height), photo.shape[1::-1]))
    return np.ascontiguousarray(np.pad(photo, ((0, below), (0, right), (0, 0)), "symmetric")[:height, :width])


def jpeg_file(samples: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", **{"quality": 75, **options})
    return buffer.getvalue()


@contextmanager
def one_coder() -> Iterator[None]:
    """Code pictures with a profile's model even where another one would make them smaller."""

    def chosen(frame: Any, profile: str | None, device: Any) -> list[Any]:
        name = registry.of_profile(profile, device)
        steps = any(component.steps for component in frame.components)
        return [coders.ContextCoder(steps) if name == registry.NATIVE else coders.NetworkCoder(name, device)]

    with mock.patch.object(coders, "coders_for", chosen):
        yield


def rewritten(name: str, data: bytes, device: str) -> tuple[bytes, bytes]:
    """Return what a golden file is when it has been decoded and written again, and what that must be."""
    if name.endswith(".lit"):
        return lic_native.encode(lic_native.decode(data)), data
    if "_image_" in name:
        return image_streams(data, device), container.unpack(data, image.DEFAULT_LIMITS).latents
    info = jpeg.inspect(data)
    models = [picture.model for picture in getattr(info, "pictures", ())]
    profile = next((profile for profile, model in registry.PROFILES.items() if model in models), registry.NATIVE)
    with one_coder():
        original, hashes = jpeg.decompress(data, device=device), {"sha256": bool(info.sha256), "sha1": bool(info.sha1)}
        return jpeg.compress(original, profile=profile, device=device, **hashes), data


def image_streams(data: bytes, device: str) -> bytes:
    """Return the streams that a device makes of an image's latents."""
    body, codec = container.open_file(data, device, image.DEFAULT_LIMITS)
    latents = codec.decode(body)
    grid = TileGrid(codec.model.STRIDE, codec.model.TILE, body.height, body.width)
    tiles = [np.ascontiguousarray(latents[:, *tile]) for tile in grid.tiles]
    return _native.join_streams([encode_tile(codec.coder, tile, body.quality) for tile in tiles])


def golden(device: str, small: bool, budget: Budget) -> Iterator[Check]:
    """Restore the files of every release on the device, and write them again."""
    manifest = json.loads((restore_golden.FOLDER / "manifest.json").read_text())
    names = [name for name in manifest if not small or name.endswith(SMALL)]
    restored, again, pixels = (Check(f"golden files {what}") for what in ("restored", "written again", "shown"))
    for name in names:
        if not budget.allows(f"golden file {name}"):
            continue
        data = (restore_golden.FOLDER / name).read_bytes()
        restored.add(name, hashlib.sha256(restore_golden.restored(name, device)).hexdigest() == manifest[name])
        again.add(name, len(set(rewritten(name, data, device))) == 1)
        if "_image_" in name:
            with Image.open((restore_golden.FOLDER / name).with_suffix(".png")) as shown:
                pixels.compare(name, np.asarray(image.decompress(data, device=device)), np.asarray(shown))
    yield from (restored, again, pixels)


def crossed(device: str, small: bool, budget: Budget) -> list[Check]:
    """Write files on the device and on the CPU, and let each side read what the other wrote: the smallest first."""
    jpegs = {profile: Check(f"JPEG {profile}, {device} and CPU") for profile in registry.PROFILES}
    images = {profile: Check(f"image {profile}, {device} and CPU") for profile in registry.IMAGE_PROFILES}
    shown = {profile: Check(f"image {profile}, samples") for profile in registry.IMAGE_PROFILES}
    for size in CROSSED_JPEG[: 1 if small else None]:
        samples = photograph(*size)
        for sampling in ("4:2:0", "4:4:4", "4:2:2") if size == CROSSED[0] and not small else ("4:2:0",):
            data = jpeg_file(samples, subsampling=sampling)
            for profile, check in jpegs.items():
                name = f"{'x'.join(map(str, size))} {sampling}"
                if not budget.allows(f"{check.what}, {name}"):
                    continue
                with one_coder():
                    here, there = (jpeg.compress(data, profile=profile, device=where) for where in (device, "cpu"))
                back = jpeg.decompress(there, device=device), jpeg.decompress(here, device="cpu")
                check.add(name, here == there and back == (data, data))
        for profile, check in images.items() if size in CROSSED else ():
            name = "x".join(map(str, size))
            if not budget.allows(f"{check.what}, {name}"):
                continue
            for sides in ((device, "cpu"), ("cpu", device)):
                data = image.compress(samples, profile=profile, quality=5, device=sides[0])
                latents = [image.latents(data, device=side) for side in sides]
                streams = {image_streams(data, side) for side in sides}
                check.add(f"{name} from {sides[0]}", np.array_equal(*latents) and len(streams) == 1)
                shown[profile].compare(name, *(np.asarray(image.decompress(data, device=side)) for side in sides))
    return [*jpegs.values(), *images.values(), *shown.values()]


def tensor_codecs(
    device: str, width: int, height: int
) -> Iterator[tuple[Codec[torch.Tensor], torch.Tensor, float, str]]:
    """Yield coders of tensors, with a mean and a scale or a row of tables for each symbol, everything on the device.

    Beside what is coded on a GPU there is the coder in Rust, copies included, and torch_ans if it is installed.
    """
    shape = 320, -(-height // 16), -(-width // 16)
    generator = torch.Generator().manual_seed(0)
    mean, scale = torch.rand(shape, generator=generator), torch.full(shape, 1.5)
    latents = torch.normal(mean, scale, generator=generator).round().to(torch.int16)
    mean, scale, latents = (tensor.to(device) for tensor in (mean, scale, latents))
    tables = lic_native.Tables.gaussian(np.geomspace(0.11, 64, 64))
    residuals, indexes = (latents - mean).round().to(torch.int16), tables.indexes(scale)
    millions = latents.numel() / 1e6
    for name, symbols, distribution in (
        ("tensor Gaussian", latents, lambda: lic_native.Gaussian(mean, scale)),
        ("tensor tables", residuals, lambda: tables[indexes]),
    ):

        def encode(symbols: torch.Tensor, distribution: Callable[[], Any] = distribution) -> torch.Tensor:
            return lic_native.encode(symbols, distribution(), device=device)

        def decode(data: torch.Tensor, distribution: Callable[[], Any] = distribution) -> torch.Tensor:
            return lic_native.decode(data, distribution(), device=device)

        yield Codec(name, encode, decode), symbols, millions, "Msymbols/s"
        if device != "cpu":
            with mock.patch.dict(os.environ, MODES["coder in Rust"]):
                yield Codec(f"{name}, coder in Rust", encode, decode), symbols, millions, "Msymbols/s"
    if device != "cpu" and find_spec("torch_ans"):
        try:
            rival = torch_ans(device, residuals, indexes)
        except Exception as error:  # a build without CUDA
            print(f"torch_ans is left out: {error}")
        else:
            yield rival, residuals, millions, "Msymbols/s"


def torch_ans(device: str, symbols: torch.Tensor, indexes: torch.Tensor) -> Codec[torch.Tensor]:
    """Return the coder of torch_ans on CUDA, whose symbols have been tried."""
    from torch_ans.utils import TorchANSInterface

    coder = TorchANSInterface("rans64", num_interleaves=1, num_parallel_states=TORCH_ANS_STATES)
    coder.set_cdfs(*(torch.from_numpy(array).to(device) for array in SOURCES["high"].cdf))
    rows = indexes.reshape(-1).int()

    def encode(symbols: torch.Tensor) -> Any:
        return coder.encode_with_indexes(symbols.reshape(-1).int(), rows)

    def decode(data: Any) -> torch.Tensor:
        return coder.decode_with_indexes(data, rows)

    if not torch.equal(decode(encode(symbols)).reshape(-1).to(device), symbols.reshape(-1).int()):
        raise ValueError("it returns other symbols")
    return Codec(f"torch_ans tables, {TORCH_ANS_STATES} states", encode, decode)


def subjects(device: str, width: int, height: int) -> Iterator[tuple[Codec[Any], Any, float, str]]:
    """Yield codecs, what they encode, how many millions it has, and of what."""
    samples = photograph(width, height)
    data = jpeg_file(samples)
    for codec in ours.jpeg_codecs(device=device):
        yield replace(codec, name=codec.name.replace("lic_native", "JPEG")), data, len(data) / 1e6, "MB/s"
    for profile in registry.IMAGE_PROFILES:
        codec = replace(ours.latency_codec(profile, device), name=f"image {profile}")
        yield codec, samples, width * height / 1e6, "MP/s"
    yield from tensor_codecs(device, width, height)


def clock(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def called(work: Callable[[], Any], device: str, memory: bool = False) -> tuple[Call[Any], int | None]:
    """Return what a call gave and took, and the most memory that torch had on the device."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    call = measure_call(work, memory=memory, clock=partial(clock, device))
    return call, None if device == "cpu" else torch.cuda.max_memory_allocated(device)


def times(
    device: str, sizes: Sequence[tuple[int, int]], counts: Sequence[int], repetitions: int, budget: Budget
) -> Iterator[Time]:
    """Time every codec at every size, alone and several at once: the smallest first, while seconds are left."""
    pace: dict[str, float] = {}
    for width, height in sizes:
        size, rows = f"{width}x{height}", len(registry.PROFILES) + len(registry.IMAGE_PROFILES) + TENSORS
        if not budget.allows(f"times of {size}", 0.1 * width * height / 1e6):
            continue
        for codec, source, millions, unit in subjects(device, width, height):
            rows -= 1
            alone = pace.get(codec.name, 0.0) * millions
            for at_once in counts:
                what = f"{codec.name}, {size}, {at_once} at once"
                if not budget.allows(what, 2 * alone * at_once):
                    continue
                share, start = budget.left() / (2 * rows + 4), time.perf_counter()
                coded, measured = None, {"encode": [], "decode": []}
                with ThreadPoolExecutor(at_once) as pool:

                    def run(work: Callable[[Any], Any], argument: Any, pool: Any = pool, n: int = at_once) -> Any:
                        return work(argument) if n == 1 else [*pool.map(work, [argument] * n)].pop()

                    # The first is the warm-up, which also tells the memory.
                    for i in range(repetitions + 1):
                        encoded = called(partial(run, codec.encode, source), device, memory=not i)
                        coded = encoded[0].result
                        decoded = called(partial(run, codec.decode, coded), device, memory=not i)
                        measured["encode"].append(encoded)
                        measured["decode"].append(decoded)
                        if i and time.perf_counter() - start > share:
                            break
                for direction, calls in measured.items():
                    warm = sorted((call for call, _ in calls[1:]), key=lambda call: call.seconds)
                    seconds = statistics.median(call.seconds for call in warm)
                    yield Time(
                        codec=codec.name,
                        size=size,
                        direction=direction,
                        at_once=at_once,
                        seconds=seconds,
                        units=at_once * millions / seconds,
                        unit=unit,
                        coded_bytes=len(coded),
                        repetitions=len(warm),
                        memory=calls[0][0].peak_bytes,
                        device_memory=max((device_bytes or 0 for _, device_bytes in calls), default=0) or None,
                        stages={name: round(s, 6) for name, s in warm[(len(warm) - 1) // 2].stages.items()},
                    )
                    if at_once == 1:
                        pace[codec.name] = pace.get(codec.name, 0.0) * (direction == "decode") + seconds / millions


@dataclass(frozen=True)
class BatchTime:
    """Seconds of a batch of different files or images of one size, after first ones in which graphs are captured.

    wrong: files that are not those of single calls, on the CPU.
    """

    codec: str
    mode: str
    size: str
    files: int
    encode_seconds: float
    decode_seconds: float
    first_seconds: float
    device_memory: int | None
    wrong: int


@contextmanager
def mode(environment: dict[str, str]) -> Iterator[None]:
    """Let networks be made anew, with these variables."""
    with mock.patch.dict(os.environ, environment):
        torch_network.forget_networks()
        passes.forget_passes()
        yield
    torch_network.forget_networks()
    passes.forget_passes()


def batches(device: str, count: int, size: tuple[int, int], small: bool, budget: Budget) -> Iterator[BatchTime]:
    """Time `compress_many` and `decompress_many`: the fastest profiles first, in all modes."""
    width, height = size
    photo = photograph(width + count, height)
    pictures = [np.ascontiguousarray(photo[:, i : i + width]) for i in range(count)]
    jpegs, name = [jpeg_file(picture) for picture in pictures], f"{width}x{height}"
    jpeg_profiles, image_profiles = ("fast", "best"), ("fast", "balanced")
    plans: list[tuple[str, Any, Any, Any, Any]] = []
    for profile in jpeg_profiles[: 1 if small else None]:
        many = partial(jpeg.compress_many, profile=profile, device=device)
        single = partial(jpeg.compress, profile=profile, device="cpu")
        plans.append((f"JPEG {profile}", jpegs, many, partial(jpeg.decompress_many, device=device), single))
    for profile in image_profiles[: 1 if small else None]:
        many = partial(image.compress_many, profile=profile, device=device)
        plans.append((f"image {profile}", pictures, many, partial(image.decompress_many, device=device), None))
    pace = 0.0
    for label, environment in MODES.items() if device != "cpu" else [("engine", {})]:
        for codec, sources, encode, decode, single in plans:
            if not budget.allows(f"batch of {count} {codec}, {name}, {label}", 3 * pace):
                continue
            with mode(environment), one_coder() if codec.startswith("JPEG") else nullcontext():
                start = clock(device)
                # A graph is captured when its work comes for the second time.
                for _ in range(1 if device == "cpu" else 2):
                    list(decode(list(encode(sources))))
                first = clock(device) - start
                if device != "cpu":
                    torch.cuda.reset_peak_memory_stats(device)
                start = clock(device)
                packed = list(encode(sources))
                between = clock(device)
                restored = list(decode(packed))
                end = clock(device)
                if single is not None:
                    wrong = sum(a != b for a, b in zip(sources, restored)) + (packed[0] != single(sources[0]))
                else:
                    wrong = sum(isinstance(shown, lic_native.LicError) for shown in restored)
                memory = None if device == "cpu" else torch.cuda.max_memory_allocated(device)
                pace = max(pace, end - start)
            yield BatchTime(codec, label, name, count, between - start, end - between, first, memory, wrong)


def coder_times(device: str) -> Iterator[dict[str, Any]]:
    """Time the entropy coder on the device alone: nanoseconds for a symbol of each of so many equal streams.

    warps: that code a stream. slots: what depends on distributions when encoding. wrong: streams other than Rust's.
    """
    random, channels, groups = np.random.default_rng(0), 16, 1600
    params = np.empty((groups, channels, 5), np.int16)
    params[..., :2] = random.integers(-20, 20, (groups, channels, 1)) + random.integers(-30, 30, (groups, channels, 2))
    params[..., 2:4] = random.integers(40, 64, (groups, channels, 2))
    params[..., 4] = random.integers(0, 128, (groups, channels))
    spread = 2.0 ** ((params[..., 2] - 48) / 8)
    symbols = (params[..., 0] / 16 + random.logistic(0, 0.6, spread.shape) * spread).round().astype(np.int16)
    encoder = _native.Encoder(LANES, True)
    encoder.put(symbols, _native.Model.mixtures(params), (np.arange(channels, dtype=np.uint16), 1))
    stream, chosen = encoder.finish(), mixtures.warps
    for count in (1, 256, 1024):
        given, known = (torch.from_numpy(x).to(device).expand(count, *x.shape).contiguous() for x in (params, symbols))
        room, lanes = mixtures.MixtureDecoder.needs([stream] * count)
        decoder = mixtures.MixtureDecoder(count, room, channels, lanes, torch.device(device))
        coder = mixtures.MixtureEncoder(count, channels, torch.device(device))
        for warps in (1, 4):
            seconds: dict[str, float] = {}
            with mock.patch.object(mixtures, "warps", lambda _, warps=warps: warps):
                for _ in range(3):
                    decoder.load([stream] * count)
                    decoder.start()
                    coder.start()
                    marks = [clock(device)]
                    decoded = decoder.get(given, channels, 0)
                    marks.append(clock(device))
                    coder.put(given, known, channels, 0)
                    marks.append(clock(device))
                    coded = coder.finish(LANES)
                    marks.append(clock(device))
                    for name, start, end in zip(("decode", "slots", "encode"), marks, marks[1:]):
                        seconds[name] = min(end - start, seconds.get(name, end))
            wrong = int((decoded.short() != known).flatten(1).any(1).sum()) + int((~decoder.good()).sum())
            wrong += sum(other != stream for other in coded.streams())
            yield {
                **{"streams": count, "lanes": 1 << (stream[0] & 7), "warps": warps, "used": chosen(count) == warps},
                **{name: round(1e9 * value / symbols.size, 1) for name, value in seconds.items()},
                "wrong": wrong,
            }


def overfitted(device: str, size: tuple[int, int]) -> dict[str, Any]:
    """Time latent overfitting of an image with the profile `fast`: the first time, and once more."""
    told: list[image.OverfitProgress] = []
    options: dict[str, Any] = {"profile": "fast", "device": device, "lof": LOF, "on_lof": told.append}
    work = partial(image.compress, photograph(*size), **options)
    (first, _), (again, memory) = called(work, device), called(work, device)
    before, after = told[-1].before, told[-1].after
    return {
        "size": "x".join(map(str, size)),
        "iterations": LOF,
        "first_seconds": round(first.seconds, 3),
        "seconds": round(again.seconds, 3),
        "loss_before": before and round(before.loss, 4),
        "loss_after": after and round(after.loss, 4),
        "device_memory": memory,
    }


def kernel_shares(device: str, size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Return milliseconds on the device by what kernels do, of one JPEG file each way, launched one by one."""
    from torch.profiler import ProfilerActivity, profile

    data, shares = jpeg_file(photograph(*size)), {}
    with mode({"LIC_CUDA_GRAPHS": "0"}), one_coder():
        packed = jpeg.compress(data, profile="fast", device=device)
        jobs = {
            "compress": lambda: jpeg.compress(data, profile="fast", device=device),
            "decompress": lambda: jpeg.decompress(packed, device=device),
        }
        for job, work in jobs.items():
            with profile(activities=[ProfilerActivity.CUDA]) as profiled:
                work()
            shares[job] = dict.fromkeys([*KERNELS.values(), "copies", "other"], 0.0)
            for event in profiled.key_averages():
                name = event.key.lower()
                kind = next((kind for part, kind in KERNELS.items() if part in name), "other")
                kind = "copies" if "memcpy" in name or "memset" in name else kind
                shares[job][kind] += event.self_device_time_total / 1e3
    return shares


def machine(device: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    facts: dict[str, Any] = {
        "device": device,
        "processor": platform.processor() or platform.machine(),
        "threads": threads.available(),
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "lic_native": lic_native.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "environment": {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("OMP_", "ONEDNN_", "NVIDIA_TF32", "LIC_"))
        },
    }
    if device != "cpu":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            driver = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()[0]
        except (OSError, subprocess.SubprocessError, IndexError):
            driver = "unknown"
        facts |= {
            "gpu": torch.cuda.get_device_name(device),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": driver,
        }
    return facts


def loading(device: str) -> Iterator[dict[str, Any]]:
    """Load each model: the seconds that takes, and those of trying its products for the first time.

    probing_core_seconds: of the processor, on the CPU. probing_seconds: on the device.
    """
    for name in (*registry.PROFILES.values(), *registry.IMAGE_PROFILES.values()):
        if name == registry.NATIVE:
            continue
        load = registry.load if name in registry.PROFILES.values() else registry.load_image
        probing = 0.0

        def timed(*arguments: Any) -> None:
            nonlocal probing
            start = time.process_time()
            check_exact(*arguments)
            probing = time.process_time() - start

        start = time.perf_counter()
        with mock.patch.object(base, "check_exact", timed):
            model = load(name, "cpu")
        row = {"model": name, "cpu_seconds": time.perf_counter() - start, "probing_core_seconds": probing}
        if device != "cpu":
            start = time.perf_counter()
            check_exact(model.exact_part, torch.device(device))
            row["probing_seconds"] = time.perf_counter() - start
            start = time.perf_counter()
            load(name, device)
            row["device_seconds"] = time.perf_counter() - start
        yield {key: value if key == "model" else round(value, 3) for key, value in row.items()}


def show(head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{markdown(head, 'l'.ljust(len(head), 'r'), rows)}", flush=True)


def show_values(rows: list[dict[str, Any]]) -> None:
    show(
        [name.replace("_", " ") for name in rows[0]],
        [["" if value is None else str(value) for value in row.values()] for row in rows],
    )


def mega(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.0f}"


def show_exactness(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    """Compare files, and return how many are wrong; or 1 if none was compared."""
    checks = [*golden(device, small, budget), *crossed(device, small, budget)]
    rows = [
        [c.what, f"{c.files - len(c.wrong)}/{c.files}", *("" if x is None else str(x) for x in (c.worst, c.differing))]
        for c in checks
    ]
    show(["exactness", "right", "largest difference", "differing in a million"], rows)
    for check in checks:
        for name in check.wrong:
            print(f"WRONG: {check.what}: {name}")
    report["exactness"] = [asdict(check) for check in checks]
    files, wrong = sum(check.files for check in checks), sum(len(check.wrong) for check in checks)
    print(f"\n{files} files and images compared, {wrong} wrong")
    return wrong or int(not files)


def show_loading(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    report["loading"] = list(loading(device))
    show_values(report["loading"])
    return 0


def show_times(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    """Time single calls: first what matters most."""
    plans = [((FULL_HD,), (1,)), ((KODAK, LARGE), (1,)), ((FULL_HD, KODAK, LARGE), (AT_ONCE,))]
    timed = []
    for sizes, counts in [(((96, 64),), (1, 2))] if small else plans:
        timed += times(device, sizes, counts, 1 if small else REPETITIONS, budget)
    head = ["", "size", "at once", "encode ms", "decode ms", "encode", "decode", "", "bytes", "MB", "MB on the device"]
    cells = []
    for _, pair in groupby(timed, lambda row: (row.codec, row.size, row.at_once)):
        encode, decode = pair
        memory, on_device = (
            max(filter(None, (getattr(t, name) for t in (encode, decode))), default=None)
            for name in ("memory", "device_memory")
        )
        cells.append(
            [encode.codec, encode.size, str(encode.at_once)]
            + [f"{1e3 * t.seconds:.1f}" for t in (encode, decode)]
            + [f"{t.units:.2f}" for t in (encode, decode)]
            + [encode.unit, str(encode.coded_bytes), mega(memory), mega(on_device)]
        )
    show(head, cells)
    stages = [
        [f"{t.codec} {t.size} {t.direction}", ", ".join(f"{name} {1e3 * s:.1f}" for name, s in t.stages.items())]
        for t in timed
        if t.at_once == 1 and t.size == timed[0].size and t.stages
    ]
    show(["ms of stages", ""], stages)
    report["times"] = [asdict(row) for row in timed]
    return 0


def show_batches(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    """Time batches, and return how many files are wrong."""
    batched = list(batches(device, 2 if small else BATCH, (96, 64) if small else FULL_HD, small, budget))
    head = ["batch", "", "files", "encode files/s", "decode files/s", "first s", "MB on the device", "wrong"]
    show(
        head,
        [
            [
                *(f"{t.codec} {t.size}", t.mode, str(t.files)),
                *(f"{t.files / seconds:.1f}" for seconds in (t.encode_seconds, t.decode_seconds)),
                *(f"{t.first_seconds:.1f}", mega(t.device_memory), str(t.wrong)),
            ]
            for t in batched
        ],
    )
    report["batches"] = [asdict(row) for row in batched]
    return sum(row.wrong for row in batched)


def show_overfitting(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    if (small or device != "cpu") and budget.allows("latent overfitting", 10):
        report["overfitting"] = overfitted(device, (96, 64) if small else FULL_HD)
        show_values([report["overfitting"]])
    return 0


def show_kernels(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    if device == "cpu" or not budget.allows("shares of kernels", 15):
        return 0
    try:
        report["kernels"] = shares = kernel_shares(device, FULL_HD)
        kinds = list(shares["compress"])
        show(["ms on the device", *kinds], [[job, *(f"{ms[k]:.1f}" for k in kinds)] for job, ms in shares.items()])
    except Exception as error:  # a profiler that does not work here
        report["kernels"] = str(error)
        print(f"no shares of kernels: {error}")
    return 0


def show_coder(device: str, small: bool, budget: Budget, report: dict[str, Any]) -> int:
    """Time the entropy coder alone, and return how many streams are wrong."""
    if device == "cpu" or not works(torch.device(device)) or not budget.allows("the entropy coder alone", 5):
        return 0
    with torch.cuda.device(device):
        report["coder"] = rows = list(coder_times(device))
    show_values(rows)
    return sum(row["wrong"] for row in rows)


#: What is measured, in this order, and the share of what is left of the time.
PARTS: dict[str, tuple[Callable[[str, bool, Budget, dict[str, Any]], int], float]] = {
    "loading": (show_loading, 1),
    "exactness": (show_exactness, 1 / 2),
    "coder": (show_coder, 1),
    "batches": (show_batches, 1 / 2),
    "times": (show_times, 2 / 3),
    "overfitting": (show_overfitting, 1),
    "kernels": (show_kernels, 1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=110, help="after these, what is left is left out and named")
    parser.add_argument("--small", action="store_true", help="one small size, few golden files, one repetition")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to do; default: all")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args(arguments)
    device, end = registry.present_device(options.device, "this bench"), Budget(options.seconds)
    report: dict[str, Any] = {"machine": machine(device), "left_out": []}
    print("\n".join(f"- {name}: {value}" for name, value in report["machine"].items()), flush=True)
    wrong = 0
    for name, (part, share) in PARTS.items():
        if name in options.only:
            budget = Budget(end.left() * (share if name != options.only[-1] else 1))
            wrong += part(device, options.small, budget, report)
            report["left_out"] += budget.left_out
            if options.json:
                options.json.write_text(json.dumps(report, indent=1) + "\n")
    for what in report["left_out"]:
        print(f"left out, for want of time: {what}")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
