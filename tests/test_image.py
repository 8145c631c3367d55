"""The public functions of `lic_native.image`, with valid, damaged and hostile files."""

import io
import math
import struct
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
from lic_native import _native, image, jpeg
from lic_native.coding.coder import StreamEncoder
from lic_native.coding.rate import RateMeter
from lic_native.errors import CorruptError, LicError, LimitExceededError, TruncatedError, UnsupportedError
from lic_native.evaluation.engine import measure_call
from lic_native.image import formats, metadata
from lic_native.image.coders import Engine
from lic_native.image.container import unpack
from lic_native.image.grid import TileGrid
from lic_native.image.samples import MODES, bits_of, to_pixels
from lic_native.image.torch_coder import walk
from lic_native.limits import Limits
from lic_native.models import registry
from lic_native.models.rate_points import LAST, index_of, tradeoff
from lic_native.nn.transforms import STRIDE
from lic_native.observe import record as observe_stages

pytestmark = pytest.mark.usefixtures("one_thread")

#: Stand-ins, to be kept bit for bit; the Exif is one that Pillow can read.
METADATA = {
    "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    "icc_profile": bytes(range(256)) * 9,
    "xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
}
COLOUR = photograph(40, 56)
ALPHA = photograph(40, 56, seed=1)[..., 0]


@pytest.fixture(scope="module", params=registry.IMAGE_PROFILES)
def profile(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(profile):
    return registry.load_image(registry.IMAGE_PROFILES[profile], "cpu")


@pytest.fixture(scope="module")
def scene(photo) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


@pytest.fixture(scope="module")
def small(profile) -> bytes:
    """Return a `.lic` file that has every section."""
    picture = Image.fromarray(np.dstack([COLOUR, ALPHA]))
    picture.info.update(METADATA)
    return compress(picture, profile=profile, quality=2)


def compress(picture, **options) -> bytes:
    return image.compress(picture, device="cpu", **options)


def decompress(data: bytes, **options) -> Image.Image:
    return image.decompress(data, device="cpu", **options)


def psnr(a, b) -> float:
    return -10 * np.log10(np.square(np.asarray(a, float) - np.asarray(b, float)).mean() / 255**2)


def set_tile(monkeypatch, model, side: int) -> None:
    """Make tiles of at most so many vectors on a side."""
    for kind, name in ((type(model), "TILE"), (Engine, "tile")):
        monkeypatch.setattr(kind, name, side)


def analysed(model, samples: np.ndarray, quality: float) -> np.ndarray:
    """Return the latents of RGB samples, computed in one pass without tiles."""
    height, width, _ = samples.shape
    padded = np.pad(samples, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), "edge")
    with torch.inference_mode():
        planes = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        return model.encode(planes, torch.tensor([index_of(quality)])).round()[0].short().numpy()


def synthesised(model, latents: np.ndarray, quality: float) -> np.ndarray:
    """Return the RGB samples of latents, computed in one pass without tiles."""
    with torch.inference_mode():
        decoded = model.decode(torch.from_numpy(latents)[None].float(), torch.tensor([index_of(quality)]))[0]
    return (255 * decoded).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def largest_difference(a, b) -> int:
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())


def repacked(data: bytes, **changes) -> bytes:
    """Return a `.lic` file with changed sections and valid checksums."""
    body = unpack(data, Limits())
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
        np.ascontiguousarray(GRAY[:, ::-1])[:, ::-1],
        np.frombuffer(b"\0" + GRAY.tobytes(), np.uint8)[1:].reshape(GRAY.shape),
        GRAY.view(np.recarray),
        torch.from_numpy(GRAY.T.copy()).T,
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


def transparent(mode: str, value) -> Image.Image:
    picture = Image.fromarray(COLOUR).convert(mode)
    picture.info["transparency"] = value
    return picture


PALETTES = {
    "RGBA": lambda: Image.fromarray(np.dstack([COLOUR, ALPHA])).quantize(16),
    "PA": lambda: Image.fromarray(np.dstack([COLOUR, ALPHA])).convert("PA"),
    "bytes": lambda: transparent("P", bytes(range(0, 250, 2))),
    "a GIF file": lambda: encoded(transparent("P", Image.fromarray(COLOUR).convert("P").getpixel((3, 3))), "GIF"),
    "a PNG file": lambda: encoded(transparent("P", bytes(range(256))), "PNG"),
}


@pytest.mark.parametrize("name", PALETTES)
def test_the_alpha_of_palettes_is_kept(name):
    alpha = np.asarray(PALETTES[name]().convert("RGBA").getchannel("A"))
    assert alpha.min() < 255
    found = to_pixels(PALETTES[name]())
    assert found.channels == 4 and np.array_equal(found.alpha, alpha)
    shown = decompress(compress(PALETTES[name](), profile="fast"))
    assert shown.mode == "RGBA" and np.array_equal(shown.getchannel("A"), alpha)


@pytest.mark.parametrize(("bits", "gray"), [(1, 1), (2, 2), (4, 5), (8, 7)])
def test_the_gray_that_a_png_file_calls_transparent_is(bits, gray):
    row = bytes([gray << 8 - bits, 0xFF])
    data = png(row, (16 // bits, 1), bits, 0, chunk(b"tRNS", gray.to_bytes(2, "big")))
    found = to_pixels(Image.open(io.BytesIO(data)))
    samples = np.unpackbits(np.frombuffer(row, np.uint8)).reshape(-1, bits) @ (1 << np.arange(bits)[::-1])
    assert np.array_equal(found.alpha[0] == 0, samples == gray)


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(row: bytes, size: tuple[int, int], bits: int, colour: int, *chunks: bytes) -> bytes:
    """Return a PNG file of equal rows."""
    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress((b"\0" + row) * size[1]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + body + chunk(b"IEND", b"")


def tiff(bits: int) -> bytes:
    """Return a TIFF file of 6x4 RGB samples."""
    data = bytes(range(6 * 4 * 3)) * (bits // 8)
    entries = [(256, 3, 1, 6), (257, 3, 1, 4), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
    entries += [(277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 1, len(data))]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0\x09\0" + directory + bytes(4) + struct.pack("<3H", bits, bits, bits) + data


def encoded(picture: Image.Image, format: str, **options) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return Image.open(buffer)


def jpeg2000(bits: int) -> bytes:
    """Return a JPEG 2000 file whose header has this number of bits, whatever its samples have."""
    data = bytearray(encoded(Image.fromarray(COLOUR), "JPEG2000").fp.getvalue())
    start = data.index(b"\xff\x4f\xff\x51") + 42
    data[start : start + 9 : 3] = [bits - 1] * 3
    return bytes(data)


#: Files that Pillow opens as images of 8 bits a sample, and how many they have.
DEEP = {
    "PNG RGB": (png(bytes(36), (6, 4), 16, 2), 16),
    "PNG gray and alpha": (png(bytes(24), (6, 4), 16, 4), 16),
    "PNG RGBA": (png(bytes(48), (6, 4), 16, 6), 16),
    "PPM": (b"P6 6 4 65535\n" + bytes(144), 16),
    "PPM of 10 bits": (b"P6 6 4 1023\n" + bytes(144), 10),
    "PPM of text": (b"P3 6 4 1023\n" + b"9 " * 72, 10),
    "TIFF": (tiff(16), 16),
    "JPEG 2000": (jpeg2000(12), 12),
    "SGI": (struct.pack(">HBBHHHHii", 474, 0, 2, 3, 6, 4, 3, 0, 65535).ljust(512, b"\0") + bytes(144), 16),
}
SHALLOW = {
    "PNG": png(bytes(18), (6, 4), 8, 2),
    "PNG of a bit": png(bytes(1), (6, 4), 1, 0),
    "PPM": b"P6 6 4 255\n" + bytes(72),
    "PPM of 5 bits": b"P6 6 4 31\n" + bytes(72),
    "TIFF": tiff(8),
    "JPEG 2000": jpeg2000(8),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_refused_by_name(name):
    data, bits = DEEP[name]
    opened = Image.open(io.BytesIO(data))
    assert opened.mode in MODES.values()
    with pytest.raises(ValueError, match=f"a {opened.format} file of {bits} bits a sample, of which 8 are kept"):
        compress(opened)
    with pytest.raises(UnsupportedError, match=f"{bits} bits a sample"):
        formats.read_file(data, Limits())


def test_8_bits_and_fewer_are_taken():
    for data in SHALLOW.values():
        opened = Image.open(io.BytesIO(data))
        assert bits_of(opened) == 8
        opened.load()
        assert to_pixels(opened).samples.shape[:2] == (opened.height, opened.width)
        assert formats.read_file(data, Limits()).size == opened.size


def test_an_avif_file_tells_its_bits_in_its_decoders_configuration():
    """Pillow can't write AVIF of 10 bits, so the test changes the number of bits in the configuration."""
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    opened = encoded(Image.fromarray(COLOUR), "AVIF")
    assert bits_of(opened) == 8
    data = bytearray(opened.fp.getvalue())
    for flags, bits in ((0x40, 10), (0x60, 12)):
        data[data.index(b"av1C") + 6] |= flags
        opened.fp = io.BytesIO(data)
        assert bits_of(opened) == bits


@pytest.fixture(scope="module")
def flat_file() -> bytes:
    return compress(COLOUR[:16, :16], profile="fast")


def frames() -> Image.Image:
    return encoded(Image.fromarray(COLOUR), "TIFF", save_all=True, append_images=[Image.fromarray(GRAY)])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Image.fromarray(COLOUR).convert("CMYK"),
            ValueError,
            "mode 'CMYK' is not supported.* L, LA, RGB, RGBA",
        ),
        (lambda: Image.fromarray(GRAY.astype(np.uint16)), ValueError, "mode 'I;16' is not"),
        (lambda: Image.fromarray(GRAY.astype(np.float32)), ValueError, "mode 'F' is not"),
        (lambda: Image.new("RGB", (0, 7)), ValueError, "an image of 0x7 pixels"),
        (frames, ValueError, "several frames"),
        (lambda: COLOUR.astype(np.uint16), TypeError, "uint8, not uint16: scale them"),
        (lambda: COLOUR / 255, TypeError, "uint8, not float64"),
        (lambda: torch.from_numpy(COLOUR).float(), TypeError, "uint8, not float32"),
        (lambda: np.zeros((8, 8, 5), np.uint8), ValueError, r"shape \(8, 8, 5\), not \[H, W\]"),
        (lambda: np.zeros(8, np.uint8), ValueError, r"shape \(8, 1\)|shape \(8,"),
        (lambda: np.zeros((8, 0), np.uint8), ValueError, "an image of 0x8 pixels"),
        (lambda: torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ValueError, r"\(1, 3, 8, 8\), not \[H, W\]"),
        (
            lambda: torch.zeros(8, 8, 3, dtype=torch.uint8),
            ValueError,
            r"tensor of shape \(8, 8, 3\), not \[H, W\] or \[1",
        ),
        (lambda: torch.zeros(8, dtype=torch.uint8), ValueError, r"tensor of shape \(8,\), not"),
        (lambda: torch.zeros(8, 8, dtype=torch.bfloat16), TypeError, "uint8, not bfloat16"),
        (lambda: torch.zeros(8, 8, requires_grad=True), TypeError, "uint8, not float32"),
        (lambda: GRAY > 99, TypeError, "uint8, not bool"),
        (lambda: np.uint8(7), TypeError, "not uint8"),
        (lambda: np.array(7, np.uint8), ValueError, r"shape \(\), not"),
        (lambda: np.ma.masked_array(COLOUR, COLOUR > 99), TypeError, "its mask would be lost"),
        (lambda: Image, TypeError, "not module"),
        (lambda: Image.Image, TypeError, "not type"),
        (lambda: io.BufferedReader(io.BytesIO(jpeg_bytes())), TypeError, "not BufferedReader"),
        (lambda: Image.new("RGBa", (3, 3)), ValueError, "mode 'RGBa' is not"),
        (lambda: transparent("L", b"\7"), ValueError, "info\\['transparency'\\] does not fit mode L"),
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
    with pytest.raises(
        ValueError, match=f"'native' is not for images, which have {', '.join(registry.IMAGE_PROFILES)}"
    ):
        compress(COLOUR, profile="native")
    with pytest.raises(ValueError, match="toaster"):
        image.compress(COLOUR, device="toaster")
    with pytest.raises(LimitExceededError, match="2240 pixels exceeds the limit of 2239"):
        compress(COLOUR, limits=Limits(max_pixels=2239))
    opened = encoded(Image.fromarray(COLOUR), "PNG")
    with pytest.raises(LimitExceededError, match="2240 pixels"):
        compress(opened, limits=Limits(max_pixels=2239))
    assert opened.tile, "it was decoded before"


# What comes out


def test_a_photograph_is_recognised(scene, profile):
    """Rate and distortion are in a range that only a working model reaches."""
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


def test_the_estimated_rate_is_the_files_before_calibration(scene, model, profile):
    for quality in (1, 3.3, 8):
        data = compress(scene, quality=quality, profile=profile)
        latents = torch.from_numpy(image.latents(data, device="cpu"))[None].float()
        meter, encoder = RateMeter(), StreamEncoder()
        for coder in (meter, encoder):
            walk(model, coder, index_of(quality), latents.shape[2:], latents)
        plain = len(encoder.finish()[0])
        # A latent that is sure to be zero costs the meter next to nothing, but 15 bits of precision some 0.0003 bits.
        assert 8 * plain == pytest.approx(float(meter.bits()[0]) + 0.0003 * latents.numel(), rel=0.005)
        assert 0.9 * plain < image.inspect(data).latent_bytes <= plain


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (15, 17), (16, 16), (17, 33), (48, 31), (64, 64)])
def test_every_size_is_what_the_network_makes_of_it_padded(size, scene, model, profile):
    samples = np.asarray(scene)[100 : 100 + size[0], 200 : 200 + size[1]]
    data = compress(samples, quality=5, profile=profile)
    latents = image.latents(data, device="cpu")
    assert np.array_equal(latents, analysed(model, samples, 5))
    assert largest_difference(decompress(data), synthesised(model, latents, 5)[: size[0], : size[1]]) <= 1


@pytest.mark.parametrize("size", [(64, 65), (63, 129), (130, 200), (48, 16), (197, 66)])
def test_tiles_leave_no_seams(size, scene, model, profile, monkeypatch):
    """Tiled and untiled coding agree at borders of tiles of 64 pixels, and of fewer where tiles are made even."""
    set_tile(monkeypatch, model, 4)
    samples = np.asarray(scene)[150 : 150 + size[0], 100 : 100 + size[1]]
    data = compress(samples, quality=6, profile=profile)
    tiled, alone = image.latents(data, device="cpu"), analysed(model, samples, 6)
    assert largest_difference(tiled, alone) <= 1 and (tiled != alone).mean() < 1e-3
    assert largest_difference(decompress(data), synthesised(model, tiled, 6)[: size[0], : size[1]]) <= 1


@pytest.mark.parametrize("tile", [64, 4])
def test_overfitted_latents_cost_less_and_decode_as_any(tile, scene, profile, model, monkeypatch):
    """The reported score is that of the file, for one tile and for several."""
    if registry.IMAGE_PROFILES[profile] not in registry.EXACT_PRIORS:
        with pytest.raises(ValueError, match="model bls2017 has no latent overfitting"):
            image.compress(scene, profile=profile, lof=1)
        return
    set_tile(monkeypatch, model, tile)
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
        grid = TileGrid(1, most, size, 1)
        pieces = [tile.rows for tile in grid.tiles]
        assert (pieces[0].start, pieces[-1].stop) == (0, size)
        assert all(a.stop == b.start for a, b in pairwise(pieces))
        lengths = {piece.stop - piece.start for piece in pieces}
        assert min(lengths) > 0 and max(lengths) <= most and max(lengths) - min(lengths) <= 1
        assert len(pieces) == grid.count == -(-size // most)


def test_memory_is_that_of_one_tile_at_a_time(model, profile, monkeypatch):
    """A further pixel takes what is kept of it: samples and latents. In a single tile it takes 90 bytes or more."""
    set_tile(monkeypatch, model, 4)
    peaks, widths = [], (256, 4096)
    for width in widths:
        samples = photograph(64, width)
        data = compress(samples, profile=profile)
        calls = [lambda x=samples: compress(x, profile=profile), lambda data=data: decompress(data)]
        peaks.append([measure_call(call, memory=True).peak_bytes for call in calls])
    if peaks[0][0] is None:
        pytest.skip("this system does not tell the peak of a process")
    assert all(many - few < 60 * 64 * (widths[1] - widths[0]) for few, many in zip(*peaks))


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


def test_stages_are_measured():
    """Encoding walks a tile twice, to verify it; stages inside overfitting count for that."""
    with observe_stages() as encoding:
        data = compress(COLOUR, profile="fast")
    with observe_stages() as decoding:
        decompress(data)
    with observe_stages() as fitting:
        compress(COLOUR, profile="fast", lof=2)
    assert (encoding.keys(), encoding.calls["prior"]) == ({"analysis", "prior"}, 2)
    assert (decoding.keys(), decoding.calls["prior"]) == ({"prior", "synthesis"}, 1)
    assert fitting.keys() == encoding.keys() | {"overfitting"} and fitting.calls["prior"] == 2
    assert min(*encoding.values(), *decoding.values(), *fitting.values()) > 0


@settings(max_examples=25)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 4), st.floats(1, 8), st.integers(0, 99))
def test_any_image_keeps_its_size_and_its_alpha(height, width, channels, quality, seed):
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    shown = decompress(compress(samples, quality=quality))
    assert (shown.size, shown.mode) == ((width, height), MODES[channels])
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
    """Tags that describe the samples in the file are dropped, as is an orientation that loading has applied."""
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
    """The first of two pictures is coded."""
    buffer = io.BytesIO()
    first = Image.fromarray(COLOUR)
    first.save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(COLOUR[:20])])
    with pytest.warns(UserWarning, match="of the 2 pictures of an MPO file, only number 1 is kept") as warned:
        assert decompress(compress(Image.open(buffer))).size == first.size
    assert warned[0].filename.endswith("test_image.py")
    said, second = [], Image.open(buffer)
    second.seek(1)
    assert to_pixels(second, warn=said.append).samples.shape == (20, 56, 3)
    assert said == ["of the 2 pictures of an MPO file, only number 2 is kept"]
    said.clear()
    to_pixels(encoded(first.resize((64, 64)), "ICO", sizes=[(16, 16), (64, 64)]), warn=said.append)
    assert said == ["of the 2 pictures of an ICO file, only that of 64x64 is kept"]
    # What Ultra HDR is known by, beside which Pillow shows the first picture alone.
    mark = b' hdrgm:Version="1.0"'
    data = buffer.getvalue()
    data = data[:2] + b"\xff\xe1" + (len(mark) + 2).to_bytes(2, "big") + mark + data[2:]
    said.clear()
    hdr = Image.open(io.BytesIO(data))
    assert to_pixels(hdr, warn=said.append).samples.shape == (40, 56, 3)
    assert len(said) == 1 and ("HDR" in said[0] or hdr.format == "MPO")


# Image files


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_an_image_file_has_the_metadata_that_its_format_takes(suffix):
    picture = Image.fromarray(COLOUR)
    picture.info.update(METADATA)
    said: list[str] = []
    again = formats.read_file(formats.write_file(picture, suffix, said.append), Limits())
    left_out = "BMP does not take all metadata of this image; left out: Exif, colour profile, XMP"
    assert said == ([left_out] if suffix == ".bmp" else [])
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
    again = formats.read_file(formats.write_file(picture, ".tif"), Limits())
    assert np.array_equal(again, picture) and again.getexif()[270] == "a shed"
    for hostile in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif", b"II*\0\x08\0\0\0\xff\xff", b"\xff" * 99):
        picture.info = {"exif": hostile, "xmp": b"\xff\xfe", "icc_profile": b"none"}
        for suffix in (".png", ".tif", ".jpg", ".webp"):
            with suppress(UnsupportedError):
                assert formats.write_file(picture, suffix, lambda _: None)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_resolution_is_kept_on_the_way_in_and_out(suffix):
    opened = encoded(Image.fromarray(COLOUR), {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, "PNG"), dpi=(300, 150))
    shown = decompress(compress(opened, profile="fast"))
    assert shown.info["dpi"] == pytest.approx((300, 150), abs=0.1)
    again = Image.open(io.BytesIO(formats.write_file(shown, suffix, lambda _: None)))
    expected = (300, 300) if suffix == ".jpg" else (300, 150)  # Pillow's JPEG has one of them from Exif.
    assert again.info["dpi"] == pytest.approx(expected, abs=0.6) or again.info["dpi"] == pytest.approx((300, 150))


@pytest.mark.parametrize(
    "dpi",
    [(72, 72), (0, 0), (float("nan"), 1), "300", 300, None, (1, 2, 3), (1e30, 1e30), (1e-9, 1), [72, 72], np.ones(3)],
)
def test_what_is_no_resolution_or_tells_nothing_is_left_out(dpi):
    picture = Image.fromarray(COLOUR)
    picture.info["dpi"] = dpi
    assert metadata.metadata_of(picture) == {}


@pytest.mark.parametrize("dpi", [(0.01, 0.01), (2**24 - 1, 2**24 - 1), [300, 300], (np.float32(99.5), 100)])
def test_resolutions_at_the_ends_are_kept(dpi):
    picture = Image.fromarray(COLOUR)
    picture.info["dpi"] = dpi
    assert metadata.info_of(metadata.metadata_of(picture))["dpi"] == pytest.approx(tuple(dpi))


def test_exif_that_only_pillow_could_read_is_refused():
    opened = encoded(Image.fromarray(COLOUR), "PNG")
    opened.info["Raw profile type exif"] = "\nexif\n      9\nno hex"
    with pytest.raises(ValueError, match="Pillow can't read the Exif of this PNG file"):
        compress(opened)


def test_exif_counts_before_a_resolution_beside_it():
    """EXIF is kept byte for byte, and the resolution next to it is ignored."""
    picture = Image.fromarray(COLOUR)
    picture.info.update({"exif": METADATA["exif"], "dpi": (300, 300)})
    assert metadata.metadata_of(picture) == {"exif": METADATA["exif"]}
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 100.0, 100.0, 3
    assert metadata.info_of({"exif": exif.tobytes()})["dpi"] == pytest.approx((254, 254))
    assert metadata.info_of({"exif": exif.tobytes().removeprefix(b"Exif\0\0")})["dpi"] == pytest.approx((254, 254))
    exif.endian = "<"
    assert metadata.info_of({"exif": exif.tobytes()})["dpi"] == pytest.approx((254, 254))
    exif[283] = 0.0
    for hostile in (b"", b"Exif\0\0", b"II*\0\x08\0\0\0\xff\xff", exif.tobytes(), METADATA["exif"]):
        assert "dpi" not in metadata.info_of({"exif": hostile})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_xmp_of_any_encoding_comes_out(encoding):
    text = "<x:xmpmeta>M\u00fcller</x:xmpmeta>"
    picture = Image.fromarray(COLOUR)
    picture.info["xmp"] = text.encode(encoding)
    assert Image.open(io.BytesIO(formats.write_file(picture, ".png"))).info["xmp"].decode().lstrip("\ufeff") == text
    assert Image.open(io.BytesIO(formats.write_file(picture, ".jpg"))).info["xmp"] == picture.info["xmp"]


def test_xmp_that_is_no_text_is_left_out_and_said():
    picture = Image.fromarray(COLOUR)
    picture.info["xmp"] = "<x>M\u00fcller</x>".encode("latin-1")
    with pytest.warns(UserWarning, match="PNG does not take all metadata of this image; left out: XMP"):
        data = formats.write_file(picture, ".png")
    assert "xmp" not in Image.open(io.BytesIO(data)).info


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_written_or_refused_by_name(channels):
    picture = Image.fromarray(np.dstack([COLOUR, ALPHA])[..., -channels:].copy())
    assert picture.mode == MODES[channels]
    for suffix in (".png", ".tif", ".webp", ".jp2", ".tga"):
        again = Image.open(io.BytesIO(formats.write_file(picture, suffix)))
        assert np.array_equal(np.asarray(again.convert("RGBA"))[..., 3], ALPHA)
    for suffix in {".bmp", ".ppm", ".gif", ".jpg", ".avif", ".pdf"} & set(Image.registered_extensions()):
        with pytest.raises(UnsupportedError, match=r"alpha.*take \.png or \.tif"):
            formats.write_file(picture, suffix)


def test_what_a_restored_image_is_called_keeps_all_of_it():
    assert formats.keeps(".PNG", "RGBA", METADATA) and formats.keeps(".tif", "LA", METADATA)
    assert formats.keeps(".bmp", "RGB") and formats.keeps(".bmp", "L")
    assert not formats.keeps(".bmp", "RGBA") and not formats.keeps(".bmp", "RGB", ("exif",))
    assert not any(formats.keeps(suffix, "L") for suffix in ("", ".jpg", ".webp", ".avif", ".txt"))


def test_a_suffix_for_gray_takes_no_colours():
    with pytest.raises(UnsupportedError, match="pgm is for gray"):
        formats.write_file(Image.fromarray(COLOUR), ".pgm")
    assert formats.write_file(Image.fromarray(GRAY), ".pgm").startswith(b"P5")


GPS, MAKE, IMAGE = 0x8825, 271, 270


def located(**options) -> bytes:
    """Return a JPEG file whose EXIF has a location and a thumbnail."""
    exif = Image.Exif()
    exif[MAKE], exif[GPS], exif[0x8769] = "maker", {1: "N", 2: (1.0, 2.0, 3.0)}, {0x829A: 0.5}
    return encoded(Image.fromarray(COLOUR), "JPEG", exif=with_thumbnail(exif.tobytes()), **options).fp.getvalue()


def with_thumbnail(exif: bytes) -> bytes:
    """Return EXIF with a second directory, which Pillow reads but does not write."""
    count = int.from_bytes(exif[14:16], "big")
    link = 16 + 12 * count
    second = struct.pack(">HHHII", 1, MAKE, 2, 4, int.from_bytes(b"two\0", "big")) + bytes(4)
    return exif[:link] + struct.pack(">I", len(exif) - 6) + exif[link + 4 :] + second


def delete_place(photo):
    del photo.getexif()[GPS]


def look_then_delete_place(photo):
    photo.getexif().get_ifd(GPS)
    del photo.getexif()[GPS]


def empty_place(photo):
    photo.getexif().get_ifd(GPS).clear()


def clear(photo):
    photo.getexif().clear()


def delete_bytes(photo):
    del photo.info["exif"]


def look_then_delete_bytes(photo):
    photo.getexif().get_ifd(GPS)
    del photo.info["exif"]


def change_bytes(photo):
    exif = photo.getexif()
    del exif[GPS]
    photo.info["exif"] = exif.tobytes()


@pytest.mark.parametrize(
    "remove",
    [delete_place, look_then_delete_place, empty_place, clear, delete_bytes, look_then_delete_bytes, change_bytes],
)
def test_a_place_that_was_removed_is_not_written(remove):
    photo = Image.open(io.BytesIO(located()))
    assert photo.getexif().get_ifd(Image.ExifTags.IFD.IFD1)[MAKE] == "two"
    photo = Image.open(io.BytesIO(located()))
    remove(photo)
    kept = metadata.metadata_of(photo).get("exif", b"")
    exif = Image.Exif()
    exif.load(kept)
    assert not exif.get_ifd(GPS) and not exif.get_ifd(Image.ExifTags.IFD.IFD1)
    assert bool(kept) == (remove not in (clear, delete_bytes, look_then_delete_bytes))
    if kept:
        assert exif[MAKE] == "maker" and exif.get_ifd(0x8769) == {0x829A: 0.5}
    assert decompress(compress(photo, profile="fast")).info.get("exif", b"") == kept


def test_a_thumbnail_that_was_removed_is_not_written():
    photo = Image.open(io.BytesIO(located()))
    photo.getexif().get_ifd(Image.ExifTags.IFD.IFD1).clear()
    exif = Image.Exif()
    exif.load(metadata.metadata_of(photo)["exif"])
    assert exif[MAKE] == "maker" and not exif.get_ifd(Image.ExifTags.IFD.IFD1)


def test_exif_that_was_looked_at_is_kept_bit_for_bit():
    for xmp in (b"", b'<x tiff:Orientation="6"/>'):  # which Pillow puts into what `getexif()` says
        photo = Image.open(io.BytesIO(located(xmp=xmp) if xmp else located()))
        before = photo.info["exif"]
        exif = photo.getexif()
        assert exif[MAKE] == "maker" and exif.get_ifd(GPS) and exif.get_ifd(Image.ExifTags.IFD.IFD1)
        assert metadata.metadata_of(photo)["exif"] == before
        exif[IMAGE] = "a shed"
        assert metadata.metadata_of(photo)["exif"] == exif.tobytes() != before


DIRECTORY = b"MM\0*\0\0\0\x08\0\2" + struct.pack(">HHI4s", MAKE, 2, 4, b"abc\0")


@pytest.mark.filterwarnings(
    "ignore:Truncated File Read", "ignore:Possibly corrupt EXIF", "ignore:Corrupt EXIF", "ignore:Tag data larger"
)
@pytest.mark.parametrize(
    "damaged",
    [
        b"Exif\0\0" + DIRECTORY + struct.pack(">HHII", IMAGE, 2, 99, 2**31) + bytes(4),
        b"Exif\0\0" + DIRECTORY + struct.pack(">HHII", 282, 5, 1, 26) + bytes(4),
        b"Exif\0\0" + DIRECTORY,
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0no Exif at all",
        b"Exif\0\0",
    ],
)
def test_damaged_exif_is_kept_and_edits_of_it_count(damaged):
    for look in (False, True):
        photo = encoded(Image.fromarray(COLOUR), "JPEG", exif=damaged)
        assert photo.info["exif"] == damaged
        if look:
            with suppress(Exception):
                photo.getexif()
        assert metadata.metadata_of(photo)["exif"] == damaged
    exif = photo.getexif()
    exif[IMAGE] = "a shed"
    exif.pop(MAKE, None)
    kept = Image.Exif()
    kept.load(metadata.metadata_of(photo)["exif"])
    assert kept[IMAGE] == "a shed" and MAKE not in kept


def test_exif_of_a_new_image_is_kept():
    picture = Image.fromarray(COLOUR)
    assert metadata.metadata_of(picture) == {}
    picture.getexif()[IMAGE] = "a shed"
    assert decompress(compress(picture, profile="fast")).getexif()[IMAGE] == "a shed"


def test_other_metadata_that_was_removed_or_changed():
    picture = encoded(Image.fromarray(COLOUR), "PNG", icc_profile=METADATA["icc_profile"])
    del picture.info["icc_profile"]
    picture.info["xmp"] = "<x/>"
    assert metadata.metadata_of(picture) == {"xmp": b"<x/>"}
    picture.info["xmp"] = 5
    with pytest.raises(TypeError, match="xmp must be bytes or None, not int"):
        compress(picture)


def test_what_is_no_image_file_is_a_typed_error(monkeypatch):
    with pytest.raises(UnsupportedError, match="no image file"):
        formats.read_file(b"a text", Limits())
    with pytest.raises(CorruptError, match="can't read"):
        formats.read_file(jpeg_bytes()[:900], Limits())
    large = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))
    with pytest.raises(CorruptError, match="can't read it: Decompressed data too large"):
        formats.read_file(png(bytes(18), (6, 4), 8, 2, large), Limits())
    for name in ("GIF", "TIFF", "WEBP", "PPM", "BMP", "JPEG2000"):
        data = encoded(Image.fromarray(COLOUR), name).fp.getvalue()
        for end in range(0, len(data), max(len(data) // 40, 1)):
            with suppress(LicError):
                formats.read_file(data[:end], Limits())
    for data, message in (
        (png(bytes(48), (6, 4), 16, 6), "PNG file of 16 bits"),
        (encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG").fp.getvalue(), "mode 'CMYK'"),
        (frames().fp.getvalue(), "several frames"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no image file"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            formats.read_file(data, Limits())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(LimitExceededError, match="decompression bomb"):
        formats.read_file(jpeg_bytes(), Limits())
    with pytest.raises(LimitExceededError):
        formats.read_file(jpeg_bytes(), Limits(max_pixels=99))
    for suffix in ("", ".txt"):
        with pytest.raises(UnsupportedError, match="writes no"):
            formats.write_file(Image.fromarray(COLOUR), suffix)
    with pytest.raises(UnsupportedError, match=r"alpha .* as JPEG: cannot write mode RGBA as JPEG"):
        formats.write_file(Image.new("RGBA", (3, 3)), ".jpg")


@pytest.mark.parametrize("error", [ValueError, OSError, struct.error, RecursionError, KeyError, Exception, MemoryError])
@pytest.mark.parametrize("where", ["open", "load"])
def test_whatever_pillow_raises_is_a_typed_error(error, where, monkeypatch):
    """A lack of memory is not the file's fault, and remains a MemoryError."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(*((Image, "open", fail) if where == "open" else (Image.core, "new", fail)))
    with pytest.raises(MemoryError if error is MemoryError else CorruptError):
        formats.read_file(jpeg_bytes(), Limits())


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("quality", None, TypeError, "quality must be a number, not NoneType"),
        ("quality", "4", TypeError, "quality must be a number"),
        ("quality", True, TypeError, "quality must be a number"),
        ("quality", 75, ValueError, "quality 75.0 is not from 1 to 8: 1 is the smallest file, 4 is usual"),
        ("lof", "3", TypeError, "lof must be an integer"),
        ("lof", 1.0, TypeError, "lof must be an integer"),
        ("lof", -1, ValueError, "lof must be 0 or more, not -1"),
        ("limits", None, TypeError, "limits must be a lic_native.Limits"),
        ("on_lof", 5, TypeError, "on_lof must be a function"),
    ],
)
def test_arguments_of_other_kinds_are_named(name, given, error, message):
    with pytest.raises(error, match=message):
        compress(COLOUR, **{name: given})


@pytest.mark.parametrize("read", [image.decompress, image.inspect, image.latents, lic_native.kind])
def test_what_is_no_bytes_is_named(read, flat_file):
    for wrong in ("a.lic", registry, 5, True, list(flat_file), None, Image.new("L", (2, 2)), np.ones((2, 2), np.uint8)):
        with pytest.raises(TypeError, match="must be a bytes-like object"):
            read(wrong)
    for same in (bytearray(flat_file), memoryview(flat_file), np.frombuffer(flat_file, np.uint8)):
        assert str(read(same)) == str(read(flat_file)) or read is image.decompress
    if read is not lic_native.kind:
        with pytest.raises(TypeError, match="limits"):
            read(flat_file, limits=None)
    if read in (image.decompress, image.latents):
        assert read(flat_file, device=torch.device("cpu")) is not None
        with pytest.raises(TypeError, match="device must be a string"):
            read(flat_file, device=0)
        with pytest.raises(ValueError, match="unknown device 'gpu'"):
            read(flat_file, device="gpu")


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
    """Latents that are decoded after a change are those of the checksum inside the file."""
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


@cache
def flat(profile: str, side: int) -> bytes:
    return compress(np.full((side, side, 3), 128, np.uint8), quality=1, profile=profile)


@pytest.mark.parametrize("size", [(2**15, 2**14), (2**29, 1), (1, 2**29)])
@pytest.mark.parametrize("latents", ["none", "few", "one tile"])
def test_lying_sizes_cost_nothing(size, latents, model, profile, monkeypatch):
    """A few bytes that declare half a gigapixel are refused before memory is allocated."""
    set_tile(monkeypatch, model, 64)
    given = {"none": b"", "few": b"\x13" * 100}.get(latents)
    if given is None:
        tile = unpack(flat(profile, 64 * STRIDE), Limits()).latents
        lengths = np.zeros(math.prod(-(-n // (64 * STRIDE)) for n in size) - 1, "<u4")
        lengths[0] = len(tile)
        given = lengths.tobytes() + tile
    lie = repacked(flat(profile, STRIDE), width=size[0], height=size[1], latents=given)

    def refused():
        with pytest.raises((TruncatedError, CorruptError)):
            decompress(lie)

    call = measure_call(refused, memory=True)
    assert call.seconds < 5
    assert call.peak_bytes is None or call.peak_bytes < 100 * 2**20


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": 77}, UnsupportedError, "model number 77 is not in this release"),
        ({"model": registry.NUMBERS["mlcc-fast"]}, UnsupportedError, "mlcc-fast is not for images"),
        ({"fingerprint": 0xFEEDF00D}, UnsupportedError, "needs weights feedf00d of model {model},"),
        ({"quality": LAST + 1}, CorruptError, "quality 449 of model {model}"),
        ({"quality": 2**32 - 1}, CorruptError, "quality"),
        ({"checksum": 1}, CorruptError, "latents' checksum differs"),
        ({"alpha": lic_native.encode(ALPHA.T.copy())}, CorruptError, r"alpha channel of shape \(56, 40\)"),
        ({"alpha": lic_native.encode(ALPHA.astype(np.int16))}, LimitExceededError, "4480"),
        ({"alpha": lic_native.encode(ALPHA.astype(np.int8))}, CorruptError, "alpha channel is not a uint8"),
        (
            {"alpha": lic_native.encode(torch.from_numpy(ALPHA.copy()))},
            CorruptError,
            "alpha channel is not a uint8 array",
        ),
        ({"alpha": lic_native.encode(ALPHA)[:-9]}, TruncatedError, "tensor"),
        ({"latents": b""}, TruncatedError, "rANS words|escape"),
        ({"width": 2**30}, LimitExceededError, "limit"),
    ],
)
def test_what_a_file_cannot_be(small, profile, changes, error, message):
    with pytest.raises(error, match=message.replace("{model}", registry.IMAGE_PROFILES[profile])):
        decompress(repacked(small, **changes))


def test_limits_are_kept_and_named(small):
    for limits in (Limits(max_pixels=2239), Limits(max_input_bytes=99), Limits(max_output_bytes=8959)):
        for read in (decompress, image.inspect):
            with pytest.raises(LimitExceededError, match=r"limit of (2239|99|8959)"):
                read(small, limits=limits)
    assert decompress(small, limits=Limits(2240, len(small), 8960)).size == (56, 40)


def test_other_weights_are_named(small, profile, monkeypatch):
    monkeypatch.setattr(registry, "load_image", lambda *_: SimpleNamespace(fingerprint=lambda: 0xBAD))
    message = rf"needs weights \w{{8}} of model {registry.IMAGE_PROFILES[profile]}, not 00000bad as here"
    with pytest.raises(UnsupportedError, match=message):
        decompress(small)


def test_each_kind_of_file_names_what_reads_it(small):
    packed = jpeg.compress(jpeg_bytes(), profile="native")
    for read in (image.decompress, image.inspect, image.latents):
        for data, kind in ((packed, "jpeg"), (jpeg.compress(b"a text"), "stored")):
            with pytest.raises(UnsupportedError, match=rf"no image \({kind}\): lic_native.jpeg.decompress"):
                read(data)
        with pytest.raises(UnsupportedError, match=r"not a \.lic file: it is a tensor, which lic_native\.decode"):
            read(lic_native.encode(ALPHA))
    for read in (jpeg.decompress, jpeg.inspect):
        with pytest.raises(UnsupportedError, match=r"lic_native\.image\.decompress"):
            read(small)
    assert lic_native.kind(small) == "image" != lic_native.kind(packed)


def test_gray_images_that_fill_the_grid_are_not_padded_but_copied():
    """Torch would warn about Pillow's read-only arrays."""
    image = Image.fromarray(photograph(32, 48)[..., 0])
    assert lic_native.image.decompress(lic_native.image.compress(image, device="cpu"), device="cpu").mode == "L"
