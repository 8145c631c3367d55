"""What `lic-native evaluate jpeg` prints and writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ..arguments import Device
from . import plot, stages
from .jpeg import Row, check_measures, evaluate, file_sets, summary, table
from .outputs import check_files, check_plot
from .peers import check_profiles

__all__ = ["run"]


def run(
    folder: Path,
    *,
    qualities: Sequence[int],
    samplings: Sequence[str],
    profiles: Sequence[str] = (),
    device: Device = None,
    with_stages: bool = False,
    as_json: bool = False,
    csv_file: Path | None = None,
    plot_file: Path | None = None,
) -> None:
    """Measure set by set and print each table when it is there, or all as JSON at the end; then write the files.

    Whatever can be refused is refused before anything is measured.

    Raises:
        ValueError: a quality, sampling, profile or device that is none, or no matplotlib for `plot_file`; an image that
            can't be read.
        UnsupportedError: a profile needs torch, which is not there.
        OSError: no images there, or a file that can't be written.
    """
    check_files(csv_file, plot_file)
    check_plot(plot_file)
    measured_profiles = check_profiles(profiles, device)
    check_measures(qualities, samplings)
    rows: list[Row] = []
    stage_rows: list[stages.StageRow] = []
    sets = 0
    for file_set in file_sets(folder, qualities, samplings):
        rows += (measured := evaluate(file_set, measured_profiles, device))
        if not as_json:
            print(f"{file_set}\n\n{table(measured)}\n", flush=True)
        if with_stages:
            found = [row for p in measured_profiles for row in stages.measure_stages(p, file_set, device)]
            stage_rows += found
            if found and not as_json:
                print(f"{stages.table(found)}\n", flush=True)
        sets += 1
    if as_json:
        print(json.dumps({"rows": [asdict(r) for r in rows], "stages": [asdict(r) for r in stage_rows]}))
    elif sets > 1:
        print(summary(rows))
    if csv_file:
        with csv_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, rows))
    if plot_file:
        plot.draw(rows).savefig(plot_file, dpi=150)
