"""Rate and distortion of lossy codecs.

`LIC_ANCHORS` names a file of published curves on Kodak, from which published BD-rates are computed again.
"""

import csv
import io
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import lic_native
from lic_native.cli import app
from lic_native.errors import LicError
from lic_native.evaluation import bd_rate, codecs, distortion, engine, image, report, resources
from lic_native.evaluation.bd_rate import BdRate, Curve
from lic_native.evaluation.codecs import image_codecs
from lic_native.evaluation.engine import Codec
from lic_native.evaluation.image import Point, evaluate, find, means, measure_image, read, table
from lic_native.models import registry

ANCHORS = Path(os.environ.get("LIC_ANCHORS", Path(__file__).parents[2] / "shared" / "anchors" / "rd_kodak.json"))
PEERS = {codec.name: codec for codec in codecs.image_peers()}


@pytest.fixture
def images(tmp_path):
    """Make a folder with a colour and a gray image, both large enough for MS-SSIM, and a text."""
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(photograph(176, 192)).save(folder / "a.png")
    Image.fromarray(photograph(192, 176, seed=1)).convert("L").save(folder / "deep" / "b.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def ours(monkeypatch):
    """Replace lic_native's image codec by JPEG with each file twice, so that it takes exactly twice the rate."""

    def compress(image, *, quality, profile, lof, device):
        assert (profile, lof, device) == ("twice", 0, None)
        return 2 * PEERS["JPEG"].encode(image, int(16 * (quality - 1)))

    def decompress(data, *, device):
        return PEERS["JPEG"].decode(data[: len(data) // 2])

    monkeypatch.setattr(codecs.ours, "image", SimpleNamespace(compress=compress, decompress=decompress))
    monkeypatch.setattr(registry, "IMAGE_PROFILES", {"twice": "jpeg-twice"})


def test_psnr_is_that_of_the_mean_squared_error_of_all_samples():
    black = np.zeros((4, 5, 3), np.uint8)
    red = black.copy()
    red[..., 0] = 30
    assert distortion.psnr(black, black + np.uint8(5)) == pytest.approx(10 * math.log10(255**2 / 25))
    assert distortion.psnr(black, red) == distortion.psnr(red, black) == pytest.approx(10 * math.log10(255**2 / 300))
    assert distortion.psnr(black, black + np.uint8(255)) == 0
    assert distortion.psnr(red, red) == math.inf


def test_ms_ssim_of_images_too_small_for_it_is_not_known():
    assert distortion.ms_ssim(photograph(160, 500), photograph(160, 500)) is None
    pytest.importorskip("pytorch_msssim")
    original = photograph(161, 170)
    noise = np.random.default_rng(0).normal(0, 1, original.shape)
    little, much = (np.clip(original + s * noise, 0, 255).astype(np.uint8) for s in (5, 20))
    assert distortion.ms_ssim(original, original) == pytest.approx(1)
    assert 0 < distortion.ms_ssim(original, much) < distortion.ms_ssim(original, little) < 1


def test_ms_ssim_in_decibels():
    assert [distortion.decibels(x) for x in (0, 0.9, 0.99, 1)] == pytest.approx([0, 10, 20, math.inf])


def curve(name, points):
    return Curve.of(name, points)


def test_bd_rate_of_a_curve_that_takes_a_tenth_more():
    pytest.importorskip("bjontegaard")
    points = [(0.1, 27.0, 0.90), (0.3, 30.5, 0.95), (0.7, 33.0, 0.97), (1.5, 37.0, 0.99)]
    base, more = curve("base", points), curve("more", [(1.1 * bpp, *quality) for bpp, *quality in points])
    assert bd_rate.bd_rates([more, base], [base]) == [
        BdRate("more", "base", "PSNR", pytest.approx(10), 27, 37),
        BdRate("more", "base", "MS-SSIM", pytest.approx(10), pytest.approx(10), pytest.approx(20)),
    ]
    assert bd_rate.bd_rates([base], [more])[0].percent == pytest.approx(100 / 1.1 - 100)


def test_bd_rate_is_that_of_the_range_in_common():
    """Of lines whose log rate is straight, which interpolation keeps: that in the middle of the range."""
    pytest.importorskip("bjontegaard")
    steep, flat = ([(math.exp(a * db), db) for db in steps] for a, steps in ((0.2, (25, 30, 35)), (0.1, (31, 38, 41))))
    rate = bd_rate.bd_rate("steep", "flat", "PSNR", steep, flat)
    assert (rate.low_db, rate.high_db) == (31, 35)
    assert rate.percent == pytest.approx(100 * math.exp(0.1 * 33) - 100)
    assert "| steep | flat | +2611.26 % | 31.00 to 35.00 dB | not known |  |" in bd_rate.table([rate])


def test_curves_without_overlap_have_no_bd_rate():
    low, high = curve("low", [(0.1, 20, None), (0.2, 25, None)]), curve("high", [(0.3, 25, None), (0.4, 30, 0.9)])
    [rate] = bd_rate.bd_rates([low], [high])
    assert rate == BdRate("low", "high", "PSNR", None)
    assert bd_rate.table([rate]).endswith("| low | high | no overlap |  | not known |  |")


def test_points_that_cost_more_and_are_no_better_are_left_out():
    assert bd_rate.rising([(2, 30), (1, 20), (3, 29), (4, 30), (5, math.inf), (6, 31)]) == [(1, 20), (2, 30), (6, 31)]


@pytest.fixture
def anchors(tmp_path):
    content = {
        "vtm": {"points": [{"bpp": 0.1, "psnr": 20.0, "ms_ssim": 0.6}, {"bpp": 4.0, "psnr": 50.0, "ms_ssim": 0.999}]},
        "mine": {"points": [{"bpp": 0.1, "psnr": 30.0, "ms_ssim": 0.0}, {"bpp": 0.5}, {"bpp": 0.9, "psnr": 39.0}]},
        "_meta": {"date": "2026"},
    }
    file = tmp_path / "anchors.json"
    file.write_text(json.dumps(content))
    return file


def test_published_curves(anchors, tmp_path):
    [vtm] = bd_rate.published(anchors)
    assert (vtm.name, vtm.psnr) == ("vtm", [(0.1, 20), (4, 50)])
    assert vtm.ms_ssim == [(0.1, pytest.approx(3.9794)), (4, pytest.approx(30))]
    assert bd_rate.published(anchors, ["mine"]) == [Curve("mine", [(0.1, 30), (0.9, 39)], [])]
    with pytest.raises(ValueError, match=r"unknown curve 'none'; choose from: vtm, mine"):
        bd_rate.published(anchors, ["vtm", "none"])
    other = tmp_path / "other.json"
    for content in ("no JSON", "[1]", '{"vtm": 5}', '{"vtm": {"points": [{"psnr": 30}]}}'):
        other.write_text(content)
        with pytest.raises(ValueError, match=r"other.json does not hold rate-distortion curves"):
            bd_rate.published(other)


@pytest.mark.skipif(not ANCHORS.is_file(), reason=f"there is no file {ANCHORS} (LIC_ANCHORS)")
@pytest.mark.parametrize(
    ("name", "against", "percent"),
    # As the papers and their repositories have them, to the digit that they give.
    [
        ("LALIC", "vtm", -15.26),
        ("MLIC++", "vtm", -15.02),
        ("DCAE", "vtm", -17.0),
        ("FTIC", "vtm", -14.5),
        ("qarv_base", "VTM-18.0", -5.9),
        ("qres34m", "VTM-18.0", -4.0),
    ],
)
def test_published_bd_rates(name, against, percent):
    pytest.importorskip("bjontegaard")
    codec, anchor = bd_rate.published(ANCHORS, [name, against])
    assert bd_rate.bd_rates([codec], [anchor])[0].percent == pytest.approx(percent, abs=0.07)


def test_every_image_is_read_as_rgb_without_metadata(images, tmp_path):
    colour, gray = (read(path) for path in find(images))
    assert np.array_equal(colour, photograph(176, 192))
    assert gray.mode == "RGB" and np.array_equal(gray.getchannel(0), Image.open(images / "deep" / "b.png"))
    exif = Image.Exif()
    exif[0x010E] = "described"
    colour.save(images / "a.png", exif=exif, icc_profile=b"profile", dpi=(300, 300))
    again = read(images / "a.png")
    assert again.info == {} and not again.getexif() and again == colour
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no images \(.*\.png"):
        find(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match=r"there is no such folder: .*nowhere"):
        find(tmp_path / "nowhere")


def test_an_image_that_is_cut_is_named(images):
    (cut := find(images)[1]).write_bytes(cut.read_bytes()[:-60])
    with pytest.raises(LicError, match=rf"{cut.name} can't be read: "):
        read(cut)
    cut.write_bytes(b"no image")
    with pytest.raises(LicError, match=rf"{cut.name} can't be read: "):
        find(images)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "CMYK", "P with a transparent colour"])
def test_images_with_more_than_colour_are_refused_before_anything_is_measured(images, mode):
    odd = Image.fromarray(photograph(8, 8)).convert("L" if mode == "I;16" else mode.split()[0])
    options = {"transparency": 0} if mode.startswith("P") else {}
    odd.convert(mode.split()[0]).save(images / ("z.tif" if mode == "CMYK" else "z.png"), **options)
    with pytest.raises(LicError, match=r"z\.\w+ is neither RGB nor gray, of 8 bits without alpha"):
        next(evaluate(images, [PEERS["JPEG"]]))


@pytest.mark.parametrize("name", PEERS)
def test_peers_spend_their_bytes_on_quality(name):
    codec, image = PEERS[name], Image.fromarray(photograph(96, 128))
    rows = [measure_image("photo", image, codec, s) for s in (codec.settings[0], codec.settings[-1])]
    rows.sort(key=lambda row: row.bytes)
    assert 2 * rows[0].bpp < rows[1].bpp and rows[0].psnr + 5 < rows[1].psnr
    assert codec.encode(image, codec.settings[0]) == codec.encode(image, codec.settings[0])


@pytest.mark.parametrize("name", PEERS)
def test_peers_take_the_smallest_image(name):
    codec = PEERS[name]
    assert measure_image("dot", Image.new("RGB", (1, 1), (200, 100, 50)), codec, codec.settings[-1]).bytes > 0


def test_peers_code_as_they_say():
    image = Image.fromarray(photograph(96, 128))
    jpeg = PEERS["JPEG"].encode(image, 75)
    assert lic_native.jpeg.read_coefficients(jpeg).sampling == [(2, 2), (1, 1), (1, 1)]
    assert Image.open(io.BytesIO(jpeg)).info["progressive"]
    if "JPEG 2000" in PEERS:
        jpeg2000 = PEERS["JPEG 2000"].encode(image, 24)
        style = jpeg2000.index(b"\xff\x52")
        multiple_component_transform, wavelet = jpeg2000[style + 8], jpeg2000[style + 13]
        assert (multiple_component_transform, wavelet) == (1, 0)  # 0 is 9/7
        assert len(jpeg2000) == pytest.approx(96 * 128 * 3 / 24, rel=0.2)
    if "AVIF tune=psnr" in PEERS:
        tuned, default = (PEERS[name].encode(image, 60) for name in ("AVIF tune=psnr", "AVIF default tune"))
        for avif in (tuned, default):
            assert avif[avif.index(b"av1C") + 6] & 0b1100 == 0  # chroma is not subsampled
        assert tuned != default


def test_ours_are_those_of_the_zoo_and_others_are_refused(ours):
    [codec] = image_codecs(["lic_native twice"], [2, 4.5, 2])
    assert (codec.about, codec.settings, codec.ours) == ("model jpeg-twice", (2, 4.5), True)
    assert [c.name for c in image_codecs() if c.ours] == ["lic_native twice"]
    assert image_codecs()[0].settings == (1, 2, 3, 4, 5, 6, 7, 8)
    assert [c.name for c in image_codecs(["JPEG"])] == ["JPEG"]
    with pytest.raises(ValueError, match=r"unknown codec 'GIF'; choose from: lic_native twice, JPEG"):
        image_codecs(["JPEG", "GIF"])


def shifting(by: int) -> Codec:
    """Restores every sample `setting` too large, from files of a tenth of the image's bytes."""
    kept = {}

    def encode(image, setting):
        kept["image"] = Image.fromarray(np.asarray(image) + np.uint8(setting))
        return bytes(image.width * image.height * 3 // 10)

    return Codec("shifting", encode, lambda data: kept["image"], (by,))


def test_a_row_holds_what_happened():
    image = Image.fromarray(photograph(40, 50) // 2)
    row = measure_image("photo", image, shifting(4), 4)
    assert row.bytes == 600 and row.bpp == 8 * 600 / 2000
    assert row.psnr == pytest.approx(10 * math.log10(255**2 / 16)) and row.ms_ssim is None
    assert (row.image, row.width, row.height, row.codec, row.setting) == ("photo", 50, 40, "shifting", 4)
    assert row.encode_seconds > 0 and row.decode_seconds > 0


def test_a_codec_that_fails_is_named():
    image = Image.fromarray(photograph(8, 8))

    def refuse(image, setting):
        raise RuntimeError("too odd")

    with pytest.raises(ValueError, match="refuses at 5 fails on photo: too odd"):
        measure_image("photo", image, Codec("refuses", refuse, PEERS["JPEG"].decode, (5,)), 5)
    with pytest.raises(ValueError, match="crops at 5 restores photo at another size"):
        measure_image("photo", image, Codec("crops", lambda *_: b"", lambda _: image.crop((0, 0, 7, 8)), (5,)), 5)


def test_every_codec_codes_every_image_once_after_a_warm_up(images):
    calls = []

    def encode(image, setting):
        calls.append((image.size, setting))
        return PEERS["JPEG"].encode(image, setting)

    small = Image.fromarray(photograph(24, 32))
    for path in find(images):
        small.save(path)
    rows = list(evaluate(images, [Codec("watched", encode, PEERS["JPEG"].decode, (30, 60))]))
    assert calls == [((32, 24), setting) for setting in (30, 30, 60, 30, 60)]
    assert [(row.image, row.setting) for row in rows] == [
        (name, s) for name in ("a.png", str(Path("deep", "b.png"))) for s in (30, 60)
    ]


def test_memory_is_that_of_the_call():
    if resources.start_peak() is None:
        pytest.skip("this system does not tell the peak of a process")
    pieces = 400

    def work() -> int:
        return len([bytes([1]) * 100_000 for _ in range(pieces)])

    # What was freed before is still the C library's where something above it stays; that is not to hide the peak.
    before = [bytes([1]) * 100_000 for _ in range(2 * pieces)]
    del before[:-1]
    for _ in range(2):
        call = engine.measure_call(work, memory=True)
        assert call.result == pieces and call.seconds > 0
        assert 0.95 < call.peak_bytes / (pieces * 100_000) < 1.2
    assert engine.measure_call(lambda: None, memory=True).peak_bytes < 1_000_000


def test_memory_is_not_known_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "PROCESS", tmp_path / "none")
    assert engine.measure_call(lambda: 5, memory=True).peak_bytes is None


def a_row(image, codec, setting, size, psnr, ms_ssim, peak):
    return Point(image, 10, 10, codec, setting, size, 8 * size / 100, psnr, ms_ssim, 1.0, 2.0, peak, peak)


def test_means_are_of_images_alike():
    rows = [
        a_row("1", "x", 9, 60, 30.0, 0.9, 1_000_000),
        a_row("1", "x", 5, 90, 40.0, 0.98, 1_000_000),
        a_row("1", "a", 5, 10, 20.0, None, None),
        a_row("2", "x", 9, 20, 36.0, 0.8, 3_000_000),
        a_row("2", "x", 5, 10, math.inf, None, 3_000_000),
        a_row("2", "a", 5, 20, 21.0, None, None),
    ]
    first, second, third = means(rows)
    assert [(m.codec, m.setting, m.images) for m in (first, second, third)] == [("x", 9, 2), ("x", 5, 2), ("a", 5, 2)]
    assert (first.bytes, first.bpp, first.psnr, first.encode_peak_bytes) == (40, pytest.approx(3.2), 33, 2_000_000)
    assert first.ms_ssim == pytest.approx(0.85) and first.ms_ssim_db == pytest.approx(-10 * math.log10(0.15))
    assert second.psnr == math.inf and second.ms_ssim is None and second.ms_ssim_db is None
    assert third.encode_peak_bytes is None
    lines = table([first, third]).splitlines()
    assert lines[2] == "| x | 9 | 3.2000 | 33.000 | 0.85000 | 8.239 | 1.0000 | 2.0000 | 2.0 | 2.0 |"
    assert lines[3] == "| a | 5 | 1.2000 | 20.500 |  |  | 1.0000 | 2.0000 |  |  |"
    assert image.plain(second)["psnr"] is None


def run(*arguments):
    app(["evaluate", "image", *map(str, arguments)], standalone_mode=False)


def test_command_prints_tables_and_writes_files(images, tmp_path, ours, anchors, capsys):
    for package in ("bjontegaard", "pytorch_msssim", "matplotlib"):
        pytest.importorskip(package)
    settings = PEERS["JPEG"].settings
    qualities = [1 + setting / 16 for setting in settings]
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "json", "plot.png", "means")}
    outputs = [f"--{kind.split('.')[0]}={file}" for kind, file in files.items()]
    run(
        images,
        "--codec",
        "lic_native twice",
        "--codec",
        "JPEG",
        *(f"--quality={quality}" for quality in qualities),
        "--anchors",
        anchors,
        *outputs,
    )
    out = capsys.readouterr().out
    assert out.count("\n| lic_native twice |") == len(settings) + 2 and out.count("\n| JPEG |") == len(settings)
    assert "- lic_native twice: model jpeg-twice\n" in out and bd_rate.CONVENTION in out
    with files["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * len(settings)
    mine = [row for row in rows if row["codec"] == "lic_native twice"]
    assert [float(row["setting"]) for row in mine] == qualities * 2
    twenty = [len(PEERS["JPEG"].encode(read(path), 20)) for path in find(images)]
    assert [int(row["bytes"]) for row in mine if row["setting"] == "2.25"] == [2 * size for size in twenty]
    with files["means"].open() as file:
        [mean] = [r for r in csv.DictReader(file) if (r["codec"], r["setting"]) == ("lic_native twice", "2.25")]
    assert float(mean["bytes"]) == sum(twenty)
    content = json.loads(files["json"].read_text())
    assert [row["bytes"] for row in content["rows"]] == [int(row["bytes"]) for row in rows]
    assert float(mean["psnr"]) in [each["psnr"] for each in content["means"]]
    rates = {(r["codec"], r["against"], r["measure"]): r["percent"] for r in content["bd_rates"]}
    assert set(rates) == {("lic_native twice", a, m) for a in ("JPEG", "vtm") for m in ("PSNR", "MS-SSIM")}
    assert rates["lic_native twice", "JPEG", "PSNR"] == pytest.approx(100)
    assert rates["lic_native twice", "JPEG", "MS-SSIM"] == pytest.approx(100)
    with Image.open(files["plot.png"]) as picture:
        assert picture.format == "PNG" and picture.width > 1000


def test_command_judges_the_peers_where_none_of_ours_is_asked_for(images, ours, tmp_path, capsys):
    for package in ("bjontegaard", "pytorch_msssim", "matplotlib"):
        pytest.importorskip(package)
    run(images, "--codec", "JPEG", "--plot", tmp_path / "rows.svg")
    assert "BD-rate" not in capsys.readouterr().out
    assert b"<svg" in (tmp_path / "rows.svg").read_bytes()
    run(images, "--codec", "JPEG", "--codec", "WebP")
    out = capsys.readouterr().out
    assert "\n| JPEG | WebP | +" in out and "\n| WebP | JPEG | -" in out


def test_what_is_missing_is_said_before_anything_is_measured(images, anchors, ours, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "pytorch_msssim" else name)
    with pytest.raises(ValueError, match=r"install what is missing: pip install pytorch-msssim$"):
        run(images)
    monkeypatch.setattr(report, "find_spec", lambda name: name)
    monkeypatch.setattr(image, "evaluate", lambda *_: pytest.fail("measured"))
    for options, message in (
        (["--against", "vtm"], "--anchors"),
        (["--anchors", anchors, "--against", "nobody"], "unknown curve 'nobody'"),
        (["--codec", "GIF"], "unknown codec 'GIF'"),
        (["--quality", "9"], "quality 9.0 is not from 1 to 8"),
        (["--lof", "-1"], "lof must be 0 or more, not -1"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--plot", tmp_path / "plot.doc"], r"plot.doc must end in one of .png, .svg"),
    ):
        with pytest.raises(ValueError, match=message):
            run(images, *options)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(images, "--csv", tmp_path / "nowhere" / "rows.csv")


def test_plot_shows_every_curve_as_far_as_anything_was_measured():
    pytest.importorskip("matplotlib")
    from lic_native.evaluation import plot

    mine = curve("mine", [(0.2, 28, 0.9), (1.5, 35, 0.99)])
    peer = curve("peer", [(0.1, 25, None), (2, 36, None)])
    published = curve("paper", [(0.1, 26, 0.9), (1, 33, 0.99), (5, 45, 0.999)])
    psnr, ms_ssim = plot.curves([mine], [peer], [published]).axes
    assert [line.get_label() for line in psnr.lines] == ["mine", "peer", "paper"]
    assert [line.get_label() for line in ms_ssim.lines] == ["mine", "paper"]
    assert list(psnr.lines[0].get_ydata()) == [28, 35]
    assert list(ms_ssim.lines[0].get_ydata()) == pytest.approx([10, 20])
    assert list(psnr.lines[2].get_xdata()) == [0.1, 1]
