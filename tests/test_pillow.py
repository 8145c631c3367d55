"""The plugin: `.lic` files in Pillow's `open` and `save`."""

import io
import subprocess
import sys

import numpy as np
import pytest
from conftest import jpeg_bytes, photograph
from PIL import Image, UnidentifiedImageError

from lic_native import image, jpeg, pillow
from lic_native.errors import CorruptError, LicError, UnsupportedError
from lic_native.models import zoo

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
    for profile in zoo.IMAGE_PROFILES:
        settings = {"quality": 7.5, "profile": profile, "device": "cpu"}
        assert saved(picture, **settings) == image.compress(picture, **settings)
        assert image.inspect(saved(picture, **settings)).model == zoo.IMAGE_PROFILES[profile]
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
    """Files that are kept, among them ours: nothing is unpacked twice."""
    for content in (b"a text", saved(picture), jpeg.compress(jpeg_bytes(), profile="native"), b"\x89LIC"):
        with pytest.raises(UnidentifiedImageError):
            opened(jpeg.compress(content))


def test_other_formats_are_left_to_others(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    assert opened(buffer.getvalue()).format == "PNG"
    with pytest.raises(UnidentifiedImageError):
        opened(b"\x89LIT" + bytes(99))


def test_damage_is_what_pillow_calls_it(path):
    """And its cause is what we call it."""
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
    with pytest.raises(UnidentifiedImageError, match="limit"):
        opened(jpeg.compress(jpeg_bytes(), profile="native"))
