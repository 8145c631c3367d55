"""Odd, broken and altered files: compression is always undone, and decompression gives the original or an error.

`LIC_JPEG_CORPUS` names a folder of real files, valid and broken. `LIC_SWEEP=50` alters fifty times as many bits;
`pytest -rP` prints the outcomes.
"""

import contextlib
import csv
import io
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image
from test_jpeg import with_luma_factors, with_thumbnail

import lic_native
from lic_native import _native, jpeg

CORPUS = Path(os.environ.get("LIC_JPEG_CORPUS", Path(__file__).parents[2] / "shared" / "jpeg-corpus"))
SWEEP = int(os.environ.get("LIC_SWEEP", "1"))
#: CPU time allowed for a file of a few kilobytes. Torch starts within it if a file names a network.
MAX_SECONDS = 5
ARITHMETIC = Path(__file__).parents[1] / "rust" / "src" / "jpeg" / "tests" / "data"


def small(height: int = 24, width: int = 32, **options) -> bytes:
    return jpeg_bytes(height, width, **{"quality": 85, "optimize": True, **options})


def small_mpo() -> bytes:
    first, second = (Image.fromarray(photograph(24, 32, seed)) for seed in (0, 1))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=85)
    return buffer.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "baseline": small,
    "gray": lambda: small(mode="L"),
    "CMYK": lambda: small(mode="CMYK"),
    "4:1:1": lambda: with_luma_factors(small(32, 64, subsampling=0, optimize=False), 4, 1),
    "restart": lambda: small(restart_marker_blocks=1),
    "progressive": lambda: small(progressive=True),
    "progressive restart": lambda: small(progressive=True, restart_marker_rows=1),
    "arithmetic": lambda: (ARITHMETIC / "arithmetic.jpg").read_bytes(),
    "arithmetic progressive": lambda: (ARITHMETIC / "arithmetic_progressive.jpg").read_bytes(),
    "thumbnail": lambda: with_thumbnail(small(), small(16, 24)),
    "MPO": small_mpo,
    "tail": lambda: small() + b"tail" * 30,
}


class Sweep:
    """Counts cases by outcome, and measures the longest CPU time of a case."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.worst = 0.0

    def run(self, case: Callable[[], str]) -> None:
        start = time.process_time()
        self.outcomes[case()] += 1
        taken = time.process_time() - start
        assert taken < MAX_SECONDS
        self.worst = max(self.worst, taken)

    def report(self) -> None:
        print(f"{self.outcomes.total()} cases, {dict(self.outcomes)}, at most {self.worst:.3f} s each")


def restored(data: bytes) -> jpeg.StoredInfo | jpeg.JpegInfo:
    """Check that a file is restored after compression, and return the compressed file's `Info`."""
    packed = jpeg.compress(data, profile="native")
    assert jpeg.decompress(packed) == data
    assert len(packed) <= len(data) + 32 + 32  # The SHA-256, too.
    return jpeg.inspect(packed)


def flipped(data: bytes, picker: random.Random, first: int = 0) -> bytes:
    """Return a copy in which one or a few bits from byte `first` on are flipped."""
    altered = bytearray(data)
    for bit in picker.sample(range(8 * first, 8 * len(data)), picker.choice((1, 1, 1, 2, 8))):
        altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def sealed(content: bytes) -> bytes:
    """Return a `.lic` file with this content and a valid checksum."""
    return content + zlib.crc32(content).to_bytes(4, "little")


def right_or_refused(packed: bytes, data: bytes) -> str:
    with contextlib.suppress(lic_native.LicError):
        jpeg.inspect(packed)
    try:
        assert jpeg.decompress(packed) == data
    except lic_native.LicError as error:
        return type(error).__name__
    return "right"


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_restored(name):
    data, sweep = FILES[name](), Sweep()
    for end in range(len(data)):
        sweep.run(lambda end=end: restored(data[:end]).kind)
    sweep.report()
    assert sweep.outcomes["jpeg"] > 0


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits_of_a_jpeg_file_are_restored(name):
    data, picker, sweep = FILES[name](), random.Random(name), Sweep()
    for _ in range(150 * SWEEP):
        sweep.run(lambda: restored(flipped(data, picker)).kind)
    sweep.report()
    assert sweep.outcomes["jpeg"] > 0


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits_of_a_compressed_file_are_detected(name):
    """The checksum of the file detects them or, if it is made valid again, the decoder or the original's checksum."""
    data, picker, sweep = FILES[name](), random.Random(name), Sweep()
    packed = jpeg.compress(data, profile="native")
    assert jpeg.inspect(packed).kind == "jpeg"
    for _ in range(300 * SWEEP):
        with pytest.raises(lic_native.LicError):
            jpeg.decompress(flipped(packed, picker))
    for _ in range(600 * SWEEP):
        sweep.run(lambda: right_or_refused(sealed(flipped(packed[:-4], picker, first=5)), data))
    for end in range(len(packed)):
        sweep.run(lambda end=end: right_or_refused(sealed(packed[: max(end, 5)]), data))
    sweep.report()
    assert sweep.outcomes.total() > sweep.outcomes["right"]


@pytest.mark.parametrize("name", FILES)
def test_altered_skeletons_are_detected(name):
    """The skeleton is altered before zstd compresses it, because few alterations survive decompression."""
    data, picker, sweep = FILES[name](), random.Random(name), Sweep()
    container = _native.unpack(jpeg.compress(data, profile="native"), len(data))

    def case() -> str:
        try:
            packed = _native.pack_jpeg(data, flipped(container.reconstruction, picker), container.pictures)
        except (lic_native.LicError, ValueError):
            return "reconstruction data of another number of pictures"
        return right_or_refused(packed, data)

    for _ in range(400 * SWEEP):
        sweep.run(case)
    sweep.report()
    assert sweep.outcomes["CorruptError"] > 0


def corpus() -> Iterator[tuple[str, bytes]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.suffix != ".csv":
            yield str(path.relative_to(CORPUS)), path.read_bytes()


def reason(data: bytes) -> str:
    """Return the reason why no picture of a file is coded."""
    if _native.carve_read(data)[0]:
        return "not smaller"
    try:
        _, planes, skeleton = _native.jpeg_read(data)
    except lic_native.LicError as error:
        return f"{type(error).__name__}: {error}"
    if _native.jpeg_write(skeleton, planes, len(data)) != data:
        return "not the same when written again"
    return f"{len(data)} bytes, {len(skeleton)} of which are no coefficients"


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"0 files of the corpus: there is no folder {CORPUS} (LIC_JPEG_CORPUS)")
def test_every_file_of_the_corpus_is_restored():
    stored, count = {}, 0
    for name, data in corpus():
        info = restored(data)
        count += 1
        if info.kind == "stored":
            stored[name] = reason(data)
    print(f"{count} files restored; stored are {len(stored)}:", *(f"{n}: {r}" for n, r in stored.items()), sep="\n")
    with (CORPUS / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["valid"] == "ok"]
    huffman = [row["file"] for row in rows if row["sof"] in ("SOF0", "SOF1", "SOF2", "SOF9", "SOF10")]
    # Files that follow the standard are coded, unless that makes them larger.
    assert [name for name in huffman if "Error" in stored.get(name, "")] == []
