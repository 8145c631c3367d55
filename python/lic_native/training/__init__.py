"""Trainings of the models: one loop (`loop.py`), and a task for each model. torch is imported when one starts."""

from __future__ import annotations

from pathlib import Path

from ..arguments import Device
from ..models import registry
from .options import Options

__all__ = ["Options", "export_run", "pack", "train_context_prior", "train_image", "train_jpeg"]


def train_jpeg(
    options: Options,
    *,
    profile: str = "fast",
    hyper: int = 0,
    camera: Path | str | None = None,
    camera_share: float = 0.25,
) -> float:
    """Train the JPEG model and export `out/mlcc.weights`.

    Args:
        options: of the run.
        profile: widths of a new run's network, a key of `models.mlcc.PROFILES`. `options.start` may hold weights of
            this profile or of a narrower one.
        hyper: channels of side information of a new run's network (`models/hyperprior.py`).
        camera: folder of JPEG files as cameras wrote them, plain or in .tar shards, whose coefficients are trained on
            as they are. Of names like MODEL-0020-1.jpg those are held out whose number is a multiple of 20.
        camera_share: share of the batches that are of such files.

    Returns:
        The saving in percent on the held-out photographs, 4:2:0 at quality 75.

    Raises:
        TypeError, ValueError, OSError: a run can't have such options; raised before anything is done.
        UnsupportedError: torch is not installed.
        CorruptError: a photograph or the checkpoint can't be read.
    """
    registry.need_torch("training")
    from . import jpeg, loop

    return loop.fit(jpeg.JpegTask(jpeg.configuration(profile, hyper), camera, camera_share), options)


def train_image(
    options: Options,
    *,
    profile: str = "balanced",
    channels: tuple[int, int, int] | None = None,
    quality: float | None = None,
    noise: float = 0.5,
) -> float:
    """Train a codec for images and export `out/MODEL.weights`.

    Args:
        options: of the run. `options.start` may be exported weights, another run's `checkpoint.pt`, or a folder of its
            `average-*.pt`, instead of principal components; of another configuration, the tensors that fit are taken.
        profile: a key of `models.registry.IMAGE_PROFILES`, or "tiny", which has no weights.
        channels: of bls2017, `models.bls2017.Config`.
        quality: train for this one alone, to see what one model for all of them costs.
        noise: share of the run whose rates are measured with uniform noise (`NoisyMeter`), which shows a transform what
            a larger latent would cost; the rest measures rates of files (`RoundingMeter`). 0 suits trained weights.

    Returns:
        Bits per pixel + lambda * mean squared error, over the root of lambda, on the held-out photographs.

    Raises:
        TypeError, ValueError, OSError, UnsupportedError, CorruptError: as `train_jpeg` does.
    """
    registry.need_torch("training")
    from . import image, loop

    return loop.fit(image.ImageTask(*image.configuration(profile, channels), quality, noise), options)


def pack(
    out: Path | str,
    data: Path | str,
    *,
    start: Path | str | None = None,
    camera: Path | str | None = None,
    skip: int = 0,
    mebibytes: float = 58,
) -> int:
    """Fill a new folder with all that a training on another machine needs beside torch.

    It has the package without weights, `package`; the start, if any; photographs, and files of cameras if asked for,
    in up to half of what is left. JPEG files travel as .lic files of the profile `native`.

    Args:
        out: the folder, which must not exist.
        data: folder of photographs, plain or in .tar shards.
        start: exported weights, or the folder of a run.
        camera: folder of JPEG files as cameras wrote them.
        skip: photographs, and files of cameras, that an earlier pack had; after the last follow the first.
        mebibytes: of all together.

    Returns:
        The `skip` for which another pack begins where the photographs of this one end.

    Raises:
        FileExistsError: `out` exists. FileNotFoundError: there is no such folder, or nothing in it.
        UnsupportedError: torch is not installed.
    """
    registry.need_torch("training")
    from . import packing

    start, camera = (None if path is None else Path(path) for path in (start, camera))
    return packing.pack(Path(out), Path(data), start, camera, skip, mebibytes)


def export_run(
    run: Path | str,
    data: Path | str,
    *,
    camera: Path | str | None = None,
    limit: int | None = None,
    device: Device = None,
) -> float:
    """Export the exact network of a run that left `average-*.pt`, and print what both score.

    Args:
        run: the folder of the run, into which the weights are written.
        data, limit, camera: photographs and files of cameras, as of the training: they show the ranges of activations,
            and their held-out part is what scores are of.
        device: where torch runs.

    Returns:
        The score of the run's average, as the training would return it.

    Raises:
        TypeError, ValueError, OSError, UnsupportedError, CorruptError: as `train_jpeg` does.
    """
    registry.need_torch("training")
    from . import image, jpeg, loop, parts
    from .data import Photographs

    Options(data, run, steps=1, limit=limit).check()
    where = registry.present_device(device, "training")
    name, model, notes = parts.load(run)
    task = jpeg.JpegTask(model.config, camera) if name == "mlcc" else image.ImageTask(name, model.config)
    task.prepare(Photographs(data, where, limit, notes["crop"]), 1, notes["crop"])
    return loop.export(task, model.to(where), Path(run))


def train_context_prior(
    data: str | Path, out: str | Path, *, files: int = 6000, steps: int = 1500, limit: int | None = None, seed: int = 0
) -> None:
    """Learn the counts that the profile `native` begins with, and write them to the file `out`.

    Args:
        data: folder of .tar shards or images.
        out: the file to write, `rust/src/jpeg/context_model/prior.bin`; it counts once the extension is built with it.
        files: number of JPEG files that are made of the photographs.
        steps: of the regression, for luma and for chroma.
        limit: read at most this many images.
        seed: runs of equal seed see the same crops.

    Raises:
        TypeError, ValueError, OSError, UnsupportedError, CorruptError: as `train_jpeg` does.
    """
    registry.need_torch("training")
    from .context_prior import train

    train(data, out, files=files, steps=steps, seed=seed, limit=limit)
