"""Inventory reports of S3, which list a large bucket once a day, as an alternative to listing it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC

from ..errors import UnsupportedError
from ..storage import PRIVATE, Entry

__all__ = ["entries"]

#: Columns of a report that are read; those in the second line are there if they were asked for.
COLUMNS = ("key", "size", "e_tag")
OPTIONAL = ("last_modified_date", "is_latest", "is_delete_marker")


def entries(reports: Sequence[str | os.PathLike[str]], url: str) -> Iterator[Entry]:
    """Yield the objects in the Parquet files of an inventory report that are below a bucket's URL.

    Raises:
        OSError: a file can't be read.
        UnsupportedError: it is no Parquet file, or lacks the columns key, size and e_tag.
    """
    import pyarrow
    import pyarrow.parquet

    folder = url.partition("://")[2].partition("/")[2].strip("/")
    prefix = f"{folder}/" if folder else ""
    for report in reports:
        try:
            file = pyarrow.parquet.ParquetFile(report, pre_buffer=False)
            present = file.schema_arrow.names
            if missing := [name for name in COLUMNS if name not in present]:
                raise UnsupportedError(f"{report}: an inventory without {', '.join(missing)}")
            columns = [*COLUMNS, *(name for name in OPTIONAL if name in present)]
            for batch in file.iter_batches(columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    key = row["key"]
                    is_object = row.get("is_latest") is not False and not row.get("is_delete_marker")
                    if is_object and key.startswith(prefix) and not key.endswith("/"):
                        date = row.get("last_modified_date")
                        mtime_ns = round(date.replace(tzinfo=date.tzinfo or UTC).timestamp() * 1e9) if date else 0
                        name = key[len(prefix) :]
                        if not any(part.startswith(PRIVATE) for part in name.split("/")):
                            yield Entry(name, row["size"], f'"{row["e_tag"]}"', mtime_ns)
        except pyarrow.ArrowException as error:
            raise UnsupportedError(f"{report}: {str(error).splitlines()[0]}") from error
