"""The work on one key: compressing, restoring, checking. What goes wrong becomes a row that says so."""

from __future__ import annotations

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .. import _native, jpeg, threads
from .._native import __version__ as release
from ..errors import CorruptError, LicError, LimitExceededError, TruncatedError
from ..jpeg import head
from ..limits import DEFAULT_LIMITS, Limits
from ..models import registry
from ..models.registry import JpegProfile
from ..storage import PRIVATE, TIMEOUT, Entry, Storage, open_storage
from .table import PROCESS, Row, State

__all__ = ["ASIDE", "STOP", "SUFFIX", "Auditor", "Compressor", "Deleter", "Job", "Mover", "Restorer", "Task", "Work"]

#: Suffix of compressed objects.
SUFFIX = ".lic"
#: Where originals are moved to, in their own storage.
ASIDE = PRIVATE + "originals/"
#: The key whose presence in the target stops compression.
STOP = PRIVATE + "bulk/STOP"
#: Seconds for which an answer about the stop switch holds.
STOP_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """What a run does, as workers in other processes need it.

    source, target: folders or URLs.
    profile, device, limits: as in `lic_native.jpeg.compress`. threads: for each file.
    sha1: whether SHA-1 is computed as well.
    max_rate: bytes of originals that are read in a second, 0 for any number.
    force: whether targets that hold something else are replaced.
    timeout: as in `open_storage`.
    """

    source: str
    target: str
    profile: JpegProfile | None = None
    device: str | None = None
    limits: Limits = DEFAULT_LIMITS
    threads: int = 1
    sha1: bool = False
    max_rate: int = 0
    force: bool = False
    timeout: float = TIMEOUT

    def memory(self, size: int) -> int:
        """Return about how many bytes of memory the work on an object of this size needs (measured)."""
        network = registry.of_profile(self.profile, self.device) != registry.NATIVE
        return (16 << 20) + 40 * size + (self.threads * 100 << 20 if network else 0)


class Task(NamedTuple):
    """A key to work on.

    entry: the object as it was listed.
    state: what the table says of it. row: all that the table says of it, for work that needs it.
    present: whether the target exists.
    """

    entry: Entry
    state: State | None = None
    row: Row | None = None
    present: bool = False


class Rate:
    """A bound on bytes in a second, for all threads of a process."""

    def __init__(self, bytes_per_second: int) -> None:
        self._rate, self._lock, self._free_at = bytes_per_second, threading.Lock(), 0.0

    def wait(self, size: int) -> None:
        """Wait until as many bytes may be read."""
        if not self._rate:
            return
        with self._lock:
            start = max(self._free_at, time.monotonic())
            self._free_at = start + size / self._rate
        while (left := start - time.monotonic()) > 0:
            threads.check()
            time.sleep(min(left, 0.2))


class Work(ABC):
    """A function of a task. Subclasses fill in the row; an exception of theirs becomes its status "failed"."""

    #: Whether the row's seconds are those of this work.
    is_timed = True

    def __init__(self, job: Job) -> None:
        self.job = job
        self.source: Storage = open_storage(job.source, job.timeout)
        self.target: Storage = open_storage(job.target, job.timeout)
        self.source.check()
        self._rate = Rate(job.max_rate)

    @abstractmethod
    def do(self, task: Task, row: Row) -> None:
        """Do the work, and fill in the row."""

    def begin(self, task: Task) -> Row:
        """Return the row that the work fills in."""
        entry = task.entry
        return Row(
            entry.key, entry.size, entry.version, entry.mtime_ns, entry.mode, release=release,
            revision=task.state.revision + 1 if task.state else 1,
        )  # fmt: skip

    def __call__(self, task: Task) -> Row | None:
        """Return the row of a task, or None if the work is not to be done any more."""
        start = time.monotonic()
        row = self.begin(task)
        try:
            self._rate.wait(task.entry.size)
            self.do(task, row)
        except Exception as error:
            row.status = self.status_of(error)
            row.failure = type(error).__name__
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            row.reason = (text.splitlines() or [row.failure])[0][:300] if text else row.failure
        if self.is_timed:
            row.seconds = round(time.monotonic() - start, 4)
        return row

    def status_of(self, error: Exception) -> str:
        """Return the status of a row whose work has raised an exception."""
        return "failed"


class Compressor(Work):
    """Compresses objects of the source into the target."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._stop_lock, self._asked_at, self._stopped = threading.Lock(), -STOP_SECONDS, False

    def stopped(self) -> bool:
        """Return whether the stop switch is on. Once it was, it stays on for this run."""
        with self._stop_lock:
            if not self._stopped and time.monotonic() - self._asked_at >= STOP_SECONDS:
                self._stopped = self.target.head(STOP) is not None
                self._asked_at = time.monotonic()
            return self._stopped

    def __call__(self, task: Task) -> Row | None:
        if self.stopped():
            return None
        row = super().__call__(task)
        if row is not None and row.failure == FileNotFoundError.__name__ and self._is_gone(row.key):
            row.status, row.failure, row.reason = "gone", "", "the original was deleted before it was done"
        return row

    def _is_gone(self, key: str) -> bool:
        """Return whether an original does not exist, in a source that does."""
        try:
            self.source.check()
            next(iter(self.source.list()), None)  # A missing bucket has no objects, either, but is an error.
            return self.source.head(key) is None
        except (OSError, ValueError):
            return False

    def status_of(self, error: Exception) -> str:
        # The same release would fail again.
        hopeless = CorruptError | TruncatedError | LimitExceededError | ValueError
        return "quarantined" if isinstance(error, hopeless) else "failed"

    def do(self, task: Task, row: Row) -> None:
        entry, target = task.entry, task.entry.key + SUFFIX
        data = self.source.read(entry.key, self.job.limits, entry.version)
        describe(row, data)
        if task.present and not self.job.force and self._is_ours(target, task, data, row):
            row.reason = "the target restored the original already"
        else:
            packed, reason = self.compress(data)
            explain(row, packed, reason, data, self.job.sha1)
            self.target.write(target, packed, entry, notes_of(row))
        row.status = "done"

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        """Return a file that is verified to restore `data`, and the reason if it only stores them."""
        job = self.job
        return jpeg.compress_explained(
            data, profile=job.profile, device=job.device, sha1=job.sha1, limits=job.limits, threads=job.threads
        )

    def _is_ours(self, target: str, task: Task, data: bytes, row: Row) -> bool:
        """Return whether an existing target restores `data`, as one does that a killed run has written.

        Raises FileExistsError if neither it does, nor an earlier run has written it.
        """
        existing = self.target.read(target, Limits(max_input_bytes=2 * len(data) + 4096))
        try:
            restored = jpeg.decompress(
                existing, device=self.job.device, limits=self.job.limits, threads=self.job.threads
            )
        except LicError:
            restored = None
        if restored == data:
            explain(row, existing, None, data, self.job.sha1)
            return True
        written = task.state is not None and task.state.sha256_out == sha256(existing)
        if not written and (task.state is None or task.state.status != "damaged"):
            raise FileExistsError(f"{target} exists, and holds something else; --force replaces it")
        return False


class Restorer(Work):
    """Restores the originals: reads the `.lic` objects of `job.source`, writes `job.target`."""

    def begin(self, task: Task) -> Row:
        row = super().begin(task)
        if task.row is not None:
            row.sha256, row.sha1, row.mtime_ns, row.mode = (
                task.row.sha256, task.row.sha1, task.row.mtime_ns, task.row.mode,
            )  # fmt: skip
        return replace(row, key=task.entry.key.removesuffix(SUFFIX))

    def do(self, task: Task, row: Row) -> None:
        entry, job = task.entry, self.job
        packed = self.source.read(entry.key, job.limits, entry.version)
        data = jpeg.decompress(packed, device=job.device, limits=job.limits, threads=job.threads)
        row.bytes_out = len(data)
        check_identity(data, row, packed)
        if task.row is None:
            # The table is lost; a bucket keeps the time beside the object, and a file has it itself.
            notes = self.source.notes(entry.key)
            row.mtime_ns = int(notes.get("mtime-ns", row.mtime_ns))
            row.sha256 = notes.get("sha256", row.sha256)
            check_identity(data, row, packed)
        if (existing := self.target.head(row.key)) is not None and not job.force:
            if existing.size != len(data) or self.target.read(row.key) != data:
                raise FileExistsError(f"{row.key} exists, and holds something else; --force replaces it")
            row.status = "skipped"
            return
        self.target.write(row.key, data, Entry(row.key, len(data), "", row.mtime_ns, row.mode))
        row.status = "restored"


class Auditor(Work):
    """Restores originals in memory, and compares them with the table and with the originals that still exist.

    source: where the originals are. target: the `.lic` objects. Tasks are entries of the originals with their rows.
    """

    is_timed = False

    def __init__(self, job: Job, *, verify: bool = False) -> None:
        super().__init__(job)
        self._verify = verify

    def begin(self, task: Task) -> Row:
        assert task.row is not None
        changed: dict[str, Any] = {"revision": task.row.revision + 1, "failure": "", "reason": "", "process": PROCESS}
        return replace(task.row, **changed, time_ns=time.time_ns())

    def status_of(self, error: Exception) -> str:
        # An unreachable server says nothing about the object.
        lost = isinstance(error, FileNotFoundError)
        return "damaged" if lost or isinstance(error, LicError) else "failed"

    def do(self, task: Task, row: Row) -> None:
        assert task.row is not None
        row.audited, row.version_audited = 0, ""
        if not self._verify and task.row.process == PROCESS:
            raise RuntimeError("an audit must run in another process than the one that compressed")
        job, target = self.job, row.key + SUFFIX
        entry = self.target.head(target)
        if entry is None:
            raise FileNotFoundError(f"{target} is missing")
        packed = self.target.read(target, job.limits, entry.version)
        if sha256(packed) != row.sha256_out:
            raise CorruptError("the .lic file is not the one that was written")
        data = jpeg.decompress(packed, device=job.device, limits=job.limits, threads=job.threads)
        check_identity(data, row, packed)
        if not self._verify:
            self._compare(data, row)
        row.status, row.audited, row.version_audited = "done", time.time_ns(), entry.version

    def _compare(self, data: bytes, row: Row) -> None:
        """Compare with the original, if it is still there and the same version."""
        key = original_key(row)
        if key is None or (original := self.source.head(key)) is None:
            return
        if row.original == "kept" and original.version != row.version:
            return  # The next run compresses it again.
        if self.source.read(key, self.job.limits) != data:
            raise CorruptError("the .lic file restores another file than the original")


class Keeper(Work):
    """Work on the originals of rows whose `.lic` objects are done."""

    is_timed = False

    def begin(self, task: Task) -> Row:
        assert task.row is not None
        return replace(task.row, revision=task.row.revision + 1, time_ns=time.time_ns(), failure="")

    def status_of(self, error: Exception) -> str:
        return "damaged" if isinstance(error, CorruptError) else "done"

    def original(self, row: Row) -> str | None:
        """Return the key of an original that is unchanged, or None if it is gone.

        Raises ValueError if it has changed.
        """
        key = original_key(row)
        original = self.source.head(key) if key is not None else None
        if key is None or original is None:
            return None
        if original.size != row.size or (row.original == "kept" and original.version != row.version):
            raise ValueError(f"{key} has changed since it was compressed, and stays")
        return key


class Mover(Keeper):
    """Moves originals aside, after the `.lic` objects have been read back."""

    def do(self, task: Task, row: Row) -> None:
        key = self.original(row)
        if key is None and self.source.head(ASIDE + row.key) is None:
            return  # Someone else has removed it.
        if key is not None:
            if sha256(self.target.read(row.key + SUFFIX)) != row.sha256_out:
                raise CorruptError("the .lic file is not the one that was written")
            self.source.move(key, ASIDE + row.key)
        row.original = "moved"


class Deleter(Keeper):
    """Deletes originals that an audit has restored in another process."""

    def do(self, task: Task, row: Row) -> None:
        target = self.target.head(row.key + SUFFIX)
        if target is None or target.version != row.version_audited:
            raise CorruptError("the .lic file is not the one that was audited")
        if (key := self.original(row)) is not None:
            self.source.delete(key)
        row.original = "deleted"


def original_key(row: Row) -> str | None:
    """Return where the original of a row is in its storage, or None if it was deleted."""
    return {"kept": row.key, "moved": ASIDE + row.key}.get(row.original)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def describe(row: Row, data: bytes) -> None:
    """Fill in what an original is: its size, camera and quality."""
    row.size = len(data)
    if (parsed := head.parse(data)) is not None:
        row.quality = parsed.quality
        row.camera = head.read_exif(parsed.exif).camera if parsed.exif else ""


def explain(row: Row, packed: bytes, reason: str | None, data: bytes, sha1: bool) -> None:
    """Fill in what a `.lic` file is: its size, hash and models, and the hashes of the original `data`.

    sha1: whether to compute the SHA-1 if the file does not hold it.
    """
    row.bytes_out, row.sha256_out, row.reason = len(packed), sha256(packed), reason or ""
    container = _native.unpack(packed, row.size)
    row.sha256 = container.sha256.hex() if container.sha256 else sha256(data)
    row.sha1 = container.sha1.hex() if container.sha1 else ""
    if sha1 and not row.sha1:
        row.sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    coders = dict.fromkeys(picture[:2] for picture in container.pictures if not isinstance(picture, int))
    row.model = ",".join(registry.model_name(number) for number, _ in coders) or "stored"
    row.fingerprint = ",".join(f"{fingerprint:08x}" for _, fingerprint in coders)


def notes_of(row: Row) -> dict[str, str]:
    """Return what a bucket keeps beside a `.lic` object, so that a lost table loses no identity."""
    notes = {"Content-Type": "image/x-lic", "sha256": row.sha256, "mtime-ns": str(row.mtime_ns)}
    return notes | ({"sha1": row.sha1} if row.sha1 else {})


def check_identity(data: bytes, row: Row, packed: bytes) -> None:
    """Raise CorruptError if data that were restored from `packed` have another SHA-256 than the row says."""
    held = _native.identify(packed)[2]  # Restoring has compared it with the data.
    actual = held.hex() if held else sha256(data)
    if row.sha256 and actual != row.sha256:
        raise CorruptError("the restored file has another SHA-256 than the original had")
    row.sha256 = actual
