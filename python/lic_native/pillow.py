"""Pillow's `Image.open` and `save` for `.lic` files; importing this module is what registers them.

    import lic_native.pillow
    Image.open("photo.png").save("photo.lic", quality=4)
    image = Image.open("photo.lic")

`save` takes

- quality, profile, device and lof as `lic_native.image.compress` does;
- exif, icc_profile and xmp in place of the image's own (`None` or `b""`: none). Without `exif`, what `getexif()` says
  is written, once it has been changed;
- dpi, which is kept inside Exif.

Anything else is refused: `lossless=True` too, since a `.lic` file of an image is one with loss, and `save_all`. A
resolution in the image's `info["dpi"]` is kept if the image has no Exif, whose own counts otherwise, and if it is not
72 dpi, which Pillow takes for granted. Of `info`, nothing else is kept.

A file that `lic_native.jpeg.compress` made opens as the JPEG file that it restores, also with `formats=["LIC"]`. Files
of other formats are not opened, whatever `formats` allows: `lic_native.jpeg.decompress` returns their bytes. What was
opened so is without loss, and saving it as `.lic` would not be: this needs `quality`.

What is damaged, or not for this release, raises what Pillow's own formats raise: `UnidentifiedImageError` when it is
opened, `OSError` when its samples are loaded; either has the `LicError` as its cause.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageFile, JpegImagePlugin, MpoImagePlugin, UnidentifiedImageError

from . import image, jpeg
from .errors import LicError
from .image.pixels import METADATA, MODES, as_bytes, info_of, pixels_of, unpack_metadata, with_dpi
from .limits import DEFAULT_LIMITS, Limits

__all__ = ["FORMAT", "LicImageFile"]

FORMAT = "LIC"
MAGIC = image.HEAD[:4]
#: Options of `save` that `lic_native.image.compress` has.
SETTINGS = ("quality", "profile", "device", "lof")
OPTIONS = (*SETTINGS, *METADATA, "dpi")


class _Opened(ImageFile.ImageFile):
    """What a `.lic` file opens as."""

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        if isinstance(fp, str | bytes | os.PathLike):
            path = Path(os.fsdecode(fp))
            if (format or Image.registered_extensions().get(path.suffix.lower(), "")).upper() == FORMAT:
                # Pillow empties a file before it asks whether it can be written. It may be the one that this is of.
                buffer = io.BytesIO()
                super().save(buffer, FORMAT, **params)
                path.write_bytes(buffer.getvalue())
                return
        super().save(fp, format, **params)


class LicImageFile(_Opened):
    """A `.lic` file of an image. Its samples are decoded when they are asked for."""

    format = FORMAT
    format_description = "lic_native image"
    _data = b""

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read(DEFAULT_LIMITS.max_input_bytes + 1)
        body = image.unpacked(data, DEFAULT_LIMITS)
        self._size, self._mode = (body.width, body.height), MODES[body.channels]
        self.info.update(info_of(unpack_metadata(body.metadata)))
        self._data = data

    def load(self) -> Any:
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


class _RestoredJpeg(_Opened, JpegImagePlugin.JpegImageFile):
    pass


class _RestoredMpo(_Opened, MpoImagePlugin.MpoImageFile):
    pass


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _opened(file: IO[bytes], name: str | bytes) -> ImageFile.ImageFile:
    try:
        head = file.read(len(image.HEAD))
        file.seek(0)
        return LicImageFile(file, name) if image.is_image(head) else _restored(file, name)
    except LicError as error:
        raise UnidentifiedImageError(str(error)) from error


def _restored(file: IO[bytes], name: str | bytes) -> ImageFile.ImageFile:
    """The JPEG file that a `.lic` file restores. Pillow's limit holds before it is restored."""
    bomb = int(2 * Image.MAX_IMAGE_PIXELS) if Image.MAX_IMAGE_PIXELS else DEFAULT_LIMITS.max_pixels
    data = jpeg.decompress(file.read(DEFAULT_LIMITS.max_input_bytes + 1), limits=Limits(max_pixels=bomb))
    # What the caller has allowed with `formats=` is not known here, so other formats are not opened: EPS would run
    # Ghostscript.
    if not data.startswith(b"\xff\xd8\xff"):
        raise UnidentifiedImageError(
            "what the .lic file restores is no JPEG file: lic_native.jpeg.decompress returns it"
        )
    opened = JpegImagePlugin.jpeg_factory(io.BytesIO(data), name)
    opened.__class__ = _RestoredMpo if isinstance(opened, MpoImagePlugin.MpoImageFile) else _RestoredJpeg
    # Pillow has opened what has a name, and would close what is returned in its place.
    if name:
        file.close()
    return opened


def _check(picture: Image.Image, options: dict[str, Any]) -> None:
    """Raise ValueError for options of `save` that are none, or would lose what the user means to keep."""
    remedy = "lic_native.jpeg.compress(data) keeps the bytes of a JPEG file without loss"
    if options.get("lossless"):
        raise ValueError(f"a .lic file of an image is one with loss; {remedy}")
    if isinstance(picture, _RestoredJpeg | _RestoredMpo) and "quality" not in options:
        raise ValueError(
            "this image is of a .lic file without loss, and would be saved with loss: say so with quality= (1 to 8), "
            f"or copy the file; {remedy}"
        )
    unknown = sorted(options.keys() - {*SETTINGS, *METADATA, "dpi", "lossless"})
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} of a .lic file; choose from: {', '.join(OPTIONS)}")


def _save(picture: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    options = picture.encoderinfo
    _check(picture, options)
    pixels = pixels_of(picture)
    metadata = {**pixels.metadata, **{name: as_bytes(name, options[name]) for name in METADATA if name in options}}
    if options.get("dpi") is not None:
        metadata["exif"] = with_dpi(metadata.get("exif", b""), options["dpi"])
    settings = {key: options[key] for key in SETTINGS if key in options}
    file.write(image.compress(replace(pixels, metadata=metadata), **settings))


def _save_all(picture: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    raise ValueError("a .lic file holds one image: save each frame by itself, without save_all and append_images")


Image.register_open(FORMAT, _opened, _accept)
Image.register_save(FORMAT, _save)
Image.register_save_all(FORMAT, _save_all)
Image.register_extension(FORMAT, ".lic")
Image.register_mime(FORMAT, "image/x-lic")
