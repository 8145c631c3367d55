"""Pillow's `Image.open` and `save` for `.lic` files; importing this module is what registers them.

    import lic_native.pillow
    Image.open("photo.png").save("photo.lic", quality=4)
    image = Image.open("photo.lic")

`save` takes quality, profile, device and lof as `lic_native.image.compress` does, and exif, icc_profile and xmp in
place of the image's own (`None` or `b""`: none). A file that `lic_native.jpeg.compress` made opens as what it restores.

What is damaged, or not for this release, raises what Pillow's own formats raise: `UnidentifiedImageError` when it is
opened, `OSError` when its samples are loaded; either has the `LicError` as its cause.
"""

from __future__ import annotations

import io
from typing import IO, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from . import image, jpeg
from .errors import LicError
from .limits import DEFAULT_LIMITS, Limits
from .pixels import METADATA, MODES, metadata_of, unpack_metadata

FORMAT = "LIC"
MAGIC = image.HEAD[:4]


class LicImageFile(ImageFile.ImageFile):
    """A `.lic` file of an image. Its samples are decoded when they are asked for."""

    format = FORMAT
    format_description = "lic_native image"
    _data = b""

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read(DEFAULT_LIMITS.max_input_bytes + 1)
        body = image.unpacked(data, DEFAULT_LIMITS)
        self._size, self._mode = (body.width, body.height), MODES[body.channels]
        self.info.update(unpack_metadata(body.metadata))
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
    """The image file that a `.lic` file restores. Pillow's limit holds before it is restored."""
    bomb = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else DEFAULT_LIMITS.max_pixels
    data = jpeg.decompress(file.read(DEFAULT_LIMITS.max_input_bytes + 1), limits=Limits(max_pixels=bomb))
    if _accept(data):
        raise UnidentifiedImageError("a .lic file inside a .lic file")
    opened = Image.open(io.BytesIO(data))
    # Pillow has opened what has a name, and would close what is returned in its place.
    if name:
        file.close()
    return opened


def _save(picture: Image.Image, file: IO[bytes], name: str | bytes) -> None:
    options = picture.encoderinfo
    given = {name: options[name] for name in METADATA if name in options}
    if given:
        metadata = metadata_of(picture)
        picture = picture.copy()
        for key, value in (metadata | given).items():
            picture.info[key] = value.tobytes() if isinstance(value, Image.Exif) else value or b""
    settings = {key: options[key] for key in ("quality", "profile", "device", "lof") if key in options}
    file.write(image.compress(picture, **settings))


Image.register_open(FORMAT, _opened, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".lic")
Image.register_mime(FORMAT, "image/x-lic")
