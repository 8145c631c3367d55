"""The commands `lic-native evaluate ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure against other programs, on your own files."
)


@app.command("jpeg")
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
    from ..evaluation import report

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


@app.command("image")
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
    from ..evaluation import image_report

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


@app.command("latency")
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
    from ..evaluation import latency

    latency.run(
        sizes=size or [],
        names=codec or [],
        device=device,
        threads=threads,
        repetitions=repetitions,
        csv_file=csv,
    )
