"""The command `lic-native compress`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _native, arguments, files, image, jpeg, threads
from ..errors import LicError
from ..image import formats, samples
from ..inspection import HEAD_BYTES, kind
from ..jpeg.network import tile_coder
from ..limits import DEFAULT_LIMITS, Limits
from ..models import registry
from ..models.rate_points import index_of
from . import batch, console, options, sources
from .sources import Job
from .task import Result, Settings, Skip, Task

__all__ = ["compress"]


def compress(
    paths: options.Paths = None,
    output: options.Output = None,
    stdout: options.Stdout = False,
    quality: Annotated[
        float | None,
        typer.Option("--quality", "-q", metavar="Q", help="Code images with loss: 1 (smallest) to 8, for example 4.5."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Without loss: native (the default), or a network: quick (2 to 3 points smaller, but slower), fast (1 "
            "to 2 more) or best (up to 1 more, twice as slow). With --quality: balanced (the default), fast, best or "
            "bls2017, which need torch.",
        ),
    ] = None,
    lof: Annotated[
        int,
        typer.Option(
            metavar="N", show_default=False, help="With --quality: fit the latents to each image, in N iterations."
        ),
    ] = 0,
    sha256: Annotated[
        bool,
        typer.Option(
            "--sha256/--no-sha256", show_default=False, help="Hold the original's SHA-256 in the file; the default."
        ),
    ] = True,
    sha1: Annotated[bool, typer.Option("--sha1", help="Hold the original's SHA-1 in the file, too.")] = False,
    force: options.Force = False,
    remove: options.Remove = False,
    device: options.Device = None,
    thread_count: options.Threads = 0,
    files_from: options.FilesFrom = None,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.Json = False,
    max_pixels: options.MaxPixels = DEFAULT_LIMITS.max_pixels,
    max_input: options.MaxInput = DEFAULT_LIMITS.max_input_bytes,
) -> None:
    """Compress each JPEG file into a smaller .lic file, which restores it byte for byte.

    With --quality, compress images of any format, with loss. Without it nothing is ever lost, and a named file of
    another kind is stored inside a .lic file. A folder stands for all JPEG files in it (with --quality, all images), at
    any depth. Finished files are skipped, so the same command continues after an interruption.

    \b
    Examples:
      lic-native compress photo.jpg                   makes photo.jpg.lic
      lic-native compress photos -o packed            a folder, into another
      lic-native compress photos --rm                 removes what was verified
      lic-native compress photo.png -q 4              with loss
      cat photo.jpg | lic-native compress - > photo.lic
    """
    console.quiet = quiet or as_json
    lossy = quality is not None
    settings = Settings(
        Limits(max_pixels, max_input), force, remove, dry_run, as_json, verbose, threads.resolve(thread_count)
    )
    output = destination(output, stdout, settings)
    if lof and not lossy:
        raise ValueError("--lof is for images with loss: add --quality")
    if lossy and remove:
        raise ValueError("--rm with --quality would lose the originals: leave one of them out")
    device = arguments.to_device(device)
    is_source, kind = (sources.is_image, "image") if lossy else (sources.is_jpeg, "JPEG file")
    if lossy:
        check_lossy(profile, quality or 0, lof)
    else:
        check_lossless(profile)
    plan = sources.plan(
        sources.named_paths(paths, files_from), output, is_source, sources.compressed_name, f"{kind} to compress"
    )
    refuse_terminal(plan, force)
    name = registry.of_image_profile(profile) if lossy else registry.of_profile(profile, device)
    settings = batch.for_device(settings, plan, device, name)
    thread_count = batch.threads_each(plan, settings)
    if not plan.jobs:
        task = Task(lambda data, _: Result(data), "compressed")
    elif lossy:
        task = lossy_task(quality or 0, profile, device, settings.limits, lof, thread_count)
    else:
        task = lossless_task(profile, device, settings, thread_count, sha256, sha1)
    raise typer.Exit(batch.run(plan, task, settings))


def destination(output: str | None, stdout: bool, settings: Settings) -> str | None:
    """Return the output path, - for stdout, or None. Raises ValueError if options contradict each other."""
    if stdout:
        if output not in (None, "-"):
            raise ValueError("--stdout and --output contradict each other: leave one of them out")
        output = "-"
    if output == "":
        raise ValueError("--output is empty: is a variable not set?")
    if output == "-" and settings.as_json:
        raise ValueError("--json and the result would both go to stdout: name an output file")
    if output == "-" and settings.remove:
        raise ValueError("--rm can't read back a result on stdout: name an output file")
    return output


def refuse_terminal(plan: sources.Plan, force: bool) -> None:
    """Raise ValueError if binary data would go to a terminal."""
    if any(job.target is None for job in plan.jobs) and sys.stdout.isatty() and not force:
        raise ValueError("the result is binary data, and stdout is a terminal: name a file with -o, or use --force")


def check_lossless(profile: str | None) -> None:
    """Raise ValueError unless this is a profile without loss."""
    if profile is None or profile in registry.PROFILES:
        return
    if profile in registry.IMAGE_PROFILES:
        raise ValueError(f"profile {profile!r} codes images with loss: add a quality from 1 (smallest) to 8, e.g. -q 4")
    names = ", ".join(dict.fromkeys([*registry.PROFILES, *registry.IMAGE_PROFILES]))
    raise ValueError(f"unknown profile {profile!r}; choose from: {names}")


def check_lossy(profile: str | None, quality: float, lof: int) -> None:
    """Raise ValueError unless these are settings for images with loss."""
    if profile in registry.PROFILES and profile not in registry.IMAGE_PROFILES:
        raise ValueError(
            f"profile {profile!r} loses nothing and has no quality: leave out --profile or --quality, or choose from: "
            f"{', '.join(registry.IMAGE_PROFILES)}"
        )
    index_of(quality)
    registry.check_overfitting(registry.of_image_profile(profile), lof)


def lossless_task(
    profile: str | None, device: str | None, settings: Settings, thread_count: int, sha256: bool, sha1: bool
) -> Task:
    """Return the task that compresses files without loss."""
    name = registry.of_profile(profile, device)
    if name != registry.NATIVE:
        tile_coder(name, device)  # An error of a model or a device concerns all files.

    def accept(data: bytes, job: Job) -> None:
        if data.startswith(sources.LIC) and job.source is not None and not (settings.force or job.target_named):
            raise Skip("it is a .lic file already; --force compresses it once more", "already .lic")

    def work(data: files.Content, job: Job) -> Result:
        accept(files.head(data, HEAD_BYTES), job)
        keywords: dict[str, Any] = {
            "profile": profile, "device": device, "sha256": sha256, "sha1": sha1, "limits": settings.limits
        }  # fmt: skip
        packed, reason = jpeg.compress_content(data, **keywords, threads=thread_count)
        notes = ("stored: " + reason,) if reason else ()
        return Result(packed, notes, {"lossless": True, "model": name})

    def check(original: bytes, packed: bytes) -> None:
        restored = jpeg.decompress(packed, device=device, limits=settings.limits, threads=thread_count)
        if restored != original:
            raise ValueError("not removed, because the existing .lic file restores another file")

    return Task(work, "compressed", lambda source, target: restores(target, source), check, accept, spooled=True)


def restores(packed: Path, original: Path, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Return whether a `.lic` file restores `original`, judged by its size, and by its time or checksum."""
    try:
        data = files.read(packed, limits)
        if kind(data) == "image":
            return False
        status = original.stat()
        container = _native.unpack(data, max(status.st_size, 1))
        if container.size != status.st_size:
            return False
        if status.st_mtime_ns != packed.stat().st_mtime_ns:
            container.verify(files.read(original, limits))
    except (LicError, OSError):
        return False
    return True


def lossy_task(
    quality: float, profile: str | None, device: str | None, limits: Limits, lof: int, thread_count: int
) -> Task:
    """Return the task that compresses images with loss."""
    from PIL import Image

    name, index = registry.of_image_profile(profile), index_of(quality)
    registry.load_image(name, device)
    import torch

    torch.set_num_threads(thread_count)
    # --max-pixels replaces Pillow's own limit.
    Image.MAX_IMAGE_PIXELS = None

    def work(data: bytes, job: Job) -> Result:
        notes = ["with loss"]
        picture = samples.to_pixels(formats.read_file(data, limits), limits, warn=notes.append)
        settings: dict[str, Any] = {"quality": quality, "profile": profile, "device": device, "limits": limits}
        with overfitting(job) if lof else nullcontext() as watch:
            packed = image.compress(picture, **settings, lof=lof, on_lof=watch)
        return Result(packed, tuple(notes), {"lossless": False, "quality": quality, "model": name})

    def is_done(source: Path, target: Path) -> bool:
        try:
            data = files.read(target)
            if kind(data) != "image":
                container = _native.unpack(data, limits.max_output_bytes)
                lossless = f"{target} restores {container.size:,} bytes without loss"
            else:
                info = image.inspect(data)
                has_settings = info.model == name and index_of(info.quality) == index
                return bool(has_settings and source.stat().st_mtime_ns == target.stat().st_mtime_ns)
        except Exception:
            return False
        raise FileExistsError(f"{lossless}; --force replaces it by a file with loss")

    return Task(work, "compressed with loss", is_done=is_done)


@contextmanager
def overfitting(job: Job) -> Iterator[Callable[[image.OverfitProgress], None]]:
    """Show the progress of latent overfitting, unless another bar is shown, and say what it has gained at the end."""
    from rich.console import Console
    from rich.errors import LiveError
    from rich.progress import Progress

    last: list[image.OverfitProgress] = []
    with ExitStack() as stack:
        bar = Progress(console=Console(stderr=True), transient=True)
        with suppress(LiveError):
            if console.on_terminal() and not console.quiet:
                stack.enter_context(bar)
        task = bar.add_task("overfitting", total=None)

        def watch(state: image.OverfitProgress) -> None:
            last[:] = [state]
            bar.update(task, completed=state.done, total=state.total)

        yield watch
    if last and (before := last[0].before) and (after := last[0].after):
        decibels = 10 * math.log10(before.mse / after.mse) if before.mse and after.mse else 0.0
        console.say(
            f"{console.shown(job.target or '-')}: overfitting changed latents by "
            f"{100 * (after.bpp / before.bpp - 1):+.1f} % of their bits and {decibels:+.2f} dB"
        )
