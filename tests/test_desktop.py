"""What `make install-desktop` installs, tried with the programs that read it. Tests skip where these are missing."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image, ImageCms

import lic_native
from lic_native import image, jpeg

ROOT = Path(__file__).parents[1]
PACKAGE = str(Path(lic_native.__file__).parents[1])


def photo() -> bytes:
    """Return a JPEG file with a camera's name, which is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Camera 7", 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return jpeg_bytes(96, 160, exif=exif, icc_profile=profile)


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory) -> Path:
    """Return a folder with the command `lic-native` of this tree."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "lic-native"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE}" exec "{sys.executable}" -m lic_native "$@"\n')
    program.chmod(0o755)
    # Completions know the program by its name.
    (folder / "named").write_text("import sys\nsys.argv[0] = 'lic-native'\nfrom lic_native.cli import main\nmain()\n")
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{PACKAGE}" exec "{sys.executable}" "{folder}/named" "$@"\n')
    return folder


@pytest.fixture(scope="module")
def share(tmp_path_factory) -> Path:
    """Return the folder `share` of an installation."""
    needs("make", "install")
    if sys.platform != "linux":
        pytest.skip("the desktop of Linux")
    target = tmp_path_factory.mktemp("root")
    python = Path(sys.executable)
    command = ["make", "install-desktop", "--old-file=.venv/installed", f"BIN={python.parent}", f"DESTDIR={target}"]
    environment = {**os.environ, "PYTHONPATH": PACKAGE}
    done = subprocess.run([*command, "PREFIX=/usr"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target / "usr/share"


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "a photo.jpg.lic").write_bytes(jpeg.compress(photo()))
    (folder / "text.txt.lic").write_bytes(jpeg.compress(b"a text"))
    (folder / "lossy.lic").write_bytes(image.compress(photograph(64, 96), profile="fast", device="cpu"))
    return folder


def run(*command, path: Path | None = None, **environment) -> subprocess.CompletedProcess:
    search = f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"]
    environment = {**os.environ, "PATH": search, **environment}
    return subprocess.run([str(part) for part in command], env=environment, capture_output=True, timeout=120)


def output(*command, path: Path | None = None, **environment) -> str:
    done = run(*command, path=path, **environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_everything_is_where_linux_wants_it(share):
    assert sorted(str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()) == [
        "bash-completion/completions/lic-native",
        "fish/vendor_completions.d/lic-native.fish",
        "lic-native/lic-native.exiftool",
        "lic-native/lic-native.magic",
        "man/man1/lic-native.1",
        "mime/packages/lic-native.xml",
        "thumbnailers/lic-native.thumbnailer",
        "zsh/site-functions/_lic-native",
    ]


def test_file_names_the_kinds(share, packed):
    needs("file")
    magic = share / "lic-native/lic-native.magic"
    for name, kind in [
        ("a photo.jpg.lic", "JPEG file without loss"),
        ("text.txt.lic", "stored file"),
        ("lossy.lic", "image with loss"),
    ]:
        version = (packed / name).read_bytes()[4]
        assert output("file", "-b", "-m", magic, packed / name) == f"lic_native {kind}, version {version}\n"
        assert output("file", "-b", "--mime-type", "-m", magic, packed / name) == "image/x-lic\n"


def test_the_mime_database_knows_the_type(share, packed):
    needs("update-mime-database")
    assert run("update-mime-database", share / "mime", XDG_DATA_DIRS=str(share)).stderr == b""
    assert "image/x-lic" in (share / "mime/types").read_text()
    assert ":*.lic" in (share / "mime/globs").read_text()
    assert b"image/x-lic]\n>0=\0\4\x89LIC" in (share / "mime/magic").read_bytes()


def test_exiftool_shows_what_is_inside(share, packed, bin_folder, tmp_path):
    needs("exiftool")

    def tags(name: str) -> dict:
        config = share / "lic-native/lic-native.exiftool"
        return json.loads(output("exiftool", "-config", config, "-j", packed / name, path=bin_folder))[0]

    shown = tags("a photo.jpg.lic")
    expected = {"FileType": "LIC", "LicKind": "JPEG file without loss", "Make": "Maker", "Model": "Camera 7"}
    assert shown.items() >= {**expected, "ImageWidth": 160, "ImageHeight": 96}.items()
    assert not {"Warning", "Error"} & shown.keys(), shown
    assert tags("text.txt.lic")["LicKind"] == "Stored file" and tags("lossy.lic")["LicKind"] == "Image with loss"
    (packed / "$(touch x);.lic").write_bytes((packed / "a photo.jpg.lic").read_bytes()[:40])
    try:
        assert "can't read" in tags("$(touch x);.lic")["Warning"]
    finally:
        (packed / "$(touch x);.lic").unlink()


def test_the_head_has_the_metadata_without_the_picture(packed, bin_folder):
    head = run("lic-native", "inspect", "--head", packed / "a photo.jpg.lic", path=bin_folder).stdout
    shown, original = jpeg.metadata(head), jpeg.metadata(photo())
    assert (shown.exif, shown.camera, shown.width) == (original.exif, "Maker Camera 7", 160)
    assert shown.icc is not None and len(head) < len(photo())
    for name, message in [("text.txt.lic", "restores no JPEG"), ("missing", "No such file")]:
        done = run("lic-native", "inspect", "--head", packed / name, path=bin_folder)
        assert (done.returncode, done.stdout) == (1, b"") and message in done.stderr.decode()
    done = run("lic-native", "inspect", "--head", "--json", packed / "a photo.jpg.lic", path=bin_folder)
    assert done.returncode == 2


def test_the_thumbnailer_makes_thumbnails(share, packed, bin_folder, tmp_path):
    """As the entry says, with the placeholders of the specification."""
    entry = (share / "thumbnailers/lic-native.thumbnailer").read_text()
    assert "MimeType=image/x-lic;" in entry
    (line,) = re.findall("^Exec=(.*)$", entry, re.MULTILINE)
    for name, size in [("a photo.jpg.lic", (38, 64)), ("lossy.lic", (64, 43))]:
        target = tmp_path / "thumb.png"
        target.touch()
        filled = [part.replace("%s", "64").replace("%o", str(target)) for part in line.split()]
        output(*[str(packed / name) if part == "%i" else part for part in filled], path=bin_folder)
        with Image.open(target) as picture:
            assert (picture.format, picture.size, picture.getexif(), picture.info) == ("PNG", size, {}, {})
    done = run("lic-native", "thumbnail", packed / "lossy.lic", "-", path=bin_folder)
    assert Image.open(io.BytesIO(done.stdout)).size == (96, 64)
    done = run("lic-native", "thumbnail", packed / "text.txt.lic", tmp_path / "none.png", path=bin_folder)
    assert done.returncode == 1 and b"not JPEG" in done.stderr and not (tmp_path / "none.png").exists()


def test_the_manual_page_is_shown_without_a_warning(share):
    needs("man")
    done = run("man", "--warnings=w", "-l", share / "man/man1/lic-native.1", MANWIDTH="100", LC_ALL="C.UTF-8")
    text = re.sub(".\b", "", done.stdout.decode())
    assert (done.returncode, done.stderr) == (0, b"")
    for words in ("lic-native compress [options]", "--dry-run", "EXIT STATUS", "lic-native bulk run"):
        assert words in text


#: A script of each shell that prints the completions of "lic-native compress --pro" and of "lic-native in".
SHELLS = {
    "bash": "source {}; for COMP_LINE in 'lic-native compress --pro' 'lic-native in'; do COMP_WORDS=($COMP_LINE); "
    "COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _lic_native_completion lic-native; echo ${{COMPREPLY[@]}}; done",
    "fish": "source {}; complete -C 'lic-native compress --pro'; complete -C 'lic-native in'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete_commands_and_options(share, bin_folder, shell):
    needs(shell)
    (script,) = (
        path for path in share.rglob("*lic-native*") if shell in path.parts[-3:-1] or shell in str(path.parent)
    )
    shown = output(shell, "-c", SHELLS[shell].format(script), path=bin_folder)
    assert [line.split()[0] for line in shown.splitlines() if line] == ["--profile", "inspect"]


def test_zsh_asks_the_program(share, bin_folder):
    """Its function only works while a line is edited, so that the question is asked as it asks it."""
    needs("zsh")
    assert run("zsh", "-n", share / "zsh/site-functions/_lic-native").returncode == 0
    question = {"_LIC_NATIVE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "lic-native compress --pro"}
    assert '"--profile"' in output("lic-native", path=bin_folder, **question)
