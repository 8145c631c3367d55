"""Savings of JPEG files."""

import csv
import json
import os
import sys
import textwrap

import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image

import lic_native
from lic_native.cli import app
from lic_native.errors import LicError
from lic_native.evaluation import jpeg
from lic_native.evaluation.codecs import brunsli, jpeg_codecs, jpeg_peers, ours
from lic_native.evaluation.engine import Codec
from lic_native.evaluation.jpeg import FileSet, file_sets, stage_table, summary, table

PHOTOS = FileSet(None, None, [jpeg_bytes(seed=1), jpeg_bytes(40, 56, seed=2)])


def measure(codec: Codec, file_set: FileSet) -> jpeg.Saving:
    return jpeg.measure_set(codec, file_set)[0]


@pytest.fixture
def images(tmp_path):
    """Make a folder with a JPEG file, another image and a text."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg_bytes())
    Image.fromarray(photograph(64, 64)).save(folder / "b.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def sampling(data: bytes) -> list[tuple[int, int]]:
    return lic_native.jpeg.read_coefficients(data).sampling


def test_sets_are_files_as_they_are_and_each_quality_and_sampling(images):
    kinds = {
        "4:2:0": [(2, 2), (1, 1), (1, 1)],
        "4:2:2": [(2, 1), (1, 1), (1, 1)],
        "4:4:4": [(1, 1)] * 3,
        "gray": [(1, 1)],
    }
    first, *made = file_sets(images, [50, 75, 50], list(kinds))
    assert first == FileSet(None, None, [jpeg_bytes()])
    assert [(s.quality, s.sampling) for s in made] == [(q, s) for s in kinds for q in (50, 75)]
    assert all(sampling(s.files[0]) == kinds[s.sampling] for s in made)
    assert all(len(low.files[0]) < len(high.files[0]) for low, high in zip(made[::2], made[1::2]))


def test_what_pillow_cannot_write_is_refused_before_anything_is_measured(images, tmp_path):
    for qualities, samplings in (([0], ["4:2:0"]), ([101], ["4:2:0"]), ([75], ["4:1:1"])):
        with pytest.raises(ValueError, match=r"unknown sampling '4:1:1'; choose from: 4:2:0|not from 1 to 100"):
            next(file_sets(images, qualities, samplings))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        next(file_sets(tmp_path / "empty", [75], ["4:2:0"]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"csv_file": "none/rows.csv"}, FileNotFoundError, "none"),
        ({"csv_file": "b.png/rows.csv"}, NotADirectoryError, "b.png"),
        ({"csv_file": "."}, IsADirectoryError, "images"),
        ({"plot_file": "plot.nonsense"}, ValueError, "plot.nonsense must end in one of .png, .svg"),
        ({"plot_file": "none/plot.png"}, FileNotFoundError, "none"),
        ({"qualities": [0]}, ValueError, "quality 0 is not from 1 to 100"),
        ({"samplings": ["4:1:1"]}, ValueError, "unknown sampling '4:1:1'; choose from: 4:2:0, "),
        ({"profiles": ["native", "fastest"]}, ValueError, "unknown profile 'fastest'"),
        ({"device": "gpu"}, ValueError, "unknown device 'gpu'"),
        ({"folder": "none"}, FileNotFoundError, "there is no such folder"),
    ],
    ids=str,
)
def test_what_can_be_refused_is_refused_before_anything_is_measured(images, monkeypatch, options, error, message):
    monkeypatch.setattr(jpeg, "measure_set", lambda *_: pytest.fail("measured"))
    folder = images / options.pop("folder", "")
    given = {name: images / value if name.endswith("_file") else value for name, value in options.items()}
    with pytest.raises(error, match=message):
        jpeg.run(folder, **{"qualities": [75], "samplings": ["4:2:0"], "profiles": ["native"]} | given)


def test_an_image_that_is_cut_is_named(images):
    (images / "b.png").write_bytes((images / "b.png").read_bytes()[:500])
    with pytest.raises(LicError, match=r"b\.png can't be read: image file is truncated"):
        list(file_sets(images, [75], ["4:2:0"]))


def test_every_codec_is_measured_on_the_same_files(images):
    sets = list(file_sets(images, [80], ["4:2:0"]))
    codecs = jpeg_codecs()
    rows = [measure(codec, files) for files in sets for codec in codecs]
    names = [codec.name for codec in codecs]
    assert [row.codec for row in rows] == names * 2
    assert [row.jpeg_bytes for row in rows] == [len(s.files[0]) for s in sets for _ in names]
    assert all((row.files, row.exact, row.refused) == (1, 1, 0) for row in rows)
    assert all(f"| {row.codec} | {row.coded_bytes:,} |" in table(rows) for row in rows)
    lines = summary(rows).splitlines()
    assert len(lines) == 4 and lines[3].startswith(f"| 80 | 4:2:0 | {rows[len(names)].saving_percent:.2f} % |")


def test_ours_are_those_with_weights_and_others_are_refused():
    assert [codec.name for codec in jpeg_codecs(["fast"])][:1] == ["lic_native fast"]
    with pytest.raises(ValueError, match=r"unknown profile 'fastest'; choose from: native, quick, fast, best"):
        jpeg_codecs(["fast", "fastest"])


def test_refusals_count_as_stored_and_wrong_bytes_are_seen():
    def refuse(data: bytes) -> bytes:
        raise RuntimeError("too odd")

    files = FileSet(75, "gray", [b"abcd", b"efgh12"])
    refusing = measure(Codec("refuses", refuse, refuse), files)
    assert (refusing.quality, refusing.sampling, refusing.files) == (75, "gray", 2)
    assert (refusing.coded_bytes, refusing.refused, refusing.exact, refusing.saving_percent) == (10, 2, 0, 0.0)
    wrong = measure(Codec("wrong", lambda data: data[:2], lambda data: data), files)
    assert (wrong.coded_bytes, wrong.refused, wrong.exact, wrong.saving_percent) == (4, 0, 0, 60.0)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Make a PATH with stand-ins for peers that are commands. They invert every bit, and refuse all but JPEG files."""

    def add(name: str, body: str) -> None:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        head = """
            import sys
            from pathlib import Path
            def convert(source, target, start):
                data = Path(source).read_bytes()
                if not data.startswith(start):
                    sys.exit(f"{source}: not for me")
                Path(target).write_bytes(bytes(255 - x for x in data))
            jpeg, coded = bytes([255, 216]), bytes([0, 39])
        """
        path.write_text(f"#!{sys.executable} -S\n{textwrap.dedent(head)}\n{textwrap.dedent(body)}")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    return add


def test_brunsli_by_its_commands(commands):
    commands("cbrunsli", "convert(*sys.argv[1:], jpeg)")
    assert brunsli.by_commands() is None
    commands("dbrunsli", "convert(*sys.argv[1:], coded)")
    row = measure(brunsli.by_commands(), PHOTOS)
    assert (row.codec, row.exact, row.refused, row.saving_percent) == ("brunsli", 2, 0, 0.0)


def test_packjpg_names_its_results_and_never_overwrites(commands):
    commands(
        "packJPG",
        """
        assert sys.argv[1] == "-np", "waits for a key"
        source = Path(sys.argv[2])
        packs = source.read_bytes().startswith(jpeg)
        target = source.with_suffix(".pjg" if packs else ".jpg")
        assert not target.exists()
        convert(source, target, jpeg if packs else coded)
        """,
    )
    [codec] = [codec for codec in jpeg_peers() if codec.name == "packJPG"]
    row = measure(codec, PHOTOS)
    assert (row.exact, row.refused) == (2, 0)
    row = measure(codec, FileSet(None, None, [*PHOTOS.files, b"no JPEG"]))
    assert (row.exact, row.refused, row.coded_bytes) == (2, 1, row.jpeg_bytes)


def test_paq8px_and_a_command_that_restores_something_else(commands):
    commands("paq8px", "convert(*sys.argv[2:], jpeg if sys.argv[1] == '-8' else coded)")
    [codec] = [codec for codec in jpeg_peers() if codec.name == "paq8px -8"]
    assert measure(codec, PHOTOS).exact == 2
    commands("paq8px", "convert(*sys.argv[2:], jpeg) if sys.argv[1] == '-8' else Path(sys.argv[3]).write_bytes(jpeg)")
    row = measure(codec, PHOTOS)
    assert (row.exact, row.refused) == (0, 0)


def test_brunsli_by_the_library_of_imagecodecs():
    codec = brunsli.by_library()
    if codec is None:
        pytest.skip("imagecodecs is not there or has no brunsli")
    row = measure(codec, FileSet(None, None, [*PHOTOS.files, b"no JPEG"]))
    assert (row.exact, row.refused) == (2, 1) and row.saving_percent > 5


def test_stages_are_those_of_compress_and_decompress_and_take_their_time():
    [codec] = ours.jpeg_codecs(["fast"])
    stored = b"no JPEG" * 20
    _, rows = jpeg.measure_set(codec, FileSet(75, "4:2:0", [*PHOTOS.files, stored]))
    assert [(r.quality, r.codec, r.direction) for r in rows] == [
        (75, "lic_native fast", "encode"),
        (75, "lic_native fast", "decode"),
    ]
    assert {r.jpeg_bytes for r in rows} == {sum(map(len, PHOTOS.files))}
    encode, decode = (r.seconds for r in rows)
    for seconds in (encode, decode):
        assert min(seconds.values()) > 0
        assert seconds["network"] > seconds["parse"] + seconds["write"]
    # A result is decoded to verify it, which a checksum does for the decoder.
    assert encode["verification"] > 10 * decode["verification"]
    assert stage_table(rows).count("| lic_native fast, ") == 2
    assert jpeg.measure_set(codec, FileSet(None, None, [stored]))[1] == []
    assert jpeg.measure_set(Codec("other", bytes, bytes), PHOTOS)[1] == []


def test_command_prints_tables_and_writes_files(images, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options = f"--quality 50 --quality 75 --profile fast --csv {tmp_path}/rows.csv --plot {tmp_path}/rows.png"
    app(["evaluate", "jpeg", str(images), *options.split()], standalone_mode=False)
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("1 files, ")] == [
        str(s) for s in file_sets(images, [50, 75], ["4:2:0"])
    ]
    assert out.count("| codec |") == 3 and out.count("| quality | sampling |") == 1
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["quality"], r["sampling"]) for r in rows if r["codec"] == "lic_native fast"] == [
        ("", ""),
        ("50", "4:2:0"),
        ("75", "4:2:0"),
    ]
    with Image.open(tmp_path / "rows.png") as picture:
        assert picture.format == "PNG" and picture.width > 1000


def test_command_prints_json(images, capsys):
    (images / "b.png").unlink()
    app(["evaluate", "jpeg", str(images), "--json", "--stages", "--profile", "fast", "--torch"], standalone_mode=False)
    result = json.loads(capsys.readouterr().out)
    ours, on_torch = result["rows"][:2]
    assert (ours["codec"], on_torch["codec"]) == ("lic_native fast", "lic_native fast on torch")
    assert ours["exact"] == on_torch["exact"] == 1 and ours["coded_bytes"] == on_torch["coded_bytes"]
    assert [row["direction"] for row in result["stages"]] == ["encode", "decode"] * 2
    stages, stages_on_torch = (result["stages"][i]["seconds"] for i in (0, 2))
    assert set(stages) == {"parse", "network", "coder", "write", "verification"}
    # In Rust the coder of a network is within it; on torch it is a stage of its own, as that of `native` always is.
    assert stages_on_torch["coder"] > stages["coder"]


def test_plot_shows_every_saving():
    pytest.importorskip("matplotlib")
    from lic_native.evaluation import plot

    files = [FileSet(q, s, PHOTOS.files) for s in ("4:2:0", "gray") for q in (75, 50)]
    shrinking = [Codec(f"by {n}", lambda data, n=n: data[n:], bytes) for n in (100, 200)]
    rows = [measure(codec, each) for each in files for codec in shrinking]
    left, right = plot.savings(rows).axes
    lines = [line for line in left.lines if len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in lines] == [[50, 75]] * 4
    assert [line.get_ydata()[0] for line in lines] == [rows[0].saving_percent, rows[1].saving_percent] * 2
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["4:2:0", "gray"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["by 100", "by 200"]
    assert list(right.lines[3].get_xdata()) == [r.decode_mb_per_s for r in rows if r.codec == "by 200"]
    [only] = plot.savings([measure(shrinking[0], PHOTOS)]).axes
    assert len(only.lines) == 2
