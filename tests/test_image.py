"""`lic_native.image` as its users see it, and what it makes of files that mean harm."""

import io
import math
import zlib
from contextlib import suppress
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lic_native
from lic_native import _native, image, jpeg, pixels
from lic_native.coder import RateMeter
from lic_native.errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from lic_native.evaluation.resources import observe
from lic_native.limits import Limits
from lic_native.models import zoo
from lic_native.models.quality import LAST, index_of, tradeoff
from lic_native.nn.patches import STRIDE

pytestmark = pytest.mark.usefixtures("one_thread")

#: Stand-ins, to be kept bit for bit; the Exif is one that Pillow can read.
METADATA = {
    "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    "icc_profile": bytes(range(256)) * 9,
    "xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
}
COLOUR = photograph(40, 56)
ALPHA = photograph(40, 56, seed=1)[..., 0]


@pytest.fixture(scope="module", params=zoo.IMAGE_PROFILES)
def profile(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(profile):
    return zoo.load_image(zoo.IMAGE_PROFILES[profile], "cpu")


@pytest.fixture(scope="module")
def scene(photo) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


@pytest.fixture(scope="module")
def small(profile) -> bytes:
    """A file with every section."""
    picture = Image.fromarray(np.dstack([COLOUR, ALPHA]))
    picture.info.update(METADATA)
    return compress(picture, profile=profile, quality=2)


def compress(picture, **options) -> bytes:
    return image.compress(picture, device="cpu", **options)


def decompress(data: bytes, **options) -> Image.Image:
    return image.decompress(data, device="cpu", **options)


def psnr(a, b) -> float:
    return -10 * np.log10(np.square(np.asarray(a, float) - np.asarray(b, float)).mean() / 255**2)


def analysed(model, samples: np.ndarray, quality: float) -> np.ndarray:
    """The latents of RGB samples, in one pass without tiles."""
    height, width, _ = samples.shape
    padded = np.pad(samples, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), "edge")
    with torch.inference_mode():
        planes = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        return model.encode(planes, torch.tensor([index_of(quality)])).round()[0].short().numpy()


def synthesised(model, latents: np.ndarray, quality: float) -> np.ndarray:
    """RGB samples of latents, in one pass without tiles."""
    with torch.inference_mode():
        decoded = model.decode(torch.from_numpy(latents)[None].float(), torch.tensor([index_of(quality)]))[0]
    return (255 * decoded).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def largest_difference(a, b) -> int:
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


def repacked(data: bytes, **changes) -> bytes:
    """A file with other parts, and checksums that fit."""
    body = _native.unpack(data, 2**31).image
    names = [name for name in dir(body) if not name.startswith("_")]
    return _native.pack_image(**{name: getattr(body, name) for name in names} | changes)


def sealed(content: bytes) -> bytes:
    return content + zlib.crc32(content).to_bytes(4, "little")


# What goes in


GRAY = np.asarray(Image.fromarray(COLOUR).convert("L"))
#: Inputs that are the same image, by its mode.
ALIKE = {
    "L": [
        Image.fromarray(GRAY),
        GRAY,
        GRAY[..., None],
        torch.from_numpy(GRAY.copy()),
        torch.from_numpy(GRAY.copy())[None],
        np.asfortranarray(GRAY),
        np.ascontiguousarray(GRAY[::-1])[::-1],
    ],
    "LA": [
        Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(ALPHA)]),
        np.dstack([GRAY, ALPHA]),
        torch.from_numpy(np.stack([GRAY, ALPHA])),
    ],
    "RGB": [
        Image.fromarray(COLOUR),
        COLOUR,
        torch.from_numpy(COLOUR).permute(2, 0, 1),
        torch.from_numpy(COLOUR).permute(2, 0, 1).contiguous(),
        COLOUR.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        np.dstack([COLOUR, ALPHA])[..., :3],
        np.repeat(COLOUR, 2, axis=1)[:, ::2],
    ],
    "RGBA": [
        Image.fromarray(np.dstack([COLOUR, ALPHA])),
        np.dstack([COLOUR, ALPHA]),
        torch.from_numpy(np.dstack([COLOUR, ALPHA])).permute(2, 0, 1),
    ],
}


@pytest.mark.parametrize("mode", ALIKE)
def test_every_kind_of_input_gives_the_same_file(mode):
    first, *others = ALIKE[mode]
    data = compress(first)
    assert all(compress(other) == data for other in others)
    shown = decompress(data)
    assert (shown.mode, shown.size) == (mode, (56, 40)) == (image.inspect(data).mode, first.size)
    if mode.endswith("A"):
        assert np.array_equal(shown.getchannel("A"), ALPHA)
        opaque = GRAY if mode == "LA" else COLOUR
        assert np.array_equal(np.asarray(shown)[..., :-1].squeeze(), decompress(compress(opaque)))


@pytest.mark.parametrize(
    ("name", "mode"),
    {"1": "L", "P": "RGB", "P transparent": "RGBA", "L transparent": "LA", "1 transparent": "LA"}.items(),
)
def test_other_modes_are_converted(name, mode):
    before = Image.fromarray(COLOUR).convert(name[0])
    if "transparent" in name:
        before.info["transparency"] = before.getpixel((3, 3))
    after = before.convert(mode)
    assert compress(before) == compress(after)
    shown = decompress(compress(before))
    assert shown.mode == mode
    if mode.endswith("A"):
        assert np.array_equal(shown.getchannel("A"), after.getchannel("A"))
        assert set(np.unique(shown.getchannel("A"))) == {0, 255}


def frames() -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "TIFF", save_all=True, append_images=[Image.fromarray(GRAY)])
    return Image.open(buffer)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Image.fromarray(COLOUR).convert("CMYK"), ValueError, "mode 'CMYK' is none of L, LA, RGB, RGBA"),
        (lambda: Image.fromarray(GRAY.astype(np.uint16)), ValueError, "mode 'I;16' is none of"),
        (lambda: Image.fromarray(GRAY.astype(np.float32)), ValueError, "mode 'F' is none of"),
        (lambda: Image.new("RGB", (0, 7)), ValueError, "an image of 0x7 pixels"),
        (frames, ValueError, "several frames"),
        (lambda: COLOUR.astype(np.uint16), TypeError, "uint8, not uint16: scale them"),
        (lambda: COLOUR / 255, TypeError, "uint8, not float64"),
        (lambda: torch.from_numpy(COLOUR).float(), TypeError, "uint8, not float32"),
        (lambda: np.zeros((8, 8, 5), np.uint8), ValueError, r"shape \(8, 8, 5\), not \[H, W\]"),
        (lambda: np.zeros(8, np.uint8), ValueError, r"shape \(8, 1\)|shape \(8,"),
        (lambda: np.zeros((8, 0), np.uint8), ValueError, "an image of 0x8 pixels"),
        (lambda: torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ValueError, r"\(1, 3, 8, 8\), not \[H, W\]"),
        (lambda: torch.zeros(8, 8, 3, dtype=torch.uint8), ValueError, r"shape \(8, 3, 8\)"),
        (lambda: [[1, 2], [3, 4]], TypeError, "not list"),
        (lambda: b"photo.png", TypeError, "not bytes"),
    ],
)
def test_what_is_no_image_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        compress(make())


@pytest.mark.parametrize("quality", [0, 0.99, 8.01, -1, float("nan"), float("inf")])
def test_qualities_are_1_to_8(quality):
    with pytest.raises(ValueError, match="not from 1 to 8"):
        compress(COLOUR, quality=quality)


def test_profiles_and_devices_are_named():
    with pytest.raises(ValueError, match=f"'native' is not for images, which have {', '.join(zoo.IMAGE_PROFILES)}"):
        compress(COLOUR, profile="native")
    with pytest.raises(ValueError, match="toaster"):
        image.compress(COLOUR, device="toaster")
    with pytest.raises(LimitExceededError, match="2240 pixels exceeds the limit of 2239"):
        compress(COLOUR, limits=Limits(max_pixels=2239))


# What comes out


def test_a_photograph_is_recognised(scene, profile):
    """Rate and distortion that no codec reaches whose parts don't fit."""
    before = np.asarray(scene)
    shown = {quality: decompress(compress(scene, quality=quality, profile=profile)) for quality in (1, 8)}
    assert psnr(shown[1], before) > 20
    assert psnr(shown[8], before) > 27
    channels = [psnr(np.asarray(shown[8])[..., c], before[..., c]) for c in range(3)]
    assert min(channels) > 25


def test_rate_and_fidelity_grow_with_quality(scene, profile):
    scene = scene.crop((100, 100, 356, 292))
    qualities = [1, 2, 3, 3.5, 4, 5, 6, 7, 7.9, 8]
    files = [compress(scene, quality=quality, profile=profile) for quality in qualities]
    assert all(len(a) < len(b) for a, b in pairwise(files))
    assert [image.inspect(data).quality for data in files] == pytest.approx(qualities, abs=1 / 128)
    errors = [psnr(decompress(data), scene) for data in files]
    assert all(a < b for a, b in pairwise(errors))


def test_the_estimated_rate_is_the_files(scene, model, profile):
    for quality in (1, 3.3, 8):
        data = compress(scene, quality=quality, profile=profile)
        latents = torch.from_numpy(image.latents(data, device="cpu"))[None].float()
        meter = RateMeter()
        with torch.inference_mode():
            model.walk(meter, torch.tensor([index_of(quality)]), latents.shape[2:], latents)
        assert 8 * image.inspect(data).latent_bytes == pytest.approx(float(meter.bits()[0]), rel=0.005)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (15, 17), (16, 16), (17, 33), (48, 31), (64, 64)])
def test_every_size_is_what_the_network_makes_of_it_padded(size, scene, model, profile):
    samples = np.asarray(scene)[100 : 100 + size[0], 200 : 200 + size[1]]
    data = compress(samples, quality=5, profile=profile)
    latents = image.latents(data, device="cpu")
    assert np.array_equal(latents, analysed(model, samples, 5))
    assert largest_difference(decompress(data), synthesised(model, latents, 5)[: size[0], : size[1]]) <= 1


@pytest.mark.parametrize("size", [(64, 65), (63, 129), (130, 200), (48, 16), (197, 66)])
def test_tiles_leave_no_seams(size, scene, model, profile, monkeypatch):
    """Around their borders of 64 pixels, and of less where they are made even."""
    monkeypatch.setattr(type(model), "TILE", 4)
    samples = np.asarray(scene)[150 : 150 + size[0], 100 : 100 + size[1]]
    data = compress(samples, quality=6, profile=profile)
    tiled, alone = image.latents(data, device="cpu"), analysed(model, samples, 6)
    assert largest_difference(tiled, alone) <= 1 and (tiled != alone).mean() < 1e-3
    assert largest_difference(decompress(data), synthesised(model, tiled, 6)[: size[0], : size[1]]) <= 1


@pytest.mark.parametrize("tile", [64, 4])
def test_overfitted_latents_cost_less_and_decode_as_any(tile, scene, profile, model, monkeypatch):
    """In one tile and in several: what is told is what the file has."""
    if zoo.IMAGE_PROFILES[profile] not in zoo.OVERFITTED:
        with pytest.raises(ValueError, match="model bls2017 has no latent overfitting"):
            image.compress(scene, profile=profile, lof=1)
        return
    monkeypatch.setattr(type(model), "TILE", tile)
    part, states = scene.crop((200, 100, 312, 196)), []
    options = {"profile": profile, "device": "cpu", "quality": 5}
    plain, fitted = image.compress(part, **options), image.compress(part, **options, lof=8, on_lof=states.append)
    tiles = 1 if tile == 64 else 4
    assert [state.total for state in states] == [8 * tiles] * 9 * tiles
    assert [state.done for state in states] == sorted([*range(1, 8 * tiles + 1), *range(8, 8 * tiles + 1, 8)])
    assert states[-1].after.loss < states[-1].before.loss
    losses = []
    for data, score in ((plain, states[-1].before), (fitted, states[-1].after)):
        error = np.asarray(image.decompress(data, device="cpu"), float) - np.asarray(part)
        mse, bpp = np.square(error).mean(), 8 * image.inspect(data).latent_bytes / (96 * 112)
        losses.append(bpp + tradeoff(index_of(5)) * mse)
        assert score.bpp == pytest.approx(bpp, rel=0.05)
        assert tiles > 1 or score.mse == pytest.approx(mse, rel=0.02)
    assert losses[1] < losses[0]


@pytest.mark.parametrize("most", [1, 7, 64, 128])
def test_tiles_cover_every_side_evenly(most):
    for size in range(1, 700):
        pieces = image._cuts(size, most)
        assert (pieces[0].start, pieces[-1].stop) == (0, size)
        assert all(a.stop == b.start for a, b in pairwise(pieces))
        lengths = {piece.stop - piece.start for piece in pieces}
        assert min(lengths) > 0 and max(lengths) <= most and max(lengths) - min(lengths) <= 1
        assert len(pieces) == -(-size // most)


def test_memory_is_that_of_one_tile_at_a_time(model, profile, monkeypatch):
    """Of sixteen times the pixels, less than three times as much."""
    monkeypatch.setattr(type(model), "TILE", 4)
    peaks = []
    for width in (64, 16 * 64):
        samples = photograph(64, width)
        data = compress(samples, profile=profile)
        calls = [lambda x=samples: compress(x, profile=profile), lambda data=data: decompress(data)]
        peaks.append([observe(call).peak_bytes for call in calls])
    if peaks[0][0] is None:
        pytest.skip("this system does not tell the peak of a process")
    assert all(many < 3 * one for one, many in zip(*peaks))


def test_files_and_latents_are_the_same_every_time_and_with_two_threads(scene, profile):
    data = compress(scene, profile=profile)
    assert compress(scene, profile=profile) == data
    coded, shown = image.latents(data, device="cpu"), decompress(data)
    try:
        torch.set_num_threads(2)
        assert np.array_equal(image.latents(data, device="cpu"), coded)
        assert largest_difference(decompress(data), shown) <= 1
    finally:
        torch.set_num_threads(1)
    assert np.array_equal(decompress(data), shown)


@settings(max_examples=25)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 4), st.floats(1, 8), st.integers(0, 99))
def test_any_image_keeps_its_size_and_its_alpha(height, width, channels, quality, seed):
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    shown = decompress(compress(samples, quality=quality))
    assert (shown.size, shown.mode) == ((width, height), pixels.MODES[channels])
    if channels in (2, 4):
        assert np.array_equal(shown.getchannel("A"), samples[..., -1])


@pytest.mark.parametrize("names", [(), ("exif",), ("icc_profile",), ("xmp",), tuple(METADATA)])
def test_metadata_is_kept_bit_for_bit(names):
    picture = Image.fromarray(COLOUR)
    picture.info.update({name: METADATA[name] for name in names})
    data = compress(picture)
    assert decompress(data).info == {name: METADATA[name] for name in names}
    assert image.inspect(data).metadata == names


def test_a_tiffs_exif_is_what_tells_of_the_picture():
    """Not how its samples lie in the file. What is turned upright on loading is not turned once more."""
    exif = Image.Exif()
    exif[274], exif[270] = 6, "a shed"
    exif[0x8769] = {0x829A: 0.5}
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "TIFF", exif=exif.tobytes(), icc_profile=METADATA["icc_profile"])
    shown = decompress(compress(Image.open(buffer)))
    assert shown.size == (40, 56)
    assert shown.info["icc_profile"] == METADATA["icc_profile"]
    kept = shown.getexif()
    assert dict(kept) == {270: "a shed", 34665: kept[34665]}
    assert kept.get_ifd(0x8769) == {0x829A: 0.5}
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "TIFF")
    assert decompress(compress(Image.open(buffer))).info == {}


def test_files_of_phones_are_taken(photo):
    """Of two pictures: the first."""
    buffer = io.BytesIO()
    first = Image.fromarray(COLOUR)
    first.save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR[:20])])
    assert decompress(compress(Image.open(buffer))).size == first.size


# Image files


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_an_image_file_has_the_metadata_that_its_format_takes(suffix):
    picture = Image.fromarray(COLOUR)
    picture.info.update(METADATA)
    again = pixels.read_file(pixels.write_file(picture, suffix), Limits())
    assert again.size == (picture.size[::-1] if suffix == ".tif" else picture.size)  # Pillow turns TIFF files upright.
    if suffix != ".bmp":
        assert {name: again.info.get(name) for name in ("icc_profile", "xmp")} == {
            name: METADATA[name] for name in ("icc_profile", "xmp")
        }
        if suffix != ".tif":
            assert again.getexif()[274] == 6
    if suffix in (".png", ".bmp"):
        assert np.array_equal(again, picture)


def test_metadata_that_describes_another_file_does_no_harm():
    exif = Image.Exif()
    exif[256], exif[258], exif[259], exif[270] = 9999, 16, 7, "a shed"
    picture = Image.fromarray(COLOUR)
    picture.info["exif"] = exif.tobytes()
    again = pixels.read_file(pixels.write_file(picture, ".tif"), Limits())
    assert np.array_equal(again, picture) and again.getexif()[270] == "a shed"
    for hostile in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif", b"II*\0\x08\0\0\0\xff\xff", b"\xff" * 99):
        picture.info = {"exif": hostile, "xmp": b"\xff\xfe", "icc_profile": b"none"}
        for suffix in (".png", ".tif", ".jpg", ".webp"):
            with suppress(UnsupportedError):
                assert pixels.write_file(picture, suffix)


def test_what_is_no_image_file_is_a_typed_error():
    with pytest.raises(UnsupportedError, match="no image file"):
        pixels.read_file(b"a text", Limits())
    with pytest.raises(CorruptError, match="can't read"):
        pixels.read_file(jpeg_bytes()[:900], Limits())
    with pytest.raises(LimitExceededError):
        pixels.read_file(jpeg_bytes(), Limits(max_pixels=99))
    for suffix in ("", ".txt"):
        with pytest.raises(UnsupportedError, match="writes no"):
            pixels.write_file(Image.fromarray(COLOUR), suffix)
    with pytest.raises(UnsupportedError, match="RGBA as JPEG"):
        pixels.write_file(Image.new("RGBA", (3, 3)), ".jpg")


# Files that mean harm


def test_no_truncation_or_flip_goes_unnoticed(small):
    for end in range(len(small)):
        with pytest.raises((TruncatedError, CorruptError)):
            decompress(small[:end])
    for bit in range(8 * len(small)):
        flipped = bytearray(small)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LicError):
            decompress(bytes(flipped))


def test_changes_with_a_right_checksum_are_refused_or_harmless(small):
    """Where latents come out, they are the ones that the checksum inside is of."""
    content, latents = small[:-4], image.latents(small, device="cpu")
    picker, outcomes = np.random.default_rng(0), []
    head = picker.permutation(range(8 * 5, 8 * 40))
    for bit in (*head[:120], *picker.integers(8 * 40, 8 * len(content), 100)):
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        outcomes.append(outcome(sealed(bytes(altered)), latents))
    for end in range(5, len(content), 61):
        outcomes.append(outcome(sealed(content[:end]), latents))
    assert {CorruptError, TruncatedError, UnsupportedError} <= set(outcomes)


def outcome(data: bytes, latents: np.ndarray) -> type | None:
    limits = Limits(max_pixels=2**20, max_output_bytes=2**22)
    try:
        shown = decompress(data, limits=limits)
    except LicError as error:
        return type(error)
    info = image.inspect(data)
    assert (shown.size, shown.mode) == ((info.width, info.height), info.mode)
    assert np.array_equal(image.latents(data, device="cpu"), latents)
    return None


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_as_latents_are_a_typed_error(small, data):
    with pytest.raises(LicError):
        decompress(repacked(small, latents=data))


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_as_alpha_are_a_typed_error(small, data):
    with pytest.raises(LicError):
        decompress(repacked(small, alpha=data))


@given(st.binary(max_size=40))
def test_any_bytes_as_metadata_are_read_or_a_typed_error(data):
    with suppress(CorruptError):
        assert pixels.pack_metadata(pixels.unpack_metadata(data)) in (data, b"")


@cache
def flat(profile: str, side: int) -> bytes:
    return compress(np.full((side, side, 3), 128, np.uint8), quality=1, profile=profile)


@pytest.mark.parametrize("size", [(2**15, 2**14), (2**29, 1), (1, 2**29)])
@pytest.mark.parametrize("latents", ["none", "few", "one tile"])
def test_lying_sizes_cost_nothing(size, latents, model, profile, monkeypatch):
    """Half a gigapixel, of a few bytes: refused before memory is taken for it."""
    monkeypatch.setattr(type(model), "TILE", 64)
    given = {"none": b"", "few": b"\x13" * 100}.get(latents)
    if given is None:
        tile = _native.unpack(flat(profile, 64 * STRIDE), 2**31).image.latents
        lengths = np.zeros(math.prod(-(-n // (64 * STRIDE)) for n in size) - 1, "<u4")
        lengths[0] = len(tile)
        given = lengths.tobytes() + tile
    lie = repacked(flat(profile, STRIDE), width=size[0], height=size[1], latents=given)

    def refused():
        with pytest.raises((TruncatedError, CorruptError)):
            decompress(lie)

    call = observe(refused)
    assert call.seconds < 5
    assert call.peak_bytes is None or call.peak_bytes < 100 * 2**20


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": 77}, UnsupportedError, "model number 77 is not in this release"),
        ({"model": zoo.NUMBERS["mlcc-fast"]}, UnsupportedError, "mlcc-fast is not for images"),
        ({"fingerprint": 0xFEEDF00D}, UnsupportedError, "needs weights feedf00d of model {model},"),
        ({"quality": LAST + 1}, CorruptError, "quality 449 of model {model}"),
        ({"quality": 2**32 - 1}, CorruptError, "quality"),
        ({"checksum": 1}, CorruptError, "latents' checksum differs"),
        ({"metadata": b"\1\0\0"}, CorruptError, "metadata end before exif"),
        ({"metadata": b"\xff\0\0\0" * 3}, CorruptError, "exif ends at 259"),
        ({"metadata": bytes(13)}, CorruptError, "1 bytes behind the metadata"),
        ({"alpha": lic_native.encode(ALPHA.T.copy())}, CorruptError, r"alpha channel of shape \(56, 40\)"),
        ({"alpha": lic_native.encode(ALPHA.astype(np.int16))}, LimitExceededError, "4480"),
        ({"alpha": lic_native.encode(ALPHA.astype(np.int8))}, CorruptError, "alpha channel that is none"),
        ({"alpha": lic_native.encode(torch.from_numpy(ALPHA.copy()))}, CorruptError, "alpha channel that is none"),
        ({"alpha": lic_native.encode(ALPHA)[:-9]}, TruncatedError, "tensor"),
        ({"latents": b""}, TruncatedError, "rANS words|escape"),
        ({"width": 2**30}, LimitExceededError, "limit"),
    ],
)
def test_what_a_file_cannot_be(small, profile, changes, error, message):
    with pytest.raises(error, match=message.replace("{model}", zoo.IMAGE_PROFILES[profile])):
        decompress(repacked(small, **changes))


def test_limits_are_kept_and_named(small):
    for limits in (Limits(max_pixels=2239), Limits(max_input_bytes=99), Limits(max_output_bytes=8959)):
        for read in (decompress, image.inspect):
            with pytest.raises(LimitExceededError, match=r"limit of (2239|99|8959)"):
                read(small, limits=limits)
    assert decompress(small, limits=Limits(2240, len(small), 8960)).size == (56, 40)


def test_other_weights_are_named(small, profile, monkeypatch):
    monkeypatch.setattr(zoo, "load_image", lambda *_: SimpleNamespace(fingerprint=lambda: 0xBAD))
    message = rf"needs weights \w{{8}} of model {zoo.IMAGE_PROFILES[profile]}, not 00000bad as here"
    with pytest.raises(UnsupportedError, match=message):
        decompress(small)


def test_each_kind_of_file_names_what_reads_it(small):
    packed = jpeg.compress(jpeg_bytes(), profile="native")
    for read in (image.decompress, image.inspect, image.latents):
        for data, kind in ((packed, "jpeg"), (jpeg.compress(b"a text"), "stored")):
            with pytest.raises(UnsupportedError, match=rf"no image \({kind}\): lic_native.jpeg.decompress"):
                read(data)
        with pytest.raises(CorruptError, match="magic"):
            read(lic_native.encode(ALPHA))
    for read in (jpeg.decompress, jpeg.inspect):
        with pytest.raises(UnsupportedError, match=r"lic_native\.image\.decompress"):
            read(small)
    assert image.is_image(small) and not image.is_image(packed) and not image.is_image(b"")


def test_gray_images_that_fill_the_grid_are_not_padded_but_copied():
    """Pillow's arrays can't be written to, which torch warns of."""
    image = Image.fromarray(photograph(32, 48)[..., 0])
    assert lic_native.image.decompress(lic_native.image.compress(image, device="cpu"), device="cpu").mode == "L"
