"""Runs of the command over many files: which are skipped, replaced, removed, named and counted."""

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image
from test_cli import lic

import lic_native
from lic_native import image, jpeg, kind

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(lic_native.__file__).parents[1])}


def last_line(done: subprocess.CompletedProcess) -> str:
    return done.stderr.decode().splitlines()[-1]


def events(done: subprocess.CompletedProcess) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def photos(tmp_path):
    """A folder of three photographs, one of them without a suffix, and a text file."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "deep/B.JPG", "nameless")):
        (folder / name).write_bytes(jpeg_bytes(48, 64, seed=i))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_finished_files_are_skipped(photos, tmp_path):
    packed = tmp_path / "packed"
    assert lic("compress", photos, "-o", packed).returncode == 0
    assert {p.name for p in packed.rglob("*.*")} == {"a.jpg.lic", "B.JPG.lic", "nameless.lic"}
    (photos / "new.jpg").write_bytes(jpeg_bytes(48, 64, seed=9))
    # A changed time does not matter, because checksums are compared; changed content does.
    os.utime(photos / "a.jpg", (1, 1))
    (photos / "nameless").write_bytes(jpeg_bytes(48, 64, seed=8))
    done = lic("compress", photos, "-o", packed, "--json")
    status = {Path(event["source"]).name: event["status"] for event in events(done)[:-1]}
    assert status == {"a.jpg": "skipped", "B.JPG": "skipped", "nameless": "failed", "new.jpg": "done"}
    sums = events(done)[-1]
    assert (sums["files"], sums["done"], sums["skipped"], sums["failed"], sums["passed_over"]) == (4, 1, 2, 1, 1)
    assert done.returncode == 1 and b"nameless.lic: exists, and holds something else" in done.stderr
    assert last_line(done) == "lic-native: 1 of 4 files failed"
    assert lic("compress", photos, "-o", packed, "-f").returncode == 0
    assert "3 done already" not in last_line(lic("decompress", packed, "-o", photos))
    for path in packed.rglob("*.lic"):
        path.rename(path.with_suffix(".LIC"))
    done = lic("decompress", packed, "-o", tmp_path / "back")
    assert done.returncode == 0 and last_line(done).startswith("4 files: ")
    assert {p.name for p in (tmp_path / "back").rglob("*") if p.is_file()} == {"a.jpg", "B.JPG", "nameless", "new.jpg"}
    assert last_line(lic("decompress", packed, "-o", tmp_path / "back")) == "0 files; 4 done already"


def test_the_last_line_counts_failures(photos, tmp_path):
    for name in ("x.lic", "y.lic"):
        (tmp_path / name).write_bytes(b"broken")
    done = lic("decompress", tmp_path / "x.lic", tmp_path / "y.lic")
    assert done.returncode == 1 and last_line(done) == "lic-native: all 2 files failed"
    done = lic("compress", photos / "a.jpg", tmp_path / "missing")
    assert done.returncode == 1 and last_line(done) == "lic-native: 1 of 2 files failed"


def test_sources_are_removed_only_after_a_result_was_verified(photos, tmp_path):
    original = (photos / "a.jpg").read_bytes()
    assert lic("compress", photos, "--rm").returncode == 0
    assert {p.name for p in photos.rglob("*") if p.is_file()} == {
        "a.jpg.lic",
        "B.JPG.lic",
        "nameless.lic",
        "notes.txt",
    }
    (photos / "a.jpg").write_bytes(original)
    # Its .lic file exists: the source is removed after that file has restored it.
    assert lic("compress", photos / "a.jpg", "--rm").returncode == 0
    assert not (photos / "a.jpg").exists()
    os.utime(photos / "a.jpg.lic", (5, 5))
    damaged = bytearray((photos / "a.jpg.lic").read_bytes())
    damaged[-9] ^= 1
    (photos / "a.jpg").write_bytes(original)
    (photos / "a.jpg.lic").write_bytes(damaged)
    done = lic("compress", photos / "a.jpg", "--rm")
    assert done.returncode == 1 and (photos / "a.jpg").read_bytes() == original
    assert lic("compress", photos / "a.jpg", "--rm", "-o", os.devnull).returncode == 1
    assert (photos / "a.jpg").exists()
    assert lic("decompress", photos, "--rm", "-f").returncode == 1  # the damaged one
    assert {p.name for p in photos.rglob("*.lic")} == {"a.jpg.lic"}


def test_lossy_results_are_marked_and_never_replace_lossless_ones(tmp_path):
    source = tmp_path / "p.png"
    Image.fromarray(photograph(32, 48)).save(source)
    packed = tmp_path / "p.png.lic"
    assert lic("compress", source).returncode == 0
    done = lic("compress", source, "-q", "2", "--profile", "fast")
    assert done.returncode == 1 and b"without loss; --force replaces it by a file with loss" in done.stderr
    assert jpeg.decompress(packed.read_bytes()) == source.read_bytes()
    done = lic("compress", source, "-q", "2", "--profile", "fast", "-f")
    assert done.returncode == 0 and last_line(done).endswith("; with loss")
    assert kind(packed.read_bytes()) == "image"
    assert b"skipped" in lic("compress", source, "-q", "2", "--profile", "fast").stderr
    assert lic("compress", source, "-q", "3", "--profile", "fast").returncode == 1
    assert lic("compress", source).returncode == 1
    done = lic("list", packed)
    assert b"lossy" in done.stdout and b"msp-fast" in done.stdout


def test_devices_and_links_are_written_through(tmp_path):
    source, real, link = tmp_path / "x.jpg", tmp_path / "real", tmp_path / "link"
    source.write_bytes(jpeg_bytes(48, 64))
    real.write_bytes(b"old")
    link.symlink_to(real)
    assert lic("compress", source, "-o", link).returncode == 1 and real.read_bytes() == b"old"
    assert lic("compress", source, "-o", link, "-f").returncode == 0
    assert link.is_symlink() and jpeg.decompress(real.read_bytes()) == source.read_bytes()
    for options in ([], ["-f"]):
        assert lic("compress", source, "-o", os.devnull, *options).returncode == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "made")
    assert lic("compress", source, "-o", dangling).returncode == 1
    assert lic("compress", source, "-o", dangling, "-f").returncode == 0
    assert dangling.is_symlink() and (tmp_path / "made").is_file()
    done = lic("compress", source, "-o", tmp_path, "-f")
    assert done.returncode == 0 and (tmp_path / "x.jpg.lic").is_file()


def test_a_full_device_is_an_error(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    source = tmp_path / "x.jpg"
    source.write_bytes(jpeg_bytes(48, 64))
    done = lic("compress", source, "-o", "/dev/full")
    assert done.returncode == 1 and done.stderr == b"lic-native: /dev/full: No space left on device\n"


def test_files_of_another_run_are_skipped(photos, tmp_path):
    packed = tmp_path / "packed"
    assert lic("compress", photos, "-o", packed).returncode == 0
    (packed / "a.jpg.lic").unlink()
    (packed / "deep/B.JPG.lic").unlink()
    from lic_native.files import Output

    with Output(packed / "a.jpg.lic"):
        (temporary,) = packed.glob(".lic-*")
        name = temporary.name
        done = lic("compress", photos, "-o", packed)
        assert done.returncode == 0 and "1 being written by another run" in last_line(done)
        assert not (packed / "a.jpg.lic").exists() and (packed / "deep/B.JPG.lic").exists()
    assert not temporary.exists()
    with (packed / name).open("wb") as left, (packed / "other").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        left.write(b"half")
    assert last_line(lic("compress", photos, "-o", packed)).startswith("1 file: ")
    assert (packed / "a.jpg.lic").exists() and not (packed / name).exists()


def test_two_runs_at_once_share_the_work(photos, tmp_path):
    for i in range(30):
        (photos / f"{i}.jpg").write_bytes(jpeg_bytes(64, 64, seed=i))
    command = [sys.executable, "-m", "lic_native", "compress", str(photos), "-o", str(tmp_path / "packed"), "--json"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) for _ in range(2)]
    outputs = [run.communicate()[0].splitlines() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    sums = [json.loads(lines[-1]) for lines in outputs]
    assert sum(s["done"] for s in sums) == 33 and sum(s["skipped"] for s in sums) == 33
    assert not list((tmp_path / "packed").rglob(".lic-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_and_leaves_nothing_half_written(tmp_path, number):
    fifo, packed = tmp_path / "fifo.jpg", tmp_path / "packed"
    os.mkfifo(fifo)
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(48, 64))
    command = [sys.executable, "-m", "lic_native", "compress", str(tmp_path / "a.jpg"), str(fifo), "-o", str(packed)]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not (packed / "a.jpg.lic").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    run.send_signal(number)
    _, said = run.communicate(timeout=20)
    assert run.returncode == 128 + number
    assert b"a.jpg.lic" in said and b"1 file left" in said and b"Traceback" not in said
    assert [path.name for path in packed.iterdir()] == ["a.jpg.lic"]


def test_paths_come_from_a_list_and_odd_names_are_one_line(tmp_path):
    odd = tmp_path / "new\nline \u202e.jpg"
    odd.write_bytes(jpeg_bytes(48, 64))
    undecodable = os.fsencode(tmp_path) + b"/\xff.jpg"
    Path(os.fsdecode(undecodable)).write_bytes(jpeg_bytes(48, 64))
    names = tmp_path / "names"
    names.write_bytes(os.fsencode(odd) + b"\0" + undecodable + b"\0")
    done = lic("compress", "--files0-from", names, "-v")
    assert done.returncode == 0 and done.stderr.count(b"\n") == 3 and b"new\\nline" in done.stderr
    assert Path(os.fsdecode(undecodable + b".lic")).exists()
    done = lic("compress", "--files0-from", "-", "--json", stdin=names.read_bytes())
    assert [event["status"] for event in events(done)] == ["skipped", "skipped", "sum"]
    assert lic("compress", "--files0-from", tmp_path / "none").returncode == 1


def test_a_dry_run_writes_nothing(photos, tmp_path):
    done = lic("compress", photos, "-o", tmp_path / "packed", "-n")
    assert done.returncode == 0 and done.stderr.count(b" -> ") == 3 and b"would be compressed" in done.stderr
    assert not (tmp_path / "packed").exists()


def test_dangling_links_are_named_and_the_other_files_are_done(photos):
    (photos / "gone.jpg").symlink_to("nowhere")
    done = lic("compress", photos)
    assert done.returncode == 1 and b"gone.jpg: is a link to a missing file" in done.stderr
    assert (photos / "a.jpg.lic").exists()


def test_stored_files_say_why(tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg_bytes())
    assert b"; stored: " in lic("compress", text).stderr
    done = lic("compress", photo, "--max-pixels", "1K")
    assert b"; stored: " in done.stderr and b"limit" in done.stderr
    packed = tmp_path / "photo.jpg.lic"
    done = lic("compress", packed)
    assert done.returncode == 0 and b"is a .lic file already" in done.stderr
    assert not packed.with_name("photo.jpg.lic.lic").exists()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".JPG"])
def test_a_file_is_not_restored_under_the_name_of_another_format(tmp_path, suffix):
    packed, target = tmp_path / "p.lic", tmp_path / f"out{suffix}"
    packed.write_bytes(jpeg.compress(jpeg_bytes()))
    done = lic("decompress", packed, "-o", target)
    if suffix == ".JPG":
        assert target.read_bytes() == jpeg_bytes()
    else:
        assert done.returncode == 1 and b"restores a JPEG file" in done.stderr and not target.exists()


def test_files_are_tested(photos):
    lic("compress", photos)
    done = lic("test", photos, "--deep", "-v")
    assert done.returncode == 0 and done.stderr.count(b": good") == 4 and not done.stdout
    bad = photos / "a.jpg.lic"
    bad.write_bytes(bad.read_bytes()[:-5])
    done = lic("test", photos)
    assert done.returncode == 1 and b"a.jpg.lic: " in done.stderr and last_line(done).endswith("1 of 3 files failed")
    packed = image.compress(photograph(16, 16), profile="fast")
    done = lic("test", "-", "--deep", stdin=packed)
    assert done.returncode == 0 and b"with loss" in done.stderr
    broken = bytearray(packed)
    broken[-6] ^= 4
    assert lic("test", "-", stdin=bytes(broken)).returncode == 1


def test_files_are_listed_with_sums(photos):
    lic("compress", photos)
    lines = lic("list", photos).stdout.decode().splitlines()
    assert len(lines) == 5 and "3 files" in lines[-1] and "native" in lines[1]
    done = lic("list", photos, photos / "notes.txt", "--json")
    assert done.returncode == 1 and b"notes.txt: not a .lic file" in done.stderr
    sums = events(done)[-1]
    assert (sums["files"], sums["failed"]) == (3, 1)
    assert sums["original_bytes"] == sum(event["restored_bytes"] for event in events(done)[:-1])


def test_quiet_prints_only_failures(photos):
    done = lic("compress", photos, "--quiet")
    assert done.returncode == 0 and not done.stderr and not done.stdout
    assert lic("compress", photos / "none", "--quiet").stderr.count(b"\n") == 1


def test_threads_are_bounded(photos):
    assert lic("compress", photos, "-j", "1").returncode == 0
    env = {**ENVIRONMENT, "LIC_THREADS": "many"}
    command = [sys.executable, "-m", "lic_native", "compress", str(photos)]
    done = subprocess.run(command, env=env, capture_output=True)
    assert done.returncode == 2 and done.stderr == b"lic-native: LIC_THREADS must be a number from 1 on, not 'many'\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_truncated_input_or_output_is_an_error(tmp_path, unbuffered):
    """The exit status is 1 if stdin or stdout is closed, a device is full or a reader has gone, buffered or not."""
    source, packed = tmp_path / "x", tmp_path / "x.lic"
    source.write_bytes(np.random.default_rng(0).bytes(200_000))
    packed.write_bytes(jpeg.compress(source.read_bytes()))

    def shell(script: str) -> subprocess.CompletedProcess:
        command = f"{sys.executable} -m lic_native"
        environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
        return subprocess.run(
            ["bash", "-c", script.replace("LIC", command)], cwd=tmp_path, env=environment, capture_output=True
        )

    for script in (
        "LIC decompress x.lic -c >&-",
        "LIC decompress x.lic -c >/dev/full",
        "LIC decompress x.lic -c | true; exit ${PIPESTATUS[0]}",
        "LIC inspect x.lic >&-",
        "LIC inspect x.lic >/dev/full",
        "LIC list x.lic >/dev/full",
        "LIC --version >/dev/full",
        "LIC --help >&-",
        "LIC compress - -o y <&-",
        "LIC compress x -o z --json >/dev/full",
    ):
        done = shell(script)
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1, (script, done.stderr)
    done = shell("LIC list x.lic x.lic --json | true; exit ${PIPESTATUS[0]}")
    assert done.returncode == 1 and done.stderr == b"lic-native: stdout: Broken pipe\n"
    # /dev/stdout appends to the output of earlier commands, and later ones append to it.
    done = shell("(echo before; LIC decompress x.lic -f -o /dev/stdout; echo after) >log 2>/dev/null; cat log")
    assert done.stdout == b"before\n" + source.read_bytes() + b"after\n"
    done = shell("LIC decompress x.lic -c 2>&-")
    assert done.returncode == 0 and done.stdout == source.read_bytes()


def test_streams_that_do_not_block_are_waited_for(tmp_path):
    data = np.random.default_rng(0).bytes(300_000)
    packed = jpeg.compress(data)

    def run(*arguments, **streams):
        return subprocess.Popen([sys.executable, "-m", "lic_native", *arguments], env=ENVIRONMENT, **streams)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    (tmp_path / "x.lic").write_bytes(packed)
    process = run("decompress", str(tmp_path / "x.lic"), "-c", stdout=writer)
    os.close(writer)
    time.sleep(1)
    with open(reader, "rb") as file:
        assert file.read() == data
    assert process.wait() == 0

    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    process = run("compress", "-", "-o", str(tmp_path / "y.lic"), stdin=reader)
    os.close(reader)
    with open(writer, "wb", buffering=0) as file:
        for start in range(0, len(data), 50_000):
            time.sleep(0.1)
            file.write(data[start : start + 50_000])
    assert process.wait() == 0
    assert jpeg.decompress((tmp_path / "y.lic").read_bytes()) == data


def test_runs_that_remove_sources_share_the_work(photos):
    for i in range(20):
        (photos / f"{i}.jpg").write_bytes(jpeg_bytes(64, 64, seed=i))
    command = [sys.executable, "-m", "lic_native", "compress", str(photos), "--rm", "--json"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) for _ in range(2)]
    outputs = [run.communicate()[0].splitlines() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sum(json.loads(lines[-1])["done"] for lines in outputs) == 23
    assert not list(photos.rglob("*.jpg"))


def test_images_of_another_quality_are_not_skipped(tmp_path):
    source, packed, shown = tmp_path / "x.png", tmp_path / "s.lic", tmp_path / "out.png"
    Image.fromarray(photograph(24, 24)).save(source)
    for quality in ("1", "8"):
        lic("compress", source, "-q", quality, "--profile", "fast", "-f", "-o", packed)
        done = lic("decompress", packed, "-o", shown)
        assert done.returncode == (quality == "8")
    assert b"holds something else" in done.stderr
    assert lic("decompress", packed, "-o", shown, "-f").returncode == 0
    assert b"skipped" in lic("decompress", packed, "-o", shown).stderr
    done = lic("decompress", packed, "--rm", "-o", tmp_path / "x.jpg")
    assert done.returncode == 1 and b"holds an image with loss" in done.stderr and packed.exists()


UNPRIVILEGED = """
import os, sys
from lic_native.cli import main
arguments = sys.argv[1:]
sys.argv = ["lic-native", "compress", "a/a.jpg", "-o", "/dev/null"]
try:
    main()  # Imports modules that only root may be allowed to read.
except SystemExit:
    pass
if os.geteuid() == 0:
    os.seteuid(65534)
sys.argv = ["lic-native", *arguments]
main()
"""


def test_unreadable_files_are_named_and_the_other_files_are_done(tmp_path):
    tmp_path.chmod(0o777)
    for name in ("a", "locked", "listed", "z"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.jpg").write_bytes(jpeg_bytes(48, 64))
        (tmp_path / name).chmod(0o777)
    (tmp_path / "z" / "nameless").write_bytes(jpeg_bytes(48, 64))
    (tmp_path / "z" / "nameless").chmod(0)
    (tmp_path / "a" / "link.jpg").symlink_to(tmp_path / "locked" / "locked.jpg")
    (tmp_path / "locked").chmod(0)
    (tmp_path / "listed").chmod(0o744)
    parent = tmp_path.parent
    while parent != parent.parent and not parent.stat().st_mode & 1:
        parent.chmod(parent.stat().st_mode | 0o11)
        parent = parent.parent
    for arguments, named in (
        (["."], [b"locked", b"listed.jpg", b"nameless", b"link.jpg"]),
        (["x" * 300, "locked/locked.jpg", "a/a.jpg", "-f"], [b"x" * 300, b"locked.jpg"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, "compress", *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
        )
        assert done.returncode == 1 and b"Traceback" not in done.stderr
        assert all(name in done.stderr for name in named), done.stderr
        assert (tmp_path / "a" / "a.jpg.lic").exists(), done.stderr
    (tmp_path / "locked").chmod(0o700)
