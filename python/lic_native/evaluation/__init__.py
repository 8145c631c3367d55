"""Measurements beside other programs.

Lossless, of JPEG files: `jpeg`, with its `peers`, `stages`, `plot` and `report`. Lossy, of images: `image`, with its
`image_codecs`, `image_plot` and `image_report`, and for the judgement `distortion`, `resources` and `bd_rate`.
"""

__all__: list[str] = []
