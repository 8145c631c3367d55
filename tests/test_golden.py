"""Files that some release wrote, restored by this one. `python tests/test_golden.py` writes those of this release."""

import hashlib
import json
from pathlib import Path

import pytest

import lic_native
from lic_native.models import zoo

FOLDER = Path(__file__).parent / "golden"
MANIFEST = FOLDER / "manifest.json"
FILES = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
#: What the names of this release's files begin with: the version of the format.
VERSION = "v1"


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
        profiles = {model: profile for profile, model in zoo.PROFILES.items()}
        profile = profiles.get(lic_native.jpeg.inspect(data).model, "fast")
        assert lic_native.jpeg.compress(lic_native.jpeg.decompress(data), profile=profile) == data
    else:
        assert lic_native.encode(lic_native.decode(data)) == data


def test_there_are_files_of_every_profile_and_sampling():
    infos = [lic_native.jpeg.inspect((FOLDER / name).read_bytes()) for name in FILES if name.endswith(".lic")]
    for model in zoo.PROFILES.values():
        assert {"2x2,1x1,1x1", "2x1,1x1,1x1", "1x1,1x1,1x1", "1x1"} <= {i.sampling for i in infos if i.model == model}
    assert any(info.tiles and info.tiles > 1 for info in infos)


def write() -> None:
    import numpy as np
    from conftest import cut, jpeg_bytes
    from test_jpeg import with_luma_factors

    photo = (Path(__file__).parent / "data" / "grace_hopper.jpg").read_bytes()
    samplings = {
        "422": jpeg_bytes(70, 90, subsampling=1, quality=90),
        "444": jpeg_bytes(70, 90, subsampling=0, quality=97),
        "gray": jpeg_bytes(70, 90, mode="L", quality=40),
    }
    fast = {
        "photograph": photo,
        **samplings,
        "440": with_luma_factors(jpeg_bytes(64, 80, subsampling=0), 1, 2),
        "two_tiles": jpeg_bytes(16, 1030),
        "cmyk_progressive": jpeg_bytes(40, 50, mode="CMYK", progressive=True),
        "restart_tail": jpeg_bytes(40, 50, restart_marker_blocks=2) + b"tail",
        "stored": b"no JPEG",
    }
    best = {"best_photograph": cut(photo, 240, 200), **{f"best_{name}": data for name, data in samplings.items()}}
    manifest = {}
    for profile, pictures in {"fast": fast, "best": best}.items():
        for name, data in pictures.items():
            (FOLDER / f"{VERSION}_{name}.lic").write_bytes(lic_native.jpeg.compress(data, profile=profile))
            manifest[f"{VERSION}_{name}.lic"] = sha256(data)
    array = np.rint(np.random.default_rng(0).laplace(0, 3, (5, 40, 7))).astype(np.int16)
    (FOLDER / f"{VERSION}.lit").write_bytes(lic_native.encode(array))
    manifest[f"{VERSION}.lit"] = sha256(repr((array.dtype, array.shape, array.tolist())).encode())
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    write()
