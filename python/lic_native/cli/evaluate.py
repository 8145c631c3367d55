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
    folder: Annotated[Path, typer.Argument(help="JPEG files, and other images to make JPEG files from.")],
    quality: Annotated[
        list[int] | None, typer.Option(help="Quality of the JPEG files made from other images; repeat it for several.")
    ] = None,
    sampling: Annotated[
        list[str] | None,
        typer.Option(help="Sampling of these files: 4:2:0, 4:2:2, 4:4:4 or gray; repeat it for several."),
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Profile of lic_native; repeat it for several; by default all.")
    ] = None,
    device: Device = None,
    torch: Annotated[
        bool, typer.Option("--torch", help="Also measure the networks as torch runs them, on a CPU next to Rust.")
    ] = False,
    stages: Annotated[bool, typer.Option("--stages", help="Also print where lic_native's time goes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the rows to this file as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the rows to this file, .png or .svg; needs matplotlib.")
    ] = None,
) -> None:
    """Measure saving, speed and exactness of lic_native and every installed peer, on the same files in one run.

    Peers are Lepton (lepton-jpeg-python), JPEG XL and brunsli (imagecodecs), and the commands of brunsli, packJPG and
    paq8px if they are on the PATH.
    """
    from ..evaluation import jpeg

    jpeg.run(
        folder,
        qualities=quality or [75],
        samplings=sampling or ["4:2:0"],
        profiles=profile or [],
        device=device,
        torch=torch,
        with_stages=stages,
        as_json=as_json,
        csv_file=csv,
        plot_file=plot,
    )


@app.command("image")
def evaluate_image(
    folder: Annotated[Path, typer.Argument(help="Images, RGB or gray, 8 bits, without alpha.")],
    quality: Annotated[
        list[float] | None,
        typer.Option(help="Quality of lic_native's files; repeat it for several; by default 1 to 8."),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help='Measure only this one, e.g. "lic_native fast" or JPEG; repeat it for several.'),
    ] = None,
    lof: Annotated[
        list[int] | None,
        typer.Option(
            help="Also measure each profile with this many iterations of latent overfitting; repeat it for several."
        ),
    ] = None,
    device: Device = None,
    anchors: Annotated[
        Path | None, typer.Option(help="JSON file of published curves of the same images, to compare with.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Published curve to compare with; repeat it for several; by default the usual few."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a row for each image and setting to this file as CSV.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write rows, means and BD-rates to this file as JSON.")
    ] = None,
    means: Annotated[Path | None, typer.Option(help="Write the means to this file as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves to this file, .png or .svg.")] = None,
) -> None:
    """Measure rate, distortion, time and memory of lic_native and every installed peer, on the same images in one run.

    Peers are Pillow's JPEG, JPEG 2000, WebP and AVIF, and JPEG XL (imagecodecs). Prints a table of means, and BD-rates
    of lic_native's codecs against peers and published curves, or of the peers if --codec names peers only.
    """
    from ..evaluation import image

    image.run(
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
            help="Width x height; repeat it for several; by default 256x256, 512x768, 1920x1080 and 2048x1080."
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(help='Measure only this one, e.g. "lic_native bls2017" or mbt2018_mean; repeat it for several.'),
    ] = None,
    device: Device = None,
    threads: Annotated[
        int | None, typer.Option(help="Number of torch's threads on the CPU; by default what torch chooses.")
    ] = None,
    repetitions: Annotated[
        int, typer.Option(help="Number of runs, of which the median counts; serial codecs run once.")
    ] = 5,
    csv: Annotated[Path | None, typer.Option(help="Write the rows to this file as CSV.")] = None,
) -> None:
    """Measure the stages of lic_native's image profiles, and of CompressAI's models if installed, in one run.

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
