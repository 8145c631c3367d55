"""The command `lic-native`, run in a process of its own."""

import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import xxhash
from conftest import jpeg_bytes, photograph
from PIL import Image

from lic_native import image, jpeg
from lic_native.models import registry


def lic(*arguments, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lic_native", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=300)


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_bytes())
    return path


def test_a_file_round_trips(photo_file):
    original = photo_file.read_bytes()
    done = lic("compress", photo_file)
    assert done.returncode == 0 and b"% saved" in done.stderr
    packed = photo_file.with_name("photo.jpg.lic")
    assert packed.stat().st_size < len(original)
    assert packed.stat().st_mtime == photo_file.stat().st_mtime
    photo_file.unlink()
    assert lic("decompress", packed).returncode == 0
    assert photo_file.read_bytes() == original


def test_files_name_the_model_of_their_profile(photo_file):
    original = photo_file.read_bytes()
    for profile, model in registry.PROFILES.items():
        packed = photo_file.with_suffix(f".{profile}.lic")
        assert lic("compress", photo_file, "-o", packed, "--profile", profile).returncode == 0
        assert json.loads(lic("inspect", packed, "--json").stdout)["pictures"][0]["model"] == model
        assert lic("decompress", packed, "-o", "-").stdout == original
    done = lic("compress", photo_file, "--profile", "better", "-o", "-")
    assert done.returncode == 2 and b"unknown profile 'better'; choose from: native, quick, fast, best" in done.stderr


def test_a_folder_round_trips(tmp_path):
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
    assert (info["kind"], picture["width"], picture["height"], picture["model"]) == ("jpeg", 128, 96, "native")
    assert info["file_bytes"] == packed.stat().st_size
    assert b"native" in lic("inspect", packed).stdout
    original = photo_file.read_bytes()
    assert info["restored_xxh3"] == xxhash.xxh3_64_hexdigest(original)
    assert info["sha256"] == hashlib.sha256(original).hexdigest() and "sha1" not in info
    hashed = json.loads(lic("inspect", "--json", "--hashes", packed).stdout)
    assert hashed["sha256"] == hashlib.sha256(original).hexdigest()
    assert hashed["sha1"] == hashlib.sha1(original).hexdigest()
    lic("compress", photo_file, "--force", "--sha1", "--no-sha256")
    held = json.loads(lic("inspect", "--json", packed).stdout)
    assert held["sha1"] == hashed["sha1"] and "sha256" not in held
    both = lic("inspect", packed, photo_file)
    assert both.returncode == 1 and b"photo.jpg: not a .lic file: it is a JPEG file" in both.stderr
    assert both.stdout.startswith(str(packed).encode())


def test_files_are_replaced_only_with_force(photo_file):
    packed = photo_file.with_name("photo.jpg.lic")
    packed.write_bytes(b"something else")
    refused = lic("compress", photo_file)
    assert refused.returncode == 1 and b"photo.jpg.lic: exists, and holds something else; --force" in refused.stderr
    assert packed.read_bytes() == b"something else"
    assert lic("compress", "--force", photo_file).returncode == 0
    assert packed.read_bytes() == jpeg.compress(photo_file.read_bytes())


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


def test_a_failure_does_not_stop_the_other_files(tmp_path):
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
    done = lic("compress", tmp_path)
    assert done.returncode == 1 and f"{tmp_path}: there is no JPEG file to compress".encode() in done.stderr


def test_results_never_replace_sources_or_each_other(tmp_path, photo_file):
    """A result never replaces another result or its source, nor, without --force, any other file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "x.jpg").write_bytes(jpeg_bytes())
    twice = lic("compress", tmp_path / "a/x.jpg", tmp_path / "b/x.jpg", "-o", tmp_path / "out", "-f")
    assert twice.returncode == 1 and b"written twice" in twice.stderr
    assert not (tmp_path / "out").exists()
    onto_itself = lic("compress", photo_file, "-o", photo_file, "-f")
    assert onto_itself.returncode == 1 and b"the output is the source itself" in onto_itself.stderr
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
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("device", ["toaster", "meta"])
def test_unknown_devices_are_one_line(photo_file, device):
    done = lic("compress", photo_file, "--device", device)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and device.encode() in done.stderr


def shown(path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    return picture


@pytest.fixture
def picture(tmp_path):
    """An image file with transparency and metadata."""
    path = tmp_path / "picture.png"
    exif = Image.Exif()
    exif[270] = "a shed"
    alpha = photograph(40, 56, seed=1)[..., :1]
    picture = Image.fromarray(np.concatenate([photograph(40, 56), alpha], 2))
    picture.save(path, exif=exif, icc_profile=bytes(range(256)))
    return path


def test_an_image_round_trips(picture):
    packed = picture.with_name("small.lic")
    done = lic("compress", picture, "-q", "4.5", "-o", packed)
    assert done.returncode == 0 and b"% saved" in done.stderr
    assert packed.read_bytes() == image.compress(shown(picture), quality=4.5)
    assert lic("decompress", packed).returncode == 0
    again, decoded = shown(picture.with_name("small.png")), image.decompress(packed.read_bytes())
    assert again.format == "PNG" and again.getexif()[270] == "a shed" and again.info["icc_profile"] == bytes(range(256))
    assert np.array_equal(again, decoded)
    assert np.array_equal(again.getchannel("A"), shown(picture).getchannel("A"))
    assert b"skipped" in lic("decompress", packed).stderr

    info = json.loads(lic("inspect", packed, "--json").stdout)
    assert info["quality"] == 4.5 and info["metadata"] == ["exif", "icc_profile"]
    assert (info["kind"], info["width"], info["height"], info["mode"]) == ("image", 56, 40, "RGBA")
    lines = lic("inspect", packed).stdout.decode().splitlines()
    assert (
        f"model              {registry.of_image_profile(None)}" in lines
        and "metadata           exif, icc_profile" in lines
    )


def test_a_profile_of_both_kinds_is_lossless_without_a_quality(photo_file):
    packed = photo_file.with_name("small.lic")
    for options, kind in (([], "jpeg"), (["-q", "4", "-f"], "image")):
        assert lic("compress", photo_file, "--profile", "fast", *options, "-o", packed).returncode == 0
        info = json.loads(lic("inspect", packed, "--json").stdout)
        model = info["model"] if options else info["pictures"][0]["model"]
        assert (info["kind"], model) == (kind, (registry.IMAGE_PROFILES if options else registry.PROFILES)["fast"])


def test_overfitting_says_what_it_has_gained(picture):
    packed = picture.with_name("small.lic")
    done = lic("compress", picture, "-q", "4", "--lof", "3", "-o", packed)
    assert done.returncode == 0 and b"small.lic: overfitting changed latents by" in done.stderr
    assert packed.read_bytes() == image.compress(shown(picture), quality=4, lof=3)
    assert lic("decompress", packed).returncode == 0


def test_an_image_is_written_in_the_format_of_its_name(picture):
    """The suffix of the output selects the format. Without a name it is PNG."""
    lic("compress", picture, "--profile", "bls2017", "-q", "4")
    packed = picture.with_name("picture.png.lic")
    info = json.loads(lic("inspect", packed, "--json").stdout)
    assert (info["model"], info["quality"]) == ("bls2017", image.QUALITY)
    for suffix, expected in {".tif": "TIFF", ".WEBP": "WEBP"}.items():
        target = picture.with_suffix(suffix)
        assert lic("decompress", packed, "-o", target).returncode == 0
        assert shown(target).format == expected and shown(target).getexif()[270] == "a shed"
    piped = lic("decompress", "-", stdin=packed.read_bytes()).stdout
    assert Image.open(io.BytesIO(piped)).format == "PNG"
    for suffix, complaint in {".jpg": b"RGBA as JPEG", ".txt": b"writes no .txt", "": b"without a suffix"}.items():
        target = picture.with_suffix(suffix)
        done = lic("decompress", packed, "-o", target)
        assert done.returncode == 1 and complaint in done.stderr and done.stderr.count(b"\n") == 1
        assert not target.exists()


def test_a_folder_of_images_round_trips(tmp_path):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    sizes = {"a.png": (40, 30), "deep/b.jpg": (33, 50), "deep/c.webp": (16, 16), "d.TIF": (20, 20)}
    for name, size in sizes.items():
        Image.fromarray(photograph(*size[::-1])).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    Image.new("CMYK", (9, 9)).save(folder / "ink.jpg")
    done = lic("compress", folder, "-q", "2", "-o", tmp_path / "packed")
    assert done.returncode == 1 and b"2 of 6 files failed" in done.stderr
    assert b"broken.png: Pillow can't read it" in done.stderr and b"ink.jpg: mode 'CMYK'" in done.stderr
    (tmp_path / "packed" / "kept.txt.lic").write_bytes(lic("compress", "-", stdin=b"no image").stdout)
    assert lic("decompress", tmp_path / "packed", "-o", tmp_path / "out").returncode == 0
    made = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*.*")}
    assert made.pop("kept.txt").read_bytes() == b"no image"
    names = {"a.png": "a.png", "deep/b.jpg": "deep/b.jpg.png", "deep/c.webp": "deep/c.webp.png", "d.TIF": "d.TIF"}
    assert {name: shown(path).size for name, path in made.items()} == {names[k]: v for k, v in sizes.items()}


def test_compression_is_lossless_without_a_quality(picture):
    done = lic("compress", picture)
    assert done.returncode == 0 and b"; stored: " in done.stderr and b"with loss" not in done.stderr
    packed = picture.with_name("picture.png.lic")
    assert lic("decompress", packed, "-o", "-").stdout == picture.read_bytes()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-q", "9"], b"quality 9.0 is not from 1 to 8"),
        (["-q", "4", "--profile", "native"], b"profile 'native' loses nothing and has no quality"),
        (["-q", "4", "--profile", "better"], b"unknown profile 'better'; choose from: balanced, fast, best, bls2017"),
        (["--profile", "balanced"], b"profile 'balanced' codes images with loss: add a quality"),
        (["-q", "4", "--rm"], b"--rm with --quality would lose the originals"),
        (["-j", "-1"], b"threads must be 0 or more"),
        (["-c", "-o", "x"], b"--stdout and --output contradict each other"),
        (["-c", "--json"], b"--json and the result would both go to stdout"),
        (["-q", "4", "--device", "toaster"], b"toaster"),
        (["-q", "4", "--profile", "bls2017", "--lof", "9"], b"model bls2017 has no latent overfitting"),
        (["--lof", "9"], b"--lof is for images with loss"),
        (
            ["--profile", "better"],
            b"unknown profile 'better'; choose from: native, quick, fast, best, balanced, bls2017",
        ),
    ],
)
def test_contradicting_options_are_one_line(picture, options, complaint):
    done = lic("compress", picture, *options)
    assert done.returncode == 2 and complaint in done.stderr and done.stderr.count(b"\n") == 1
    assert not picture.with_name("picture.png.lic").exists()


def test_an_image_over_the_limit_is_one_line(picture):
    done = lic("compress", picture, "-q", "4", "--max-pixels", "2239")
    assert done.returncode == 1 and b"2240 pixels exceeds the limit of 2239" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_damaged_image_is_one_line_and_status_1(picture):
    packed = picture.with_name("small.lic")
    data = image.compress(shown(picture), quality=1)
    packed.write_bytes(data[:-9])
    for command in (["decompress", packed], ["inspect", packed]):
        done = lic(*command)
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and done.stderr.startswith(b"lic-native: ")
    assert lic("compress", "-", "-q", "2", stdin=b"no image").returncode == 1
    assert not packed.with_suffix(".png").exists()
