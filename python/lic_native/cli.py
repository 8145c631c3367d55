"""The command `lic-native`: compress, decompress, inspect, evaluate and train."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from . import image, jpeg, pixels
from .errors import LicError, UnsupportedError
from .limits import DEFAULT_LIMITS, Limits
from .models import zoo
from .models.quality import index_of

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
train_app = typer.Typer(no_args_is_help=True, help="Train a model.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Measure against other programs.")
app.add_typer(train_app, name="train")
app.add_typer(evaluate_app, name="evaluate")

SUFFIX = ".lic"

Paths = Annotated[list[Path], typer.Argument(help="Files or folders; - reads stdin and writes stdout.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File, or folder for several.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that are there.")]
MaxPixels = Annotated[int, typer.Option(help="Pixels that the pictures of a file may have.")]
MaxInput = Annotated[int, typer.Option(help="Bytes that a file may have.")]
#: Makes of a file's content that of another, whose path it is told.
Work = Callable[[bytes, Path], bytes]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; cuda by default if there is one.")]


@app.command()
def compress(
    paths: Paths,
    output: Output = None,
    force: Force = False,
    quality: Annotated[
        float | None,
        typer.Option("--quality", "-q", help="Code images with loss, from their pixels: 1 (smallest) to 8, e.g. 4.5."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="Without loss: native (quick, without torch), fast, or best: smaller and slower. By default best on "
            "cuda, fast on cpu, and native where torch is not installed. With --quality: balanced (the default), fast, "
            "best or bls2017."
        ),
    ] = None,
    lof: Annotated[
        int, typer.Option(min=0, help="With --quality: so many iterations to fit the latents to the image, e.g. 100.")
    ] = 0,
    device: Device = None,
    max_pixels: MaxPixels = DEFAULT_LIMITS.max_pixels,
    max_input: MaxInput = DEFAULT_LIMITS.max_input_bytes,
) -> None:
    """Make a smaller .lic of each JPEG file, which restores it byte for byte; or of each image, with --quality.

    Without --quality nothing is lost: any other file that is named is kept as it is, a PNG file too. A folder's JPEG
    files are found at any depth, with --quality all its image files. The originals stay.
    """
    limits = Limits(max_pixels, max_input)
    lossy = quality is not None or (profile in zoo.IMAGE_PROFILES and profile not in zoo.PROFILES)
    suffixes = pixels.SUFFIXES if lossy else jpeg.SUFFIXES
    if lof and not lossy:
        raise ValueError("--lof is for images with loss: say which --quality")
    work = _image_work(quality, profile, device, limits, lof) if lossy else _jpeg_work(profile, device, limits)
    jobs = plan(paths, output, lambda path: path.suffix.lower() in suffixes, lambda path: path.name + SUFFIX, force)
    before, after = run(jobs, work, force, limits)
    if len(jobs) > 1:
        say(f"{len(jobs)} files: {sizes(before, after)}")
    if not lossy and any(source.suffix.lower() in pixels.SUFFIXES - jpeg.SUFFIXES for source, _ in jobs):
        say("images other than JPEG files are kept as they are; with --quality they get smaller, with loss")


def _jpeg_work(profile: str | None, device: str | None, limits: Limits) -> Work:
    if profile is not None and profile not in zoo.PROFILES:
        names = dict.fromkeys([*zoo.PROFILES, *zoo.IMAGE_PROFILES])
        raise ValueError(f"profile {profile!r} is none of {', '.join(names)}")
    return lambda data, _: jpeg.compress(data, profile=profile, device=device, limits=limits)


def _image_work(quality: float | None, profile: str | None, device: str | None, limits: Limits, lof: int) -> Work:
    if profile in zoo.PROFILES and profile not in zoo.IMAGE_PROFILES:
        raise ValueError(
            f"profile {profile!r} loses nothing and has no quality: leave out one of them, or take a profile with loss "
            f"({', '.join(zoo.IMAGE_PROFILES)})"
        )
    from PIL import Image

    name = zoo.of_image_profile(profile)
    quality = image.QUALITY if quality is None else quality
    index_of(quality)
    zoo.check_overfitting(name, lof)
    zoo.load_image(name, device)
    # --max-pixels stands in for Pillow's own limit.
    Image.MAX_IMAGE_PIXELS = None

    def work(data: bytes, target: Path) -> bytes:
        picture = pixels.read_file(data, limits)
        options: dict[str, Any] = {"quality": quality, "profile": profile, "device": device, "limits": limits}
        try:
            with overfitting(target) if lof else nullcontext() as watch:
                return image.compress(picture, **options, lof=lof, on_lof=watch)
        except ValueError as error:
            raise UnsupportedError(str(error)) from error

    return work


@contextmanager
def overfitting(target: Path) -> Iterator[Callable[[image.Overfitting], None]]:
    """Shows how far latent overfitting is, if nothing else shows progress, and in the end what it has gained."""
    from rich.console import Console
    from rich.errors import LiveError
    from rich.progress import Progress

    last: list[image.Overfitting] = []
    with ExitStack() as stack:
        bar = Progress(console=Console(stderr=True), transient=True)
        with suppress(LiveError):
            if sys.stderr.isatty():
                stack.enter_context(bar)
        task = bar.add_task("overfitting", total=None)

        def watch(state: image.Overfitting) -> None:
            last[:] = [state]
            bar.update(task, completed=state.done, total=state.total)

        yield watch
    if last and (before := last[0].before) and (after := last[0].after):
        decibels = 10 * math.log10(before.mse / after.mse) if before.mse and after.mse else 0.0
        say(
            f"{target}: overfitting changed latents by {100 * (after.bpp / before.bpp - 1):+.1f} % of their bits and "
            f"{decibels:+.2f} dB, rate + lambda * error by {100 * (after.loss / before.loss - 1):+.1f} %"
        )


@app.command()
def decompress(
    paths: Paths,
    output: Output = None,
    force: Force = False,
    device: Device = None,
    max_pixels: MaxPixels = DEFAULT_LIMITS.max_pixels,
    max_input: MaxInput = DEFAULT_LIMITS.max_input_bytes,
    max_output: Annotated[
        int, typer.Option(help="Bytes that a restored file may have.")
    ] = DEFAULT_LIMITS.max_output_bytes,
) -> None:
    """Restore the original of each .lic file, byte for byte; or, of one made with --quality, write its image.

    An image's format is that of the name's suffix: any that Pillow writes. Without --output, and on stdout, it is PNG,
    unless the .lic file's name has the suffix of another that keeps every sample.
    """
    limits = Limits(max_pixels, max_input, max_output)

    def work(data: bytes, target: Path) -> bytes:
        if not image.is_image(data):
            return jpeg.decompress(data, device=device, limits=limits)
        suffix = ".png" if target == PIPE else target.suffix
        pixels.format_of(suffix)
        return pixels.write_file(image.decompress(data, device=device, limits=limits), suffix)

    run(plan(paths, output, lambda path: path.suffix == SUFFIX, restored_name, force), work, force, limits)


def restored_name(lic: Path) -> str:
    """What a `.lic` file is restored as, unless the user names it."""
    named = len(lic.name) > len(SUFFIX) and lic.suffix == SUFFIX
    if not holds_image(lic):
        return lic.name.removesuffix(SUFFIX) if named else lic.name + ".restored"
    name = lic.name.removesuffix(SUFFIX) if named else lic.name
    return name if Path(name).suffix.lower() in pixels.LOSSLESS_SUFFIXES else name + ".png"


def holds_image(path: Path) -> bool:
    """Whether a file is a `.lic` file of an image. What can't be read is reported when it is its turn."""
    try:
        with path.open("rb") as file:
            return image.is_image(file.read(len(image.HEAD)))
    except OSError:
        return False


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A .lic file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is inside a .lic file."""
    data = read(path)
    info = {k: v for k, v in asdict((image if image.is_image(data) else jpeg).inspect(data)).items() if v is not None}
    if as_json:
        print(json.dumps(info))
        return
    pictures = info.pop("pictures", ())
    for key, value in info.items():
        print(f"{key.replace('_', ' '):18} {(', '.join(value) or 'none') if isinstance(value, tuple) else value}")
    for picture in pictures:
        mode = "progressive" if picture["progressive"] else "sequential"
        print(
            f"{'picture':18} {picture['width']}x{picture['height']}, {picture['components']} components "
            f"{picture['sampling']}, {mode}, {picture['model']}: {picture['coefficient_bytes']} bytes"
        )


@evaluate_app.command("jpeg")
def evaluate_jpeg(
    folder: Annotated[Path, typer.Argument(help="JPEG files, or other images to make JPEG files of.")],
    quality: Annotated[
        list[int] | None, typer.Option(help="Of the JPEG files made from other images; more than once for several.")
    ] = None,
    sampling: Annotated[
        list[str] | None, typer.Option(help="Theirs: 4:2:0, 4:2:2, 4:4:4 or gray; more than once for several.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="One of lic_native's, or more than once several; by default all.")
    ] = None,
    device: Device = None,
    stages: Annotated[bool, typer.Option("--stages", help="Also print where lic_native's time goes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[Path | None, typer.Option(help="File for the rows as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the rows, .png or .svg; needs matplotlib.")] = None,
) -> None:
    """Saving, speed and exactness of lic_native and of every peer installed, on the same files in one run.

    Peers are Lepton (lepton-jpeg-python), JPEG XL and brunsli (imagecodecs), and on the PATH brunsli's, packJPG's and
    paq8px's commands.
    """
    from .evaluation import report

    report.run(
        folder,
        qualities=quality or [75],
        samplings=sampling or ["4:2:0"],
        profiles=profile or [],
        device=device,
        with_stages=stages,
        as_json=as_json,
        csv_file=csv,
        plot_file=plot,
    )


@evaluate_app.command("image")
def evaluate_image(
    folder: Annotated[Path, typer.Argument(help="Images: RGB or gray, of 8 bits without alpha.")],
    quality: Annotated[
        list[float] | None, typer.Option(help="Of lic_native's files; more than once for several; by default 1 to 8.")
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help='Only this one, e.g. "lic_native fast" or JPEG; more than once for several.'),
    ] = None,
    lof: Annotated[
        list[int] | None,
        typer.Option(help="Each profile once more with so many iterations of latent overfitting; more than once too."),
    ] = None,
    device: Device = None,
    anchors: Annotated[
        Path | None, typer.Option(help="File of published curves of the same images, to compare with: JSON.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="One of them; more than once for several; by default the usual few.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="File for the rows, one for each image and setting, as CSV.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the rows, means and BD-rates as JSON.")
    ] = None,
    means: Annotated[Path | None, typer.Option(help="File for the means as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the curves, .png or .svg.")] = None,
) -> None:
    """Rate, distortion, time and memory of lic_native and of every peer installed, on the same images in one run.

    Peers are Pillow's JPEG, JPEG 2000, WebP and AVIF, and JPEG XL (imagecodecs). Prints a table of means, and BD-rates
    of lic_native's codecs against peers and published curves; of the peers where --codec names none of ours.
    """
    from .evaluation import image_report

    image_report.run(
        folder,
        qualities=quality or [],
        names=codec or [],
        device=device,
        lof=lof or [],
        anchors=anchors,
        against=against or [],
        csv_file=csv,
        json_file=json_file,
        means_file=means,
        plot_file=plot,
    )


@evaluate_app.command("latency")
def evaluate_latency(
    size: Annotated[
        list[str] | None,
        typer.Option(
            help="Width x height; more than once for several; by default 256x256, 512x768, 1920x1080 and 2048x1080 (2K "
            "as DCI has it)."
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help='Only this one, e.g. "lic_native bls2017" or mbt2018_mean; more than once for several.'),
    ] = None,
    device: Device = None,
    threads: Annotated[int | None, typer.Option(help="Of torch on the processor; by default as torch has it.")] = None,
    repetitions: Annotated[int, typer.Option(help="Of which the median counts; serial codecs run once.")] = 5,
    csv: Annotated[Path | None, typer.Option(help="File for the rows as CSV.")] = None,
) -> None:
    """Time of lic_native's image profiles by stage, beside CompressAI's models if installed, in one run.

    The models are mbt2018_mean and cheng2020_anchor with random weights. Prints a table, with counts of steps and of
    network calls.
    """
    from .evaluation import latency

    latency.run(
        sizes=size or [],
        names=codec or [],
        device=device,
        threads=threads,
        repetitions=repetitions,
        csv_file=csv,
    )


@train_app.command("jpeg")
def train_jpeg(
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, learning curve, weights.")],
    minutes: Annotated[float | None, typer.Option(help="Training time of the run, over all calls.")] = None,
    steps: Annotated[int | None, typer.Option(help="Its length in steps instead, for fair comparisons.")] = None,
    batch: Annotated[int, typer.Option(help="Crops of 256x256 in a step.")] = 8,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-3,
    device: Device = None,
    limit: Annotated[int | None, typer.Option(help="Read only so many images.")] = None,
    profile: Annotated[str, typer.Option(help="tiny, fast or best: the network's size.")] = "fast",
    hyper: Annotated[int, typer.Option(help="Channels of side information of a new run's network.")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="Exported weights, as wide or narrower, that a new run begins with.")
    ] = None,
    bf16: Annotated[bool | None, typer.Option(help="Matrix products in bfloat16; by default on cuda.")] = None,
    seed: Annotated[int | None, typer.Option(help="Runs of equal seed see the same crops.")] = None,
    report_minutes: Annotated[float, typer.Option(help="Between validations and checkpoints.")] = 5.0,
) -> None:
    """Train the JPEG model. Called again on the same folder, it goes on where it stopped."""
    from .training.jpeg import train

    train(
        data,
        out,
        minutes,
        steps=steps,
        batch=batch,
        rate=rate,
        device=device,
        limit=limit,
        profile=profile,
        hyper=hyper,
        start=start,
        bf16=bf16,
        seed=seed,
        report_minutes=report_minutes,
    )


@train_app.command("image")
def train_image(
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, learning curve, weights.")],
    model: Annotated[str, typer.Option(help="msp-fast, msp-balanced, msp-best or bls2017.")] = "msp-balanced",
    minutes: Annotated[float | None, typer.Option(help="Training time of the run, over all calls.")] = None,
    steps: Annotated[int | None, typer.Option(help="Its length in steps instead, for fair comparisons.")] = None,
    batch: Annotated[int, typer.Option(help="Crops in a step.")] = 8,
    crop: Annotated[int, typer.Option(help="Pixels on their sides.")] = 128,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 4e-4,
    device: Device = None,
    limit: Annotated[int | None, typer.Option(help="Read only so many images.")] = None,
    channels: Annotated[
        tuple[int, int, int] | None, typer.Option(help="Of a new bls2017 after each stage; of latents the last.")
    ] = None,
    quality: Annotated[float | None, typer.Option(help="Train for this one alone, instead of for all.")] = None,
    noise: Annotated[
        float, typer.Option(help="Share of the run whose rates have noise; 0 to go on from trained weights.")
    ] = 0.5,
    start: Annotated[
        Path | None, typer.Option(help="Exported weights or a checkpoint, that a new run begins with.")
    ] = None,
    bf16: Annotated[bool | None, typer.Option(help="Products in bfloat16; by default on cuda.")] = None,
    seed: Annotated[int | None, typer.Option(help="Runs of equal seed see the same crops.")] = None,
    report_minutes: Annotated[float, typer.Option(help="Between validations and checkpoints.")] = 5.0,
) -> None:
    """Train a codec for images. Called again on the same folder, it goes on where it stopped."""
    from .training.image import train

    train(
        data,
        out,
        minutes,
        model=model,
        steps=steps,
        batch=batch,
        crop=crop,
        rate=rate,
        device=device,
        limit=limit,
        channels=channels,
        quality=quality,
        noise=noise,
        start=start,
        bf16=bf16,
        seed=seed,
        report_minutes=report_minutes,
    )


@train_app.command("native")
def train_native(
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    out: Annotated[Path, typer.Option(help="The file to write: rust/src/jpeg/native/prior.bin.")],
    files: Annotated[int, typer.Option(help="JPEG files to make of the photographs.")] = 6000,
    steps: Annotated[int, typer.Option(help="Of the regression, for luma and for chroma.")] = 1500,
    limit: Annotated[int | None, typer.Option(help="Read only so many images.")] = None,
    seed: Annotated[int, typer.Option(help="Runs of equal seed see the same crops.")] = 0,
) -> None:
    """Learn what the native coder of JPEG coefficients begins with. It counts once the extension is built with it."""
    from .training.native import train

    train(data, out, files=files, steps=steps, seed=seed, limit=limit)


#: stdin or stdout.
PIPE = Path("-")
Job = tuple[Path, Path]
T = TypeVar("T")
#: Files worked on at a time: each takes memory.
MAX_FILES = 4


def plan(
    paths: Iterable[Path],
    output: Path | None,
    wanted: Callable[[Path], bool],
    rename: Callable[[Path], str],
    force: bool,
) -> list[Job]:
    """(source, target) of everything named; files below a folder keep their place in it.

    Raises OSError for what must not be done: two results in one place, a result in place of its source or, unless
    `force`, of any file.
    """
    paths = list(paths)
    several = len(paths) > 1 or paths[0].is_dir()
    if several and (PIPE in paths or output == PIPE):
        raise OSError("- stands for one file: it can't be named with others or with a folder")
    jobs: list[Job] = []
    for path in paths:
        if path != PIPE and path.is_dir():
            for source in sorted(p for p in path.rglob("*") if p.is_file() and wanted(p)):
                place = (output or path) / source.relative_to(path)
                jobs.append((source, place.with_name(rename(source))))
        elif path == PIPE or output == PIPE:
            jobs.append((path, output or PIPE))
        elif several or (output is not None and output.is_dir()):
            jobs.append((path, (output or path.parent) / rename(path)))
        else:
            jobs.append((path, output or path.with_name(rename(path))))
    if not jobs:
        raise FileNotFoundError("no files of that kind there")
    targets = set()
    for source, target in jobs:
        if target in targets:
            raise FileExistsError(f"{target} would be written twice")
        if target != PIPE:
            targets.add(target)
            if target.exists() and source.exists() and target.samefile(source):
                raise FileExistsError(f"{target} is the file to be read")
            if os.path.lexists(target) and not force:
                raise FileExistsError(f"{target} exists; --force overwrites it")
    return jobs


def run(jobs: list[Job], work: Work, force: bool, limits: Limits) -> tuple[int, int]:
    """Do every job, several at a time and with a progress bar if there are several; total bytes read and written.

    A file that fails is named in one line and does not keep the others from being done.
    """

    def do(job: Job) -> tuple[int, int]:
        source, target = job
        data = read(source, limits)
        result = work(data, target)
        write(target, result, force, like=source)
        return len(data), len(result)

    before = after = failed = 0
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1, MAX_FILES)) as pool:
        results = [pool.submit(do, job) for job in jobs]
        for (source, target), result in progress(list(zip(jobs, results))):
            try:
                read_bytes, written_bytes = result.result()
            except OSError as error:
                failed += 1
                complain(describe(error))
            except (LicError, MemoryError, RuntimeError) as error:
                failed += 1
                complain(f"{source}: {describe(error)}")
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            else:
                say(f"{source} -> {target}: {sizes(read_bytes, written_bytes)}")
                before, after = before + read_bytes, after + written_bytes
    if failed:
        if len(jobs) > 1:
            complain(f"{failed} of {len(jobs)} files failed")
        raise typer.Exit(1)
    return before, after


def progress(items: list[T]) -> Iterable[T]:
    if len(items) == 1 or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, "", console=Console(stderr=True))


def sizes(before: int, after: int) -> str:
    saving = f", {100 * (1 - after / before):.2f} % saved" if after < before else ""
    return f"{before:,} -> {after:,} bytes{saving}"


def say(line: str) -> None:
    print(line, file=sys.stderr)


def read(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """A file's bytes; LimitExceededError if they are too many. (Of stdin, one byte too many is left to be noticed.)"""
    if path == PIPE:
        return sys.stdin.buffer.read(limits.max_input_bytes + 1)
    limits.check_input(path.stat().st_size)
    return path.read_bytes()


def write(path: Path, data: bytes, force: bool, like: Path) -> None:
    """Write a file whole or not at all, with the times and the mode of the file it was made from.

    It is on the disk when this returns: whoever deletes the original then loses nothing.
    """
    if path == PIPE:
        sys.stdout.buffer.write(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".lic-", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if like.is_file():
            shutil.copystat(like, part)
        if not force and os.path.lexists(path):
            raise FileExistsError(f"{path} exists; --force overwrites it")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def complain(message: str) -> None:
    say(f"lic-native: {message}")


def describe(error: BaseException) -> str:
    """An error as one line."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return (str(error) or type(error).__name__).splitlines()[0]


def main() -> None:
    """Entry point: what can go wrong with files is one line and exit status 1."""
    try:
        app()
    except (LicError, MemoryError, OSError, ValueError) as error:
        complain(describe(error))
        sys.exit(1)
