"""Put together what a training on another machine needs: package, start, photographs and files of cameras."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import lic_native

from .. import jpeg, threads
from ..inspection import MAGIC
from .data import members
from .task import say

__all__ = ["pack"]

#: Files that are compressed at a time, by all threads.
AT_A_TIME = 64


def pack(out: Path, data: Path, start: Path | None, camera: Path | None, skip: int, mebibytes: float) -> int:
    """Fill the new folder `out`; the arguments are those of `training.pack`. Return the `skip` of the next one."""
    out.mkdir(parents=True)
    package, room = Path(lic_native.__file__).parent, int(mebibytes * 2**20)
    shutil.copytree(package, out / "package" / "lic_native", ignore=_left_out)
    for file in () if start is None else [start] if start.is_file() else sorted(start.glob("average-*.pt")):
        (out / "start").mkdir(exist_ok=True)
        shutil.copy(file, out / "start")
    if camera is not None:
        _shard(camera, out / "camera", skip, (room - _size(out)) // 2)
    count, total = _shard(data, out / "photographs", skip, room - _size(out))
    say(**{f"{part.name}_mebibytes": round(_size(part) / 2**20, 1) for part in (*sorted(out.iterdir()), out)})
    say(photographs=count, of=total, next_skip=(skip + count) % total)
    return (skip + count) % total


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Return what of the package does not travel: weights, bytecode and types."""
    return {
        name
        for name in names
        if name == "__pycache__" or name.endswith(".pyi") or (Path(folder).name == "weights" and name != "__init__.py")
    }


def _shard(folder: Path, out: Path, skip: int, room: int) -> tuple[int, int]:
    """Write one .tar shard of at most `room` bytes of a folder's images, from the `skip`th on; return how many of all.

    JPEG files become .lic files of the profile `native`, which is lossless.
    """
    files = list(members(folder))
    skip %= len(files)
    turned = files[skip:] + files[:skip]
    out.mkdir()
    count, left = 0, room - tarfile.RECORDSIZE
    with tarfile.open(out / "0.tar", "w") as shard:
        for i in range(0, len(turned), AT_A_TIME):
            for name, data in threads.share(_packed, turned[i : i + AT_A_TIME], threads.available()):
                left -= tarfile.BLOCKSIZE * (1 - -len(data) // tarfile.BLOCKSIZE)
                if left < 0:
                    return count, len(files)
                about = tarfile.TarInfo(name)
                about.size = len(data)
                shard.addfile(about, io.BytesIO(data))
                count += 1
    return count, len(files)


def _packed(file: tuple[str, bytes]) -> tuple[str, bytes]:
    name, data = file
    if data.startswith(b"\xff\xd8"):
        data = jpeg.compress(data, profile="native", threads=1)
    return (f"{name}.lic" if data.startswith(MAGIC) else name), data


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
