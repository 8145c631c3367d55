"""Images that are measured: files in a folder, and noise."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptError
from ..suffixes import LOSSLESS_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "files_below", "naming", "noise"]

#: Suffixes of images that are not JPEG files.
IMAGE_SUFFIXES = LOSSLESS_SUFFIXES | {".webp"}


def files_below(folder: Path, suffixes: Set[str]) -> list[Path]:
    """Return the files below a folder that have one of these suffixes, sorted.

    Raises:
        FileNotFoundError: there is no such folder, or no such file below it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(folder))
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no images ({', '.join(sorted(suffixes))}) below {folder}")
    return paths


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn any exception into a CorruptError that names the image."""
    try:
        yield
    except Exception as error:  # Pillow raises many kinds
        raise CorruptError(f"{path} can't be read: {(str(error) or type(error).__name__).splitlines()[0]}") from error


def noise(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return noise with the spectrum of photographs, 1/f, stronger in luma than in chroma: `[height, width, 3]`."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency**1.4
    planes = np.fft.irfft2(spectrum, (height, width))
    planes *= np.array([45, 8, 8])[:, None, None] / planes.std((1, 2), keepdims=True)
    luma, blue, red = planes + 128
    rgb = np.stack([luma + red - 128, luma - (red + blue) / 2 + 128, luma + blue - 128], -1)
    samples: NDArray[np.uint8] = np.clip(rgb.round(), 0, 255).astype(np.uint8)
    return samples
