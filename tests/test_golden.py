"""Files that some release wrote, restored by this one. `python tests/test_golden.py` writes those of this release."""

import hashlib
import json
from pathlib import Path

import pytest

import lic_native

FOLDER = Path(__file__).parent / "golden"
MANIFEST = FOLDER / "manifest.json"
FILES = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}


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


def test_this_release_still_writes_the_same_bytes(photo):
    """Of a JPEG file and of a tensor: a change here is a change of the format."""
    assert lic_native.jpeg.compress(photo) == (FOLDER / "v1_photograph.lic").read_bytes()
    assert lic_native.encode(lic_native.decode((FOLDER / "v1.lit").read_bytes())) == (FOLDER / "v1.lit").read_bytes()


def write() -> None:
    import numpy as np
    from conftest import jpeg_bytes

    pictures = {
        "photograph": (Path(__file__).parent / "data" / "grace_hopper.jpg").read_bytes(),
        "422": jpeg_bytes(70, 90, subsampling=1, quality=90),
        "444": jpeg_bytes(70, 90, subsampling=0, quality=97),
        "gray": jpeg_bytes(70, 90, mode="L", quality=40),
        "cmyk_progressive": jpeg_bytes(40, 50, mode="CMYK", progressive=True),
        "restart_tail": jpeg_bytes(40, 50, restart_marker_blocks=2) + b"tail",
        "stored": b"no JPEG",
    }
    manifest = {}
    for name, data in pictures.items():
        (FOLDER / f"v1_{name}.lic").write_bytes(lic_native.jpeg.compress(data))
        manifest[f"v1_{name}.lic"] = sha256(data)
    array = np.rint(np.random.default_rng(0).laplace(0, 3, (5, 40, 7))).astype(np.int16)
    (FOLDER / "v1.lit").write_bytes(lic_native.encode(array))
    manifest["v1.lit"] = sha256(repr((array.dtype, array.shape, array.tolist())).encode())
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    write()
