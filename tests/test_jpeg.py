"""The public functions of `lic_native.jpeg`."""

import contextlib
import dataclasses
import io
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time
import typing
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import cut, jpeg_bytes, networks_alone, photograph
from PIL import Image

import lic_native
from lic_native import _native, jpeg
from lic_native.jpeg import coders, network, tiles
from lic_native.models import registry
from lic_native.threads import share

VARIANTS = {
    "4:2:0": {},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "gray": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    "progressive": {"progressive": True},
    "progressive 4:4:4": {"progressive": True, "subsampling": 0},
    "progressive gray": {"progressive": True, "mode": "L"},
    "optimised": {"optimize": True},
    "restart rows": {"restart_marker_rows": 1},
    "restart blocks": {"restart_marker_blocks": 3},
    "progressive restart": {"progressive": True, "restart_marker_rows": 1},
    "quality 1": {"quality": 1},
    "quality 30": {"quality": 30},
    "quality 95": {"quality": 95},
    "quality 100": {"quality": 100, "subsampling": 0},
    "RGB components": {"keep_rgb": True},
    "metadata": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0", "icc_profile": bytes(range(256)) * 9},
}


def restored(data: bytes, profile: str = "fast") -> jpeg.StoredInfo | jpeg.JpegInfo:
    """Check that a file is restored after compression, and return the compressed file's `Info`."""
    small = jpeg.compress(data, profile=profile)
    assert jpeg.decompress(small) == data
    assert len(small) <= len(data) + 32 + 32  # The SHA-256, too.
    return jpeg.inspect(small)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_coded_and_restored(name):
    info = restored(jpeg_bytes(**VARIANTS[name]))
    assert info.kind == "jpeg"
    assert info.saving_percent > 0


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (16, 17), (33, 8), (40, 300), (300, 41)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_every_size_is_restored(size, subsampling):
    info = restored(jpeg_bytes(*size, subsampling=subsampling))
    assert info.kind == ("jpeg" if max(size) >= 300 else "stored")
    assert info.saving_percent > 20


@pytest.mark.parametrize("factors", [(1, 2), (4, 1), (1, 4), (4, 4), (3, 1)])
def test_unusual_samplings_are_coded(factors):
    data = with_luma_factors(jpeg_bytes(64, 80, subsampling=0), *factors)
    assert jpeg.read_coefficients(data).sampling == [factors, (1, 1), (1, 1)]
    assert restored(data).kind == "jpeg"


def with_luma_factors(data: bytes, h: int, v: int) -> bytes:
    """Return a valid file of a sampling that Pillow can't write, with another header and coefficients that fit it."""
    _, _, reconstruction = _native.jpeg_read(data)
    frame = reconstruction.index(b"\xff\xc0")
    assert reconstruction[frame + 11] == 0x11
    reconstruction = reconstruction[: frame + 11] + bytes([16 * h + v]) + reconstruction[frame + 12 :]
    rng = np.random.default_rng(h + v)
    planes = []
    for component in _native.jpeg_layout(reconstruction).components:
        plane = np.rint(rng.laplace(0, 2, (component.blocks_h * component.blocks_w, 64)) / np.arange(1, 65))
        planes.append(plane.astype(np.int16).ravel())
    return _native.jpeg_write(reconstruction, planes)


def test_tiles_of_equal_shape_give_the_same_bytes_in_one_walk_and_alone(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 8)
    for subsampling in (0, 2):
        data = jpeg_bytes(150, 200, subsampling=subsampling)
        with networks_alone():
            alone = jpeg.compress(data, profile="fast", device="cpu")
        with networks_alone(on_torch=True):
            assert jpeg.compress(data, profile="fast", device="cpu") == alone
            assert jpeg.decompress(alone, device="cpu") == data
        assert jpeg.decompress(alone, device="cpu") == data


def test_tiles_cover_pictures_larger_than_one(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 8)
    for subsampling in (0, 1, 2):
        with networks_alone():
            restored(jpeg_bytes(150, 200, subsampling=subsampling))


def test_tiles_are_even():
    """Tiles cover a side in order. They are as few and as even as possible, and begin at multiples of 4."""
    for blocks in range(1, 9001):
        pieces = list(_native.cuts(blocks, tiles.TILE, 4))
        assert pieces[0][0] == 0 and pieces[-1][1] == blocks
        assert all(end == begin for (_, end), (begin, _) in pairwise(pieces))
        assert all(begin < end <= begin + tiles.TILE and begin % 4 == 0 for begin, end in pieces)
        assert len(pieces) == -(-blocks // tiles.TILE)
        fours = {-(-(end - begin) // 4) for begin, end in pieces}
        assert max(fours) - min(fours) <= 1


@pytest.mark.parametrize("profile", registry.PROFILES)
@pytest.mark.parametrize("name", ["4:2:0", "4:2:2", "4:4:4", "gray", "CMYK"])
def test_every_profile_codes_and_a_file_says_which(profile, name):
    data = jpeg_bytes(40, 56, **VARIANTS[name])
    with networks_alone():
        small = jpeg.compress(data, profile=profile)
    assert jpeg.inspect(small).pictures[0].model == registry.PROFILES[profile]
    assert jpeg.decompress(small) == data


def test_of_a_network_and_the_native_coder_the_better_is_chosen(photo):
    flat = jpeg_bytes(200, 200, quality=1)
    sizes: dict[bytes, dict[str, int]] = {photo: {}, flat: {}}
    for data, by_coder in sizes.items():
        with networks_alone():
            by_coder["mlcc-fast"] = len(jpeg.compress(data, profile="fast"))
        by_coder["native"] = len(jpeg.compress(data, profile="native"))
        small = jpeg.compress(data, profile="fast")
        assert len(small) == min(by_coder.values())
        assert by_coder[jpeg.inspect(small).pictures[0].model] == len(small)
    assert {min(by_coder, key=by_coder.__getitem__) for by_coder in sizes.values()} == {"mlcc-fast", "native"}


@pytest.mark.parametrize("name", ["CMYK", "4:1:1", "12 bits", "icon"])
def test_what_no_network_knows_goes_to_the_native_coder(name, monkeypatch):
    monkeypatch.setattr(coders, "NetworkCoder", None)
    made = {
        "CMYK": lambda: jpeg_bytes(40, 56, mode="CMYK"),
        "4:1:1": lambda: with_luma_factors(jpeg_bytes(64, 80, subsampling=0), 4, 1),
        "12 bits": lambda: with_precision(jpeg_bytes(40, 56), 12),
        "icon": lambda: jpeg_bytes(24, 24, quality=95),
    }
    data = made[name]()
    small = jpeg.compress(data, profile="best")
    assert jpeg.inspect(small).pictures[0].model == "native" and jpeg.decompress(small) == data


def with_precision(data: bytes, bits: int) -> bytes:
    """Return a sequential JPEG whose header has this number of bits, in SOF1, because SOF0 allows only 8."""
    sof = data.index(b"\xff\xc0")
    return data[:sof] + b"\xff\xc1" + data[sof + 2 : sof + 4] + bytes([bits]) + data[sof + 5 :]


def test_jpeg_files_take_no_torch(photo, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo)
    code = """if True:
        import pathlib, sys
        sys.modules["torch"] = None  # importing it fails
        from lic_native import jpeg
        data = pathlib.Path(sys.argv[1]).read_bytes()
        for profile, model in {"native": "native", "fast": "mlcc-fast", "best": "mlcc-best"}.items():
            small = jpeg.compress(data, profile=profile)
            assert jpeg.inspect(small).pictures[0].model == model and jpeg.decompress(small) == data
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "photo.jpg"], check=True)


def test_profiles_have_defaults_by_device():
    for device in (None, "cpu", "cpu:0"):
        assert registry.of_profile(None, device) == "native"
    assert registry.of_profile(None, "cuda") == registry.of_profile(None, "cuda:1") == "mlcc-best"
    for profile in ("tiny", "", "Best"):
        with pytest.raises(ValueError, match=r"unknown profile .*native, quick, fast, best"):
            jpeg.compress(b"", profile=profile)


def test_a_photograph_is_a_fifth_smaller(photo):
    info = restored(photo)
    assert info.saving_percent > 20
    (picture,) = info.pictures
    assert (picture.width, picture.height, picture.components) == (512, 600, 3)
    assert info.coefficient_bytes == picture.coefficient_bytes
    assert info.file_bytes == info.header_bytes + info.coefficient_bytes


def test_bytes_after_the_end_are_kept():
    assert restored(jpeg_bytes() + b"tail" * 1000).kind == "jpeg"


def with_thumbnail(data: bytes, thumbnail: bytes) -> bytes:
    """Return `data` with a thumbnail in its EXIF, whose second directory has the offset, as cameras write it."""
    tags = [(0x0103, 3, 6), (0x0201, 4, 8 + 6 + 2 + 3 * 12 + 4), (0x0202, 4, len(thumbnail))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in tags)
    exif = b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, 14) + directory + bytes(4) + thumbnail
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def mpo() -> bytes:
    first, second = (Image.fromarray(photograph(96, 128, seed)) for seed in (0, 1))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=75)
    return buffer.getvalue()


THUMBNAIL = {"height": 48, "width": 64, "quality": 60}
FULL, SMALL = (128, 96), (64, 48)
DOCUMENTS = {
    "leading bytes": (lambda: b"\xff\xd8\xff leading" + jpeg_bytes(), [FULL]),
    "two pictures": (lambda: jpeg_bytes() + jpeg_bytes(**THUMBNAIL, progressive=True) + b"tail", [FULL, SMALL]),
    "thumbnail": (lambda: with_thumbnail(jpeg_bytes(), jpeg_bytes(**THUMBNAIL)), [FULL, SMALL]),
    "thumbnails in one another": (
        lambda: with_thumbnail(jpeg_bytes(), with_thumbnail(jpeg_bytes(**THUMBNAIL), jpeg_bytes(**THUMBNAIL, seed=2))),
        [FULL, SMALL, SMALL],
    ),
    "MPO": (mpo, [FULL, FULL]),
    "other format": (lambda: b"RIFF" + b"".join(jpeg_bytes(seed=i) + bytes(99) for i in range(4)), [FULL] * 4),
    "thumbnail cut short": (lambda: with_thumbnail(jpeg_bytes(), jpeg_bytes(**THUMBNAIL)[:-2]), [FULL, SMALL]),
    "thumbnail's header": (lambda: with_thumbnail(jpeg_bytes(), jpeg_bytes(**THUMBNAIL)[:600]), [FULL]),
    "thumbnail's twin": (lambda: with_thumbnail(jpeg_bytes(**THUMBNAIL), jpeg_bytes(**THUMBNAIL)), [SMALL, SMALL]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_picture_of_a_file_is_coded(name):
    make, expected = DOCUMENTS[name]
    data = make()
    info = restored(data)
    assert [(picture.width, picture.height) for picture in info.pictures] == expected
    assert sum(picture.coefficient_bytes for picture in info.pictures) == info.coefficient_bytes
    assert info.header_bytes + info.coefficient_bytes == info.file_bytes


def test_a_thumbnail_is_a_quarter_smaller(photo):
    data, thumbnail = jpeg_bytes(), cut(photo, 160, 120, quality=75)
    grown = len(jpeg.compress(with_thumbnail(data, thumbnail))) - len(jpeg.compress(data))
    assert grown < 0.75 * len(thumbnail)


def test_a_picture_that_occurs_twice_is_coded_once():
    data, thumbnail = jpeg_bytes(), jpeg_bytes(**THUMBNAIL)
    twice = with_thumbnail(data, thumbnail) + thumbnail
    pictures = jpeg.inspect(jpeg.compress(twice, profile="fast")).pictures
    assert [p.model for p in pictures] == ["mlcc-fast", "mlcc-fast", "duplicate"]
    restored(twice)
    assert len(jpeg.compress(twice)) - len(jpeg.compress(with_thumbnail(data, thumbnail))) < 25


@pytest.mark.parametrize("index", [b"", b"\0", b"\0\0\0", b"\1\0", b"\2\0", b"\0\0"])
def test_no_picture_repeats_what_is_not_there(index):
    """The second picture may not repeat itself, a later one, or the first, which is larger."""
    data = jpeg_bytes() + jpeg_bytes(**THUMBNAIL)
    container = _native.unpack(jpeg.compress(data, profile="fast"), len(data))
    packed = _native.pack_jpeg(data, container.reconstruction, [container.pictures[0], 0])
    crafted = packed[:-6] + index
    crafted += zlib.crc32(crafted).to_bytes(4, "little")
    with pytest.raises(lic_native.CorruptError, match="repeats"):
        jpeg.decompress(crafted)


def test_damage_to_a_file_of_several_pictures_is_noticed():
    """Damage is detected even if the checksum of the `.lic` file is valid."""
    data = with_thumbnail(jpeg_bytes(**THUMBNAIL), jpeg_bytes(32, 32)) + jpeg_bytes(40, 40)
    small = jpeg.compress(data, profile="fast")
    assert len(jpeg.inspect(small).pictures) == 3
    content = small[:-4]
    picker = random.Random(3)
    for _ in range(300):
        damaged = bytearray(content[: picker.randrange(8, len(content) + 1)])
        for _ in range(picker.choice((0, 1, 1, 2, 9))):
            damaged[picker.randrange(14, len(damaged)) if len(damaged) > 14 else 0] = picker.randrange(256)
        with contextlib.suppress(lic_native.LicError):
            assert jpeg.decompress(bytes(damaged) + zlib.crc32(damaged).to_bytes(4, "little")) == data


def test_thousands_of_false_starts_take_no_time():
    """The rest of the file is not searched again after each possible start of a picture."""
    for piece in (b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\x04\0\0", jpeg_bytes()[:600]):
        start = time.process_time()
        assert restored(piece * (1_000_000 // len(piece))).kind == "stored"
        assert time.process_time() - start < 5


@pytest.mark.parametrize("seed", range(100))
def test_random_bytes_are_restored(seed):
    assert restored(random.Random(seed).randbytes(37 * seed)).kind == "stored"


def test_what_is_no_jpeg_is_stored():
    png = io.BytesIO()
    Image.new("RGB", (50, 50), "red").save(png, "PNG")
    for data in (b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xd9", png.getvalue(), bytes(5000)):
        assert restored(data).kind == "stored"


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_every_truncation_is_restored(options):
    data = jpeg_bytes(24, 24, **options)
    for end in range(0, len(data), 7):
        restored(data[:end])


def test_damaged_jpegs_are_restored():
    data = jpeg_bytes(24, 32)
    picker = random.Random(1)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(picker.choice((1, 1, 5))):
            damaged[picker.randrange(len(data))] = picker.randrange(256)
        restored(bytes(damaged))


@pytest.mark.parametrize("make", [lambda: jpeg_bytes(32, 32), lambda: b"no JPEG at all" * 9], ids=["jpeg", "stored"])
def test_no_truncation_or_flip_goes_unnoticed(make):
    small = jpeg.compress(make(), profile="fast")
    for end in range(len(small)):
        with pytest.raises(lic_native.LicError):
            jpeg.decompress(small[:end])
    for bit in range(8 * len(small)):
        flipped = bytearray(small)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(lic_native.LicError):
            jpeg.decompress(bytes(flipped))


def test_limits_are_kept_and_named():
    """Files at the limits are accepted; a file one above a limit is refused, with both numbers."""
    data = jpeg_bytes(96, 128)  # 4:2:0: 192 blocks of Y, 48 of Cb and of Cr, as many as 6144 pixels of 4:4:4 have
    small = jpeg.compress(data, profile="fast")
    exact = lic_native.Limits(max_pixels=96 * 64, max_input_bytes=len(small), max_output_bytes=len(data))
    assert jpeg.decompress(small, limits=exact) == data
    assert jpeg.inspect(small, limits=exact).kind == "jpeg"
    for name, message in {
        "max_pixels": "number of JPEG blocks of 288 exceeds the limit of 287",
        "max_input_bytes": f"input of {len(small)} bytes exceeds the limit of {len(small) - 1}",
        "max_output_bytes": f"a restored file's length of {len(data)} exceeds the limit of {len(data) - 1}",
    }.items():
        limits = dataclasses.replace(exact, **{name: getattr(exact, name) - 1})
        for function in (jpeg.decompress, jpeg.inspect):
            with pytest.raises(lic_native.LimitExceededError, match=re.escape(message)):
                function(small, limits=limits)


def test_compress_keeps_limits():
    data = jpeg_bytes(96, 128) + jpeg_bytes(48, 64)
    sizes = {}
    for pixels in (96 * 64 + 48 * 32, 96 * 64 + 48 * 32 - 1, 96 * 64 - 1, 48 * 32 - 1):
        small = jpeg.compress(data, limits=lic_native.Limits(max_pixels=pixels))
        assert jpeg.decompress(small) == data
        info = jpeg.inspect(small)
        sizes[pixels] = [picture.width for picture in info.pictures] if info.kind == "jpeg" else []
    assert list(sizes.values()) == [[128, 64], [128], [64], []]
    with pytest.raises(lic_native.LimitExceededError, match=f"of {len(data)} bytes exceeds the limit of 99"):
        jpeg.compress(data, limits=lic_native.Limits(max_input_bytes=99))


def test_other_weights_are_named(monkeypatch):
    small = jpeg.compress(jpeg_bytes(), profile="fast")
    monkeypatch.setattr(network.NetworkCoder, "fingerprint", lambda self: 0x1234)
    with pytest.raises(lic_native.UnsupportedError, match="00001234"):
        jpeg.decompress(small)


@pytest.mark.parametrize("name", registry.IMAGE_PROFILES.values())
def test_models_for_images_do_not_code_jpeg_files(name, monkeypatch):
    data = jpeg_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(coders.ContextCoder, "number", registry.NUMBERS[name])
        damaged = jpeg.compress(data, profile="native")
    with pytest.raises(lic_native.UnsupportedError, match=f"{name} is not for JPEG files"):
        jpeg.decompress(damaged)


def test_coefficients_rebuild_the_picture():
    """NumPy dequantises and transforms the coefficients into the pixels that Pillow decodes."""
    data = jpeg_bytes(40, 56, mode="L", quality=80)
    coefficients = jpeg.read_coefficients(data)
    (plane,), (table,) = coefficients.planes, coefficients.tables
    assert plane.shape == (64, 5, 7) and plane.dtype == np.int16 and table.dtype == np.uint16
    from lic_native.training.data import dct_matrix

    values = np.einsum("kyx,k,kp->yxp", plane.astype(float), table.astype(float), dct_matrix().numpy())
    pixels = values.reshape(5, 7, 8, 8).transpose(0, 2, 1, 3).reshape(40, 56) + 128
    expected = np.asarray(Image.open(io.BytesIO(data)), float)
    assert np.abs(np.clip(pixels, 0, 255) - expected).max() <= 1.5


def test_coefficients_of_a_cut_file_are_a_typed_error():
    """Missing rows or coefficients are not left out or replaced by zeros."""
    for options in ({}, {"progressive": True}, {"mode": "L"}, {"restart_marker_rows": 1}):
        data = jpeg_bytes(64, 80, **options)
        whole = jpeg.read_coefficients(data)
        for end in range(2, len(data) - 2, 7):
            with pytest.raises(lic_native.TruncatedError):
                jpeg.read_coefficients(data[:end])
        # What follows does not matter, and neither does EOI.
        for same in (data + b"tail", data + data[:300], data[:-2]):
            assert all(map(np.array_equal, jpeg.read_coefficients(same).planes, whole.planes))
        # EOI in the middle of a scan does not make a whole file of a part.
        with pytest.raises(lic_native.CorruptError):
            jpeg.read_coefficients(data[:-60] + b"\xff\xd9")


def unfinished(data: bytes) -> dict[str, bytes]:
    """Return progressive files without their last scans, and one that ends within a scan."""
    scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    return {
        "5 scans": data[: scans[5]] + b"\xff\xd9",
        "6 scans": data[: scans[6]] + b"\xff\xd9",
        "cut": data[: (scans[5] + scans[6]) // 2],
        "cut early": data[: len(data) * 2 // 5],
    }


def test_unfinished_progressive_files_shrink_as_whole_ones_do(photo):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(buffer, "JPEG", quality=90, progressive=True)
    data = buffer.getvalue()
    info = restored(data, profile="native")
    assert info.pictures[0].model == "native"
    for name, part in unfinished(data).items():
        result = restored(part, profile="native")
        assert result.pictures[0].model == "native-steps", name
        assert result.saving_percent > 0.75 * info.saving_percent, name


def test_coder_3_codes_unfinished_files_as_before():
    """Files of releases without steps are restored."""
    data = unfinished(jpeg_bytes(64, 80, progressive=True))["5 scans"]
    pictures, reconstruction = _native.carve_read(data)
    (frame,) = _native.frames(reconstruction, len(data), 1 << 20)
    native = coders.ContextCoder()
    coded = (native.number, native.fingerprint(), native.encode(frame, pictures[0])[0])
    assert jpeg.decompress(_native.pack_jpeg(data, reconstruction, [coded])) == data


@pytest.mark.parametrize("profile", registry.PROFILES)
def test_nearly_blank_pictures_are_left_to_the_native_coder(profile, monkeypatch):
    """A network would spend as much time on a blank block as on another."""
    monkeypatch.delattr(network.NetworkCoder, "encode")
    data = jpeg_bytes(8, 8, quality=50)
    blank = io.BytesIO()
    Image.new("RGB", (800, 800), "white").save(blank, "JPEG")
    for file in (blank.getvalue(), blank.getvalue() + data):
        assert jpeg.decompress(jpeg.compress(file, profile=profile)) == file


def test_a_reconstruction_of_a_large_frame_needs_its_coefficients():
    """A declared size alone makes the decoder neither allocate memory nor compute."""
    data = jpeg_bytes(64, 64, mode="L")
    pictures, reconstruction = _native.carve_read(data)
    frame = reconstruction.index(b"\xff\xc0")
    large = reconstruction[: frame + 5] + b"\x0f\xff\x0f\xff" + reconstruction[frame + 9 :]
    coder = coders.ContextCoder()
    for coded in (
        b"",
        bytes(1000),
        coder.encode(_native.frames(reconstruction, len(data), 1 << 20)[0], pictures[0])[0],
    ):
        packed = _native.pack_jpeg(bytes(1 << 20), large, [(coder.number, coder.fingerprint(), coded)])
        with pytest.raises((lic_native.TruncatedError, lic_native.CorruptError)):
            jpeg.decompress(packed)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", jpeg_bytes()[:300]], ids=["empty", "png", "cut"])
def test_coefficients_of_no_jpeg_are_a_typed_error(data):
    with pytest.raises(lic_native.LicError):
        jpeg.read_coefficients(data)


SHARED = Path(os.environ.get("LIC_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the test corpus is not here (LIC_SHARED)")
def test_camera_files_are_restored():
    files = sorted((SHARED / "camera-jpeg").glob("*.jpg"), key=lambda path: path.stat().st_size)
    assert len(files) == 39
    for path in files:
        data = path.read_bytes()
        pictures, reconstruction = _native.carve_read(data)
        assert pictures and _native.carve_write(reconstruction, pictures) == data, path.name
    for path in files[:2]:
        restored(path.read_bytes())


@pytest.mark.parametrize("device", ["cpu", "cpu:0", torch.device("cpu"), torch.device("cpu", 0)])
def test_devices_are_taken_as_torch_has_them(device):
    data = jpeg_bytes(40, 56)
    small = jpeg.compress(data, profile="fast", device=device)
    assert jpeg.decompress(small, device=device) == data


@pytest.mark.parametrize("data", [b"no photograph", jpeg_bytes(16, 16)], ids=["text", "photograph"])
@pytest.mark.parametrize("profile", ["native", "fast"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"device": "gpu"}, ValueError, "unknown device 'gpu'; choose from: cpu, cuda"),
        ({"device": 0}, TypeError, "device must be a string or a torch.device, not int"),
        ({"limits": None}, TypeError, "limits must be a lic_native.Limits, not NoneType"),
        ({"threads": -1}, ValueError, "threads must be 0 or more, not -1"),
        ({"threads": "2"}, TypeError, "threads must be an integer, not str"),
        ({"threads": True}, TypeError, "threads must be an integer, not bool"),
    ],
    ids=str,
)
def test_arguments_are_checked_whatever_the_profile_and_the_data(data, profile, arguments, error, message):
    with pytest.raises(error, match=message):
        jpeg.compress(data, profile=profile, **arguments)
    small = jpeg.compress(data, profile="native")
    with pytest.raises(error, match=message):
        jpeg.decompress(small, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_a_cuda_device_that_is_not_there_is_refused(device):
    for data in (b"no photograph", jpeg_bytes(40, 56)):
        with pytest.raises(ValueError, match="torch finds no CUDA device"):
            jpeg.compress(data, profile="best", device=device)


def test_profiles_are_strings_of_the_literal_type():
    assert typing.get_args(registry.JpegProfile) == tuple(registry.PROFILES)
    assert typing.get_args(registry.ImageProfile) == tuple(registry.IMAGE_PROFILES)
    with pytest.raises(TypeError, match="profile must be a string, not int"):
        jpeg.compress(b"", profile=1)


@pytest.mark.parametrize("function", [jpeg.compress, jpeg.decompress, jpeg.inspect])
@pytest.mark.parametrize(
    "given", [Path("photo.jpg"), "photo.jpg", 5, True, [1, 2], None, np.zeros((4, 4, 3), np.uint8)]
)
def test_what_holds_no_bytes_is_refused(function, given):
    with pytest.raises(TypeError, match="data must be a bytes-like object"):
        function(given)


def test_bytes_like_objects_are_taken():
    data = jpeg_bytes(40, 56)
    small = jpeg.compress(data, profile="native")
    for kind in (bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)):
        assert jpeg.compress(kind(data), profile="native") == small
        assert jpeg.decompress(kind(small)) == data
        assert jpeg.inspect(kind(small)).restored_bytes == len(data)


@pytest.mark.parametrize("profile", ["native", "fast"])
def test_threads_are_bounded_and_change_no_bytes(profile, monkeypatch):
    data = jpeg_bytes(150, 200)
    monkeypatch.setattr(tiles, "TILE", 16)
    native = []
    encode, decode = _native.context_encode, _native.context_decode
    monkeypatch.setattr(_native, "context_encode", lambda *given: (native.append(given[2]), encode(*given))[1])
    monkeypatch.setattr(_native, "context_decode", lambda *given: (native.append(given[2]), decode(*given))[1])
    at_work, most, lock = 0, 0, threading.Lock()
    encode_tiles = network.Engine.encode

    def counted(*given):
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        try:
            return encode_tiles(*given)
        finally:
            with lock:
                at_work -= 1

    monkeypatch.setattr(network.Engine, "encode", counted)
    results = []
    for count in (1, 2, 100):
        native.clear()
        most = 0
        with networks_alone():
            results.append(jpeg.compress(data, profile=profile, device="cpu", threads=count))
            assert jpeg.decompress(results[-1], device="cpu", threads=count) == data
        assert most <= count and set(native) <= {min(count, coders.CONTEXT_THREADS)}
        assert bool(most) == (profile == "fast") != bool(native)
    assert results == results[:1] * 3


def test_threads_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("LIC_THREADS", "1")
    assert coders.context_threads() == 1 and coders.context_threads(3) == 3
    monkeypatch.setenv("LIC_THREADS", "none")
    with pytest.raises(ValueError, match="LIC_THREADS must be a number from 1 on, not 'none'"):
        jpeg.compress(jpeg_bytes(40, 56), profile="native")


@pytest.mark.parametrize("profile", ["native", "fast"])
def test_where_no_thread_can_be_started_the_calling_thread_works(profile, monkeypatch):
    data = jpeg_bytes(150, 200)
    monkeypatch.setattr(tiles, "TILE", 16)
    with networks_alone():
        small = jpeg.compress(data, profile=profile, device="cpu")

        def no(*_):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", no)
        before = torch.get_num_threads()
        assert jpeg.compress(data, profile=profile, device="cpu") == small
        assert jpeg.decompress(small, device="cpu") == data
        assert torch.get_num_threads() == before


def test_a_network_works_after_the_main_thread_has_ended():
    code = """if True:
        import atexit, threading, time
        from conftest import jpeg_bytes, networks_alone
        from lic_native import jpeg
        data = jpeg_bytes(40, 56)
        def work(name):
            with networks_alone():
                assert jpeg.decompress(jpeg.compress(data, profile="fast", device="cpu")) == data
            print(name, flush=True)
        def later():
            threading.main_thread().join()
            time.sleep(0.2)
            work("thread")
        atexit.register(work, "exit")
        threading.Thread(target=later).start()
    """
    paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=os.environ | {"PYTHONPATH": paths})
    assert done.stdout.split() == ["thread", "exit"], done.stderr


def test_work_that_is_no_longer_wanted_ends():
    """A stopped group ends workers whose calls share their work among threads, like those of the command."""
    data = jpeg_bytes(700, 700)
    ended, calls = threading.Event(), []

    def work(i):
        if i:
            while len(calls) < 2:
                time.sleep(0.01)
            raise KeyError("the other is no longer wanted")
        try:
            with networks_alone():
                while len(calls) < 1000:
                    calls.append(jpeg.compress(data, profile="fast", device="cpu"))
        finally:
            ended.set()

    with pytest.raises(KeyError):
        share(work, [0, 1], 2)
    assert ended.wait(60) and len(calls) < 1000


@pytest.mark.parametrize(
    ("factors", "name"),
    [
        ([(1, 1)], "gray"),
        ([(2, 2)], "gray"),
        ([(1, 1)] * 3, "4:4:4"),
        ([(2, 2), (1, 1), (1, 1)], "4:2:0"),
        ([(2, 1), (1, 1), (1, 1)], "4:2:2"),
        ([(1, 2), (1, 1), (1, 1)], "4:4:0"),
        ([(2, 2), (1, 2), (1, 2)], "4:2:2"),
        ([(4, 1), (1, 1), (1, 1)], "4:1:1"),
        ([(3, 1), (2, 1), (2, 1)], "3x1,2x1,2x1"),
        ([(1, 1), (2, 2), (2, 2)], "1x1,2x2,2x2"),
        ([(1, 1)] * 4, "1x1,1x1,1x1,1x1"),
    ],
)
def test_samplings_are_named_as_people_know_them(factors, name):
    assert jpeg.sampling_name(factors) == name


def test_inspect_tells_no_saving_where_there_is_none():
    assert jpeg.inspect(jpeg.compress(b"no photograph")).saving_percent == 0
    (picture,) = jpeg.inspect(jpeg.compress(jpeg_bytes(40, 56), profile="native")).pictures
    assert picture.sampling == "4:2:0"


def test_what_is_kept_as_it_is_has_a_reason(photo):
    assert jpeg.compress_explained(photo, profile="native")[1] is None
    for data, reason in {
        b"": "not a JPEG file",
        b"a text": "not a JPEG file",
        b"\xff\xd8\xff\xd9 no picture": "no JPEG picture in it that can be rebuilt exactly",
    }.items():
        small, why = jpeg.compress_explained(data)
        assert why == reason and jpeg.decompress(small) == data
    limits = lic_native.Limits(max_pixels=1000)
    small, why = jpeg.compress_explained(photo, profile="native", limits=limits)
    assert why == "over the limit of 1,000 pixels" and jpeg.decompress(small) == photo


MISSING = "raise ModuleNotFoundError('No module named torch', name='torch')"
#: What importing torch does, and what is said then.
WITHOUT_TORCH = {
    "not installed": (MISSING, r"which is not installed: pip install 'lic-native\[torch\]'"),
    "broken": (
        "raise ImportError('libtorch.so: no such file\\nmore')",
        r"can't be loaded \(libtorch.so: no such file\)",
    ),
    "of another system": ("raise OSError('wrong ELF class')", r"can't be loaded \(wrong ELF class\)"),
    "not whole": ("", r"can't be loaded \(module 'torch' has no attribute '__version__'\)"),
}


@pytest.mark.parametrize("kind", WITHOUT_TORCH)
def test_without_torch_one_line_names_model_and_remedy(kind, tmp_path):
    """Every call that needs torch names the model and the remedy; JPEG files need it on CUDA only."""
    source, message = WITHOUT_TORCH[kind]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(source)
    data = jpeg_bytes(40, 56)
    with networks_alone():
        (tmp_path / "fast.lic").write_bytes(jpeg.compress(data, profile="fast", device="cpu"))
    (tmp_path / "image.lic").write_bytes(lic_native.image.compress(photograph(16, 16), profile="fast", device="cpu"))
    (tmp_path / "photo.jpg").write_bytes(data)
    code = """if True:
        import importlib, pathlib, re, sys
        import numpy as np
        from lic_native import UnsupportedError, image, jpeg, training
        message, folder = sys.argv[1], pathlib.Path(sys.argv[2])
        options = training.Options(folder, folder / "run", steps=1)
        data, fast, picture = ((folder / name).read_bytes() for name in ("photo.jpg", "fast.lic", "image.lic"))
        calls = {
            "mlcc-fast on cuda": [lambda: jpeg.compress(data, profile="fast", device="cuda"),
                                  lambda: jpeg.compress(b"", profile="fast", device="cuda"),
                                  lambda: jpeg.decompress(fast, device="cuda")],
            "mlcc-best on cuda:1": [lambda: jpeg.compress(data, device="cuda:1")],
            "msp-fast": [lambda: image.compress(np.zeros((8, 8, 3), np.uint8), profile="fast"),
                         lambda: image.compress(np.zeros((8, 8, 3), np.uint8), profile="fast", lof=1),
                         lambda: image.decompress(picture)],
            "training": [lambda: training.train_jpeg(options), lambda: training.train_image(options),
                         lambda: training.train_context_prior(folder, folder / "prior.bin")],
            "evaluate latency": [lambda: importlib.import_module("lic_native.evaluation.latency")],
        }
        from lic_native.evaluation import codecs
        calls["lic_native fast"] = [lambda: codecs.image_codecs(["lic_native fast"])]
        for name, some in calls.items():
            for call in some:
                try:
                    call()
                except UnsupportedError as error:
                    assert re.search(message, str(error)) and name in str(error) and "\\n" not in str(error), error
                else:
                    raise AssertionError(name)
        assert jpeg.inspect(fast).pictures[0].model == "mlcc-fast" and image.inspect(picture).model == "msp-fast"
        assert image.latents(picture).any()
        for profile in ("native", "fast", "best"):
            assert jpeg.decompress(jpeg.compress(data, profile=profile)) == data
        assert jpeg.decompress(fast) == jpeg.decompress(fast, device="cpu") == data
    """
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-c", code, message, str(tmp_path)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths})
