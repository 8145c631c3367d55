"""Files that some release wrote, restored by this one. `python tests/test_golden.py` writes those of this release."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import networks_alone
from PIL import Image

import lic_native
from lic_native.models import registry

FOLDER = Path(__file__).parent / "golden"
MANIFEST = FOLDER / "manifest.json"
ALL = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
#: Images that were coded with loss, and what they were decoded to is beside them: the manifest has their latents.
IMAGES = {name: latents for name, latents in ALL.items() if "_image_" in name}
FILES = {name: content for name, content in ALL.items() if name not in IMAGES}
#: What the names of this release's files begin with: the version of the format.
VERSION = "v1"
#: Fingerprints of the shipped weights, by which files refer to them.
FINGERPRINTS = {
    "mlcc-quick": 0x71044C08,
    "mlcc-fast": 0x2A47C44B,
    "mlcc-best": 0xD35F3EA7,
    "bls2017": 0x0C146374,
    "msp-fast": 0x5CF12182,
    "msp-balanced": 0xEC66EC02,
    "msp-best": 0xEB8B2157,
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_release_are_restored(name):
    data = (FOLDER / name).read_bytes()
    if name.endswith(".lic"):
        assert sha256(lic_native.jpeg.decompress(data)) == FILES[name]
    else:
        array = lic_native.decode(data)
        assert sha256(repr((array.dtype, array.shape, array.tolist())).encode()) == FILES[name]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(VERSION)])
def test_this_release_still_writes_the_same_bytes(name):
    """A change here is a change of the format."""
    data = (FOLDER / name).read_bytes()
    if name.endswith(".lic"):
        profiles = {model: profile for profile, model in registry.PROFILES.items()}
        info = lic_native.jpeg.inspect(data)
        profile = profiles[info.pictures[0].model] if info.kind == "jpeg" else "native"
        with networks_alone():
            original, hashes = lic_native.jpeg.decompress(data), {"sha256": bool(info.sha256), "sha1": bool(info.sha1)}
            assert lic_native.jpeg.compress(original, profile=profile, **hashes) == data
    else:
        assert lic_native.encode(lic_native.decode(data)) == data


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_every_release_have_their_latents(name):
    """Exactly; and pixels as that release had them, up to the last bit of floats."""
    data = (FOLDER / name).read_bytes()
    assert sha256(lic_native.image.latents(data).astype("<i2").tobytes()) == IMAGES[name]
    with Image.open(FOLDER / name.replace(".lic", ".png")) as then:
        now = lic_native.image.decompress(data)
        assert (now.mode, now.size) == (then.mode, then.size)
        assert np.abs(np.asarray(now, np.int16) - np.asarray(then, np.int16)).max() <= 1


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_shipped_weights_keep_their_fingerprints(name):
    """A change here makes files that others have undecodable."""
    load = registry.load if name in registry.PROFILES.values() else registry.load_image
    assert load(name, "cpu").fingerprint() == FINGERPRINTS[name]


def test_there_are_images_of_every_profile():
    models = {lic_native.image.inspect((FOLDER / name).read_bytes()).model for name in IMAGES}
    assert models == set(registry.IMAGE_PROFILES.values())


def test_there_are_files_of_every_profile_and_sampling():
    infos = [lic_native.jpeg.inspect((FOLDER / name).read_bytes()) for name in FILES if name.endswith(".lic")]
    infos = [info for info in infos if info.kind == "jpeg"]
    pictures = [picture for info in infos for picture in info.pictures]
    for model in registry.PROFILES.values():
        samplings = {picture.sampling for picture in pictures if picture.model == model}
        assert {"4:2:0", "4:2:2", "4:4:4", "gray"} <= samplings
    assert any(len(info.pictures) > 1 for info in infos)


def test_there_are_files_with_hashes_and_without():
    infos = [lic_native.jpeg.inspect((FOLDER / name).read_bytes()) for name in FILES if name.endswith(".lic")]
    held = {(info.kind, bool(info.sha256), bool(info.sha1)) for info in infos}
    assert {("stored", False, False), ("jpeg", False, False), ("stored", True, False), ("jpeg", True, True)} <= held
    for info, name in zip(infos, (name for name in FILES if name.endswith(".lic"))):
        assert info.sha256 in (None, FILES[name])


def write_images() -> dict[str, str]:
    from conftest import photograph

    with Image.open(Path(__file__).parent / "data" / "grace_hopper.jpg") as photo:
        part = photo.crop((180, 60, 276, 140))
    images = {"photograph": part, "gray": part.convert("L"), "alpha": Image.fromarray(photograph(33, 47)).copy()}
    images["alpha"].putalpha(Image.fromarray(photograph(33, 47, 1)[..., 0]))
    manifest = {}
    for profile in registry.IMAGE_PROFILES:
        for (name, image), quality in zip(images.items(), (3, 6.5, 1)):
            data = lic_native.image.compress(image, quality=quality, profile=profile, device="cpu")
            path = FOLDER / f"{VERSION}_image_{profile}_{name}.lic"
            path.write_bytes(data)
            lic_native.image.decompress(data, device="cpu").save(path.with_suffix(".png"))
            manifest[path.name] = sha256(lic_native.image.latents(data, device="cpu").astype("<i2").tobytes())
    return manifest


def write() -> None:
    from conftest import cut, jpeg_bytes, jpeg_twice
    from test_jpeg import with_luma_factors, with_thumbnail

    photo = (Path(__file__).parent / "data" / "grace_hopper.jpg").read_bytes()
    samplings = {
        "422": jpeg_bytes(70, 90, subsampling=1, quality=90),
        "444": jpeg_bytes(70, 90, subsampling=0, quality=97),
        "gray": jpeg_bytes(70, 90, mode="L", quality=40),
        "440": with_luma_factors(jpeg_bytes(64, 80, subsampling=0), 1, 2),
    }
    odd = {
        "two_bands": jpeg_bytes(2000, 2048, quality=5),
        "cmyk_progressive": jpeg_bytes(40, 50, mode="CMYK", progressive=True),
        "restart_tail": jpeg_bytes(40, 50, restart_marker_blocks=2) + b"tail",
        "thumbnail": with_thumbnail(cut(photo, 240, 200), jpeg_bytes(60, 80)),
        "cut_short": photo[:20000],
        "stored": b"no JPEG",
    }
    pictures = {
        "native": {"photograph": photo, **samplings, **odd},
        "quick": {"photograph": photo, **samplings},
        "fast": {"photograph": photo, **samplings, "two_tiles": jpeg_bytes(16, 1030)},
        "best": {"photograph": cut(photo, 240, 200), **samplings},
    }
    for profile in ("quick", "fast", "best"):
        pictures[profile]["twice"] = jpeg_twice()
    manifest = write_images()
    for profile, originals in pictures.items():
        for name, data in originals.items():
            with networks_alone():
                small = lic_native.jpeg.compress(data, profile=profile, sha256=False)
            (FOLDER / f"{VERSION}_{profile}_{name}.lic").write_bytes(small)
            manifest[f"{VERSION}_{profile}_{name}.lic"] = sha256(data)
    hashed = {"sha256": b"no JPEG", "sha256_and_sha1": jpeg_bytes(40, 50)}
    for name, data in hashed.items():
        (FOLDER / f"{VERSION}_native_{name}.lic").write_bytes(
            lic_native.jpeg.compress(data, profile="native", sha1=name.endswith("sha1"))
        )
        manifest[f"{VERSION}_native_{name}.lic"] = sha256(data)
    array = np.rint(np.random.default_rng(0).laplace(0, 3, (5, 40, 7))).astype(np.int16)
    (FOLDER / f"{VERSION}.lit").write_bytes(lic_native.encode(array))
    manifest[f"{VERSION}.lit"] = sha256(repr((array.dtype, array.shape, array.tolist())).encode())
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    write()
