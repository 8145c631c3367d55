"""WebDataset: `.lic` files as members of shards, and whole shards that are `.lic` files.

    dataset = webdataset.WebDataset("shard.tar").decode(restored, "pil")      # members such as 0001.jpg.lic

A shard that is compressed as a whole, so that every JPEG file in it gets smaller, needs nothing of this module: its URL
is "pipe:lic-native decompress -c shard.tar.lic". After an import of this module "lic:s3://bucket/shard.tar" is one,
too; it has one colon there, because WebDataset takes two for the end of a URL.
"""

from __future__ import annotations

from typing import IO, Any

import fsspec
from webdataset.autodecode import Continue
from webdataset.gopen import gopen_schemes

from .. import jpeg

__all__ = ["restored"]


def restored(key: str, data: bytes) -> Any:
    """Restore members whose name ends in `.lic`, for the handlers that follow: `photo.lic` is taken for a JPEG file.

    Args:
        key: the name of a member behind its first dot, with this dot.
        data: its content.

    Raises:
        LicError: it is damaged.
    """
    if not key.endswith(".lic"):
        return None
    return Continue(key.removesuffix(".lic") or ".jpg", jpeg.decompress(data, device="cpu", threads=1))


def _open(url: str, mode: str = "rb", bufsize: int = 8192, **options: Any) -> IO[bytes]:
    return fsspec.open(f"lic::{url.removeprefix('lic:')}", mode).open()  # type: ignore[no-any-return]


gopen_schemes["lic"] = _open
