"""Metadata and thumbnails of JPEG files, plain or compressed, without decoding their pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .. import _native, storage
from ..arguments import Bytes, check_instance, to_bytes
from ..errors import CorruptError, UnsupportedError
from ..limits import DEFAULT_LIMITS, Limits
from . import coders
from .head import MAX_HEAD, Head, is_packed, parse, read_exif
from .picture import reduce, to_jpeg

__all__ = ["Metadata", "metadata", "thumbnail"]

#: Bytes of a file that are read at first. Most heads are shorter.
FIRST_READ = 1 << 15


@dataclass(frozen=True)
class Metadata:
    """What the head of a JPEG file says of it.

    width, height: in pixels, before the orientation is applied.
    orientation: 1 to 8, as Exif numbers them; 1 if it says nothing.
    date: local time at which it was taken, or None.
    camera: maker and model, "" if unknown.
    quality: of libjpeg's qualities, from 15 on, the one whose luma table has the nearest sum; None without a table.
    exif: the TIFF structure. In a compressed file a thumbnail in it is zeros: see `thumbnail`.
    icc: the colour profile. xmp: the main XMP packet.
    bytes_read: how much of the file was read.
    """

    width: int
    height: int
    orientation: int
    date: datetime | None
    camera: str
    quality: int | None
    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None
    bytes_read: int


#: Returns up to so many of a file's bytes, from its beginning.
_Read = Callable[[int], bytes]


def metadata(source: Bytes | str | os.PathLike[str]) -> Metadata:
    """Return size, Exif, colour profile, XMP, date and orientation of a JPEG file, plain or in a `.lic` file.

    Only the head of the file is read, and no checksum is checked: a damaged file may give wrong metadata.

    Args:
        source: the content as a bytes-like object; or the path of a file, or the URL of an object in a bucket, such as
            "s3://photos/1.jpg.lic".

    Raises:
        UnsupportedError: it is no JPEG file and restores none.
        CorruptError: its head is damaged.
        OSError: it can't be read.
    """
    head, length = _head(_reader(source))
    exif = read_exif(head.exif or b"")
    try:
        date = datetime.strptime(exif.date, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        date = None
    return Metadata(
        head.width,
        head.height,
        exif.orientation,
        date,
        exif.camera,
        head.quality,
        head.exif,
        head.icc,
        head.xmp,
        length,
    )


def _reader(source: Bytes | str | os.PathLike[str]) -> _Read:
    if not isinstance(source, str | os.PathLike):
        data = to_bytes(source, "source")
        return lambda length: data[:length]
    path = os.fspath(source)
    if "://" in path:
        folder, _, key = path.rpartition("/")
        objects = storage.open_storage(folder)
        return lambda length: objects.read_range(key, 0, length)

    def read(length: int) -> bytes:
        with open(path, "rb") as file:
            return file.read(length)

    return read


def _head(read: _Read) -> tuple[Head, int]:
    """Return the head of a JPEG file, and how many bytes were read for it."""
    wanted = FIRST_READ
    while True:
        part = read(wanted)
        packed = is_packed(part)
        data = _native.head(part, MAX_HEAD) if packed else part
        head = parse(data)
        if head is not None and head.complete:
            return head, len(part)
        is_other = head is None and (len(data) >= 3 or not packed)
        if len(part) < wanted or is_other or wanted >= MAX_HEAD:
            break
        wanted *= 4
    if head is None:
        raise UnsupportedError("the .lic file restores no JPEG file" if packed else "not a JPEG file")
    raise CorruptError("the JPEG file ends before its first scan")


def thumbnail(data: Bytes, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return a small picture of a JPEG file, as a JPEG file itself.

    It is the thumbnail in the Exif. Of a `.lic` file that alone is decoded, which takes milliseconds. Where there is
    none, it is the picture at an eighth of its size, for which all coefficients of a `.lic` file are decoded.

    Args:
        data: a JPEG file, or the `.lic` file that restores one.
        limits: the most that the file may ask for.

    Raises:
        UnsupportedError: it is no JPEG file and restores none.
        TruncatedError, CorruptError: it is damaged.
        LimitExceededError: it exceeds `limits`.
    """
    data = to_bytes(data)
    check_instance(limits, Limits, "limits")
    limits.check_input(len(data))
    head, _ = _head(lambda length: data[:length])
    place = read_exif(head.exif).thumbnail if head.exif else None
    if head.exif is not None and place is not None:
        begin, length = place
        picture = head.exif[begin : begin + length]
        if not picture.startswith(b"\xff\xd8") and is_packed(data):
            coded = _coded(data, head.exif_at + begin, length, limits)
            picture = coded + picture[len(coded) :]  # Cameras leave bytes after it.
        if picture.startswith(b"\xff\xd8\xff"):
            return picture
    return to_jpeg(reduce(data, limits=limits))


def _coded(data: bytes, position: int, length: int, limits: Limits) -> bytes:
    """Return the picture of a `.lic` file that begins at this position of the restored file, or no bytes."""
    container = _native.unpack(data, limits.max_output_bytes)
    found = _native.carve_nested(container.reconstruction, position)
    if found is None:
        return b""
    index, alone = found
    frame, coded = container.frames(limits.max_blocks)[index], container.pictures[index]
    if isinstance(coded, int):
        coded = container.pictures[coded]
    if isinstance(coded, int):
        raise CorruptError("a picture repeats one that repeats another")
    return _native.carve_write(alone, [coders.decode(frame, coded, "cpu", 1)], length)
