"""The commands `lic-native list` and `lic-native inspect`, which show the contents of `.lic` files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import _native, files, image, jpeg
from ..errors import UnsupportedError
from ..inspection import kind
from ..limits import DEFAULT_LIMITS
from . import batch, console, options, sources

__all__ = ["inspect", "list_files"]

#: The most bytes that `inspect --head` writes: a colour profile can have 255 segments.
MAX_HEAD = 1 << 25

Paths = Annotated[list[str] | None, typer.Argument(metavar="PATH", show_default=False, help="Files; - is stdin.")]


def list_files(
    paths: options.Paths = None,
    files_from: options.FilesFrom = None,
    as_json: options.Json = False,
) -> None:
    """List .lic files, with sizes and sums.

    \b
    Examples:
      lic-native list packed
      lic-native list *.lic --json
    """
    plan = sources.plan(sources.named_paths(paths, files_from), None, sources.is_lic, None, ".lic file to list")
    for problem in plan.problems:
        console.complain(problem)
    failed, rows = len(plan.problems), 0
    before = after = 0
    if not as_json and plan.jobs:
        console.out(f"{'original':>14} {'compressed':>14} {'saved':>8}  {'kind':8} {'model':12} name")
    for job, info in _infos([job.source for job in plan.jobs]):
        if info is None:
            failed += 1
            continue
        rows += 1
        lossy = info["kind"] == "image"
        size = info["width"] * info["height"] * len(info["mode"]) if lossy else info["restored_bytes"]
        before, after = before + size, after + info["file_bytes"]
        if as_json:
            console.out(json.dumps({"source": str(job or "-"), "lossless": not lossy, **info}))
            continue
        models = dict.fromkeys([info["model"]] if lossy else [p["model"] for p in info.get("pictures", ())])
        models.pop("duplicate", None)
        name = console.shown(job or "-")
        saved = _saved(size, info["file_bytes"])
        kind = "lossy" if lossy else info["kind"]
        console.out(f"{size:14,} {info['file_bytes']:14,} {saved:>8}  {kind:8} {','.join(models) or '-':12} {name}")
    if as_json:
        sums = {"status": "sum", "files": rows, "failed": failed, "original_bytes": before, "file_bytes": after}
        console.out(json.dumps(sums))
    elif rows > 1:
        console.out(f"{before:14,} {after:14,} {_saved(before, after):>8}  {console.file_count(rows)}")
    raise typer.Exit(batch.FAILED if failed else batch.DONE)


def _saved(before: int, after: int) -> str:
    return f"{100 * (1 - after / before):.2f} %" if after < before else "-"


def inspect(
    paths: Paths = None,
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Also restore the original in memory, and show its SHA-256 and SHA-1.")
    ] = False,
    head: Annotated[
        bool,
        typer.Option("--head", help="Write the JPEG file inside to stdout without its picture: its metadata."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the contents of .lic files, picture by picture.

    \b
    Examples:
      lic-native inspect photo.jpg.lic
      lic-native inspect photo.jpg.lic --head | exiftool -
    """
    named = sources.named_paths(paths, None)
    if head:
        _write_head(named, hashes or as_json)
        return
    failed = 0
    for i, (path, info) in enumerate(_infos([None if name == "-" else Path(name) for name in named], hashes)):
        if info is None:
            failed += 1
            continue
        if as_json:
            console.out(json.dumps({"source": str(path or "-"), **info} if len(named) > 1 else info))
            continue
        if len(named) > 1:
            console.out(("\n" if i else "") + f"{console.shown(path or '-')}:")
        _show(info)
    raise typer.Exit(batch.FAILED if failed else batch.DONE)


def _write_head(named: list[str], shows_more: bool) -> None:
    """Write what precedes the picture of the JPEG file that a `.lic` file restores. Nothing is decoded."""
    if len(named) > 1 or shows_more:
        raise ValueError("--head writes bytes, so it takes one file, and neither --json nor --hashes")
    data = console.read_stdin(DEFAULT_LIMITS) if named[0] == "-" else files.read(named[0])
    start = _native.head(data, MAX_HEAD)
    if not start.startswith(sources.JPEG):
        raise UnsupportedError("the .lic file restores no JPEG file")
    console.write_stdout(start)


def _infos(paths: list[Path | None], hashes: bool = False) -> Iterator[tuple[Path | None, dict[str, Any] | None]]:
    """Yield the path and the contents of each file; for a file that fails, print the error and yield None.

    hashes: whether to add the hashes of the original, which is restored for them.
    """
    for path in paths:
        try:
            data = console.read_stdin(DEFAULT_LIMITS) if path is None else files.read(path)
            lossy = kind(data) == "image"
            info = asdict((image if lossy else jpeg).inspect(data))
            if hashes and not lossy:
                original = jpeg.decompress(data)
                info["sha256"] = hashlib.sha256(original).hexdigest()
                info["sha1"] = hashlib.sha1(original, usedforsecurity=False).hexdigest()
        except Exception as error:
            console.complain(console.describe(error, str(path or "stdin")))
            yield path, None
        else:
            yield path, {key: value for key, value in info.items() if value is not None}


def _show(info: dict[str, Any]) -> None:
    pictures = info.pop("pictures", ())
    if info.get("saving_percent", 0) < 0:
        info["saving_percent"] = "none: it is larger than the original"
    for key, value in info.items():
        console.out(f"{key.replace('_', ' '):18} {(', '.join(value) or 'none') if isinstance(value, tuple) else value}")
    for picture in pictures:
        mode = "progressive" if picture["progressive"] else "sequential"
        console.out(
            f"{'picture':18} {picture['width']}x{picture['height']}, {picture['components']} components "
            f"{picture['sampling']}, {mode}, {picture['model']}: {picture['coefficient_bytes']} bytes"
        )
