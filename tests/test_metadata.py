"""Metadata and thumbnails are those of the original file, and are read without decoding pictures."""

import io
from contextlib import suppress
from datetime import datetime

import numpy as np
import pytest
from conftest import jpeg_bytes, networks_alone
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from lic_native import jpeg
from lic_native.errors import CorruptError, LicError, UnsupportedError
from lic_native.jpeg.head import parse, read_exif

THUMBNAIL = jpeg_bytes(96, 128, seed=1)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_with(thumbnail: bytes, order: str = "big") -> bytes:
    """Return an Exif of a camera, with a thumbnail behind its second IFD."""

    def number(value: int, size: int = 4) -> bytes:
        return value.to_bytes(size, order)

    def short(value: int) -> bytes:
        return number(value, 2) + bytes(2)

    texts = b"Make\0\0\0\0" + b"Make Model\0\0" + b"2024:02:29 12:34:56\0"
    first, details = 8, 8 + 2 + 5 * 12 + 4
    second = details + 2 + 12 + 4
    text = second + 2 + 2 * 12 + 4
    begin = text + len(texts)
    entries = [
        (0x10F, 2, 5, number(text)), (0x110, 2, 11, number(text + 8)), (0x112, 3, 1, short(6)),
        (0x132, 2, 20, number(text + 20)), (0x8769, 4, 1, number(details)),
    ]  # fmt: skip
    parts = [b"MM\0*" if order == "big" else b"II*\0", number(first)]

    def ifd(entries, following):
        parts.append(number(len(entries), 2))
        parts.extend(number(tag, 2) + number(kind, 2) + number(count) + value for tag, kind, count, value in entries)
        parts.append(number(following))

    ifd(entries, second)
    ifd([(0x9003, 2, 20, number(text + 20))], 0)
    ifd([(0x201, 4, 1, number(begin)), (0x202, 4, 1, number(len(thumbnail)))], 0)
    return b"".join([*parts, texts, thumbnail])


def photograph(order="big", thumbnail=THUMBNAIL, **options) -> bytes:
    exif = b"Exif\0\0" + exif_with(thumbnail, order)
    return jpeg_bytes(240, 320, exif=exif, icc_profile=ICC, xmp=XMP, **options)


PHOTOGRAPH = photograph()


@pytest.mark.parametrize("order", ["big", "little"])
def test_metadata_is_that_of_the_original(order, tmp_path):
    data = photograph(order, quality=90)
    packed = jpeg.compress(data, profile="native")
    path = tmp_path / "photo.jpg.lic"
    path.write_bytes(packed)
    plain = jpeg.metadata(data)
    assert (plain.width, plain.height, plain.orientation, plain.camera) == (320, 240, 6, "Make Model")
    assert plain.date == datetime(2024, 2, 29, 12, 34, 56) and plain.quality == 90
    assert (plain.icc, plain.xmp) == (ICC, XMP) and plain.exif == exif_with(THUMBNAIL, order)
    for source in (packed, path, str(path)):
        compressed = jpeg.metadata(source)
        # The thumbnail is coded as a picture.
        assert compressed.exif == exif_with(bytes(len(THUMBNAIL)), order)
        assert vars(compressed) | {"exif": None, "bytes_read": 0} == vars(plain) | {"exif": None, "bytes_read": 0}


def test_little_of_a_large_file_is_read(tmp_path):
    data = jpeg_bytes(900, 1200, exif=b"Exif\0\0" + exif_with(THUMBNAIL), quality=98)
    path = tmp_path / "photo.jpg.lic"
    path.write_bytes(jpeg.compress(data, profile="native"))
    described = jpeg.metadata(path)
    assert described.width == 1200 and described.bytes_read == 1 << 15 < path.stat().st_size / 8
    # What follows the picture does not matter, even if it is long and does not compress.
    path.write_bytes(jpeg.compress(data + np.random.default_rng(0).bytes(3 << 20), profile="native"))
    described = jpeg.metadata(path)
    assert described.width == 1200 and described.bytes_read < path.stat().st_size / 6


@pytest.mark.parametrize("size", [(96, 128), (16, 16)])
@pytest.mark.parametrize("padding", [b"", b"\0\0\0"])
def test_a_thumbnail_is_decoded_alone(size, padding, monkeypatch):
    thumbnail = jpeg_bytes(*size, seed=5) + padding
    data = photograph(thumbnail=thumbnail)
    packed = jpeg.compress(data, profile="native")
    decoded, decode = [], jpeg.coders.decode
    monkeypatch.setattr(jpeg.coders, "decode", lambda frame, *rest: decoded.append(frame) or decode(frame, *rest))
    assert jpeg.thumbnail(packed) == jpeg.thumbnail(data) == thumbnail
    assert all(frame.width == size[1] for frame in decoded)
    assert Image.open(io.BytesIO(thumbnail)).size == size[::-1]


def test_a_thumbnail_of_a_network():
    data = photograph()
    with networks_alone():
        packed = jpeg.compress(data, profile="fast")
    assert jpeg.thumbnail(packed) == THUMBNAIL


def test_a_repeated_thumbnail():
    data = photograph()
    twice = data[:2] + b"\xff\xe5" + (len(THUMBNAIL) + 2).to_bytes(2, "big") + THUMBNAIL + data[2:]
    packed = jpeg.compress(twice, profile="native")
    assert "duplicate" in {picture.model for picture in jpeg.inspect(packed).pictures}
    assert jpeg.thumbnail(packed) == THUMBNAIL


def test_files_without_metadata_and_other_files():
    plain = jpeg.metadata(jpeg.compress(jpeg_bytes()))
    assert (plain.exif, plain.icc, plain.xmp, plain.date, plain.camera, plain.orientation) == (None,) * 4 + ("", 1)
    assert Image.open(io.BytesIO(jpeg.thumbnail(jpeg_bytes()))).size == (16, 12)
    stored = jpeg.compress(jpeg_bytes()[:300])  # Its head alone.
    for other in (b"", b"x", b"no JPEG file", jpeg.compress(b"no JPEG file"), jpeg.compress(b"")):
        for function in (jpeg.metadata, jpeg.thumbnail):
            with pytest.raises(UnsupportedError):
                function(other)
    with pytest.raises(CorruptError):
        jpeg.metadata(stored)
    with pytest.raises(FileNotFoundError):
        jpeg.metadata("missing.jpg")
    with pytest.raises(ValueError):
        jpeg.metadata("https://host/photo.jpg")
    with pytest.raises(TypeError):
        jpeg.metadata(3)


def test_a_cut_or_altered_file_is_an_error_or_other_metadata():
    packed = jpeg.compress(photograph(), profile="native")
    for end in range(0, len(packed) // 2, 97):
        with suppress(LicError):
            assert jpeg.metadata(packed[:end]).width in (0, 320)
        with pytest.raises(LicError):
            jpeg.thumbnail(packed[:end])
    for position in range(0, 600):
        altered = bytearray(packed)
        altered[position] ^= 0x55
        with suppress(LicError):
            jpeg.metadata(bytes(altered))


@given(st.binary(max_size=200), st.integers(0, 250), st.binary(min_size=1, max_size=4))
def test_any_head_and_exif_can_be_parsed(tail, position, change):
    exif = exif_with(b"\xff\xd8\xff")
    altered = exif[:position] + change + exif[position + len(change) :]
    for data in (altered, b"II*\0" + tail, b"MM\0*" + tail, tail):
        fields = read_exif(data)
        assert 1 <= fields.orientation <= 8
        assert fields.thumbnail is None or sum(fields.thumbnail) <= len(data)
    parse(b"\xff\xd8\xff" + tail)
    parse(PHOTOGRAPH[:position] + tail)
