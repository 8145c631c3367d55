"""Parts of pictures: regions without loss, and pictures at an eighth of their size."""

import io
import zlib
from contextlib import suppress

import numpy as np
import pytest
from conftest import cut, jpeg_bytes, networks_alone
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_jpeg import with_luma_factors, with_thumbnail

import lic_native.pillow  # noqa: F401
from lic_native import CorruptError, LicError, LimitExceededError, Limits, UnsupportedError, _native, image, jpeg
from lic_native.jpeg import network
from lic_native.jpeg.picture import reduce

KINDS = {
    "4:2:0": jpeg_bytes(200, 333, quality=85),
    "4:2:2": jpeg_bytes(70, 90, subsampling=1, quality=90),
    "4:4:4": jpeg_bytes(70, 90, subsampling=0, progressive=True),
    "4:4:0": with_luma_factors(jpeg_bytes(64, 80, subsampling=0), 1, 2),
    "gray": jpeg_bytes(70, 90, mode="L", quality=40),
    "cmyk": jpeg_bytes(40, 50, mode="CMYK", progressive=True),
    "odd": with_luma_factors(jpeg_bytes(96, 120, subsampling=0), 2, 4),
}


def blocks_of(data: bytes) -> list[np.ndarray]:
    """Return the coefficients of each component with those of whole MCUs, `[rows, columns, 64]`."""
    frame, planes, _ = _native.jpeg_read(data)
    return [plane.reshape(c.blocks_h, c.blocks_w, 64) for c, plane in zip(frame.components, planes)]


def check_region(data: bytes, packed: bytes, box: tuple[int, int, int, int]) -> jpeg.Region:
    region = jpeg.decompress_region(packed, box)
    frame = _native.jpeg_read(data)[0]
    left, top, right, bottom = region.box
    assert left <= box[0] < box[2] <= right <= frame.width and top <= box[1] < box[3] <= bottom <= frame.height
    width, height = 8 * max(c.h for c in frame.components), 8 * max(c.v for c in frame.components)
    assert box[0] - left < width and box[1] - top < height
    assert right - box[2] < width and bottom - box[3] < height
    with Image.open(io.BytesIO(region.data)) as picture:
        assert picture.size == (right - left, bottom - top)
        picture.load()
    for whole, part, c in zip(blocks_of(data), blocks_of(region.data), frame.components):
        row, column = top // height * c.v, left // width * c.h
        assert np.array_equal(whole[row : row + len(part), column : column + part.shape[1]], part)
    return region


@pytest.mark.parametrize("kind", KINDS)
def test_regions_have_the_coefficients_of_the_original(kind):
    data = KINDS[kind]
    packed = jpeg.compress(data, profile="native")
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    boxes = [(0, 0, width, height), (0, 0, 1, 1), (width - 1, height - 1, width, height), (17, 9, 33, 40)]
    for box in boxes:
        assert check_region(data, packed, box) == jpeg.decompress_region(data, box)
    stored = _native.store(data, sha256=True)
    assert jpeg.decompress_region(stored, boxes[3]) == jpeg.decompress_region(packed, boxes[3])


def test_a_region_looks_like_that_part_of_the_picture(photo):
    region = jpeg.decompress_region(jpeg.compress(photo), (100, 60, 300, 250))
    with Image.open(io.BytesIO(photo)) as whole, Image.open(io.BytesIO(region.data)) as part:
        expected = np.asarray(whole.crop(region.box), int)
        # Chroma is interpolated across the borders of the region.
        assert np.abs(np.asarray(part, int) - expected)[2:-2, 2:-2].max() <= 1


def test_only_what_a_region_meets_is_decoded(monkeypatch):
    tiled = jpeg_bytes(40, 2100, quality=30)
    with networks_alone():
        packed = jpeg.compress(tiled, profile="quick")
    decoded, decode = [], network.Engine.decode
    monkeypatch.setattr(
        network.Engine, "decode", lambda self, tiles, streams: decoded.extend(tiles) or decode(self, tiles, streams)
    )
    for box, count in [
        ((0, 0, 8, 8), 1),
        ((700, 0, 720, 40), 2),
        ((710, 0, 1400, 40), 1),
        ((2099, 39, 2100, 40), 1),
        ((0, 0, 2100, 40), 3),
    ]:
        decoded.clear()
        check_region(tiled, packed, box)
        assert len(decoded) == count
    # A damaged tile does not matter to a region elsewhere.
    container = _native.unpack(packed, len(tiled))
    number, fingerprint, data = container.pictures[0]
    damaged = _native.pack_jpeg(tiled, container.reconstruction, [(number, fingerprint, data[:-1] + b"\x55")])
    with pytest.raises(LicError):
        jpeg.decompress(damaged)
    check_region(tiled, damaged, (0, 0, 500, 40))


def test_bands_of_native():
    data = jpeg_bytes(2000, 1100, quality=20)
    packed = jpeg.compress(data, profile="native")
    for box in [(0, 0, 10, 10), (500, 960, 700, 1100), (0, 1990, 1100, 2000)]:
        check_region(data, packed, box)


def test_what_says_how_samples_are_shown_is_kept():
    profile = bytes(range(256)) * 3
    data = jpeg_bytes(64, 64, icc_profile=profile, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", dpi=(300, 300))
    region = jpeg.decompress_region(jpeg.compress(data), (0, 0, 32, 32))
    with Image.open(io.BytesIO(region.data)) as part:
        assert part.info["icc_profile"] == profile and part.info["dpi"] == (300, 300) and "exif" not in part.info
    cmyk = jpeg.decompress_region(jpeg.compress(KINDS["cmyk"]), (0, 0, 8, 8))
    with Image.open(io.BytesIO(cmyk.data)) as part, Image.open(io.BytesIO(KINDS["cmyk"])) as whole:
        assert part.mode == "CMYK" and np.array_equal(np.asarray(part), np.asarray(whole.crop((0, 0, 8, 8))))


def test_what_is_no_region():
    packed = jpeg.compress(KINDS["4:2:0"])
    for box in [(0, 0, 334, 10), (-1, 0, 5, 5), (5, 5, 5, 9), (9, 5, 5, 9), (0, 0, 9, 1 << 70)]:
        with pytest.raises(ValueError, match="not inside the picture of 333x200"):
            jpeg.decompress_region(packed, box)
    for box in [(0, 0, 9), None, "0009", (0, 0, 9.0, 9), (0, 0, 9, True)]:
        with pytest.raises(TypeError, match="box"):
            jpeg.decompress_region(packed, box)
    embedded = jpeg.compress(b"before" + KINDS["4:2:0"])
    assert jpeg.inspect(embedded).kind == "jpeg"
    for other in (embedded, jpeg.compress(b"text"), b"text", image.compress(Image.new("RGB", (9, 9)), profile="fast")):
        with pytest.raises(LicError):
            jpeg.decompress_region(other, (0, 0, 1, 1))
    with pytest.raises(LimitExceededError):
        jpeg.decompress_region(packed, (0, 0, 1, 1), limits=Limits(max_pixels=1000))
    with pytest.raises(LicError):
        jpeg.decompress_region(packed[:-1], (0, 0, 1, 1))
    with pytest.raises(ValueError, match="device"):
        jpeg.decompress_region(packed, (0, 0, 1, 1), device="tpu")


def test_a_file_cut_short_has_gray_regions(photo):
    data = photo[:20000]
    packed = jpeg.compress(data, profile="native")
    region = jpeg.decompress_region(packed, (0, 0, 512, 600))
    with Image.open(io.BytesIO(region.data)) as part:
        assert part.size == (512, 600) and part.getpixel((256, 590)) == (128, 128, 128)


def test_coefficients_that_baseline_files_lack_are_an_error():
    twelve = jpeg_bytes(16, 16, mode="L", quality=100)
    frame = twelve.index(b"\xff\xc0")
    data = twelve[: frame + 1] + b"\xc1" + twelve[frame + 2 : frame + 4] + b"\x0c" + twelve[frame + 5 :]
    packed = jpeg.compress(data, profile="native")
    with pytest.raises(UnsupportedError, match="8 bits only, not of 12"):
        jpeg.decompress_region(packed, (0, 0, 8, 8))
    assert Image.open(io.BytesIO(jpeg.thumbnail(packed))).size == (2, 2)


@given(st.integers(0, 400), st.integers(1, 255), st.tuples(*[st.integers(0, 90)] * 4))
def test_damage_is_an_error_or_another_picture(position, change, box):
    packed = bytearray(jpeg.compress(KINDS["4:2:2"], profile="native"))
    packed[position % (len(packed) - 4)] ^= change
    packed[-4:] = zlib.crc32(packed[:-4]).to_bytes(4, "little")
    for function in (lambda data: jpeg.decompress_region(data, box), jpeg.thumbnail):
        with suppress(LicError, ValueError):
            function(bytes(packed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("profile", ["native", "quick"])
def test_a_picture_without_a_thumbnail_is_reduced(kind, profile):
    data = KINDS[kind]
    small = jpeg.thumbnail(jpeg.compress(data, profile=profile))
    assert small == jpeg.thumbnail(data) and len(small) < len(data)
    with Image.open(io.BytesIO(small)) as reduced, Image.open(io.BytesIO(data)) as whole:
        assert reduced.size == (-(-whole.width // 8), -(-whole.height // 8)) and reduced.mode == whole.mode
        rows, columns = whole.height // 8, whole.width // 8
        means = np.asarray(whole, float)[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8, -1).mean((1, 3))
        differences = np.asarray(reduced, float).reshape(reduced.height, reduced.width, -1)[:rows, :columns] - means
    assert np.abs(differences).mean() < 4


def test_samples_are_means_of_blocks(photo):
    planes = reduce(jpeg.compress(photo)).planes
    with Image.open(io.BytesIO(photo)) as whole:
        whole.draft("YCbCr", None)
        luma = np.asarray(whole, float)[..., 0].reshape(75, 8, 64, 8).mean((1, 3))
    # Samples are clipped to 0 to 255 before the mean is taken, and DC is quantised.
    assert np.abs(planes[0][:75, :64] - luma).mean() < 0.5


def test_drafts_of_pillow(photo, tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg.lic"
    path.write_bytes(jpeg.compress(photo))
    restored, decompress = [], jpeg.decompress
    monkeypatch.setattr(jpeg, "decompress", lambda *args, **named: restored.append(1) or decompress(*args, **named))
    with Image.open(path) as opened, Image.open(io.BytesIO(photo)) as plain:
        assert (opened.size, opened.mode, opened.info, opened.format) == (plain.size, "RGB", plain.info, "JPEG")
        assert opened.draft("RGB", (64, 64)) == plain.draft("RGB", (64, 64))
        assert opened.size == plain.size == (64, 75)
        difference = np.asarray(opened, int) - np.asarray(plain, int)
        assert np.abs(difference).mean() < 3 and not restored
    for mode in ("L", "YCbCr"):
        with Image.open(path) as opened, Image.open(io.BytesIO(photo)) as plain:
            opened.draft(mode, (10, 10))
            plain.draft(mode, (10, 10))
            assert opened.mode == plain.mode == mode
            assert np.abs(np.asarray(opened, int) - np.asarray(plain, int)).mean() < 3
    with Image.open(path) as opened:
        opened.thumbnail((30, 30))
        assert opened.size == (26, 30) and not restored
    with Image.open(path) as opened, Image.open(io.BytesIO(photo)) as plain:
        opened.draft("RGB", (200, 200))  # A half is decoded by libjpeg.
        plain.draft("RGB", (200, 200))
        assert np.array_equal(np.asarray(opened), np.asarray(plain)) and restored
    with Image.open(path) as opened, Image.open(io.BytesIO(photo)) as plain:
        assert np.array_equal(np.asarray(opened), np.asarray(plain))


@pytest.mark.parametrize("kind", [*KINDS, "thumbnail"])
def test_drafts_of_every_kind(kind):
    data = KINDS.get(kind) or with_thumbnail(cut(jpeg_bytes(200, 300), 160, 120), jpeg_bytes(24, 32))
    with (
        Image.open(io.BytesIO(jpeg.compress(data)), formats=["LIC"]) as opened,
        Image.open(io.BytesIO(data)) as plain,
    ):
        assert opened.info == plain.info
        opened.draft(None, (1, 1))
        plain.draft(None, (1, 1))
        assert (opened.size, opened.mode) == (plain.size, plain.mode)
        assert np.abs(np.asarray(opened, int) - np.asarray(plain, int)).mean() < 5


def test_damage_that_a_draft_finds_is_an_oserror():
    container = _native.unpack(jpeg.compress(KINDS["4:2:0"], profile="native"), 1 << 20)
    number, fingerprint, coded = container.pictures[0]
    damaged = _native.pack_jpeg(KINDS["4:2:0"], container.reconstruction, [(number, fingerprint, coded[:-9])])
    for size in ((8, 8), (300, 300)):
        with Image.open(io.BytesIO(damaged)) as opened:
            opened.draft("RGB", size)
            with pytest.raises(OSError):
                opened.load()
    with pytest.raises(CorruptError, match="checksum"):
        jpeg.decompress(damaged[:-1] + b"x")
