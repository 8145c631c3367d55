"""The commands `lic-native train ...`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_type_hints

import typer

from .. import training
from ..training import Options

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model.")


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the first parameter of a command, an `Options`, by an option for each of its fields."""
    hints = get_type_hints(Options, localns={"torch": SimpleNamespace(device=str)}, include_extras=True)
    # typer needs concrete types for paths and devices.
    kinds: dict[str, Any] = {"data": Path, "out": Path, "start": Path | None, "device": str | None}
    options = []
    for field in (field for field in fields(Options) if field.init):
        kind, text = get_args(hints[field.name])
        annotation: Any = Annotated[kinds.get(field.name, kind), typer.Option(help=text)]
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        options.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    names = [option.name for option in options]

    @wraps(command)
    def with_fields(**arguments: Any) -> None:
        command(Options(**{name: arguments.pop(name) for name in names}), **arguments)

    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    with_fields.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
    with_fields.__annotations__ = {parameter.name: parameter.annotation for parameter in (*options, *own)}
    return with_fields


CAMERA = "Folder of JPEG files as cameras wrote them, plain or in .tar shards."


@app.command("jpeg")
@with_options
def train_jpeg(
    options: Options,
    profile: Annotated[str, typer.Option(help="tiny, quick, fast or best: the network's size.")] = "fast",
    hyper: Annotated[int, typer.Option(help="Channels of side information of a new run's network.")] = 0,
    camera: Annotated[Path | None, typer.Option(help=CAMERA)] = None,
    camera_share: Annotated[float, typer.Option(help="Share of the batches that are of such files.")] = 0.25,
) -> None:
    """Train the JPEG model, or continue the run in the output folder."""
    training.train_jpeg(options, profile=profile, hyper=hyper, camera=camera, camera_share=camera_share)


@app.command("image")
@with_options
def train_image(
    options: Options,
    profile: Annotated[str, typer.Option(help="tiny, fast, balanced, best or bls2017: the model.")] = "balanced",
    channels: Annotated[
        tuple[int, int, int] | None, typer.Option(help="Channels after each stage of a new bls2017.")
    ] = None,
    quality: Annotated[float | None, typer.Option(help="Train for this quality alone, not for all.")] = None,
    noise: Annotated[
        float,
        typer.Option(help="Share of the run with noise, not rounding; 0 to continue from trained weights."),
    ] = 0.5,
) -> None:
    """Train a codec for images, or continue the run in the output folder."""
    training.train_image(options, profile=profile, channels=channels, quality=quality, noise=noise)


@app.command("pack")
def pack(
    out: Annotated[Path, typer.Argument(help="New folder.")],
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    start: Annotated[
        Path | None, typer.Option(help="Exported weights, or another run's folder, to begin with.")
    ] = None,
    camera: Annotated[Path | None, typer.Option(help=CAMERA)] = None,
    skip: Annotated[int, typer.Option(help="Leave out so many photographs, which an earlier folder had.")] = 0,
    mebibytes: Annotated[float, typer.Option(help="Size of all together.")] = 58,
) -> None:
    """Fill a folder with all that a training on another machine needs: package, start and photographs."""
    training.pack(out, data, start=start, camera=camera, skip=skip, mebibytes=mebibytes)


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, with the average-*.pt that it left.")],
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    camera: Annotated[Path | None, typer.Option(help=CAMERA)] = None,
    limit: Annotated[int | None, typer.Option(help="Read at most this many images.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where torch runs: cpu or cuda; by default cuda if there is one.")
    ] = None,
) -> None:
    """Export the exact network of a run on another machine, and measure it on held-out photographs."""
    training.export_run(run, data, camera=camera, limit=limit, device=device)


@app.command("native")
def train_native(
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    out: Annotated[Path, typer.Option(help="Output file: rust/src/jpeg/context_model/prior.bin.")],
    files: Annotated[int, typer.Option(help="Number of JPEG files to make from the photographs.")] = 6000,
    steps: Annotated[int, typer.Option(help="Steps of each regression, one for luma and one for chroma.")] = 1500,
    limit: Annotated[int | None, typer.Option(help="Read at most this many images.")] = None,
    seed: Annotated[int, typer.Option(help="Runs of equal seed are equal.")] = 0,
) -> None:
    """Learn the first distributions of the profile native. A new build of the extension uses them."""
    training.train_context_prior(data, out, files=files, steps=steps, limit=limit, seed=seed)
