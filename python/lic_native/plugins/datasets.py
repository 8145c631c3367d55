"""A feature for Hugging Face `datasets`: pictures whose bytes in the table are `.lic` files.

    Dataset.from_dict({"image": [path.read_bytes()]}, features=Features({"image": LicImage()}))

Workers that receive such a dataset import this module by themselves. A program that loads one from a disk must import
it, because `datasets` has no entry points: `import lic_native.plugins.datasets`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from datasets import Image
from datasets.features.features import register_feature

from .. import image, jpeg
from ..errors import UnsupportedError
from ..inspection import kind

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["LicImage"]


@dataclass
class LicImage(Image):
    """A picture that is a `.lic` file, of a JPEG file or of an image with loss; read as a Pillow image.

    It takes what `datasets.Image` takes. Bytes that are a JPEG file are compressed when they are added; those of other
    files are kept.
    """

    _type: str = field(default="LicImage", init=False, repr=False)

    def encode_example(self, value: Any) -> dict[str, Any]:
        """Return the columns of a picture."""
        example: dict[str, Any] = super().encode_example(value)
        data = example["bytes"]
        if data is not None and bytes(data[:3]) == b"\xff\xd8\xff":
            example["bytes"] = jpeg.compress(bytes(data), device="cpu", threads=1)
        return example

    def decode_example(self, value: Any, token_per_repo_id: Any = None) -> PIL.Image.Image:
        """Return the picture. Raises LicError if its `.lic` file is damaged."""
        data = value.get("bytes") if isinstance(value, dict) else None
        if data is not None:
            try:
                lossy = kind(data) == "image"
            except UnsupportedError:
                lossy = None
            if lossy:
                return image.decompress(data, device="cpu")
            if lossy is not None:
                value = {**value, "bytes": jpeg.decompress(data, device="cpu", threads=1)}
        return super().decode_example(value, token_per_repo_id)  # type: ignore[no-any-return]


register_feature(LicImage, "LicImage")
