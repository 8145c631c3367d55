"""The command `lic-native thumbnail`, which file managers call."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from .. import files
from ..errors import UnsupportedError
from . import console

__all__ = ["thumbnail"]

#: The largest side of a thumbnail that the desktop's specification knows is 1024.
MAX_SIZE = 4096


def thumbnail(
    path: Annotated[Path, typer.Argument(metavar="PATH", show_default=False, help="A .lic file, or an image.")],
    output: Annotated[
        str, typer.Argument(metavar="OUTPUT", show_default=False, help="PNG file, which is replaced; - is stdout.")
    ],
    size: Annotated[
        int, typer.Option("--size", "-s", metavar="N", min=1, max=MAX_SIZE, help="Pixels of the longer side at most.")
    ] = 256,
) -> None:
    """Write a small picture of a .lic file, turned as its Exif says, as a PNG file.

    File managers call it: see `make install-desktop`.
    """
    from PIL import Image, ImageOps

    from .. import pillow
    from ..suffixes import readable_formats

    try:
        with Image.open(path, formats=[*readable_formats(), pillow.FORMAT]) as picture:
            picture.thumbnail((size, size))
            upright = ImageOps.exif_transpose(picture)
            small = upright if upright.mode in ("L", "LA", "RGB", "RGBA") else upright.convert("RGB")
            buffer = io.BytesIO()
            # What the original's metadata say is not for the cache of a file manager.
            Image.frombytes(small.mode, small.size, small.tobytes()).save(buffer, "PNG")
    except Image.DecompressionBombError as error:
        raise UnsupportedError(str(error)) from error
    if output == "-":
        console.write_stdout(buffer.getvalue())
        return
    with files.Output(Path(output), overwrite=True) as target:
        target.commit(buffer.getvalue())
