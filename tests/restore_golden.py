"""Restore the golden files with the installed package: those of images only if torch is installed.

Needs neither pytest nor the rest of the tests, so that a wheel can be tried in an empty environment.
"""

import hashlib
import importlib.util
import json
from pathlib import Path

import lic_native

FOLDER = Path(__file__).parent / "golden"


def restored(name: str, device: str | None = None) -> bytes:
    """Return the bytes that the manifest's hash is of. device: where torch runs the networks."""
    data = (FOLDER / name).read_bytes()
    if name.endswith(".lit"):
        array = lic_native.decode(data)
        return repr((array.dtype, array.shape, array.tolist())).encode()
    if "_image_" in name:
        return lic_native.image.latents(data, device=device).astype("<i2").tobytes()
    return lic_native.jpeg.decompress(data, device=device)


def needs_torch(name: str) -> bool:
    return "_image_" in name


if __name__ == "__main__":
    torch_is_here = importlib.util.find_spec("torch") is not None
    hashes = json.loads((FOLDER / "manifest.json").read_text())
    names = [name for name in hashes if torch_is_here or not needs_torch(name)]
    failed = [name for name in names if hashlib.sha256(restored(name)).hexdigest() != hashes[name]]
    for name in failed:
        print(f"{name} is restored to other bytes")
    print(f"{lic_native.__file__}: {len(names) - len(failed)} passed, {len(failed)} failed")
    raise SystemExit(bool(failed))
