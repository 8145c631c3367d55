"""Trainings of the models: one loop (`loop.py`), and a task for each model. torch is imported when one starts."""

from __future__ import annotations

from pathlib import Path

from ..models import registry
from .options import Options

__all__ = ["Options", "train_context_prior", "train_image", "train_jpeg"]


def train_jpeg(options: Options, *, profile: str = "fast", hyper: int = 0) -> float:
    """Train the JPEG model and export `out/mlcc.weights`.

    Args:
        options: of the run.
        profile: widths of a new run's network, a key of `models.mlcc.PROFILES`. `options.start` may hold weights of
            this profile or of a narrower one.
        hyper: channels of side information of a new run's network (`models/hyperprior.py`).

    Returns:
        The saving in percent on the held-out photographs, 4:2:0 at quality 75.

    Raises:
        TypeError, ValueError, OSError: a run can't have such options; raised before anything is done.
        UnsupportedError: torch is not installed.
        CorruptError: a photograph or the checkpoint can't be read.
    """
    registry.need_torch("training")
    from . import jpeg, loop

    return loop.fit(jpeg.JpegTask(profile, hyper), options)


def train_image(
    options: Options,
    *,
    model: str = "msp-balanced",
    channels: tuple[int, int, int] | None = None,
    quality: float | None = None,
    noise: float = 0.5,
) -> float:
    """Train a codec for images and export `out/MODEL.weights`.

    Args:
        options: of the run. `options.start` may be exported weights, or another run's `checkpoint.pt`, instead of
            principal components; of another configuration, the tensors that fit are taken.
        model: "msp-fast", "msp-balanced", "msp-best" or "bls2017".
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

    return loop.fit(image.ImageTask(model, channels, quality, noise), options)


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
