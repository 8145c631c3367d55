"""Compression of whole folders and buckets: nothing is lost, whatever stops it."""

import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import jpeg_bytes

from lic_native import bulk, files, storage
from lic_native.bulk import report, work

pytest.importorskip("pyarrow")


def lic(*arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lic_native", "bulk", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, env={**os.environ, **environment})


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, without our own private ones."""
    paths = [path for path in folder.rglob("*") if path.is_file() and ".lic-" not in str(path)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def rows(target) -> dict[str, bulk.Row]:
    return {row.key: row for row in bulk.Table(storage.open_storage(target)).rows()}


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    for i in range(5):
        path = folder / f"{i % 2}" / f"ä {i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(seed=i))
        os.utime(path, ns=(10**18 + i, 10**18 + i))
        path.chmod(0o640)
    (folder / "notes.txt").write_text("not a photograph")
    return folder


@pytest.fixture
def job(photos, tmp_path) -> bulk.Job:
    return bulk.Job(str(photos), str(tmp_path / "packed"))


def test_every_byte_time_and_mode_comes_back(job, tmp_path):
    done = bulk.run(bulk.Job(job.source, job.target, sha1=True))
    assert (done.done, done.passed_over, done.is_good) == (5, 1, True)
    assert bulk.restore(bulk.Job(job.target, str(tmp_path / "again"))).done == 5
    originals = contents(Path(job.source))
    originals.pop("notes.txt")
    assert contents(tmp_path / "again") == originals
    for key, row in rows(job.target).items():
        status = (tmp_path / "again" / key).stat()
        assert (status.st_mtime_ns, status.st_mode & 0o777) == (row.mtime_ns, 0o640)
        assert row.sha256 == hashlib.sha256(originals[key]).hexdigest()
        assert row.sha1 == hashlib.sha1(originals[key]).hexdigest()
        assert (row.status, row.model, row.quality) == ("done", "native", 75)
        assert row.bytes_out == (Path(job.target) / f"{key}.lic").stat().st_size < row.size


def test_any_file_is_taken_if_asked_for(job, tmp_path):
    assert bulk.run(job, patterns=["*"]).done == 6
    assert rows(job.target)["notes.txt"].model == "stored"
    bulk.restore(bulk.Job(job.target, str(tmp_path / "again")))
    assert contents(tmp_path / "again") == contents(Path(job.source))


def test_a_second_run_does_what_is_new_and_what_has_changed(job, photos):
    bulk.run(job)
    before = contents(Path(job.target))
    (photos / "0/ä 0.jpg").write_bytes(jpeg_bytes(seed=10))
    (photos / "new.jpg").write_bytes(jpeg_bytes(seed=11))
    again = bulk.run(job)
    assert (again.done, again.finished_before) == (2, 4)
    after = contents(Path(job.target))
    assert {key for key in after if after[key] != before.get(key)} == {"0/ä 0.jpg.lic", "new.jpg.lic"}
    table = rows(job.target)
    assert len(table) == 6 and table["0/ä 0.jpg"].revision == 2
    assert len(os.listdir(Path(job.target) / bulk.table.FOLDER)) == 1  # It was compacted.
    Path(job.target, "new.jpg.lic").unlink()
    assert bulk.run(job).done == 1


def test_a_lost_table_is_made_again_without_writing(job, tmp_path):
    bulk.run(job)
    inodes = {path: path.stat().st_ino for path in Path(job.target).rglob("*.lic")}
    before = {key: row.sha256_out for key, row in rows(job.target).items()}
    for path in Path(job.target, bulk.table.FOLDER).iterdir():
        path.unlink()
    assert bulk.restore(bulk.Job(job.target, str(tmp_path / "again"))).done == 5
    assert bulk.run(job).done == 5
    assert {path: path.stat().st_ino for path in inodes} == inodes
    assert {key: row.sha256_out for key, row in rows(job.target).items()} == before


def test_a_killed_run_is_continued(job, photos):
    """Three times SIGKILL, at moments that depend on the machine; then everything is there, and nothing twice."""
    command = [sys.executable, "-m", "lic_native", "bulk", "run", job.source, job.target, "--rate", "8K", "-j", "2"]
    for _ in range(3):
        before = len(list(Path(job.target).rglob("*.lic")))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(Path(job.target).rglob("*.lic"))) <= before:
            time.sleep(0.01)
        process.kill()
        process.wait()
    written = {path: path.stat().st_ino for path in Path(job.target).rglob("*.lic")}
    assert written
    assert bulk.run(job).is_good
    assert {path: path.stat().st_ino for path in written} == written  # What was written is not written again.
    assert set(rows(job.target)) == {key for key in contents(photos) if key.endswith(".jpg")}
    assert bulk.verify(job).is_good
    assert not list(Path(job.target).rglob(".lic-????????????????"))


def test_a_target_that_holds_something_else_is_kept(job):
    foreign = Path(job.target, "0/ä 0.jpg.lic")
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"someone's notes")
    outcome = bulk.run(job)
    assert (outcome.done, outcome.failed) == (4, 1)
    row = rows(job.target)["0/ä 0.jpg"]
    assert row.status == "failed" and row.failure == "FileExistsError" and "--force" in row.reason
    assert foreign.read_bytes() == b"someone's notes"
    assert bulk.run(bulk.Job(job.source, job.target, force=True)).done == 1


def test_the_switch_stops_compression_but_not_restoring(job, tmp_path):
    bulk.run(job, patterns=["*0.jpg"])
    switch = Path(job.target, work.STOP)
    switch.touch()
    stopped = bulk.run(job)
    assert stopped.stopped and not stopped.done and not stopped.is_good
    assert bulk.restore(bulk.Job(job.target, str(tmp_path / "again"))).done == 1
    switch.unlink()
    assert bulk.run(job).done == 4


def test_a_file_that_cannot_be_done_is_quarantined(job, photos):
    (photos / "huge.jpg").write_bytes(jpeg_bytes(400, 400, quality=95))
    small = bulk.Job(job.source, job.target, limits=bulk.work.Limits(max_input_bytes=20_000))
    first, second = bulk.run(small), bulk.run(small)
    assert (first.done, first.quarantined, second.done, second.quarantined) == (5, 1, 0, 1)
    row = rows(job.target)["huge.jpg"]
    assert row.failure == "LimitExceededError" and "exceeds the limit" in row.reason
    assert bulk.run(job).quarantined == 1
    assert bulk.run(job, retry=True).done == 1


def test_an_estimate_writes_nothing_and_is_close(job):
    estimate, outcome = bulk.estimate(job, sample=3)
    assert (estimate.files, estimate.sampled, outcome.passed_over) == (5, 3, 1)
    assert not Path(job.target).exists()
    done = bulk.run(job)
    saving = 100 * (1 - done.after / done.before)
    assert abs(estimate.saving_percent - saving) < 5 * max(estimate.saving_error_percent, 1)


def test_an_audit_needs_another_process_and_finds_damage(job):
    bulk.run(job)
    refused = bulk.audit(job)
    assert refused.failed == 5 and not any(row.audited for row in rows(job.target).values())
    damaged, missing = Path(job.target, "0/ä 0.jpg.lic"), Path(job.target, "1/ä 1.jpg.lic")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    missing.unlink()
    assert lic("audit", job.source, job.target).returncode == 1
    table = rows(job.target)
    assert {key for key, row in table.items() if row.status == "damaged"} == {"0/ä 0.jpg", "1/ä 1.jpg"}
    assert sum(row.audited > 0 for row in table.values()) == 3
    assert bulk.verify(job).failed == 2
    assert bulk.run(job).done == 2  # The originals are still there.
    assert bulk.verify(job).is_good


def test_originals_are_deleted_only_after_an_audit_and_by_name(job, photos, tmp_path):
    bulk.run(job)
    assert bulk.delete_originals(job).done == 0
    assert lic("audit", job.source, job.target).returncode == 0
    changed, swapped = photos / "0/ä 0.jpg", Path(job.target, "1/ä 1.jpg.lic")
    changed.write_bytes(jpeg_bytes(seed=20))
    swapped.write_bytes(Path(job.target, "1/ä 3.jpg.lic").read_bytes())
    outcome = bulk.delete_originals(job)
    assert outcome.done == 3 and len(outcome.problems) == 2
    assert set(contents(photos)) == {"0/ä 0.jpg", "1/ä 1.jpg", "notes.txt"}
    assert bulk.restore(bulk.Job(job.target, str(tmp_path / "again"))).done == 4  # The swapped one is refused.


def test_originals_are_moved_aside(job, photos):
    originals = contents(photos)
    assert bulk.run(job, originals="move").is_good
    assert set(contents(photos)) == {"notes.txt"}
    for key, row in rows(job.target).items():
        assert (photos / work.ASIDE / key).read_bytes() == originals[key] and row.original == "moved"
    assert lic("audit", job.source, job.target).returncode == 0
    assert bulk.run(job, originals="move").is_good  # They are not listed again.
    assert bulk.delete_originals(job).done == 5
    assert not [path for path in (photos / work.ASIDE).rglob("*") if path.is_file()]


def test_a_file_that_changes_while_it_is_read_is_a_row(job, photos, monkeypatch):
    read = files.read

    def read_and_touch(path, limits=None):
        data = read(path)
        if Path(path).name == "ä 2.jpg":
            os.utime(path)
        return data

    monkeypatch.setattr(files, "read", read_and_touch)
    outcome = bulk.run(job)
    assert (outcome.done, outcome.failed) == (4, 1)
    assert rows(job.target)["0/ä 2.jpg"].failure == "Changed"
    monkeypatch.undo()
    assert bulk.run(job).done == 1


def test_a_file_that_is_deleted_meanwhile_is_no_failure(job, photos, monkeypatch):
    read, photo = files.read, photos / "0/ä 2.jpg"
    original = photo.read_bytes()

    def read_and_delete(path, limits=None):
        if Path(path) == photo:
            photo.unlink()
        return read(path)

    monkeypatch.setattr(files, "read", read_and_delete)
    outcome = bulk.run(job)
    assert (outcome.done, outcome.gone, outcome.failed, outcome.is_good) == (4, 1, 0, True)
    row = rows(job.target)["0/ä 2.jpg"]
    assert (row.status, row.failure) == ("gone", "") and "deleted" in row.reason
    assert not report.summarise(rows(job.target).values()).failures
    monkeypatch.undo()
    assert bulk.run(job) == bulk.Outcome(finished_before=4, passed_over=1)
    photo.write_bytes(original)
    assert bulk.run(job).done == 1 and rows(job.target)["0/ä 2.jpg"].status == "done"


def test_a_failure_of_a_file_that_is_deleted_since_is_closed(job, photos, monkeypatch):
    photo = photos / "0/ä 2.jpg"
    read = files.read
    monkeypatch.setattr(files, "read", lambda path, limits=None: read(photo.parent if Path(path) == photo else path))
    assert bulk.run(job).failed == 1
    monkeypatch.undo()
    photo.unlink()
    done = lic("run", job.source, job.target)
    assert done.returncode == 0 and b"1 deleted before they were done" in done.stderr
    assert rows(job.target)["0/ä 2.jpg"].status == "gone"
    assert bulk.run(job) == bulk.Outcome(finished_before=4, passed_over=1)


def test_a_source_that_vanishes_is_a_failure(job, photos, monkeypatch):
    read = files.read

    def unmounted(path, limits=None):
        if photos.exists():
            photos.rename(photos.with_name("elsewhere"))
        return read(path)

    monkeypatch.setattr(files, "read", unmounted)
    outcome = bulk.run(job, workers=1)
    assert (outcome.gone, outcome.is_good) == (0, False)
    assert {row.status for row in rows(job.target).values()} == {"failed"}


def test_a_full_disk_is_a_row(job, monkeypatch):
    commit = files.Output.commit

    def full(self, data, *arguments, **keywords):
        if self.path.name == "ä 3.jpg.lic":
            raise OSError(28, "No space left on device", str(self.path))
        commit(self, data, *arguments, **keywords)

    monkeypatch.setattr(files.Output, "commit", full)
    assert bulk.run(job).failed == 1
    row = rows(job.target)["1/ä 3.jpg"]
    assert (row.status, row.reason) == ("failed", "No space left on device")


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/out", "a//b", ".", "", "a\0b"])
def test_no_key_leads_out_of_a_folder(key, tmp_path):
    folder = storage.Folder(str(tmp_path / "folder"))
    for call in (folder.read, folder.head, folder.delete, lambda key: folder.write(key, b"x")):
        with pytest.raises(ValueError):
            call(key)


def test_no_link_leads_out_of_a_folder(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("secret")
    root = tmp_path / "folder"
    root.mkdir()
    (root / "below").symlink_to(tmp_path / "secret")
    (root / "file").symlink_to(tmp_path / "secret/file")
    folder = storage.Folder(str(root))
    assert list(folder.list()) == []
    for key in ("below/file", "file"):
        with pytest.raises(ValueError):
            folder.read(key)


def test_memory_is_shared_in_the_order_of_tasks():
    room = bulk.engines.Memory(100)
    taken = [room.take(60), room.take(40)]
    order = []

    def later(size):
        order.append(room.take(size))

    thread = threading.Thread(target=later, args=(1000,))  # More than there is: it waits for all of it.
    thread.start()
    room.give_back(taken[0])
    assert order == []
    room.give_back(taken[1])
    thread.join(10)
    assert order == [100]


def test_report(job, photos, tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x10\0\2\0\0\0\x09\0\0\0\x1a\0\0\0\0<b>cam\0\0\0"
    (photos / "camera.jpg").write_bytes(jpeg_bytes(exif=exif))
    bulk.run(job)
    done = lic("report", job.target, "--html", tmp_path / "page.html", "--json")
    summary = json.loads(done.stdout)
    assert summary["total"]["files"] == 6 and summary["statuses"] == {"done": 6}
    assert {group["name"] for group in summary["cameras"]} == {"<b>cam", "unknown"}
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;cam" in page and "<b>cam" not in page and "<rect" in page
    assert any("75-79" in line for line in report.text(report.summarise(rows(job.target).values())))


def test_the_command_prints_events_and_sums(job, tmp_path):
    done = lic("run", job.source, job.target, "--json")
    *events, sums = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0 and {event["status"] for event in events} == {"done"}
    assert (sums["status"], sums["done"], sums["passed_over"]) == ("sum", 5, 1)
    assert lic("verify", job.target).returncode == 0
    assert lic("restore", job.target, tmp_path / "again").returncode == 0
    assert lic("run", tmp_path / "missing", job.target).returncode == 1
    assert lic("run", "ftp://x/y", job.target).returncode == 2


def test_rows_are_alone_on_stdout(job):
    """Other programs, such as Ray, may print there while rows are made."""
    script = (
        "import sys; from lic_native.bulk import work; from lic_native.cli import main\n"
        "do = work.Compressor.do\n"
        "work.Compressor.do = lambda *arguments: (print('noise'), do(*arguments))\n"
        f"sys.argv = ['lic-native', 'bulk', 'run', {job.source!r}, {job.target!r}, '--json']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=300)
    assert done.returncode == 0 and done.stderr.count(b"noise") == 5
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["done"] * 5 + ["sum"]


class Faulty(http.server.BaseHTTPRequestHandler):
    """A proxy of an S3 server, which fails as the name of a key says."""

    upstream = ("", 0)
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(*self.upstream)
        upstream.request(self.command, self.path, body, {n: v for n, v in self.headers.items() if n.lower() != "host"})
        reply = upstream.getresponse()
        data, code = reply.read(), reply.status
        upstream.close()
        if self.command == "GET" and (match := re.search(r"fail-(\d+)", self.path)):
            data, code = b"", int(match[1])
        self.send_response(code)
        for name, value in reply.headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        length = len(data) if self.command != "HEAD" else reply.headers.get("Content-Length", "0")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if "fail-short" in self.path and self.command == "GET":
            data = data[:-10]
            self.close_connection = True
        if "fail-slow" in self.path and self.command == "GET":
            time.sleep(30)
        self.wfile.write(data)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("obstore")
    moto = pytest.importorskip("moto.server", exc_type=ImportError)
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    thread = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    thread.start()
    upstream = thread.get_host_and_port()
    handler = type("Handler", (Faulty,), {"upstream": upstream})
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "hush", "REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        for bucket in ("photos", "packed", "again"):
            connection = http.client.HTTPConnection(*upstream)
            connection.request("PUT", f"/{bucket}")
            assert connection.getresponse().status == 200
            connection.close()
        yield
    proxy.shutdown()
    proxy.server_close()
    thread.stop()


@pytest.fixture
def bucket_job(server, photos, request):
    """Return a job on a bucket that holds the photographs, below a prefix of this test."""
    name = request.node.name
    source = storage.open_storage(f"s3://photos/{name}")
    for key, data in contents(photos).items():
        source.write(key, data)
    return bulk.Job(source.url, f"s3://packed/{name}")


def test_a_bucket_comes_back(bucket_job, photos, request):
    assert bulk.run(bucket_job, patterns=["*"]).done == 6
    assert bulk.run(bucket_job, patterns=["*"]).finished_before == 6
    again = bulk.Job(bucket_job.target, f"s3://again/{request.node.name}")
    assert bulk.restore(again).done == 6
    restored = storage.open_storage(again.target)
    assert {entry.key: restored.read(entry.key) for entry in restored.list()} == contents(photos)
    assert len(rows(bucket_job.target)) == 6
    assert bulk.verify(bucket_job).is_good
    notes = storage.open_storage(bucket_job.target).notes("0/ä 0.jpg.lic")
    assert notes["sha256"] == rows(bucket_job.target)["0/ä 0.jpg"].sha256


def test_originals_in_a_bucket_are_moved_audited_and_deleted(bucket_job):
    assert bulk.run(bucket_job, originals="move").is_good
    assert lic("audit", bucket_job.source, bucket_job.target).returncode == 0
    assert bulk.delete_originals(bucket_job).done == 5
    source = storage.open_storage(bucket_job.source)
    assert [entry.key for entry in source.list()] == ["notes.txt"] and not list(source.list(work.ASIDE[:-1]))


def test_each_fault_of_a_server_is_a_row(bucket_job):
    source = storage.open_storage(bucket_job.source)
    faults = {
        "fail-500": "500",
        "fail-503": "503",
        "fail-403": "refuses the credentials",
        "fail-short": "",
        "fail-slow": "",
    }
    for name in faults:
        source.write(f"{name}.jpg", jpeg_bytes())
    outcome = bulk.run(bulk.Job(bucket_job.source, bucket_job.target, timeout=2), workers=8)
    assert (outcome.done, outcome.failed) == (5, len(faults))
    table = rows(bucket_job.target)
    for name, reason in faults.items():
        row = table[f"{name}.jpg"]
        assert row.status == "failed" and reason in row.reason and "hush" not in row.reason and "\n" not in row.reason


def test_an_object_that_changed_since_it_was_listed_is_refused(bucket_job):
    source = storage.open_storage(bucket_job.source)
    with pytest.raises(storage.Changed):
        source.read("notes.txt", version='"0"')
    assert source.read_range("notes.txt", 4, 5) == b"a pho" and source.read_range("notes.txt", 99, 5) == b""


def test_an_inventory_replaces_the_listing(bucket_job, tmp_path, request):
    import pyarrow
    import pyarrow.parquet

    source = storage.open_storage(bucket_job.source)
    prefix = request.node.name
    keys = ["0/ä 0.jpg", "1/ä 1.jpg", ".lic-originals/x.jpg", "notes.txt"]
    listed = [{"key": f"{prefix}/{entry.key}", "size": entry.size, "e_tag": entry.version.strip('"')}
              for entry in source.list() if entry.key in keys]  # fmt: skip
    listed += [{**listed[0], "key": "elsewhere/1.jpg"}, {**listed[0], "key": f"{prefix}/folder/"}]
    report = tmp_path / "inventory.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed), report)
    first = bulk.run(bucket_job, inventory=[str(report)])
    assert (first.done, first.passed_over) == (2, 1)
    everything = bulk.run(bucket_job)  # The versions are those of a listing.
    assert (everything.done, everything.finished_before) == (3, 2)
    pyarrow.parquet.write_table(pyarrow.table({"key": ["1"]}), report)
    with pytest.raises(bulk.inventory.UnsupportedError, match="without size, e_tag"):
        bulk.run(bucket_job, inventory=[str(report)])
    report.write_bytes(b"no Parquet")
    assert lic("run", bucket_job.source, bucket_job.target, "--inventory", report).returncode == 1


def test_a_killed_run_on_a_bucket_is_continued(bucket_job):
    command = ["run", bucket_job.source, bucket_job.target, "--rate", "8K", "-j", "1", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lic_native", "bulk", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    outcome = bulk.run(bucket_job)
    assert outcome.is_good and outcome.done + outcome.finished_before == 5 == len(rows(bucket_job.target))
    assert bulk.verify(bucket_job).is_good


def test_ray_does_the_same(job, tmp_path):
    pytest.importorskip("ray")
    done = lic("run", job.source, job.target, "--engine", "ray", "-j", "2", "--json")
    if b"Ray does not start" in done.stderr:
        pytest.skip("Ray gives up when its processes take long to start, as on a busy machine")
    assert done.returncode == 0, done.stderr
    by_ray = rows(job.target)
    bulk.run(bulk.Job(job.source, str(tmp_path / "local")))
    hashes = {key: row.sha256_out for key, row in rows(str(tmp_path / "local")).items()}
    assert {key: row.sha256_out for key, row in by_ray.items()} == hashes and len(hashes) == 5
