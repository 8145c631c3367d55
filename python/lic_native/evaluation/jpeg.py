"""Lossless JPEG recompression: lic_native beside its peers, on the same files in the same run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from .. import jpeg


@dataclass(frozen=True)
class Codec:
    """A program that makes JPEG files smaller without loss."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Row:
    """What one codec did with a set of files. Speeds are megabytes of JPEG a second, on the wall clock.

    A file that the codec refuses counts as stored: its own size, and no time.
    """

    codec: str
    files: int
    jpeg_bytes: int
    coded_bytes: int
    saving_percent: float
    encode_mb_per_s: float
    decode_mb_per_s: float
    exact: int
    refused: int


def codecs(device: str | None = None) -> list[Codec]:
    """lic_native, and those of Lepton (lepton-jpeg-python) and JPEG XL (imagecodecs) that are installed."""
    found = [
        Codec("lic_native", lambda x: jpeg.compress(x, device=device), lambda x: jpeg.decompress(x, device=device))
    ]
    if find_spec("lepton_jpeg_python"):
        lepton = import_module("lepton_jpeg_python")
        found.append(Codec("Lepton", lepton.compress_bytes, lepton.decompress_bytes))
    if find_spec("imagecodecs"):
        imagecodecs = import_module("imagecodecs")
        if imagecodecs.JPEGXL.available:
            found.append(Codec("JPEG XL", imagecodecs.jpegxl_encode_jpeg, imagecodecs.jpegxl_decode_jpeg))
    return found


def jpeg_files(folder: Path, quality: int) -> list[bytes]:
    """The JPEG files below a folder as they are; any other image as Pillow saves it, 4:2:0 at `quality`."""
    result = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix.lower() in jpeg.SUFFIXES:
            if data := path.read_bytes():
                result.append(data)
        elif path.suffix.lower() in {".png", ".webp", ".tif", ".tiff", ".bmp"}:
            buffer = io.BytesIO()
            Image.open(path).convert("RGB").save(buffer, "JPEG", quality=quality)
            result.append(buffer.getvalue())
    if not result:
        raise FileNotFoundError(f"no images below {folder}")
    return result


def measure(codec: Codec, files: list[bytes]) -> Row:
    """Encode and decode every file once, after a warm-up on the first."""
    coded_bytes = exact = refused = busy = 0
    encoding = decoding = 0.0
    for i, data in enumerate([files[0], *files]):
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
    total = sum(map(len, files))
    return Row(
        codec.name,
        len(files),
        total,
        coded_bytes,
        round(100 * (1 - coded_bytes / total), 2),
        round(busy / 1e6 / encoding, 3) if busy else 0.0,
        round(busy / 1e6 / decoding, 3) if busy else 0.0,
        exact,
        refused,
    )


def evaluate(folder: str | Path, quality: int = 75, device: str | None = None) -> list[Row]:
    """One row for each codec over the images below `folder`."""
    files = jpeg_files(Path(folder), quality)
    return [measure(codec, files) for codec in codecs(device)]


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    lines = [
        f"{rows[0].files} files, {rows[0].jpeg_bytes:,} bytes of JPEG",
        "",
        "| codec | bytes | saving | encode MB/s | decode MB/s | exact | refused |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.codec} | {r.coded_bytes:,} | {r.saving_percent:.2f} % | {r.encode_mb_per_s:.2f} "
        f"| {r.decode_mb_per_s:.2f} | {r.exact}/{r.files} | {r.refused} |"
        for r in rows
    ]
    return "\n".join(lines)
