"""The commands `lic-native decompress` and `lic-native test`, which decode `.lic` files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .. import _native, arguments, files, image, jpeg, threads
from ..errors import CorruptError, LicError, UnsupportedError
from ..image import formats
from ..inspection import HEAD_BYTES, kind
from ..limits import DEFAULT_LIMITS, Limits
from ..models import registry
from ..suffixes import check_suffix
from . import batch, console, options, sources
from .compress import destination, refuse_terminal, restores
from .sources import SUFFIX, Job
from .task import Result, Settings, Task

__all__ = ["check_files", "decompress"]


def decompress(
    paths: options.Paths = None,
    output: options.Output = None,
    stdout: options.Stdout = False,
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
    max_output: options.MaxOutput = DEFAULT_LIMITS.max_output_bytes,
) -> None:
    """Restore the original of each .lic file, byte for byte.

    A file that was made with --quality becomes an image file in the format of the output's name. Without one, and on
    stdout, the format is PNG, or that of the original's name if it keeps every sample. Finished files are skipped.

    \b
    Examples:
      lic-native decompress photo.jpg.lic             makes photo.jpg
      lic-native decompress packed -o photos          a folder, into another
      lic-native decompress photo.png.lic -o photo.webp
      lic-native decompress photo.jpg.lic -c | feh -
    """
    console.quiet = quiet or as_json
    limits = Limits(max_pixels, max_input, max_output)
    settings = Settings(limits, force, remove, dry_run, as_json, verbose, threads.resolve(thread_count))
    output = destination(output, stdout, settings)
    device = arguments.to_device(device)
    plan = sources.plan(
        sources.named_paths(paths, files_from), output, sources.is_lic, restored_name, ".lic file to decompress"
    )
    refuse_terminal(plan, force)
    settings = batch.for_device(settings, plan, device, registry.PROFILES["best"])
    thread_count = batch.threads_each(plan, settings)

    def accept(data: bytes, _: Job) -> None:
        if not data.startswith(sources.LIC):
            _native.unpack(data, 0)  # Its error says what kind of file it is.
        if remove and kind(data) == "image":
            raise UnsupportedError("holds an image with loss, whose file --rm would lose: leave --rm out")

    def work(data: files.Content, job: Job) -> Result:
        head = files.head(data, HEAD_BYTES)
        accept(head, job)
        if kind(head) != "image":
            restored = jpeg.decompress_content(data, device=device, limits=limits, threads=thread_count)
            if job.target_named and job.target is not None:
                check_suffix(restored, job.target)
            return Result(restored)
        notes: list[str] = []
        return Result(image_file(files.whole(data), job, notes.append), tuple(notes))

    def image_file(data: bytes, job: Job, note: Callable[[str], None]) -> bytes:
        """Return the decoded image of a `.lic` file, as a file in the target's format."""
        suffix = ".png" if job.target is None else job.target.suffix
        formats.format_of(suffix)
        return formats.write_file(image.decompress(data, device=device, limits=limits), suffix, warn=note)

    def is_done(source: Path, target: Path) -> bool:
        if not sources.holds_image(source):
            return restores(source, target, limits)
        # Equal times are not enough: files of other qualities have the original's time as well.
        if source.stat().st_mtime_ns != target.stat().st_mtime_ns:
            return False
        try:
            decoded = image_file(files.read(source, limits), Job(source, target), lambda _: None)
            return decoded == files.read(target, limits)
        except (LicError, OSError):
            return False

    def check(packed: bytes, restored: bytes) -> None:
        if kind(packed) == "image":
            raise ValueError("not removed, because it holds an image with loss")
        if jpeg.decompress(packed, device=device, limits=limits, threads=thread_count) != restored:
            raise ValueError("not removed, because the existing file is not the one that it restores")

    raise typer.Exit(batch.run(plan, Task(work, "restored", is_done, check, accept, spooled=True), settings))


def restored_name(lic: Path) -> str:
    """Return the default name of a `.lic` file's result."""
    has_suffix = len(lic.name) > len(SUFFIX) and lic.suffix.lower() == SUFFIX
    name = lic.name[: -len(SUFFIX)] if has_suffix else lic.name
    if not sources.holds_image(lic):
        return name if has_suffix else name + ".restored"
    try:
        info = image.inspect(files.read(lic))
        keeps_samples = formats.keeps(Path(name).suffix, info.mode, info.metadata)
    except (LicError, OSError):
        keeps_samples = False  # The run will report the error.
    return name if keeps_samples else name + ".png"


def check_files(
    paths: options.Paths = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Decode once more in another process, with plain instructions on one thread of the CPU."
        ),
    ] = False,
    device: options.Device = None,
    thread_count: options.Threads = 0,
    files_from: options.FilesFrom = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    as_json: options.Json = False,
    max_pixels: options.MaxPixels = DEFAULT_LIMITS.max_pixels,
    max_input: options.MaxInput = DEFAULT_LIMITS.max_input_bytes,
    max_output: options.MaxOutput = DEFAULT_LIMITS.max_output_bytes,
) -> None:
    """Decode .lic files and compare checksums, without writing anything.

    The exit status is 0 only if every file restores what was compressed.

    \b
    Examples:
      lic-native test photo.jpg.lic
      lic-native test packed                          every .lic file of a folder
      lic-native test packed --deep                   before originals are deleted
    """
    console.quiet = quiet or as_json
    limits = Limits(max_pixels, max_input, max_output)
    settings = Settings(limits, as_json=as_json, verbose=verbose, threads=threads.resolve(thread_count))
    device = arguments.to_device(device)
    plan = sources.plan(sources.named_paths(paths, files_from), None, sources.is_lic, None, ".lic file to test")
    settings = batch.for_device(settings, plan, device, registry.PROFILES["best"])
    thread_count = batch.threads_each(plan, settings)

    def work(data: bytes, job: Job) -> Result:
        lossy = kind(data) == "image"
        if lossy:
            picture = image.decompress(data, device=device, limits=limits)
            size = picture.width * picture.height * len(picture.getbands())
        else:
            size = len(jpeg.decompress(data, device=device, limits=limits, threads=thread_count))
        if deep:
            _decode_elsewhere(data, limits)
        return Result(b"", ("with loss",) if lossy else (), {"bytes_restored": size})

    raise typer.Exit(batch.run(plan, Task(work, "good", writes=False), settings))


#: Environment variables that make decoders use plain instructions on one thread of the CPU.
_PLAIN = {
    "LIC_SIMD": "scalar",
    "LIC_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ATEN_CPU_CAPABILITY": "default",
    "CUDA_VISIBLE_DEVICES": "",
}


def _decode_elsewhere(data: bytes, limits: Limits) -> None:
    """Raise CorruptError unless a second process, with plain instructions, decodes a file as well."""
    max_values = {"pixels": limits.max_pixels, "input": limits.max_input_bytes, "output": limits.max_output_bytes}
    limit_options = [word for name, limit in max_values.items() for word in (f"--max-{name}", str(limit))]
    finished = subprocess.run(
        [sys.executable, "-m", "lic_native", "test", "-", "--device", "cpu", *limit_options],
        input=data,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **_PLAIN},
    )
    if finished.returncode:
        lines = finished.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {finished.returncode}"]
        raise CorruptError(f"decodes here, but not with plain instructions: {lines[-1]}")
