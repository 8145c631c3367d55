"""The plugin for Pillow, with which `Image.open` and `Image.save` take `.lic` files."""

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image, UnidentifiedImageError

from lic_native import image, jpeg, kind, pillow
from lic_native.errors import CorruptError, LicError, UnsupportedError
from lic_native.models import registry

pytestmark = pytest.mark.usefixtures("one_thread")

ICC = bytes(range(256)) * 2


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(photograph(40, 56))


@pytest.fixture
def path(tmp_path, picture):
    path = tmp_path / "x.lic"
    picture.save(path, quality=3)
    return path


def saved(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, pillow.FORMAT, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_importing_the_package_takes_neither_pillow_nor_torch():
    code = "import sys, lic_native; assert not {'PIL', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, lic_native.pillow; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_registering_again_changes_nothing(path):
    pillow.register_lic_opener()
    assert Image.ID.count(pillow.FORMAT) == 1
    with Image.open(path) as shown:
        assert shown.format == pillow.FORMAT


def test_a_file_by_its_name_and_back(path, picture):
    assert path.read_bytes() == image.compress(picture, quality=3)
    with Image.open(path) as shown:
        assert (shown.format, shown.mode, shown.size) == ("LIC", "RGB", (56, 40))
        assert shown.get_format_mimetype() == "image/x-lic"
        assert np.array_equal(shown, image.decompress(path.read_bytes()))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_mode(mode, picture):
    data = saved(picture.convert(mode))
    shown = opened(data)
    assert shown.mode == mode
    assert np.array_equal(shown, image.decompress(data))


def test_settings_are_those_of_compress(picture):
    assert saved(picture) == image.compress(picture)
    for profile in registry.IMAGE_PROFILES:
        settings = {"quality": 7.5, "profile": profile, "device": "cpu"}
        assert saved(picture, **settings) == image.compress(picture, **settings)
        assert image.inspect(saved(picture, **settings)).model == registry.IMAGE_PROFILES[profile]
    assert saved(picture, lof=2, profile="fast") == image.compress(picture, lof=2, profile="fast") != saved(picture)
    for wrong in ({"quality": 9}, {"profile": "native"}, {"device": "toaster"}, {"lof": -1}):
        with pytest.raises(ValueError):
            saved(picture, **wrong)


def test_a_mode_that_cannot_be_saved_leaves_no_file(tmp_path, picture):
    with pytest.raises(ValueError, match="mode 'CMYK'"):
        picture.convert("CMYK").save(tmp_path / "x.lic")
    assert not (tmp_path / "x.lic").exists()


def test_opening_decodes_nothing(path, monkeypatch):
    def decompress(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(image, "decompress", decompress)
    with Image.open(path) as shown:
        assert shown.size == (56, 40)
        with pytest.raises(AssertionError, match="decoded"):
            shown.load()


def test_metadata_is_kept_given_and_left_out(picture):
    exif = Image.Exif()
    exif[270] = "a shed"
    picture.info.update({"exif": exif.tobytes(), "icc_profile": ICC, "xmp": b"<x/>"})
    kept = {"exif": exif.tobytes(), "icc_profile": ICC, "xmp": b"<x/>"}
    assert opened(saved(picture)).info == kept
    assert opened(saved(picture)).getexif()[270] == "a shed"
    other = Image.Exif()
    other[270] = "a barn"
    assert opened(saved(picture, exif=other)).getexif()[270] == "a barn"
    assert opened(saved(picture, exif=other.tobytes(), icc_profile=b"other")).info == {
        **kept,
        "exif": other.tobytes(),
        "icc_profile": b"other",
    }
    assert opened(saved(picture, exif=b"", icc_profile=None, xmp=None)).info == {}
    assert picture.info == kept


def test_samples_can_be_changed_once_they_are_loaded(path):
    with Image.open(path) as shown:
        shown.putpixel((0, 0), (1, 2, 3))
        assert shown.getpixel((0, 0)) == (1, 2, 3)
        assert shown.copy().crop((0, 0, 2, 2)).size == (2, 2)


def test_jpeg_files_inside_are_opened(tmp_path):
    path = tmp_path / "x.jpg.lic"
    path.write_bytes(jpeg.compress(jpeg_bytes(), profile="native"))
    with Image.open(path) as shown:
        assert (shown.format, shown.size) == ("JPEG", (128, 96))
        assert np.array_equal(shown, opened(jpeg_bytes()))
    kept = io.BytesIO(path.read_bytes())
    assert Image.open(kept).size == (128, 96) and not kept.closed


def test_other_content_is_not_identified(picture):
    """Stored files that are not JPEG are refused, also `.lic` files, which are not unpacked twice."""
    for content in (b"a text", saved(picture), jpeg.compress(jpeg_bytes(), profile="native"), b"\x89LIC"):
        with pytest.raises(UnidentifiedImageError):
            opened(jpeg.compress(content))


@pytest.fixture
def restoring(tmp_path):
    """Return the path of a `.lic` file that restores a JPEG file."""
    path = tmp_path / "x.jpg.lic"
    path.write_bytes(jpeg.compress(jpeg_bytes(), profile="native"))
    return path


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["EPS", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_a_restored_file_is_never_opened_as_another_format(format, picture):
    """The argument `formats` does not matter, because the plugin can't see it."""
    packed = jpeg.compress(encoded(picture, format), profile="native")
    for formats in (None, ["LIC"], ["LIC", format]):
        with pytest.raises(UnidentifiedImageError, match=r"not JPEG: lic_native\.jpeg\.decompress|identify"):
            Image.open(io.BytesIO(packed), formats=formats)


def test_formats_that_are_not_allowed(path, restoring):
    for file in (path, restoring):
        with Image.open(file, formats=["LIC"]) as shown:
            assert shown.load()
        with pytest.raises(UnidentifiedImageError):
            Image.open(file, formats=["JPEG", "PNG"])


def test_two_pictures_of_a_restored_file(picture):
    data = encoded(picture, "MPO", save_all=True, append_images=[picture.crop((0, 0, 16, 8))])
    shown = opened(jpeg.compress(data, profile="native"))
    assert (shown.format, shown.n_frames) == ("MPO", 2)
    shown.seek(1)
    assert shown.size == (16, 8) and shown.convert("L")


def test_names_are_those_of_the_files(path, restoring):
    for file in (path, restoring):
        for name in (file, str(file), os.fsencode(file)):
            with Image.open(name) as shown:
                assert os.fsdecode(shown.filename) == str(file)
        with file.open("rb") as stream:
            assert Image.open(stream).filename == "" == opened(file.read_bytes()).filename
            assert not stream.closed


def test_opened_images_are_copied_and_pickled(path, restoring):
    for file in (path, restoring):
        with Image.open(file) as shown:
            again = pickle.loads(pickle.dumps(shown))
        assert type(again) is type(shown) and again.filename == shown.filename
        for other in (again, copy.copy(shown), copy.deepcopy(shown)):
            assert np.array_equal(other, shown) and other.info == shown.info


def test_there_is_one_frame(path):
    with Image.open(path) as shown:
        assert shown.tell() == 0 and shown.draft("L", (8, 8)) is None
        shown.seek(0)
        with pytest.raises(EOFError):
            shown.seek(1)
        assert shown.size == (56, 40)
    with Image.open(path) as shown:
        shown.verify()


def test_frames_are_refused_whatever_else_is_given(picture):
    animation = opened(encoded(picture.convert("P"), "GIF", save_all=True, append_images=[Image.new("P", (56, 40))]))
    for options in ({}, {"exif": b"Exif\0\0"}, {"xmp": b"<x/>"}, {"icc_profile": ICC}, {"dpi": (300, 300)}):
        with pytest.raises(ValueError, match="several frames"):
            saved(animation, **options)
    assert opened(saved(animation.copy(), profile="fast")).size == (56, 40)
    for options in ({"save_all": True}, {"save_all": True, "append_images": [picture]}, {"append_images": [picture]}):
        with pytest.raises(ValueError, match=r"holds one image: save each frame by itself"):
            saved(picture, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lossless": True}, r"is lossy; lic_native\.jpeg\.compress\(data\) keeps the bytes of a JPEG file"),
        (
            {"optimize": True},
            "unknown option 'optimize' of a .lic file; choose from: quality, profile, device, lof, exif",
        ),
        ({"quality": 75}, "not from 1 to 8: 1 is the smallest file, 4 is usual"),
        ({"dpi": (0, 300)}, "dpi must be two numbers"),
        ({"dpi": 300}, "dpi must be two numbers"),
        ({"dpi": (300, 300), "exif": b"Exif\0\0none"}, "Exif can't be read, to keep dpi"),
    ],
)
def test_options_that_are_none_are_refused(options, message, picture, tmp_path):
    with pytest.raises(ValueError, match=message):
        picture.save(tmp_path / "x.lic", **options)
    assert not list(tmp_path.iterdir())


def test_options_of_a_wrong_type_are_named(picture):
    for options, message in (
        ({"quality": "keep"}, "quality must be a number"),
        ({"xmp": 5}, "xmp must be bytes or None"),
        ({"exif": {271: "maker"}}, "exif must be bytes or None, not dict"),
    ):
        with pytest.raises(TypeError, match=message):
            saved(picture, **options)
    assert saved(picture, lossless=False, xmp="<x/>", profile="fast") == saved(picture, xmp=b"<x/>", profile="fast")


def test_a_resolution_is_kept_inside_exif(picture):
    assert opened(saved(picture, dpi=(300, 200), profile="fast")).info["dpi"] == (300, 200)
    picture.info["dpi"] = (300, 300)
    shown = opened(saved(picture, profile="fast"))
    assert shown.info["dpi"] == (300, 300)
    assert opened(saved(shown, profile="fast")).info == shown.info
    assert opened(saved(shown, profile="fast", dpi=(99, 99))).info["dpi"] == (99, 99)
    assert opened(saved(shown, profile="fast", exif=None)).info == {}
    assert opened(saved(shown, profile="fast", exif=Image.Exif())).info == {}


def test_exif_that_was_edited_is_written(picture):
    exif = Image.Exif()
    exif[271], exif[0x8825] = "maker", {1: "N", 2: (1.0, 2.0, 3.0)}
    for photo in (
        opened(encoded(picture, "JPEG", exif=exif)),
        opened(saved(picture, exif=exif, profile="fast")),
        opened(encoded(picture, "PNG", exif=exif)),
        opened(encoded(picture, "TIFF", exif=exif.tobytes())),
        opened(encoded(picture, "WEBP", exif=exif)),
    ):
        del photo.getexif()[0x8825]
        photo.getexif()[271] = "changed"
        kept = opened(saved(photo, profile="fast")).getexif()
        assert kept[271] == "changed" and 0x8825 not in kept


def test_what_is_without_loss_stays_so_unless_asked(restoring, tmp_path):
    target, before = tmp_path / "copy.lic", restoring.read_bytes()
    for name, options in (
        (target, {}),
        (restoring, {}),
        (target, {"lossless": True}),
        (str(target), {"format": "lic"}),
    ):
        with Image.open(restoring) as shown, pytest.raises(ValueError, match="loss"):
            shown.save(name, **options)
        assert not target.exists() and restoring.read_bytes() == before
    with Image.open(restoring) as shown:
        with pytest.raises(ValueError, match=r"pass quality= \(1 to 8\)"):
            shown.save(io.BytesIO(), "LIC")
        shown.save(target, quality=4, profile="fast")
        assert kind(target.read_bytes()) == "image"
        shown.save(tmp_path / "copy.jpg", quality="keep")
        shown.save(tmp_path / "copy.png")
        shown.convert("L").save(tmp_path / "gray.lic", profile="fast")
        shown.save(io.BytesIO(), "PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"x.jpg.lic", "copy.lic", "copy.jpg", "copy.png", "gray.lic"}


def test_a_file_saved_over_itself_is_not_lost(path):
    before = path.read_bytes()
    for options in ({"quality": 75}, {"profile": "native"}, {"optimize": True}, {"device": "toaster"}):
        with Image.open(path) as shown, pytest.raises(ValueError):
            shown.save(path, **options)
        assert path.read_bytes() == before
    with Image.open(path) as shown:
        shown.save(path, quality=1, profile="fast")
    assert image.inspect(path.read_bytes()).quality == 1
    assert Path(path).stat().st_size < len(before)


def test_other_formats_are_left_to_others(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert opened(buffer.getvalue()).format == "PNG"
    with pytest.raises(UnidentifiedImageError):
        opened(b"\x89LIT" + bytes(99))


def test_damage_is_what_pillow_calls_it(path):
    """Pillow's error is UnidentifiedImageError; its cause is a LicError with the same message."""
    data = path.read_bytes()
    for damaged in (data[:-1], data[:9], data[:5], data[:60] + b"\0" + data[61:], data + b"\0"):
        with pytest.raises(UnidentifiedImageError) as refused:
            opened(damaged)
        assert isinstance(refused.value.__cause__, LicError)
        assert str(refused.value) == str(refused.value.__cause__)


@pytest.mark.parametrize(
    ("change", "cause"),
    [({"checksum": 1}, CorruptError), ({"fingerprint": 1}, UnsupportedError), ({"latents": b"\7"}, LicError)],
)
def test_what_loading_finds_is_an_oserror(change, cause, picture):
    from test_image import repacked

    shown = opened(repacked(saved(picture), **change))
    assert shown.size == (56, 40)
    for _ in range(2):
        with pytest.raises(OSError) as refused:
            shown.load()
        assert isinstance(refused.value.__cause__, cause)


def test_pillows_limit_is_in_force(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 - 1)
    with pytest.warns(Image.DecompressionBombWarning), Image.open(path) as shown:
        assert shown.size == (56, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9e3)
    with pytest.warns(Image.DecompressionBombWarning) as warned:
        assert opened(jpeg.compress(jpeg_bytes(), profile="native")).size == (128, 96)
    assert len(warned) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 - 1)
    with pytest.raises(UnidentifiedImageError, match="limit"):
        opened(jpeg.compress(jpeg_bytes(), profile="native"))
