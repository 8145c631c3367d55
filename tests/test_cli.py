"""The command, run as a user runs it."""

import json
import subprocess
import sys

import pytest
from conftest import jpeg_bytes


def lic(*arguments, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lic_native", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=300)


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_bytes())
    return path


def test_a_file_and_back(photo_file):
    original = photo_file.read_bytes()
    done = lic("compress", photo_file)
    assert done.returncode == 0 and b"% saved" in done.stderr
    packed = photo_file.with_name("photo.jpg.lic")
    assert packed.stat().st_size < len(original)
    assert packed.stat().st_mtime == photo_file.stat().st_mtime
    photo_file.unlink()
    assert lic("decompress", packed).returncode == 0
    assert photo_file.read_bytes() == original


def test_profiles_make_files_that_say_so(photo_file):
    original = photo_file.read_bytes()
    for profile, model in {"native": "native", "fast": "mlcc-fast", "best": "mlcc-best"}.items():
        packed = photo_file.with_suffix(f".{profile}.lic")
        assert lic("compress", photo_file, "-o", packed, "--profile", profile).returncode == 0
        assert json.loads(lic("inspect", packed, "--json").stdout)["pictures"][0]["model"] == model
        assert lic("decompress", packed, "-o", "-").stdout == original
    done = lic("compress", photo_file, "--profile", "better", "-o", "-")
    assert done.returncode == 1 and b"'better' is none of native, fast, best" in done.stderr


def test_a_folder_and_back(tmp_path):
    originals = {f"{i}/{i}.jpg": jpeg_bytes(seed=i) for i in range(3)}
    for name, data in originals.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (tmp_path / "in" / "notes.txt").write_text("not a photo")
    assert lic("compress", tmp_path / "in", "-o", tmp_path / "packed").returncode == 0
    assert lic("decompress", tmp_path / "packed", "-o", tmp_path / "out").returncode == 0
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")} == set(originals)
    assert all((tmp_path / "out" / name).read_bytes() == data for name, data in originals.items())


def test_pipes():
    data = jpeg_bytes()
    packed = lic("compress", "-", stdin=data)
    assert packed.returncode == 0 and len(packed.stdout) < len(data)
    assert lic("decompress", "-", stdin=packed.stdout).stdout == data


def test_inspect(photo_file):
    lic("compress", photo_file)
    packed = photo_file.with_name("photo.jpg.lic")
    info = json.loads(lic("inspect", "--json", packed).stdout)
    (picture,) = info["pictures"]
    assert (info["kind"], picture["width"], picture["height"], picture["model"]) == ("jpeg", 128, 96, "mlcc-fast")
    assert info["file_bytes"] == packed.stat().st_size
    assert b"mlcc-fast" in lic("inspect", packed).stdout


def test_nothing_is_overwritten_unasked(photo_file):
    assert lic("compress", photo_file).returncode == 0
    again = lic("compress", photo_file)
    assert again.returncode == 1 and b"--force" in again.stderr
    assert lic("compress", "--force", photo_file).returncode == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty"])
def test_damage_is_one_line_and_status_1(photo_file, damage):
    lic("compress", photo_file)
    packed = photo_file.with_name("photo.jpg.lic")
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 4
    packed.write_bytes({"cut": packed.read_bytes()[:-9], "flip": bytes(data), "text": b"hello", "empty": b""}[damage])
    for command in (["decompress", packed, "-f"], ["inspect", packed]):
        done = lic(*command)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1 and done.stderr.startswith(b"lic-native: ")
        assert not done.stdout
    assert photo_file.read_bytes() == jpeg_bytes()


def test_limits_are_named(photo_file):
    done = lic("compress", photo_file, "--max-input", "99")
    assert done.returncode == 1 and b"exceeds the limit of 99" in done.stderr
    lic("compress", photo_file)
    packed = photo_file.with_name("photo.jpg.lic")
    for option, limit in {"--max-pixels": 287, "--max-input": 99, "--max-output": 99}.items():
        done = lic("decompress", packed, "-f", option, "6143" if option == "--max-pixels" else "99")
        assert done.returncode == 1 and done.stderr.endswith(f"exceeds the limit of {limit}\n".encode())
    assert photo_file.read_bytes() == jpeg_bytes()


def test_one_bad_file_does_not_keep_the_others_from_being_done(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes())
    lic("compress", tmp_path / "a.jpg")
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "0.jpg.lic").write_bytes(b"broken")
    done = lic("decompress", tmp_path)
    assert done.returncode == 1 and b"1 of 2 files failed" in done.stderr
    assert (tmp_path / "a.jpg").read_bytes() == jpeg_bytes()


def test_missing_files_are_named(tmp_path):
    done = lic("compress", tmp_path / "none.jpg")
    assert done.returncode == 1 and b"none.jpg: No such file" in done.stderr
    assert lic("compress", tmp_path).returncode == 1


def test_results_never_meet(tmp_path, photo_file):
    """Neither each other, nor the file they are made from, nor, without --force, any file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "x.jpg").write_bytes(jpeg_bytes())
    twice = lic("compress", tmp_path / "a/x.jpg", tmp_path / "b/x.jpg", "-o", tmp_path / "out", "-f")
    assert twice.returncode == 1 and b"written twice" in twice.stderr
    assert not (tmp_path / "out").exists()
    onto_itself = lic("compress", photo_file, "-o", photo_file, "-f")
    assert onto_itself.returncode == 1 and b"the file to be read" in onto_itself.stderr
    assert photo_file.read_bytes() == jpeg_bytes()
    (tmp_path / "photo.jpg.lic").symlink_to("nowhere")
    assert lic("compress", photo_file).returncode == 1


def test_odd_names(tmp_path):
    long = tmp_path / ("x" * 245 + ".jpg")
    long.write_bytes(jpeg_bytes())
    assert lic("compress", long).returncode == 0
    (tmp_path / ".lic").write_bytes(long.with_name(long.name + ".lic").read_bytes())
    assert lic("decompress", tmp_path / ".lic").returncode == 0
    assert (tmp_path / ".lic.restored").read_bytes() == jpeg_bytes()
    for arguments in (["-", long], [tmp_path, "-o", "-"]):
        done = lic("compress", *arguments, stdin=b"")
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("device", ["toaster", "meta"])
def test_unknown_devices_are_one_line(photo_file, device):
    done = lic("compress", photo_file, "--device", device)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and device.encode() in done.stderr
