"""Lossy compression of images: lic_native beside its peers, on the same images in the same run."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from ..errors import UnsupportedError
from ..image.samples import bits_of
from .distortion import decibels, ms_ssim, psnr
from .image_codecs import Codec
from .jpeg import IMAGE_SUFFIXES, naming
from .resources import observe

__all__ = ["Mean", "Row", "cell", "evaluate", "find", "mean", "means", "measure", "read", "table"]


@dataclass(frozen=True)
class Row:
    """What one codec at one setting made of an image.

    bytes: of the whole file; bpp: its bits for each pixel.
    psnr, ms_ssim: of uint8 RGB (`distortion`).
    encode_peak_bytes, decode_peak_bytes: see `resources.Call`.
    """

    image: str
    width: int
    height: int
    codec: str
    setting: float
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float
    encode_peak_bytes: int | None
    decode_peak_bytes: int | None


@dataclass(frozen=True)
class Mean:
    """The rows of one codec at one setting: the mean of each number over the images, each image counting alike.

    None where an image has no such number. ms_ssim_db: of the mean.
    """

    codec: str
    setting: float
    images: int
    bytes: float
    bpp: float
    psnr: float
    ms_ssim: float | None
    ms_ssim_db: float | None
    encode_seconds: float
    decode_seconds: float
    encode_peak_bytes: float | None
    decode_peak_bytes: float | None


def find(folder: Path) -> list[Path]:
    """The images below a folder.

    Raises:
        FileNotFoundError: there are none.
        ValueError: there is more to one than 8 bits of colour or gray, e.g. alpha: codecs would treat it differently.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(folder))
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"no images ({', '.join(sorted(IMAGE_SUFFIXES))}) below {folder}")
    for path in paths:
        with naming(path), Image.open(path) as image:
            plain = image.mode in ("1", "L", "P", "RGB") and not image.has_transparency_data and bits_of(image) <= 8
        if not plain:
            raise UnsupportedError(f"{path} is neither RGB nor gray, of 8 bits without alpha")
    return paths


def read(path: Path) -> Image.Image:
    """An image as RGB, gray ones too, without metadata: every codec is to code the same."""
    with naming(path), Image.open(path) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


def measure(name: str, image: Image.Image, codec: Codec, setting: float) -> Row:
    """Encode and decode an image once.

    Raises:
        ValueError: the codec fails; a mean without this image would be that of another set.
    """
    try:
        encoded = observe(lambda: codec.encode(image, setting))
        decoded = observe(lambda: codec.decode(encoded.result))
    except Exception as error:  # peers raise whatever they like
        raise ValueError(f"{codec.name} at {setting:g} fails on {name}: {error}") from error
    original, restored = np.asarray(image), np.asarray(decoded.result.convert("RGB"))
    if restored.shape != original.shape:
        raise ValueError(f"{codec.name} at {setting:g} restores {name} at another size")
    return Row(
        name,
        image.width,
        image.height,
        codec.name,
        setting,
        len(encoded.result),
        8 * len(encoded.result) / (image.width * image.height),
        psnr(original, restored),
        ms_ssim(original, restored),
        encoded.seconds,
        decoded.seconds,
        encoded.peak_bytes,
        decoded.peak_bytes,
    )


def evaluate(folder: Path, codecs: Sequence[Codec]) -> Iterator[Row]:
    """A row for each image, codec and setting; before the first image, a warm-up of each codec on it."""
    for number, path in enumerate(find(folder)):
        image, name = read(path), str(path.relative_to(folder))
        for codec in codecs:
            if number == 0:
                measure(name, image, codec, codec.settings[0])
            for setting in codec.settings:
                yield measure(name, image, codec, setting)


def means(rows: Sequence[Row]) -> list[Mean]:
    """In the order of the codecs and of their rates."""
    order = {codec: place for place, codec in enumerate(dict.fromkeys(row.codec for row in rows))}
    found = []
    by_setting = sorted(rows, key=lambda row: (order[row.codec], row.setting))
    for (codec, setting), group in groupby(by_setting, attrgetter("codec", "setting")):
        same = list(group)
        similarity = mean(row.ms_ssim for row in same)
        found.append(
            Mean(
                codec,
                setting,
                len(same),
                fmean(row.bytes for row in same),
                fmean(row.bpp for row in same),
                fmean(row.psnr for row in same),
                similarity,
                None if similarity is None else decibels(similarity),
                fmean(row.encode_seconds for row in same),
                fmean(row.decode_seconds for row in same),
                mean(row.encode_peak_bytes for row in same),
                mean(row.decode_peak_bytes for row in same),
            )
        )
    return sorted(found, key=lambda each: (order[each.codec], each.bpp))


def mean(numbers: Iterator[float | None]) -> float | None:
    there = list(numbers)
    known = [number for number in there if number is not None]
    return fmean(known) if len(known) == len(there) else None


def table(averages: Sequence[Mean]) -> str:
    """The means as a Markdown table."""
    lines = [
        "| codec | setting | bpp | PSNR | MS-SSIM | in dB | encode s | decode s | encode MB | decode MB |",
        f"|---|{'---:|' * 9}",
    ]
    for each in averages:
        cells = [
            f"{each.setting:g}",
            cell(each.bpp, 4),
            cell(each.psnr, 3),
            cell(each.ms_ssim, 5),
            cell(each.ms_ssim_db, 3),
            cell(each.encode_seconds, 4),
            cell(each.decode_seconds, 4),
            cell(each.encode_peak_bytes, 1, 1e6),
            cell(each.decode_peak_bytes, 1, 1e6),
        ]
        lines.append(f"| {each.codec} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(number: float | None, digits: int, unit: float = 1) -> str:
    return "" if number is None else f"{number / unit:.{digits}f}"
