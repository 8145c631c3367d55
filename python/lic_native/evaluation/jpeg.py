"""Lossless recompression of JPEG files: saving, speed and exactness."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image

from .. import jpeg, observe
from ..arguments import Device, check_choice
from . import plot
from .codecs import jpeg_codecs
from .engine import Codec, Saving, measure
from .images import IMAGE_SUFFIXES, files_below, naming
from .report import check_files, check_plot, markdown, write_csv

__all__ = [
    "SAMPLINGS",
    "STAGES",
    "FileSet",
    "Saving",
    "StageRow",
    "check_measures",
    "file_sets",
    "measure_set",
    "run",
    "stage_table",
    "summary",
    "table",
]

STAGES = ("parse", "network", "coder", "write", "verification")
#: Samplings that Pillow can write, and the mode of the image that is written.
SAMPLINGS = {"4:2:0": "RGB", "4:2:2": "RGB", "4:4:4": "RGB", "gray": "L"}


@dataclass(frozen=True)
class FileSet:
    """JPEG files of one kind.

    quality, sampling: with which Pillow wrote the files; None for files that were JPEG already.
    """

    quality: int | None
    sampling: str | None
    files: list[bytes]

    def __str__(self) -> str:
        kind = "as they are" if self.quality is None else f"quality {self.quality}, {self.sampling}"
        return f"{len(self.files)} files, {kind}: {sum(map(len, self.files)):,} bytes of JPEG"


@dataclass(frozen=True)
class StageRow:
    """The time of lic_native by stage, over the files of a set that it did not store as they are.

    seconds: of each stage, on the wall clock.
        parse: from the file, JPEG or `.lic`, to what the coders take.
        network: the network, and the parameters of the entropy coder that are computed from its output.
        coder: from coefficients to bytes and back.
        write: the resulting file.
        verification: restoring the file from the result, or computing the checksum.
    """

    quality: int | None
    sampling: str | None
    codec: str
    direction: str
    jpeg_bytes: int
    seconds: dict[str, float]


def file_sets(folder: Path, qualities: Sequence[int], samplings: Sequence[str]) -> Iterator[FileSet]:
    """Yield the JPEG files below a folder, then its other images as JPEG files of each quality and sampling.

    Raises:
        ValueError: Pillow can't write such files, or can't read an image, which is named.
        FileNotFoundError: there are no images.
    """
    check_measures(qualities, samplings)
    paths = files_below(folder, jpeg.SUFFIXES | IMAGE_SUFFIXES)
    originals = [path for path in paths if path.suffix.lower() in jpeg.SUFFIXES]
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    if files := [data for path in originals if (data := path.read_bytes())]:
        yield FileSet(None, None, files)
    elif not images:
        raise FileNotFoundError(f"no images below {folder}: its files are empty")
    for sampling in dict.fromkeys(samplings if images else ()):
        for quality in dict.fromkeys(qualities):
            yield FileSet(quality, sampling, [_made_jpeg(path, quality, sampling) for path in images])


def check_measures(qualities: Sequence[int], samplings: Sequence[str]) -> None:
    """Raise ValueError if Pillow can't write JPEG files of these qualities and samplings."""
    for sampling in samplings:
        check_choice(sampling, SAMPLINGS, "sampling")
    for quality in qualities:
        if not 1 <= quality <= 100:
            raise ValueError(f"quality {quality} is not from 1 to 100")


def _made_jpeg(path: Path, quality: int, sampling: str) -> bytes:
    """Return an image as a JPEG file. Raises CorruptError, which names the image, if it can't be read."""
    buffer = io.BytesIO()
    subsampling = {} if sampling == "gray" else {"subsampling": sampling}
    with naming(path), Image.open(path) as image:
        image.convert(SAMPLINGS[sampling]).save(buffer, "JPEG", quality=quality, **subsampling)
    return buffer.getvalue()


def measure_set(codec: Codec[bytes], file_set: FileSet) -> tuple[Saving, list[StageRow]]:
    """Encode and decode every file once, after a warm-up on the first.

    Returns:
        The result, and for lic_native where the time of encoding and decoding went, unless every file is stored.
    """
    coded_bytes = exact = refused = done = staged = 0
    encode_seconds = decode_seconds = 0.0
    stages: dict[str, list[observe.Stages]] = {"encode": [], "decode": []}
    for i, data in enumerate([file_set.files[0], *file_set.files]):
        try:
            measured = measure(codec, data)
        except Exception:  # peers raise many kinds
            if i:
                refused += 1
                coded_bytes += len(data)
            continue
        if i:
            coded_bytes += measured.bytes
            exact += measured.decode.result == data
            done += len(data)
            encode_seconds += measured.encode.seconds
            decode_seconds += measured.decode.seconds
            if codec.ours and jpeg.inspect(measured.encode.result).kind != "stored":
                staged += len(data)
                stages["encode"].append(measured.encode.stages)
                stages["decode"].append(measured.decode.stages)
    size = sum(map(len, file_set.files))
    kind = (file_set.quality, file_set.sampling, codec.name)
    saving = Saving(
        *kind,
        len(file_set.files),
        size,
        coded_bytes,
        round(100 * (1 - coded_bytes / size), 2),
        round(done / 1e6 / encode_seconds, 3) if done else 0.0,
        round(done / 1e6 / decode_seconds, 3) if done else 0.0,
        exact,
        refused,
    )
    return saving, [
        StageRow(*kind, direction, staged, {stage: sum(file.get(stage, 0.0) for file in files) for stage in STAGES})
        for direction, files in stages.items()
        if files
    ]


def table(rows: Sequence[Saving]) -> str:
    """Return the results of one set as a Markdown table."""
    head = ["codec", "bytes", "saving", "encode MB/s", "decode MB/s", "exact", "refused"]
    cells = [
        [
            row.codec,
            f"{row.coded_bytes:,}",
            f"{row.saving_percent:.2f} %",
            f"{row.encode_mb_per_s:.2f}",
            f"{row.decode_mb_per_s:.2f}",
            f"{row.exact}/{row.files}",
            str(row.refused),
        ]
        for row in rows
    ]
    return markdown(head, "lrrrrrr", cells)


def stage_table(rows: Sequence[StageRow]) -> str:
    """Return milliseconds per megabyte of JPEG as a Markdown table."""
    cells = [
        [
            f"{row.codec}, {row.direction}",
            *(
                f"{1e9 * seconds / row.jpeg_bytes:,.1f}"
                for seconds in (*row.seconds.values(), sum(row.seconds.values()))
            ),
        ]
        for row in rows
    ]
    return markdown(["ms for a MB of JPEG", *STAGES, "all"], "l".ljust(len(STAGES) + 2, "r"), cells)


def summary(rows: Sequence[Saving]) -> str:
    """Return the savings of all sets as a Markdown table: a line for each set, a column for each codec."""
    sets = [list(group) for _, group in groupby(rows, lambda row: (row.quality, row.sampling))]
    codecs = [row.codec for row in sets[0]]
    cells = [
        [
            str(results[0].quality or ""),
            results[0].sampling or "as they are",
            *(f"{row.saving_percent:.2f} %" for row in results),
        ]
        for results in sets
    ]
    return markdown(["quality", "sampling", *codecs], "rl" + "r" * len(codecs), cells)


def run(
    folder: Path,
    *,
    qualities: Sequence[int],
    samplings: Sequence[str],
    profiles: Sequence[str] = (),
    device: Device = None,
    torch: bool = False,
    with_stages: bool = False,
    as_json: bool = False,
    csv_file: Path | None = None,
    plot_file: Path | None = None,
) -> None:
    """Measure set by set, and print the table of each, or all as JSON at the end; then write the files.

    All arguments are checked before anything is measured.

    Raises:
        ValueError: there is no such quality, sampling, profile or device, an image can't be read, or `plot_file` needs
            matplotlib.
        UnsupportedError: a profile needs torch, which can't be loaded.
        OSError: there are no images, or a file can't be written.
    """
    check_files(csv_file)
    check_plot(plot_file)
    check_measures(qualities, samplings)
    codecs = jpeg_codecs(profiles, device, torch)
    savings: list[Saving] = []
    stages: list[StageRow] = []
    sets = 0
    for file_set in file_sets(folder, qualities, samplings):
        results = [measure_set(codec, file_set) for codec in codecs]
        rows = [saving for saving, _ in results]
        stage_rows = [row for _, rows_of_codec in results for row in rows_of_codec if with_stages]
        if not as_json:
            print(f"{file_set}\n\n{table(rows)}\n", flush=True)
            if stage_rows:
                print(f"{stage_table(stage_rows)}\n", flush=True)
        savings += rows
        stages += stage_rows
        sets += 1
    if as_json:
        print(json.dumps({"rows": [asdict(row) for row in savings], "stages": [asdict(row) for row in stages]}))
    elif sets > 1:
        print(summary(savings))
    if csv_file:
        write_csv(csv_file, [asdict(row) for row in savings])
    if plot_file:
        plot.savings(savings).savefig(plot_file, dpi=150)
