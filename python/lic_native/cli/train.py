"""The commands `lic-native train ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Train a model.")


@app.command("jpeg")
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
    from ..training.jpeg import train

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


@app.command("image")
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
    from ..training.image import train

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


@app.command("native")
def train_native(
    data: Annotated[Path, typer.Option(help="Folder of photographs, plain or in .tar shards.")],
    out: Annotated[Path, typer.Option(help="The file to write: rust/src/jpeg/native/prior.bin.")],
    files: Annotated[int, typer.Option(help="JPEG files to make of the photographs.")] = 6000,
    steps: Annotated[int, typer.Option(help="Of the regression, for luma and for chroma.")] = 1500,
    limit: Annotated[int | None, typer.Option(help="Read only so many images.")] = None,
    seed: Annotated[int, typer.Option(help="Runs of equal seed see the same crops.")] = 0,
) -> None:
    """Learn what the native coder of JPEG coefficients begins with. It counts once the extension is built with it."""
    from ..training.native import train

    train(data, out, files=files, steps=steps, seed=seed, limit=limit)
