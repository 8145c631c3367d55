"""Lossless JPEG recompression: lic_native beside its peers, on the same files in the same run."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image

from .. import jpeg
from ..arguments import Device
from ..errors import CorruptError
from ..image.formats import LOSSLESS_SUFFIXES
from ..models.registry import JpegProfile
from .peers import Codec, codecs

__all__ = [
    "IMAGE_SUFFIXES",
    "SAMPLINGS",
    "FileSet",
    "Row",
    "check_measures",
    "evaluate",
    "file_sets",
    "made_jpeg",
    "measure",
    "naming",
    "summary",
    "table",
]

#: What Pillow can write, and the mode of the image that it writes so.
SAMPLINGS = {"4:2:0": "RGB", "4:2:2": "RGB", "4:4:4": "RGB", "gray": "L"}
#: Images that JPEG files are made of.
IMAGE_SUFFIXES = LOSSLESS_SUFFIXES | {".webp"}


@dataclass(frozen=True)
class FileSet:
    """JPEG files of one kind.

    quality, sampling: those that Pillow made the files with; None for files that were JPEG already.
    """

    quality: int | None
    sampling: str | None
    files: list[bytes]

    def __str__(self) -> str:
        kind = "as they are" if self.quality is None else f"quality {self.quality}, {self.sampling}"
        return f"{len(self.files)} files, {kind}: {sum(map(len, self.files)):,} bytes of JPEG"


@dataclass(frozen=True)
class Row:
    """What one codec did with a set of files. Speeds are megabytes of JPEG a second, on the wall clock.

    A file that the codec refuses counts as stored: its own size, and no time.
    """

    quality: int | None
    sampling: str | None
    codec: str
    files: int
    jpeg_bytes: int
    coded_bytes: int
    saving_percent: float
    encode_mb_per_s: float
    decode_mb_per_s: float
    exact: int
    refused: int


def file_sets(folder: Path, qualities: Sequence[int], samplings: Sequence[str]) -> Iterator[FileSet]:
    """The JPEG files below a folder as they are, then its other images, made JPEG in each of these ways.

    Raises:
        ValueError: Pillow can't write that, or can't read an image, which is named.
        FileNotFoundError: there are no images.
    """
    check_measures(qualities, samplings)
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(folder))
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    originals = [data for p in paths if p.suffix.lower() in jpeg.SUFFIXES and (data := p.read_bytes())]
    images = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES]
    if not originals and not images:
        raise FileNotFoundError(f"no images below {folder}")
    if originals:
        yield FileSet(None, None, originals)
    if images:
        for sampling in dict.fromkeys(samplings):
            for quality in dict.fromkeys(qualities):
                yield FileSet(quality, sampling, [made_jpeg(path, quality, sampling) for path in images])


def check_measures(qualities: Sequence[int], samplings: Sequence[str]) -> None:
    """Raise ValueError if Pillow can't write JPEG files of these."""
    for sampling in samplings:
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling {sampling!r} is none of {', '.join(SAMPLINGS)}")
    for quality in qualities:
        if not 1 <= quality <= 100:
            raise ValueError(f"quality {quality} is not from 1 to 100")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make whatever goes wrong with an image a ValueError that names it."""
    try:
        yield
    except Exception as error:  # Pillow raises whatever it likes
        raise CorruptError(f"{path} can't be read: {(str(error) or type(error).__name__).splitlines()[0]}") from error


def made_jpeg(path: Path, quality: int, sampling: str) -> bytes:
    """Return an image as a JPEG file. Raises ValueError, which names the image, if it can't be read."""
    buffer = io.BytesIO()
    subsampling = {} if sampling == "gray" else {"subsampling": sampling}
    with naming(path), Image.open(path) as image:
        image.convert(SAMPLINGS[sampling]).save(buffer, "JPEG", quality=quality, **subsampling)
    return buffer.getvalue()


def measure(codec: Codec, file_set: FileSet) -> Row:
    """Encode and decode every file once, after a warm-up on the first."""
    coded_bytes = exact = refused = busy = 0
    encoding = decoding = 0.0
    for i, data in enumerate([file_set.files[0], *file_set.files]):
        try:
            start = time.perf_counter()
            coded = codec.encode(data)
            middle = time.perf_counter()
            restored = codec.decode(coded)
            end = time.perf_counter()
        except Exception:  # peers raise whatever they like
            if i:
                refused += 1
                coded_bytes += len(data)
            continue
        if i:
            coded_bytes += len(coded)
            exact += restored == data
            busy += len(data)
            encoding += middle - start
            decoding += end - middle
    total = sum(map(len, file_set.files))
    return Row(
        file_set.quality,
        file_set.sampling,
        codec.name,
        len(file_set.files),
        total,
        coded_bytes,
        round(100 * (1 - coded_bytes / total), 2),
        round(busy / 1e6 / encoding, 3) if busy else 0.0,
        round(busy / 1e6 / decoding, 3) if busy else 0.0,
        exact,
        refused,
    )


def evaluate(file_set: FileSet, profiles: Sequence[JpegProfile] = (), device: Device = None) -> list[Row]:
    """One row for each codec (`peers.codecs`)."""
    return [measure(codec, file_set) for codec in codecs(profiles, device)]


def table(rows: list[Row]) -> str:
    """The rows of one set as a Markdown table."""
    lines = [
        "| codec | bytes | saving | encode MB/s | decode MB/s | exact | refused |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.codec} | {r.coded_bytes:,} | {r.saving_percent:.2f} % | {r.encode_mb_per_s:.2f} "
        f"| {r.decode_mb_per_s:.2f} | {r.exact}/{r.files} | {r.refused} |"
        for r in rows
    ]
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """The savings of all sets as a Markdown table, a line for each set and a column for each codec."""
    sets = [list(group) for _, group in groupby(rows, lambda r: (r.quality, r.sampling))]
    names = [r.codec for r in sets[0]]
    lines = [f"| quality | sampling | {' | '.join(names)} |", f"|---:|---|{'---:|' * len(names)}"]
    for same in sets:
        quality, sampling = same[0].quality or "", same[0].sampling or "as they are"
        lines.append(f"| {quality} | {sampling} | {' | '.join(f'{r.saving_percent:.2f} %' for r in same)} |")
    return "\n".join(lines)
