"""Pillow's `Image.open` and `save` for `.lic` files; importing this module registers them.

    import lic_native.pillow
    Image.open("photo.png").save("photo.lic", quality=4)
    image = Image.open("photo.lic")

`save` takes

- quality, profile, device and lof as `lic_native.image.compress` does;
- exif, icc_profile and xmp in place of the image's own (`None` or `b""` leaves them out). Without `exif`, the image's
  Exif is written, or that of `getexif()` if it was changed;
- dpi, which is kept inside Exif.

Other options are refused, among them `save_all` and `lossless=True`, since a `.lic` file of an image is lossy. A
resolution in the image's `info["dpi"]` is kept if the image has no Exif, which has its own, and if it is not 72 dpi,
Pillow's default. Nothing else of `info` is kept.

A file that `lic_native.jpeg.compress` made opens as the JPEG file that it restores, also with `formats=["LIC"]`. It is
decoded when its samples are first used; after `draft`, or by `thumbnail`, at an eighth of its size or less, without
writing the JPEG file. If it
restores a file of another format, it is not opened, whatever `formats` allows: `lic_native.jpeg.decompress` returns the
bytes. To save an image that was opened from such a lossless file as `.lic`, with loss, pass `quality`.

Damaged files, and files that this release does not read, raise what Pillow's own formats raise:
`UnidentifiedImageError` when they are opened, `OSError` when their samples are loaded; the `LicError` is the cause.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageFile, JpegImagePlugin, MpoImagePlugin, UnidentifiedImageError

from . import _native, image, jpeg
from .errors import LicError
from .image import container
from .image.metadata import METADATA, as_bytes, info_of, with_dpi
from .image.samples import MODES, to_pixels
from .inspection import HEAD_BYTES, MAGIC, kind
from .jpeg.head import MAX_HEAD, header_end
from .jpeg.picture import reduce
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["FORMAT", "LicImageFile", "register_lic_opener"]

FORMAT = "LIC"
#: Options of `save` that are passed to `lic_native.image.compress`.
SETTINGS = ("quality", "profile", "device", "lof")
OPTIONS = (*SETTINGS, *METADATA, "dpi")


class _Opened(ImageFile.ImageFile):
    """An image that was opened from a `.lic` file."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        if isinstance(fp, str | bytes | os.PathLike):
            path = Path(os.fsdecode(fp))
            if (format or Image.registered_extensions().get(path.suffix.lower(), "")).upper() == FORMAT:
                # Pillow empties the file before it loads the samples, which may be in this very file.
                buffer = io.BytesIO()
                super().save(buffer, FORMAT, **params)
                path.write_bytes(buffer.getvalue())
                return
        super().save(fp, format, **params)


class LicImageFile(_Opened):
    """A `.lic` file of an image, whose samples are decoded when they are first used."""

    format = FORMAT
    format_description = "lic_native image"
    _data = b""

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read(DEFAULT_LIMITS.max_input_bytes + 1)
        body = container.unpack(data, DEFAULT_LIMITS)
        self._size, self._mode = (body.width, body.height), MODES[body.channels]
        self.info.update(info_of(body.metadata))
        self._data = data

    def load(self) -> Any:
        """Decode the samples, the first time. Raises OSError if the file is damaged."""
        if self._data:
            try:
                self.im = image.decompress(self._data).im
            except LicError as error:
                raise OSError(str(error)) from error
            self._data, self.readonly = b"", 0
            if self._exclusive_fp and self.fp:
                self.fp.close()
            self.fp = None
        return super().load()


class _Unrestored(io.RawIOBase):
    """The JPEG file that a `.lic` file restores, which is decoded when more than its head is read."""

    def __init__(self, packed: bytes, known: bytes, size: int, limits: Limits) -> None:
        self.packed, self.limits, self.is_restored = packed, limits, False
        self._data, self._size, self._position = known, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if end > len(self._data):
            self._data, self.is_restored = _decompressed(self.packed, self.limits), True
        part = self._data[self._position : end]
        self._position += len(part)
        return part


def _decompressed(packed: bytes, limits: Limits) -> bytes:
    try:
        return jpeg.decompress(packed, limits=limits)
    except LicError as error:
        raise OSError(str(error)) from error


class _RestoredJpeg(_Opened, JpegImagePlugin.JpegImageFile):
    def load(self) -> Any:
        """Decode the samples, the first time. Raises OSError if the file is damaged."""
        if self.tile and self.decoderconfig == (8, 0) and (small := self._reduced()) is not None:
            self.im, self.tile, self.readonly, self.fp = small.im, [], 0, None
        return super().load()

    def _reduced(self) -> Image.Image | None:
        """Return the picture at an eighth of its size, or None if it is restored already, or has unusual colours."""
        source: Any = self.fp
        is_usual = self.mode in ("L", "YCbCr", "RGB") and self.info.get("adobe_transform", 1) == 1
        if not isinstance(source, _Unrestored) or source.is_restored or not is_usual:
            return None
        try:
            picture = reduce(source.packed, limits=source.limits)
        except LicError as error:
            raise OSError(str(error)) from error
        if bytes(picture.ids) == b"RGB":
            return None
        planes = list(map(Image.fromarray, picture.planes))
        return planes[0] if self.mode == "L" else Image.merge("YCbCr", planes).convert(self.mode)


class _RestoredMpo(_Opened, MpoImagePlugin.MpoImageFile):
    pass


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _open(file: IO[bytes], name: str | bytes) -> ImageFile.ImageFile:
    try:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        return LicImageFile(file, name) if kind(head) == "image" else _restored(file, name)
    except LicError as error:
        raise UnidentifiedImageError(str(error)) from error


def _restored(file: IO[bytes], name: str | bytes) -> ImageFile.ImageFile:
    """Return the JPEG file that a `.lic` file restores, if its size is within Pillow's own limit."""
    bomb = int(2 * Image.MAX_IMAGE_PIXELS) if Image.MAX_IMAGE_PIXELS else DEFAULT_LIMITS.max_pixels
    packed, limits = file.read(DEFAULT_LIMITS.max_input_bytes + 1), Limits(max_pixels=bomb)
    source: Any = _jpeg_file(packed, limits)
    opened = JpegImagePlugin.jpeg_factory(source, name)
    opened.__class__ = _RestoredMpo if isinstance(opened, MpoImagePlugin.MpoImageFile) else _RestoredJpeg
    # Pillow has opened a file that has a name, and would close the returned image instead.
    if name:
        file.close()
    return opened


def _jpeg_file(packed: bytes, limits: Limits) -> io.BytesIO | _Unrestored:
    """Return the JPEG file that a `.lic` file restores, open for reading."""
    limits.check_input(len(packed))
    container = _native.unpack(packed, limits.max_output_bytes)
    # The head of a file with further pictures lacks those that are nested in it, such as its thumbnail.
    if container.begins_with_picture and len(container.pictures) == 1:
        container.frames(limits.max_blocks)
        known = _native.head(packed, MAX_HEAD)
        if end := header_end(known):
            return _Unrestored(packed, known[:end], container.size, limits)
    data = jpeg.decompress(packed, limits=limits)
    # Other formats are not opened, since the caller's `formats=` is not known here: EPS would run Ghostscript.
    if not data.startswith(b"\xff\xd8\xff"):
        raise UnidentifiedImageError(
            "the .lic file restores a file that is not JPEG: lic_native.jpeg.decompress returns it"
        )
    return io.BytesIO(data)


def _check(picture: Image.Image, options: dict[str, Any]) -> None:
    """Raise ValueError for unknown options of `save`, and for those that would lose what the user means to keep."""
    remedy = "lic_native.jpeg.compress(data) keeps the bytes of a JPEG file without loss"
    if options.get("lossless"):
        raise ValueError(f"a .lic file of an image is lossy; {remedy}")
    if isinstance(picture, _RestoredJpeg | _RestoredMpo) and "quality" not in options:
        raise ValueError(
            "this image is of a .lic file without loss, and would be saved with loss: pass quality= (1 to 8) for that, "
            f"or copy the file; {remedy}"
        )
    unknown = sorted(options.keys() - {*SETTINGS, *METADATA, "dpi", "lossless"})
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} of a .lic file; choose from: {', '.join(OPTIONS)}")


def _save(picture: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    options = picture.encoderinfo
    _check(picture, options)
    pixels = to_pixels(picture)
    metadata = {**pixels.metadata, **{name: as_bytes(name, options[name]) for name in METADATA if name in options}}
    if options.get("dpi") is not None:
        metadata["exif"] = with_dpi(metadata.get("exif", b""), options["dpi"])
    settings = {key: options[key] for key in SETTINGS if key in options}
    file.write(image.compress(replace(pixels, metadata=metadata), **settings))


def _save_all(picture: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    raise ValueError("a .lic file holds one image: save each frame by itself, without save_all and append_images")


def register_lic_opener() -> None:
    """Register the format with Pillow. Importing this module has done so already; more calls change nothing."""
    Image.register_open(FORMAT, _open, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, ".lic")
    Image.register_mime(FORMAT, "image/x-lic")


register_lic_opener()
