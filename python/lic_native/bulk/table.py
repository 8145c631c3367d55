"""The table of a job: what happened to each key, in Parquet files below the target."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UnsupportedError
from ..storage import PRIVATE, Storage

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FOLDER", "PROCESS", "Row", "State", "Table"]

#: The folder of the table's files in a target.
FOLDER = PRIVATE + "bulk/table"
#: Rows that are kept in memory before they are written, and seconds after which fewer are.
ROWS, SECONDS = 1000, 5.0
#: Readings of the table that another run may spoil by merging its files.
ATTEMPTS = 100
#: Names this process, for rows.
PROCESS = secrets.token_hex(8)


@dataclass
class Row:
    """What is known of a key.

    key, size, version, mtime_ns, mode: the original, as `storage.Entry` has it.
    status: "done", "failed" (it is tried again by the next run), "quarantined" (it is not, in this release), "damaged"
        (an audit failed; the next run compresses it again), "gone" (the original was deleted before it was done); of
        restoring and checking also "skipped" and "good".
    sha256, sha1: hashes of the original in hexadecimal; sha1 only if it was asked for.
    bytes_out, sha256_out: size and hash of the `.lic` file.
    model, fingerprint: of the coders of its pictures, "native" or "mlcc-best,native"; "stored" if none is coded.
    camera, quality: of the original, if its head tells: see `lic_native.jpeg.metadata`.
    seconds: time that the work took.
    failure: name of the exception, reason: its message; or why a file is stored.
    original: "kept", "moved" or "deleted".
    audited: when another process last restored the original from the `.lic` file, in nanoseconds since 1970; 0 if none
        has. version_audited: the version of the `.lic` file that it restored.
    release: release of lic_native, process: token of the process that did the work.
    time_ns: when the row was made; revision: number of the row among all that the key has had.
    """

    key: str
    size: int = 0
    version: str = ""
    mtime_ns: int = 0
    mode: int | None = None
    status: str = ""
    sha256: str = ""
    sha1: str = ""
    bytes_out: int = 0
    sha256_out: str = ""
    model: str = ""
    fingerprint: str = ""
    camera: str = ""
    quality: int | None = None
    seconds: float = 0.0
    failure: str = ""
    reason: str = ""
    original: str = "kept"
    audited: int = 0
    version_audited: str = ""
    release: str = ""
    process: str = PROCESS
    time_ns: int = field(default_factory=time.time_ns)
    revision: int = 1


class State(NamedTuple):
    """What a run must know of a key's latest row."""

    version: str
    status: str
    sha256_out: str
    release: str
    revision: int


class Table:
    """The rows of a job. New rows are written in files of their own, which `compact` merges.

    A file is complete or absent, and never changes, so a job can be killed, and several can run, at any time. Of
    several rows of a key the one of the highest revision counts.

    Args:
        storage: the target, or another storage.
        folder: folder of the table's files in it.

    Raises:
        UnsupportedError: pyarrow is not installed.
    """

    def __init__(self, storage: Storage, folder: str = FOLDER) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise UnsupportedError("the table of a job needs pyarrow: pip install 'lic-native[bulk]'") from error
        self._arrow: Any = pyarrow
        self._storage, self._folder = storage, folder
        self._rows: list[Row] = []
        self._written = time.monotonic()

    def _schema(self) -> pyarrow.Schema:
        types = {"str": "string", "int": "int64", "int | None": "int64", "float": "float64"}
        return self._arrow.schema([(f.name, getattr(self._arrow, types[str(f.type)])()) for f in fields(Row)])

    def append(self, row: Row) -> None:
        """Add a row. It is written at the latest with the first row that comes five seconds after the last writing."""
        self._rows.append(row)
        if len(self._rows) >= ROWS or time.monotonic() - self._written > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write all rows that are in memory."""
        if self._rows:
            rows = [vars(row) for row in self._rows]
            self._write(self._arrow.Table.from_pylist(rows, schema=self._schema()))
            self._rows = []
        self._written = time.monotonic()

    def _write(self, table: pyarrow.Table) -> None:
        buffer = io.BytesIO()
        self._arrow.parquet.write_table(table, buffer, compression="zstd")
        self._storage.write(f"{self._folder}/{time.time_ns():019d}-{secrets.token_hex(4)}.parquet", buffer.getvalue())

    def read(self, columns: Iterable[str] | None = None) -> pyarrow.Table:
        """Return the latest row of each key.

        columns: names of columns to read, or None for all.

        Raises:
            FileNotFoundError: a file of it is listed but is not there.
            OSError: the table can't be read.
            UnsupportedError: a file of it is not ours.
        """
        return self._latest(None if columns is None else list(dict.fromkeys(["key", "revision", *columns])))[1]

    def _latest(self, columns: list[str] | None) -> tuple[list[str], pyarrow.Table]:
        """Return the names of the table's files, and the latest rows in them."""
        for attempt in range(ATTEMPTS):
            names = [entry.key for entry in self._storage.list(self._folder) if entry.key.endswith(".parquet")]
            try:
                parts = [self._part(name, columns) for name in names]
                break
            except FileNotFoundError:  # Another run has merged it meanwhile.
                if attempt == ATTEMPTS - 1:
                    raise
        if not parts:
            empty = self._schema().empty_table()
            return names, empty.select(columns) if columns else empty
        table = self._arrow.concat_tables(parts, promote_options="default")
        latest: dict[str, tuple[int, int]] = {}
        for index, (key, revision) in enumerate(zip(table["key"].to_pylist(), table["revision"].to_pylist())):
            if key not in latest or latest[key][0] <= revision:
                latest[key] = revision, index
        if len(latest) < len(table):
            table = table.take([index for _, index in latest.values()])
        return names, table

    def _part(self, name: str, columns: list[str] | None) -> pyarrow.Table:
        data = self._storage.read(name)
        try:
            # `read_table` starts threads in any case. Processes in which pyarrow has some may abort at their end.
            file = self._arrow.parquet.ParquetFile(io.BytesIO(data), pre_buffer=False)
            return file.read(columns=columns, use_threads=False)
        except (self._arrow.ArrowException, OSError) as error:
            raise UnsupportedError(f"{name}: is no file of a table: {str(error).splitlines()[0]}") from error

    def states(self) -> dict[str, State]:
        """Return the state of each key."""
        table = self.read(State._fields)
        values = zip(*(table[name].to_pylist() for name in State._fields))
        return dict(zip(table["key"].to_pylist(), map(State._make, values)))

    def rows(self) -> list[Row]:
        """Return the latest row of each key, by key."""
        names = {f.name for f in fields(Row)}
        rows = ({name: value for name, value in row.items() if name in names} for row in self.read().to_pylist())
        return sorted((Row(**row) for row in rows), key=lambda row: row.key)

    def compact(self) -> None:
        """Merge the files into one, with the latest row of each key. Rows that a kill leaves twice count once."""
        self.flush()
        names, table = self._latest(None)
        if len(names) > 1:
            self._write(table.sort_by("key"))
            for name in names:
                try:
                    self._storage.delete(name)
                except FileNotFoundError:  # Another run has merged it, too.
                    continue
