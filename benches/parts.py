"""Measure what hashes in files cost, and what thumbnails and regions save.

    python benches/parts.py hashes CAMERA_FILES/*.jpg
    python benches/parts.py hashes --width 320 KODAK/*.png       # small files as on web pages, of quality 75
    python benches/parts.py pictures CAMERA_FILES/*.jpg --profile native --profile fast

Times are CPU time on one thread, the shortest of three rounds in which the variants take turns.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from lic_native import jpeg
from lic_native.jpeg import picture
from lic_native.jpeg.metadata import read_exif

ROUNDS = 3


def read(path: Path, width: int) -> bytes:
    """Return a file; with a width, a JPEG file of its image of that width."""
    if not width:
        return path.read_bytes()
    with Image.open(path) as image:
        image = image.convert("RGB").resize((width, width * image.height // image.width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def seconds(*variants: Callable[[], object]) -> list[float]:
    """Return the CPU time of each variant."""
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(ROUNDS):
        for variant, taken in zip(variants, times):
            start = time.process_time()
            variant()
            taken.append(time.process_time() - start)
    return [min(taken) for taken in times]


def hashes(files: list[bytes]) -> None:
    """Print sizes and times without hashes, with SHA-256, and with SHA-1, too."""
    choices = [{"sha256": False}, {}, {"sha1": True}]
    packed = [[jpeg.compress(data, profile="native", **choice) for choice in choices] for data in files]
    before = sum(map(len, files))
    sizes = [sum(map(len, column)) for column in zip(*packed)]
    compress = partial(jpeg.compress, profile="native", threads=1)
    encode = [seconds(*(partial(compress, data, **choice) for choice in choices)) for data in files]
    decode = [seconds(*(partial(jpeg.decompress, file, threads=1) for file in row)) for row in packed]
    print(f"{len(files)} files, {before} bytes")
    for i, name in enumerate(["no hash", "SHA-256", "SHA-256 and SHA-1"]):
        times = [sum(row[i] for row in rows) for rows in (encode, decode)]
        print(
            f"{name}: {sizes[i]} bytes, {100 * (sizes[i] / sizes[0] - 1):.4f} % more, saving "
            f"{100 * (1 - sizes[i] / before):.3f} %; encoded in {times[0]:.3f} s, decoded in {times[1]:.3f} s"
        )


def reduced(packed: bytes) -> bytes:
    return picture.to_jpeg(picture.reduce(packed, threads=1))


def pictures(files: list[bytes], profiles: list[str]) -> None:
    """Print the median time for a thumbnail, a reduced picture, a region in the middle and the whole file."""
    for profile in profiles:
        names = ["thumbnail of the Exif", "reduced picture", "region", "whole file"]
        rows: dict[str, list[float]] = {name: [] for name in names}
        for data in files:
            packed = jpeg.compress(data, profile=profile)
            about = jpeg.metadata(packed)
            x, y = about.width // 2, about.height // 2
            box = (max(0, x - 128), max(0, y - 128), min(about.width, x + 128), min(about.height, y + 128))
            times = seconds(
                partial(jpeg.thumbnail, packed),
                partial(reduced, packed),
                partial(jpeg.decompress_region, packed, box, threads=1),
                partial(jpeg.decompress, packed, threads=1),
            )
            if about.exif is None or read_exif(about.exif).thumbnail is None:
                times[0] = float("nan")
            for row, taken in zip(rows.values(), times):
                row.extend([1000 * taken] if taken == taken else [])
        print(f"{profile}, {len(files)} files of {statistics.median(map(len, files)) / 1e6:.2f} MB (median):")
        for name, row in rows.items():
            if row:
                print(f"  {name}: median {statistics.median(row):.1f} ms, at most {max(row):.1f} ms, {len(row)} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["hashes", "pictures"])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--width", type=int, default=0, help="make JPEG files of this width of the images")
    parser.add_argument("--profile", action="append", help="native, quick, fast or best")
    arguments = parser.parse_args()
    files = [read(path, arguments.width) for path in arguments.files]
    if arguments.what == "hashes":
        hashes(files)
    else:
        pictures(files, arguments.profile or ["native"])


if __name__ == "__main__":
    main()
