"""The head of a JPEG file: size, metadata and quantisation tables, from the segments before its first scan."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_HEAD", "Exif", "Head", "header_end", "is_packed", "kept_segments", "parse", "read_exif"]

#: First bytes of a `.lic` file.
MAGIC = b"\x89LIC"
#: The longest head, in bytes: a profile can have 255 segments.
MAX_HEAD = 1 << 25

EXIF, XMP, ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
SOI, SOS, EOI = 0xD8, 0xDA, 0xD9
#: Markers of frames: SOF0 to SOF15 without DHT, JPG and DAC.
SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
DQT, APP0, APP1, APP2, APP14 = 0xDB, 0xE0, 0xE1, 0xE2, 0xEE
#: Sum of libjpeg's table for luma at quality 50 (T.81, table K.1).
LUMA_SUM = 3688
#: Exif tags.
MAKE, MODEL, ORIENTATION, DATE_TIME = 0x010F, 0x0110, 0x0112, 0x0132
EXIF_IFD, DATE_TIME_ORIGINAL = 0x8769, 0x9003
THUMBNAIL_OFFSET, THUMBNAIL_LENGTH = 0x0201, 0x0202
#: Entries that an IFD of Exif may have; cameras write up to a hundred.
MAX_ENTRIES = 1000


@dataclass
class Head:
    """What the segments before the first scan of a JPEG file say.

    complete: whether the scan was reached. Otherwise the data end before it.
    width, height: 0 if there is no frame header.
    exif: the TIFF structure, without the six bytes "Exif\\0\\0". exif_at: its position in the data.
    quality: of libjpeg's qualities the one whose luma table has the nearest sum.
    """

    complete: bool = False
    width: int = 0
    height: int = 0
    exif: bytes | None = None
    exif_at: int = 0
    icc: bytes | None = None
    xmp: bytes | None = None
    quality: int | None = None


def is_packed(data: bytes) -> bool:
    """Return whether data begin as a `.lic` file does."""
    return data.startswith(MAGIC)


def parse(data: bytes) -> Head | None:
    """Return the head of the JPEG file that `data` begins with, or None if it is none. Data may end anywhere."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    head, profile = Head(), dict[int, bytes]()
    for marker, begin, end in _segments(data):
        if marker is None:
            head.complete = True
        else:
            _take(head, profile, marker, data[begin:end], begin)
    if profile:
        head.icc = b"".join(profile[number] for number in sorted(profile))
    return head


def kept_segments(data: bytes) -> bytes:
    """Return the segments of a head that say how samples are to be shown: JFIF's, Adobe's and the colour profile."""
    kinds = {APP0: b"JFIF\0", APP2: ICC, APP14: b"Adobe"}
    return b"".join(
        data[begin - 4 : end]
        for marker, begin, end in _segments(data)
        if marker in kinds and data.startswith(kinds[marker], begin, end)
    )


def header_end(data: bytes) -> int:
    """Return the position after the header of the first scan, or 0 if it is missing."""
    for marker, begin, _ in _segments(data):
        if marker is None and data[begin : begin + 2] == bytes([0xFF, SOS]):
            return begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big")
    return 0


def _segments(data: bytes) -> Iterator[tuple[int | None, int, int]]:
    """Yield the marker of each segment, and where its content begins and ends; None where the head ends."""
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] == 0xFF and marker == 0xFF:  # Fill byte.
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        # What follows something else than a marker is damaged.
        if data[position] != 0xFF or marker in (SOS, EOI) or length < 2:
            yield None, position, position
            return
        begin, position = position + 4, position + 2 + length
        if position > len(data):
            return
        yield marker, begin, position


def _take(head: Head, profile: dict[int, bytes], marker: int, content: bytes, at: int) -> None:
    """Note what a segment says. The first of a kind counts."""
    if marker in SOF and len(content) >= 5 and not head.width:
        head.height, head.width = struct.unpack(">HH", content[1:5])
    elif marker == APP1 and content.startswith(EXIF) and head.exif is None:
        head.exif, head.exif_at = content[len(EXIF) :], at + len(EXIF)
    elif marker == APP1 and content.startswith(XMP) and head.xmp is None:
        head.xmp = content[len(XMP) :]
    elif marker == APP2 and content.startswith(ICC) and len(content) > len(ICC) + 2:
        profile.setdefault(content[len(ICC)], content[len(ICC) + 2 :])
    elif marker == DQT and head.quality is None and len(content) >= 65 and content[0] & 15 == 0:
        wide = content[0] >> 4
        table = struct.unpack_from(">64H" if wide else "64B", content.ljust(129, b"\1"), 1)
        scale = 100 * sum(table) / LUMA_SUM
        head.quality = max(1, min(100, round(100 - scale / 2 if scale <= 100 else 5000 / scale)))


@dataclass
class Exif:
    """Fields of Exif that say what a photograph is.

    date: local time as "YYYY:MM:DD HH:MM:SS", when it was taken.
    thumbnail: position and length of the thumbnail in the Exif.
    """

    make: str = ""
    model: str = ""
    orientation: int = 1
    date: str = ""
    thumbnail: tuple[int, int] | None = None

    @property
    def camera(self) -> str:
        """Return maker and model in one text, "" if neither is known."""
        named = self.model.lower().startswith(self.make.lower())
        return self.model if named else f"{self.make} {self.model}".strip()


def read_exif(exif: bytes) -> Exif:
    """Return the fields of an Exif. What is missing or damaged has its default."""
    result = Exif()
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return result
    first, next_at = _ifd(exif, order, _number(exif, order, 4))
    result.make, result.model = _text(first, MAKE), _text(first, MODEL)
    orientation = first.get(ORIENTATION)
    result.orientation = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    pointer = first.get(EXIF_IFD)
    details = _ifd(exif, order, pointer)[0] if isinstance(pointer, int) else {}
    result.date = _text(details, DATE_TIME_ORIGINAL) or _text(first, DATE_TIME)
    second = _ifd(exif, order, next_at)[0]
    at, length = second.get(THUMBNAIL_OFFSET), second.get(THUMBNAIL_LENGTH)
    if isinstance(at, int) and isinstance(length, int) and length and at + length <= len(exif):
        result.thumbnail = at, length
    return result


def _number(data: bytes, order: str, at: int, size: int = 4) -> int:
    """Return an unsigned integer, or 0 if the data end before it."""
    part = data[at : at + size]
    return int.from_bytes(part, "little" if order == "<" else "big") if len(part) == size else 0


def _ifd(data: bytes, order: str, at: int) -> tuple[dict[int, int | bytes], int]:
    """Return the texts and the single integers of an IFD by their tags, and the position of the next IFD."""
    values: dict[int, int | bytes] = {}
    count = _number(data, order, at, 2)
    if not at or not count or count > MAX_ENTRIES:
        return values, 0
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = _number(data, order, entry, 2), _number(data, order, entry + 2, 2)
        number = _number(data, order, entry + 4)
        if kind == 2:
            start = _number(data, order, entry + 8) if number > 4 else entry + 8
            values.setdefault(tag, data[start : start + min(number, MAX_ENTRIES)])
        elif kind in (3, 4) and number == 1:
            values.setdefault(tag, _number(data, order, entry + 8, 2 if kind == 3 else 4))
    return values, _number(data, order, at + 2 + 12 * count)


def _text(values: dict[int, int | bytes], tag: int) -> str:
    value = values.get(tag)
    return value.split(b"\0")[0].decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""
