"""Command lines that people type: the exit status and the last line of output of each."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image

import lic_native
from lic_native import jpeg

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(lic_native.__file__).parents[1])}
SAVED = r"bytes, [\d.]+ % saved$"
USAGE = r"^lic-native: "

#: Command line, exit status, and a pattern for the last line of stderr, or of stdout if stderr is empty.
CASES = [
    # The command itself
    ("", 2, "128|stopped"),
    ("--help", 0, "stopped"),
    ("-h", 0, "stopped"),
    ("--version", 0, r"^lic-native \d+\.\d+\.\d+$"),
    ("-V", 0, r"^lic-native \d"),
    ("--bogus", 2, "No such option"),
    ("comprss a.jpg", 2, "Did you mean 'compress'"),
    ("frobnicate", 2, "No such command"),
    ("compress --help", 0, "stopped"),
    ("compress -h", 0, "stopped"),
    ("decompress --help", 0, "stopped"),
    ("test -h", 0, "stopped"),
    ("list -h", 0, "stopped"),
    ("inspect -h", 0, "help"),
    ("evaluate -h", 0, "latency"),
    ("evaluate jpeg -h", 0, "help"),
    ("train -h", 0, "native"),
    ("train jpeg -h", 0, "help"),
    ("compress", 2, "name a file or a folder"),
    ("decompress", 2, "name a file or a folder"),
    ("test", 2, "name a file or a folder"),
    ("list", 2, "name a file or a folder"),
    ("inspect", 2, "name a file or a folder"),
    # One file
    ("compress a.jpg", 0, rf"^a\.jpg -> a\.jpg\.lic: {SAVED}".replace("bytes", r"[\d,]+ -> [\d,]+ bytes")),
    ("compress ./a.jpg", 0, SAVED),
    ("compress a.jpg -o b.lic", 0, r"^a\.jpg -> b\.lic: "),
    ("compress a.jpg --output=b.lic", 0, r"^a\.jpg -> b\.lic: "),
    ("compress -o b.lic a.jpg", 0, r"^a\.jpg -> b\.lic: "),
    ("compress a.jpg -o deep/er/b.lic", 0, r"-> deep/er/b\.lic: "),
    ("compress a.jpg -o photos", 0, r"-> photos/a\.jpg\.lic: "),
    ("compress a.jpg -o new/", 0, r"-> new/a\.jpg\.lic: "),
    ("compress a.jpg -o -", 0, SAVED),
    ("compress a.jpg -c", 0, SAVED),
    ("compress a.jpg --stdout", 0, SAVED),
    ("compress a.jpg -c -o b", 2, "--stdout and --output contradict each other"),
    ("compress a.jpg -c --json", 2, "--json and the result would both go to stdout"),
    ("compress a.jpg -c --rm", 2, "--rm can't read back"),
    ("compress a.jpg -o ''", 2, "--output is empty"),
    ("compress ''", 2, "is a variable not set"),
    ("compress a.jpg ''", 2, "is a variable not set"),
    ("compress - <a.jpg", 0, "^- -> -: "),
    ("compress - -o b.lic <a.jpg", 0, r"^- -> b\.lic: "),
    ("compress - -o photos <a.jpg", 2, "stdin has no name for its result"),
    ("compress - -o new/ <a.jpg", 2, "stdin has no name for its result"),
    ("compress - a.jpg", 2, "- stands for one file"),
    ("compress photos -o -", 2, "- stands for one file"),
    ("compress -- -dash.jpg", 0, r"^-dash\.jpg -> -dash\.jpg\.lic"),
    ("compress ./-dash.jpg", 0, SAVED),
    ("compress -dash.jpg", 2, "No such option"),
    ("compress none.jpg", 1, r"^lic-native: none\.jpg: No such file or directory$"),
    ("compress '*.gif'", 1, r"\*\.gif: No such file"),
    ("compress done.jpg", 0, r"skipped: done\.jpg\.lic exists already$"),
    ("compress done.jpg -f", 0, SAVED),
    ("compress done.jpg --force", 0, SAVED),
    ("compress a.jpg -o text.txt", 1, r"text\.txt: exists, and holds something else; --force replaces it$"),
    ("compress a.jpg -o text.txt -f", 0, SAVED),
    ("compress a.jpg -o a.jpg", 1, "the output is the source itself"),
    ("compress a.jpg -o a.jpg -f", 1, "the output is the source itself"),
    ("compress a.jpg -o text.txt/b.lic", 1, r"text\.txt/b\.lic: Not a directory"),
    ("compress a.jpg -o /dev/null", 0, SAVED),
    ("compress a.jpg -o /dev/null -f", 0, SAVED),
    ("compress a.jpg -o /dev/full", 1, "^lic-native: /dev/full: No space left on device$"),
    ("compress a.jpg -o /proc/x", 1, "^lic-native: /proc/x: "),
    ("compress text.txt", 0, "stored: "),
    ("compress empty.txt", 0, "stored: "),
    ("compress done.jpg.lic", 0, r"is a \.lic file already"),
    ("compress done.jpg.lic -o twice.lic", 0, "stored: "),
    ("compress a.jpg --rm", 0, SAVED),
    ("compress a.jpg --keep", 0, SAVED),
    ("compress a.jpg -k", 0, SAVED),
    ("compress a.jpg -n", 0, r"^a\.jpg -> a\.jpg\.lic$"),
    ("compress a.jpg --dry-run", 0, r"^a\.jpg -> a\.jpg\.lic$"),
    ("compress a.jpg -j 1", 0, SAVED),
    ("compress a.jpg --threads 2", 0, SAVED),
    ("compress a.jpg -j -1", 2, "threads must be 0 or more"),
    ("compress a.jpg -j x", 2, "Invalid value"),
    ("compress a.jpg -v", 0, SAVED),
    ("compress a.jpg --verbose", 0, SAVED),
    ("compress a.jpg --quiet", 0, "^$"),
    ("compress a.jpg --json", 0, '"status": "sum"'),
    ("compress a.jpg --max-input 1K", 1, "input of 2469 bytes exceeds the limit of 1024"),
    ("compress a.jpg --max-input 64MiB", 0, SAVED),
    ("compress a.jpg --max-input 1MB", 0, SAVED),
    ("compress a.jpg --max-input 1.5G", 0, SAVED),
    ("compress a.jpg --max-input much", 2, "is not a size"),
    ("compress a.jpg --max-input -5", 2, "is not a size"),
    ("compress a.jpg --max-pixels 100", 0, "stored: .*limit"),
    ("compress a.jpg --profile native", 0, SAVED),
    ("compress a.jpg --profile turbo", 2, "unknown profile 'turbo'; choose from: native, quick, fast, best"),
    ("compress a.jpg --profile balanced", 2, "codes images with loss: add a quality"),
    ("compress a.jpg --profile bls2017", 2, "codes images with loss"),
    ("compress a.jpg --device gpu", 2, "unknown device 'gpu'; choose from: cpu, cuda"),
    ("compress a.jpg --device cpu", 0, SAVED),
    ("compress a.jpg --lof 9", 2, "--lof is for images with loss"),
    ("compress a.jpg -q 9", 2, "quality 9.0 is not from 1 to 8"),
    ("compress a.jpg -q high", 2, "Invalid value"),
    ("compress a.jpg -q 4 --profile native", 2, "has no quality"),
    ("compress a.jpg -q 4 --profile turbo", 2, "unknown profile 'turbo'; choose from: balanced"),
    ("compress a.jpg -q 4 --rm", 2, "would lose the originals"),
    ("compress a.jpg -q 4 --lof -1", 2, "lof|overfitting"),
    ("compress picture.png", 0, "stored: "),
    # Several files
    ("compress a.jpg done.jpg", 0, r"^1 file: .*% saved, [\d.]+ s; 1 done already$"),
    ("compress a.jpg none.jpg", 1, "1 of 2 files failed$"),
    ("compress none.jpg none.gif", 1, "all 2 files failed$"),
    ("compress a.jpg a.jpg", 0, SAVED),
    ("compress a.jpg ./a.jpg photos/../a.jpg", 0, SAVED),
    ("compress a.jpg photos/1.jpg done.jpg twin/1.jpg -o out", 1, "1 of 3 files failed$"),
    ("compress none.jpg -n", 1, r"^lic-native: none\.jpg: No such file"),
    ("compress done.jpg -n", 0, "skipped: "),
    ("compress done.jpg -n -f", 0, r"^done\.jpg -> done\.jpg\.lic$"),
    ("compress done.jpg.lic -n", 0, r"is a \.lic file already"),
    ("compress a.jpg -o text.txt -n", 1, "holds something else"),
    ("decompress a.jpg -n", 1, r"not a \.lic file: it is a JPEG file$"),
    ("compress a.jpg -o /dev/stdout", 0, "^a.jpg -> -: "),
    ("compress a.jpg done.jpg -o out", 0, "^2 files: "),
    ("compress a.jpg done.jpg -o out/", 0, "^2 files: "),
    ("compress a.jpg done.jpg -o text.txt", 2, r"several results need a folder, but --output text\.txt is a file"),
    ("compress photos", 0, r"^2 files: .*% saved, [\d.]+ s; 2 of other kinds ignored$"),
    ("compress photos/", 0, "^2 files: "),
    ("compress photos -o packed", 0, "^2 files: "),
    ("compress photos -v", 0, "^2 files: "),
    ("compress photos --quiet", 0, "^$"),
    ("compress photos -n", 0, "^2 files: would be compressed"),
    ("compress empty", 1, "^lic-native: empty: there is no JPEG file to compress: the folder is empty$"),
    ("compress texts", 1, "texts: there is no JPEG file to compress among 1 file$"),
    ("compress --files0-from list", 0, "^2 files: "),
    ("compress --files0-from - <list", 0, "^2 files: "),
    ("compress --files0-from none", 1, "none: No such file"),
    # Decompression
    ("decompress done.jpg.lic", 0, r"skipped: done\.jpg exists already"),
    ("decompress done.jpg.lic -f", 0, r"^done\.jpg\.lic -> done\.jpg: "),
    ("decompress done.jpg.lic -o x.jpg", 0, r"-> x\.jpg: "),
    ("decompress done.jpg.lic -o x.png", 1, "restores a JPEG file.* rename it"),
    ("decompress done.jpg.lic -o x.bin", 0, r"-> x\.bin: "),
    ("decompress done.jpg.lic -o new/", 0, r"-> new/done\.jpg: "),
    ("decompress done.jpg.lic -c", 0, "-> -: "),
    ("decompress - <done.jpg.lic", 0, "^- -> -: "),
    ("decompress - -o x.jpg <done.jpg.lic", 0, r"^- -> x\.jpg: "),
    ("decompress renamed.bin", 0, r"-> renamed\.bin\.restored: "),
    ("decompress a.jpg", 1, r"^lic-native: a\.jpg: not a \.lic file: it is a JPEG file$"),
    ("decompress text.txt", 1, r"text\.txt: not a \.lic file"),
    ("decompress empty.txt", 1, r"empty\.txt: truncated at byte 0: the file is empty$"),
    ("decompress tensor.lit", 1, r"not a \.lic file: it is a tensor"),
    ("decompress cut.lic", 1, r"^lic-native: cut\.lic: "),
    ("decompress flipped.lic", 1, r"^lic-native: flipped\.lic: corrupt"),
    ("decompress none.lic", 1, "No such file"),
    ("decompress folder -o back", 0, "^2 files: "),
    ("decompress texts", 1, r"texts: there is no \.lic file to decompress among 1 file$"),
    ("decompress done.jpg.lic --max-output 1K -f", 1, "exceeds the limit of 1024"),
    ("decompress done.jpg.lic -q 4", 2, "No such option"),
    # Commands that only read
    ("test done.jpg.lic", 0, r"^done\.jpg\.lic: good$"),
    ("test folder", 0, "^2 files: good"),
    ("test - <done.jpg.lic", 0, "^-: good$"),
    ("test cut.lic", 1, r"^lic-native: cut\.lic: "),
    ("test flipped.lic done.jpg.lic", 1, "1 of 2 files failed$"),
    ("test a.jpg", 1, "it is a JPEG file"),
    ("list folder", 0, "2 files$"),
    ("list done.jpg.lic", 0, r"done\.jpg\.lic$"),
    ("list done.jpg.lic cut.lic", 1, r"^lic-native: cut\.lic: "),
    ("inspect done.jpg.lic", 0, "native: "),
    ("inspect done.jpg.lic --json", 0, '^{"kind": "jpeg"'),
    ("inspect done.jpg.lic renamed.bin", 0, "native: "),
    ("inspect - <done.jpg.lic", 0, "native: "),
    ("inspect a.jpg", 1, "it is a JPEG file"),
    ("inspect folder", 1, "folder: Is a directory"),
    ("inspect empty.txt", 1, "the file is empty$"),
]


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    from lic_native import encode

    photo, other = jpeg_bytes(), jpeg_bytes(48, 64, seed=1)
    packed = jpeg.compress(photo, profile="native")
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 4
    picture = io.BytesIO()
    Image.fromarray(photograph(16, 16)).save(picture, "PNG")
    import numpy as np

    return {
        "a.jpg": photo,
        "done.jpg": photo,
        "done.jpg.lic": packed,
        "renamed.bin": packed,
        "-dash.jpg": other,
        "text.txt": b"text",
        "empty.txt": b"",
        "tensor.lit": encode(np.arange(9)),
        "picture.png": picture.getvalue(),
        "cut.lic": packed[:-9],
        "flipped.lic": bytes(flipped),
        "photos/1.jpg": photo,
        "photos/deep/2.JPEG": other,
        "photos/notes.txt": b"text",
        "photos/movie.bin": bytes(20),
        "texts/notes.txt": b"text",
        "twin/1.jpg": other,
        "folder/1.jpg.lic": packed,
        "folder/2.jpg.LIC": jpeg.compress(other, profile="native"),
        "list": b"a.jpg\0-dash.jpg\0".replace(b"-dash", b"./-dash"),
    }


@pytest.mark.parametrize(("line", "status", "last"), CASES, ids=[case[0] or "nothing" for case in CASES])
def test_invocation(line, status, last, contents, tmp_path):
    for name, data in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m lic_native {line}'],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    said = (done.stderr or done.stdout).decode("utf-8", "replace").splitlines() or [""]
    assert done.returncode == status, said
    assert b"Traceback" not in done.stderr
    assert re.search(last, said[-1] if status == 0 or "Usage" in said[0] or len(said) > 1 else said[0]), said
    if status == 2:
        assert all((tmp_path / name).read_bytes() == data for name, data in contents.items())
    assert not list(tmp_path.rglob(".lic-*"))
